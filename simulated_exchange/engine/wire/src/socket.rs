//! WebSocket frames as they mostly come, and as they go.

/// Kind of a frame of text.
pub const TEXT: u8 = 0x1;
/// Kind of a frame of bytes.
pub const BINARY: u8 = 0x2;

const FIN: u8 = 0x80;
const MASKED: u8 = 0x80;
const SHORT_MAX: u8 = 125;
const MEDIUM: u8 = 126;

/// One message in one frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Whole<'a> {
    /// [`TEXT`] or [`BINARY`].
    pub kind: u8,
    /// What was sent, with the mask that lies over it.
    pub masked: &'a [u8],
    /// The mask, repeated.
    pub mask: [u8; 4],
    /// Bytes of the whole frame.
    pub length: usize,
}

impl Whole<'_> {
    /// Takes the mask off; `payload` has as many bytes as `masked`.
    pub fn unmask(&self, payload: &mut [u8]) {
        let wide = u64::from_ne_bytes([self.mask, self.mask].concat().try_into().unwrap_or_default());
        let (from, to) = (self.masked.chunks_exact(8), payload.chunks_exact_mut(8));
        let rest = from.remainder();
        for (from, to) in from.zip(to) {
            let word = u64::from_ne_bytes(from.try_into().unwrap_or_default());
            to.copy_from_slice(&(word ^ wide).to_ne_bytes());
        }
        let at = payload.len() - rest.len();
        for ((to, from), mask) in payload[at..].iter_mut().zip(rest).zip(self.mask.iter().cycle()) {
            *to = from ^ mask;
        }
    }
}

/// The frame that the bytes begin with; nothing when it is not all here, or not of this kind: masked, final, text or
/// bytes, of at most `most` and less than 65,536 bytes.
pub fn whole_frame(data: &[u8], most: usize) -> Option<Whole<'_>> {
    let [first, second, ..] = *data else { return None };
    let kind = first & !FIN;
    if first & FIN == 0 || !matches!(kind, TEXT | BINARY) || second & MASKED == 0 {
        return None;
    }
    let (size, head) = match second & !MASKED {
        short @ 0..=SHORT_MAX => (usize::from(short), 2),
        MEDIUM => (usize::from(u16::from_be_bytes([*data.get(2)?, *data.get(3)?])), 4),
        _ => return None,
    };
    let mask = *data.get(head..)?.first_chunk()?;
    let begin = head + mask.len();
    let masked = data.get(begin..begin + size)?;
    (size <= most).then_some(Whole { kind, masked, mask, length: begin + size })
}

/// One unmasked frame of text.
pub fn text_frame(payload: &[u8]) -> Vec<u8> {
    let mut frame = Vec::with_capacity(payload.len() + 10);
    frame.push(FIN | TEXT);
    match (u8::try_from(payload.len()), u16::try_from(payload.len())) {
        (Ok(short @ 0..=SHORT_MAX), _) => frame.push(short),
        (_, Ok(medium)) => {
            frame.push(MEDIUM);
            frame.extend(medium.to_be_bytes());
        }
        _ => {
            frame.push(127);
            frame.extend((payload.len() as u64).to_be_bytes());
        }
    }
    frame.extend_from_slice(payload);
    frame
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(first: u8, payload: &[u8], mask: [u8; 4]) -> Vec<u8> {
        let mut frame = text_frame(payload);
        frame[0] = first;
        frame[1] |= MASKED;
        let head = frame.len() - payload.len();
        for (at, byte) in frame[head..].iter_mut().enumerate() {
            *byte ^= mask[at % 4];
        }
        frame.splice(head..head, mask);
        frame
    }

    #[test]
    fn a_whole_frame_is_unmasked() {
        for size in [0, 1, 7, 8, 9, 125, 126, 1000, 65_535] {
            let payload: Vec<u8> = (0..=255).cycle().take(size).collect();
            let mut data = frame(FIN | TEXT, &payload, [1, 2, 3, 255]);
            let length = data.len();
            data.extend(b"more");
            let whole = whole_frame(&data, 65_535).unwrap();
            let mut found = vec![0; size];
            whole.unmask(&mut found);
            assert_eq!((whole.kind, whole.length, found), (TEXT, length, payload));
            for cut in 0..length {
                assert_eq!(whole_frame(&data[..cut], 65_535), None);
            }
            assert_eq!(whole_frame(&data, size.wrapping_sub(1)).is_some(), size == 0);
        }
    }

    #[test]
    fn other_frames_are_left_to_others() {
        let good = frame(FIN | BINARY, b"abc", [0; 4]);
        assert!(whole_frame(&good, 9).is_some());
        for first in [TEXT, FIN, FIN | 0x8, FIN | 0x9, FIN | TEXT | 0x40] {
            assert_eq!(whole_frame(&frame(first, b"abc", [0; 4]), 9), None, "{first:x}");
        }
        let mut open = good;
        open[1] &= !MASKED;
        assert_eq!(whole_frame(&open, 9), None);
    }
}
