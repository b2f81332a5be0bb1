"""The two ends of a signal's way, each a process: `python -m benchmarks.signal_ends publisher|subscriber
FOLDER URL`.

Belongs here: the leader's and the follower's real parts and, beside them, the bare client library, both
stamping times. Does not belong here: what the times mean (`signal_one_way`).

Times are `time.monotonic_ns`, which all processes of a machine share.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Literal

from nats.aio.client import Client
from nats.aio.msg import Msg

from benchmarks.signals import FOLLOWER, LEADER, LEADERS, PLAIN_FEED, PLAIN_SUBJECT, Room, build_signal
from benchmarks.talk import answering, run_loop
from follower_client.leader_view import LeaderView
from follower_client.subscriber import Subscriber
from relay.keys import load_signing_key, public_key_hex
from relay.outbox import Outbox
from relay.protocol.codec import encode_payload
from relay.protocol.messages import Signal
from relay.protocol.signing import Envelope, key_id_of
from relay.publisher import Publisher

__all__ = ["PAYLOAD_BYTES", "Side"]

Side = Literal["ours", "plain"]
NUMBER_BYTES = 8
DRAIN_SECONDS_MAX = 10.0
SILENT_AFTER_MS = 60_000
PAYLOAD_BYTES = len(encode_payload(build_signal(f"{LEADER}.1800000000.1000", 1_800_000_000_000)))


class _Leaders:
    """Send on request, in turn and paced, and tell when each message began its way."""

    def __init__(self, publishers: Sequence[Publisher], plain: Client) -> None:
        self._publishers = publishers
        self._stream = plain.jetstream()
        self._plain_number = 0

    async def send(self, task: dict[str, Any]) -> dict[str, Any]:
        """`count` messages, `gap_ms` apart: [name, start_ns, recorded_ns] of each."""
        one = self._send_ours if task["side"] == "ours" else self._send_plain
        rows = []
        start = time.monotonic()
        for turn in range(task["count"]):
            await asyncio.sleep(max(0.0, start + turn * task["gap_ms"] / 1000 - time.monotonic()))
            rows.append(await one(turn))
        async with asyncio.timeout(DRAIN_SECONDS_MAX):
            while any(one.unsent for one in self._publishers):  # noqa: ASYNC110 - they have no event for this
                await asyncio.sleep(0.001)
        return {"sent": rows}

    async def _send_ours(self, turn: int) -> list[Any]:
        at = turn % len(self._publishers)
        start_ns = time.monotonic_ns()
        record = self._publishers[at].record(lambda name: build_signal(name, time.time_ns() // 1_000_000))
        return [f"{LEADERS[at]}.{record.seq}", start_ns, time.monotonic_ns()]

    async def _send_plain(self, _turn: int) -> list[Any]:
        self._plain_number += 1
        number = self._plain_number
        start_ns = time.monotonic_ns()
        payload = number.to_bytes(NUMBER_BYTES, "big").ljust(PAYLOAD_BYTES, b"x")
        await self._stream.publish(PLAIN_SUBJECT, payload)
        return [str(number), start_ns, start_ns]


class _Ear:
    """Where the follower's subscriber hands on what it has verified; stamps it, and plain messages too."""

    def __init__(self) -> None:
        self.leader_alive = True
        self.leader = LeaderView()
        self._heard: dict[str, dict[str, int]] = {"ours": {}, "plain": {}}
        self._news = asyncio.Event()

    def offer(self, envelope: Envelope, _signal: Signal) -> None:
        self._stamp("ours", f"{envelope.leader_id}.{envelope.seq}")

    def heard(self, envelope: Envelope, message: object) -> None:
        """Notices and snapshots are not measured."""

    def locked(self, reason: str, detail: str, evidence: str) -> None:
        """Raises: a locked feed is no measurement."""
        raise RuntimeError(f"the feed is locked: {reason}: {detail}")

    async def on_plain(self, message: Msg) -> None:
        self._stamp("plain", str(int.from_bytes(message.data[:NUMBER_BYTES], "big")))

    async def collect(self, task: dict[str, Any]) -> dict[str, Any]:
        """[name, heard_ns] of the next `count` messages of a side."""
        heard = self._heard[task["side"]]
        async with asyncio.timeout(DRAIN_SECONDS_MAX):
            while len(heard) < task["count"]:
                self._news.clear()
                await self._news.wait()
        rows = sorted(heard.items())
        heard.clear()
        return {"heard": rows}

    def _stamp(self, side: Side, name: str) -> None:
        self._heard[side][name] = time.monotonic_ns()
        self._news.set()


async def _publish(room: Room) -> None:
    signing_key = load_signing_key(room.folder / "signing")
    key_id, plain = key_id_of(signing_key.verify_key), await room.plain_client()
    async with AsyncExitStack() as stack:
        publishers: list[Publisher] = []
        for name in LEADERS:
            outbox = Outbox.open(room.folder / f"{name}.sqlite", leader_id=name, key_id=key_id)
            stack.callback(outbox.close)
            bus = await room.bus(name)
            stack.push_async_callback(bus.close)
            publisher = Publisher(
                leader_id=name, signing_key=signing_key, outbox=outbox, bus=bus, program_version="bench"
            )
            await publisher.start()
            publishers.append(publisher)

        async def run_all() -> None:
            async with asyncio.TaskGroup() as tasks:
                for publisher in publishers:
                    tasks.create_task(publisher.run())

        await _while_running(run_all, _Leaders(publishers, plain).send)
    await plain.close()


async def _subscribe(room: Room) -> None:
    public_key = public_key_hex(load_signing_key(room.folder / "signing"))
    bus, plain = await room.bus(FOLLOWER), await room.plain_client()
    ear = _Ear()
    subscribers = [
        Subscriber(
            bus, name, public_key, None, ear, silent_after_ms=SILENT_AFTER_MS, on_joined=lambda _: None
        )
        for name in LEADERS
    ]
    for subscriber in subscribers:
        await subscriber.start()
    await plain.subscribe(PLAIN_FEED, cb=ear.on_plain)
    await plain.flush()

    async def run_all() -> None:
        async with asyncio.TaskGroup() as tasks:
            for subscriber in subscribers:
                tasks.create_task(subscriber.run())

    await _while_running(run_all, ear.collect)
    await bus.close()
    await plain.close()


async def _while_running(
    run: Callable[[], Awaitable[None]], answer: Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]
) -> None:
    """Answer while a part of ours runs beside; whichever fails ends both."""
    running = asyncio.ensure_future(run())
    talking = asyncio.ensure_future(answering({"ready": True}, answer))
    done, _ = await asyncio.wait({running, talking}, return_when=asyncio.FIRST_COMPLETED)
    for task in (running, talking):
        task.cancel()
    await asyncio.gather(running, talking, return_exceptions=True)
    for task in done:
        task.result()


if __name__ == "__main__":
    here = Room(Path(sys.argv[2]), sys.argv[3])
    run_loop(_publish(here) if sys.argv[1] == "publisher" else _subscribe(here))
