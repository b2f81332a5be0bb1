//! Appending and committing. The file is written by one process, from any of its threads.
//!
//! Two locks, always taken in this order: `disk` (one write or commit at a time), `pending` (the records that
//! wait for it). An append takes `pending` alone and only copies; checksums and chain are made by who writes.
//! So a commit on another thread does not hold an append up; only a full buffer makes it wait for the disk.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::error::JournalError;
use crate::format::{self, FRAME_BYTES, Identity, PAYLOAD_BYTES_MAX, Position};
use crate::reader::io_error;
use crate::recovery;
use crate::room::Roomy;

/// Bytes that may wait in memory; an append beyond them writes to the file itself.
pub const BUFFER_BYTES_MAX: usize = 4 * 1024 * 1024;

/// What a commit waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// The disk: a committed record survives a power cut.
    Fsync,
    /// The operating system: a committed record survives the death of the process, not of the machine.
    Os,
    /// Nothing: records are written when the buffer is full and when the journal is closed.
    None,
}

/// Where the bytes go; the file, or in tests something that fails on purpose.
pub(crate) trait Sink: Send {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()>;
    fn commit(&mut self) -> io::Result<()>;
}

impl Sink for File {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.write_all(bytes)
    }

    fn commit(&mut self) -> io::Result<()> {
        self.sync_data()
    }
}

/// How a file whose end is at `end`, as is its cursor, is written.
pub(crate) fn sink(file: File, durability: Durability, end: u64) -> Box<dyn Sink> {
    match durability {
        Durability::Fsync => Box::new(Roomy::new(file, end)),
        Durability::Os | Durability::None => Box::new(file),
    }
}

/// What waits to be written, and what was written last.
struct Pending {
    /// Room for a frame, then records.
    group: Vec<u8>,
    count: u32,
    next_number: u64,
    /// Position of the last written record.
    written: Position,
    mark: Option<Mark>,
    failure: Option<String>,
}

/// A record whose position somebody will ask for.
enum Mark {
    Waiting(u64),
    Written(Position),
}

struct Disk {
    sink: Box<dyn Sink>,
    /// The buffer that is not filled at the moment.
    spare: Vec<u8>,
    /// End of what was written.
    end: u64,
    chain: u128,
    /// Last record that was written, last one that a commit to the disk covered.
    written_number: u64,
    hardened_number: u64,
}

/// A journal open for appending. The file stays locked until it is dropped.
pub struct Journal {
    path: PathBuf,
    durability: Durability,
    disk: Mutex<Disk>,
    pending: Mutex<Pending>,
    committed_number: AtomicU64,
}

impl std::fmt::Debug for Journal {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Journal").field("path", &self.path).finish_non_exhaustive()
    }
}

impl Journal {
    /// Creates a journal whose record 0 is `genesis`. It appears under `path` whole and on disk, or not at all.
    ///
    /// # Errors
    /// `Exists` when a file lies at `path`; `TooLong` for the genesis; `Io`.
    pub fn create(path: &Path, genesis: &[u8], durability: Durability) -> Result<Self, JournalError> {
        check_length(genesis)?;
        if fs::symlink_metadata(path).is_ok() {
            return Err(JournalError::Exists { path: path.to_owned() });
        }
        let mut identity = Identity::default();
        getrandom::fill(&mut identity)
            .map_err(|error| io_error(path, "draw an identity", io::Error::other(error.to_string())))?;
        let header = format::header(&identity);
        let mut group = vec![0; FRAME_BYTES];
        format::encode_record(&mut group, genesis);
        let chain = format::frame_group(&mut group, format::first_chain(&header), 0, 1);
        let file = create_whole(path, &[&header, &group])?;
        let written = Position { identity, number: 0, offset: header.len() as u64, chain };
        let end = (header.len() + group.len()) as u64;
        Ok(Self::new(path, durability, sink(file, durability, end), written, end))
    }

