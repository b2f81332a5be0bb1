"""Wrapped keys of private groups: whatever one leader writes, the others' stay; old ones are still read."""

from __future__ import annotations

from pathlib import Path

import pytest

from relay.broker import Broker
from relay.broker_config import ADMIN
from relay.nats_bus import NobodyAnswers, NotPermitted
from relay.protocol import subjects
from relay.streams import Retention, ensure_keys, ensure_shared_keys
from tests.integration.broker_room import Room

pytestmark = pytest.mark.asyncio

KEY = b"k" * 2_000


async def test_one_leaders_keys_push_out_nobody_elses(tmp_path: Path) -> None:
    room = Room(tmp_path)
    room.broker = Broker(
        tmp_path / "small",
        room.broker.leaders,
        room.broker.followers,
        retention=Retention(bytes_max=64 * 1024),
    )
    await room.broker.start()
    alice, carol, bob, dave = [await room.bus(name) for name in ("alice", "carol", "bob", "dave")]
    try:
        with pytest.raises(NobodyAnswers):
            await dave.fetch_group_key("carol", 1, "dave")  # unknown is not "none"
        for leader in ("alice", "carol"):
            await room.broker.keep_keys_of(leader)
        await carol.publish_group_key("carol", 1, "dave", KEY)
        for epoch in range(1, 101):
            await alice.publish_group_key("alice", epoch, "bob", KEY)
        assert await dave.fetch_group_key("carol", 1, "dave") == KEY
        assert await bob.fetch_group_key("alice", 100, "bob") == KEY
        assert await bob.fetch_group_key("alice", 1, "bob") is None  # he has pushed out his own
        with pytest.raises(NotPermitted):
            await bob.fetch_group_key("carol", 1, "dave")
    finally:
        for bus in (alice, carol, bob, dave):
            await bus.close()
        await room.broker.stop()


async def test_keys_of_before_are_read_and_new_ones_go_to_the_leaders_own(tmp_path: Path) -> None:
    room = Room(tmp_path)
    await room.broker.start()
    admin = await room.broker.connect(ADMIN)
    alice, bob = await room.bus("alice"), await room.bus("bob")
    try:
        await ensure_shared_keys(admin, Retention())  # as a relay of before has left it
        await alice.publish_group_key("alice", 1, "bob", KEY)
        assert await bob.fetch_group_key("alice", 1, "bob") == KEY
        for _ in range(2):
            await ensure_keys(admin, "alice", Retention())
        await ensure_keys(admin, "carol", Retention())
        await alice.publish_group_key("alice", 2, "bob", b"new")
        assert await bob.fetch_group_key("alice", 1, "bob") == KEY
        assert await bob.fetch_group_key("alice", 2, "bob") == b"new"
        assert await bob.fetch_group_key("alice", 3, "bob") is None
        info = await admin.api(f"$JS.API.STREAM.INFO.{subjects.keys_stream('alice')}", {})
        assert info["state"]["messages"] == 1
    finally:
        for bus in (admin, alice, bob):
            await bus.close()
        await room.broker.stop()
