"""The follower's memory: one SQLite file, one writer, nothing sent before it is in here.

Belongs here: transactions, reading. Does not belong here: tables and migrations (`store_schema`), rows
(`store_rows`), what tells that it is lost (`store_witness`), what to record and when (`executor`).

WAL: a commit that is `durable` is on the disk when the call returns (`synchronous=FULL`). The steps of a copy
are not: a process that is killed loses none of them, and `kept` waits for the disk before anything leaves
that rests on them, an order or a report. So many followers of one process wait together (`disk`). The head of
the feed moves only in the transaction that records what became of the signal.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec

from follower_client.core.order import OrderState
from follower_client.disk import WriteAheadLog
from follower_client.errors import StoreError
from follower_client.records import Copy, CopyKey, Head, Order
from follower_client.store_rows import (
    GET_FILLS,
    PUT_COPY,
    PUT_FILL,
    PUT_HEAD,
    PUT_ORDER,
    fill_of,
    row_of_copy,
    row_of_fill,
    row_of_order,
)
from follower_client.store_schema import MIGRATIONS, SUMMED, crc
from follower_client.store_witness import Witness, orders_seen, refuse_lost, refuse_older
from follower_client.venue.port import VenueFill

__all__ = ["INSTRUMENTS_MARK", "OutboxRow", "Store"]

INSTRUMENTS_MARK = "instruments"
"""The mark that keeps the venue's filters as they were at the last start, for a replay."""

BUSY_TIMEOUT_S = 5.0
ZERO = Decimal(0)

OutboxRow = tuple[int, str, bytes]


