"""What `decide` answers.

Belongs here: the record and the shortest way to a refusal. Does not belong here: reasons for one (`gates`,
`caps`, `decide`).
"""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum

import msgspec

__all__ = ["Action", "Decision", "skip"]

ZERO = Decimal(0)


class Action(StrEnum):
    """Send an order, or stop here."""

    ORDER = "order"
    SKIP = "skip"


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """What to do next, as data.

    `qty`, `wanted_qty` are unsigned (`wanted_qty` before caps), `target_qty` signed. `limit_price` `None` =
    market. `opens_after` marks the closing leg of a reversal: once it is confirmed, decide again for the
    opening one. `stop_loss`, `take_profit` are kept at the venue from the entry's first fill on.
    """

    action: Action
    reason: str
    detail: str
    is_exit: bool
    target_qty: Decimal = ZERO
    target_basis: Decimal | None = None
    leg: str = ""
    is_buy: bool = False
    qty: Decimal = ZERO
    wanted_qty: Decimal = ZERO
    reduce_only: bool = False
    limit_price: Decimal | None = None
    opens_after: bool = False
    capped: bool = False
    limit_value: Decimal | None = None
    observed_value: Decimal | None = None
    leverage_after: Decimal | None = None
    leverage_cap: Decimal | None = None
    stop_loss: Decimal | None = None
    take_profit: Decimal | None = None


def skip(
    reason: str,
    detail: str,
    is_exit: bool,
    *,
    target: Decimal = ZERO,
    wanted: Decimal = ZERO,
    limit: Decimal | int | None = None,
    observed: Decimal | int | None = None,
    leverage_cap: Decimal | None = None,
) -> Decision:
    """A refusal: its code, a sentence, and the numbers that decided it."""
    return Decision(
        action=Action.SKIP,
        reason=reason,
        detail=detail,
        is_exit=is_exit,
        target_qty=target,
        wanted_qty=wanted,
        limit_value=None if limit is None else Decimal(limit),
        observed_value=None if observed is None else Decimal(observed),
        leverage_cap=leverage_cap,
    )
