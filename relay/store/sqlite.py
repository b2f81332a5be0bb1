"""The drift store on SQLite: one file, one writer, any number of readers.

Belongs here: opening and migrating, one transaction per batch, the queries a report is read by.
Does not belong here: which field is which column (`rows`), the figures (`relay.core`), the bus
(`relay.monitor`).

A batch is durable when `write` returns (WAL, synchronous FULL). Writing the same items again, in any order
and any grouping, ends in the same rows.
"""

from __future__ import annotations

import sqlite3
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, Self

from relay.core.verdicts import ReportRows
from relay.errors import Failed
from relay.protocol.messages import CopyReport, StatusReport
from relay.store.rows import (
    COPY_COLUMNS,
    COPY_KEY,
    FILL_COLUMNS,
    ORDER_COLUMNS,
    SIGNAL_COLUMNS,
    STATUS_COLUMNS,
    FeedEntry,
    FeedHead,
    MarketSample,
    RefusedReport,
    StoreItem,
    copy_from,
    copy_row,
    fill_rows,
    order_rows,
    signal_from,
    signal_row,
    status_from,
    status_row,
)

__all__ = ["BATCH_ITEMS_MAX", "DriftStore", "RowFilter", "StoreError"]

BATCH_ITEMS_MAX = 2_000
BUSY_TIMEOUT_SECONDS = 5.0
TABLES = ("signals", "copies", "orders", "fills", "statuses", "market_samples", "refused")


class StoreError(Failed):
    """The store cannot be opened or is not a drift store; one line that names the file."""


@dataclass(frozen=True, slots=True)
class RowFilter:
    """What a report is about; None = everything. Times are of the leader's signal."""

    since_ms: int = 0
    leader_id: str | None = None
    follower_id: str | None = None
    symbol: str | None = None


