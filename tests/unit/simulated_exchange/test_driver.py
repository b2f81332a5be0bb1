"""The driver's promises: nothing leaves before it is durable, answers go first, one failure ends it."""

from __future__ import annotations

import asyncio
import gc
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from simulated_exchange._engine import Engine
from simulated_exchange.clock import MarketClock
from simulated_exchange.driver import (
    Driver,
    DriverSettings,
    Event,
    Reject,
    replayed_events,
    verify_journal_file,
)
from simulated_exchange.errors import JournalFailedError
from simulated_exchange.instruments import SCALE
from simulated_exchange.ledger import Ledger
from tests.unit.simulated_exchange.held_commits import HeldCommitter
from tests.unit.simulated_exchange.listing_rooms import shipped_genesis

GENESIS = shipped_genesis()
ALICE = 100_000


class SlowJournal:
    """Stands where the engine stands; a commit ends when the test says so."""

    def __init__(self) -> None:
        self.may_end = threading.Event()
        self.commits = 0
        self.failure: Exception | None = None

    def market_ms(self) -> int:
        return 0

    def create_account(self, market_ms: int, wall_us: int, account: int) -> Any:
        event = Event.AccountCreated(account=account, sequence=account, market_ms=market_ms, wall_us=wall_us)
        return SimpleNamespace(reject=None, events=[event])

    def committer(self) -> HeldCommitter:
        return HeldCommitter(self.sync)

    def sync(self) -> int:
        assert self.may_end.wait(10)
        self.may_end.clear()
        self.commits += 1
        if self.failure is not None:
            raise self.failure
        return 0


def slow_driver() -> tuple[Driver, SlowJournal]:
    journal = SlowJournal()
    return Driver(cast("Engine", journal), MarketClock(0), "fsync", None), journal


@pytest.mark.asyncio
async def test_events_leave_after_the_commit_and_acknowledgements_before_them() -> None:
    driver, journal = slow_driver()
    story: list[str] = []
    driver.subscribe(lambda events: story.append(f"applied {len(events)}"))

    def durable(_events: Any) -> None:
        story.append("durable")
        asyncio.get_running_loop().call_soon(story.append, "pushed")

    driver.subscribe_durable(durable)
    commits = asyncio.create_task(driver.run())

    async def request() -> None:
        driver.create_account(ALICE)
        await driver.committed()
        story.append("acknowledged")

    asking = asyncio.create_task(request())
    for _ in range(10):
        await asyncio.sleep(0)
    assert story == ["applied 1"]
    journal.may_end.set()
    await asking
    await asyncio.sleep(0)
    assert story == ["applied 1", "durable", "acknowledged", "pushed"]
    commits.cancel()
    driver.close()


@pytest.mark.asyncio
async def test_requests_that_arrive_during_a_commit_share_the_next_one() -> None:
    driver, journal = slow_driver()
    commits = asyncio.create_task(driver.run())

    async def request(account: int) -> None:
        driver.create_account(account)
        await driver.committed()

    first = asyncio.create_task(request(ALICE))
    for _ in range(10):
        await asyncio.sleep(0)
    others = [asyncio.create_task(request(ALICE + number)) for number in range(1, 50)]
    for _ in range(10):
        await asyncio.sleep(0)
    journal.may_end.set()
    await first
    assert not any(task.done() for task in others)
    journal.may_end.set()
    await asyncio.gather(*others)
    assert journal.commits == 2
    commits.cancel()
    driver.close()


@pytest.mark.asyncio
async def test_a_failed_commit_acknowledges_nothing_and_ends_the_driver() -> None:
    driver, journal = slow_driver()
    journal.failure = OSError("no space left on device")
    durable: list[Any] = []
    driver.subscribe_durable(durable.append)
    commits = asyncio.create_task(driver.run())
    driver.create_account(ALICE)
    journal.may_end.set()
    with pytest.raises(JournalFailedError, match="no space left"):
        await driver.committed()
    with pytest.raises(JournalFailedError):
        await commits
    with pytest.raises(JournalFailedError):
        driver.create_account(ALICE + 1)
    assert durable == []
    driver.close()


