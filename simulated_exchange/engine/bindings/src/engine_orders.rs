//! The `Engine` class, continued: what concerns orders beyond placing, changing and cancelling them.

#![expect(clippy::too_many_arguments, reason = "an order has as many terms, and Python names them all")]

use exchange_core::{Action, OrderSetting, Price, Qty, TermsAmendment, TradingAction, TradingStop};
use pyo3::exceptions::PyLookupError;
use pyo3::prelude::*;

use crate::arguments::{self, Argument};
use crate::engine::Engine;
use crate::outcome::Outcome;
use crate::terms::OrderSettings;
use crate::words::{PositionIndex, ProductClass, TpSlMode, TriggerBy};

#[pymethods]
impl Engine {
    /// Changes an order's terms, and its price and quantity with them; None keeps.
    #[pyo3(signature = (market_ms, wall_us, *, account, order_id, price=None, qty=None, trigger_price=None, trigger_by=None, take_profit=None, take_profit_by=None, take_profit_limit=None, stop_loss=None, stop_loss_by=None, stop_loss_limit=None, tpsl_mode=None))]
    fn amend_terms(
        &self,
        py: Python<'_>,
        market_ms: Argument<'_, '_>,
        wall_us: Argument<'_, '_>,
        account: Argument<'_, '_>,
        order_id: Argument<'_, '_>,
        price: Option<Argument<'_, '_>>,
        qty: Option<Argument<'_, '_>>,
        trigger_price: Option<Argument<'_, '_>>,
        trigger_by: Option<TriggerBy>,
        take_profit: Option<Argument<'_, '_>>,
        take_profit_by: Option<TriggerBy>,
        take_profit_limit: Option<Argument<'_, '_>>,
        stop_loss: Option<Argument<'_, '_>>,
        stop_loss_by: Option<TriggerBy>,
        stop_loss_limit: Option<Argument<'_, '_>>,
        tpsl_mode: Option<TpSlMode>,
    ) -> PyResult<Outcome> {
        let amendment = TermsAmendment {
            account: arguments::account(account)?,
            order_id: arguments::order_id(order_id)?,
            price: price_of("price", price)?,
            qty: arguments::optional("qty", qty)?.map(Qty),
            trigger_price: price_of("trigger_price", trigger_price)?,
            trigger_by: trigger_by.map(Into::into),
            take_profit: price_of("take_profit", take_profit)?,
            take_profit_by: take_profit_by.map(Into::into),
            take_profit_limit: price_of("take_profit_limit", take_profit_limit)?,
            stop_loss: price_of("stop_loss", stop_loss)?,
            stop_loss_by: stop_loss_by.map(Into::into),
            stop_loss_limit: price_of("stop_loss_limit", stop_loss_limit)?,
            tpsl_mode: tpsl_mode.map(Into::into),
        };
        self.apply(py, market_ms, wall_us, Action::Trading(TradingAction::AmendTerms(amendment)))
    }

    /// Sets, changes or removes what ends a position; None keeps, a price of 0 removes.
    #[pyo3(signature = (market_ms, wall_us, *, account, instrument, position_index=PositionIndex::OneWay, mode=TpSlMode::Full, take_profit=None, take_profit_by=TriggerBy::LastPrice, take_profit_limit=None, stop_loss=None, stop_loss_by=TriggerBy::LastPrice, stop_loss_limit=None, size=None, trailing_stop=None, active_price=None))]
    fn set_trading_stop(
        &self,
        py: Python<'_>,
        market_ms: Argument<'_, '_>,
        wall_us: Argument<'_, '_>,
        account: Argument<'_, '_>,
        instrument: Argument<'_, '_>,
        position_index: PositionIndex,
        mode: TpSlMode,
        take_profit: Option<Argument<'_, '_>>,
        take_profit_by: TriggerBy,
        take_profit_limit: Option<Argument<'_, '_>>,
        stop_loss: Option<Argument<'_, '_>>,
        stop_loss_by: TriggerBy,
        stop_loss_limit: Option<Argument<'_, '_>>,
        size: Option<Argument<'_, '_>>,
        trailing_stop: Option<Argument<'_, '_>>,
        active_price: Option<Argument<'_, '_>>,
    ) -> PyResult<Outcome> {
        let stop = TradingStop {
            account: arguments::account(account)?,
            instrument: arguments::instrument(instrument)?,
            position_index: position_index.into(),
            mode: mode.into(),
            take_profit: price_of("take_profit", take_profit)?,
            take_profit_by: take_profit_by.into(),
            take_profit_limit: price_of("take_profit_limit", take_profit_limit)?.unwrap_or_default(),
            stop_loss: price_of("stop_loss", stop_loss)?,
            stop_loss_by: stop_loss_by.into(),
            stop_loss_limit: price_of("stop_loss_limit", stop_loss_limit)?.unwrap_or_default(),
            size: Qty(arguments::optional("size", size)?.unwrap_or(0)),
            trailing_stop: price_of("trailing_stop", trailing_stop)?,
            active_price: price_of("active_price", active_price)?.unwrap_or_default(),
        };
        self.apply(py, market_ms, wall_us, Action::Trading(TradingAction::SetTradingStop(stop)))
    }

