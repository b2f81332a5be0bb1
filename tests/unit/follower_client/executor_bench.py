"""One executor on a venue in memory, for tests: offers signals, and knows what became of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

from follower_client.control import ControlFile
from follower_client.core.policy import Policy
from follower_client.desk import Desk
from follower_client.executor import Executor
from follower_client.failpoint import Failpoints
from follower_client.order_driver import now_ms
from follower_client.records import Copy
from follower_client.reports import Identity, Reporter
from follower_client.store import Store
from relay.protocol.codec import decode_report
from relay.protocol.messages import CopyReport, Signal
from relay.protocol.signing import Envelope
from tests.unit.follower_client.build import BTC, signal
from tests.unit.follower_client.fake_venue import FakeVenue
from tests.unit.follower_client.sealed import sealed

__all__ = ["Bench", "bench", "until"]

POLICY = Policy(label="test", leverage_max=Decimal(10))


class Deaf:
    """A bus that takes nothing, so that the outbox keeps every report."""

    async def publish_report(self, *_: Any, **__: Any) -> int:
        await asyncio.Event().wait()
        return 0


class Bench:
    """One executor, the signals it is offered, and what the store says afterwards."""

    def __init__(
        self,
        folder: Path,
        venue: FakeVenue,
        policy: Policy = POLICY,
        *,
        failpoints: Failpoints | None = None,
    ) -> None:
        self.venue = venue
        self.store = Store.open(folder / "follower.sqlite")
        identity = Identity("alice", "leader", policy.label, False)
        self.reporter = Reporter("alice", self.store, Deaf())
        self.control = ControlFile(folder)
        self.desk = Desk(policy, self.store, venue, self.control, failpoints or Failpoints(""))
        self.executor = Executor(identity, policy, self.desk, self.reporter)
        self.qty = Decimal(0)
        self.seq = 0
        self.running: list[asyncio.Task[None]] = []  # ended with the bench

    def told(self, after: str, **changes: Any) -> tuple[Envelope, Signal]:
        """The leader's next signal, as the feed hands it over."""
        self.seq += 1
        message = signal(before=str(self.qty), after=after, seq=self.seq, sealed_ms=now_ms(), **changes)
        self.qty = Decimal(after)
        return sealed(message, self.seq), message

    def offer(self, after: str, **changes: Any) -> int:
        self.executor.offer(*self.told(after, **changes))
        return self.seq

    async def verdict(self, seq: int) -> Copy:
        async with asyncio.timeout(20):
            while True:
                for copy in self.store.copies(limit=100):
                    if copy.seq == seq and copy.verdict is not None:
                        return copy
                await asyncio.sleep(0.01)

    def reports(self) -> list[CopyReport]:
        found = [decode_report(body) for _, _, body in self.store.outbox(1000)]
        return [report for report in found if isinstance(report, CopyReport)]

    def position(self) -> Decimal:
        return self.venue.account.positions().get(BTC, Decimal(0))


async def until(check: Callable[[], object]) -> None:
    for _ in range(500):
        if check():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it did not happen")


@asynccontextmanager
async def bench(
    folder: Path, venue: FakeVenue | None = None, policy: Policy = POLICY
) -> AsyncIterator[Bench]:
    built = Bench(folder, venue or FakeVenue(), policy)
    built.desk.prepare()
    built.executor.prepare()
    await built.venue.start(built.desk)
    running = built.running
    running.append(asyncio.create_task(built.executor.run()))
    try:
        async with asyncio.timeout(5):
            await built.executor.started.wait()
        running.append(asyncio.create_task(built.desk.reconcile()))
        yield built
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        built.store.close()
