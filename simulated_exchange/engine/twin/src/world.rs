//! Venues to run random commands on: what is listed, drawn from a seed. Tiers are low and pools small, so that accounts pass
//! tiers, are liquidated and deleveraged all the time.

use exchange_core::{
    BorrowTier, CoinPrice, CoinSpec, CollateralTier, Genesis, IndexMethod, IndexSourceSpec, InstrumentId,
    InstrumentSpec, Kind, Ladder, LendingSpec, Money, PoolSpec, Price, Qty, RateCurve, TierSpec, MONEY_MAX,
    SCALE,
};

use crate::random::Random;

/// Price of bitcoin in the beginning, in whole USD.
pub const BTC_PRICE: i64 = 50_000;
/// Price of ether in the beginning, in whole USD.
pub const ETH_PRICE: i64 = 2_000;

/// A venue drawn from a seed.
pub fn genesis(random: &mut Random) -> Genesis {
    let instruments = listed(random);
    let mut fund = |whole: i64| if random.percent(30) { 0 } else { random.scaled(whole) * SCALE / 100 };
    let pools = [("USDT", fund(1_000_000)), ("BTC", fund(100)), ("USDC", fund(10_000))]
        .map(|(coin, balance)| pool(coin, balance, random));
    let in_usdc = instruments.iter().position(|spec| spec.symbol == "BTCUSDC").unwrap_or(0);
    let mut genesis = Genesis::linear(instruments, Money(0));
    genesis.pools = pools.to_vec();
    let mut usdc = CoinSpec::par("USDC");
    if in_usdc > 0 && random.percent(50) {
        let coins = InstrumentId(u16::try_from(in_usdc).unwrap_or(0));
        usdc.price = CoinPrice::Ratio { dollars: InstrumentId(0), coins };
    }
    genesis.coins = vec![
        lent(CoinSpec::par("USDT"), 200_000 * SCALE, random),
        lent(moving("BTC", BTC_PRICE, InstrumentId(0), random), 10 * SCALE, random),
        lent(usdc, 200_000 * SCALE, random),
        lent(moving("ETH", ETH_PRICE, InstrumentId(1), random), 100 * SCALE, random),
    ];
    genesis.liquidation.fill_or_kill = random.percent(20);
    genesis.liquidation.takeover_beyond = random.percent(30).then(|| random.between(0, 30_000_000));
    genesis.instruments.iter_mut().for_each(|spec| spec.isolated_on_entry = random.percent(15));
    genesis
}

/// What is listed: two contracts always, others most of the time.
fn listed(random: &mut Random) -> Vec<InstrumentSpec> {
    let mut instruments = vec![linear("BTC", "USDT", random), linear("ETH", "USDT", random)];
    if random.percent(50) {
        // ether against bitcoin, turned into USDT by the first index
        let weight = random.between(1, 5);
        let source =
            IndexSourceSpec { converted_by: Some(InstrumentId(0)), ..IndexSourceSpec::new("cross", weight) };
        instruments[1].index_sources.push(source);
    }
    if random.percent(60) {
        instruments.push(inverse("BTC", random));
    }
    if random.percent(40) {
        instruments.push(linear("BTC", "USDC", random));
    }
    for (base, quote) in [("BTC", "USDT"), ("ETH", "USDT"), ("ETH", "BTC")] {
        if random.percent(35) {
            instruments.push(spot(base, quote, random));
        }
    }
    for is_inverse in [false, true] {
        if random.percent(30) {
            let spec = if is_inverse { inverse("BTC", random) } else { linear("BTC", "USDT", random) };
            let delivery_ms = random.pick(&[100_000, 2_000_000, 20_000_000, 60_000_000, 200_000_000]);
            let symbol = format!("{}-LATER", spec.symbol);
            instruments.push(InstrumentSpec { symbol, kind: Kind::Expiry { delivery_ms }, ..spec });
        }
    }
    instruments
}

/// Price of a pair in the beginning, in whole units of the quote coin.
pub fn first_price(spec: &InstrumentSpec) -> i64 {
    match (spec.base.as_str(), spec.quote.as_str()) {
        ("ETH", "BTC") => ETH_PRICE * SCALE / BTC_PRICE,
        ("ETH", _) => ETH_PRICE * SCALE,
        _ => BTC_PRICE * SCALE,
    }
}

