//! Stories of conditional orders: what sets them off, in which order, and what they are until then.

mod support;

use exchange_core::{limits, CreateType, EventKind, OrderId, StopKind, TriggerBy, TriggerDirection};
use support::{fixed, shown, who, Story, BTC};

fn story() -> Story {
    let mut story = Story::new("0", "1000000");
    // the last price is 50,000
    story.tell(
        "who    | does | qty | price
         maker  | sell | 1   | 50000
         seller | buy  | 1   | 50000",
    );
    story
}

/// Trades one lot at a price, so that it is the last one.
fn trade_at(story: &mut Story, price: &str) {
    story.tell(&format!("who | does | qty | price\n erin | sell | 0.001 | {price}"));
    story.tell(&format!("who | does | qty | price\n frank | buy | 0.001 | {price}"));
}

/// Orders that were set off in the last step, in their order.
fn triggered(story: &Story) -> Vec<OrderId> {
    story.happened(|event| match *event {
        EventKind::OrderTriggered { order_id, .. } => Some(order_id),
        _ => None,
    })
}

#[test]
fn a_buy_stop_waits_without_margin_and_comes_in_when_the_price_rises_to_it() {
    let mut story = story();
    story.tell(
        "who   | does | order | qty | price | trigger | dir  | then
         alice | buy  | stop  | 1   | 50300 | 50100   | rise | waits 1 for 50100
         bob   | sell |       | 2   | 50200 |         |      | rests 2 at 50200",
    );
    story.expect("who | im | available\n alice | 0 | 1000000");
    trade_at(&mut story, "50099.9");
    assert_eq!(story.fate(story.order("stop")), "waits 1 for 50100");
    trade_at(&mut story, "50100");
    assert_eq!(story.fate(story.order("stop")), "triggered at 50100, 1 at 50200");
    story.expect("who | qty\n alice | 1");
}

#[test]
fn it_tells_what_it_is() {
    let mut story = story();
    story.tell(
        "who   | does | order | qty | price | trigger | dir  | by   | smp   | then
         alice | buy  | stop  | 1   | 50300 | 50100   | rise | mark | taker | waits 1 for 50100",
    );
    let told = story.happened(|event| match *event {
        EventKind::OrderConditions {
            kind: StopKind::Stop,
            trigger_price,
            trigger_by: TriggerBy::MarkPrice,
            trigger_direction: TriggerDirection::Rise,
            ..
        } => Some(shown(trigger_price.0)),
        EventKind::OrderAccepted { create_type: CreateType::User, price, .. } => Some(shown(price.0)),
        _ => None,
    });
    assert_eq!(told, ["50300", "50100"]);
    let view = story.exchange.order(story.order("stop")).expect("it waits");
    assert!(view.is_waiting);
    assert_eq!(story.exchange.open_orders(who("alice"), Some(BTC)), [view]);
    story.index(BTC, "50100");
    let view = story.exchange.order(story.order("stop")).expect("it rests");
    assert_eq!(
        (view.is_waiting, view.kind, view.terms.trigger_price.0),
        (false, StopKind::Stop, fixed("50100"))
    );
    assert_eq!(view.price.0, fixed("50300"));
}

#[test]
fn mark_and_index_set_off_as_well_and_a_limit_rests_from_then_on() {
    let mut story = story();
    story.tell(
        "who   | does | order | qty | price | trigger | by    | then
         alice | sell | mark  | 1   | 49000 | 49800   | mark  | waits 1 for 49800
         alice | sell | index | 1   | 49950 | 49700   | index | waits 1 for 49700
         alice | sell | last  | 1   | 49950 | 49800   | last  | waits 1 for 49800",
    );
    story.index(BTC, "49790");
    // the mark is the median of index, index and last: 49,790; the limit is moved to the band, 1 % below
    assert_eq!(story.fate(story.order("mark")), "triggered at 49790, rests 1 at 49292.1");
    assert_eq!(story.fate(story.order("index")), "waits 1 for 49700");
    story.index(BTC, "49700");
    assert_eq!(story.fate(story.order("index")), "triggered at 49700, rests 1 at 49950");
    assert_eq!(story.fate(story.order("last")), "waits 1 for 49800");
}

