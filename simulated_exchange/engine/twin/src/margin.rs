//! Margin of one position with its orders: rules 4, on the mark; the initial margin of an isolated position on its entry. A pure function of position, orders,
//! leverage and mark. Requirements round up, once each.
//!
//! - Order cost: (size / L + size x fee + size at bankruptcy x fee), each order rounded up on its own; size at bankruptcy
//!   is size x (1 - s / L), s = side x direction of the contract.
//! - Of an account's two sides only the dearer is held. What closes the position costs nothing: where a side both closes
//!   and opens, its cost counts by the share of what opens. Reduce-only orders cost nothing.
//! - Leverage that counts: the chosen one, but no more than allowed by the tier of the most that may come to be held:
//!   the position with the worse side of the orders, at the mark.
//! - Maintenance: by the tier of the position alone; of an isolated one at its entry where the contract says so.
//! - Order loss: per side, what all its orders together would lose if they filled and were valued at the mark.

use exchange_core::Side;

use crate::contract::{side_of, sign, Contract, LEVERAGE_ONE, ONE};
use crate::rounding::ceil;

/// An order as far as margin goes.
#[derive(Clone, Copy, Debug)]
pub struct Opening {
    /// Side.
    pub side: Side,
    /// Quantity.
    pub qty: i128,
    /// Price it is valued at.
    pub price: i128,
}

/// A position with the orders that may open more of it.
#[derive(Clone, Debug)]
pub struct Exposure {
    /// Signed position.
    pub qty: i128,
    /// Signed value at entry.
    pub cost: i128,
    /// Leverage chosen, in hundredths.
    pub leverage: i128,
    /// Mark.
    pub mark: i128,
    /// Orders, reduce-only ones left out.
    pub orders: Vec<Opening>,
    /// The position has margin of its own: its initial margin comes from its entry.
    pub is_isolated: bool,
}

/// What a position and its orders need.
#[derive(Clone, Copy, Debug, Default)]
pub struct Margin {
    /// Profit at the mark.
    pub unrealised: i128,
    /// Initial margin of the position.
    pub position_initial: i128,
    /// Initial margin of the orders.
    pub order_initial: i128,
    /// Maintenance margin.
    pub maintenance: i128,
    /// Order loss.
    pub order_loss: i128,
}

/// Cost of an opening order.
pub fn order_cost(contract: &Contract, order: &Opening, leverage: i128) -> i128 {
    let size = contract.size(order.qty, order.price);
    let fee = i128::from(contract.spec.taker_fee);
    let toward = sign(order.side) * contract.direction();
    // over the common denominator ONE x leverage
    let initial = LEVERAGE_ONE * ONE;
    let fee_open = fee * leverage;
    let fee_close = fee * (leverage - toward * LEVERAGE_ONE);
    ceil(size * (initial + fee_open + fee_close), ONE * leverage)
}

impl Exposure {
    fn side(&self, side: Side) -> impl Iterator<Item = &Opening> {
        self.orders.iter().filter(move |order| order.side == side)
    }

    fn side_qty(&self, side: Side) -> i128 {
        self.side(side).map(|order| order.qty).sum()
    }

    /// The most that may come to be held, on either side.
    pub fn at_most(&self) -> i128 {
        let long = self.qty + self.side_qty(Side::Buy);
        let short = self.side_qty(Side::Sell) - self.qty;
        long.max(short).max(self.qty.abs())
    }

    /// Largest leverage allowed by the tier of the most that may come to be held.
    pub fn leverage_allowed(&self, contract: &Contract) -> i128 {
        contract.tiers[contract.tier_at(contract.size(self.at_most(), self.mark))].leverage
    }

    /// Leverage that counts.
    pub fn counting_leverage(&self, contract: &Contract) -> i128 {
        self.leverage.min(self.leverage_allowed(contract))
    }

    /// Fee of closing at bankruptcy what was entered at a value.
    pub fn closing_fee(&self, contract: &Contract, cost: i128) -> i128 {
        let leverage = self.counting_leverage(contract);
        let toward = sign(side_of(self.qty)) * contract.direction();
        let fee = i128::from(contract.spec.taker_fee);
        ceil(cost.abs() * fee * (leverage - toward * LEVERAGE_ONE), ONE * leverage)
    }

    /// What of a side's orders opens.
    pub fn opening_qty(&self, side: Side) -> i128 {
        (self.side_qty(side) - reducible(self.qty, side)).max(0)
    }

    fn side_cost(&self, contract: &Contract, side: Side) -> i128 {
        let cost: i128 = self.side(side).map(|order| order_cost(contract, order, self.leverage)).sum();
        match self.side_qty(side) {
            0 => 0,
            qty => ceil(cost * self.opening_qty(side), qty),
        }
    }

    fn side_loss(&self, contract: &Contract, side: Side) -> i128 {
        let at_prices: i128 = self.side(side).map(|order| contract.size(order.qty, order.price)).sum();
        let at_mark = contract.size(self.side_qty(side), self.mark);
        ((at_prices - at_mark) * sign(side) * contract.direction()).max(0)
    }

    /// Initial margin of the orders.
    pub fn order_initial(&self, contract: &Contract) -> i128 {
        self.side_cost(contract, Side::Buy).max(self.side_cost(contract, Side::Sell))
    }

    /// All of it.
    pub fn margin(&self, contract: &Contract) -> Margin {
        let order_initial = self.order_initial(contract);
        let order_loss = self.side_loss(contract, Side::Buy) + self.side_loss(contract, Side::Sell);
        if self.qty == 0 {
            return Margin { order_initial, order_loss, ..Margin::default() };
        }
        let leverage = self.counting_leverage(contract);
        let (size, value) = (contract.size(self.qty, self.mark), contract.value(self.qty, self.mark));
        let closing_fee = self.closing_fee(contract, self.cost);
        let valued = if self.is_isolated { self.cost.abs() } else { size };
        let kept = if self.is_isolated && contract.spec.isolated_on_entry { self.cost.abs() } else { size };
        let tier = contract.tiers[contract.tier_at(kept)];
        Margin {
            unrealised: value - self.cost,
            position_initial: ceil(valued * LEVERAGE_ONE, leverage) + closing_fee,
            order_initial,
            maintenance: ceil(kept * tier.rate, ONE) - tier.deduction + closing_fee,
            order_loss,
        }
    }
}

/// What an order of a side can close of a position.
pub fn reducible(qty: i128, side: Side) -> i128 {
    (-qty * sign(side)).max(0)
}
