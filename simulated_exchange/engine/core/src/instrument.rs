//! Listed instruments: their filters, tiers, price sources, and what a quantity is worth at a price. No state.

use serde::{Deserialize, Serialize};

use crate::exchange::MARKET_MS_MAX;
use crate::fixed::{div_half_up, narrow_share_ceil, saturate, Ratio, Step};
use crate::funding::{self, FundingSpec};
use crate::genesis::{known_coin, require, GenesisError, Listing};
use crate::index::IndexMethod;
use crate::margin::{order_cost, order_share};
use crate::types::{CoinId, InstrumentId, Money, PoolId, Price, Qty, Side, LEVERAGE_SCALE, MONEY_MAX, SCALE};

/// Most instruments one exchange lists.
pub const INSTRUMENTS_MAX: usize = 512;
/// Most risk-limit tiers of an instrument.
pub const TIERS_MAX: usize = 64;
/// Most index sources of an instrument.
pub const INDEX_SOURCES_MAX: usize = 16;
/// Highest price of any instrument, counted in its ticks (bounds the price ladder).
pub const TICKS_MAX: i64 = 1 << 26;
/// Size at which everything larger counts.
const SIZE_MAX: i64 = 4 * MONEY_MAX;
/// Largest leverage of any tier, in hundredths.
pub const LEVERAGE_MAX: i64 = 100_000;
/// Longest window of the mean basis.
pub const BASIS_WINDOW_MS_MAX: i64 = 3_600_000;

/// One risk-limit tier as published; the deduction is derived.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TierSpec {
    /// Largest position value of the tier.
    pub limit: Money,
    /// Largest leverage, in hundredths.
    pub max_leverage: i64,
    /// Maintenance margin rate, in `10^-8`.
    pub maintenance_rate: i64,
}

/// One component of the index.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IndexSourceSpec {
    /// Name, for people.
    pub name: String,
    /// Relative weight; only proportions matter.
    pub weight: i64,
    /// Instrument, listed before this one, whose index turns the source's price into the instrument's quote coin.
    pub converted_by: Option<InstrumentId>,
}

impl IndexSourceSpec {
    /// A source quoted in the instrument's own quote coin.
    pub fn new(name: &str, weight: i64) -> Self {
        Self { name: name.into(), weight, converted_by: None }
    }
}

/// What is traded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Kind {
    /// A contract without an end.
    #[default]
    Perpetual,
    /// A contract that is settled at a time.
    Expiry {
        /// Market time of its delivery.
        delivery_ms: i64,
    },
    /// The coin itself.
    Spot,
}

/// An instrument as listed. Rates are in `10^-8`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstrumentSpec {
    /// Such as `BTCUSDT`.
    pub symbol: String,
    /// Base coin.
    pub base: String,
    /// Quote coin; a linear contract settles in it, an inverse one in its base coin.
    pub quote: String,
    /// What is traded.
    pub kind: Kind,
    /// A quantity is an amount of the quote coin, and settles in the base coin.
    pub inverse: bool,
    /// Name of the insurance pool; empty for the first one of the settlement coin.
    pub pool: String,
    /// Smallest price step.
    pub tick_size: Price,
    /// Highest price an order may name.
    pub max_price: Price,
    /// Smallest quantity step.
    pub qty_step: Qty,
    /// Smallest order.
    pub min_qty: Qty,
    /// Largest limit order.
    pub max_qty: Qty,
    /// Largest market order.
    pub max_market_qty: Qty,
    /// Largest post-only order, unless it is that of every limit order.
    pub max_post_only_qty: Option<Qty>,
    /// Smallest order value; reduce-only orders are exempt.
    pub min_notional: Money,
    /// Risk-limit tiers, smallest first.
    pub tiers: Vec<TierSpec>,
    /// Taker fee rate.
    pub taker_fee: i64,
    /// Maker fee rate.
    pub maker_fee: i64,
    /// Inner half-width of the price band around the mark (`priceLimitRatioX`).
    pub price_band_x: i64,
    /// Outer half-width of the price band (`priceLimitRatioY`).
    pub price_band_y: i64,
    /// Components of the index.
    pub index_sources: Vec<IndexSourceSpec>,
    /// A component not updated for longer does not count.
    pub index_stale_ms: i64,
    /// How the components become one price.
    pub index_method: IndexMethod,
    /// Components are clamped to, or dropped beyond, this distance from their median.
    pub index_clamp: i64,
    /// Window of the mean basis.
    pub basis_window_ms: i64,
    /// Funding, of a perpetual.
    pub funding: FundingSpec,
    /// Leverage of an account that never set one, in hundredths.
    pub default_leverage: i64,
    /// Fee rate of a position closed at delivery.
    pub delivery_fee: i64,
    /// An index of 50 ticks or less leaves only reduce-only orders.
    pub guards_low_price: bool,
    /// Isolated positions are margined on their entry price alone, as they were before September 2025; on the mark otherwise.
    pub isolated_on_entry: bool,
    /// Zone of listing, such as `innovation`; empty for the ordinary one. For people: the zone's tiers, funding caps and
    /// pool are the instrument's own.
    pub zone: String,
}