    /// A journal that goes on behind `end`, where the record at `written` is the last one.
    pub(crate) fn new(
        path: &Path,
        durability: Durability,
        sink: Box<dyn Sink>,
        written: Position,
        end: u64,
    ) -> Self {
        let number = written.number;
        let disk = Disk {
            sink,
            spare: vec![0; FRAME_BYTES],
            end,
            chain: written.chain,
            written_number: number,
            hardened_number: number,
        };
        let pending = Pending {
            group: vec![0; FRAME_BYTES],
            count: 0,
            next_number: number + 1,
            written,
            mark: None,
            failure: None,
        };
        Self {
            path: path.to_owned(),
            durability,
            disk: Mutex::new(disk),
            pending: Mutex::new(pending),
            committed_number: AtomicU64::new(number),
        }
    }

    /// Appends one record to the buffer and returns its number. Not durable before [`Journal::sync`] says so.
    ///
    /// # Errors
    /// `TooLong`; `Stopped` after any earlier failure; `Io` when a full buffer could not be written.
    pub fn append(&self, payload: &[u8]) -> Result<u64, JournalError> {
        check_length(payload)?;
        let (number, is_full) = {
            let mut pending = lock(&self.pending);
            self.check_running(&pending)?;
            let number = pending.next_number;
            format::encode_record(&mut pending.group, payload);
            pending.count += 1;
            pending.next_number += 1;
            (number, pending.group.len() >= BUFFER_BYTES_MAX)
        };
        if is_full {
            self.write_pending(&mut lock(&self.disk))?;
        }
        Ok(number)
    }

    /// Commits everything appended before the call and returns the number of the last committed record.
    /// Many callers on many threads share commits: who waits for the disk finds its records already there.
    ///
    /// # Errors
    /// `Stopped` after any earlier failure; `Io` when writing or committing failed. Nothing is accepted after.
    pub fn sync(&self) -> Result<u64, JournalError> {
        let wanted = self.last_number_running()?;
        if self.durability == Durability::None {
            return Ok(wanted);
        }
        if self.committed_number() < wanted {
            let mut disk = lock(&self.disk);
            if self.committed_number() < wanted {
                self.write_pending(&mut disk)?;
                if self.durability == Durability::Fsync && disk.hardened_number < disk.written_number {
                    self.harden(&mut disk)?;
                }
                self.committed_number.store(disk.written_number, Ordering::Release);
            }
        }
        Ok(self.committed_number())
    }

    /// Notes the last appended record, so that [`Journal::settle`] can say where it lies; returns its number.
    /// A later mark replaces an earlier one.
    pub fn mark(&self) -> u64 {
        let mut pending = lock(&self.pending);
        let number = pending.next_number - 1;
        let written = pending.written;
        let mark = if number == written.number { Mark::Written(written) } else { Mark::Waiting(number) };
        pending.mark = Some(mark);
        number
    }

