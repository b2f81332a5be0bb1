"""A follower who opens connections or asks without end is kept out for a while; the others are not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import nats.errors
import pytest

from relay import admission as admission_module
from relay import guarding
from relay.admission import Admission
from relay.guarding import Guard
from relay.nats_bus import Bus, BusMessage, connection
from relay.protocol import subjects
from relay.registry import Registry
from relay.running import cancel
from tests.integration.broker_room import Room, eventually, running_room

pytestmark = [pytest.mark.asyncio, pytest.mark.timeout(120), pytest.mark.system]

BAR_S = 6.0


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guarding, "LOOK_S", 0.2)
    monkeypatch.setattr(guarding, "CROWD", 20)
    monkeypatch.setattr(guarding, "SENT_PER_S_MAX", 100)
    monkeypatch.setattr(admission_module, "BAR_S", BAR_S)
    monkeypatch.setattr(connection, "PUT_OUT_WAIT_S", 0.5)
    monkeypatch.setattr(connection, "REFUSALS_MAX", 2)  # said long before the bar ends


@asynccontextmanager
async def guarded(folder: Path) -> AsyncIterator[tuple[Room, list[str]]]:
    async with running_room(folder) as room:
        registry, ready, barred = Registry.open(folder / "registry.sqlite"), asyncio.Event(), list[str]()
        people = room.broker.leaders, room.broker.followers
        admission = Admission(
            room.broker,
            registry,
            leaders=people[0],
            followers=people[1],
            on_barred=lambda who, _why, _seconds: barred.append(who),
        )
        tasks = [
            asyncio.create_task(admission.run(ready)),
            asyncio.create_task(Guard(room.broker, admission.bar).run()),
        ]
        await asyncio.wait_for(ready.wait(), 10)
        try:
            yield room, barred
        finally:
            for task in tasks:
                await cancel(task)
            registry.close()


class Ear:
    """A follower as the program is one: it stays, and comes back once it may."""

    def __init__(self, bus: Bus) -> None:
        self.bus, self.heard = bus, list[bytes]()
        self.was_out = asyncio.Event()
        bus.stays, bus.on_put_out = True, self.was_out.set

    async def listen(self) -> None:
        async def hear(message: BusMessage) -> None:
            self.heard.append(message.data)

        await self.bus.subscribe(subjects.feed("alice"), hear)


@pytest.mark.parametrize("how", ["connections", "questions"])
async def test_who_takes_too_much_is_barred_a_while_and_nobody_else(tmp_path: Path, how: str) -> None:
    async with guarded(tmp_path) as (room, barred):
        alice, bob, eve = await room.bus("alice"), Ear(await room.bus("bob")), Ear(await room.bus("eve"))
        await asyncio.gather(bob.listen(), eve.listen())
        hostile = [await room.attacker("bob", [])]
        if how == "connections":
            hostile += [await room.attacker("bob", []) for _ in range(guarding.CONNECTIONS_MAX)]
        while not all(one.is_closed for one in hostile):
            if how == "questions":
                with suppress(nats.errors.Error):
                    for _ in range(50):
                        await hostile[0].publish(
                            "$JS.API.DIRECT.GET.SIGNALS_alice", b'{"seq":1}', reply="_INBOX_bob.x"
                        )
            await asyncio.sleep(0.02)
        await asyncio.wait_for(bob.was_out.wait(), 20)
        assert await alice.publish_signal("alice", b"meanwhile", 0, "alice.1.1") == 1
        await eventually(lambda: eve.heard == [b"meanwhile"])
        await eventually(lambda: not bob.bus.was_put_out, seconds=30)  # it has run out
        assert await alice.publish_signal("alice", b"after", 1, "alice.1.2") == 2
        await eventually(lambda: bob.heard == [b"after"] and eve.heard[-1] == b"after")
        assert not eve.was_out.is_set()
        assert set(barred) == {"bob"}
        await asyncio.gather(*(bus.close() for bus in (alice, bob.bus, eve.bus)))
