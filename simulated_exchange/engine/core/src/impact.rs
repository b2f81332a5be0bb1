//! Impact prices: what a given value would trade at on one side of the book. Pure; walks levels, knows no book.

use crate::fixed::div_half_up;
use crate::types::SCALE;

/// Mean price of trading `notional` settlement value against these levels, best first; rounded half up.
///
/// Levels are `(price, quantity)` in units of `10^-8`. Of a linear contract the value is price times quantity, of an
/// inverse one quantity over price. Nothing when the levels are worth less than `notional`,
/// when `notional` is not positive, or when a number does not fit.
pub fn impact_price(
    levels: impl IntoIterator<Item = (i64, i64)>,
    notional: i64,
    inverse: bool,
) -> Option<i64> {
    if notional <= 0 {
        return None;
    }
    // Values and quantities are counted in units of 10^-16: finer than money, so that the mean is exact to its unit.
    let fine = i128::from(SCALE);
    let wanted = i128::from(notional) * fine;
    let (mut value, mut quantity) = (0_i128, 0_i128);
    for (price, qty) in levels {
        if price <= 0 || qty <= 0 {
            continue;
        }
        let (price, qty) = (i128::from(price), i128::from(qty));
        let worth = if inverse { div_half_up(qty * fine * fine, price) } else { qty * price };
        let missing = wanted - value;
        if worth < missing {
            value += worth;
            quantity += qty * fine;
            continue;
        }
        let (numerator, denominator) = if inverse { (price, fine) } else { (fine, price) };
        quantity += div_half_up(missing.checked_mul(numerator)?, denominator);
        let (numerator, denominator) = if inverse { (quantity, wanted) } else { (wanted, quantity) };
        return i64::try_from(div_half_up(numerator.checked_mul(fine)?, denominator)).ok();
    }
    None
}
