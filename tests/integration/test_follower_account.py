"""A follower on an account that is more than its own: hedge mode, moved money, another machine."""

from __future__ import annotations

import asyncio
import json
import shutil
import sys
import uuid
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from follower_client.control import ControlFile
from follower_client.core.snapshot import Control
from follower_client.reading import load_settings
from follower_client.store import Store
from tests.integration.follower_world import BTC, BTC_ID, ROOT, World, eventually, world

pytestmark = [pytest.mark.asyncio, pytest.mark.timeout(150)]


def unit_of(stage: World) -> Decimal:
    """What 100,000 USDT buy: the leader's whole equity once."""
    return (Decimal(100_000) / stage.venue.price).quantize(Decimal("0.001"))


@pytest.mark.parametrize("kind", [pytest.param("ccxt", marks=pytest.mark.system), "v5"])
async def test_in_hedge_mode_copies_turn_and_end_beside_somebody_elses_leg(tmp_path: Path, kind: str) -> None:
    async with world(tmp_path, "alice") as stage:
        own = stage.venue.exchange("alice")
        await own.privatePostV5PositionSwitchMode({"category": "linear", "symbol": BTC_ID, "mode": "3"})
        order = {"category": "linear", "symbol": BTC_ID, "side": "Sell", "orderType": "Market"}
        await own.privatePostV5OrderCreate({**order, "qty": "0.003", "positionIdx": 2})  # by hand
        assert await stage.venue.legs("alice") == {2: Decimal("0.003")}
        follower = await stage.follow(stage.write_config("alice", kind=kind, policy="stop_loss_bps = 500"))
        unit = unit_of(stage)
        up = await stage.reported("alice", await stage.publisher.trade(str(unit)))
        assert (up.verdict, up.reason) == ("copied", "copied")
        held = Decimal(up.target_qty)
        assert await stage.venue.legs("alice") == {1: held, 2: Decimal("0.003")}
        query = {"category": "linear", "symbol": BTC_ID}
        rows = (await own.privateGetV5PositionList(query))["result"]["list"]
        stops = {int(row["positionIdx"]): Decimal(row["stopLoss"] or 0) for row in rows}
        assert stops[1] > 0 == stops[2], "the copy's leg has its stop, the other one is not touched"
        half = await stage.reported("alice", await stage.publisher.trade(str(unit / 2), leverage="3"))
        assert await stage.venue.legs("alice") == {1: Decimal(half.target_qty), 2: Decimal("0.003")}
        turn = await stage.reported("alice", await stage.publisher.trade(str(-unit)))
        assert (turn.verdict, turn.reason) == ("copied", "copied"), turn.detail
        assert await stage.venue.legs("alice") == {2: abs(Decimal(turn.target_qty)) + Decimal("0.003")}
        assert await follower.stop() == 0
        again = await stage.follow(stage.write_config("alice", kind=kind))
        end = await stage.reported("alice", await stage.publisher.trade("0", leverage="0"))
        assert end.verdict == "copied"
        assert await stage.venue.legs("alice") == {2: Decimal("0.003")}, "what is not a copy is left alone"
        assert await again.stop() == 0


async def test_a_withdrawal_pulls_no_trigger_and_a_loss_does(tmp_path: Path) -> None:
    policy = 'daily_loss_max_usdt = 60\ndrawdown_max_share = 0.05\nloss_action = "close"'
    async with world(tmp_path, "alice", sim=True) as stage:
        follower = await stage.follow(stage.write_config("alice", kind="v5", policy=policy))
        unit = unit_of(stage)
        await stage.reported("alice", await stage.publisher.trade(str(unit / 2), leverage="3"))
        held = await stage.venue.position("alice")
        transfer = {"coin": "USDT", "fromAccountType": "UNIFIED", "toAccountType": "FUND"}
        await stage.venue.exchange("alice").privatePostV5AssetTransferInterTransfer(
            {**transfer, "transferId": str(uuid.uuid4()), "amount": "4000"}
        )
        await asyncio.sleep(4)  # several looks of the triggers, and of the account
        assert await stage.venue.position("alice") == held > 0
        assert "cash_flow" in follower.log.read_text()
        more = await stage.reported("alice", await stage.publisher.trade(str(unit), leverage="6"))
        assert more.verdict in ("copied", "capped"), more.reason
        await stage.venue.fall("0.96")

        async def is_flat() -> bool:
            return await stage.venue.position("alice") == 0

        await eventually(is_flat, limit_s=20, what="closed by the loss limit")
        assert "trigger" in follower.log.read_text()
        assert await follower.stop() == 0


