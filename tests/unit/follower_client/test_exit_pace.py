"""A way out that does not open: tried for as long as there is something to close, and somebody is told."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path

import pytest

from follower_client import exit_pace
from follower_client.closeout import Closeout
from follower_client.core.snapshot import Control
from follower_client.reports import copy_report
from follower_client.venue.port import Ending, OrderRequest, SubmitResult
from follower_client.watch import Watch
from tests.unit.follower_client.alarms import Alarms
from tests.unit.follower_client.build import BTC
from tests.unit.follower_client.executor_bench import Bench, bench, until
from tests.unit.follower_client.fake_venue import FakeVenue


def no_way_out(request: OrderRequest) -> SubmitResult | None:
    """A venue that refuses whatever reduces."""
    return SubmitResult(Ending.REJECTED, None, "110007") if request.reduce_only else None


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Sixty seconds are a hundredth of one."""
    monkeypatch.setattr(exit_pace, "RETRY_WAIT_S", 0.001)
    monkeypatch.setattr(exit_pace, "RETRY_WAIT_MAX_S", 0.01)
    yield


def tries(one: Bench) -> int:
    return sum(request.reduce_only for request in one.venue.requests)


def watch(one: Bench) -> tuple[Watch, list[tuple[str, str]]]:
    alarms = Alarms(one)
    one.running.append(asyncio.create_task(alarms.notifier.run()))
    return alarms.watch, alarms.told


@asynccontextmanager
async def entered(folder: Path, qty: str = "2") -> AsyncIterator[Bench]:
    """A follower who has copied an entry of so many contracts of the leader."""
    async with bench(folder, FakeVenue()) as one:
        await one.verdict(one.offer(qty))
        yield one


@pytest.mark.asyncio
@pytest.mark.usefixtures("quick")
async def test_an_exit_that_the_venue_refuses_is_tried_until_it_is_taken_and_told_at_once(
    tmp_path: Path,
) -> None:
    async with entered(tmp_path) as one:
        looking, told = watch(one)
        one.venue.fault = no_way_out
        closing = one.offer("0")
        await until(one.desk.exits.stuck)
        looking.look()
        await until(lambda: told)
        (title, body), *_ = told
        assert "not_flat" in title and BTC in body and "110007" in body
        await until(lambda: tries(one) > 40)
        looking.look()
        assert len([title for title, _ in told if "not_flat" in title]) == 1
        names = [request.client_order_id for request in one.venue.requests]
        assert len(names) == len(set(names))
        one.venue.fault = lambda _: None
        copy = await one.verdict(closing)
        assert copy.verdict == "copied" and one.position() == 0
        assert len(one.reports()[-1].orders) <= 20 and one.reports()[-1].orders[-1].fills
        assert one.desk.exits.stuck() == []


@pytest.mark.asyncio
@pytest.mark.usefixtures("quick")
async def test_an_exit_that_is_refused_goes_on_after_a_restart(tmp_path: Path) -> None:
    async with entered(tmp_path) as one:
        one.venue.fault = no_way_out
        closing = one.offer("0")
        await until(lambda: tries(one) > 20)
    async with bench(tmp_path, one.venue) as again:
        before = tries(again)
        await until(lambda: tries(again) > before + 3)
        one.venue.fault = lambda _: None
        assert (await again.verdict(closing)).verdict == "copied"
        assert again.position() == 0


@pytest.mark.asyncio
async def test_tries_become_rare_and_are_counted_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exit_pace, "RETRY_WAIT_S", 0.02)
    monkeypatch.setattr(exit_pace, "RETRY_WAIT_MAX_S", 0.3)
    async with entered(tmp_path, "4") as one:
        one.venue.fault = no_way_out
        for after in ("3", "2", "1", "0"):
            one.offer(after)
        await asyncio.sleep(1.0)  # the pause is at its longest by now
        before, begun = tries(one), time.monotonic()
        await asyncio.sleep(1.2)
        assert 1 <= tries(one) - before <= (time.monotonic() - begun) / 0.3 + 2, "four exits, one pace"
        one.venue.fault = lambda _: None
        assert (await one.verdict(5)).verdict == "copied" and one.position() == 0


