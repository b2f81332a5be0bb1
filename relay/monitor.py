"""The drift monitor: listens to what leaders publish and followers report, and writes both down.

Belongs here: the bus on one side, the store on the other, and the one task that writes.
Does not belong here: what may be believed (`relay.protocol`, `core.intake`), the figures (`core.drift`,
`core.report`), tables and pictures (`relay.reporting`).

A report is acknowledged after the transaction that holds it, so a monitor that was down, killed or slow loses
nothing: reports wait at their durable consumer, signals in their leader's stream, and writing one twice
changes nothing.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Coroutine, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import msgspec
import structlog

from relay.broker_config import REPORTS_CONSUMER
from relay.core.intake import Came, Refusal, copy_refusal, word_refusal
from relay.core.verdicts import Pair
from relay.core.watch import AlarmLimits
from relay.hearing import FeedBus, GroupKey, Hearing
from relay.nats_bus import Delivery
from relay.protocol import subjects
from relay.protocol.codec import decode_report
from relay.protocol.errors import ProtocolError
from relay.protocol.messages import CopyReport
from relay.protocol.signing import PublicKey
from relay.store import (
    BATCH_ITEMS_MAX,
    CopyRows,
    DriftStore,
    RefusedReport,
    RowFilter,
    StoreItem,
    StorePlace,
    Word,
)
from relay.venue_watch import VenueWatch
from relay.watching import RECENT_MAX, Watching

__all__ = ["Members", "MonitorBus", "believed", "run_monitor"]

QUEUE_ITEMS_MAX = 4 * BATCH_ITEMS_MAX
COUNT_EVERY_SECONDS = 5.0
SIGNALS_REMEMBERED = 100  # with what became of them, at a start: what is wrong goes on

Members = Callable[[], Collection[Pair]]

_log = structlog.get_logger(__name__)


class MonitorBus(FeedBus, Protocol):
    """What the monitor asks of the bus (`relay.nats_bus.Bus`)."""

    def consume_reports(self, durable: str) -> AsyncIterator[Delivery]: ...


@dataclass(frozen=True, slots=True)
class _Work:
    """One item to store, and whom to tell once it is durable."""

    item: StoreItem
    ack: Callable[[], Awaitable[None]] | None = None


async def run_monitor(
    bus: MonitorBus,
    place: StorePlace,
    leaders: Mapping[str, PublicKey],
    ready: asyncio.Event | None = None,
    *,
    durable: str = REPORTS_CONSUMER,
    watching: Watching | None = None,
    keep_ms: int | None = None,
    venue: VenueWatch | None = None,
    evidence_in: Path | None = None,
    group_key: GroupKey | None = None,
    members: Members | None = None,
) -> None:
    """Write down every signal of these leaders and every report of their followers, until cancelled.

    Args:
        bus: may hear `feed.*` and `beat.*`, read the leaders' streams and consume `REPORTS`.
        place: the SQLite file, made if it is not there, or the URL of a PostgreSQL database.
        leaders: leader id -> public key (64 hex digits).
        watching: who hears what is stored, and what the feeds' readers say.
        venue: asks the leaders' venue for its own risk.
        group_key: the monitor's key to an epoch of a private group, None where the leader gave it none.
        evidence_in: the folder that leaders' contradictions are kept below; None: in the log alone.
        ready: set once every feed is subscribed and read up to its end.
        keep_ms: for how long rows are kept; what was counted of them stays.
        members: who may follow whom now; None: everybody who is heard of.

    Raises `StoreError` when the store can't be written, `BusError` when the bus is gone for good. On
    cancellation, what was received is stored before the store is closed.
    """
    store = await asyncio.to_thread(DriftStore.open, place)
    queue: asyncio.Queue[_Work] = asyncio.Queue(QUEUE_ITEMS_MAX)
    watching = watching or Watching(AlarmLimits())
    watching.remember(store.read_rows(RowFilter(), SIGNALS_REMEMBERED, 0), store.open_alarms(), leaders)
    writer = _Writer(store, queue, watching, keep_ms, members)
    keep = _keeper(queue)
    try:
        async with asyncio.TaskGroup() as tasks:
            feeds = [
                Hearing(bus, leader, key, store.head(leader), keep, watching, evidence_in, group_key)
                for leader, key in leaders.items()
            ]
            tasks.create_task(writer.run(), name="monitor-writer")
            for feed in feeds:
                await feed.start()
                tasks.create_task(feed.run(), name=f"monitor-feed-{feed.leader_id}")
            tasks.create_task(watching.run(), name="monitor-watching")
            tasks.create_task(_collect_reports(bus, queue, durable), name="monitor-reports")
            if venue is not None:
                watching.symbols.update(store.names()["symbol"])
                tasks.create_task(venue.run(keep), name="monitor-venue")
            if ready is not None:
                ready.set()
    except ExceptionGroup as group:
        raise group.exceptions[0] from group
    finally:
        await writer.finish()
        store.close()


class _Writer:
    """The only task that writes the store: whatever waits goes into one transaction, then is acknowledged.

    In between it counts minutes that are over and takes away rows that are old enough, a few at a time, so
    that reports never wait for long.
    """

    def __init__(
        self,
        store: DriftStore,
        queue: asyncio.Queue[_Work],
        watching: Watching,
        keep_ms: int | None,
        members: Members | None,
    ) -> None:
        self._keep_ms = keep_ms
        self._members = members
        self._said = store.last_statuses() if members is not None else []  # before this program began
        self._store = store
        self._queue = queue
        self._watching = watching
        self._writing: asyncio.Task[None] | None = None

    async def run(self) -> None:
        count_at = 0.0
        while True:
            batch: list[_Work] = []
            with suppress(TimeoutError):
                async with asyncio.timeout(COUNT_EVERY_SECONDS):
                    batch.append(await self._queue.get())
            batch += self._waiting(BATCH_ITEMS_MAX - RECENT_MAX - 1)
            batch += [_Work(record) for record in self._watching.records()]
            if batch:
                await self._undisturbed(self._write(batch))
            if time.monotonic() >= count_at:
                await self._undisturbed(self._part())
                await self._undisturbed(self._count())
                count_at = time.monotonic() + COUNT_EVERY_SECONDS

    async def _undisturbed(self, work: Coroutine[Any, Any, None]) -> None:
        """A cancellation does not tear a transaction from its acknowledgements."""
        self._writing = asyncio.create_task(work)
        await asyncio.shield(self._writing)

    async def finish(self) -> None:
        """Store what is left, so that an orderly end leaves nothing to be delivered again."""
        if self._writing is not None:
            await asyncio.wait([self._writing])
            if self._writing.exception() is not None:
                return  # the store can't be written: nothing was acknowledged, all of it comes again
        while batch := self._waiting(BATCH_ITEMS_MAX):
            await self._write(batch)
        if records := [_Work(record) for record in self._watching.records()]:
            await self._write(records)

    def _waiting(self, count: int) -> list[_Work]:
        return [self._queue.get_nowait() for _ in range(min(count, self._queue.qsize()))]

    async def _part(self) -> None:
        """Who was put out can't say that it stops: from now on it owes no verdict and is not missed."""
        if self._members is None:
            return
        members, now_ms = self._members(), time.time_ns() // 1_000_000
        words = [*self._said, *(heard.status for _, _, heard in self._watching.watch.followers())]
        self._said = []
        gone = {
            (word.follower_id, word.leader_id): msgspec.structs.replace(word, mode="stopped", sent_ms=now_ms)
            for word in words
            if word.mode != "stopped" and (word.follower_id, word.leader_id) not in members
        }
        if gone:
            await self._write([_Work(word) for word in gone.values()])

    async def _count(self) -> None:
        now_ms = time.time_ns() // 1_000_000
        await asyncio.to_thread(self._store.count, now_ms)
        if self._keep_ms is not None:
            await asyncio.to_thread(self._store.prune, now_ms - self._keep_ms)

    async def _write(self, batch: list[_Work]) -> None:
        items = [work.item for work in batch]
        odd = await asyncio.to_thread(self._store.write, items)
        self._watching.hear_stored(items)
        self._watching.hear_odd(odd)
        for work in batch:
            if work.ack is not None:
                await _acknowledge(work.ack)


