//! Insurance pools: their eight-hour maximum, what each contract gained or cost them, and when its losses are no longer
//! theirs to bear. Rules 8. Pure: numbers in, numbers out.
//!
//! Choices where the published rules leave room:
//! - A maximum is over the samples of the market minutes of the last eight hours and the present value.
//! - A contract's loss counts with what its positions taken over would lose at the mark.
//! - Deleveraging is due at exactly the trigger ratio, and takes only what lies beyond it (example ADL-2).

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::fixed::{div_floor, mul_div_half_up, saturate};
use crate::types::{Money, SCALE};

/// One sample a market minute.
pub const MINUTE_MS: i64 = 60_000;
/// Minutes of the maximum: eight hours.
pub const PEAK_MINUTES: i64 = 480;

/// When a pool stops bearing a contract's losses, as listed. Ratios in `10^-8`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AdlSpec {
    /// A pool that holds no more is not watched for drawdown, only for being used up (`adlTriggerThreshold`).
    pub threshold: Money,
    /// Drawdown per eight-hour maximum at which deleveraging starts (`insurancePnlRatio`); not positive.
    pub trigger_ratio: i64,
    /// Drawdown above which it stops (`adlStopRatio`); between the trigger and zero.
    pub stop_ratio: i64,
    /// Farther from the mark than this, deleveraging executes at the mark as far as the pool can pay for it; 0: never.
    pub mark_beyond: i64,
}

impl Default for AdlSpec {
    /// As published.
    fn default() -> Self {
        Self {
            threshold: Money(10_000 * SCALE),
            trigger_ratio: -3 * SCALE / 10,
            stop_ratio: -SCALE / 4,
            mark_beyond: 0,
        }
    }
}

/// The largest of the samples of the last eight hours.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Peak {
    /// Samples `(minute, value)` that no later one reaches, oldest first.
    samples: VecDeque<(i64, i128)>,
}

impl Peak {
    /// A peak with one sample.
    pub fn new(minute: i64, value: i128) -> Self {
        Self { samples: VecDeque::from([(minute, value)]) }
    }

    /// Takes the sample of a minute and forgets those eight hours older.
    pub fn sample(&mut self, minute: i64, value: i128) {
        while self.samples.back().is_some_and(|(_, last)| *last <= value) {
            self.samples.pop_back();
        }
        self.samples.push_back((minute, value));
        while self.samples.front().is_some_and(|(first, _)| *first <= minute - PEAK_MINUTES) {
            self.samples.pop_front();
        }
    }

    /// The maximum of the samples and the present value.
    pub fn with(&self, present: i128) -> i128 {
        self.samples.front().map_or(present, |(_, highest)| present.max(*highest))
    }

    /// The samples that no later one reaches, oldest first.
    pub fn samples(&self) -> impl Iterator<Item = (i64, i128)> + '_ {
        self.samples.iter().copied()
    }
}

/// What the rule looks at, for one contract.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Drawdown {
    /// What the pool holds.
    pub balance: i128,
    /// Its eight-hour maximum.
    pub balance_peak: i128,
    /// What the contract gained for the pool, or cost it, so far.
    pub pnl: i128,
    /// The eight-hour maximum of that.
    pub pnl_peak: i128,
    /// What the contract's positions taken over would lose at the mark; not negative.
    pub open_loss: i128,
}

impl Drawdown {
    /// The contract's loss since its peak, open loss included, per peak of the pool: in `10^-8`, half up; 0 for a pool
    /// that was empty all the time.
    pub fn ratio(&self) -> i64 {
        if self.balance_peak <= 0 {
            return 0;
        }
        saturate(mul_div_half_up(self.change(), i128::from(SCALE), self.balance_peak))
    }

    fn change(&self) -> i128 {
        self.pnl - self.open_loss - self.pnl_peak
    }

    /// True while the drawdown counts; a small pool may be used up whole.
    fn is_watched(&self, spec: &AdlSpec) -> bool {
        self.balance > i128::from(spec.threshold.0)
    }

    /// What the pool may still lose in the contract.
    pub fn headroom(&self, spec: &AdlSpec) -> i128 {
        let mut room = self.balance;
        if self.is_watched(spec) {
            let bears = div_floor(
                self.balance_peak.saturating_mul(-i128::from(spec.trigger_ratio)),
                i128::from(SCALE),
            );
            room = room.min(bears - (self.pnl_peak - self.pnl));
        }
        room.max(0)
    }

    /// The part of the open loss that others must bear.
    pub fn excess(&self, spec: &AdlSpec) -> i128 {
        (self.open_loss - self.headroom(spec)).max(0)
    }

    /// True when deleveraging starts.
    pub fn is_triggered(&self, spec: &AdlSpec) -> bool {
        let is_used_up = self.open_loss > 0 && self.open_loss >= self.balance;
        is_used_up || self.is_watched(spec) && self.change_reaches(spec.trigger_ratio)
    }