    /// Where the marked record of this number lies, once the disk has it, whatever the durability; nothing when
    /// another record has been marked since.
    ///
    /// # Errors
    /// As [`Journal::sync`].
    pub fn settle(&self, number: u64) -> Result<Option<Position>, JournalError> {
        {
            let mut disk = lock(&self.disk);
            self.last_number_running()?;
            if disk.written_number < number {
                self.write_pending(&mut disk)?;
            }
            if disk.hardened_number < number {
                self.harden(&mut disk)?;
            }
        }
        match lock(&self.pending).mark {
            Some(Mark::Written(position)) if position.number == number => Ok(Some(position)),
            _ => Ok(None),
        }
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Number of the last record that a commit has covered.
    #[must_use]
    pub fn committed_number(&self) -> u64 {
        self.committed_number.load(Ordering::Acquire)
    }

    /// Number of the last appended record.
    #[must_use]
    pub fn last_number(&self) -> u64 {
        lock(&self.pending).next_number - 1
    }

    fn last_number_running(&self) -> Result<u64, JournalError> {
        let pending = lock(&self.pending);
        self.check_running(&pending)?;
        Ok(pending.next_number - 1)
    }

    /// Writes what waits as one group.
    fn write_pending(&self, disk: &mut Disk) -> Result<(), JournalError> {
        if self.durability == Durability::Fsync && disk.hardened_number < disk.written_number {
            // Never two groups on their way to the disk: it might take the second one and not the first.
            self.harden(disk)?;
        }
        let (first, count) = {
            let mut pending = lock(&self.pending);
            self.check_running(&pending)?;
            if pending.count == 0 {
                return Ok(());
            }
            std::mem::swap(&mut pending.group, &mut disk.spare);
            let count = std::mem::take(&mut pending.count);
            (pending.next_number - u64::from(count), count)
        };
        let group = &mut disk.spare;
        disk.chain = format::frame_group(group, disk.chain, first, count);
        disk.sink.write(group).map_err(|source| self.stop("write", source))?;
        let offset = disk.end;
        disk.end += group.len() as u64;
        disk.written_number = first + u64::from(count) - 1;
        group.truncate(FRAME_BYTES);
        self.note_written(disk, first, offset);
        Ok(())
    }

    fn note_written(&self, disk: &Disk, first: u64, offset: u64) {
        let mut pending = lock(&self.pending);
        let (number, chain) = (disk.written_number, disk.chain);
        pending.written = Position { number, offset, chain, ..pending.written };
        let position = pending.written;
        if let Some(Mark::Waiting(marked)) = pending.mark
            && (first..=number).contains(&marked)
        {
            pending.mark = Some(Mark::Written(Position { number: marked, ..position }));
        }
    }

    /// Makes the disk have what was written.
    fn harden(&self, disk: &mut Disk) -> Result<(), JournalError> {
        disk.sink.commit().map_err(|source| self.stop("commit", source))?;
        disk.hardened_number = disk.written_number;
        Ok(())
    }

    fn check_running(&self, pending: &Pending) -> Result<(), JournalError> {
        match &pending.failure {
            Some(cause) => Err(JournalError::Stopped { path: self.path.clone(), cause: cause.clone() }),
            None => Ok(()),
        }
    }

    /// After a failed write or commit nobody knows what is on disk: only a restart may go on.
    fn stop(&self, action: &'static str, source: io::Error) -> JournalError {
        let mut pending = lock(&self.pending);
        pending.failure = Some(format!("cannot {action}: {source}"));
        (pending.group, pending.count) = (Vec::new(), 0);
        io_error(&self.path, action, source)
    }
}

impl Drop for Journal {
    /// Writes and commits what waits. Errors are not reported here: who needs to know calls `sync` first.
    fn drop(&mut self) {
        let mut disk = lock(&self.disk);
        if self.write_pending(&mut disk).is_ok() && self.durability == Durability::Fsync {
            let _ = disk.sink.commit();
        }
    }
}

/// A file that appears under `path` whole, on disk and locked, or not at all.
fn create_whole(path: &Path, parts: &[&[u8]]) -> Result<File, JournalError> {
    let draft = draft_path(path);
    let created = create_at(path, &draft, parts);
    // The draft has served whether or not it got its name; a leftover is harmless and never read.
    let _ = fs::remove_file(&draft);
    let file = created?;
    recovery::sync_folder(path)?;
    Ok(file)
}

fn create_at(path: &Path, draft: &Path, parts: &[&[u8]]) -> Result<File, JournalError> {
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create_new(true)
        .open(draft)
        .map_err(|source| io_error(path, "create", source))?;
    recovery::lock_file(path, &file)?;
    for part in parts {
        file.write_all(part).map_err(|source| io_error(path, "write", source))?;
    }
    file.sync_all().map_err(|source| io_error(path, "commit", source))?;
    // A link, unlike a rename, refuses to replace what is there.
    fs::hard_link(draft, path).map_err(|source| match source.kind() {
        io::ErrorKind::AlreadyExists => JournalError::Exists { path: path.to_owned() },
        _ => io_error(path, "create", source),
    })?;
    Ok(file)
}

/// A name of its own for every attempt, also after a crash that left one behind.
fn draft_path(path: &Path) -> PathBuf {
    static ATTEMPTS: AtomicU64 = AtomicU64::new(0);
    let attempt = ATTEMPTS.fetch_add(1, Ordering::Relaxed);
    let nanos = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_nanos());
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.{nanos}.{attempt}.draft", std::process::id()));
    path.with_file_name(name)
}

#[inline]
fn check_length(payload: &[u8]) -> Result<(), JournalError> {
    if payload.len() > PAYLOAD_BYTES_MAX {
        return Err(JournalError::TooLong { bytes: payload.len(), max: PAYLOAD_BYTES_MAX });
    }
    Ok(())
}

/// A thread that panicked while it held a lock left plain data behind, so its poison says nothing.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
