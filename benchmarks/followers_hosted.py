"""Many followers of one leader in one process: `python -m benchmarks.followers_hosted FOLDER URL COUNT`.

Belongs here: the followers' own subscribers, each on a connection of its own, and what a signal cost the
process. Does not belong here: who publishes, what the figures mean (`followers_fan_out`).
"""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path
from typing import Any

from nacl.signing import VerifyKey

from benchmarks.followers_crowd import CONNECTING_AT_ONCE, WAIT_SECONDS_MAX, follower_name
from benchmarks.signals import LEADER, Room
from benchmarks.talk import answering, run_loop
from follower_client.leader_view import LeaderView
from follower_client.subscriber import Subscriber
from relay.keys import load_nkey_seed, load_signing_key, public_key_hex
from relay.nats_bus import Bus
from relay.protocol import subjects

SILENT_AFTER_MS = 600_000


class _Host:
    """Counts what all followers were offered, and the signatures that were checked for it."""

    def __init__(self) -> None:
        self.offered, self.verified = 0, 0
        self._news = asyncio.Event()
        self._verify = VerifyKey.verify
        VerifyKey.verify = self._counted()  # type: ignore[method-assign]

    def _counted(self) -> Any:
        verify = self._verify

        def counted(key: VerifyKey, *arguments: Any) -> bytes:
            self.verified += 1
            return verify(key, *arguments)

        return counted

    def take(self) -> None:
        self.offered += 1
        self._news.set()

    async def collect(self, task: dict[str, Any]) -> dict[str, Any]:
        """After so many offers in all: signatures checked, processor seconds of this process."""
        async with asyncio.timeout(WAIT_SECONDS_MAX):
            while self.offered < task["offers"]:
                self._news.clear()
                await self._news.wait()
        return {"offered": self.offered, "verified": self.verified, "cpu_s": time.process_time()}


class _Ear:
    """What of an executor hears: it notes the offer."""

    def __init__(self, host: _Host) -> None:
        self.leader_alive = True
        self.leader = LeaderView()
        self._host = host

    def offer(self, _envelope: Any, _signal: Any) -> None:
        self._host.take()

    def heard(self, *_: Any) -> None:
        """There are signals only."""

    def locked(self, reason: str, detail: str, _evidence: str) -> None:
        raise RuntimeError(f"{reason}: {detail}")


async def _follow(room: Room, number: int, public_key: str, host: _Host) -> tuple[Bus, asyncio.Task[None]]:
    name = follower_name(number)
    seed = load_nkey_seed(room.folder / f"{name}.nk")
    prefix = subjects.inbox_prefix(name)
    bus = await Bus.connect(room.url, seed, prefix, name, timeout_s=WAIT_SECONDS_MAX)
    subscriber = Subscriber(
        bus,
        LEADER,
        public_key,
        None,
        _Ear(host),
        silent_after_ms=SILENT_AFTER_MS,
        on_joined=lambda _: None,
    )
    await subscriber.start()
    return bus, asyncio.create_task(subscriber.run())


async def main(room: Room, count: int) -> None:
    host, window = _Host(), asyncio.Semaphore(CONNECTING_AT_ONCE)
    public_key = public_key_hex(load_signing_key(room.folder / "signing"))

    async def connect(number: int) -> tuple[Bus, asyncio.Task[None]]:
        async with window:
            return await _follow(room, number, public_key, host)

    made = await asyncio.gather(*(connect(number) for number in range(count)))
    await answering({"ready": True}, host.collect)
    for _, running in made:
        running.cancel()
    await asyncio.gather(*(running for _, running in made), return_exceptions=True)
    await asyncio.gather(*(bus.close() for bus, _ in made))


if __name__ == "__main__":
    run_loop(main(Room(Path(sys.argv[1]), sys.argv[2]), int(sys.argv[3])))
