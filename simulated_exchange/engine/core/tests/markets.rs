//! How an instrument is priced and limited while it trades: index methods, converted sources, what it is marked at,
//! coins that follow an index, and risk limits that change with notice.

mod support;

use exchange_core::{
    Action, CoinPrice, CoinSpec, EventKind, Genesis, IndexMethod, IndexSourceSpec, InstrumentId,
    InstrumentSpec, Kind, MarkSource, MarketAction, Money, PositionIndex, Price, Reject, TierSpec, SCALE,
};
use support::{fixed, shown, who, Story, BTC, ETH};

const SECOND_MS: i64 = 1000;
const MINUTE_MS: i64 = 60_000;

fn sources(story: &mut Story, instrument: InstrumentId, prices: &[&str]) {
    for (source, price) in (0..).zip(prices) {
        story.must(Action::SetIndexSource { instrument, source, price: Price(fixed(price)) });
    }
}

fn index(story: &Story, instrument: InstrumentId) -> String {
    shown(story.exchange.prices(instrument).unwrap().index.0)
}

fn mark(story: &Story, instrument: InstrumentId) -> String {
    shown(story.exchange.prices(instrument).unwrap().mark.0)
}

fn three_sources(index_method: IndexMethod) -> InstrumentSpec {
    let source = |(name, weight)| IndexSourceSpec::new(name, weight);
    let index_sources = [("one", 5), ("two", 3), ("three", 2)].map(source).to_vec();
    InstrumentSpec { index_sources, index_method, ..support::btc() }
}

#[test]
fn an_outlier_is_clamped_dropped_or_weighed_down() {
    for (method, expected) in [
        (IndexMethod::Clamp, "101.106"), // 5 x 100 + 3 x 101 + 2 x 104.03
        (IndexMethod::Drop, "100.375"),
        (IndexMethod::TwoPass, "100.99534671"),
    ] {
        let mut story = Story::of(&Genesis::linear(vec![three_sources(method)], Money(0)), &[]);
        let last = if method == IndexMethod::TwoPass { "104" } else { "150" };
        sources(&mut story, BTC, &["100", "101", last]);
        assert_eq!(index(&story, BTC), expected, "{method:?}");
    }
}

#[test]
fn when_every_source_is_too_far_from_the_rest_the_index_stays() {
    let mut story = Story::of(&Genesis::linear(vec![three_sources(IndexMethod::Drop)], Money(0)), &[]);
    sources(&mut story, BTC, &["100", "100", "100"]);
    story.passes(61 * SECOND_MS);
    sources(&mut story, BTC, &["200", "300"]); // their median is 250; the third is stale
    assert_eq!(index(&story, BTC), "200", "the first of them stood alone for a moment");
    story.passes(0);
    assert_eq!(index(&story, BTC), "200");
}

#[test]
fn a_source_that_does_not_move_is_stale_for_the_two_passes_only() {
    for (method, expected) in [(IndexMethod::Clamp, "100.5"), (IndexMethod::TwoPass, "101")] {
        let spec = InstrumentSpec {
            index_sources: vec![IndexSourceSpec::new("still", 1), IndexSourceSpec::new("moves", 1)],
            ..three_sources(method)
        };
        let mut story = Story::of(&Genesis::linear(vec![spec], Money(0)), &[]);
        sources(&mut story, BTC, &["100", "102"]);
        story.passes(MINUTE_MS);
        sources(&mut story, BTC, &["100", "101"]);
        story.passes(SECOND_MS);
        assert_eq!(index(&story, BTC), expected, "{method:?}");
    }
}

/// BTCUSDT, and ETHUSDT with one source in USDT and one in BTC.
fn bridged() -> Genesis {
    let through_btc = IndexSourceSpec { converted_by: Some(BTC), ..IndexSourceSpec::new("ETH/BTC", 1) };
    let index_sources = vec![IndexSourceSpec::new("ETH/USDT", 1), through_btc];
    let eth = InstrumentSpec { index_sources, index_clamp: fixed("0.5"), ..support::eth() };
    Genesis::linear(vec![support::btc(), eth], Money(0))
}

