"""gap_fill: signals fetched, verified and decoded by a follower, beside an ordered consumer that hands the
same messages on.

Belongs here: both ways of reading, the row. Does not belong here: the broker (`signals`).
"""

from __future__ import annotations

import asyncio
import os
import statistics
import time
from pathlib import Path

from nacl.signing import SigningKey
from nats.aio.client import Client
from nats.aio.msg import Msg

from benchmarks.interleave import interleave, spread
from benchmarks.signal_ends import PAYLOAD_BYTES
from benchmarks.signals import FOLLOWER, LEADER, Room, build_signal
from benchmarks.table import Row, compared
from benchmarks.talk import run_loop, work_folder
from relay.keys import load_signing_key, public_key_hex
from relay.nats_bus import Bus, History
from relay.protocol import subjects
from relay.protocol.codec import encode_payload
from relay.protocol.feed import Accepted, FeedReader
from relay.protocol.signing import GENESIS_HASH, seal_chained

__all__ = ["NAMES", "run"]

NAMES = ("gap_fill",)
# each is written with an fsync of its own, which takes longest: GAP_FILL_MESSAGES=100000 asks for more
MESSAGES = int(os.environ.get("GAP_FILL_MESSAGES", "20000"))
IN_FLIGHT = 250
ROUNDS = 2  # each reads MESSAGES twice
TARGET = 0.5
REPLAY_SECONDS_MAX = 120.0
FILL_TIMEOUT_S = 30
EPOCH = 5
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
        signing_key = load_signing_key(folder / "signing")
        await _fill(plain, signing_key)
        bus = await room.bus(FOLLOWER)
        try:
            public_key = public_key_hex(signing_key)
            sides = {"ours": lambda: _fetch(bus, public_key), "plain": lambda: _replay(plain)}
            return await interleave(sides, rounds=ROUNDS)
        finally:
            await bus.close()
            await plain.close()


async def _fill(client: Client, signing_key: SigningKey) -> None:
    """A leader's history: real signals, with the headers that a publisher gives them."""
    stream, chain_hash = client.jetstream(), GENESIS_HASH
    for first in range(1, MESSAGES + 1, IN_FLIGHT):
        waiting = []
        for seq in range(first, first + IN_FLIGHT):
            name = f"{LEADER}.{EPOCH}.{seq}"
            sealed = seal_chained(
                signing_key,
                kind="signal",
                leader_id=LEADER,
                epoch=EPOCH,
                seq=seq,
                prev_hash=chain_hash,
                payload=encode_payload(build_signal(name, 1_800_000_000_000)),
            )
            chain_hash = sealed.chain_hash
            headers = {"Nats-Msg-Id": name, "Nats-Expected-Last-Sequence": str(seq - 1)}
            subject = subjects.signals(LEADER)
            waiting.append(stream.publish(subject, sealed.wire, headers=headers, timeout=FILL_TIMEOUT_S))
        await asyncio.gather(*waiting)


async def _fetch(bus: Bus, public_key: str) -> float:
    """From the first message on, as a follower who was away for long."""
    reader = FeedReader(LEADER, public_key, 0, GENESIS_HASH, last_epoch=EPOCH)
    accepted, start = 0, time.perf_counter()
    history = History(bus.fetch_range, subjects.stream(LEADER))
    while accepted < MESSAGES:
        batch = await history.take(reader.last_seq + 1)
        accepted += sum(isinstance(event, Accepted) for event in reader.receive_history(batch))
        if not batch:
            raise RuntimeError(f"{MESSAGES} messages were asked for, {accepted} came")
    seconds = time.perf_counter() - start
    await history.close()
    return MESSAGES / seconds


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
        f"{MESSAGES:,} signals of {PAYLOAD_BYTES} bytes; ours crosses from the followers' account, may read "
        "this one stream only, checks the newest signature of each batch, walks back along the chain, and "
        "decodes; the consumer hands bytes on, inside the streams' account",
        f"rounds: ours {spread(results['ours'])}/s, baseline {spread(results['plain'])}/s",
    ]
    ours, plain = (statistics.median(results[name]) for name in ("ours", "plain"))
    row = compared("gap_fill", "messages/s", ours, plain, "ordered consumer replay (nats-py)", notes)
    return row | {"target": TARGET}
