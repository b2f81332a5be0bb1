//! What an exchange starts from: coins, insurance pools, instruments; checked as a whole. No state.

use serde::{Deserialize, Serialize};

use crate::coin::{self, Coin, CoinPrice, CoinSpec, PoolSpec, COINS_MAX};
use crate::instrument::{self, Instrument, InstrumentSpec, INSTRUMENTS_MAX};
use crate::insurance::AdlSpec;
use crate::types::{CoinId, Money, PoolId, FIRST_POOL_ACCOUNT, FIRST_USER_ACCOUNT, MONEY_MAX, SCALE};

/// Most insurance pools: their accounts lie below the users'.
pub const POOLS_MAX: usize = (FIRST_USER_ACCOUNT - FIRST_POOL_ACCOUNT) as usize;

/// Everything an exchange starts from.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Genesis {
    /// Coins; a coin's identifier is its position here.
    pub coins: Vec<CoinSpec>,
    /// Insurance pools; a pool's identifier is its position here.
    pub pools: Vec<PoolSpec>,
    /// Listed instruments; an instrument's identifier is its position here.
    pub instruments: Vec<InstrumentSpec>,
    /// How accounts are liquidated.
    pub liquidation: LiquidationSpec,
}

/// How accounts are liquidated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct LiquidationSpec {
    /// Orders that step a position down fill whole or not at all; else as far as they can.
    pub fill_or_kill: bool,
    /// How far beyond the mark, in `10^-8` of it, the venue closes at a loss what it has taken over; without it, as far as
    /// an instrument's taker and maker fee reach.
    pub takeover_beyond: Option<i64>,
}

impl Genesis {
    /// A venue whose instruments all settle in par coins: one coin and one pool of `fund` per quote coin.
    pub fn linear(instruments: Vec<InstrumentSpec>, fund: Money) -> Self {
        let mut names: Vec<String> = Vec::new();
        for spec in &instruments {
            if !names.contains(&spec.quote) {
                names.push(spec.quote.clone());
            }
        }
        let pool = |name: &String| {
            let (name, coin) = (name.clone(), name.clone());
            PoolSpec { name, coin, balance: fund, adl: AdlSpec::default() }
        };
        Self {
            coins: names.iter().map(|name| CoinSpec::par(name)).collect(),
            pools: names.iter().map(pool).collect(),
            instruments,
            liquidation: LiquidationSpec::default(),
        }
    }
}

/// A genesis that cannot be: which field of which entry, and what is allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GenesisError {
    /// Field, such as `instruments[0].tick_size`.
    pub field: String,
    /// What is allowed.
    pub allowed: String,
}

impl std::fmt::Display for GenesisError {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}: {}", self.field, self.allowed)
    }
}

impl std::error::Error for GenesisError {}

/// An insurance pool ready for use.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Pool {
    /// As listed.
    pub spec: PoolSpec,
    /// Its coin.
    pub coin: CoinId,
}

/// A genesis ready for use.
#[derive(Clone, Debug)]
pub struct Listing {
    /// Coins.
    pub coins: Vec<Coin>,
    /// Insurance pools.
    pub pools: Vec<Pool>,
    /// Instruments.
    pub instruments: Vec<Instrument>,
}

impl Listing {
    /// The coin of a name.
    pub fn coin(&self, name: &str) -> Option<CoinId> {
        let at = self.coins.iter().position(|coin| coin.spec.name == name)?;
        u16::try_from(at).ok().map(CoinId)
    }

    /// What of a coin's value counts as collateral in its first bracket, in `10^-8`.
    pub(crate) fn first_ratio(&self, coin: CoinId) -> i64 {
        let spec = &self.coins[usize::from(coin.0)].spec;
        spec.collateral.first().filter(|_| spec.is_collateral).map_or(0, |tier| tier.ratio)
    }

    /// The pool an instrument pays into: the named one, or the first of its settlement coin.
    pub(crate) fn pool(&self, name: &str, settle: CoinId) -> Option<PoolId> {
        let fits = |pool: &Pool| pool.coin == settle && (name.is_empty() || pool.spec.name == name);
        let at = self.pools.iter().position(fits)?;
        u16::try_from(at).ok().map(PoolId)
    }
}

