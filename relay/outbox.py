"""What the leader has said, written down before it is sent.

Belongs here: one SQLite file with every sealed message, the fills each one tells of, and the positions
after it. Does not belong here: sealing (`relay.publisher`), sending (`relay.nats_bus`).

A message is committed with fsync before its first byte leaves. What the broker has acknowledged is noted
with the next message, without an fsync of its own: after a crash the last few are sent again, byte for
byte, and the broker's stream shows that it has them. One process at a time holds the file.
"""

from __future__ import annotations

import fcntl
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol
from urllib.parse import quote

from relay.errors import Failed, InvariantBroken, TryAgain
from relay.protocol.signing import GENESIS_HASH

__all__ = ["STEP_FACT", "Happened", "Head", "Outbox", "Record"]

KEPT_MESSAGES_MAX = 100_000  # acknowledged ones beyond this are dropped, oldest first
PRUNE_EVERY = 1_000
STEP_FACT = "step:"  # and a fill's id: kept as long as the fill is
_VERSION = "1"
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_SCHEMA = """
CREATE TABLE IF NOT EXISTS message (
  seq INTEGER PRIMARY KEY, epoch INTEGER NOT NULL, kind TEXT NOT NULL, chain_hash TEXT NOT NULL,
  message_id TEXT NOT NULL UNIQUE, wire BLOB NOT NULL, sealed_ms INTEGER NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS fill (
  fill_id TEXT PRIMARY KEY, exec_ms INTEGER NOT NULL, seq INTEGER NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS fill_by_time ON fill (exec_ms);
CREATE TABLE IF NOT EXISTS fact (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
"""


