//! What the venue changes about its instruments: what is drawn for it.

use exchange_core::{MarkSource, MarketAction, Money, Rate, TierSpec, SCALE};

use super::Stream;
use crate::random::Random;
use crate::state::State;

impl Stream {
    /// What the venue may change about an instrument; risk limits begin small and end high, so that orders go on.
    pub(super) fn market_terms(&mut self, state: &State) -> MarketAction {
        let instrument = self.instrument(state);
        let rate = |random: &mut Random| {
            let usual = random.between(0, 5_500) * 1_000_000;
            random.weighted(&[(95, usual), (2, 0), (1, -1), (1, i64::MAX), (1, i64::MIN)])
        };
        match self.random.weighted(&[(3, 0), (3, 1), (8, 2), (4, 3)]) {
            0 => {
                let source = self.random.pick(MarkSource::ALL);
                MarketAction::SetMarkSource { instrument, source }
            }
            1 => {
                let minutes = u32::try_from(self.random.between(1, 600)).unwrap_or(1);
                let interval_minutes =
                    self.random.weighted(&[(60, minutes), (35, 60), (2, 0), (1, 20_000), (2, u32::MAX)]);
                let (lower, upper) = (rate(&mut self.random), rate(&mut self.random));
                let (lower, upper) = (Rate(lower.saturating_neg()), Rate(upper));
                MarketAction::SetFundingTerms { instrument, interval_minutes, lower, upper }
            }
            2 => {
                let staged =
                    state.markets.get(usize::from(instrument.0)).map_or(0, |market| market.staged.len());
                let staged = u32::try_from(staged).unwrap_or(0);
                let number = self.random.weighted(&[(20, 0), (75, staged), (3, staged + 1), (2, u32::MAX)]);
                let below = i64::from(number.min(6));
                let limit = (0..below).fold(self.random.scaled(1_000) * 1_000, |limit, _| limit * 5) * SCALE;
                let limit = self.random.weighted(&[(97, limit), (1, 0), (1, -1), (1, i64::MAX)]);
                let max_leverage = self.random.between(20, 100) * 100 / (below + 1);
                let maintenance_rate = SCALE / 220 * (below + 1) + self.random.between(0, 1_000);
                let tier = TierSpec { limit: Money(limit), max_leverage, maintenance_rate };
                MarketAction::StageRiskTier { instrument, number, tier }
            }
            _ => {
                let later = self.random.weighted(&[(60, 1_000), (30, 100_000), (10, 10_000_000)]);
                let effective_ms = self.now + self.random.between(-100, later);
                MarketAction::AnnounceRiskLimits { instrument, effective_ms }
            }
        }
    }
}
