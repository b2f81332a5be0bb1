"""The follower's page of README with real programs: from a token to flat, and back from a lost store."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.integration.follower_world import World, eventually, world
from tests.integration.relay_programs import ROOT, Program, programs
from tests.integration.test_leader_commands import set_up
from tests.integration.test_relay_programs import SYMBOL, trader

pytestmark = [pytest.mark.asyncio, pytest.mark.timeout(150)]


async def client(folder: Path, *arguments: str, status: int = 0) -> tuple[str, str]:
    """`follower-client ARGUMENTS`, as in a terminal in that folder: (output, errors)."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "follower_client",
        *arguments,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, errors = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == status, (output.decode(), errors.decode())
    return output.decode().strip(), errors.decode().strip()


async def told(folder: Path, *arguments: str, status: int = 0) -> Any:
    return json.loads((await client(folder, *arguments, "--json", status=status))[0])


async def follow(folder: Path, *options: str) -> tuple[asyncio.subprocess.Process, dict[str, Any]]:
    with (folder / "run.log").open("ab") as log:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "follower_client", "run", "--json", *options,
            cwd=folder, env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=asyncio.subprocess.PIPE, stderr=log,
        )  # fmt: skip
    assert process.stdout is not None
    line = await asyncio.wait_for(process.stdout.readline(), 60)
    assert line, (folder / "run.log").read_text()
    return process, json.loads(line)


async def ended(process: asyncio.subprocess.Process) -> int:
    process.terminate()
    return await asyncio.wait_for(process.wait(), 10)


async def quotes(venue: Program) -> Any:
    """A maker who keeps both sides of the book."""
    maker = trader(venue, "maker")
    for side, price in (("buy", 99_999), ("sell", 100_001)):
        await maker.create_order(SYMBOL, "limit", side, 50, price)
    return maker


async def test_from_a_token_to_flat_on_paper_without_editing_a_file(tmp_path: Path) -> None:
    async with programs(tmp_path) as room:
        desk, venue = await set_up(room)
        await room.start("relay", "serve", "--config", str(tmp_path / "relay.toml"), "--json")
        await room.start("relay", "publish", "--config", str(tmp_path / "publisher.toml"), "--json")
        token, _ = await desk("invite", "create")
        maker, leader = await quotes(venue), trader(venue, "leader")
        home = tmp_path / "mia"
        home.mkdir()
        try:
            said, _ = await client(home, "join", token, "--id", "mia")
            assert "zoe trades BTC/USDT:USDT" in said and "his followers: no signed statement" in said
            assert (home / "leader.profile").exists()
            assert "PAPER" in said and (home / "follower.toml").stat().st_mode & 0o077 == 0
            assert token not in (home / "follower.toml").read_text()
            again = (await client(home, "join", token, "--id", "mia", status=1))[1]
            assert "exists already" in again
            checks = {row["check"]: row for row in await told(home, "doctor")}
            assert checks["broker"]["level"] == checks["leader"]["level"] == "ok"
            assert "PAPER" in checks["mode"]["what"]
            follower, ready = await follow(home)
            assert ready == {"ready": True, "followers": ["mia"]}
            assert (await desk.json("group", "create"))["members"] == 1  # from here on the feed is sealed
            await leader.create_order(SYMBOL, "market", "buy", 0.5)

            async def copied() -> bool:
                row = (await told(home, "status"))[0]
                return bool(row["copied"] == 1 and row["positions"])

            await eventually(copied, limit_s=20)
            assert (await told(home, "verdicts"))[0]["reason"] == "copied"
            assert (await told(home, "pause", "--reason", "lunch"))[0]["level"] == "pause"
            await leader.create_order(SYMBOL, "market", "buy", 0.5)

            async def refused() -> bool:
                return bool((await told(home, "verdicts"))[0]["reason"] == "paused")

            await eventually(refused, limit_s=20)
            assert (await told(home, "flatten"))[0]["flat"] is True
            row = (await told(home, "status"))[0]
            assert (row["positions"], row["control"], row["paper"]) == ({}, "flatten", True)
            assert await ended(follower) == 0
            left = (await told(home, "leave", "zoe"))[0]
            assert left["off_the_relays_list"] is True and not (home / "follower.toml").exists()
            assert await desk.json("followers") == []
        finally:
            await asyncio.gather(maker.close(), leader.close())


