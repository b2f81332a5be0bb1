"""How entries of many followers are spread over time: the window that costs least.

Belongs here: the cost model and its minimum, pure. Does not belong here: who is active (`relay.presence`),
the market's figures (`relay.sampling`), what a follower does with a plan (`relay.protocol.stagger`).

All orders at once push the price; waiting leaves it to wander. With a depth D within REACH_BPS, a refill R
per second and orders of N in all over a window W:

    impact(W) = REACH_BPS * N / (2 * (D + R * W))      what the average order pays, in bps
    timing(W) = volatility * 2/3 * sqrt(W)             what the average wait costs at one standard deviation

The sum has up to two valleys, one of them at no window at all, so it is searched on a grid. Exits are not
spread, so they are not in here.

What a follower holds is his own word. Each counts for SHARE_MAX of the depth at most, whatever he claims: a
window is only chosen where it costs less than the impact it takes away, and one claim adds no more than
REACH_BPS * SHARE_MAX / 2 = 0.5 bps of that. So nobody makes the others wait for longer than is worth that.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from itertools import accumulate
from typing import Final

from relay.protocol.messages import StaggerPlan

__all__ = ["REACH_BPS", "SHARE_MAX", "Crowd", "Entrants", "MarketSample", "SpreadPlan", "plan_for"]

REACH_BPS: Final = Decimal(10)
WAVES_MAX: Final = 50
SPACING_MIN_MS: Final = 20  # below it waves are one: the way of a signal varies by more
_GRID: Final = 100
COPIED_SHARE: Final = Decimal("0.5")  # followers take at most half of the leader's exposure
SHARE_MAX: Final = Decimal("0.1")  # of the depth, that one follower counts for


@dataclass(frozen=True, slots=True)
class Crowd:
    """Those who will enter: how many, and what they will send in all."""

    followers: int
    notional_usdt: Decimal


class Entrants:
    """Who follows now, by what each claims to hold (whole USDT)."""

    def __init__(self, equities_usdt: Iterable[int]) -> None:
        self._sorted = sorted(equities_usdt)
        self._sums = [0, *accumulate(self._sorted)]

    @property
    def count(self) -> int:
        """How many."""
        return len(self._sorted)

    def crowd(self, step: Decimal, depth_usdt: Decimal) -> Crowd:
        """What they will send when the leader enters with `step` of his equity, each SHARE_MAX of the book at
        most.
        """
        share = step * COPIED_SHARE
        if share <= 0:
            return Crowd(self.count, Decimal(0))
        most = SHARE_MAX * depth_usdt
        within = bisect_right(self._sorted, most / share)
        return Crowd(self.count, self._sums[within] * share + (self.count - within) * most)


@dataclass(frozen=True, slots=True)
class MarketSample:
    """A symbol's book and motion at the leader's venue."""

    depth_usdt: Decimal  # on the thinner side, within REACH_BPS of the middle
    refill_usdt_per_s: Decimal
    volatility_bps: Decimal  # one standard deviation over a second


@dataclass(frozen=True, slots=True)
class SpreadPlan:
    """The plan and both parts of its cost, beside the impact of all at once."""

    stagger: StaggerPlan
    impact_bps: Decimal
    timing_bps: Decimal
    impact_at_once_bps: Decimal


def plan_for(crowd: Crowd, market: MarketSample, window_ms_max: int) -> SpreadPlan:
    """The cheapest window up to `window_ms_max`; one wave where waiting does not pay."""
    at_once = _impact(crowd, market, 0)
    best_ms, best_cost = 0, at_once
    if crowd.followers > 1 and market.depth_usdt > 0:
        for step in range(1, _GRID + 1):
            window_ms = window_ms_max * step // _GRID
            cost = _impact(crowd, market, window_ms) + _timing(market, window_ms)
            if cost < best_cost:
                best_ms, best_cost = window_ms, cost
    waves = min(crowd.followers, WAVES_MAX, best_ms // SPACING_MIN_MS + 1)
    if waves <= 1:
        return SpreadPlan(StaggerPlan(), _rounded(at_once), Decimal(0), _rounded(at_once))
    spacing_ms = best_ms // (waves - 1)
    return SpreadPlan(
        StaggerPlan(waves=waves, spacing_ms=spacing_ms),
        _rounded(_impact(crowd, market, best_ms)),
        _rounded(_timing(market, best_ms)),
        _rounded(at_once),
    )


def _impact(crowd: Crowd, market: MarketSample, window_ms: int) -> Decimal:
    available = market.depth_usdt + market.refill_usdt_per_s * window_ms / 1000
    if available <= 0:
        return Decimal(0)
    return REACH_BPS * crowd.notional_usdt / (2 * available)


def _timing(market: MarketSample, window_ms: int) -> Decimal:
    return market.volatility_bps * 2 / 3 * (Decimal(window_ms) / 1000).sqrt()


def _rounded(bps: Decimal) -> Decimal:
    return bps.quantize(Decimal("0.001"))
