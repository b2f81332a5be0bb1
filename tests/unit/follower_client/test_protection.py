"""Stops at the venue: where they belong, and what is told where there can be none."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from pathlib import Path
from typing import Literal

import pytest

from follower_client import closeout as closeout_module
from follower_client.closeout import Closeout
from follower_client.core.policy import Policy
from follower_client.core.stops import Stops
from follower_client.venue.account import Holding
from follower_client.venue.port import OpenOrder
from tests.unit.follower_client.alarms import Alarms
from tests.unit.follower_client.build import BTC
from tests.unit.follower_client.executor_bench import bench, until
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


def buys(venue: FakeVenue, qty: str, price: int = 100_000) -> None:
    """Somebody else, on the same account."""
    venue.account.apply_fill(BTC, is_buy=True, qty=Decimal(qty), price=Decimal(price), fee=Decimal(0))


@pytest.mark.asyncio
async def test_the_copied_part_of_a_position_has_a_stop_of_its_own_size(tmp_path: Path) -> None:
    policy = Policy(label="p", leverage_max=Decimal(10), stop_loss_bps=Decimal(500))
    venue = FakeVenue()
    async with bench(tmp_path, venue, policy) as one:
        alarms = Alarms(one)
        buys(venue, "0.02", 50_000)  # his price is not the copy's
        await one.verdict(one.offer("2", leverage="6"))
        assert one.venue.requests[0].stop_loss is None  # it would close what is not ours
        await alarms.protection.look()
        copied = one.position() - Decimal("0.02")
        (stop,) = venue.resting
        assert (stop.qty, stop.trigger_price, stop.is_buy) == (copied, Decimal("95000.1"), False)
        assert alarms.protection.unprotected() == {} and venue.stop_calls == []
        await one.verdict(one.offer("1", leverage="6"))
        await alarms.protection.look()
        left = one.position() - Decimal("0.02")
        assert left < copied and [stop.qty for stop in venue.resting] == [left]  # one alone, of what is left
        calls = venue.part_calls
        await alarms.protection.look()
        venue.move("94000")  # passed: the venue is about to execute it
        await alarms.protection.look()
        assert venue.part_calls == calls == 2
        venue.trigger(venue.resting[0])
        await until(lambda: not one.desk.journal.symbols())
        assert one.position() == Decimal("0.02")  # his
        await alarms.protection.look()
        assert one.desk.part_stops.live == {} and one.store.positions() == {}
        skipped = await one.verdict(one.offer("0", leverage="6"))
        assert skipped.reason == "no_position" and one.position() == Decimal("0.02")


@pytest.mark.asyncio
async def test_a_stop_that_was_executed_while_nobody_ran_was_the_copys(tmp_path: Path) -> None:
    venue = FakeVenue()
    async with bench(tmp_path, venue) as one:
        alarms = Alarms(one)
        buys(venue, "0.02")
        await one.verdict(one.offer("2", leverage="6"))
        venue.lose_answers = True
        await alarms.protection.look()  # asked for, no answer: what rests tells
        venue.lose_answers = False
        (stop,) = venue.resting
        assert [order.order_id for order in one.desk.part_stops.live.values()] == [stop.order_id]
    venue.trigger(stop, told=False)
    async with bench(tmp_path, venue) as one:
        await one.desk.reconciled.wait()
        assert one.store.positions() == {} and one.desk.part_stops.live == {}
        assert one.store.open_orders() == [] and one.position() == Decimal("0.02")


@pytest.mark.asyncio
async def test_a_stop_whose_id_was_never_learned_is_known_by_size_and_side(tmp_path: Path) -> None:
    venue = FakeVenue()
    async with bench(tmp_path, venue) as one:
        buys(venue, "0.02")
        await one.verdict(one.offer("2", leverage="6"))
        wanted = Alarms(one).protection.parts()
        await one.desk.part_stops._set(wanted)  # killed right here
    (stop,) = venue.resting
    venue.trigger(stop, told=False)
    async with bench(tmp_path, venue) as one:
        await one.desk.reconciled.wait()
        assert one.store.positions() == {} and one.position() == Decimal("0.02")


@pytest.mark.asyncio
async def test_a_stop_that_a_lost_memory_had_set_is_taken_over_and_not_doubled(tmp_path: Path) -> None:
    venue = FakeVenue()
    async with bench(tmp_path, venue) as one:
        alarms = Alarms(one)
        buys(venue, "0.02")
        await one.verdict(one.offer("2", leverage="6"))
        ((leader_id, symbol), wanted), *_ = alarms.protection.parts().items()
        await venue.add_part_stop(symbol, is_long=True, qty=wanted.qty, price=wanted.price)
        await alarms.protection.look()
        (stop,) = venue.resting
        assert one.desk.part_stops.live[leader_id, symbol].order_id == stop.order_id
        await one.verdict(one.offer("0", leverage="6"))
        await alarms.protection.look()
        assert venue.resting == []


@pytest.mark.asyncio
async def test_a_stop_of_the_whole_goes_when_the_position_is_shared(tmp_path: Path) -> None:
    venue = FakeVenue()
    async with bench(tmp_path, venue) as one:
        alarms = Alarms(one)
        await one.verdict(one.offer("2"))
        copied = one.position()
        await alarms.protection.look()
        assert venue.account.stops[BTC] == Stops(Decimal("75000.1"))
        buys(venue, "0.02")
        await alarms.protection.look()
        await alarms.protection.look()
        assert venue.account.stops[BTC] == Stops() and [stop.qty for stop in venue.resting] == [copied]
        venue.account.stops[BTC] = Stops(Decimal(60_000))  # somebody's own, of the whole: that is his to know
        await alarms.protection.look()
        assert venue.account.stops[BTC] == Stops(Decimal(60_000))
        venue.account.apply_fill(
            BTC, is_buy=False, qty=Decimal("0.02"), price=Decimal(100_000), fee=Decimal(0)
        )
        await alarms.protection.look()
        assert venue.account.stops[BTC] == Stops(Decimal("75000.1")) and venue.resting == []


@pytest.mark.asyncio
async def test_a_part_that_the_venue_takes_no_stop_of_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("follower_client.watch.UNPROTECTED_S", 0.0)
    venue = FakeVenue()
    async with bench(tmp_path, venue) as one:
        alarms = Alarms(one)
        one.running.append(asyncio.create_task(alarms.notifier.run()))
        buys(venue, "0.02")
        await one.verdict(one.offer("2", leverage="6"))
        venue.stops_refused = "10001"
        await alarms.protection.look()
        await alarms.protection.look()
        assert venue.part_calls == 1 and list(alarms.protection.unprotected()) == [BTC]
        for _ in range(3):
            alarms.watch.look()
            await asyncio.sleep(0.01)
        (body,) = [body for title, body in alarms.told if "unprotected" in title]
        assert "no stop of its own" in body and BTC in body
        venue.account.stops[BTC] = Stops(Decimal(90_000), None)  # whoever set it: it closes all
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
        (stop,) = venue.resting
        assert len(venue.stop_calls) == calls and (stop.qty, stop.is_buy) == (Decimal("0.1"), False)
        assert alarms.protection.unprotected() == {}


@pytest.mark.asyncio
async def test_only_own_stops_of_what_is_flat_are_swept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(closeout_module, "SWEEP_EVERY_S", 0.01)
    venue = FakeVenue()

    def rests(name: str, price: int, attached: Literal["", "whole"]) -> OpenOrder:
        return OpenOrder(
            symbol=BTC,
            order_id=name,
            client_order_id="",
            reduce_only=True,
            is_stop=True,
            attached=attached,
            trigger_price=Decimal(price),
        )

    stop, theirs = rests("s", 90_000, "whole"), [rests("t", 90_000, ""), rests("u", 91_000, "whole")]
    async with bench(tmp_path, venue) as one:
        one.desk.part_stops.note_set(BTC, Stops(Decimal(90_000)))
        sweeping = asyncio.create_task(Closeout("alice", one.desk).run())
        legs = Holding(Decimal("0.1"), Decimal(100_000)), Holding(Decimal("-0.1"), Decimal(100_000))
        venue.account.hold_legs(BTC, *legs)  # long and short of the same size: the net is nothing
        assert venue.account.positions() == {}
        venue.resting = [stop, *theirs]
        await asyncio.sleep(0.1)
        assert venue.resting == [stop, *theirs], "each of the legs may have its own"
        venue.account.hold_legs(BTC, Holding(), Holding())
        await until(lambda: stop not in venue.resting)
        await asyncio.sleep(0.05)
        assert venue.resting == theirs, "a stop that somebody has laid ahead of his own entry is his"
        sweeping.cancel()
        await asyncio.gather(sweeping, return_exceptions=True)
