"""The leader's page of README with real programs: set up, serve, publish, invite, let in, put out."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import stat
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from relay.keys import create_nkey, load_nkey_seed
from relay.nats_bus import Bus, BusMessage
from relay.protocol import subjects
from relay.protocol.feed import Accepted, FeedReader
from relay.protocol.invite import Invite, decode_join_answer, encode_join_request, parse_invite
from relay.protocol.messages import Signal
from tests.integration.broker_room import eventually
from tests.integration.relay_programs import ROOT, Program, Programs, programs
from tests.integration.test_relay_programs import SYMBOL, trader

pytestmark = pytest.mark.asyncio


class Desk:
    """Runs `relay` commands in one folder, as in a terminal."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    async def __call__(self, *arguments: str, status: int = 0) -> tuple[str, str]:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "relay",
            *arguments,
            cwd=self.folder,
            env={**os.environ, "PYTHONPATH": str(ROOT), "USER": "root"},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        output, errors = await asyncio.wait_for(process.communicate(), 30)
        assert process.returncode == status, (output + errors).decode()
        return output.decode().strip(), errors.decode().strip()

    async def json(self, *arguments: str) -> Any:
        return json.loads((await self(*arguments, "--json"))[0])


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


async def set_up(room: Programs, *options: str, accounts: Sequence[str] = ()) -> tuple[Desk, Program]:
    venue = await room.venue(*accounts)
    (room.folder / "venue.json").write_text(json.dumps(venue.ready) + "\n")
    desk = Desk(room.folder)
    listen = f"127.0.0.1:{free_port()}"
    text, _ = await desk("init", "leader", "zoe", "--venue", "venue.json", "--listen", listen, *options)
    assert "relay invite create" in text
    return desk, venue


async def join(folder: Path, invite: Invite, name: str) -> str:
    create_nkey(folder / f"{name}.nk")
    bus = await Bus.connect(invite.urls[0], invite.seed, subjects.inbox_prefix(invite.invite_id), "join")
    raw = encode_join_request(
        invite,
        follower_id=name,
        nkey_seed=load_nkey_seed(folder / f"{name}.nk"),
        box_key="0b" * 32,
        program_version="test",
    )
    answer = await bus.request(subjects.join(invite.invite_id), raw, timeout_s=10)
    await bus.close()
    return decode_join_answer(answer.data).error


@pytest.mark.timeout(120)
async def test_from_nothing_to_a_follower_who_hears_a_trade(tmp_path: Path) -> None:
    async with programs(tmp_path) as room:
        desk, venue = await set_up(room)
        for path in ("keys/zoe.signing", "keys/zoe.nk", "keys/venue.api_secret", "data/registry.sqlite"):
            assert stat.S_IMODE((tmp_path / path).stat().st_mode) == 0o600, path
        early = (await desk("invite", "create", "--note", "before the start"))[1]
        assert "not running" in early
        serve = await room.start("relay", "serve", "--config", str(tmp_path / "relay.toml"), "--json")
        with (tmp_path / "publisher.toml").open("a") as settings:
            settings.write('[profile]\ntext = "slow and steady"\nrecommended_leverage = "5"\n')
        publish = await room.start("relay", "publish", "--config", str(tmp_path / "publisher.toml"), "--json")
        assert publish.ready["leader"] == "zoe", publish.errors()
        (row,) = await desk.json("leaders")
        assert (row["profile"], row["leverage"], row["slippage"]) == ("slow and steady", "5", "")
        token, remark = await desk("invite", "create")
        assert remark.startswith("invite i")
        assert "running" not in remark
        invite = parse_invite(token)
        assert (invite.leader_id, invite.leader_key) == ("zoe", publish.ready["public_key"])
        assert invite.urls == [serve.ready["broker"]]
        assert invite.venue is not None
        assert invite.venue.rest_url == venue.ready["rest"]
        assert await join(tmp_path, invite, "mia") == ""

        seed = load_nkey_seed(tmp_path / "mia.nk")
        mia = await Bus.connect(invite.urls[0], seed, subjects.inbox_prefix("mia"), "mia")
        reader, signals = FeedReader("zoe", invite.leader_key, None), []

        async def hear(message: BusMessage) -> None:
            for event in reader.receive(message.data, message.seq or 0):
                if isinstance(event, Accepted) and isinstance(event.message, Signal):
                    signals.append(event.message)

        await mia.subscribe(subjects.feed("zoe"), hear)
        maker, leader = trader(venue, "maker"), trader(venue, "leader")
        try:
            await maker.create_order(SYMBOL, "limit", "sell", 1, 100_000)
            await leader.create_order(SYMBOL, "market", "buy", 0.5)
            await eventually(lambda: len(signals) == 1)
            assert (signals[0].side, signals[0].qty) == ("buy", "0.5")
        finally:
            await asyncio.gather(maker.close(), leader.close())

        report = await desk.json("doctor")
        assert report["wrong"] == 0, report
        states = {row["what"]: (row["state"], row["text"]) for row in report["findings"]}
        assert states["registry"] == ("ok", "1 leaders, 1 followers")
        assert "durable" in states["broker"][1]
        assert states["publisher"][1].startswith("live, at message")
        assert await desk.json("followers") == [
            {"follower": "mia", "leaders": ["zoe"], "since": (await desk.json("leaders"))[0]["since"]}
        ]
        invites = {row["note"]: row["state"] for row in await desk.json("invite", "list")}
        assert invites == {"": "used", "before the start": "open"}
        assert (await desk("followers", "remove", "mia"))[0] == "mia no longer follows zoe"
        await eventually(lambda: not mia.is_connected)
        assert await desk.json("followers") == []
        assert [row["what"] for row in await desk.json("followers", "history")] == [
            "leader_added", "invite_made", "invite_made", "joined", "grant_ended",
        ]  # fmt: skip
        await mia.close()
        assert await publish.end() == 0
        assert await serve.end() == 0


