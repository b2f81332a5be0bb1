"""Random order flow on a desk: rests, trades, amends, cancels, moving prices, liquidations. No tests here."""

from __future__ import annotations

import random

from simulated_exchange._engine import SCALE, OrderType, Outcome, Side, TimeInForce
from tests.unit.simulated_exchange.engine_rooms import ALICE, BOB, BTC, ETH, Desk

__all__ = ["trade"]

TICK = SCALE // 10


def trade(desk: Desk, dice: random.Random) -> Outcome:
    """One command; most are accepted, some refused."""
    account = dice.choice((ALICE, BOB))
    price = 50_000 * SCALE + dice.randint(-300, 300) * TICK
    kind = dice.random()
    if kind < 0.7:
        return desk.engine.place_order(
            *desk.now(),
            account=account,
            instrument=dice.choice((BTC, BTC, ETH)),
            side=dice.choice((Side.Buy, Side.Sell)),
            order_type=dice.choice((OrderType.Limit, OrderType.Limit, OrderType.Market)),
            time_in_force=dice.choice((TimeInForce.GoodTillCancel, TimeInForce.ImmediateOrCancel)),
            qty=dice.randint(1, 200) * SCALE // 1000,
            price=price,
            reduce_only=dice.random() < 0.1,
            link_id=f"id-{dice.randint(0, 99)}" if dice.random() < 0.3 else "",
        )
    if kind < 0.8:
        order_id = dice.randint(1, 200)
        return desk.engine.amend_order(*desk.now(), account=account, order_id=order_id, price=price, qty=None)
    if kind < 0.85:
        return desk.engine.cancel_order(*desk.now(), account=account, order_id=dice.randint(1, 200))
    if kind < 0.9:
        desk.market_ms += dice.randint(0, 90_000)
        return desk.engine.advance_time(*desk.now())
    return desk.engine.set_index_source(
        *desk.now(), instrument=dice.choice((BTC, ETH)), source=0, price=price + dice.randint(-9, 9) * SCALE
    )
