"""What a run is measured by: how closely trades follow the path, and the mark the recorded mark.

Belongs here: gaps in basis points and their summaries. Nothing here is ever fed back. Does not belong here:
recording of what other parts measure. Statistics are floats; percentiles come from HdrHistogram.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hdrh.histogram import HdrHistogram

from simulated_exchange.scenario.fixed import gap_bps
from simulated_exchange.scenario.replay import Bar

__all__ = ["MarkCheck", "Percentiles", "Samples"]

HUNDREDTHS_MAX = 100_000_000
SAMPLES_MAX = 600


class Percentiles:
    """Sizes of gaps (basis points) or durations (milliseconds), to a hundredth."""

    def __init__(self) -> None:
        self._histogram = HdrHistogram(1, HUNDREDTHS_MAX, 3)
        self._max = 0.0

    def record(self, value: float) -> None:
        size = abs(value)
        self._max = max(self._max, size)
        self._histogram.record_value(min(round(size * 100) + 1, HUNDREDTHS_MAX))

    def summary(self) -> dict[str, Any]:
        count = int(self._histogram.get_total_count())
        if not count:
            return {"count": 0, "p50": None, "p99": None, "max": None}
        return {
            "count": count,
            "p50": self._percentile(50),
            "p99": self._percentile(99),
            "max": round(self._max, 2),
        }

    def _percentile(self, percentile: float) -> float:
        size = (int(self._histogram.get_value_at_percentile(percentile)) - 1) / 100
        return round(min(size, self._max), 2)


class MarkCheck:
    """The engine's mark against recorded bars: inside [low, high], at the closes, at the extremes."""

    def __init__(self, bars: Sequence[Bar], window: tuple[int, int], tolerance_bps: float) -> None:
        self._bars = [bar for bar in bars if not bar.held]
        self._window = window
        self._tolerance_bps = tolerance_bps
        self._outside = Percentiles()
        self._at_close = Percentiles()
        self._at_extreme = Percentiles()
        self._inside = self._seen = 0
        self._at = 0
        self._own: list[int] = []  # lowest, highest, newest mark of the present bar

    def observe(self, path_ms: int, mark: int) -> None:
        """`mark` in units of 10**-8, when the recording stood at `path_ms`; times must not go back."""
        from_ms, to_ms = self._window
        if not from_ms <= path_ms < to_ms or mark <= 0:
            return
        while self._at < len(self._bars):
            bar = self._bars[self._at]
            if path_ms < bar.open_time_ms + bar.duration_ms:
                break
            self._close(bar)
        if self._at == len(self._bars) or path_ms < self._bars[self._at].open_time_ms:
            return
        bar = self._bars[self._at]
        outside = min(0.0, gap_bps(mark, bar.low)) or max(0.0, gap_bps(mark, bar.high))
        self._seen += 1
        self._inside += abs(outside) <= self._tolerance_bps
        self._outside.record(outside)
        self._own = [min(mark, *self._own[:1]), max(mark, *self._own[1:2]), mark] if self._own else [mark] * 3

    def finish(self, path_ms: int) -> None:
        """The window is over at `path_ms`: a bar that ended by then is closed."""
        while self._at < len(self._bars):
            bar = self._bars[self._at]
            if bar.open_time_ms + bar.duration_ms > min(path_ms, self._window[1]):
                return
            self._close(bar)

    def summary(self) -> dict[str, Any]:
        return {
            "tolerance_bps": self._tolerance_bps,
            "samples": self._seen,
            "inside_share": round(self._inside / self._seen, 4) if self._seen else None,
            "outside_bar_bps": self._outside.summary(),
            "at_close_bps": self._at_close.summary(),
            "at_extreme_bps": self._at_extreme.summary(),
        }

    def _close(self, bar: Bar) -> None:
        if self._own:
            lowest, highest, newest = self._own
            self._at_close.record(gap_bps(newest, bar.close))
            if bar.open_time_ms >= self._window[0] and bar.open_time_ms + bar.duration_ms <= self._window[1]:
                self._at_extreme.record(gap_bps(lowest, bar.low))
                self._at_extreme.record(gap_bps(highest, bar.high))
        self._own = []
        self._at += 1


class Samples:
    """A bounded series over a run of any length: when full, every other sample goes, the stride doubles."""

    def __init__(self) -> None:
        self.rows: list[list[int]] = []
        self._stride = 1
        self._seen = 0

    def add(self, row: list[int]) -> None:
        if self._seen % self._stride == 0:
            self.rows.append(row)
            if len(self.rows) >= SAMPLES_MAX:
                self.rows = self.rows[::2]
                self._stride *= 2
        self._seen += 1
