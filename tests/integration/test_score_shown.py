"""A leader's signed slippage, from real copies to those who think of following, with README's commands."""

from __future__ import annotations

import asyncio
import json
import re
import sqlite3
from pathlib import Path

import pytest

from relay.keys import create_signing_key, load_signing_key
from relay.protocol.profile import Profile, sign_profile
from tests.integration.relay_programs import Program, Programs, programs
from tests.integration.test_follower_commands import client, follow, quotes, told
from tests.integration.test_leader_commands import Desk, set_up
from tests.integration.test_relay_programs import SYMBOL, last_line, trader

pytestmark = [pytest.mark.asyncio, pytest.mark.timeout(240), pytest.mark.system]

SIGNED_WITHIN_S = 30


def trade_for_real(home: Path, venue: Program) -> None:
    """From paper to an account at the venue, as README says."""
    account = next(row for row in venue.ready["accounts"] if row["name"] == "mia")
    config = home / "follower.toml"
    text = config.read_text()
    for name in ("api_key", "api_secret"):
        (home / name).write_text(account[name] + "\n")
        (home / name).chmod(0o600)
        text, count = re.subn(rf"(?m)^# {name}_file = \.\.\.", f'{name}_file = "{name}"', text)
        assert count == 1, name
    text, count = re.subn(r'(?m)^kind = "paper"', 'kind = "v5"', text)
    assert count == 1
    config.write_text(text)


async def signed(desk: Desk, copies: int) -> str:
    """`relay statement sign`, until the monitor has heard of all copies; the score."""
    command = ("statement", "sign", "--leader", "zoe", "--key", "keys/zoe.signing", "--since", "1d")
    for _ in range(SIGNED_WITHIN_S):
        await desk(*command, "--out", "statement.json")
        document = json.loads((desk.folder / "statement.json").read_text())["statement"]
        found = json.loads(document.partition("\n")[2])
        if found["copies"] == copies:
            return f"{found['slippage_bps']['mean']} bps over {copies} copies"
        await asyncio.sleep(1)
    raise AssertionError(found)


async def copied_twice(room: Programs, desk: Desk, venue: Program, home: Path) -> None:
    await client(home, "join", (await desk("invite", "create"))[0], "--id", "mia")
    trade_for_real(home, venue)
    running, _ = await follow(home)
    maker, leader = await quotes(venue), trader(venue, "leader")
    try:
        for count, side in enumerate(("buy", "sell"), 1):
            await leader.create_order(SYMBOL, "market", side, 0.5)
            async with asyncio.timeout(30):
                while (await told(home, "status"))[0]["copied"] != count:  # noqa: ASYNC110
                    await asyncio.sleep(0.2)
    finally:
        running.terminate()
        await running.wait()
        await asyncio.gather(maker.close(), leader.close())


async def test_a_score_of_real_copies_is_shown_before_one_follows(tmp_path: Path) -> None:
    async with programs(tmp_path) as room:
        desk, venue = await set_up(room, accounts=["mia:10000"])
        publisher, home = tmp_path / "publisher.toml", tmp_path / "mia"
        serve = await room.start("relay", "serve", "--config", str(tmp_path / "relay.toml"), "--json")
        publish = await room.start("relay", "publish", "--config", str(publisher), "--json")
        assert serve.ready and publish.ready
        home.mkdir()
        await copied_twice(room, desk, venue, home)
        score = await signed(desk, 2)
        public = publish.ready["public_key"]
        verified, _ = await desk("statement", "verify", "statement.json", "--key", public)
        assert "its 1 rows add up to it" in verified
        assert await publish.end() == 0

        with publisher.open("a") as settings:
            settings.write('[profile]\ntext = "slow and steady"\nstatement_file = "statement.json"\n')
        publish = await room.start("relay", "publish", "--config", str(publisher), "--json")
        assert publish.ready, publish.errors()
        (row,) = await desk.json("leaders")
        assert (row["profile"], row["slippage"]) == ("slow and steady", score)
        assert score in (await desk("leaders"))[0]
        said = await joined(desk, tmp_path, "eva")
        assert f"what copying cost his followers: {score}" in said
        assert (tmp_path / "eva" / "leader.profile").exists()

        _lie(tmp_path / "data" / "registry.sqlite", tmp_path / "liar.signing")
        (row,) = await desk.json("leaders")
        assert (row["profile"], row["slippage"]) == ("", "")
        said = await joined(desk, tmp_path, "ida")  # the follower looks for himself
        assert "joined zoe as ida" in said
        assert "1000 %" not in said
        assert not (tmp_path / "ida" / "leader.profile").exists()
        assert await publish.end() == 0
        await _anothers_score(room, desk, publisher)


async def joined(desk: Desk, folder: Path, name: str) -> str:
    (folder / name).mkdir()
    return (await client(folder / name, "join", (await desk("invite", "create"))[0], "--id", name))[0]


def _lie(registry: Path, key: Path) -> None:
    """A relay that shows a profile of its own making."""
    create_signing_key(key)
    profile = Profile(leader_id="zoe", issued_ms=2**45, text="1000 % a month")
    made = sign_profile(load_signing_key(key), profile)
    database = sqlite3.connect(registry)
    with database:
        assert database.execute("UPDATE profile SET document = ?", (made.decode(),)).rowcount == 1
    database.close()


async def _anothers_score(room: Programs, desk: Desk, publisher: Path) -> None:
    """A statement that another key has signed is not published as one's own."""
    sign = ("statement", "sign", "--leader", "zoe", "--key", "liar.signing", "--since", "1d")
    await desk(*sign, "--out", "statement.json")
    refused = await room.start("relay", "publish", "--config", str(publisher), "--json")
    assert await asyncio.wait_for(refused.process.wait(), 20) == 78
    assert last_line(refused).endswith("profile.statement_file: not signed by zoe")
