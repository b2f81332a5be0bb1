//! Inverse contracts: the worked examples of the venue's rules by their ids, and stories of accounts in coin.

mod support;

use exchange_core::fixed::Ratio;
use exchange_core::margin::{bankruptcy_price, closing_fee, liquidation_price, order_cost, Exposure};
use exchange_core::position::Position;
use exchange_core::{Action, CoinId, Instrument, InstrumentId, InstrumentSpec, PoolId, Price, SCALE};
use support::{btc, btc_inverse, btc_perp, fixed, many_coins, shown, Story};

const BTCUSD: InstrumentId = InstrumentId(1);
const BTC_COIN: CoinId = CoinId(2);
/// 0.055 %.
const TAKER_FEE: Ratio = Ratio { parts: 11, whole: 20_000 };

fn listed(spec: InstrumentSpec) -> Instrument {
    exchange_core::genesis::validate(&many_coins(vec![spec], "0")).unwrap().instruments.remove(0)
}

fn wide(text: &str) -> i128 {
    i128::from(fixed(text))
}

/// Everyone has ten BTC and nothing else; the inverse contract stands at a price.
fn story(price: &str) -> Story {
    let mut story = Story::of(&many_coins(vec![btc(), btc_inverse(), btc_perp()], "1"), &[("BTC", "10")]);
    story.index(BTCUSD, price);
    story
}

/// Signed contracts entered at a price, at a leverage in hundredths.
fn exposure(contracts: i64, entry_ticks: i64, leverage: i64, listed: &Instrument) -> Exposure {
    let position = Position { lots: contracts, cost: listed.value(contracts, entry_ticks) };
    Exposure { position, leverage, mark_ticks: entry_ticks, ..Exposure::default() }
}

#[test]
fn cost_3_order_cost_in_coin() {
    // 5 coins of value: 0.2 margin, 0.00275 to open, 0.00286 to close
    assert_eq!(order_cost(wide("5"), -1, 2500, TAKER_FEE), wide("0.20561"));
    let mut story = story("2000");
    story.must(Action::SetLeverage { account: support::who("alice"), instrument: BTCUSD, leverage: 2500 });
    story.tell(
        "who | does | in | qty | price | then\n alice | buy | BTCUSD | 10000 | 2000 | rests 10000 at 2000",
    );
    story.expect("who | in | oim\n alice | BTCUSD | 0.20561");
    // the dearer side alone is held; a short's value at bankruptcy lies below
    story.tell("who | does | in | qty | price\n alice | sell | BTCUSD | 10000 | 2010");
    story.expect("who | in | oim\n alice | BTCUSD | 0.20561");
}

#[test]
fn fee_2_is_charged_in_coin_on_both_sides() {
    let mut story = story("8000");
    story.tell(
        "who   | does | in     | qty   | price | then
         alice | sell | BTCUSD | 10000 | 8000  | rests 10000 at 8000
         bob   | buy  | BTCUSD | 10000 |       | 10000 at 8000",
    );
    story.expect("who | in | cash\n alice | BTCUSD | 9.99975\n bob | BTCUSD | 9.9993125");
    assert!(story.exchange.conservation().adds_up());
}

#[test]
fn pnl_2_average_entry_is_harmonic() {
    // three times the published contracts: their values are whole units of the coin
    let mut story = story("5000");
    story.tell(
        "who | does | in | qty | price\n maker | sell | BTCUSD | 3000 | 5000\n bob | buy | BTCUSD | 3000 |",
    );
    story.index(BTCUSD, "6000");
    story.tell(
        "who | does | in | qty | price\n maker | sell | BTCUSD | 6000 | 6000\n bob | buy | BTCUSD | 6000 |",
    );
    story.expect("who | in | qty | entry\n bob | BTCUSD | 9000 | 5625\n maker | BTCUSD | -9000 | 5625");
}

#[test]
fn pnl_3_and_4_profit_is_in_coin() {
    let mut story = story("8000");
    story.tell(
        "who | does | in | qty | price\n maker | sell | BTCUSD | 10000 | 8000\n bob | buy | BTCUSD | 10000 |",
    );
    story.index(BTCUSD, "12500");
    story.expect("who | in | pupl | value\n bob | BTCUSD | 0.45 | 0.8\n maker | BTCUSD | -0.45 | 0.8");
    story.tell("who | does | in | qty | price\n maker | buy | BTCUSD | 10000 | 12500\n bob | sell | BTCUSD | 10000 |");
    // opening fee 0.0006875, closing fee 0.00044
    story.expect("who | in | qty | cash | realised\n bob | BTCUSD | 0 | 10.4488725 | 0.4488725");
    let listed = listed(btc_inverse());
    assert_eq!(listed.value(1000, 55_000) - listed.value(1000, 50_000), wide("0.01818182"));
}

