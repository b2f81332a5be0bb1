//! Stories of take-profit, stop-loss and trailing stop: how they are set, what sets them off, and when they go.

mod support;

use exchange_core::{limits, CancelReason, CreateType, EventKind, OrderId, StopKind, TpSlMode};
use support::{shown, who, Story, BTC};

/// The last price is 50,000; alice holds 1 long, bob 1 short; there are bids down to 49,000 and asks up to 51,000.
fn story() -> Story {
    let mut story = Story::new("0", "1000000");
    story.tell(
        "who    | does | qty | price
         alice  | buy  | 1   | 50000
         bob    | sell | 1   | 50000
         maker  | buy  | 10  | 49600
         maker  | sell | 10  | 50400",
    );
    story
}

/// Trades one lot at a price, so that it is the last one.
fn trade_at(story: &mut Story, price: &str) {
    let side = if price > "50000" { ("sell", "buy") } else { ("buy", "sell") };
    story.tell(&format!("who | does | qty | price\n erin | {} | 0.001 | {price}", side.0));
    story.tell(&format!("who | does | qty | price\n frank | {} | 0.001 | {price}", side.1));
}

/// What waits for an account's position, oldest first: kind, trigger, quantity.
fn waiting(story: &Story, name: &str) -> Vec<(StopKind, String, String)> {
    let orders = story.exchange.open_orders(who(name), Some(BTC)).into_iter();
    let waiting = orders.filter(|order| order.is_waiting);
    waiting.map(|order| (order.kind, shown(order.terms.trigger_price.0), shown(order.qty.0))).collect()
}

fn triggered(story: &Story) -> Vec<String> {
    story.happened(|event| match *event {
        EventKind::OrderTriggered { price, .. } => Some(shown(price.0)),
        _ => None,
    })
}

fn cancelled(story: &Story) -> Vec<CancelReason> {
    story.happened(|event| match *event {
        EventKind::OrderCancelled { reason, .. } => Some(reason),
        _ => None,
    })
}

fn all(kind: StopKind, trigger: &str, qty: &str) -> (StopKind, String, String) {
    (kind, trigger.to_owned(), qty.to_owned())
}

#[test]
fn a_take_profit_of_the_whole_closes_it_at_the_market_and_clears_the_stop_loss() {
    let mut story = story();
    story.tell("who | does | tp | sl\n alice | stop | 50200 | 49800");
    story.expect("who | qty | tp | sl\n alice | 1 | 50200 | 49800");
    assert_eq!(
        waiting(&story, "alice"),
        [all(StopKind::TakeProfit, "50200", "0"), all(StopKind::StopLoss, "49800", "0")]
    );
    trade_at(&mut story, "50199.9");
    assert!(triggered(&story).is_empty());
    trade_at(&mut story, "50200");
    assert_eq!(triggered(&story), ["50200"]);
    assert_eq!(cancelled(&story), [CancelReason::TpSlCleared]);
    story.expect("who | qty | tp | sl\n alice | 0 | 0 | 0");
    assert!(waiting(&story, "alice").is_empty());
}

#[test]
fn a_stop_loss_of_a_short_position_is_reached_by_a_rise() {
    let mut story = story();
    story.tell("who | does | sl | sl by\n bob | stop | 50100 | mark");
    story.index(BTC, "50090");
    assert!(triggered(&story).is_empty());
    story.index(BTC, "50100");
    // the mark is the median of index, index and last
    assert_eq!(triggered(&story), ["50100"]);
    story.expect("who | qty | sl\n bob | 0 | 0");
}

#[test]
fn the_whole_is_whatever_is_held_then() {
    let mut story = story();
    story.tell("who | does | sl\n alice | stop | 49800");
    story.tell("who | does | qty | price\n alice | buy | 2 | 50400");
    story.expect("who | qty | sl\n alice | 3 | 49800");
    trade_at(&mut story, "49800");
    story.expect("who | qty\n alice | 0");
}

#[test]
fn each_says_who_made_it() {
    let mut story = story();
    story.tell("who | does | tp | sl | trail\n alice | stop | 50200 | 49800 | 100");
    let made = story.happened(|event| match *event {
        EventKind::OrderAccepted { create_type, reduce_only: true, .. } => Some(create_type),
        _ => None,
    });
    assert_eq!(made, [CreateType::TakeProfit, CreateType::StopLoss, CreateType::TrailingStop]);
    story.tell("who | does | mode | qty | tp | sl\n alice | stop | partial | 0.5 | 50300 | 49700");
    let made = story.happened(|event| match *event {
        EventKind::OrderAccepted { create_type, .. } => Some(create_type),
        _ => None,
    });
    assert_eq!(made, [CreateType::PartialTakeProfit, CreateType::PartialStopLoss]);
}

