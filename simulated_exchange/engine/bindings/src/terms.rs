//! What few orders ask for, and accounts' settings for orders, as Python objects.

#![expect(
    clippy::too_many_arguments,
    clippy::fn_params_excessive_bools,
    reason = "an order has as many terms, and Python names them all"
)]

use exchange_core as core;
use pyo3::prelude::*;

use crate::arguments::{self, Argument};
use crate::errors;
use crate::words::{SelfMatch, TpSlMode, TriggerBy, TriggerDirection};

/// What an order asks for beyond side, quantity and price.
#[pyclass(frozen, eq, from_py_object, module = "simulated_exchange._engine")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms(pub(crate) core::Terms);

#[pymethods]
impl Terms {
    #[new]
    #[pyo3(signature = (*, self_match=SelfMatch::Allow, slippage_ticks=None, slippage_ratio=None, trigger_price=None, trigger_by=TriggerBy::LastPrice, trigger_direction=TriggerDirection::Either, close_on_trigger=false, is_leveraged=false, in_quote=false, tpsl_mode=TpSlMode::Full, take_profit=None, take_profit_by=TriggerBy::LastPrice, take_profit_limit=None, stop_loss=None, stop_loss_by=TriggerBy::LastPrice, stop_loss_limit=None, holds=false))]
    fn new(
        self_match: SelfMatch,
        slippage_ticks: Option<Argument<'_, '_>>,
        slippage_ratio: Option<Argument<'_, '_>>,
        trigger_price: Option<Argument<'_, '_>>,
        trigger_by: TriggerBy,
        trigger_direction: TriggerDirection,
        close_on_trigger: bool,
        is_leveraged: bool,
        in_quote: bool,
        tpsl_mode: TpSlMode,
        take_profit: Option<Argument<'_, '_>>,
        take_profit_by: TriggerBy,
        take_profit_limit: Option<Argument<'_, '_>>,
        stop_loss: Option<Argument<'_, '_>>,
        stop_loss_by: TriggerBy,
        stop_loss_limit: Option<Argument<'_, '_>>,
        holds: bool,
    ) -> PyResult<Self> {
        let slippage = match (slippage_ticks, slippage_ratio) {
            (None, None) => core::SlippageTolerance::None,
            (Some(ticks), None) => {
                core::SlippageTolerance::Ticks(arguments::unsigned("slippage_ticks", ticks)?)
            }
            (None, Some(ratio)) => {
                core::SlippageTolerance::Ratio(arguments::unsigned("slippage_ratio", ratio)?)
            }
            (Some(_), Some(_)) => {
                return Err(errors::value("slippage_ticks: not together with slippage_ratio"));
            }
        };
        Ok(Self(core::Terms {
            self_match: self_match.into(),
            slippage,
            trigger_price: price("trigger_price", trigger_price)?,
            trigger_by: trigger_by.into(),
            trigger_direction: trigger_direction.into(),
            close_on_trigger,
            is_leveraged,
            in_quote,
            tpsl_mode: tpsl_mode.into(),
            take_profit: price("take_profit", take_profit)?,
            take_profit_by: take_profit_by.into(),
            take_profit_limit: price("take_profit_limit", take_profit_limit)?,
            stop_loss: price("stop_loss", stop_loss)?,
            stop_loss_by: stop_loss_by.into(),
            stop_loss_limit: price("stop_loss_limit", stop_loss_limit)?,
            holds,
        }))
    }

    /// Self-match prevention.
    #[getter]
    fn self_match(&self) -> SelfMatch {
        self.0.self_match.into()
    }

    /// Ticks beyond the best price that a market order tolerates; None when not bounded so.
    #[getter]
    fn slippage_ticks(&self) -> Option<u32> {
        match self.0.slippage {
            core::SlippageTolerance::Ticks(ticks) => Some(ticks),
            _ => None,
        }
    }

    /// Part of the best price, in `10^-8`, that a market order tolerates; None when not bounded so.
    #[getter]
    fn slippage_ratio(&self) -> Option<u32> {
        match self.0.slippage {
            core::SlippageTolerance::Ratio(ratio) => Some(ratio),
            _ => None,
        }
    }

