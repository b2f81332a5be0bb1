"""What `doctor` says of a live account, of one in hedge mode, and of a folder that keeps something else."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.integration.follower_world import BTC_ID, world
from tests.integration.test_follower_commands import client, told

pytestmark = [pytest.mark.asyncio, pytest.mark.timeout(120)]


def by_check(rows: list[dict[str, str]]) -> dict[str, dict[str, str]]:
    return {row["check"]: row for row in rows}


async def test_doctor_looks_at_the_account_as_it_is_and_changes_nothing(tmp_path: Path) -> None:
    async with world(tmp_path, "alice") as stage:
        own = stage.venue.exchange("alice")
        await own.privatePostV5PositionSwitchMode({"category": "linear", "symbol": BTC_ID, "mode": "3"})
        order = {"category": "linear", "symbol": BTC_ID, "side": "Sell", "orderType": "Market"}
        await own.privatePostV5OrderCreate({**order, "qty": "0.003", "positionIdx": 2})  # by hand
        before = await stage.venue.orders("alice")
        config = stage.write_config("alice", kind="v5", policy="notional_total_max_usdt = 1")
        rows: list[dict[str, Any]] = await told(tmp_path, "doctor", "-c", str(config), status=1)
        found = by_check(rows)
        port = stage.venue.rest.rpartition(":")[2]
        assert found["mode"]["what"] == f"test: orders go to bybit@127.0.0.1:{port}, no money is real"
        assert found["position_mode"] | {"level": "ok"} == found["position_mode"]
        assert "hedge mode of BTCUSDT: each side is traded by itself" in found["position_mode"]["what"]
        assert (found["positions"]["level"], "BTCUSDT" in found["positions"]["what"]) == ("warn", True)
        assert "may withdraw" in found["key.withdraw"]["what"] and "not withdraw" not in found["key"]["what"]
        assert (found["clock"]["level"], found["balance"]["level"]) == ("ok", "ok")
        assert (found["disconnect"]["level"], "by the next run" in found["disconnect"]["what"]) == (
            "ok",
            True,
        )
        assert found["minimum"]["level"] == "fail"
        assert "policy.notional_total_max_usdt is 1" in found["minimum"]["what"]
        assert [row["check"] for row in rows if row["level"] == "fail"] == ["minimum", "minimum"]
        assert await stage.venue.orders("alice") == before
        assert await stage.venue.legs("alice") == {2: Decimal("0.003")}
        assert not (tmp_path / "alice").exists()


@pytest.mark.system
async def test_a_folder_of_paper_copies_takes_no_live_ones(tmp_path: Path) -> None:
    async with world(tmp_path, "alice") as stage:
        follower = await stage.follow(stage.write_config("alice", paper=True))
        unit = (Decimal(100_000) / stage.venue.price).quantize(Decimal("0.001"))
        await stage.reported("alice", await stage.publisher.trade(str(unit)))
        assert await follower.stop() == 0
        trial = by_check(await told(tmp_path, "doctor", "-c", str(tmp_path / "alice.toml")))["trial"]
        assert trial["what"].startswith("1 copies of lead in 0.0 days, ")
        config = stage.write_config("alice", kind="v5")
        for command in (("run",), ("config", "check"), ("doctor",)):
            status = 1 if command == ("doctor",) else 78
            output, errors = await client(tmp_path, *command, "-c", str(config), status=status)
            assert "this one keeps copies on paper" in " ".join((output + errors).split()), command