class DriftStore:
    """One open store. Not for use by two threads at the same moment."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        connection.row_factory = sqlite3.Row

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open for reading and writing; made and migrated as needed. Raises `StoreError`."""
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(f"store {path}: {error.strerror}") from error
        connection = _connect(path, "rwc")
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            _migrate(connection)
        except sqlite3.Error as error:
            connection.close()
            raise StoreError(f"store {path}: {error}") from error
        return cls(connection)

    @classmethod
    def open_for_reading(cls, path: Path) -> Self:
        """Open an existing store without changing it. Raises `StoreError`."""
        if not path.is_file():
            raise StoreError(f"store {path}: there is no such file")
        connection = _connect(path, "ro")
        try:
            current = _applied(connection) == [number for number, _ in _migrations()]
        except sqlite3.Error as error:
            connection.close()
            raise StoreError(f"store {path}: {error}") from error
        if not current:
            connection.close()
            raise StoreError(f"store {path}: was not written by this version of the monitor")
        return cls(connection)

    def close(self) -> None:
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def write(self, batch: Sequence[StoreItem]) -> None:
        """Store a batch in one transaction, durable on return. Raises `StoreError`, with nothing stored."""
        assert len(batch) <= BATCH_ITEMS_MAX, "the caller bounds its batches"
        connection = self._connection
        try:
            connection.execute("BEGIN IMMEDIATE")
            for item in batch:
                self._write_item(item)
            connection.execute("COMMIT")
        except sqlite3.Error as error:
            raise StoreError(f"store: {error}") from error
        finally:
            if connection.in_transaction:
                connection.execute("ROLLBACK")

    def head(self, leader_id: str) -> FeedHead | None:
        """How far this leader's feed is stored; None = nothing of it."""
        row = self._one("SELECT * FROM feed_heads WHERE leader_id = ?", (leader_id,))
        return (
            None if row is None else FeedHead(row["leader_id"], row["epoch"], row["seq"], row["header_hash"])
        )

    def counts(self) -> dict[str, int]:
        """Rows per table."""
        return {
            table: self._connection.execute(f"SELECT COUNT(*) FROM {table}").fetchone()[0] for table in TABLES
        }

    def read_rows(self, where: RowFilter | None = None) -> ReportRows:
        """Everything that a report is folded from."""
        where = where or RowFilter()
        parameters = {
            "since": where.since_ms,
            "leader": where.leader_id,
            "follower": where.follower_id,
            "symbol": where.symbol,
        }
        self._connection.execute("BEGIN")
        try:
            signals = [signal_from(row) for row in self._connection.execute(_SIGNALS_SQL, parameters)]
            statuses = [status_from(row) for row in self._connection.execute(_STATUSES_SQL, parameters)]
            joined = {
                (row["follower_id"], row["leader_id"]): row["joined_ms"]
                for row in self._connection.execute(_JOINED_SQL, parameters)
            }
            reasons = self._connection.execute("SELECT reason FROM refused")
            refused = Counter(row["reason"] for row in reasons)
            return ReportRows(signals, self._copies(parameters), statuses, joined, refused)
        finally:
            self._connection.execute("COMMIT")

    def read_samples(self, symbol: str, from_ms: int, to_ms: int) -> list[MarketSample]:
        """Prices over wall time: those recorded, and those that the leaders' signals carried."""
        rows = self._connection.execute(_SAMPLES_SQL, {"symbol": symbol, "from": from_ms, "to": to_ms})
        return [MarketSample(*row) for row in rows]

    def _copies(self, parameters: dict[str, Any]) -> list[CopyReport]:
        orders: dict[tuple[Any, ...], list[Any]] = defaultdict(list)
        fills: dict[tuple[Any, ...], dict[str, list[Any]]] = defaultdict(lambda: defaultdict(list))
        for row in self._connection.execute(_of_copies("orders", "place"), parameters):
            orders[_key(row)].append(row)
        for row in self._connection.execute(_of_copies("fills", "place"), parameters):
            fills[_key(row)][row["client_order_id"]].append(row)
        rows = self._connection.execute(f"SELECT c.* {_COPIES_FROM} {_COPIES_ORDER}", parameters)
        return [copy_from(row, orders.get(_key(row), []), fills.get(_key(row), {})) for row in rows]

    def _write_item(self, item: StoreItem) -> None:
        if isinstance(item, FeedEntry):
            head = item.head
            if item.signal is not None:
                self._connection.execute(_INSERT_SIGNAL, signal_row(head, item.signal))
            self._connection.execute(_UPSERT_HEAD, (head.leader_id, head.epoch, head.seq, head.header_hash))
        elif isinstance(item, CopyReport):
            self._write_copy(item)
        elif isinstance(item, StatusReport):
            self._connection.execute(_UPSERT_STATUS, status_row(item))
        elif isinstance(item, RefusedReport):
            values = (item.digest, item.subject, item.refusal.reason, item.refusal.detail)
            self._connection.execute(_INSERT_REFUSED, values)
        else:
            values_of_sample = (item.symbol, item.wall_ms, item.market_ms, item.index, item.mark, item.last)
            self._connection.execute(_INSERT_SAMPLE, values_of_sample)

    def _write_copy(self, copy: CopyReport) -> None:
        """Store the verdict, and its orders and fills with it, unless a greater version is stored already."""
        if self._connection.execute(_UPSERT_COPY, copy_row(copy)).rowcount == 0:
            return
        key = (copy.follower_id, copy.leader_id, copy.epoch, copy.seq)
        for table in ("fills", "orders"):
            self._connection.execute(
                f"DELETE FROM {table} WHERE follower_id = ? AND leader_id = ? AND epoch = ? AND seq = ?", key
            )
        self._connection.executemany(_INSERT_ORDER, order_rows(copy))
        self._connection.executemany(_INSERT_FILL, fill_rows(copy))

    def _one(self, sql: str, parameters: tuple[Any, ...]) -> Any:
        return self._connection.execute(sql, parameters).fetchone()


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


def _migrations() -> list[tuple[int, str]]:
    """Numbered SQL files of the package, ascending."""
    folder = resources.files("relay.store") / "schema"
    files = sorted((f for f in folder.iterdir() if f.name.endswith(".sql")), key=lambda f: f.name)
    return [(int(f.name.split("_", 1)[0]), f.read_text(encoding="utf-8")) for f in files]


def _applied(connection: sqlite3.Connection) -> list[int]:
    return [row[0] for row in connection.execute("SELECT version FROM schema_versions ORDER BY version")]


def _migrate(connection: sqlite3.Connection) -> None:
    """Apply what is missing, all or nothing per file."""
    connection.execute("CREATE TABLE IF NOT EXISTS schema_versions (version BIGINT NOT NULL PRIMARY KEY)")
    for number, sql in _migrations():
        connection.execute("BEGIN IMMEDIATE")
        if number not in _applied(connection):
            for statement in _statements(sql):
                connection.execute(statement)
            connection.execute("INSERT INTO schema_versions (version) VALUES (?)", (number,))
        connection.execute("COMMIT")


def _statements(sql: str) -> Iterable[str]:
    """Single statements of a file (its SQL holds no semicolon but the one that ends a statement)."""
    lines = (line.split("--", 1)[0] for line in sql.splitlines())
    return (statement for statement in "\n".join(lines).split(";") if statement.strip())


