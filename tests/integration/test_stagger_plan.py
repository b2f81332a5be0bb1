"""The stagger plan on a real broker: what followers report and the leader's book become his entry, which he
alone may read; whatever a follower claims, the others do not wait for it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from relay.core.account import Account, Quote
from relay.nats_bus import BusError, NotPermitted
from relay.planning import Planner
from relay.protocol import subjects
from relay.protocol.codec import encode_report
from relay.protocol.messages import StaggerPlan, StatusReport
from relay.protocol.plans import PlansTold, encode_plans
from relay.sampling import Levels, Sampler
from relay.spreading import Spreader
from tests.integration.broker_room import Room, running_room, settle

pytestmark = [pytest.mark.asyncio, pytest.mark.timeout(60)]
BTC = "BTC/USDT:USDT"
WINDOW_MS = 2_000


def status(name: str, equity: str, *, paper: bool = False, mode: Any = "running") -> bytes:
    return encode_report(
        StatusReport(
            follower_id=name,
            leader_id="alice",
            policy="",
            paper=paper,
            sent_ms=1,
            head_seq=0,
            equity=equity,
            positions=[],
            target_exposure="0",
            actual_exposure="0",
            exposure_gap="0",
            leverage="0",
            leverage_peak="0",
            unknown_orders=0,
            mode=mode,
        )
    )


class Book:
    """A book that is refilled between two looks: 60,000 USDT on a side, then 100,000."""

    def __init__(self) -> None:
        self.qty = Decimal("0.6")

    async def fetch_book(self, symbol: str) -> tuple[Levels, Levels]:
        if symbol != BTC:
            return [], []
        side, self.qty = self.qty, Decimal(1)
        return [(Decimal(99_990), side)], [(Decimal(100_010), side)]


class Latest:
    """The leader's account as the market moves."""

    def __init__(self) -> None:
        self.account = Account()

    def move(self, mark: str) -> None:
        price = Decimal(mark)
        self.account = Account(quotes={BTC: Quote(mark=price, index=price, last=price, bid=price, ask=price)})


async def sampled() -> Sampler:
    sampler, latest = Sampler(Book(), [BTC]), Latest()
    for turn, mark in enumerate(["100000", "100001", "100000", "100001", "100000", "100001"]):
        latest.move(mark)
        await sampler.look(latest.account, turn)
    return sampler


async def spreader(
    room: Room, name: str = "alice", clock_s: Callable[[], float] = time.monotonic
) -> Spreader:
    return Spreader(await room.bus(name), name, await sampled(), Latest(), WINDOW_MS, clock_s)


async def test_the_sampler_tells_depth_refill_and_motion_of_what_it_saw() -> None:
    sample = (await sampled()).samples()[BTC]
    assert Decimal(99_000) < sample.depth_usdt < Decimal(101_000)
    assert Decimal(7_900) < sample.refill_usdt_per_s < Decimal(8_100)  # 40,000 within five looks
    assert Decimal("0.09") < sample.volatility_bps < Decimal("0.11")
    assert Sampler(Book(), [BTC]).samples() == {}


async def test_a_book_that_is_read_less_often_refills_no_faster() -> None:
    sampler, latest = Sampler(Book(), [BTC, *(f"S{number}/USDT:USDT" for number in range(9))]), Latest()
    for turn in range(11):
        latest.move(str(100_000 + turn % 2))
        await sampler.look(latest.account, turn)
    refill = sampler.samples()[BTC].refill_usdt_per_s
    assert Decimal(3_900) < refill < Decimal(4_100)  # 40,000 within ten looks


async def test_a_plan_comes_from_who_follows_now_and_lies_where_the_leader_reads_it(tmp_path: Path) -> None:
    async with running_room(tmp_path) as room:
        now_s = [0.0]
        planner, admin = Planner(lambda: now_s[0]), await room.broker.connect("admin")
        await planner.start(admin)
        bob, eve, alice = await room.bus("bob"), await room.bus("eve"), await spreader(room)
        assert alice.plan(BTC) == StaggerPlan()
        await alice.renew()
        assert alice.shown()["followers"] == 0
        await bob.publish_report("alice", "bob", status("bob", "60000.5"), "r1")
        await eve.publish_report("alice", "eve", status("eve", "50000"), "r2")
        found = await renewed(now_s, planner, alice)
        assert found.followers == 2
        [plan] = found.plans.values()
        assert alice.plan(BTC) == plan.stagger
        assert plan.stagger.waves == 2
        assert 0 < plan.stagger.spacing_ms <= WINDOW_MS
        assert Decimal(plan.timing_bps) > 0
        assert Decimal(plan.impact_bps) + Decimal(plan.timing_bps) < Decimal(plan.impact_at_once_bps)
        assert alice.shown()["plans"][BTC]["timing_bps"] == plan.timing_bps
        again = await spreader(room)  # a publisher that starts anew has it at once
        await again.read()
        assert again.plan(BTC) == plan.stagger
        await bob.publish_report("alice", "bob", status("bob", "60000", paper=True), "r3")
        await eve.publish_report("alice", "eve", status("eve", "50000", mode="stopped"), "r4")
        assert (await renewed(now_s, planner, alice)).followers == 0
        assert alice.plan(BTC) == StaggerPlan()