impl Default for InstrumentSpec {
    /// A contract with the published parameters of BTCUSDT's first tier; a base for tests and configuration defaults.
    fn default() -> Self {
        Self {
            symbol: "BTCUSDT".into(),
            base: "BTC".into(),
            quote: "USDT".into(),
            kind: Kind::Perpetual,
            inverse: false,
            pool: String::new(),
            tick_size: Price(SCALE / 10),
            max_price: Price(1_999_999 * SCALE),
            qty_step: Qty(SCALE / 1000),
            min_qty: Qty(SCALE / 1000),
            max_qty: Qty(1190 * SCALE),
            max_market_qty: Qty(500 * SCALE),
            max_post_only_qty: None,
            min_notional: Money(5 * SCALE),
            tiers: vec![TierSpec {
                limit: Money(2_000_000 * SCALE),
                max_leverage: 10_000,
                maintenance_rate: SCALE / 200,
            }],
            taker_fee: 55_000,
            maker_fee: 20_000,
            price_band_x: SCALE / 100,
            price_band_y: SCALE / 50,
            index_sources: vec![IndexSourceSpec::new("spot", 1)],
            index_stale_ms: 60_000,
            index_method: IndexMethod::Clamp,
            index_clamp: 3 * SCALE / 100,
            basis_window_ms: 300_000,
            funding: FundingSpec::default(),
            default_leverage: 1000,
            delivery_fee: SCALE / 2000,
            guards_low_price: false,
            isolated_on_entry: false,
            zone: String::new(),
        }
    }
}

/// A tier ready for use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tier {
    /// Largest position value of the tier.
    pub limit: i128,
    /// Largest leverage, in hundredths.
    pub max_leverage: i64,
    /// Maintenance margin rate, in `10^-8`.
    pub maintenance_rate: i64,
    /// The same in lowest terms.
    pub maintenance: Ratio,
    /// What the rate counts too much because lower brackets have lower rates; rounded down.
    pub deduction: i128,
}

/// A contract ready for use: the specification and what follows from it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Instrument {
    /// As listed.
    pub spec: InstrumentSpec,
    /// Base coin, where it is one the exchange knows; always for inverse contracts and spot.
    pub base: Option<CoinId>,
    /// Quote coin, where it is one the exchange knows.
    pub quote: Option<CoinId>,
    /// Coin in which profit, margin and fees are counted.
    pub settle: CoinId,
    /// Insurance pool.
    pub pool: PoolId,
    /// `+1` when a buyer's settlement value rises with the price times quantity, `-1` when it is quantity over price.
    pub direction: i64,
    /// Linear: money units of one lot at a price of one tick, so that value = ticks x lots x `lot_tick_value`, exactly.
    pub lot_tick_value: i64,
    /// Inverse: money units of one lot at a price of one tick, before rounding: value = lots x this / ticks.
    pub lot_over_tick: i128,
    /// Smallest price step.
    pub tick: Step,
    /// Smallest quantity step.
    pub lot: Step,
    /// Highest price in ticks.
    pub max_ticks: i64,
    /// Largest position, orders included, in lots: its value at the highest price is still within `MONEY_MAX`.
    pub position_lots_max: i64,
    /// Largest value of a position: the limit of the last tier.
    pub value_max: i64,
    /// Taker fee rate in lowest terms.
    pub taker_fee: Ratio,
    /// Leverage of an account that never set one, in hundredths: as listed, within the first tier at genesis. Later risk
    /// limits do not change it, so that it does not matter when an account first came here.
    pub default_leverage: i64,
    /// Parts of a whole that an order costs per size at that leverage: see `order_shares`.
    pub default_shares: [(u64, u64); 2],
    /// Leverage that every tier allows, in hundredths.
    pub leverage_everywhere: i64,
    /// Tiers with their deductions.
    pub tiers: Vec<Tier>,
    /// The coin itself is traded.
    pub is_spot: bool,
    /// A linear contract that settles in a coin worth one USD: see `plain`.
    pub is_plain: bool,
    /// Of base and quote coin, what of their value counts as collateral in the first bracket, in `10^-8`.
    pub collateral_ratios: (i64, i64),
}

