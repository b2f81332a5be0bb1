"""The executor on a venue in memory: lanes, endings, re-plans, restarts, one verdict per signal."""

from __future__ import annotations

import asyncio
import time
from decimal import Decimal
from pathlib import Path

import pytest

from follower_client import desk, order_driver
from follower_client.core.order import client_order_id
from follower_client.core.policy import Policy
from follower_client.order_driver import now_ms
from follower_client.status import status_report
from follower_client.venue.port import Ending, OrderRequest, SubmitResult
from relay.protocol.messages import StaggerPlan
from tests.unit.follower_client.build import BTC, quote, signal
from tests.unit.follower_client.executor_bench import bench, until
from tests.unit.follower_client.fake_venue import FakeVenue
from tests.unit.follower_client.sealed import sealed


@pytest.fixture
def short_fence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(order_driver, "ENGINE_LAG_MS", 0)
    monkeypatch.setattr(order_driver, "FUTURE_TOLERANCE_MS", 100)


@pytest.mark.asyncio
async def test_a_copy_is_recorded_executed_and_reported_once(tmp_path: Path) -> None:
    async with bench(tmp_path) as one:
        copy = await one.verdict(one.offer("2"))
        assert (copy.verdict, copy.reason, copy.order_qty) == ("copied", "copied", Decimal("0.1"))
        assert one.position() == Decimal("0.1")
        head = one.store.head("leader")
        assert head is not None and (head.seq, head.epoch) == (1, 1)
        report = one.reports()[0]
        assert (report.verdict, report.orders[0].fills[0].qty) == ("copied", "0.1")
        assert report.orders[0].client_order_id == client_order_id("alice", "leader", 1, 1, "open", 0)


@pytest.mark.asyncio
async def test_the_same_signal_again_changes_nothing(tmp_path: Path) -> None:
    async with bench(tmp_path) as one:
        message = signal(before="0", after="2", seq=1, sealed_ms=now_ms())
        for _ in range(3):
            one.executor.offer(sealed(message, 1), message)
            await one.verdict(1)
        assert len(one.venue.requests) == 1 and len(one.reports()) == 1


@pytest.mark.asyncio
async def test_a_partial_fill_is_planned_again_from_the_target(tmp_path: Path) -> None:
    venue = FakeVenue()
    venue.fill_share = Decimal("0.5")
    async with bench(tmp_path, venue) as one:
        copy = await one.verdict(one.offer("2", leverage="6"))
        qtys = [request.qty for request in venue.requests]
        assert qtys[0] == Decimal("0.1") and qtys[1] == Decimal("0.05") and len(qtys) == 4
        assert len({request.client_order_id for request in venue.requests}) == 4
        assert copy.verdict == "copied" and one.position() <= Decimal("0.1")


@pytest.mark.asyncio
async def test_an_answer_that_is_lost_is_looked_up_and_not_sent_again(tmp_path: Path) -> None:
    venue = FakeVenue()
    venue.lose_answers = venue.silent = True
    async with bench(tmp_path, venue) as one:
        copy = await one.verdict(one.offer("2"))
        assert copy.verdict == "copied" and len(venue.requests) == 1
        assert one.position() == Decimal("0.1") and len(one.reports()[0].orders[0].fills) == 1


@pytest.mark.asyncio
async def test_an_order_that_never_arrived_is_sent_again_under_the_same_id_after_the_fence(
    tmp_path: Path, short_fence: None
) -> None:
    venue = FakeVenue()
    lost: list[OrderRequest] = []

    def swallow_first(request: OrderRequest) -> SubmitResult | None:
        if lost:
            return None
        lost.append(request)
        return SubmitResult(Ending.UNKNOWN)

    venue.fault = swallow_first
    async with bench(tmp_path, venue) as one:
        begun_ms = now_ms()
        copy = await one.verdict(one.offer("2"))
        assert copy.verdict == "copied"
        assert len(venue.requests) == 2
        assert venue.requests[0].client_order_id == venue.requests[1].client_order_id
        assert now_ms() - begun_ms >= 100 + order_driver.SEND_SLACK_MS


