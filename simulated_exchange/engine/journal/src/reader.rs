//! Reading a journal from its start: checks every byte, tells a torn tail from damage in the middle.
//!
//! Must not be here: changing the file. A reader needs no lock, and it ends: it reads the groups that had been begun
//! when it was opened, however fast a writer goes on.
//! It holds one group in memory, whatever the length of the file.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use crate::error::JournalError;
use crate::format::{self, FRAME_BYTES, Frame, GROUP_BYTES_MAX, HEADER_BYTES, Identity, Position};
use crate::scan::{self, Behind};

const READ_BUFFER_BYTES: usize = 1024 * 1024;
const CUT_SHORT: &str = "the group is cut short";

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
    /// Where the last whole group ends.
    pub end: u64,
    /// Number of the record that would come next.
    pub next_number: u64,
    /// Bytes behind `end`, to the end of the file.
    pub behind_bytes: u64,
    /// Those of them that a write left which a crash cut short; behind them there is only room, which is zero.
    pub torn_bytes: u64,
}

/// Where a position of some journal lies in this one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Here: the journal is the same up to it.
    Here,
    /// Nowhere: another journal, or a copy of this one that went on differently.
    Elsewhere,
    /// Behind the end: this journal has lost records that it had.
    Beyond {
        /// The last record that is left.
        last: u64,
    },
}