#[test]
fn they_are_moved_and_removed_one_by_one() {
    let mut story = story();
    story.tell(
        "who   | does | tp    | sl    | then
         alice | stop | 50200 | 49800 |
         alice | stop | 50200 | 49800 | TradingStopUnchanged
         alice | stop | 50300 |       |",
    );
    story.expect("who | tp | sl\n alice | 50300 | 49800");
    assert_eq!(waiting(&story, "alice").len(), 2);
    story.tell("who | does | sl\n alice | stop | 0");
    story.expect("who | tp | sl\n alice | 50300 | 0");
    story.tell(
        "who   | does | sl | then
         alice | stop | 0  | TradingStopUnchanged",
    );
    story.tell("who | does\n alice | cancel all");
    story.expect("who | tp | sl\n alice | 0 | 0");
}

#[test]
fn prices_must_lie_where_they_make_sense() {
    let mut story = story();
    story.tell(
        "who   | does | mode    | qty   | tp       | sl       | trail | active | tp at | then
         alice | stop |         |       | 50000    |          |       |        |       | TakeProfitInvalid
         alice | stop |         |       |          | 50000    |       |        |       | StopLossInvalid
         bob   | stop |         |       | 50000    |          |       |        |       | TakeProfitInvalid
         bob   | stop |         |       |          | 49999    |       |        |       | StopLossInvalid
         alice | stop |         |       | 50200.01 |          |       |        |       | TriggerPriceInvalid
         alice | stop |         |       | -1       |          |       |        |       | TriggerPriceInvalid
         alice | stop |         |       | 50200    |          |       |        | 50300 | TradingStopInvalid
         alice | stop |         | 0.5   | 50200    |          |       |        |       | TradingStopInvalid
         alice | stop |         |       |          |          | 0.01  |        |       | TriggerPriceInvalid
         alice | stop |         |       |          |          | 50000 |        |       | TradingStopInvalid
         alice | stop |         |       |          |          | 100   | 49900  |       | TakeProfitInvalid
         alice | stop |         |       |          |          |       | 50100  |       | TradingStopInvalid
         alice | stop |         |       |          |          |       |        |       | TradingStopUnchanged
         alice | stop | partial |       | 50200    |          |       |        |       | QtyInvalid
         alice | stop | partial | 1.001 | 50200    |          |       |        |       | TradingStopTooLarge
         alice | stop | partial | 0.5   | 50200    |          |       |        | -1    | PriceOutOfRange
         carol | stop |         |       | 50200    |          |       |        |       | TradingStopNoPosition",
    );
    assert!(waiting(&story, "alice").is_empty());
}

#[test]
fn one_of_a_pair_is_triggered_and_the_other_goes() {
    let mut story = story();
    story.tell(
        "who   | does | mode    | qty | tp    | tp at | sl    | then
         alice | stop | partial | 0.4 | 50200 | 50300 | 49800 |
         alice | stop | partial | 0.6 | 50350 |       | 49750 |",
    );
    trade_at(&mut story, "50200");
    assert_eq!(cancelled(&story), [CancelReason::PairTriggered]);
    assert_eq!(
        waiting(&story, "alice"),
        [all(StopKind::PartialTakeProfit, "50350", "0.6"), all(StopKind::PartialStopLoss, "49750", "0.6")]
    );
    // it rests at its limit and closes a part there
    story.tell("who | does | qty | price\n dave | buy | 0.4 | 50300");
    story.expect("who | qty\n alice | 0.6");
    trade_at(&mut story, "49750");
    story.expect("who | qty\n alice | 0");
}

#[test]
fn parts_give_way_when_the_position_shrinks_youngest_first() {
    let mut story = story();
    story.tell("who | does | qty | price\n dave | buy | 1.1 | 49900");
    story.tell(
        "who   | does | mode    | qty | tp    | sl
         alice | stop | partial | 0.4 | 50200 | 49800
         alice | stop | partial | 0.5 | 50250 | 49750
         alice | sell |         | 0.3 |       |",
    );
    assert_eq!(
        waiting(&story, "alice"),
        [
            all(StopKind::PartialTakeProfit, "50200", "0.4"),
            all(StopKind::PartialStopLoss, "49800", "0.4"),
            all(StopKind::PartialTakeProfit, "50250", "0.3"),
            all(StopKind::PartialStopLoss, "49750", "0.3"),
        ]
    );
    story.tell("who | does | qty\n alice | sell | 0.4");
    assert_eq!(
        waiting(&story, "alice"),
        [all(StopKind::PartialTakeProfit, "50200", "0.3"), all(StopKind::PartialStopLoss, "49800", "0.3")]
    );
    // turned: nothing of the old position is left
    story.tell("who | does | qty\n alice | sell | 0.4");
    assert_eq!(cancelled(&story), [CancelReason::TpSlCleared, CancelReason::TpSlCleared]);
    story.expect("who | qty\n alice | -0.1");
}

