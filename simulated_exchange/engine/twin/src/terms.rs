//! How an instrument is marked, funded and limited may change while it trades; risk limits change with notice.

use std::rc::Rc;

use exchange_core::limits::TIERS_MAX;
use exchange_core::{
    EventKind, InstrumentId, InstrumentSpec, Kind, MarketAction, Rate, Reject, TierSpec, LEVERAGE_SCALE,
    MONEY_MAX, RATE_SCALE, SCALE,
};

use crate::contract::Contract;
use crate::orders::instrument_id;
use crate::state::State;

/// Highest leverage of a tier, in hundredths.
const LEVERAGE_MAX: i64 = 100_000;
const MINUTES_MAX: u32 = 7 * 24 * 60;
/// What a maintenance rate is in parts of a funding rate.
const PER_RATE: i128 = (RATE_SCALE / SCALE) as i128;

impl State {
    /// Does what a command of the venue asks.
    pub fn change_market(&mut self, action: MarketAction) -> Result<(), Reject> {
        match action {
            MarketAction::SetMarkSource { instrument, source } => {
                let at = self.listed(instrument)?;
                if self.contracts[at].is_spot() {
                    return Err(Reject::MarkSourceFixed);
                }
                self.markets[at].mark_source = source;
                self.emit(EventKind::MarkSourceChanged { instrument, source });
                Ok(())
            }
            MarketAction::SetFundingTerms { instrument, interval_minutes, lower, upper } => {
                self.set_funding_terms(instrument, interval_minutes, lower, upper)
            }
            MarketAction::StageRiskTier { instrument, number, tier } => {
                let at = self.listed(instrument)?;
                let staged = &mut self.markets[at].staged;
                let place = usize::try_from(number).unwrap_or(usize::MAX);
                let in_turn = place == 0 || place == staged.len();
                if !in_turn || place >= TIERS_MAX || !is_tier(&tier) {
                    return Err(Reject::RiskTierInvalid);
                }
                staged.truncate(place);
                staged.push(tier);
                Ok(())
            }
            MarketAction::AnnounceRiskLimits { instrument, effective_ms } => {
                self.announce(instrument, effective_ms)
            }
        }
    }

    fn set_funding_terms(
        &mut self,
        instrument: InstrumentId,
        minutes: u32,
        lower: Rate,
        upper: Rate,
    ) -> Result<(), Reject> {
        let at = self.listed(instrument)?;
        let coming = self.markets[at].announced.iter().flat_map(|(_, tiers)| tiers);
        let tiers = self.contracts[at].spec.tiers.iter().chain(coming);
        let most = tiers.map(|tier| i128::from(tier.maintenance_rate) * PER_RATE).min().unwrap_or(0);
        let caps = (i128::from(lower.0), i128::from(upper.0));
        let holds_nothing = caps.0 <= 0 && caps.1 >= 0 && caps.0 >= -most && caps.1 <= most;
        if minutes == 0 || minutes > MINUTES_MAX || !holds_nothing {
            return Err(Reject::FundingTermsInvalid);
        }
        if self.contracts[at].spec.kind != Kind::Perpetual {
            return Err(Reject::NotPerpetual);
        }
        let before = self.markets[at].funding.rate(&self.contracts[at].spec);
        let funding = &mut self.markets[at].funding;
        let interval_ms = i64::from(minutes) * 60_000;
        (funding.interval, funding.caps) = (interval_ms, (i128::from(lower.0), i128::from(upper.0)));
        self.emit(EventKind::FundingTermsChanged { instrument, interval_ms, lower, upper });
        self.tell_rate(at, before);
        Ok(())
    }

    fn announce(&mut self, instrument: InstrumentId, effective_ms: i64) -> Result<(), Reject> {
        let at = self.listed(instrument)?;
        let staged = &self.markets[at].staged;
        let rises = staged.windows(2).all(|pair| {
            let (below, above) = (pair[0], pair[1]);
            above.limit > below.limit
                && above.maintenance_rate >= below.maintenance_rate
                && above.max_leverage <= below.max_leverage
        });
        let is_table = !staged.is_empty() && rises && staged[0].max_leverage <= LEVERAGE_MAX;
        let (is_perpetual, caps) =
            (self.contracts[at].spec.kind == Kind::Perpetual, self.markets[at].funding.caps);
        let bears = |tier: &TierSpec| caps.1.max(-caps.0) <= i128::from(tier.maintenance_rate) * PER_RATE;
        let is_table = is_table && (!is_perpetual || bears(&staged[0]));
        if effective_ms < self.now || !is_table {
            return Err(Reject::RiskLimitsInvalid);
        }
        let tiers = std::mem::take(&mut self.markets[at].staged);
        let count = i64::try_from(tiers.len()).unwrap_or(i64::MAX);
        self.emit(EventKind::RiskLimitsAnnounced { instrument, effective_ms, tiers: count });
        for (tier, TierSpec { limit, max_leverage, maintenance_rate }) in (1..).zip(tiers.iter().copied()) {
            self.emit(EventKind::RiskTierAnnounced {
                instrument,
                tier,
                limit,
                max_leverage,
                maintenance_rate,
            });
        }
        self.markets[at].announced = Some((effective_ms, tiers));
        Ok(())
    }

    /// Takes announced risk limits when their time has come.
    pub fn take_risk_limits(&mut self, instrument: usize) {
        let due = self.markets[instrument].announced.as_ref().is_some_and(|(from, _)| *from <= self.now);
        if !due {
            return;
        }
        let Some((_, tiers)) = self.markets[instrument].announced.take() else { return };
        let count = i64::try_from(tiers.len()).unwrap_or(i64::MAX);
        let old = self.contract(instrument);
        let spec = InstrumentSpec { tiers, ..old.spec.clone() };
        let new = Contract {
            default_leverage: old.default_leverage,
            ..Contract::new(&spec, [old.base, old.quote], old.pool)
        };
        self.contracts[instrument] = Rc::new(new);
        self.emit(EventKind::RiskLimitsChanged { instrument: instrument_id(instrument), tiers: count });
    }
}

fn is_tier(tier: &TierSpec) -> bool {
    (1..=MONEY_MAX).contains(&tier.limit.0)
        && tier.max_leverage >= LEVERAGE_SCALE
        && (1..SCALE).contains(&tier.maintenance_rate)
}