#[test]
fn index_2_a_source_in_another_coin_is_converted_by_that_coins_index() {
    let mut story = Story::of(&bridged(), &[]);
    sources(&mut story, ETH, &["2000", "0.1"]);
    assert_eq!(index(&story, ETH), "2000", "BTC has no index yet");
    story.index(BTC, "20000");
    assert_eq!(index(&story, ETH), "2000");
    story.index(BTC, "22000");
    assert_eq!(index(&story, ETH), "2100", "moves with its bridge at once");
    let told = story.happened(|event| match *event {
        EventKind::PriceChanged { instrument, index, .. } => Some((instrument, shown(index.0))),
        _ => None,
    });
    assert_eq!(told, [(BTC, "22000".into()), (ETH, "2100".into())]);
    for price in [0, -1, i64::MAX] {
        let report = Action::SetIndexSource { instrument: ETH, source: 1, price: Price(price) };
        assert_eq!(story.does(report).reject, Some(Reject::IndexPriceInvalid));
    }
}

#[test]
fn a_bridge_is_listed_before_what_it_converts() {
    let mut genesis = bridged();
    genesis.instruments.reverse();
    let error = exchange_core::Exchange::new(&genesis).expect_err("a refusal");
    assert_eq!(error.field, "instruments[0].index_sources");
}

/// Quotes at 50,300 and 50,400, last trade at 50,300, index at 50,000.
fn quoted(spec: InstrumentSpec) -> Story {
    let mut story = Story::with(vec![spec, support::eth()], "0", "1000000");
    story.tell(
        "who   | does | qty | price
         alice | sell | 1   | 50300
         bob   | buy  | 1   | 50300
         alice | sell | 1   | 50400
         bob   | buy  | 1   | 50300",
    );
    story.index(BTC, "50000");
    story
}

#[test]
fn a_contract_is_marked_dual_at_the_last_price_or_at_the_middle_of_the_book() {
    let mut story = quoted(support::btc());
    assert_eq!(mark(&story, BTC), "50000");
    for (source, expected) in
        [(MarkSource::Last, "50300"), (MarkSource::BookMid, "50350"), (MarkSource::Dual, "50000")]
    {
        story.must(Action::Market(MarketAction::SetMarkSource { instrument: BTC, source }));
        assert_eq!(mark(&story, BTC), expected, "{source:?}");
        assert_eq!(story.exchange.prices(BTC).unwrap().mark_source, source);
        let upl = i64::from(source != MarkSource::Dual) * (fixed(expected) - fixed("50300"))
            - i64::from(source == MarkSource::Dual) * fixed("300");
        story.expect(&format!("who | upl\n bob | {}", shown(upl)));
    }
    // an empty side leaves the middle where it was
    story.must(Action::Market(MarketAction::SetMarkSource { instrument: BTC, source: MarkSource::BookMid }));
    story.tell("who | does\n alice | cancel all");
    story.passes(SECOND_MS);
    assert_eq!(mark(&story, BTC), "50350");
    let unknown =
        Action::Market(MarketAction::SetMarkSource { instrument: InstrumentId(7), source: MarkSource::Last });
    assert_eq!(story.does(unknown).reject, Some(Reject::UnknownInstrument));
}

#[test]
fn a_mark_at_the_last_price_liquidates_where_dual_pricing_does_not() {
    let crash = |source: MarkSource| {
        let mut story = Story::with(vec![support::btc(), support::eth()], "1000", "100000");
        story.must(Action::Market(MarketAction::SetMarkSource { instrument: BTC, source }));
        story.leverage("bob", 100);
        story.tell(
            "who   | does     | qty   | price
             bob   | withdraw | 97000 |
             alice | sell     | 5     | 50000
             bob   | buy      | 5     | 50000
             carol | buy      | 0.3   | 49600
             dave  | sell     | 0.3   |",
        );
        story.index(BTC, "49990");
        !story
            .happened(|event| matches!(event, EventKind::LiquidationStarted { .. }).then_some(()))
            .is_empty()
    };
    assert!(!crash(MarkSource::Dual), "a flash crash is an outlier of three");
    assert!(crash(MarkSource::Last));
}

