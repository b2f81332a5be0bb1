"""The embedded broker as a process: proven durable, watched, never left behind."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from relay import broker as broker_module
from relay.admission import People
from relay.broker import find_nats_server
from relay.broker_config import ADMIN, SYSTEM, LeaderUser, broker_config
from relay.errors import Failed
from relay.keys import create_nkey
from relay.nats_bus import Bus, BusError, BusUnavailable
from relay.protocol import subjects
from relay.streams import Retention, ensure_signals
from tests.integration.broker_room import Room, eventually, running_room
from tests.integration.tcp_proxy import Proxy

pytestmark = pytest.mark.asyncio


def processes_below(folder: Path) -> list[int]:
    """Living processes whose command line names this folder."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if str(folder).encode() in path.read_bytes():
                found.append(int(path.parent.name))
        except OSError:
            continue
    return found


async def test_streams_are_what_a_stored_signal_needs(tmp_path: Path) -> None:
    async with running_room(tmp_path) as room:
        system = await room.broker.connect(SYSTEM)
        figures = await system.api("$SYS.REQ.SERVER.PING.VARZ", {})
        assert figures["data"]["jetstream"]["config"]["sync_always"] is True
        admin = await room.broker.connect(ADMIN)
        info = await admin.api(f"$JS.API.STREAM.INFO.{subjects.stream('alice')}", {})
        config = info["config"]
        assert config["subjects"] == ["signals.alice"]
        assert config["republish"] == {"src": "signals.alice", "dest": "feed.alice"}
        assert (config["storage"], config["deny_delete"], config["deny_purge"]) == ("file", True, True)
        assert config["max_age"] > 0
        assert config["max_bytes"] > 0
        await asyncio.gather(system.close(), admin.close())


@pytest.mark.parametrize("times", [1, 2])
async def test_one_refusal_is_no_answer_yet_two_are(tmp_path: Path, times: int) -> None:
    """A broker that is just taking over a list of users refuses whoever comes."""
    refused = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal refused
        if refused == times:
            await proxy.serve(reader, writer)
            return
        refused += 1
        info = {"server_id": "x", "version": "2.11.0", "proto": 1, "max_payload": 1 << 20, "nonce": "abc"}
        writer.write(f"INFO {json.dumps(info | {'auth_required': True})}\r\n".encode())
        await reader.readline()
        writer.write(b"-ERR 'Authorization Violation'\r\n")
        await writer.drain()
        writer.close()

    async with running_room(tmp_path) as room:
        proxy = Proxy("127.0.0.1", int(room.broker.url.rpartition(":")[2]))
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        url = f"nats://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        try:
            if times == 1:
                bus = await Bus.connect(url, room.seed("bob"), subjects.inbox_prefix("bob"), "bob")
                assert bus.is_connected
                await bus.close()
            else:
                with pytest.raises(BusUnavailable, match="this nkey is not one of its users"):
                    await Bus.connect(url, room.seed("bob"), subjects.inbox_prefix("bob"), "bob")
            assert refused == times
        finally:
            server.close()
            await proxy.stop()


async def test_who_is_cancelled_while_asking_asks_no_more(tmp_path: Path) -> None:
    async with running_room(tmp_path) as room:

        async def ask() -> None:
            while True:
                system = await room.broker.connect(SYSTEM)
                try:
                    await system.api("$SYS.REQ.SERVER.PING.VARZ", {})
                finally:
                    await system.close()

        for turns in range(120):  # of the loop, until it is cancelled: at every place where it may wait
            asking = asyncio.create_task(ask())
            for _ in range(turns):
                await asyncio.sleep(0)
            asking.cancel()
            await asyncio.wait({asking}, timeout=5)
            assert asking.done(), f"cancelled after {turns} turns, it goes on"


