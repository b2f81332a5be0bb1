//! Prices of one instrument: rules 1.2 to 1.4 and 3.3. Mark as the median of three, price band around the mark, and the samples
//! they need. Everything is recomputed whenever a source reports or time passes. The index is in `index`.
//!
//! Spot is marked at its index. An expiry contract is marked at the index with the mean basis rate of its impact prices, and
//! in the half hour before its delivery at what the delivery price would be if the index stayed.
//!
//! A quote counts no further than the band, and no further from the index than the outer limit of the band.
//!
//! Roundings, all half up: the mean of the samples; what is left of the last funding rate; the mark to the tick; the band's edges. The band is cut to whole ticks
//! inwards.

use exchange_core::{
    EventKind, InstrumentId, InstrumentSpec, InstrumentStatus, Kind, MarkSource, Price, Side, TierSpec,
    TriggerBy, RATE_SCALE,
};

use crate::contract::{Contract, ONE};
use crate::funding::Funding;
use crate::orders::instrument_id;
use crate::rounding::{ceil, floor, half_up};
use crate::state::State;

/// One sample each second.
const SAMPLE_MS: i64 = 1000;
/// The premium that widens the band is the mean of half a minute.
const PREMIUM_SAMPLES: usize = 30;
/// Of spot: of two minutes.
const SPOT_PREMIUM_SAMPLES: usize = 120;
/// The basis rate of an expiry contract is the mean of ten minutes.
const EXPIRY_BASIS_SAMPLES: usize = 600;
/// One whole, of basis rates.
const RATE_ONE: i128 = RATE_SCALE as i128;

/// Seconds whose mean index is the delivery price.
pub const DELIVERY_SECONDS: i64 = 1800;

