"""Faults between a leader and his followers, each on a real broker: what was acknowledged arrives once and in
order, what is wrong is found, who is slow or gone disturbs nobody. F-numbers are those of the fault table.
"""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import signal
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from follower_client.leader_view import LeaderView
from follower_client.records import Head
from follower_client.settings import LeaderSection
from follower_client.subscriber import Subscriber
from relay import broker as broker_module
from relay import streams as streams_module
from relay.core.watch import AlarmLimits
from relay.errors import Failed
from relay.monitor import run_monitor
from relay.nats_bus import Bus
from relay.outbox import Outbox
from relay.protocol import subjects
from relay.protocol.feed import Accepted, FeedReader, Rejected
from relay.protocol.messages import Snapshot
from relay.publisher import Publisher
from relay.watching import Watching
from tests.integration.broker_room import SIGNING_KEY, Room, eventually, running_room
from tests.integration.tcp_proxy import proxy_to
from tests.integration.test_publisher_on_broker import run_process

pytestmark = [pytest.mark.asyncio, pytest.mark.timeout(240), pytest.mark.system]

PUBLIC = bytes(SIGNING_KEY.verify_key).hex()
SILENT_AFTER_MS = LeaderSection.model_fields["silent_after_ms"].default
ROUNDS = int(os.environ.get("FAULT_ROUNDS", "3"))  # `make soak` asks for more
SEED = int(os.environ.get("FAULT_SEED", str(random.randrange(2**32))))


class Ear:
    """What a follower's executor would hear."""

    def __init__(self) -> None:
        self.leader_alive = True
        self.leader = LeaderView()
        self.seqs: list[int] = []

    def offer(self, envelope: Any, _signal: Any) -> None:
        self.seqs.append(envelope.seq)

    def heard(self, envelope: Any, _message: Any) -> None:
        self.seqs.append(envelope.seq)

    def locked(self, *_: Any) -> None:
        """Nobody contradicts himself here."""


@asynccontextmanager
async def following(url: str, seed: str, *, silent_after_ms: int = 60_000) -> AsyncIterator[Ear]:
    """A follower's real subscriber, from the first message on."""
    ear = Ear()
    subscribers: list[Subscriber] = []

    def look_back() -> None:
        for one in subscribers:
            one.look_back()

    bus = await Bus.connect(
        url,
        seed,
        subjects.inbox_prefix("bob"),
        "bob",
        on_reconnect=look_back,
    )
    subscriber = Subscriber(
        bus,
        "alice",
        PUBLIC,
        Head(0, 0, "0" * 64),
        ear,
        silent_after_ms=silent_after_ms,
        on_joined=lambda _: None,
    )
    subscribers.append(subscriber)
    await subscriber.start()
    subscriber.look_back()
    running = asyncio.create_task(subscriber.run())
    try:
        yield ear
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await bus.close()


class Leader:
    """alice's real publisher; she says something whenever the test wants."""

    def __init__(self, publisher: Publisher, outbox: Outbox) -> None:
        self.publisher, self.outbox = publisher, outbox

    def say(self, count: int = 1, size: int = 0) -> None:
        for number in range(count):
            equity = str(number) if not size else "1." + "1" * 12
            self.publisher.record(
                lambda _, equity=equity: Snapshot(  # type: ignore[misc]
                    positions=[], equity=equity, account_leverage="0", sealed_ms=1
                )
            )

    @property
    def head(self) -> int:
        return self.outbox.head.seq

    async def settled(self, seconds: float = 60) -> None:
        await eventually(lambda: self.publisher.unsent == 0, seconds)


@asynccontextmanager
async def leading(room: Room) -> AsyncIterator[Leader]:
    bus, outbox = await room.bus("alice"), room.outbox()
    publisher = room.publisher(outbox, bus)
    await publisher.start()
    running = asyncio.create_task(publisher.run())
    try:
        yield Leader(publisher, outbox)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        outbox.close()
        await bus.close()


async def test_f6_a_broker_killed_again_and_again_loses_nothing_acknowledged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(broker_module, "RESTARTS_MAX", 10_000)
    chance = random.Random(SEED)
    async with (
        running_room(tmp_path) as room,
        leading(room) as alice,
        following(room.broker.url, room.seed("bob")) as bob,
    ):
        for _ in range(ROUNDS):
            alice.say(chance.randrange(1, 40))
            await asyncio.sleep(chance.random() * 0.05)
            os.kill(room.broker.pid, 9)  # with messages in flight
            alice.say(chance.randrange(1, 40))
            await alice.settled()
        await eventually(lambda: bool(bob.seqs) and bob.seqs[-1] == alice.head, 30)
        assert bob.seqs == list(range(1, alice.head + 1)), f"FAULT_SEED={SEED}"
        print(f"FAULT_SEED={SEED}, {ROUNDS} rounds")  # noqa: T201 - which storm it was


