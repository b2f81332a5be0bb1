"""What no event tells, sampled: prices a few times a second of wall time, open interest by market time.

Belongs here: the bounded ring. Does not belong here: when to sample.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

__all__ = [
    "INTEREST_STEP_MS",
    "SAMPLES_MAX",
    "InterestSample",
    "InterestSamples",
    "PriceSample",
    "PriceSamples",
]

SAMPLES_MAX = 20_000  # per instrument; more than an hour at four a second
INTEREST_STEP_MS = 300_000
INTEREST_SAMPLES_MAX = 12 * 24 * 31  # per instrument; a month


class PriceSample(NamedTuple):
    """One moment; prices are fixed point, 0 where there is none yet."""

    wall_ms: int
    market_ms: int
    index_price: int
    mark_price: int
    last_price: int


class PriceSamples:
    """The rings of all instruments."""

    def __init__(self, instruments: int) -> None:
        self._rings: list[deque[PriceSample]] = [deque(maxlen=SAMPLES_MAX) for _ in range(instruments)]

    def add(self, instrument: int, wall_ms: int, market_ms: int, index: int, mark: int, last: int) -> None:
        """Remember one moment; nothing is remembered before there is a price."""
        if index:
            self._rings[instrument].append(PriceSample(wall_ms, market_ms, index, mark, last))

    def of(self, instrument: int) -> list[PriceSample]:
        """All samples kept, oldest first."""
        return list(self._rings[instrument])

    def gap_bps(self, quantile: float) -> float | None:
        """A quantile of |mark - last| / mark over all samples, in basis points; None without samples."""
        gaps = sorted(
            abs(sample.mark_price - sample.last_price) * 10_000 / sample.mark_price
            for ring in self._rings
            for sample in ring
            if sample.last_price and sample.mark_price
        )
        return round(gaps[min(int(len(gaps) * quantile), len(gaps) - 1)], 3) if gaps else None


class InterestSample(NamedTuple):
    """Five minutes of market time as they began: the sum of long positions, and who holds them."""

    start_ms: int
    open_interest: int
    longs: int
    shorts: int


class InterestSamples:
    """The rings of all instruments; they begin anew with the process."""

    def __init__(self, instruments: int) -> None:
        self._rings: list[deque[InterestSample]] = [
            deque(maxlen=INTEREST_SAMPLES_MAX) for _ in range(instruments)
        ]

    def is_due(self, instrument: int, market_ms: int) -> bool:
        """Whether five new minutes have begun."""
        ring = self._rings[instrument]
        return not ring or market_ms - ring[-1].start_ms >= INTEREST_STEP_MS

    def add(self, instrument: int, market_ms: int, open_interest: int, longs: int, shorts: int) -> None:
        """Remember how five minutes began."""
        start_ms = market_ms - market_ms % INTEREST_STEP_MS
        self._rings[instrument].append(InterestSample(start_ms, open_interest, longs, shorts))

    def newest_first(self, instrument: int, step_ms: int) -> list[InterestSample]:
        """One sample for each step: the one it began with."""
        found: dict[int, InterestSample] = {}
        for sample in self._rings[instrument]:
            start_ms = sample.start_ms - sample.start_ms % step_ms
            found.setdefault(start_ms, sample._replace(start_ms=start_ms))
        return list(reversed(found.values()))
