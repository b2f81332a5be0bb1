"""Slippage by part over time: does it get worse?

Belongs here: sums by stretch of time, folded to as many as a picture shows, and the change from the earlier
half to the later one. Does not belong here: which stretches are counted (`relay.store`), pictures.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from relay.core.drift import PARTS, decimal_text
from relay.core.tally import SPREAD_UNITS, Spread, Tally, add_counts, mean_parts, spread_quantiles

__all__ = ["Trend", "TrendPoint"]

STEPS_MAX = 48
PLACES = 4
STEPS_MS = (1_000, 5_000, 10_000, 60_000, 600_000, 3_600_000, 86_400_000)


@dataclass(slots=True)
class TrendPoint:
    """What the executed copies of a stretch of time cost; as in `Tally`."""

    executed: int = 0
    unsplit: int = 0
    unsplit_sum: int = 0
    parts: list[int] = field(default_factory=lambda: [0] * len(PARTS))
    unmeasured: list[int] = field(default_factory=lambda: [0] * len(PARTS))
    slippage: Spread = field(default_factory=dict)
    latency: Spread = field(default_factory=dict)

    def add(self, more: Tally | TrendPoint) -> None:
        """Count what another one counted."""
        self.executed += more.executed
        self.unsplit += more.unsplit
        self.unsplit_sum += more.unsplit_sum
        self.parts = [mine + theirs for mine, theirs in zip(self.parts, more.parts, strict=True)]
        self.unmeasured = [
            mine + theirs for mine, theirs in zip(self.unmeasured, more.unmeasured, strict=True)
        ]
        add_counts(self.slippage, more.slippage)
        add_counts(self.latency, more.latency)


class Trend:
    """Stretches of followers' signals by when they began. They may differ in length: a step is as long as the
    longest. They are only summed when somebody asks.
    """

    def __init__(self) -> None:
        self._pieces: list[tuple[int, Tally]] = []
        self._longest_ms = STEPS_MS[0]

    def add(self, from_ms: int, span_ms: int, found: Tally) -> None:
        """One stretch of somebody's signals; it must not change any more."""
        if found.executed:
            self._longest_ms = max(self._longest_ms, span_ms)
            self._pieces.append((from_ms, found))

    def document(self) -> dict[str, Any]:
        """For a report: `steps`, oldest first, and `change` where there are two or more."""
        step_ms, steps = self._folded()
        return {
            "step_ms": step_ms if steps else None,
            "steps": [_row(at_ms, found) for at_ms, found in steps],
            "change": _change([found for _, found in steps]),
        }

    def _folded(self) -> tuple[int, list[tuple[int, TrendPoint]]]:
        if not self._pieces:
            return self._longest_ms, []
        times = [at_ms for at_ms, _ in self._pieces]
        wanted = (max(times) - min(times)) // STEPS_MAX + 1
        step_ms = next((step for step in STEPS_MS if step >= max(wanted, self._longest_ms)), 0)
        if not step_ms:  # days, several to a step
            step_ms = -(-wanted // STEPS_MS[-1]) * STEPS_MS[-1]
        folded: dict[int, TrendPoint] = {}
        for at_ms, found in self._pieces:
            folded.setdefault(at_ms // step_ms * step_ms, TrendPoint()).add(found)
        return step_ms, sorted(folded.items())


def _row(at_ms: int, found: TrendPoint) -> dict[str, Any]:
    mean, parts = mean_parts(found, PLACES)
    return {
        "from_ms": at_ms,
        "copies": found.executed,
        "slippage_bps": {
            "mean": decimal_text(mean, PLACES),
            **{
                name: decimal_text(Fraction(value, SPREAD_UNITS), PLACES)
                for name, value in _quantiles(found.slippage).items()
            },
        },
        "slippage_parts_bps": _texts(parts),
        "latency_ms": _quantiles(found.latency),
    }


def _quantiles(spread: Spread) -> dict[str, int]:
    return dict(zip(("p50", "p95"), spread_quantiles(spread, (50, 95)), strict=True))


def _change(steps: Sequence[TrendPoint]) -> dict[str, Any] | None:
    """Means of the later half of the steps minus those of the earlier one; positive = it got worse."""
    if len(steps) < 2:
        return None
    halves = (TrendPoint(), TrendPoint())
    for at, found in enumerate(steps):
        halves[at >= len(steps) // 2].add(found)
    (before, parts_before), (after, parts_after) = (mean_parts(half, PLACES) for half in halves)
    parts: dict[str, Fraction | None] | None = None
    if parts_before is not None and parts_after is not None:
        parts = {}
        for name in (*PARTS, "unsplit"):
            was, now = parts_before.get(name), parts_after.get(name)
            if name in PARTS or was is not None or now is not None:
                parts[name] = now - was if was is not None and now is not None else None
    return {
        "slippage_bps": decimal_text(after - before, PLACES),
        "slippage_parts_bps": _texts(parts),
    }


def _texts(parts: Mapping[str, Fraction | None] | None) -> dict[str, str | None] | None:
    if parts is None:
        return None
    return {name: None if part is None else decimal_text(part, PLACES) for name, part in parts.items()}