#[test]
fn the_price_must_not_be_there_yet() {
    let mut story = story();
    story.tell(
        "who   | does | qty | price | trigger | dir  | by   | then
         alice | buy  | 1   | 50300 | 50000   | rise |      | TriggerNotAbove
         alice | buy  | 1   | 50300 | 49999   | rise | mark | TriggerNotAbove
         alice | buy  | 1   | 50300 | 50000   | fall |      | TriggerNotBelow
         alice | buy  | 1   | 50300 | 50001   | fall | mark | TriggerNotBelow
         alice | buy  | 1   | 50300 | 50000   |      |      | TriggerNotBelow
         alice | buy  | 1   | 50300 | 50001   |      |      | waits 1 for 50001
         alice | buy  | 1   | 50300 | 49999   |      |      | waits 1 for 49999",
    );
}

#[test]
fn shape_is_judged_when_it_is_placed() {
    let mut story = story();
    story.tell(
        "who   | does | qty    | price    | trigger  | how    | slip    | then
         alice | buy  | 1      | 50300    | 50100.01 |        |         | TriggerPriceInvalid
         alice | buy  | 1      | 50300    | -1       |        |         | TriggerPriceInvalid
         alice | buy  | 1      | 50300    | 2000000  |        |         | TriggerPriceInvalid
         alice | buy  | 1      | 50300.05 | 50100    |        |         | PriceOutOfRange
         alice | buy  | 0.0005 | 50300    | 50100    |        |         | QtyInvalid
         alice | buy  | 0      | 50300    | 50100    |        |         | QtyInvalid
         alice | buy  | 1191   | 50300    | 50100    |        |         | QtyAboveMaximum
         alice | buy  | 501    |          | 50100    |        |         | QtyAboveMaximum
         alice | buy  | 0.001  | 4000     | 50100    |        |         | BelowMinimumNotional
         alice | buy  | 1      |          | 50100    |        | 3 ticks | SlippageInvalid
         alice | sell | 1      |          | 50100    | reduce |         | ReduceOnlyNoPosition
         maker | sell | 1      |          | 50100    | reduce |         | ReduceOnlySameSide
         maker | buy  | 1      |          | 50100    | reduce |         | waits 1 for 50100",
    );
}

#[test]
fn ten_conditional_orders_per_contract() {
    let mut story = story();
    for _ in 0..limits::CONDITIONAL_ORDERS_MAX {
        story.tell(
            "who | does | qty | price | trigger | then\n alice | buy | 1 | 50300 | 50100 | waits 1 for 50100",
        );
    }
    story.tell(
        "who   | does | qty | price | trigger | in  | then
         alice | buy  | 1   | 50300 | 50100   |     | TooManyConditionalOrders
         alice | buy  | 1   | 2000  | 2100    | ETH | waits 1 for 2100
         bob   | buy  | 1   | 50300 | 50100   |     | waits 1 for 50100",
    );
}

#[test]
fn too_little_margin_when_it_comes_in_cancels_it() {
    let mut story = story();
    story.tell(
        "who   | does     | order | qty    | price | trigger | then
         alice | buy      | big   | 300    | 50300 | 50100   | waits 300 for 50100
         alice | buy      | small | 1      |       | 50100   | waits 1 for 50100
         bob   | sell     |       | 1      | 50200 |         | rests 1 at 50200",
    );
    trade_at(&mut story, "50100");
    assert_eq!(story.fate(story.order("big")), "triggered at 50100, InsufficientMargin 300");
    assert_eq!(story.fate(story.order("small")), "triggered at 50100, 1 at 50200");
}

#[test]
fn nearest_first_then_oldest_and_one_may_set_off_the_next() {
    let mut story = story();
    story.tell(
        "who   | does | order | qty | price | trigger | then
         alice | buy  | far   | 1   | 50400 | 50300   | waits 1 for 50300
         bob   | buy  | near  | 1   | 50400 | 50100   | waits 1 for 50100
         carol | buy  | equal | 1   | 50400 | 50300   | waits 1 for 50300
         dave  | buy  | by    | 1   | 50400 | 50350   | waits 1 for 50350
         maker | sell |       | 3   | 50320 |         | rests 3 at 50320
         maker | sell |       | 1   | 50380 |         | rests 1 at 50380",
    );
    trade_at(&mut story, "50310");
    let order = |label| story.order(label);
    assert_eq!(triggered(&story), [order("near"), order("far"), order("equal")]);
    // all three are filled at 50,320; nobody traded at 50,350
    assert_eq!(story.fate(story.order("by")), "waits 1 for 50350");
    story.tell("who | does | qty | price | then\n erin | buy | 0.5 | 50380 | 0.5 at 50380");
    assert_eq!(story.fate(story.order("by")), "triggered at 50380, 0.5 at 50380, rests 0.5 at 50400");
}