impl Instrument {
    /// Signed settlement value of signed lots at a price in ticks, such that profit is value less entry value. Linear:
    /// price times quantity, exact. Inverse: minus quantity over price, its size rounded half up.
    #[inline]
    pub fn value(&self, lots: i64, ticks: i64) -> i128 {
        if self.direction > 0 {
            return self.narrow_value(lots, ticks).map_or_else(|| self.wide_value(lots, ticks), i128::from);
        }
        self.inverse_value(lots, ticks)
    }

    /// The same of a linear contract, if it takes no more than 64 bits.
    #[inline]
    pub fn narrow_value(&self, lots: i64, ticks: i64) -> Option<i64> {
        if self.direction < 0 {
            return None;
        }
        lots.checked_mul(ticks)?.checked_mul(self.lot_tick_value)
    }

    #[cold]
    fn wide_value(&self, lots: i64, ticks: i64) -> i128 {
        i128::from(lots) * i128::from(ticks) * i128::from(self.lot_tick_value)
    }

    #[cold]
    fn inverse_value(&self, lots: i64, ticks: i64) -> i128 {
        let size =
            div_half_up(i128::from(lots.unsigned_abs()) * self.lot_over_tick, i128::from(ticks.max(1)));
        if lots > 0 {
            -size
        } else {
            size
        }
    }

    /// Size of lots with their sign, exactly: a numerator and what it is over. Its rounding is `value`, but for the sign
    /// of an inverse contract.
    pub fn size_parts(&self, lots: i64, ticks: i64) -> (i128, i128) {
        if self.direction > 0 {
            (self.value(lots, ticks), 1)
        } else {
            (i128::from(lots) * self.lot_over_tick, i128::from(ticks.max(1)))
        }
    }

    /// Replaces the risk limits.
    pub(crate) fn set_tiers(&mut self, specs: Vec<TierSpec>, tiers: Vec<Tier>) {
        self.leverage_everywhere = tiers.last().map_or(0, |tier| tier.max_leverage);
        self.value_max = specs.last().map_or(0, |tier| tier.limit.0);
        self.spec.tiers = specs;
        self.tiers = tiers;
    }

    /// Price times quantity in the quote coin, unsigned.
    pub fn notional(&self, lots: i64, ticks: i64) -> i128 {
        if self.direction > 0 {
            self.value(lots, ticks).abs()
        } else {
            self.qty_of(lots)
        }
    }

    /// What lots bought or sold at a price lose at another one; 0 for a gain.
    #[inline]
    pub fn loss(&self, lots: i64, ticks: i64, mark_ticks: i64, side: Side) -> i128 {
        if side.sign() * (ticks - mark_ticks) <= 0 {
            return 0;
        }
        let (signed, distance) = (lots * side.sign(), ticks - mark_ticks);
        match self.narrow_value(signed, distance) {
            Some(loss) => i128::from(loss),
            None => (self.value(signed, ticks) - self.value(signed, mark_ticks)).max(0),
        }
    }

    /// Size of lots at a price. What an account may hold and order is within `2 x MONEY_MAX`; anything above `SIZE_MAX`
    /// counts as that, so that sums with one more order fit as well.
    #[inline]
    pub fn size(&self, lots: i64, ticks: i64) -> i64 {
        if self.direction > 0 {
            // the dearest lot is worth no more than `MONEY_MAX`
            return lots.saturating_mul(ticks * self.lot_tick_value).min(SIZE_MAX);
        }
        saturate(self.inverse_value(lots, ticks).abs()).min(SIZE_MAX)
    }

