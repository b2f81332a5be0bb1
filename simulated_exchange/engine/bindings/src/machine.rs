//! The exchange behind its journal: one command at a time, journaled before it is applied. Knows no Python.
//!
//! A broken invariant or a panic stops the machine for good; nothing is journaled or applied afterwards.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;

use exchange_core::{AHEAD, Applied, COMMAND_BYTES, Command, EventLog, Exchange, Glance, Lookout};
use exchange_journal::{
    Durability, Journal, JournalError, Place, Reader, Record, Recovering, Snapshot, SnapshotFile, padded,
    trimmed,
};

use crate::batch::{Batch, Shelf};
use crate::genesis;

/// Commands of a batch for which memory is kept.
const DECODED_KEPT_MAX: usize = 1 << 14;

/// Commands between two words of a replay's progress.
const PROGRESS_EVERY: u64 = 4096;

/// Why the machine could not do something.
pub(crate) enum Failure {
    /// A bug; the machine has stopped.
    Invariant(String),
    Journal(JournalError),
    Genesis(String),
    /// A record of a batch that does not decode; nothing has been applied.
    Record(String),
    /// Whoever was told of the progress wanted no more.
    Stopped,
}

/// How far a replay is: commands, bytes of the journal, bytes of all of it.
pub(crate) type Progress<'a> = dyn FnMut(u64, u64, u64) -> Result<(), Failure> + 'a;

impl From<JournalError> for Failure {
    fn from(error: JournalError) -> Self {
        Self::Journal(error)
    }
}

pub(crate) struct Machine {
    exchange: Exchange,
    journal: Option<Arc<Journal>>,
    /// The commands of a batch; kept from batch to batch, since fresh memory is slow.
    decoded: Vec<Command>,
    shelf: Arc<Shelf>,
    broken: Option<String>,
}

/// What reading a journal back gave.
pub(crate) struct Replayed {
    pub(crate) commands: u64,
    pub(crate) state_hash: u128,
    pub(crate) genesis_json: String,
    pub(crate) torn_bytes: u64,
}

/// What a recovery went on from.
#[derive(Default)]
pub(crate) struct Start {
    /// Commands that a snapshot stood for; 0 without one.
    pub(crate) commands: u64,
    /// What lay beside the snapshot's state.
    pub(crate) attachment: Vec<u8>,
    /// Why other snapshots were passed over.
    pub(crate) remarks: Vec<String>,
}

/// A state on its way into a snapshot.
pub(crate) struct Draft {
    pub(crate) exchange: Exchange,
    pub(crate) journal: Arc<Journal>,
    /// The last command that it has seen.
    pub(crate) number: u64,
}

impl Machine {
    pub(crate) fn create(
        genesis_json: &str,
        journal: Option<(&Path, Durability)>,
    ) -> Result<(Self, Option<Arc<Journal>>), Failure> {
        let exchange = exchange(genesis_json)?;
        let journal = journal
            .map(|(path, durability)| {
                Journal::create(path, genesis_json.as_bytes(), durability).map(Arc::new)
            })
            .transpose()?;
        Ok((Self { journal: journal.clone(), ..Self::of(exchange) }, journal))
    }

    /// Rebuilds the exchange from its newest snapshot and the journal behind it, which is locked, cut where it is torn,
    /// and open for more.
    pub(crate) fn recover(
        path: &Path,
        durability: Durability,
    ) -> Result<(Self, Arc<Journal>, Replayed, Start), Failure> {
        let mut recovering = Recovering::open(path)?;
        let (mut machine, genesis_json, start) = Self::start(path, recovering.reader())?;
        machine.follow(path, recovering.reader(), None)?;
        machine.check()?;
        let replayed = machine.replayed(genesis_json, recovering.reader())?;
        let journal = Arc::new(recovering.finish(durability)?);
        machine.journal = Some(Arc::clone(&journal));
        Ok((machine, journal, replayed, start))
    }

    fn start(path: &Path, reader: &mut Reader) -> Result<(Self, String, Start), Failure> {
        let genesis_json = genesis_json(path, reader)?;
        let (resumed, remarks) = reader.resume(rebuilt)?;
        let Some(resumed) = resumed else {
            let (machine, genesis_json) = Self::from_genesis(path, reader)?;
            return Ok((machine, genesis_json, Start { remarks, ..Start::default() }));
        };
        let commands = resumed.snapshot.position.number;
        let attachment = resumed.snapshot.into_attachment();
        Ok((Self::of(resumed.state), genesis_json, Start { commands, attachment, remarks }))
    }

