"""Prices over market time: recorded bars walked by a fixed rule, and seeded synthetic ones.

Belongs here: `price_at` (the price at a market time) and `waypoints` (the times between two ticks that must
not be missed, such as a bar's low). Does not belong here: files, orders, clocks. Random walks are floats
until they are rounded to units of 10**-8; recorded prices are integers all the way.
"""

from __future__ import annotations

import math
import random
from bisect import bisect_right
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from simulated_exchange.scenario.fixed import MILLI_BPS, SCALE
from simulated_exchange.scenario.replay import Bar

__all__ = [
    "BAR_WALK",
    "BarPath",
    "MeanPath",
    "Offset",
    "OffsetPath",
    "PricePath",
    "RatioPath",
    "Shock",
    "SyntheticPath",
    "bar_waypoints",
]

BAR_WALK = (
    "open-low-high-close when the bar closes at or above its open, open-high-low-close when below; a third "
    "of the bar's time between two points, straight in between; blank or missing bars stand at the last close"
)
YEAR_MS = 365 * 24 * 3600 * 1000
NODES_KEPT = 4096


class PricePath(Protocol):
    """A price for every market time."""

    def price_at(self, market_ms: int) -> int: ...

    def waypoints(self, after_ms: int, until_ms: int) -> list[int]:
        """Times in (after_ms, until_ms] at which the path turns, ascending."""
        ...


def bar_waypoints(bar: Bar) -> list[tuple[int, int]]:
    """The four (time, price) points that a bar is walked through."""
    start_ms, end_ms = bar.open_time_ms, bar.open_time_ms + bar.duration_ms - 1
    third_ms = bar.duration_ms // 3
    first, second = (bar.low, bar.high) if bar.close >= bar.open else (bar.high, bar.low)
    return [
        (start_ms, bar.open),
        (start_ms + third_ms, first),
        (start_ms + 2 * third_ms, second),
        (end_ms, bar.close),
    ]


class BarPath:
    """Recorded bars as a path. Outside the window stands the price at its start or its end."""

    def __init__(self, bars: Sequence[Bar], from_ms: int, to_ms: int) -> None:
        points = [point for bar in bars for point in bar_waypoints(bar)]
        self._times = [time_ms for time_ms, _ in points]
        self._prices = [price for _, price in points]
        self._from_ms, self._to_ms = from_ms, to_ms - 1

    def price_at(self, market_ms: int) -> int:
        """Straight between two points, rounded down to units of 10**-8."""
        time_ms = min(max(market_ms, self._from_ms), self._to_ms)
        after = bisect_right(self._times, time_ms)
        if after == 0:
            return self._prices[0]
        if after == len(self._times):
            return self._prices[-1]
        start_ms, start = self._times[after - 1], self._prices[after - 1]
        span_ms = self._times[after] - start_ms
        return start + (self._prices[after] - start) * (time_ms - start_ms) // span_ms

    def waypoints(self, after_ms: int, until_ms: int) -> list[int]:
        first = bisect_right(self._times, max(after_ms, self._from_ms - 1))
        last = bisect_right(self._times, min(until_ms, self._to_ms))
        return self._times[first:last]


class MeanPath:
    """The weighted mean of several paths, as the index of several sources is, but without its clamp."""

    def __init__(self, paths: Sequence[PricePath], weights: Sequence[int]) -> None:
        self._weighted = list(zip(paths, weights, strict=True))
        self._sum = sum(weights)

    def price_at(self, market_ms: int) -> int:
        return sum(path.price_at(market_ms) * weight for path, weight in self._weighted) // self._sum

    def waypoints(self, after_ms: int, until_ms: int) -> list[int]:
        return sorted({at for path, _ in self._weighted for at in path.waypoints(after_ms, until_ms)})


