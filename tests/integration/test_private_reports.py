"""The relay's reports on a private feed, with real programs: nothing of it until the leader lets them in."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from relay.door import call
from relay.nats_bus import NotPermitted
from relay.store import DriftStore
from tests.integration.broker_room import eventually
from tests.integration.relay_programs import programs
from tests.integration.test_leader_commands import Desk
from tests.integration.test_leader_door import start_external, step
from tests.integration.test_private_group import Member

pytestmark = [pytest.mark.asyncio, pytest.mark.timeout(120)]


async def stored_signals(path: Path, count: int, seq: int) -> None:
    """Return when the store has read up to `seq`; it must hold so many signals then."""
    async with asyncio.timeout(20):
        while True:
            with DriftStore.open_for_reading(path) as store:
                head, counts = store.head("alice"), store.counts()
            if head is not None and head.seq >= seq:
                break
            await asyncio.sleep(0.02)
    assert counts["signals"] == count
    assert counts["refused"] == 0  # what is not for us is nobody's mistake


async def test_a_private_leader_is_reported_on_when_he_lets_the_monitor_in(tmp_path: Path) -> None:
    async with programs(tmp_path) as room:
        serve = await room.serve()
        publish, desk = await start_external(room, serve), Desk(tmp_path)
        note, relay = tmp_path / "alice.sqlite.door", ("--config", "relay-broker.toml")
        add = ("leaders", "add", "alice", "--nkey", room.nkeys["alice"], "--signing-key", room.public_key)
        await desk(*add, *relay)
        mia = Member("mia", room.public_key, tmp_path)
        await mia.join((await desk("invite", "create", "--leader", "alice", *relay))[0])
        thief = Member("monitor", room.public_key, tmp_path)
        token = (await desk("invite", "create", "--leader", "alice", *relay))[0]
        with pytest.raises(AssertionError, match="id_taken"):  # nobody takes the monitor's name
            await thief.join(token)
        path = tmp_path / "broker.sqlite"
        told = await call(note, "signal", step(1, "buy", "1", equity="1000"))
        await stored_signals(path, 1, told["seq"])
        assert (await desk.json("group", "create"))["members"] == 1
        told = await call(note, "signal", step(2, "buy", "2"))
        await stored_signals(path, 1, told["seq"])
        assert "relay group add monitor" in serve.errors()

        assert (await desk.json("group", "add", "monitor"))["members"] == 2
        told = await call(note, "signal", step(3, "buy", "3"))
        await stored_signals(path, 2, told["seq"])
        with pytest.raises(NotPermitted):
            await mia.bus.fetch_group_key("alice", 2, "monitor")
        assert await serve.end() == 0  # its key outlives it
        serve = await room.serve(listen=serve.ready["broker"].removeprefix("nats://"))
        told = await call(note, "signal", step(4, "sell", "1"))
        await stored_signals(path, 3, told["seq"])
        shown = json.loads((await desk("report", "slippage", "--format", "json", "--store", str(path)))[0])
        assert shown["leaders"] == [{"id": "alice", "fills": 3, "signals": 3}]

        assert (await desk.json("group", "remove", "monitor"))["members"] == 1
        told = await call(note, "signal", step(5, "buy", "5"))
        await stored_signals(path, 3, told["seq"])
        await eventually(lambda: mia.held == "10")  # members lose nothing by it
        epochs = (await desk.json("group", "history"))["epochs"]
        assert [row["members"] for row in epochs[:3]] == [["mia"], ["mia", "monitor"], ["mia"]]
        assert await publish.end() == 0
        await mia.bus.close()
