"""The group commit under stress: every answer comes, once, in order, none before its bytes are written."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import random
import resource
import select
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from simulated_exchange._engine import Engine
from simulated_exchange.clock import MarketClock
from simulated_exchange.driver import JOURNAL_FAILURES, Driver, DriverSettings, Event, replayed_events
from simulated_exchange.errors import JournalFailedError
from tests.unit.simulated_exchange.held_commits import HeldCommitter
from tests.unit.simulated_exchange.listing_rooms import shipped_genesis

GENESIS = shipped_genesis()
FIRST = 100_000  # of the accounts, one for each command
PATIENCE = 30  # seconds
CLIENTS = 30
LOOKS = 40  # into the journal as it was when an answer came


class ShakyJournal:
    """Stands where the engine stands: commits of random length, of which one fails when it is told to."""

    def __init__(self, dice: random.Random, *, failing_commit: int) -> None:
        self._dice = dice
        self._left = failing_commit
        self._applied = 0
        self.durable = 0

    def market_ms(self) -> int:
        return 0

    def create_account(self, market_ms: int, wall_us: int, account: int) -> Any:
        self._applied = account
        event = Event.AccountCreated(account=account, sequence=account, market_ms=market_ms, wall_us=wall_us)
        return SimpleNamespace(reject=None, events=[event])

    def committer(self) -> HeldCommitter:
        return HeldCommitter(self.sync)

    def sync(self) -> int:
        covered = self._applied
        time.sleep(self._dice.random() * 0.002)
        self._left -= 1
        if self._left == 0:
            raise OSError("input/output error")
        self.durable = covered
        return covered


class Crowd:
    """Clients of one driver, each of which asks, waits for its answer, and asks again."""

    def __init__(self, driver: Driver, dice: random.Random, look: Callable[[int], object] = id) -> None:
        """`look` is called with the number of each answer as it leaves."""
        self.driver = driver
        self.told: Counter[int] = Counter()
        self.failed: Counter[int] = Counter()
        self.released: list[int] = []
        self.handed_out: list[int] = []
        self._accounts = count(FIRST)
        self._dice = dice
        self._look = look
        driver.subscribe_durable(lambda events: self.handed_out.extend(event.sequence for event in events))

    def ask(self) -> asyncio.Future[None]:
        """One command; done once it is told, or once it is told that it never will be."""
        account = next(self._accounts)
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.driver.create_account(account)

        def tell() -> None:
            self.told[account] += 1
            self.released.append(account)
            self._look(account)
            done.set_result(None)

        def fail() -> None:
            self.failed[account] += 1
            done.set_result(None)

        self.driver.when_durable(tell, fail)
        return done

    async def client(self, requests: int) -> None:
        """Asks, with all kinds of pauses, until the journal fails."""
        dice = self._dice
        for _ in range(requests):
            try:
                done = self.ask()
                if dice.random() < 0.5:
                    await self.driver.committed()
                    assert done.done(), "who waited was woken before the commit was handed out"
            except JOURNAL_FAILURES:
                return
            await done
            if dice.random() < 0.7:
                await asyncio.sleep(dice.choice([0, 0, 0.001 * dice.random()]))

    async def all(self, requests: int) -> None:
        """All clients; a client that is never answered fails the test."""
        async with asyncio.timeout(PATIENCE):
            await asyncio.gather(*(self.client(requests) for _ in range(CLIENTS)))


@contextlib.asynccontextmanager
async def interrupted(driver: Driver, dice: random.Random) -> AsyncIterator[None]:
    """The loop's commit task, ended and begun anew now and then, commits in flight or not."""

    async def work() -> None:
        while True:
            commits = asyncio.create_task(driver.run())
            await asyncio.sleep(dice.random() * 0.02)
            commits.cancel()
            await asyncio.wait([commits])
            if not commits.cancelled():
                return

    working = asyncio.create_task(work())
    try:
        yield
    finally:
        working.cancel()
        await asyncio.wait([working])


@contextlib.contextmanager
def files_no_larger_than(size: int) -> Iterator[None]:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def diced() -> random.Random:
    seed = random.randrange(2**32)
    print(f"seed {seed}")  # noqa: T201
    return random.Random(seed)


def written(path: Path) -> set[int]:
    """The accounts in a journal, or in what there is of it."""
    return {
        event.account
        for batch in replayed_events(path)
        for event in batch
        if isinstance(event, Event.AccountCreated)
    }


def written_bytes(journal: Path) -> int:
    """Without the room behind them."""
    return len(journal.read_bytes().rstrip(b"\0"))