/// Checks a genesis and derives what the exchange computes with.
pub fn validate(genesis: &Genesis) -> Result<Listing, GenesisError> {
    let count = genesis.instruments.len();
    require((1..=INSTRUMENTS_MAX).contains(&count), "instruments", || {
        format!("was {count} entries, allowed 1 to {INSTRUMENTS_MAX}")
    })?;
    let coins = genesis.coins.len();
    require((1..=COINS_MAX).contains(&coins), "coins", || {
        format!("was {coins} entries, allowed 1 to {COINS_MAX}")
    })?;
    let pools = genesis.pools.len();
    require((1..=POOLS_MAX).contains(&pools), "pools", || {
        format!("was {pools} entries, allowed 1 to {POOLS_MAX}")
    })?;
    let mut listing = Listing { coins: Vec::new(), pools: Vec::new(), instruments: Vec::new() };
    for (at, spec) in genesis.coins.iter().enumerate() {
        let fresh = listing.coin(&spec.name).is_none();
        require(fresh, &format!("coins[{at}].name"), || format!("{} is listed twice", spec.name))?;
        listing.coins.push(coin::derive(at, spec, count)?);
    }
    for (at, spec) in genesis.pools.iter().enumerate() {
        let balance = spec.balance.0;
        require((0..=MONEY_MAX).contains(&balance), &format!("pools[{at}].balance"), || {
            format!("was {balance}, allowed 0 to {MONEY_MAX}")
        })?;
        let coin = known_coin(&listing, &spec.coin, &format!("pools[{at}].coin"))?;
        check_adl(&spec.adl, &format!("pools[{at}].adl"))?;
        listing.pools.push(Pool { spec: spec.clone(), coin });
    }
    let beyond = genesis.liquidation.takeover_beyond.unwrap_or(0);
    require((0..SCALE).contains(&beyond), "liquidation.takeover_beyond", || {
        format!("was {beyond}, allowed 0 to below {SCALE}")
    })?;
    for (at, spec) in genesis.instruments.iter().enumerate() {
        let instrument = instrument::derive(at, spec, &listing)?;
        listing.instruments.push(instrument);
    }
    check_coin_prices(&listing)?;
    Ok(listing)
}

fn check_adl(rule: &AdlSpec, at: &str) -> Result<(), GenesisError> {
    let fits = rule.threshold.0 >= 0
        && (-SCALE..=0).contains(&rule.trigger_ratio)
        && (rule.trigger_ratio..=0).contains(&rule.stop_ratio)
        && (0..=SCALE).contains(&rule.mark_beyond);
    require(fits, at, || {
        "threshold must not be negative, -1 <= trigger_ratio <= stop_ratio <= 0, mark_beyond lie between 0 and 1".into()
    })
}

/// A coin that follows an index must not be quoted in one that does so too: prices never depend on each other in a ring.
fn check_coin_prices(listing: &Listing) -> Result<(), GenesisError> {
    let followed = |coin: &Coin| match coin.spec.price {
        CoinPrice::Index(instrument) => listing.instruments.get(usize::from(instrument.0)),
        _ => None,
    };
    for (at, coin) in listing.coins.iter().enumerate() {
        let quote = followed(coin).and_then(|instrument| instrument.quote);
        let quote = quote.and_then(|quote| listing.coins.get(usize::from(quote.0)));
        require(quote.and_then(followed).is_none(), &format!("coins[{at}].price"), || {
            "the followed index must be quoted in a coin whose price is fixed or reported".into()
        })?;
    }
    Ok(())
}

pub(crate) fn known_coin(listing: &Listing, name: &str, field: &str) -> Result<CoinId, GenesisError> {
    listing.coin(name).ok_or_else(|| GenesisError {
        field: field.into(),
        allowed: format!("was {name}, must be a listed coin"),
    })
}

pub(crate) fn require(
    holds: bool,
    field: &str,
    allowed: impl FnOnce() -> String,
) -> Result<(), GenesisError> {
    if holds {
        Ok(())
    } else {
        Err(GenesisError { field: field.into(), allowed: allowed() })
    }
}
