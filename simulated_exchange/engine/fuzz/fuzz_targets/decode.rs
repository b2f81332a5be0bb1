//! Any bytes as a command's record, also one without its zero tail: refused, or decoded to what encodes to the same bytes.
#![no_main]

use exchange_core::{COMMAND_BYTES, Command, EVENT_BYTES, Event};
use exchange_journal::{padded, trimmed};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Some(record) = padded::<COMMAND_BYTES>(bytes) {
        assert_eq!(trimmed(&record), bytes);
        if let Ok(command) = Command::decode(&record) {
            assert_eq!(command.encode(), record);
        }
    }
    if let Ok(command) = Command::decode(bytes) {
        assert_eq!(command.encode(), bytes);
    }
    let mut record = [0; EVENT_BYTES];
    let length = bytes.len().min(EVENT_BYTES);
    record[..length].copy_from_slice(&bytes[..length]);
    if let Ok(event) = Event::decode(&record) {
        assert_eq!(Event::decode(&event.encode()), Ok(event));
    }
});
