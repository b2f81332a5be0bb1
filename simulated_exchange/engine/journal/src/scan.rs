//! Looking for a group behind damage, in bounded memory. No reading of records.
//!
//! A damaged frame could pass for a group that a crash cut short, and all that follows it would be lost. So a tail
//! counts as torn only when no frame is found at any byte behind it. A frame alone is enough, whole or not what
//! it frames: with one write under way at a time, whatever precedes a frame had been committed. Zeros at the very end
//! are room for later groups and belong to no write.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};

use crate::format::{self, FRAME_BYTES, MARK};

const WINDOW_BYTES: usize = 1024 * 1024;

/// What lies behind the last whole group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Behind {
    /// Somewhere an undamaged frame.
    Frame,
    /// None; the first so many bytes are what is left of a write, the rest is zero.
    Torn(u64),
}

/// Looks through `begin..end`, where no whole group begins at `begin`.
pub(crate) fn behind(file: &mut File, begin: u64, end: u64) -> io::Result<Behind> {
    let mut window = vec![0_u8; WINDOW_BYTES];
    let (mut offset, mut torn) = (begin, 0);
    while offset < end {
        let rest = usize::try_from(end - offset).unwrap_or(usize::MAX);
        let bytes = &mut window[..rest.min(WINDOW_BYTES)];
        file.seek(SeekFrom::Start(offset))?;
        file.read_exact(bytes)?;
        // What begins at `begin` has been looked at.
        if has_frame(&bytes[usize::from(offset == begin)..]) {
            return Ok(Behind::Frame);
        }
        if let Some(last) = bytes.iter().rposition(|byte| *byte != 0) {
            torn = offset + last as u64 + 1 - begin;
        }
        if bytes.len() < WINDOW_BYTES {
            break;
        }
        // The last bytes are looked at again: a frame may begin in them and end in the next window.
        offset += (WINDOW_BYTES - FRAME_BYTES + 1) as u64;
    }
    Ok(Behind::Torn(torn))
}

/// Where the last byte ends that is not zero, of the first `length` of the file; 0 where all are.
pub(crate) fn written_end(file: &mut File, length: u64) -> io::Result<u64> {
    let mut window = Vec::with_capacity(WINDOW_BYTES);
    let mut end = length;
    while end > 0 {
        let begin = end.saturating_sub(WINDOW_BYTES as u64);
        file.seek(SeekFrom::Start(begin))?;
        window.clear();
        // May be fewer: a writer that ends takes its room along.
        file.by_ref().take(end - begin).read_to_end(&mut window)?;
        if let Some(last) = window.iter().rposition(|byte| *byte != 0) {
            return Ok(begin + last as u64 + 1);
        }
        end = begin;
    }
    Ok(0)
}

fn has_frame(bytes: &[u8]) -> bool {
    bytes
        .windows(FRAME_BYTES)
        .any(|window| window[..4] == MARK && format::decode_frame(&format::array_at(window, 0)).is_some())
}