    /// Cancels the orders of an account whose client is gone for longer than its disconnect window.
    #[pyo3(signature = (market_ms, wall_us, *, account, products))]
    fn cancel_disconnected(
        &self,
        py: Python<'_>,
        market_ms: Argument<'_, '_>,
        wall_us: Argument<'_, '_>,
        account: Argument<'_, '_>,
        products: ProductClass,
    ) -> PyResult<Outcome> {
        let (account, products) = (arguments::account(account)?, products.into());
        let action = TradingAction::CancelDisconnected { account, products };
        self.apply(py, market_ms, wall_us, Action::Trading(action))
    }

    /// Puts an account into a group that counts as one trader; 0 takes it out.
    #[pyo3(signature = (market_ms, wall_us, *, account, group))]
    fn set_smp_group(
        &self,
        py: Python<'_>,
        market_ms: Argument<'_, '_>,
        wall_us: Argument<'_, '_>,
        account: Argument<'_, '_>,
        group: Argument<'_, '_>,
    ) -> PyResult<Outcome> {
        let setting = OrderSetting::SmpGroup(arguments::unsigned("group", group)?);
        self.set_order_setting(py, market_ms, wall_us, account, setting)
    }

    /// Sets after how many seconds the orders of a client that is gone are cancelled; 0 for never.
    #[pyo3(signature = (market_ms, wall_us, *, account, products, seconds))]
    fn set_disconnect_window(
        &self,
        py: Python<'_>,
        market_ms: Argument<'_, '_>,
        wall_us: Argument<'_, '_>,
        account: Argument<'_, '_>,
        products: ProductClass,
        seconds: Argument<'_, '_>,
    ) -> PyResult<Outcome> {
        let seconds = arguments::unsigned("seconds", seconds)?;
        let setting = OrderSetting::DisconnectWindow(products.into(), seconds);
        self.set_order_setting(py, market_ms, wall_us, account, setting)
    }

    /// Sets whether limits beyond the price band are moved to its edge, or refused.
    #[pyo3(signature = (market_ms, wall_us, *, account, products, moves))]
    fn set_moves_to_band(
        &self,
        py: Python<'_>,
        market_ms: Argument<'_, '_>,
        wall_us: Argument<'_, '_>,
        account: Argument<'_, '_>,
        products: ProductClass,
        moves: bool,
    ) -> PyResult<Outcome> {
        let setting = OrderSetting::MovesToBand(products.into(), moves);
        self.set_order_setting(py, market_ms, wall_us, account, setting)
    }

    /// An account's settings for its orders.
    fn order_settings(&self, py: Python<'_>, account: Argument<'_, '_>) -> PyResult<OrderSettings> {
        let account = arguments::account(account)?;
        let settings = self.ask(py, |exchange| exchange.order_settings(account))?;
        let missing = || format!("account: {} does not exist", account.0);
        settings.map(Into::into).ok_or_else(|| PyLookupError::new_err(missing()))
    }
}

/// A price that may be missing.
fn price_of(name: &str, argument: Option<Argument<'_, '_>>) -> PyResult<Option<Price>> {
    Ok(arguments::optional(name, argument)?.map(Price))
}

impl Engine {
    fn set_order_setting(
        &self,
        py: Python<'_>,
        market_ms: Argument<'_, '_>,
        wall_us: Argument<'_, '_>,
        account: Argument<'_, '_>,
        setting: OrderSetting,
    ) -> PyResult<Outcome> {
        let account = arguments::account(account)?;
        self.apply(
            py,
            market_ms,
            wall_us,
            Action::Trading(TradingAction::SetOrderSetting { account, setting }),
        )
    }
}
