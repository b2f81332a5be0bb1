//! The worked examples of the venue's rules that concern linear cross margin, by their ids; numbers entered by hand.

mod support;

use exchange_core::fixed::Ratio;
use exchange_core::margin::{
    bankruptcy_price, closing_fee, liquidation_price, maintenance, order_cost, tier_index, Exposure,
};
use exchange_core::mark::price_band;
use exchange_core::position::Position;
use exchange_core::{Genesis, Instrument, InstrumentSpec, Money, SCALE};
use support::{fixed, shown, Story};

fn listed(spec: InstrumentSpec) -> Instrument {
    let genesis = Genesis::linear(vec![spec], Money(0));
    exchange_core::genesis::validate(&genesis).unwrap().instruments.remove(0)
}

/// 0.055 %.
const TAKER_FEE: Ratio = Ratio { parts: 11, whole: 20_000 };

fn wide(text: &str) -> i128 {
    i128::from(fixed(text))
}

/// One BTC (1000 lots), or the given lots, at 50,000.
fn exposure(lots: i64, leverage: i64, mark: i64) -> Exposure {
    let position = Position { lots, cost: i128::from(lots) * 50 * i128::from(SCALE) };
    Exposure { position, leverage, mark_ticks: mark * 10, ..Exposure::default() }
}

#[test]
fn cost_1_and_2_order_cost() {
    assert_eq!(order_cost(wide("50000"), 1, 1000, TAKER_FEE), wide("5052.25"));
    assert_eq!(order_cost(wide("50000"), -1, 1000, TAKER_FEE), wide("5057.75"));
}

#[test]
fn margin_1_2_and_3_position_margin_on_the_mark() {
    let listed = listed(support::btc());
    let long = exposure(1000, 1000, 52_000).margin(&listed);
    assert_eq!(closing_fee(wide("50000"), 1, 1000, TAKER_FEE), wide("24.75"));
    assert_eq!(long.maintenance, fixed("284.75")); // MARGIN-1: maintenance is the same in cross
    assert_eq!(long.position_initial, fixed("5224.75")); // MARGIN-3
    let short = exposure(-1000, 1000, 52_000).margin(&listed);
    assert_eq!(short.maintenance, fixed("290.25")); // MARGIN-2
    assert_eq!((long.unrealised, short.unrealised), (fixed("2000"), fixed("-2000")));
}

#[test]
fn tier_1_deductions_of_the_published_table() {
    let listed = listed(support::btc());
    let expected = [
        0, 1200, 3020, 4300, 5820, 8460, 15460, 20500, 46000, 66000, 80000, 160_000, 300_000, 452_000,
        502_000, 777_000, 837_000, 967_000, 1_107_000, 1_482_000,
    ];
    let deductions: Vec<i128> = listed.tiers.iter().map(|tier| tier.deduction / i128::from(SCALE)).collect();
    assert_eq!(deductions, expected);
}

#[test]
fn tier_2_maintenance_is_the_progressive_sum() {
    let listed = listed(support::btc());
    let value = wide("3000000");
    let tier = tier_index(&listed.tiers, value);
    assert_eq!(tier + 1, 3);
    assert_eq!(maintenance(value, &listed.tiers[tier]), wide("15880"));
}

#[test]
fn liq_9_and_10_price_at_which_the_account_is_liquidated() {
    let without_fee = listed(InstrumentSpec { taker_fee: 0, ..support::btc() });
    let position = exposure(100, 1000, 50_000);
    let price = |listed: &Instrument| liquidation_price(&position, wide("1000"), listed);
    assert_eq!(price(&without_fee), Some(wide("40201.00502513"))); // published as 40201.005025
    assert_eq!(closing_fee(wide("5000"), 1, 1000, TAKER_FEE), wide("2.475"));
    assert_eq!(price(&listed(support::btc())), Some(wide("40225.87939698"))); // published as 40225.879397
}

#[test]
fn the_liquidation_price_lies_in_its_own_tier() {
    // 60 BTC at 50,000 with 60,000: starts in tier 3, is liquidated in tier 3 (2.6 to 3.2 million)
    let listed = listed(InstrumentSpec { taker_fee: 0, ..support::btc() });
    let price = liquidation_price(&exposure(60_000, 5000, 50_000), wide("60000"), &listed).unwrap();
    // 60,000 + 60 (P - 50,000) = 60 P x 0.0063 - 3,020; LIQ-6 has the same algebra
    assert_eq!(price, wide("49260.00469625"));
}

#[test]
fn bank_1_and_adl_3_bankruptcy_price() {
    let listed = listed(support::btc());
    let bankrupt = |lots: i64, cost: &str, behind: &str| {
        bankruptcy_price(&Position { lots, cost: wide(cost) }, wide(behind), &listed)
    };
    assert_eq!(bankrupt(1000, "10000", "200"), Some(wide("9800")));
    assert_eq!(bankrupt(-1000, "-10000", "200"), Some(wide("10200")));
    assert_eq!(bankrupt(100_000, "50000", "1100"), Some(wide("489"))); // ADL-3
}

#[test]
fn fee_1_and_pnl_1_in_the_engine() {
    let mut story = Story::new("0", "1000000");
    story.index(support::BTC, "8000");
    story.tell(
        "who   | does | qty | price | then
         alice | sell | 10  | 8000  | rests 10 at 8000
         bob   | buy  | 10  | 8000  | 10 at 8000",
    );
    story.expect("who | wallet\n bob | 999956\n alice | 999984"); // 44 and 16
    let mut story = Story::new("0", "1000000");
    story.index(support::BTC, "5000");
    story.tell("who | does | qty | price\n maker | sell | 0.5 | 5000\n carol | buy | 0.5 | 5000");
    story.index(support::BTC, "6000");
    story.tell("who | does | qty | price\n maker | sell | 0.3 | 6000\n carol | buy | 0.3 | 6000");
    story.expect("who | qty | entry\n carol | 0.8 | 5375");
}

#[test]
fn plim_1_to_4_futures_price_limit() {
    let cases = [
        ("0", "101000", "99000"),
        ("500", "101500", "99000"),
        ("5000", "102000", "99000"),
        ("-400", "101000", "98600"),
    ];
    for (premium, max_buy, min_sell) in cases {
        let band = price_band(fixed("100000"), fixed("99990"), fixed("0.01"), fixed("0.02"), fixed(premium));
        assert_eq!((shown(band.0), shown(band.1)), (max_buy.into(), min_sell.into()), "premium {premium}");
    }
}
