"""dashboard_update: from a report's delivery to the open overview's new content, over its own port.

Belongs here: a monitor on a store that has a busy hour behind it, one open page as its script would read it,
the row. Does not belong here: a browser, whose drawing comes after.

The clock starts when the follower's report reaches the monitor and stops when the page, told by its stream of
news, has loaded itself again and shows the copy. The hour's minutes are counted before, as a monitor that was
there counts them; what happens during the updates is counted in passing.
"""

from __future__ import annotations

import asyncio
import re
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp

from benchmarks.drift_rows import entries, reports, statuses
from benchmarks.interleave import percentile
from benchmarks.signals import LEADER
from benchmarks.table import Row, reported
from relay.core.watch import AlarmLimits
from relay.dashboard import Dashboard
from relay.monitor import run_monitor
from relay.nats_bus import BusMessage, Delivery
from relay.protocol.codec import encode_report
from relay.protocol.messages import CopyReport
from relay.store import DriftStore, FeedEntry, StoreItem
from relay.watching import Watching

__all__ = ["NAMES", "run"]

NAMES = ("dashboard_update",)
TARGET_MS = 250
UPDATES = 40
SIGNALS_PER_MINUTE = 10
MINUTES = 60
FOLLOWERS = [f"f{number}" for number in range(20)]
WORD_EVERY_MS = 5_000
BATCH = 2_000
RELOAD_PAUSE_SECONDS = 0.04  # as the page's script waits for more news
COPIES = re.compile(r'>Copies</div><div class="value">([0-9,]+)<')
TOKEN = "a-token-of-the-benchmark"


def run(only: set[str] | None) -> list[Row]:
    """The row, if it is asked for."""
    if only is not None and only.isdisjoint(NAMES):
        return []
    with tempfile.TemporaryDirectory() as folder:
        times = asyncio.run(_measure(Path(folder) / "drift.sqlite"))
    note = (
        f"a report delivered to the monitor, stored, told and loaded again by an open overview, behind it an "
        f"hour of {MINUTES * SIGNALS_PER_MINUTE * len(FOLLOWERS):,} copies by {len(FOLLOWERS)} followers who "
        f"tell where they stand every {WORD_EVERY_MS // 1000} s; {UPDATES} updates, p95 "
        f"{percentile(times, 0.95):.0f} ms; at most {TARGET_MS} ms at p50 are wanted"
    )
    return [reported("dashboard_update", "ms", percentile(times, 0.5), [note]) | {"target": TARGET_MS}]


class _Reports:
    """A bus that hands over what is put in, and nothing else."""

    def __init__(self) -> None:
        self.queue: asyncio.Queue[Delivery] = asyncio.Queue()

    async def subscribe(self, _subject: str, _callback: Callable[[BusMessage], Awaitable[None]]) -> object:
        return None

    async def fetch_range(self, _stream: str, _from_seq: int, _count: int) -> list[tuple[int, bytes]]:
        return []

    async def consume_reports(self, _durable: str) -> AsyncIterator[Delivery]:
        while True:
            yield await self.queue.get()


async def _measure(place: Path) -> list[float]:
    told, waiting = _fill(place, time.time_ns() // 1_000_000)
    bus, watching, ready = _Reports(), Watching(AlarmLimits()), asyncio.Event()
    watching.hear_stored(told)
    monitor = asyncio.create_task(run_monitor(bus, place, {}, ready, watching=watching))
    board = Dashboard(place, watching, TOKEN, public_metrics=True)
    await ready.wait()
    await board.start("127.0.0.1", 0)
    headers = {"Authorization": f"Bearer {TOKEN}", "Accept": "text/html"}
    try:
        async with (
            aiohttp.ClientSession(board.address, headers=headers) as http,
            http.get("/events") as news,
        ):
            await news.content.readuntil(b"\n\n")
            return [await _update(bus, http, news, report) for report in waiting]
    finally:
        await board.stop()
        monitor.cancel()
        await asyncio.gather(monitor, return_exceptions=True)


def _fill(place: Path, now_ms: int) -> tuple[list[FeedEntry], list[CopyReport]]:
    """An hour up to now; returns the last minute's signals, and the reports that are not delivered yet."""
    count, step_ms = MINUTES * SIGNALS_PER_MINUTE, 60_000 // SIGNALS_PER_MINUTE
    told = entries(1, count, now_ms - count * step_ms, step_ms)
    copies = list(reports(told, FOLLOWERS))
    spoken = [now_ms - ago for ago in range(0, MINUTES * 60_000, WORD_EVERY_MS)]
    items: list[StoreItem] = [word for at_ms in spoken for word in statuses(FOLLOWERS, at_ms)]
    items += [*told, *copies[:-UPDATES]]
    with DriftStore.open(place) as store:
        for at in range(0, len(items), BATCH):
            store.write(items[at : at + BATCH])
        while store.count(now_ms):
            pass
    return told[-SIGNALS_PER_MINUTE:], copies[-UPDATES:]


async def _update(bus: _Reports, http: Any, news: Any, report: Any) -> float:
    async def ack() -> None: ...

    before = await _copies(http)
    start = time.perf_counter()
    bus.queue.put_nowait(Delivery(LEADER, report.follower_id, encode_report(report), report.seq, ack))
    while True:
        await news.content.readuntil(b"\n\n")
        await asyncio.sleep(RELOAD_PAUSE_SECONDS)
        if await _copies(http) > before:
            return (time.perf_counter() - start) * 1000


async def _copies(http: Any) -> int:
    """How many copies the overview says there are."""
    async with http.get("/") as answer:
        text = await answer.text()
    found = COPIES.search(text)
    assert found is not None, "the overview has a tile of copies"
    return int(found[1].replace(",", ""))
