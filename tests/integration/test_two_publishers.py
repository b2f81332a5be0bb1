"""Two publishers with one key: the second ends with a clear word, the first goes on, nothing interleaves. Who
is frozen or dead can be replaced.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from relay.broker_config import LeaderUser
from relay.door import call
from relay.errors import Failed
from relay.nats_bus import BusMessage
from relay.outbox import Outbox
from relay.protocol import subjects
from relay.protocol.feed import Beat, FeedEvent, FeedReader, Rejected
from relay.publisher import Publisher
from tests.integration.broker_room import SIGNING_KEY, Room, eventually, running_room
from tests.integration.relay_programs import programs
from tests.integration.test_leader_door import start_external, step
from tests.integration.test_publisher_on_broker import PUBLIC, failure, history, run_process, running, say
from tests.integration.test_relay_programs import last_line

pytestmark = pytest.mark.asyncio


def backup(file: Path, copy: Path) -> None:
    """`sqlite3 FILE ".backup COPY"`, while somebody has it open."""
    source, target = sqlite3.connect(file), sqlite3.connect(copy)
    source.backup(target)
    source.close()
    target.close()


@asynccontextmanager
async def speaking(room: Room) -> AsyncIterator[tuple[Publisher, Outbox, asyncio.Task[None]]]:
    """alice's publisher while it runs, three messages said and stored."""
    outbox, bus = room.outbox(), await room.bus("alice")
    publisher = room.publisher(outbox, bus)
    await publisher.start()
    async with running(publisher) as task:
        say(publisher, 2)
        await eventually(lambda: publisher.unsent == 0)
        yield publisher, outbox, task
    outbox.close()
    await bus.close()


async def test_a_second_publisher_on_a_current_copy_ends_and_the_first_goes_on(tmp_path: Path) -> None:
    async with running_room(tmp_path) as room, speaking(room) as (first, outbox, task):
        backup(tmp_path / "outbox.sqlite", tmp_path / "copy.sqlite")
        copy, other_bus = room.outbox("copy.sqlite"), await room.bus("alice")
        second = room.publisher(copy, other_bus)
        with pytest.raises(Failed) as caught:
            await second.start()
        words = str(caught.value)
        assert "another publisher of alice is running" in words
        assert "(number 3, live, version test)" in words  # what was heard
        assert "--take-over" in words
        assert copy.head == outbox.head  # nothing was recorded
        say(first, 2)
        await eventually(lambda: first.unsent == 0)
        assert not task.done()
        assert await room.stored("alice") == [(one.seq, one.wire) for one in outbox.records(1, 100)]
        assert len(await history(room)) == 5
        copy.close()
        await other_bus.close()


async def test_whoever_insists_replaces_the_first_which_ends_with_a_word(tmp_path: Path) -> None:
    async with running_room(tmp_path) as room, speaking(room) as (_, _, task):
        backup(tmp_path / "outbox.sqlite", tmp_path / "copy.sqlite")
        copy, other_bus = room.outbox("copy.sqlite"), await room.bus("alice")
        second = room.publisher(copy, other_bus)
        await second.start(take_over=True)
        async with running(second) as going:
            await eventually(task.done)  # by its heartbeats alone: the first had nothing to say
            error = failure(task.exception() or AssertionError())
            assert isinstance(error, Failed)
            assert str(error) == (
                "leader.outbox: another publisher of alice has gone on to number 4, this one is at 3; "
                "the publisher stops"
            )
            say(second, 2)
            await eventually(lambda: second.unsent == 0)
            assert not going.done()
        assert len(await history(room)) == 6
        copy.close()
        await other_bus.close()


