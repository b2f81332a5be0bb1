//! Funding: rules 2. Pure formulas, the premium samples of one interval, and the clock that says when to settle.
//! Who pays whom is in the exchange; here nobody has a position.
//!
//! Rates and premiums are in units of `10^-12` (`RATE_SCALE`), prices and money in units of `10^-8`.

use serde::{Deserialize, Serialize};

use crate::fixed::{div_half_up, mul_div_ceil, mul_div_half_up, saturate};
use crate::genesis::{require, GenesisError};
use crate::instrument::{InstrumentSpec, Kind, TierSpec};
use crate::types::{Money, LEVERAGE_SCALE, MONEY_MAX, RATE_SCALE, SCALE};

/// One premium sample a market minute.
pub const PREMIUM_SAMPLE_MS: i64 = 60_000;
/// Over which the interest part of the rate is quoted.
pub const DAY_MS: i64 = 86_400_000;
/// Longest funding interval: a week.
pub const INTERVAL_MS_MAX: i64 = 7 * DAY_MS;
/// Settlements of one instrument in one command; what is due beyond them stays due.
pub const SETTLEMENTS_MAX: usize = 64;

/// Funding of a perpetual as listed. Rates are in `10^-12`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FundingSpec {
    /// Time from settlement to settlement, in whole minutes.
    pub interval_ms: i64,
    /// Interest of a day.
    pub interest_daily: i64,
    /// How far the rate may move from the premium towards the interest.
    pub clamp: i64,
    /// Lowest and highest rate; without them what `default_cap` says.
    pub caps: Option<(i64, i64)>,
    /// Settlement value whose mean execution price is the impact price; 0 for 200 of the quote coin at the first tier's
    /// highest leverage.
    pub impact_notional: Money,
    /// Payments over which one rate is spread: 1, or 8 on venues that pay the rate of eight hours hour by hour.
    pub payments: i64,
}

impl Default for FundingSpec {
    /// Eight hours, 0.03 % a day, 0.05 % of clamp.
    fn default() -> Self {
        Self {
            interval_ms: 28_800_000,
            interest_daily: 300_000_000,
            clamp: 500_000_000,
            caps: None,
            impact_notional: Money(0),
            payments: 1,
        }
    }
}

impl FundingSpec {
    /// True when an interval and caps can be, where the lowest maintenance margin rate is this (`10^-8`): one settlement
    /// must not take more than a position that is covered has.
    pub fn is_sound(interval_ms: i64, (lower, upper): (i64, i64), maintenance_rate: i64) -> bool {
        let most = maintenance_rate.saturating_mul(RATE_SCALE / SCALE);
        (PREMIUM_SAMPLE_MS..=INTERVAL_MS_MAX).contains(&interval_ms)
            && interval_ms % PREMIUM_SAMPLE_MS == 0
            && (-most..=0).contains(&lower)
            && (0..=most).contains(&upper)
    }
}

/// Checks the funding of an instrument.
pub(crate) fn check(spec: &InstrumentSpec, at: &dyn Fn(&str) -> String) -> Result<(), GenesisError> {
    let funding = &spec.funding;
    let cap = default_cap(&spec.tiers[0]);
    let caps = funding.caps.unwrap_or((-cap, cap));
    let lowest = spec.tiers[0].maintenance_rate;
    let is_sound = spec.kind != Kind::Perpetual || FundingSpec::is_sound(funding.interval_ms, caps, lowest);
    require(is_sound, &at("funding"), || {
        format!(
            "interval was {} ms, must be whole minutes up to a week; caps were {caps:?}, must hold 0 and be at most the lowest maintenance rate, {}",
            funding.interval_ms,
            i128::from(lowest) * i128::from(RATE_SCALE / SCALE),
        )
    })?;
    let rates = [("daily interest", funding.interest_daily), ("clamp", funding.clamp)];
    for (field, rate) in rates {
        require((0..RATE_SCALE).contains(&rate), &at("funding"), || {
            format!("{field} was {rate}, allowed 0 to below {RATE_SCALE}")
        })?;
    }
    let notional = funding.impact_notional.0;
    require((0..=MONEY_MAX).contains(&notional), &at("funding"), || {
        format!("impact notional was {notional}, allowed 0 to {MONEY_MAX}")
    })?;
    require((1..=1440).contains(&funding.payments), &at("funding"), || {
        format!("payments was {}, allowed 1 to 1440", funding.payments)
    })
}

