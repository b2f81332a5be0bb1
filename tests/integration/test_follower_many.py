"""Several followers in one process, each with its own limits; and what a missing neighbour does."""

from __future__ import annotations

import asyncio
import signal
import time
from decimal import Decimal
from pathlib import Path

import pytest

from relay.protocol.messages import StaggerPlan
from tests.integration.follower_world import start_program, world


@pytest.mark.asyncio
@pytest.mark.timeout(90)
async def test_each_policy_in_one_process_has_its_own_outcome(tmp_path: Path) -> None:
    names = ("steady", "bold", "fixed", "tiny")
    async with world(tmp_path, *names, deposits={"tiny": 60}) as stage:
        folder = tmp_path / "followers"
        folder.mkdir()
        policies = {
            "steady": 'scale = "0.4"',
            "bold": 'scale = "3"',
            "fixed": 'mode = "fixed_notional"\nfixed_notional_usdt = "1500"',
            "tiny": 'scale = "0.4"',
        }
        for name, policy in policies.items():
            stage.write_config(name, policy=policy, folder=folder)
        follower = await stage.follow(folder)
        unit = (Decimal(100_000) / stage.venue.price).quantize(Decimal("0.001"))
        plan = StaggerPlan(waves=3, spacing_ms=50)
        for after, leverage in ((unit, "1"), (unit * 2, "2"), (unit, "1"), (-unit, "1"), (Decimal(0), "0")):
            seq = await stage.publisher.trade(str(after), leverage=leverage, stagger=plan)
            await asyncio.gather(*(stage.reported(name, seq) for name in names))
        assert await follower.stop() == 0
        for name in names:
            reports = stage.reports_of(name)
            assert sorted(reports) == stage.publisher.signals, name
            assert all(len({report.verdict for report in found}) == 1 for found in reports.values())
            assert set((await stage.venue.orders_by_link_id(name)).values()) <= {1}, name
            assert await stage.venue.position(name) == 0, name
            for found in reports.values():
                report = found[0]
                if report.leverage_after is not None and report.verdict in {"copied", "capped"}:
                    assert report.leverage_cap is not None
                    assert Decimal(report.leverage_after) <= Decimal(report.leverage_cap) <= Decimal(1)
        outcomes = {name: [found[0].verdict for found in stage.reports_of(name).values()] for name in names}
        assert outcomes["steady"] == outcomes["fixed"] == ["copied"] * 5
        assert outcomes["bold"][:2] == ["capped", "capped"] and outcomes["bold"][-1] == "copied"
        assert set(outcomes["tiny"]) == {"skipped"}
        assert stage.reports_of("tiny")[stage.publisher.signals[0]][0].reason == "below_minimum"
        assert await stage.venue.orders("tiny") == []
        bold = stage.reports_of("bold")[stage.publisher.signals[0]][0]
        assert bold.reason == "cap_leader_leverage"
        assert (bold.limit_value, Decimal(bold.observed_value or 0) > 2) == ("0.5", True)


@pytest.mark.asyncio
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_ends_it_cleanly_within_three_seconds(tmp_path: Path, number: signal.Signals) -> None:
    async with world(tmp_path, "alice") as stage:
        follower = await stage.follow(stage.write_config("alice"))
        begun = time.monotonic()
        follower.process.send_signal(number)
        assert await follower.ended(5) == 0
        assert time.monotonic() - begun < 3
        assert "Traceback" not in follower.log.read_text()


@pytest.mark.asyncio
async def test_a_broker_that_comes_back_is_caught_up_with(tmp_path: Path) -> None:
    async with world(tmp_path, "alice") as stage:
        follower = await stage.follow(stage.write_config("alice"))
        unit = (Decimal(100_000) / stage.venue.price).quantize(Decimal("0.001"))
        await stage.reported("alice", await stage.publisher.trade(str(unit)))
        stage.broker_process_kill()
        seq = await stage.publisher.trade("0", patient=True)
        assert (await stage.reported("alice", seq)).verdict == "copied"
        assert await stage.venue.position("alice") == 0
        assert await follower.stop() == 0


@pytest.mark.asyncio
async def test_without_a_venue_or_a_broker_it_says_so_and_may_be_tried_again(tmp_path: Path) -> None:
    async with world(tmp_path, "alice") as stage:
        gone = stage.write_config("alice", rest="http://127.0.0.1:9")
        follower = await stage.follow(gone, wait=False)
        assert await follower.ended() == 75
        config = stage.write_config("alice")
        config.write_text(config.read_text().replace(stage.broker.url, "nats://127.0.0.1:9"))
        log = tmp_path / "nobroker.log"
        process = await start_program("follower_client", "run", "-c", str(config), log=log)
        assert await process.wait() == 75
        lines = [line for line in log.read_text().splitlines() if not line.startswith("{")]
        assert len(lines) == 1 and "alice: broker nats://127.0.0.1:9" in lines[0]
