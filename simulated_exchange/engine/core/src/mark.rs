//! Index, mark and price band of an instrument: rules 1.1, 1.2 and 3.3. Pure formulas and the samples they need.

use crate::fixed::{div_ceil, div_floor, div_half_up, mul_div_half_up, saturate};
use crate::instrument::InstrumentSpec;
use crate::types::SCALE;

/// One sample a market second.
pub const SAMPLE_MS: i64 = 1000;
/// Window of the premium that widens the price band: 30 s.
pub const PREMIUM_SAMPLES: usize = 30;

/// Weighted mean of prices, each clamped to `clamp` (in `10^-8`) around their median; rounded half up.
pub fn index_price(components: &[(i64, i64)], clamp: i64) -> Option<i64> {
    let median = median(components.iter().map(|(price, _)| i128::from(*price)).collect())?;
    let scale = i128::from(SCALE);
    let low = mul_div_half_up(median, scale - i128::from(clamp), scale);
    let high = mul_div_half_up(median, scale + i128::from(clamp), scale);
    let weights: i128 = components.iter().map(|(_, weight)| i128::from(*weight)).sum();
    let weighted: i128 = components
        .iter()
        .map(|(price, weight)| i128::from(*price).clamp(low, high) * i128::from(*weight))
        .sum();
    i64::try_from(div_half_up(weighted, weights)).ok()
}

/// Middle value; of an even number the mean of the two middle ones, rounded half up.
pub fn median(mut values: Vec<i128>) -> Option<i128> {
    values.sort_unstable();
    let upper = *values.get(values.len() / 2)?;
    if values.len() % 2 == 1 {
        return Some(upper);
    }
    let lower = *values.get(values.len() / 2 - 1)?;
    Some(div_half_up(lower + upper, 2))
}

/// First candidate of the mark: the index with what is left of the last funding rate.
pub fn price1(index: i64, funding_rate: i64, until_funding_ms: i64, interval_ms: i64) -> i64 {
    let premium = i128::from(index) * i128::from(funding_rate) * i128::from(until_funding_ms);
    saturate(i128::from(index) + div_half_up(premium, i128::from(SCALE) * i128::from(interval_ms)))
}

/// Highest buy and lowest sell price: rules 3.3 with alpha 1. All in units of `10^-8`.
pub fn price_band(mark: i64, index: i64, x: i64, y: i64, premium: i64) -> (i64, i64) {
    let scaled = |factor: i64| mul_div_half_up(i128::from(mark), i128::from(factor), i128::from(SCALE));
    let (index, premium) = (i128::from(index), i128::from(premium));
    let max_buy = scaled(SCALE + y).min(index.max(scaled(SCALE + x) + premium.max(0)));
    let min_sell = scaled(SCALE - y).max(index.min(scaled(SCALE - x) + premium.min(0)));
    (saturate(max_buy), saturate(min_sell))
}

/// The latest samples of a quantity and their sum.
#[derive(Clone, Debug)]
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

/// One component of the index as last reported.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Source {
    /// Price; 0 before the first report.
    pub price: i64,
    /// Market time of the report.
    pub updated_ms: i64,
}

/// All prices of one instrument. Prices are in units of `10^-8` unless they are named ticks.
#[derive(Clone, Debug)]
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
    /// Rate of the last funding, in `10^-8`.
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
        let fresh: Vec<(i64, i64)> = self
            .sources
            .iter()
            .zip(&spec.index_sources)
            .filter(|(source, _)| source.price > 0 && market_ms - source.updated_ms <= spec.index_stale_ms)
            .map(|(source, listed)| (source.price, listed.weight))
            .collect();
        if let Some(index) = index_price(&fresh, spec.index_clamp) {
            self.index = index;
        }
        if self.index == 0 {
            return false;
        }
        let interval = spec.funding_interval_ms;
        let until_funding = interval - market_ms.rem_euclid(interval);
        let tick = i128::from(spec.tick_size.0);
        self.price1 = price1(self.index, self.funding_rate, until_funding, interval);
        self.price2 = self.index.saturating_add(self.basis.mean());
        let last =
            if self.last_ticks == 0 { i128::from(self.index) } else { i128::from(self.last_ticks) * tick };
        let candidates = vec![i128::from(self.price1), i128::from(self.price2), last];
        let mark = median(candidates).unwrap_or(last);
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