@pytest.mark.parametrize(
    "fate", [signal.SIGSTOP, pytest.param(signal.SIGKILL, marks=pytest.mark.system)], ids=["frozen", "dead"]
)
async def test_who_is_frozen_or_dead_is_replaced(tmp_path: Path, fate: signal.Signals) -> None:
    async with running_room(tmp_path) as room:
        process = await run_process(room, 10_000, 20)
        await stored_at_least(room, 3)
        process.send_signal(fate)
        if fate == signal.SIGKILL:
            await process.wait()
        await asyncio.sleep(0.2)  # what it had sent has arrived
        backup(tmp_path / "outbox.sqlite", tmp_path / "copy.sqlite")
        copy, bus = room.outbox("copy.sqlite"), await room.bus("alice")
        second = room.publisher(copy, bus)
        await second.start()
        async with running(second) as going:
            say(second, 3)
            await eventually(lambda: second.unsent == 0)
            if fate == signal.SIGSTOP:
                process.send_signal(signal.SIGCONT)
                assert await asyncio.wait_for(process.wait(), 20) == 1
            assert not going.done()
            say(second)
            await eventually(lambda: second.unsent == 0)
        assert await room.stored("alice") == [(one.seq, one.wire) for one in copy.records(1, 100_000)]
        assert len(await history(room)) == copy.head.seq
        copy.close()
        await bus.close()


async def stored_at_least(room: Room, count: int) -> None:
    async with asyncio.timeout(20):
        while len(await room.stored("alice")) < count:  # noqa: ASYNC110 - another process writes it
            await asyncio.sleep(0.05)


async def test_two_copies_that_begin_together_never_interleave(tmp_path: Path) -> None:
    async with running_room(tmp_path) as room:
        async with speaking(room):
            pass
        names = ("one.sqlite", "two.sqlite")
        for name in names:
            backup(tmp_path / "outbox.sqlite", tmp_path / name)
        boxes, buses = [room.outbox(name) for name in names], [await room.bus("alice") for _ in names]
        both = [room.publisher(box, bus) for box, bus in zip(boxes, buses, strict=True)]
        await asyncio.gather(*(one.start() for one in both))  # neither hears anybody
        tasks = [asyncio.create_task(one.run()) for one in both]
        for one in both:
            say(one, 20)
        await eventually(lambda: any(task.done() for task in tasks))
        going = next(at for at, task in enumerate(tasks) if not task.done())
        error = failure(tasks[1 - going].exception() or AssertionError())
        assert isinstance(error, Failed)
        assert "another publisher" in str(error)
        await eventually(lambda: both[going].unsent == 0)
        assert await room.stored("alice") == [(one.seq, one.wire) for one in boxes[going].records(1, 100)]
        assert len(await history(room)) == 3 + 21
        tasks[going].cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for box in boxes:
            box.close()
        await asyncio.gather(*(bus.close() for bus in buses))


async def test_who_begins_in_the_same_millisecond_does_not_say_the_same(tmp_path: Path) -> None:
    async with running_room(tmp_path) as room:
        boxes, buses = [room.outbox(name) for name in ("one", "two")], [await room.bus("alice") for _ in "12"]
        both = [
            Publisher(
                leader_id="alice",
                signing_key=SIGNING_KEY,
                outbox=box,
                bus=bus,
                program_version="",
                clock_ms=lambda: 1,
            )
            for box, bus in zip(boxes, buses, strict=True)
        ]
        for one in both:
            await one.start()
        tasks = [asyncio.create_task(one.run()) for one in both]
        await eventually(lambda: any(task.done() for task in tasks))
        await eventually(lambda: not all(one.unsent for one in both))
        assert [task.done() for task in tasks] == [bool(one.unsent) for one in both]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for box in boxes:
            box.close()
        await asyncio.gather(*(bus.close() for bus in buses))


async def test_who_is_fenced_at_his_first_word_has_silenced_nobody(tmp_path: Path) -> None:
    async with running_room(tmp_path) as room, speaking(room) as (first, _, task):
        say(first)  # with it the file notes what is stored
        backup(tmp_path / "outbox.sqlite", tmp_path / "copy.sqlite")
        copy, other_bus, bob = room.outbox("copy.sqlite"), await room.bus("alice"), await room.bus("bob")
        reader, events = FeedReader("alice", PUBLIC, None), list[FeedEvent]()

        async def hear(message: BusMessage) -> None:
            events.extend(reader.beat(message.data))

        await bob.subscribe(subjects.beat("alice"), hear)
        second = room.publisher(copy, other_bus)
        await second.start(take_over=True)
        say(first)  # and the first has gone on meanwhile
        await eventually(lambda: first.unsent == 0)
        with pytest.raises(BaseExceptionGroup) as caught:
            await second.run()
        assert "another publisher" in str(failure(caught.value))
        events.clear()
        await eventually(lambda: sum(isinstance(event, Beat) for event in events) >= 2)  # he is heard
        assert not any(isinstance(event, Rejected) for event in events), events
        assert not task.done()
        copy.close()
        await asyncio.gather(other_bus.close(), bob.close())