    /// Replays a journal without locking or changing it, and checks everything after every command.
    pub(crate) fn verify(path: &Path, progress: &mut Progress<'_>) -> Result<(Self, Replayed), Failure> {
        let mut reader = Reader::open(path)?;
        let (mut machine, genesis_json) = Self::from_genesis(path, &mut reader)?;
        machine.follow(path, &mut reader, Some(progress))?;
        let replayed = machine.replayed(genesis_json, &reader)?;
        Ok((machine, replayed))
    }

    /// The exchange as a journal's first record describes it, without a journal of its own.
    pub(crate) fn from_genesis(path: &Path, reader: &mut Reader) -> Result<(Self, String), Failure> {
        let text = genesis_json(path, reader)?;
        Ok((Self::of(exchange(&text)?), text))
    }

    /// The exchange as a snapshot has it, and the reader behind it.
    pub(crate) fn from_snapshot(path: &Path, reader: &mut Reader, number: u64) -> Result<Self, Failure> {
        let file = SnapshotFile::after(path, number);
        let snapshot = file.read()?;
        let wrong = |reason| JournalError::Snapshot { path: file.path.clone(), reason };
        let exchange = rebuilt(&snapshot).map_err(wrong)?;
        match reader.seek_to(&snapshot.position)? {
            Place::Here => Ok(Self::of(exchange)),
            _ => Err(wrong("it belongs to another journal".to_owned()).into()),
        }
    }

    fn of(exchange: Exchange) -> Self {
        Self { exchange, journal: None, decoded: Vec::new(), shelf: Arc::default(), broken: None }
    }

    /// Applies what is left of a journal; where somebody wants to know how far it is, with every check.
    fn follow(
        &mut self,
        path: &Path,
        reader: &mut Reader,
        mut progress: Option<&mut Progress<'_>>,
    ) -> Result<(), Failure> {
        let (mut events, mut commands) = (EventLog::new(), 0_u64);
        while let Some(record) = reader.next_record()? {
            events.clear();
            self.apply(&command(path, &record)?, &mut events)?;
            if let Some(progress) = progress.as_mut() {
                self.check()?;
                commands += 1;
                if commands.is_multiple_of(PROGRESS_EVERY) {
                    let tail = reader.tail();
                    progress(commands, tail.end, tail.end + tail.behind_bytes)?;
                }
            }
        }
        Ok(())
    }

    fn replayed(&mut self, genesis_json: String, reader: &Reader) -> Result<Replayed, Failure> {
        let tail = reader.tail();
        let (commands, state_hash) =
            self.ask(|exchange| (exchange.command_count(), exchange.state_hash()))?;
        if commands + 1 != tail.next_number {
            return Err(
                self.stop(format!("{commands} commands counted, the journal has {}", tail.next_number - 1))
            );
        }
        Ok(Replayed { commands, state_hash, genesis_json, torn_bytes: tail.torn_bytes })
    }

    /// Journals and applies one command; its events come behind those that `events` holds.
    pub(crate) fn apply(&mut self, command: &Command, events: &mut EventLog) -> Result<Applied, Failure> {
        self.check_running()?;
        if let Some(journal) = &self.journal {
            journal.append(trimmed(&command.encode()))?;
        }
        let exchange = &mut self.exchange;
        match catch_unwind(AssertUnwindSafe(|| exchange.apply_to(command, events))) {
            Ok(Ok(applied)) => Ok(applied),
            Ok(Err(fatal)) => Err(self.stop(fatal.to_string())),
            Err(panic) => Err(self.stop(describe(&*panic))),
        }
    }

    /// Decodes all records, then journals and applies one after the other.
    pub(crate) fn apply_batch(&mut self, records: &[u8]) -> Result<Batch, Failure> {
        self.check_running()?;
        let count = records.len() / COMMAND_BYTES;
        decode_all(records, &mut self.decoded)?;
        let mut batch = Batch::begin(&self.shelf, self.command_count() + 1, count);
        let (exchange, journal, commands) = (&mut self.exchange, self.journal.as_deref(), &self.decoded);
        let mut lookout = Lookout::default();
        let glance = |at: usize| commands.get(at).map_or(Glance::NOTHING, Glance::of);
        let run = || {
            for at in 0..AHEAD {
                exchange.look_ahead(&mut lookout, || glance(at));
            }
            for (at, (command, record)) in
                commands.iter().zip(records.chunks_exact(COMMAND_BYTES)).enumerate()
            {
                exchange.look_ahead(&mut lookout, || glance(at + AHEAD));
                if let Some(journal) = journal {
                    journal.append(trimmed(record))?;
                }
                let applied = exchange.apply_to(command, &mut batch.events);
                batch.applied.push(applied.map_err(|fatal| Failure::Invariant(fatal.to_string()))?);
            }
            Ok(())
        };
        match catch_unwind(AssertUnwindSafe(run)) {
            Ok(Ok(())) => Ok(batch),
            Ok(Err(Failure::Invariant(cause))) => Err(self.stop(cause)),
            Ok(Err(failure)) => Err(failure),
            Err(panic) => Err(self.stop(describe(&*panic))),
        }
    }