    /// What a spot order has too little of is borrowed.
    #[getter]
    fn is_leveraged(&self) -> bool {
        self.0.is_leveraged
    }

    /// The quantity of a spot market buy is what is spent of the quote coin.
    #[getter]
    fn in_quote(&self) -> bool {
        self.0.in_quote
    }

    /// A spot order waits as a take-profit or stop-loss, which holds what it pays with.
    #[getter]
    fn holds(&self) -> bool {
        self.0.holds
    }

    /// Price at which the order comes into force; None for at once.
    #[getter]
    fn trigger_price(&self) -> Option<i64> {
        given(self.0.trigger_price)
    }

    /// How much of the position the take-profit and stop-loss close.
    #[getter]
    fn tpsl_mode(&self) -> TpSlMode {
        self.0.tpsl_mode.into()
    }

    /// Price at which profit is taken of what the order opened; None for never.
    #[getter]
    fn take_profit(&self) -> Option<i64> {
        given(self.0.take_profit)
    }

    /// The price that is compared with it.
    #[getter]
    fn take_profit_by(&self) -> TriggerBy {
        self.0.take_profit_by.into()
    }

    /// Limit at which profit is taken; None for the market.
    #[getter]
    fn take_profit_limit(&self) -> Option<i64> {
        given(self.0.take_profit_limit)
    }

    /// Price at which the loss of what the order opened is stopped; None for never.
    #[getter]
    fn stop_loss(&self) -> Option<i64> {
        given(self.0.stop_loss)
    }

    /// The price that is compared with it.
    #[getter]
    fn stop_loss_by(&self) -> TriggerBy {
        self.0.stop_loss_by.into()
    }

    /// Limit at which the loss is stopped; None for the market.
    #[getter]
    fn stop_loss_limit(&self) -> Option<i64> {
        given(self.0.stop_loss_limit)
    }

    /// The price that is compared with the trigger price.
    #[getter]
    fn trigger_by(&self) -> TriggerBy {
        self.0.trigger_by.into()
    }

    /// From where the price must come.
    #[getter]
    fn trigger_direction(&self) -> TriggerDirection {
        self.0.trigger_direction.into()
    }

    /// Only ever closes, and may cancel others to do so.
    #[getter]
    fn close_on_trigger(&self) -> bool {
        self.0.close_on_trigger
    }

    fn __repr__(&self) -> String {
        format!("{:?}", self.0)
    }
}

/// A price that may be missing.
fn price(name: &str, argument: Option<Argument<'_, '_>>) -> PyResult<core::Price> {
    Ok(core::Price(arguments::optional(name, argument)?.unwrap_or(0)))
}

/// The other way round.
fn given(price: core::Price) -> Option<i64> {
    Some(price.0).filter(|price| *price != 0)
}

/// An account's settings for its orders.
#[pyclass(frozen, get_all, eq, module = "simulated_exchange._engine")]
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct OrderSettings {
    /// The group of accounts that count as one trader; 0 for none.
    smp_group: u32,
    /// Disconnect window of contracts in seconds; 0 for never.
    contracts_disconnect_s: u32,
    /// Disconnect window of spot in seconds; 0 for never.
    spot_disconnect_s: u32,
    /// Limits of contracts beyond the price band are moved to its edge.
    contracts_move_to_band: bool,
    /// Limits of spot orders beyond the price band are moved to its edge.
    spot_moves_to_band: bool,
}

impl From<core::OrderSettings> for OrderSettings {
    fn from(settings: core::OrderSettings) -> Self {
        let [contracts_disconnect_s, spot_disconnect_s] = settings.disconnect_seconds;
        let [contracts_move_to_band, spot_moves_to_band] = settings.moves_to_band;
        Self {
            smp_group: settings.smp_group,
            contracts_disconnect_s,
            spot_disconnect_s,
            contracts_move_to_band,
            spot_moves_to_band,
        }
    }
}

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Terms>()?;
    module.add_class::<OrderSettings>()
}
