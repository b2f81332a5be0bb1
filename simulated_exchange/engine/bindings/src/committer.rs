//! A thread that commits when it is asked to, beside the interpreter. It tells of the end of each commit through a
//! socket that an event loop can watch, so that neither side waits for the interpreter's lock. What is committed is
//! the journal's business.

use std::io::{ErrorKind, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;

use exchange_journal::{Journal, JournalError};
use pyo3::prelude::*;

use crate::errors;

/// What both sides know.
struct Desk {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    is_asked: bool,
    is_closed: bool,
    outcome: Option<Result<u64, JournalError>>,
}

/// Commits beside the loop, one at a time.
#[pyclass(frozen, module = "simulated_exchange._engine")]
pub struct Committer {
    desk: Arc<Desk>,
    bell: UnixStream,
}

#[pymethods]
impl Committer {
    /// The descriptor that becomes readable when a commit has ended.
    fn fileno(&self) -> i32 {
        self.bell.as_raw_fd()
    }

    /// Asks for a commit of everything applied so far; returns at once.
    fn begin(&self) {
        lock(&self.desk).is_asked = true;
        self.desk.changed.notify_one();
    }

    /// The last command of the commit that has ended; None when none has. An error when there will be no more.
    fn ended(&self) -> PyResult<Option<u64>> {
        let mut rung = [0; 8];
        match (&self.bell).read(&mut rung) {
            Ok(0) => return Err(std::io::Error::from(ErrorKind::BrokenPipe).into()),
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(None),
            Err(error) => return Err(error.into()),
        }
        let outcome = lock(&self.desk).outcome.take();
        outcome.transpose().map_err(|error| errors::journal(&error))
    }

    /// No more commits; one that runs is not waited for.
    fn close(&self) {
        lock(&self.desk).is_closed = true;
        self.desk.changed.notify_one();
    }
}

impl Committer {
    /// Starts the thread, which keeps the journal from being closed only while it commits.
    pub(crate) fn start(journal: &Arc<Journal>) -> std::io::Result<Self> {
        let (bell, ringer) = UnixStream::pair()?;
        bell.set_nonblocking(true)?;
        ringer.set_nonblocking(true)?;
        let desk = Arc::new(Desk { state: Mutex::new(State::default()), changed: Condvar::new() });
        let (shared, journal) = (Arc::clone(&desk), Arc::downgrade(journal));
        thread::Builder::new().name("commit".to_owned()).spawn(move || work(&shared, &journal, ringer))?;
        Ok(Self { desk, bell })
    }
}

impl Drop for Committer {
    fn drop(&mut self) {
        self.close();
    }
}

fn work(desk: &Desk, journal: &Weak<Journal>, mut ringer: UnixStream) {
    loop {
        let mut state = lock(desk);
        while !state.is_asked && !state.is_closed {
            state = desk.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        if state.is_closed {
            return;
        }
        state.is_asked = false;
        drop(state);
        let Some(journal) = journal.upgrade() else { return };
        let outcome = journal.sync();
        drop(journal);
        lock(desk).outcome = Some(outcome);
        // A full socket has rung already; one that is closed has nobody left to hear it.
        let _ = ringer.write_all(&[1]);
    }
}

/// A thread that panicked while it held a lock left plain data behind, so its poison says nothing.
fn lock(desk: &Desk) -> MutexGuard<'_, State> {
    desk.state.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Committer>()
}
