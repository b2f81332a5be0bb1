"""Whether a report can be believed, from what it says itself.

Belongs here: the checks a report must pass before it is stored; each refusal is a short code and a sentence.
Does not belong here: syntax (`relay.protocol.codec` has refused that already), comparing with the leader's
signal (`drift.measure`), counting (`relay.store`). Times are not judged: clocks are stepped, and a strange
leg shows itself.
"""

from __future__ import annotations

from decimal import Decimal
from typing import NamedTuple

from relay.protocol.messages import CopyReport, Signal

__all__ = ["Refusal", "copy_refusal", "signal_refusal"]


class Refusal(NamedTuple):
    """Why a report was kept out: a code to count by and a sentence to read."""

    reason: str
    detail: str


def copy_refusal(copy: CopyReport) -> Refusal | None:
    """The first thing about a copy that cannot be true, or None."""
    for order in copy.orders:
        if Decimal(order.qty) <= 0:
            return Refusal(
                "impossible_qty", f"order {order.client_order_id}: qty was {order.qty}, must be > 0"
            )
        filled = Decimal(0)
        for fill in order.fills:
            if Decimal(fill.price) <= 0:
                return Refusal(
                    "impossible_price", f"fill {fill.fill_id}: price was {fill.price}, must be > 0"
                )
            if Decimal(fill.qty) <= 0:
                return Refusal("impossible_qty", f"fill {fill.fill_id}: qty was {fill.qty}, must be > 0")
            filled += Decimal(fill.qty)
        if filled > Decimal(order.qty):
            text = f"order {order.client_order_id}: {filled} filled of {order.qty}"
            return Refusal("impossible_qty", text)
    if len({order.side for order in copy.orders if order.fills}) > 1:
        return Refusal("impossible_side", "one signal was copied by fills on both sides")
    return None


def signal_refusal(signal: Signal) -> Refusal | None:
    """The first thing about a signal that cannot be true, or None."""
    if Decimal(signal.price) <= 0:
        return Refusal(
            "impossible_price", f"signal {signal.signal_id}: price was {signal.price}, must be > 0"
        )
    if Decimal(signal.qty) <= 0:
        return Refusal("impossible_qty", f"signal {signal.signal_id}: qty was {signal.qty}, must be > 0")
    return None
