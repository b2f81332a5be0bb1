"""The programs as a user meets them: ready lines, exit statuses, one clear line, no orphans."""

from __future__ import annotations

import asyncio
import os
import socket
import stat
import sys
from pathlib import Path
from typing import Any

import pytest

from relay.keys import load_nkey_seed
from relay.nats_bus import Bus, BusMessage
from relay.protocol import subjects
from relay.protocol.feed import Accepted, FeedReader
from relay.protocol.messages import Notice, Signal, Snapshot
from relay.settings import VenueSettings
from relay.venue import make_exchange
from tests.integration.broker_room import eventually
from tests.integration.relay_programs import ROOT, Program, Programs, programs

pytestmark = pytest.mark.asyncio

SYMBOL = "BTC/USDT:USDT"


def broker_pid(room: Programs, data: str = "broker") -> int:
    return int((room.folder / data / "broker.pid").read_text())


def is_alive(pid: int) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


def last_line(program: Program) -> str:
    return program.errors().strip().splitlines()[-1]


async def test_serve_says_where_and_ends_cleanly(tmp_path: Path) -> None:
    async with programs(tmp_path) as room:
        serve = await room.serve()
        assert serve.ready["broker"].startswith("nats://127.0.0.1:")
        assert set(serve.ready) == {"broker", "dashboard", "metrics"}
        pid = broker_pid(room)
        assert is_alive(pid)
        for path in (tmp_path / "broker").rglob("*"):
            if "streams" not in path.parts:
                allowed = 0o700 if path.is_dir() else 0o600
                if path.name.endswith((".nk", ".conf", ".log")):
                    assert stat.S_IMODE(path.stat().st_mode) == allowed, path
        assert stat.S_IMODE((tmp_path / "broker").stat().st_mode) == 0o700
        assert await serve.end() == 0
        assert not is_alive(pid)


async def test_a_killed_serve_takes_its_broker_along(tmp_path: Path) -> None:
    async with programs(tmp_path) as room:
        serve = await room.serve()
        pid = broker_pid(room)
        serve.process.kill()
        await serve.process.wait()
        await eventually(lambda: not is_alive(pid), 3)
        again = await room.serve()
        assert again.ready["broker"]
        assert await again.end() == 0


async def test_a_port_in_use_and_a_folder_in_use_are_tried_again_later(tmp_path: Path) -> None:
    async with programs(tmp_path) as room:
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            serve = await room.serve(f"127.0.0.1:{taken.getsockname()[1]}")
            assert await serve.process.wait() == 75
            assert "broker.listen" in last_line(serve)
            assert "in use" in last_line(serve)
        first = await room.serve()
        second = await room.serve()
        assert await second.process.wait() == 75
        assert last_line(second).startswith("relay: broker.data_dir")
        assert await first.end() == 0


async def test_configuration_mistakes_start_nothing(tmp_path: Path) -> None:
    async with programs(tmp_path) as room:
        serve = await room.serve("0.0.0.0:4222")
        assert await serve.process.wait() == 78
        assert last_line(serve) == (
            f"relay: {tmp_path / 'relay-broker.toml'}: broker.listen: was '0.0.0.0:4222', "
            "allowed: a loopback address, or any with [broker.tls]"
        )
        assert not (tmp_path / "broker").exists()
        wrong = await room.start("relay", "serve", "--confg", "x")
        assert await wrong.process.wait() == 2
        assert wrong.errors().splitlines() == [
            "relay: No such option: --confg (Possible options: --config, --json)"
        ]


async def test_publish_without_broker_venue_or_key_says_which(tmp_path: Path) -> None:
    async with programs(tmp_path) as room:
        venue = await room.venue()
        rest, ws = venue.ready["rest"], venue.ready["ws"]
        account = venue.ready["accounts"][0]
        key, secret = account["api_key"], account["api_secret"]
        nowhere, file = "127.0.0.1:9", tmp_path / "publisher.toml"
        cases: list[tuple[tuple[str, ...], int, str]] = [
            ((f"nats://{nowhere}", rest, ws, "unknownkey", secret), 78, f"{file}: venue.api_key:"),
            ((f"nats://{nowhere}", rest, ws, key, "wrongsecret"), 78, f"{file}: venue.api_secret:"),
            ((f"nats://{nowhere}", f"http://{nowhere}", ws, key, secret), 75, "venue.rest_url"),
            ((f"nats://{nowhere}", rest, ws, key, secret), 75, "broker.url"),
        ]
        for arguments, status, field in cases:
            publish = await room.publish(*arguments)
            assert publish.ready == {}
            assert await publish.process.wait() == status, publish.errors()
            assert last_line(publish).startswith(f"relay: {field}")
            assert secret not in publish.errors()
            assert "wrongsecret" not in publish.errors()
            assert "origin_string" not in publish.errors()


class Follower:
    """Reads alice's feed and keeps what was accepted."""

    def __init__(self, room: Programs, serve: Program) -> None:
        self.messages: list[Any] = []
        self._room = room
        self._url = serve.ready["broker"]
        self._reader = FeedReader("alice", room.public_key)

    async def start(self) -> Bus:
        seed = load_nkey_seed(self._room.folder / "bob.nk")
        bus = await Bus.connect(self._url, seed, subjects.inbox_prefix("bob"), "bob")
        await bus.subscribe(subjects.feed("alice"), self._hear)
        for seq, wire in await bus.fetch_range(subjects.stream("alice"), 1, 1000):
            self._take(wire, seq)
        return bus

    async def _hear(self, message: BusMessage) -> None:
        self._take(message.data, message.seq or 0)

    def _take(self, wire: bytes, seq: int) -> None:
        for event in self._reader.receive(wire, seq):
            assert isinstance(event, Accepted), event
            self.messages.append(event.message)

    @property
    def signals(self) -> list[Signal]:
        return [message for message in self.messages if isinstance(message, Signal)]


