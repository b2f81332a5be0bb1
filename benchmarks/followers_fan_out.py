"""fanout_1000: one signal to the last of 1,000 followers on 1,000 connections, each with its reader, beside
bare clients on the same topology; hosted_followers: what a signal costs one process that hosts them all.

Belongs here: turns, rows. Does not belong here: the followers (`followers_crowd`).
"""

from __future__ import annotations

import asyncio
import resource
import statistics
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from nacl.signing import SigningKey

from benchmarks.followers_crowd import follower_name
from benchmarks.interleave import interleave, percentile, spread
from benchmarks.signals import LEADER, PLAIN_SUBJECT, Room, build_signal
from benchmarks.table import Row, compared, reported
from benchmarks.talk import ask, run_loop, started, work_folder
from relay.demo.processes import Program
from relay.keys import load_signing_key
from relay.nats_bus import Bus
from relay.protocol.codec import encode_payload
from relay.protocol.signing import GENESIS_HASH, Sealed, seal_chained

__all__ = ["NAMES", "Chain", "allow_many_files", "run"]

NAMES = ("fanout_1000", "hosted_followers")
FOLLOWERS = 1_000
MESSAGES = 15
GAP_S = 0.2
ROUNDS = 4
FILES_WANTED = 8_192
HOSTED_SIGNALS = 20
TARGET = 1.3
EPOCH = 5


def run(only: set[str] | None) -> list[Row]:
    """The rows that are asked for."""
    rows = []
    if only is None or "fanout_1000" in only:
        allow_many_files()
        with work_folder() as folder:
            rows.append(_row(run_loop(_measure(folder))))
    if only is None or "hosted_followers" in only:
        allow_many_files()
        with work_folder() as folder:
            rows.append(run_loop(_hosted(folder)))
    return rows


def allow_many_files() -> None:
    """A connection is a file, at both of its ends."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, FILES_WANTED)), hard))


class Chain:
    """A leader's signals, one after the other."""

    def __init__(self, key: SigningKey) -> None:
        self._key = key
        self.seq, self._hash = 0, GENESIS_HASH

    def next(self) -> bytes:
        self.seq += 1
        name = f"{LEADER}.{EPOCH}.{self.seq}"
        sealed: Sealed = seal_chained(
            self._key,
            kind="signal",
            leader_id=LEADER,
            epoch=EPOCH,
            seq=self.seq,
            prev_hash=self._hash,
            payload=encode_payload(build_signal(name, 1_800_000_000_000)),
        )
        self._hash = sealed.chain_hash
        return sealed.wire


async def _measure(folder: Path) -> dict[str, list[list[float]]]:
    names = [follower_name(number) for number in range(FOLLOWERS)]
    async with Room.open(folder, more_followers=names) as room:
        crowd_arguments = [str(folder), room.url, str(FOLLOWERS)]
        async with started("crowd", "benchmarks.followers_crowd", crowd_arguments, folder) as crowd:
            leader, plain = await room.bus(LEADER), await room.plain_client()
            chain, stream = Chain(load_signing_key(folder / "signing")), plain.jetstream()
            size = len(Chain(load_signing_key(folder / "signing")).next())

            async def send_plain() -> None:
                await stream.publish(PLAIN_SUBJECT, b"x" * size)

            try:
                return await interleave(
                    {
                        "ours": _round("ours", crowd, lambda: _send_ours(leader, chain)),
                        "plain": _round("plain", crowd, send_plain),
                    },
                    rounds=ROUNDS,
                )
            finally:
                await leader.close()
                await plain.close()


async def _send_ours(bus: Bus, chain: Chain) -> None:
    wire = chain.next()
    await bus.publish_signal(LEADER, wire, chain.seq - 1, f"{LEADER}.{EPOCH}.{chain.seq}", timeout_s=10)


def _round(
    side: str, crowd: Program, send: Callable[[], Awaitable[None]]
) -> Callable[[], Awaitable[list[float]]]:
    async def measure() -> list[float]:
        began: list[int] = []
        for _ in range(MESSAGES):
            began.append(time.monotonic_ns())
            await send()
            await asyncio.sleep(GAP_S)
        told: dict[str, Any] = await ask(crowd, {"side": side, "count": MESSAGES})
        return [(last - start) / 1e6 for start, last in zip(began, told["last_ns"], strict=True)]

    return measure


def _row(results: dict[str, list[list[float]]]) -> Row:
    medians = {side: [statistics.median(one) for one in rounds] for side, rounds in results.items()}
    p99 = {side: percentile([way for one in rounds for way in one], 0.99) for side, rounds in results.items()}
    notes = [
        f"publish to the last of {FOLLOWERS:,} connections in one process, p50; ours seals, stores behind "
        "the fence, and every follower has a reader of his own; the signature is verified once",
        f"ours: rounds {spread(medians['ours'])} ms, p99 {p99['ours']:.0f} ms; baseline: rounds "
        f"{spread(medians['plain'])} ms, p99 {p99['plain']:.0f} ms",
    ]
    ours, plain = statistics.median(medians["ours"]), statistics.median(medians["plain"])
    name = "bare nats-py, same topology"
    return compared("fanout_1000", "ms", ours, plain, name, notes) | {"target": TARGET}


async def _hosted(folder: Path) -> Row:
    """One process with the subscribers of all followers, over the broker: processor time for each signal."""
    names = [follower_name(number) for number in range(FOLLOWERS)]
    async with Room.open(folder, more_followers=names) as room:
        arguments = [str(folder), room.url, str(FOLLOWERS)]
        module = "benchmarks.followers_hosted"
        async with started("hosted", module, arguments, folder, ready_seconds_max=120.0) as host:
            leader, chain = await room.bus(LEADER), Chain(load_signing_key(folder / "signing"))
            told: list[dict[str, Any]] = []
            try:
                for number in range(HOSTED_SIGNALS + 1):  # the first one warms up
                    await _send_ours(leader, chain)
                    told.append(await ask(host, {"offers": (number + 1) * FOLLOWERS}))
            finally:
                await leader.close()
    first, last = told[0], told[-1]
    cpu_ms = (last["cpu_s"] - first["cpu_s"]) * 1e3 / HOSTED_SIGNALS
    checked = (last["verified"] - first["verified"]) / HOSTED_SIGNALS
    notes = [
        f"processor time of one process with {FOLLOWERS:,} followers' subscribers, each on a connection of "
        f"its own, over the broker; {checked:g} signatures checked per signal"
    ]
    return reported("hosted_followers", "ms/signal", cpu_ms, notes)
