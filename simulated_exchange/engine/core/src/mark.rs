//! Mark, price band and slippage limit of an instrument: rules 1.2, 1.3, 3.3 and 3.4. Pure formulas. The index they
//! start from is in `index`; what is kept of an instrument's prices is in `market`.

use crate::fixed::{div_half_up, mul_div_half_up, saturate};
use crate::types::{wire_enum, Side, RATE_SCALE, SCALE};

wire_enum! {
    /// What an instrument is marked at. The venue's own rule is the first; the others show what it is good for.
    #[derive(Default)]
    MarkSource {
        /// Median of two prices made from the index and of the last traded price.
        #[default]
        Dual = 0,
        /// Last traded price.
        Last = 1,
        /// Middle of best bid and best ask.
        BookMid = 2,
    }
}

/// First candidate of a perpetual's mark: the index with what is left of the last funding rate (`10^-12`), half up.
pub fn price1(index: i64, funding_rate: i64, until_funding_ms: i64, interval_ms: i64) -> i64 {
    let (index, rate) = (i128::from(index), i128::from(funding_rate));
    let (left, interval) = (i128::from(until_funding_ms), i128::from(interval_ms.max(1)));
    let (per, scale) = (index * rate, i128::from(RATE_SCALE));
    let premium = per.checked_mul(left).map_or_else(
        || mul_div_half_up(div_half_up(per, scale), left, interval),
        |premium| div_half_up(premium, scale * interval),
    );
    saturate(index + premium)
}

/// Second candidate of a perpetual's mark: the index and the mean basis.
pub fn price2(index: i64, mean_basis: i64) -> i64 {
    index.saturating_add(mean_basis)
}

/// Mark of a perpetual: the middle one of two candidates and the last traded price.
pub fn perpetual_mark(price1: i64, price2: i64, last: i64) -> i64 {
    price1.max(price2).min(price1.min(price2).max(last))
}

/// Distance of an impact mid price from the index as a part of it, in `10^-12`, half up; nothing without an index.
pub fn basis_rate(impact_mid: i64, index: i64) -> Option<i64> {
    let distance = i128::from(impact_mid) - i128::from(index);
    let rate = |index: i64| saturate(mul_div_half_up(distance, i128::from(RATE_SCALE), i128::from(index)));
    Some(index).filter(|index| *index > 0).map(rate)
}

/// Mark of an expiry contract: the index with the mean basis rate (`10^-12`), half up.
pub fn expiry_mark(index: i64, mean_basis_rate: i64) -> i64 {
    let scale = i128::from(RATE_SCALE);
    saturate(mul_div_half_up(i128::from(index), scale + i128::from(mean_basis_rate), scale))
}

/// How far beyond the best price a market order may execute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slippage {
    /// This far in price.
    Distance(i64),
    /// This part of the best price, in `10^-8`.
    Ratio(i64),
}

/// Worst price of a market order that tolerates this slippage from the best opposite price; half up, never below 0.
pub fn slippage_limit(side: Side, best: i64, tolerated: Slippage) -> i64 {
    let best = i128::from(best);
    let distance = match tolerated {
        Slippage::Distance(distance) => i128::from(distance),
        Slippage::Ratio(ratio) => {
            let beyond = i128::from(side.sign()) * i128::from(ratio);
            let limit = mul_div_half_up(best, i128::from(SCALE) + beyond, i128::from(SCALE));
            return saturate(limit.max(0));
        }
    };
    saturate((best + i128::from(side.sign()) * distance).max(0))
}

/// Highest buy and lowest sell price: rules 3.3 with alpha 1. All in units of `10^-8`.
pub fn price_band(mark: i64, index: i64, x: i64, y: i64, premium: i64) -> (i64, i64) {
    let scale = i128::from(SCALE);
    let above = |by: i64| mul_div_half_up(i128::from(mark), scale + i128::from(by), scale);
    let below = |by: i64| mul_div_half_up(i128::from(mark), scale - i128::from(by), scale);
    let (index, premium) = (i128::from(index), i128::from(premium));
    let max_buy = above(y).min(index.max(above(x) + premium.max(0)));
    let min_sell = below(y).max(index.min(below(x) + premium.min(0)));
    (saturate(max_buy), saturate(min_sell))
}