#[test]
fn mark_4_an_expiry_contract_follows_its_impact_prices() {
    let kind = Kind::Expiry { delivery_ms: 90 * 86_400_000 };
    let mut story = quoted(InstrumentSpec { kind, ..support::btc() });
    assert_eq!(mark(&story, BTC), "50000", "no sample yet");
    story.passes(SECOND_MS); // impact prices of 20,000: the best quotes, so 50,350 over 50,000
    assert_eq!(mark(&story, BTC), "50350");
    story.index(BTC, "40000"); // basis rate 0.7 %
    assert_eq!(mark(&story, BTC), "40280");
    assert_eq!(story.exchange.funding(BTC), None);
    let terms = Action::Market(MarketAction::SetFundingTerms {
        instrument: BTC,
        interval_minutes: 60,
        lower: exchange_core::Rate(0),
        upper: exchange_core::Rate(0),
    });
    assert_eq!(story.does(terms).reject, Some(Reject::NotPerpetual));
    // ten minutes without quotes: the last basis rate stays
    story.tell("who | does\n alice | cancel all");
    story.passes(10 * MINUTE_MS);
    assert_eq!(mark(&story, BTC), "40280");
}

#[test]
fn a_coin_follows_an_index_times_the_price_of_its_quote_coin() {
    let coin = |name: &str, price| CoinSpec { price, can_switch: true, ..CoinSpec::par(name) };
    let genesis = Genesis {
        coins: vec![
            coin("USDT", CoinPrice::Reported(Price(SCALE))),
            coin("BTC", CoinPrice::Index(BTC)),
            coin("ETH", CoinPrice::Index(ETH)),
        ],
        ..Genesis::linear(vec![support::btc(), support::eth()], Money(0))
    };
    let mut story = Story::of(&genesis, &[("BTC", "2"), ("ETH", "10")]);
    story.expect("who | wallet\n alice | 0");
    story.index(BTC, "50000");
    story.index(ETH, "2000");
    story.expect("who | wallet\n alice | 120000");
    // the stablecoin loses its peg, and everything that is priced in it with it
    let usdt = story.coin("USDT");
    story.must(Action::SetCoinPrice { coin: usdt, price: Price(fixed("0.9")) });
    story.expect("who | wallet\n alice | 108000");
    let told = story.happened(|event| match *event {
        EventKind::CoinPriceChanged { coin, price } => Some((coin.0, shown(price.0))),
        _ => None,
    });
    assert_eq!(told, [(0, "0.9".into()), (1, "45000".into()), (2, "1800".into())]);
    let btc = story.coin("BTC");
    let report = Action::SetCoinPrice { coin: btc, price: Price(SCALE) };
    assert_eq!(story.does(report).reject, Some(Reject::CoinPriceInvalid));
}

#[test]
fn index_4_a_stablecoin_is_worth_what_bitcoin_costs_in_dollars_over_what_it_costs_in_it() {
    let coin = |name: &str, price| CoinSpec { price, can_switch: true, ..CoinSpec::par(name) };
    let usd = InstrumentSpec { symbol: "BTCUSD".into(), quote: "USD".into(), ..support::btc() };
    let (dollars, btcusdt, ethusdt) = (InstrumentId(0), InstrumentId(1), InstrumentId(2));
    let genesis = Genesis {
        coins: vec![
            coin("USDT", CoinPrice::Ratio { dollars, coins: btcusdt }),
            coin("ETH", CoinPrice::Index(ethusdt)),
            CoinSpec::par("USD"),
        ],
        ..Genesis::linear(vec![usd, support::btc(), support::eth()], Money(0))
    };
    let mut story = Story::of(&genesis, &[("ETH", "1"), ("USDT", "100")]);
    story.index(ethusdt, "2000");
    story.index(dollars, "50000");
    story.expect("who | wallet\n alice | 0");
    story.index(btcusdt, "50025");
    let told = story.happened(|event| match *event {
        EventKind::CoinPriceChanged { coin, price } => Some((coin.0, shown(price.0))),
        _ => None,
    });
    assert_eq!(told, [(0, "0.99950025".into()), (1, "1999.00049975".into())]);
    story.expect("who | wallet\n alice | 2098.95052475");
    let usdt = story.coin("USDT");
    let report = Action::SetCoinPrice { coin: usdt, price: Price(SCALE) };
    assert_eq!(story.does(report).reject, Some(Reject::CoinPriceInvalid));
    for bad in
        [CoinPrice::Ratio { dollars, coins: dollars }, CoinPrice::Ratio { dollars, coins: InstrumentId(3) }]
    {
        let mut genesis = genesis.clone();
        genesis.coins[0].price = bad;
        assert_eq!(exchange_core::Exchange::new(&genesis).expect_err("a refusal").field, "coins[0].price");
    }
}

