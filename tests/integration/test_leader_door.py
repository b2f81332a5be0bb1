"""A leader at his own door, with real programs: steps from elsewhere, pause, notice, new keys, revocation."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from relay.door import call, signature_of
from relay.errors import Failed
from relay.keys import create_nkey, create_signing_key, load_nkey_seed
from relay.nats_bus import Bus, BusMessage
from relay.protocol import subjects
from relay.protocol.feed import Accepted, Beat, FeedReader, Locked
from relay.protocol.messages import Heartbeat, Notice, Signal
from tests.integration.broker_room import eventually
from tests.integration.relay_programs import Program, Programs, programs
from tests.integration.test_leader_commands import Desk

pytestmark = pytest.mark.asyncio

SYMBOL = "BTC/USDT:USDT"


class Listener:
    """bob, who pinned the first key and reads everything that is there."""

    def __init__(self, bus: Bus, leader: str, public_key: str) -> None:
        self.bus, self.leader = bus, leader
        self.reader = FeedReader(leader, public_key)
        self.messages: list[Any] = []
        self.beats: list[Heartbeat] = []
        self.locked: Locked | None = None

    async def start(self) -> None:
        await self.bus.subscribe(subjects.feed(self.leader), self._feed)
        await self.bus.subscribe(subjects.beat(self.leader), self._beat)
        await self.catch_up()

    async def catch_up(self) -> None:
        stream = subjects.stream(self.leader)
        for seq, wire in await self.bus.fetch_range(stream, self.reader.last_seq + 1, 10_000):
            self._note(self.reader.receive(wire, seq))

    def notices(self) -> list[str]:
        return [message.notice for message in self.messages if isinstance(message, Notice)]

    def signals(self) -> list[tuple[str, str, str]]:
        return [(m.side, m.qty, m.position.qty) for m in self.messages if isinstance(m, Signal)]

    async def _feed(self, message: BusMessage) -> None:
        self._note(self.reader.receive(message.data, message.seq or 0))

    async def _beat(self, message: BusMessage) -> None:
        self._note(self.reader.beat(message.data))

    def _note(self, events: list[Any]) -> None:
        for event in events:
            if isinstance(event, Accepted):
                self.messages.append(event.message)
            elif isinstance(event, Beat):
                self.beats.append(event.message)
            elif isinstance(event, Locked):
                self.locked = event


async def listen(room: Programs, serve: Program) -> tuple[Bus, Listener]:
    seed = load_nkey_seed(room.folder / "bob.nk")
    bus = await Bus.connect(serve.ready["broker"], seed, subjects.inbox_prefix("bob"), "bob")
    bob = Listener(bus, "alice", room.public_key)
    await bob.start()
    return bus, bob


async def start_external(
    room: Programs, serve: Program, *, folder: str = "", name: str = "alice", options: Sequence[str] = ()
) -> Program:
    config = room.folder / folder / f"{name}.toml" if folder else room.folder / "publisher.toml"
    config.parent.mkdir(exist_ok=True)
    (room.folder / "door.secret").write_text("a secret of enough characters\n")
    (room.folder / "door.secret").chmod(0o600)
    config.write_text(
        f'[leader]\nid = "{name}"\nnkey_seed_file = "{room.folder}/{name}.nk"\n'
        f'signing_key_file = "{room.folder}/{name}.sk"\noutbox = "{room.folder}/{name}.sqlite"\n'
        f'[broker]\nurl = "{serve.ready["broker"]}"\n[venue]\nexchange = "external"\n'
        f'[signals]\nsymbols = ["{SYMBOL}"]\nsnapshot_seconds = 600\n'
        f'[door]\nsecret_file = "{room.folder}/door.secret"\n'
    )
    if folder:
        return Program(None, {}, config)  # type: ignore[arg-type]
    return await room.start("relay", "publish", "--config", str(config), "--json", *options)


def step(number: int, side: str, qty: str, **more: str) -> dict[str, Any]:
    return {"id": f"x{number}", "symbol": SYMBOL, "side": side, "qty": qty, "price": "100", **more}


async def test_steps_told_at_the_door_are_signals_once_across_a_restart(tmp_path: Path) -> None:
    async with programs(tmp_path) as room:
        serve = await room.serve()
        publish = await start_external(room, serve)
        note = tmp_path / "alice.sqlite.door"
        bus = await Bus.connect(
            serve.ready["broker"], load_nkey_seed(tmp_path / "bob.nk"), "_INBOX_bob", "bob"
        )
        bob = Listener(bus, "alice", room.public_key)
        await bob.start()
        with pytest.raises(Failed, match="needs the equity"):
            await call(note, "signal", step(1, "buy", "2"))
        assert (await call(note, "signal", step(1, "buy", "2", equity="1000")))["told"] is True
        assert (await call(note, "signal", step(1, "buy", "2", equity="1000")))["told"] is False
        publish.process.kill()
        await publish.process.wait()
        publish = await start_external(room, serve)
        assert (await call(note, "signal", step(1, "buy", "2", equity="1000")))["told"] is False
        assert (await call(note, "signal", step(2, "sell", "0.5")))["told"] is True
        await eventually(lambda: len(bob.signals()) == 2)
        assert bob.signals() == [("buy", "2", "2"), ("sell", "0.5", "1.5")]
        last = next(m for m in reversed(bob.messages) if isinstance(m, Signal))
        assert (last.cause, last.equity, last.position.exposure) == ("manual", "1000", "0.15")
        for wrong in (
            step(3, "buy", "0"), step(3, "buy", "-1"), step(3, "hold", "1"), step(3, "buy", "1e3"),
            step(3, "buy", "1", symbol="X/Y:Z"), step(3, "buy", "1") | {"unknown": 1}, {"id": "x3"},
        ):  # fmt: skip
            with pytest.raises(Failed):
                await call(note, "signal", wrong)
        assert len(bob.signals()) == 2
        assert await publish.end() == 0
        assert not note.exists()
        await bus.close()


async def test_a_call_that_is_not_signed_fresh_and_new_does_nothing(tmp_path: Path) -> None:
    async with programs(tmp_path) as room:
        serve = await room.serve()
        publish = await start_external(room, serve)
        door = json.loads((tmp_path / "alice.sqlite.door").read_text())
        assert (tmp_path / "alice.sqlite.door").stat().st_mode & 0o777 == 0o600
        body = json.dumps(step(1, "buy", "1", equity="1000"), separators=(",", ":")).encode()
        now = str(int(time.time() * 1000))
        old, coming = str(int(now) - 60_000), str(int(now) + 60_000)
        good = signature_of(door["secret"], now, "/signal", body)
        strangers = [
            {},
            {"Slipstream-Time": now},
            {"Slipstream-Time": now, "Slipstream-Signature": signature_of("other", now, "/signal", body)},
            {
                "Slipstream-Time": now,
                "Slipstream-Signature": signature_of(door["secret"], now, "/pause", body),
            },
            {
                "Slipstream-Time": old,
                "Slipstream-Signature": signature_of(door["secret"], old, "/signal", body),
            },
            {
                "Slipstream-Time": coming,
                "Slipstream-Signature": signature_of(door["secret"], coming, "/signal", body),
            },
            {"Slipstream-Time": now + "0", "Slipstream-Signature": good},
            {"Slipstream-Time": f"-{now}", "Slipstream-Signature": good},
            {"Slipstream-Time": now, "Slipstream-Signature": good.upper()},
            {"Slipstream-Time": now, "Slipstream-Signature": "é" * 64},
            {"Slipstream-Time": "１", "Slipstream-Signature": good},
        ]
        async with aiohttp.ClientSession() as session:
            for headers in strangers:
                async with session.post(f"{door['url']}/signal", data=body, headers=headers) as answer:
                    assert answer.status == 401, headers
            headers = {"Slipstream-Time": now, "Slipstream-Signature": good}
            for status in (200, 401):  # the same call a second time is a replay
                async with session.post(f"{door['url']}/signal", data=body, headers=headers) as answer:
                    assert answer.status == status
            async with session.post(f"{door['url']}/signal", data=b"x" * 20_000, headers=headers) as answer:
                assert answer.status == 413

            async def endless() -> AsyncIterator[bytes]:
                for _ in range(1_000):  # with no length told before
                    yield b"x" * 1_024

            async with session.post(f"{door['url']}/signal", data=endless(), headers=headers) as answer:
                assert answer.status == 413
            for method, path in (("GET", "signal"), ("PUT", "signal"), ("POST", "signal/more"), ("POST", "")):
                async with session.request(method, f"{door['url']}/{path}", data=body) as answer:
                    assert answer.status in (404, 405)
        with pytest.raises(Failed, match="nothing here"):
            await call(tmp_path / "alice.sqlite.door", "nothing", {})
        assert await publish.end() == 0


@pytest.mark.timeout(120)
async def test_pause_notice_rotation_and_revocation_reach_the_followers(tmp_path: Path) -> None:
    async with programs(tmp_path) as room:
        serve = await room.serve()
        publish, desk, note = (
            await start_external(room, serve),
            Desk(tmp_path),
            tmp_path / "alice.sqlite.door",
        )
        bus = await Bus.connect(
            serve.ready["broker"], load_nkey_seed(tmp_path / "bob.nk"), "_INBOX_bob", "bob"
        )
        bob = Listener(bus, "alice", room.public_key)
        await bob.start()
        await call(note, "signal", step(1, "buy", "2", equity="1000"))
        assert (await desk("pause", "holiday"))[0].startswith("paused as of message")
        await eventually(lambda: bool(bob.beats) and bob.beats[-1].mode == "paused")
        publish.process.kill()
        await publish.process.wait()
        publish = await start_external(room, serve)
        beats = len(bob.beats)
        await eventually(lambda: len(bob.beats) > beats)
        assert bob.beats[-1].mode == "paused"
        await desk("resume")
        await desk("notice", "less risk", "--leverage", "2.50")
        for _ in range(2):
            told = await desk.json("keys", "rotate")
            await call(note, "signal", step(told["seq"], "sell", "0.5"))
        publish.process.kill()
        await publish.process.wait()
        publish = await start_external(room, serve)
        assert publish.ready["public_key"] == told["public_key"] != room.public_key
        await eventually(lambda: bob.reader.public_key == told["public_key"] and bob.beats[-1].mode == "live")
        late = Listener(bus, "alice", room.public_key)  # comes later, with the key of an old invite
        await late.start()
        await eventually(lambda: bool(late.beats))
        await late.catch_up()
        assert (
            late.signals()
            == bob.signals()
            == [("buy", "2", "2"), ("sell", "0.5", "1.5"), ("sell", "0.5", "1")]
        )
        assert [n for n in bob.notices() if n != "started"] == [
            "paused", "resumed", "terms", "key_rotation", "key_rotation",
        ]  # fmt: skip
        terms = next(m for m in bob.messages if isinstance(m, Notice) and m.notice == "terms")
        assert (terms.text, terms.recommended_leverage) == ("less risk", "2.5")

        await desk("keys", "revoke", "stolen")
        assert await asyncio.wait_for(publish.process.wait(), 10) == 1
        await eventually(lambda: bob.locked is not None)
        assert bob.locked is not None
        assert bob.locked.reason == "revoked"
        again = await start_external(room, serve)
        assert await again.process.wait() == 1
        assert "this key is revoked" in again.errors()
        assert "no publisher runs here" in (await desk("pause", status=75))[1]
        await bus.close()


async def test_two_leaders_in_one_process_end_apart(tmp_path: Path) -> None:
    async with programs(tmp_path) as room:
        nkey, key = create_nkey(tmp_path / "carol.nk"), create_signing_key(tmp_path / "carol.sk")
        serve = await room.serve()
        desk = Desk(tmp_path)
        relay = ("--config", "relay-broker.toml")
        await desk("leaders", "add", "carol", "--nkey", nkey, "--signing-key", key, *relay)
        for name in ("alice", "carol"):
            await start_external(room, serve, folder="leaders", name=name)
        publish = await room.start("relay", "publish", "--config", str(tmp_path / "leaders"), "--json")
        assert publish.process.stdout is not None
        second = json.loads(await asyncio.wait_for(publish.process.stdout.readline(), 20))
        assert {publish.ready["leader"], second["leader"]} == {"alice", "carol"}
        for name in ("alice", "carol"):
            told = await call(tmp_path / f"{name}.sqlite.door", "signal", step(1, "buy", "2", equity="1000"))
            assert told["told"] is True
        assert (await desk("leaders", "remove", "carol", *relay))[0].startswith("leader carol is removed")
        assert (await call(tmp_path / "alice.sqlite.door", "signal", step(2, "buy", "1")))["told"] is True
        status = await call(tmp_path / "alice.sqlite.door", "status", {})
        assert (status["leader"], status["live"], status["equity"]) == ("alice", True, "1000")
        assert publish.process.returncode is None
        publish.process.terminate()
        await asyncio.wait_for(publish.process.wait(), 10)
