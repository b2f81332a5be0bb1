"""A leader who loses his files, with real programs and the commands of docs/cluster.md: what he is told, what
he can bring back, how followers go on.
"""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from relay.door import call
from tests.integration.broker_room import eventually as soon
from tests.integration.follower_world import eventually
from tests.integration.relay_programs import Program, Programs, programs
from tests.integration.test_follower_commands import client, follow, quotes, told
from tests.integration.test_leader_commands import Desk, free_port, set_up
from tests.integration.test_leader_door import start_external, step
from tests.integration.test_private_group import Member
from tests.integration.test_relay_programs import SYMBOL, last_line, trader

pytestmark = [pytest.mark.asyncio, pytest.mark.timeout(240), pytest.mark.system]


class House:
    """zoe's relay and publisher, her venue, and mia who copies on paper."""

    def __init__(self, room: Programs, desk: Desk, venue: Program, traders: tuple[Any, Any]) -> None:
        self.room, self.desk, self.venue = room, desk, venue
        self.maker, self.leader = traders
        self.folder = room.folder
        self.publisher = self.folder / "publisher.toml"

    async def start(self, command: str, config: Path, *options: str) -> Program:
        program = await self.room.start("relay", command, "--config", str(config), "--json", *options)
        assert program.ready, program.errors()
        return program

    async def refused(self, *options: str) -> tuple[int, str]:
        """Status and last words of a publisher who does not start."""
        program = await self.room.start(
            "relay", "publish", "--config", str(self.publisher), "--json", *options
        )
        status = await asyncio.wait_for(program.process.wait(), 20)
        assert program.ready == {}
        return status, last_line(program)

    async def trade(self, side: str, qty: float) -> None:
        await self.leader.create_order(SYMBOL, "market", side, qty)


@asynccontextmanager
async def house(folder: Path) -> AsyncIterator[House]:
    async with programs(folder) as room:
        desk, venue = await set_up(room)
        maker, leader = await quotes(venue), trader(venue, "leader")
        try:
            yield House(room, desk, venue, (maker, leader))
        finally:
            await asyncio.gather(maker.close(), leader.close())


@asynccontextmanager
async def copying(here: House, home: Path, relay: Path) -> AsyncIterator[Path]:
    """A new follower's folder, while its program runs."""
    home.mkdir()  # noqa: ASYNC240 - nothing else runs here
    token, _ = await here.desk("invite", "create", "--config", str(relay))
    await client(home, "join", token, "--id", "mia")
    running, _ = await follow(home)
    try:
        yield home
    finally:
        if running.returncode is None:
            running.kill()
            await running.wait()


async def until(home: Path, **wanted: Any) -> None:
    async def there() -> bool:
        row = (await told(home, "status"))[0]
        return all(row[name] == value for name, value in wanted.items())

    await eventually(there, limit_s=40, what=str(wanted))


async def test_a_lost_outbox_is_taken_over_and_followers_go_on(tmp_path: Path) -> None:
    async with house(tmp_path) as here:
        await here.start("serve", tmp_path / "relay.toml")
        publish = await here.start("publish", here.publisher)
        async with copying(here, tmp_path / "mia", tmp_path / "relay.toml") as home:
            await here.trade("buy", 1)
            await until(home, copied=1)
            publish.process.kill()
            await publish.process.wait()
            for file in (tmp_path / "data").glob("zoe.outbox.sqlite*"):
                file.unlink()
            await here.trade("sell", 1)  # nobody tells of it
            status, words = await here.refused()
            assert status == 1
            assert "the file was lost (then --take-over on an empty one is allowed)" in words
            publish = await here.start("publish", here.publisher, "--take-over")
            await until(home, copied=2, positions={})  # his exit in between is made up for
            await here.trade("buy", 0.5)
            await until(home, copied=3)
            assert (await here.desk.json("doctor"))["wrong"] == 0
            publish.process.kill()
            await publish.process.wait()
            await here.start("publish", here.publisher)  # from here on as ever
            await here.trade("buy", 0.5)
            await until(home, copied=4)


async def test_a_lost_signing_key_comes_back_from_its_copy_or_not_at_all(tmp_path: Path) -> None:
    keys, safe = tmp_path / "keys", tmp_path / "safe"
    async with house(tmp_path) as here:
        await here.start("serve", tmp_path / "relay.toml")
        publish = await here.start("publish", here.publisher)
        async with copying(here, tmp_path / "mia", tmp_path / "relay.toml") as home:
            await here.trade("buy", 1)
            await until(home, copied=1)
            _copy(keys, safe / "first")
            await here.desk("keys", "rotate")
            _copy(keys, safe / "second")
            assert await publish.end() == 0
            _lose(keys)
            status, words = await here.refused()
            assert status == 78
            assert "leader.signing_key_file: cannot be read" in words
            assert not (keys / "zoe.signing").exists()  # nobody makes another one without a word
            report = await _doctor(here.desk)
            assert report["keys"][0] == "wrong", report
            _copy(safe / "first", keys)
            status, words = await here.refused()
            assert status == 1
            assert "bring back the newest copy of leader.signing_key_file" in words
            _copy(safe / "second", keys)
            publish = await here.start("publish", here.publisher)
            await here.trade("buy", 0.5)
            await until(home, copied=2)  # mia has pinned the first key
            assert await publish.end() == 0
            await _old_key_and_no_outbox(here, safe)
            _lose(keys)
            await _anew(here, home)


