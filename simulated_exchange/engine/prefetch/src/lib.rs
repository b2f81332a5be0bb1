//! Asks the processor to bring memory near that will be read soon. Nothing else belongs here: it is the one crate of the
//! engine with unsafe code, so that all others can forbid it. Nothing is read or changed, so that no result can depend on
//! it; where a processor is not known, nothing happens at all.

#![deny(unsafe_op_in_unsafe_fn)]

/// Bytes that processors bring near together.
const LINE: usize = 64;

/// Asks for the beginning of a value.
#[inline(always)]
#[expect(clippy::inline_always, reason = "one instruction")]
pub fn prefetch<T>(value: &T) {
    line(std::ptr::from_ref(value).cast());
}

/// Asks for all of a value.
#[inline(always)]
#[expect(clippy::inline_always, reason = "a few instructions, how many is known when it is compiled")]
pub fn prefetch_all<T>(value: &T) {
    let first: *const i8 = std::ptr::from_ref(value).cast();
    let mut at = 0;
    while at < size_of::<T>() {
        line(first.wrapping_add(at));
        at += LINE;
    }
    if size_of::<T>() > 1 && align_of::<T>() < LINE {
        line(first.wrapping_add(size_of::<T>() - 1));
    }
}

#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn line(place: *const i8) {
    use std::arch::x86_64::{_mm_prefetch, _MM_HINT_T0};
    // SAFETY: a prefetch is a hint. It faults at no address, changes no memory that a program can see, and every x86-64
    // processor has it; the place is within a value that is borrowed anyway.
    unsafe { _mm_prefetch::<_MM_HINT_T0>(place) }
}

#[cfg(not(target_arch = "x86_64"))]
#[inline(always)]
fn line(_: *const i8) {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_changes_whatever_is_asked_for() {
        let values: Vec<[u64; 20]> = (0..100).map(|number| [number; 20]).collect();
        let before = values.clone();
        for value in &values {
            prefetch(value);
            prefetch_all(value);
            prefetch_all(&());
        }
        assert_eq!(values, before);
    }
}
