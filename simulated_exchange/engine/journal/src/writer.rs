//! Appending, committing, locking. The file is written by one process, from any of its threads.
//!
//! Two locks, always taken in this order: `disk` (one write or commit at a time), `pending` (the bytes that
//! wait for it). An append takes `pending` alone, so a commit on another thread does not hold it up; only a
//! full buffer makes it wait for the disk.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::error::JournalError;
use crate::format::{self, PAYLOAD_BYTES_MAX};
use crate::reader::{Reader, io_error};

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

struct Pending {
    bytes: Vec<u8>,
    next_number: u64,
    failure: Option<String>,
}

/// A journal open for appending. The file stays locked until it is dropped.
pub struct Journal {
    path: PathBuf,
    durability: Durability,
    disk: Mutex<Box<dyn Sink>>,
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
        let draft = draft_path(path);
        let created = create_at(path, &draft, genesis);
        // The draft has served whether or not it got its name; a leftover is harmless and never read.
        let _ = fs::remove_file(&draft);
        let file = created?;
        sync_directory(path)?;
        Ok(Self::new(path, durability, Box::new(file), 1))
    }

    fn new(path: &Path, durability: Durability, sink: Box<dyn Sink>, next_number: u64) -> Self {
        Self {
            path: path.to_owned(),
            durability,
            disk: Mutex::new(sink),
            pending: Mutex::new(Pending { bytes: Vec::new(), next_number, failure: None }),
            committed_number: AtomicU64::new(next_number - 1),
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
            format::encode(&mut pending.bytes, number, payload);
            pending.next_number += 1;
            (number, pending.bytes.len() >= BUFFER_BYTES_MAX)
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
        let wanted = {
            let pending = lock(&self.pending);
            self.check_running(&pending)?;
            pending.next_number - 1
        };
        if self.durability == Durability::None {
            return Ok(wanted);
        }
        if self.committed_number() >= wanted {
            return Ok(self.committed_number());
        }
        let mut disk = lock(&self.disk);
        if self.committed_number() < wanted {
            let number = self.write_pending(&mut disk)?;
            if self.durability == Durability::Fsync {
                disk.commit().map_err(|source| self.stop("commit", source))?;
            }
            self.committed_number.store(number, Ordering::Release);
        }
        Ok(self.committed_number())
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

    /// Writes what waits; returns the number of the last record written so far.
    fn write_pending(&self, disk: &mut MutexGuard<'_, Box<dyn Sink>>) -> Result<u64, JournalError> {
        let (mut bytes, number) = {
            let mut pending = lock(&self.pending);
            self.check_running(&pending)?;
            (std::mem::take(&mut pending.bytes), pending.next_number - 1)
        };
        disk.write(&bytes).map_err(|source| self.stop("write", source))?;
        bytes.clear();
        let mut pending = lock(&self.pending);
        if pending.bytes.is_empty() {
            pending.bytes = bytes;
        }
        Ok(number)
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
        pending.bytes = Vec::new();
        io_error(&self.path, action, source)
    }
}

impl Drop for Journal {
    /// Writes and commits what waits. Errors are not reported here: who needs to know calls `sync` first.
    fn drop(&mut self) {
        let mut disk = lock(&self.disk);
        if self.write_pending(&mut disk).is_ok() && self.durability == Durability::Fsync {
            let _ = disk.commit();
        }
    }
}

/// A journal being read back before it is written again; locked from the first moment.
#[derive(Debug)]
pub struct Recovering {
    path: PathBuf,
    reader: Reader,
}

impl Recovering {
    /// Opens and locks the journal at `path`.
    ///
    /// # Errors
    /// `Locked` when another process writes it; otherwise as [`Reader::open`].
    pub fn open(path: &Path) -> Result<Self, JournalError> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .open(path)
            .map_err(|source| io_error(path, "open", source))?;
        lock_file(path, &file)?;
        Ok(Self { path: path.to_owned(), reader: Reader::from_file(path, file)? })
    }

    /// What reads it back.
    pub fn reader(&mut self) -> &mut Reader {
        &mut self.reader
    }

    /// Reads what is left, cuts a torn tail and returns the journal ready for the next record.
    ///
    /// # Errors
    /// As [`Reader::next_record`], and `Io` when the tail cannot be cut.
    pub fn finish(mut self, durability: Durability) -> Result<Journal, JournalError> {
        while self.reader.next_record()?.is_some() {}
        let tail = self.reader.tail();
        let mut file = self.reader.into_file();
        if tail.torn_bytes > 0 {
            file.set_len(tail.end).map_err(|source| io_error(&self.path, "cut the torn tail", source))?;
        }
        // What was read back may have been in the system's cache only; from here on it counts as committed.
        file.sync_all().map_err(|source| io_error(&self.path, "commit", source))?;
        file.seek(SeekFrom::Start(tail.end)).map_err(|source| io_error(&self.path, "seek", source))?;
        Ok(Journal::new(&self.path, durability, Box::new(file), tail.next_number))
    }
}

fn create_at(path: &Path, draft: &Path, genesis: &[u8]) -> Result<File, JournalError> {
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create_new(true)
        .open(draft)
        .map_err(|source| io_error(path, "create", source))?;
    lock_file(path, &file)?;
    let mut bytes = format::header().to_vec();
    format::encode(&mut bytes, 0, genesis);
    file.write_all(&bytes).map_err(|source| io_error(path, "write", source))?;
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

fn lock_file(path: &Path, file: &File) -> Result<(), JournalError> {
    file.try_lock().map_err(|error| match error {
        TryLockError::WouldBlock => JournalError::Locked { path: path.to_owned() },
        TryLockError::Error(source) => io_error(path, "lock", source),
    })
}

/// A new name is durable only when its directory is.
fn sync_directory(path: &Path) -> Result<(), JournalError> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(parent)
        .and_then(|directory| directory.sync_all())
        .map_err(|source| io_error(path, "commit the directory", source))
}

fn check_length(payload: &[u8]) -> Result<(), JournalError> {
    if payload.len() > PAYLOAD_BYTES_MAX {
        return Err(JournalError::TooLong { bytes: payload.len(), max: PAYLOAD_BYTES_MAX });
    }
    Ok(())
}

/// A thread that panicked while it held a lock left plain data behind, so its poison says nothing.
fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
