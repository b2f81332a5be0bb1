//! The exchange as the Python module `simulated_exchange._engine`. Thin: types across the border, the journal in
//! front of the exchange, the interpreter lock released where work is long. What the exchange does is the core's.
//!
//! No panic reaches Python: a refusal is a value, a wrong argument a `ValueError`, `TypeError` or
//! `OverflowError` that names it, a journal that fails a `JournalError`, a bug an `InvariantError`.
#![forbid(unsafe_code)]

mod account_calls;
mod arguments;
mod batch;
mod committer;
mod engine;
mod engine_insurance;
mod engine_markets;
mod engine_orders;
mod engine_positions;
mod errors;
mod event;
mod genesis;
mod machine;
mod outcome;
mod plain;
mod replay;
mod restart;
mod rows;
mod rules;
mod terms;
mod views;
mod words;

use pyo3::prelude::*;

/// The simulated exchange: a state machine with a journal.
#[pymodule]
fn _engine(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("SCALE", exchange_core::types::SCALE)?;
    module.add("LEVERAGE_SCALE", exchange_core::types::LEVERAGE_SCALE)?;
    module.add("COMMAND_BYTES", exchange_core::COMMAND_BYTES)?;
    module.add("EVENT_BYTES", exchange_core::EVENT_BYTES)?;
    errors::register(module)?;
    words::register(module)?;
    event::register(module)?;
    terms::register(module)?;
    views::register(module)?;
    outcome::register(module)?;
    replay::register(module)?;
    restart::register(module)?;
    committer::register(module)?;
    rules::register(module)?;
    plain::register(module)?;
    engine::register(module)
}