#[test]
fn a_position_has_no_more_than_twenty_pairs() {
    let mut story = story();
    for _ in 0..limits::PARTIAL_PAIRS_MAX {
        story.tell("who | does | mode | qty | tp | sl\n alice | stop | partial | 0.01 | 50200 | 49800");
    }
    story.tell(
        "who   | does | mode    | qty  | tp    | sl    | then
         alice | stop | partial | 0.01 | 50200 | 49800 | TooManyTradingStops",
    );
    assert_eq!(waiting(&story, "alice").len(), 2 * limits::PARTIAL_PAIRS_MAX);
}

#[test]
fn a_trailing_stop_follows_the_best_price_at_its_distance() {
    let mut story = story();
    story.tell("who | does | trail\n alice | stop | 100");
    story.expect("who | trail\n alice | 100");
    assert_eq!(waiting(&story, "alice"), [all(StopKind::TrailingStop, "49900", "0")]);
    trade_at(&mut story, "50100");
    assert_eq!(waiting(&story, "alice"), [all(StopKind::TrailingStop, "50000", "0")]);
    trade_at(&mut story, "50000.1");
    assert_eq!(waiting(&story, "alice"), [all(StopKind::TrailingStop, "50000", "0")]);
    trade_at(&mut story, "50000");
    assert_eq!(triggered(&story), ["50000"]);
    story.expect("who | qty | trail\n alice | 0 | 0");
}

#[test]
fn a_trailing_stop_is_armed_at_its_activation_price() {
    let mut story = story();
    story.tell("who | does | trail | active\n bob | stop | 100 | 49900");
    assert_eq!(waiting(&story, "bob"), [all(StopKind::TrailingStop, "49900", "0")]);
    trade_at(&mut story, "50200");
    assert!(triggered(&story).is_empty());
    trade_at(&mut story, "49850");
    assert_eq!(waiting(&story, "bob"), [all(StopKind::TrailingStop, "49950", "0")]);
    trade_at(&mut story, "49950");
    assert_eq!(triggered(&story), ["49950"]);
    story.expect("who | qty\n bob | 0");
}

#[test]
fn what_comes_with_an_order_is_put_in_place_as_it_fills() {
    let mut story = story();
    story.tell(
        "who   | does | order | qty | price | tp    | sl    | then
         carol | buy  | it    | 2   | 49700 | 50200 | 49500 | rests 2 at 49700",
    );
    assert!(waiting(&story, "carol").is_empty());
    story.tell("who | does | qty | price\n dave | sell | 0.5 | 49700");
    story.expect("who | qty | tp | sl\n carol | 0.5 | 50200 | 49500");
    story.tell("who | does | qty | price\n dave | sell | 0.5 | 49700");
    assert_eq!(waiting(&story, "carol").len(), 2);
    story.tell("who | does | qty | price\n maker | buy | 1 | 50150");
    trade_at(&mut story, "50200");
    story.expect("who | qty\n carol | 0");
    // what still rests brings them again
    story.tell("who | does | qty | price\n dave | sell | 0.5 | 49700");
    story.expect("who | qty | tp | sl\n carol | 0.5 | 50200 | 49500");
}

