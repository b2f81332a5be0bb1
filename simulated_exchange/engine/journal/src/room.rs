//! A file with room prepared behind its end: zeros that are on the disk before they are needed.
//!
//! A commit of bytes that replace zeros changes no length and no block map, so the disk gets these bytes and nothing
//! else. Behind the last group a reader finds zeros, which are no group and count as nothing torn.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use crate::writer::Sink;

/// Zeros that are written at a time.
const ROOM_BYTES: usize = 256 * 1024;

/// A journal's file that is committed to the disk again and again; cut to what it holds when it is dropped.
pub(crate) struct Roomy {
    file: File,
    /// Where the next write goes.
    end: u64,
    /// Where the zeros end.
    room_end: u64,
    zeros: Vec<u8>,
}

impl Roomy {
    /// Goes on at the file's end, which lies at `end`.
    pub(crate) fn new(file: File, end: u64) -> Self {
        Self { file, end, room_end: end, zeros: vec![0; ROOM_BYTES] }
    }
}

impl Sink for Roomy {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let end = self.end + bytes.len() as u64;
        // A disk without room for zeros may have some for the bytes.
        if end > self.room_end && self.file.write_all_at(&self.zeros, end).is_ok() {
            self.room_end = end + self.zeros.len() as u64;
        }
        self.file.write_all_at(bytes, self.end)?;
        self.end = end;
        Ok(())
    }

    fn commit(&mut self) -> io::Result<()> {
        self.file.sync_data()
    }
}

impl Drop for Roomy {
    fn drop(&mut self) {
        // Room that stays is harmless.
        let _ = self.file.set_len(self.end);
    }
}