async def test_f7_what_a_power_loss_took_is_sent_again_and_doubled_for_nobody(tmp_path: Path) -> None:
    async with (
        running_room(tmp_path) as room,
        leading(room) as alice,
        following(room.broker.url, room.seed("bob")) as bob,
    ):
        alice.say(20)
        await alice.settled()
        store, kept = tmp_path / "broker" / "streams", tmp_path / "kept"
        shutil.copytree(store, kept)  # what the disk would have had
        alice.say(20)
        await alice.settled()
        await eventually(lambda: len(bob.seqs) == alice.head)
        port = room.broker.port
        await room.broker.stop()
        shutil.rmtree(store)
        kept.rename(store)
        room.broker = room.make_broker(port=port)
        await room.broker.start()
        alice.say(3)
        await alice.settled()
        await eventually(lambda: bob.seqs[-1] == alice.head, 30)
        assert bob.seqs == list(range(1, alice.head + 1))
        assert [seq for seq, _ in await room.stored("alice")] == bob.seqs


async def test_f9_a_flipped_byte_in_the_store_is_found_or_harmless(tmp_path: Path) -> None:
    chance = random.Random(SEED)
    async with running_room(tmp_path) as room:
        async with leading(room) as alice:
            alice.say(60)
            await alice.settled()
            wires = dict(await room.stored("alice"))
            port = room.broker.port
        await room.broker.stop()
        store, kept = tmp_path / "broker" / "streams", tmp_path / "kept"
        store.rename(kept)
        altered = 0
        for turn in range(2 * ROUNDS):
            shutil.rmtree(store, ignore_errors=True)
            shutil.copytree(kept, store)
            for block in store.rglob("SIGNALS_alice/msgs/*.blk"):
                raw = bytearray(block.read_bytes())
                for _ in range(1 + turn % 30):  # 520 in 40 turns
                    raw[chance.randrange(len(raw))] ^= 1 << chance.randrange(8)
                block.write_bytes(raw)
            room.broker = room.make_broker(port=port)
            try:
                await room.broker.start()
            except Failed:  # the broker itself finds the damage, and does not come up on it
                altered += 1
                continue
            rows = await room.stored("alice")
            reader = FeedReader("alice", PUBLIC)
            accepted = {
                event.envelope.seq: wire
                for seq, wire in rows
                for event in reader.receive(wire, seq)
                if isinstance(event, Accepted)
            }
            altered += dict(rows) != wires
            assert all(wires[seq] == wire for seq, wire in accepted.items()), f"FAULT_SEED={SEED}"
            assert list(accepted) == list(range(1, len(accepted) + 1)), f"FAULT_SEED={SEED}"
            await room.broker.stop()
        assert altered > 0, "no flip was seen: the test does not reach the store"
        shutil.rmtree(store)
        kept.rename(store)


async def test_f10_after_the_dedupe_window_the_same_bytes_are_still_the_same_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams_module, "DEDUPE_WINDOW_S", 1)
    async with running_room(tmp_path) as room:
        alice = await room.bus("alice")
        assert await alice.publish_signal("alice", b"one", 0, "alice.1.1") == 1
        assert await alice.publish_signal("alice", b"two", 1, "alice.1.2") == 2
        await asyncio.sleep(1.6)  # the broker has forgotten the ids
        assert await alice.publish_signal("alice", b"one", 0, "alice.1.1") == 1
        assert await alice.publish_signal("alice", b"two", 1, "alice.1.2") == 2
        assert await room.stored("alice") == [(1, b"one"), (2, b"two")]
        await alice.close()


async def test_f11_f12_a_cut_line_is_noticed_and_everything_comes_after_it_heals(tmp_path: Path) -> None:
    async with (
        running_room(tmp_path) as room,
        leading(room) as alice,
        proxy_to("127.0.0.1", room.broker.port) as line,
        following(line.url, room.seed("bob"), silent_after_ms=SILENT_AFTER_MS) as bob,
    ):
        alice.say(5)
        await alice.settled()
        await eventually(lambda: len(bob.seqs) == alice.head and bob.leader_alive)
        line.is_cut = True  # no reset, no end: the socket looks alive
        began = time.monotonic()
        alice.say(50)
        await alice.settled()
        await eventually(lambda: not bob.leader_alive, 10)
        print(f"F12: a dead line was noticed after {time.monotonic() - began:.1f} s")  # noqa: T201 - a figure
        assert time.monotonic() - began >= 1.0, "it cannot know before heartbeats are missing"
        assert bob.seqs == list(range(1, alice.head - 49))
        line.is_cut = False
        await eventually(lambda: bob.seqs == list(range(1, alice.head + 1)) and bob.leader_alive, 30)


