//! Margin of an isolated position as it was reckoned before 2025-09-02: on the entry price, without fees (rules 5.2,
//! classic). The exchange does not use it; it is here to compare with figures that were published by it. Pure.

use crate::fixed::{div_floor, mul_div_half_up};
use crate::types::{Side, LEVERAGE_SCALE, SCALE};

/// What an isolated position needs by its entry price; amounts in `10^-8` of the settlement coin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClassicMargin {
    /// Value at entry.
    pub value: i128,
    /// Initial margin.
    pub initial: i128,
    /// Maintenance margin.
    pub maintenance: i128,
    /// Price at which the loss leaves no more than the maintenance margin, rounded half up; 0 when no price does.
    pub liquidation_price: i128,
}

/// An isolated position and what was added to its margin. Quantity and prices in `10^-8`, leverage in hundredths.
#[derive(Clone, Copy, Debug)]
pub struct ClassicPosition {
    /// Long or short.
    pub side: Side,
    /// Unsigned quantity; of the quote coin where the contract is inverse.
    pub qty: i64,
    /// Average entry price.
    pub entry: i64,
    /// Leverage, in hundredths.
    pub leverage: i64,
    /// Maintenance margin rate, in `10^-8`.
    pub maintenance_rate: i64,
    /// Margin added beyond the initial one.
    pub extra: i64,
    /// The contract settles in its base coin.
    pub inverse: bool,
}

/// Margin and liquidation price; `None` unless quantity, entry and leverage are positive.
pub fn classic_margin(position: &ClassicPosition) -> Option<ClassicMargin> {
    let ClassicPosition { side, qty, entry, leverage, maintenance_rate, extra, inverse } = *position;
    if qty <= 0 || entry <= 0 || leverage <= 0 {
        return None;
    }
    let (qty, entry, scale) = (i128::from(qty), i128::from(entry), i128::from(SCALE));
    let value = if inverse { mul_div_half_up(qty, scale, entry) } else { mul_div_half_up(qty, entry, scale) };
    let initial = mul_div_half_up(value, i128::from(LEVERAGE_SCALE), i128::from(leverage));
    let maintenance = mul_div_half_up(value, i128::from(maintenance_rate), scale);
    let cushion = initial - maintenance + i128::from(extra);
    let sign = i128::from(side.sign());
    let left = if inverse { value + sign * cushion } else { value - sign * cushion };
    let liquidation_price = match (left > 0, inverse) {
        (false, _) => 0,
        (true, true) => mul_div_half_up(qty, scale, left),
        (true, false) => div_floor(left * scale * 2 + qty, qty * 2),
    };
    Some(ClassicMargin { value, initial, maintenance, liquidation_price })
}

#[cfg(test)]
mod tests {
    use super::*;

    const UNIT: i64 = SCALE;

    #[test]
    fn a_position_that_cannot_be_liquidated_has_no_price() {
        let position = ClassicPosition {
            side: Side::Buy,
            qty: UNIT,
            entry: 20_000 * UNIT,
            leverage: 5000,
            maintenance_rate: UNIT / 200,
            extra: 30_000 * UNIT,
            inverse: false,
        };
        assert_eq!(classic_margin(&position).map(|margin| margin.liquidation_price), Some(0));
        assert_eq!(classic_margin(&ClassicPosition { leverage: 0, ..position }), None);
        assert_eq!(classic_margin(&ClassicPosition { qty: -1, ..position }), None);
    }
}