/// A bid and an ask.
pub type Sides = (Option<i128>, Option<i128>);

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
    /// The last of the basis that could be taken.
    pub last_basis: Option<i128>,
    /// The last of the premium.
    pub last_premium: Option<i128>,
    /// Which orders are let in.
    pub status: InstrumentStatus,
    /// The index in each second of the half hour before delivery so far.
    pub delivery: Vec<i128>,
    /// Since when a low price counts as recovered.
    pub recovers_since: Option<i64>,
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
            last_basis: None,
            last_premium: None,
            status: InstrumentStatus::Trading,
            delivery: Vec::new(),
            recovers_since: None,
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

    /// Samples once for every second since the last sample, given best bid and ask and, of an expiry contract, the impact
    /// prices. What cannot be taken because a side of the book is empty repeats the last good sample.
    pub fn sample(&mut self, contract: &Contract, now: i64, best: Sides, impact: Sides) {
        let second = now.div_euclid(SAMPLE_MS);
        if self.mark == 0 || second <= self.sampled_second {
            return;
        }
        if let Some(delivery_ms) = contract.delivery_ms() {
            let until = now.min(delivery_ms).div_euclid(SAMPLE_MS);
            let begins = delivery_ms.div_euclid(SAMPLE_MS) - DELIVERY_SECONDS;
            while begins + i64::try_from(self.delivery.len()).expect("few") < until {
                self.delivery.push(self.index);
            }
        }
        let mid = middle(best);
        self.last_premium = mid.map(|mid| mid - self.mark).or(self.last_premium);
        let basis = match contract.spec.kind {
            Kind::Expiry { .. } => {
                middle(impact).map(|mid| half_up((mid - self.index) * RATE_ONE, self.index))
            }
            Kind::Perpetual | Kind::Spot => mid.map(|mid| mid - self.index),
        };
        self.last_basis = basis.or(self.last_basis);
        let seconds = if self.sampled_second < 0 { 1 } else { second - self.sampled_second };
        self.sampled_second = second;
        let window = match contract.spec.kind {
            Kind::Perpetual => usize::try_from(contract.spec.basis_window_ms / SAMPLE_MS).expect("positive"),
            Kind::Expiry { .. } => EXPIRY_BASIS_SAMPLES,
            Kind::Spot => 1,
        };
        if let Some(basis) = self.last_basis {
            keep(&mut self.basis, basis, seconds, window);
        }
        let window = if contract.is_spot() { SPOT_PREMIUM_SAMPLES } else { PREMIUM_SAMPLES };
        if let Some(premium) = self.last_premium {
            keep(&mut self.premium, premium, seconds, window);
        }
    }

    /// A quote as far as it counts.
    pub fn counted(&self, contract: &Contract, price: i128) -> i128 {
        let y = i128::from(contract.spec.price_band_y);
        let outer = |ratio: i128| half_up(self.index * (ONE + ratio), ONE);
        price.clamp(self.min_sell, self.max_buy).clamp(outer(-y), outer(y))
    }

    /// Takes a new index, if there is one, and works out mark and band; true when index or mark changed.
    pub fn refresh(&mut self, contract: &Contract, now: i64, index: Option<i128>, best: Sides) -> bool {
        self.mid = middle(best).unwrap_or(self.mid);
        let before = (self.index, self.mark);
        self.index = index.unwrap_or(self.index);
        if self.index == 0 {
            return false; // nobody has reported yet
        }
        let mark = self.mark_now(contract, now);
        self.mark =
            (half_up(mark, contract.tick()) * contract.tick()).clamp(contract.tick(), contract.highest());
        self.set_band(contract);
        self.funding.start(now);
        before != (self.index, self.mark)
    }

    fn mark_now(&self, contract: &Contract, now: i64) -> i128 {
        let or_index = |price: i128| if price == 0 { self.index } else { price };
        let is_expiry = contract.delivery_ms().is_some();
        match self.mark_source {
            _ if contract.is_spot() => self.index,
            _ if is_expiry && !self.delivery.is_empty() => self.delivery_price(),
            MarkSource::Dual if is_expiry => half_up(self.index * (RATE_ONE + mean(&self.basis)), RATE_ONE),
            MarkSource::Dual => self.median_of_three(now),
            MarkSource::Last => or_index(self.last),
            MarkSource::BookMid => or_index(self.mid),
        }
    }

    /// What the delivery price would be if the index stayed.
    fn delivery_price(&self) -> i128 {
        let taken = i128::try_from(self.delivery.len()).expect("few");
        let all = i128::from(DELIVERY_SECONDS);
        half_up(self.delivery.iter().sum::<i128>() + self.index * (all - taken), all)
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

/// Half way between both sides; nothing while one is empty.
fn middle(sides: Sides) -> Option<i128> {
    Some(half_up(sides.0? + sides.1?, 2))
}

impl State {
    /// Best bid and ask as far as they count.
    pub fn quotes(&self, instrument: usize) -> Sides {
        let quote = |side: Side| {
            let best = self.best(instrument, side)?;
            Some(self.markets[instrument].counted(&self.contracts[instrument], best))
        };
        (quote(Side::Buy), quote(Side::Sell))
    }

    /// Works out an instrument's prices anew and tells when they changed; then what its index decides: coins, and the
    /// instruments whose sources it converts.
    pub fn remark(&mut self, instrument: usize) {
        let contract = self.contract(instrument);
        let (index, best) = (self.index_now(instrument), self.quotes(instrument));
        let before = self.markets[instrument].index;
        if !self.markets[instrument].refresh(&contract, self.now, index, best) {
            return;
        }
        let market = &self.markets[instrument];
        let (index, mark) = (Contract::shown_price(market.index), Contract::shown_price(market.mark));
        let has_moved = market.index != before;
        self.emit(EventKind::PriceChanged { instrument: instrument_id(instrument), index, mark });
        self.note_price(instrument, TriggerBy::MarkPrice);
        self.note_price(instrument, TriggerBy::IndexPrice);
        if has_moved {
            self.reprice_coins(instrument);
            for other in 0..self.contracts.len() {
                let by_this = |bridge: InstrumentId| usize::from(bridge.0) == instrument;
                let mut sources = self.contracts[other].spec.index_sources.iter();
                if sources.any(|source| source.converted_by.is_some_and(by_this)) {
                    self.remark(other);
                }
            }
        }
    }
}
