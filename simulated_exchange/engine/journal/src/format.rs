//! The bytes of a journal: header, group frames, records. No I/O here.
//!
//! ```text
//! header (48 bytes)   magic 8 | version u32 | flags u32 (0) | identity 16, random | zero 12 | crc32c u32
//! group               frame 44 | records
//! frame               mark 4 | bytes of records u32 | first number u64 | count u32 | crc32c of records u32
//!                     | chain 16 | crc32c of the frame so far u32
//! record              length, 1 to 4 bytes of 7 bits each, lowest first | payload
//! ```
//!
//! Little-endian. A group is what one write put down; no byte of the file is outside a checksum. Numbers are dense
//! from 0. A group's chain is a digest of the chain before it, its numbers and its records; the first one follows
//! from the header. So a chain stands for everything up to its group, and for no other journal.

use xxhash_rust::xxh3::xxh3_128;

/// The first eight bytes of every journal.
pub const MAGIC: [u8; 8] = *b"SLIPJRNL";
/// Version of the format that this crate writes and reads.
pub const FORMAT_VERSION: u32 = 2;
/// Largest payload of one record, in bytes.
pub const PAYLOAD_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Largest group, without its frame: a full buffer and one record more.
pub const GROUP_BYTES_MAX: usize = crate::writer::BUFFER_BYTES_MAX + PAYLOAD_BYTES_MAX + LENGTH_BYTES_MAX;

pub(crate) const HEADER_BYTES: usize = 48;
pub(crate) const FRAME_BYTES: usize = 44;
/// Bytes of the longest length.
const LENGTH_BYTES_MAX: usize = 4;
/// How a frame begins; no text contains it.
pub(crate) const MARK: [u8; 4] = [0xA5, 0xF7, 0x47, 0xC0];

/// Identity of a journal, drawn when it was created.
pub(crate) type Identity = [u8; 16];

/// Where a record lies in its journal, and what the journal was up to there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// Identity of the journal.
    pub identity: [u8; 16],
    /// Number of the record.
    pub number: u64,
    /// Where its group begins.
    pub offset: u64,
    /// The group's chain.
    pub chain: u128,
}

/// What precedes the records of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    pub length: usize,
    pub first: u64,
    pub count: u32,
    pub checksum: u32,
    pub chain: u128,
}

/// The header of a new journal.
pub(crate) fn header(identity: &Identity) -> [u8; HEADER_BYTES] {
    let mut bytes = [0_u8; HEADER_BYTES];
    bytes[..8].copy_from_slice(&MAGIC);
    bytes[8..12].copy_from_slice(&FORMAT_VERSION.to_le_bytes());
    bytes[16..32].copy_from_slice(identity);
    seal(&mut bytes);
    bytes
}

/// A journal's identity, or what is wrong with its header.
pub(crate) fn check_header(bytes: &[u8; HEADER_BYTES]) -> Result<Identity, String> {
    if bytes[..8] != MAGIC {
        return Err("the first eight bytes are not a journal's".to_owned());
    }
    let version = u32_at(bytes, 8);
    if version != FORMAT_VERSION {
        return Err(format!(
            "its format version was {version}, this program reads {FORMAT_VERSION}; the program that wrote it \
             reads it, a new journal goes into another folder"
        ));
    }
    if !is_sealed(bytes) {
        return Err("the header's checksum does not fit".to_owned());
    }
    if u32_at(bytes, 12) != 0 || bytes[32..HEADER_BYTES - 4] != [0; 12] {
        return Err("the header has bytes set that must be zero".to_owned());
    }
    Ok(array_at(bytes, 16))
}

/// The chain before the first group.
pub(crate) fn first_chain(header: &[u8; HEADER_BYTES]) -> u128 {
    xxh3_128(header)
}

/// The chain after a group of records.
fn next_chain(chain: u128, first: u64, count: u32, records: &[u8]) -> u128 {
    let mut bytes = [0_u8; 44];
    bytes[..16].copy_from_slice(&chain.to_le_bytes());
    bytes[16..24].copy_from_slice(&first.to_le_bytes());
    bytes[24..28].copy_from_slice(&count.to_le_bytes());
    bytes[28..].copy_from_slice(&xxh3_128(records).to_le_bytes());
    xxh3_128(&bytes)
}

