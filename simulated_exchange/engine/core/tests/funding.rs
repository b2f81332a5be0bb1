//! Funding as the exchange settles it: who pays whom and when, and that nothing is lost on the way.

mod support;

use exchange_core::{
    Action, EventKind, FundingSpec, InstrumentId, InstrumentSpec, MarginMode, MarketAction, Money,
    PositionAction, PositionIndex, Price, Rate, Reject, SCALE,
};
use proptest::prelude::*;
use support::{fixed, shown, who, Story, BTC, ETH};

const HOUR_MS: i64 = 3_600_000;
const MINUTE_MS: i64 = 60_000;

/// A rate as the boundary counts it.
fn rate(text: &str) -> i64 {
    fixed(text) * 10_000
}

/// Two who traded 10 BTC at 8,000, and quotes at a premium that a long pays for.
fn traded() -> Story {
    let mut story = Story::with(vec![support::btc(), support::eth()], "0", "1000000");
    story.index(BTC, "8000");
    story.tell(
        "who   | does | qty | price
         alice | sell | 10  | 8000
         bob   | buy  | 10  | 8000",
    );
    story
}

/// Settlements of BTC in the last step: hour, rate in millionths.
fn settled(story: &Story) -> Vec<(i64, i64)> {
    story.happened(|event| match *event {
        EventKind::FundingSettled { instrument: BTC, at_ms, rate, .. } => {
            Some((at_ms / HOUR_MS, rate.0 / 1_000_000))
        }
        _ => None,
    })
}

/// Payments of the last step: account, fee.
fn paid(story: &Story) -> Vec<(u32, String)> {
    story.happened(|event| match *event {
        EventKind::FundingPaid { account, fee, .. } => Some((account.0, shown(fee.0))),
        _ => None,
    })
}

#[test]
fn fund_10_longs_pay_shorts_at_the_settlement() {
    let mut story = traded();
    story.expect("who | wallet\n alice | 999984\n bob | 999956");
    story.passes(8 * HOUR_MS - 1);
    assert_eq!((settled(&story), paid(&story)), (vec![], vec![]));
    story.passes(1);
    assert_eq!(settled(&story), [(8, 100)]); // no premium: the interest, 0.01 %
    assert_eq!(paid(&story), [(who("alice").0, "-8".into()), (who("bob").0, "8".into())]);
    story.expect("who | wallet\n alice | 999992\n bob | 999948");
    let position = story.exchange.position(who("bob"), BTC, PositionIndex::OneWay).unwrap();
    assert_eq!(shown(position.funding_paid.0), "8");
    assert_eq!(position.realised_pnl.0, fixed("-44"), "funding is told apart");
    story.passes(MINUTE_MS);
    assert_eq!(settled(&story), []);
}

#[test]
fn the_rate_follows_the_books_premium_minute_by_minute() {
    let mut story = traded();
    // impact notional: 200 at 100x, so 20,000; it takes three coins, two at the best price
    story.tell(
        "who   | does | qty | price
         alice | sell | 5   | 8072
         bob   | buy  | 2   | 8064
         bob   | buy  | 3   | 8056",
    );
    story.passes(MINUTE_MS);
    // 16,128 at 8,064 and 3,872 at 8,056 are 8,062.449 on average
    let funding = story.exchange.funding(BTC).unwrap();
    assert!((rate("0.007806")..rate("0.007807")).contains(&funding.premium.0), "{funding:?}");
    assert_eq!((funding.samples, funding.average_premium), (1, funding.premium));
    assert_eq!(funding.rate.0, rate("0.00375"), "capped");
    let told = story.happened(|event| match *event {
        EventKind::FundingRateChanged { instrument, rate, next_ms } => Some((instrument, rate, next_ms)),
        _ => None,
    });
    assert_eq!(told, [(BTC, funding.rate, 8 * HOUR_MS)]);
    // the premium goes away: the average falls, later samples weigh more
    story.tell("who | does\n bob | cancel all\n alice | cancel all");
    story.tell("who | does | qty | price\n alice | sell | 5 | 8000.5\n bob | buy | 5 | 7999.5");
    story.passes(MINUTE_MS);
    let later = story.exchange.funding(BTC).unwrap();
    assert_eq!((later.premium.0, later.samples), (0, 2));
    assert!((later.average_premium.0 - funding.premium.0 / 3).abs() <= 1);
}

