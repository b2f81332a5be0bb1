//! Stories of orders: priority, time in force, reduce-only, amendments, filters, the price band.

mod support;

use exchange_core::{Action, EventKind, InstrumentId, LinkId, Money, Price, Reject};
use support::{fixed, shown, who, Story, BTC};

fn story() -> Story {
    Story::new("0", "1000000")
}

#[test]
fn best_price_first_then_oldest() {
    let mut story = story();
    story.tell(
        "who   | does | order | qty | price   | then
         alice | sell | a     | 1   | 50001   | rests 1 at 50001
         bob   | sell | b     | 1   | 50000.5 | rests 1 at 50000.5
         carol | sell | c     | 2   | 50000.5 | rests 2 at 50000.5
         dave  | buy  | d     | 3.5 | 50001   | 1 at 50000.5, 2 at 50000.5, 0.5 at 50001",
    );
    story.expect_book(
        "side | price | qty
         ask  | 50001 | 0.5",
    );
    story.expect(
        "who   | qty
         alice | -0.5
         bob   | -1
         carol | -2
         dave  | 3.5",
    );
}

#[test]
fn time_in_force() {
    let mut story = story();
    story.tell(
        "who   | does | qty | price   | how  | then
         maker | sell | 1   | 50000   | gtc  | rests 1 at 50000
         alice | buy  | 2   | 50000   | fok  | FillOrKill 2
         alice | buy  | 1   | 50000   | post | PostOnlyWouldTake 1
         alice | buy  | 1   | 49999.9 | post | rests 1 at 49999.9
         alice | buy  | 3   | 50000   | ioc  | 1 at 50000, ImmediateOrCancel 2
         maker | sell | 2   | 49999.9 | gtc  | 1 at 49999.9, rests 1 at 49999.9
         bob   | buy  | 1   | 49999.9 | fok  | 1 at 49999.9
         bob   | buy  | 1   |         |      | ImmediateOrCancel 1",
    );
    story.expect_book("side | price | qty");
}

#[test]
fn an_amendment_keeps_its_place_only_when_it_shrinks() {
    let mut story = story();
    story.tell(
        "who   | does  | order | qty | price   | how  | then
         alice | sell  | a     | 2   | 50000   |      | rests 2 at 50000
         bob   | sell  | b     | 2   | 50000   |      | rests 2 at 50000
         carol | sell  | c     | 1   | 50000.1 | post | rests 1 at 50000.1
         alice | amend | a     | 1   |         |      | rests 1 at 50000
         dave  | buy   |       | 0.5 | 50000   | ioc  | 0.5 at 50000
         alice | amend | a     | 0.4 |         |      | AmendBelowFilled
         alice | amend | a     | 1   |         |      | AmendUnchanged
         alice | amend | a     | 2   | 50000   |      | rests 1.5 at 50000
         bob   | amend | a     | 3   |         |      | OrderNotFound
         dave  | buy   |       | 2   | 50000   | ioc  | 2 at 50000
         erin  | buy   |       | 1   | 49999   |      | rests 1 at 49999
         carol | amend | c     |     | 49999   |      | PostOnlyWouldTake 1
         alice | amend | a     |     | 49998   |      | 1 at 49999, rests 0.5 at 49998",
    );
    story.expect(
        "who   | qty
         alice | -1.5
         bob   | -2
         carol | 0",
    );
}

#[test]
fn reduce_only_never_exceeds_nor_flips() {
    let mut story = story();
    story.tell(
        "who   | does | order | qty | price | how        | then
         alice | sell |       | 1   | 50100 | reduce     | ReduceOnlyNoPosition
         maker | sell |       | 3   | 50000 |            | rests 3 at 50000
         alice | buy  |       | 3   | 50000 |            | 3 at 50000
         alice | buy  |       | 1   | 50000 | reduce     | ReduceOnlySameSide
         alice | sell | tp1   | 2   | 50100 | reduce     | rests 2 at 50100
         alice | sell | tp2   | 9   | 50200 | reduce     | rests 1 at 50200
         alice | sell | tp3   | 1   | 50300 | reduce     | ReduceOnly 1
         maker | buy  |       | 9   | 49990 |            | rests 9 at 49990
         alice | sell |       | 1.5 |       |            | 1.5 at 49990",
    );
    // 1.5 left: the younger take-profit is gone, the older one is cut
    assert_eq!(story.exchange.order(story.order("tp2")), None);
    assert_eq!(story.exchange.order(story.order("tp1")).map(|order| order.leaves.0), Some(fixed("1.5")));
    story.tell(
        "who   | does | order | qty | price | how    | then
         alice | sell |       | 5   |       | reduce | 1.5 at 49990",
    );
    assert_eq!(story.exchange.order(story.order("tp1")), None);
    story.expect("who | qty\n alice | 0");
}

#[test]
fn a_sweep_over_plain_and_reduce_only_orders_of_one_maker_does_not_flip_him() {
    let mut story = story();
    story.tell(
        "who   | does | order | qty | price | how    | then
         maker | sell |       | 2   | 50000 |        | rests 2 at 50000
         alice | buy  |       | 2   | 50000 |        | 2 at 50000
         alice | sell |       | 1   | 50001 |        | rests 1 at 50001
         alice | sell |       | 2   | 50002 | reduce | rests 2 at 50002
         bob   | buy  |       | 3   | 50002 | fok    | FillOrKill 3
         bob   | buy  |       | 3   | 50002 | ioc    | 1 at 50001, 1 at 50002, ImmediateOrCancel 1",
    );
    story.expect("who | qty\n alice | 0\n bob | 2");
}

