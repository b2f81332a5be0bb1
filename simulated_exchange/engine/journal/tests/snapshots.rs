//! Snapshots beside a journal: used, passed over with a word, never combined with another journal, cleared away.

mod support;

use std::fs;
use std::path::{Path, PathBuf};

use exchange_journal::{
    Durability, Journal, JournalError, Position, Reader, Recovering, SnapshotFile, SnapshotWriter,
};
use support::{GENESIS, commands, last_start, names, read_on, written};
use tempfile::TempDir;

/// The state after some records: the records themselves.
fn state(records: u64) -> Vec<u8> {
    format!("after {records}").into_bytes()
}

fn snapshot_path(journal: &Path, number: u64) -> PathBuf {
    journal.with_file_name(format!("commands.journal.snapshot-{number}"))
}

/// A journal of six commands, a group each, with a snapshot after each of `numbers`.
fn with_snapshots(folder: &Path, numbers: &[u64]) -> PathBuf {
    let path = folder.join("commands.journal");
    let journal = Journal::create(&path, GENESIS, Durability::Fsync).unwrap();
    let mut writer = SnapshotWriter::new(&path, None);
    for command in commands() {
        let number = journal.append(&command).unwrap();
        if numbers.contains(&number) {
            assert_eq!(journal.mark(), number);
            let position = journal.settle(number).unwrap().unwrap();
            writer.write(&position, &state(number), b"attached").unwrap();
        }
        journal.sync().unwrap();
    }
    path
}

/// From which record a restart goes on, what it reads then, and what it says about snapshots.
type Restart = (Option<u64>, Vec<Vec<u8>>, Vec<String>);

fn resumed(path: &Path) -> Result<Restart, JournalError> {
    let mut reader = Reader::open(path)?;
    let (resumed, remarks) = reader.resume(|snapshot| {
        assert_eq!(snapshot.attachment(), b"attached");
        Ok(snapshot.state().to_vec())
    })?;
    let number = resumed.as_ref().map(|resumed| resumed.snapshot.position.number);
    if let Some(resumed) = resumed {
        assert_eq!(resumed.state, state(resumed.snapshot.position.number));
    }
    let (payloads, _) = read_on(&mut reader, number.map_or(0, |number| number + 1))?;
    Ok((number, payloads, remarks))
}

#[test]
fn a_restart_reads_on_behind_the_newest_snapshot() {
    let folder = TempDir::new().unwrap();
    let path = with_snapshots(folder.path(), &[2, 4]);
    assert_eq!(resumed(&path).unwrap(), (Some(4), commands()[4..].to_vec(), vec![]));
    let journal = Recovering::open(&path).unwrap().finish(Durability::Fsync).unwrap();
    assert_eq!(journal.append(b"seventh").unwrap(), 7);
    assert_eq!(journal.mark(), 7);
    let position = journal.settle(7).unwrap().unwrap();
    SnapshotWriter::new(&path, Some(4)).write(&position, &state(7), b"attached").unwrap();
    assert_eq!(resumed(&path).unwrap(), (Some(7), vec![], vec![]));
}

#[test]
fn a_snapshot_inside_a_group_leaves_out_what_it_covers() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("commands.journal");
    let journal = Journal::create(&path, GENESIS, Durability::Os).unwrap();
    for command in &commands()[..3] {
        journal.append(command).unwrap();
    }
    let marked = journal.mark();
    for command in &commands()[3..] {
        journal.append(command).unwrap();
    }
    let position = journal.settle(marked).unwrap().unwrap();
    SnapshotWriter::new(&path, None).write(&position, &state(3), b"attached").unwrap();
    assert_eq!(resumed(&path).unwrap(), (Some(3), commands()[3..].to_vec(), vec![]));
}

#[test]
fn the_last_two_are_kept() {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("commands.journal.snapshot-3.draft"), b"left by a crash").unwrap();
    fs::write(folder.path().join("commands.journal.snapshot-old"), b"not ours").unwrap();
    let path = with_snapshots(folder.path(), &[1, 2, 3, 5]);
    let expected = [
        "commands.journal",
        "commands.journal.snapshot-3",
        "commands.journal.snapshot-5",
        "commands.journal.snapshot-old",
    ];
    assert_eq!(names(folder.path()), expected);
    assert_eq!(SnapshotFile::all(&path).unwrap().iter().map(|file| file.number).collect::<Vec<_>>(), [5, 3]);
}

#[test]
fn a_damaged_snapshot_is_passed_over_with_a_word() {
    let folder = TempDir::new().unwrap();
    let path = with_snapshots(folder.path(), &[2, 4]);
    let newest = snapshot_path(&path, 4);
    let bytes = fs::read(&newest).unwrap();
    for at in 0..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[at] ^= 0x20;
        fs::write(&newest, &damaged).unwrap();
        let (number, payloads, remarks) = resumed(&path).unwrap();
        assert_eq!((number, payloads.len(), remarks.len()), (Some(2), 4, 1), "byte {at}");
        assert!(remarks[0].contains("commands.journal.snapshot-4: "), "was {}", remarks[0]);
    }
    for end in 0..bytes.len() {
        fs::write(&newest, &bytes[..end]).unwrap();
        assert_eq!(resumed(&path).unwrap().0, Some(2), "cut at {end}");
    }
    fs::write(&newest, [bytes.as_slice(), b"more"].concat()).unwrap();
    assert_eq!(resumed(&path).unwrap().0, Some(2));
    fs::remove_file(snapshot_path(&path, 2)).unwrap();
    assert_eq!((resumed(&path).unwrap().0, resumed(&path).unwrap().1.len()), (None, 7));
}

