"""What the drift store needs of a database, and SQLite as one.

Belongs here: connections, transactions, errors as `StoreError`, migrations. Does not belong here: any table's
meaning (`writing`, `reading`); PostgreSQL (`postgres`).

SQL is written once for all databases: plain statements with `?` for values.
"""

from __future__ import annotations

import fcntl
import re
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import IO, Any, Protocol, Self

from relay.errors import Failed

__all__ = ["Database", "Row", "SqliteDatabase", "StoreError", "insert", "migrate", "versions_missing"]

BUSY_TIMEOUT_SECONDS = 5.0
ROWS_AT_ONCE = 32

Row = Mapping[str, Any]


class StoreError(Failed):
    """The store cannot be opened or is not a drift store; one line that names it."""


class Database(Protocol):
    """One connection. Not for use by two threads at the same moment; errors are `StoreError`."""

    name: str  # for people; carries no secret

    def run(self, sql: str, values: Sequence[Any] = ()) -> None:
        """One statement."""

    def run_many(self, sql: str, rows: Sequence[Sequence[Any]]) -> None:
        """One statement with each of these rows."""

    def rows(self, sql: str, values: Sequence[Any] = ()) -> list[Row]:
        """What a statement finds; columns by name."""

    def columns(self, table: str) -> dict[str, str]:
        """A table's columns in their order: name and kind (`bigint`, `boolean`, `text`)."""

    def transaction(self) -> AbstractContextManager[None]:
        """All or nothing, durable at its end."""

    def view(self) -> AbstractContextManager[None]:
        """Reads inside see one moment."""

    def close(self) -> None: ...


class SqliteDatabase:
    """A SQLite file."""

    def __init__(self, connection: sqlite3.Connection, path: Path, lock: IO[bytes] | None = None) -> None:
        self._connection = connection
        self._lock = lock
        self.name = str(path)
        connection.row_factory = sqlite3.Row

    @classmethod
    def open(cls, path: Path) -> Self:
        """For reading and writing; made as needed. Raises `StoreError`."""
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(f"store {path}: {error.strerror}") from error
        lock = _one_writer(path)
        database = cls(_connect(path, "rwc"), path, lock)
        try:
            database._connection.execute("PRAGMA journal_mode = WAL")
            database._connection.execute("PRAGMA synchronous = FULL")
        except sqlite3.Error as error:
            database.close()
            raise StoreError(f"store {path}: {error}") from error
        return database

    @classmethod
    def open_for_reading(cls, path: Path) -> Self:
        """An existing file, unchanged. Raises `StoreError`."""
        if not path.is_file():
            raise StoreError(f"store {path}: there is no such file")
        return cls(_connect(path, "ro"), path)

    def run(self, sql: str, values: Sequence[Any] = ()) -> None:
        with self._told():
            self._connection.execute(sql, values)

    def run_many(self, sql: str, rows: Sequence[Sequence[Any]]) -> None:
        many = _many_at_once(sql)
        whole = len(rows) // ROWS_AT_ONCE * ROWS_AT_ONCE if many else 0
        with self._told():
            for at in range(0, whole, ROWS_AT_ONCE):
                self._connection.execute(many, [v for row in rows[at : at + ROWS_AT_ONCE] for v in row])
            self._connection.executemany(sql, rows[whole:])

    def rows(self, sql: str, values: Sequence[Any] = ()) -> list[Row]:
        with self._told():
            return self._connection.execute(sql, values).fetchall()

    def columns(self, table: str) -> dict[str, str]:
        return {row["name"]: row["type"].lower() for row in self.rows(f"PRAGMA table_info({table})")}

    @contextmanager
    def transaction(self) -> Iterator[None]:
        self.run("BEGIN IMMEDIATE")
        try:
            yield
            self.run("COMMIT")
        finally:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")

    @contextmanager
    def view(self) -> Iterator[None]:
        self.run("BEGIN")
        try:
            yield
        finally:
            self._connection.execute("ROLLBACK")

    def close(self) -> None:
        self._connection.close()
        if self._lock is not None:
            self._lock.close()

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OverflowError) as error:
            raise StoreError(f"store {self.name}: {error}") from error


def _one_writer(path: Path) -> IO[bytes]:
    """The lock of whoever writes: what it knows of the store in memory would be wrong beside another one."""
    try:
        lock = path.with_name(f"{path.name}.lock").open("ab")
    except OSError as error:
        raise StoreError(f"store {path}: {error.strerror}") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.close()
        raise StoreError(f"store {path}: another monitor writes it") from None
    return lock


def _connect(path: Path, mode: str) -> sqlite3.Connection:
    """Transactions are ours to begin; the one writer may hand the connection to a thread."""
    try:
        return sqlite3.connect(
            f"{path.absolute().as_uri()}?mode={mode}",
            uri=True,
            timeout=BUSY_TIMEOUT_SECONDS,
            isolation_level=None,
            check_same_thread=False,
        )
    except sqlite3.Error as error:
        raise StoreError(f"store {path}: {error}") from error


def versions_missing(database: Database) -> list[int]:
    """Schema files that this store has not had yet. Raises `StoreError` where it is no drift store."""
    applied = {row["version"] for row in database.rows("SELECT version FROM schema_versions")}
    return [number for number, _ in _schema() if number not in applied]


def migrate(database: Database) -> list[int]:
    """Apply what is missing, all or nothing per file; returns which. Raises `StoreError`."""
    database.run("CREATE TABLE IF NOT EXISTS schema_versions (version BIGINT NOT NULL PRIMARY KEY)")
    done = []
    for number, sql in _schema():
        with database.transaction():
            if number in versions_missing(database):
                for statement in _statements(sql):
                    database.run(statement)
                database.run("INSERT INTO schema_versions (version) VALUES (?)", (number,))
                done.append(number)
    return done


def insert(table: str, columns: Sequence[str], rest: str = "") -> str:
    """The statement that inserts one row of these columns."""
    marks = ", ".join("?" * len(columns))
    return f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks}) {rest}"


@lru_cache(maxsize=64)
def _many_at_once(sql: str) -> str:
    """The statement for `ROWS_AT_ONCE` rows; empty where it inserts none.

    Every step of a statement gives the interpreter's lock away and waits for it again, so row by row a thread
    that writes comes to a stand beside one that computes.
    """
    found = _ONE_ROW.search(sql)
    if found is None:
        return ""
    return f"{sql[: found.start(1)]}{', '.join([found[1]] * ROWS_AT_ONCE)}{sql[found.end(1) :]}"


_ONE_ROW = re.compile(r" VALUES (\(\?(?:, \?)*\))")


def _schema() -> list[tuple[int, str]]:
    """Numbered SQL files of the package, ascending."""
    folder = resources.files("relay.store") / "schema"
    files = sorted((f for f in folder.iterdir() if f.name.endswith(".sql")), key=lambda f: f.name)
    return [(int(f.name.split("_", 1)[0]), f.read_text(encoding="utf-8")) for f in files]


def _statements(sql: str) -> Iterable[str]:
    """Single statements of a file (its SQL holds no semicolon but the one that ends a statement)."""
    lines = (line.split("--", 1)[0] for line in sql.splitlines())
    return (statement for statement in "\n".join(lines).split(";") if statement.strip())
