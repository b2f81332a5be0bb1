//! Venues to run random commands on: what is listed, drawn from a seed. Tiers are low and pools small, so that accounts pass
//! tiers, are liquidated and deleveraged all the time.

use exchange_core::{
    AdlSpec, CoinPrice, CoinSpec, CollateralTier, Genesis, IndexSourceSpec, InstrumentSpec, LiquidationSpec,
    Money, PoolSpec, Price, Qty, TierSpec, MONEY_MAX, SCALE,
};

use crate::random::Random;

/// Price of bitcoin in the beginning, in whole USD.
pub const BTC_PRICE: i64 = 50_000;
/// Price of ether in the beginning, in whole USD.
pub const ETH_PRICE: i64 = 2_000;

/// A venue drawn from a seed.
pub fn genesis(random: &mut Random) -> Genesis {
    let mut instruments = vec![linear("BTC", "USDT", random), linear("ETH", "USDT", random)];
    if random.percent(60) {
        instruments.push(inverse("BTC", random));
    }
    let adl = AdlSpec {
        threshold: Money(if random.percent(50) { 0 } else { 10_000 * SCALE }),
        mark_beyond: if random.percent(20) { SCALE / 20 } else { 0 },
        ..AdlSpec::default()
    };
    let pool = |name: &str, coin: &str, balance: i64| PoolSpec {
        name: name.into(),
        coin: coin.into(),
        balance: Money(balance),
        adl,
    };
    let mut fund = |whole: i64| if random.percent(30) { 0 } else { random.scaled(whole) * SCALE / 100 };
    Genesis {
        pools: vec![pool("USDT", "USDT", fund(1_000_000)), pool("BTC", "BTC", fund(100))],
        coins: vec![CoinSpec::par("USDT"), bitcoin(random)],
        instruments,
        liquidation: LiquidationSpec { fill_or_kill: random.percent(20) },
    }
}

fn bitcoin(random: &mut Random) -> CoinSpec {
    let limits = [10, 20, 30].map(|whole| Qty(whole * SCALE));
    let tier = |limit: Qty, ratio: i64| CollateralTier { limit, ratio: ratio * SCALE / 100 };
    CoinSpec {
        price: CoinPrice::Reported(Price(BTC_PRICE * SCALE)),
        collateral: if random.percent(80) {
            vec![tier(limits[0], 98), tier(limits[1], 90), tier(limits[2], 50)]
        } else {
            Vec::new()
        },
        is_collateral: random.percent(90),
        can_switch: true,
        ..CoinSpec::par("BTC")
    }
}

fn linear(base: &str, quote: &str, random: &mut Random) -> InstrumentSpec {
    let is_ether = base == "ETH";
    let step = if is_ether { SCALE / 100 } else { SCALE / 1000 };
    InstrumentSpec {
        symbol: format!("{base}{quote}"),
        base: base.into(),
        quote: quote.into(),
        tick_size: Price(if is_ether { SCALE / 100 } else { SCALE / 10 }),
        max_price: Price((if is_ether { 199_999 } else { 1_999_999 }) * SCALE),
        qty_step: Qty(step),
        min_qty: Qty(step * random.pick(&[1, 5])),
        max_qty: Qty(step * random.pick(&[20_000, 500_000])),
        max_market_qty: Qty(step * random.pick(&[1000, 200_000])),
        tiers: tiers(20_000 * SCALE, random),
        ..terms(random)
    }
}

fn inverse(base: &str, random: &mut Random) -> InstrumentSpec {
    InstrumentSpec {
        symbol: format!("{base}USD"),
        base: base.into(),
        quote: "USD".into(),
        inverse: true,
        tick_size: Price(SCALE / 2),
        max_price: Price(1_999_999 * SCALE),
        qty_step: Qty(SCALE),
        min_qty: Qty(SCALE),
        max_qty: Qty(SCALE * random.pick(&[500_000, 5_000_000])),
        max_market_qty: Qty(SCALE * random.pick(&[50_000, 1_000_000])),
        tiers: tiers(SCALE / 2, random),
        ..terms(random)
    }
}

/// Rising tiers from a first limit on.
fn tiers(first: i64, random: &mut Random) -> Vec<TierSpec> {
    let (mut limit, mut leverage, mut rate) = (first * random.pick(&[1, 5]), 10_000, SCALE / 200);
    let mut tiers = Vec::new();
    for _ in 0..random.between(2, 7) {
        tiers.push(TierSpec { limit: Money(limit), max_leverage: leverage, maintenance_rate: rate });
        limit = limit.saturating_mul(random.pick(&[2, 3, 10]));
        if limit > MONEY_MAX {
            break;
        }
        leverage = (leverage * random.between(60, 100) / 100).max(100);
        rate = (rate + rate * random.between(0, 100) / 100).min(SCALE / 2);
    }
    tiers
}

/// Fees, bands and what else every instrument has.
fn terms(random: &mut Random) -> InstrumentSpec {
    let sources = i64::from(random.percent(30)) * 2 + 1;
    InstrumentSpec {
        min_notional: Money(random.pick(&[0, 5, 100]) * SCALE),
        taker_fee: random.pick(&[55_000, 100_000, 0, 123_457]),
        maker_fee: random.pick(&[20_000, 0, 33_333]),
        price_band_x: SCALE * random.pick(&[1, 3, 15]) / 100,
        price_band_y: SCALE * random.pick(&[2, 5, 30]) / 100,
        index_sources: (0..sources).map(|at| IndexSourceSpec::new(&format!("spot {at}"), at + 1)).collect(),
        basis_window_ms: random.pick(&[5_000, 300_000]),
        default_leverage: random.pick(&[1000, 5000]),
        ..InstrumentSpec::default()
    }
}
