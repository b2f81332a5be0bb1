//! A journal read back: whole, torn at any byte, damaged at any bit, in use, foreign.

use std::fs;
use std::path::{Path, PathBuf};

use exchange_journal::{Durability, Journal, JournalError, Reader, Recovering, Tail};
use tempfile::TempDir;

const GENESIS: &[u8] = br#"{"instruments":[]}"#;
const HEADER_AND_FRAME: usize = 32 + 16;

fn commands() -> Vec<Vec<u8>> {
    (1..=6_u8).map(|n| vec![n; usize::from(n) * 7 - 6]).collect()
}

fn written(directory: &TempDir) -> PathBuf {
    let path = directory.path().join("commands.journal");
    let journal = Journal::create(&path, GENESIS, Durability::Fsync).unwrap();
    for command in commands() {
        journal.append(&command).unwrap();
    }
    assert_eq!(journal.sync().unwrap(), 6);
    path
}

fn read(path: &Path) -> Result<(Vec<Vec<u8>>, Tail), JournalError> {
    let mut reader = Reader::open(path)?;
    let mut payloads = Vec::new();
    while let Some(record) = reader.next_record()? {
        assert_eq!(record.number, payloads.len() as u64);
        payloads.push(record.payload.to_vec());
    }
    Ok((payloads, reader.tail()))
}

fn whole() -> Vec<Vec<u8>> {
    let mut payloads = vec![GENESIS.to_vec()];
    payloads.extend(commands());
    payloads
}

#[test]
fn what_was_committed_is_read_back() {
    let directory = TempDir::new().unwrap();
    let (payloads, tail) = read(&written(&directory)).unwrap();
    assert_eq!(payloads, whole());
    assert_eq!((tail.torn_bytes, tail.next_number), (0, 7));
}

#[test]
fn creation_leaves_one_file_and_refuses_to_replace_it() {
    let directory = TempDir::new().unwrap();
    let path = written(&directory);
    let before = fs::read(&path).unwrap();
    let error = Journal::create(&path, GENESIS, Durability::Fsync).unwrap_err();
    assert!(matches!(error, JournalError::Exists { .. }), "was {error}");
    assert_eq!(fs::read(&path).unwrap(), before);
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
}

#[test]
fn a_tail_torn_at_any_byte_is_cut_and_the_journal_goes_on() {
    let directory = TempDir::new().unwrap();
    let bytes = fs::read(written(&directory)).unwrap();
    let last_start = bytes.len() - 16 - commands()[5].len();
    for end in last_start..bytes.len() {
        let path = directory.path().join(format!("torn-{end}"));
        fs::write(&path, &bytes[..end]).unwrap();
        let (payloads, tail) = read(&path).unwrap();
        assert_eq!(payloads, whole()[..6], "cut at {end}");
        assert_eq!(tail.torn_bytes, (end - last_start) as u64);
        assert_eq!(fs::read(&path).unwrap().len(), end, "a reader changes nothing");

        let journal = Recovering::open(&path).unwrap().finish(Durability::Fsync).unwrap();
        assert_eq!(journal.append(b"again").unwrap(), 6);
        assert_eq!(journal.sync().unwrap(), 6);
        drop(journal);
        let (payloads, tail) = read(&path).unwrap();
        assert_eq!((payloads.len(), payloads[6].as_slice(), tail.torn_bytes), (7, &b"again"[..], 0));
    }
}

