//! Index, mark, slippage and funding formulas: the worked examples of the venue's rules by their ids, and what the
//! formulas keep at the extremes. Numbers are entered by hand.

mod support;

use exchange_core::funding::{
    default_cap, funding_fee, interest, premium_index, FundingClock, FundingSpec, FundingTerms,
    PremiumAverage, Settlement,
};
use exchange_core::impact::impact_price;
use exchange_core::index::{convert, index_price, median, usd_index, Component, IndexMethod, Source};
use exchange_core::mark::{
    basis_rate, expiry_mark, perpetual_mark, price1, price2, slippage_limit, Slippage,
};
use exchange_core::market::Window;
use exchange_core::risk_limits::RiskLimits;
use exchange_core::{Money, Side, TierSpec, MONEY_MAX};
use support::{fixed, shown};

const HOUR_MS: i64 = 3_600_000;
const MINUTE_MS: i64 = 60_000;

/// A rate as the boundary counts it.
fn rate(text: &str) -> i64 {
    fixed(text) * 10_000
}

/// The perpetual's terms of the examples.
const TERMS: FundingTerms =
    FundingTerms { clamp: 500_000_000, lower: -3_750_000_000, upper: 3_750_000_000, payments: 1 };

fn components(prices: [&str; 3], weights: [i64; 3]) -> Vec<Component> {
    prices.into_iter().zip(weights).map(|(price, weight)| Component { price: fixed(price), weight }).collect()
}

#[test]
fn mark_1_and_2_median_of_three() {
    let first = price1(fixed("10000"), rate("0.0001"), 4 * HOUR_MS, 8 * HOUR_MS);
    assert_eq!(shown(first), "10000.5");
    let second = price2(fixed("10000"), fixed("3"));
    assert_eq!(shown(second), "10003");
    for (last, mark) in [("10010", "10003"), ("9500", "10000.5"), ("10001", "10001")] {
        assert_eq!(shown(perpetual_mark(first, second, fixed(last))), mark);
    }
}

#[test]
fn mark_3_mean_basis() {
    let mut window = Window::new(300);
    for mid in ["100.5", "100.7", "100.2", "100.4", "100.6"] {
        window.push(fixed(mid) - fixed("100"));
    }
    assert_eq!(shown(window.mean()), "0.48");
    assert_eq!(shown(price2(fixed("100"), window.mean())), "100.48");
}

#[test]
fn mark_4_expiry() {
    let basis = basis_rate(fixed("20060"), fixed("20000"));
    assert_eq!(basis, Some(rate("0.003")));
    assert_eq!(shown(expiry_mark(fixed("20100"), rate("0.003"))), "20160.3");
    assert_eq!(basis_rate(fixed("20060"), 0), None);
}

#[test]
fn index_1_volume_weights() {
    let index =
        index_price(&components(["100", "101", "99"], [50, 30, 20]), IndexMethod::Clamp, fixed("0.03"));
    assert_eq!(index.map(shown), Some("100.1".into()));
}

#[test]
fn index_2_and_4_other_quote_coins() {
    assert_eq!(convert(fixed("0.1"), fixed("20000")).map(shown), Some("2000".into()));
    let usd = usd_index(fixed("2000"), fixed("50000"), fixed("50025"));
    assert_eq!(usd.map(shown), Some("1999.00049975".into()));
}

#[test]
fn index_3_an_outlier_is_clamped_or_dropped() {
    let outlier = components(["100", "100.2", "103.6"], [1, 1, 1]);
    let index = |method| index_price(&outlier, method, fixed("0.03")).map(shown);
    assert_eq!(index(IndexMethod::Clamp), Some("101.13533333".into()));
    assert_eq!(index(IndexMethod::Drop), Some("100.1".into()));
    assert_eq!(index_price(&[], IndexMethod::Clamp, fixed("0.03")), None);
    let apart = components(["90", "110", "110"], [1, 1, 0]);
    assert_eq!(index_price(&apart, IndexMethod::Drop, fixed("0.03")), None);
    assert_eq!(index_price(&apart, IndexMethod::Clamp, fixed("0.03")).map(shown), Some("100".into()));
}

