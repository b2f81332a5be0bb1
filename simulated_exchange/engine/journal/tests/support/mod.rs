//! A small journal and what reads it.

use std::fs;
use std::path::{Path, PathBuf};

use exchange_journal::{Durability, Journal, JournalError, Reader, Tail};

pub const GENESIS: &[u8] = br#"{"instruments":[]}"#;
pub const FRAME: usize = 44;
pub const GENESIS_END: usize = 48 + FRAME + 1 + GENESIS.len();

pub fn commands() -> Vec<Vec<u8>> {
    (1..=6_u8).map(|n| vec![n; usize::from(n) * 7 - 6]).collect()
}

/// A journal with a group for every command.
pub fn written(folder: &Path) -> PathBuf {
    let path = folder.join("commands.journal");
    let journal = Journal::create(&path, GENESIS, Durability::Fsync).unwrap();
    for command in commands() {
        let number = journal.append(&command).unwrap();
        assert_eq!(journal.sync().unwrap(), number);
    }
    path
}

/// Where the last of those groups begins.
pub fn last_start(bytes: &[u8]) -> usize {
    bytes.len() - FRAME - 1 - commands()[5].len()
}

/// What a reader still has to give; its next record has this number.
pub fn read_on(reader: &mut Reader, first: u64) -> Result<(Vec<Vec<u8>>, Tail), JournalError> {
    let mut payloads = Vec::new();
    while let Some(record) = reader.next_record()? {
        assert_eq!(record.number, first + payloads.len() as u64);
        payloads.push(record.payload.to_vec());
    }
    Ok((payloads, reader.tail()))
}

pub fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}
