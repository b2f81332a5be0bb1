"""reports_ingest: reports from the wire into the store, durable, beside bare inserts of their rows.

Belongs here: both sides, in the same batches. Does not belong here: the broker, which hands reports over in
either case.

Ours decodes and checks each report as the monitor does, while a thread writes the batch before. Beside it,
rows that were made before the clock started go into a store of the same tables, indices and settings, one
durable transaction for each batch of as many reports.
"""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from benchmarks.drift_rows import entries, reports, statuses
from benchmarks.interleave import interleave, spread
from benchmarks.table import Row, compared
from relay.core.intake import Odd
from relay.monitor import believed
from relay.nats_bus import Delivery
from relay.protocol.codec import encode_report
from relay.protocol.messages import CopyReport
from relay.store import DriftStore, rows_made
from relay.store.database import SqliteDatabase, insert
from relay.store.rows import (
    COPY_COLUMNS,
    FILL_COLUMNS,
    ORDER_COLUMNS,
    copy_row,
    fill_rows,
    order_rows,
)

__all__ = ["NAMES", "run"]

NAMES = ("reports_ingest",)
TARGET = 0.6
FOLLOWERS = [f"f{number}" for number in range(50)]
SIGNALS = 200  # of which every follower reports, in each round
BATCH_REPORTS = 64  # as the broker hands them to the monitor
READ_AT_ONCE = 50
FROM_MS = 1_800_000_000_000


def run(only: set[str] | None) -> list[Row]:
    """The row, if it is asked for."""
    if only is not None and only.isdisjoint(NAMES):
        return []
    with tempfile.TemporaryDirectory() as folder:
        rates = asyncio.run(interleave({"ours": _ours(Path(folder)), "bare": _bare(Path(folder))}))
    ours, bare = (statistics.median(rates[name]) for name in ("ours", "bare"))
    note = (
        f"reports of {len(FOLLOWERS)} followers, one order and one fill each, {BATCH_REPORTS} to a "
        f"transaction that is synced to disk; rounds {spread(rates['ours'])} beside {spread(rates['bare'])}"
    )
    name = "bare inserts, same store, same batches"
    return [compared("reports_ingest", "reports/s", ours, bare, name, [note]) | {"target": TARGET}]


def _batches(round_number: int) -> list[list[CopyReport]]:
    first = 1 + round_number * SIGNALS
    made = entries(first, SIGNALS, FROM_MS + first * 1000, 1000)
    found = list(reports(made, FOLLOWERS))
    return [found[at : at + BATCH_REPORTS] for at in range(0, len(found), BATCH_REPORTS)]


def _ours(folder: Path) -> Callable[[], Awaitable[float]]:
    store = DriftStore.open(folder / "ours.sqlite")
    store.write(statuses(FOLLOWERS, FROM_MS))
    rounds = iter(range(1000))

    async def measure() -> float:
        number = next(rounds)
        store.write(entries(1 + number * SIGNALS, SIGNALS, FROM_MS + (1 + number * SIGNALS) * 1000, 1000))
        wires = [[_delivery(report) for report in batch] for batch in _batches(number)]
        start = time.perf_counter()
        writing: asyncio.Task[list[Odd]] | None = None
        for batch in wires:
            items = []
            for delivery in batch:
                items.append(rows_made(believed(delivery)))
                if len(items) % READ_AT_ONCE == 0:
                    await asyncio.sleep(0)  # as between two messages of the broker
            if writing is not None:
                await writing
            writing = asyncio.create_task(asyncio.to_thread(store.write, items))
        assert writing is not None
        await writing
        return SIGNALS * len(FOLLOWERS) / (time.perf_counter() - start)

    return measure


def _delivery(report: CopyReport) -> Delivery:
    async def ack() -> None: ...

    return Delivery(report.leader_id, report.follower_id, encode_report(report), report.seq, ack)


def _bare(folder: Path) -> Callable[[], Awaitable[float]]:
    DriftStore.open(folder / "bare.sqlite").close()
    database = SqliteDatabase.open(folder / "bare.sqlite")
    statements = [
        insert("copies", COPY_COLUMNS),
        insert("orders", ORDER_COLUMNS),
        insert("fills", FILL_COLUMNS),
    ]
    rounds = iter(range(1000))

    async def measure() -> float:
        prepared = [
            (
                [copy_row(report) for report in batch],
                [row for report in batch for row in order_rows(report)],
                [row for report in batch for row in fill_rows(report)],
            )
            for batch in _batches(next(rounds))
        ]
        start = time.perf_counter()
        for tables in prepared:
            with database.transaction():
                for statement, rows in zip(statements, tables, strict=True):
                    database.run_many(statement, rows)
        return SIGNALS * len(FOLLOWERS) / (time.perf_counter() - start)

    return measure