#[test]
fn index_5_two_passes() {
    let index = |prices| index_price(&components(prices, [50, 30, 20]), IndexMethod::TwoPass, fixed("0.01"));
    assert_eq!(index(["100", "101", "104"]).map(shown), Some("100.99534671".into()));
    // one component is the first guess itself: its distance counts as the least one, not as none
    assert_eq!(index(["100", "100", "100"]).map(shown), Some("100".into()));
    let held = index(["100", "102", "97"]).expect("components"); // the guess is 100
    assert!((fixed("99.99")..=fixed("100.01")).contains(&held), "{}", shown(held));
}

#[test]
fn a_source_is_fresh_while_it_reports_and_for_two_passes_while_it_moves() {
    let mut source = Source::default();
    assert!(!source.is_fresh(0, 60_000, IndexMethod::Clamp));
    source.report(5, 1_000);
    source.report(5, 50_000);
    for (now, clamp, two_pass) in
        [(61_000, true, true), (61_001, true, false), (110_000, true, false), (110_001, false, false)]
    {
        assert_eq!(source.is_fresh(now, 60_000, IndexMethod::Clamp), clamp, "{now}");
        assert_eq!(source.is_fresh(now, 60_000, IndexMethod::TwoPass), two_pass, "{now}");
    }
    source.report(6, 110_001);
    assert!(source.is_fresh(110_001, 60_000, IndexMethod::TwoPass));
}

#[test]
fn plim_5_slippage_tolerance() {
    let (ask, bid) = (fixed("2100"), fixed("2099.9"));
    let ticks = Slippage::Distance(10 * fixed("0.01"));
    assert_eq!(shown(slippage_limit(Side::Buy, ask, ticks)), "2100.1");
    assert_eq!(shown(slippage_limit(Side::Sell, bid, ticks)), "2099.8");
    let percent = Slippage::Ratio(fixed("0.0005"));
    assert_eq!(shown(slippage_limit(Side::Buy, ask, percent)), "2101.05");
    assert_eq!(shown(slippage_limit(Side::Sell, bid, percent)), "2098.85005");
    assert_eq!(slippage_limit(Side::Sell, bid, Slippage::Distance(i64::MAX)), 0);
}

#[test]
fn fund_1_to_3_premium_index() {
    let premium = |bid, ask| premium_index(Some(fixed(bid)), Some(fixed(ask)), fixed("10000"));
    assert_eq!(premium("10012", "10018"), Some(rate("0.0012")));
    assert_eq!(premium("9980", "9988"), Some(rate("-0.0012")));
    assert_eq!(premium("9999", "10001"), Some(0));
    // an empty side says nothing; two empty sides are no sample
    assert_eq!(premium_index(None, Some(fixed("9988")), fixed("10000")), Some(rate("-0.0012")));
    assert_eq!(premium_index(Some(fixed("9980")), None, fixed("10000")), Some(0));
    assert_eq!(premium_index(None, None, fixed("10000")), None);
    assert_eq!(premium_index(Some(1), Some(2), 0), None);
}

#[test]
fn fund_4_time_weighted_premium() {
    let mut average = PremiumAverage::default();
    assert_eq!(average.mean(), 0);
    for premium in ["0.001", "0.002", "0.003"] {
        average.push(rate(premium), 1);
    }
    assert_eq!(average.mean(), 2_333_333_333);
}

#[test]
fn a_sample_taken_several_times_weighs_as_if_taken_one_by_one() {
    let (mut at_once, mut one_by_one) = (PremiumAverage::default(), PremiumAverage::default());
    for (premium, times) in [(7, 3), (-11, 400), (5, 0), (2, 77)] {
        at_once.push(premium, times);
        (0..times).for_each(|_| one_by_one.push(premium, 1));
    }
    assert_eq!(at_once, one_by_one);
}

