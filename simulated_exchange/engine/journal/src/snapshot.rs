//! Snapshots beside a journal: what the state was after one of its records, so that a restart need not read all.
//! A snapshot saves time and decides nothing: without it, the journal gives the same state.
//!
//! Must not be here: what the state is, and when a snapshot is due.
//!
//! ```text
//! NAME.snapshot-NUMBER beside the journal NAME; while it is written, with .draft behind it
//! header (88 bytes)   magic 8 | version u32 | zero u32 | identity of the journal 16 | record number u64
//!                     | offset of its group u64 | chain of its group 16 | bytes of state u64
//!                     | bytes of attachment u64 | crc32c of both u32 | crc32c of the header so far u32
//! state, attachment
//! ```

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::error::JournalError;
use crate::format::{self, Position};
use crate::reader::{Place, Reader};
use crate::recovery;

/// Version of the snapshot format that this crate writes and reads.
pub const SNAPSHOT_VERSION: u32 = 1;

const MAGIC: [u8; 8] = *b"SLIPSNAP";
const HEADER_BYTES: usize = 88;
const INFIX: &str = ".snapshot-";
const DRAFT: &str = ".draft";

/// A snapshot as it was read: sound in itself, and not yet held against a journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// The record after which it was taken.
    pub position: Position,
    bytes: Vec<u8>,
    state_end: usize,
}

impl Snapshot {
    /// The state.
    #[must_use]
    pub fn state(&self) -> &[u8] {
        &self.bytes[HEADER_BYTES..self.state_end]
    }

    /// What was put beside the state.
    #[must_use]
    pub fn attachment(&self) -> &[u8] {
        &self.bytes[self.state_end..]
    }

    /// What was put beside the state, without the rest.
    #[must_use]
    pub fn into_attachment(mut self) -> Vec<u8> {
        self.bytes.split_off(self.state_end)
    }
}

/// A snapshot that lies beside a journal, by its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotFile {
    /// The record after which it says to have been taken.
    pub number: u64,
    /// The file.
    pub path: PathBuf,
}

impl SnapshotFile {
    /// Every snapshot beside `journal`, newest first.
    ///
    /// # Errors
    /// `Snapshot` when the folder cannot be read.
    pub fn all(journal: &Path) -> Result<Vec<Self>, JournalError> {
        let folder = recovery::folder_of(journal);
        let failed = |error| failure(folder, "read the folder", &error);
        let mut found = Vec::new();
        for entry in fs::read_dir(folder).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            if let Some(number) = number_of(journal, &path) {
                found.push(Self { number, path });
            }
        }
        found.sort_unstable_by_key(|file| std::cmp::Reverse(file.number));
        Ok(found)
    }

    /// The one that was taken after a record, if there is one.
    #[must_use]
    pub fn after(journal: &Path, number: u64) -> Self {
        Self { number, path: named(journal, &number.to_string()) }
    }

    /// Reads it whole.
    ///
    /// # Errors
    /// `Snapshot` when it cannot be read, is damaged, or is of another version.
    pub fn read(&self) -> Result<Snapshot, JournalError> {
        let bytes = fs::read(&self.path).map_err(|error| failure(&self.path, "read", &error))?;
        let wrong = |reason| JournalError::Snapshot { path: self.path.clone(), reason };
        let snapshot = decode(bytes).map_err(wrong)?;
        if snapshot.position.number != self.number {
            return Err(wrong(format!("it was taken after record {}", snapshot.position.number)));
        }
        Ok(snapshot)
    }
}

/// A state rebuilt from a snapshot.
#[derive(Debug)]
pub struct Resumed<T> {
    /// The snapshot.
    pub snapshot: Snapshot,
    /// What was made of it.
    pub state: T,
}

impl Reader {
    /// Goes behind the newest snapshot that belongs to this journal and that `rebuild` can make a state of; with none,
    /// to the journal's start. Also says, one line each, which snapshots were passed over and why.
    ///
    /// # Errors
    /// `Lost` when a snapshot shows that the journal had more records; otherwise as [`Reader::next_record`].
    pub fn resume<T>(
        &mut self,
        mut rebuild: impl FnMut(&Snapshot) -> Result<T, String>,
    ) -> Result<(Option<Resumed<T>>, Vec<String>), JournalError> {
        let mut remarks = Vec::new();
        let files = SnapshotFile::all(self.path()).unwrap_or_else(|error| {
            remarks.push(error.to_string());
            Vec::new()
        });
        for SnapshotFile { number, path } in files {
            let snapshot = match (SnapshotFile { number, path: path.clone() }).read() {
                Ok(snapshot) => snapshot,
                Err(error) => {
                    remarks.push(error.to_string());
                    continue;
                }
            };
            let refusal = match self.seek_to(&snapshot.position)? {
                Place::Here => match rebuild(&snapshot) {
                    Ok(state) => return Ok((Some(Resumed { snapshot, state }), remarks)),
                    Err(reason) => reason,
                },
                Place::Elsewhere => "it belongs to another journal".to_owned(),
                Place::Beyond { last } => {
                    let journal = self.path().to_owned();
                    return Err(JournalError::Lost { path: journal, last, snapshot: path, number });
                }
            };
            remarks.push(JournalError::Snapshot { path, reason: refusal }.to_string());
        }
        self.rewind()?;
        Ok((None, remarks))
    }
}

/// Writes snapshots beside the journal that this process writes, and takes old ones away.
#[derive(Debug)]
pub struct SnapshotWriter {
    journal: PathBuf,
    newest: Option<u64>,
}

impl SnapshotWriter {
    /// `newest` is the snapshot that recovery went by: a good one, so the last that is kept besides the next.
    #[must_use]
    pub fn new(journal: &Path, newest: Option<u64>) -> Self {
        Self { journal: journal.to_owned(), newest }
    }