#[test]
fn what_comes_with_an_order_for_a_part_grows_with_it() {
    let mut story = story();
    story.tell(
        "who   | does | order | qty | price | mode    | tp    | tp at | sl    | then
         carol | buy  | it    | 2   | 49700 | partial | 50200 | 50300 | 49500 | rests 2 at 49700
         dave  | sell |       | 0.5 | 49700 |         |       |       |       | 0.5 at 49700
         dave  | sell |       | 0.5 | 49700 |         |       |       |       | 0.5 at 49700",
    );
    assert_eq!(
        waiting(&story, "carol"),
        [all(StopKind::PartialTakeProfit, "50200", "1"), all(StopKind::PartialStopLoss, "49500", "1")]
    );
    let view = story.exchange.position(who("carol"), BTC, exchange_core::PositionIndex::OneWay).unwrap();
    assert_eq!(view.tpsl_mode, TpSlMode::Partial);
    // another one from now on; what is there stands on its own
    story.tell("who | does | order | tp | sl\n carol | amend | it | 50250 | 49550");
    story.tell("who | does | qty | price\n dave | sell | 0.2 | 49700");
    assert_eq!(
        waiting(&story, "carol")[2..],
        [all(StopKind::PartialTakeProfit, "50250", "0.2"), all(StopKind::PartialStopLoss, "49550", "0.2")]
    );
    story.tell(
        "who   | does  | order | tp    | sl    | price | then
         carol | amend | it    | 50250 | 49550 |       | AmendUnchanged
         carol | amend | it    | 49600 |       |       | TakeProfitInvalid
         carol | amend | it    |       | 49710 |       | StopLossInvalid
         carol | amend | it    |       | 49710 | 49720 | rests 0.8 at 49720
         carol | amend | it    | 0     | 0     |       | rests 0.8 at 49720",
    );
    let view = story.exchange.order(story.order("it")).unwrap();
    assert!(!view.terms.has_exits());
}

#[test]
fn what_comes_with_an_order_must_fit_its_price() {
    let mut story = story();
    story.tell(
        "who   | does | how    | qty | price | trigger | tp    | sl    | mode | sl at | then
         carol | buy  |        | 1   | 49700 |         | 49700 |       |      |       | TakeProfitInvalid
         carol | buy  |        | 1   | 49700 |         |       | 49700 |      |       | StopLossInvalid
         carol | sell |        | 1   |       |         | 50001 |       |      |       | TakeProfitInvalid
         carol | buy  |        | 1   | 49700 |         |       | 49600 | full | 49500 | TradingStopInvalid
         alice | sell | reduce | 1   | 50300 |         | 50200 |       |      |       | TradingStopReduceOnly
         carol | buy  |        | 1   | 50300 | 50100   | 50300 |       |      |       | TakeProfitInvalid
         carol | buy  |        | 1   | 50300 | 50100   | 50350 | 50000 |      |       | waits 1 for 50100",
    );
    trade_at(&mut story, "50100");
    story.tell("who | does | qty | price\n dave | sell | 1 | 50300");
    story.expect("who | qty | tp | sl\n carol | 1 | 50350 | 50000");
}

#[test]
fn an_order_of_the_other_side_that_turns_the_position_brings_its_own() {
    let mut story = story();
    story.tell("who | does | tp | sl\n alice | stop | 50200 | 49800");
    story.tell("who | does | qty | tp | sl\n alice | sell | 3 | 49500 | 50500");
    assert_eq!(cancelled(&story), [CancelReason::TpSlCleared, CancelReason::TpSlCleared]);
    story.expect("who | qty | tp | sl\n alice | -2 | 49500 | 50500");
}

#[test]
fn waiting_ones_are_amended_like_orders() {
    let mut story = story();
    story.tell(
        "who   | does | mode    | qty | tp    | tp at | sl
         alice | stop |         |     | 50200 |       |
         alice | stop | partial | 0.4 | 50250 | 50260 | 49750
         alice | stop |         |     |       |       |",
    );
    let ids: Vec<OrderId> =
        story.exchange.open_orders(who("alice"), Some(BTC)).iter().map(|o| o.order_id).collect();
    for (name, id) in [("tp", ids[0]), ("part", ids[1])] {
        story.name(name, id);
    }
    story.tell(
        "who   | does  | order | qty | price | trigger | then
         alice | amend | tp    |     |       | 50300   | waits 0 for 50300
         alice | amend | tp    | 0.5 |       | 50300   | TradingStopInvalid
         alice | amend | tp    |     |       | 49900   | TakeProfitInvalid
         alice | amend | part  | 0.6 | 50270 | 50250   | waits 0.6 for 50250
         alice | amend | part  | 1.1 |       | 50250   | TradingStopTooLarge
         alice | amend | part  | 0.6 | 50270 | 50250   | AmendUnchanged",
    );
    assert_eq!(
        waiting(&story, "alice"),
        [
            all(StopKind::TakeProfit, "50300", "0"),
            all(StopKind::PartialTakeProfit, "50250", "0.6"),
            all(StopKind::PartialStopLoss, "49750", "0.6"),
        ]
    );
    story.expect("who | tp\n alice | 50300");
    // cancelled on its own, its counterpart stays
    story.tell("who | does | order\n alice | cancel | part");
    assert_eq!(waiting(&story, "alice").len(), 2);
}
