//! Coins and insurance pools as listed at genesis. Validation only; balances live in `account`.

use serde::{Deserialize, Serialize};

use crate::genesis::{require, GenesisError};
use crate::insurance::AdlSpec;
use crate::lending::{BorrowTier, LendingSpec};
use crate::types::{InstrumentId, Money, Price, Qty, MONEY_MAX, RATE_SCALE, SCALE};

/// Most coins one exchange knows.
pub const COINS_MAX: usize = 512;
/// Most brackets of a coin's collateral value.
pub const COLLATERAL_TIERS_MAX: usize = 32;
/// Most margin tiers of a coin's loans.
pub const BORROW_TIERS_MAX: usize = 32;
/// Highest ratio of loans per pool a ladder may name: tenfold.
const POOL_RATIO_MAX: i64 = 10 * SCALE;

/// Where a coin's price in USD comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CoinPrice {
    /// Always this.
    Fixed(Price),
    /// Reported by command; the number is the price before the first report, 0 for none.
    Reported(Price),
    /// Index of this instrument times the price of its quote coin.
    Index(InstrumentId),
    /// What a third coin costs in dollars over what it costs in this coin: two indices.
    Ratio {
        /// Instrument whose index is in dollars.
        dollars: InstrumentId,
        /// Instrument whose index is in this coin.
        coins: InstrumentId,
    },
}

/// One bracket of a coin's collateral value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CollateralTier {
    /// Largest quantity of the bracket, counted from nothing.
    pub limit: Qty,
    /// Part of its value that counts, in `10^-8`.
    pub ratio: i64,
}

/// A coin as listed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CoinSpec {
    /// Such as `USDT`.
    pub name: String,
    /// Where its price comes from.
    pub price: CoinPrice,
    /// Brackets of collateral value, smallest first; what lies beyond the last counts nothing.
    pub collateral: Vec<CollateralTier>,
    /// The venue takes it as collateral at all.
    pub is_collateral: bool,
    /// An account may stop using it as collateral.
    pub can_switch: bool,
    /// Margin tiers of loans, smallest first; without any, a loan needs its whole value.
    pub borrow: Vec<BorrowTier>,
    /// What an account and its sub-accounts may borrow at the standard level.
    pub user_limit: Qty,
    /// Borrowing from unrealised loss that bears no interest.
    pub free_limit: Qty,
    /// The pool it is lent from; without one it is not lent, and owing it costs nothing.
    pub lending: Option<LendingSpec>,
}

impl CoinSpec {
    /// A coin that is worth one USD and counts in full, whatever the quantity.
    pub fn par(name: &str) -> Self {
        Self {
            name: name.into(),
            price: CoinPrice::Fixed(Price(SCALE)),
            collateral: vec![CollateralTier { limit: Qty(i64::MAX), ratio: SCALE }],
            is_collateral: true,
            can_switch: false,
            borrow: Vec::new(),
            user_limit: Qty(0),
            free_limit: Qty(0),
            lending: None,
        }
    }
}

/// A coin ready for use.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Coin {
    /// As listed.
    pub spec: CoinSpec,
    /// One unit is one unit of USD, always: no conversion, no haircut.
    pub is_par: bool,
}

/// An insurance pool as listed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PoolSpec {
    /// Name, for people.
    pub name: String,
    /// Name of the coin it is held in.
    pub coin: String,
    /// Opening balance.
    pub balance: Money,
    /// When it stops bearing a contract's losses.
    pub adl: AdlSpec,
}