#[test]
fn an_empty_book_repeats_the_last_premium_and_time_leaps_sample_every_minute() {
    let mut story = traded();
    story.tell("who | does | qty | price\n alice | sell | 5 | 8032\n bob | buy | 5 | 8016");
    story.passes(MINUTE_MS);
    story.tell("who | does\n bob | cancel all\n alice | cancel all");
    story.passes(30 * MINUTE_MS);
    let funding = story.exchange.funding(BTC).unwrap();
    assert_eq!(
        (funding.samples, funding.premium.0, funding.average_premium.0),
        (31, rate("0.002"), rate("0.002"))
    );
}

#[test]
fn a_leap_settles_every_boundary_it_passes() {
    let mut story = traded();
    story.passes(25 * HOUR_MS);
    assert_eq!(settled(&story), [(8, 100), (16, 100), (24, 100)]);
    assert_eq!(paid(&story).len(), 6);
    story.expect("who | wallet\n alice | 1000008\n bob | 999932");
    let funding = story.exchange.funding(BTC).unwrap();
    assert_eq!((funding.samples, funding.next_ms), (60, 32 * HOUR_MS));
    // more settlements than one command makes: the rest stays due
    story.passes(100 * 8 * HOUR_MS);
    assert_eq!(settled(&story).len(), 64);
    story.passes(0);
    assert_eq!(settled(&story).len(), 36);
    story.passes(0);
    assert_eq!(settled(&story).len(), 0);
}

#[test]
fn an_interval_of_eight_hours_becomes_four_and_two_as_in_november_2022() {
    let mut story = traded();
    let terms = |story: &mut Story, hours: u32, cap: &str| {
        let (lower, upper) = (Rate(-rate(cap)), Rate(rate(cap)));
        story.must(Action::Market(MarketAction::SetFundingTerms {
            instrument: BTC,
            interval_minutes: hours * 60,
            lower,
            upper,
        }));
    };
    // nobody bids within 5 % of the index
    let panic = |story: &mut Story, hours: i64| {
        story.tell("who | does\n alice | cancel all\n bob | cancel all");
        story.tell("who | does | qty | price\n alice | sell | 3 | 7920");
        story.passes(hours * HOUR_MS);
        settled(story)
    };
    terms(&mut story, 8, "0.005");
    assert_eq!(panic(&mut story, 8), [(8, -5000)]);
    terms(&mut story, 4, "0.0045");
    assert_eq!(panic(&mut story, 4), [], "the interval holds from the next settlement on");
    assert_eq!(panic(&mut story, 4), [(16, -4500)], "the cap holds at once");
    assert_eq!(panic(&mut story, 4), [(20, -4500)]);
    terms(&mut story, 2, "0.004");
    assert_eq!(panic(&mut story, 8), [(24, -4000), (26, -4000), (28, -4000)]);
    let told = story.exchange.funding(BTC).unwrap();
    assert_eq!((told.interval_ms, told.next_ms), (2 * HOUR_MS, 30 * HOUR_MS));
    assert_eq!((told.lower.0, told.upper.0), (-rate("0.004"), rate("0.004")));
}

