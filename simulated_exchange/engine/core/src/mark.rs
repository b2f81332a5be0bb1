//! Mark, price band and slippage limit of an instrument: rules 1.2, 1.3, 3.3 and 3.4. Pure formulas and the samples
//! they need. The index they start from is in `index`.

use serde::{Deserialize, Serialize};

use crate::fixed::{div_ceil, div_floor, div_half_up, mul_div_half_up, saturate};
use crate::index::{index_price, Component, IndexMethod, Source};
use crate::instrument::InstrumentSpec;
use crate::types::{wire_enum, Side, RATE_SCALE, SCALE};

/// One sample a market second.
pub const SAMPLE_MS: i64 = 1000;
/// Window of the premium that widens the price band: 30 s.
pub const PREMIUM_SAMPLES: usize = 30;

wire_enum! {
    /// What an instrument is marked at. The venue's own rule is the first; the others show what it is good for.
    MarkSource {
        /// Median of two prices made from the index and of the last traded price.
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

/// The latest samples of a quantity and their sum.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Window {
    samples: Vec<i64>,
    capacity: usize,
    oldest: usize,
    sum: i128,
}

impl Window {
    /// Keeps the last `capacity` samples (at least one).
    pub fn new(capacity: usize) -> Self {
        Self { samples: Vec::new(), capacity: capacity.max(1), oldest: 0, sum: 0 }
    }

    /// Adds a sample and forgets the oldest when full.
    pub fn push(&mut self, sample: i64) {
        self.sum += i128::from(sample);
        if self.samples.len() < self.capacity {
            self.samples.push(sample);
            return;
        }
        let slot = &mut self.samples[self.oldest];
        self.sum -= i128::from(std::mem::replace(slot, sample));
        self.oldest = (self.oldest + 1) % self.capacity;
    }

    /// Mean, rounded half up; 0 without samples.
    pub fn mean(&self) -> i64 {
        saturate(div_half_up(self.sum, i128::try_from(self.samples.len().max(1)).unwrap_or(1)))
    }

    /// How many samples the window holds when full.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// Samples, oldest first.
    pub fn samples(&self) -> impl Iterator<Item = i64> + '_ {
        self.samples[self.oldest..].iter().chain(&self.samples[..self.oldest]).copied()
    }
}

/// All prices of one instrument. Prices are in units of `10^-8` unless they are named ticks.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Market {
    /// Components of the index.
    pub sources: Vec<Source>,
    /// Index; 0 before the first report, kept when every component is stale.
    pub index: i64,
    /// Mark, rounded half up to the tick; 0 before there is an index.
    pub mark_ticks: i64,
    /// Last traded price; 0 before the first trade.
    pub last_ticks: i64,
    /// First candidate.
    pub price1: i64,
    /// Second candidate.
    pub price2: i64,
    /// Highest tick a buy may execute at.
    pub max_buy_ticks: i64,
    /// Lowest tick a sell may execute at.
    pub min_sell_ticks: i64,
    /// Rate of the last funding, in `10^-12`.
    pub funding_rate: i64,
    /// Samples of mid less index.
    pub basis: Window,
    /// Samples of mid less mark.
    pub premium: Window,
    /// Last sample taken with both sides of the book present.
    pub last_basis: Option<(i64, i64)>,
    /// Market second of the last sample.
    pub sampled_second: i64,
}

impl Market {
    /// A market before its first price.
    pub fn new(spec: &InstrumentSpec) -> Self {
        let samples = usize::try_from(spec.basis_window_ms / SAMPLE_MS).unwrap_or(1);
        Self {
            sources: vec![Source::default(); spec.index_sources.len()],
            index: 0,
            mark_ticks: 0,
            last_ticks: 0,
            price1: 0,
            price2: 0,
            max_buy_ticks: 0,
            min_sell_ticks: 0,
            funding_rate: 0,
            basis: Window::new(samples),
            premium: Window::new(PREMIUM_SAMPLES),
            last_basis: None,
            sampled_second: -1,
        }
    }

    /// True once there is an index, and so a mark.
    #[inline]
    pub fn is_ready(&self) -> bool {
        self.mark_ticks > 0
    }

    /// Takes the samples of the market seconds passed since the last one. A gap is filled with the present
    /// sample; an empty side of the book repeats the last valid one.
    pub fn sample(&mut self, market_ms: i64, best_bid_ask: Option<(i64, i64)>, tick_size: i64) {
        let second = market_ms / SAMPLE_MS;
        if !self.is_ready() || second <= self.sampled_second {
            return;
        }
        if let Some((bid, ask)) = best_bid_ask {
            let mid = div_half_up(i128::from(bid + ask) * i128::from(tick_size), 2);
            let basis = saturate(mid - i128::from(self.index));
            let premium = saturate(mid - i128::from(self.mark_ticks) * i128::from(tick_size));
            self.last_basis = Some((basis, premium));
        }
        let missed = if self.sampled_second < 0 { 1 } else { second - self.sampled_second };
        self.sampled_second = second;
        let Some((basis, premium)) = self.last_basis else { return };
        let missed = usize::try_from(missed).unwrap_or(usize::MAX);
        for _ in 0..missed.min(self.basis.capacity()) {
            self.basis.push(basis);
        }
        for _ in 0..missed.min(self.premium.capacity()) {
            self.premium.push(premium);
        }
    }

    /// Recomputes index, candidates, mark and band; true when index or mark changed.
    pub fn refresh(&mut self, market_ms: i64, spec: &InstrumentSpec, max_ticks: i64) -> bool {
        let before = (self.index, self.mark_ticks);
        let method = IndexMethod::Clamp;
        let fresh: Vec<Component> = self
            .sources
            .iter()
            .zip(&spec.index_sources)
            .filter(|(source, _)| source.is_fresh(market_ms, spec.index_stale_ms, method))
            .map(|(source, listed)| Component { price: source.price, weight: listed.weight })
            .collect();
        if let Some(index) = index_price(&fresh, method, spec.index_clamp) {
            self.index = index;
        }
        if self.index == 0 {
            return false;
        }
        let interval = spec.funding_interval_ms;
        let until_funding = interval - market_ms.rem_euclid(interval);
        let tick = i128::from(spec.tick_size.0);
        self.price1 = price1(self.index, self.funding_rate, until_funding, interval);
        self.price2 = price2(self.index, self.basis.mean());
        let last =
            if self.last_ticks == 0 { self.index } else { self.last_ticks.saturating_mul(spec.tick_size.0) };
        let mark = i128::from(perpetual_mark(self.price1, self.price2, last));
        self.mark_ticks = saturate(div_half_up(mark, tick)).clamp(1, max_ticks);
        self.refresh_band(spec, max_ticks);
        before != (self.index, self.mark_ticks)
    }

    fn refresh_band(&mut self, spec: &InstrumentSpec, max_ticks: i64) {
        let tick = i128::from(spec.tick_size.0);
        let mark = saturate(i128::from(self.mark_ticks) * tick);
        let (max_buy, min_sell) =
            price_band(mark, self.index, spec.price_band_x, spec.price_band_y, self.premium.mean());
        self.max_buy_ticks = saturate(div_floor(i128::from(max_buy), tick)).clamp(1, max_ticks);
        self.min_sell_ticks = saturate(div_ceil(i128::from(min_sell), tick)).clamp(1, max_ticks);
    }
}
