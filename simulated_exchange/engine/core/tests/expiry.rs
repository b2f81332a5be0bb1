//! Stories of expiry contracts and of the instruments' status: delivery, its price and fee, who bears what, low prices.

mod support;

use exchange_core::{
    Action, EventKind, FillKind, InstrumentId, InstrumentSpec, InstrumentStatus, MarginMode, PoolId,
    PositionAction, Reject,
};
use support::{btc, btc_expiry, btc_inverse_expiry, fixed, many_coins, shown, who, Story, BTC};

const EXPIRY: InstrumentId = InstrumentId(1);
const INVERSE: InstrumentId = InstrumentId(2);
const HOUR_MS: i64 = 3_600_000;

/// Everyone has 100,000 USDT and two BTC; all prices stand at 50,000 and reports do not grow old.
fn story() -> Story {
    let patient = |spec: InstrumentSpec| InstrumentSpec { index_stale_ms: 10 * HOUR_MS, ..spec };
    let instruments = vec![patient(btc()), patient(btc_expiry()), patient(btc_inverse_expiry())];
    let mut story = Story::of(&many_coins(instruments, "1000"), &[("USDT", "100000"), ("BTC", "2")]);
    for instrument in [BTC, EXPIRY, INVERSE] {
        story.index(instrument, "50000");
    }
    story
}

/// Bob is long one coin of the contract, and alice short; alice has another order resting.
fn traded() -> Story {
    let mut story = story();
    story.tell(
        "who   | does | in       | qty | price | then
         alice | sell | BTC-0200 | 1   | 50000 | rests 1 at 50000
         bob   | buy  | BTC-0200 | 1   |       | 1 at 50000
         alice | sell | BTC-0200 | 2   | 50400 | rests 2 at 50400",
    );
    story
}

fn mark(story: &Story) -> String {
    shown(story.exchange.prices(EXPIRY).unwrap().mark.0)
}

fn delivered(story: &Story) -> Vec<String> {
    story.happened(|event| match event {
        EventKind::Delivered { instrument: EXPIRY, price, at_ms } => {
            Some(format!("{} {at_ms}", shown(price.0)))
        }
        _ => None,
    })
}

#[test]
fn everything_is_closed_at_the_delivery_price_and_orders_are_refused_from_then_on() {
    let mut story = traded();
    story.index(EXPIRY, "51000");
    story.passes(2 * HOUR_MS - 1);
    assert!(delivered(&story).is_empty());
    story.passes(1);
    assert_eq!(delivered(&story), ["51000 7200000"]);
    let fills = story.happened(|event| match event {
        EventKind::Fill { account, realised_pnl, fee, kind: FillKind::Delivery, .. } => {
            Some((*account, shown(realised_pnl.0), shown(fee.0)))
        }
        _ => None,
    });
    // the delivery fee is 0.05 % of 51,000; alice opened her account first
    let expected = [("alice", "-1000", "25.5"), ("bob", "1000", "25.5")];
    assert_eq!(fills, expected.map(|(name, profit, fee)| (who(name), profit.into(), fee.into())));
    story.expect(
        "who   | in       | qty | cash
         alice | BTC-0200 | 0   | 98964.5
         bob   | BTC-0200 | 0   | 100947",
    );
    assert!(story.exchange.open_orders(who("alice"), None).is_empty());
    assert_eq!(story.exchange.status(EXPIRY), Some(InstrumentStatus::Closed));
    story.tell("who | does | in | qty | price | then\n bob | buy | BTC-0200 | 1 | 51000 | InstrumentClosed");
    story.passes(HOUR_MS);
    assert!(delivered(&story).is_empty(), "once");
    assert!(story.exchange.conservation().adds_up());
}

#[test]
fn orders_are_refused_from_the_time_of_delivery_even_before_the_clock_ticks() {
    let mut story = traded();
    story.tell("who | does | in | order | qty | price\n alice | sell | BTC-0200 | s | 1 | 50300");
    story.market_ms = 2 * HOUR_MS;
    story.tell(
        "who   | does  | in       | order | qty | price | then
         bob   | buy   | BTC-0200 |       | 1   | 50000 | InstrumentClosed
         alice | amend |          | s     | 3   |       | InstrumentClosed
         alice | cancel |         | s     |     |       | cancelled",
    );
}

#[test]
fn the_delivery_price_is_the_mean_index_of_the_last_half_hour_and_the_mark_comes_to_it() {
    let mut story = traded();
    story.passes(HOUR_MS + HOUR_MS / 2);
    assert_eq!(mark(&story), "50000");
    // half of the window at 50,000 ...
    story.passes(HOUR_MS / 4);
    story.index(EXPIRY, "50600");
    // ... and if the rest stays at 50,600
    assert_eq!(mark(&story), "50300");
    story.passes(HOUR_MS / 8);
    story.index(EXPIRY, "50200");
    assert_eq!(mark(&story), "50200");
    story.passes(HOUR_MS / 8);
    assert_eq!(delivered(&story), ["50200 7200000"]);
}

#[test]
fn a_leap_over_the_delivery_takes_the_index_as_it_stands() {
    let mut story = traded();
    story.index(EXPIRY, "50500");
    story.passes(100 * HOUR_MS);
    assert_eq!(delivered(&story), ["50500 7200000"]);
}