/// Reads records in order.
#[derive(Debug)]
pub struct Reader {
    path: PathBuf,
    file: BufReader<File>,
    file_bytes: u64,
    /// No group begins at or behind it: a frame does not begin with zero.
    written_end: u64,
    identity: Identity,
    first_chain: u128,
    /// Where the next group begins.
    offset: u64,
    /// Chain of the groups read so far.
    chain: u128,
    next_number: u64,
    /// The group being read: where it began, its records, where the next one begins, how many are left.
    group_offset: u64,
    records: Vec<u8>,
    at: usize,
    left: u32,
    torn_bytes: u64,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Reading,
    /// Everything whole has been read.
    Ended,
    /// An error was returned; what follows it is nobody's to read.
    Failed,
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
        let identity = format::check_header(&header)
            .map_err(|reason| JournalError::NotAJournal { path: path.to_owned(), reason })?;
        let first_chain = format::first_chain(&header);
        let written_end =
            scan::written_end(&mut file, file_bytes).map_err(|source| io_error(path, "read", source))?;
        file.seek(SeekFrom::Start(HEADER_BYTES as u64)).map_err(|source| io_error(path, "seek", source))?;
        Ok(Self {
            path: path.to_owned(),
            file: BufReader::with_capacity(READ_BUFFER_BYTES, file),
            file_bytes,
            written_end,
            identity,
            first_chain,
            offset: HEADER_BYTES as u64,
            chain: first_chain,
            next_number: 0,
            group_offset: HEADER_BYTES as u64,
            records: Vec::new(),
            at: 0,
            left: 0,
            torn_bytes: 0,
            state: State::Reading,
        })
    }

    /// The next record, or nothing at the end of what is whole.
    ///
    /// # Errors
    /// `Corrupt` when bytes are damaged and groups follow them; `NotAJournal` when not even the genesis is
    /// whole; `Io` when the file cannot be read.
    pub fn next_record(&mut self) -> Result<Option<Record<'_>>, JournalError> {
        while self.left == 0 {
            if !self.next_group()? {
                return Ok(None);
            }
        }
        let (begin, end) = self.step()?;
        Ok(Some(Record { number: self.next_number - 1, payload: &self.records[begin..end] }))
    }

    /// Where the groups read so far end. What is torn is known once `next_record` has returned nothing.
    #[must_use]
    pub fn tail(&self) -> Tail {
        Tail {
            end: self.offset,
            next_number: self.next_number,
            behind_bytes: self.file_bytes - self.offset,
            torn_bytes: self.torn_bytes,
        }
    }

    /// Reads from the start up to a position, checking everything on the way. `Here`: the record after it is
    /// the next one. Otherwise the reader stands at its start again.
    ///
    /// # Errors
    /// As [`Reader::next_record`].
    pub fn seek_to(&mut self, position: &Position) -> Result<Place, JournalError> {
        let place = if position.identity == self.identity { self.find(position)? } else { Place::Elsewhere };
        if place != Place::Here {
            self.rewind()?;
        }
        Ok(place)
    }

    fn find(&mut self, position: &Position) -> Result<Place, JournalError> {
        self.rewind()?;
        while self.offset <= position.offset {
            // What a snapshot covers is checked and not looked into.
            self.next_number += u64::from(std::mem::take(&mut self.left));
            if !self.next_group()? {
                return Ok(Place::Beyond { last: self.next_number.saturating_sub(1) });
            }
        }
        let numbers = self.next_number..self.next_number + u64::from(self.left);
        if self.group_offset != position.offset
            || self.chain != position.chain
            || !numbers.contains(&position.number)
        {
            return Ok(Place::Elsewhere);
        }
        while self.next_number <= position.number {
            self.step()?;
        }
        Ok(Place::Here)
    }

    /// Back to the first record.
    pub(crate) fn rewind(&mut self) -> Result<(), JournalError> {
        let start = HEADER_BYTES as u64;
        self.file.seek(SeekFrom::Start(start)).map_err(|source| io_error(&self.path, "seek", source))?;
        (self.offset, self.group_offset, self.chain) = (start, start, self.first_chain);
        (self.next_number, self.at, self.left, self.state) = (0, 0, 0, State::Reading);
        self.records.clear();
        Ok(())
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Position of the last record read.
    pub(crate) fn position(&self) -> Position {
        Position {
            identity: self.identity,
            number: self.next_number.saturating_sub(1),
            offset: self.group_offset,
            chain: self.chain,
        }
    }

    pub(crate) fn into_file(self) -> File {
        self.file.into_inner()
    }

    /// Steps over one record of the group; returns where its payload lies.
    #[inline]
    fn step(&mut self) -> Result<(usize, usize), JournalError> {
        let found = format::decode_record(&self.records, self.at);
        let is_last = self.left == 1;
        match found {
            Some((begin, end)) if is_last == (end == self.records.len()) => {
                self.at = end;
                self.left -= 1;
                self.next_number += 1;
                Ok((begin, end))
            }
            _ => Err(self.corrupt(self.group_offset, "the group's records are not as many as it says")),
        }
    }

    /// Reads the next group; false at the end of what is whole.
    fn next_group(&mut self) -> Result<bool, JournalError> {
        match self.state {
            State::Reading => {}
            State::Ended => return Ok(false),
            State::Failed => return Err(self.corrupt(self.offset, "an earlier read failed")),
        }
        // Until the group is known to be sound.
        self.state = State::Failed;
        if self.offset >= self.written_end {
            self.finish(0, CUT_SHORT)?;
            self.state = State::Ended;
            return Ok(false);
        }
        let mut read = self.read_group()?;
        if let Err(reason) = read {
            let behind = self.look_behind()?;
            // A writer at work may have ended the group since it was read here, and gone on.
            if behind != Behind::Torn(0) {
                read = self.read_group_anew()?;
            }
            if let (Err(_), Behind::Torn(bytes)) = (read, behind) {
                self.finish(bytes, reason)?;
                self.state = State::Ended;
                return Ok(false);
            }
        }
        read.map_err(|reason| self.corrupt(self.offset, reason))?;
        self.state = State::Reading;
        Ok(true)
    }

    /// Reads the group from the file, whatever was read of it before.
    fn read_group_anew(&mut self) -> Result<Result<(), &'static str>, JournalError> {
        let start = SeekFrom::Start(self.offset);
        self.file.seek(start).map_err(|source| io_error(&self.path, "seek", source))?;
        self.read_group()
    }

    /// Reads one group into `self.records`; the inner error says why it is not whole.
    fn read_group(&mut self) -> Result<Result<(), &'static str>, JournalError> {
        let remaining = self.file_bytes - self.offset;
        let mut bytes = [0_u8; FRAME_BYTES];
        if remaining < FRAME_BYTES as u64 {
            return Ok(Err(CUT_SHORT));
        }
        if !self.fill(&mut bytes)? {
            return Ok(Err(CUT_SHORT));
        }
        let Some(frame) = format::decode_frame(&bytes) else {
            return Ok(Err("the group's frame does not fit its checksum"));
        };
        if frame.length > GROUP_BYTES_MAX {
            return Err(self.corrupt(self.offset, "the group is longer than any can be"));
        }
        if frame.length as u64 > remaining - FRAME_BYTES as u64 {
            return Ok(Err(CUT_SHORT));
        }
        let mut records = std::mem::take(&mut self.records);
        records.resize(frame.length, 0);
        let is_filled = self.fill(&mut records)?;
        self.records = records;
        if !is_filled {
            return Ok(Err(CUT_SHORT));
        }
        if !frame.covers(&self.records) {
            return Ok(Err("the group's records do not fit their checksum"));
        }
        self.enter(&frame)?;
        Ok(Ok(()))
    }

    /// Fills the bytes from the file; false where it ends before.
    fn fill(&mut self, bytes: &mut [u8]) -> Result<bool, JournalError> {
        match self.file.read_exact(bytes) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
            Err(error) => Err(io_error(&self.path, "read", error)),
        }
    }

    /// A whole group must be the next one of this journal.
    fn enter(&mut self, frame: &Frame) -> Result<(), JournalError> {
        if frame.first != self.next_number {
            let reason = format!("record number was {}, expected {}", frame.first, self.next_number);
            return Err(self.corrupt(self.offset, &reason));
        }
        if frame.count == 0 || !frame.follows(self.chain, &self.records) {
            return Err(self.corrupt(self.offset, "the group does not continue what precedes it"));
        }
        self.group_offset = self.offset;
        self.offset += (FRAME_BYTES + frame.length) as u64;
        self.chain = frame.chain;
        (self.at, self.left) = (0, frame.count);
        Ok(())
    }

    /// What lies behind the group at `self.offset`, which is not whole: another one, or nothing.
    fn look_behind(&mut self) -> Result<Behind, JournalError> {
        let file = self.file.get_mut();
        // A writer that ends takes its room along.
        let length = file.metadata().map_err(|source| io_error(&self.path, "read", source))?.len();
        self.file_bytes = self.file_bytes.min(length.max(self.offset));
        scan::behind(self.file.get_mut(), self.offset, self.file_bytes)
            .map_err(|source| io_error(&self.path, "read", source))
    }

    /// Nothing follows: the journal ends here, with so many bytes of a torn group.
    fn finish(&mut self, torn_bytes: u64, reason: &'static str) -> Result<(), JournalError> {
        self.records.clear();
        self.torn_bytes = torn_bytes;
        if self.next_number == 0 {
            let reason = format!("its first record is not whole: {reason}");
            return Err(JournalError::NotAJournal { path: self.path.clone(), reason });
        }
        Ok(())
    }

    fn corrupt(&self, offset: u64, reason: &str) -> JournalError {
        JournalError::Corrupt { path: self.path.clone(), offset, reason: reason.to_owned() }
    }
}

pub(crate) fn io_error(path: &Path, action: &'static str, source: io::Error) -> JournalError {
    JournalError::Io { path: path.to_owned(), action, source }
}