@pytest.mark.usefixtures("short_fence")
@pytest.mark.parametrize("step_ms", [-3_600_000, 3_600_000])
@pytest.mark.asyncio
async def test_a_clock_that_is_set_while_an_outcome_is_unknown_moves_no_fence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step_ms: int
) -> None:
    venue, sent_s = FakeVenue(), list[float]()

    def lost(request: OrderRequest) -> SubmitResult | None:
        sent_s.append(time.monotonic())
        if len(sent_s) > 1:
            return None
        real_ms = order_driver.now_ms
        monkeypatch.setattr(order_driver, "now_ms", lambda: real_ms() + step_ms)
        return SubmitResult(Ending.UNKNOWN)

    async with bench(tmp_path, venue) as one:
        await one.verdict(one.offer("2"))
        venue.fault = lost
        await one.verdict(one.offer("0"))
        assert one.position() == 0
    assert 0.35 <= sent_s[1] - sent_s[0] <= 10, "sent again after the fence, and not before"


@pytest.mark.asyncio
async def test_an_unknown_entry_stops_new_risk_and_never_an_exit(tmp_path: Path) -> None:
    async with bench(tmp_path) as one:
        await one.verdict(one.offer("2"))
        one.venue.blind = True
        one.venue.fault = lambda request: None if request.reduce_only else SubmitResult(Ending.UNKNOWN)
        stuck = one.offer("3")
        await until(one.executor.driver.unknown_symbols)
        closing = one.offer("0")
        await until(lambda: one.position() == 0)
        assert one.executor.driver.unknown_symbols() == {BTC}
        entry = [request for request in one.venue.requests if not request.reduce_only][1]
        one.venue.fault = lambda request: None
        await one.venue.submit(entry)  # it was still travelling, and arrives now
        one.venue.blind = False
        assert (await one.verdict(stuck)).verdict == "copied"
        assert (await one.verdict(closing)).verdict == "copied"
        assert one.position() == 0


@pytest.mark.asyncio
async def test_a_refused_order_is_sent_again_with_the_same_id(tmp_path: Path) -> None:
    venue = FakeVenue()
    answers = [SubmitResult(Ending.REFUSED, None, "10006")]
    venue.fault = lambda request: answers.pop() if answers else None
    async with bench(tmp_path, venue) as one:
        assert (await one.verdict(one.offer("2"))).verdict == "copied"
        assert len({request.client_order_id for request in venue.requests}) == 1
        assert len(venue.requests) == 2


@pytest.mark.asyncio
async def test_a_rejected_entry_is_missed_with_the_venues_code(tmp_path: Path) -> None:
    venue = FakeVenue()
    venue.fault = lambda request: SubmitResult(Ending.REJECTED, None, "110007")
    async with bench(tmp_path, venue) as one:
        copy = await one.verdict(one.offer("2"))
        assert (copy.verdict, copy.reason) == ("missed", "rejected") and "110007" in copy.detail
        assert len(venue.requests) == 1


@pytest.mark.asyncio
async def test_a_reversal_is_one_copy_with_two_legs(tmp_path: Path) -> None:
    async with bench(tmp_path) as one:
        await one.verdict(one.offer("2"))
        copy = await one.verdict(one.offer("-2"))
        assert copy.verdict == "copied"
        assert [request.reduce_only for request in one.venue.requests] == [False, True, False]
        assert one.position() == Decimal("-0.099")  # 2.2 USDT of spread and fees ago it was 0.1


@pytest.mark.asyncio
async def test_an_entry_waits_a_moment_for_a_price_that_is_late_and_not_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with bench(tmp_path) as one:
        one.venue.account.quotes[BTC] = quote(at_ms=now_ms() - 10_000)
        late = one.offer("2")
        for _ in range(20):  # it has looked by now
            await asyncio.sleep(0.005)
        assert one.venue.requests == []
        one.venue.move("100000")
        assert (await one.verdict(late)).verdict == "copied"
        monkeypatch.setattr(desk, "QUOTE_TURNS_MAX", 2)
        one.venue.account.quotes[BTC] = quote(at_ms=now_ms() - 10_000)
        assert (await one.verdict(one.offer("3"))).reason == "no_account"  # no price to size it by
        assert (await one.verdict(one.offer("0"))).verdict == "copied", "no exit waits for a price"


@pytest.mark.asyncio
async def test_an_entry_waits_for_its_wave_and_an_exit_does_not(tmp_path: Path) -> None:
    async with bench(tmp_path) as one:
        await one.verdict(one.offer("1"))
        plan = StaggerPlan(waves=2, spacing_ms=400)
        waves = {}
        for after in ("2", "1", "2", "1"):
            begun_ms = now_ms()
            copy = await one.verdict(one.offer(after, stagger=plan))
            assert copy.released_ms is not None
            waves[one.seq] = copy.released_ms - begun_ms, copy.is_exit, copy.wave_start_ms - begun_ms
        for waited_ms, is_exit, wave_ms in waves.values():
            assert waited_ms < 200 if is_exit else waited_ms >= min(wave_ms, 400) - 5


