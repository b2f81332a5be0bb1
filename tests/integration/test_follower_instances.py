"""Who may copy: one program per account (F16); in a folder, everybody whose file is right."""

from __future__ import annotations

import asyncio
import shutil
import signal
import time
from decimal import Decimal
from pathlib import Path

import pytest

from tests.integration.follower_world import FollowerProcess, World, eventually, start_program, world

pytestmark = [pytest.mark.asyncio, pytest.mark.timeout(120)]


def unit_of(stage: World) -> Decimal:
    return (Decimal(100_000) / stage.venue.price).quantize(Decimal("0.001"))


def words(follower: FollowerProcess) -> list[str]:
    """What is said to people; the log's own lines begin with a brace."""
    return [line for line in follower.log.read_text().splitlines() if not line.startswith("{")]


async def test_f16_a_second_program_on_the_account_is_refused_at_once(tmp_path: Path) -> None:
    """By its folder, and by its key from any folder, with a /tmp of its own."""
    async with world(tmp_path, "alice") as stage:
        first = await stage.follow(stage.write_config("alice"))
        (tmp_path / "tmp").mkdir()
        for name, folder in (("alice", tmp_path / "alice"), ("other", tmp_path / "elsewhere")):
            config = stage.write_config("alice", folder=tmp_path, data_dir=folder)
            config = config.rename(tmp_path / f"{name}-second.toml")
            log = config.with_suffix(".log")
            begun_s = time.monotonic()
            process = await start_program(
                *("follower_client", "run", "-c", str(config)), env={"TMPDIR": str(tmp_path / "tmp")}, log=log
            )
            assert await asyncio.wait_for(process.wait(), 20) == 75
            print(f"F16 {name}: refused {time.monotonic() - begun_s:.2f} s after its start")  # noqa: T201
            (line,) = words(FollowerProcess(process, log))
            assert f"another follower-client (process {first.process.pid}) is using it" in line
            assert ("follower.data_dir" if name == "alice" else "venue.api_key") in line
        report = await stage.reported("alice", await stage.publisher.trade(str(unit_of(stage))))
        assert report.verdict == "copied"
        assert await first.stop() == 0


@pytest.mark.system
async def test_whoever_cannot_start_keeps_nobody_else_from_it_and_is_taken_when_mended(
    tmp_path: Path,
) -> None:
    """A typing error, a symbol nobody trades, a key nobody knows: each is said, the fourth one copies."""
    async with world(tmp_path, "alice", "bob", "carl", "dora") as stage:
        folder = tmp_path / "followers"
        folder.mkdir()
        configs = {name: stage.write_config(name, folder=folder) for name in ("alice", "bob", "carl", "dora")}
        right = {name: config.read_text() for name, config in configs.items()}
        configs["bob"].write_text(right["bob"].replace("leverage_max", "leverage_mx"))
        configs["carl"].write_text(right["carl"] + 'symbols = ["NOPE/USDT:USDT"]\n')
        configs["dora"].write_text(right["dora"].replace('api_key = "', 'api_key = "x'))
        follower = await stage.follow(folder, wait=False)
        log = follower.log

        def said(*parts: str) -> bool:
            return all(part in log.read_text() for part in parts)

        await eventually(
            lambda: said(
                "policy.leverage_mx: unknown key; nearest: policy.leverage_max",
                "carl: policy.symbols: was 'NOPE/USDT:USDT'",
                "dora: venue.api_key, venue.api_secret: a key that the venue knows is needed",
                '"event": "following"',
            ),
            limit_s=40,
            what="everybody's news",
        )
        unit = unit_of(stage)
        assert (await stage.reported("alice", await stage.publisher.trade(str(unit)))).verdict == "copied"
        for name, config in configs.items():
            config.write_text(right[name])
        configs["alice"].write_text(right["alice"].replace("leverage_max", "leverage_mx"))
        follower.process.send_signal(signal.SIGHUP)  # three mended, and now alice's is wrong: she runs on

        def all_follow() -> bool:
            return all(log.read_text().count(f'"follower_id": "{name}", "leaders"') >= 1 for name in configs)

        await eventually(all_follow, limit_s=40, what="all four")
        await eventually(lambda: log.read_text().count('"event": "following"') == 5, limit_s=20)
        end = await stage.publisher.trade(str(-unit))
        for name in configs:
            assert (await stage.reported(name, end)).verdict in ("copied", "skipped"), name
        assert await stage.venue.position("alice") < 0
        assert await follower.stop() == 78, "alice's file is still wrong"
        shutil.rmtree(folder)
