//! What a restart goes by: snapshots as they are taken, and what a recovery found. Files are the journal's business.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};

use exchange_journal::{JournalError, SnapshotWriter};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::engine::{hex, to_exception};
use crate::errors;
use crate::machine::{Draft, Failure, Replayed, Start, describe};

/// What a recovery found.
#[pyclass(frozen, module = "simulated_exchange._engine")]
pub struct Recovery {
    replayed: Replayed,
    start: Start,
}

#[pymethods]
impl Recovery {
    #[getter]
    fn commands(&self) -> u64 {
        self.replayed.commands
    }

    #[getter]
    fn snapshot_commands(&self) -> u64 {
        self.start.commands
    }

    #[getter]
    fn attachment<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.start.attachment)
    }

    #[getter]
    fn remarks(&self) -> Vec<String> {
        self.start.remarks.clone()
    }

    #[getter]
    fn truncated_bytes(&self) -> u64 {
        self.replayed.torn_bytes
    }

    #[getter]
    fn state_hash(&self) -> String {
        hex(self.replayed.state_hash)
    }

    #[getter]
    fn genesis_json(&self) -> &str {
        &self.replayed.genesis_json
    }

    fn __repr__(&self) -> String {
        let (commands, snapshot, torn) = (self.commands(), self.start.commands, self.replayed.torn_bytes);
        format!("Recovery(commands={commands}, snapshot_commands={snapshot}, truncated_bytes={torn})")
    }
}

impl Recovery {
    pub(crate) fn new(replayed: Replayed, start: Start) -> Self {
        Self { replayed, start }
    }
}

/// A copy of the state on its way into a snapshot.
#[pyclass(frozen, module = "simulated_exchange._engine")]
pub struct SnapshotDraft {
    number: u64,
    draft: Mutex<Option<Draft>>,
    writer: Arc<Mutex<SnapshotWriter>>,
}

#[pymethods]
impl SnapshotDraft {
    /// Commands that it stands for.
    #[getter]
    fn commands(&self) -> u64 {
        self.number
    }

    /// Writes the snapshot, once, while other threads run; returns its size in bytes.
    fn write(&self, py: Python<'_>, attachment: &[u8]) -> PyResult<u64> {
        let draft = self.draft.lock().unwrap_or_else(PoisonError::into_inner).take();
        let draft = draft.ok_or_else(|| errors::value("snapshot: is written already"))?;
        py.detach(|| self.put_down(draft, attachment)).map_err(to_exception)
    }
}

impl SnapshotDraft {
    pub(crate) fn new(draft: Draft, writer: Arc<Mutex<SnapshotWriter>>) -> Self {
        Self { number: draft.number, draft: Mutex::new(Some(draft)), writer }
    }

    fn put_down(&self, draft: Draft, attachment: &[u8]) -> Result<u64, Failure> {
        let Draft { exchange, journal, number } = draft;
        let state = catch_unwind(AssertUnwindSafe(|| exchange.snapshot()))
            .map_err(|panic| Failure::Invariant(describe(&*panic)))?;
        drop(exchange);
        // Only what the journal has on disk may have a snapshot.
        let position = journal.settle(number)?.ok_or_else(|| JournalError::Snapshot {
            path: journal.path().to_owned(),
            reason: format!("after command {number}: another one has been begun since"),
        })?;
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(writer.write(&position, &state, attachment)?)
    }
}

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Recovery>()?;
    module.add_class::<SnapshotDraft>()
}
