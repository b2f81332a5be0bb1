"""Market makers: where they quote, how much, and when a taken level comes back. Pure.

Belongs here: quotes as a function of fair price, speed of the market, inventory and time; the state of a
maker's levels. Does not belong here: where the fair price comes from (`world`), carrying out (`runner`).
Prices and quantities are integers; widths are thousandths of a basis point.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from simulated_exchange.scenario.commands import Amend, Cancel, Command, Place
from simulated_exchange.scenario.config import FastMoveConfig, MakerConfig
from simulated_exchange.scenario.fixed import MILLI_BPS, ceil_to, floor_to, share_of, to_fixed
from simulated_exchange.scenario.market import Market

__all__ = ["Calm", "Level", "Maker", "quote", "requote", "taken", "weather"]

REQUOTE_SHARE = 2  # a maker moves its quotes when the fair price moved by 1/2 of its half spread
DEPTH_STEPS = 4  # depth thins in quarters


@dataclass(frozen=True, slots=True)
class Calm:
    """How fast the market is: spreads are `widen_percent` of normal, depth `depth_quarters` / 4."""

    widen_percent: int = 100
    depth_quarters: int = DEPTH_STEPS


@dataclass(slots=True)
class Level:
    """One quote of a maker. `order_id` 0: nothing rests; it comes back at `refill_at_ms`."""

    buy: bool
    number: int
    link_id: str = ""
    order_id: int = 0
    price: int = 0
    qty: int = 0  # of the order, what was filled included
    leaves: int = 0
    full: int = 0  # what the level would show untaken
    refill_at_ms: int = 0  # 0: nothing to refill


@dataclass(slots=True)
class Maker:
    """One maker in one market."""

    account: int
    config: MakerConfig
    levels: list[Level] = field(init=False)
    inventory: int = 0
    quoted_at: int = 0  # the fair price of the present quotes
    calm: Calm = field(default_factory=Calm)
    orders_sent: int = 0

    def __post_init__(self) -> None:
        numbers = range(self.config.levels)
        self.levels = [Level(buy, number) for buy in (True, False) for number in numbers]


def weather(speed_milli_bps: int, config: FastMoveConfig, threshold_bps: float) -> Calm:
    """Calm or fast: `speed_milli_bps` is how far the price moved within the configured time."""
    threshold = round(threshold_bps * 1000)
    if speed_milli_bps <= threshold:
        return Calm()
    widen = min(100 * speed_milli_bps // threshold, round(config.widen_max * 100))
    quarters = max(DEPTH_STEPS * threshold // speed_milli_bps, round(config.thin_min * DEPTH_STEPS), 1)
    return Calm(widen // 10 * 10, min(quarters, DEPTH_STEPS))


def quote(maker: Maker, level: Level, fair: int, calm: Calm, market: Market) -> tuple[int, int]:
    """(price, qty) of one level: bids round down to the tick, asks up and above the fair price."""
    config = maker.config
    half = round(config.half_spread_bps * 1000)
    limit = max(1, to_fixed(config.inventory_max_usdt))
    held = market.worth(maker.inventory, fair)
    held = max(-limit, min(limit, held))
    skew = round(config.skew_share * half) * held // limit
    centre = fair - share_of(fair, skew)
    width = (half + round(config.level_step_bps * 1000) * level.number) * calm.widen_percent // 100
    offset = centre * width // MILLI_BPS
    growth = round(config.depth_growth**level.number * 1000)
    depth = to_fixed(config.depth_usdt) * growth // 1000 * calm.depth_quarters // DEPTH_STEPS
    if level.buy:
        price = floor_to(centre - offset, market.tick_size)
    else:
        price = max(
            ceil_to(centre + offset, market.tick_size), floor_to(centre, market.tick_size) + market.tick_size
        )
    price = max(price, market.tick_size)
    full = abs(held) >= limit and (held > 0) == level.buy
    qty = 0 if full else max(floor_to(market.size_of(depth, price), market.qty_step), market.least_qty(price))
    return price, min(qty, market.qty_max)


def requote(
    maker: Maker, fair: int, calm: Calm, now_ms: int, market: Market, link_tag: str, *, place: bool = True
) -> tuple[list[Command], list[Command]]:
    """(bid commands, ask commands) that bring the maker's quotes where they belong now.

    `place` False: only orders that rest already are moved, since a new one could not be moved again at once.
    """
    half = share_of(fair, round(maker.config.half_spread_bps * 1000))
    moved = abs(fair - maker.quoted_at) * REQUOTE_SHARE >= max(half, market.tick_size) or calm != maker.calm
    if moved:
        maker.quoted_at, maker.calm = fair, calm
    bids: list[Command] = []
    asks: list[Command] = []
    for level in maker.levels:
        due = level.refill_at_ms > 0 and now_ms >= level.refill_at_ms
        if level.order_id:
            command = _changed(maker, level, market, due=due) if moved or due else None
        elif level.link_id or not place or (level.refill_at_ms and not due):
            command = None
        else:
            command = _placed(maker, level, market, link_tag)
        if command is not None:
            (bids if level.buy else asks).append(command)
    return bids, asks


def taken(maker: Maker, level: Level, leaves: int, now_ms: int, rng: random.Random) -> None:
    """A fill or a cancellation left `leaves` of the level; when half is taken it comes back in a while."""
    level.leaves = leaves
    if leaves == 0:
        level.order_id, level.link_id = 0, ""
    if not level.refill_at_ms and leaves * 2 < level.full:
        level.refill_at_ms = now_ms + maker.config.refill_ms * rng.randint(50, 150) // 100


def _placed(maker: Maker, level: Level, market: Market, link_tag: str) -> Command | None:
    price, qty = quote(maker, level, maker.quoted_at, maker.calm, market)
    if qty == 0:
        return None
    maker.orders_sent += 1
    level.link_id = f"{link_tag}-{maker.account}-{maker.orders_sent}"
    level.price, level.qty, level.leaves, level.full, level.refill_at_ms = price, qty, qty, qty, 0
    return Place(maker.account, market.instrument, level.buy, qty, price, link_id=level.link_id)


def _changed(maker: Maker, level: Level, market: Market, *, due: bool) -> Command | None:
    """Follow the price with what is left; what was taken comes back only when its time has come."""
    price, target = quote(maker, level, maker.quoted_at, maker.calm, market)
    if target == 0:
        return Cancel(maker.account, level.order_id)
    whole = due or (level.leaves == level.full and not level.refill_at_ms)
    leaves = target if whole else min(level.leaves, target)
    if due:
        level.refill_at_ms = 0
    level.full = target
    if price == level.price and leaves == level.leaves:
        return None
    level.qty += leaves - level.leaves
    level.price, level.leaves = price, leaves
    return Amend(maker.account, level.order_id, price, level.qty)