    /// Writes a snapshot. It appears whole and on disk, or not at all; then all but the last two go. The record at
    /// `position` must be on disk ([`crate::Journal::settle`] has said so). Returns the file's size in bytes.
    ///
    /// # Errors
    /// `Snapshot`; what lay there before still does.
    pub fn write(
        &mut self,
        position: &Position,
        state: &[u8],
        attachment: &[u8],
    ) -> Result<u64, JournalError> {
        let path = named(&self.journal, &position.number.to_string());
        let draft = named(&self.journal, &format!("{}{DRAFT}", position.number));
        let header = encode_header(position, state, attachment);
        let written = put_down(&draft, &[&header, state, attachment])
            .and_then(|()| fs::rename(&draft, &path))
            .map_err(|error| failure(&path, "write", &error));
        if written.is_err() {
            let _ = fs::remove_file(&draft);
        }
        written?;
        recovery::sync_folder(&self.journal)?;
        // The newest and the one before it stay, to fall back on.
        self.remove_before(self.newest.filter(|before| *before < position.number).unwrap_or(0));
        self.newest = Some(position.number);
        Ok((header.len() + state.len() + attachment.len()) as u64)
    }

    /// What is left of older snapshots and drafts only takes up room, so failing to remove it is no failure.
    fn remove_before(&self, oldest_kept: u64) {
        let Ok(entries) = fs::read_dir(recovery::folder_of(&self.journal)) else { return };
        for path in entries.filter_map(|entry| entry.ok().map(|entry| entry.path())) {
            let is_old = number_of(&self.journal, &path).is_some_and(|number| number < oldest_kept);
            if is_old || is_draft(&self.journal, &path) {
                let _ = fs::remove_file(path);
            }
        }
    }
}

fn put_down(path: &Path, parts: &[&[u8]]) -> io::Result<()> {
    let mut file = File::create(path)?;
    parts.iter().try_for_each(|part| file.write_all(part))?;
    file.sync_all()
}

fn encode_header(position: &Position, state: &[u8], attachment: &[u8]) -> [u8; HEADER_BYTES] {
    let checksum = crc32c::crc32c_append(crc32c::crc32c(state), attachment);
    let mut bytes = [0_u8; HEADER_BYTES];
    bytes[..8].copy_from_slice(&MAGIC);
    bytes[8..12].copy_from_slice(&SNAPSHOT_VERSION.to_le_bytes());
    bytes[16..32].copy_from_slice(&position.identity);
    bytes[32..40].copy_from_slice(&position.number.to_le_bytes());
    bytes[40..48].copy_from_slice(&position.offset.to_le_bytes());
    bytes[48..64].copy_from_slice(&position.chain.to_le_bytes());
    bytes[64..72].copy_from_slice(&(state.len() as u64).to_le_bytes());
    bytes[72..80].copy_from_slice(&(attachment.len() as u64).to_le_bytes());
    bytes[80..84].copy_from_slice(&checksum.to_le_bytes());
    format::seal(&mut bytes);
    bytes
}

fn decode(bytes: Vec<u8>) -> Result<Snapshot, String> {
    let Some((header, body)) = bytes.split_first_chunk::<HEADER_BYTES>() else {
        return Err(format!("it has {} bytes, a header alone has {HEADER_BYTES}", bytes.len()));
    };
    if header[..8] != MAGIC {
        return Err("the first eight bytes are not a snapshot's".to_owned());
    }
    let version = format::u32_at(header, 8);
    if version != SNAPSHOT_VERSION {
        return Err(format!("its format version was {version}, this program reads {SNAPSHOT_VERSION}"));
    }
    if !format::is_sealed(header) || format::u32_at(header, 12) != 0 {
        return Err("the header's checksum does not fit".to_owned());
    }
    let [number, offset, state, attachment] =
        [32, 40, 64, 72].map(|at| u64::from_le_bytes(format::array_at(header, at)));
    if state.checked_add(attachment) != Some(body.len() as u64) {
        return Err("it is not as long as it says".to_owned());
    }
    if crc32c::crc32c(body) != format::u32_at(header, 80) {
        return Err("its checksum does not fit".to_owned());
    }
    let chain = u128::from_le_bytes(format::array_at(header, 48));
    let position = Position { identity: format::array_at(header, 16), number, offset, chain };
    // No longer than the body, which is in memory.
    let state_end = HEADER_BYTES + usize::try_from(state).unwrap_or(usize::MAX - HEADER_BYTES);
    Ok(Snapshot { position, bytes, state_end })
}

/// A name beside the journal.
fn named(journal: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(journal.file_name().unwrap_or_default());
    name.push(INFIX);
    name.push(suffix);
    journal.with_file_name(name)
}

/// What follows the journal's name and the infix in a file's name.
fn suffix_of<'a>(journal: &Path, path: &'a Path) -> Option<&'a str> {
    let name = path.file_name()?.as_encoded_bytes();
    let suffix =
        name.strip_prefix(journal.file_name()?.as_encoded_bytes())?.strip_prefix(INFIX.as_bytes())?;
    std::str::from_utf8(suffix).ok()
}

fn number_of(journal: &Path, path: &Path) -> Option<u64> {
    let suffix = suffix_of(journal, path)?;
    suffix.parse().ok().filter(|number: &u64| number.to_string() == suffix)
}

fn is_draft(journal: &Path, path: &Path) -> bool {
    suffix_of(journal, path).is_some_and(|suffix| suffix.ends_with(DRAFT))
}

fn failure(path: &Path, action: &str, error: &io::Error) -> JournalError {
    JournalError::Snapshot { path: path.to_owned(), reason: format!("cannot {action}: {error}") }
}
