//! One listed instrument: what its specification says, and what a quantity of it is worth at a price. No state.
//!
//! Prices, quantities and money are whole numbers of `10^-8`, as at the boundary; there are no lots or ticks here.

use exchange_core::{
    CoinId, InstrumentSpec, Kind, PoolId, Price, Qty, Side, LEVERAGE_SCALE, MONEY_MAX, SCALE,
};

use crate::rounding::{ceil, floor, half_up, shown};

/// One whole, of prices, quantities, money and most rates.
pub const ONE: i128 = SCALE as i128;
/// A leverage of 1x.
pub const LEVERAGE_ONE: i128 = LEVERAGE_SCALE as i128;

/// A risk-limit tier.
#[derive(Clone, Copy, Debug)]
pub struct Tier {
    /// Largest value.
    pub limit: i128,
    /// Largest leverage, in hundredths.
    pub leverage: i128,
    /// Maintenance margin rate.
    pub rate: i128,
    /// What the rate counts too much, because lower brackets have lower rates.
    pub deduction: i128,
}

/// A listed instrument.
#[derive(Clone, Debug)]
pub struct Contract {
    /// As listed.
    pub spec: InstrumentSpec,
    /// Coin of profit, margin and fees.
    pub settle: CoinId,
    /// Base coin, if it is listed.
    pub base: Option<CoinId>,
    /// Quote coin, if it is listed.
    pub quote: Option<CoinId>,
    /// Its insurance pool.
    pub pool: PoolId,
    /// Risk-limit tiers, smallest first.
    pub tiers: Vec<Tier>,
    /// Leverage of an account that never set one: as listed, within the first tier that was listed.
    pub default_leverage: i128,
}

impl Contract {
    /// From a specification that the exchange accepted.
    pub fn new(spec: &InstrumentSpec, [base, quote]: [Option<CoinId>; 2], pool: PoolId) -> Self {
        let mut tiers: Vec<Tier> = Vec::new();
        for listed in &spec.tiers {
            let rate = i128::from(listed.maintenance_rate);
            // deduction = limit below x (rate - rate below) + deduction below, rounded down at each step
            let deduction = tiers
                .last()
                .map_or(0, |below| below.deduction + floor(below.limit * (rate - below.rate), ONE));
            let (limit, leverage) = (i128::from(listed.limit.0), i128::from(listed.max_leverage));
            tiers.push(Tier { limit, leverage, rate, deduction });
        }
        let default_leverage = i128::from(spec.default_leverage).min(tiers[0].leverage);
        let settle = if spec.inverse { base } else { quote }.expect("a sound genesis");
        Self { spec: spec.clone(), settle, base, quote, pool, tiers, default_leverage }
    }

    /// Coins change hands, not positions.
    pub fn is_spot(&self) -> bool {
        self.spec.kind == Kind::Spot
    }

    /// When it is delivered, if ever.
    pub fn delivery_ms(&self) -> Option<i64> {
        match self.spec.kind {
            Kind::Expiry { delivery_ms } => Some(delivery_ms),
            Kind::Perpetual | Kind::Spot => None,
        }
    }

    /// Smallest step of a price.
    pub fn tick(&self) -> i128 {
        i128::from(self.spec.tick_size.0)
    }

    /// Smallest step of a quantity.
    pub fn step(&self) -> i128 {
        i128::from(self.spec.qty_step.0)
    }

    /// Highest price: the last whole tick.
    pub fn highest(&self) -> i128 {
        floor(i128::from(self.spec.max_price.0), self.tick()) * self.tick()
    }

    /// Size in the settlement coin of an unsigned quantity at a price. Linear: quantity times price, which is exact.
    /// Inverse: quantity over price, rounded half up.
    pub fn size(&self, qty: i128, price: i128) -> i128 {
        if qty == 0 {
            0
        } else if self.spec.inverse {
            half_up(qty.abs() * ONE, price)
        } else {
            floor(qty.abs() * price, ONE)
        }
    }

    /// Settlement value of a signed quantity: profit is value less value at entry. A long inverse contract gains as its
    /// size in the coin falls, so there the sign turns.
    pub fn value(&self, qty: i128, price: i128) -> i128 {
        self.size(qty, price) * qty.signum() * self.direction()
    }

    /// `+1` linear, `-1` inverse.
    pub fn direction(&self) -> i128 {
        if self.spec.inverse {
            -1
        } else {
            1
        }
    }

    /// Worth of an order in the quote coin, for the smallest order.
    pub fn notional(&self, qty: i128, price: i128) -> i128 {
        if self.spec.inverse {
            qty
        } else {
            self.size(qty, price)
        }
    }

    /// Price per whole unit of a size spread over a quantity, half up; 0 where there is none.
    pub fn price_of(&self, size: i128, qty: i128) -> i128 {
        let qty = qty.abs();
        if qty == 0 || size <= 0 {
            0
        } else if self.spec.inverse {
            half_up(qty * ONE, size)
        } else {
            half_up(size * ONE, qty)
        }
    }

    /// What a quantity bought or sold at a price loses at another one; 0 for a gain.
    pub fn loss(&self, side: Side, qty: i128, price: i128, mark: i128) -> i128 {
        let signed = qty * sign(side);
        (self.value(signed, price) - self.value(signed, mark)).max(0)
    }

    /// A fee on a size, rounded up.
    pub fn fee(size: i128, rate: i64) -> i128 {
        ceil(size.abs() * i128::from(rate), ONE)
    }

    /// Largest position with its orders: whole steps, and worth no more than `MONEY_MAX` wherever the price goes.
    pub fn largest(&self) -> i128 {
        let dearest = if self.spec.inverse { self.tick() } else { self.highest() };
        let step = self.size(self.step(), dearest);
        floor(i128::from(MONEY_MAX), step) * self.step()
    }

    /// Leverage of an account that never set one.
    pub fn default_leverage(&self) -> i128 {
        self.default_leverage
    }

    /// Number of the tier, from 0, that a size falls into; the last one also holds what lies beyond it.
    pub fn tier_at(&self, size: i128) -> usize {
        self.tiers.iter().position(|tier| size <= tier.limit).unwrap_or(self.tiers.len() - 1)
    }

    /// A quantity at the boundary.
    pub fn shown_qty(qty: i128) -> Qty {
        Qty(shown(qty))
    }

    /// A price at the boundary.
    pub fn shown_price(price: i128) -> Price {
        Price(shown(price))
    }
}

/// `+1` for a buy, `-1` for a sell.
pub fn sign(side: Side) -> i128 {
    i128::from(side.sign())
}

/// The side that a position of this sign was opened on; a flat one counts as bought.
pub fn side_of(qty: i128) -> Side {
    if qty < 0 {
        Side::Sell
    } else {
        Side::Buy
    }
}
