//! Prices of one instrument: rules 1 and 3.3. Index from its sources, mark as the median of three, price band around the
//! mark, and the samples they need. Everything is recomputed whenever a source reports or time passes.
//!
//! A quote counts no further than the band, and no further from the index than the outer limit of the band.
//!
//! Roundings, all half up: the two middle values of a median, the clamp's edges, the weighted mean; the mean of the
//! samples; what is left of the last funding rate; the mark to the tick; the band's edges. The band is cut to whole ticks
//! inwards.

use exchange_core::{EventKind, InstrumentSpec, MarkSource, Price, Side, TierSpec, RATE_SCALE};

use crate::contract::{Contract, ONE};
use crate::funding::Funding;
use crate::orders::instrument_id;
use crate::rounding::{ceil, floor, half_up};
use crate::state::State;

/// One sample each second.
const SAMPLE_MS: i64 = 1000;
/// The premium that widens the band is the mean of half a minute.
const PREMIUM_SAMPLES: usize = 30;

/// A component of the index, as last reported.
#[derive(Clone, Copy, Debug, Default)]
pub struct Source {
    /// Price; 0 before the first report.
    pub price: i64,
    /// Market time of the report.
    pub updated_ms: i64,
    /// Market time at which the price became what it is.
    pub changed_ms: i64,
}

/// What is kept of one instrument's prices.
#[derive(Clone, Debug)]
pub struct Market {
    /// Components of the index.
    pub sources: Vec<Source>,
    /// Index; 0 before the first.
    pub index: i128,
    /// Mark; 0 before the first.
    pub mark: i128,
    /// Last traded price; 0 before the first.
    pub last: i128,
    /// Highest price a buy may execute at.
    pub max_buy: i128,
    /// Lowest price a sell may execute at.
    pub min_sell: i128,
    /// What it is marked at.
    pub mark_source: MarkSource,
    /// Middle of the book when both sides were last there; 0 before.
    pub mid: i128,
    /// Funding.
    pub funding: Funding,
    /// Risk limits being put together.
    pub staged: Vec<TierSpec>,
    /// Risk limits to come, and from when.
    pub announced: Option<(i64, Vec<TierSpec>)>,
    /// Samples of mid less index, oldest first.
    pub basis: Vec<i128>,
    /// Samples of mid less mark, oldest first.
    pub premium: Vec<i128>,
    /// The last (basis, premium) that was taken with both sides of the book there.
    pub last_sample: Option<(i128, i128)>,
    /// Second of the last sample.
    pub sampled_second: i64,
}

impl Market {
    /// Before the first price.
    pub fn new(spec: &InstrumentSpec) -> Self {
        Self {
            sources: vec![Source::default(); spec.index_sources.len()],
            index: 0,
            mark: 0,
            last: 0,
            max_buy: 0,
            min_sell: 0,
            mark_source: MarkSource::Dual,
            mid: 0,
            funding: Funding::new(spec),
            staged: Vec::new(),
            announced: None,
            basis: Vec::new(),
            premium: Vec::new(),
            last_sample: None,
            sampled_second: -1,
        }
    }

    /// Keeps a report.
    pub fn report(&mut self, source: usize, price: Price, now: i64) {
        let kept = &mut self.sources[source];
        if kept.price != price.0 {
            kept.changed_ms = now;
        }
        (kept.price, kept.updated_ms) = (price.0, now);
    }

    /// Samples once for every second since the last sample. Where one side of the book is empty the last good sample
    /// is repeated.
    pub fn sample(&mut self, contract: &Contract, now: i64, best: (Option<i128>, Option<i128>)) {
        let second = now.div_euclid(SAMPLE_MS);
        if self.mark == 0 || second <= self.sampled_second {
            return;
        }
        if let (Some(bid), Some(ask)) = best {
            let mid = half_up(bid + ask, 2);
            self.last_sample = Some((mid - self.index, mid - self.mark));
        }
        let seconds = if self.sampled_second < 0 { 1 } else { second - self.sampled_second };
        self.sampled_second = second;
        let Some((basis, premium)) = self.last_sample else { return };
        let window = usize::try_from(contract.spec.basis_window_ms / SAMPLE_MS).expect("positive");
        keep(&mut self.basis, basis, seconds, window);
        keep(&mut self.premium, premium, seconds, PREMIUM_SAMPLES);
    }

    /// A quote as far as it counts.
    pub fn counted(&self, contract: &Contract, price: i128) -> i128 {
        let y = i128::from(contract.spec.price_band_y);
        let outer = |ratio: i128| half_up(self.index * (ONE + ratio), ONE);
        price.clamp(self.min_sell, self.max_buy).clamp(outer(-y), outer(y))
    }

