"""A leader who trades elsewhere: `relay init leader --external`, `relay signal`, README's lines for him, the
signed call as docs/external-leader.md shows it.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest

from relay.keys import load_nkey_seed
from relay.nats_bus import Bus
from relay.protocol import subjects
from relay.protocol.invite import parse_invite
from relay.protocol.messages import Snapshot
from tests.integration.broker_room import eventually
from tests.integration.relay_programs import ROOT, Program, Programs, programs
from tests.integration.test_leader_commands import Desk, free_port, join
from tests.integration.test_leader_door import Listener

pytestmark = [pytest.mark.asyncio, pytest.mark.timeout(120)]

SYMBOL = "BTC/USDT:USDT"


def page(file: str, language: str) -> str:
    """The block of a page that tells steps."""
    blocks = [block.partition("\n") for block in (ROOT / file).read_text().split("```")[1::2]]
    [found] = [
        text for name, _, text in blocks if name == language and ("relay signal" in text or "/signal" in text)
    ]
    return found


async def elsewhere(room: Programs) -> tuple[Desk, Bus, Listener, tuple[Program, Program]]:
    """zoe, who trades elsewhere, and bob, who follows her."""
    desk = Desk(room.folder)
    await desk("init", "leader", "zoe", "--external", "--listen", f"127.0.0.1:{free_port()}")
    assert "no publisher runs here" in (await desk("signal", "close", SYMBOL, "1", status=75))[1]
    serve = await room.start("relay", "serve", "--config", str(room.folder / "relay.toml"), "--json")
    publish = await room.start("relay", "publish", "--config", str(room.folder / "publisher.toml"), "--json")
    assert publish.ready["leader"] == "zoe", publish.errors()
    invite = parse_invite((await desk("invite", "create"))[0])
    (room.folder / "bob.nk").unlink()
    assert await join(room.folder, invite, "bob") == ""
    seed = load_nkey_seed(room.folder / "bob.nk")
    bus = await Bus.connect(invite.urls[0], seed, subjects.inbox_prefix("bob"), "bob")
    bob = Listener(bus, "zoe", invite.leader_key)
    await bob.start()
    return desk, bus, bob, (serve, publish)


async def test_readmes_lines_are_signals_in_order_with_their_stops(tmp_path: Path) -> None:
    async with programs(tmp_path) as room:
        desk, bus, bob, _ = await elsewhere(room)
        lines = [line.partition("  #")[0].split() for line in page("README.md", "").splitlines()]
        assert {words[2] for words in lines} == {"open", "add", "stops", "reduce", "close"}
        said = [(await desk(*words[1:]))[0] for words in lines]
        await eventually(lambda: len(bob.signals()) == 4)
        sides = [side for side, _, _ in bob.signals()]
        assert sides == ["buy", "buy", "sell", "sell"]
        assert bob.signals()[-1][2] == "0"
        assert "flat" in said[-1]
        stops = {m.positions[0].stop_loss for m in bob.messages if isinstance(m, Snapshot) and m.positions}
        [moved] = [words[words.index("--stop-loss") + 1] for words in lines if words[2] == "stops"]
        assert moved in stops
        await bus.close()


@pytest.mark.system
async def test_a_step_is_told_once_whatever_is_cut_off(tmp_path: Path) -> None:
    async with programs(tmp_path) as room:
        desk, bus, bob, (serve, publish) = await elsewhere(room)
        opening = ("signal", "open", SYMBOL, "short", "2", "100", "--equity", "1000", "--id", "first")
        first = await desk.json(*opening, "--stop-loss", "110")
        again = await desk.json(*opening, "--stop-loss", "110")
        assert (first["told"], again["told"]) == (True, False)
        assert first["seq"] == again["seq"]
        refused = (await desk(*opening, "--stop-loss", "120", status=1))[1]
        assert "first was told already (message" in refused
        [broker] = await children(serve.process.pid)
        os.kill(broker, signal.SIGSTOP)
        try:
            waiting, _ = await desk("signal", "reduce", SYMBOL, "0.5", "99", "--id", "second")
            assert "the broker does not have it yet" in waiting
            publish.process.kill()
            await publish.process.wait()
            lost = (await desk("signal", "close", SYMBOL, "98", "--id", "third", status=75))[1]
            assert "the publisher does not answer" in lost
            assert "--id third is told once" in lost
        finally:
            os.kill(broker, signal.SIGCONT)
        await room.start("relay", "publish", "--config", str(tmp_path / "publisher.toml"), "--json")
        again = await desk.json("signal", "reduce", SYMBOL, "0.5", "99", "--id", "second")
        assert again["told"] is False
        assert again["positions"][0]["stop_loss"] == "110"
        assert "flat" in (await desk("signal", "close", SYMBOL, "98", "--id", "third"))[0]
        await eventually(lambda: len(bob.signals()) == 3, seconds=20)
        assert bob.signals() == [("sell", "2", "-2"), ("buy", "0.5", "-1.5"), ("buy", "1.5", "0")]
        await bus.close()


async def children(pid: int) -> list[int]:
    found = await asyncio.to_thread(Path(f"/proc/{pid}/task/{pid}/children").read_text)
    return [int(word) for word in found.split()]


@pytest.mark.system
async def test_the_signed_call_as_the_page_shows_it(tmp_path: Path) -> None:
    async with programs(tmp_path) as room:
        _, bus, bob, _ = await elsewhere(room)
        (tmp_path / "tell.py").write_text(page("docs/external-leader.md", "python").replace("alice", "zoe"))
        for _ in range(2):  # the same id: once
            process = await asyncio.create_subprocess_exec(sys.executable, "tell.py", cwd=tmp_path)
            assert await asyncio.wait_for(process.wait(), 20) == 0
        await eventually(lambda: len(bob.signals()) == 1)
        await asyncio.sleep(0.2)
        assert len(bob.signals()) == 1
        await bus.close()