def trader(venue: Program, name: str) -> Any:
    account = next(account for account in venue.ready["accounts"] if account["name"] == name)
    return make_exchange(
        VenueSettings(
            rest_url=venue.ready["rest"],
            ws_url=venue.ready["ws"],
            api_key=account["api_key"],
            api_secret=account["api_secret"],
        )
    )


async def start_publish(room: Programs, serve: Program, venue: Program) -> Program:
    account = next(account for account in venue.ready["accounts"] if account["name"] == "leader")
    return await room.publish(
        serve.ready["broker"],
        venue.ready["rest"],
        venue.ready["ws"],
        account["api_key"],
        account["api_secret"],
    )


@pytest.mark.timeout(120)
async def test_a_leaders_fills_become_signals_whatever_is_killed(tmp_path: Path) -> None:
    async with programs(tmp_path) as room:
        venue, serve = await room.venue(), await room.serve()
        publish = await start_publish(room, serve, venue)
        assert publish.ready == {"ready": True, "leader": "alice", "public_key": room.public_key}
        follower = Follower(room, serve)
        bus = await follower.start()
        maker, leader = trader(venue, "maker"), trader(venue, "leader")
        try:
            for step in range(5):
                await maker.create_order(SYMBOL, "limit", "sell", 0.5, 100_000 + 10 * step)
                await maker.create_order(SYMBOL, "limit", "buy", 0.5, 99_990 - 10 * step)
            await leader.create_order(SYMBOL, "market", "buy", 1.2)
            await eventually(lambda: len(follower.signals) == 1)
            first = follower.signals[0]
            assert (first.side, first.qty, first.price) == ("buy", "1.2", "100007.5")
            assert (first.position.qty, len(first.fill_ids)) == ("1.2", 3)
            assert first.leader_exec_ms <= first.seen_ms <= first.sealed_ms

            publish.process.kill()
            await publish.process.wait()
            await leader.create_order(SYMBOL, "market", "sell", 0.7)
            await leader.create_order(SYMBOL, "market", "sell", 0.5)
            publish = await start_publish(room, serve, venue)
            assert publish.ready["ready"] is True
            await eventually(lambda: isinstance(follower.messages[-1], Snapshot))
            assert [(s.side, s.qty, s.position.qty) for s in follower.signals[1:]] == [
                ("sell", "0.7", "0.5"),
                ("sell", "0.5", "0"),
            ]
            assert follower.messages[-1].positions == []
            balance = await leader.fetch_balance()
            assert follower.messages[-1].equity == balance["info"]["result"]["list"][0]["totalEquity"]

            pid = broker_pid(room)
            os.kill(pid, 9)
            await leader.create_order(SYMBOL, "market", "buy", 0.1)
            await eventually(lambda: len(follower.signals) == 4, 15)
            assert follower.signals[3].position.qty == "0.1"
            assert await publish.end() == 0
            await eventually(lambda: isinstance(follower.messages[-1], Notice))
            assert follower.messages[-1].notice == "closing"
            assert await serve.end() == 0
        finally:
            await asyncio.gather(bus.close(), maker.close(), leader.close())


@pytest.mark.timeout(120)
async def test_what_was_before_the_first_start_is_told_by_no_later_one(tmp_path: Path) -> None:
    async with programs(tmp_path) as room:
        venue, serve = await room.venue(), await room.serve()
        maker, leader = trader(venue, "maker"), trader(venue, "leader")
        follower = Follower(room, serve)
        bus = await follower.start()
        try:
            await maker.create_order(SYMBOL, "limit", "sell", 5, 100_000)
            await maker.create_order(SYMBOL, "limit", "buy", 5, 99_990)
            await leader.create_order(SYMBOL, "market", "buy", 1)  # a moment before the first start
            publish = await start_publish(room, serve, venue)
            publish.process.kill()
            await publish.process.wait()
            await leader.create_order(SYMBOL, "market", "buy", 0.2)  # nothing was told before this one
            publish = await start_publish(room, serve, venue)
            await eventually(lambda: len(follower.signals) >= 1)
            await leader.create_order(SYMBOL, "market", "sell", 1.2)
            await eventually(lambda: len(follower.signals) >= 2)
            publish.process.kill()
            await publish.process.wait()
            publish = await start_publish(room, serve, venue)
            assert await publish.end() == 0
            await eventually(
                lambda: (
                    isinstance(follower.messages[-1], Notice) and follower.messages[-1].notice == "closing"
                )
            )
            assert [(s.side, s.qty, s.position.qty) for s in follower.signals] == [
                ("buy", "0.2", "1.2"),
                ("sell", "1.2", "0"),
            ]
        finally:
            await asyncio.gather(bus.close(), maker.close(), leader.close())


async def test_help_loads_nothing_heavy() -> None:
    heavy = "('ccxt', 'nats', 'aiohttp', 'plotly', 'pydantic', 'msgspec')"
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        f"import sys, relay.cli; print([name for name in {heavy} if name in sys.modules])",
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await process.communicate()
    assert output.decode().strip() == "[]"
