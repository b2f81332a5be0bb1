"""gap_fill: history of a stream by batched Direct Get, beside an ordered consumer's replay of the same.

Belongs here: one stream full of messages, both ways to read it. Does not belong here: verifying them, which
both ways need alike.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from pathlib import Path

from nats.aio.client import Client
from nats.aio.msg import Msg

from benchmarks.interleave import interleave, spread
from benchmarks.signal_ends import PAYLOAD_BYTES
from benchmarks.signals import FOLLOWER, LEADER, Room
from benchmarks.table import Row, compared
from benchmarks.talk import run_loop, work_folder
from relay.nats_bus import Bus
from relay.protocol import subjects

__all__ = ["NAMES", "run"]

NAMES = ("gap_fill",)
MESSAGES = 10_000
IN_FLIGHT = 250
REPLAY_SECONDS_MAX = 60.0
PENDING_MAX = 2**31 - 1


def run(only: set[str] | None) -> list[Row]:
    """The row, if it is asked for."""
    if only is not None and "gap_fill" not in only:
        return []
    with work_folder() as folder:
        return [_row(run_loop(_measure(folder)))]


async def _measure(folder: Path) -> dict[str, list[float]]:
    async with Room.open(folder) as room:
        plain = await room.plain_client()
        await _fill(plain)
        bus = await room.bus(FOLLOWER)
        try:
            return await interleave({"ours": lambda: _fetch(bus), "plain": lambda: _replay(plain)})
        finally:
            await bus.close()
            await plain.close()


async def _fill(client: Client) -> None:
    stream, payload = client.jetstream(), b"x" * PAYLOAD_BYTES
    for _ in range(MESSAGES // IN_FLIGHT):
        await asyncio.gather(*(stream.publish(subjects.signals(LEADER), payload) for _ in range(IN_FLIGHT)))


async def _fetch(bus: Bus) -> float:
    start = time.perf_counter()
    found = await bus.fetch_range(subjects.stream(LEADER), 1, MESSAGES)
    rate = MESSAGES / (time.perf_counter() - start)
    if [seq for seq, _ in found] != list(range(1, MESSAGES + 1)):
        raise RuntimeError(f"{MESSAGES} messages were asked for, {len(found)} came")
    return rate


async def _replay(client: Client) -> float:
    count, done = 0, asyncio.Event()

    async def hear(_message: Msg) -> None:
        nonlocal count
        count += 1
        if count == MESSAGES:
            done.set()

    start = time.perf_counter()
    subscription = await client.jetstream().subscribe(
        subjects.signals(LEADER),
        cb=hear,
        ordered_consumer=True,
        pending_msgs_limit=PENDING_MAX,
        pending_bytes_limit=PENDING_MAX,
    )
    async with asyncio.timeout(REPLAY_SECONDS_MAX):
        await done.wait()
    rate = MESSAGES / (time.perf_counter() - start)
    await subscription.unsubscribe()
    return rate


def _row(results: dict[str, list[float]]) -> Row:
    notes = [
        f"{MESSAGES:,} messages of {PAYLOAD_BYTES} bytes; ours crosses from the followers' account and may "
        "read this one stream only, the consumer runs inside the streams' account",
        f"rounds: ours {spread(results['ours'])}/s, baseline {spread(results['plain'])}/s",
    ]
    ours, plain = (statistics.median(results[name]) for name in ("ours", "plain"))
    return compared("gap_fill", "messages/s", ours, plain, "ordered consumer replay (nats-py)", notes)