/// Three quarters of what lies between initial and maintenance margin rate of a tier, at most the latter; rounded down.
pub fn default_cap(tier: &TierSpec) -> i64 {
    let initial = i128::from(LEVERAGE_SCALE) * i128::from(RATE_SCALE) / i128::from(tier.max_leverage.max(1));
    let maintenance = i128::from(tier.maintenance_rate) * i128::from(RATE_SCALE / SCALE);
    saturate(((initial - maintenance) * 3 / 4).min(maintenance).max(0))
}

/// Premium of the contract over its index, from impact prices; rounded half up.
///
/// A side that cannot fill the impact notional is no evidence of a premium on its side. Nothing without either side.
pub fn premium_index(impact_bid: Option<i64>, impact_ask: Option<i64>, index: i64) -> Option<i64> {
    if index <= 0 || (impact_bid.is_none() && impact_ask.is_none()) {
        return None;
    }
    let index = i128::from(index);
    let above = impact_bid.map_or(0, |bid| (i128::from(bid) - index).max(0));
    let below = impact_ask.map_or(0, |ask| (index - i128::from(ask)).max(0));
    Some(saturate(mul_div_half_up(above - below, i128::from(RATE_SCALE), index)))
}

/// Interest part of a rate for an interval; rounded half up.
pub fn interest(daily: i64, interval_ms: i64) -> i64 {
    saturate(mul_div_half_up(i128::from(daily), i128::from(interval_ms), i128::from(DAY_MS)))
}

/// How a premium becomes a rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FundingTerms {
    /// How far the rate may move from the premium towards the interest.
    pub clamp: i64,
    /// Lowest rate.
    pub lower: i64,
    /// Highest rate.
    pub upper: i64,
    /// Payments over which one rate is spread: 1, or 8 on venues that pay the rate of eight hours hour by hour.
    pub payments: i64,
}

impl FundingTerms {
    /// `premium + clamp(interest - premium)`, spread over the payments (rounded half up), within the caps.
    pub fn rate(&self, average_premium: i64, interest: i64) -> i64 {
        let (premium, clamp) = (i128::from(average_premium), i128::from(self.clamp.max(0)));
        let towards = (i128::from(interest) - premium).clamp(-clamp, clamp);
        let spread = div_half_up(premium + towards, i128::from(self.payments));
        saturate(spread.min(i128::from(self.upper)).max(i128::from(self.lower)))
    }
}

/// What a position pays, negative when it receives; `numerator / denominator` is its value, negative when short.
///
/// Rounded up, so the payer pays the odd unit and the receiver goes without it: what all sides of an instrument pay
/// together is never negative, and less than one unit a position.
pub fn funding_fee(numerator: i128, denominator: i128, rate: i64) -> i128 {
    mul_div_ceil(numerator, i128::from(rate), denominator.saturating_mul(i128::from(RATE_SCALE)))
}

/// Mean premium of an interval: the i-th sample counts i times.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PremiumAverage {
    /// Samples so far.
    pub count: i64,
    /// Sum of i times the i-th sample.
    pub weighted: i128,
}

impl PremiumAverage {
    /// Adds a sample several times.
    pub fn push(&mut self, premium: i64, times: i64) {
        let times = times.max(0);
        let (before, added) = (i128::from(self.count), i128::from(times));
        let weight = added * before + added * (added + 1) / 2;
        self.weighted = self.weighted.saturating_add(weight.saturating_mul(i128::from(premium)));
        self.count = self.count.saturating_add(times);
    }

    /// Mean, rounded half up; 0 without samples.
    pub fn mean(&self) -> i64 {
        let count = i128::from(self.count);
        saturate(div_half_up(self.weighted, count * (count + 1) / 2))
    }
}

/// A settlement that is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settlement {
    /// Market time it belongs to.
    pub at_ms: i64,
    /// Rate of the interval that ended then.
    pub rate: i64,
}

