//! A disk that fails: the error surfaces, and nothing is accepted or committed afterwards.

use super::*;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc;

struct FailingSink {
    write_fails: bool,
    commit_fails: Arc<AtomicBool>,
}

impl Sink for FailingSink {
    fn write(&mut self, _bytes: &[u8]) -> io::Result<()> {
        if self.write_fails { Err(io::Error::from(io::ErrorKind::StorageFull)) } else { Ok(()) }
    }

    fn commit(&mut self) -> io::Result<()> {
        let fails = self.commit_fails.load(Ordering::SeqCst);
        if fails { Err(io::Error::other("input/output error")) } else { Ok(()) }
    }
}

fn failing(write_fails: bool, commit_fails: bool) -> (Journal, Arc<AtomicBool>) {
    let commit_fails = Arc::new(AtomicBool::new(commit_fails));
    let sink = FailingSink { write_fails, commit_fails: Arc::clone(&commit_fails) };
    (on(Box::new(sink), Durability::Fsync), commit_fails)
}

fn on(sink: Box<dyn Sink>, durability: Durability) -> Journal {
    let genesis = Position { identity: [7; 16], number: 0, offset: 48, chain: 0 };
    Journal::new(Path::new("test.journal"), durability, sink, genesis, 100)
}

fn assert_stopped(journal: &Journal, cause: &str) {
    for error in [journal.append(b"later").unwrap_err(), journal.sync().unwrap_err()] {
        assert!(matches!(error, JournalError::Stopped { .. }), "was {error}");
        assert!(error.to_string().contains(cause), "was {error}");
    }
}

#[test]
fn a_full_disk_stops_the_journal() {
    let (journal, _) = failing(true, false);
    journal.append(b"one").unwrap();
    let error = journal.sync().unwrap_err();
    assert!(matches!(error, JournalError::Io { action: "write", .. }), "was {error}");
    assert_eq!(journal.committed_number(), 0);
    assert_stopped(&journal, "cannot write");
}

#[test]
fn a_failed_commit_is_never_retried() {
    let (journal, commit_fails) = failing(false, true);
    journal.append(b"one").unwrap();
    assert!(matches!(journal.sync().unwrap_err(), JournalError::Io { action: "commit", .. }));
    commit_fails.store(false, Ordering::SeqCst);
    assert_eq!(journal.committed_number(), 0);
    assert_stopped(&journal, "cannot commit");
}

#[test]
fn a_full_buffer_that_cannot_be_written_fails_the_append() {
    let (journal, _) = failing(true, false);
    let big = vec![7_u8; BUFFER_BYTES_MAX];
    assert!(matches!(journal.append(&big).unwrap_err(), JournalError::Io { action: "write", .. }));
    assert_stopped(&journal, "cannot write");
}

#[test]
fn the_device_that_is_always_full_reports_it() {
    let Ok(full) = OpenOptions::new().write(true).open("/dev/full") else {
        return; // Linux only
    };
    let journal = on(Box::new(full), Durability::Os);
    journal.append(b"one").unwrap();
    assert!(journal.sync().unwrap_err().to_string().starts_with("journal test.journal: cannot write: "));
    assert_stopped(&journal, "cannot write");
}

#[test]
fn room_is_prepared_used_and_given_back() {
    let folder = tempfile::TempDir::new().unwrap();
    let path = folder.path().join("journal");
    let length = || fs::metadata(&path).unwrap().len();
    let journal = Journal::create(&path, b"genesis", Durability::Fsync).unwrap();
    let mut lengths = vec![length()];
    let mut used = length();
    for _ in 0..400 {
        journal.append(&[7; 2000]).unwrap();
        journal.sync().unwrap();
        used += (FRAME_BYTES + 2 + 2000) as u64;
        assert!(length() >= used);
        lengths.push(length());
    }
    lengths.dedup();
    assert!(lengths.len() < 8, "the file grew {} times", lengths.len());
    let bytes = fs::read(&path).unwrap();
    assert!(bytes[usize::try_from(used).unwrap()..].iter().all(|byte| *byte == 0));
    drop(journal);
    assert_eq!(length(), used);
}

/// Says when its commit has begun and ends it when told to.
struct SlowSink {
    begun: mpsc::Sender<()>,
    may_end: mpsc::Receiver<()>,
}

impl Sink for SlowSink {
    fn write(&mut self, _bytes: &[u8]) -> io::Result<()> {
        Ok(())
    }

    fn commit(&mut self) -> io::Result<()> {
        self.begun.send(()).map_err(io::Error::other)?;
        self.may_end.recv().map_err(io::Error::other)
    }
}

#[test]
fn appends_go_on_during_a_commit_and_are_not_part_of_it() {
    let (begun, has_begun) = mpsc::channel();
    let (end, may_end) = mpsc::channel();
    let sink = SlowSink { begun, may_end };
    let journal = on(Box::new(sink), Durability::Fsync);
    journal.append(b"one").unwrap();
    std::thread::scope(|scope| {
        let commit = scope.spawn(|| journal.sync().unwrap());
        has_begun.recv().unwrap();
        assert_eq!(journal.append(b"two").unwrap(), 2);
        assert_eq!(journal.committed_number(), 0);
        end.send(()).unwrap();
        assert_eq!(commit.join().unwrap(), 1);
    });
    end.send(()).unwrap();
    assert_eq!(journal.sync().unwrap(), 2);
    end.send(()).unwrap(); // for the commit on drop
}

/// Tells every write and commit.
struct ToldSink(mpsc::Sender<&'static str>);

impl Sink for ToldSink {
    fn write(&mut self, _bytes: &[u8]) -> io::Result<()> {
        self.0.send("write").map_err(io::Error::other)
    }

    fn commit(&mut self) -> io::Result<()> {
        self.0.send("commit").map_err(io::Error::other)
    }
}

#[test]
fn a_group_is_on_disk_before_the_next_one_is_written() {
    let big = vec![7_u8; BUFFER_BYTES_MAX];
    for (durability, expected) in [
        (Durability::Fsync, ["write", "commit", "write", "commit"].as_slice()),
        (Durability::Os, ["write", "write"].as_slice()),
    ] {
        let (told, calls) = mpsc::channel();
        let journal = on(Box::new(ToldSink(told)), durability);
        journal.append(&big).unwrap();
        journal.append(&big).unwrap();
        assert_eq!(journal.sync().unwrap(), 2);
        assert_eq!(calls.try_iter().collect::<Vec<_>>(), expected);
    }
}

#[test]
fn a_marked_record_is_found_once_the_disk_has_it() {
    for durability in [Durability::Fsync, Durability::Os, Durability::None] {
        let (told, calls) = mpsc::channel();
        let journal = on(Box::new(ToldSink(told)), durability);
        assert_eq!(journal.mark(), 0);
        let genesis = journal.settle(0).unwrap().unwrap();
        assert_eq!((genesis.number, genesis.offset), (0, 48));
        journal.append(b"one").unwrap();
        journal.append(b"two").unwrap();
        assert_eq!(journal.mark(), 2);
        journal.append(b"three").unwrap();
        let position = journal.settle(2).unwrap().unwrap();
        assert_eq!((position.number, position.offset), (2, 100));
        assert_eq!(calls.try_iter().collect::<Vec<_>>(), ["write", "commit"], "{durability:?}");
        journal.append(b"four").unwrap();
        assert_eq!(journal.mark(), 4);
        assert_eq!(journal.settle(2).unwrap(), None, "another record is marked");
        let later = journal.settle(4).unwrap().unwrap();
        assert!(later.offset > position.offset && later.chain != position.chain);
    }
}
