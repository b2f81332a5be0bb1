//! What a coin counts for as margin, and what is required per balance: rules 6. Pure: numbers in, numbers out.
//!
//! Everything rounds against the account: what counts is rounded down, what is required is rounded up. Rates are for
//! showing; whether an account is breached is decided by comparing the two amounts.

use crate::fixed::{div_floor, div_half_up, mul_div_ceil, mul_div_floor, saturate};
use crate::types::SCALE;

/// One whole, as wide as sums are.
const ONE: i128 = SCALE as i128;

/// Quantity of a coin that counts as margin, rounded down. A positive equity counts by brackets `(upper end, ratio in
/// 10^-8)`, smallest first: each part at its own ratio, and nothing beyond the last. A liability counts whole.
pub fn counted(equity: i128, brackets: impl IntoIterator<Item = (i64, i64)>) -> i128 {
    if equity <= 0 {
        return equity;
    }
    let (mut below, mut sum) = (0, 0_i128);
    for (limit, ratio) in brackets {
        let upper = equity.min(i128::from(limit));
        sum = sum.saturating_add((upper - below).max(0).saturating_mul(i128::from(ratio)));
        below = upper.max(below);
    }
    div_floor(sum, ONE)
}

/// Value in USD of a quantity at a price, rounded down: a liability is never made smaller.
pub fn usd_floor(quantity: i128, price: i64) -> i128 {
    mul_div_floor(quantity, i128::from(price), ONE)
}

/// Value in USD of a quantity at a price, rounded up: for what is required and for what a limit is measured against.
pub fn usd_ceil(quantity: i128, price: i64) -> i128 {
    mul_div_ceil(quantity, i128::from(price), ONE)
}

/// A requirement per balance in `10^-8`, rounded half up; nothing required is 0, a balance that is used up or worse
/// the largest number there is.
pub fn rate(required: i128, balance: i128) -> i64 {
    match (required > 0, balance > 0) {
        (false, _) => 0,
        (true, false) => i64::MAX,
        (true, true) => saturate(div_half_up(required.saturating_mul(ONE), balance)),
    }
}

/// What may be spent of a coin in isolated margin mode, where no account rates exist.
pub fn isolated_free(
    wallet: i128,
    position_initial: i128,
    order_initial: i128,
    locked: i128,
    bonus: i128,
) -> i128 {
    wallet - position_initial - order_initial - locked - bonus
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const fn whole(amount: i128) -> i128 {
        amount * ONE
    }

    /// The help centre's sample: 10 BTC at 98 %, 10 more at 95 % and so on; nothing beyond 50.
    fn btc_brackets() -> Vec<(i64, i64)> {
        [(10, 98), (20, 95), (30, 90), (40, 85), (50, 80)]
            .map(|(limit, percent)| (limit * SCALE, percent * SCALE / 100))
            .to_vec()
    }

    #[test]
    fn uta_1_and_2_tiered_collateral() {
        assert_eq!(counted(whole(25), btc_brackets()), whole(238) / 10);
        assert_eq!(counted(whole(60), btc_brackets()), whole(448) / 10);
        assert_eq!(counted(whole(50), btc_brackets()), whole(448) / 10);
    }

    #[test]
    fn uta_4_a_liability_counts_whole() {
        let btc = usd_floor(counted(whole(1), [(10 * SCALE, 95_000_000)]), 50_000 * SCALE);
        assert_eq!(counted(whole(-2_000), btc_brackets()) + btc, whole(45_500));
    }

    #[test]
    fn uta_6_isolated_free_balance() {
        let free = isolated_free(whole(1_000), whole(5_005) / 10, whole(20), whole(30), 0);
        assert_eq!(free, whole(4_495) / 10);
    }

    #[test]
    fn extremes_neither_overflow_nor_turn_sign() {
        for equity in [i128::MAX / 4, i128::from(i64::MAX), 1, 0, -1, i128::MIN / 4] {
            let counted = counted(equity, [(i64::MAX, SCALE)]);
            assert!(counted.signum() * equity.signum() >= 0 && counted <= equity);
            for price in [0, 1, i64::MAX] {
                assert!(usd_floor(counted, price) <= usd_ceil(counted, price));
            }
        }
        assert_eq!((rate(1, 0), rate(0, 0), rate(1, -1)), (i64::MAX, 0, i64::MAX));
    }

    fn brackets() -> impl Strategy<Value = Vec<(i64, i64)>> {
        prop::collection::vec((1_i64..1_000_000_000_000, 0..=SCALE), 0..8).prop_map(|steps| {
            let mut limit = 0;
            steps
                .into_iter()
                .map(|(step, ratio)| {
                    limit += step;
                    (limit, ratio)
                })
                .collect()
        })
    }

    proptest! {
        #[test]
        fn more_of_a_coin_never_counts_less_nor_more_than_it_is(
            brackets in brackets(), less in 0_i128..10_000_000_000_000, more in 0_i128..10_000_000_000_000,
        ) {
            let (small, large) = (counted(less, brackets.clone()), counted(less + more, brackets));
            prop_assert!(small <= large && large - small <= more + 1 && large <= less + more);
        }

        #[test]
        fn brackets_sum_to_what_each_part_counts_alone(brackets in brackets(), equity in 0_i128..10_000_000_000_000) {
            let mut exact = 0_i128;
            for unit in 0..brackets.len() {
                let from = if unit == 0 { 0 } else { i128::from(brackets[unit - 1].0) };
                let (upper, ratio) = (i128::from(brackets[unit].0), i128::from(brackets[unit].1));
                exact += (equity.min(upper) - from).max(0) * ratio;
            }
            prop_assert_eq!(counted(equity, brackets), exact.div_euclid(ONE));
        }
    }
}
