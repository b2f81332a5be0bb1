//! A position: signed lots and the exact signed cost at which they were entered. Pure; no prices, no wallets.

use serde::{Deserialize, Serialize};

/// Signed lots and their signed entry cost: a long costs money, a short brings it in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// Long positive, short negative.
    pub lots: i64,
    /// Entry value, signed as the lots, in money units.
    pub cost: i128,
}

/// What a fill did to a position.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Settled {
    /// Unsigned lots that closed.
    pub closed_lots: i64,
    /// Profit realised by them, before fees.
    pub realised: i128,
    /// Change of the position's cost.
    pub cost_change: i128,
}

impl Position {
    /// Part of the cost that `lots` (at most all) carry away on closing: rounded towards zero, so that the
    /// remainder stays in the position; all lots carry all of it.
    #[inline]
    pub fn cost_share(&self, lots: i64) -> i128 {
        let held = i128::from(self.lots.unsigned_abs());
        let closing = i128::from(lots);
        if closing >= held {
            return self.cost;
        }
        let product = self.cost.unsigned_abs() * closing.unsigned_abs();
        let share = match (u64::try_from(product), u64::try_from(held)) {
            (Ok(product), Ok(held)) => i128::from(product / held),
            _ => i128::try_from(product / held.unsigned_abs()).unwrap_or(0),
        };
        if self.cost < 0 {
            -share
        } else {
            share
        }
    }

    /// Books a fill of signed lots worth a value signed alike.
    ///
    /// Whatever the rounding, `realised - cost_change == -value`: both sides of a trade cancel exactly.
    #[inline]
    pub fn fill(&mut self, lots: i64, value: i128) -> Settled {
        if let Some((after, settled)) = self.narrow_fill(lots, value) {
            *self = after;
            return settled;
        }
        self.wide_fill(lots, value)
    }

    #[cold]
    fn wide_fill(&mut self, lots: i64, value: i128) -> Settled {
        let grows = self.lots == 0 || (self.lots > 0) == (lots > 0);
        if grows {
            self.lots += lots;
            self.cost += value;
            return Settled { closed_lots: 0, realised: 0, cost_change: value };
        }
        let closed_lots = lots.abs().min(self.lots.abs());
        let share = self.cost_share(closed_lots);
        let closed_value = if closed_lots == lots.abs() {
            value
        } else {
            crate::fixed::mul_div_floor(value, i128::from(closed_lots), i128::from(lots.abs()))
        };
        let cost_change = value - closed_value - share;
        self.lots += lots;
        self.cost += cost_change;
        Settled { closed_lots, realised: -closed_value - share, cost_change }
    }

    /// The position after a fill, and what the fill did, where nothing on the way needs more than 64 bits.
    #[inline]
    pub(crate) fn narrow_fill(&self, lots: i64, value: i128) -> Option<(Self, Settled)> {
        let (cost, value) = (i64::try_from(self.cost).ok()?, i64::try_from(value).ok()?);
        let grows = self.lots == 0 || (self.lots > 0) == (lots > 0);
        let (held, closing) = (self.lots.unsigned_abs(), lots.unsigned_abs());
        let closed = if grows { 0 } else { closing.min(held) };
        let share = match closed {
            0 => 0,
            _ if closed == held => cost,
            _ => i64::try_from(cost.unsigned_abs().checked_mul(closed)? / held).ok()? * cost.signum(),
        };
        let closed_lots = i64::try_from(closed).ok()?;
        let closed_value = match closed {
            0 => 0,
            _ if closed == closing => value,
            _ => value.checked_mul(closed_lots)?.div_euclid(i64::try_from(closing).ok()?),
        };
        let cost_change = value.checked_sub(closed_value)?.checked_sub(share)?;
        let after =
            Self { lots: self.lots.checked_add(lots)?, cost: i128::from(cost.checked_add(cost_change)?) };
        let realised = i128::from(closed_value.checked_neg()?.checked_sub(share)?);
        Some((after, Settled { closed_lots, realised, cost_change: i128::from(cost_change) }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn narrow_and_wide_fills_agree(
            held in -1000_i64..1000, cost in 0_i64..1_000_000, lots in -1000_i64..1000, value in 0_i64..1_000_000,
        ) {
            prop_assume!(lots != 0);
            let begun = Position { lots: held, cost: i128::from(cost * held.signum()) };
            let value = i128::from(value * lots.signum());
            let (mut narrow, mut wide) = (begun, begun);
            let settled = narrow.fill(lots, value);
            prop_assert_eq!(begun.narrow_fill(lots, value), Some((narrow, settled)));
            prop_assert_eq!(wide.wide_fill(lots, value), settled);
            prop_assert_eq!(narrow, wide);
        }
    }

    #[test]
    fn pnl_1_average_entry_of_two_fills() {
        let mut position = Position::default(); // lots of 0.1, money in whole units
        position.fill(5, 2500);
        position.fill(3, 1800);
        assert_eq!(position.cost * 10 / i128::from(position.lots), 5375);
    }

    #[test]
    fn partial_close_leaves_the_remainder_in_the_position() {
        let mut position = Position { lots: 3, cost: 100 };
        assert_eq!(position.fill(-1, -40), Settled { closed_lots: 1, realised: 7, cost_change: -33 });
        assert_eq!(position, Position { lots: 2, cost: 67 });
        assert_eq!(position.fill(-3, -120), Settled { closed_lots: 2, realised: 13, cost_change: -107 });
        assert_eq!(position, Position { lots: -1, cost: -40 });
    }

    proptest! {
        #[test]
        fn both_sides_of_every_trade_cancel(
            fills in prop::collection::vec((-1000_i64..1000, 1_i64..1_000_000), 1..100),
        ) {
            let mut mine = Position::default();
            for (lots, price) in fills {
                let value = i128::from(lots) * i128::from(price);
                let settled = mine.fill(lots, value);
                prop_assert_eq!(settled.realised - settled.cost_change, -value);
                prop_assert!(mine.lots != 0 || mine.cost == 0, "a flat position has no cost");
            }
        }
    }
}
