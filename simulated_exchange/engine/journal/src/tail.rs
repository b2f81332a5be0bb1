//! Records of a fixed size with their zero tail left off. No file format, no I/O.

/// The record without the zeros that it ends with.
#[inline]
#[must_use]
pub fn trimmed(record: &[u8]) -> &[u8] {
    let mut end = record.len();
    // Eight bytes at a time: most records end in a long run of zeros.
    while end >= 8 && record[end - 8..end] == [0; 8] {
        end -= 8;
    }
    while end > 0 && record[end - 1] == 0 {
        end -= 1;
    }
    &record[..end]
}

/// The record of `N` bytes that was trimmed to `payload`; nothing when no record trims to it.
#[inline]
#[must_use]
pub fn padded<const N: usize>(payload: &[u8]) -> Option<[u8; N]> {
    if payload.len() > N || payload.last() == Some(&0) {
        return None;
    }
    let mut record = [0_u8; N];
    record[..payload.len()].copy_from_slice(payload);
    Some(record)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn trimming_is_undone(bytes in prop::array::uniform32(prop_oneof![Just(0_u8), any::<u8>()]), zeros in 0_usize..=32) {
            let mut record = bytes;
            record[32 - zeros..].fill(0);
            let payload = trimmed(&record);
            prop_assert!(payload.last().is_none_or(|byte| *byte != 0));
            prop_assert_eq!(padded::<32>(payload), Some(record));
        }
    }

    #[test]
    fn a_record_has_one_trimmed_form() {
        assert_eq!(padded::<4>(&[1, 0]), None);
        assert_eq!(padded::<4>(&[1, 2, 3, 4, 5]), None);
        assert_eq!(padded::<4>(&[]), Some([0; 4]));
    }
}
