//! Integer arithmetic with its rounding in the name. Nothing here knows what the numbers mean.

use serde::{Deserialize, Serialize};

/// `a * b / d`, rounded towards negative infinity. `d` must be positive.
#[inline]
pub fn mul_div_floor(a: i128, b: i128, d: i128) -> i128 {
    div_floor(a.saturating_mul(b), d)
}

/// `a * b / d`, rounded towards positive infinity. `d` must be positive.
#[inline]
pub fn mul_div_ceil(a: i128, b: i128, d: i128) -> i128 {
    div_ceil(a.saturating_mul(b), d)
}

/// `a * b / d`, rounded to the nearest unit, halves up. `d` must be positive.
#[inline]
pub fn mul_div_half_up(a: i128, b: i128, d: i128) -> i128 {
    div_half_up(a.saturating_mul(b), d)
}

/// `n / d`, rounded towards negative infinity. A divisor below one counts as one.
#[inline]
pub fn div_floor(n: i128, d: i128) -> i128 {
    let d = d.max(1);
    if let (Ok(small_n), Ok(small_d)) = (u64::try_from(n), u64::try_from(d)) {
        return i128::from(small_n / small_d);
    }
    n.div_euclid(d)
}

/// `n / d`, rounded towards positive infinity. A divisor below one counts as one.
#[inline]
pub fn div_ceil(n: i128, d: i128) -> i128 {
    -div_floor_signed(n.saturating_neg(), d) // the most negative number, a saturated product, has no opposite
}

/// `n / d`, rounded to the nearest unit, halves up. A divisor below one counts as one.
#[inline]
pub fn div_half_up(n: i128, d: i128) -> i128 {
    let d = d.max(1);
    div_floor(n.saturating_mul(2).saturating_add(d), d.saturating_mul(2))
}

#[inline]
fn div_floor_signed(n: i128, d: i128) -> i128 {
    let d = d.max(1);
    if n <= 0 {
        if let (Ok(small_n), Ok(small_d)) = (u64::try_from(-n), u64::try_from(d)) {
            return -i128::from(small_n.div_ceil(small_d));
        }
    }
    n.div_euclid(d)
}

/// A step that prices or quantities are multiples of. Finds out whether a number is one, and of how many steps, with one
/// multiplication instead of a division.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// Inverse of its odd part modulo 2^64.
    inverse: u64,
    /// Twos in it.
    twos: u32,
    /// Most steps that a number holds.
    most: u64,
}

impl Step {
    /// A step of a size; a size below one counts as one.
    pub fn new(size: i64) -> Self {
        let size = size.max(1).unsigned_abs();
        let odd = size >> size.trailing_zeros();
        // each round doubles the bits that are right; an odd number is its own inverse in the lowest three
        let refined = |inverse: u64| inverse.wrapping_mul(2_u64.wrapping_sub(odd.wrapping_mul(inverse)));
        let inverse = (0..5).fold(odd, |inverse, _| refined(inverse));
        Self { inverse, twos: size.trailing_zeros(), most: u64::MAX / size }
    }

    /// How many steps a positive number is, if it is a whole number of them.
    #[inline]
    pub fn count(self, number: i64) -> Option<i64> {
        let count = number.unsigned_abs().wrapping_mul(self.inverse).rotate_right(self.twos);
        if number > 0 && count <= self.most {
            i64::try_from(count).ok()
        } else {
            None
        }
    }
}

/// A fraction between nothing and a few wholes, in lowest terms, so that products stay small.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ratio {
    /// How many parts.
    pub parts: u64,
    /// Of how many to the whole.
    pub whole: u64,
}

impl Ratio {
    /// `parts` of `whole`; a whole below one counts as one, parts below zero as none.
    pub fn new(parts: i64, whole: i64) -> Self {
        let (parts, whole) = (parts.max(0).unsigned_abs(), whole.max(1).unsigned_abs());
        let common = greatest_common_divisor(whole, parts);
        Self { parts: parts / common, whole: whole / common }
    }