#[test]
fn terms_that_cannot_be_are_refused() {
    let mut story = traded();
    let mut terms = |instrument, interval_minutes, lower, upper| {
        let (lower, upper) = (Rate(lower), Rate(upper));
        story
            .does(Action::Market(MarketAction::SetFundingTerms {
                instrument,
                interval_minutes,
                lower,
                upper,
            }))
            .reject
    };
    assert_eq!(terms(InstrumentId(9), 60, -1, 1), Some(Reject::UnknownInstrument));
    for (minutes, lower, upper) in [
        (0, -1, 1),
        (7 * 24 * 60 + 1, -1, 1),
        (u32::MAX, -1, 1),
        (60, 1, 2),
        (60, -2, -1),
        (60, i64::MIN, 0),
        (60, 0, i64::MAX),
        (60, 0, 5_000_000_001), // more than the maintenance margin of the lowest tier
        (60, -5_000_000_001, 0),
    ] {
        assert_eq!(terms(BTC, minutes, lower, upper), Some(Reject::FundingTermsInvalid), "{minutes}");
    }
    assert_eq!(terms(BTC, 60, -5_000_000_000, 5_000_000_000), None);
    assert_eq!(terms(BTC, 7 * 24 * 60, 0, 0), None);
}

/// Bob at 100x, with quotes 0.4 % above the index for two days; returns whether he is liquidated.
fn held_for_two_days(story: &mut Story) -> bool {
    for (name, amount) in [("alice", "1000000"), ("bob", "6000")] {
        let (coin, amount) = (story.coin("USDT"), Money(fixed(amount)));
        story.must(Action::Deposit { account: who(name), coin, amount });
    }
    story.leverage("bob", 100);
    story.tell(
        "who   | does | qty | price | then
         alice | sell | 10  | 50000 | rests 10 at 50000
         bob   | buy  | 10  | 50000 | 10 at 50000
         alice | sell | 9   | 50300 | rests 9 at 50300
         alice | buy  | 9   | 50200 | rests 9 at 50200",
    );
    (0..48).any(|_| {
        story.passes(HOUR_MS);
        let starts = |event: &EventKind| matches!(event, EventKind::LiquidationStarted { .. }).then_some(());
        !story.happened(starts).is_empty()
    })
}

#[test]
fn funding_can_take_the_last_cover_of_a_position() {
    // cover 5,725 for a maintenance margin of 2,772; every settlement takes 1,750
    let mut story = Story::with(vec![support::btc(), support::eth()], "1000", "0");
    assert!(held_for_two_days(&mut story));
    let mut story = Story::with(vec![support::btc(), support::eth()], "1000", "0");
    let none = Rate(0);
    story.must(Action::Market(MarketAction::SetFundingTerms {
        instrument: BTC,
        interval_minutes: 480,
        lower: none,
        upper: none,
    }));
    assert!(!held_for_two_days(&mut story), "with a cap of nothing nobody pays");
}

#[test]
fn an_isolated_position_pays_from_the_free_balance_first_then_from_its_own_margin() {
    let mut story = Story::with(vec![support::btc(), support::eth()], "1000", "10000");
    let (account, mode) = (who("bob"), MarginMode::Isolated);
    story.must(Action::Position(PositionAction::SetMarginMode { account, mode }));
    story.tell(
        "who   | does     | qty  | price | then
         bob   | buy      | 1    | 50000 | rests 1 at 50000
         alice | sell     | 1    | 50000 | 1 at 50000
         bob   | withdraw | 4963 |       |",
    );
    // 10,000 less a fee of 10 and 5,024.75 of margin, less the withdrawal: 2.25 are free; a settlement takes 5
    let margin = |story: &Story| {
        let position = story.exchange.position(who("bob"), BTC, PositionIndex::OneWay).unwrap();
        shown(position.assigned_margin.0)
    };
    assert_eq!(margin(&story), "5024.75");
    let borne = |story: &Story| {
        story.happened(|event| match *event {
            EventKind::FundingPaid { account, fee, from_margin, .. } if account == who("bob") => {
                Some((shown(fee.0), shown(from_margin.0)))
            }
            _ => None,
        })
    };
    story.passes(8 * HOUR_MS);
    assert_eq!(borne(&story), [("5".into(), "2.75".into())]);
    assert_eq!(margin(&story), "5022");
    story.passes(8 * HOUR_MS);
    assert_eq!(borne(&story), [("5".into(), "5".into())]);
    assert_eq!(margin(&story), "5017");
    story.expect("who | wallet\n bob | 5017");
    // what is received is free
    let (lower, upper) = (Rate(-rate("0.0001")), Rate(0));
    let terms = MarketAction::SetFundingTerms { instrument: BTC, interval_minutes: 480, lower, upper };
    story.must(Action::Market(terms));
    story.tell("who | does | qty | price | then\n carol | sell | 1 | 49700 | rests 1 at 49700");
    story.index(BTC, "50000");
    story.passes(8 * HOUR_MS);
    assert_eq!((borne(&story), margin(&story)), (vec![("-5".into(), "0".into())], "5017".into()));
}

