//! The part of `Engine` about how instruments are priced, funded and limited while they trade.

#![expect(clippy::too_many_arguments, reason = "Python names every field of a command")]

use exchange_core::{Action, MarketAction, Money, Rate, TierSpec};
use pyo3::exceptions::PyLookupError;
use pyo3::prelude::*;

use crate::arguments::{self, Argument};
use crate::engine::{Engine, unknown_instrument};
use crate::outcome::Outcome;
use crate::views::{FundingView, RiskLimitsView};
use crate::words::MarkSource;

#[pymethods]
impl Engine {
    /// Changes what an instrument is marked at.
    #[pyo3(signature = (market_ms, wall_us, *, instrument, source))]
    fn set_mark_source(
        &self,
        py: Python<'_>,
        market_ms: Argument<'_, '_>,
        wall_us: Argument<'_, '_>,
        instrument: Argument<'_, '_>,
        source: MarkSource,
    ) -> PyResult<Outcome> {
        let instrument = arguments::instrument(instrument)?;
        let action = MarketAction::SetMarkSource { instrument, source: source.into() };
        self.apply(py, market_ms, wall_us, Action::Market(action))
    }

    /// Changes funding caps at once, and the funding interval from the next settlement on.
    #[pyo3(signature = (market_ms, wall_us, *, instrument, interval_minutes, lower, upper))]
    fn set_funding_terms(
        &self,
        py: Python<'_>,
        market_ms: Argument<'_, '_>,
        wall_us: Argument<'_, '_>,
        instrument: Argument<'_, '_>,
        interval_minutes: Argument<'_, '_>,
        lower: Argument<'_, '_>,
        upper: Argument<'_, '_>,
    ) -> PyResult<Outcome> {
        let action = MarketAction::SetFundingTerms {
            instrument: arguments::instrument(instrument)?,
            interval_minutes: arguments::unsigned("interval_minutes", interval_minutes)?,
            lower: Rate(arguments::signed("lower", lower)?),
            upper: Rate(arguments::signed("upper", upper)?),
        };
        self.apply(py, market_ms, wall_us, Action::Market(action))
    }

    /// Puts a tier into the risk limits to be announced; number 0 begins them anew.
    #[pyo3(signature = (market_ms, wall_us, *, instrument, number, limit, max_leverage, maintenance_rate))]
    fn stage_risk_tier(
        &self,
        py: Python<'_>,
        market_ms: Argument<'_, '_>,
        wall_us: Argument<'_, '_>,
        instrument: Argument<'_, '_>,
        number: Argument<'_, '_>,
        limit: Argument<'_, '_>,
        max_leverage: Argument<'_, '_>,
        maintenance_rate: Argument<'_, '_>,
    ) -> PyResult<Outcome> {
        let action = MarketAction::StageRiskTier {
            instrument: arguments::instrument(instrument)?,
            number: arguments::unsigned("number", number)?,
            tier: TierSpec {
                limit: Money(arguments::signed("limit", limit)?),
                max_leverage: arguments::signed("max_leverage", max_leverage)?,
                maintenance_rate: arguments::signed("maintenance_rate", maintenance_rate)?,
            },
        };
        self.apply(py, market_ms, wall_us, Action::Market(action))
    }

    /// Announces the risk limits put together.
    #[pyo3(signature = (market_ms, wall_us, *, instrument, effective_ms))]
    fn announce_risk_limits(
        &self,
        py: Python<'_>,
        market_ms: Argument<'_, '_>,
        wall_us: Argument<'_, '_>,
        instrument: Argument<'_, '_>,
        effective_ms: Argument<'_, '_>,
    ) -> PyResult<Outcome> {
        let action = MarketAction::AnnounceRiskLimits {
            instrument: arguments::instrument(instrument)?,
            effective_ms: arguments::signed("effective_ms", effective_ms)?,
        };
        self.apply(py, market_ms, wall_us, Action::Market(action))
    }

    /// Funding of a perpetual.
    fn funding(&self, py: Python<'_>, instrument: Argument<'_, '_>) -> PyResult<FundingView> {
        let instrument = arguments::instrument(instrument)?;
        let view = self.ask(py, |exchange| exchange.funding(instrument))?;
        let missing = || PyLookupError::new_err(format!("instrument: {} is no perpetual", instrument.0));
        view.map(Into::into).ok_or_else(missing)
    }

    /// Risk limits announced for an instrument; None when there are none.
    fn coming_risk_limits(
        &self,
        py: Python<'_>,
        instrument: Argument<'_, '_>,
    ) -> PyResult<Option<RiskLimitsView>> {
        let instrument = arguments::instrument(instrument)?;
        self.ask(py, |exchange| {
            let known = usize::from(instrument.0) < exchange.instruments().len();
            known.then(|| exchange.coming_risk_limits(instrument).map(Into::into))
        })?
        .ok_or_else(|| unknown_instrument(instrument))
    }
}
