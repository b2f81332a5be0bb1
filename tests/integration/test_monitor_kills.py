"""The monitor is killed again and again while reports come in: the figures are those of a run that was not.

`MONITOR_KILLS` says how often (`make soak-monitor`: 1,000), `MONITOR_SEED` plays one again.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from msgspec import structs

from relay.broker import Broker
from relay.broker_config import MONITOR, FollowerUser, LeaderUser
from relay.core.report import build_report
from relay.keys import create_nkey, load_nkey_seed, nkey_public
from relay.nats_bus import Bus
from relay.protocol import subjects
from relay.protocol.codec import encode_report
from relay.protocol.messages import CopyReport, Notice, StatusReport
from relay.store import DriftStore, FeedEntry, FeedHead, StorePlace
from tests.integration.relay_programs import ROOT
from tests.integration.test_monitor_on_broker import PUBLIC, Leader
from tests.store_places import Places
from tests.unit.relay.drift_samples import LEADER, START_MS, a_copy, a_signal, a_status

KILLS = int(os.environ.get("MONITOR_KILLS", "100"))
pytestmark = [pytest.mark.asyncio, pytest.mark.timeout(300 + 3 * KILLS), pytest.mark.system]

KILLS_BESIDE_A_SERVER = max(10, KILLS // 10)  # a life begins with a connection, which is most of it
SEED = int(os.environ.get("MONITOR_SEED", "7"))
SIGNALS_PER_KILL = 8
FOLLOWERS = ("steady", "bold", "tiny")
LIFE_S = (0.03, 0.3)
STORED_S_MAX = 30.0
REDELIVERED_S = 90.0  # what a dead monitor had not acknowledged comes again within half a minute


class Load:
    """What a leader and his followers say, with doubles, late ones and a word now and then."""

    def __init__(self, rng: random.Random, kills: int) -> None:
        self.signals = [
            a_signal(seq, at_ms=START_MS + seq * 700, price=str(rng.randrange(59_000, 61_000)))
            for seq in range(2, SIGNALS_PER_KILL * kills + 2)
        ]
        self.reports: list[tuple[int, CopyReport | StatusReport]] = []  # after which signal
        self.sent: list[CopyReport | StatusReport] = []
        for published in self.signals:
            for follower in FOLLOWERS:
                price = str(rng.randrange(59_000, 61_000)) if rng.random() < 0.8 else None
                copy = a_copy(published, follower, price=price)
                late = published.seq + rng.choice((-3, 0, 0, 0, 5, 20))
                self.reports += [(late, copy)] * rng.choice((1, 1, 1, 2))
                if published.seq % 4 == 0:
                    word = a_status(follower, at_ms=published.signal.sealed_ms, exposure_gap="0.1")
                    self.reports.append((published.seq, word))
        self.reports.sort(key=lambda pair: pair[0])
        self._wanted = asyncio.Semaphore(0)

    def more(self) -> None:
        """Another life has begun: there is something to store in it, however long beginning took."""
        for _ in range(SIGNALS_PER_KILL):
            self._wanted.release()

    async def send(self, leader: Bus, followers: dict[str, Bus], rng: random.Random) -> None:
        """All of it, as fast as it is lived through."""
        publisher, waiting = Leader(leader), list(reversed(self.reports))
        await publisher.publish(Notice(notice="started", text="", sealed_ms=START_MS))
        for published in self.signals:
            await self._wanted.acquire()
            await publisher.publish(published.signal)
            while waiting and waiting[-1][0] <= published.seq:
                await self._report(followers, waiting.pop()[1], rng)
            await asyncio.sleep(0.01)
        while waiting:
            await self._report(followers, waiting.pop()[1], rng)

    async def _report(
        self, followers: dict[str, Bus], report: CopyReport | StatusReport, rng: random.Random
    ) -> None:
        if isinstance(report, StatusReport):  # a word is of the moment it is sent at
            report = structs.replace(report, sent_ms=time.time_ns() // 1_000_000)
        self.sent.append(report)
        name = f"{rng.random()}"  # a double under another name: the broker passes it on
        await followers[report.follower_id].publish_report(
            LEADER, report.follower_id, encode_report(report), name
        )

    def undisturbed(self, place: StorePlace) -> None:
        """The same in a store that nobody killed."""
        items = [FeedEntry(FeedHead(LEADER, 1, p.seq, "h"), p.signal) for p in self.signals]
        with DriftStore.open(place) as store:
            store.write(items)
            for at in range(0, len(self.sent), 1_000):
                store.write(self.sent[at : at + 1_000])


class Lives:
    """Monitors, one at a time."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def begin(self) -> int:
        assert self._process.stdin is not None
        self._process.stdin.write(b"\n")
        await self._process.stdin.drain()
        return await self._number()

    async def kill(self, pid: int) -> None:
        os.kill(pid, signal.SIGKILL)
        assert await self._number() == -signal.SIGKILL, "it had ended by itself"

    async def _number(self) -> int:
        assert self._process.stdout is not None
        return int(await asyncio.wait_for(self._process.stdout.readline(), 60))


