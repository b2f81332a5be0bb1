//! Reading a journal from its start: checks every byte, tells a torn tail from damage in the middle.
//!
//! Must not be here: changing the file. A reader needs no lock; it sees what had been written when it looked.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use crate::error::JournalError;
use crate::format::{self, FRAME_BYTES, HEADER_BYTES, PAYLOAD_BYTES_MAX};

const READ_BUFFER_BYTES: usize = 1024 * 1024;

/// One record, as it was appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// 0 is the genesis, then dense.
    pub number: u64,
    /// The bytes given to `append`.
    pub payload: &'a [u8],
}

/// What the end of the file looked like, known once all records have been read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tail {
    /// Where the last whole record ends.
    pub end: u64,
    /// Number of the record that would come next.
    pub next_number: u64,
    /// Bytes behind `end` that belong to no whole record: a write that a crash cut short.
    pub torn_bytes: u64,
}

/// Reads records in order.
#[derive(Debug)]
pub struct Reader {
    path: PathBuf,
    file: BufReader<File>,
    file_bytes: u64,
    offset: u64,
    next_number: u64,
    payload: Vec<u8>,
    finished: bool,
}

impl Reader {
    /// Opens `path` for reading only and checks its header.
    ///
    /// # Errors
    /// `Io` when the file cannot be read, `NotAJournal` when it does not begin as one.
    pub fn open(path: &Path) -> Result<Self, JournalError> {
        let file = File::open(path).map_err(|source| io_error(path, "open", source))?;
        Self::from_file(path, file)
    }

    pub(crate) fn from_file(path: &Path, mut file: File) -> Result<Self, JournalError> {
        let file_bytes = file.metadata().map_err(|source| io_error(path, "read the size", source))?.len();
        if file_bytes < HEADER_BYTES as u64 {
            let reason = format!("it has {file_bytes} bytes, a header alone has {HEADER_BYTES}");
            return Err(JournalError::NotAJournal { path: path.to_owned(), reason });
        }
        let mut header = [0_u8; HEADER_BYTES];
        file.seek(SeekFrom::Start(0)).map_err(|source| io_error(path, "seek", source))?;
        file.read_exact(&mut header).map_err(|source| io_error(path, "read", source))?;
        format::check_header(&header)
            .map_err(|reason| JournalError::NotAJournal { path: path.to_owned(), reason })?;
        Ok(Self {
            path: path.to_owned(),
            file: BufReader::with_capacity(READ_BUFFER_BYTES, file),
            file_bytes,
            offset: HEADER_BYTES as u64,
            next_number: 0,
            payload: Vec::new(),
            finished: false,
        })
    }

    /// The next record, or nothing at the end of what is whole.
    ///
    /// # Errors
    /// `Corrupt` when bytes are damaged and whole records follow them; `NotAJournal` when not even the
    /// genesis is whole; `Io` when the file cannot be read.
    pub fn next_record(&mut self) -> Result<Option<Record<'_>>, JournalError> {
        if self.finished {
            return Ok(None);
        }
        match self.read_record()? {
            Ok(()) => {}
            Err(reason) => {
                self.finish(reason)?;
                return Ok(None);
            }
        }
        let number = self.next_number;
        self.next_number += 1;
        self.offset += (FRAME_BYTES + self.payload.len()) as u64;
        Ok(Some(Record { number, payload: &self.payload }))
    }

    /// Where the whole records end. Meaningful once `next_record` has returned nothing.
    #[must_use]
    pub fn tail(&self) -> Tail {
        Tail { end: self.offset, next_number: self.next_number, torn_bytes: self.file_bytes - self.offset }
    }

    pub(crate) fn into_file(self) -> File {
        self.file.into_inner()
    }

    /// Reads one record into `self.payload`; the inner error says why it is not whole.
    fn read_record(&mut self) -> Result<Result<(), &'static str>, JournalError> {
        let remaining = self.file_bytes - self.offset;
        let mut bytes = [0_u8; FRAME_BYTES];
        if remaining < FRAME_BYTES as u64 {
            return Ok(Err("the record is cut short"));
        }
        self.read_exact_here(&mut bytes)?;
        let frame = format::decode_frame(&bytes);
        if frame.length > PAYLOAD_BYTES_MAX {
            return Ok(Err("the record's length is impossible"));
        }
        if frame.length as u64 > remaining - FRAME_BYTES as u64 {
            return Ok(Err("the record is cut short"));
        }
        let mut payload = std::mem::take(&mut self.payload);
        payload.resize(frame.length, 0);
        let read = self.read_exact_here(&mut payload);
        self.payload = payload;
        read?;
        if !format::is_sound(&bytes, &self.payload) {
            return Ok(Err("the record's checksum does not fit"));
        }
        if frame.number != self.next_number {
            let reason = format!("record number was {}, expected {}", frame.number, self.next_number);
            return Err(JournalError::Corrupt { path: self.path.clone(), offset: self.offset, reason });
        }
        Ok(Ok(()))
    }

    /// The record at `self.offset` is not whole: a torn tail if nothing whole follows, else damage.
    fn finish(&mut self, reason: &'static str) -> Result<(), JournalError> {
        self.finished = true;
        self.payload.clear();
        if self.offset == self.file_bytes && self.next_number > 0 {
            return Ok(());
        }
        if self.whole_record_follows()? {
            let (path, offset) = (self.path.clone(), self.offset);
            return Err(JournalError::Corrupt { path, offset, reason: reason.to_owned() });
        }
        if self.next_number == 0 {
            let reason = format!("its first record is not whole: {reason}");
            return Err(JournalError::NotAJournal { path: self.path.clone(), reason });
        }
        Ok(())
    }

    /// Looks for a whole record with this number or a later one at every byte behind the damage. A damaged
    /// length would otherwise pass for a record that a crash cut short, and all that follows it would be lost.
    fn whole_record_follows(&mut self) -> Result<bool, JournalError> {
        let start = self.offset;
        self.file.seek(SeekFrom::Start(start)).map_err(|source| io_error(&self.path, "seek", source))?;
        let mut rest = Vec::new();
        self.file.read_to_end(&mut rest).map_err(|source| io_error(&self.path, "read", source))?;
        let numbers = self.next_number..=self.next_number + (rest.len() / FRAME_BYTES) as u64;
        let found = (0..rest.len().saturating_sub(FRAME_BYTES - 1)).any(|at| {
            let mut bytes = [0_u8; FRAME_BYTES];
            bytes.copy_from_slice(&rest[at..at + FRAME_BYTES]);
            let frame = format::decode_frame(&bytes);
            numbers.contains(&frame.number)
                && frame.length <= PAYLOAD_BYTES_MAX
                && rest
                    .get(at + FRAME_BYTES..at + FRAME_BYTES + frame.length)
                    .is_some_and(|payload| format::is_sound(&bytes, payload))
        });
        Ok(found)
    }

    fn read_exact_here(&mut self, bytes: &mut [u8]) -> Result<(), JournalError> {
        self.file.read_exact(bytes).map_err(|source| io_error(&self.path, "read", source))
    }
}

pub(crate) fn io_error(path: &Path, action: &'static str, source: io::Error) -> JournalError {
    JournalError::Io { path: path.to_owned(), action, source }
}