async def test_a_stream_that_would_answer_before_it_has_stored_is_refused(tmp_path: Path) -> None:
    async with running_room(tmp_path) as room:
        admin, stream = await room.broker.connect(ADMIN), subjects.stream("alice")
        made = (await admin.api(f"$JS.API.STREAM.INFO.{stream}", {}))["config"]
        await admin.api(f"$JS.API.STREAM.DELETE.{stream}", {})
        await admin.api(f"$JS.API.STREAM.CREATE.{stream}", {**made, "persist_mode": "async"})
        with pytest.raises(Failed, match=f"stream {stream}: .*persist.mode"):
            await ensure_signals(admin, "alice", Retention())
        await admin.close()


async def test_only_the_client_port_is_open(tmp_path: Path) -> None:
    async with running_room(tmp_path) as room:
        (ports,) = (tmp_path / "broker").glob("*.ports")
        assert json.loads(ports.read_text()) == {"nats": [room.broker.url]}
        config = json.loads((tmp_path / "broker" / "broker.conf").read_text())
        forbidden = {"websocket", "mqtt", "leafnodes", "no_auth_user", "http", "cluster", "gateway"}
        assert not forbidden & set(config)


async def test_a_broker_that_does_not_sync_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:

    def without_sync(*args: Any, **options: Any) -> str:
        config = json.loads(broker_config(*args, **options))
        del config["jetstream"]["sync_interval"]
        return json.dumps(config)

    monkeypatch.setattr(broker_module, "broker_config", without_sync)
    room = Room(tmp_path)
    with pytest.raises(Failed, match="sync_interval always is required"):
        await room.broker.start()
    assert processes_below(tmp_path) == []


async def test_an_old_broker_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old = tmp_path / "nats-server"
    old.write_text("#!/bin/sh\necho 'nats-server: v2.14.2'\n")
    old.chmod(0o755)
    monkeypatch.setattr(broker_module, "find_nats_server", lambda: old)
    with pytest.raises(Failed, match=r"2\.14\.3 or newer"):
        await Room(tmp_path).broker.start()


async def test_the_binary_is_that_of_the_installed_package() -> None:
    assert find_nats_server().name.startswith("nats-server")
    assert os.access(find_nats_server(), os.X_OK)


async def test_a_broken_store_is_one_line(tmp_path: Path) -> None:
    room = Room(tmp_path)
    (tmp_path / "broker").mkdir()
    (tmp_path / "broker" / "streams").write_text("in the way")
    with pytest.raises(Failed, match="did not start"):
        await room.broker.start()
    assert processes_below(tmp_path) == []


async def test_a_broker_that_keeps_dying_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(broker_module, "RESTARTS_MAX", 1)
    async with running_room(tmp_path) as room:
        failing = asyncio.create_task(room.broker.wait_failed())
        first = room.broker.pid
        os.kill(first, signal.SIGKILL)
        await eventually(lambda: room.broker.pid != first)
        os.kill(room.broker.pid, signal.SIGKILL)
        with pytest.raises(Failed, match="died 2 times"):
            await asyncio.wait_for(failing, 10)
    assert processes_below(tmp_path) == []


async def test_a_leader_who_comes_while_the_broker_is_frozen_gets_his_stream_later(tmp_path: Path) -> None:
    async with running_room(tmp_path) as room:
        nora = LeaderUser("nora", create_nkey(tmp_path / "nora.nk"))
        people: People = ([*room.broker.leaders, nora], [*room.broker.followers], [])
        os.kill(room.broker.pid, signal.SIGSTOP)
        try:
            with pytest.raises(BusError):
                await room.broker.change_users(*people)
        finally:
            os.kill(room.broker.pid, signal.SIGCONT)
        await room.broker.change_users(*people)  # as it is repeated; nothing is new in it
        admin = await room.broker.connect(ADMIN)
        assert await admin.api(f"$JS.API.STREAM.INFO.{subjects.stream('nora')}", {})
        await admin.close()


async def test_a_frozen_broker_is_still_ended(tmp_path: Path) -> None:
    async with running_room(tmp_path) as room:
        os.kill(room.broker.pid, signal.SIGSTOP)
    assert processes_below(tmp_path) == []
