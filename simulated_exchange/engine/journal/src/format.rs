//! The bytes of a journal: header and record frames. No I/O here.
//!
//! ```text
//! header (32 bytes)   magic 8 | version u32 | flags u32 (0) | first record number u64 (0) | reserved u32 (0) | crc32c u32
//! record              length u32 | number u64 | crc32c u32 | payload
//! ```
//!
//! Little-endian. A header's checksum covers its first 28 bytes; a record's covers length, number and
//! payload, so that no byte of the file is outside a checksum. Numbers are dense, from the header's first.
//! A log that continues a snapshot will begin at that snapshot's number and say so in `flags`.

/// The first eight bytes of every journal.
pub const MAGIC: [u8; 8] = *b"SLIPJRNL";
/// Version of the format that this crate writes and reads.
pub const FORMAT_VERSION: u32 = 1;
/// Largest payload of one record, in bytes.
pub const PAYLOAD_BYTES_MAX: usize = 16 * 1024 * 1024;

pub(crate) const HEADER_BYTES: usize = 32;
pub(crate) const FRAME_BYTES: usize = 16;

/// What precedes the payload of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    pub length: usize,
    pub number: u64,
    pub checksum: u32,
}

/// The header of a journal that begins with record 0.
pub(crate) fn header() -> [u8; HEADER_BYTES] {
    let mut bytes = [0_u8; HEADER_BYTES];
    bytes[..8].copy_from_slice(&MAGIC);
    bytes[8..12].copy_from_slice(&FORMAT_VERSION.to_le_bytes());
    let checksum = crc32c::crc32c(&bytes[..HEADER_BYTES - 4]);
    bytes[HEADER_BYTES - 4..].copy_from_slice(&checksum.to_le_bytes());
    bytes
}

/// Says what is wrong with a header, if anything is.
pub(crate) fn check_header(bytes: &[u8; HEADER_BYTES]) -> Result<(), String> {
    if bytes[..8] != MAGIC {
        return Err("the first eight bytes are not a journal's".to_owned());
    }
    if u32_at(bytes, HEADER_BYTES - 4) != crc32c::crc32c(&bytes[..HEADER_BYTES - 4]) {
        return Err("the header's checksum does not fit".to_owned());
    }
    let version = u32_at(bytes, 8);
    if version != FORMAT_VERSION {
        return Err(format!("format version was {version}, this program reads {FORMAT_VERSION}"));
    }
    if u32_at(bytes, 12) != 0 || u64_at(bytes, 16) != 0 {
        return Err("it continues a snapshot, which this program does not read".to_owned());
    }
    Ok(())
}

/// Appends frame and payload to `buffer`. The caller has checked the length.
pub(crate) fn encode(buffer: &mut Vec<u8>, number: u64, payload: &[u8]) {
    let mut frame = [0_u8; FRAME_BYTES];
    // PAYLOAD_BYTES_MAX is below u32::MAX, so the length always fits.
    let length = u32::try_from(payload.len()).unwrap_or(u32::MAX);
    frame[..4].copy_from_slice(&length.to_le_bytes());
    frame[4..12].copy_from_slice(&number.to_le_bytes());
    let checksum = crc32c::crc32c_append(crc32c::crc32c(&frame[..12]), payload);
    frame[12..].copy_from_slice(&checksum.to_le_bytes());
    buffer.extend_from_slice(&frame);
    buffer.extend_from_slice(payload);
}

/// Reads a frame; says nothing about whether it is sound.
pub(crate) fn decode_frame(bytes: &[u8; FRAME_BYTES]) -> Frame {
    Frame { length: u32_at(bytes, 0) as usize, number: u64_at(bytes, 4), checksum: u32_at(bytes, 12) }
}

/// Whether frame and payload are what was written.
pub(crate) fn is_sound(frame: &[u8; FRAME_BYTES], payload: &[u8]) -> bool {
    crc32c::crc32c_append(crc32c::crc32c(&frame[..12]), payload) == u32_at(frame, 12)
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let mut word = [0_u8; 4];
    word.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(word)
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    let mut word = [0_u8; 8];
    word.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(word)
}