@pytest.mark.asyncio
async def test_an_exit_overtakes_an_entry_that_waits_and_bounds_it(tmp_path: Path) -> None:
    async with bench(tmp_path) as one:
        plan = StaggerPlan(waves=64, spacing_ms=10)
        waiting = one.offer("2", stagger=plan)
        leaving = one.offer("0")
        assert (await one.verdict(leaving)).reason == "no_position"
        copy = await one.verdict(waiting)
        assert (copy.verdict, copy.reason) in {("skipped", "superseded"), ("copied", "copied")}
        assert one.position() == 0
        head = one.store.head("leader")
        assert head is not None and head.seq == leaving


@pytest.mark.asyncio
async def test_a_restart_resumes_the_intent_it_finds(tmp_path: Path, short_fence: None) -> None:
    venue = FakeVenue()
    venue.blind = True
    venue.fault = lambda request: SubmitResult(Ending.UNKNOWN)
    async with bench(tmp_path, venue) as one:
        one.offer("2")
        await until(one.store.open_orders)
    venue.blind, venue.fault = False, lambda request: None
    async with bench(tmp_path, venue) as again:
        copy = await again.verdict(1)
        assert copy.verdict == "copied" and again.position() == Decimal("0.1")
        assert len({request.client_order_id for request in venue.requests}) == 1
        assert again.desk.reconciled.is_set()


@pytest.mark.asyncio
async def test_a_position_from_elsewhere_is_external_and_left_alone(tmp_path: Path) -> None:
    venue = FakeVenue()
    venue.account.apply_fill(BTC, is_buy=True, qty=Decimal("0.02"), price=Decimal(100_000), fee=Decimal(0))
    async with bench(tmp_path, venue) as one:
        await one.verdict(one.offer("2"))
        closed = await one.verdict(one.offer("0"))
        assert closed.verdict == "copied" and one.position() == Decimal("0.02")


@pytest.mark.asyncio
async def test_a_position_closed_by_somebody_else_is_not_closed_again(tmp_path: Path) -> None:
    venue = FakeVenue()
    async with bench(tmp_path, venue) as one:
        await one.verdict(one.offer("2"))
    venue.account.apply_fill(BTC, is_buy=False, qty=Decimal("0.1"), price=Decimal(100_000), fee=Decimal(0))
    async with bench(tmp_path, venue) as again:
        again.seq, again.qty = 1, Decimal(2)
        closed = await again.verdict(again.offer("0"))
        assert (closed.verdict, closed.reason) == ("skipped", "no_position")
        assert again.store.positions() == {}


@pytest.mark.asyncio
async def test_every_signal_of_a_busy_run_has_exactly_one_verdict(tmp_path: Path) -> None:
    venue = FakeVenue()
    async with bench(tmp_path, venue) as one:
        path = ["1", "2", "-1", "-2", "-1", "0", "1", "0", "2", "1.5", "1", "-2", "0"] * 2
        for after in path:
            one.offer(after, stagger=StaggerPlan(waves=3, spacing_ms=20))
            await asyncio.sleep(0.005)
        for seq in range(1, len(path) + 1):
            await one.verdict(seq)
        reports = one.reports()
        assert sorted(report.seq for report in reports) == list(range(1, len(path) + 1))
        assert one.position() == 0
        assert len(venue.orders) == len({request.client_order_id for request in venue.requests})


@pytest.mark.asyncio
async def test_the_status_measures_the_gap_to_what_the_caps_allow(tmp_path: Path) -> None:
    bold = Policy(label="bold", scale=Decimal(3), leverage_max=Decimal(10))
    async with bench(tmp_path, policy=bold) as one:
        await one.desk.reconciled.wait()
        assert (await one.verdict(one.offer("2"))).verdict == "capped"
        status = status_report(one.executor, bold, one.venue.account, mode="running")
        assert Decimal(status.target_exposure) == 1  # half of his 2, not three times
        assert Decimal(status.exposure_gap) < Decimal("0.01")
        assert Decimal(status.leverage_peak) >= Decimal(status.leverage) > Decimal("0.99")
        assert (status.head_seq, status.unknown_orders, status.mode) == (1, 0, "running")