#[test]
fn fund_5_to_8_clamp_and_cap() {
    for (premium, expected) in
        [("0.0008", "0.0003"), ("0.0003", "0.0001"), ("-0.001", "-0.0005"), ("0.006", "0.00375")]
    {
        assert_eq!(TERMS.rate(rate(premium), rate("0.0001")), rate(expected), "premium {premium}");
    }
    let hourly = FundingTerms { payments: 8, ..TERMS };
    assert_eq!(hourly.rate(rate("0.0008"), rate("0.0001")), 37_500_000);
}

#[test]
fn caps_follow_the_first_tier_unless_they_are_listed() {
    assert_eq!(default_cap(&support::btc().tiers[0]), rate("0.00375"));
    let wide = TierSpec { max_leverage: 2500, maintenance_rate: fixed("0.02"), ..support::btc().tiers[0] };
    assert_eq!(default_cap(&wide), rate("0.015"));
    let odd = TierSpec { max_leverage: 100_000, maintenance_rate: fixed("0.5"), ..wide };
    assert_eq!(default_cap(&odd), 0);
    let clock = FundingClock::new(&FundingSpec::default(), &support::btc().tiers);
    assert_eq!(clock.terms, TERMS);
}

#[test]
fn fund_9_interest_of_an_interval() {
    assert_eq!(interest(rate("0.0003"), 4 * HOUR_MS), rate("0.00005"));
    assert_eq!(interest(rate("0.0003"), 8 * HOUR_MS), rate("0.0001"));
    assert_eq!(interest(rate("0.0003"), 2 * HOUR_MS), rate("0.000025"));
}

#[test]
fn fund_10_and_11_fees() {
    let fee = rate("0.0001");
    let value = i128::from(fixed("80000"));
    assert_eq!((funding_fee(value, 1, fee), funding_fee(-value, 1, fee)), (800_000_000, -800_000_000));
    // 10,000 USD at 8,000: 1.25 coins; the short receives
    let contracts = i128::from(fixed("10000")) * i128::from(exchange_core::SCALE);
    assert_eq!(funding_fee(-contracts, i128::from(fixed("8000")), fee), -12_500);
    // an odd unit is the payer's
    assert_eq!((funding_fee(1, 1, fee), funding_fee(-1, 1, fee), funding_fee(1, 1, -fee)), (1, 0, 0));
}

#[test]
fn an_impact_price_is_the_mean_over_the_levels_it_takes() {
    let levels = [(fixed("100"), fixed("1")), (fixed("102"), fixed("5"))];
    assert_eq!(impact_price(levels, fixed("100"), false), Some(fixed("100")));
    // 100 at 100 and 102 at 102: two coins for 202
    assert_eq!(impact_price(levels, fixed("202"), false), Some(fixed("101")));
    assert_eq!(impact_price(levels, fixed("610"), false), Some(fixed("101.66666667")));
    assert_eq!(impact_price(levels, fixed("610.00000001"), false), None);
    for nothing in [0, -1, i64::MIN] {
        assert_eq!(impact_price(levels, nothing, false), None);
    }
    assert_eq!(impact_price([], fixed("1"), false), None);
    // 10,000 USD at 10,000 is one coin, another 20,000 at 20,000 makes two coins for 30,000
    let inverse = [(fixed("10000"), fixed("10000")), (fixed("20000"), fixed("90000"))];
    assert_eq!(impact_price(inverse, fixed("2"), true), Some(fixed("15000")));
    assert_eq!(impact_price(inverse, fixed("6"), true), None);
}

fn clock() -> FundingClock {
    FundingClock::new(&FundingSpec::default(), &support::btc().tiers)
}

