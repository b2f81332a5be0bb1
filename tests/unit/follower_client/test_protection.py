"""Stops at the venue: where they belong, and what is told where there can be none."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from pathlib import Path

import pytest

from follower_client.core.policy import Policy
from follower_client.core.stops import Stops
from follower_client.venue.account import Holding
from tests.unit.follower_client.alarms import Alarms
from tests.unit.follower_client.build import BTC
from tests.unit.follower_client.executor_bench import bench
from tests.unit.follower_client.fake_venue import FakeVenue


@pytest.mark.asyncio
async def test_stops_follow_the_leader_and_are_asked_for_again(tmp_path: Path) -> None:
    policy = Policy(label="p", leverage_max=Decimal(10), stop_loss_bps=Decimal(500))
    async with bench(tmp_path, policy=policy) as one:
        alarms = Alarms(one)
        await one.verdict(one.offer("2"))
        assert one.venue.requests[0].stop_loss == Decimal("95000.1")
        one.venue.stops_refused = "10001"
        await alarms.protection.look()
        await alarms.protection.look()
        assert len(one.venue.stop_calls) == 1 and list(alarms.protection.unprotected()) == [BTC]
        one.venue.stops_refused = ""
        await asyncio.sleep(1.05)
        await alarms.protection.look()
        assert one.venue.account.stops[BTC].stop_loss == Decimal("95000.1")
        assert alarms.protection.unprotected() == {}
        sent = len(one.venue.stop_calls)
        await alarms.protection.look()
        assert len(one.venue.stop_calls) == sent
        one.venue.move("94000")  # passed: the venue is about to execute it
        await alarms.protection.look()
        assert len(one.venue.stop_calls) == sent


@pytest.mark.asyncio
async def test_a_position_that_is_partly_somebody_elses_is_told_to_be_without_a_stop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("follower_client.watch.UNPROTECTED_S", 0.0)
    async with bench(tmp_path) as one:
        alarms = Alarms(one)
        one.running.append(asyncio.create_task(alarms.notifier.run()))
        one.venue.account.apply_fill(
            BTC, is_buy=True, qty=Decimal("0.02"), price=Decimal(100_000), fee=Decimal(0)
        )
        await one.verdict(one.offer("2", leverage="6"))
        assert one.venue.requests[0].stop_loss is None  # it would close what is not ours
        await alarms.protection.look()
        assert one.venue.stop_calls == [] and list(alarms.protection.unprotected()) == [BTC]
        for _ in range(3):
            alarms.watch.look()
            await asyncio.sleep(0.01)
        (body,) = [body for title, body in alarms.told if "unprotected" in title]
        assert "partly somebody else's" in body and BTC in body
        one.venue.account.stops[BTC] = Stops(Decimal(90_000), None)  # whoever set it: it closes all
        assert alarms.protection.unprotected() == {}


@pytest.mark.asyncio
async def test_a_policy_without_a_stop_is_not_told_to_lack_one(tmp_path: Path) -> None:
    policy = Policy(label="p", leverage_max=Decimal(10), stop_loss_bps=Decimal(0))
    async with bench(tmp_path, policy=policy) as one:
        alarms = Alarms(one)
        one.venue.account.apply_fill(
            BTC, is_buy=True, qty=Decimal("0.02"), price=Decimal(100_000), fee=Decimal(0)
        )
        await one.verdict(one.offer("2", leverage="6"))
        assert alarms.protection.unprotected() == {}


@pytest.mark.asyncio
async def test_in_hedge_mode_the_other_leg_is_another_position(tmp_path: Path) -> None:
    venue = FakeVenue()
    async with bench(tmp_path, venue) as one:
        alarms = Alarms(one)
        await one.verdict(one.offer("2"))
        venue.account.hold_legs(
            BTC, Holding(Decimal("0.1"), Decimal(100_000)), Holding(Decimal("-0.04"), Decimal(99_000))
        )
        venue.account.stops.pop(BTC, None)
        assert list(alarms.protection.unprotected()) == [BTC]
        await alarms.protection.look()
        assert venue.account.stops[BTC].stop_loss == Decimal("75000.0")
        venue.account.hold_legs(
            BTC, Holding(Decimal("0.1"), Decimal(100_000)), Holding(Decimal("-0.4"), Decimal(99_000))
        )
        calls = len(venue.stop_calls)
        await alarms.protection.look()  # the venue's stops are kept for the larger leg, which is not ours
        assert len(venue.stop_calls) == calls and "partly" in alarms.protection.unprotected()[BTC]