/// Funding of one instrument as time passes. Settlements fall on whole multiples of the interval since the epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FundingClock {
    /// How premiums become rates; a change counts at once.
    pub terms: FundingTerms,
    /// Interest of a day.
    pub interest_daily: i64,
    /// Interval in force from the next settlement on.
    pub interval_ms: i64,
    /// Next settlement; 0 before the instrument had a price.
    pub next_ms: i64,
    /// Length of the interval that ends then.
    pub period_ms: i64,
    /// Premium samples of this interval.
    pub samples: PremiumAverage,
    /// Market minute of the last sample.
    pub sampled_minute: i64,
    /// Last premium that could be taken.
    pub premium: i64,
    /// Rate of the last settlement; 0 before the first.
    pub settled_rate: i64,
    /// Rate the next settlement would have with the samples so far.
    pub predicted_rate: i64,
}

impl FundingClock {
    /// A clock that has not started, of an instrument with these tiers.
    pub fn new(spec: &FundingSpec, tiers: &[TierSpec]) -> Self {
        let cap = tiers.first().map_or(0, default_cap);
        let (lower, upper) = spec.caps.unwrap_or((-cap, cap));
        Self {
            terms: FundingTerms { clamp: spec.clamp, lower, upper, payments: spec.payments },
            interest_daily: spec.interest_daily,
            interval_ms: spec.interval_ms.max(PREMIUM_SAMPLE_MS),
            next_ms: 0,
            period_ms: spec.interval_ms.max(PREMIUM_SAMPLE_MS),
            samples: PremiumAverage::default(),
            sampled_minute: 0,
            premium: 0,
            settled_rate: 0,
            predicted_rate: 0,
        }
    }

    /// Starts with the first price; later calls change nothing.
    pub fn start(&mut self, market_ms: i64) {
        if self.next_ms == 0 {
            self.next_ms = following(market_ms, self.interval_ms);
            self.period_ms = self.interval_ms;
            self.sampled_minute = market_ms.div_euclid(PREMIUM_SAMPLE_MS);
            self.predict();
        }
    }

    /// True when a minute has begun that has no sample yet, or a settlement is due.
    #[inline]
    pub fn wants_sample(&self, market_ms: i64) -> bool {
        self.next_ms != 0 && market_ms.div_euclid(PREMIUM_SAMPLE_MS) > self.sampled_minute
    }

    /// Lets time pass up to the next settlement, which is returned when it is due, or else up to `market_ms`.
    ///
    /// Call again until nothing is due. Minutes that were passed over all get the present premium; without one they
    /// repeat the last. A clock that has not started stands still.
    pub fn advance(&mut self, market_ms: i64, premium: Option<i64>) -> Option<Settlement> {
        if self.next_ms == 0 {
            return None;
        }
        self.premium = premium.unwrap_or(self.premium);
        let until = market_ms.min(self.next_ms).div_euclid(PREMIUM_SAMPLE_MS);
        if until > self.sampled_minute {
            self.samples.push(self.premium, until - self.sampled_minute);
            self.sampled_minute = until;
        }
        self.predict();
        if market_ms < self.next_ms {
            return None;
        }
        let settlement = Settlement { at_ms: self.next_ms, rate: self.predicted_rate };
        self.settled_rate = settlement.rate;
        self.next_ms = following(settlement.at_ms, self.interval_ms);
        self.period_ms = self.next_ms - settlement.at_ms;
        self.samples = PremiumAverage::default();
        self.predict();
        Some(settlement)
    }

    /// Recomputes the running estimate, after a sample or a change of terms.
    pub fn predict(&mut self) {
        let interest = interest(self.interest_daily, self.period_ms);
        self.predicted_rate = self.terms.rate(self.samples.mean(), interest);
    }

    /// What is left of the present interval.
    pub fn until_next(&self, market_ms: i64) -> i64 {
        self.next_ms.saturating_sub(market_ms).clamp(0, self.period_ms)
    }
}

/// First whole multiple of the interval after a time.
fn following(after_ms: i64, interval_ms: i64) -> i64 {
    (after_ms.div_euclid(interval_ms) + 1).saturating_mul(interval_ms)
}
