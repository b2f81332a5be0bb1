"""Joining, leaving and being put out, on a running broker, by everybody's real means."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import nats.errors
import pytest

from follower_client.joining import join
from relay.admission import Admission
from relay.keys import create_nkey, load_nkey_seed
from relay.nats_bus import Bus, BusError, BusMessage, BusUnavailable
from relay.protocol import subjects
from relay.protocol.invite import Invite, JoinAnswer, decode_join_answer, encode_join_request
from relay.registry import InviteRow, Registry
from relay.running import cancel
from tests.integration.broker_room import Room, eventually, refused, running_room, settle
from tests.unit.relay import feed_samples as samples

pytestmark = pytest.mark.asyncio

HOUR_MS = 3_600_000


class Door:
    """A running admission beside a room's broker, and the hand that invites."""

    def __init__(self, room: Room, registry: Registry) -> None:
        self.room = room
        self.registry = registry
        self._count = 0
        self._running: asyncio.Task[None] | None = None

    async def open(self) -> None:
        fixed = self.room.broker.leaders, self.room.broker.followers
        keys = {"alice": samples.PUBLIC, "carol": bytes(samples.OTHER_KEY.verify_key).hex()}
        admission = Admission(
            self.room.broker, self.registry, leaders=fixed[0], followers=fixed[1], signing_keys=keys
        )
        ready = asyncio.Event()
        self._running = asyncio.create_task(admission.run(ready))
        await asyncio.wait_for(ready.wait(), 10)

    async def shut(self) -> None:
        if self._running is not None:
            await cancel(self._running)

    def invite(self, leader: str = "zoe", *, uses: int = 1) -> Invite:
        self._count += 1
        name = f"invite{self._count}"
        public = create_nkey(self.room.folder / f"{name}.nk")
        now_ms = int(time.time() * 1000)
        expires_ms = now_ms + HOUR_MS
        self.registry.add_invite(InviteRow(name, public, leader, None, "", now_ms, expires_ms, uses, 0, None))
        return Invite(name, self.room.seed(name), [self.room.broker.url], leader, "ab" * 32, expires_ms)

    async def applied(self) -> None:
        await eventually(lambda: self.registry.applied == self.registry.revision)

    async def join(self, invite: Invite, follower: str) -> JoinAnswer:
        path = self.room.folder / f"{follower}.nk"
        if not path.exists():
            create_nkey(path)
        bus = await Bus.connect(invite.urls[0], invite.seed, subjects.inbox_prefix(invite.invite_id), "join")
        try:
            raw = encode_join_request(
                invite,
                follower_id=follower,
                nkey_seed=load_nkey_seed(path),
                box_key="0b" * 32,
                program_version="test",
            )
            answer = await bus.request(subjects.join(invite.invite_id), raw, timeout_s=10)
            return decode_join_answer(answer.data)
        finally:
            await bus.close()


@asynccontextmanager
async def door(folder: Path) -> AsyncIterator[Door]:
    async with running_room(folder) as room:
        registry = Registry.open(folder / "registry.sqlite")
        registry.add_leader("zoe", create_nkey(folder / "zoe.nk"), "ab" * 32, {}, 0)
        here = Door(room, registry)
        try:
            await here.open()
            yield here
        finally:
            await here.shut()
            registry.close()


async def collect(bus: Bus, leader: str) -> list[bytes]:
    heard: list[bytes] = []

    async def hear(message: BusMessage) -> None:
        heard.append(message.data)

    await bus.subscribe(subjects.feed(leader), hear)
    return heard


async def test_who_asks_while_the_relay_starts_is_answered_when_it_is_there(tmp_path: Path) -> None:
    async with door(tmp_path) as here:
        invite = here.invite()
        await here.applied()
        await here.shut()  # the broker goes on
        joining = asyncio.create_task(join(invite, "mia", tmp_path / "mia"))
        await asyncio.sleep(0.5)
        assert not joining.done()
        await here.open()
        joined = await asyncio.wait_for(joining, 10)
        assert (joined.follower_id, joined.leader_id) == ("mia", "zoe")


async def test_who_joins_hears_at_once_and_disturbs_nobody(tmp_path: Path) -> None:
    async with door(tmp_path) as here:
        bob, alice = await here.room.bus("bob"), await here.room.bus("alice")
        bob_heard = await collect(bob, "alice")
        invite = here.invite()
        await here.applied()
        answer = await here.join(invite, "mia")
        assert (answer.error, answer.follower_id, answer.leaders) == ("", "mia", ["zoe"])
        mia, zoe = await here.room.bus("mia"), await here.room.bus("zoe")
        mia_heard = await collect(mia, "zoe")
        await zoe.publish_signal("zoe", b"one", 0, "zoe.1.1")
        await alice.publish_signal("alice", b"two", 0, "alice.1.1")
        await eventually(lambda: (mia_heard, bob_heard) == ([b"one"], [b"two"]))
        assert await mia.fetch_range(subjects.stream("zoe"), 1, 5) == [(1, b"one")]
        with pytest.raises(BusError):
            await mia.subscribe(subjects.feed("alice"), lambda _: asyncio.sleep(0))
        again = await here.join(invite, "mia")
        assert again.error == ""
        assert (await here.join(invite, "eva")).error == "invite_used"
        await asyncio.gather(mia.close(), zoe.close(), bob.close(), alice.close())


