"""signal_one_way: from a sealed and recorded signal until a follower has verified and decoded it, stored in
between; over eight leaders.

Belongs here: the turns of both sides over one broker, the row. Does not belong here: the ends
(`signal_ends`), the broker (`signals`).
"""

from __future__ import annotations

import statistics
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

from benchmarks.interleave import interleave, percentile, spread
from benchmarks.signal_ends import PAYLOAD_BYTES, Side
from benchmarks.signals import LEADERS, Room
from benchmarks.table import Row, compared
from benchmarks.talk import ask, run_loop, started, work_folder
from relay.demo.processes import Program

__all__ = ["NAMES", "run"]

NAMES = ("signal_one_way",)
COUNT = 240
GAP_MS = 5
TARGET = 1.5
BASELINE_NAME = "bare js.publish + republish, same broker and bytes"


@dataclass(frozen=True, slots=True)
class Round:
    """Milliseconds of each message of one round: its way once it is recorded, and what came before that."""

    ways_ms: list[float]
    records_ms: list[float]


def run(only: set[str] | None) -> list[Row]:
    """The row, if it is asked for."""
    if only is not None and "signal_one_way" not in only:
        return []
    with work_folder() as folder:
        return [_row(run_loop(_measure(folder)))]


async def _measure(folder: Path) -> dict[str, list[Round]]:
    async with AsyncExitStack() as stack:
        room = await stack.enter_async_context(Room.open(folder))
        subscriber, publisher = [
            await stack.enter_async_context(
                started(role, "benchmarks.signal_ends", [role, str(folder), room.url], folder)
            )
            for role in ("subscriber", "publisher")
        ]
        return await interleave(
            {
                "ours": _round("ours", publisher, subscriber),
                "plain": _round("plain", publisher, subscriber),
            }
        )


def _round(side: Side, publisher: Program, subscriber: Program) -> Callable[[], Awaitable[Round]]:
    async def measure() -> Round:
        told = await ask(publisher, {"side": side, "count": COUNT, "gap_ms": GAP_MS})
        got = await ask(subscriber, {"side": side, "count": COUNT})
        heard = dict(got["heard"])
        return Round(
            [(heard[name] - recorded) / 1e6 for name, _, recorded in told["sent"]],
            [(recorded - start) / 1e6 for _, start, recorded in told["sent"]],
        )

    return measure


def _row(results: dict[str, list[Round]]) -> Row:
    medians = {name: [statistics.median(one.ways_ms) for one in rounds] for name, rounds in results.items()}
    p99 = {
        name: percentile([way for one in rounds for way in one.ways_ms], 0.99)
        for name, rounds in results.items()
    }
    record_ms = statistics.median([ms for one in results["ours"] for ms in one.records_ms])
    notes = [
        f"p50 at {1000 // GAP_MS} messages/s over {len(LEADERS)} leaders, payload of {PAYLOAD_BYTES} bytes, "
        "sync always, two processes. Ours publishes behind the fence across accounts, verifies (Ed25519) and "
        "decodes; the baseline does none of that, and both ends are inside the streams' account.",
        f"ours: rounds {spread(medians['ours'])} ms, p99 {p99['ours']:.1f} ms; before it, sealing and the "
        f"outbox's fsync {record_ms:.2f} ms; baseline: rounds {spread(medians['plain'])} ms, "
        f"p99 {p99['plain']:.1f} ms",
    ]
    ours, plain = statistics.median(medians["ours"]), statistics.median(medians["plain"])
    return compared("signal_one_way", "ms", ours, plain, BASELINE_NAME, notes) | {"target": TARGET}