class Store:
    """Every method is one transaction. A failure of SQLite becomes a `StoreError`: then nothing may be
    sent.
    """

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self._db = connection
        self._durable = True
        self._witness: Witness | None = None
        self._orders = 0
        self.log = WriteAheadLog(path)

    @classmethod
    def open(cls, path: Path, *, read_only: bool = False, anew: bool = False) -> Store:
        """Open or create, check, migrate; one that is lost is made again with `anew` alone. Raises
        `StoreError` naming the file.
        """
        try:
            seen = 0 if anew else orders_seen(path)
            if not anew:
                refuse_lost(path)
            if read_only:
                connection = sqlite3.connect(
                    f"file:{path}?mode=ro", uri=True, isolation_level=None, timeout=BUSY_TIMEOUT_S
                )
                connection.execute("SELECT count(*) FROM copies").fetchone()
                connection.create_function("crc", -1, crc, deterministic=True)
                store = cls(connection, path)
                refuse_older(path, seen, store._order_count())
                return store
            path.touch(mode=0o600, exist_ok=True)
            connection = sqlite3.connect(path, isolation_level=None, timeout=BUSY_TIMEOUT_S)
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=FULL")
            if connection.execute("PRAGMA integrity_check").fetchone()[0] != "ok":
                raise StoreError(f"{path}: the store is damaged")
            connection.create_function("crc", -1, crc, deterministic=True)
            store = cls(connection, path)
            store._migrate(path)
            store.check_sums(path)
            refuse_older(path, seen, store._order_count())
            store._witness = Witness(path, store._order_count())
        except (sqlite3.Error, OSError, OverflowError, UnicodeDecodeError) as error:
            raise StoreError(f"{path}: {error}") from None
        return store

    def close(self) -> None:
        self.log.close()
        self._db.close()
        if self._witness is not None:
            self._witness.close()

    def _order_count(self) -> int:
        return int(self._rows("SELECT coalesce(max(rowid), 0) FROM orders")[0][0])

    def _count_orders(self, order: Order | None, *, durable: bool) -> None:
        """After the commit that one may have been new in; the witness hears of it when it is on the disk."""
        if order is not None and order.state is OrderState.INTENT:
            self._orders = self._order_count()
            if durable and self._witness is not None:
                self._witness.tell(self._orders)

    async def kept(self) -> None:
        """Return when everything that was recorded before the call is on the disk."""
        orders = self._orders
        await self.log.kept()
        if self._witness is not None:
            self._witness.tell(orders)

    def _migrate(self, path: Path) -> None:
        version = int(self._db.execute("PRAGMA user_version").fetchone()[0])
        if version > len(MIGRATIONS):
            raise StoreError(
                f"{path}: version {version} is newer than this program's, which is {len(MIGRATIONS)}"
            )
        for number in range(version, len(MIGRATIONS)):
            with self._transaction():
                for statement in MIGRATIONS[number].split(";"):
                    if statement.strip():
                        self._db.execute(statement)
                self._db.execute(f"PRAGMA user_version={number + 1}")

    def check_sums(self, path: Path) -> None:
        """Raises `StoreError` where a row is not as it was written."""
        for table, columns in SUMMED.items():
            sql = f"SELECT count(*) FROM {table} NOT INDEXED WHERE crc <> crc({', '.join(columns)})"
            if self._rows(sql)[0][0]:
                raise StoreError(
                    f"{path}: the store is damaged: rows of {table} are not as they were written"
                )

    @contextmanager
    def _transaction(self, *, durable: bool = True) -> Iterator[None]:
        try:
            if durable is not self._durable:
                self._db.execute(f"PRAGMA synchronous={'FULL' if durable else 'NORMAL'}")
                self._durable = durable
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")
            if not durable:
                self.log.note()
        except sqlite3.Error as error:
            raise StoreError(f"store: {error}") from None

    @contextmanager
    def _soon(self) -> Iterator[None]:
        """Durable; among many followers not when it returns, but as soon as it is this store's turn."""
        with self._transaction(durable=self.log.is_alone):
            yield
        self.log.begin()

    def _rows(self, sql: str, *values: object) -> list[Any]:
        try:
            return self._db.execute(sql, values).fetchall()
        except sqlite3.Error as error:
            raise StoreError(f"store: {error}") from None

    # --- identity and head

    def claim(self, identity: dict[str, str]) -> None:
        """Bind the store to a follower and account; raises `StoreError` if it belongs to another."""
        with self._transaction():
            for name, value in identity.items():
                row = self._db.execute("SELECT value FROM identity WHERE name=?", (name,)).fetchone()
                if row is None:
                    self._db.execute("INSERT INTO identity VALUES(?,?,?)", (name, value, crc(name, value)))
                elif row[0] != value:
                    raise StoreError(f"{name}: this data folder belongs to {row[0]}, not to {value}")

    def identity(self) -> dict[str, str]:
        return dict(self._rows("SELECT name, value FROM identity"))

    def head(self, leader_id: str) -> Head | None:
        rows = self._rows("SELECT epoch, seq, hash FROM feed WHERE leader_id=?", leader_id)
        return Head(*rows[0]) if rows else None

    def save_head(self, leader_id: str, head: Head) -> None:
        with self._soon():
            self._put_head(leader_id, head)

    def _put_head(self, leader_id: str, head: Head | None) -> None:
        if head is not None:
            self._db.execute(PUT_HEAD, (leader_id, head.epoch, head.seq, head.hash))

    # --- copies and orders

    def record(
        self,
        copy: Copy,
        *,
        order: Order | None = None,
        head: Head | None = None,
        report: tuple[str, bytes] | None = None,
    ) -> None:
        """One step of a copy: its row, with it the next intent, the head of the feed and its report. Not
        durable, as above.
        """
        with self._transaction(durable=False):
            self._db.execute(PUT_COPY, row_of_copy(copy))
            if order is not None:
                self._put_order(order)
            if report is not None:
                self._db.execute("INSERT OR IGNORE INTO outbox(msg_id, body) VALUES(?,?)", report)
            self._put_head(copy.leader_id, head)
        self._count_orders(order, durable=False)

    def record_order(self, order: Order, *, durable: bool = True) -> None:
        """An order's row; not `durable` = as above."""
        with self._transaction(durable=durable):
            self._put_order(order)
        self._count_orders(order, durable=durable)

    def _put_order(self, order: Order) -> None:
        self._db.execute(PUT_ORDER, row_of_order(order))

    def record_fill(self, fill: VenueFill, *, durable: bool = True) -> bool:
        """Whether the fill is new; not `durable` = as above."""
        with self._transaction(durable=durable):
            return self._db.execute(PUT_FILL, row_of_fill(fill)).rowcount > 0

    def adjust(self, symbol: str, qty: Decimal, at_ms: int, reason: str, leader_id: str) -> None:
        """Correct the journal's position by what happened outside this program."""
        with self._soon():
            number = self._db.execute("SELECT coalesce(max(id), 0) + 1 FROM adjustments").fetchone()[0]
            row = (number, symbol, str(qty), at_ms, reason, leader_id)
            self._db.execute("INSERT INTO adjustments VALUES(?,?,?,?,?,?,?)", (*row, crc(*row)))

    # --- what has to be remembered beside them

    def save_leader(self, leader_id: str, body: bytes) -> None:
        """What is known of a leader that no later message repeats."""
        with self._soon():
            self._db.execute(
                "INSERT OR REPLACE INTO leaders VALUES(?,?,?)", (leader_id, body, crc(leader_id, body))
            )

    def leader(self, leader_id: str) -> bytes | None:
        rows = self._rows("SELECT body FROM leaders WHERE leader_id=?", leader_id)
        return rows[0][0] if rows else None

    def save_marks(self, marks: dict[str, str]) -> None:
        """Named values: marks of equity, stages of a trial."""
        with self._soon():
            rows = [(name, value, crc(name, value)) for name, value in marks.items()]
            self._db.executemany("INSERT OR REPLACE INTO marks VALUES(?,?,?)", rows)

    def marks(self) -> dict[str, str]:
        return dict(self._rows("SELECT name, value FROM marks"))

    # --- reading

    def has_copy(self, key: CopyKey) -> bool:
        sql = "SELECT 1 FROM copies WHERE leader_id=? AND epoch=? AND seq=?"
        return bool(self._rows(sql, key.leader_id, key.epoch, key.seq))

    def open_copies(self, leader_id: str) -> list[Copy]:
        sql = "SELECT body FROM copies WHERE leader_id=? AND verdict IS NULL ORDER BY epoch, seq"
        return [msgspec.json.decode(row[0], type=Copy) for row in self._rows(sql, leader_id)]

    def copies(self, *, limit: int) -> list[Copy]:
        sql = "SELECT body FROM copies ORDER BY epoch DESC, seq DESC LIMIT ?"
        return [msgspec.json.decode(row[0], type=Copy) for row in self._rows(sql, limit)]

    def newest_copies(self, leader_id: str, *, limit: int) -> list[Copy]:
        """The leader's last signals, oldest first."""
        sql = "SELECT body FROM copies WHERE leader_id=? ORDER BY epoch DESC, seq DESC LIMIT ?"
        rows = self._rows(sql, leader_id, limit)
        return [msgspec.json.decode(row[0], type=Copy) for row in reversed(rows)]

    def executed_copies(self, leader_id: str, *, limit: int) -> list[Copy]:
        """The leader's first signals that became copies, oldest first."""
        sql = (
            "SELECT body FROM copies WHERE leader_id=? AND verdict IN ('copied', 'capped') "
            "ORDER BY epoch, seq LIMIT ?"
        )
        return [msgspec.json.decode(row[0], type=Copy) for row in self._rows(sql, leader_id, limit)]

    def is_own_order(self, client_order_id: str) -> bool:
        return bool(self._rows("SELECT 1 FROM orders WHERE client_order_id=?", client_order_id))

    def verdict_counts(self) -> dict[tuple[str, str], int]:
        sql = "SELECT coalesce(verdict, 'open'), reason, count(*) FROM copies GROUP BY 1, 2 ORDER BY 1, 2"
        return {(row[0], row[1]): row[2] for row in self._rows(sql)}

    def orders_of(self, key: CopyKey) -> list[Order]:
        sql = "SELECT body FROM orders WHERE leader_id=? AND epoch=? AND seq=? ORDER BY leg, n"
        rows = self._rows(sql, key.leader_id, key.epoch, key.seq)
        return [msgspec.json.decode(row[0], type=Order) for row in rows]

    def open_orders(self) -> list[Order]:
        """Stops of parts of positions are none: they rest until somebody needs them."""
        sql = (
            "SELECT body FROM orders WHERE state <> 'done' AND leg NOT LIKE 'stop %' "
            "ORDER BY epoch, seq, leg, n"
        )
        return [msgspec.json.decode(row[0], type=Order) for row in self._rows(sql)]

    def newest_order_ms(self) -> int:
        """When the latest order was to leave; 0 where there was none."""
        rows = self._rows("SELECT body FROM orders ORDER BY rowid DESC LIMIT 1")
        return msgspec.json.decode(rows[0][0], type=Order).send_by_ms if rows else 0

    def stop_orders(self, *, limit: int) -> list[Order]:
        """The latest stops of parts of positions, newest first."""
        sql = "SELECT body FROM orders WHERE epoch=0 AND seq=0 AND leg LIKE 'stop %' ORDER BY n DESC LIMIT ?"
        return [msgspec.json.decode(row[0], type=Order) for row in self._rows(sql, limit)]

    def executions(self, leader_id: str, symbol: str) -> list[tuple[bool, Decimal, Decimal | None]]:
        """(is a purchase, quantity, price) of a leader's copies, oldest first; corrections have no price."""
        sql = (
            "SELECT f.is_buy, f.qty, f.price, f.executed_ms FROM fills f "
            "JOIN orders o ON o.client_order_id = f.client_order_id WHERE o.leader_id=?1 AND f.symbol=?2 "
            "UNION ALL SELECT qty NOT LIKE '-%', ltrim(qty, '-'), NULL, at_ms FROM adjustments "
            "WHERE leader_id=?1 AND symbol=?2 ORDER BY 4"
        )
        return [
            (bool(row[0]), Decimal(row[1]), None if row[2] is None else Decimal(row[2]))
            for row in self._rows(sql, leader_id, symbol)
        ]

    def fills_of(self, client_order_id: str) -> list[VenueFill]:
        return [fill_of(row) for row in self._rows(GET_FILLS, client_order_id)]

    def leader_of(self, client_order_id: str) -> str | None:
        """Whose copy an own order belongs to; `None` for a foreign one."""
        if not client_order_id:
            return None
        rows = self._rows("SELECT leader_id FROM orders WHERE client_order_id=?", client_order_id)
        return rows[0][0] if rows else None

    def positions_by_leader(self) -> dict[str, dict[str, Decimal]]:
        """What copying built, per leader and symbol: own fills and adjustments."""
        found: dict[str, dict[str, Decimal]] = {}
        sql = (
            "SELECT coalesce(o.leader_id, ''), f.symbol, f.is_buy, f.qty FROM fills f "
            "LEFT JOIN orders o ON o.client_order_id = f.client_order_id"
        )
        for leader_id, symbol, is_buy, qty in self._rows(sql):
            own = found.setdefault(leader_id, {})
            own[symbol] = own.get(symbol, ZERO) + (Decimal(qty) if is_buy else -Decimal(qty))
        only = next(iter(found), "")
        for leader_id, symbol, qty in self._rows("SELECT leader_id, symbol, qty FROM adjustments"):
            own = found.setdefault(leader_id or only, {})
            own[symbol] = own.get(symbol, ZERO) + Decimal(qty)
        return {
            leader_id: {symbol: qty for symbol, qty in own.items() if qty != 0}
            for leader_id, own in found.items()
        }

    def positions(self) -> dict[str, Decimal]:
        """The same over all leaders."""
        total: dict[str, Decimal] = {}
        for own in self.positions_by_leader().values():
            for symbol, qty in own.items():
                total[symbol] = total.get(symbol, ZERO) + qty
        return {symbol: qty for symbol, qty in total.items() if qty != 0}

    # --- what is to be reported

    def outbox(self, limit: int) -> Sequence[OutboxRow]:
        return self._rows("SELECT id, msg_id, body FROM outbox ORDER BY id LIMIT ?", limit)

    def reported(self, row_id: int) -> None:
        """It has arrived; not durable: a report that is told again is known by its name."""
        with self._transaction(durable=False):
            self._db.execute("DELETE FROM outbox WHERE id=?", (row_id,))
