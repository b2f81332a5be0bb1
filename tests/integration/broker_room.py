"""A real broker with two leaders and three followers, for tests.

`alice` is heard by `bob` and `eve`, `carol` by `dave`. Connections come as the project's bus or, for
attacks, as a bare client with the same key.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import nats
from nacl.signing import SigningKey
from nats.aio.client import Client

from relay.broker import Broker
from relay.broker_config import FollowerUser, LeaderUser
from relay.keys import create_nkey, load_nkey_seed
from relay.nats_bus import Bus
from relay.outbox import Outbox
from relay.protocol import subjects
from relay.protocol.signing import key_id_of
from relay.publisher import Publisher

LEADERS = ("alice", "carol")
FOLLOWERS = {"bob": ("alice",), "eve": ("alice",), "dave": ("carol",)}
SIGNING_KEY = SigningKey(b"\x07" * 32)


class Room:
    """The broker, and everybody's keys."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.public = {name: self._key(name) for name in (*LEADERS, *FOLLOWERS)}
        self.broker = self.make_broker()

    def make_broker(self, *, name: str = "broker", port: int = 0) -> Broker:
        """Another broker process for the same people; `name` is its folder."""
        return Broker(
            self.folder / name,
            [LeaderUser(leader, self.public[leader]) for leader in LEADERS],
            [FollowerUser(name, self.public[name], leaders) for name, leaders in FOLLOWERS.items()],
            port=port,
        )

    def seed(self, name: str) -> str:
        return load_nkey_seed(self.folder / f"{name}.nk")

    async def bus(self, name: str) -> Bus:
        return await Bus.connect(self.broker.url, self.seed(name), subjects.inbox_prefix(name), name)

    async def attacker(self, name: str, complaints: list[str]) -> Client:
        """A bare client with this user's key; what the broker complains about is collected."""

        async def complain(error: Exception) -> None:
            complaints.append(str(error).lower())

        async def connect() -> Client:
            return await nats.connect(
                self.broker.url,
                nkeys_seed_str=self.seed(name),
                inbox_prefix=f"_INBOX_{name}".encode(),
                error_cb=complain,
                allow_reconnect=False,
            )

        try:
            return await connect()
        except ConnectionResetError:  # a broker that is just taking over users lets nobody in
            return await connect()

    async def stored(self, leader: str) -> list[tuple[int, bytes]]:
        """Everything in a leader's stream, read by the monitor."""
        monitor = await self.broker.connect()
        try:
            return await monitor.fetch_range(subjects.stream(leader), 1, 1_000_000)
        finally:
            await monitor.close()

    def outbox(self, name: str = "outbox.sqlite") -> Outbox:
        return Outbox.open(self.folder / name, leader_id="alice", key_id=key_id_of(SIGNING_KEY.verify_key))

    def publisher(self, outbox: Outbox, bus: Bus) -> Publisher:
        return Publisher(
            leader_id="alice", signing_key=SIGNING_KEY, outbox=outbox, bus=bus, program_version="test"
        )

    def _key(self, name: str) -> str:
        return create_nkey(self.folder / f"{name}.nk")


@asynccontextmanager
async def running_room(folder: Path) -> AsyncIterator[Room]:
    """A room whose broker runs until the block ends."""
    room = Room(folder)
    await room.broker.start()
    try:
        yield room
    finally:
        await room.broker.stop()


async def eventually(condition: Callable[[], bool], seconds: float = 10) -> None:
    """Return as soon as a condition holds; `TimeoutError` if it does not within `seconds`."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - it watches processes, which set no event
            await asyncio.sleep(0.005)


async def settle(client: Client) -> None:
    """Return when the broker has dealt with all this client sent (the library pings ahead of its buffer)."""
    for _ in range(2):
        await client.flush()


def refused(subject: str) -> str:
    """How the broker's complaint names what a follower may not publish on: feeds lead nowhere before that."""
    return f"nowhere.{subject}" if subject.startswith(("feed.", "beat.")) else subject.lower()