#[test]
fn work_per_command_is_bounded_and_the_rest_comes_with_the_next() {
    let mut story = story();
    let many = 300;
    for number in 0..many {
        let account = exchange_core::AccountId(5000 + number);
        story.must(exchange_core::Action::CreateAccount { account });
        let order = exchange_core::NewOrder {
            terms: exchange_core::Terms {
                trigger_price: exchange_core::Price(fixed("50100")),
                ..exchange_core::Terms::NONE
            },
            ..exchange_core::NewOrder::market(
                account,
                BTC,
                exchange_core::Side::Buy,
                exchange_core::Qty(fixed("1")),
            )
        };
        story.must(exchange_core::Action::PlaceOrder(order));
    }
    trade_at(&mut story, "50100");
    assert_eq!(triggered(&story).len(), limits::TRIGGERS_MAX);
    story.passes(1000);
    assert_eq!(triggered(&story).len(), many as usize - limits::TRIGGERS_MAX);
    story.passes(1000);
    assert!(triggered(&story).is_empty());
}

#[test]
fn waiting_orders_are_cancelled_and_amended() {
    let mut story = story();
    story.tell(
        "who   | does   | order | qty | price | trigger | then
         alice | buy    | a     | 1   | 50300 | 50100   | waits 1 for 50100
         alice | buy    | b     | 1   | 50300 | 50100   | waits 1 for 50100
         alice | buy    | c     | 1   | 50300 | 50100   | waits 1 for 50100
         bob   | cancel | a     |     |       |         | OrderNotFound
         alice | cancel | a     |     |       |         | cancelled
         alice | cancel | a     |     |       |         | OrderNotFound
         bob   | amend  | b     | 2   |       |         | OrderNotFound
         alice | amend  | b     | 2   |       |         | waits 2 for 50100
         alice | amend  | b     | 2   | 50300 |         | AmendUnchanged
         alice | amend  | b     | 0   |       |         | QtyInvalid
         alice | amend  | b     |     | 50250 |         | waits 2 for 50100
         alice | amend  | b     |     |       | 50000   | TriggerNotAbove
         alice | amend  | b     |     |       | 50200   | waits 2 for 50200
         bob   | sell   |       | 1   | 50190 |         | rests 1 at 50190",
    );
    trade_at(&mut story, "50150");
    assert_eq!(story.fate(story.order("c")), "triggered at 50150, 1 at 50190");
    trade_at(&mut story, "50200");
    assert_eq!(story.fate(story.order("b")), "triggered at 50200, rests 2 at 50250");
    story.tell(
        "who   | does       | qty | price | trigger | then
         alice | buy        | 1   | 50500 | 50400   | waits 1 for 50400
         alice | cancel all |     |       |         | ",
    );
    assert!(story.exchange.open_orders(who("alice"), None).is_empty());
}

#[test]
fn a_link_id_serves_a_conditional_order_all_its_life() {
    let mut story = story();
    story.tell(
        "who   | does | order | link | qty | price | trigger | then
         alice | buy  | a     | x-1  | 1   | 50100 | 50100   | waits 1 for 50100
         alice | buy  |       | x-1  | 1   | 50100 | 50100   | DuplicateLinkId",
    );
    trade_at(&mut story, "50100");
    let view = story.exchange.order(story.order("a")).expect("it rests");
    assert_eq!(view.link_id.as_str(), "x-1");
}

#[test]
fn reduce_only_stops_close_what_is_there_then() {
    let mut story = story();
    story.tell(
        "who   | does | order | qty | price | trigger | how    | then
         bob   | sell |       | 2   | 50000 |         |        | rests 2 at 50000
         alice | buy  |       | 2   | 50000 |         |        | 2 at 50000
         alice | sell | stop  | 2   |       | 49900   | reduce | waits 2 for 49900
         alice | sell | late  | 2   |       | 49700   | reduce | waits 2 for 49700
         carol | buy  |       | 5   | 49850 |         |        | rests 5 at 49850
         alice | sell |       | 1.5 | 49850 |         |        | 1.5 at 49850",
    );
    // the sale itself traded below the trigger: half a coin is left to sell
    assert_eq!(story.fate(story.order("stop")), "triggered at 49850, 0.5 at 49850");
    story.expect("who | qty\n alice | 0");
    story.tell("who | does\n carol | cancel all");
    trade_at(&mut story, "49700");
    assert_eq!(story.fate(story.order("late")), "triggered at 49700, ReduceOnly 2");
}