class RatioPath:
    """One path in units of another: what a coin costs in a coin, rounded down."""

    def __init__(self, over: PricePath, under: PricePath) -> None:
        self._over, self._under = over, under

    def price_at(self, market_ms: int) -> int:
        return max(1, self._over.price_at(market_ms) * SCALE // self._under.price_at(market_ms))

    def waypoints(self, after_ms: int, until_ms: int) -> list[int]:
        return sorted({at for path in (self._over, self._under) for at in path.waypoints(after_ms, until_ms)})


@dataclass(frozen=True, slots=True)
class Shock:
    """A move by `size` from `start_ms` over `fall_ms`, then back by `recovery` of it over `recover_ms`."""

    start_ms: int
    size: float
    fall_ms: int
    recovery: float
    recover_ms: int

    def times_ms(self) -> list[int]:
        bottom_ms = self.start_ms + self.fall_ms
        return [self.start_ms, bottom_ms, bottom_ms + self.recover_ms]

    def factor_at(self, market_ms: int) -> float:
        elapsed_ms = market_ms - self.start_ms
        if elapsed_ms <= 0:
            return 1.0
        if elapsed_ms <= self.fall_ms:
            return 1 + self.size * elapsed_ms / self.fall_ms
        back = min(1.0, (elapsed_ms - self.fall_ms) / self.recover_ms)
        return 1 + self.size * (1 - self.recovery * back)


class SyntheticPath:
    """A seeded geometric random walk on a grid of market time, with an optional shock on top.

    The walk depends on seed and grid alone, never on when it is asked. Only the newest nodes are kept: a time
    long before the newest one asked for gets the oldest price kept.
    """

    def __init__(
        self,
        *,
        seed: str,
        start_ms: int,
        grid_ms: int,
        start_price: int,
        volatility: float,
        shock: Shock | None = None,
    ) -> None:
        """`volatility`: annualised, a fraction; `start_price`: units of 10**-8."""
        self._random = random.Random(seed)
        self._start_ms, self._grid_ms = start_ms, grid_ms
        self._step = volatility * math.sqrt(grid_ms / YEAR_MS)
        self._nodes: deque[float] = deque([start_price / SCALE], maxlen=NODES_KEPT)
        self._first = 0
        self._shock = shock

    def price_at(self, market_ms: int) -> int:
        elapsed_ms = max(0, market_ms - self._start_ms)
        number, rest_ms = divmod(elapsed_ms, self._grid_ms)
        start, end = self._node(number), self._node(number + 1)
        price = start + (end - start) * (rest_ms / self._grid_ms)
        if self._shock is not None:
            price *= self._shock.factor_at(market_ms)
        return max(1, round(price * SCALE))

    def waypoints(self, after_ms: int, until_ms: int) -> list[int]:
        times = self._shock.times_ms() if self._shock is not None else []
        return times[bisect_right(times, after_ms) : bisect_right(times, until_ms)]

    def _node(self, number: int) -> float:
        while self._first + len(self._nodes) <= number:
            if len(self._nodes) == NODES_KEPT:
                self._first += 1
            self._nodes.append(
                self._nodes[-1] * math.exp(self._random.gauss(-(self._step**2) / 2, self._step))
            )
        return self._nodes[max(0, number - self._first)]


@dataclass(frozen=True, slots=True)
class Offset:
    """A mean-reverting offset from another path, in basis points; `shock_bps` at the bottom of a shock."""

    mean_bps: float
    deviation_bps: float
    reversion_ms: int
    shock_bps: float = 0.0


class OffsetPath:
    """Another path plus a seeded mean-reverting offset: a perpetual's basis, an index source's own noise."""

    def __init__(
        self,
        base: PricePath,
        offset: Offset,
        *,
        seed: str,
        start_ms: int,
        grid_ms: int,
        shock: Shock | None = None,
    ) -> None:
        self._base, self._offset, self._shock = base, offset, shock
        self._random = random.Random(seed)
        self._start_ms, self._grid_ms = start_ms, grid_ms
        self._nodes: deque[float] = deque([offset.mean_bps], maxlen=NODES_KEPT)
        self._first = 0
        self._keep = math.exp(-grid_ms / offset.reversion_ms)
        self._kick = offset.deviation_bps * math.sqrt(1 - self._keep**2)

    def price_at(self, market_ms: int) -> int:
        number, rest_ms = divmod(max(0, market_ms - self._start_ms), self._grid_ms)
        start, end = self._node(number), self._node(number + 1)
        offset_bps = start + (end - start) * (rest_ms / self._grid_ms)
        if self._shock is not None and self._shock.size:
            depth = (self._shock.factor_at(market_ms) - 1) / self._shock.size
            offset_bps += self._offset.shock_bps * depth
        base = self._base.price_at(market_ms)
        return max(1, base + base * round(offset_bps * 1000) // MILLI_BPS)

    def waypoints(self, after_ms: int, until_ms: int) -> list[int]:
        return self._base.waypoints(after_ms, until_ms)

    def _node(self, number: int) -> float:
        mean_bps = self._offset.mean_bps
        while self._first + len(self._nodes) <= number:
            if len(self._nodes) == NODES_KEPT:
                self._first += 1
            kick_bps = self._kick * self._random.gauss(0, 1)
            self._nodes.append(mean_bps + (self._nodes[-1] - mean_bps) * self._keep + kick_bps)
        return self._nodes[max(0, number - self._first)]
