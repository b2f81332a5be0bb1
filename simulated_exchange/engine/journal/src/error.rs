//! Everything that can go wrong with a journal, as data. One line each; it names the file and the way out.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

/// Why a journal was refused, or stopped.
#[derive(Debug, Error)]
pub enum JournalError {
    /// A journal was to be created where a file already lies.
    #[error("journal {path}: already exists; recover it instead of creating it")]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// Another process has the journal open for writing.
    #[error("journal {path}: in use by another process; one process writes a journal at a time")]
    Locked {
        /// The file.
        path: PathBuf,
    },
    /// The operating system refused.
    #[error("journal {path}: cannot {action}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What was tried, as a verb.
        action: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// The file does not begin as a journal does.
    #[error("journal {path}: is not a journal: {reason}")]
    NotAJournal {
        /// The file.
        path: PathBuf,
        /// What is wrong with its beginning.
        reason: String,
    },
    /// Bytes before the last record are damaged; cutting them would lose commands that follow.
    #[error("journal {path}: corrupt at byte {offset}: {reason}; nothing was changed")]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// Where the damaged record begins.
        offset: u64,
        /// What is wrong with it.
        reason: String,
    },
    /// The journal ends before a record that it once had on disk.
    #[error(
        "journal {path}: has lost records: it ends with record {last}, and snapshot {snapshot} was taken after \
         record {number} had been committed; restore the journal, or move that snapshot away to go on without them"
    )]
    Lost {
        /// The file.
        path: PathBuf,
        /// Its last record.
        last: u64,
        /// The snapshot that stands for more.
        snapshot: PathBuf,
        /// The record it was taken after.
        number: u64,
    },
    /// A snapshot is damaged, of another version, or cannot be read or written. The journal is not touched by it.
    #[error("snapshot {path}: {reason}")]
    Snapshot {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// An earlier write or commit failed; nothing was accepted since.
    #[error("journal {path}: stopped after an earlier failure: {cause}; restart to recover")]
    Stopped {
        /// The file.
        path: PathBuf,
        /// The earlier failure.
        cause: String,
    },
    /// A record larger than the format allows.
    #[error("journal record of {bytes} bytes; at most {max} are allowed")]
    TooLong {
        /// Its length.
        bytes: usize,
        /// The longest allowed.
        max: usize,
    },
}
