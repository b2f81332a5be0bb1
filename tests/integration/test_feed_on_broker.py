"""The feed over a real broker: the fence, gaps, unknown outcomes, a frozen and a killed broker."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from functools import partial
from pathlib import Path

import pytest

from relay.nats_bus import (
    HISTORY_BATCH,
    Bus,
    BusError,
    BusMessage,
    BusTimeout,
    Fenced,
    History,
    StreamBehind,
)
from relay.protocol import subjects
from relay.protocol.feed import Accepted, FeedReader, NeedGap
from tests.integration.broker_room import Room, eventually, running_room
from tests.unit.relay import feed_samples as samples

pytestmark = pytest.mark.asyncio


async def publish_chain(bus: Bus, chain: samples.Chain, start: int = 1) -> None:
    for seq, wire in enumerate(chain.wires[start - 1 :], start):
        assert await bus.publish_signal("alice", wire, seq - 1, f"alice.7.{seq}") == seq


async def test_a_follower_hears_what_is_stored_with_its_place(tmp_path: Path) -> None:
    async with running_room(tmp_path) as room:
        chain = samples.chain_of(3)
        alice, bob = await room.bus("alice"), await room.bus("bob")
        heard: asyncio.Queue[BusMessage] = asyncio.Queue()
        await bob.subscribe(subjects.feed("alice"), heard.put)
        await publish_chain(alice, chain)
        reader = FeedReader("alice", samples.PUBLIC)
        for seq in (1, 2, 3):
            message = await asyncio.wait_for(heard.get(), 5)
            assert message.seq == seq
            assert isinstance(reader.receive(message.data, seq)[0], Accepted)
        await alice.close()
        await bob.close()


async def test_a_thousand_lost_messages_are_fetched_in_batches(tmp_path: Path) -> None:
    count = 1002
    async with running_room(tmp_path) as room:
        chain = samples.chain_of(count)
        alice, bob = await room.bus("alice"), await room.bus("bob")
        await publish_chain(alice, chain)
        reader = FeedReader("alice", samples.PUBLIC)
        reader.receive(chain.wires[0], 1)
        events = reader.receive(chain.wires[-1], count)
        assert events == [NeedGap(2, count - 2)]
        started = time.perf_counter()
        fetched = await bob.fetch_range(subjects.stream("alice"), 2, count - 2)
        elapsed_s = time.perf_counter() - started
        assert [seq for seq, _ in fetched] == list(range(2, count))
        for seq, wire in fetched:
            reader.receive(wire, seq)
        assert (reader.last_seq, reader.missing) == (count, None)
        assert elapsed_s < 2
        assert await bob.fetch_range(subjects.stream("alice"), count + 1, 10) == []
        assert await bob.fetch_range(subjects.stream("alice"), count - 1, 10) == [
            (count - 1, chain.wires[-2]),
            (count, chain.wires[-1]),
        ]
        assert await bob.last_message(subjects.stream("alice"), "signals.alice") == (count, chain.wires[-1])
        await alice.close()
        await bob.close()


async def test_history_comes_in_order_while_the_next_batch_is_on_its_way(tmp_path: Path) -> None:
    count = 2 * HISTORY_BATCH + 40
    async with running_room(tmp_path) as room:
        chain = samples.chain_of(count)
        alice, bob = await room.bus("alice"), await room.bus("bob")
        await publish_chain(alice, chain)
        history, reader = (
            History(bob.fetch_range, subjects.stream("alice")),
            FeedReader("alice", samples.PUBLIC),
        )
        sizes = []
        while batch := await history.take(reader.last_seq + 1):
            sizes.append(len(batch))
            assert sum(isinstance(one, Accepted) for one in reader.receive_history(batch)) == len(batch)
        assert sizes == [HISTORY_BATCH, HISTORY_BATCH, 40]
        assert (await history.take(1))[0] == (1, chain.wires[0])  # somewhere else than was foreseen
        assert (await history.take(7))[0] == (7, chain.wires[6])
        await history.close()
        assert (await bob.fetch_range(subjects.stream("alice"), 3, 2)) == [
            (3, chain.wires[2]),
            (4, chain.wires[3]),
        ]
        await alice.close()
        await bob.close()


async def test_a_stored_header_does_not_move_a_message_to_another_place(tmp_path: Path) -> None:
    """A leader may store headers of his own: where a message stands is the broker's word."""
    async with running_room(tmp_path) as room:
        rogue = await room.attacker("alice", [])
        inbox = await rogue.subscribe("_INBOX_alice.x")
        for number in (1, 2):
            headers = {"Nats-Sequence": "99", "Nats-Last-Sequence": "7", "Status": "204"}
            await rogue.publish("signals.alice", b"%d" % number, reply="_INBOX_alice.x", headers=headers)
            await inbox.next_msg(5)
        bob = await room.bus("bob")
        assert await bob.fetch_range(subjects.stream("alice"), 1, 5) == [(1, b"1"), (2, b"2")]
        await rogue.close()
        await bob.close()


async def test_an_empty_stream_has_no_last_message(tmp_path: Path) -> None:
    async with running_room(tmp_path) as room:
        bob = await room.bus("bob")
        assert await bob.last_message(subjects.stream("alice"), "signals.alice") is None
        assert await bob.fetch_range(subjects.stream("alice"), 1, 10) == []
        await bob.close()


