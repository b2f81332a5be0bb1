//! The `Engine` class, continued: what concerns orders beyond placing, changing and cancelling them.

#![expect(clippy::too_many_arguments, reason = "an order has as many terms, and Python names them all")]

use exchange_core::{Action, OrderSetting, Price, Qty, TermsAmendment, TradingAction};
use pyo3::exceptions::PyLookupError;
use pyo3::prelude::*;

use crate::arguments::{self, Argument};
use crate::engine::Engine;
use crate::outcome::Outcome;
use crate::terms::OrderSettings;
use crate::words::{ProductClass, TriggerBy};

#[pymethods]
impl Engine {
    /// Changes an order's terms, and its price and quantity with them; None keeps.
    #[pyo3(signature = (market_ms, wall_us, *, account, order_id, price=None, qty=None, trigger_price=None, trigger_by=None))]
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
    ) -> PyResult<Outcome> {
        let amendment = TermsAmendment {
            account: arguments::account(account)?,
            order_id: arguments::order_id(order_id)?,
            price: arguments::optional("price", price)?.map(Price),
            qty: arguments::optional("qty", qty)?.map(Qty),
            trigger_price: arguments::optional("trigger_price", trigger_price)?.map(Price),
            trigger_by: trigger_by.map(Into::into),
        };
        self.apply(py, market_ms, wall_us, Action::Trading(TradingAction::AmendTerms(amendment)))
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