async def test_who_is_put_out_is_cut_off_while_connected(tmp_path: Path) -> None:
    async with door(tmp_path) as here:
        invite = here.invite(uses=2)
        await here.applied()
        for name in ("mia", "eva"):
            assert (await here.join(invite, name)).error == ""
        complaints: list[str] = []
        mia = await here.room.attacker("mia", complaints)
        heard: list[bytes] = []

        async def hear(message: object) -> None:
            heard.append(message.data)  # type: ignore[attr-defined]

        await mia.subscribe("feed.zoe", cb=hear)
        await settle(mia)
        eva, zoe = await here.room.bus("eva"), await here.room.bus("zoe")
        eva_heard = await collect(eva, "zoe")
        await zoe.publish_signal("zoe", b"one", 0, "zoe.1.1")
        await eventually(lambda: heard == [b"one"])
        here.registry.revoke("zoe", "mia", int(time.time() * 1000), by="leader")
        await here.applied()
        await zoe.publish_signal("zoe", b"two", 1, "zoe.1.2")
        await eventually(lambda: eva_heard == [b"one", b"two"])
        await eventually(lambda: not mia.is_connected)
        assert heard == [b"one"]
        with pytest.raises(BusUnavailable, match="not one of its users"):
            await here.room.bus("mia")
        await asyncio.gather(mia.close(), eva.close(), zoe.close())


async def test_a_follower_leaves_by_himself(tmp_path: Path) -> None:
    async with door(tmp_path) as here:
        invite = here.invite()
        await here.applied()
        await here.join(invite, "mia")
        mia = await here.room.bus("mia")
        answer = decode_join_answer((await mia.request(subjects.leave("zoe", "mia"), b"{}")).data)
        assert (answer.error, answer.leaders) == ("", [])
        await here.applied()
        with pytest.raises(BusUnavailable):
            await here.room.bus("mia")
        await mia.close()


async def test_an_invite_opens_its_own_door_only(tmp_path: Path) -> None:
    async with door(tmp_path) as here:
        first, second = here.invite(), here.invite()
        await here.applied()
        complaints: list[str] = []
        guest = await here.room.attacker(first.invite_id, complaints)
        forbidden = [
            subjects.join(second.invite_id), "feed.zoe", "signals.zoe", "reports.zoe.mia", "leave.zoe.mia",
            "beat.zoe", "$JS.API.DIRECT.GET.SIGNALS_zoe", "$JS.API.INFO", "_R_.x",
        ]  # fmt: skip
        for subject in forbidden:
            await guest.publish(subject, b"x")
        await settle(guest)
        told = " ".join(complaints)
        assert all(f'for publish to "{refused(subject)}"' in told for subject in forbidden)
        for subject in (">", "feed.zoe", "join.*", f"join.{first.invite_id}", "_INBOX_bob.>"):
            await guest.subscribe(subject)
        await settle(guest)
        assert " ".join(complaints).count("violation for subscription") == 5
        await guest.close()


async def test_an_answer_is_written_nowhere_else(tmp_path: Path) -> None:
    """The asker names a stream's subject, another invite or a feed as the place for the answer."""
    async with door(tmp_path) as here:
        invite = here.invite(uses=9)
        await here.applied()
        await here.join(invite, "mia")
        eva = await here.room.bus("bob")
        heard = await collect(eva, "alice")
        guest, mia = await here.room.attacker(invite.invite_id, []), await here.room.attacker("mia", [])
        targets = (
            "reports.zoe.mia",
            "signals.zoe",
            "signals.alice",
            "join.invite1",
            "feed.alice",
            "leave.zoe.mia",
        )
        for target in targets:
            await guest.publish(subjects.join(invite.invite_id), b"{}", reply=target)
            await guest.publish(subjects.join(invite.invite_id), b"{}")
        for target in targets[:-1]:
            await mia.publish("leave.zoe.mia", b"{}", reply=target)
        await settle(guest)
        await settle(mia)
        await here.applied()
        assert await here.room.stored("zoe") == []
        assert await here.room.stored("alice") == []
        assert heard == []
        assert [one.id for one in here.registry.followers()] in ([], ["mia"])
        admin = await here.room.broker.connect("admin")
        info = await admin.api("$JS.API.STREAM.INFO.REPORTS", {})
        assert info["state"]["messages"] == 0
        await admin.close()
        await eva.close()
        for client in (guest, mia):
            try:
                await client.close()
            except nats.errors.Error:
                continue


async def test_nonsense_at_the_door_is_answered_and_forgotten(tmp_path: Path) -> None:
    async with door(tmp_path) as here:
        invite = here.invite()
        await here.applied()
        bus = await Bus.connect(invite.urls[0], invite.seed, subjects.inbox_prefix(invite.invite_id), "join")
        for raw in (b"", b"{}", b"[]", b'{"follower_id":"x"}', b"\xff" * 100, b"x" * 5000):
            answer = await bus.request(subjects.join(invite.invite_id), raw)
            assert decode_join_answer(answer.data).error == "malformed"
        assert here.registry.followers() == []
        await bus.close()
        assert (await here.join(invite, "mia")).error == ""