#[test]
fn a_clock_settles_on_whole_intervals_with_a_sample_a_minute() {
    let mut clock = clock();
    let start = 10 * HOUR_MS + 5; // next at 16:00
    assert_eq!(clock.advance(start, Some(rate("0.001"))), None);
    assert_eq!((clock.next_ms, clock.samples.count), (0, 0), "it stands still before it starts");
    clock.start(start);
    clock.start(start + HOUR_MS);
    assert_eq!(clock.advance(start, Some(rate("0.001"))), None);
    assert_eq!((clock.next_ms, clock.samples.count), (16 * HOUR_MS, 0));
    assert_eq!(clock.advance(start + MINUTE_MS, Some(rate("0.001"))), None);
    assert_eq!((clock.samples.count, clock.predicted_rate), (1, rate("0.0005")));
    assert_eq!(clock.advance(16 * HOUR_MS - 1, None), None);
    assert_eq!(clock.samples.count, 359);
    let settlement = Settlement { at_ms: 16 * HOUR_MS, rate: rate("0.0005") };
    assert_eq!(clock.advance(16 * HOUR_MS + 7, None), Some(settlement));
    assert_eq!(clock.advance(16 * HOUR_MS + 7, None), None);
    assert_eq!((clock.settled_rate, clock.samples.count), (rate("0.0005"), 0));
    assert_eq!(clock.until_next(16 * HOUR_MS + 7), 8 * HOUR_MS - 7);
}

#[test]
fn a_leap_over_several_settlements_makes_them_all_and_samples_every_minute() {
    let mut clock = clock();
    clock.start(0);
    let mut counts = Vec::new();
    let mut times = Vec::new();
    loop {
        let before = clock.samples.count;
        let Some(settlement) = clock.advance(25 * HOUR_MS, Some(rate("0.001"))) else { break };
        counts.push(before);
        times.push(settlement.at_ms / HOUR_MS);
        assert_eq!(settlement.rate, rate("0.0005"));
    }
    assert_eq!(times, [8, 16, 24]);
    assert_eq!(clock.samples.count, 60);
}

#[test]
fn a_changed_interval_holds_from_the_next_settlement_on() {
    let mut clock = clock();
    clock.start(0);
    let mut settled = Vec::new();
    for (now, interval) in [(8, 8), (16, 4), (24, 4), (48, 2), (50, 8), (60, 8)] {
        clock.interval_ms = interval * HOUR_MS;
        while let Some(settlement) = clock.advance(now * HOUR_MS, Some(0)) {
            settled.push((settlement.at_ms / HOUR_MS, settlement.rate / 1_000_000));
        }
    }
    // hour, rate in millionths: the interest of the interval that ended
    let expected = [
        (8, 100),
        (16, 100),
        (20, 50),
        (24, 50),
        (28, 50),
        (30, 25),
        (32, 25),
        (34, 25),
        (36, 25),
        (38, 25),
        (40, 25),
        (42, 25),
        (44, 25),
        (46, 25),
        (48, 25),
        (50, 25),
        (56, 75),
    ];
    assert_eq!(settled, expected);
}

#[test]
fn risk_limits_are_put_together_announced_and_taken_in_time() {
    let tier = |limit: i64| TierSpec { limit: Money(limit), max_leverage: 1000, maintenance_rate: 1 };
    let mut limits = RiskLimits::default();
    assert!(!limits.announce(5), "nothing is staged");
    assert!(!limits.stage(1, tier(1)), "a table begins with tier 0");
    for (number, limit) in [(0, 1), (1, 2), (0, 10), (1, 20), (2, 30)] {
        assert!(limits.stage(number, tier(limit)));
    }
    assert!(!limits.stage(4, tier(1)) && !limits.stage(1, tier(1)) && !limits.stage(usize::MAX, tier(1)));
    assert!(limits.announce(500));
    assert_eq!(limits.due(499), None);
    let notice = limits.due(500).expect("its time has come");
    assert_eq!(notice.tiers, [tier(10), tier(20), tier(30)]);
    assert_eq!((limits.due(501), limits.announce(600)), (None, false));
}

mod extremes {
    use super::*;
    use proptest::prelude::*;

    fn odd() -> impl Strategy<Value = i64> {
        prop_oneof![
            Just(0),
            Just(1),
            Just(-1),
            Just(i64::MAX),
            Just(i64::MIN),
            Just(MONEY_MAX),
            any::<i64>(),
            1_i64..1_000_000_000_000_000
        ]
    }

    fn method() -> impl Strategy<Value = IndexMethod> {
        prop::sample::select(IndexMethod::ALL)
    }

    fn sound() -> impl Strategy<Value = Component> {
        (1..=MONEY_MAX, 1..=MONEY_MAX).prop_map(|(price, weight)| Component { price, weight })
    }