async def opened(stage: World, name: str = "alice") -> Path:
    """A live follower with one copied position, running."""
    config = stage.write_config(name)
    await stage.follow(config)
    unit = (Decimal(100_000) / stage.venue.price).quantize(Decimal("0.001"))
    report = await stage.reported(name, await stage.publisher.trade(str(unit)))
    assert report.verdict == "copied"
    return config


async def test_orders_of_the_operator_are_in_force_within_a_tenth_of_a_second(tmp_path: Path) -> None:
    async with world(tmp_path, "alice") as stage:
        config = await opened(stage)
        await client(tmp_path, "pause", "-c", str(config))
        unit = stage.publisher.qty
        seqs = [await stage.publisher.trade(str(unit * number), leverage="9") for number in range(2, 12)]
        for seq in seqs:
            assert (await stage.reported("alice", seq)).reason == "paused"
        assert len(await stage.venue.orders("alice")) == 1
        await client(tmp_path, "resume", "-c", str(config))
        start_s = time.monotonic()
        await client(tmp_path, "flatten", "-c", str(config))
        assert await stage.venue.position("alice") == 0
        assert time.monotonic() - start_s < 15
        follower = stage.processes[0]
        assert await follower.stop() == 0
        again = await stage.follow(config)  # what was ordered survives
        seq = await stage.publisher.trade(str(unit * 20), leverage="9")
        assert (await stage.reported("alice", seq)).reason == "flattened"
        assert await again.stop() == 0


async def test_a_flatten_without_a_daemon_closes_by_itself(tmp_path: Path) -> None:
    async with world(tmp_path, "alice") as stage:
        config = await opened(stage)
        stage.processes[0].process.kill()
        await stage.processes[0].ended()
        assert await stage.venue.position("alice") > 0
        row = (await told(tmp_path, "flatten", "-c", str(config)))[0]
        assert row["flat"] is True and await stage.venue.position("alice") == 0
        assert set((await stage.venue.orders_by_link_id("alice")).values()) == {1}


@pytest.mark.parametrize("damage", ["gone", "garbage"])
async def test_a_lost_store_is_built_anew_and_goes_on(tmp_path: Path, damage: str) -> None:
    async with world(tmp_path, "alice") as stage:
        config = await opened(stage)
        assert await stage.processes[0].stop() == 0
        store = tmp_path / "alice" / "follower.sqlite"
        for part in store.parent.glob("follower.sqlite*"):
            part.unlink()
        if damage == "garbage":
            store.write_bytes(b"no database" * 1000)
            refused = await stage.follow(config, wait=False)
            assert await refused.ended() == 1 and "follower.sqlite" in refused.log.read_text()
        row = (await told(tmp_path, "recover", "-c", str(config)))[0]
        held = await stage.venue.position("alice")
        assert {name: Decimal(qty) for name, qty in row["positions"].items()} == {SYMBOL: held}
        assert row["external"] == {} and row["orders"] == 1
        assert "the store is good" in (await client(tmp_path, "recover", "-c", str(config), status=1))[1]
        again = await stage.follow(config)
        report = await stage.reported("alice", await stage.publisher.trade("0", leverage="0"))
        assert (report.verdict, report.is_exit) == ("copied", True)
        assert await stage.venue.position("alice") == 0
        assert await again.stop() == 0


async def test_a_policy_is_tried_on_what_was_recorded(tmp_path: Path) -> None:
    async with world(tmp_path, "alice") as stage:
        config = await opened(stage)
        unit = stage.publisher.qty
        for after in (unit * 2, unit, -unit, Decimal(0)):
            await stage.reported("alice", await stage.publisher.trade(str(after), leverage="6"))
        assert await stage.processes[0].stop() == 0
        other = tmp_path / "other.toml"
        other.write_text(config.read_text() + "scale = 1\n")
        same = await told(tmp_path, "replay", str(tmp_path / "alice"), "--policy", str(config))
        assert [step["replayed"] for step in same["steps"]] == ["copied: copied"] * 5
        doubled = await told(tmp_path, "replay", str(tmp_path / "alice"), "--policy", str(other))
        for step, twice in zip(same["steps"], doubled["steps"], strict=True):
            assert twice["differs"] and Decimal(twice["replayed_qty"]) > Decimal(step["replayed_qty"])
        assert doubled["paper"] is True and doubled["positions"] == {}
