//! Integer arithmetic with its rounding in the name. Nothing here knows what the numbers mean.

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
    -div_floor_signed(-n, d)
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
    fn wide_values_round_like_narrow_ones() {
        let wide = i128::from(u64::MAX) * 10 + 1;
        assert_eq!(div_floor(wide, 10), i128::from(u64::MAX));
        assert_eq!(div_ceil(wide, 10), i128::from(u64::MAX) + 1);
        assert_eq!(div_ceil(-wide, 10), -i128::from(u64::MAX));
    }
}
