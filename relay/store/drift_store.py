"""The drift store: one writer, any number of readers, on whichever database it is opened.

Belongs here: opening, and the store as one thing. Does not belong here: databases (`database`, `postgres`),
how rows are written, read and counted (`writing`, `reading`, `counting`).

A batch is durable when `write` returns. Writing the same items again, in any order and any grouping, ends in
the same rows and the same figures.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Self

from relay.core.alarms import Alarm
from relay.core.intake import Odd
from relay.core.report import Figures
from relay.core.verdicts import ReportRows
from relay.protocol.messages import StatusReport
from relay.store.counting import count_minutes, drop_parts, sum_up
from relay.store.database import Database, SqliteDatabase, StoreError, migrate, versions_missing
from relay.store.exporting import export_tables
from relay.store.looks import Looks
from relay.store.postgres import PostgresDatabase
from relay.store.pruning import bound_refused, prune
from relay.store.reading import Reader, RowFilter
from relay.store.rows import FeedHead, MarketSample, StoreItem, VenueFact
from relay.store.stretches import Stretches
from relay.store.tracking import TrackedWords
from relay.store.writing import Writer

__all__ = ["TABLES", "DriftStore", "StorePlace", "store_place"]

SIGNAL_NUMBER_LENGTH_MAX = 30
WORDS_SUMMED_EACH = 2  # stretches of followers' words beside each one of signals

StorePlace = Path | str  # a SQLite file, or the URL of a PostgreSQL database

TABLES = ("signals", "copies", "orders", "fills", "statuses", "market_samples", "refused", "venue_facts")


def store_place(text: str) -> StorePlace:
    """The store that a command line or a setting names."""
    return text if text.startswith(("postgres://", "postgresql://")) else Path(text)


def _database(place: StorePlace, *, writes: bool) -> Database:
    if not isinstance(place, Path):
        return PostgresDatabase.open(place, writes=writes)
    return SqliteDatabase.open(place) if writes else SqliteDatabase.open_for_reading(place)


class DriftStore:
    """One open store. Not for use by two threads at the same moment."""

    def __init__(self, database: Database, *, writes: bool) -> None:
        self._database = database
        self._stretches = Stretches(database)
        self._tracked = TrackedWords(database)
        self._looks = Looks(database)
        self._reader = Reader(database, self._stretches, self._tracked)
        self._writer = Writer(database, self._stretches, self._tracked) if writes else None

    @classmethod
    def open(cls, place: StorePlace) -> Self:
        """Open for reading and writing; made and migrated as needed. Raises `StoreError`."""
        database = _database(place, writes=True)
        try:
            migrate(database)
            return cls(database, writes=True)
        except StoreError:
            database.close()
            raise

    @classmethod
    def migrate(cls, place: StorePlace) -> list[int]:
        """Bring a store to this version's tables; returns the numbers of what was applied."""
        database = _database(place, writes=True)
        try:
            return migrate(database)
        finally:
            database.close()

    @classmethod
    def open_for_reading(cls, place: StorePlace) -> Self:
        """Open an existing store without changing it. Raises `StoreError`."""
        database = _database(place, writes=False)
        try:
            if versions_missing(database):
                raise StoreError(f"store {database.name}: was not written by this version of the monitor")
            return cls(database, writes=False)
        except StoreError:
            database.close()
            raise

    def close(self) -> None:
        self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def write(self, batch: Sequence[StoreItem]) -> list[Odd]:
        """Store a batch in one transaction, durable on return; returns what was odd about how it came. Raises
        `StoreError`, with nothing stored.
        """
        assert self._writer is not None, "opened for reading"
        return self._writer.write(batch)

    def count(self, now_ms: int, stretches_max: int = 240) -> int:
        """Count stretches of time that are over, from minutes to days; returns how many.

        Bounded, so that writing does not wait for long: whoever wants everything calls until it returns 0.
        """
        done = count_minutes(self._database, self._reader, self._stretches, now_ms, stretches_max)
        self._tracked.sum_up(now_ms, WORDS_SUMMED_EACH * stretches_max)
        done += sum_up(self._database, self._stretches, now_ms, stretches_max - done)
        drop_parts(self._database, self._stretches, now_ms)
        bound_refused(self._database)
        return done

    def prune(self, until_ms: int) -> int:
        """Take away some rows of counted days before this moment; 0 = there are none left."""
        return prune(self._database, self._stretches, until_ms)

    @property
    def kept_since_ms(self) -> int:
        """Before this moment there are sums and no rows; 0 = everything is there."""
        return self._stretches.read_kept()

    def head(self, leader_id: str) -> FeedHead | None:
        """How far this leader's feed is stored; None = nothing of it."""
        rows = self._database.rows("SELECT * FROM feed_heads WHERE leader_id = ?", (leader_id,))
        return next((FeedHead(r["leader_id"], r["epoch"], r["seq"], r["header_hash"]) for r in rows), None)

    def counts(self) -> dict[str, int]:
        """Rows per table."""
        return {table: self._database.rows(f"SELECT COUNT(*) AS n FROM {table}")[0]["n"] for table in TABLES}

    def names(self) -> dict[str, list[str]]:
        """Every `leader`, `follower` and `symbol` that the store knows."""
        return self._reader.names()

    def figures(self, where: RowFilter | None = None, *, in_steps: bool = False) -> Figures:
        """What a report is printed from; `in_steps`: with as many steps of the trend as there are."""
        return self._reader.figures(where or RowFilter(), in_steps=in_steps)

    def read_rows(
        self, where: RowFilter | None = None, signals_max: int | None = None, words_max: int | None = None
    ) -> ReportRows:
        """Signals, verdicts and words one by one; of more than so many signals or words the latest, and
        everybody's last word.
        """
        return self._reader.rows(where or RowFilter(), signals_max, words_max)

    def read_signal(self, signal_id: str) -> ReportRows | None:
        """One signal, by `LEADER.EPOCH.SEQ`, with every verdict on it; None where it is not known."""
        leader_id, _, rest = signal_id.partition(".")
        epoch, _, seq = rest.partition(".")
        if not (epoch.isdecimal() and seq.isdecimal() and len(rest) < SIGNAL_NUMBER_LENGTH_MAX):
            return None
        rows = self._reader.signal(leader_id, int(epoch), int(seq))
        return rows if rows.signals else None

    def read_hours(self, where: RowFilter | None = None) -> Iterator[ReportRows]:
        """The same hour by hour."""
        return self._reader.hours(where or RowFilter())

    def alarms(self, count_max: int = 200) -> list[tuple[Alarm, int | None]]:
        """The latest alarms, each with when it was over."""
        return self._looks.alarms(count_max)

    def open_alarms(self) -> list[Alarm]:
        """What was wrong when it was written last."""
        return self._looks.open_alarms()

    def export(self, folder: Path, form: str) -> list[tuple[str, int]]:
        """Every table as a file of a folder; returns file names and rows. Raises `Failed`."""
        return export_tables(self._database, folder, form)

    def last_statuses(self) -> list[StatusReport]:
        """The last word of every follower to every leader."""
        return self._reader.last_statuses()

    def read_venue_facts(self, kind: str, from_ms: int) -> list[VenueFact]:
        """What the venue said of its risk since then (`fund`, `adl`, `borrow_rate`), and the last before."""
        return self._looks.venue_facts(kind, from_ms)

    def read_samples(
        self, symbol: str, from_ms: int, to_ms: int, count_max: int | None = None
    ) -> list[MarketSample]:
        """Prices over wall time: those recorded, evenly thinned to about `count_max`, and those that the
        leaders' signals carried.
        """
        return self._looks.samples(symbol, from_ms, to_ms, count_max)