#[test]
fn inverse_positions_pay_in_the_base_coin() {
    let genesis = support::many_coins(vec![support::btc(), support::btc_inverse()], "1");
    let mut story = Story::of(&genesis, &[("USDT", "1000000"), ("BTC", "10")]);
    story.index(BTC, "8000");
    story.index(InstrumentId(1), "8000");
    story.tell(
        "who   | does | qty   | price | in
         alice | sell | 10000 | 8000  | BTCUSD
         bob   | buy  | 10000 | 8000  | BTCUSD",
    );
    story.passes(8 * HOUR_MS);
    // FUND-11: 10,000 USD at 8,000 are 1.25 BTC
    assert_eq!(paid(&story), [(who("alice").0, "-0.000125".into()), (who("bob").0, "0.000125".into())]);
}

#[test]
fn what_rounding_leaves_over_goes_to_the_pool() {
    let odd = InstrumentSpec {
        funding: FundingSpec { interest_daily: 333_333, ..FundingSpec::default() },
        ..support::btc()
    };
    let mut story = Story::with(vec![odd], "0", "1000000");
    story.tell(
        "who   | does | qty   | price
         alice | sell | 0.003 | 50000
         bob   | buy  | 0.001 | 50000
         carol | buy  | 0.002 | 50000",
    );
    story.passes(8 * HOUR_MS);
    let fees: Vec<i64> = story.happened(|event| match *event {
        EventKind::FundingPaid { fee, .. } => Some(fee.0),
        _ => None,
    });
    assert_eq!(fees, [-1666, 556, 1112]);
    assert_eq!(story.fund(), 2);
}

fn deal() -> impl Strategy<Value = (usize, usize, i64, i64)> {
    (0..6_usize, 0..6_usize, 1..2000_i64, -400..400_i64)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Whatever is traded and however far time leaps, payers pay what receivers and the pool get, within the caps.
    #[test]
    fn nothing_is_lost(deals in prop::collection::vec(deal(), 1..20), leaps in prop::collection::vec(1..30_000_000_i64, 1..5)) {
        let people = ["alice", "bob", "carol", "dave", "erin", "frank"];
        let mut story = Story::with(vec![support::btc(), support::eth()], "1000", "100000");
        for (buyer, seller, lots, away) in deals {
            let price = Price(50_000 * SCALE + away * SCALE / 10);
            for (name, side) in [(people[buyer], exchange_core::Side::Buy), (people[seller], exchange_core::Side::Sell)] {
                let qty = exchange_core::Qty(lots * SCALE / 1000);
                story.does(Action::PlaceOrder(exchange_core::NewOrder::limit(who(name), BTC, side, qty, price)));
            }
        }
        for leap in leaps {
            story.index(BTC, "50000");
            story.index(ETH, "2000");
            story.passes(leap);
            let settlements = settled(&story).len();
            let payments: Vec<(i64, i64)> = story.happened(|event| match *event {
                EventKind::FundingPaid { fee, rate, .. } => Some((fee.0, rate.0)),
                _ => None,
            });
            let together: i64 = payments.iter().map(|(fee, _)| fee).sum();
            prop_assert!((0..=i64::try_from(payments.len()).unwrap()).contains(&together), "{payments:?}");
            prop_assert!(payments.iter().all(|(_, rate)| rate.abs() <= 3_750_000_000));
            prop_assert!(settlements > 0 || payments.is_empty());
            let books = story.exchange.conservation();
            prop_assert!(books.coins.iter().all(|coin| coin.delta == 0));
        }
    }
}
