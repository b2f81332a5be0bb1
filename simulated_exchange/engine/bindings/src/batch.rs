//! What became of a batch, and the memory that it is told in: whoever has looked at it gives it back, since memory that
//! has to be cleared first is slow. Applies nothing.

use std::sync::{Arc, Mutex, PoisonError};

use exchange_core::{Applied, EventLog};

/// Room made for a batch's events; more is made when it is needed.
const EVENTS_PER_COMMAND: usize = 4;
/// Commands of a batch whose memory is kept.
const COMMANDS_KEPT_MAX: usize = 1 << 14;
/// Words of events whose memory is kept: 4 MiB.
const WORDS_KEPT_MAX: usize = 1 << 19;

/// What became of a batch.
pub(crate) struct Batch {
    pub(crate) first_command: u64,
    pub(crate) applied: Vec<Applied>,
    pub(crate) events: EventLog,
    /// Where its memory goes.
    shelf: Option<Arc<Shelf>>,
}

/// The memory of the last batch that nobody looks at any more.
#[derive(Default)]
pub(crate) struct Shelf(Mutex<Option<(Vec<Applied>, EventLog)>>);

impl Batch {
    /// One of so many commands, of which none has been applied.
    pub(crate) fn begin(shelf: &Arc<Shelf>, first_command: u64, count: usize) -> Self {
        let kept = shelf.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        let (mut applied, events) =
            kept.unwrap_or_else(|| (Vec::new(), EventLog::with_capacity(count * EVENTS_PER_COMMAND)));
        applied.reserve(count);
        Self { first_command, applied, events, shelf: Some(Arc::clone(shelf)) }
    }

    /// One of commands whose events are told elsewhere.
    pub(crate) fn without_events(first_command: u64, applied: Vec<Applied>) -> Self {
        Self { first_command, applied, events: EventLog::new(), shelf: None }
    }
}

impl Drop for Batch {
    fn drop(&mut self) {
        let Some(shelf) = &self.shelf else { return };
        let (mut applied, mut events) = (std::mem::take(&mut self.applied), std::mem::take(&mut self.events));
        if applied.capacity() <= COMMANDS_KEPT_MAX && events.room() <= WORDS_KEPT_MAX {
            applied.clear();
            events.clear();
            *shelf.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((applied, events));
        }
    }
}