#[test]
fn a_state_that_cannot_be_rebuilt_is_passed_over_with_a_word() {
    let folder = TempDir::new().unwrap();
    let path = with_snapshots(folder.path(), &[2, 4]);
    let mut reader = Reader::open(&path).unwrap();
    let (resumed, remarks) = reader.resume(|_| Err::<(), _>("it is in no known shape".to_owned())).unwrap();
    assert!(resumed.is_none());
    assert_eq!(remarks.len(), 2);
    assert!(remarks.iter().all(|remark| remark.ends_with("it is in no known shape")));
    assert_eq!(read_on(&mut reader, 0).unwrap().0.len(), 7);
}

#[test]
fn a_snapshot_of_another_journal_is_passed_over_with_a_word() {
    let (here, there) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let path = written(here.path());
    let other = with_snapshots(there.path(), &[4]);
    fs::copy(snapshot_path(&other, 4), snapshot_path(&path, 4)).unwrap();
    let (number, payloads, remarks) = resumed(&path).unwrap();
    assert_eq!((number, payloads.len()), (None, 7));
    assert!(remarks[0].ends_with("snapshot-4: it belongs to another journal"), "was {remarks:?}");
    fs::rename(snapshot_path(&path, 4), snapshot_path(&path, 9)).unwrap();
    let (number, _, remarks) = resumed(&path).unwrap();
    assert_eq!(number, None);
    assert!(remarks[0].ends_with("snapshot-9: it was taken after record 4"), "was {remarks:?}");
}

#[test]
fn a_copy_that_went_on_differently_has_other_snapshots() {
    let folder = TempDir::new().unwrap();
    let path = with_snapshots(folder.path(), &[6]);
    let bytes = fs::read(&path).unwrap();
    fs::write(&path, &bytes[..last_start(&bytes)]).unwrap();
    let snapshot = fs::read(snapshot_path(&path, 6)).unwrap();
    fs::remove_file(snapshot_path(&path, 6)).unwrap();
    let journal = Recovering::open(&path).unwrap().finish(Durability::Fsync).unwrap();
    journal.append(b"another sixth").unwrap();
    drop(journal);
    fs::write(snapshot_path(&path, 6), snapshot).unwrap();
    let (number, payloads, remarks) = resumed(&path).unwrap();
    assert_eq!((number, payloads.len(), remarks.len()), (None, 7, 1));
}

#[test]
fn a_journal_that_lost_records_is_refused_while_a_snapshot_shows_it() {
    let folder = TempDir::new().unwrap();
    let path = with_snapshots(folder.path(), &[6]);
    let bytes = fs::read(&path).unwrap();
    for end in [last_start(&bytes), bytes.len() - 1] {
        fs::write(&path, &bytes[..end]).unwrap();
        let error = resumed(&path).unwrap_err();
        assert!(matches!(error, JournalError::Lost { last: 5, number: 6, .. }), "was {error}");
        assert!(error.to_string().contains("commands.journal.snapshot-6 was taken after record 6"));
        assert_eq!(fs::read(&path).unwrap().len(), end, "a refused file is not changed");
    }
    fs::remove_file(snapshot_path(&path, 6)).unwrap();
    assert_eq!(resumed(&path).unwrap().1.len(), 6);
}

#[test]
fn damage_that_a_snapshot_covers_is_refused_all_the_same() {
    let folder = TempDir::new().unwrap();
    let path = with_snapshots(folder.path(), &[4]);
    let mut bytes = fs::read(&path).unwrap();
    bytes[support::GENESIS_END + 50] ^= 1;
    fs::write(&path, &bytes).unwrap();
    assert!(matches!(resumed(&path).unwrap_err(), JournalError::Corrupt { .. }));
}

#[test]
fn a_snapshot_that_cannot_be_written_leaves_the_last_ones() {
    let folder = TempDir::new().unwrap();
    let path = with_snapshots(folder.path(), &[2, 4]);
    fs::create_dir(snapshot_path(&path, 5)).unwrap();
    fs::write(snapshot_path(&path, 5).join("in the way"), b"").unwrap();
    let position = Position { number: 5, ..SnapshotFile::all(&path).unwrap()[1].read().unwrap().position };
    let error = SnapshotWriter::new(&path, Some(4)).write(&position, b"state", b"").unwrap_err();
    assert!(matches!(error, JournalError::Snapshot { .. }), "was {error}");
    let (number, _, remarks) = resumed(&path).unwrap();
    assert_eq!((number, remarks.len()), (Some(4), 1));
    assert!(!names(folder.path()).iter().any(|name| name.ends_with("draft")));
}
