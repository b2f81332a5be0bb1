//! Division with its rounding in the name. Everything the model computes passes through these three. Numbers are wide
//! enough for exact products; one that were not would stop the model instead of bending the result.

/// `n / d` towards negative infinity.
pub fn floor(n: i128, d: i128) -> i128 {
    n.div_euclid(d)
}

/// `n / d` towards positive infinity.
pub fn ceil(n: i128, d: i128) -> i128 {
    -(-n).div_euclid(d)
}

/// `n / d` to the nearest whole, halves up.
pub fn half_up(n: i128, d: i128) -> i128 {
    (2 * n + d).div_euclid(2 * d)
}

/// `n / d` towards zero.
pub fn toward_zero(n: i128, d: i128) -> i128 {
    n / d
}

/// A number as the boundary shows it: 64 bits, saturated.
pub fn shown(n: i128) -> i64 {
    i64::try_from(n).unwrap_or(if n < 0 { i64::MIN } else { i64::MAX })
}