class Happened(Protocol):
    """A fill or a change of the wallet: told once."""

    @property
    def event_id(self) -> str: ...

    @property
    def exec_ms(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Head:
    """Where the chain stands."""

    seq: int = 0
    chain_hash: str = GENESIS_HASH
    epoch: int = 0


@dataclass(frozen=True, slots=True)
class Record:
    """One sealed message."""

    seq: int
    epoch: int
    kind: str
    chain_hash: str
    message_id: str
    wire: bytes
    sealed_ms: int


class Outbox:
    """The leader's file. Opened with `Outbox.open`; used by one task."""

    def __init__(self, path: Path, lock: IO[str], database: sqlite3.Connection) -> None:
        self._path = path
        self._lock = lock
        self._database = database
        self._acknowledged_seq = int(self.fact("acknowledged_seq") or 0)
        self._since_prune = 0

    @classmethod
    def open(cls, path: Path, *, leader_id: str, key_id: str) -> Outbox:
        """Open or make the file of this leader and key.

        Raises `TryAgain` if another process has it, `Failed` if it is another leader's or key's,
        `InvariantBroken` if it is damaged.
        """
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = path.resolve()  # the lock of a file is one, whatever links lead to it
        lock = path.with_name(path.name + ".lock").open("w")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.close()
            raise TryAgain(f"leader.outbox: {path} is in use by another publisher") from None
        try:
            path.touch(mode=0o600)
            database = sqlite3.connect(path, isolation_level=None)
            database.execute("PRAGMA journal_mode = WAL")
            database.execute("PRAGMA synchronous = FULL")
            database.executescript(_SCHEMA)
            outbox = cls(path, lock, database)
            outbox._claim({"version": _VERSION, "leader_id": leader_id, "key_id": key_id})
            return outbox
        except sqlite3.DatabaseError as error:
            lock.close()
            raise InvariantBroken(f"leader.outbox: {path} cannot be read ({error})") from None
        except BaseException:
            lock.close()
            raise

    @staticmethod
    def key_id_in(path: Path) -> str | None:
        """The key that a file's next message is signed by; None if there is no such file. Takes no lock."""
        if not path.exists():
            return None
        try:
            database = sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True)
            try:
                row = database.execute("SELECT value FROM fact WHERE name = 'key_id'").fetchone()
            finally:
                database.close()
        except sqlite3.DatabaseError:
            return None  # `open` says what is wrong with it
        return str(row[0]) if row else None

    @property
    def home(self) -> str | None:
        """Which file this is, on which machine since when it was started: a copy of it has another home. None
        where the system does not say.
        """
        try:
            found = self._path.stat()
            return f"{_BOOT_ID.read_text('ascii').strip()} {found.st_dev} {found.st_ino}"
        except OSError:
            return None

    @property
    def head(self) -> Head:
        """The last message recorded, or what was adopted instead of one."""
        row = self._database.execute(
            "SELECT seq, chain_hash, epoch FROM message ORDER BY seq DESC LIMIT 1"
        ).fetchone()
        if row:
            return Head(*row)
        adopted = self.fact("adopted")
        if adopted:
            seq, chain_hash, epoch = adopted.split()
            return Head(int(seq), chain_hash, int(epoch))
        return Head()

    @property
    def acknowledged_seq(self) -> int:
        """The last message the broker is known to have."""
        return self._acknowledged_seq

    @property
    def state(self) -> str | None:
        """What `append` was last given as the state after it."""
        return self.fact("state")

    @property
    def told_through_ms(self) -> int:
        """By the venue's clock: the newest fill recorded, or the beginning of all telling; 0 if neither is
        known.
        """
        newest = self._database.execute("SELECT coalesce(max(exec_ms), 0) FROM fill").fetchone()[0]
        return max(int(newest), int(self.fact("began_ms") or 0))

    def append(
        self,
        record: Record,
        fills: Iterable[Happened] = (),
        state: str | None = None,
        began_ms: int | None = None,
        facts: Mapping[str, str] | None = None,
    ) -> None:
        """Record a message, the fills that are in it and the state after it, durably, in one transaction.

        `facts` are kept beside it, to be read with `fact` by later runs.
        """
        with self._transaction():
            self._database.execute(
                "INSERT INTO message VALUES (?, ?, ?, ?, ?, ?, ?)",
                (
                    record.seq,
                    record.epoch,
                    record.kind,
                    record.chain_hash,
                    record.message_id,
                    record.wire,
                    record.sealed_ms,
                ),
            )
            self._database.executemany(
                "INSERT INTO fill VALUES (?, ?, ?)",
                [(fill.event_id, fill.exec_ms, record.seq) for fill in fills],
            )
            self._set_fact("acknowledged_seq", str(self._acknowledged_seq))
            if state is not None:
                self._set_fact("state", state)
            if began_ms is not None:
                self._set_fact("began_ms", str(began_ms))
            for name, value in (facts or {}).items():
                self._set_fact(name, value)
        self._since_prune += 1
        if self._since_prune >= PRUNE_EVERY:
            self._prune()

    def acknowledge(self, seq: int) -> None:
        """The broker has everything up to here."""
        self._acknowledged_seq = max(self._acknowledged_seq, seq)

    def knows_fill(self, fill_id: str) -> bool:
        """Whether a recorded message has told of this fill."""
        return self.seq_of(fill_id) is not None

    def seq_of(self, fill_id: str) -> int | None:
        """The number of the message that told of it."""
        row = self._database.execute("SELECT seq FROM fill WHERE fill_id = ?", (fill_id,)).fetchone()
        return int(row[0]) if row else None

    def records(self, from_seq: int, count: int) -> list[Record]:
        """Recorded messages from a seq on, in order."""
        rows = self._database.execute(
            "SELECT seq, epoch, kind, chain_hash, message_id, wire, sealed_ms FROM message "
            "WHERE seq >= ? ORDER BY seq LIMIT ?",
            (from_seq, count),
        )
        return [Record(*row) for row in rows]

    def adopt(
        self,
        head: Head,
        told: Iterable[Happened] = (),
        state: str | None = None,
        facts: Mapping[str, str] | None = None,
    ) -> None:
        """Go on after a head that this file has never seen: it was lost, the stream was not. `told`, `state`,
        `facts`: what the stream says of the time before.
        """
        with self._transaction():
            self._database.execute("DELETE FROM message")
            self._database.executemany(
                "INSERT OR IGNORE INTO fill VALUES (?, ?, ?)",
                [(one.event_id, one.exec_ms, head.seq) for one in told],
            )
            for name, value in (dict(facts or {}) | ({} if state is None else {"state": state})).items():
                self._set_fact(name, value)
            self._set_fact("adopted", f"{head.seq} {head.chain_hash} {head.epoch}")
            self._set_fact("acknowledged_seq", str(head.seq))
        self._acknowledged_seq = head.seq

    def close(self) -> None:
        """Note what was acknowledged and let go of the file."""
        with self._transaction():
            self._set_fact("acknowledged_seq", str(self._acknowledged_seq))
        self._database.close()
        self._lock.close()

    def _claim(self, facts: dict[str, str]) -> None:
        with self._transaction():
            for name, value in facts.items():
                found = self.fact(name)
                if found is not None and found != value:
                    what = "; bring back the newest copy of leader.signing_key_file"
                    hint = what if name == "key_id" else ""
                    raise Failed(f"leader.outbox: {self._path} belongs to {name} {found}, not {value}{hint}")
                self._set_fact(name, value)

    def _prune(self) -> None:
        self._since_prune = 0
        oldest_kept = min(self.head.seq - KEPT_MESSAGES_MAX, self._acknowledged_seq)
        with self._transaction():
            self._database.execute("DELETE FROM message WHERE seq < ?", (oldest_kept,))
            self._database.execute("DELETE FROM fill WHERE seq < ?", (oldest_kept,))
            self._database.execute(
                "DELETE FROM fact WHERE substr(name, 1, ?) = ?"
                " AND substr(name, ?) NOT IN (SELECT fill_id FROM fill)",
                (len(STEP_FACT), STEP_FACT, len(STEP_FACT) + 1),
            )

    def fact(self, name: str) -> str | None:
        """What was last kept under a name; None if nothing was."""
        row = self._database.execute("SELECT value FROM fact WHERE name = ?", (name,)).fetchone()
        return str(row[0]) if row else None

    def _set_fact(self, name: str, value: str) -> None:
        self._database.execute(
            "INSERT INTO fact VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
            (name, value),
        )

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._database.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._database.execute("ROLLBACK")
            raise
        self._database.execute("COMMIT")