@pytest.mark.system
async def test_it_moves_to_another_machine_with_its_folder(tmp_path: Path) -> None:
    async with world(tmp_path, "alice") as stage:
        here, there = tmp_path / "here", tmp_path / "there"
        here.mkdir()
        first = await stage.follow(stage.write_config("alice", folder=here, data_dir=here / "data"))
        unit = unit_of(stage)
        await stage.reported("alice", await stage.publisher.trade(str(unit)))
        assert await first.stop() == 0
        missed = await stage.publisher.trade(str(unit / 2), leverage="3")  # between the two machines
        shutil.copytree(here, there)
        config = stage.write_config("alice", folder=there, data_dir=there / "data")
        second = await stage.follow(config, env={"SLIPSTREAM_LOCK_DIR": str(there / "locks")})
        report = await stage.reported("alice", missed)
        assert report.verdict == "copied"
        assert await stage.venue.position("alice") == Decimal(report.target_qty)
        await stage.reported("alice", await stage.publisher.trade("0", leverage="0"))
        assert await stage.venue.position("alice") == 0
        assert set((await stage.venue.orders_by_link_id("alice")).values()) == {1}
        assert await second.stop() == 0


@pytest.mark.system
async def test_the_old_machine_left_running_doubles_no_order(tmp_path: Path) -> None:
    """Locks end at the machine's edge; an order's name does not."""
    async with world(tmp_path, "alice") as stage:
        machines = []
        for name in ("here", "there"):
            folder = tmp_path / name
            folder.mkdir()
            config = stage.write_config("alice", folder=folder, data_dir=folder / "data")
            machines.append(await stage.follow(config, env={"SLIPSTREAM_LOCK_DIR": str(folder / "locks")}))
        late = ControlFile(tmp_path / "there" / "data")
        state = await eventually(lambda: late.read().level is Control.PAUSE and late.read(), limit_s=2)
        assert state.by == "trigger:second_instance" and "stop one of them" in state.reason
        assert ControlFile(tmp_path / "here" / "data").read().level is Control.RUN
        late.resume(by="operator", reason="to see what an order's name is worth")
        unit = unit_of(stage)
        for share in ("1", "0.5", "-1", "0"):
            after = unit * Decimal(share)
            seq = await stage.publisher.trade(str(after), leverage="6" if after else "0")
            await stage.reported("alice", seq, limit_s=30)
            await asyncio.sleep(1.0)
            targets = {Decimal(one.target_qty) for one in stage.reports_of("alice")[seq]}
            assert await stage.venue.position("alice") in targets, share
        assert set((await stage.venue.orders_by_link_id("alice")).values()) == {1}
        assert await stage.venue.position("alice") == 0
        for machine in machines:
            assert await machine.stop() == 0
        told = [ControlFile(tmp_path / name / "data").read() for name in ("here", "there")]
        second = [state for state in told if state.by == "trigger:second_instance"]
        assert second, "whoever was second says so"
        assert all("stop one of them" in state.reason for state in second)
        for name in ("here", "there"):
            store = Store.open(tmp_path / name / "data" / "follower.sqlite", read_only=True)
            assert store.open_orders() == [] and not any(store.positions().values())
            store.close()


@pytest.mark.system
async def test_who_joins_late_waits_or_takes_the_whole_position_at_once(tmp_path: Path) -> None:
    joins = {"waits": "wait", "takes": "copy_now", "picks": "if_not_worse"}
    async with world(tmp_path, *joins) as stage:
        unit = unit_of(stage)
        await stage.publisher.trade(str(unit))
        folder = tmp_path / "followers"
        folder.mkdir()
        for name, late_join in joins.items():
            stage.write_config(name, folder=folder, policy=f'late_join = "{late_join}"')
        followers = await stage.follow(folder)
        await stage.publisher.list_positions(leverage="6")

        async def joined() -> bool:
            return abs(await stage.venue.position("takes") - unit / 2 / 10) <= Decimal("0.002")

        await eventually(joined, what="half of his exposure on a tenth of his equity")
        assert await stage.venue.position("waits") == 0
        assert stage.reports_of("takes") == {}, "no signal, no report"
        assert await followers.stop() == 0
        for part in (tmp_path / "takes").glob("follower.sqlite*"):
            part.unlink()
        row = await recovered(folder / "takes.toml")  # the way that it came is found again
        held = await stage.venue.position("takes")
        assert {name: Decimal(qty) for name, qty in row["positions"].items()} == {BTC: held}
        assert (row["external"], row["orders"]) == ({}, 1)
        followers = await stage.follow(folder)  # who has joined does not join again
        await stage.publisher.list_positions(leverage="6")
        more = await stage.publisher.trade(str(unit * Decimal("1.5")), leverage="9")
        reports = {name: await stage.reported(name, more, limit_s=30) for name in joins}
        assert (reports["waits"].verdict, reports["waits"].reason) == ("skipped", "late_join")
        assert reports["takes"].verdict in ("copied", "capped")
        half = unit * Decimal("1.5") / 2 / 10  # half of his exposure on a tenth of his equity
        assert abs(await stage.venue.position("takes") - half) <= Decimal("0.002")
        assert (
            reports["picks"].verdict in ("copied", "capped") or reports["picks"].reason == "late_join_price"
        )
        end = await stage.publisher.trade("0", leverage="0")
        for name in joins:
            await stage.reported(name, end, limit_s=30)
            assert await stage.venue.position(name) == 0
        again = await stage.publisher.trade(str(unit))  # from flat: nothing is late any more
        assert (await stage.reported("waits", again, limit_s=30)).verdict == "copied"
        assert await followers.stop() == 0