/// A pool of a coin.
fn pool(coin: &str, balance: i64, random: &mut Random) -> PoolSpec {
    let mut pool = Genesis::linear(vec![InstrumentSpec::default()], Money(balance)).pools.remove(0);
    (pool.name, pool.coin) = (coin.into(), coin.into());
    pool.adl.threshold = Money(if random.percent(50) { 0 } else { 10_000 * SCALE });
    pool.adl.mark_beyond = if random.percent(20) { SCALE / 20 } else { 0 };
    pool
}

/// A coin with a lending pool, most of the time, around an amount of it.
fn lent(mut coin: CoinSpec, amount: i64, random: &mut Random) -> CoinSpec {
    let tier = |limit: i64, initial: i64, maintenance: i64| BorrowTier {
        limit: Qty(limit),
        initial_rate: initial * SCALE / 100,
        maintenance_rate: maintenance * SCALE / 100,
    };
    if random.percent(80) {
        coin.borrow = vec![tier(amount / 10, 20, 4), tier(amount, 25, 5), tier(amount * 10, 50, 10)];
    }
    coin.user_limit = Qty(random.scaled(amount));
    coin.free_limit = Qty(random.pick(&[0, 0, amount / 20]));
    if random.percent(80) {
        coin.lending = Some(LendingSpec {
            curve: RateCurve {
                base: random.pick(&[0, 1_000_000, 12_345_678]),
                slope1: random.pick(&[0, 5_000_000, 33_333_333_333]),
                kink: random.pick(&[0, 80 * SCALE / 100, SCALE]),
                slope2: random.pick(&[0, 50_000_000, 99_999_999_999]),
            },
            reserve: random.pick(&[0, SCALE / 10, SCALE]),
            cap: random.pick(&[SCALE, SCALE / 2]),
            ladder: Ladder {
                warning: random.pick(&[SCALE / 2, SCALE]),
                repay: random.pick(&[SCALE * 6 / 10, SCALE, SCALE * 3 / 2]),
                stop: SCALE * 55 / 100,
            },
            supplied: Money(random.pick(&[0, 1, 100]) * amount / 100),
        });
    }
    coin
}

fn moving(name: &str, price: i64, index: InstrumentId, random: &mut Random) -> CoinSpec {
    let limits = [10, 20, 30].map(|whole| Qty(whole * SCALE));
    let tier = |limit: Qty, ratio: i64| CollateralTier { limit, ratio: ratio * SCALE / 100 };
    let mut coin = CoinSpec::par(name);
    let reported = CoinPrice::Reported(Price(price * SCALE));
    coin.price = if random.percent(60) { reported } else { CoinPrice::Index(index) };
    coin.collateral = if random.percent(80) {
        vec![tier(limits[0], 98), tier(limits[1], 90), tier(limits[2], 50)]
    } else {
        Vec::new()
    };
    coin.is_collateral = random.percent(90);
    coin.can_switch = true;
    coin
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
        max_market_qty: Qty(step * random.pick(&[100, 1000, 200_000])),
        max_post_only_qty: random.percent(50).then_some(Qty(step * 1000)),
        tiers: tiers(20_000 * SCALE, random),
        ..terms(random)
    }
}

/// Coins themselves; now and then in steps so coarse that the index comes near fifty of them.
fn spot(base: &str, quote: &str, random: &mut Random) -> InstrumentSpec {
    let contract = linear(base, quote, random);
    let in_bitcoin = quote == "BTC";
    let tick = if in_bitcoin { SCALE / 10_000 } else { contract.tick_size.0 };
    let coarse = random.percent(30).then(|| random.pick(&[19, 30, 38]) * SCALE);
    let coarse = coarse.map(|coarse| if base == "ETH" { coarse } else { coarse * 25 });
    let coarse = coarse.map(|coarse| if in_bitcoin { coarse / 100_000 } else { coarse });
    InstrumentSpec {
        symbol: format!("{base}/{quote}"),
        kind: Kind::Spot,
        tick_size: Price(coarse.unwrap_or(tick)),
        max_price: if in_bitcoin { Price(10 * SCALE) } else { contract.max_price },
        min_notional: if in_bitcoin { Money(0) } else { contract.min_notional },
        guards_low_price: coarse.is_some(),
        qty_step: Qty(SCALE / 1000 * if base == "ETH" { 10 } else { 1 }),
        ..contract
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
        index_method: random.weighted(&[
            (70, IndexMethod::Clamp),
            (15, IndexMethod::Drop),
            (15, IndexMethod::TwoPass),
        ]),
        basis_window_ms: random.pick(&[5_000, 300_000]),
        default_leverage: random.pick(&[1000, 5000]),
        ..InstrumentSpec::default()
    }
}