    /// The share of a value that is not negative, rounded towards positive infinity.
    #[inline]
    pub fn share_ceil(self, value: i128) -> i128 {
        share_ceil(value, self.parts, self.whole)
    }
}

/// `value * parts / whole`, rounded towards positive infinity. `value` must not be negative, `whole` be positive.
#[inline]
pub fn share_ceil(value: i128, parts: u64, whole: u64) -> i128 {
    if let Ok(small) = u64::try_from(value) {
        if let Some(share) = narrow_share_ceil(small, parts, whole.max(1)) {
            return i128::from(share);
        }
    }
    mul_div_ceil(value, i128::from(parts), i128::from(whole))
}

/// As `share_ceil`, where nothing on the way needs more than 64 bits; if the product does, with wholes and rest apart.
#[inline]
pub fn narrow_share_ceil(value: u64, parts: u64, whole: u64) -> Option<u64> {
    match value.checked_mul(parts) {
        Some(product) => Some(product.div_ceil(whole)),
        None => share_ceil_apart(value, parts, whole),
    }
}

/// The same with wholes and rest apart; seldom needed, so that it stays out of the way.
#[cold]
fn share_ceil_apart(value: u64, parts: u64, whole: u64) -> Option<u64> {
    let (wholes, rest) = (value / whole, value % whole);
    wholes.checked_mul(parts)?.checked_add(rest.checked_mul(parts)?.div_ceil(whole))
}

fn greatest_common_divisor(mut a: u64, mut b: u64) -> u64 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

/// A value forced into the `i64` of the boundary; only for estimates shown to people, never for state.
#[inline]
pub fn saturate(value: i128) -> i64 {
    i64::try_from(value).unwrap_or(if value < 0 { i64::MIN } else { i64::MAX })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounding_does_what_its_name_says() {
        for (n, d, floor, ceil, half_up) in
            [(7, 2, 3, 4, 4), (-7, 2, -4, -3, -3), (6, 3, 2, 2, 2), (-1, 3, -1, 0, 0), (0, 9, 0, 0, 0)]
        {
            assert_eq!(
                (div_floor(n, d), div_ceil(n, d), div_half_up(n, d)),
                (floor, ceil, half_up),
                "{n}/{d}"
            );
        }
    }

    #[test]
    fn a_share_is_the_same_in_lowest_terms_and_in_wide_numbers() {
        let fee = Ratio::new(55_000, 100_000_000);
        assert_eq!(fee, Ratio { parts: 11, whole: 20_000 });
        for value in [0, 1, 19_999, 20_000, i128::from(u64::MAX) / 11, i128::from(u64::MAX), 1 << 90] {
            assert_eq!(fee.share_ceil(value), mul_div_ceil(value, 55_000, 100_000_000), "{value}");
        }
        assert_eq!(Ratio::new(0, 100).share_ceil(7), 0);
    }

    #[test]
    fn steps_are_counted_as_by_division() {
        for size in [1, 2, 3, 5, 8, 10, 96, 100_000, 10_000_000, 123_456_789, 1 << 40, i64::MAX] {
            let step = Step::new(size);
            let near = [1, 2, 3, 7, 1_000, 999_983].map(|count: i64| size.saturating_mul(count));
            for number in near.into_iter().flat_map(|number| [number - 1, number, number.saturating_add(1)]) {
                let expected = (number > 0 && number % size == 0).then(|| number / size);
                assert_eq!(step.count(number), expected, "{number} of {size}");
            }
            assert_eq!((step.count(0), step.count(-size), step.count(i64::MIN)), (None, None, None));
        }
    }

    #[test]
    fn wide_values_round_like_narrow_ones() {
        let wide = i128::from(u64::MAX) * 10 + 1;
        assert_eq!(div_floor(wide, 10), i128::from(u64::MAX));
        assert_eq!(div_ceil(wide, 10), i128::from(u64::MAX) + 1);
        assert_eq!(div_ceil(-wide, 10), -i128::from(u64::MAX));
        assert_eq!(mul_div_ceil(i128::MIN, 9, 10), -(i128::MAX / 10));
    }
}
