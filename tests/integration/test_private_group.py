"""A private group with real programs: members read; who was removed does not, whatever he still has."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import nats
import pytest
from nacl.public import PrivateKey

from follower_client.leader_view import LeaderView
from follower_client.records import Head
from follower_client.subscriber import Subscriber
from relay.door import call
from relay.keys import create_nkey, load_nkey_seed
from relay.nats_bus import Bus, BusMessage, NotPermitted
from relay.protocol import subjects
from relay.protocol.errors import ProtocolError
from relay.protocol.feed import Accepted, FeedReader, NeedKey, Unreadable
from relay.protocol.groups import decode_wrapped, group_epoch_of, open_payload, unwrap_key
from relay.protocol.invite import decode_join_answer, encode_join_request, parse_invite
from relay.protocol.messages import Signal
from tests.integration.broker_room import eventually
from tests.integration.relay_programs import programs
from tests.integration.test_leader_commands import Desk
from tests.integration.test_leader_door import start_external, step

pytestmark = pytest.mark.asyncio


class Member:
    """A follower with a box key, who fetches the group's keys as he needs them."""

    def __init__(self, name: str, leader_key: str, folder: Path) -> None:
        self.name, self.folder = name, folder
        self.box = PrivateKey.generate()
        self.reader = FeedReader("alice", leader_key, is_member=True)
        self.signals: list[str] = []
        self.held = ""
        self.unreadable = 0
        self.keys: dict[int, bytes] = {}
        self.wires: list[bytes] = []
        self.bus: Bus

    async def join(self, token: str) -> None:
        invite = parse_invite(token)
        create_nkey(self.folder / f"{self.name}.nk")
        seed = load_nkey_seed(self.folder / f"{self.name}.nk")
        guest = await Bus.connect(
            invite.urls[0], invite.seed, subjects.inbox_prefix(invite.invite_id), "join"
        )
        raw = encode_join_request(
            invite,
            follower_id=self.name,
            nkey_seed=seed,
            box_key=bytes(self.box.public_key).hex(),
            program_version="test",
        )
        answer = await guest.request(subjects.join(invite.invite_id), raw, timeout_s=10)
        assert decode_join_answer(answer.data).error == ""
        await guest.close()
        self.bus = await Bus.connect(invite.urls[0], seed, subjects.inbox_prefix(self.name), self.name)
        await self.bus.subscribe(subjects.feed("alice"), self._hear)
        for seq, wire in await self.bus.fetch_range(subjects.stream("alice"), 1, 1000):
            await self._note(self.reader.receive(wire, seq))

    async def _hear(self, message: BusMessage) -> None:
        self.wires.append(message.data)
        await self._note(self.reader.receive(message.data, message.seq or 0))

    async def _note(self, events: list[Any]) -> None:
        for event in events:
            if isinstance(event, Accepted) and isinstance(event.message, Signal):
                self.signals.append(event.message.qty)
                self.held = event.message.position.qty
            elif isinstance(event, Unreadable):
                self.unreadable += 1
            elif isinstance(event, NeedKey):
                await self._note(self.reader.give_key(event.group_epoch, await self.fetch(event)))

    async def fetch(self, need: NeedKey) -> bytes | None:
        raw = await self.bus.fetch_group_key("alice", need.group_epoch, self.name)
        if raw is None:
            return None
        key = unwrap_key(decode_wrapped(raw), bytes(self.box), need.root, need.count)
        self.keys[need.group_epoch] = key
        return key


class Ear:
    """What a follower's executor would hear."""

    def __init__(self) -> None:
        self.leader_alive = True
        self.leader = LeaderView()
        self.heard_of: list[str] = []

    def offer(self, _envelope: Any, signal: Signal) -> None:
        self.heard_of.append(signal.qty)

    def heard(self, *_: Any) -> None:
        """Notices and what cannot be read."""

    def locked(self, *_: Any) -> None:
        """Nobody contradicts himself here."""


@asynccontextmanager
async def follower_of(eva: Member, leader_key: str, told: list[str]) -> AsyncIterator[Ear]:
    """A follower's own subscriber on eva's connection; what it says of being put out goes into `told`."""
    ear = Ear()
    subscriber = Subscriber(
        eva.bus,
        "alice",
        leader_key,
        Head(0, 0, "0" * 64),
        ear,
        silent_after_ms=60_000,
        on_joined=lambda _: None,
        group_key=eva.fetch,
        on_put_out=told.append,
    )
    await subscriber.start()
    subscriber.look_back()
    running = asyncio.create_task(subscriber.run())
    try:
        yield ear
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


@pytest.mark.timeout(60)
async def test_a_follower_that_is_put_out_of_the_group_is_told_so_once(tmp_path: Path) -> None:
    async with programs(tmp_path) as room:
        serve = await room.serve()
        await start_external(room, serve)
        desk, told = Desk(tmp_path), list[str]()
        note, relay = tmp_path / "alice.sqlite.door", ("--config", "relay-broker.toml")
        add = ("leaders", "add", "alice", "--nkey", room.nkeys["alice"], "--signing-key", room.public_key)
        await desk(*add, *relay)
        eva = Member("eva", room.public_key, tmp_path)
        await eva.join((await desk("invite", "create", "--leader", "alice", *relay))[0])
        async with follower_of(eva, room.public_key, told) as ear:
            await desk("group", "create")
            await call(note, "signal", step(1, "buy", "1", equity="1000"))
            await eventually(lambda: ear.heard_of == ["1"])
            assert told == []
            await desk("group", "remove", "eva")
            for number in (2, 3):
                await call(note, "signal", step(number, "buy", str(number)))
            await eventually(lambda: told == ["put out of alice's private group by the leader"])
            await desk("group", "add", "eva")
            await call(note, "signal", step(4, "buy", "4"))
            await eventually(lambda: ear.heard_of == ["1", "4"])
            assert len(told) == 1
        await eva.bus.close()