#[test]
fn a_source_is_not_converted_by_an_index_that_nobody_reports() {
    let mut story = Story::of(&bridged(), &[]);
    story.index(BTC, "20000");
    sources(&mut story, ETH, &["2000", "0.12"]);
    assert_eq!(index(&story, ETH), "2200");
    story.passes(30 * SECOND_MS);
    sources(&mut story, ETH, &["2000", "0.12"]);
    story.passes(31 * SECOND_MS);
    assert_eq!(index(&story, ETH), "2000", "the price of BTC is a minute old");
}

#[test]
fn a_coin_may_not_follow_an_index_in_a_coin_that_follows_another() {
    let coin = |name: &str, price| CoinSpec { price, can_switch: true, ..CoinSpec::par(name) };
    let eth_in_btc = InstrumentSpec { quote: "BTC".into(), ..support::eth() };
    let mut genesis = Genesis::linear(vec![support::btc(), eth_in_btc], Money(0));
    genesis.coins =
        vec![CoinSpec::par("USDT"), coin("BTC", CoinPrice::Index(BTC)), coin("ETH", CoinPrice::Index(ETH))];
    let error = exchange_core::Exchange::new(&genesis).expect_err("a refusal");
    assert_eq!(error.field, "coins[2].price");
}

fn tier(limit: i64, leverage: i64, rate: &str) -> TierSpec {
    TierSpec { limit: Money(limit * SCALE), max_leverage: leverage * 100, maintenance_rate: fixed(rate) }
}

fn stage(story: &mut Story, tiers: &[TierSpec]) {
    for (number, tier) in (0..).zip(tiers) {
        story.must(Action::Market(MarketAction::StageRiskTier { instrument: BTC, number, tier: *tier }));
    }
}

#[test]
fn risk_limits_change_with_notice_and_positions_are_looked_at_again() {
    let mut story = Story::with(vec![support::btc(), support::eth()], "1000", "20000");
    story.leverage("bob", 50);
    story.tell(
        "who   | does | qty | price
         alice | sell | 2   | 50000
         bob   | buy  | 2   | 50000
         carol | buy  | 1   | 49000",
    );
    story.expect("who | mm | im\n bob | 553.9 | 2053.9"); // 500 and a closing fee; 2 %
    stage(&mut story, &[tier(50_000, 20, "0.02"), tier(90_000, 10, "0.05"), tier(200_000, 4, "0.2")]);
    story.must(Action::Market(MarketAction::AnnounceRiskLimits { instrument: BTC, effective_ms: 5_000 }));
    let told: Vec<String> = story.happened(|event| match *event {
        EventKind::RiskLimitsAnnounced { effective_ms, tiers, .. } => {
            Some(format!("{tiers} at {effective_ms}"))
        }
        EventKind::RiskTierAnnounced { tier, limit, max_leverage, .. } => {
            Some(format!("{tier} up to {} at {max_leverage}", shown(limit.0)))
        }
        _ => None,
    });
    assert_eq!(
        told,
        ["3 at 5000", "1 up to 50000 at 2000", "2 up to 90000 at 1000", "3 up to 200000 at 400"]
    );
    assert_eq!(story.exchange.coming_risk_limits(BTC).map(|notice| notice.effective_ms), Some(5_000));
    story.passes(4_999);
    story.expect("who | mm | im\n bob | 553.9 | 2053.9");
    story.passes(1);
    let changed =
        story.happened(|event| matches!(event, EventKind::RiskLimitsChanged { tiers: 3, .. }).then_some(()));
    assert_eq!(changed.len(), 1);
    // 1,000 + 2,000 + 2,000 of brackets and the fee at 4x; a quarter of the value
    story.expect("who | mm | im\n bob | 5041.25 | 25041.25");
    let position = story.exchange.position(who("bob"), BTC, PositionIndex::OneWay).unwrap();
    assert_eq!((position.tier, position.leverage), (3, 5000));
    assert_eq!(story.exchange.coming_risk_limits(BTC), None);
    assert_eq!(story.leverage("erin", 21).reject, Some(Reject::LeverageAboveTier));
    story.tell("who | does | qty | price | then\n erin | buy | 5 | 50000 | PositionLimit");
}

