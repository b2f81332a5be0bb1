//! The part of `Engine` about how accounts hold positions: modes, leverage of both sides, isolated margin.

#![expect(clippy::too_many_arguments, reason = "a command has as many fields, and Python names them all")]

use exchange_core::{Action, ModeScope, Money, PositionAction};
use pyo3::exceptions::PyLookupError;
use pyo3::prelude::*;

use crate::arguments::{self, Argument};
use crate::engine::{Engine, unknown, unknown_instrument};
use crate::errors;
use crate::outcome::Outcome;
use crate::words::{InstrumentStatus, MarginMode, PositionIndex, PositionMode};

#[pymethods]
impl Engine {
    /// Sets the position mode of an account in an instrument, or in every contract that settles in a coin.
    #[pyo3(signature = (market_ms, wall_us, *, account, mode, instrument=None, coin=None))]
    fn set_position_mode(
        &self,
        py: Python<'_>,
        market_ms: Argument<'_, '_>,
        wall_us: Argument<'_, '_>,
        account: Argument<'_, '_>,
        mode: PositionMode,
        instrument: Option<Argument<'_, '_>>,
        coin: Option<Argument<'_, '_>>,
    ) -> PyResult<Outcome> {
        let account = arguments::account(account)?;
        let scope = match (instrument, coin) {
            (Some(instrument), None) => ModeScope::Instrument(arguments::instrument(instrument)?),
            (None, Some(coin)) => ModeScope::Coin(arguments::coin(coin)?),
            _ => return Err(errors::value("instrument: name it or a coin, not both")),
        };
        let action = PositionAction::SetPositionMode { account, scope, mode: mode.into() };
        self.apply(py, market_ms, wall_us, Action::Position(action))
    }

    /// Sets the leverage of the long and of the short side, in hundredths.
    #[pyo3(signature = (market_ms, wall_us, *, account, instrument, buy, sell))]
    fn set_side_leverage(
        &self,
        py: Python<'_>,
        market_ms: Argument<'_, '_>,
        wall_us: Argument<'_, '_>,
        account: Argument<'_, '_>,
        instrument: Argument<'_, '_>,
        buy: Argument<'_, '_>,
        sell: Argument<'_, '_>,
    ) -> PyResult<Outcome> {
        let action = PositionAction::SetSideLeverage {
            account: arguments::account(account)?,
            instrument: arguments::instrument(instrument)?,
            buy: arguments::unsigned("buy", buy)?,
            sell: arguments::unsigned("sell", sell)?,
        };
        self.apply(py, market_ms, wall_us, Action::Position(action))
    }

    /// Sets what backs an account's positions.
    #[pyo3(signature = (market_ms, wall_us, *, account, mode))]
    fn set_margin_mode(
        &self,
        py: Python<'_>,
        market_ms: Argument<'_, '_>,
        wall_us: Argument<'_, '_>,
        account: Argument<'_, '_>,
        mode: MarginMode,
    ) -> PyResult<Outcome> {
        let account = arguments::account(account)?;
        let action = PositionAction::SetMarginMode { account, mode: mode.into() };
        self.apply(py, market_ms, wall_us, Action::Position(action))
    }

    /// Adds margin to an isolated position; a negative amount takes back.
    #[pyo3(signature = (market_ms, wall_us, *, account, instrument, amount, position_index=PositionIndex::OneWay))]
    fn add_margin(
        &self,
        py: Python<'_>,
        market_ms: Argument<'_, '_>,
        wall_us: Argument<'_, '_>,
        account: Argument<'_, '_>,
        instrument: Argument<'_, '_>,
        amount: Argument<'_, '_>,
        position_index: PositionIndex,
    ) -> PyResult<Outcome> {
        let action = PositionAction::AddMargin {
            account: arguments::account(account)?,
            instrument: arguments::instrument(instrument)?,
            position_index: position_index.into(),
            amount: Money(arguments::signed("amount", amount)?),
        };
        self.apply(py, market_ms, wall_us, Action::Position(action))
    }

    /// Sets whether margin is added to an isolated position before it is liquidated.
    #[pyo3(signature = (market_ms, wall_us, *, account, instrument, is_on, position_index=PositionIndex::OneWay))]
    fn set_auto_add_margin(
        &self,
        py: Python<'_>,
        market_ms: Argument<'_, '_>,
        wall_us: Argument<'_, '_>,
        account: Argument<'_, '_>,
        instrument: Argument<'_, '_>,
        is_on: bool,
        position_index: PositionIndex,
    ) -> PyResult<Outcome> {
        let action = PositionAction::SetAutoAddMargin {
            account: arguments::account(account)?,
            instrument: arguments::instrument(instrument)?,
            position_index: position_index.into(),
            is_on,
        };
        self.apply(py, market_ms, wall_us, Action::Position(action))
    }

    /// Which orders an instrument lets in.
    fn status(&self, py: Python<'_>, instrument: Argument<'_, '_>) -> PyResult<InstrumentStatus> {
        let instrument = arguments::instrument(instrument)?;
        let status = self.ask(py, |exchange| exchange.status(instrument))?;
        status.map(Into::into).ok_or_else(|| unknown_instrument(instrument))
    }

    /// What backs an account's positions.
    fn margin_mode(&self, py: Python<'_>, account: Argument<'_, '_>) -> PyResult<MarginMode> {
        let account = arguments::account(account)?;
        let mode = self.ask(py, |exchange| exchange.margin_mode(account))?;
        let missing = || PyLookupError::new_err(format!("account: {} does not exist", account.0));
        mode.map(Into::into).ok_or_else(missing)
    }

    /// Position mode of an account in an instrument.
    fn position_mode(
        &self,
        py: Python<'_>,
        account: Argument<'_, '_>,
        instrument: Argument<'_, '_>,
    ) -> PyResult<PositionMode> {
        let (account, instrument) = (arguments::account(account)?, arguments::instrument(instrument)?);
        let mode = self.ask(py, |exchange| exchange.position_mode(account, instrument))?;
        mode.map(Into::into).ok_or_else(|| unknown(account, instrument))
    }
}