    /// True when deleveraging that has started stops.
    pub fn is_over(&self, spec: &AdlSpec) -> bool {
        let has_money = self.balance > self.open_loss;
        has_money && (!self.is_watched(spec) || !self.change_reaches(spec.stop_ratio))
    }

    fn change_reaches(&self, ratio: i64) -> bool {
        self.change().saturating_mul(i128::from(SCALE)) <= self.balance_peak.saturating_mul(i128::from(ratio))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ONE: i128 = SCALE as i128;

    fn drawdown(pool_peak: i128, change: i128) -> Drawdown {
        Drawdown {
            balance: pool_peak * ONE,
            balance_peak: pool_peak * ONE,
            open_loss: -change * ONE,
            ..Drawdown::default()
        }
    }

    #[test]
    fn adl_1_the_part_beyond_the_trigger_is_deleveraged() {
        let (rule, drawdown) = (AdlSpec::default(), drawdown(1_000_000, -350_000));
        assert_eq!(drawdown.ratio(), -35_000_000);
        assert!(drawdown.is_triggered(&rule));
        assert_eq!(drawdown.excess(&rule), 50_000 * ONE);
    }

    #[test]
    fn adl_2_exactly_the_ratio_triggers_and_leaves_nothing_beyond() {
        let (rule, drawdown) = (AdlSpec::default(), drawdown(2_000_000, -600_000));
        assert_eq!(drawdown.ratio(), -30_000_000);
        assert!(drawdown.is_triggered(&rule));
        assert_eq!(drawdown.excess(&rule), 0);
    }

    #[test]
    fn deleveraging_stops_above_the_stop_ratio_only() {
        let rule = AdlSpec::default();
        for (change, triggered, over) in
            [(-299_999, false, false), (-250_000, false, false), (-249_999, false, true), (0, false, true)]
        {
            let drawdown = drawdown(1_000_000, change);
            assert_eq!(
                (drawdown.is_triggered(&rule), drawdown.is_over(&rule)),
                (triggered, over),
                "{change}"
            );
        }
    }

    #[test]
    fn a_small_pool_is_used_up_whole() {
        let rule = AdlSpec::default();
        let small = |loss: i128| Drawdown { open_loss: loss * ONE, ..drawdown(10_000, 0) };
        assert_eq!(small(9_999).excess(&rule), 0);
        assert!(!small(9_999).is_triggered(&rule));
        assert!(small(10_000).is_triggered(&rule) && !small(10_000).is_over(&rule));
        assert_eq!(small(10_500).excess(&rule), 500 * ONE);
    }

    #[test]
    fn a_pool_that_never_held_anything_has_no_ratio() {
        let empty = Drawdown { open_loss: 5, ..Drawdown::default() };
        assert_eq!((empty.ratio(), empty.excess(&AdlSpec::default())), (0, 5));
        assert!(empty.is_triggered(&AdlSpec::default()));
        assert!(!Drawdown::default().is_triggered(&AdlSpec::default()));
    }

    proptest! {
        #[test]
        fn the_peak_is_the_largest_sample_of_eight_hours(
            steps in prop::collection::vec((1_i64..200, -50_i128..50), 1..60), present in -50_i128..50,
        ) {
            let (mut peak, mut all, mut minute) = (Peak::default(), Vec::new(), 0);
            for (step, value) in steps {
                minute += step;
                peak.sample(minute, value);
                all.push((minute, value));
                let recent = all.iter().filter(|(taken, _)| *taken > minute - PEAK_MINUTES);
                let highest = recent.map(|(_, value)| *value).max().unwrap();
                prop_assert_eq!(peak.with(present), highest.max(present));
            }
        }

        #[test]
        fn after_the_excess_is_gone_the_pool_is_at_the_trigger_and_not_beyond(
            balance in 0_i128..1 << 50, above in 0_i128..1 << 50, pnl in -1_i128 << 50..1 << 50,
            fallen in 0_i128..1 << 50, loss in 0_i128..1 << 52,
        ) {
            let rule = AdlSpec { threshold: Money(1 << 40), ..AdlSpec::default() };
            let before = Drawdown { balance, balance_peak: balance + above, pnl, pnl_peak: pnl + fallen, open_loss: loss };
            let excess = before.excess(&rule);
            prop_assert!((0..=loss).contains(&excess));
            prop_assert!(excess == 0 || before.is_triggered(&rule));
            let after = Drawdown { open_loss: loss - excess, ..before };
            prop_assert_eq!(after.excess(&rule), 0);
            prop_assert!(after.open_loss <= balance, "the pool can pay");
            prop_assert!(!(before.is_triggered(&rule) && before.is_over(&rule)));
        }
    }
}
