//! Who is deleveraged first: ranking by leveraged return. Pure.
//!
//! `rank = PnL% x effective leverage` for winners, `PnL% / effective leverage` for losers, where the effective
//! leverage is the position's value over the equity behind it. In cross margin the equity behind a position is its
//! share, by value, of the account's; a value over its share is the account's value over its equity. An isolated position
//! has its own.

use crate::types::SCALE;

/// Lights of the queue indicator.
pub const LIGHTS: usize = 5;

/// Rank of a position, in `10^-8`; higher is deleveraged earlier. All figures in money units; `value`,
/// `entry_value` unsigned. An account without equity ranks last: it is about to be liquidated itself.
pub fn rank(unrealised: i128, entry_value: i128, account_value: i128, account_equity: i128) -> i128 {
    let scale = i128::from(SCALE);
    if account_equity <= 0 {
        return i128::MIN;
    }
    let return_rate = unrealised.saturating_mul(scale) / entry_value.max(1);
    let leverage = (account_value.saturating_mul(scale) / account_equity).max(1);
    if return_rate > 0 {
        return_rate.saturating_mul(leverage) / scale
    } else {
        return_rate.saturating_mul(scale) / leverage
    }
}

/// Lights of the position at `place` (0 is next in line) of `count`: 5 for the first fifth, 1 for the last.
pub fn lights(place: usize, count: usize) -> u8 {
    let fifth = place * LIGHTS / count.max(1);
    u8::try_from(LIGHTS - fifth.min(LIGHTS - 1)).unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn adl_4_ranking_by_profit_and_effective_leverage() {
        let mark = 120 * i128::from(SCALE);
        let ranks =
            [("A", 100, 900), ("B", 110, 880), ("C", 125, 1125)].map(|(name, entry, bankrupt_tenths)| {
                let entry = entry * i128::from(SCALE);
                let bankrupt = bankrupt_tenths * i128::from(SCALE) / 10;
                (name, rank(mark - entry, entry, mark, mark - bankrupt))
            });
        assert_eq!(ranks[0], ("A", 80_000_000));
        assert_eq!(ranks[1].1 / 10, 3_409_090); // published as 0.34090909
        assert_eq!(ranks[2], ("C", -250_000));
    }

    #[test]
    fn five_lights_of_a_fifth_each() {
        assert_eq!(
            (0..10).map(|place| lights(place, 10)).collect::<Vec<_>>(),
            [5, 5, 4, 4, 3, 3, 2, 2, 1, 1]
        );
        assert_eq!(lights(0, 1), 5);
    }
}
