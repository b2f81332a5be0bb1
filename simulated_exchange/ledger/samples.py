"""Prices as they went, sampled a few times a second of wall time: for pictures and for the gap to the mark.

Belongs here: the bounded ring. Does not belong here: when to sample.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

__all__ = ["SAMPLES_MAX", "PriceSample", "PriceSamples"]

SAMPLES_MAX = 20_000  # per instrument; more than an hour at four a second


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