#[test]
fn self_trades_execute() {
    let mut story = story();
    story.tell(
        "who   | does | qty | price | then
         alice | sell | 1   | 50000 | rests 1 at 50000
         alice | buy  | 1   | 50000 | 1 at 50000",
    );
    // taker fee 27.5 and maker fee 10 of 50,000
    story.expect("who | qty | wallet\n alice | 0 | 999962.5");
}

#[test]
fn filters_refuse_by_their_own_codes() {
    let mut story = story();
    story.tell(
        "who   | does | qty    | price     | how | then
         alice | buy  | 0.0005 | 50000     |     | QtyInvalid
         alice | buy  | 1191   | 50000     |     | QtyAboveMaximum
         alice | buy  | 501    |           |     | QtyAboveMaximum
         alice | buy  | 1      | 50000.05  |     | PriceOutOfRange
         alice | buy  | 1      | 2000000   |     | PriceOutOfRange
         alice | buy  | 0.001  | 4000      |     | BelowMinimumNotional
         alice | buy  | 1100   | 50000     |     | InsufficientBalance",
    );
    let mut order = Action::PlaceOrder(exchange_core::NewOrder {
        account: who("alice"),
        position_index: exchange_core::PositionIndex::OneWay,
        instrument: InstrumentId(7),
        side: exchange_core::Side::Buy,
        order_type: exchange_core::OrderType::Limit,
        time_in_force: exchange_core::TimeInForce::GoodTillCancel,
        qty: exchange_core::Qty(fixed("1")),
        price: Price(fixed("50000")),
        reduce_only: false,
        link_id: LinkId::NONE,
        terms: exchange_core::Terms::NONE,
    });
    assert_eq!(story.does(order).reject, Some(Reject::UnknownInstrument));
    if let Action::PlaceOrder(order) = &mut order {
        order.account = exchange_core::PoolId(0).account();
    }
    assert_eq!(story.does(order).reject, Some(Reject::AccountReserved));
    story.market_ms = -1;
    assert_eq!(story.does(Action::AdvanceTime).reject, Some(Reject::TimeBackwards));
}

#[test]
fn min_1_and_min_2_smallest_order_by_value() {
    for (minimum, refused, accepted) in [("100", "0.001", "0.002"), ("5", "0.0005", "0.001")] {
        let spec = exchange_core::InstrumentSpec { min_notional: Money(fixed(minimum)), ..support::btc() };
        let mut story = Story::with(vec![spec], "0", "1000");
        story.index(BTC, "60000");
        let row = |qty: &str, then: &str| {
            format!("who | does | qty | price | then\n alice | buy | {qty} | 60000 | {then}")
        };
        let refusal = if minimum == "100" { "BelowMinimumNotional" } else { "QtyInvalid" };
        story.tell(&row(refused, refusal));
        story.tell(&row(accepted, &format!("rests {accepted} at 60000")));
    }
}

#[test]
fn a_link_id_is_used_once_even_after_its_order_closed() {
    let mut story = story();
    story.tell(
        "who   | does   | order | link    | qty | price | then
         alice | buy    | a     | first-1 | 1   | 49000 | rests 1 at 49000
         alice | buy    |       | first-1 | 1   | 49000 | DuplicateLinkId
         alice | cancel | a     |         |     |       | cancelled
         alice | buy    |       | first-1 | 1   | 49000 | DuplicateLinkId
         bob   | buy    | b     | first-1 | 1   | 49000 | rests 1 at 49000",
    );
    let link = LinkId::parse("first-1").unwrap();
    assert_eq!(story.exchange.order_id_by_link(who("bob"), &link), Some(story.order("b")));
    assert_eq!(LinkId::parse("no spaces"), None);
    assert_eq!(LinkId::parse(&"x".repeat(37)), None);
}

#[test]
fn limits_beyond_the_band_are_moved_to_its_edge() {
    let mut story = story();
    // X 1 %, Y 2 %, mark and index 50,000
    story.tell(
        "who   | does | qty | price | then
         alice | buy  | 1   | 60000 | rests 1 at 50500
         bob   | buy  | 1   | 49000 | rests 1 at 49000
         carol | sell | 1   | 40000 | 1 at 50500
         dave  | sell | 2   |       | ImmediateOrCancel 2
         dave  | sell | 2   | 40000 | rests 2 at 49500",
    );
    let prices = story.exchange.prices(BTC).unwrap();
    assert_eq!((shown(prices.max_buy.0), shown(prices.min_sell.0)), ("50500".into(), "49500".into()));
}

#[test]
fn five_hundred_active_orders_per_instrument() {
    let mut story = story();
    for _ in 0..500 {
        story.tell("who | does | qty | price\n alice | buy | 0.001 | 49000");
    }
    story.tell("who | does | qty | price | then\n alice | buy | 0.001 | 49000 | TooManyOrders");
    story.tell("who | does | qty | how | then\n alice | buy | 0.001 | ioc | ImmediateOrCancel 0.001");
    story.tell("who | does | then\n alice | cancel all |");
    assert!(story.exchange.open_orders(who("alice"), None).is_empty());
}

#[test]
fn level_changes_are_absolute() {
    let mut story = story();
    story.tell("who | does | qty | price\n alice | sell | 2 | 50000\n bob | sell | 1 | 50000\n carol | buy | 2.5 | 50000");
    let levels = story.happened(|event| match event {
        EventKind::BookChanged { price, qty, .. } => Some((shown(price.0), shown(qty.0))),
        _ => None,
    });
    assert_eq!(levels, [("50000".to_owned(), "1".to_owned()), ("50000".to_owned(), "0.5".to_owned())]);
}
