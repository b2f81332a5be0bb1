"""Noise takers: trades without a view, drawn at random. Pure.

Belongs here: how many trades a stretch of time brings, their side and size. Does not belong here: accounts'
state (`world`). The generator of randomness is an argument.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

from simulated_exchange.scenario.commands import Place
from simulated_exchange.scenario.config import NoiseConfig
from simulated_exchange.scenario.fixed import to_fixed
from simulated_exchange.scenario.market import Market

__all__ = ["follow_print", "noise_orders"]

TRADES_PER_STEP_MAX = 8
LEAN_SHARE = 0.35  # how much the odds of a side move when the takers together hold their full position
FULL_TRADES = 50  # median trades that make a full position


def noise_orders(
    config: NoiseConfig,
    market: Market,
    fair: int,
    elapsed_ms: int,
    accounts: Sequence[int],
    position_qty: int,
    rng: random.Random,
) -> list[Place]:
    """Market orders of `elapsed_ms` of wall time; the side leans against what the takers hold together."""
    median = to_fixed(config.median_usdt)
    full = market.size_of(median * FULL_TRADES, fair)
    lean = max(-1.0, min(1.0, position_qty / full)) * LEAN_SHARE if full else 0.0
    orders = []
    for _ in range(_poisson(config.rate_per_second * elapsed_ms / 1000, rng)):
        notional = round(median * math.exp(rng.gauss(0, config.sigma)))
        qty = market.qty_of(min(notional, to_fixed(config.size_max_usdt)), fair)
        orders.append(Place(rng.choice(accounts), market.instrument, rng.random() > 0.5 + lean, qty))
    return orders


def follow_print(
    config: NoiseConfig,
    market: Market,
    fair: int,
    last_print: int,
    accounts: Sequence[int],
    rng: random.Random,
) -> Place | None:
    """The smallest trade in the direction of a move that nobody has traded on yet, so that `last` follows."""
    if abs(fair - last_print) * 10_000 < last_print * config.print_bps:
        return None
    return Place(rng.choice(accounts), market.instrument, fair > last_print, market.least_qty(fair))


def _poisson(mean: float, rng: random.Random) -> int:
    threshold, count, product = math.exp(-mean), 0, rng.random()
    while product > threshold and count < TRADES_PER_STEP_MAX:
        product *= rng.random()
        count += 1
    return count