    /// Journals and applies commands one after the other.
    pub(crate) fn apply_all(&mut self, commands: &[Command]) -> Result<Batch, Failure> {
        let mut batch = Batch::begin(&self.shelf, self.command_count() + 1, commands.len());
        for command in commands {
            batch.applied.push(self.apply(command, &mut batch.events)?);
        }
        Ok(batch)
    }

    /// Copies the state for a snapshot; nothing without a journal.
    pub(crate) fn begin_snapshot(&mut self) -> Result<Option<Draft>, Failure> {
        self.check_running()?;
        let Some(journal) = self.journal.clone() else { return Ok(None) };
        let exchange = self.ask(Exchange::clone)?;
        Ok(Some(Draft { exchange, number: journal.mark(), journal }))
    }

    /// Commands applied so far, refused ones included.
    pub(crate) fn command_count(&self) -> u64 {
        self.exchange.command_count()
    }

    /// Asks the exchange something; a panic on the way stops the machine.
    pub(crate) fn ask<T>(&mut self, question: impl FnOnce(&Exchange) -> T) -> Result<T, Failure> {
        match catch_unwind(AssertUnwindSafe(|| question(&self.exchange))) {
            Ok(answer) => Ok(answer),
            Err(panic) => Err(self.stop(describe(&*panic))),
        }
    }

    /// Recomputes every invariant.
    pub(crate) fn check(&mut self) -> Result<(), Failure> {
        self.ask(Exchange::check_invariants)?.map_err(|fatal| self.stop(fatal.to_string()))
    }

    fn check_running(&self) -> Result<(), Failure> {
        match &self.broken {
            Some(cause) => Err(Failure::Invariant(format!("stopped: {cause}"))),
            None => Ok(()),
        }
    }

    fn stop(&mut self, cause: String) -> Failure {
        self.broken = Some(cause.clone());
        Failure::Invariant(cause)
    }
}

fn command(path: &Path, record: &Record<'_>) -> Result<Command, Failure> {
    Command::decode(&command_record(path, record)?).map_err(|error| {
        let (number, path) = (record.number, path.display());
        Failure::Invariant(format!("journal {path}: command {number}: {error}"))
    })
}

/// The command record that a journal's record holds without its zero tail.
pub(crate) fn command_record(path: &Path, record: &Record<'_>) -> Result<[u8; COMMAND_BYTES], Failure> {
    padded(record.payload).ok_or_else(|| {
        let (number, path) = (record.number, path.display());
        Failure::Invariant(format!("journal {path}: command {number} is no command record"))
    })
}

/// Reads all records into `commands`, in place of what they held.
fn decode_all(records: &[u8], commands: &mut Vec<Command>) -> Result<(), Failure> {
    commands.clear();
    commands.shrink_to(DECODED_KEPT_MAX);
    commands.reserve(records.len() / COMMAND_BYTES);
    for (at, record) in records.chunks_exact(COMMAND_BYTES).enumerate() {
        match Command::decode(record) {
            Ok(command) => commands.push(command),
            Err(error) => return Err(Failure::Record(format!("records[{at}]: {error}"))),
        }
    }
    Ok(())
}

fn genesis_json(path: &Path, reader: &mut Reader) -> Result<String, Failure> {
    let is_not = |what| Failure::Genesis(format!("journal {}: its genesis {what}", path.display()));
    let record = reader.next_record()?.ok_or_else(|| is_not("is missing"))?;
    std::str::from_utf8(record.payload).map(str::to_owned).map_err(|_| is_not("is not text"))
}

/// The state of a snapshot, or what is wrong with it.
fn rebuilt(snapshot: &Snapshot) -> Result<Exchange, String> {
    let exchange = Exchange::restore(snapshot.state()).map_err(|error| error.to_string())?;
    if exchange.command_count() == snapshot.position.number {
        Ok(exchange)
    } else {
        Err(format!("its state has seen {} commands", exchange.command_count()))
    }
}

fn exchange(genesis_json: &str) -> Result<Exchange, Failure> {
    let genesis = genesis::parse(genesis_json).map_err(Failure::Genesis)?;
    match catch_unwind(|| Exchange::new(&genesis)) {
        Ok(exchange) => exchange.map_err(|error| Failure::Genesis(error.to_string())),
        Err(panic) => Err(Failure::Invariant(describe(&*panic))),
    }
}

pub(crate) fn describe(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
    format!("panic: {}", text.unwrap_or("without a message"))
}
