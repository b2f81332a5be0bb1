//! Questions about insurance pools and deleveraging: the part of `Engine` that asks the core's `insurance_query`.

use exchange_core::Exchange;
use pyo3::exceptions::PyLookupError;
use pyo3::prelude::*;

use crate::arguments::{self, Argument};
use crate::engine::{Engine, unknown_instrument};
use crate::views::{AdlAlertView, AdlPlaceView, PoolView};
use crate::words::Side;

#[pymethods]
impl Engine {
    /// Balance of an insurance pool.
    fn insurance_pool(&self, py: Python<'_>, pool: Argument<'_, '_>) -> PyResult<i64> {
        let pool = arguments::pool(pool)?;
        let balance = self.ask(py, |exchange| exchange.insurance_pool(pool))?;
        balance
            .map(|balance| balance.0)
            .ok_or_else(|| PyLookupError::new_err(format!("pool: {} does not exist", pool.0)))
    }

    /// Every insurance pool, by number.
    fn insurance_pools(&self, py: Python<'_>) -> PyResult<Vec<PoolView>> {
        let pools = self.ask(py, Exchange::insurance_pools)?;
        Ok(pools.into_iter().map(Into::into).collect())
    }

    /// How far an instrument is from deleveraging.
    fn adl_alert(&self, py: Python<'_>, instrument: Argument<'_, '_>) -> PyResult<AdlAlertView> {
        let instrument = arguments::instrument(instrument)?;
        let view = self.ask(py, |exchange| exchange.adl_alert(instrument))?;
        view.map(Into::into).ok_or_else(|| unknown_instrument(instrument))
    }

    /// The queue of the deleveraging of an instrument's longs (buy) or shorts (sell), first in line first.
    fn adl_places(
        &self,
        py: Python<'_>,
        instrument: Argument<'_, '_>,
        side: Side,
    ) -> PyResult<Vec<AdlPlaceView>> {
        let instrument = arguments::instrument(instrument)?;
        let places = self.ask(py, |exchange| exchange.adl_places(instrument, side.into()))?;
        Ok(places.into_iter().map(Into::into).collect())
    }
}