def _key(row: Any) -> tuple[Any, ...]:
    return tuple(row[name] for name in COPY_KEY)


def _insert(table: str, columns: Sequence[str], rest: str) -> str:
    marks = ", ".join("?" * len(columns))
    return f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks}) {rest}"


def _greater_wins(table: str, columns: Sequence[str], key: Sequence[str]) -> str:
    updates = ", ".join(f"{name} = excluded.{name}" for name in columns if name not in key)
    return f"ON CONFLICT ({', '.join(key)}) DO UPDATE SET {updates} WHERE excluded.digest > {table}.digest"


def _of_copies(table: str, order: str) -> str:
    keys = ", ".join(f"c.{name}" for name in COPY_KEY)
    selected = f"SELECT {keys} {_COPIES_FROM}"
    return f"SELECT * FROM {table} WHERE ({', '.join(COPY_KEY)}) IN ({selected}) ORDER BY {order}"


_NOTHING = "ON CONFLICT DO NOTHING"
_INSERT_SIGNAL = _insert("signals", SIGNAL_COLUMNS, _NOTHING)
_INSERT_ORDER = _insert("orders", ORDER_COLUMNS, _NOTHING)
_INSERT_FILL = _insert("fills", FILL_COLUMNS, _NOTHING)
_INSERT_REFUSED = _insert("refused", ("digest", "subject", "reason", "detail"), _NOTHING)
_INSERT_SAMPLE = _insert(
    "market_samples",
    ("symbol", "wall_ms", "market_ms", "index_price", "mark_price", "last_price"),
    _NOTHING,
)
_UPSERT_COPY = _insert("copies", COPY_COLUMNS, _greater_wins("copies", COPY_COLUMNS, COPY_KEY))
_UPSERT_STATUS = _insert(
    "statuses",
    STATUS_COLUMNS,
    _greater_wins("statuses", STATUS_COLUMNS, ("follower_id", "leader_id", "sent_ms")),
)
_UPSERT_HEAD = _insert(
    "feed_heads",
    ("leader_id", "epoch", "seq", "header_hash"),
    "ON CONFLICT (leader_id) DO UPDATE SET epoch = excluded.epoch, seq = excluded.seq,"
    " header_hash = excluded.header_hash"
    " WHERE (excluded.epoch, excluded.seq) > (feed_heads.epoch, feed_heads.seq)",
)

_SIGNALS_SQL = """SELECT * FROM signals WHERE sealed_ms >= :since
  AND (:leader IS NULL OR leader_id = :leader) AND (:symbol IS NULL OR symbol = :symbol)
  ORDER BY leader_id, epoch, seq"""
_COPIES_FROM = """FROM copies c LEFT JOIN signals s
  ON s.leader_id = c.leader_id AND s.epoch = c.epoch AND s.seq = c.seq
  WHERE COALESCE(s.sealed_ms, c.received_ms) >= :since
  AND (:leader IS NULL OR c.leader_id = :leader) AND (:follower IS NULL OR c.follower_id = :follower)
  AND (:symbol IS NULL OR COALESCE(s.symbol, c.symbol) = :symbol)"""
_COPIES_ORDER = "ORDER BY c.follower_id, c.leader_id, c.epoch, c.seq"
_STATUSES_SQL = """SELECT * FROM statuses t
  WHERE (:leader IS NULL OR leader_id = :leader) AND (:follower IS NULL OR follower_id = :follower)
  AND (sent_ms >= :since OR sent_ms = (SELECT MAX(sent_ms) FROM statuses u
    WHERE u.follower_id = t.follower_id AND u.leader_id = t.leader_id))
  ORDER BY follower_id, leader_id, sent_ms"""
_JOINED_SQL = """SELECT follower_id, leader_id, MIN(heard_ms) AS joined_ms FROM (
    SELECT follower_id, leader_id, sent_ms AS heard_ms FROM statuses
    UNION ALL SELECT follower_id, leader_id, received_ms FROM copies) heard
  WHERE (:leader IS NULL OR leader_id = :leader) AND (:follower IS NULL OR follower_id = :follower)
  GROUP BY follower_id, leader_id"""
_SAMPLES_SQL = """SELECT symbol, wall_ms, market_ms, index_price, mark_price, last_price FROM market_samples
  WHERE symbol = :symbol AND wall_ms BETWEEN :from AND :to
  UNION SELECT symbol, sealed_ms, NULL, index_price, mark_price, last_price FROM signals
  WHERE symbol = :symbol AND sealed_ms BETWEEN :from AND :to
  ORDER BY 2"""