async def recovered(config: Path) -> dict[str, Any]:
    """What `recover` says."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "follower_client", "recover", "-c", str(config), "--json"),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await asyncio.wait_for(process.communicate(), 90)
    assert process.returncode == 0, output
    row: dict[str, Any] = json.loads(output)[0]
    return row


@pytest.mark.system
async def test_what_is_held_in_a_symbol_that_was_taken_off_the_list_is_still_left(tmp_path: Path) -> None:
    async with world(tmp_path, "alice") as stage:
        follower = await stage.follow(stage.write_config("alice"))
        await stage.reported("alice", await stage.publisher.trade(str(unit_of(stage))))
        assert await stage.venue.position("alice") > 0
        assert await follower.stop() == 0
        follower = await stage.follow(stage.write_config("alice", policy='symbols = ["ETH/USDT:USDT"]'))
        more = await stage.publisher.trade(str(unit_of(stage) * 2))
        refused = await stage.reported("alice", more, limit_s=30)
        assert (refused.verdict, refused.reason) == ("skipped", "symbol_denied")
        left = await stage.reported("alice", await stage.publisher.trade("0"), limit_s=30)
        assert left.verdict == "copied" and await stage.venue.position("alice") == 0
        assert await follower.stop() == 0


@pytest.mark.system
async def test_leaving_closes_what_was_copied_and_starts_no_more(tmp_path: Path) -> None:
    async with world(tmp_path, "alice") as stage:
        config = stage.write_config("alice")
        follower = await stage.follow(config)
        await stage.reported("alice", await stage.publisher.trade(str(unit_of(stage))))
        assert await stage.venue.position("alice") > 0
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "follower_client", "leave", "lead", "--flatten",
            "-c", str(config), "--json", cwd=ROOT, stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        output, _ = await asyncio.wait_for(process.communicate(), 90)
        row = json.loads(output)[0]
        assert (process.returncode, row["flat"]) == (0, True)
        assert await stage.venue.position("alice") == 0 and not config.exists()
        assert await follower.ended(10) == 0, "nobody is followed any more, so nothing is left to run for"
        assert "lead was left, nobody is followed any more" in follower.log.read_text()


@pytest.mark.system
async def test_leaving_one_of_several_leaders_closes_his_copies_and_keeps_the_others(tmp_path: Path) -> None:
    async with world(tmp_path, "alice") as stage:
        config = stage.write_config("alice")
        follower = await stage.follow(config)
        await stage.reported("alice", await stage.publisher.trade(str(unit_of(stage))))
        config.write_text(f'{config.read_text()}[[more_leaders]]\nid = "other"\npublic_key = "{"cd" * 32}"\n')

        async def leave(leader: str, status: int) -> str:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "follower_client", "leave", leader, "--flatten", "-c", str(config),
                cwd=ROOT, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
            )  # fmt: skip
            output, _ = await asyncio.wait_for(process.communicate(), 90)
            assert process.returncode == status, output.decode()
            return output.decode()

        assert "leave: nobody here follows nobody, allowed: lead, other" in await leave("nobody", 2)
        told = await leave("lead", 75)
        assert "it copies other too, allowed: stop it, leave, start it again" in told
        assert await stage.venue.position("alice") > 0 and "[[more_leaders]]" in config.read_text()
        assert await follower.stop() == 0
        assert "alice: left lead, positions closed" in await leave("lead", 0)
        assert await stage.venue.position("alice") == 0
        assert [leader.id for leader in load_settings(config).leaders] == ["other"]
        assert config.with_name("alice.toml.before-leaving-lead").exists()