#[test]
fn the_mark_before_the_last_half_hour_is_index_and_basis() {
    let mut story = story();
    story.tell(
        "who   | does | in       | qty | price
         maker | buy  | BTC-0200 | 1   | 50150
         maker | sell | BTC-0200 | 1   | 50250",
    );
    story.passes(1000);
    // the impact notional of 20,000 lies within the best quotes
    assert_eq!(mark(&story), "50200");
    story.index(EXPIRY, "40000");
    assert_eq!(mark(&story), "40160");
}

#[test]
fn an_inverse_contract_is_delivered_in_coin_and_the_pool_gets_the_fraction() {
    let mut story = story();
    story.tell(
        "who   | does | in          | qty  | price
         alice | sell | BTCUSD-0200 | 1000 | 50000
         bob   | buy  | BTCUSD-0200 | 400  |
         carol | buy  | BTCUSD-0200 | 600  | ",
    );
    story.index(INVERSE, "48000");
    story.passes(2 * HOUR_MS);
    // 400 / 48,000 = 0.00833333..., 600 / 48,000 = 0.0125, 1,000 / 48,000 = 0.02083333...
    story.expect(
        "who   | in          | qty | cash
         alice | BTCUSD-0200 | 0   | 2.00081891
         bob   | BTCUSD-0200 | 0   | 1.99965809
         carol | BTCUSD-0200 | 0   | 1.99948715",
    );
    assert_eq!(shown(story.exchange.insurance_pool(PoolId(2)).unwrap().0), "1000.00000001");
    assert!(story.exchange.conservation().adds_up());
}

#[test]
fn what_waits_for_a_price_goes_with_the_contract() {
    let mut story = traded();
    story.tell(
        "who   | does | in       | order | qty | price | trigger | then
         carol | buy  | BTC-0200 | stop  | 1   | 52000 | 51000   | waits 1 for 51000",
    );
    story.passes(2 * HOUR_MS);
    assert_eq!(story.fate(story.order("stop")), "Delivery 1");
    story.tell(
        "who   | does | in       | qty | price | trigger | then
         carol | buy  | BTC-0200 | 1   | 52000 | 51000   | InstrumentClosed",
    );
}

#[test]
fn an_isolated_position_loses_no_more_than_its_margin_while_the_pool_reaches() {
    let mut story = story();
    let (account, mode) = (who("bob"), MarginMode::Isolated);
    story.must(Action::Position(PositionAction::SetMarginMode { account, mode }));
    story.must(Action::SetLeverage { account, instrument: EXPIRY, leverage: 10_000 });
    // the book drags the mark away from the index
    for (bid, ask) in [("50480", "50490"), ("50900", "50910"), ("50980", "50990")] {
        story.tell(&format!(
            "who   | does       | in       | qty | price
             maker | cancel all |          |     |
             maker | buy        | BTC-0200 | 1   | {bid}
             maker | sell       | BTC-0200 | 1   | {ask}"
        ));
        story.passes(600_000);
    }
    assert_eq!(mark(&story), "50985");
    story.tell("who | does | in | qty | then\n bob | buy | BTC-0200 | 1 | 1 at 50990");
    // a leap to the delivery at 50,000: of 990 lost, 509.9 and 27.764055 for closing were there
    story.passes(2 * HOUR_MS);
    assert_eq!(delivered(&story), ["50000 7200000"]);
    // 100,000 less 28.0445 to open
    story.expect("who | in | qty | cash\n bob | BTC-0200 | 0 | 99434.291445");
    assert_eq!(story.fund(), fixed("547.664055"));
    assert!(story.exchange.conservation().adds_up());
}

#[test]
fn a_low_price_leaves_reduce_only_until_it_has_recovered_for_half_an_hour() {
    let spec = InstrumentSpec { guards_low_price: true, index_stale_ms: 10 * HOUR_MS, ..btc() };
    let mut story = Story::with(vec![spec], "0", "1000000");
    story.tell("who | does | qty | price\n maker | sell | 2 | 50000\n bob | buy | 2 | 50000");
    story.index(BTC, "5");
    story.passes(1000);
    assert_eq!(story.exchange.status(BTC), Some(InstrumentStatus::ReduceOnly));
    story.tell(
        "who   | does | qty | price | how    | then
         alice | buy  | 10  | 5     |        | InstrumentReduceOnly
         maker | buy  | 1   | 5     | reduce | rests 1 at 5",
    );
    story.index(BTC, "10.1");
    story.passes(1000);
    story.passes(HOUR_MS / 2 - 1000);
    assert_eq!(story.exchange.status(BTC), Some(InstrumentStatus::ReduceOnly));
    story.index(BTC, "10");
    story.passes(1000);
    story.index(BTC, "11");
    story.passes(1000);
    story.passes(HOUR_MS / 2);
    let told = story.happened(|event| match event {
        EventKind::StatusChanged { status, .. } => Some(*status),
        _ => None,
    });
    assert_eq!(told, [InstrumentStatus::Trading]);
    let refused =
        story.does(Action::SetLeverage { account: who("bob"), instrument: BTC, leverage: 0 }).reject;
    assert_eq!(refused, Some(Reject::LeverageInvalid));
}
