//! The exceptions of the module. A refused command is not one of them: that is a value of `Outcome`.

use exchange_journal::JournalError as JournalFailure;
use pyo3::create_exception;
use pyo3::exceptions::{PyException, PyValueError};
use pyo3::prelude::*;

create_exception!(
    simulated_exchange._engine,
    EngineError,
    PyException,
    "Base of everything the engine raises of its own."
);
create_exception!(
    simulated_exchange._engine,
    InvariantError,
    EngineError,
    "The state contradicts itself: a bug. The engine accepts nothing afterwards; the process should end with status 70."
);
create_exception!(
    simulated_exchange._engine,
    JournalError,
    EngineError,
    "The journal could not be created, read, written or committed. One line that names the file."
);
create_exception!(
    simulated_exchange._engine,
    GenesisError,
    EngineError,
    "The genesis is not usable. One line that names the field and what is allowed."
);

pub(crate) fn journal(error: &JournalFailure) -> PyErr {
    JournalError::new_err(error.to_string())
}

pub(crate) fn invariant(text: impl Into<String>) -> PyErr {
    InvariantError::new_err(text.into())
}

pub(crate) fn value(text: impl Into<String>) -> PyErr {
    PyValueError::new_err(text.into())
}

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    module.add("EngineError", py.get_type::<EngineError>())?;
    module.add("InvariantError", py.get_type::<InvariantError>())?;
    module.add("JournalError", py.get_type::<JournalError>())?;
    module.add("GenesisError", py.get_type::<GenesisError>())
}