async def test_the_same_file_starts_again_without_listening(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("relay.incumbent.LISTEN_S", 3600.0)
    async with running_room(tmp_path) as room:
        async with speaking(room):
            pass
        async with asyncio.timeout(20):
            async with speaking(room) as (publisher, _, _):
                assert publisher.unsent == 0
        assert len(await history(room)) == 6


async def test_a_forged_or_foreign_heartbeat_keeps_nobody_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("relay.incumbent.LISTEN_S", 0.5)
    async with running_room(tmp_path) as room:
        async with speaking(room):
            pass
        backup(tmp_path / "outbox.sqlite", tmp_path / "copy.sqlite")
        copy, bus, liar = room.outbox("copy.sqlite"), await room.bus("alice"), await room.bus("alice")

        async def lie() -> None:
            wire = copy.records(1, 1)[0].wire  # signed, and no heartbeat
            while True:
                for forged in (b"", b"beat", wire, os.urandom(64)):
                    await liar.publish("beat.alice", forged)
                await asyncio.sleep(0.05)

        lying = asyncio.create_task(lie())
        second = room.publisher(copy, bus)
        await second.start()
        assert second.unsent == 1
        lying.cancel()
        copy.close()
        await asyncio.gather(bus.close(), liar.close())


async def test_a_broker_that_lets_nobody_listen_still_fences(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rights as an earlier version wrote them."""
    import relay.broker_config as config

    now = config._leader_rights

    def before(leader: LeaderUser) -> config.Rights:
        rights = now(leader)
        return config.Rights(
            rights.user, rights.account, rights.publish, tuple(s for s in rights.subscribe if "beat" not in s)
        )

    monkeypatch.setattr(config, "_leader_rights", before)
    async with running_room(tmp_path) as room, speaking(room) as (first, _, task):
        backup(tmp_path / "outbox.sqlite", tmp_path / "copy.sqlite")
        copy, other_bus = room.outbox("copy.sqlite"), await room.bus("alice")
        second = room.publisher(copy, other_bus)
        await second.start()  # it cannot know
        async with running(second):
            await eventually(lambda: second.unsent == 0)
            say(first)
            await eventually(task.done)
        assert isinstance(failure(task.exception() or AssertionError()), Failed)
        assert len(await history(room)) == 4
        copy.close()
        await other_bus.close()


@pytest.mark.system
@pytest.mark.timeout(120)
async def test_relay_publish_from_a_copied_folder_ends_at_once(tmp_path: Path) -> None:
    async with programs(tmp_path) as room:
        serve = await room.serve()
        first = await start_external(room, serve)
        note = tmp_path / "alice.sqlite.door"
        await call(note, "signal", step(1, "buy", "1", equity="1000"))
        elsewhere = tmp_path / "elsewhere"
        elsewhere.mkdir()
        for file in ("alice.nk", "alice.sk", "door.secret"):
            shutil.copy(tmp_path / file, elsewhere / file)
        config = elsewhere / "publisher.toml"
        config.write_text((tmp_path / config.name).read_text().replace(str(tmp_path), str(elsewhere)))
        backup(tmp_path / "alice.sqlite", elsewhere / "alice.sqlite")
        second = await room.start("relay", "publish", "--config", str(config), "--json")
        assert await asyncio.wait_for(second.process.wait(), 20) == 1
        assert second.ready == {}
        assert "another publisher of alice is running, its heartbeat was heard" in last_line(second)
        told = await call(note, "signal", step(2, "sell", "1"))
        assert told["told"] is True
        async with asyncio.timeout(10):
            while (await call(note, "status", {}))["unsent"]:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        assert first.process.returncode is None
