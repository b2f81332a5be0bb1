//! Stories of orders: priority, time in force, reduce-only, amendments, filters, the price band.

mod support;

use exchange_core::{
    Action, CreateType, EventKind, InstrumentId, InstrumentSpec, LinkId, ModeScope, Money, PositionAction,
    PositionMode, Price, Qty, Reject,
};
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
fn both_legs_of_a_hedge_count_for_the_limit_of_orders_and_so_do_all_pairs_of_spot() {
    let mut story = story();
    let (scope, mode) = (ModeScope::Instrument(BTC), PositionMode::Hedge);
    let account = who("alice");
    story.must(Action::Position(PositionAction::SetPositionMode { account, scope, mode }));
    for _ in 0..250 {
        story.tell("who | does | qty | price | leg\n alice | buy | 0.001 | 49000 | long");
        story.tell("who | does | qty | price | leg\n alice | sell | 0.001 | 50400 | short");
    }
    story.tell(
        "who   | does | qty   | price | leg  | then
         alice | buy  | 0.001 | 49000 | long | TooManyOrders",
    );
    let other = InstrumentSpec { symbol: "BTC/USDC".into(), quote: "USDC".into(), ..support::btc_spot() };
    let genesis = support::many_coins(vec![support::btc_spot(), other], "0");
    let mut story = Story::of(&genesis, &[("USDT", "1000000"), ("USDC", "1000000")]);
    story.index(BTC, "50000");
    story.index(InstrumentId(1), "50000");
    for _ in 0..250 {
        story.tell("who | does | qty | price | in\n alice | buy | 0.001 | 49900 | BTC/USDT");
        story.tell("who | does | qty | price | in\n alice | buy | 0.001 | 49900 | BTC/USDC");
    }
    story.tell(
        "who   | does | qty   | price | in       | then
         alice | buy  | 0.001 | 49900 | BTC/USDC | TooManyOrders
         bob   | buy  | 0.001 | 49900 | BTC/USDC | rests 0.001 at 49900",
    );
}

/// No order larger than 2 in a limit, 1 at the market, 1.5 post-only.
fn small_orders() -> Story {
    let (max_qty, max_market_qty) = (Qty(fixed("2")), Qty(fixed("1")));
    let max_post_only_qty = Some(Qty(fixed("1.5")));
    let spec = InstrumentSpec { max_qty, max_market_qty, max_post_only_qty, ..support::btc() };
    let mut story = Story::with(vec![spec], "0", "1000000");
    for _ in 0..2 {
        story.tell(
            "who   | does | qty | price
             alice | buy  | 2   | 50000
             maker | sell | 2   | 50000",
        );
    }
    story
}

/// The orders accepted in the last step: quantity, and whether it bears a link id.
fn accepted(story: &Story) -> Vec<(String, bool)> {
    story.happened(|event| match *event {
        EventKind::OrderAccepted { qty, link_id, .. } => Some((shown(qty.0), !link_id.is_empty())),
        _ => None,
    })
}

#[test]
fn what_reduces_more_than_the_largest_order_comes_in_parts() {
    let mut story = small_orders();
    story.tell(
        "who   | does | qty | price | how    | then
         alice | sell | 2.5 | 50100 |        | QtyAboveMaximum
         alice | sell | 1.5 |       |        | QtyAboveMaximum
         alice | sell | 2.5 | 50100 | reduce fok | QtyAboveMaximum
         bob   | buy  | 1.8 | 49900 |        | rests 1.8 at 49900",
    );
    story.tell("who | does | qty | how | link | then\n alice | sell | 9 | reduce | it | 1 at 49900");
    let part = |qty: &str, is_linked| (qty.to_owned(), is_linked);
    // the second part meets what is left, the others nobody
    assert_eq!(accepted(&story), [part("1", true), part("1", false), part("1", false), part("1", false)]);
    story.expect("who | qty\n alice | 2.2");
    story.tell("who | does | qty | price | how\n alice | sell | 9 | 50200 | reduce");
    assert_eq!(accepted(&story), [part("2", false), part("0.2", false)]);
    story.expect_book("side | price | qty\n ask | 50200 | 2.2");
}

#[test]
fn a_triggered_order_is_split_as_well() {
    let mut story = small_orders();
    story.tell(
        "who   | does | sl    | qty | price
         alice | stop | 49800 |     |
         bob   | buy  |       | 2   | 49790
         carol | buy  |       | 2   | 49780
         dave  | sell |       | 0.1 | 49800",
    );
    story.tell("who | does | qty | price\n erin | buy | 0.1 | 49800");
    let made = story.happened(|event| match *event {
        EventKind::OrderAccepted { create_type: CreateType::StopLoss, qty, .. } => Some(shown(qty.0)),
        _ => None,
    });
    assert_eq!(made, ["1", "1", "1"]);
    story.expect("who | qty\n alice | 0");
}

#[test]
fn post_only_orders_have_a_largest_of_their_own() {
    let mut story = small_orders();
    story.tell(
        "who   | does  | order | qty | price | how  | then
         bob   | buy   | it    | 1.6 | 49900 | post | QtyAboveMaximum
         bob   | buy   | it    | 1.5 | 49900 | post | rests 1.5 at 49900
         bob   | amend | it    | 1.6 |       |      | QtyAboveMaximum
         bob   | buy   | other | 1.6 | 49900 |      | rests 1.6 at 49900
         bob   | amend | other | 2.1 |       |      | QtyAboveMaximum",
    );
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