    proptest! {
        #[test]
        fn no_formula_falls_over(a in odd(), b in odd(), c in odd(), d in odd(), e in odd()) {
            price1(a, b, c, d);
            perpetual_mark(price2(a, b), c, d);
            basis_rate(a, b);
            expiry_mark(a, b);
            exchange_core::mark::price_band(a, b, c, d, e);
            for side in [Side::Buy, Side::Sell] {
                slippage_limit(side, a, Slippage::Distance(b));
                slippage_limit(side, a, Slippage::Ratio(b));
            }
            premium_index(Some(a), Some(b), c);
            interest(a, b);
            FundingTerms { clamp: a, lower: b, upper: c, payments: d }.rate(e, a);
            convert(a, b);
            usd_index(a, b, c);
            impact_price([(a, b), (c, d)], e, false);
            impact_price([(a, b), (c, d)], e, true);
            let mut average = PremiumAverage::default();
            average.push(a, b);
            average.push(c, d);
            average.mean();
        }

        #[test]
        fn no_clock_falls_over(
            terms in [odd(), odd(), odd(), odd()], interval_ms in odd(), interest_daily in odd(), now in odd(), premium in odd()
        ) {
            let [clamp, lower, upper, payments] = terms;
            let caps = Some((lower, upper));
            let spec = FundingSpec { interval_ms, interest_daily, clamp, caps, payments, impact_notional: Money(0) };
            let mut clock = FundingClock::new(&spec, &[]);
            clock.start(now);
            for now in [now, now.saturating_add(MINUTE_MS), i64::MAX] {
                clock.advance(now, Some(premium));
                clock.until_next(now);
            }
        }

        #[test]
        fn an_index_stays_within_its_components(
            components in prop::collection::vec(sound(), 1..16), method in method(), band in 0..MONEY_MAX
        ) {
            let low = components.iter().map(|c| c.price).min().unwrap();
            let high = components.iter().map(|c| c.price).max().unwrap();
            let index = index_price(&components, method, band);
            prop_assert!(index.is_some() || method == IndexMethod::Drop);
            prop_assert!(index.is_none_or(|index| (low..=high).contains(&index)), "{index:?}");
        }

        #[test]
        fn an_odd_component_is_none(component in (odd(), odd()), method in method(), band in odd()) {
            let (price, weight) = component;
            let good = Component { price: 500, weight: 1 };
            let index = index_price(&[good, Component { price, weight }], method, band);
            if !(1..=MONEY_MAX).contains(&price) || !(1..=MONEY_MAX).contains(&weight) {
                prop_assert_eq!(index, index_price(&[good], method, band));
            }
        }

        #[test]
        fn a_rate_keeps_its_caps(premium in any::<i64>(), interest in any::<i64>(), cap in 0..i64::MAX) {
            let rate = FundingTerms { lower: -cap, upper: cap, ..TERMS }.rate(premium, interest);
            prop_assert!((-cap..=cap).contains(&rate));
        }

        #[test]
        fn all_sides_together_never_receive_more_than_is_paid(
            lots in prop::collection::vec(-1_000_000_000_i64..1_000_000_000, 1..40),
            price in 1_i64..1_000_000_000_000, funding in -40_000_000_000_i64..40_000_000_000, inverse in any::<bool>()
        ) {
            let last = -lots.iter().sum::<i64>();
            let fee = |lots: i64| {
                let (numerator, denominator) = if inverse { (100_000_000, price) } else { (price, 1) };
                funding_fee(i128::from(lots) * i128::from(numerator), i128::from(denominator), funding)
            };
            let together: i128 = lots.iter().map(|lots| fee(*lots)).sum::<i128>() + fee(last);
            prop_assert!(together >= 0);
            prop_assert!(together <= i128::try_from(lots.len()).unwrap());
        }

        #[test]
        fn the_mark_is_one_of_three_and_the_middle_one(a in odd(), b in odd(), c in odd()) {
            let mark = perpetual_mark(a, b, c);
            prop_assert_eq!(Some(i128::from(mark)), median(vec![a.into(), b.into(), c.into()]));
        }
    }
}
