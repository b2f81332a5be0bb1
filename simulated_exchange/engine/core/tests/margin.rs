//! Stories of margin: what orders cost, what is available, leverage, prices that move.

mod support;

use exchange_core::{Action, EventKind, IndexSourceSpec, InstrumentSpec, Price, Reject, SCALE};
use support::{fixed, shown, who, Story, BTC};

#[test]
fn of_the_two_sides_only_the_dearer_is_held() {
    let mut story = Story::new("0", "10000");
    story.tell(
        "who   | does | qty | price | then
         alice | buy  | 1   | 49000 | rests 1 at 49000
         alice | sell | 1   | 51000 | rests 1 at 51000",
    );
    // at 10x a sell of 51,000 costs 5,100 + 28.05 + 30.855; the buy would cost 4,951.205
    story.expect("who | im | available\n alice | 5158.905 | 4841.095");
    story.tell(
        "who   | does | qty | price | then
         alice | sell | 1   | 50900 | InsufficientBalance
         alice | buy  | 0.9 | 49000 | rests 0.9 at 49000",
    );
}

#[test]
fn an_order_that_closes_costs_nothing_and_only_its_excess_opens() {
    let mut story = Story::new("0", "10000");
    story.tell(
        "who   | does | qty | price | then
         maker | sell | 1   | 50000 | rests 1 at 50000
         alice | buy  | 1   | 50000 | 1 at 50000",
    );
    // position: 5,000 + 24.75
    story.expect("who | im\n alice | 5024.75");
    story.tell("who | does | order | qty | price\n alice | sell | s | 1 | 51000");
    story.expect("who | im\n alice | 5024.75");
    story.tell("who | does | order | qty\n alice | amend | s | 1.5");
    // half a coin of 51,000 opens: 2,550 + 14.025 + 15.4275
    story.expect("who | im\n alice | 7604.2025");
}

#[test]
fn at_a_full_initial_margin_rate_nothing_that_adds_risk_is_opened() {
    let mut story = Story::new("0", "5100");
    story.tell(
        "who   | does | qty | price | how
         maker | buy  | 1   | 49000 |
         seller| sell | 1   | 50000 |
         alice | buy  | 1   | 50000 |",
    );
    story.index(BTC, "49900");
    // 5,072.5 - 100 less 4,990 + 24.75
    story.expect("who | available\n alice | -42.25");
    story.tell(
        "who   | does | qty   | price | how    | then
         alice | buy  | 0.001 | 49000 |        | InsufficientBalance
         alice | sell | 1.5   | 51000 |        | InsufficientBalance
         alice | sell | 0.5   | 49500 | reduce | rests 0.5 at 49500
         alice | sell | 0.5   | 49600 |        | rests 0.5 at 49600",
    );
}

#[test]
fn profit_at_the_mark_is_margin_but_cannot_be_withdrawn() {
    let mut story = Story::new("0", "10000");
    story.tell("who | does | qty | price\n maker | sell | 1 | 50000\n alice | buy | 1 | 50000");
    story.index(BTC, "51000");
    // 9,972.5 + 1,000 less 5,100 + 24.75; withdrawable is 1,000 less
    story.expect("who | equity | available\n alice | 10972.5 | 5847.75");
    story.tell(
        "who   | does     | qty     | then
         alice | withdraw | 4847.76 | WithdrawTooLarge
         alice | withdraw | 4847.75 |
         alice | deposit  | -1      | AmountInvalid",
    );
}

#[test]
fn leverage_follows_the_tier_of_position_and_orders() {
    let mut story = Story::new("0", "1000000");
    assert_eq!(story.leverage("alice", 101).reject, Some(Reject::LeverageAboveTier));
    assert_eq!(story.leverage("alice", 10).reject, Some(Reject::LeverageUnchanged));
    assert_eq!(story.leverage("alice", 100).reject, None);
    story.tell(
        "who   | does | qty | price | then
         alice | buy  | 41  | 50000 | LeverageAboveTier
         alice | buy  | 40  | 49000 | rests 40 at 49000",
    );
    assert_eq!(story.leverage("alice", 90).reject, None);
    story.tell("who | does | qty | price | then\n alice | buy | 10 | 49000 | rests 10 at 49000");
    assert_eq!(story.leverage("alice", 100).reject, Some(Reject::LeverageAboveTier));
    assert_eq!(story.leverage("alice", 1).reject, Some(Reject::InsufficientBalance));
    let mut rich = Story::new("0", "100000000");
    rich.tell(
        "who   | does | qty  | price | then
         alice | buy  | 1190 | 50000 | rests 1190 at 50000
         alice | buy  | 411  | 50000 | PositionLimit
         alice | buy  | 410  | 50000 | rests 410 at 50000",
    );
}

#[test]
fn the_index_clamps_outliers_and_forgets_the_silent() {
    let sources = ["one", "two", "three"].map(|name| IndexSourceSpec::new(name, 1));
    let spec = InstrumentSpec { index_sources: sources.to_vec(), ..support::btc() };
    let mut story = Story::with(vec![spec], "0", "0");
    let index = |story: &Story| shown(story.exchange.prices(BTC).unwrap().index.0);
    let report = |story: &mut Story, source: u32, price: &str| {
        story.must(Action::SetIndexSource { instrument: BTC, source, price: Price(fixed(price)) });
    };
    report(&mut story, 1, "50100");
    report(&mut story, 2, "60000");
    // median 50,100; the third is clamped to 51,603
    assert_eq!(index(&story), "50567.66666667");
    story.passes(60_000);
    report(&mut story, 0, "50000");
    story.passes(1);
    assert_eq!(index(&story), "50000");
    story.passes(120_000);
    assert_eq!(index(&story), "50000", "the last index is kept when every source is silent");
    let unknown = Action::SetIndexSource { instrument: BTC, source: 3, price: Price(SCALE) };
    assert_eq!(story.does(unknown).reject, Some(Reject::UnknownSource));
}

#[test]
fn the_basis_enters_the_mark_second_by_second_and_survives_an_empty_side() {
    let mut story = Story::new("0", "1000000");
    story.tell("who | does | order | qty | price\n alice | buy | b | 1 | 50090\n maker | sell | | 1 | 50110");
    story.tell("who | does | qty | price\n bob | buy | 0.5 | 50110");
    story.passes(1000);
    let prices = story.exchange.prices(BTC).unwrap();
    // index 50,000, mid 50,100, last 50,110: the median is index plus basis
    assert_eq!((shown(prices.price2.0), shown(prices.mark.0)), ("50100".into(), "50100".into()));
    story.tell("who | does | order\n alice | cancel | b");
    story.passes(10_000);
    assert_eq!(shown(story.exchange.prices(BTC).unwrap().basis_mean), "100");
    let marks = story.happened(|event| match event {
        EventKind::PriceChanged { mark, .. } => Some(*mark),
        _ => None,
    });
    assert!(marks.is_empty(), "nothing changed, nothing said");
    assert_eq!(story.exchange.account(who("bob")).unwrap().unrealised_pnl.0, fixed("-5"));
}
