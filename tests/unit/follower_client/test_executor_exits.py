"""Reductions: they follow what the caps allow, and no order that is still on its way makes them miss."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from pathlib import Path

import pytest

from follower_client import executor, order_driver
from follower_client.core.policy import Policy
from follower_client.errors import VenueUnavailableError
from follower_client.status import status_report
from follower_client.venue.port import Ending, SubmitResult, VenueFill
from relay.protocol.messages import StaggerPlan
from tests.unit.follower_client.executor_bench import bench, until
from tests.unit.follower_client.fake_venue import FakeVenue

BOLD = Policy(label="bold", scale=Decimal(3), leverage_max=Decimal(10))


@pytest.fixture
def short_fence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(order_driver, "ENGINE_LAG_MS", 0)
    monkeypatch.setattr(order_driver, "FUTURE_TOLERANCE_MS", 100)


@pytest.mark.asyncio
async def test_a_reduction_of_unknown_outcome_is_finished_before_the_next_one_is_planned(
    tmp_path: Path, short_fence: None
) -> None:
    venue = FakeVenue()
    async with bench(tmp_path, venue) as one:
        await one.verdict(one.offer("2"))
        venue.blind = True
        venue.fault = lambda request: SubmitResult(Ending.UNKNOWN)  # it never arrives
        halved = one.offer("1")
        await until(one.store.open_orders)
    venue.blind, venue.fault = False, lambda request: None
    async with bench(tmp_path, venue) as again:
        again.seq, again.qty = halved, Decimal(1)
        quartered = again.offer("0.5")
        for seq in (halved, quartered):
            assert (await again.verdict(seq)).verdict == "copied"
        assert Decimal("0.023") <= again.position() <= Decimal("0.025")  # his 0.5 at half his exposure


@pytest.mark.asyncio
async def test_who_was_capped_follows_the_leader_down_at_half_of_his_leverage(tmp_path: Path) -> None:
    async with bench(tmp_path, policy=BOLD) as one:
        assert (await one.verdict(one.offer("4"))).verdict == "capped"
        opened = one.position()
        reduced = await one.verdict(one.offer("2"))
        assert (reduced.verdict, reduced.is_exit) == ("copied", True), reduced.detail
        assert abs(one.position() - opened / 2) <= Decimal("0.002")
        status = status_report(one.executor, BOLD, one.venue.account, mode="running")
        assert Decimal(status.target_exposure) == 1  # half of his 2, not three times
        assert Decimal(status.exposure_gap) < Decimal("0.01")
        assert Decimal(status.leverage) <= Decimal("1.01")


@pytest.mark.asyncio
async def test_an_own_cap_below_the_leaders_half_is_not_undercut_by_his_reduction(tmp_path: Path) -> None:
    careful = Policy(label="careful", scale=Decimal(3), leverage_max=Decimal("0.5"))
    async with bench(tmp_path, policy=careful) as one:
        assert (await one.verdict(one.offer("4"))).verdict == "capped"
        opened = one.position()
        await one.verdict(one.offer("2"))
        assert opened - Decimal("0.001") <= one.position() <= opened  # a lot, for the fee that was paid
        status = status_report(one.executor, careful, one.venue.account, mode="running")
        assert Decimal(status.target_exposure) == Decimal("0.5")
        assert Decimal(status.exposure_gap) < Decimal("0.02")


@pytest.mark.asyncio
async def test_a_reversal_also_closes_what_an_entry_before_it_fills_late(tmp_path: Path) -> None:
    venue = FakeVenue()
    async with bench(tmp_path, venue) as one:
        venue.blind = True
        venue.fault = lambda request: SubmitResult(Ending.UNKNOWN)
        stuck = one.offer("2")
        await until(one.executor.driver.unknown_symbols)
        turned = one.offer("-2")
        venue.fault = lambda request: None
        await venue.submit(venue.requests[0])  # it was still travelling, and arrives now
        venue.blind = False
        assert (await one.verdict(stuck)).verdict == "copied"
        copy = await one.verdict(turned)
        assert (copy.verdict, copy.reason) == ("copied", "copied"), copy.detail
        assert one.position() < Decimal("-0.09")


@pytest.mark.asyncio
async def test_an_entry_closes_what_turned_up_on_the_other_side_while_it_waited(tmp_path: Path) -> None:
    venue = FakeVenue()
    async with bench(tmp_path, venue) as one:
        venue.blind = True
        venue.fault = lambda request: SubmitResult(Ending.UNKNOWN)
        stuck = one.offer("2")
        await until(one.executor.driver.unknown_symbols)
        one.qty = Decimal(0)  # how he left is not told
        other = one.offer("-2")
        venue.fault = lambda request: None
        await venue.submit(venue.requests[0])
        venue.blind = False
        assert (await one.verdict(stuck)).verdict == "copied"
        copy = await one.verdict(other)
        assert (copy.verdict, copy.reason) == ("copied", "copied"), copy.detail
        assert one.position() < Decimal("-0.09")


@pytest.mark.asyncio
async def test_a_leader_who_turns_twice_at_once_is_not_held_at_his_old_size(tmp_path: Path) -> None:
    async with bench(tmp_path) as one:
        await one.verdict(one.offer("-4"))
        there, back = one.offer("2"), one.offer("-1")
        left = await one.verdict(there)
        assert (left.verdict, left.reason) == ("copied", "closed_only")
        assert (await one.verdict(back)).verdict == "copied"
        assert one.position() == Decimal("-0.049")  # his 1 at half his exposure, less what was paid


@pytest.mark.asyncio
async def test_an_entry_that_waited_is_held_to_what_the_leaders_leverage_is_by_then(tmp_path: Path) -> None:
    async with bench(tmp_path, policy=BOLD) as one:
        plan = StaggerPlan(waves=64, spacing_ms=10)
        waiting = one.offer("4", stagger=plan)
        assert (await one.verdict(one.offer("1"))).reason == "no_position"  # he reduces while it waits
        copy = await one.verdict(waiting)
        assert (copy.verdict, copy.reason) == ("capped", "cap_leader_leverage")
        assert copy.leverage_cap == Decimal("0.5")
        assert one.position() == Decimal("0.05")


@pytest.mark.asyncio
async def test_a_resumed_reversal_does_not_close_what_a_newer_one_opened(
    tmp_path: Path, short_fence: None
) -> None:
    venue = FakeVenue()
    async with bench(tmp_path, venue) as one:
        venue.blind = True
        venue.fault = lambda request: SubmitResult(Ending.UNKNOWN)
        older = one.offer("2")
        await until(one.store.open_orders)
    venue.blind, venue.fault = False, lambda request: None
    await venue.submit(venue.requests[0])  # it arrived, and nobody was there to hear
    async with bench(tmp_path, venue) as again:
        again.seq, again.qty = older, Decimal(2)
        newer = again.offer("-2")
        for seq in (older, newer):
            assert (await again.verdict(seq)).verdict == "copied"
        assert again.position() < Decimal("-0.09")


@pytest.mark.asyncio
async def test_a_reversal_among_too_many_copies_still_leaves_the_old_side(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with bench(tmp_path) as one:
        await one.verdict(one.offer("2"))
        monkeypatch.setattr(executor, "ACTIVE_COPIES_MAX", 0)
        turned = await one.verdict(one.offer("-2"))
        assert (turned.verdict, turned.reason) == ("copied", "closed_only") and one.position() == 0
        refused = await one.verdict(one.offer("-3", leverage="8"))
        assert (refused.verdict, refused.reason) == ("skipped", "overload")


@pytest.mark.asyncio
async def test_an_entry_whose_fills_are_told_late_is_still_left_and_not_entered_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(order_driver, "SETTLE_TRIES_MAX", 2)
    monkeypatch.setattr(order_driver, "WATCH_WAIT_S", 0.02)
    monkeypatch.setattr(order_driver, "SETTLE_WAIT_MAX_S", 0.05)
    venue, told, tries = FakeVenue(), asyncio.Event(), list[str]()
    fetch_fills = venue.fetch_fills

    async def fetch(symbol: str, order_id: str) -> list[VenueFill]:
        tries.append(order_id)
        if not told.is_set():
            raise VenueUnavailableError("not now")
        return await fetch_fills(symbol, order_id)

    monkeypatch.setattr(venue, "fetch_fills", fetch)
    venue.silent = True
    async with bench(tmp_path, venue) as one:
        entry = one.offer("2")
        await until(lambda: len(tries) > 5)
        more, end = one.offer("3", leverage="8"), one.offer("0")
        await until(lambda: len(tries) > 10)
        told.set()
        assert (await one.verdict(end)).verdict == "copied"
        assert (await one.verdict(entry)).verdict == "copied" and one.position() == 0
        assert (await one.verdict(more)).verdict != "copied"
        assert venue.account.positions() == {} and len(venue.requests) == 2
