"""Rows of the fault table that need a real follower."""

from __future__ import annotations

import asyncio
import json
import os
import random
import resource
import sqlite3
import subprocess
import sys
import time
import urllib.request
from decimal import Decimal
from pathlib import Path

import pytest

from follower_client.errors import StoreError
from follower_client.store import Store
from relay.protocol.messages import PositionState, Snapshot
from tests.integration.follower_world import ROOT, World, die_with_parent, eventually, world
from tests.integration.test_follower_commands import client

FLIPS = int(os.environ.get("FLIPS", "300"))
pytestmark = [pytest.mark.asyncio, pytest.mark.timeout(150 + FLIPS // 10)]


def sim(stage: World, path: str, body: dict[str, object]) -> None:
    request = urllib.request.Request(f"{stage.venue.rest}/sim/{path}", json.dumps(body).encode())
    with urllib.request.urlopen(request, timeout=10) as response:
        answer = json.load(response)
    assert not answer.get("retCode"), answer


async def unit_of(stage: World) -> Decimal:
    return (Decimal(100_000) / stage.venue.price).quantize(Decimal("0.001"))


async def fall_past_stops(stage: World) -> None:
    """By 1.2 %, with somebody there to sell to."""
    maker = stage.venue.exchange("maker")
    await maker.cancel_all_orders("BTC/USDT:USDT")
    for share in ("0.9895", "0.9885", "0.987", "0.985"):  # not so far that the price band cuts it off
        price = str(int(stage.venue.price * Decimal(share)))
        await maker.create_order("BTC/USDT:USDT", "limit", "buy", "20", price)
    fallen = str(int(stage.venue.price * Decimal("0.988")))
    await asyncio.to_thread(sim, stage, "index", {"symbol": "BTCUSDT", "price": fallen})


@pytest.mark.parametrize("kind", ["ccxt", "v5"])
async def test_a_position_keeps_its_stop_at_the_venue_when_the_follower_is_gone(
    tmp_path: Path, kind: str
) -> None:
    async with world(tmp_path, "alice", sim=True) as stage:
        config = stage.write_config("alice", policy="stop_loss_bps = 100", kind=kind)
        follower = await stage.follow(config)
        await stage.reported("alice", await stage.publisher.trade(str(await unit_of(stage))))
        held = await stage.venue.position("alice")
        assert held > 0
        follower.process.kill()
        await follower.ended()
        await fall_past_stops(stage)

        async def is_flat() -> bool:
            return await stage.venue.position("alice") == 0

        await eventually(is_flat, limit_s=20, what="the venue's stop")
        again = await stage.follow(config)
        report = await stage.reported("alice", await stage.publisher.trade("0", leverage="0"))
        assert (report.verdict, report.reason) == ("skipped", "no_position")
        assert await again.stop() == 0


async def test_the_stop_of_a_copied_part_leaves_what_is_somebody_elses(tmp_path: Path) -> None:
    async with world(tmp_path, "alice", sim=True) as stage:
        own = stage.venue.exchange("alice")
        await own.create_order("BTC/USDT:USDT", "market", "buy", "0.005")
        config = stage.write_config("alice", policy="stop_loss_bps = 100", kind="v5")
        follower = await stage.follow(config)
        await stage.reported("alice", await stage.publisher.trade(str(await unit_of(stage))))
        assert await stage.venue.position("alice") > Decimal("0.005")

        async def has_stop() -> bool:
            resting = await own.fetch_open_orders("BTC/USDT:USDT", params={"trigger": True})
            return [one["info"]["stopOrderType"] for one in resting] == ["PartialStopLoss"]

        await eventually(has_stop, limit_s=5, what="a stop of the part")
        follower.process.kill()
        await follower.ended()
        await fall_past_stops(stage)

        async def is_his_alone() -> bool:
            return await stage.venue.position("alice") == Decimal("0.005")

        await eventually(is_his_alone, limit_s=20, what="the venue's stop")
        again = await stage.follow(config)
        report = await stage.reported("alice", await stage.publisher.trade("0", leverage="0"))
        assert (report.verdict, report.reason) == ("skipped", "no_position")
        assert await again.stop() == 0 and await is_his_alone()


async def test_a_journal_that_cannot_be_written_sends_nothing(tmp_path: Path) -> None:
    async with world(tmp_path, "alice") as stage:
        config = stage.write_config("alice")
        first = await stage.follow(config)
        await stage.reported("alice", await stage.publisher.trade(str(await unit_of(stage))))
        assert await first.stop() == 0
        sent = len(await stage.venue.orders("alice"))

        def small_files() -> None:
            die_with_parent()
            size = max(file.stat().st_size for file in (tmp_path / "alice").glob("follower.sqlite*"))
            resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

        log = tmp_path / "full.log"
        with log.open("wb") as errors:
            full = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "follower_client", "run", "-c", str(config), "--json",
                cwd=ROOT, preexec_fn=small_files, stdout=subprocess.PIPE, stderr=errors,
            )  # fmt: skip
        await asyncio.sleep(1)
        step = 1
        while full.returncode is None and step < 60:
            step += 1
            await stage.publisher.trade(str(await unit_of(stage) * (1 + step % 2)), leverage="8")
            await asyncio.sleep(0.2)
        assert await asyncio.wait_for(full.wait(), 30) == 1, log.read_text()[-500:]
        named = {
            row.client_order_id
            for found in stage.reports_of("alice").values()
            for r in found
            for row in r.orders
        }
        store = Store.open(tmp_path / "alice" / "follower.sqlite", read_only=True)
        known = {row[0] for row in store._db.execute("SELECT client_order_id FROM orders")}
        store.close()
        at_venue = await stage.venue.orders_by_link_id("alice")
        assert set(at_venue) <= known | named, "an order left without a durable intent"
        assert len(at_venue) >= sent
        again = await stage.follow(config)
        await stage.reported("alice", await stage.publisher.trade("0", leverage="0"))
        assert await stage.venue.position("alice") == 0
        assert await again.stop() == 0


async def test_no_flipped_byte_of_the_store_is_believed(tmp_path: Path) -> None:
    """Either the store is refused, or everything that is read from it is as it was."""
    async with world(tmp_path, "alice") as stage:
        config = stage.write_config("alice")
        follower = await stage.follow(config)
        unit = await unit_of(stage)
        for number in (1, 2, 1, 3):
            await stage.reported("alice", await stage.publisher.trade(str(unit * number), leverage="8"))
        assert await follower.stop() == 0
    path = tmp_path / "alice" / "follower.sqlite"
    database = sqlite3.connect(path)
    database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    database.close()
    whole, good = path.read_bytes(), facts(path)
    seed = random.SystemRandom().randrange(2**32)
    print(f"seed {seed}")  # noqa: T201 - to play it again
    dice, wrong = random.Random(seed), []
    copy = tmp_path / "copy.sqlite"
    for _ in range(FLIPS):
        place = dice.randrange(len(whole))
        copy.write_bytes(
            whole[:place] + bytes([whole[place] ^ (1 << dice.randrange(8))]) + whole[place + 1 :]
        )
        for suffix in ("-wal", "-shm"):
            copy.with_name(copy.name + suffix).unlink(missing_ok=True)
        found = facts(copy)
        if found is not None and found != good:
            wrong.append(place)
    print(f"F18: {FLIPS} flipped bits, {len(wrong)} believed")  # noqa: T201
    assert wrong == []


def facts(path: Path) -> object:
    """What decisions depend on; `None` where the store is refused."""
    try:
        store = Store.open(path)
    except StoreError:
        return None
    try:
        return (
            store.head("lead"),
            store.positions_by_leader(),
            [copy.verdict for copy in store.copies(limit=100)],
            store.open_orders(),
        )
    except Exception:
        return None
    finally:
        store.close()


async def contradict(stage: World, qty: Decimal) -> None:
    """A snapshot that says otherwise than every signal before it."""
    text = str(stage.venue.price)
    state = PositionState(
        symbol="BTC/USDT:USDT", qty=str(qty), entry_price=text, exposure="900", leverage="100"
    )
    now_ms = time.time_ns() // 1_000_000
    await stage.publisher.send(
        Snapshot(positions=[state], equity="100000", account_leverage="900", sealed_ms=now_ms)
    )


async def listed(config: Path) -> list[dict[str, str]]:
    """What `verdicts` tells the owner."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "follower_client", "verdicts", "-c", str(config), "--json", "--limit", "500",
        cwd=ROOT, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    output, _ = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 0
    found: list[dict[str, str]] = json.loads(output)
    return found


async def test_a_hostile_leader_stays_inside_every_cap_and_each_refusal_is_listed(tmp_path: Path) -> None:
    policy = "\n".join(
        (
            "scale = 1",
            "notional_per_symbol_max_usdt = 3000",
            "notional_per_order_max_usdt = 2000",
            "notional_total_max_usdt = 3500",
            "orders_per_10_s_max = 20",
        )
    )
    async with world(tmp_path, "alice") as stage:
        config = stage.write_config("alice", policy=policy, kind="v5")
        follower = await stage.follow(config)
        unit, price = await unit_of(stage), stage.venue.price
        trades = [
            {"after": str(unit * 1000), "leverage": "100"},  # a thousand times too much
            {"after": str(unit * -1000), "leverage": "100"},
            {"after": str(unit), "equity": "1", "leverage": "100"},  # an equity that shrank
            {"after": str(unit * 2), "equity": "100000000000", "leverage": "2"},
            {"after": str(unit * 3), "price": price * 2, "leverage": "3"},  # a price nobody saw
            {"after": str(unit * 4), "expires_ms": 0, "leverage": "4"},  # too late already
            {"after": str(unit * 5), "age_ms": 90_000, "leverage": "5"},  # stale, and says so
            {"after": str(unit * 6), "symbol": "DOGE/USDT:USDT", "leverage": "6"},  # not on the list
            {"after": str(unit * 7), "symbol": "NOSUCH/USDT:USDT", "leverage": "7"},
        ]
        for terms in trades:
            await stage.publisher.trade(**terms)  # type: ignore[arg-type]
        for qty in (unit * 1000, unit * -1000):
            await contradict(stage, qty)
        start_s = time.monotonic()
        for number in range(60):  # a flood
            await stage.publisher.trade(str(unit * (500 + number % 7)), leverage="100")
        last = stage.publisher.last_wire
        await eventually(
            lambda: set(stage.publisher.signals) <= set(stage.reports_of("alice")),
            limit_s=60,
            what="verdicts",
        )
        assert time.monotonic() - start_s < 60
        held = await stage.venue.position("alice")
        assert abs(held) * price <= 3000
        reports = {seq: found[0] for seq, found in stage.reports_of("alice").items()}
        for report in reports.values():
            for order in report.orders:
                assert Decimal(order.qty) * price <= 2010 or order.reduce_only
            if report.leverage_after is not None and report.leverage_cap is not None:
                assert Decimal(report.leverage_after) <= Decimal(report.leverage_cap)
        reasons = {report.reason for report in reports.values()}
        assert {"expired", "leader_equity_jump", "symbol_unknown"} <= reasons, reasons
        sent = len(await stage.venue.orders("alice"))
        await stage.publisher.replay(last)  # it stands where it was not signed for
        await eventually(lambda: "wrong_place" in follower.log.read_text(), limit_s=20, what="the refusal")
        assert len(await stage.venue.orders("alice")) == sent
        assert await stage.venue.position("alice") == held
        rows = {row["signal_id"]: row for row in await listed(config)}
        assert set(rows) == {f"lead.7.{seq}" for seq in reports}
        for seq, report in reports.items():
            row = rows[f"lead.7.{seq}"]
            assert (row["verdict"], row["reason"]) == (report.verdict, report.reason)
            assert row["detail"]
        assert await follower.stop() == 0
        told, _ = await client(tmp_path, "verdicts", "-c", str(config), "--limit", "1")
        assert "messages in the name of lead were not believed (" in told and "wrong_place " in told
