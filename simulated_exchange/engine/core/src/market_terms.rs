//! Commands of the venue that change how an instrument is priced, funded and limited while it trades.
//!
//! Funding caps never exceed the lowest maintenance margin rate, nor does a change of risk limits let them.
//!
//! Risk limits come with notice: they are put together tier by tier, announced, and taken in stage 6 of the first
//! passing of time at or after their market time; every position is then looked at again by its new tier.

use crate::event::EventKind;
use crate::exchange::Exchange;
use crate::funding::{FundingSpec, PREMIUM_SAMPLE_MS};
use crate::funding_payment::instrument_id;
use crate::instrument::{derive_tiers, TierSpec};
use crate::mark::MarkSource;
use crate::market_command::MarketAction;
use crate::reject::Reject;
use crate::types::{InstrumentId, Rate, LEVERAGE_SCALE, MONEY_MAX, SCALE};

impl Exchange {
    /// Does what a command of the venue asks.
    pub(crate) fn change_market(&mut self, action: MarketAction) -> Result<(), Reject> {
        match action {
            MarketAction::SetMarkSource { instrument, source } => self.set_mark_source(instrument, source),
            MarketAction::SetFundingTerms { instrument, interval_minutes, lower, upper } => {
                self.set_funding_terms(instrument, interval_minutes, (lower, upper))
            }
            MarketAction::StageRiskTier { instrument, number, tier } => {
                self.stage_risk_tier(instrument, number, tier)
            }
            MarketAction::AnnounceRiskLimits { instrument, effective_ms } => {
                self.announce_risk_limits(instrument, effective_ms)
            }
        }
    }

    /// Changes what an instrument is marked at.
    fn set_mark_source(&mut self, instrument: InstrumentId, source: MarkSource) -> Result<(), Reject> {
        let index = self.listed(instrument)?;
        if !self.instruments[index].is_contract() {
            return Err(Reject::MarkSourceFixed);
        }
        self.markets[index].mark_source = source;
        self.emit(EventKind::MarkSourceChanged { instrument, source });
        Ok(())
    }

    /// Changes interval and caps: the caps at once, the interval from the next settlement on.
    fn set_funding_terms(
        &mut self,
        instrument: InstrumentId,
        interval_minutes: u32,
        caps: (Rate, Rate),
    ) -> Result<(), Reject> {
        let index = self.listed(instrument)?;
        let (lower, upper) = caps;
        let interval_ms = i64::from(interval_minutes) * PREMIUM_SAMPLE_MS;
        let coming = self.markets[index].risk_limits.announced.iter().flat_map(|notice| &notice.tiers);
        let tiers = self.instruments[index].spec.tiers.iter().chain(coming);
        let lowest = tiers.map(|tier| tier.maintenance_rate).min().unwrap_or(0);
        if !FundingSpec::is_sound(interval_ms, (lower.0, upper.0), lowest) {
            return Err(Reject::FundingTermsInvalid);
        }
        let Some(clock) = &mut self.markets[index].funding else { return Err(Reject::NotPerpetual) };
        let before = clock.predicted_rate;
        (clock.interval_ms, clock.terms.lower, clock.terms.upper) = (interval_ms, lower.0, upper.0);
        if clock.next_ms != 0 {
            clock.predict();
        }
        self.emit(EventKind::FundingTermsChanged { instrument, interval_ms, lower, upper });
        self.emit_rate(index, before);
        Ok(())
    }

    /// Puts a tier into the risk limits to be announced.
    fn stage_risk_tier(
        &mut self,
        instrument: InstrumentId,
        number: u32,
        tier: TierSpec,
    ) -> Result<(), Reject> {
        let index = self.listed(instrument)?;
        let sound = (1..=MONEY_MAX).contains(&tier.limit.0)
            && tier.max_leverage >= LEVERAGE_SCALE
            && (1..SCALE).contains(&tier.maintenance_rate);
        let number = usize::try_from(number).unwrap_or(usize::MAX);
        if !sound || !self.markets[index].risk_limits.stage(number, tier) {
            return Err(Reject::RiskTierInvalid);
        }
        Ok(())
    }

    /// Announces the risk limits put together.
    fn announce_risk_limits(&mut self, instrument: InstrumentId, effective_ms: i64) -> Result<(), Reject> {
        let index = self.listed(instrument)?;
        let limits = &self.markets[index].risk_limits;
        let is_table = derive_tiers(&limits.staged, &|_| String::new()).is_ok();
        let lowest = limits.staged.first().map_or(0, |tier| tier.maintenance_rate);
        let funding = self.markets[index].funding.as_ref();
        let bears_funding = funding.is_none_or(|clock| {
            FundingSpec::is_sound(clock.interval_ms, (clock.terms.lower, clock.terms.upper), lowest)
        });
        if effective_ms < self.market_ms || !is_table || !bears_funding {
            return Err(Reject::RiskLimitsInvalid);
        }
        let limits = &mut self.markets[index].risk_limits;
        limits.announce(effective_ms);
        let tiers = limits.announced.as_ref().map_or_else(Vec::new, |notice| notice.tiers.clone());
        let count = i64::try_from(tiers.len()).unwrap_or(i64::MAX);
        self.emit(EventKind::RiskLimitsAnnounced { instrument, effective_ms, tiers: count });
        for (number, tier) in (1..).zip(tiers) {
            self.emit(EventKind::RiskTierAnnounced {
                instrument,
                tier: number,
                limit: tier.limit,
                max_leverage: tier.max_leverage,
                maintenance_rate: tier.maintenance_rate,
            });
        }
        Ok(())
    }

    /// Takes the announced risk limits of an instrument when their time has come.
    pub(crate) fn take_risk_limits(&mut self, index: usize) {
        let Some(notice) = self.markets[index].risk_limits.due(self.market_ms) else { return };
        let Ok(tiers) = derive_tiers(&notice.tiers, &|_| String::new()) else { return };
        let count = i64::try_from(tiers.len()).unwrap_or(i64::MAX);
        self.instruments[index].set_tiers(notice.tiers, tiers);
        self.emit(EventKind::RiskLimitsChanged { instrument: instrument_id(index), tiers: count });
        self.refresh_members(index);
    }
}
