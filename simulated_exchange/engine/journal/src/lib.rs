//! The command log of the exchange: append-only, checksummed, with group commit; and snapshots beside it.
//!
//! Belongs here: the file formats, appending, committing, locking, recovery, snapshot files. Must not be here:
//! what a record or a snapshot means. Both are opaque bytes; record 0 is the genesis, records 1, 2, 3 ... are
//! commands.
//!
//! The promise: a record whose number [`Journal::sync`] has returned is read back after a crash
//! ([`Durability::Fsync`]: of the machine, [`Durability::Os`]: of the process), in order, unchanged; and
//! damage is never read as data. A snapshot is read back whole or not at all, and only beside the journal whose
//! records it stands for.

mod error;
mod format;
mod reader;
mod recovery;
mod room;
mod scan;
mod snapshot;
mod tail;
mod writer;

pub use error::JournalError;
pub use format::{FORMAT_VERSION, GROUP_BYTES_MAX, MAGIC, PAYLOAD_BYTES_MAX, Position};
pub use reader::{Place, Reader, Record, Tail};
pub use recovery::Recovering;
pub use snapshot::{Resumed, SNAPSHOT_VERSION, Snapshot, SnapshotFile, SnapshotWriter};
pub use tail::{padded, trimmed};
pub use writer::{BUFFER_BYTES_MAX, Durability, Journal};
