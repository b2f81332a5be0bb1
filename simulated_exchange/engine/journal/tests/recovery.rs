//! A journal read back: torn at any byte, damaged at any bit, in use, foreign.

mod support;

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::Path;

use exchange_journal::{Durability, Journal, JournalError, Reader, Recovering, Tail};
use support::{FRAME, GENESIS, GENESIS_END, commands, last_start, names, read_on, written};
use tempfile::TempDir;

const HEADER: usize = 48;

/// Genesis and all commands.
fn whole() -> Vec<Vec<u8>> {
    let mut payloads = vec![GENESIS.to_vec()];
    payloads.extend(commands());
    payloads
}

fn read(path: &Path) -> Result<(Vec<Vec<u8>>, Tail), JournalError> {
    read_on(&mut Reader::open(path)?, 0)
}

#[test]
fn what_was_committed_is_read_back() {
    let directory = TempDir::new().unwrap();
    let (payloads, tail) = read(&written(directory.path())).unwrap();
    assert_eq!(payloads, whole());
    assert_eq!((tail.torn_bytes, tail.next_number), (0, 7));
}

#[test]
fn creation_leaves_one_file_and_refuses_to_replace_it() {
    let directory = TempDir::new().unwrap();
    let path = written(directory.path());
    let before = fs::read(&path).unwrap();
    let error = Journal::create(&path, GENESIS, Durability::Fsync).unwrap_err();
    assert!(matches!(error, JournalError::Exists { .. }), "was {error}");
    assert_eq!(fs::read(&path).unwrap(), before);
    assert_eq!(names(directory.path()), ["commands.journal"]);
}