@pytest.mark.asyncio
@pytest.mark.usefixtures("quick")
async def test_nothing_is_entered_where_an_exit_is_still_due(tmp_path: Path) -> None:
    async with entered(tmp_path, "4") as one:
        one.venue.fault = no_way_out
        reduced = one.offer("1")
        await until(one.desk.exits.stuck)
        entry = await one.verdict(one.offer("3"))
        assert (entry.verdict, entry.reason) == ("skipped", "exit_due")
        one.venue.fault = lambda _: None
        assert (await one.verdict(reduced)).verdict == "copied"
        assert Decimal("0.049") <= one.position() <= Decimal("0.05")
        assert (await one.verdict(one.offer("4", leverage="8"))).verdict == "copied"


@pytest.mark.asyncio
async def test_a_flatten_does_not_wait_for_the_pause_of_an_exit(tmp_path: Path) -> None:
    async with entered(tmp_path) as one:
        one.venue.fault = no_way_out
        one.offer("0")
        await until(one.desk.exits.stuck)
        one.venue.fault = lambda _: None
        await asyncio.wait_for(Closeout("alice", one.desk).close_all(1), 1.0)
        assert one.position() == 0


@pytest.mark.asyncio
@pytest.mark.usefixtures("quick")
async def test_a_flatten_is_tried_until_the_venue_takes_it_or_somebody_resumes(tmp_path: Path) -> None:
    async with entered(tmp_path) as one:
        looking, told = watch(one)
        one.venue.fault = no_way_out
        one.running.append(asyncio.create_task(Closeout("alice", one.desk).run()))
        one.control.order(Control.FLATTEN, by="operator", reason="")
        await until(lambda: tries(one) > 20)
        looking.look()
        await until(lambda: any("not_flat" in title for title, _ in told))
        one.control.resume(by="operator", reason="keep it")
        await asyncio.sleep(0.2)
        sent = tries(one)
        await asyncio.sleep(0.2)
        assert tries(one) == sent
        assert one.desk.exits.stuck() == [], "nobody wants it closed any more"
        one.control.order(Control.FLATTEN, by="operator", reason="after all")
        await until(lambda: tries(one) > sent)
        one.venue.fault = lambda _: None
        await until(lambda: one.position() == 0)


@pytest.mark.asyncio
@pytest.mark.usefixtures("quick")
async def test_an_exit_waits_for_rules_of_the_contract_that_are_missing(tmp_path: Path) -> None:
    async with entered(tmp_path) as one:
        looking, told = watch(one)
        rules = one.venue.account.instruments.pop(BTC)
        closing = one.offer("0")
        await until(one.desk.exits.stuck)
        looking.look()
        await until(lambda: told)
        assert "rules" in told[0][1]
        flattening = asyncio.create_task(Closeout("alice", one.desk).close_all(1))
        await asyncio.sleep(0.05)
        assert not flattening.done()
        one.venue.account.instruments[BTC] = rules
        await one.verdict(closing)
        assert one.position() == 0 and await flattening


@pytest.mark.asyncio
@pytest.mark.usefixtures("quick")
async def test_a_reversal_without_rules_of_the_contract_closes_as_soon_as_there_are_some(
    tmp_path: Path,
) -> None:
    async with entered(tmp_path) as one:
        rules = one.venue.account.instruments.pop(BTC)
        turned = one.offer("-2")
        await until(one.desk.exits.stuck)
        one.venue.account.instruments[BTC] = rules
        copy = await one.verdict(turned)
        assert copy.verdict == "copied" and one.position() < 0


@pytest.mark.asyncio
@pytest.mark.usefixtures("quick")
async def test_a_report_on_many_tries_fits_the_wire_and_keeps_what_was_filled(tmp_path: Path) -> None:
    async with entered(tmp_path) as one:
        one.venue.fault = no_way_out
        closing = one.offer("0")
        await until(lambda: tries(one) > 30)
        one.venue.fault = lambda _: None
        copy = await one.verdict(closing)
        orders = [
            (order, one.store.fills_of(order.client_order_id)) for order in one.store.orders_of(copy.key)
        ]
        report = copy_report(one.executor.identity, copy, orders)
        filled = sum((Decimal(fill.qty) for row in report.orders for fill in row.fills), Decimal(0))
        assert len(orders) > 30 and len(report.orders) <= 20 and filled == Decimal("0.1")