@pytest.mark.asyncio
@pytest.mark.parametrize("is_interrupted", [False, True])
async def test_every_answer_comes_once_in_order_and_behind_its_bytes(
    is_interrupted: bool, tmp_path: Path
) -> None:
    dice, journal = diced(), tmp_path / "exchange.journal"
    driver = Driver.open(DriverSettings(GENESIS, MarketClock(0), journal, "fsync"))
    sizes: dict[int, int] = {}  # of the journal when an answer left
    crowd = Crowd(driver, dice, lambda account: sizes.update({account: written_bytes(journal)}))
    if is_interrupted:
        async with interrupted(driver, dice):
            await crowd.all(15)
    else:
        commits = asyncio.create_task(driver.run())
        await crowd.all(15)
        commits.cancel()
        await asyncio.wait([commits])
    in_flight = [crowd.ask() for _ in range(20)]
    commits = asyncio.create_task(driver.run())
    await asyncio.sleep(0)  # a commit of these has begun
    in_flight += [crowd.ask() for _ in range(20)]
    commits.cancel()
    await asyncio.wait([commits])
    driver.close()
    assert all(done.done() for done in in_flight)

    asked = CLIENTS * 15 + 40
    assert crowd.failed == {}
    assert crowd.told == Counter(range(FIRST, FIRST + asked))
    assert crowd.released == sorted(crowd.released)
    assert len(crowd.handed_out) == asked and crowd.handed_out == sorted(crowd.handed_out)
    assert written(journal) == set(crowd.told)
    whole, cut = journal.read_bytes(), tmp_path / "cut.journal"
    for account in dice.sample(sorted(sizes), LOOKS):
        cut.write_bytes(whole[: sizes[account]])
        assert account in written(cut), "it was told before it was written"


@pytest.mark.asyncio
@pytest.mark.parametrize("is_interrupted", [False, True])
async def test_an_answer_leaves_after_a_commit_that_covers_it_or_says_that_there_will_be_none(
    is_interrupted: bool,
) -> None:
    dice = diced()
    journal = ShakyJournal(random.Random(dice.random()), failing_commit=dice.randrange(1, 40))
    driver = Driver(cast("Engine", journal), MarketClock(0), "fsync", None)
    early: list[int] = []
    crowd = Crowd(driver, dice, lambda account: early.extend([account] * (account > journal.durable)))
    if is_interrupted:
        async with interrupted(driver, dice):
            await crowd.all(1000)
    else:
        commits = asyncio.create_task(driver.run())
        await crowd.all(1000)
        with pytest.raises(JournalFailedError, match="input/output error"):
            await commits
    driver.close()
    assert early == []
    assert crowd.released == sorted(crowd.released)
    # What came between the asking and the sync is on disk as well, but nobody was told so.
    assert crowd.handed_out == list(range(FIRST, FIRST + len(crowd.handed_out)))
    assert FIRST + len(crowd.handed_out) <= max(journal.durable + 1, FIRST)
    assert crowd.told == Counter(crowd.handed_out)
    asked = crowd.told + crowd.failed
    assert crowd.failed and asked == Counter(range(FIRST, FIRST + len(asked)))


@pytest.mark.asyncio
async def test_a_full_disk_fails_every_answer_that_it_did_not_take(tmp_path: Path) -> None:
    dice, path = diced(), tmp_path / "exchange.journal"
    driver = Driver.open(DriverSettings(GENESIS, MarketClock(0), path, "fsync"))
    crowd = Crowd(driver, dice)
    commits = asyncio.create_task(driver.run())
    with files_no_larger_than(path.stat().st_size + dice.randrange(20_000)):
        await crowd.all(1000)
        with pytest.raises(JournalFailedError, match="cannot write"):
            await commits
    driver.close()
    asked = crowd.told + crowd.failed
    assert asked == Counter(range(FIRST, FIRST + len(asked)))
    assert crowd.failed, "the disk took everything"
    del driver, commits, crowd.driver
    gc.collect()  # the journal stays locked for as long as its engine lives
    assert set(crowd.told) <= written(path)
    Engine.recover(str(path), "fsync")


@pytest.mark.asyncio
async def test_a_full_disk_at_the_end_is_a_failure_of_the_journal(tmp_path: Path) -> None:
    path = tmp_path / "exchange.journal"
    driver = Driver.open(DriverSettings(GENESIS, MarketClock(0), path, "fsync"))
    crowd = Crowd(driver, random.Random(1))
    done = crowd.ask()
    with (
        files_no_larger_than(path.stat().st_size),
        pytest.raises(JournalFailedError, match="cannot write"),
    ):
        driver.close()
    assert (done.done(), crowd.told, list(crowd.failed)) == (True, {}, [FIRST])


def test_a_committer_whose_journal_is_gone_says_so(tmp_path: Path) -> None:
    engine = Engine.create(GENESIS, str(tmp_path / "exchange.journal"), "fsync")
    committer = engine.committer()
    assert committer is not None and committer.ended() is None
    del engine
    gc.collect()
    committer.begin()
    waiting = select.poll()
    waiting.register(committer.fileno(), select.POLLIN)
    assert waiting.poll(PATIENCE * 1000)
    with pytest.raises(OSError, match=r"pipe"):
        committer.ended()
