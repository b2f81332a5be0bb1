"""A follower as a process, against the real venue and broker: it copies, it says so, it ends."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path

import pytest

from tests.integration.follower_world import start_program, world


@pytest.mark.asyncio
async def test_copying_from_the_first_entry_to_flat(tmp_path: Path) -> None:
    async with world(tmp_path, "alice") as stage:
        config = stage.write_config("alice")
        follower = await stage.follow(config)
        price = stage.venue.price
        unit = (Decimal(100_000) / price).quantize(Decimal("0.001"))  # exposure 1 for the leader
        for after in (unit, unit * 2, unit, -unit, Decimal(0)):
            await stage.publisher.trade(str(after), leverage="6")
            seq = stage.publisher.seq
            await stage.reported("alice", seq)
        reports = stage.reports_of("alice")
        assert sorted(reports) == stage.publisher.signals
        assert all(len(found) == 1 for found in reports.values())
        verdicts = [reports[seq][0].verdict for seq in stage.publisher.signals]
        assert verdicts == ["copied"] * 5, [(r[0].reason, r[0].detail) for r in reports.values()]
        assert await stage.venue.position("alice") == 0
        assert max((await stage.venue.orders_by_link_id("alice")).values()) == 1
        entry = reports[stage.publisher.signals[0]][0]
        assert entry.leverage_after is not None and Decimal(entry.leverage_after) <= Decimal(
            entry.leverage_cap or 0
        )
        assert abs(Decimal(entry.order_qty) - unit * Decimal("0.05")) <= Decimal("0.001")
        times = (entry.received_ms, entry.released_ms, entry.submitted_ms, entry.accepted_ms)
        assert None not in times
        assert list(times) == sorted(value or 0 for value in times)
        assert all((entry.received_mid, entry.released_mid, entry.submitted_mid, entry.accepted_mid))
        turned = reports[stage.publisher.signals[3]][0]
        assert [row.reduce_only for row in turned.orders] == [True, False]
        assert await follower.stop() == 0

        status = await start_program(
            "follower_client", "status", "-c", str(config), "--json", log=tmp_path / "s"
        )
        row = json.loads((await status.communicate())[0])[0]
        assert (row["copied"], row["open"], row["positions"]) == (5, 0, {})


@pytest.mark.asyncio
async def test_a_key_that_the_venue_does_not_know_is_named_and_binds_nothing(tmp_path: Path) -> None:
    async with world(tmp_path, "alice") as stage:
        known = stage.venue.keys["alice"]
        for key, secret in (("canarykey", known[1]), (known[0], "canarysecret")):
            stage.venue.keys["alice"] = key, secret
            refused = await stage.follow(stage.write_config("alice"), wait=False)
            assert await refused.ended() == 78
            lines = refused.log.read_text().splitlines()
            assert len(lines) == 1 and "alice: venue.api_key" in lines[0]
            assert "canary" not in lines[0] and known[1] not in lines[0]
            refused.log.write_text("")
        stage.venue.keys["alice"] = known
        follower = await stage.follow(stage.write_config("alice"))
        assert await follower.stop() == 0


@pytest.mark.asyncio
async def test_a_paper_follower_copies_and_sends_nothing(tmp_path: Path) -> None:
    async with world(tmp_path, "alice") as stage:
        follower = await stage.follow(stage.write_config("alice", paper=True))
        unit = (Decimal(100_000) / stage.venue.price).quantize(Decimal("0.001"))
        for after in (unit, Decimal(0)):
            seq = await stage.publisher.trade(str(after))
            await stage.reported("alice", seq)
        for found in stage.reports_of("alice").values():
            assert (found[0].verdict, found[0].paper) == ("copied", True), found[0].detail
            assert found[0].orders[0].fills
        assert await stage.venue.orders("alice") == []
        assert await follower.stop() == 0


@pytest.mark.asyncio
async def test_what_was_signalled_while_it_was_down_gets_a_verdict(tmp_path: Path) -> None:
    async with world(tmp_path, "alice") as stage:
        config = stage.write_config("alice")
        follower = await stage.follow(config)
        unit = (Decimal(100_000) / stage.venue.price).quantize(Decimal("0.001"))
        opened = await stage.publisher.trade(str(unit))
        await stage.reported("alice", opened)
        assert await follower.stop() == 0
        added = await stage.publisher.trade(str(unit * 2), expires_ms=1)
        closed = await stage.publisher.trade("0", expires_ms=1)
        await stage.follow(config)
        await stage.reported("alice", closed)
        reports = stage.reports_of("alice")
        assert (reports[added][0].verdict, reports[added][0].reason) in {
            ("skipped", "expired"),
            ("skipped", "superseded"),
        }
        assert reports[closed][0].verdict == "copied"
        assert await stage.venue.position("alice") == 0


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("change", "said"),
    [
        ('id = "alice"', "follower.id"),
        ('scale = "x"', "policy.scale"),
        ("leverage_mx = 3", "nearest: policy.leverage_max"),
    ],
)
async def test_wrong_configuration_is_one_clear_line(tmp_path: Path, change: str, said: str) -> None:
    config = tmp_path / "bad.toml"
    secret = "canary-secret"
    config.write_text(
        f"""
[follower]
{'id = "Alice!"' if change.startswith("id") else 'id = "alice"'}
data_dir = "{tmp_path / "data"}"
[leader]
id = "lead"
public_key = "{"0" * 64}"
[broker]
url = "nats://127.0.0.1:1"
nkey_seed_file = "x.nk"
[venue]
rest_url = "http://127.0.0.1:1"
ws_url = "ws://127.0.0.1:1"
api_key = "{secret}"
api_secret = "{secret}"
[policy]
{"" if change.startswith("id") else change}
""",
        encoding="utf-8",
    )
    log = tmp_path / "log"
    process = await start_program("follower_client", "run", "-c", str(config), log=log)
    assert await process.wait() == 78
    lines = log.read_text().splitlines()
    assert len(lines) == 1 and said in lines[0] and secret not in lines[0]
    assert not (tmp_path / "data").exists()
