//! The command log of the exchange: append-only, checksummed, with group commit.
//!
//! Belongs here: the file format, appending, committing, locking, recovery. Must not be here: what a
//! record means. A record is opaque bytes; record 0 is the genesis, records 1, 2, 3 ... are commands.
//!
//! The promise: a record whose number [`Journal::sync`] has returned is read back after a crash
//! ([`Durability::Fsync`]: of the machine, [`Durability::Os`]: of the process), in order, unchanged; and
//! damage is never read as data.

mod error;
mod format;
mod reader;
mod writer;

pub use error::JournalError;
pub use format::{FORMAT_VERSION, MAGIC, PAYLOAD_BYTES_MAX};
pub use reader::{Reader, Record, Tail};
pub use writer::{BUFFER_BYTES_MAX, Durability, Journal, Recovering};
