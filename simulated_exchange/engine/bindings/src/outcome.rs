//! What became of a command, or of a batch of them.

use std::ops::Range;

use exchange_core::{Applied, EVENT_BYTES, EventLog};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList};

use crate::batch::Batch;
use crate::event::Event;
use crate::rows::{self, Rows};
use crate::words::Reject;

/// What became of one command.
#[pyclass(frozen, module = "simulated_exchange._engine")]
pub struct Outcome {
    /// Number of the command, from 1.
    #[pyo3(get)]
    command: u64,
    /// The order it placed or changed; 0 if none.
    #[pyo3(get)]
    order_id: u64,
    /// Why it was refused; nothing if it was not.
    #[pyo3(get)]
    reject: Option<Reject>,
    /// What happened, in order.
    #[pyo3(get)]
    events: Py<PyList>,
}

#[pymethods]
impl Outcome {
    fn __repr__(&self, py: Python<'_>) -> String {
        let reject = self.reject.map_or("None".to_owned(), |reject| format!("Reject.{reject:?}"));
        let (command, order_id, count) = (self.command, self.order_id, self.events.bind(py).len());
        format!("Outcome(command={command}, reject={reject}, order_id={order_id}, events=[{count} events])")
    }
}

impl Outcome {
    pub(crate) fn new(py: Python<'_>, command: u64, applied: Applied, events: &EventLog) -> PyResult<Self> {
        Ok(Self {
            command,
            order_id: applied.order_id.0,
            reject: applied.reject.map(Reject::from),
            events: list(py, events)?.unbind(),
        })
    }
}

/// What became of a batch.
#[pyclass(frozen, module = "simulated_exchange._engine")]
pub struct BatchOutcome(Batch);

#[pymethods]
impl BatchOutcome {
    /// Number of the batch's first command.
    #[getter]
    fn first_command(&self) -> u64 {
        self.0.first_command
    }

    /// Commands applied, refused ones included.
    #[getter]
    fn commands(&self) -> usize {
        self.0.applied.len()
    }

    /// Events that happened.
    #[getter]
    fn event_count(&self) -> usize {
        self.0.events.len()
    }

    /// Refused commands: position in the batch, and why.
    fn rejects(&self) -> Vec<(usize, Reject)> {
        let refused = |(at, applied): (usize, &Applied)| applied.reject.map(|reject| (at, reject.into()));
        self.0.applied.iter().enumerate().filter_map(refused).collect()
    }

    /// One order identifier per command; 0 where a command placed or changed none.
    fn order_ids(&self) -> Vec<u64> {
        self.0.applied.iter().map(|applied| applied.order_id.0).collect()
    }

    /// What happened, as objects.
    fn events<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        list(py, &self.0.events)
    }

    /// What happened, as rows for the read model, with number and market time of the last event.
    fn rows<'py>(&self, py: Python<'py>) -> PyResult<Rows<'py>> {
        rows::rows(py, &self.0.events)
    }

    /// What happened, as fixed-size records.
    fn records<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        PyBytes::new_with(py, self.0.events.len() * EVENT_BYTES, |bytes| {
            for (record, event) in bytes.chunks_exact_mut(EVENT_BYTES).zip(&self.0.events) {
                record.copy_from_slice(&event.encode());
            }
            Ok(())
        })
    }

    fn __repr__(&self) -> String {
        let (first, commands, events) = (self.0.first_command, self.0.applied.len(), self.0.events.len());
        format!("BatchOutcome(first_command={first}, commands={commands}, event_count={events})")
    }
}

impl BatchOutcome {
    /// What became of some of the commands. What happened stays with the whole batch.
    pub(crate) fn part(&self, commands: Range<usize>) -> Self {
        let first_command = self.0.first_command + commands.start as u64;
        let applied = self.0.applied.get(commands).unwrap_or_default().to_vec();
        Self(Batch::without_events(first_command, applied))
    }

    /// The orders placed; nothing when a command was refused.
    pub(crate) fn placed(&self) -> Option<impl Iterator<Item = u64>> {
        let is_refused = self.0.applied.iter().any(|applied| applied.reject.is_some());
        (!is_refused).then(|| self.0.applied.iter().map(|applied| applied.order_id.0))
    }
}

impl From<Batch> for BatchOutcome {
    fn from(batch: Batch) -> Self {
        Self(batch)
    }
}

fn list<'py>(py: Python<'py>, events: &EventLog) -> PyResult<Bound<'py, PyList>> {
    PyList::new(py, events.iter().map(Event::from))
}

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Outcome>()?;
    module.add_class::<BatchOutcome>()
}