@pytest.mark.asyncio
async def test_a_disk_that_does_not_answer_ends_the_driver_and_the_process_may_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("simulated_exchange.driver_commits.COMMIT_SECONDS_MAX", 0.05)
    monkeypatch.setattr("simulated_exchange.driver_commits.LAST_COMMIT_SECONDS_MAX", 0.05)
    driver, journal = slow_driver()
    commits = asyncio.create_task(driver.run())
    driver.create_account(ALICE)
    with pytest.raises(JournalFailedError, match="the disk does not answer"):
        await driver.committed()
    with pytest.raises(JournalFailedError):
        await commits
    driver.close()
    stuck = [thread for thread in threading.enumerate() if thread.name == "commit"]
    assert all(thread.daemon for thread in stuck), "a stuck commit must not keep the process alive"
    journal.may_end.set()

    closing, journal = slow_driver()
    closing.create_account(ALICE)
    with pytest.raises(JournalFailedError, match="the disk does not answer"):
        closing.close()
    journal.may_end.set()


@pytest.mark.asyncio
async def test_what_was_read_is_told_when_it_is_durable() -> None:
    driver, journal = slow_driver()
    commits = asyncio.create_task(driver.run())
    told: list[str] = []
    driver.when_durable(lambda: told.append("nothing pending"))
    assert told == ["nothing pending"]
    driver.create_account(ALICE)
    driver.when_durable(lambda: told.append("first"))
    driver.when_durable(lambda: told.append("second"))
    assert told == ["nothing pending"]
    journal.may_end.set()
    await driver.committed()
    assert told == ["nothing pending", "first", "second"]
    commits.cancel()
    driver.close()


@pytest.mark.asyncio
async def test_a_recovered_driver_goes_on_where_the_journal_ended(tmp_path: Path) -> None:
    journal = tmp_path / "exchange.journal"
    future_ms = 2_000_000_000_000
    driver = Driver.open(DriverSettings(GENESIS, MarketClock(future_ms, 100.0), journal, "os"))
    commits = asyncio.create_task(driver.run())
    events: list[Event] = []
    driver.subscribe_durable(events.extend)
    driver.create_account(ALICE)
    driver.deposit(ALICE, 1000 * SCALE)
    for instrument in range(2):
        for source in range(3):
            driver.set_index_source(instrument=instrument, source=source, price=100 * SCALE)
    await driver.committed()
    commits.cancel()
    await asyncio.wait([commits])
    driver.close()
    ended_ms, state_hash = driver.market_ms(), driver.state_hash()
    del driver, commits
    gc.collect()  # the journal stays locked for as long as its engine lives
    assert verify_journal_file(journal).state_hash == state_hash

    again = Driver.open(DriverSettings("not looked at", MarketClock(0), journal, "os"))
    assert again.recovery is not None
    assert again.state_hash() == state_hash
    assert again.account(ALICE).wallet_balance == 1000 * SCALE
    assert again.create_account(ALICE).reject == Reject.AccountExists
    assert again.market_ms() <= ended_ms
    told = [event for batch in replayed_events(journal) for event in batch]
    assert told == events
    ledger = Ledger(2)
    ledger.watch(ALICE)
    for event in told:
        ledger.fold(event)
    assert ledger.account(ALICE) is not None
    assert ledger.markets[0].index_price == 100 * SCALE
    again.close()


def test_market_time_is_compressed_and_never_goes_back() -> None:
    now = [0]
    clock = MarketClock(1000, 120.0, monotonic_ns=lambda: now[0], time_ns=lambda: 5_000)
    now[0] = 500_000_000
    assert clock.market_ms() == 1000 + 60_000
    clock.not_before(200_000)
    assert clock.market_ms() == 200_000
    clock.not_before(5)
    assert clock.market_ms() == 200_000
    assert clock.wall_us() == 5
    with pytest.raises(ValueError, match="factor"):
        MarketClock(0, 0)
