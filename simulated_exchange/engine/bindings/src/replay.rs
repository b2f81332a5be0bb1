//! A journal told again, batch by batch: what happened, for whoever rebuilds a view of it. Changes nothing.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use exchange_core::COMMAND_BYTES;
use exchange_journal::Reader;
use pyo3::prelude::*;

use crate::engine::to_exception;
use crate::machine::{Failure, Machine, command_record};
use crate::outcome::BatchOutcome;

/// Commands of one batch.
const BATCH_COMMANDS: usize = 4096;

struct Tale {
    path: PathBuf,
    reader: Reader,
    machine: Machine,
}

/// Iterator over a journal's commands; yields a `BatchOutcome` for up to 4096 of them at a time.
#[pyclass(frozen, module = "simulated_exchange._engine")]
pub struct Replay(Mutex<Tale>);

#[pymethods]
impl Replay {
    fn __iter__(slf: PyRef<'_, Self>) -> PyRef<'_, Self> {
        slf
    }

    fn __next__(&self, py: Python<'_>) -> PyResult<Option<BatchOutcome>> {
        py.detach(|| self.0.lock().unwrap_or_else(PoisonError::into_inner).next_batch()).map_err(to_exception)
    }
}

impl Replay {
    /// From the first command, or behind the snapshot that stands for so many.
    pub(crate) fn open(path: &Path, snapshot: u64) -> Result<Self, Failure> {
        let mut reader = Reader::open(path)?;
        let machine = match snapshot {
            0 => Machine::from_genesis(path, &mut reader)?.0,
            number => Machine::from_snapshot(path, &mut reader, number)?,
        };
        Ok(Self(Mutex::new(Tale { path: path.to_owned(), reader, machine })))
    }
}

impl Tale {
    fn next_batch(&mut self) -> Result<Option<BatchOutcome>, Failure> {
        let mut records = Vec::new();
        while records.len() < BATCH_COMMANDS * COMMAND_BYTES
            && let Some(record) = self.reader.next_record()?
        {
            records.extend_from_slice(&command_record(&self.path, &record)?);
        }
        if records.is_empty() {
            return Ok(None);
        }
        let batch = self.machine.apply_batch(&records).map_err(|failure| match failure {
            Failure::Record(text) => Failure::Invariant(format!("journal {}: {text}", self.path.display())),
            failure => failure,
        })?;
        Ok(Some(batch.into()))
    }
}

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Replay>()
}
