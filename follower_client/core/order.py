"""The life of one order, as a table, and the name it is known by.

Belongs here: states, events, the one table of what may follow what, the client order id. Does not belong
here: which events a venue's answer means (`venue.outcomes`), storing or sending anything.
"""

from __future__ import annotations

import base64
import hashlib
from enum import StrEnum
from types import MappingProxyType

__all__ = [
    "CLIENT_ORDER_ID_LENGTH",
    "TERMINAL",
    "TRANSITIONS",
    "IllegalTransitionError",
    "OrderEvent",
    "OrderState",
    "advance",
    "client_order_id",
]

CLIENT_ORDER_ID_LENGTH = 32


class OrderState(StrEnum):
    """`intent` = recorded, nothing sent. `done` = terminal at the venue and every fill accounted for."""

    INTENT = "intent"
    SENT = "sent"
    ACCEPTED = "accepted"
    REJECTED = "rejected"
    UNKNOWN = "unknown"
    PARTIALLY_FILLED = "partially_filled"
    FILLED = "filled"
    CANCELLED = "cancelled"
    DONE = "done"


class OrderEvent(StrEnum):
    """What happens to an order. `absent` = proven not to exist at the venue; `refused` = not accepted, may
    be resent.
    """

    SEND = "send"
    ACCEPT = "accept"
    REJECT = "reject"
    REFUSE = "refuse"
    LOSE = "lose"
    ABSENT = "absent"
    ABANDON = "abandon"
    PARTIAL_FILL = "partial_fill"
    FILL = "fill"
    CANCEL = "cancel"
    SETTLE = "settle"


class IllegalTransitionError(AssertionError):
    """An event that cannot happen in this state: a bug, or a venue that contradicts itself."""


_S, _E = OrderState, OrderEvent

_AT_VENUE = {
    _E.PARTIAL_FILL: _S.PARTIALLY_FILLED,
    _E.FILL: _S.FILLED,
    _E.CANCEL: _S.CANCELLED,
}

TRANSITIONS = MappingProxyType(
    {
        (state, event): after
        for state, events in {
            _S.INTENT: {_E.SEND: _S.SENT, _E.ABANDON: _S.CANCELLED, _E.LOSE: _S.UNKNOWN},
            _S.SENT: {
                _E.ACCEPT: _S.ACCEPTED,
                _E.REJECT: _S.REJECTED,
                _E.REFUSE: _S.INTENT,
                _E.LOSE: _S.UNKNOWN,
                **_AT_VENUE,
            },
            _S.UNKNOWN: {
                _E.ACCEPT: _S.ACCEPTED,
                _E.REJECT: _S.REJECTED,
                _E.ABSENT: _S.INTENT,
                _E.LOSE: _S.UNKNOWN,
                **_AT_VENUE,
            },
            _S.ACCEPTED: {_E.ACCEPT: _S.ACCEPTED, **_AT_VENUE},
            _S.PARTIALLY_FILLED: {_E.ACCEPT: _S.PARTIALLY_FILLED, **_AT_VENUE},
            _S.FILLED: {_E.ACCEPT: _S.FILLED, _E.FILL: _S.FILLED, _E.SETTLE: _S.DONE},
            _S.CANCELLED: {_E.ACCEPT: _S.CANCELLED, _E.CANCEL: _S.CANCELLED, _E.SETTLE: _S.DONE},
            _S.REJECTED: {_E.REJECT: _S.REJECTED, _E.SETTLE: _S.DONE},
            _S.DONE: {},
        }.items()
        for event, after in events.items()
    }
)
"""(state, event) -> state. A pair that is not here is an error."""

TERMINAL = frozenset({_S.REJECTED, _S.FILLED, _S.CANCELLED, _S.DONE})


def advance(state: OrderState, event: OrderEvent) -> OrderState:
    """The state after the event; raises `IllegalTransitionError` for a pair that the table lacks."""
    after = TRANSITIONS.get((state, event))
    if after is None:
        raise IllegalTransitionError(f"order in state {state} cannot {event}")
    return after


def client_order_id(follower_id: str, leader_id: str, epoch: int, seq: int, leg: str, n: int) -> str:
    """The order's name: a function of what it is for, so a crash derives the same one again.

    32 characters of `[a-z2-7]`. `n` rises only when order n - 1 of the leg is terminal at the venue.
    """
    text = "|".join((follower_id, leader_id, str(epoch), str(seq), leg, str(n)))
    digest = hashlib.sha256(text.encode()).digest()[: CLIENT_ORDER_ID_LENGTH * 5 // 8]
    return base64.b32encode(digest).decode().lower()
