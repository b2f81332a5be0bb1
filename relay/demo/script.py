"""The leader of a demonstration without recorded fills: a seeded script of positions. Pure.

He opens, adds, trims, closes and turns around, and is long when the shock comes (half-way), because that is
when copying hurts. Does not belong here: orders and prices (`leader`).
"""

from __future__ import annotations

import random
from decimal import Decimal

from relay.demo.leader_fills import PlannedOrder

__all__ = ["scripted_plan"]

_BEGIN = 0.04
_END = 0.94
_STEP_SECONDS = 1.6
_STEPS_MIN, _STEPS_MAX = 24, 400
# Position after each step of an episode, as a share of the peak.
_EPISODES: tuple[tuple[str, ...], ...] = (
    ("0.35", "0.6", "0.85", "0.6", "0.3", "0"),
    ("0.5", "0.75", "1", "0.7", "0.4"),  # ends open: the next episode turns it around in one order
    ("0.4", "0.2", "0.55", "0.8", "0.4", "0"),
    ("0.6", "0.9", "0.45"),
)


def scripted_plan(*, seconds: int, seed: int) -> tuple[PlannedOrder, ...]:
    """Orders for a run of `seconds`: at least 24, about one every 1.6 s, none in the last twentieth."""
    rng = random.Random(seed)
    count = max(_STEPS_MIN, min(_STEPS_MAX, int((_END - _BEGIN) * seconds / _STEP_SECONDS)))
    spacing = (_END - _BEGIN) / count
    orders: list[PlannedOrder] = []
    direction = 1
    episode: list[str] = []
    for number in range(count):
        at = _BEGIN + spacing * (number + rng.uniform(-0.25, 0.25))
        if not episode:
            episode = list(rng.choice(_EPISODES))
            if orders:
                direction = 1 if 0.35 < at < 0.55 else -direction
        orders.append(PlannedOrder(at=at, position=direction * Decimal(episode.pop(0))))
    if not orders[-1].position:  # end with something to follow
        orders[-1] = PlannedOrder(at=orders[-1].at, position=direction * Decimal("0.4"))
    return tuple(orders)