    /// True when an account may hold so many lots, orders included.
    #[inline]
    pub fn allows(&self, lots: i64, mark_ticks: i64) -> bool {
        lots <= self.position_lots_max && self.size(lots, mark_ticks) <= self.value_max
    }

    /// Cost of an opening order of a size: rules 4.1.
    #[inline]
    pub fn order_cost(&self, size: i64, side: Side, leverage: i64) -> i64 {
        let toward = side.sign() * self.direction;
        let (parts, whole) = if leverage == self.default_leverage {
            self.default_shares[usize::from(toward < 0)]
        } else {
            order_share(toward, leverage, self.taker_fee)
        };
        let narrow = narrow_share_ceil(size.unsigned_abs(), parts, whole);
        match narrow.and_then(|cost| i64::try_from(cost).ok()) {
            Some(cost) if size >= 0 => cost.min(SIZE_MAX),
            _ => self.wide_order_cost(size, toward, leverage),
        }
    }

    #[cold]
    fn wide_order_cost(&self, size: i64, toward: i64, leverage: i64) -> i64 {
        saturate(order_cost(i128::from(size), toward, leverage, self.taker_fee)).min(SIZE_MAX)
    }

    /// True for a contract, false for spot.
    pub fn is_contract(&self) -> bool {
        !self.is_spot
    }

    /// A quantity of lots as the boundary counts it.
    #[inline]
    pub fn qty(&self, lots: i64) -> Qty {
        Qty(lots.saturating_mul(self.spec.qty_step.0))
    }

    /// Size of signed lots, not limited to the boundary's numbers.
    pub fn qty_of(&self, lots: i64) -> i128 {
        i128::from(lots.unsigned_abs()) * i128::from(self.spec.qty_step.0)
    }

    /// A price of ticks as the boundary counts it.
    #[inline]
    pub fn price(&self, ticks: i64) -> Price {
        Price(ticks.saturating_mul(self.spec.tick_size.0))
    }

    /// Leverage of an account that never set one.
    pub fn default_leverage(&self) -> i64 {
        self.default_leverage
    }
}

/// Checks an instrument and derives what the exchange computes with; coins and pools are listed already.
pub(crate) fn derive(
    index: usize,
    spec: &InstrumentSpec,
    listing: &Listing,
) -> Result<Instrument, GenesisError> {
    let at = |field: &str| format!("instruments[{index}].{field}");
    check_steps(spec, &at)?;
    check_rates(spec, &at)?;
    check_sources(index, spec, &at)?;
    let tiers = derive_tiers(&spec.tiers, &at)?;
    funding::check(spec, &at)?;
    check_exact(spec, &at)?;
    let max_ticks = spec.max_price.0 / spec.tick_size.0;
    require(max_ticks <= TICKS_MAX, &at("max_price"), || format!("at most {TICKS_MAX} ticks"))?;
    let base = listing.coin(&spec.base);
    let settle = known_coin(listing, if spec.inverse { &spec.base } else { &spec.quote }, &at("quote"))?;
    let needs_base = spec.inverse || spec.kind == Kind::Spot;
    require(base.is_some() || !needs_base, &at("base"), || {
        format!("was {}, must be a listed coin", spec.base)
    })?;
    if let Kind::Expiry { delivery_ms } = spec.kind {
        require((1..=MARKET_MS_MAX).contains(&delivery_ms), &at("delivery_ms"), || {
            format!("was {delivery_ms}, allowed 1 to {MARKET_MS_MAX}")
        })?;
    }
    require(!(spec.inverse && spec.kind == Kind::Spot), &at("inverse"), || "spot is never inverse".into())?;
    let pool = listing.pool(&spec.pool, settle).ok_or_else(|| GenesisError {
        field: at("pool"),
        allowed: format!("was {:?}, must be a listed pool of the settlement coin", spec.pool),
    })?;
    let taker_fee = Ratio::new(spec.taker_fee, SCALE);
    let default_leverage = spec.default_leverage.min(tiers[0].max_leverage);
    let mut instrument = Instrument {
        spec: spec.clone(),
        base,
        quote: listing.coin(&spec.quote),
        settle,
        pool,
        direction: if spec.inverse { -1 } else { 1 },
        lot_tick_value: 0,
        lot_over_tick: 0,
        tick: Step::new(spec.tick_size.0),
        lot: Step::new(spec.qty_step.0),
        max_ticks,
        position_lots_max: 0,
        value_max: spec.tiers.last().map_or(0, |tier| tier.limit.0),
        taker_fee,
        default_leverage,
        default_shares: order_shares(default_leverage, taker_fee),
        leverage_everywhere: tiers.last().map_or(0, |tier| tier.max_leverage),
        tiers,
        is_spot: spec.kind == Kind::Spot,
        is_plain: !spec.inverse && spec.kind != Kind::Spot && listing.coins[usize::from(settle.0)].is_par,
        collateral_ratios: (base.map_or(0, |base| listing.first_ratio(base)), listing.first_ratio(settle)),
    };
    derive_values(&mut instrument, &at)?;
    Ok(instrument)
}

