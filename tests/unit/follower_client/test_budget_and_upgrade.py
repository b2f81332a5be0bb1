"""Room for exits within the venue's limits, and stores of older versions."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from follower_client.core.order import OrderState
from follower_client.errors import StoreError
from follower_client.order_driver import now_ms
from follower_client.records import CopyKey, Head, Order
from follower_client.store import Store
from follower_client.store_schema import MIGRATIONS
from follower_client.venue.market_data import MarketData
from follower_client.venue.transport import Address, Budget, StreamListener
from follower_client.venue.v5_account import V5Account
from tests.unit.follower_client.build import BTC, instrument
from tests.unit.follower_client.test_ccxt_adapter import Ear
from tests.unit.follower_client.test_store_and_settings import copy, order


@pytest.mark.asyncio
async def test_exits_overtake_entries_and_nothing_passes_the_limit() -> None:
    budget, served = Budget(10, 0.2), []
    start_s = time.monotonic()

    async def call(name: str, *, urgent: bool) -> None:
        await budget.take(urgent=urgent)
        served.append((name, time.monotonic() - start_s))

    async with asyncio.TaskGroup() as group:
        for _ in range(30):
            group.create_task(call("entry", urgent=False))
        await asyncio.sleep(0)
        for _ in range(20):
            group.create_task(call("exit", urgent=True))
    exits = [at for name, at in served if name == "exit"]
    entries = [at for name, at in served if name == "entry"]
    assert len(entries) == 30 and len(exits) == 20
    assert [name for name, _ in served[:8]] == ["entry"] * 8  # a fifth stays free for exits
    assert [name for name, _ in served[8:28]] == ["exit"] * 20, "an entry went before a waiting exit"
    times = sorted(exits + entries)
    for first, eleventh in zip(times, times[10:], strict=False):
        assert eleventh - first >= 0.2 - 0.01, "more calls than the window allows"


@pytest.mark.asyncio
async def test_a_caller_that_gives_up_takes_no_room() -> None:
    budget = Budget(1, 0.05)
    await budget.take(urgent=True)
    waiting = asyncio.create_task(budget.take(urgent=True))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    async with asyncio.timeout(2):
        await budget.take(urgent=True)


class CountedVenue:
    """Both accounts' way to a venue with nothing to tell: what matters is which calls arrive."""

    def __init__(self) -> None:
        self.arrived: list[str] = []

    async def start(self) -> None:
        """Nothing to open."""

    async def get(self, path: str, query: Mapping[str, Any]) -> Any:
        self.arrived.append(path)
        return {"result": {"list": []}}

    async def post(self, path: str, body: Mapping[str, Any]) -> Any:
        self.arrived.append(path)
        return {"result": {}}

    async def create_order(self, body: Mapping[str, Any]) -> Any:
        return {"result": {}}

    clock_calls = 3
    has_socket = False

    def take_clock(self, ahead_ms: int) -> None:
        """Both clocks are one."""

    async def read_clock(self) -> tuple[int, int]:
        self.arrived += ["clock"] * self.clock_calls
        return now_ms(), now_ms()

    async def run(self, listener: StreamListener) -> None:
        await asyncio.Event().wait()

    async def close(self) -> None:
        """Nothing to give back."""


def accounts(venue: CountedVenue, shared: Address, count: int) -> list[V5Account]:
    """Of several followers of one process."""
    data, rules = MarketData(None, OSError, [BTC], depth=False), {BTC: instrument()}
    return [V5Account(venue, data, rules, leverage_max=Decimal(3), shared=shared) for _ in range(count)]


def two_accounts(venue: CountedVenue, budget: Budget) -> list[V5Account]:
    return accounts(venue, Address(budget), 2)


async def settled(calls: Callable[[], Awaitable[object]], count: int) -> int:
    """How many of so many calls get through when nothing more leaves the window."""
    tasks = [asyncio.ensure_future(calls()) for _ in range(count)]
    for _ in range(100):
        await asyncio.sleep(0)
    through = sum(task.done() for task in tasks)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return through


@pytest.mark.asyncio
async def test_reads_of_all_accounts_wait_for_one_another_and_leave_room_for_exits() -> None:
    venue = CountedVenue()
    first, second = two_accounts(venue, Budget(10, 3600.0))  # what is taken stays taken for this test
    starts = iter((first.start, second.start))
    assert await settled(lambda: next(starts)(Ear()), 2) == 0
    assert len(venue.arrived) == 8, venue.arrived  # of both together; a fifth is for exits alone
    assert await settled(lambda: first.reserve(urgent=False), 1) == 0
    assert await settled(first.open_orders, 1) == 0 and len(venue.arrived) == 8
    assert await settled(lambda: second.reserve(urgent=True), 3) == 2


