"""Which hours of a recording are played, and how fast.

Belongs here: the choice of the window when none is given, and the plan of the market clock. Does not belong
here: reading (`replay`) and the clock itself (`simulated_exchange.clock`).
"""

from __future__ import annotations

import time
from collections import deque

from simulated_exchange.scenario.errors import ScenarioError
from simulated_exchange.scenario.replay import BarSeries

__all__ = ["WINDOW_RULE", "default_span_ms", "greatest_range", "plan_clock"]

HOUR_MS = 3_600_000
FINE_BAR_MAX_MS = HOUR_MS // 2
FINE_SPAN_MS = 2 * HOUR_MS
COARSE_SPAN_BARS = 48
WINDOW_RULE = (
    "without --from and --to: the stretch of recorded bars with the greatest (high - low) / low, the middle "
    "one of equals, two hours long (48 bars where a bar is longer than half an hour), of the last file, else "
    "of the first index file, inside what all files hold"
)


def default_span_ms(duration_ms: int) -> int:
    """How long a window is when nobody says: two hours of fine bars, 48 coarse ones."""
    return FINE_SPAN_MS if duration_ms <= FINE_BAR_MAX_MS else COARSE_SPAN_BARS * duration_ms


def greatest_range(series: BarSeries, span_ms: int, inside_ms: tuple[int, int]) -> tuple[int, int]:
    """The contiguous window of `span_ms` with the greatest (high - low) / low; one pass, monotonic queues."""
    width = max(1, span_ms // series.duration_ms)
    best = 0.0
    equals: list[int] = []  # first bars of the windows with the greatest range
    highest: deque[int] = deque()
    lowest: deque[int] = deque()
    run_start = 0
    for at, time_ms in enumerate(series.times_ms):
        usable = series.rows[at] is not None and inside_ms[0] <= time_ms
        usable = usable and time_ms + series.duration_ms <= inside_ms[1]
        follows = at > 0 and time_ms - series.times_ms[at - 1] == series.duration_ms
        if not usable or not follows:
            highest.clear()
            lowest.clear()
            run_start = at if usable else at + 1
        if not usable:
            continue
        while highest and series.highs[highest[-1]] <= series.highs[at]:
            highest.pop()
        while lowest and series.lows[lowest[-1]] >= series.lows[at]:
            lowest.pop()
        highest.append(at)
        lowest.append(at)
        first = at - width + 1
        while highest[0] < first:
            highest.popleft()
        while lowest[0] < first:
            lowest.popleft()
        if first >= run_start:
            low = series.lows[lowest[0]]
            spread = (series.highs[highest[0]] - low) / low
            if not equals or spread > best:
                best, equals = spread, [first]
            elif spread == best:
                equals.append(first)
    if not equals:
        raise ScenarioError(f"{series.label}: no {width} bars in a row without a gap; give --from and --to")
    start_ms = series.times_ms[equals[len(equals) // 2]]
    return start_ms, start_ms + width * series.duration_ms


def plan_clock(
    seconds: float,
    window: tuple[int, int] | None,
    *,
    now_ms: int | None = None,
) -> tuple[int, float]:
    """(market time at the start, market seconds in one wall second). No window: market time is wall time."""
    if seconds <= 0:
        raise ScenarioError(f"seconds: {seconds} is not a length of time; allowed: above 0")
    if window is None:
        return (time.time_ns() // 1_000_000 if now_ms is None else now_ms), 1.0
    from_ms, to_ms = window
    return from_ms, (to_ms - from_ms) / (seconds * 1000)