/// Writes the frame of the records behind it, which `group` begins with room for; returns the new chain.
pub(crate) fn frame_group(group: &mut [u8], chain: u128, first: u64, count: u32) -> u128 {
    let (frame, records) = group.split_at_mut(FRAME_BYTES);
    let chain = next_chain(chain, first, count, records);
    // GROUP_BYTES_MAX is below u32::MAX, so the length always fits.
    let length = u32::try_from(records.len()).unwrap_or(u32::MAX);
    frame[..4].copy_from_slice(&MARK);
    frame[4..8].copy_from_slice(&length.to_le_bytes());
    frame[8..16].copy_from_slice(&first.to_le_bytes());
    frame[16..20].copy_from_slice(&count.to_le_bytes());
    frame[20..24].copy_from_slice(&crc32c::crc32c(records).to_le_bytes());
    frame[24..40].copy_from_slice(&chain.to_le_bytes());
    seal(frame);
    chain
}

/// A frame, unless it is damaged.
pub(crate) fn decode_frame(bytes: &[u8; FRAME_BYTES]) -> Option<Frame> {
    (bytes[..4] == MARK && is_sealed(bytes)).then(|| Frame {
        length: u32_at(bytes, 4) as usize,
        first: u64::from_le_bytes(array_at(bytes, 8)),
        count: u32_at(bytes, 16),
        checksum: u32_at(bytes, 20),
        chain: u128::from_le_bytes(array_at(bytes, 24)),
    })
}

impl Frame {
    /// Whether these are the records that were written under this frame.
    pub(crate) fn covers(&self, records: &[u8]) -> bool {
        crc32c::crc32c(records) == self.checksum
    }

    /// Whether the group continues a journal whose chain was `chain`.
    pub(crate) fn follows(&self, chain: u128, records: &[u8]) -> bool {
        next_chain(chain, self.first, self.count, records) == self.chain
    }
}

/// Appends one record. The caller has checked its length.
#[inline]
pub(crate) fn encode_record(group: &mut Vec<u8>, payload: &[u8]) {
    let mut rest = payload.len();
    while rest >= 0x80 {
        group.push(rest.to_le_bytes()[0] | 0x80);
        rest >>= 7;
    }
    group.push(rest.to_le_bytes()[0]);
    group.extend_from_slice(payload);
}

/// Where the record that begins at `at` has its payload, as begin and end; nothing when it has none.
#[inline]
pub(crate) fn decode_record(records: &[u8], at: usize) -> Option<(usize, usize)> {
    let mut length = 0_usize;
    for index in 0..LENGTH_BYTES_MAX {
        let byte = *records.get(at + index)?;
        length |= usize::from(byte & 0x7F) << (7 * index);
        if byte & 0x80 == 0 {
            let begin = at + index + 1;
            let is_shortest = byte != 0 || index == 0;
            let end = begin + length;
            return (is_shortest && length <= PAYLOAD_BYTES_MAX && end <= records.len())
                .then_some((begin, end));
        }
    }
    None
}

/// Puts the checksum of everything before them into the last four bytes.
pub(crate) fn seal(bytes: &mut [u8]) {
    let end = bytes.len() - 4;
    let checksum = crc32c::crc32c(&bytes[..end]);
    bytes[end..].copy_from_slice(&checksum.to_le_bytes());
}

/// Whether the last four bytes are the checksum of everything before them.
pub(crate) fn is_sealed(bytes: &[u8]) -> bool {
    let end = bytes.len() - 4;
    u32_at(bytes, end) == crc32c::crc32c(&bytes[..end])
}

pub(crate) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(array_at(bytes, at))
}

pub(crate) fn array_at<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let mut array = [0_u8; N];
    array.copy_from_slice(&bytes[at..at + N]);
    array
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn records_are_read_as_they_were_written(
            payloads in prop::collection::vec((any::<u8>(), 0_usize..40_000), 0..40),
        ) {
            let payloads: Vec<Vec<u8>> =
                payloads.into_iter().map(|(byte, length)| vec![byte; length]).collect();
            let mut records = Vec::new();
            for payload in &payloads {
                encode_record(&mut records, payload);
            }
            let mut at = 0;
            for payload in &payloads {
                let (begin, end) = decode_record(&records, at).unwrap();
                prop_assert_eq!(&records[begin..end], payload.as_slice());
                at = end;
            }
            prop_assert_eq!(at, records.len());
        }

        #[test]
        fn any_bytes_are_a_record_inside_or_none(bytes in prop::collection::vec(any::<u8>(), 0..64), at in 0_usize..80) {
            if let Some((begin, end)) = decode_record(&bytes, at) {
                prop_assert!(at < begin && begin <= end && end <= bytes.len());
            }
        }
    }

    #[test]
    fn a_length_has_one_spelling() {
        assert_eq!(decode_record(&[0x00], 0), Some((1, 1)));
        assert_eq!(decode_record(&[0x80, 0x00], 0), None);
        assert_eq!(decode_record(&[0x81, 0x80, 0x00, 1], 0), None);
        assert_eq!(decode_record(&[0xFF, 0xFF, 0xFF, 0xFF, 0x01], 0), None);
    }
}
