"""Whether a report can be believed, from what it says itself and from when it came; and what is odd about it.

Belongs here: the checks a report must pass before it is stored; each refusal is a short code and a sentence.
Does not belong here: syntax (`relay.protocol.codec` has refused that already), comparing with the leader's
signal (`drift.measure`), counting (`relay.store`).

A word says where its follower stands now: one that comes late, or from a time that is still to come, says
something else, and is kept out. A verdict is true whenever it comes: it is counted as late and kept. Its own
clock may be off, which shows against the signal (`drift.clocks_apart`); the venue's may not.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Literal, NamedTuple

from relay.protocol.messages import CopyReport, Signal, StatusReport

__all__ = [
    "ARRIVALS",
    "Came",
    "Odd",
    "OddKind",
    "Refusal",
    "copy_refusal",
    "is_ahead",
    "is_late",
    "signal_refusal",
    "word_refusal",
]

LATE_MS = 60_000
AHEAD_MS = 5_000  # beyond what clocks that are kept differ by

OddKind = Literal["late", "doubled", "out_of_order", "unknown_signal"]
ARRIVALS: tuple[OddKind, ...] = ("late", "doubled", "out_of_order")  # those that the store keeps count of


class Refusal(NamedTuple):
    """Why a report was kept out: a code to count by and a sentence to read."""

    reason: str
    detail: str


class Came(NamedTuple):
    """How a report came."""

    ms: int  # when the broker had it, by its clock
    is_again: bool = False  # it was handed over before: that says nothing of the follower


class Odd(NamedTuple):
    """Something about how a report came."""

    kind: OddKind
    leader_id: str
    follower_id: str


def copy_refusal(copy: CopyReport, came: Came | None = None) -> Refusal | None:
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
    executed_ms = max(_venue_times(copy), default=0)
    if came is not None and executed_ms > came.ms + AHEAD_MS:
        return Refusal("impossible_time", f"filled {executed_ms - came.ms} ms after its report came")
    return None


def word_refusal(word: StatusReport, came: Came) -> Refusal | None:
    """Why a word cannot be one of this moment, or None."""
    ahead_ms = word.sent_ms - came.ms
    if ahead_ms > AHEAD_MS:
        return Refusal("clock_ahead", f"sent {ahead_ms} ms after it came: its clock is ahead")
    if ahead_ms < -LATE_MS:
        return Refusal("late", f"came {-ahead_ms} ms after it was sent: late, or its clock is behind")
    return None


def is_late(copy: CopyReport, came: Came) -> bool:
    """Whether a verdict came long after it was given, by the clocks of those who gave it."""
    own = (copy.received_ms, copy.released_ms, copy.submitted_ms, copy.accepted_ms)
    given_ms = max(*(at_ms for at_ms in own if at_ms is not None), *_venue_times(copy), 0)
    return came.ms - given_ms > LATE_MS


def is_ahead(copy: CopyReport, came: Came) -> bool:
    """Whether a verdict was given after it came."""
    return copy.received_ms > came.ms + AHEAD_MS


def signal_refusal(signal: Signal) -> Refusal | None:
    """The first thing about a signal that cannot be true, or None."""
    if Decimal(signal.price) <= 0:
        return Refusal(
            "impossible_price", f"signal {signal.signal_id}: price was {signal.price}, must be > 0"
        )
    if Decimal(signal.qty) <= 0:
        return Refusal("impossible_qty", f"signal {signal.signal_id}: qty was {signal.qty}, must be > 0")
    return None


def _venue_times(copy: CopyReport) -> Iterator[int]:
    if copy.executed_ms is not None:
        yield copy.executed_ms
    for order in copy.orders:
        for fill in order.fills:
            yield fill.executed_ms
