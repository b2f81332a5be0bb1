"""The publisher over a real broker: one history whatever is killed, two publishers never interleave."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from relay.errors import Failed, TryAgain
from relay.failpoint import ENVIRONMENT_VARIABLE
from relay.nats_bus import Bus, BusMessage
from relay.outbox import Outbox
from relay.protocol import subjects
from relay.protocol.feed import Accepted, Beat, FeedReader
from relay.protocol.messages import Notice, Snapshot
from relay.publisher import UNSENT_MAX, Publisher
from tests.integration.broker_room import SIGNING_KEY, Room, eventually, running_room

pytestmark = pytest.mark.asyncio

PUBLIC = bytes(SIGNING_KEY.verify_key).hex()
ROOT = Path(__file__).parents[2]


def snapshot(number: int = 1) -> Snapshot:
    return Snapshot(positions=[], equity=str(number), account_leverage="0", sealed_ms=1)


def say(publisher: Publisher, count: int = 1) -> None:
    for number in range(count):
        publisher.record(lambda _, number=number: snapshot(number))  # type: ignore[misc]


@asynccontextmanager
async def running(publisher: Publisher) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.create_task(publisher.run())
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def history(room: Room) -> list[Accepted]:
    """The stream as a follower reads it: everything accepted, in order, chained."""
    reader = FeedReader("alice", PUBLIC)
    events = [event for seq, wire in await room.stored("alice") for event in reader.receive(wire, seq)]
    assert all(isinstance(event, Accepted) for event in events), events
    return [event for event in events if isinstance(event, Accepted)]


def failure(error: BaseException) -> BaseException:
    return error.exceptions[0] if isinstance(error, BaseExceptionGroup) else error


async def test_what_is_recorded_is_published_in_order_between_start_and_closing(tmp_path: Path) -> None:
    async with running_room(tmp_path) as room:
        outbox, bus = room.outbox(), await room.bus("alice")
        publisher = room.publisher(outbox, bus)
        await publisher.start()
        async with running(publisher):
            say(publisher, 3)
            await publisher.stop("done")
        messages = [event.message for event in await history(room)]
        assert isinstance(messages[0], Notice)
        assert messages[0].notice == "started"
        assert [m.equity for m in messages if isinstance(m, Snapshot)] == ["0", "1", "2"]
        assert isinstance(messages[-1], Notice)
        assert (messages[-1].notice, messages[-1].text) == ("closing", "done")
        assert (outbox.acknowledged_seq, publisher.unsent) == (5, 0)
        outbox.close()
        await bus.close()


async def test_heartbeats_carry_a_head_that_is_stored(tmp_path: Path) -> None:
    async with running_room(tmp_path) as room:
        outbox, bus, bob = room.outbox(), await room.bus("alice"), await room.bus("bob")
        heard: asyncio.Queue[BusMessage] = asyncio.Queue()
        await bob.subscribe(subjects.beat("alice"), heard.put)
        publisher = room.publisher(outbox, bus)
        await publisher.start()
        say(publisher)
        async with running(publisher):
            reader = FeedReader("alice", PUBLIC, None)
            beat = reader.beat((await asyncio.wait_for(heard.get(), 5)).data)[0]
            assert isinstance(beat, Beat)
            assert beat.message.mode == "live"
            assert await bob.fetch_range(subjects.stream("alice"), beat.message.head_seq, 1)
        outbox.close()
        await asyncio.gather(bus.close(), bob.close())


async def test_a_second_publisher_stops_the_one_that_was_copied(tmp_path: Path) -> None:
    async with running_room(tmp_path) as room:
        first_box, second_box = room.outbox("one.sqlite"), room.outbox("two.sqlite")
        bus, other_bus = await room.bus("alice"), await room.bus("alice")
        first, second = room.publisher(first_box, bus), room.publisher(second_box, other_bus)
        await first.start()
        await second.start()
        async with running(first):
            await eventually(lambda: first.unsent == 0)
        with pytest.raises(BaseExceptionGroup) as caught:
            await second.run()
        error = failure(caught.value)
        assert isinstance(error, Failed)
        assert "another publisher" in str(error)
        assert error.exit_status == 1
        async with running(first):
            say(first, 2)
            await eventually(lambda: first.unsent == 0)
        assert len(await history(room)) == 3
        first_box.close()
        second_box.close()
        await asyncio.gather(bus.close(), other_bus.close())


async def test_an_outbox_behind_its_stream_is_refused_unless_taken_over(tmp_path: Path) -> None:
    async with running_room(tmp_path) as room:
        bus = await room.bus("alice")
        lost = room.outbox("lost.sqlite")
        publisher = room.publisher(lost, bus)
        await publisher.start()
        async with running(publisher):
            say(publisher, 2)
            await eventually(lambda: publisher.unsent == 0)
        lost.close()
        fresh = room.outbox("fresh.sqlite")
        with pytest.raises(Failed, match="--take-over"):
            await room.publisher(fresh, bus).start()
        after = room.publisher(fresh, bus)
        await after.start(take_over=True)
        assert after.epoch > publisher.epoch
        async with running(after):
            say(after)
            await eventually(lambda: after.unsent == 0)
        assert len(await history(room)) == 5
        fresh.close()
        await bus.close()


async def test_a_stream_that_lost_acknowledged_messages_is_repaired(tmp_path: Path) -> None:
    async with running_room(tmp_path) as room:
        outbox, bus = room.outbox(), await room.bus("alice")
        publisher = room.publisher(outbox, bus)
        await publisher.start()
        async with running(publisher):
            say(publisher, 4)
            await eventually(lambda: publisher.unsent == 0)
        before = await room.stored("alice")
        await bus.close()
        await room.broker.stop()
        room.broker = room.make_broker(name="empty")
        await room.broker.start()
        bus = await room.bus("alice")
        again = room.publisher(outbox, bus)
        await again.start()
        async with running(again):
            await eventually(lambda: again.unsent == 0)
        assert (await room.stored("alice"))[: len(before)] == before
        assert len(await history(room)) == len(before) + 1
        outbox.close()
        await bus.close()


async def test_a_frozen_broker_gets_everything_once_when_it_wakes(tmp_path: Path) -> None:
    async with running_room(tmp_path) as room:
        outbox, bus = room.outbox(), await room.bus("alice")
        publisher = room.publisher(outbox, bus)
        await publisher.start()
        async with running(publisher):
            await eventually(lambda: publisher.unsent == 0)
            os.kill(room.broker.pid, signal.SIGSTOP)
            try:
                say(publisher, 3)
                await asyncio.sleep(5)  # two time-outs of the sender, each with its resend
                assert publisher.unsent == 3
            finally:
                os.kill(room.broker.pid, signal.SIGCONT)
            await eventually(lambda: publisher.unsent == 0, 20)
        recorded = [(record.seq, record.wire) for record in outbox.records(1, 100)]
        assert await room.stored("alice") == recorded
        assert len(recorded) == 4
        outbox.close()
        await bus.close()


async def test_one_outbox_has_one_publisher(tmp_path: Path) -> None:
    async with running_room(tmp_path) as room:
        outbox = room.outbox()
        with pytest.raises(TryAgain, match="in use"):
            room.outbox()
        outbox.close()
        with pytest.raises(Failed, match="belongs to leader_id alice"):
            Outbox.open(tmp_path / "outbox.sqlite", leader_id="carol", key_id="0" * 16)


async def test_what_waits_for_the_broker_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert UNSENT_MAX == 10_000
    monkeypatch.setattr("relay.publisher.UNSENT_MAX", 5)
    async with running_room(tmp_path) as room:
        outbox, bus = room.outbox(), await room.bus("alice")
        publisher = room.publisher(outbox, bus)
        await publisher.start()
        with pytest.raises(Failed, match="5 messages wait"):
            say(publisher, 5)
        outbox.close()
        await bus.close()


async def run_process(
    room: Room, count: int, pause_ms: int, failpoint: str = ""
) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.integration.outbox_publisher",
        str(room.folder),
        room.broker.url,
        str(count),
        str(pause_ms),
        cwd=ROOT,
        env={**os.environ, ENVIRONMENT_VARIABLE: failpoint},
        stdout=asyncio.subprocess.PIPE,
    )


async def finish(room: Room) -> None:
    """Start the publisher once more and let it end; outbox and stream must then be the same, once each."""
    process = await run_process(room, 2, 0)
    output, _ = await process.communicate()
    assert process.returncode == 0
    outbox = room.outbox()
    recorded = [(record.seq, record.wire) for record in outbox.records(1, 100_000)]
    outbox.close()
    assert await room.stored("alice") == recorded
    assert len(recorded) == int(output.split()[-1])
    assert len(await history(room)) == len(recorded)


@pytest.mark.parametrize(
    "failpoint",
    ["message_recorded:1", "message_recorded:4", "message_stored:1", "message_stored:3"],
)
async def test_killed_between_recording_and_acknowledging_the_same_bytes_go_again(
    tmp_path: Path, failpoint: str
) -> None:
    async with running_room(tmp_path) as room:
        process = await run_process(room, 6, 5, failpoint)
        assert await process.wait() == -signal.SIGKILL
        outbox = room.outbox()
        promised = [(record.seq, record.wire) for record in outbox.records(1, 100)]
        outbox.close()
        assert promised
        await finish(room)
        assert (await room.stored("alice"))[: len(promised)] == promised


async def test_killed_at_any_moment_nothing_is_lost_or_doubled(tmp_path: Path) -> None:
    seed = random.SystemRandom().randrange(2**32)
    moments = random.Random(seed)
    async with running_room(tmp_path) as room:
        for _ in range(5):
            process = await run_process(room, 10_000, 1)
            baseline = len(await room.stored("alice"))
            bus = await room.broker.connect()
            await wait_for_growth(bus, baseline)
            await asyncio.sleep(moments.random() * 0.1)
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()
            await bus.close()
        try:
            await finish(room)
        except AssertionError as error:
            raise AssertionError(f"seed {seed}: {error}") from error


async def wait_for_growth(bus: Bus, baseline: int) -> None:
    async with asyncio.timeout(20):
        while not await bus.fetch_range(subjects.stream("alice"), baseline + 1, 1):  # noqa: ASYNC110
            await asyncio.sleep(0.02)