@pytest.mark.asyncio
async def test_reads_that_waited_are_made_when_there_is_room_again() -> None:
    venue = CountedVenue()
    async with asyncio.timeout(30):
        await asyncio.gather(*(one.start(Ear()) for one in two_accounts(venue, Budget(5, 0.01))))
    paths = Counter(venue.arrived)
    assert paths.pop("clock") == 3  # of both together
    assert all(count % 2 == 0 for count in paths.values())  # of both, none lost


def old_store(path: Path, version: int) -> None:
    """A store as the first version of this program left it, with an order that nobody knows the end of."""
    database = sqlite3.connect(path, isolation_level=None)
    for script in MIGRATIONS[:version]:
        database.executescript(script)
    database.execute(f"PRAGMA user_version={version}")
    database.execute("INSERT INTO identity VALUES('follower', 'alice')")
    database.execute("INSERT INTO feed VALUES('lead', 1, 7, 'aa')")
    row, pending = copy(7), order(7)
    pending.state = OrderState.UNKNOWN
    database.execute("INSERT INTO copies VALUES('lead', 1, 7, NULL, '', ?)", (msgspec.json.encode(row),))
    body = {k: v for k, v in msgspec.to_builtins(pending).items() if k not in ("stop_loss", "abandoned")}
    database.execute(
        "INSERT INTO orders VALUES(?, 'lead', 1, 7, ?, ?, 'unknown', ?)",
        (pending.client_order_id, pending.leg, pending.n, msgspec.json.encode(body)),
    )
    database.execute(
        "INSERT INTO fills VALUES('x1', ?, 'BTC/USDT:USDT', 1, '0.5', '100', '0', 'USDT', 1, 0, 'v1')",
        (pending.client_order_id,),
    )
    database.execute("INSERT INTO adjustments VALUES(1, 'BTC/USDT:USDT', '-0.2', 1, 'by hand')")
    database.close()


def test_an_upgrade_keeps_every_row_of_an_order_that_is_still_unknown(tmp_path: Path) -> None:
    old_store(tmp_path / "s", 1)
    store = Store.open(tmp_path / "s")
    found: list[Order] = store.open_orders()
    assert [(one.client_order_id, one.state) for one in found] == [("id7", OrderState.UNKNOWN)]
    assert store.head("lead") == Head(1, 7, "aa") and store.has_copy(CopyKey("lead", 1, 7))
    assert {name: str(qty) for name, qty in store.positions().items()} == {"BTC/USDT:USDT": "0.3"}
    assert store.identity() == {"follower": "alice"}
    store.close()
    Store.open(tmp_path / "s").close()  # and the checksums fit


def test_a_row_that_was_changed_by_hand_is_refused(tmp_path: Path) -> None:
    store = Store.open(tmp_path / "s")
    store.record(copy(1), order=order(1), head=Head(1, 1, "aa"))
    store.close()
    database = sqlite3.connect(tmp_path / "s")
    database.execute("UPDATE feed SET seq = 9")
    database.commit()
    database.close()
    with pytest.raises(StoreError, match="feed"):
        Store.open(tmp_path / "s")


@pytest.mark.asyncio
async def test_a_wallet_that_was_told_between_two_fills_is_no_riddle() -> None:
    """Each row is right for its moment; compared with the fills of another one it would be off by a fee."""
    account, _ = two_accounts(CountedVenue(), Budget(100, 1.0))
    held = account.account
    held.wallet_balance = Decimal(1000)

    def fill(number: int) -> None:
        row = {"symbol": "BTCUSDT", "execId": f"x{number}", "side": "Buy", "execQty": "0.001"}
        row |= {"execPrice": "100000", "execFee": "0.055", "execTime": str(now_ms())}
        account.on_execution_rows([row])

    def wallet(balance: str) -> None:
        account.on_wallet_rows([{"coin": [{"coin": "USDT", "walletBalance": balance}]}])

    for number in range(1, 6):
        fill(number)
        await asyncio.sleep(0.01)
        wallet(str(1000 - Decimal("0.055") * number))
        await asyncio.sleep(0.005)
        assert held.unexplained_s is None, number
    await asyncio.sleep(0.1)
    assert (held.unexplained_s, held.wallet_balance) == (None, Decimal("999.725"))
    wallet("900")  # somebody took some
    await asyncio.sleep(0.1)
    assert account.account.wallet_balance == 900 and account.account.unexplained_s
