"""The way out: what was copied and nothing else, under a lock too, and as often as it is asked for."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from pathlib import Path
from threading import Barrier, Thread

import pytest

from follower_client.closeout import Closeout
from follower_client.control import ControlFile
from follower_client.core.snapshot import Control
from follower_client.venue.port import Ending, OrderRequest, SubmitResult
from tests.unit.follower_client.build import BTC
from tests.unit.follower_client.executor_bench import bench, until
from tests.unit.follower_client.fake_venue import FakeVenue


def no_way_out(request: OrderRequest) -> SubmitResult | None:
    """A venue that refuses whatever reduces."""
    return SubmitResult(Ending.REJECTED, None, "110007") if request.reduce_only else None


@pytest.mark.asyncio
async def test_a_flatten_closes_what_was_copied_and_leaves_the_rest(tmp_path: Path) -> None:
    venue = FakeVenue()
    venue.fill_share = Decimal("0.5")
    async with bench(tmp_path, venue) as one:
        await one.verdict(one.offer("2", leverage="6"))
        own = one.position()
        venue.account.apply_fill(BTC, is_buy=True, qty=Decimal(1), price=Decimal(100_000), fee=Decimal(0))
        venue.fill_share = Decimal(1)
        running = asyncio.create_task(Closeout("alice", one.desk).run())
        one.control.order(Control.FLATTEN, by="operator", reason="")
        await until(lambda: one.position() == 1)
        closing = [request for request in venue.requests if not request.is_buy]
        assert sum(request.qty for request in closing) == own
        assert all(request.reduce_only for request in closing)
        assert (await one.verdict(one.offer("5", leverage="9"))).reason == "flattened"
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        sent = len(venue.requests)
        assert await Closeout("alice", one.desk).close_all(one.control.read().closing)
        assert len(venue.requests) == sent


@pytest.mark.asyncio
async def test_a_flatten_that_nobody_takes_ends_when_it_is_not_wanted_any_more(tmp_path: Path) -> None:
    venue, wanted = FakeVenue(), [True]
    async with bench(tmp_path, venue) as one:
        await one.verdict(one.offer("2"))
        venue.fault = no_way_out
        closing = asyncio.create_task(Closeout("alice", one.desk).close_all(7, is_wanted=lambda: wanted[0]))
        await until(lambda: len(venue.requests) >= 3)
        wanted[0] = False
        assert not await closing
        names = [request.client_order_id for request in venue.requests]
        assert len(names) == len(set(names)) and one.position() > 0


@pytest.mark.asyncio
@pytest.mark.parametrize("by", ["operator", "trigger:daily_loss"])
async def test_a_flatten_counts_under_a_lock(tmp_path: Path, by: str) -> None:
    """A leader who contradicts himself locks: that is when people want to get out."""
    async with bench(tmp_path) as one:
        await one.verdict(one.offer("2"))
        assert one.position() > 0
        running = asyncio.create_task(Closeout("alice", one.desk).run())
        one.executor.locked("equivocation", "two payloads", "{}")
        locked = one.control.read()
        state = ControlFile(tmp_path).order(Control.FLATTEN, by=by, reason="out")
        assert (state.level, state.reason) == (Control.LOCK, locked.reason) and state.closing
        await until(lambda: one.position() == 0)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        assert b'"event":"flatten"' in (tmp_path / "audit.jsonl").read_bytes()


@pytest.mark.asyncio
async def test_the_operators_next_flatten_begins_anew(tmp_path: Path) -> None:
    venue = FakeVenue()
    async with bench(tmp_path, venue) as one:
        await one.verdict(one.offer("2"))
        venue.fault = no_way_out
        running = asyncio.create_task(Closeout("alice", one.desk).run())
        first = one.control.order(Control.FLATTEN, by="operator", reason="").closing
        await until(lambda: sum(request.reduce_only for request in venue.requests) == 2)
        venue.fault = lambda _: None
        assert one.control.order(Control.FLATTEN, by="trigger:drawdown", reason="").closing == first
        one.control.order(Control.FLATTEN, by="operator", reason="again")
        await until(lambda: one.position() == 0)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


def test_no_order_is_lost_to_another_at_the_same_moment(tmp_path: Path) -> None:
    for number in range(20):
        folder, start = tmp_path / str(number), Barrier(2)
        folder.mkdir()

        def give(level: Control, by: str, folder: Path = folder, start: Barrier = start) -> None:
            control = ControlFile(folder)
            start.wait()
            control.order(level, by=by, reason="")

        orders = ((Control.FLATTEN, "operator"), (Control.PAUSE, "trigger:rejects"))
        writers = [Thread(target=give, args=order) for order in orders]
        for writer in writers:
            writer.start()
        for writer in writers:
            writer.join()
        state = ControlFile(folder).read()
        assert state.level is Control.FLATTEN and state.closing