@pytest.mark.timeout(120)
async def test_a_removed_member_reads_nothing_of_the_next_epoch(tmp_path: Path) -> None:
    async with programs(tmp_path) as room:
        serve = await room.serve()
        publish, desk = await start_external(room, serve), Desk(tmp_path)
        note, relay = tmp_path / "alice.sqlite.door", ("--config", "relay-broker.toml")
        add = ("leaders", "add", "alice", "--nkey", room.nkeys["alice"], "--signing-key", room.public_key)
        await desk(*add, *relay)
        mia, eva = (Member(name, room.public_key, tmp_path) for name in ("mia", "eva"))
        for one in (mia, eva):
            await one.join((await desk("invite", "create", "--leader", "alice", *relay))[0])
        await call(note, "signal", step(1, "buy", "1", equity="1000"))
        assert (await desk.json("group", "create"))["members"] == 2
        await call(note, "signal", step(2, "buy", "2"))
        await eventually(lambda: (mia.signals, eva.signals) == (["1", "2"], ["1", "2"]))

        assert (await desk.json("group", "remove", "eva"))["members"] == 1
        await call(note, "signal", step(3, "buy", "3"))
        await eventually(lambda: mia.signals == ["1", "2", "3"] and eva.unreadable == 1)
        assert eva.signals == ["1", "2"]
        sealed = eva.wires[-1].partition(b"\n")[2]
        assert group_epoch_of(sealed) == 2
        assert b"BTC" not in sealed
        for key in eva.keys.values():  # raw bytes and old keys
            with pytest.raises(ProtocolError):
                open_payload(key, _place(eva.wires[-1]), sealed)
        await _raw_attempts(serve.ready["broker"], eva, tmp_path)

        publish.process.kill()  # the group holds across a restart
        await publish.process.wait()
        publish = await start_external(room, serve)
        await call(note, "signal", step(4, "buy", "4"))
        await eventually(lambda: mia.signals[-1] == "4")
        assert eva.signals == ["1", "2"]
        assert (await desk.json("group", "add", "eva"))["members"] == 2
        await call(note, "signal", step(5, "buy", "5"))
        await eventually(lambda: eva.signals == ["1", "2", "5"] and mia.signals[-1] == "5")
        await desk("followers", "remove", "mia", *relay)  # who may hear no more is no member either
        await eventually(lambda: not mia.bus.is_connected)
        history = (await desk.json("group", "history"))["epochs"]
        assert [row["members"] for row in history[:3]] == [["eva", "mia"], ["mia"], ["eva", "mia"]]
        await _until_members(desk, ["eva"])
        head, first, *_ = (await desk("group", "history"))[0].splitlines()
        assert head.split() == ["epoch", "since", "members"]
        assert first.split()[0] == "1" and first.endswith("eva, mia")
        for name, status in (("create", 1), ("remove", 1)):
            arguments = ("group", name, *(["nobody"] if name == "remove" else []))
            assert (await desk(*arguments, status=status))[1].startswith("relay: group:")
        assert await publish.end() == 0
        await asyncio.gather(mia.bus.close(), eva.bus.close())


async def _until_members(desk: Desk, wanted: list[str]) -> None:
    async with asyncio.timeout(15):
        while (await desk.json("group", "history"))["epochs"][-1]["members"] != wanted:  # noqa: ASYNC110
            await asyncio.sleep(0.2)


async def _raw_attempts(url: str, eva: Member, folder: Path) -> None:
    """What a bare client with eva's key may ask for."""
    assert await eva.bus.fetch_group_key("alice", 2, "eva") is None
    with pytest.raises(NotPermitted):
        await eva.bus.fetch_group_key("alice", 2, "mia")
    complaints: list[str] = []

    async def complain(error: Exception) -> None:
        complaints.append(str(error).lower())

    raw = await nats.connect(
        url,
        nkeys_seed_str=load_nkey_seed(folder / "eva.nk"),
        inbox_prefix=b"_INBOX_eva",
        error_cb=complain,
        allow_reconnect=False,
    )
    targets = [
        "$JS.API.DIRECT.GET.KEYS", "$JS.API.DIRECT.GET.KEYS.keys.alice.2.mia", "keys.alice.2.eva",
        "$JS.API.DIRECT.GET.KEYS_alice", "$JS.API.DIRECT.GET.KEYS_alice.keys.alice.2.mia",
        "$JS.API.DIRECT.GET.KEYS_alice.keys.alice.2.*",
        "members.alice", "$JS.API.STREAM.MSG.GET.KEYS", "$JS.API.CONSUMER.CREATE.KEYS",
    ]  # fmt: skip
    for subject in targets:
        await raw.publish(subject, b'{"seq":1}', reply="_INBOX_eva.x")
    await raw.flush()
    await raw.flush()
    for subject in targets:
        assert f'violation for publish to "{subject.lower()}"' in " ".join(complaints), subject
    await raw.close()


def _place(wire: bytes) -> Any:
    import json

    from relay.protocol.groups import Place

    header = json.loads(wire.partition(b"\n")[0])
    return Place(header["leader_id"], header["epoch"], header["seq"], header["kind"])