@asynccontextmanager
async def lives(*arguments: str) -> AsyncIterator[Lives]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.integration.monitor_lives", *arguments),
        cwd=ROOT,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        yield Lives(process)
    finally:
        process.kill()
        await process.wait()


async def test_a_monitor_killed_under_load_has_the_figures_of_one_that_was_not(
    places: Places, tmp_path: Path
) -> None:
    killed, whole = places("killed"), places("whole")
    kills = KILLS if isinstance(killed, Path) else KILLS_BESIDE_A_SERVER
    rng = random.Random(SEED)
    load = Load(rng, kills)
    seeds = {}
    for name in (LEADER, *FOLLOWERS):
        create_nkey(tmp_path / f"{name}.nk")
        seeds[name] = load_nkey_seed(tmp_path / f"{name}.nk")
    users = [FollowerUser(name, nkey_public(seeds[name]), (LEADER,)) for name in FOLLOWERS]
    broker = Broker(tmp_path / "broker", [LeaderUser(LEADER, nkey_public(seeds[LEADER]))], users)
    DriftStore.open(killed).close()
    await broker.start()
    try:
        buses = {
            name: await Bus.connect(broker.url, seed, subjects.inbox_prefix(name), name)
            for name, seed in seeds.items()
        }
        sending = asyncio.create_task(load.send(buses[LEADER], buses, rng))
        key = load_nkey_seed(tmp_path / "broker" / f"{MONITOR}.nk")
        seen: set[int] = set()
        async with lives(broker.url, key, str(killed), LEADER, PUBLIC) as monitors:
            for number in range(kills):
                pid = await monitors.begin()
                load.more()
                if number % 2:  # every other one is killed before it has stored anything, maybe
                    await until_stored(killed, max(seen, default=0))
                await asyncio.sleep(rng.uniform(*LIFE_S))
                await monitors.kill(pid)
                seen.add(sum(_counts(killed).values()))
            await sending
            load.undisturbed(whole)
            pid = await monitors.begin()
            async with asyncio.timeout(REDELIVERED_S):
                while _counts(killed) != _counts(whole):  # noqa: ASYNC110 - another process writes it
                    await asyncio.sleep(0.1)
            await monitors.kill(pid)
        for bus in buses.values():
            await bus.close()
    finally:
        await broker.stop()
    sys.stdout.write(f"\n{kills} kills, {len(seen)} after new rows, seed {SEED}: {_counts(killed)}\n")
    assert len(seen) >= kills // 2, "lives must have stored something before they ended"
    assert _report(killed) == _report(whole)


async def until_stored(place: StorePlace, rows: int) -> None:
    async with asyncio.timeout(STORED_S_MAX):
        while sum(_counts(place).values()) <= rows:  # noqa: ASYNC110 - another process writes it
            await asyncio.sleep(0.02)


def _counts(place: StorePlace) -> dict[str, int]:
    with DriftStore.open_for_reading(place) as store:
        return store.counts()


def _report(place: StorePlace) -> dict[str, object]:
    with DriftStore.open_for_reading(place) as store:
        report = build_report(store.figures(), {}, {})
    del report["left_out"]["arrivals"]  # how reports came is another matter: here half of them came again
    return report