async def test_a_revoked_invite_lets_nobody_in(tmp_path: Path) -> None:
    async with programs(tmp_path) as room:
        desk, _ = await set_up(room)
        serve = await room.start("relay", "serve", "--config", str(tmp_path / "relay.toml"), "--json")
        told = await desk.json("invite", "create", "--uses", "3")
        invite = parse_invite(told["token"])
        assert await join(tmp_path, invite, "mia") == ""
        await desk("invite", "revoke", told["invite"])
        with pytest.raises(Exception, match="not one of its users"):
            await join(tmp_path, invite, "eva")
        assert [row["follower"] for row in await desk.json("followers")] == ["mia"]
        assert await serve.end() == 0


async def test_mistakes_are_one_line_and_change_nothing(tmp_path: Path) -> None:
    async with programs(tmp_path) as room:
        desk, _ = await set_up(room)
        before = (tmp_path / "keys" / "zoe.signing").read_bytes()
        report = json.loads((await desk("doctor", "--json"))[0])
        assert {row["what"]: row["state"] for row in report["findings"]}["broker"] == "warning"
        lines = (await desk("doctor"))[0].splitlines()
        assert {line.split()[0] for line in lines[:-1]} <= {"ok", "warning"}, lines  # the table, nothing else
        (tmp_path / "keys" / "zoe.nk").chmod(0o644)
        report = json.loads((await desk("doctor", "--json", status=1))[0])
        assert [row["what"] for row in report["findings"] if row["state"] == "wrong"] == ["keys"]
        (tmp_path / "keys" / "zoe.nk").chmod(0o600)
        cases = [
            (("init", "leader", "zoe"), 1, "relay: relay.toml, publisher.toml, keys/venue.api_key"),
            (("init", "leader", "Zoe!", "--dir", "other"), 78, "relay: ID: was 'Zoe!'"),
            (("init", "leader", "--venue", "nowhere", "--dir", "other"), 78, "relay: --venue: nowhere"),
            (
                ("init", "leader", "--venue", "venue.json", "--account", "x", "--dir", "other"),
                78,
                "relay: --account: was 'x', allowed: one of leader, maker",
            ),
            (("invite", "create", "--leader", "nobody"), 78, "relay: --leader: was 'nobody', allowed: zoe"),
            (("invite", "create", "--uses", "0"), 78, "relay: --uses: was 0, allowed: 1 to 100000"),
            (("invite", "revoke", "nothere"), 1, "relay: nothing to change: nothere"),
            (("followers", "remove", "nobody"), 1, "relay: follower nobody: follows nobody here"),
            (("leaders", "add", "x", "--nkey", "U1", "--signing-key", "1"), 78, "relay: --nkey: allowed:"),
            (("invite", "create", "--config", "no.toml"), 78, "relay: no.toml: cannot be read"),
        ]
        for arguments, status, line in cases:
            output, errors = await desk(*arguments, status=status)
            assert output == ""
            assert errors.startswith(line), errors
            assert len(errors.splitlines()) == 1
        assert (tmp_path / "keys" / "zoe.signing").read_bytes() == before
        assert not (tmp_path / "other").exists()
        assert await desk.json("invite", "list") == []
