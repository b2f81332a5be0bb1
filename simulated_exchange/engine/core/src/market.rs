//! All prices of one instrument as they stand: reports, samples, index, mark, band. The formulas are in `index`, `mark`
//! and `funding`; when what is computed is the business of `clock`.

use serde::{Deserialize, Serialize};

use crate::delivery::DeliverySamples;
use crate::fixed::{div_ceil, div_floor, div_half_up, mul_div_half_up, saturate};
use crate::funding::FundingClock;
use crate::index::Source;
use crate::instrument::{InstrumentSpec, Kind};
use crate::mark::{basis_rate, expiry_mark, perpetual_mark, price1, price2, price_band, MarkSource};
use crate::risk_limits::RiskLimits;
use crate::types::{InstrumentStatus, SCALE};

/// One sample a market second.
pub const SAMPLE_MS: i64 = 1000;
/// Window of the premium that widens the price band of a contract: 30 s.
pub const PREMIUM_SAMPLES: usize = 30;
/// The same of spot: two minutes.
pub const SPOT_PREMIUM_SAMPLES: usize = 120;
/// Window of an expiry contract's mean basis rate: ten minutes.
pub const EXPIRY_BASIS_SAMPLES: usize = 600;

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

    /// True when it could be what became of an empty one.
    pub(crate) fn is_sound(&self, empty: &Self) -> bool {
        let count = self.samples.len();
        let sum: i128 = self.samples.iter().map(|sample| i128::from(*sample)).sum();
        self.capacity == empty.capacity
            && count <= self.capacity
            && (self.oldest == 0 || self.oldest < count)
            && sum == self.sum
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
    /// What it is marked at.
    pub mark_source: MarkSource,
    /// Index; 0 before the first report, kept when every component is stale.
    pub index: i64,
    /// Mark, rounded half up to the tick; 0 before there is an index.
    pub mark_ticks: i64,
    /// Last traded price; 0 before the first trade.
    pub last_ticks: i64,
    /// Middle of best bid and best ask when both were last there; 0 before.
    pub mid: i64,
    /// First candidate of the mark; the index where a mark has no candidates.
    pub price1: i64,
    /// Second candidate of the mark; the index with the mean basis rate for an expiry contract.
    pub price2: i64,
    /// Highest tick a buy may execute at.
    pub max_buy_ticks: i64,
    /// Lowest tick a sell may execute at.
    pub min_sell_ticks: i64,
    /// Samples of mid less index; for an expiry contract, of the basis rate of its impact mid price, in `10^-12`.
    pub basis: Window,
    /// Samples of mid less mark.
    pub premium: Window,
    /// Last samples of both that could be taken.
    pub last_samples: (Option<i64>, Option<i64>),
    /// Market second of the last sample.
    pub sampled_second: i64,
    /// Funding of a perpetual.
    pub funding: Option<FundingClock>,
    /// Risk limits to come.
    pub risk_limits: RiskLimits,
    /// Whether orders are let in.
    pub status: InstrumentStatus,
    /// Orders are let in only after a closer look: it has a time of delivery, or is not simply trading.
    pub is_restricted: bool,
    /// Samples of the index for the delivery price.
    pub delivery: DeliverySamples,
    /// Market time since which a low price counts as recovered.
    pub recovers_since_ms: Option<i64>,
}

impl Market {
    /// A market before its first price.
    pub fn new(spec: &InstrumentSpec) -> Self {
        let (basis, premium) = match spec.kind {
            Kind::Expiry { .. } => (EXPIRY_BASIS_SAMPLES, PREMIUM_SAMPLES),
            Kind::Perpetual => {
                (usize::try_from(spec.basis_window_ms / SAMPLE_MS).unwrap_or(1), PREMIUM_SAMPLES)
            }
            Kind::Spot => (1, SPOT_PREMIUM_SAMPLES),
        };
        Self {
            sources: vec![Source::default(); spec.index_sources.len()],
            mark_source: MarkSource::Dual,
            index: 0,
            mark_ticks: 0,
            last_ticks: 0,
            mid: 0,
            price1: 0,
            price2: 0,
            max_buy_ticks: 0,
            min_sell_ticks: 0,
            basis: Window::new(basis),
            premium: Window::new(premium),
            last_samples: (None, None),
            sampled_second: -1,
            funding: (spec.kind == Kind::Perpetual).then(|| FundingClock::new(&spec.funding, &spec.tiers)),
            risk_limits: RiskLimits::default(),
            status: InstrumentStatus::Trading,
            is_restricted: matches!(spec.kind, Kind::Expiry { .. }),
            delivery: DeliverySamples::default(),
            recovers_since_ms: None,
        }
    }

    /// Opens or closes the instrument for orders; one with a time of delivery is always looked at.
    pub fn set_status(&mut self, spec: &InstrumentSpec, status: InstrumentStatus) {
        self.status = status;
        self.is_restricted = status != InstrumentStatus::Trading || matches!(spec.kind, Kind::Expiry { .. });
    }