/// Parts of a whole that orders cost per size at a leverage, by the direction of value at bankruptcy.
pub(crate) fn order_shares(leverage: i64, taker_fee: Ratio) -> [(u64, u64); 2] {
    [1, -1].map(|toward| order_share(toward, leverage, taker_fee))
}

/// Every value must be a whole number of money units; an inverse one at least at one tick.
fn check_exact(spec: &InstrumentSpec, at: &dyn Fn(&str) -> String) -> Result<(), GenesisError> {
    let (tick, step, scale) = (i128::from(spec.tick_size.0), i128::from(spec.qty_step.0), i128::from(SCALE));
    let (is_exact, what) = if spec.inverse {
        (step * scale % tick == 0, "qty_step / tick_size")
    } else {
        (tick * step % scale == 0, "tick_size x qty_step")
    };
    require(is_exact, &at("tick_size"), || format!("{what} must be a whole number of 10^-8 money units"))
}

fn derive_values(instrument: &mut Instrument, at: &dyn Fn(&str) -> String) -> Result<(), GenesisError> {
    let (tick, step) = (i128::from(instrument.spec.tick_size.0), i128::from(instrument.spec.qty_step.0));
    let scale = i128::from(SCALE);
    let dearest = if instrument.direction > 0 {
        instrument.lot_tick_value = i64::try_from(tick * step / scale).unwrap_or(i64::MAX);
        i128::from(instrument.lot_tick_value) * i128::from(instrument.max_ticks)
    } else {
        instrument.lot_over_tick = step * scale / tick;
        instrument.lot_over_tick
    };
    instrument.position_lots_max = i64::try_from(i128::from(MONEY_MAX) / dearest.max(1)).unwrap_or(0);
    require(instrument.position_lots_max >= 1, &at("max_price"), || {
        format!("one qty_step must be worth at most {MONEY_MAX} units at any price")
    })
}

fn check_steps(spec: &InstrumentSpec, at: &dyn Fn(&str) -> String) -> Result<(), GenesisError> {
    let (tick, step) = (spec.tick_size.0, spec.qty_step.0);
    require(tick > 0 && tick <= MONEY_MAX, &at("tick_size"), || format!("was {tick}, must be positive"))?;
    require(step > 0 && step <= MONEY_MAX, &at("qty_step"), || format!("was {step}, must be positive"))?;
    let price = spec.max_price.0;
    require((tick..=MONEY_MAX).contains(&price), &at("max_price"), || {
        format!("was {price}, allowed tick_size to {MONEY_MAX}")
    })?;
    let quantities = [
        ("min_qty", spec.min_qty),
        ("max_qty", spec.max_qty),
        ("max_market_qty", spec.max_market_qty),
        ("max_post_only_qty", spec.max_post_only_qty.unwrap_or(spec.max_qty)),
    ];
    for (field, qty) in quantities {
        let fits = (1..=MONEY_MAX).contains(&qty.0) && qty >= spec.min_qty && qty.0 % step == 0;
        require(fits, &at(field), || {
            format!("was {}, must be a positive multiple of qty_step and not below min_qty", qty.0)
        })?;
    }
    let notional = spec.min_notional.0;
    require((0..=MONEY_MAX).contains(&notional), &at("min_notional"), || {
        format!("was {notional}, allowed 0 to {MONEY_MAX}")
    })
}

