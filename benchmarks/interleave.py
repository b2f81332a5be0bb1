"""Taking turns on a machine that others use too: A, B, B, A, A, B ... and what the others took meanwhile.

Belongs here: the order of rounds, medians, the processor time of strangers. Does not belong here: what is
measured.
"""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

__all__ = ["ROUNDS", "ForeignCpu", "cpu_seconds_of", "interleave", "percentile", "spread"]

ROUNDS = 6
QUIET_SHARE = 0.1  # what others may use of all processors
QUIET_LOOK_SECONDS = 0.5
QUIET_SECONDS_MAX = 10.0  # longest wait for it
_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
_STAT = Path("/proc/stat")

T = TypeVar("T")


async def interleave(
    sides: Mapping[str, Callable[[], Awaitable[T]]], *, rounds: int = ROUNDS
) -> dict[str, list[T]]:
    """Measure every side once per round, each round in the other order; a first round warms up and is
    dropped.
    """
    results: dict[str, list[T]] = {name: [] for name in sides}
    for number in range(rounds + 1):
        turns = list(sides.items())
        for name, measure in turns if number % 2 == 0 else reversed(turns):
            result = await measure()
            if number > 0:
                results[name].append(result)
    return results


def percentile(values: Sequence[float], share: float) -> float:
    """The value that `share` (0..1) of the values do not exceed. Raises `ValueError` if there are none."""
    if not values:
        raise ValueError("there is no percentile of nothing")
    ranked = sorted(values)
    return ranked[min(len(ranked) - 1, int(len(ranked) * share))]


def spread(values: Sequence[float]) -> str:
    """Lowest and highest round."""
    low, high = min(values), max(values)
    return f"{low:,.0f}-{high:,.0f}" if low >= 1000 else f"{low:.3g}-{high:.3g}"


def cpu_seconds_of(process_id: int) -> float:
    """Processor time that a living process has used, all its threads together."""
    fields = Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS_PER_SECOND


@dataclass(frozen=True, slots=True)
class ForeignCpu:
    """A reading of the counters; two tell what went to others, and to the kernel on nobody's account.

    A child counts as own once it was waited for, so begin before it starts and ask after its end.
    """

    busy_seconds: float
    all_seconds: float
    own_seconds: float

    @classmethod
    def begin(cls) -> ForeignCpu:
        """Read the counters."""
        own = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
        own_seconds = sum(usage.ru_utime + usage.ru_stime for usage in own)
        if not _STAT.exists():
            return cls(0.0, 0.0, own_seconds)
        counts = [int(count) for count in _STAT.read_text().splitlines()[0].split()[1:9]]
        idle = counts[3] + counts[4]
        total = sum(counts)
        return cls((total - idle) / _TICKS_PER_SECOND, total / _TICKS_PER_SECOND, own_seconds)

    @classmethod
    def begin_when_quiet(cls, seconds_max: float = QUIET_SECONDS_MAX) -> ForeignCpu:
        """As `begin`, once others leave most of the machine alone, or after `seconds_max` all the same."""
        deadline = time.monotonic() + seconds_max
        while time.monotonic() < deadline:
            before = cls.begin()
            time.sleep(QUIET_LOOK_SECONDS)
            if (before.share() or 0.0) <= QUIET_SHARE:
                break
        return cls.begin()

    def share(self, now: ForeignCpu | None = None) -> float | None:
        """Their part of all processors from here to `now`, 0..1; None where the system does not say."""
        now = now or ForeignCpu.begin()
        passed = now.all_seconds - self.all_seconds
        if passed <= 0:
            return None
        foreign = now.busy_seconds - self.busy_seconds - (now.own_seconds - self.own_seconds)
        return min(1.0, max(0.0, foreign / passed))