def _keeper(queue: asyncio.Queue[_Work]) -> Callable[[Sequence[StoreItem]], Awaitable[None]]:
    async def keep(items: Sequence[StoreItem]) -> None:
        for item in items:
            await queue.put(_Work(item))

    return keep


async def _collect_reports(bus: MonitorBus, queue: asyncio.Queue[_Work], durable: str) -> None:
    async for delivery in bus.consume_reports(durable):
        await queue.put(_Work(believed(delivery), delivery.ack))


def believed(delivery: Delivery) -> StoreItem:
    """The report as an item to store, with how it came; or the record that it was refused."""
    came = None if delivery.came_ms is None else Came(delivery.came_ms, delivery.is_again)
    subject = subjects.reports(delivery.leader_id, delivery.follower_id)
    try:
        report = decode_report(delivery.data)
    except ProtocolError as error:
        return _refused(delivery, subject, Refusal(error.code, str(error)))
    if (report.leader_id, report.follower_id) != (delivery.leader_id, delivery.follower_id):
        detail = f"names follower {report.follower_id} of leader {report.leader_id}"
        return _refused(delivery, subject, Refusal("wrong_identity", detail))
    if isinstance(report, CopyReport):
        refusal = copy_refusal(report, came)
        return CopyRows.of(report, came) if refusal is None else _refused(delivery, subject, refusal)
    if came is None:
        return report
    refusal = word_refusal(report, came)
    if refusal is None:
        return Word(report, came)
    return replace(_refused(delivery, subject, refusal), word=report, came=came)


def _refused(delivery: Delivery, subject: str, refusal: Refusal) -> RefusedReport:
    _log.warning("report_refused", subject=subject, reason=refusal.reason, detail=refusal.detail)
    digest = hashlib.sha256(subject.encode() + b"\0" + delivery.data).hexdigest()
    return RefusedReport(digest, subject, refusal)


async def _acknowledge(ack: Callable[[], Awaitable[None]]) -> None:
    """Tell the broker; if that fails in whatever way, the report comes again and changes nothing."""
    try:
        await ack()
    except Exception as error:
        _log.warning("ack_failed", reason=str(error) or type(error).__name__)