fn check_rates(spec: &InstrumentSpec, at: &dyn Fn(&str) -> String) -> Result<(), GenesisError> {
    let rates = [
        ("taker_fee", spec.taker_fee),
        ("maker_fee", spec.maker_fee),
        ("delivery_fee", spec.delivery_fee),
        ("price_band_x", spec.price_band_x),
        ("price_band_y", spec.price_band_y),
        ("index_clamp", spec.index_clamp),
    ];
    for (field, rate) in rates {
        require((0..SCALE).contains(&rate), &at(field), || {
            format!("was {rate}, allowed 0 to below {SCALE}")
        })?;
    }
    let times = [
        ("index_stale_ms", spec.index_stale_ms, i64::from(u32::MAX)),
        ("basis_window_ms", spec.basis_window_ms, BASIS_WINDOW_MS_MAX),
    ];
    for (field, time, max) in times {
        require((1000..=max).contains(&time), &at(field), || format!("was {time}, allowed 1000 to {max}"))?;
    }
    let leverage = spec.default_leverage;
    require(leverage >= LEVERAGE_SCALE, &at("default_leverage"), || {
        format!("was {leverage}, must be at least {LEVERAGE_SCALE} (1x)")
    })
}

fn check_sources(
    index: usize,
    spec: &InstrumentSpec,
    at: &dyn Fn(&str) -> String,
) -> Result<(), GenesisError> {
    let sources = &spec.index_sources;
    require((1..=INDEX_SOURCES_MAX).contains(&sources.len()), &at("index_sources"), || {
        format!("was {} entries, allowed 1 to {INDEX_SOURCES_MAX}", sources.len())
    })?;
    let weights_fit = sources.iter().all(|source| (1..=MONEY_MAX).contains(&source.weight));
    require(weights_fit, &at("index_sources"), || "every weight must be positive".into())?;
    let bridge_fits = |bridge: InstrumentId| usize::from(bridge.0) < index;
    let bridges_fit = sources.iter().all(|source| source.converted_by.is_none_or(bridge_fits));
    require(bridges_fit, &at("index_sources"), || {
        "a source is converted by an instrument listed before this one".into()
    })
}

/// Checks risk limits and derives their deductions.
pub(crate) fn derive_tiers(
    specs: &[TierSpec],
    at: &dyn Fn(&str) -> String,
) -> Result<Vec<Tier>, GenesisError> {
    let count = specs.len();
    require((1..=TIERS_MAX).contains(&count), &at("tiers"), || {
        format!("was {count} entries, allowed 1 to {TIERS_MAX}")
    })?;
    let mut tiers: Vec<Tier> = Vec::with_capacity(count);
    let (mut last_limit, mut last_rate, mut deduction) = (0_i64, 0_i64, 0_i128);
    let mut last_leverage = LEVERAGE_MAX;
    for (number, tier) in specs.iter().enumerate() {
        let (rate, leverage) = (tier.maintenance_rate, tier.max_leverage);
        let rising = tier.limit.0 > last_limit && rate >= last_rate && tier.limit.0 <= MONEY_MAX;
        let sound = (1..SCALE).contains(&rate) && (LEVERAGE_SCALE..=last_leverage).contains(&leverage);
        require(rising && sound, &at(&format!("tiers[{number}]")), || {
            "limits must rise, rates must not fall and lie between 0 and 1, max_leverage must not rise and lie between 1x and 1000x"
                .into()
        })?;
        if number > 0 {
            deduction += i128::from(last_limit) * i128::from(rate - last_rate) / i128::from(SCALE);
        }
        tiers.push(Tier {
            limit: i128::from(tier.limit.0),
            max_leverage: leverage,
            maintenance_rate: rate,
            maintenance: Ratio::new(rate, SCALE),
            deduction,
        });
        (last_limit, last_rate, last_leverage) = (tier.limit.0, rate, leverage);
    }
    Ok(tiers)
}
