"""Rows of the fault table around the venue: a storm of refusals (F4), the operator's stop under a flood
(F23), a follower that is gone while orders rest (F24), a disk that fails (F17).

STORM_S, SWITCH_SIGNALS for longer ones (`make soak-follower`).
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import shutil
import signal
import time
import urllib.request
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from follower_client.control import ControlFile
from follower_client.core.snapshot import Control
from follower_client.store import Store
from tests.integration.follower_world import BTC, BTC_ID, World, eventually, world

STORM_S = float(os.environ.get("STORM_S", "6"))
SWITCH_SIGNALS = int(os.environ.get("SWITCH_SIGNALS", "10"))
STORM: tuple[dict[str, Any], ...] = (
    {"kind": "error", "status": 503},
    {"kind": "error", "status": 502, "applied": True},
    {"kind": "busy"},
    {"kind": "busy", "applied": True},
)
pytestmark = [pytest.mark.asyncio, pytest.mark.timeout(120 + STORM_S + SWITCH_SIGNALS)]


def unit_of(stage: World) -> Decimal:
    return (Decimal(100_000) / stage.venue.price).quantize(Decimal("0.001"))


async def sim(stage: World, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    """Ask the simulator's own namespace."""

    def ask() -> dict[str, Any]:
        data = None if body is None else json.dumps(body).encode()
        with urllib.request.urlopen(f"{stage.venue.rest}/sim/{path}", data, timeout=10) as answer:
            found: dict[str, Any] = json.load(answer)
        return found

    return await asyncio.to_thread(ask)


async def met(stage: World) -> int:
    """How many calls met the faults that are set."""
    return sum(fault["hits"] for fault in (await sim(stage, "faults"))["faults"])


@pytest.mark.system
@pytest.mark.parametrize("kind", ["v5"])
async def test_f4_after_a_storm_of_refusals_exits_come_first_and_nothing_is_doubled(
    tmp_path: Path, kind: str
) -> None:
    """Every order call is refused, or done and not answered; the leader trades on and leaves."""
    seed = random.SystemRandom().randrange(2**32)
    print(f"seed {seed}")  # noqa: T201 - to play it again
    dice = random.Random(seed)
    async with world(tmp_path, "alice", sim=True) as stage:
        config = stage.write_config("alice", kind=kind, policy="orders_per_10_s_max = 1000")
        follower = await stage.follow(config)
        unit = unit_of(stage)
        await stage.reported("alice", await stage.publisher.trade(str(unit)))
        until_s, hits = time.monotonic() + STORM_S, 0
        while time.monotonic() < until_s:
            hits += await met(stage)
            await sim(stage, "faults/clear", {})
            fault = {**dice.choice(STORM), "path": "/v5/order/create", "name": "alice"}
            await sim(stage, "faults", fault)
            after = unit * Decimal(dice.choice(("2", "1.5", "0.5", "-1")))
            if after != stage.publisher.qty:
                await stage.publisher.trade(str(after), leverage="12", expires_ms=2000)
            await asyncio.sleep(dice.uniform(0.3, 1.0))
        gone = await stage.publisher.trade("0", leverage="0")
        hits += await met(stage)
        await sim(stage, "faults/clear", {})
        cleared_s = time.monotonic()

        async def is_flat() -> bool:
            return await stage.venue.position("alice") == 0

        await eventually(is_flat, limit_s=20, what="the exit, once the venue answers")
        flat_s = time.monotonic() - cleared_s
        await stage.reported("alice", gone, limit_s=30)
        await eventually(
            lambda: set(stage.publisher.signals) <= set(stage.reports_of("alice")),
            limit_s=60,
            what="verdicts",
        )
        store = Store.open(tmp_path / "alice" / "follower.sqlite", read_only=True)
        tries = [order.tries for one in store.copies(limit=500) for order in store.orders_of(one.key)]
        store.close()
        at_venue = await stage.venue.orders_by_link_id("alice")
        print(  # noqa: T201
            f"F4 {kind}: storm of {STORM_S:.0f} s, {hits} calls met it, {len(tries)} orders, at most "
            f"{max(tries)} tries of one; flat {flat_s:.1f} s after it"
        )
        assert hits > 0 and set(at_venue.values()) == {1} and max(tries) <= 5
        assert await is_flat(), "and flat it stays"
        assert await follower.stop() == 0


