//! Looking for a group behind damage, in bounded memory. No reading of records.
//!
//! A damaged frame could pass for a group that a crash cut short, and all that follows it would be lost. So a tail
//! counts as torn only when no frame is found at any byte behind it. A frame alone is enough, whole or not what
//! it frames: with one write under way at a time, whatever precedes a frame had been committed.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};

use crate::format::{self, FRAME_BYTES, MARK};

const WINDOW_BYTES: usize = 1024 * 1024;

/// Whether an undamaged frame begins at any byte of `begin..end`.
pub(crate) fn frame_follows(file: &mut File, begin: u64, end: u64) -> io::Result<bool> {
    let mut window = vec![0_u8; WINDOW_BYTES];
    let mut offset = begin;
    while offset + FRAME_BYTES as u64 <= end {
        let rest = usize::try_from(end - offset).unwrap_or(usize::MAX);
        let bytes = &mut window[..rest.min(WINDOW_BYTES)];
        file.seek(SeekFrom::Start(offset))?;
        file.read_exact(bytes)?;
        if has_frame(bytes) {
            return Ok(true);
        }
        // The last bytes are looked at again: a frame may begin in them and end in the next window.
        offset += (bytes.len() - FRAME_BYTES + 1) as u64;
    }
    Ok(false)
}

fn has_frame(bytes: &[u8]) -> bool {
    bytes
        .windows(FRAME_BYTES)
        .any(|window| window[..4] == MARK && format::decode_frame(&format::array_at(window, 0)).is_some())
}