#[test]
fn close_on_trigger_without_a_quantity_closes_everything() {
    let mut story = story();
    story.tell(
        "who   | does | order | qty | price | trigger | how    | close | then
         bob   | sell |       | 3   | 50000 |         |        |       | rests 3 at 50000
         alice | sell | x     | 0   |       | 49900   | reduce | yes   | ReduceOnlyNoPosition
         alice | buy  |       | 2   | 50000 |         |        |       | 2 at 50000
         alice | sell | stop  | 0   |       | 49900   | reduce | yes   | waits 0 for 49900
         alice | sell |       | 0   |       | 49900   | reduce |       | QtyInvalid
         alice | buy  |       | 1   | 50000 |         |        |       | 1 at 50000
         carol | buy  |       | 5   | 49850 |         |        |       | rests 5 at 49850",
    );
    trade_at(&mut story, "49900");
    assert_eq!(story.fate(story.order("stop")), "triggered at 49900, 3 at 49850");
    story.expect("who | qty\n alice | 0");
    story.tell(
        "who   | does | qty | price | how    | close | then
         carol | sell | 0   |       | reduce | yes   | 2 at 49850, ImmediateOrCancel 1",
    );
    let types = story.happened(|event| match *event {
        EventKind::OrderAccepted { create_type, qty, .. } => Some((create_type, shown(qty.0))),
        _ => None,
    });
    assert_eq!(types, [(CreateType::Closing, "3".to_owned())]);
}

#[test]
fn close_on_trigger_makes_way_for_itself() {
    let mut story = Story::new("0", "6000");
    story.leverage("alice", 10);
    story.tell(
        "who   | does     | order | qty  | price | trigger | how    | close | then
         bob   | sell     |       | 1    | 50000 |         |        |       | rests 1 at 50000
         alice | buy      |       | 1    | 50000 |         |        |       | 1 at 50000
         alice | buy      | add   | 0.18 | 49500 |         |        |       | rests 0.18 at 49500
         alice | sell     | tp    | 1    | 50500 |         | reduce |       | rests 1 at 50500
         alice | sell     | stop  | 1    | 49600 | 49700   |        | yes   | waits 1 for 49700",
    );
    story.index(BTC, "49650");
    assert!(story.exchange.account(who("alice")).unwrap().available.0 < 0);
    trade_at(&mut story, "49700");
    assert_eq!(story.fate(story.order("stop")), "triggered at 49700, rests 1 at 49600");
    assert_eq!(story.fate(story.order("add")), "InsufficientMargin 0.18");
    assert_eq!(story.fate(story.order("tp")), "ReduceOnly 1");
}

#[test]
fn a_waiting_order_outlives_a_restart() {
    let mut story = story();
    story.tell(
        "who   | does | order | qty | price | trigger | then
         alice | buy  | stop  | 1   | 50100 | 50100   | waits 1 for 50100",
    );
    let mut restored = exchange_core::Exchange::restore(&story.exchange.snapshot()).expect("it is sound");
    assert_eq!(restored.state_hash(), story.exchange.state_hash());
    trade_at(&mut story, "50100");
    let mut events = Vec::new();
    for (name, side) in [("erin", exchange_core::Side::Sell), ("frank", exchange_core::Side::Buy)] {
        let price = exchange_core::Price(fixed("50100"));
        let order =
            exchange_core::NewOrder::limit(who(name), BTC, side, exchange_core::Qty(fixed("0.001")), price);
        let action = exchange_core::Action::PlaceOrder(order);
        let command = exchange_core::Command { market_ms: story.market_ms, wall_us: 0, action };
        restored.apply(&command, &mut events).expect("no invariant broke");
    }
    assert_eq!(restored.state_hash(), story.exchange.state_hash());
}

#[test]
fn orders_that_wait_for_a_price_end_with_their_contract() {
    let mut story = Story::with(vec![support::btc_expiry()], "0", "1000000");
    story.tell(
        "who   | does | order | qty | price | trigger | then
         alice | buy  | stop  | 1   | 50300 | 50100   | waits 1 for 50100",
    );
    let exchange_core::Kind::Expiry { delivery_ms } = story.exchange.instruments()[0].spec.kind else {
        panic!("it expires");
    };
    story.passes(delivery_ms);
    assert_eq!(story.fate(story.order("stop")), "Delivery 1");
}
