//! A journal that is read back before it is written again; locks, and names that survive a power cut.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Seek, SeekFrom};
use std::path::{Path, PathBuf};

use crate::error::JournalError;
use crate::reader::{Reader, io_error};
use crate::writer::{Durability, Journal, sink};

/// A journal being read back; locked from the first moment.
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

    /// Reads what is left, cuts what is no group behind it and returns the journal ready for the next record.
    ///
    /// # Errors
    /// As [`Reader::next_record`], and `Io` when the tail cannot be cut.
    pub fn finish(mut self, durability: Durability) -> Result<Journal, JournalError> {
        while self.reader.next_record()?.is_some() {}
        let (tail, written) = (self.reader.tail(), self.reader.position());
        let mut file = self.reader.into_file();
        if tail.behind_bytes > 0 {
            file.set_len(tail.end).map_err(|source| io_error(&self.path, "cut the tail", source))?;
        }
        // What was read back may have been in the system's cache only; from here on it counts as committed.
        file.sync_all().map_err(|source| io_error(&self.path, "commit", source))?;
        file.seek(SeekFrom::Start(tail.end)).map_err(|source| io_error(&self.path, "seek", source))?;
        Ok(Journal::new(&self.path, durability, sink(file, durability, tail.end), written, tail.end))
    }
}

pub(crate) fn lock_file(path: &Path, file: &File) -> Result<(), JournalError> {
    file.try_lock().map_err(|error| match error {
        TryLockError::WouldBlock => JournalError::Locked { path: path.to_owned() },
        TryLockError::Error(source) => io_error(path, "lock", source),
    })
}

/// A new name is durable only when its folder is.
pub(crate) fn sync_folder(path: &Path) -> Result<(), JournalError> {
    File::open(folder_of(path))
        .and_then(|folder| folder.sync_all())
        .map_err(|source| io_error(path, "commit the folder", source))
}

/// Where a file lies.
pub(crate) fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}