#[test]
fn a_tail_torn_at_any_byte_is_cut_and_the_journal_goes_on() {
    let directory = TempDir::new().unwrap();
    let bytes = fs::read(written(directory.path())).unwrap();
    let last_start = last_start(&bytes);
    for end in last_start..bytes.len() {
        let path = directory.path().join(format!("torn-{end}"));
        fs::write(&path, &bytes[..end]).unwrap();
        let (payloads, tail) = read(&path).unwrap();
        assert_eq!(payloads, whole()[..6], "cut at {end}");
        assert_eq!(tail.behind_bytes, (end - last_start) as u64);
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
fn room_behind_a_group_or_a_torn_one_is_cut_and_is_not_torn() {
    let directory = TempDir::new().unwrap();
    let bytes = fs::read(written(directory.path())).unwrap();
    let last_start = last_start(&bytes);
    for end in last_start..=bytes.len() {
        for room in [1, 43, 5000, 3_000_000] {
            let path = directory.path().join("roomy");
            fs::write(&path, [&bytes[..end], &vec![0; room]].concat()).unwrap();
            let is_whole = end == bytes.len();
            let (payloads, tail) = read(&path).unwrap();
            assert_eq!(payloads.len(), if is_whole { 7 } else { 6 }, "cut at {end}");
            let torn = if is_whole { 0 } else { end - last_start };
            let zeros = bytes[..end].iter().rev().take_while(|byte| **byte == 0).count();
            assert_eq!(
                tail.torn_bytes,
                torn.saturating_sub(zeros) as u64,
                "cut at {end}, {room} bytes of room"
            );

            let journal = Recovering::open(&path).unwrap().finish(Durability::Fsync).unwrap();
            journal.append(b"again").unwrap();
            journal.sync().unwrap();
            drop(journal);
            let (payloads, tail) = read(&path).unwrap();
            assert_eq!((payloads.last().unwrap().as_slice(), tail.behind_bytes), (&b"again"[..], 0));
        }
    }
}

#[test]
fn what_was_committed_survives_a_process_that_never_closed_its_journal() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("commands.journal");
    let journal = Journal::create(&path, GENESIS, Durability::Fsync).unwrap();
    for command in commands() {
        journal.append(&command).unwrap();
        journal.sync().unwrap();
        let copy = directory.path().join("copy");
        fs::copy(&path, &copy).unwrap();
        let (payloads, tail) = read(&copy).unwrap();
        assert_eq!((payloads.last().unwrap(), tail.torn_bytes), (&command, 0));
        assert!(tail.behind_bytes > 0, "there is room");
    }
}

#[test]
fn a_flipped_bit_is_never_read_as_data() {
    let directory = TempDir::new().unwrap();
    let path = written(directory.path());
    let bytes = fs::read(&path).unwrap();
    let last_start = last_start(&bytes);
    for at in 0..bytes.len() {
        for bit in 0..8 {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1 << bit;
            // In place: a file cut to nothing and written again goes to the disk on many systems.
            OpenOptions::new().write(true).open(&path).unwrap().write_all(&damaged).unwrap();
            match read(&path) {
                Err(JournalError::NotAJournal { .. }) => assert!(at < HEADER, "byte {at} bit {bit}"),
                Err(JournalError::Corrupt { offset, .. }) => {
                    assert!((HEADER..last_start).contains(&at), "byte {at} bit {bit}");
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
    let path = written(directory.path());
    let bytes = fs::read(&path).unwrap();
    let last_start = last_start(&bytes);
    let first_end = GENESIS_END + FRAME + 1 + commands()[0].len();

    let twice = [&bytes[..], &bytes[last_start..]].concat();
    fs::write(&path, twice).unwrap();
    let error = read(&path).unwrap_err();
    assert!(error.to_string().contains("record number was 6, expected 7"), "was {error}");

    let missing = [&bytes[..GENESIS_END], &bytes[first_end..]].concat();
    fs::write(&path, missing).unwrap();
    let error = read(&path).unwrap_err();
    assert!(matches!(error, JournalError::Corrupt { offset: 111, .. }), "was {error}");
}

#[test]
fn a_group_of_another_journal_is_corruption() {
    let (here, there) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let (path, other) = (written(here.path()), written(there.path()));
    let (bytes, foreign) = (fs::read(&path).unwrap(), fs::read(&other).unwrap());
    let last_start = last_start(&bytes);
    assert_eq!(bytes.len(), foreign.len());
    fs::write(&path, [&bytes[..last_start], &foreign[last_start..]].concat()).unwrap();
    let error = read(&path).unwrap_err();
    assert!(error.to_string().contains("does not continue what precedes it"), "was {error}");
    assert!(matches!(error, JournalError::Corrupt { offset, .. } if offset == last_start as u64));
}

#[test]
fn one_write_is_one_group_and_torn_as_one() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("commands.journal");
    let journal = Journal::create(&path, GENESIS, Durability::Fsync).unwrap();
    for command in commands() {
        journal.append(&command).unwrap();
    }
    journal.sync().unwrap();
    drop(journal);
    let bytes = fs::read(&path).unwrap();
    assert_eq!(bytes.len(), GENESIS_END + FRAME + commands().iter().map(|c| 1 + c.len()).sum::<usize>());
    assert_eq!(read(&path).unwrap().0, whole());
    fs::write(&path, &bytes[..bytes.len() - 1]).unwrap();
    let (payloads, tail) = read(&path).unwrap();
    assert_eq!((payloads.len(), tail.end), (1, GENESIS_END as u64));
}

#[test]
fn a_long_journal_with_damage_early_on_is_refused() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("commands.journal");
    let journal = Journal::create(&path, GENESIS, Durability::Os).unwrap();
    // Longer than the window in which a later group is looked for.
    for _ in 0..3 {
        journal.append(&vec![0x5A; 1_500_000]).unwrap();
        journal.sync().unwrap();
    }
    drop(journal);
    let whole = fs::read(&path).unwrap();
    for (at, offset) in [(GENESIS_END + 6, GENESIS_END), (GENESIS_END + FRAME + 1_400_000, GENESIS_END)] {
        let mut bytes = whole.clone();
        bytes[at] ^= 1;
        fs::write(&path, &bytes).unwrap();
        let error = read(&path).unwrap_err();
        assert!(
            matches!(error, JournalError::Corrupt { offset: found, .. } if found == offset as u64),
            "{error}"
        );
    }
}

#[test]
fn a_journal_of_an_older_format_is_refused_with_its_version() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("old.journal");
    let mut bytes = b"SLIPJRNL".to_vec();
    bytes.extend(1_u32.to_le_bytes());
    bytes.extend([0; 100]);
    fs::write(&path, &bytes).unwrap();
    let error = read(&path).unwrap_err().to_string();
    assert!(error.contains("its format version was 1, this program reads 2"), "was {error}");
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
fn a_reader_ends_where_the_writer_was_when_it_was_opened() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("commands.journal");
    let journal = Journal::create(&path, GENESIS, Durability::Fsync).unwrap();
    let add = |payload: &[u8]| {
        journal.append(payload).unwrap();
        journal.sync().unwrap();
    };
    add(b"first"); // makes room
    let (mut ahead, mut late) = (Reader::open(&path).unwrap(), Reader::open(&path).unwrap());
    assert_eq!(ahead.next_record().unwrap().unwrap().payload, GENESIS); // has read the room
    assert_eq!(late.next_record().unwrap().unwrap().payload, GENESIS);
    for payload in [&b"second"[..], b"third", b"fourth"] {
        add(payload);
    }
    assert_eq!(ahead.next_record().unwrap().unwrap().payload, b"first");
    assert!(ahead.next_record().unwrap().is_none());
    assert_eq!(ahead.tail().torn_bytes, 0);
    drop(journal); // cuts the room
    assert_eq!(late.next_record().unwrap().unwrap().payload, b"first");
    assert!(late.next_record().unwrap().is_none());
    assert_eq!(late.tail().torn_bytes, 0);
    assert_eq!(read(&path).unwrap().0.len(), 5);
}

#[test]
fn a_group_half_written_when_it_was_looked_at_is_read_once_it_is_whole() {
    let directory = TempDir::new().unwrap();
    let bytes = fs::read(written(directory.path())).unwrap();
    let (path, last) = (directory.path().join("growing"), last_start(&bytes));
    for half in [last + 1, last + FRAME, last + FRAME + 3] {
        let mut room = vec![0; bytes.len() + 100];
        room[..half].copy_from_slice(&bytes[..half]);
        fs::write(&path, &room).unwrap();
        let mut reader = Reader::open(&path).unwrap();
        assert_eq!(reader.next_record().unwrap().unwrap().payload, GENESIS); // has read the half
        room[..bytes.len()].copy_from_slice(&bytes);
        fs::write(&path, &room).unwrap();
        let (payloads, tail) = read_on(&mut reader, 1).unwrap();
        assert_eq!((payloads, tail.torn_bytes), (commands(), 0), "half was {half}");
    }
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
        &[0; 48],
        &[0xff; 4096],
        b"{\"instruments\": [], \"padding\": \"................\"}",
    ] {
        fs::write(&path, bytes).unwrap();
        assert!(matches!(read(&path).unwrap_err(), JournalError::NotAJournal { .. }));
    }
    let header_only = fs::read(written(directory.path())).unwrap()[..60].to_vec();
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
