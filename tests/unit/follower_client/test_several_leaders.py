"""Two leaders on one account: targets add up, each keeps what is his, caps hold over both."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from follower_client.closeout import Closeout
from follower_client.control import ControlFile
from follower_client.core.policy import Mode, Policy, Silence
from follower_client.core.snapshot import Control
from follower_client.desk import Desk
from follower_client.errors import FollowerError
from follower_client.executor import Executor
from follower_client.failpoint import Failpoints
from follower_client.notify import Notifier
from follower_client.order_driver import now_ms
from follower_client.protection import Protection
from follower_client.records import Copy
from follower_client.reports import Identity, Reporter
from follower_client.settings import WatchSection
from follower_client.store import Store
from follower_client.watch import Watch
from relay.protocol.codec import decode_report
from relay.protocol.messages import CopyReport
from tests.unit.follower_client.build import BTC, signal
from tests.unit.follower_client.executor_bench import Deaf, until
from tests.unit.follower_client.fake_venue import FakeVenue
from tests.unit.follower_client.sealed import sealed

POLICY = Policy(
    label="two",
    mode=Mode.MULTIPLIER,
    multiplier=Decimal("0.05"),
    leverage_max=Decimal(10),
    notional_per_symbol_max_usdt=Decimal(25_000),
)
NAMES = ("anna", "bert")


class Two:
    """One desk, two executors, and what each leader holds."""

    def __init__(self, folder: Path, venue: FakeVenue, policy: Policy = POLICY) -> None:
        self.venue = venue
        self.store = Store.open(folder / "follower.sqlite")
        self.control = ControlFile(folder)
        self.desk = Desk(policy, self.store, venue, self.control, Failpoints(""))
        self.desk.shared = True
        self.reporter = Reporter("alice", self.store, Deaf())
        self.executors = {
            name: Executor(Identity("alice", name, "two", False), policy, self.desk, self.reporter)
            for name in NAMES
        }
        self.qtys = dict.fromkeys(NAMES, Decimal(0))
        self.seq = 0

    async def trade(self, name: str, after: str) -> Copy:
        self.seq += 1
        message = signal(
            before=str(self.qtys[name]), after=after, seq=self.seq, leader=name, leverage="20",
            sealed_ms=now_ms(),
        )  # fmt: skip
        self.qtys[name] = Decimal(after)
        self.executors[name].offer(sealed(message, self.seq, leader=name), message)
        async with asyncio.timeout(10):
            while True:
                for copy in self.store.newest_copies(name, limit=1):
                    if copy.seq == self.seq and copy.verdict is not None:
                        return copy
                await asyncio.sleep(0.005)

    def held(self) -> tuple[Decimal, dict[str, Decimal]]:
        """(the account's position, each leader's part)."""
        return self.venue.account.positions().get(BTC, Decimal(0)), self.desk.journal.leaders_of(BTC)


@asynccontextmanager
async def two(folder: Path, venue: FakeVenue, policy: Policy = POLICY) -> AsyncIterator[Two]:
    built = Two(folder, venue, policy)
    built.desk.prepare()
    for executor in built.executors.values():
        executor.prepare()
    await venue.start(built.desk)
    tasks = [asyncio.create_task(executor.run()) for executor in built.executors.values()]
    await asyncio.gather(*(executor.started.wait() for executor in built.executors.values()))
    tasks.append(asyncio.create_task(built.desk.reconcile()))
    tasks.append(asyncio.create_task(Closeout("alice", built.desk).run()))
    try:
        yield built
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        built.store.close()


@pytest.mark.asyncio
async def test_each_leader_keeps_his_part_also_against_the_other(tmp_path: Path) -> None:
    async with two(tmp_path, FakeVenue()) as here:
        await here.trade("anna", "2")
        await here.trade("bert", "-4")
        assert here.held() == (Decimal("-0.1"), {"anna": Decimal("0.1"), "bert": Decimal("-0.2")})
        closed = await here.trade("anna", "0")  # her long stands against a net short
        assert (closed.verdict, closed.is_exit) == ("copied", True)
        assert here.held() == (Decimal("-0.2"), {"bert": Decimal("-0.2")})
        await here.trade("bert", "0")
        assert here.held() == (Decimal(0), {})
        reports = [decode_report(body) for _, _, body in here.store.outbox(10)]
        assert [report.leader_id for report in reports] == ["anna", "bert", "anna", "bert"]
        assert all(isinstance(report, CopyReport) for report in reports)


@pytest.mark.asyncio
async def test_the_cap_of_a_symbol_holds_over_all_leaders(tmp_path: Path) -> None:
    async with two(tmp_path, FakeVenue()) as here:
        await here.trade("anna", "4")
        capped = await here.trade("bert", "4")
        assert (capped.verdict, capped.reason) == ("capped", "cap_symbol_notional")
        assert here.held()[0] == Decimal("0.25")


@pytest.mark.asyncio
async def test_attribution_survives_a_restart_and_a_flatten_closes_everybody(tmp_path: Path) -> None:
    venue = FakeVenue()
    async with two(tmp_path, venue) as here:
        await here.trade("anna", "2")
        await here.trade("bert", "-4")
    async with two(tmp_path, venue) as again:
        assert again.held()[1] == {"anna": Decimal("0.1"), "bert": Decimal("-0.2")}
        assert await Closeout("alice", again.desk).close_all(1)
        assert again.held() == (Decimal(0), {})


@pytest.mark.asyncio
async def test_what_somebody_else_closed_is_written_off_from_the_side_that_is_gone(tmp_path: Path) -> None:
    venue = FakeVenue()
    async with two(tmp_path, venue) as here:
        await here.trade("anna", "2")
        await here.trade("bert", "2")
        venue.account.apply_fill(
            BTC, is_buy=False, qty=Decimal("0.15"), price=Decimal(100_000), fee=Decimal(0)
        )
        here.desk.journal.settle(venue.account.positions(), {})
        total, parts = here.held()
        assert total == sum(parts.values()) == Decimal("0.05")


def watch(here: Two, silent_s: dict[str, float], told: list[str]) -> Watch:
    notifier = Notifier("alice", None, per_hour_max=20)
    notifier.tell = lambda name, what: told.append(f"{name}: {what}")  # type: ignore[method-assign]
    protection = Protection(here.desk, lambda: {name: one.leader for name, one in here.executors.items()})
    return Watch(here.desk, protection, notifier, WatchSection(), lambda: silent_s)


@pytest.mark.asyncio
async def test_a_leader_who_falls_silent_is_left_and_the_others_are_not(tmp_path: Path) -> None:
    policy = replace(POLICY, silence=Silence.FLATTEN, silence_s=60)
    async with two(tmp_path, FakeVenue(), policy) as here:
        told: list[str] = []
        await here.trade("anna", "2")
        await here.trade("bert", "-4")
        watch(here, {"anna": 1.0, "bert": 61.0}, told).look()
        await until(lambda: here.held()[1] == {"anna": Decimal("0.1")})
        assert here.held()[0] == Decimal("0.1") and here.control.read().level is Control.RUN
        assert any("bert" in text for text in told) and not any("anna" in text for text in told)
        assert (await here.trade("bert", "-6")).reason == "flattened"
        assert (await here.trade("anna", "4")).verdict == "copied"
        again = ControlFile(tmp_path)
        assert again.read().level_of("bert") is Control.FLATTEN
        again.resume(by="operator", reason="he is back")
        here.qtys["bert"] = Decimal(0)
        assert (await here.trade("bert", "1")).verdict == "copied"


@pytest.mark.asyncio
async def test_close_only_for_a_silent_leader_stops_his_entries_alone(tmp_path: Path) -> None:
    policy = replace(POLICY, silence=Silence.CLOSE_ONLY, silence_s=60)
    async with two(tmp_path, FakeVenue(), policy) as here:
        await here.trade("anna", "2")
        watch(here, {"anna": 61.0, "bert": 0.0}, []).look()
        assert (await here.trade("anna", "4")).reason == "reduce_only"
        assert (await here.trade("bert", "2")).verdict == "copied"
        assert (await here.trade("anna", "1")).verdict == "copied"


@pytest.mark.asyncio
async def test_a_leader_who_contradicts_himself_is_locked_and_the_others_are_not(tmp_path: Path) -> None:
    async with two(tmp_path, FakeVenue()) as here:
        told: list[str] = []
        looking = watch(here, {"anna": 0.0, "bert": 0.0}, told)
        here.executors["anna"].locked("equivocation", "two payloads at 7", "{}")
        looking.look()
        assert [text for text in told if text.startswith("equivocation")] and "anna" in told[0]
        assert (await here.trade("anna", "2")).reason == "locked"
        assert (await here.trade("bert", "2")).verdict == "copied"
        with pytest.raises(FollowerError, match="--reason"):
            here.control.resume(by="operator", reason="")


@pytest.mark.asyncio
async def test_a_flatten_of_everything_takes_in_who_was_left_alone(tmp_path: Path) -> None:
    async with two(tmp_path, FakeVenue()) as here:
        await here.trade("anna", "2")
        await here.trade("bert", "2")
        here.control.order(Control.FLATTEN, by="trigger:leader_silent", reason="", leader_id="bert")
        await until(lambda: here.held()[1] == {"anna": Decimal("0.1")})
        ControlFile(tmp_path).order(Control.FLATTEN, by="operator", reason="all")
        await until(lambda: here.held() == (Decimal(0), {}))