async def test_f23_no_entry_leaves_after_the_stop_that_signals_race_with(tmp_path: Path) -> None:
    async with world(tmp_path, "alice") as stage:
        config = stage.write_config("alice", kind="v5", policy="orders_per_10_s_max = 1000")
        follower = await stage.follow(config)
        unit, sent = unit_of(stage), asyncio.Event()
        await stage.reported("alice", await stage.publisher.trade(str(unit / 2)))

        async def trade() -> None:
            for number in range(2 * SWITCH_SIGNALS):
                after = unit * (2 if number % 2 else 1)
                await stage.publisher.trade(str(after), leverage="12", patient=True)
                if number == SWITCH_SIGNALS:
                    sent.set()

        trading = asyncio.create_task(trade())
        await sent.wait()
        begun_s = time.monotonic()
        ControlFile(tmp_path / "alice").order(Control.PAUSE, by="operator", reason="test")
        took_ms, acknowledged_ms = (time.monotonic() - begun_s) * 1000, time.time_ns() // 1_000_000
        await trading
        await eventually(
            lambda: set(stage.publisher.signals) <= set(stage.reports_of("alice")),
            limit_s=60 + SWITCH_SIGNALS,
            what="verdicts",
        )
        rows = await stage.venue.orders("alice")
        entries = [int(row["createdTime"]) for row in rows if not row["reduceOnly"]]
        late_ms = max(entries) - acknowledged_ms
        refused = sum(found[0].reason == "paused" for found in stage.reports_of("alice").values())
        print(  # noqa: T201
            f"F23: {2 * SWITCH_SIGNALS} signals, stop durable in {took_ms:.1f} ms, the last entry "
            f"{late_ms} ms after it, {refused} refused"
        )
        assert late_ms <= 100 and refused > 0
        assert await follower.stop() == 0


@pytest.mark.system
@pytest.mark.parametrize("kind", ["v5", "ccxt"])
async def test_f24_resting_orders_go_and_the_stop_stays_when_the_follower_is_gone(
    tmp_path: Path, kind: str
) -> None:
    """The venue's disconnect protection, which both adapters ask for."""
    async with world(tmp_path, "alice") as stage:
        follower = await stage.follow(stage.write_config("alice", kind=kind, policy="stop_loss_bps = 500"))
        await stage.reported("alice", await stage.publisher.trade(str(unit_of(stage))))
        own = stage.venue.exchange("alice")
        far = str(int(stage.venue.price * Decimal("0.95")))
        await own.create_order(BTC, "limit", "buy", "0.001", far)  # as if one of ours had come to rest

        async def resting() -> list[dict[str, Any]]:
            query = {"category": "linear", "symbol": BTC_ID}
            rows = (await own.privateGetV5OrderRealtime(query))["result"]["list"]
            return [row for row in rows if not row["stopOrderType"]]

        assert len(await resting()) == 1
        follower.process.kill()
        gone_s = time.monotonic()

        async def is_cancelled() -> bool:
            return not await resting()

        await eventually(is_cancelled, limit_s=20, what="the venue's own protection")
        after_s = time.monotonic() - gone_s
        print(f"F24: the resting order was gone {after_s:.1f} s after the follower, window 10 s")  # noqa: T201
        assert after_s <= 10 + 1 + 1, "window, one second, and a look"
        rows = (await own.privateGetV5PositionList({"category": "linear", "symbol": BTC_ID}))["result"][
            "list"
        ]
        assert Decimal(rows[0]["size"]) > 0 and Decimal(rows[0]["stopLoss"]) > 0


@pytest.mark.system
@pytest.mark.parametrize(
    ("call", "error"), [("fdatasync,fsync", "EIO"), ("pwrite64", "ENOSPC"), ("pwrite64", "EIO")]
)
async def test_f17_a_disk_that_fails_lets_nothing_leave(tmp_path: Path, call: str, error: str) -> None:
    """From the failure on no order leaves, the program ends with 1, and the next start goes on."""
    if shutil.which("strace") is None:
        pytest.fail("strace is needed to fail a disk: apt-get install strace")
    async with world(tmp_path, "alice") as stage:
        config = stage.write_config("alice", kind="v5")
        follower = await stage.follow(config)
        unit = unit_of(stage)
        await stage.reported("alice", await stage.publisher.trade(str(unit)))
        sent = await stage.venue.orders_by_link_id("alice")
        failing = await asyncio.create_subprocess_exec(
            *("strace", "-f", "-o", str(tmp_path / "strace"), "-e", f"trace={call}"),
            *("-e", f"inject={call}:error={error}", "-p", str(follower.process.pid)),
            stderr=asyncio.subprocess.PIPE,
        )
        assert failing.stderr is not None
        async with asyncio.timeout(10):
            assert b"attached" in await failing.stderr.readline()
        seq = await stage.publisher.trade(str(unit * 2), leverage="12")
        assert await follower.ended(30) == 1, follower.log.read_text()[-500:]
        await failing.wait()
        injected = (tmp_path / "strace").read_text().count("(INJECTED)")
        assert injected > 0 and "follower_stopped" in follower.log.read_text()
        assert await stage.venue.orders_by_link_id("alice") == sent, "an order left without a durable intent"
        again = await stage.follow(config)
        await stage.reported("alice", seq, limit_s=30)
        await stage.reported("alice", await stage.publisher.trade("0", leverage="0"))
        assert await stage.venue.position("alice") == 0
        assert set((await stage.venue.orders_by_link_id("alice")).values()) == {1}
        print(f"F17 {call} {error}: {injected} calls failed, no order left, went on after a start")  # noqa: T201
        assert await again.stop() == 0
        assert follower.process.returncode != -signal.SIGKILL