#[test]
fn higher_rates_can_liquidate_when_they_take_effect() {
    let mut story = Story::with(vec![support::btc(), support::eth()], "1000", "6000");
    story.tell(
        "who   | does | qty | price | then
         alice | sell | 1   | 50000 | rests 1 at 50000
         bob   | buy  | 1   | 50000 | 1 at 50000",
    );
    stage(&mut story, &[tier(200_000, 5, "0.12")]);
    story.must(Action::Market(MarketAction::AnnounceRiskLimits { instrument: BTC, effective_ms: 60_000 }));
    let started = |story: &Story| {
        !story
            .happened(|event| matches!(event, EventKind::LiquidationStarted { .. }).then_some(()))
            .is_empty()
    };
    assert!(!started(&story));
    story.passes(59_999);
    assert!(!started(&story));
    story.passes(1);
    assert!(started(&story));
}

#[test]
fn risk_limits_that_are_none_are_refused_and_change_nothing() {
    let mut story = Story::new("0", "0");
    let announce = |story: &mut Story, effective_ms| {
        story.does(Action::Market(MarketAction::AnnounceRiskLimits { instrument: BTC, effective_ms })).reject
    };
    story.passes(1000);
    assert_eq!(announce(&mut story, 2000), Some(Reject::RiskLimitsInvalid), "nothing is staged");
    let bad =
        [tier(0, 10, "0.1"), tier(1, 0, "0.1"), tier(1, 10, "0"), tier(1, 10, "1"), tier(-1, 10, "0.1")];
    for tier in bad {
        let stage = Action::Market(MarketAction::StageRiskTier { instrument: BTC, number: 0, tier });
        assert_eq!(story.does(stage).reject, Some(Reject::RiskTierInvalid), "{tier:?}");
    }
    for number in [1, 64, u32::MAX] {
        let stage =
            Action::Market(MarketAction::StageRiskTier { instrument: BTC, number, tier: tier(1, 10, "0.1") });
        assert_eq!(story.does(stage).reject, Some(Reject::RiskTierInvalid), "{number}");
    }
    stage(&mut story, &[tier(50_000, 10, "0.1"), tier(40_000, 10, "0.1")]);
    let hash = story.exchange.state_hash();
    assert_eq!(announce(&mut story, 2000), Some(Reject::RiskLimitsInvalid), "limits fall");
    assert_ne!(story.exchange.state_hash(), hash, "commands are counted");
    stage(&mut story, &[tier(50_000, 10, "0.1")]);
    assert_eq!(announce(&mut story, 999), Some(Reject::RiskLimitsInvalid), "the time has passed");
    assert_eq!(announce(&mut story, i64::MIN), Some(Reject::RiskLimitsInvalid));
    assert_eq!(announce(&mut story, 1000), None);
    story.passes(0);
    assert_eq!(story.exchange.instruments()[0].tiers.len(), 1);
    stage(&mut story, &[tier(50_000, 10, "0.001")]);
    assert_eq!(announce(&mut story, 2000), Some(Reject::RiskLimitsInvalid), "funding could take more");
}

#[test]
fn quotes_far_from_the_market_do_not_carry_the_mark_away() {
    let mut story = Story::new("0", "1000000");
    story.tell("who | does | qty | price\n alice | sell | 1 | 1999999");
    for _ in 0..30 {
        let edge = shown(story.exchange.prices(BTC).unwrap().max_buy.0);
        story.tell(&format!(
            "who   | does   | qty  | price
             alice | sell   | 0.01 | {edge}
             bob   | buy    | 0.02 | {edge}"
        ));
        story.passes(SECOND_MS);
        story.must(Action::CancelAll { account: who("bob"), instrument: None });
    }
    // no further from the index than the outer limit of the band, 2 %
    assert!(story.exchange.prices(BTC).unwrap().mark.0 <= fixed("51000"), "{}", mark(&story, BTC));
}

#[test]
fn an_expiry_contract_counts_impact_prices_no_further_than_the_band() {
    let mut story = Story::with(vec![support::btc_expiry()], "0", "1000000");
    story.tell("who | does | qty | price\n alice | buy | 100 | 1\n alice | buy | 1 | 50000\n bob | sell | 1 | 1000000");
    story.passes(SECOND_MS);
    assert_eq!(mark(&story, BTC), "50250"); // the ask counts as 50,500
}
