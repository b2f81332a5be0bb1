"""A follower whom the leader puts out while it runs: the reason is in its status, what it holds stays in its
care, nothing is opened.
"""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from relay.broker_config import FollowerUser
from tests.integration.follower_world import FollowerProcess, World, eventually, world
from tests.integration.signal_publisher import LEADER
from tests.integration.test_follower_commands import client, told

pytestmark = [pytest.mark.asyncio, pytest.mark.timeout(150), pytest.mark.system]


async def holding(stage: World) -> Decimal:
    """The follower copies one entry; returns what it holds."""
    unit = (Decimal(100_000) / stage.venue.price).quantize(Decimal("0.001"))
    report = await stage.reported("alice", await stage.publisher.trade(str(unit)))
    assert report.verdict == "copied"
    return await stage.venue.position("alice")


async def status(stage: World) -> Any:
    return await told(stage.folder, "status", "--config", "alice.toml")


def logged(follower: FollowerProcess) -> list[Any]:
    return [json.loads(line) for line in follower.log.read_text().splitlines() if line.startswith("{")]


async def ordered(stage: World, text: str) -> None:
    async def is_told() -> bool:
        [shown] = await status(stage)
        return bool(shown["control"] == "reduce_only" and text in shown["control_reason"])

    await eventually(is_told, limit_s=20, what=text)


async def test_f29_who_is_put_out_says_so_and_keeps_what_is_held_in_its_care(tmp_path: Path) -> None:
    async with world(tmp_path, "alice") as stage:
        follower = await stage.follow(stage.write_config("alice"))
        held = await holding(stage)
        assert held > 0
        others = [one for one in stage.broker.followers if one.id != "alice"]
        await stage.broker.change_users(stage.broker.leaders, others, [])
        await ordered(stage, f"put out by the leader ({LEADER})")
        assert follower.process.returncode is None
        assert any(event["event"] == "put_out" for event in logged(follower))

        async def is_alarmed() -> bool:
            return any(
                event.get("name") == "put_out" for event in logged(follower) if event["event"] == "alarm"
            )

        await eventually(is_alarmed, limit_s=20, what="the alarm")
        await client(tmp_path, "flatten", "--config", "alice.toml")
        await eventually(lambda: _is_flat(stage), limit_s=20, what="flat by its own means")
        assert await follower.stop() == 0


@pytest.mark.parametrize("ends", ["all", "grant"])
async def test_who_is_let_in_again_hears_again_and_copies_once_resumed(tmp_path: Path, ends: str) -> None:
    async with world(tmp_path, "alice") as stage:
        follower, broker = await stage.follow(stage.write_config("alice")), stage.broker
        await holding(stage)
        before = list(broker.followers)
        without = [FollowerUser(one.id, one.nkey, ()) for one in before] if ends == "grant" else []
        await broker.change_users(broker.leaders, without, [])
        await ordered(stage, f"put out by the leader{'' if ends == 'grant' else f' ({LEADER})'}")
        await client(tmp_path, "resume", "--config", "alice.toml")  # too early
        await ordered(stage, "put out by the leader")
        unit = (Decimal(100_000) / stage.venue.price).quantize(Decimal("0.001"))
        exit_seq = await stage.publisher.trade(str(unit / 2))
        await broker.change_users(broker.leaders, before, [])
        assert (await stage.reported("alice", exit_seq, limit_s=30)).is_exit  # told while nobody was let in
        await ordered(stage, "let in again since")
        assert (await stage.reported("alice", await stage.publisher.trade(str(unit)))).verdict == "skipped"
        await client(tmp_path, "resume", "--config", "alice.toml")
        assert (await stage.reported("alice", await stage.publisher.trade(str(2 * unit)))).verdict == "copied"
        assert any(event["event"] == "let_in" for event in logged(follower))
        assert await follower.stop() == 0


async def _is_flat(stage: World) -> bool:
    return await stage.venue.position("alice") == 0


async def test_f29_a_grant_that_ends_while_the_connection_stays_is_told_as_well(tmp_path: Path) -> None:
    async with world(tmp_path, "alice") as stage:
        follower = await stage.follow(stage.write_config("alice"))
        await holding(stage)
        followers = [FollowerUser(one.id, one.nkey, ()) for one in stage.broker.followers]
        await stage.broker.change_users(stage.broker.leaders, followers, [])
        await ordered(stage, f"put out by the leader: {LEADER} may not be heard any more")
        assert await follower.stop() == 0