#[test]
fn liq_8_with_the_margin_of_the_entry_behind_it() {
    let listed = listed(btc_inverse());
    let price = |contracts: i64| {
        let exposure = exposure(contracts, 500_000, 1000, &listed);
        let toward = -contracts.signum();
        let behind = wide("0.12") + closing_fee(wide("1.2"), toward, 1000, TAKER_FEE);
        shown(i64::try_from(liquidation_price(&exposure, behind, &listed).unwrap()).unwrap())
    };
    assert_eq!(price(60_000), "45681.81818182"); // published as 45681.818182
    assert_eq!(price(-60_000), "55277.77777778"); // published as 55277.777778
}

#[test]
fn bank_2_lies_below_a_long_and_above_a_short() {
    // 789,008 contracts are 100 coins at the entry, with 2 behind them at 50x
    let listed = listed(InstrumentSpec {
        tick_size: Price(SCALE / 100),
        max_price: Price(99_999 * SCALE),
        ..btc_inverse()
    });
    let price = |contracts: i64| {
        let position = exposure(contracts, 789_008, 5000, &listed).position;
        assert_eq!(position.cost.abs(), wide("100"));
        shown(i64::try_from(bankruptcy_price(&position, wide("2"), &listed).unwrap()).unwrap())
    };
    assert_eq!(price(789_008), "7735.37254902"); // published as 7735.372549
    assert_eq!(price(-789_008), "8051.10204082"); // published as 8051.102041
}

#[test]
fn a_long_in_its_own_coin_is_liquidated_below_and_taken_over_in_coin() {
    let mut story = Story::of(&many_coins(vec![btc(), btc_inverse()], "1"), &[]);
    story.tell(
        "who   | does    | coin | qty
         alice | deposit | BTC  | 0.3
         maker | deposit | BTC  | 100",
    );
    story.index(BTCUSD, "50000");
    story.tell("who | does | in | qty | price\n maker | sell | BTCUSD | 50000 | 50000\n alice | buy | BTCUSD | 50000 |");
    // one coin of value at 10x, 0.29945 behind it in coin, of which 98 % count
    story.expect("who | in | cash | pim\n alice | BTCUSD | 0.29945 | 0.100605");
    story.tell("who | does | in | qty | price\n maker | buy | BTCUSD | 50000 | 39500");
    story.index(BTCUSD, "40000");
    let taken = story.happened(|event| match event {
        exchange_core::EventKind::TakenOver { qty, .. } => Some(shown(qty.0)),
        _ => None,
    });
    assert!(taken.is_empty(), "0.04945 are left, and 98 % of them cover 0.5 % of 1.25 coins");
    story.index(BTCUSD, "38600");
    story.expect("who | in | qty | cash\n alice | BTCUSD | 0 | 0");
    // taken over at about 38,500 and sold at 39,500
    let pool = story.exchange.insurance_pool(PoolId(2)).unwrap().0;
    assert!(pool > fixed("1.03") && pool < fixed("1.04"), "{}", shown(pool));
    assert!(story.exchange.conservation().adds_up());
}

#[test]
fn accounts_in_several_coins_back_contracts_of_each_other() {
    let mut story = Story::of(
        &many_coins(vec![btc(), btc_inverse(), btc_perp()], "0"),
        &[("USDT", "1000"), ("USDC", "1000"), ("BTC", "1")],
    );
    for symbol in ["BTCUSDT", "BTCUSD", "BTCPERP"] {
        story.index(story.instrument(symbol), "50000");
    }
    // 2,000 and 49,000 of 50,000
    story.expect("who | equity | available\n alice | 52000 | 51000");
    story.tell(
        "who   | does | in      | qty | price | then
         maker | sell | BTCPERP | 1   | 50000 | rests 1 at 50000
         alice | buy  | BTCPERP | 1   |       | 1 at 50000",
    );
    // the fee is paid in USDC, the margin is covered by all coins
    story.expect("who | in | cash | pim | available\n alice | BTCPERP | 972.5 | 5024.75 | 45947.75");
    story.must(Action::SetCoinPrice { coin: BTC_COIN, price: Price(40_000 * SCALE) });
    story.expect("who | in | available\n alice | BTCPERP | 36147.75");
}

#[test]
fn a_deleveraging_in_coin_names_the_price_of_the_take_over() {
    let mut story = Story::of(&many_coins(vec![btc(), btc_inverse()], "0"), &[]);
    story.tell("who | does | coin | qty\n alice | deposit | BTC | 0.3\n maker | deposit | BTC | 100");
    story.index(BTCUSD, "50000");
    story.tell("who | does | in | qty | price\n maker | sell | BTCUSD | 50000 | 50000\n alice | buy | BTCUSD | 50000 |");
    story.index(BTCUSD, "38000");
    let taken_over = story.happened(|event| match event {
        exchange_core::EventKind::TakenOver { bankruptcy_price, .. } => Some(*bankruptcy_price),
        _ => None,
    });
    let deleveraged = story.happened(|event| match event {
        exchange_core::EventKind::Deleveraged { price, .. } => Some(*price),
        _ => None,
    });
    assert_eq!(taken_over.len(), 1);
    assert_eq!(deleveraged, taken_over);
}