async def _old_key_and_no_outbox(here: House, safe: Path) -> None:
    """The outbox is what remembers the rotation; the links beside the key do as well."""
    for file in (here.folder / "data").glob("zoe.outbox.sqlite*"):
        file.unlink()
    keys = here.folder / "keys"
    shutil.copy(safe / "first" / "zoe.signing", keys / "zoe.signing")
    status, words = await here.refused("--take-over")
    assert status == 1
    assert "it was passed on to another key; bring back the newest copy" in words


async def _anew(here: House, home: Path) -> None:
    """No copy: another beginning, with new invites."""
    await here.trade("sell", 1.5)  # what a leader holds before one follows him is never copied
    await here.desk("leaders", "remove", "zoe")
    listen, anew = f"127.0.0.1:{free_port()}", here.folder / "anew"
    await here.desk("init", "leader", "zoe", "--dir", "anew", "--venue", "venue.json", "--listen", listen)
    await here.start("serve", anew / "relay.toml")
    await here.start("publish", anew / "publisher.toml")
    await client(home, "leave", "zoe")
    async with copying(here, here.folder / "again", anew / "relay.toml") as again:
        await here.trade("buy", 0.5)
        await until(again, copied=1)


def _copy(source: Path, target: Path) -> None:
    target.mkdir(mode=0o700, parents=True, exist_ok=True)
    for file in source.glob("zoe.signing*"):
        shutil.copy(file, target / file.name)


def _lose(keys: Path) -> None:
    for file in keys.glob("zoe.signing*"):
        file.unlink()


async def _doctor(desk: Desk) -> dict[str, tuple[str, str]]:
    import json

    text, _ = await desk("doctor", "--json", status=1)
    return {row["what"]: (row["state"], row["text"]) for row in json.loads(text)["findings"]}


async def test_a_private_feed_goes_on_with_its_own_keys_only(tmp_path: Path) -> None:
    async with programs(tmp_path) as room:
        serve = await room.serve()
        publish, desk = await start_external(room, serve), Desk(tmp_path)
        note, relay = tmp_path / "alice.sqlite.door", ("--config", "relay-broker.toml")
        add = ("leaders", "add", "alice", "--nkey", room.nkeys["alice"], "--signing-key", room.public_key)
        await desk(*add, *relay)
        mia, eva = (Member(name, room.public_key, tmp_path) for name in ("mia", "eva"))
        for one in (mia, eva):
            await one.join((await desk("invite", "create", "--leader", "alice", *relay))[0])
        await desk("group", "create")
        await call(note, "signal", step(1, "buy", "1", equity="1000"))
        await soon(lambda: (mia.signals, eva.signals) == (["1"], ["1"]))
        old, newest, group = (tmp_path / name for name in ("old", "newest", "alice.sqlite.group"))
        _backup(group, old)
        await desk("group", "remove", "eva")
        await call(note, "signal", step(2, "buy", "2"))
        await soon(lambda: mia.signals == ["1", "2"])
        _backup(group, newest)
        assert await publish.end() == 0
        _put(None, tmp_path / "alice.sqlite")
        for copy, known in ((None, 0), (old, 1)):
            _put(copy, group)
            refused = await start_external(room, serve, options=["--take-over"])
            assert await asyncio.wait_for(refused.process.wait(), 20) == 1
            assert "group: the feed is sealed for epoch 2" in last_line(refused)
            assert f"goes to {known}: bring back its newest copy" in last_line(refused)
        _put(newest, group)
        publish = await start_external(room, serve, options=["--take-over"])
        assert publish.ready, publish.errors()
        assert (await call(note, "signal", step(2, "buy", "2")))["told"] is False  # the stream knows of it
        await call(note, "signal", step(3, "sell", "2.5"))
        await soon(lambda: mia.signals == ["1", "2", "2.5"])
        assert mia.held == "0.5"
        assert eva.signals == ["1"]
        assert await publish.end() == 0
        await _begin_anew(room, serve, mia)
        await asyncio.gather(mia.bus.close(), eva.bus.close())


async def _begin_anew(room: Programs, serve: Program, mia: Member) -> None:
    """The group's file is gone and no copy is left: nobody reads what comes, until the leader adds him."""
    note, group = room.folder / "alice.sqlite.door", room.folder / "alice.sqlite.group"
    refused = await start_external(room, serve, options=["--new-group"])
    assert await asyncio.wait_for(refused.process.wait(), 20) == 1
    assert "group: nothing was lost" in last_line(refused)
    _put(None, group)
    publish = await start_external(room, serve, options=["--new-group"])
    assert publish.ready, publish.errors()
    unread = mia.unreadable
    await call(note, "signal", step(4, "buy", "1"))
    await soon(lambda: mia.unreadable > unread)
    assert (await call(note, "group", {}))["epochs"][-1]["members"] == []
    assert (await call(note, "group-add", {"member": "mia"}))["members"] == 1
    await call(note, "signal", step(5, "buy", "7"))
    await soon(lambda: mia.signals[-1] == "7")
    assert "1" not in mia.signals[3:]
    assert [row["epoch"] for row in (await call(note, "group", {}))["epochs"]] == [3, 4]
    assert await publish.end() == 0


def _backup(file: Path, copy: Path) -> None:
    """`sqlite3 FILE ".backup COPY"`, while somebody has it open."""
    source, target = sqlite3.connect(file), sqlite3.connect(copy)
    source.backup(target)
    source.close()
    target.close()


def _put(copy: Path | None, file: Path) -> None:
    for part in file.parent.glob(f"{file.name}*"):
        part.unlink()
    if copy is not None:
        shutil.copy(copy, file)