#[test]
fn a_flipped_bit_is_never_read_as_data() {
    let directory = TempDir::new().unwrap();
    let path = written(&directory);
    let bytes = fs::read(&path).unwrap();
    let last_start = bytes.len() - 16 - commands()[5].len();
    for at in 0..bytes.len() {
        for bit in 0..8 {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1 << bit;
            fs::write(&path, &damaged).unwrap();
            match read(&path) {
                Err(JournalError::NotAJournal { .. }) => assert!(at < 32, "byte {at} bit {bit}"),
                Err(JournalError::Corrupt { offset, .. }) => {
                    assert!((32..last_start).contains(&at), "byte {at} bit {bit}");
                    assert!(offset <= at as u64, "byte {at} was reported as {offset}");
                }
                Err(error) => panic!("byte {at} bit {bit}: {error}"),
                Ok((payloads, tail)) => {
                    assert!(at >= last_start, "byte {at} bit {bit} went unnoticed");
                    assert_eq!(payloads, whole()[..6]);
                    assert_eq!(tail.torn_bytes, (bytes.len() - last_start) as u64);
                }
            }
            assert!(
                at >= last_start || Recovering::open(&path).and_then(|r| r.finish(Durability::Os)).is_err()
            );
            assert!(at >= last_start || fs::read(&path).unwrap() == damaged, "a refused file is not changed");
        }
    }
}

#[test]
fn a_record_twice_or_missing_is_corruption() {
    let directory = TempDir::new().unwrap();
    let path = written(&directory);
    let bytes = fs::read(&path).unwrap();
    let last_start = bytes.len() - 16 - commands()[5].len();
    let first_end = HEADER_AND_FRAME + GENESIS.len() + 16 + commands()[0].len();

    let twice = [&bytes[..], &bytes[last_start..]].concat();
    fs::write(&path, twice).unwrap();
    let error = read(&path).unwrap_err();
    assert!(error.to_string().contains("record number was 6, expected 7"), "was {error}");

    let missing = [&bytes[..HEADER_AND_FRAME + GENESIS.len()], &bytes[first_end..]].concat();
    fs::write(&path, missing).unwrap();
    let error = read(&path).unwrap_err();
    assert!(matches!(error, JournalError::Corrupt { offset: 66, .. }), "was {error}");
}

#[test]
fn one_writer_at_a_time_readers_at_any_time() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("commands.journal");
    let journal = Journal::create(&path, GENESIS, Durability::Os).unwrap();
    let error = Recovering::open(&path).unwrap_err();
    assert!(matches!(error, JournalError::Locked { .. }), "was {error}");
    assert_eq!(read(&path).unwrap().0.len(), 1);
    drop(journal);
    let journal = Recovering::open(&path).unwrap().finish(Durability::Os).unwrap();
    assert!(matches!(Recovering::open(&path).unwrap_err(), JournalError::Locked { .. }));
    drop(journal);
}

#[test]
fn what_is_not_a_journal_is_refused() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("foreign");
    let missing = Reader::open(&path).unwrap_err();
    assert!(matches!(missing, JournalError::Io { action: "open", .. }), "was {missing}");
    for bytes in [
        &b""[..],
        b"SLIPJRNL",
        &[0; 32],
        &[0xff; 4096],
        b"{\"instruments\": [], \"padding\": \"................\"}",
    ] {
        fs::write(&path, bytes).unwrap();
        assert!(matches!(read(&path).unwrap_err(), JournalError::NotAJournal { .. }));
    }
    let header_only = fs::read(written(&directory)).unwrap()[..40].to_vec();
    fs::write(&path, header_only).unwrap();
    assert!(matches!(read(&path).unwrap_err(), JournalError::NotAJournal { .. }));
}

#[test]
fn commits_from_many_threads_cover_every_append() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("commands.journal");
    let journal = Journal::create(&path, GENESIS, Durability::Fsync).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..50 {
                    let number = journal.append(b"command").unwrap();
                    assert!(journal.sync().unwrap() >= number);
                }
            });
        }
    });
    assert_eq!((journal.last_number(), journal.committed_number()), (200, 200));
    drop(journal);
    assert_eq!(read(&path).unwrap().1.next_number, 201);
}

#[test]
fn without_durability_the_records_are_there_after_closing() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("commands.journal");
    let journal = Journal::create(&path, GENESIS, Durability::None).unwrap();
    journal.append(b"command").unwrap();
    assert_eq!(journal.sync().unwrap(), 1);
    drop(journal);
    assert_eq!(read(&path).unwrap().0.len(), 2);
}