async def test_f14_a_leader_who_falls_silent_is_missed_by_followers_and_monitor(tmp_path: Path) -> None:
    told: list[tuple[str, bool, float]] = []
    watching = Watching(
        AlarmLimits(), lambda alarm, is_over: told.append((alarm.rule, is_over, time.monotonic()))
    )
    async with (
        running_room(tmp_path) as room,
        following(room.broker.url, room.seed("bob"), silent_after_ms=SILENT_AFTER_MS) as bob,
    ):
        place, ready = tmp_path / "drift.sqlite", asyncio.Event()
        monitor = await room.broker.connect()
        watcher = asyncio.create_task(
            run_monitor(monitor, place, {"alice": PUBLIC}, ready, watching=watching)
        )
        await asyncio.wait_for(ready.wait(), 20)
        heard, beats = await room.bus("eve"), list[float]()

        async def hear(_: Any) -> None:
            beats.append(time.monotonic())

        await heard.subscribe(subjects.beat("alice"), hear)
        for last in (signal.SIGKILL, signal.SIGSTOP):  # gone without a word, frozen
            process = await run_process(room, 10_000, 500)
            await eventually(lambda: bob.leader_alive and bool(beats) and not _missed(told), 20)
            process.send_signal(last)
            await eventually(lambda: not bob.leader_alive, 10)
            shut_s = time.monotonic() - beats[-1]
            await eventually(lambda: _missed(told), 10)
            print(  # noqa: T201 - figures
                f"F14 {last.name}: entries stopped {shut_s:.1f} s after the last heartbeat, "
                f"alarm after {told[-1][2] - beats[-1]:.1f} s"
            )
            assert shut_s * 1000 >= SILENT_AFTER_MS
            if last == signal.SIGSTOP:
                process.send_signal(signal.SIGCONT)
                await eventually(lambda: bob.leader_alive and not _missed(told), 20)
                process.kill()
            await process.wait()
        watcher.cancel()
        await asyncio.gather(watcher, return_exceptions=True)
        await asyncio.gather(monitor.close(), heard.close())
    assert {rule for rule, _, _ in told} == {"no_heartbeat"}


def _missed(told: list[tuple[str, bool, float]]) -> bool:
    return bool(told) and not told[-1][1]


async def test_f19_a_leaders_clock_set_back_makes_no_silence(tmp_path: Path) -> None:
    async with running_room(tmp_path) as room:
        bus, outbox = await room.bus("alice"), room.outbox()
        offset_ms = [0]
        publisher = Publisher(
            leader_id="alice",
            signing_key=SIGNING_KEY,
            outbox=outbox,
            bus=bus,
            program_version="test",
            clock_ms=lambda: time.time_ns() // 1_000_000 + offset_ms[0],
        )
        await publisher.start()
        running = asyncio.create_task(publisher.run())
        reader, events = FeedReader("alice", PUBLIC, None), list[Any]()
        bob = await room.bus("bob")

        async def hear(message: Any) -> None:
            events.extend(reader.beat(message.data))

        await bob.subscribe(subjects.beat("alice"), hear)
        await eventually(lambda: len(events) >= 1)
        for jump_ms in (-3_600_000, 250, -250):
            offset_ms[0] += jump_ms
            count = len(events)
            await eventually(lambda count=count: len(events) >= count + 2)  # type: ignore[misc]
        assert not any(isinstance(event, Rejected) for event in events)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        outbox.close()
        await asyncio.gather(bus.close(), bob.close())


async def test_a_follower_who_stops_reading_slows_nobody(tmp_path: Path) -> None:
    async with running_room(tmp_path) as room, leading(room) as alice:
        stuck = await room.attacker("eve", [])

        async def ignore(_: Any) -> None:
            """It never comes to this."""

        await stuck.subscribe("feed.alice", cb=ignore)
        await stuck.flush()
        transport: Any = stuck._transport
        sock: socket.socket = transport._io_writer.get_extra_info("socket")
        reading: Any = stuck._reading_task
        reading.cancel()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        async with following(room.broker.url, room.seed("bob")) as bob:
            alice.say(600)
            await alice.settled()
            await eventually(lambda: len(bob.seqs) == alice.head, 20)
            assert bob.seqs == list(range(1, alice.head + 1))
        transport.close()
