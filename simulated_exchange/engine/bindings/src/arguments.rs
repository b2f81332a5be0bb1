//! Python arguments to the core's types; the error names the argument and what is allowed.

use exchange_core::types::{AccountId, CoinId, InstrumentId, LinkId, OrderId, PoolId};
use pyo3::exceptions::{PyOverflowError, PyTypeError};
use pyo3::prelude::*;
use pyo3::types::PyInt;

use crate::errors;

/// An argument as it came.
pub(crate) type Argument<'a, 'py> = &'a Bound<'py, PyAny>;

/// A signed 64-bit integer.
pub(crate) fn signed(name: &str, argument: Argument<'_, '_>) -> PyResult<i64> {
    integer(name, argument, "-2**63 to 2**63 - 1")
}

/// An optional signed 64-bit integer.
pub(crate) fn optional(name: &str, argument: Option<Argument<'_, '_>>) -> PyResult<Option<i64>> {
    argument.map(|argument| signed(name, argument)).transpose()
}

/// An unsigned 32-bit integer.
pub(crate) fn unsigned(name: &str, argument: Argument<'_, '_>) -> PyResult<u32> {
    integer(name, argument, "0 to 2**32 - 1")
}

pub(crate) fn account(argument: Argument<'_, '_>) -> PyResult<AccountId> {
    unsigned("account", argument).map(AccountId)
}

pub(crate) fn instrument(argument: Argument<'_, '_>) -> PyResult<InstrumentId> {
    integer("instrument", argument, "0 to 2**16 - 1").map(InstrumentId)
}

pub(crate) fn coin(argument: Argument<'_, '_>) -> PyResult<CoinId> {
    integer("coin", argument, "0 to 2**16 - 1").map(CoinId)
}

pub(crate) fn pool(argument: Argument<'_, '_>) -> PyResult<PoolId> {
    integer("pool", argument, "0 to 2**16 - 1").map(PoolId)
}

pub(crate) fn order_id(argument: Argument<'_, '_>) -> PyResult<OrderId> {
    integer("order_id", argument, "0 to 2**64 - 1").map(OrderId)
}

pub(crate) fn link_id(text: &str) -> PyResult<LinkId> {
    LinkId::parse(text).ok_or_else(|| {
        let allowed = LinkId::LENGTH_MAX;
        errors::value(format!("link_id: was {text:?}, allowed are up to {allowed} of A-Z a-z 0-9 - _"))
    })
}

fn integer<'py, T>(name: &str, argument: &Bound<'py, PyAny>, allowed: &str) -> PyResult<T>
where
    T: for<'a> FromPyObject<'a, 'py>,
{
    if let Ok(value) = argument.extract::<T>() {
        return Ok(value);
    }
    Err(if argument.is_instance_of::<PyInt>() {
        PyOverflowError::new_err(format!("{name}: was {argument}, allowed {allowed}"))
    } else {
        let kind = argument.get_type().name()?;
        PyTypeError::new_err(format!("{name}: must be an int, was {kind}"))
    })
}
