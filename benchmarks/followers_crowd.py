"""A thousand followers in one process: `python -m benchmarks.followers_crowd FOLDER URLS COUNT [ours]`; each
goes to one of the addresses (with commas between them). With `ours` there are no bare clients beside them.

Belongs here: the connections of both sides, and when the last of them had a message. Does not belong here:
who publishes, what the times mean (`followers_fan_out`).
"""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path
from typing import Any

from nats.aio.msg import Msg

from benchmarks.signals import LEADER, PLAIN_FEED, Room
from benchmarks.talk import answering, run_loop
from relay.keys import load_nkey_seed, load_signing_key, public_key_hex
from relay.nats_bus import Bus, BusMessage
from relay.protocol import subjects
from relay.protocol.feed import Accepted, FeedReader

__all__ = ["follower_name"]

CONNECTING_AT_ONCE = 20
WAIT_SECONDS_MAX = 30.0


def follower_name(number: int) -> str:
    """Who connection `number` is."""
    return f"f{number}"


class _Crowd:
    """Counts each side's arrivals and stamps the last of every message."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._arrived: dict[str, list[int]] = {"ours": [0], "plain": [0]}  # how many of the message at hand
        self._last_ns: dict[str, list[int]] = {"ours": [], "plain": []}
        self._news = asyncio.Event()

    def arrived(self, side: str) -> None:
        self._arrived[side][0] += 1
        if self._arrived[side][0] == self._count:
            self._arrived[side][0] = 0
            self._last_ns[side].append(time.monotonic_ns())
            self._news.set()

    async def collect(self, task: dict[str, Any]) -> dict[str, Any]:
        """When the last follower had each of the next `count` messages."""
        stamps = self._last_ns[task["side"]]
        async with asyncio.timeout(WAIT_SECONDS_MAX):
            while len(stamps) < task["count"]:
                self._news.clear()
                await self._news.wait()
        found = list(stamps)
        stamps.clear()
        return {"last_ns": found}


async def _follow(room: Room, number: int, public_key: str, crowd: _Crowd) -> Bus:
    name = follower_name(number)
    seed = load_nkey_seed(room.folder / f"{name}.nk")
    urls = room.url.split(",")
    url = urls[number % len(urls)]
    bus = await Bus.connect(url, seed, subjects.inbox_prefix(name), name, timeout_s=WAIT_SECONDS_MAX)
    reader = FeedReader(LEADER, public_key, None)

    async def hear(message: BusMessage) -> None:
        events = reader.receive(message.data, message.seq or 0)
        if any(isinstance(event, Accepted) for event in events):
            crowd.arrived("ours")

    await bus.subscribe(subjects.feed(LEADER), hear)
    return bus


async def _hear_plain(room: Room, crowd: _Crowd) -> Any:
    client = await room.plain_client()

    async def hear(_message: Msg) -> None:
        crowd.arrived("plain")

    await client.subscribe(PLAIN_FEED, cb=hear)
    await client.flush()
    return client


async def main(room: Room, count: int, *, alone: bool) -> None:
    crowd, window = _Crowd(count), asyncio.Semaphore(CONNECTING_AT_ONCE)
    public_key = public_key_hex(load_signing_key(room.folder / "signing"))

    async def connect(number: int) -> list[Any]:
        async with window:
            bus = await _follow(room, number, public_key, crowd)
            return [bus] if alone else [bus, await _hear_plain(room, crowd)]

    made = await asyncio.gather(*(connect(number) for number in range(count)))
    await answering({"ready": True}, crowd.collect)
    await asyncio.gather(*(one.close() for group in made for one in group))


if __name__ == "__main__":
    run_loop(main(Room(Path(sys.argv[1]), sys.argv[2]), int(sys.argv[3]), alone=sys.argv[4:] == ["ours"]))
