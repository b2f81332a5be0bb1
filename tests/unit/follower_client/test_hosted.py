"""Many followers of one process: what each costs the disk and the venue does not grow with their number."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from follower_client.closeout import Closeout
from follower_client.control import ControlFile, ControlState
from follower_client.core.snapshot import Control
from follower_client.disk import Disk, WriteAheadLog
from follower_client.errors import StoreError
from follower_client.store import Store
from follower_client.venue.port import Ending
from follower_client.venue.transport import Address, Budget, ask_sparely
from tests.unit.follower_client.executor_bench import Bench, bench, until
from tests.unit.follower_client.test_budget_and_upgrade import CountedVenue, accounts
from tests.unit.follower_client.test_ccxt_adapter import Ear, request

pytestmark = pytest.mark.asyncio


@asynccontextmanager
async def hosted(folder: Path, count: int) -> AsyncIterator[list[Bench]]:
    """So many followers, each with a store and a venue of its own, on one disk."""
    disk = Disk(count)
    try:
        async with AsyncExitStack() as stack:
            found = []
            for number in range(count):
                (own := folder / str(number)).mkdir()
                one = await stack.enter_async_context(bench(own))
                one.store.log.disk = disk
                one.desk.driver.send_slack_ms = 60_000  # however slow this machine is
                found.append(one)
            yield found
    finally:
        disk.close()


async def test_no_order_leaves_before_its_intent_is_on_the_disk_and_the_loop_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    released, sync = threading.Event(), WriteAheadLog.sync

    def held(log: WriteAheadLog) -> OSError | None:
        assert released.wait(30)
        return sync(log)

    async with hosted(tmp_path, 20) as followers:
        monkeypatch.setattr(WriteAheadLog, "sync", held)
        seqs = [one.offer("2") for one in followers]
        await until(lambda: all(one.store.open_orders() for one in followers))
        await asyncio.sleep(0.05)
        assert not any(one.venue.requests for one in followers), "an order left before its intent was kept"
        released.set()
        for one, seq in zip(followers, seqs, strict=True):
            assert (await one.verdict(seq)).verdict == "copied" and len(one.venue.requests) == 1


@pytest.mark.parametrize("count", [2, 24])
async def test_a_copy_waits_for_the_disk_as_often_whoever_else_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    syncs, threads, sync = Counter[WriteAheadLog](), set[str](), WriteAheadLog.sync

    def counted(log: WriteAheadLog) -> OSError | None:
        syncs[log] += 1
        threads.add(threading.current_thread().name)
        return sync(log)

    async with hosted(tmp_path, count) as followers:
        await until(lambda: all(one.desk.reconciled.is_set() for one in followers))
        monkeypatch.setattr(WriteAheadLog, "sync", counted)
        for after in ("2", "2.5"):
            seqs = [one.offer(after) for one in followers]
            for one, seq in zip(followers, seqs, strict=True):
                assert (await one.verdict(seq)).verdict == "copied"
        # once before each of two orders, and once for what was learnt of the leader, if not together with one
        assert all(2 <= syncs[one.store.log] <= 3 for one in followers), syncs.values()
        assert threading.current_thread().name not in threads


async def test_a_sync_that_began_before_a_commit_does_not_count_for_it_and_a_failed_one_stays_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, released, errors = threading.Semaphore(0), threading.Semaphore(0), list[OSError]()

    def held(_log: WriteAheadLog) -> OSError | None:
        begun.release()
        assert released.acquire(timeout=30)
        return errors[0] if errors else None

    monkeypatch.setattr(WriteAheadLog, "sync", held)
    disk, store = Disk(2), Store.open(tmp_path / "follower.sqlite")
    store.log.disk = disk
    try:
        store.reported(1)
        first = asyncio.create_task(store.kept())
        assert await asyncio.to_thread(begun.acquire, timeout=30)
        store.reported(2)
        second = asyncio.create_task(store.kept())
        await asyncio.sleep(0.02)
        released.release()
        await first
        assert not second.done()
        errors.append(OSError(5, "it is broken"))
        released.release()
        with pytest.raises(StoreError, match="broken"):
            await second
        errors.clear()
        store.reported(3)
        with pytest.raises(StoreError, match="broken"):
            await store.kept()
    finally:
        released.release(9)
        disk.close()
        store.close()


class SocketVenue(CountedVenue):
    """Orders leave on a socket, while there is one."""

    has_socket = True


async def test_an_order_on_a_socket_is_no_call_and_one_that_lost_its_socket_waits_for_room() -> None:
    venue, shared = SocketVenue(), Address(Budget(1, 3600.0))
    await shared.calls.take(urgent=True)  # there is no room for a call any more
    async with asyncio.timeout(5):
        for one in accounts(venue, shared, 50):
            await one.reserve(urgent=False)
            assert (await one.submit(request())).ending is not Ending.REFUSED
        await one.reserve(urgent=False)
        venue.has_socket = False
        assert (await one.submit(request())).ending is Ending.REFUSED
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await one.reserve(urgent=True)


@pytest.mark.parametrize("count", [2, 30])
async def test_a_start_asks_the_venue_as_much_whoever_else_starts(count: int) -> None:
    venue = CountedVenue()
    await asyncio.gather(*(one.start(Ear()) for one in accounts(venue, Address(Budget(10_000, 1.0)), count)))
    paths = Counter(venue.arrived)
    assert paths.pop("clock") == venue.clock_calls, "one clock is asked once"
    assert sum(paths.values()) / count == 11, paths


async def test_what_can_wait_comes_last_and_leaves_half_of_the_calls() -> None:
    budget, served = Budget(10, 0.2), list[str]()

    async def call(name: str, *, urgent: bool = False, spare: bool = False) -> None:
        await budget.take(urgent=urgent, spare=spare)
        served.append(name)

    async with asyncio.timeout(20), asyncio.TaskGroup() as group:
        for _ in range(12):
            group.create_task(call("spare", spare=True))
        await asyncio.sleep(0.01)
        assert served == ["spare"] * 5
        for _ in range(3):
            group.create_task(call("plain"))
        await asyncio.sleep(0.01)
        assert served[5:] == ["plain"] * 3, "a read that was needed waited behind those that were not"
    assert Counter(served) == {"spare": 12, "plain": 3}


async def test_what_a_look_round_reads_is_spare() -> None:
    shared, venue = Address(Budget(10, 3600.0)), CountedVenue()
    one = accounts(venue, shared, 1)[0]

    async def look_round() -> None:
        ask_sparely()
        while True:
            await one.open_orders()

    looking = asyncio.create_task(look_round())
    await until(lambda: len(venue.arrived) == 5)
    async with asyncio.timeout(5):
        await one.open_orders()  # which is not
    looking.cancel()
    assert len(venue.arrived) == 6


async def test_nobody_reads_a_control_file_that_did_not_change_and_an_order_is_heard_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads, read = Counter[str](), ControlFile.read

    def counted(control: ControlFile) -> ControlState:
        reads["all"] += 1
        return read(control)

    async with bench(tmp_path) as one:
        running = asyncio.create_task(Closeout("alice", one.desk).run())
        await until(lambda: not one.control.may_have_changed())
        monkeypatch.setattr(ControlFile, "read", counted)
        await asyncio.sleep(1.0)  # twenty looks
        assert reads["all"] <= 4, reads
        monkeypatch.undo()
        await one.verdict(one.offer("2"))
        ControlFile(tmp_path).order(Control.FLATTEN, by="operator", reason="enough")
        await until(lambda: one.position() == 0)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