async def test_a_second_publisher_is_fenced(tmp_path: Path) -> None:
    async with running_room(tmp_path) as room:
        chain = samples.chain_of(3)
        alice, double = await room.bus("alice"), await room.bus("alice")
        await publish_chain(alice, chain)
        for msg_id in ("alice.7.3", "alice.8.3"):  # within the broker's dedupe window and not
            with pytest.raises(Fenced):
                await double.publish_signal("alice", b"other", 2, msg_id)
        with pytest.raises(StreamBehind) as caught:
            await double.publish_signal("alice", b"other", 9, "alice.8.10")
        assert caught.value.actual_last_seq == 3
        assert [wire for _, wire in await room.stored("alice")] == chain.wires
        await alice.close()
        await double.close()


async def test_the_same_bytes_again_are_the_same_message(tmp_path: Path) -> None:
    async with running_room(tmp_path) as room:
        chain = samples.chain_of(3)
        alice = await room.bus("alice")
        await publish_chain(alice, chain)
        for seq in (1, 2, 3):
            for msg_id in (f"alice.7.{seq}", f"forgotten.{seq}"):
                assert await alice.publish_signal("alice", chain.wires[seq - 1], seq - 1, msg_id) == seq
        assert len(await room.stored("alice")) == 3
        await alice.close()


async def test_a_frozen_broker_stores_nothing_twice(tmp_path: Path) -> None:
    async with running_room(tmp_path) as room:
        chain = samples.chain_of(2)
        alice = await room.bus("alice")
        await publish_chain(alice, chain)
        wire = chain.say()
        os.kill(room.broker.pid, signal.SIGSTOP)
        try:
            for _ in range(3):
                with pytest.raises(BusTimeout):
                    await alice.publish_signal("alice", wire, 2, "alice.7.3", timeout_s=0.3)
        finally:
            os.kill(room.broker.pid, signal.SIGCONT)
        await eventually(lambda: alice.is_connected)
        assert await alice.publish_signal("alice", wire, 2, "alice.7.3") == 3
        assert [stored for _, stored in await room.stored("alice")] == chain.wires
        await alice.close()


async def test_a_connection_to_a_frozen_broker_is_found_dead_and_comes_back(tmp_path: Path) -> None:
    async with running_room(tmp_path) as room:
        back = asyncio.Event()
        bob = await Bus.connect(
            room.broker.url, room.seed("bob"), subjects.inbox_prefix("bob"), "bob", on_reconnect=back.set
        )
        heard: asyncio.Queue[BusMessage] = asyncio.Queue()
        await bob.subscribe(subjects.feed("alice"), heard.put)
        os.kill(room.broker.pid, signal.SIGSTOP)
        try:
            await eventually(lambda: not bob.is_connected, 20)
        finally:
            os.kill(room.broker.pid, signal.SIGCONT)
        await asyncio.wait_for(back.wait(), 20)
        alice = await room.bus("alice")
        await alice.publish_signal("alice", b"after", 0, "alice.1.1")
        assert (await asyncio.wait_for(heard.get(), 5)).data == b"after"
        await alice.close()
        await bob.close()


def is_back(room: Room, bus: Bus, pid: int) -> bool:
    """Whether another process than `pid` is the broker, and the bus is connected to it."""
    return room.broker.pid != pid and bus.is_connected


async def publish_until_stopped(room: Room, bus: Bus, stop: asyncio.Event) -> list[bytes]:
    """Publish as a publisher does, repeating what is unknown; returns what was acknowledged."""
    acknowledged: list[bytes] = []
    while not stop.is_set():
        data = b"m%d" % (len(acknowledged) + 1)
        try:
            await bus.publish_signal("alice", data, len(acknowledged), f"alice.1.{len(acknowledged) + 1}")
        except BusError:
            await asyncio.sleep(0.02)
            continue
        acknowledged.append(data)
    return acknowledged


async def test_a_killed_broker_keeps_what_it_acknowledged_and_is_back_soon(tmp_path: Path) -> None:
    async with running_room(tmp_path) as room:
        alice = await room.bus("alice")
        stop = asyncio.Event()
        publishing = asyncio.create_task(publish_until_stopped(room, alice, stop))
        outages_ms: list[float] = []
        url = room.broker.url
        for _ in range(4):
            await asyncio.sleep(0.15)
            pid, started = room.broker.pid, time.perf_counter()
            os.kill(pid, signal.SIGKILL)
            await eventually(partial(is_back, room, alice, pid), 5)
            outages_ms.append((time.perf_counter() - started) * 1000)
        await asyncio.sleep(0.15)
        stop.set()
        acknowledged = await publishing
        assert room.broker.url == url
        stored = [data for _, data in await room.stored("alice")]
        assert len(acknowledged) > 20
        assert stored == acknowledged
        assert max(outages_ms) < 2000, outages_ms
        await alice.close()


async def test_reports_come_again_until_they_are_acknowledged(tmp_path: Path) -> None:
    async with running_room(tmp_path) as room:
        bob, eve = await room.bus("bob"), await room.bus("eve")
        assert await bob.publish_report("alice", "bob", b"one", "b1") == 1
        assert await bob.publish_report("alice", "bob", b"one", "b1") == 1
        assert await eve.publish_report("alice", "eve", b"two", "e1") == 2
        first = await room.broker.connect()
        async for delivery in first.consume_reports("monitor"):
            assert (delivery.leader_id, delivery.follower_id, delivery.data) == ("alice", "bob", b"one")
            await delivery.ack()
            break
        await first.close()
        await bob.publish_report("alice", "bob", b"three", "b2")
        again = await room.broker.connect()
        seen: set[bytes] = set()
        async for delivery in again.consume_reports("monitor"):
            await delivery.ack()
            seen.add(delivery.data)
            if b"three" in seen:
                break
        assert b"one" not in seen
        await asyncio.gather(again.close(), bob.close(), eve.close())
