//! Risk limits that change while the exchange runs: a new table is put together tier by tier, announced with the
//! market time from which it holds, and taken when that time has come. What follows for positions is elsewhere.

use serde::{Deserialize, Serialize};

use crate::instrument::{TierSpec, TIERS_MAX};

/// A table of tiers that is to hold from a market time on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// From when.
    pub effective_ms: i64,
    /// The tiers, smallest first.
    pub tiers: Vec<TierSpec>,
}

/// Coming risk limits of one instrument.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RiskLimits {
    /// The table being put together.
    pub staged: Vec<TierSpec>,
    /// The table announced; a later announcement replaces it.
    pub announced: Option<Notice>,
}

impl RiskLimits {
    /// Puts a tier into the table being put together. Number 0 begins it anew, any other must be the next one.
    pub fn stage(&mut self, number: usize, tier: TierSpec) -> bool {
        if number >= TIERS_MAX || (number != 0 && number != self.staged.len()) {
            return false;
        }
        self.staged.truncate(number);
        self.staged.push(tier);
        true
    }

    /// Announces the table put together; false when there is none.
    pub fn announce(&mut self, effective_ms: i64) -> bool {
        let tiers = std::mem::take(&mut self.staged);
        if tiers.is_empty() {
            return false;
        }
        self.announced = Some(Notice { effective_ms, tiers });
        true
    }

    /// Takes the announced table when its time has come.
    pub fn due(&mut self, market_ms: i64) -> Option<Notice> {
        self.announced.take_if(|notice| notice.effective_ms <= market_ms)
    }
}