    /// True once there is an index, and so a mark.
    #[inline]
    pub fn is_ready(&self) -> bool {
        self.mark_ticks > 0
    }

    /// True when a market second has begun that has no sample yet.
    #[inline]
    pub fn wants_sample(&self, market_ms: i64) -> bool {
        self.is_ready() && market_ms / SAMPLE_MS > self.sampled_second
    }

    /// Takes the samples of the market seconds passed since the last one. A gap is filled with the present sample;
    /// what cannot be taken, because a side of the book is empty, repeats the last one.
    ///
    /// `impact_mid` is only looked at for an expiry contract.
    pub fn sample(
        &mut self,
        market_ms: i64,
        spec: &InstrumentSpec,
        mid: Option<i64>,
        impact_mid: Option<i64>,
    ) {
        if !self.wants_sample(market_ms) {
            return;
        }
        if let Kind::Expiry { delivery_ms } = spec.kind {
            self.delivery.take(self.index, market_ms, delivery_ms);
        }
        let mark = self.mark_ticks.saturating_mul(spec.tick_size.0);
        let basis = match spec.kind {
            Kind::Expiry { .. } => impact_mid.and_then(|impact| basis_rate(impact, self.index)),
            Kind::Perpetual | Kind::Spot => mid.map(|mid| mid.saturating_sub(self.index)),
        };
        let premium = mid.map(|mid| mid.saturating_sub(mark));
        self.last_samples = (basis.or(self.last_samples.0), premium.or(self.last_samples.1));
        let second = market_ms / SAMPLE_MS;
        let missed = if self.sampled_second < 0 { 1 } else { second - self.sampled_second };
        self.sampled_second = second;
        let missed = usize::try_from(missed).unwrap_or(usize::MAX);
        for (window, sample) in
            [(&mut self.basis, self.last_samples.0), (&mut self.premium, self.last_samples.1)]
        {
            if let Some(sample) = sample {
                (0..missed.min(window.capacity())).for_each(|_| window.push(sample));
            }
        }
    }

    /// Takes a new index, if there is one, and recomputes candidates, mark and band; true when index or mark changed.
    pub fn refresh(
        &mut self,
        market_ms: i64,
        spec: &InstrumentSpec,
        max_ticks: i64,
        index: Option<i64>,
        mid: Option<i64>,
    ) -> bool {
        let before = (self.index, self.mark_ticks);
        self.index = index.unwrap_or(self.index);
        self.mid = mid.unwrap_or(self.mid);
        if self.index == 0 {
            return false;
        }
        let mark = i128::from(self.mark_now(market_ms, spec));
        self.mark_ticks = saturate(div_half_up(mark, i128::from(spec.tick_size.0))).clamp(1, max_ticks);
        self.refresh_band(spec, max_ticks);
        if let Some(funding) = &mut self.funding {
            funding.start(market_ms);
        }
        before != (self.index, self.mark_ticks)
    }

    /// A quote as far as it counts for samples and impact prices: no further than anybody may trade at, nor than the outer
    /// limit of the band lies from the index. What somebody only shows must not carry the mark away.
    pub fn counted(&self, price: i64, spec: &InstrumentSpec) -> i64 {
        let edge = |ticks: i64| ticks.saturating_mul(spec.tick_size.0);
        let whole = i128::from(SCALE);
        let outer =
            |ratio: i64| saturate(mul_div_half_up(i128::from(self.index), whole + i128::from(ratio), whole));
        let tradable = price.min(edge(self.max_buy_ticks)).max(edge(self.min_sell_ticks));
        tradable.min(outer(spec.price_band_y)).max(outer(-spec.price_band_y))
    }

    fn mark_now(&mut self, market_ms: i64, spec: &InstrumentSpec) -> i64 {
        let or_index = |price: i64| if price == 0 { self.index } else { price };
        let last = or_index(self.last_ticks.saturating_mul(spec.tick_size.0));
        let mid = or_index(self.mid);
        let dual = match (spec.kind, &self.funding) {
            (Kind::Perpetual, Some(funding)) => {
                let left = funding.until_next(market_ms);
                self.price1 = price1(self.index, funding.settled_rate, left, funding.period_ms);
                self.price2 = price2(self.index, self.basis.mean());
                perpetual_mark(self.price1, self.price2, last)
            }
            (Kind::Expiry { .. }, _) => {
                self.price1 = self.index;
                self.price2 = expiry_mark(self.index, self.basis.mean());
                if self.delivery.count > 0 {
                    return self.delivery.expected(self.index);
                }
                self.price2
            }
            _ => {
                (self.price1, self.price2) = (self.index, self.index);
                return self.index;
            }
        };
        match self.mark_source {
            MarkSource::Dual => dual,
            MarkSource::Last => last,
            MarkSource::BookMid => mid,
        }
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