/// Checks a coin and derives what the exchange computes with.
pub(crate) fn derive(at: usize, spec: &CoinSpec, instruments: usize) -> Result<Coin, GenesisError> {
    let field = |name: &str| format!("coins[{at}].{name}");
    require(!spec.name.is_empty(), &field("name"), || "must not be empty".into())?;
    let price_fits = match spec.price {
        CoinPrice::Fixed(price) => (1..=MONEY_MAX).contains(&price.0),
        CoinPrice::Reported(price) => (0..=MONEY_MAX).contains(&price.0),
        CoinPrice::Index(instrument) => usize::from(instrument.0) < instruments,
        CoinPrice::Ratio { dollars, coins } => {
            usize::from(dollars.0.max(coins.0)) < instruments && dollars != coins
        }
    };
    require(price_fits, &field("price"), || "must be a positive price, or name a listed instrument".into())?;
    let count = spec.collateral.len();
    require(count <= COLLATERAL_TIERS_MAX, &field("collateral"), || {
        format!("was {count} entries, at most {COLLATERAL_TIERS_MAX} are allowed")
    })?;
    let mut last = 0;
    for tier in &spec.collateral {
        let sound = tier.limit.0 > last && (0..=SCALE).contains(&tier.ratio);
        require(sound, &field("collateral"), || "limits must rise, ratios lie between 0 and 1".into())?;
        last = tier.limit.0;
    }
    check_borrowing(spec, &field)?;
    let counts_in_full = matches!(spec.collateral.as_slice(), [CollateralTier { limit, ratio }] if limit.0 == i64::MAX && *ratio == SCALE);
    let is_one = spec.price == CoinPrice::Fixed(Price(SCALE));
    let is_par = is_one && counts_in_full && spec.is_collateral && !spec.can_switch;
    Ok(Coin { spec: spec.clone(), is_par })
}

/// Checks what of a coin may be borrowed, and from which pool.
fn check_borrowing(spec: &CoinSpec, field: &dyn Fn(&str) -> String) -> Result<(), GenesisError> {
    let count = spec.borrow.len();
    require(count <= BORROW_TIERS_MAX, &field("borrow"), || {
        format!("was {count} entries, at most {BORROW_TIERS_MAX} are allowed")
    })?;
    let (mut limit, mut initial, mut maintenance) = (0, 0, 0);
    for tier in &spec.borrow {
        let rises =
            tier.limit.0 > limit && tier.initial_rate >= initial && tier.maintenance_rate >= maintenance;
        let sound = tier.maintenance_rate > 0 && (tier.maintenance_rate..=SCALE).contains(&tier.initial_rate);
        require(rises && sound, &field("borrow"), || {
            "limits must rise, rates not fall and lie above 0 and up to 1, maintenance at most initial".into()
        })?;
        (limit, initial, maintenance) = (tier.limit.0, tier.initial_rate, tier.maintenance_rate);
    }
    let amount = |value: i64| (0..=MONEY_MAX).contains(&value);
    require(amount(spec.user_limit.0), &field("user_limit"), || format!("allowed 0 to {MONEY_MAX}"))?;
    require(amount(spec.free_limit.0), &field("free_limit"), || format!("allowed 0 to {MONEY_MAX}"))?;
    let Some(lending) = &spec.lending else { return Ok(()) };
    let curve = &lending.curve;
    let rates = [curve.base, curve.slope1, curve.slope2];
    let curve_fits =
        rates.iter().all(|rate| (0..=RATE_SCALE).contains(rate)) && (0..=SCALE).contains(&curve.kink);
    require(curve_fits, &field("lending"), || {
        "rates of an hour must lie between 0 and 1, the kink too".into()
    })?;
    let ladder = &lending.ladder;
    let ratios = [lending.cap, ladder.warning, ladder.stop, ladder.repay];
    let ladder_fits = ratios.iter().all(|ratio| (1..=POOL_RATIO_MAX).contains(ratio));
    require(ladder_fits && ladder.stop < ladder.repay && lending.cap <= SCALE, &field("lending"), || {
        "cap lies above 0 and up to 1; warning, repay and stop above 0 and up to 10, stop below repay".into()
    })?;
    require((0..=SCALE).contains(&lending.reserve), &field("lending.reserve"), || "allowed 0 to 1".into())?;
    require(amount(lending.supplied.0), &field("lending.supplied"), || format!("allowed 0 to {MONEY_MAX}"))
}