async def test_a_relay_that_plans_no_more_means_one_wave_a_minute_later(tmp_path: Path) -> None:
    async with running_room(tmp_path) as room:
        now_s = [0.0]
        planner, admin = Planner(lambda: now_s[0]), await room.broker.connect("admin")
        await planner.start(admin)
        bob, eve, alice = (
            await room.bus("bob"),
            await room.bus("eve"),
            await spreader(room, "alice", lambda: now_s[0]),
        )
        await bob.publish_report("alice", "bob", status("bob", "60000"), "r1")
        await eve.publish_report("alice", "eve", status("eve", "50000"), "r2")
        await renewed(now_s, planner, alice)
        assert alice.plan(BTC).waves == 2
        await admin.close()  # the servers of a cluster go on without their relay
        now_s[0] += subjects.PLAN_LIFE_S - 1
        with pytest.raises(BusError):
            await alice.renew()
        assert alice.plan(BTC).waves == 2
        now_s[0] += 1
        assert alice.plan(BTC) == StaggerPlan()
        assert alice.shown() == {"followers": 0, "plans": {}}


async def renewed(now_s: list[float], planner: Planner, leader: Spreader) -> PlansTold:
    """The plan made next: the second in which nothing is planned again is over."""
    now_s[0] += 2
    await leader.renew()
    found = planner.plans("alice")
    assert found is not None
    return found


async def test_a_claim_of_10_to_the_15_moves_the_plan_by_a_tenth_of_the_book(tmp_path: Path) -> None:
    async with running_room(tmp_path) as room:
        now_s = [0.0]
        planner, admin = Planner(lambda: now_s[0]), await room.broker.connect("admin")
        await planner.start(admin)
        bob, eve, alice = await room.bus("bob"), await room.bus("eve"), await spreader(room)
        await bob.publish_report("alice", "bob", status("bob", "1000"), "r1")
        await eve.publish_report("alice", "eve", status("eve", "999999999999999"), "r2")
        [plan] = (await renewed(now_s, planner, alice)).plans.values()
        assert Decimal(plan.impact_at_once_bps) < Decimal("0.51")  # 0.5 of the liar, the rest is bob's
        assert Decimal(plan.timing_bps) < Decimal("0.5")


async def test_nobody_else_reads_writes_or_makes_a_leaders_plan(tmp_path: Path) -> None:
    async with running_room(tmp_path) as room:
        planner, admin = Planner(), await room.broker.connect("admin")
        await planner.start(admin)
        await (await spreader(room)).renew()
        kept = await admin.fetch_plan("alice")
        assert kept is not None
        carol, bob = await room.bus("carol"), await room.bus("bob")
        for other in (carol, bob):
            with pytest.raises(NotPermitted):
                await other.fetch_plan("alice")
            with pytest.raises(NotPermitted):
                await other.put_plan("alice", kept)
            with pytest.raises(NotPermitted):
                await other.request(subjects.market("alice"), b"{}")
        alice = await room.bus("alice")
        with pytest.raises(NotPermitted):
            await alice.put_plan("alice", kept)
        complaints: list[str] = []
        raw = await room.attacker("alice", complaints)
        targets = ["$JS.API.DIRECT.GET.KV_plans", "$JS.API.DIRECT.GET.KV_plans.$KV.plans.carol"]
        for subject in targets:
            await raw.publish(subject, b'{"seq":1}', reply="_INBOX_alice.x")
        own = "$JS.API.DIRECT.GET.KV_plans.$KV.plans.alice"
        for reply in ("$KV.plans.carol", "signals.carol", "feed.alice", "reports.alice.bob"):
            await raw.publish(own, b"", reply=reply)
            await raw.publish("market.alice", b"{}", reply=reply)
        await settle(raw)
        for subject in targets:
            assert f'violation for publish to "{subject.lower()}"' in " ".join(complaints), subject
        assert await admin.fetch_plan("carol") is None
        assert await room.stored("carol") == []
        assert await admin.fetch_plan("alice") == kept


async def test_a_plan_beyond_the_leaders_own_window_is_not_signed(tmp_path: Path) -> None:
    async with running_room(tmp_path) as room:
        admin, alice = await room.broker.connect("admin"), await spreader(room)
        planner = Planner()
        await planner.start(admin)
        await alice.renew()
        told = planner.plans("alice")
        assert told is not None
        [plan] = told.plans.values()
        long = type(plan)(
            stagger=StaggerPlan(waves=50, spacing_ms=1_000),
            impact_bps="1",
            timing_bps="1",
            impact_at_once_bps="9",
        )
        for wrong in (
            PlansTold(leader_id="alice", planned_ms=1, followers=2, plans={BTC: long}),
            PlansTold(leader_id="carol", planned_ms=1, followers=2, plans={}),
        ):
            await admin.put_plan("alice", encode_plans(wrong))
            with pytest.raises(BusError, match=r"plan: "):
                await alice.read()
            assert alice.plan(BTC) == StaggerPlan()