    /// Works out index, mark and band; true when index or mark changed.
    pub fn refresh(&mut self, contract: &Contract, now: i64, best: (Option<i128>, Option<i128>)) -> bool {
        if let (Some(bid), Some(ask)) = best {
            self.mid = half_up(bid + ask, 2);
        }
        let before = (self.index, self.mark);
        let spec = &contract.spec;
        let mut fresh = Vec::new();
        for (source, listed) in self.sources.iter().zip(&spec.index_sources) {
            if source.price > 0 && now - source.updated_ms <= spec.index_stale_ms {
                fresh.push((i128::from(source.price), i128::from(listed.weight)));
            }
        }
        if !fresh.is_empty() {
            self.index = clamped_mean(&fresh, i128::from(spec.index_clamp));
        }
        if self.index == 0 {
            return false; // nobody has reported yet
        }
        let or_index = |price: i128| if price == 0 { self.index } else { price };
        let mark = match self.mark_source {
            MarkSource::Dual => self.median_of_three(now),
            MarkSource::Last => or_index(self.last),
            MarkSource::BookMid => or_index(self.mid),
        };
        self.mark =
            (half_up(mark, contract.tick()) * contract.tick()).clamp(contract.tick(), contract.highest());
        self.set_band(contract);
        self.funding.start(now);
        before != (self.index, self.mark)
    }

    fn median_of_three(&self, now: i64) -> i128 {
        let left = i128::from(self.funding.left(now));
        let drift = half_up(
            self.index * self.funding.settled * left,
            i128::from(RATE_SCALE) * i128::from(self.funding.period),
        );
        let last = if self.last == 0 { self.index } else { self.last };
        let mut three = [self.index + drift, self.index + mean(&self.basis), last];
        three.sort_unstable();
        three[1]
    }

    fn set_band(&mut self, contract: &Contract) {
        let (x, y) = (i128::from(contract.spec.price_band_x), i128::from(contract.spec.price_band_y));
        let away = |ratio: i128| half_up(self.mark * (ONE + ratio), ONE);
        let premium = mean(&self.premium);
        let max_buy = away(y).min(self.index.max(away(x) + premium.max(0)));
        let min_sell = away(-y).max(self.index.min(away(-x) + premium.min(0)));
        let (tick, highest) = (contract.tick(), contract.highest());
        self.max_buy = (floor(max_buy, tick) * tick).clamp(tick, highest);
        self.min_sell = (ceil(min_sell, tick) * tick).clamp(tick, highest);
    }
}

fn keep(samples: &mut Vec<i128>, sample: i128, times: i64, window: usize) {
    let times = usize::try_from(times).unwrap_or(usize::MAX).min(window);
    samples.extend(std::iter::repeat_n(sample, times));
    let excess = samples.len().saturating_sub(window);
    samples.drain(..excess);
}

fn mean(samples: &[i128]) -> i128 {
    if samples.is_empty() {
        return 0;
    }
    half_up(samples.iter().sum(), i128::try_from(samples.len()).expect("few"))
}

/// Weighted mean of (price, weight), each price moved into the band around the median.
fn clamped_mean(components: &[(i128, i128)], band: i128) -> i128 {
    let mut prices: Vec<i128> = components.iter().map(|(price, _)| *price).collect();
    prices.sort_unstable();
    let (low_middle, high_middle) = (prices[(prices.len() - 1) / 2], prices[prices.len() / 2]);
    let median = half_up(low_middle + high_middle, 2);
    let (low, high) = (half_up(median * (ONE - band), ONE), half_up(median * (ONE + band), ONE));
    let weights: i128 = components.iter().map(|(_, weight)| weight).sum();
    half_up(components.iter().map(|(price, weight)| price.clamp(&low, &high) * weight).sum(), weights)
}

impl State {
    /// Best bid and ask as far as they count.
    pub fn quotes(&self, instrument: usize) -> (Option<i128>, Option<i128>) {
        let quote = |side: Side| {
            let best = self.best(instrument, side)?;
            Some(self.markets[instrument].counted(&self.contracts[instrument], best))
        };
        (quote(Side::Buy), quote(Side::Sell))
    }

    /// Works out an instrument's prices anew and tells when they changed.
    pub fn remark(&mut self, instrument: usize) {
        let contract = self.contract(instrument);
        let best = self.quotes(instrument);
        if self.markets[instrument].refresh(&contract, self.now, best) {
            let market = &self.markets[instrument];
            let (index, mark) = (Contract::shown_price(market.index), Contract::shown_price(market.mark));
            self.emit(EventKind::PriceChanged { instrument: instrument_id(instrument), index, mark });
        }
    }
}
