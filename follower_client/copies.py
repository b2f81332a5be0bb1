"""A copy's row from a signal's arrival to its one verdict.

Belongs here: opening the row, naming the outcome with the number that decided it. Does not belong here:
making anything happen (`executor`).
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from follower_client.core.decide import Decision, is_exit_step
from follower_client.core.decision import skip
from follower_client.core.policy import WAVE_WAIT_MAX_MS
from follower_client.core.snapshot import Quote
from follower_client.records import Copy, Order
from follower_client.venue.account import AccountState
from follower_client.venue.outcomes import NOTHING_TO_REDUCE
from follower_client.venue.port import VenueFill
from relay.protocol.codec import encode_payload
from relay.protocol.groups import group_epoch_of
from relay.protocol.messages import Signal
from relay.protocol.signing import Envelope
from relay.protocol.stagger import delay_ms

__all__ = [
    "conclude",
    "describe",
    "mark_accepted",
    "mark_executed",
    "mark_released",
    "mark_submitted",
    "open_copy",
    "refusal",
    "venue_mid",
]

OrderAndFills = tuple[Order, Sequence[VenueFill]]


def open_copy(
    follower_id: str, envelope: Envelope, signal: Signal, quote: Quote | None, received_ms: int
) -> Copy:
    """The row of a signal that has just arrived."""
    delay = min(max(0, delay_ms(signal.stagger, follower_id, envelope.seq)), WAVE_WAIT_MAX_MS)
    return Copy(
        leader_id=envelope.leader_id,
        epoch=envelope.epoch,
        seq=envelope.seq,
        signal_id=signal.signal_id,
        symbol=signal.symbol,
        side=signal.side,
        signal=encode_payload(signal) if group_epoch_of(envelope.payload) is not None else envelope.payload,
        received_ms=received_ms,
        wave_start_ms=min(signal.sealed_ms, received_ms) + delay,
        is_exit=is_exit_step(signal),
        received_mid=quote.mid if quote else None,
        received_mark=quote.mark if quote else None,
        received_last=quote.last if quote else None,
    )


def mark_released(copy: Copy, quote: Quote | None, at_ms: int) -> None:
    """Its wave has begun (an exit is released when it is submitted)."""
    if copy.released_ms is None:
        copy.released_ms, copy.released_mid = at_ms, quote.mid if quote else None


def mark_submitted(copy: Copy, quote: Quote | None, at_ms: int) -> None:
    """The first order is about to leave."""
    mark_released(copy, quote, at_ms)
    if copy.submitted_ms is None:
        copy.submitted_ms, copy.submitted_mid = at_ms, quote.mid if quote else None


def mark_accepted(copy: Copy, quote: Quote | None, at_ms: int) -> None:
    """The venue has said yes for the first time."""
    if copy.accepted_ms is None:
        copy.accepted_ms, copy.accepted_mid = at_ms, quote.mid if quote else None


def venue_mid(own_venue: str, signal: Signal, account: AccountState) -> Decimal | None:
    """The own venue's mid when the signal was sealed, where that is another one than the leader's."""
    if not own_venue or signal.market.venue in (None, own_venue):
        return None
    quote = account.quote_at(signal.symbol, signal.sealed_ms)
    return quote.mid if quote else None


def mark_executed(copy: Copy, account: AccountState) -> None:
    """Mark and last price at the last fill, as they were heard."""
    quote = None if copy.executed_ms is None else account.quote_at(copy.symbol, copy.executed_ms)
    if quote is not None:
        copy.executed_mark, copy.executed_last = quote.mark, quote.last


def refusal(reason: str, detail: str, *, limit: int, observed: int) -> Decision:
    """A skip that no decision was needed for."""
    return skip(reason, detail, False, limit=limit, observed=observed)


def describe(copy: Copy, decision: Decision) -> None:
    """Write a decision's words and numbers into the copy's row."""
    copy.reason, copy.detail = decision.reason, decision.detail
    if copy.is_late:
        copy.detail = f"{'unheard of' if decision.is_exit else 'on joining'}: {decision.detail}"
    copy.limit_value, copy.observed_value = decision.limit_value, decision.observed_value
    copy.wanted_qty, copy.order_qty = decision.wanted_qty, decision.qty
    copy.capped = decision.capped
    copy.leverage_after, copy.leverage_cap = decision.leverage_after, decision.leverage_cap


def conclude(copy: Copy, last: Decision, orders: Sequence[OrderAndFills]) -> None:
    """Set the verdict. `last` is the decision after which nothing more was sent."""
    filled = {leg: Decimal(0) for leg in ("open", "close")}
    for order, fills in orders:
        filled[order.leg] += sum((fill.qty for fill in fills), Decimal(0))
        executed = max((fill.executed_ms for fill in fills), default=None)
        if executed is not None:
            copy.executed_ms = max(executed, copy.executed_ms or 0)
    if filled["open"] > 0:
        copy.verdict = "capped" if copy.capped else "copied"
        return
    if filled["close"] > 0:
        copy.verdict = "copied"
        if not copy.is_exit:
            copy.reason = "closed_only"
            copy.detail = f"closed the old side; the new one was not opened: {_why(last, orders)}"
            copy.leverage_after = copy.leverage_cap = None
        return
    copy.leverage_after = None
    if not orders:
        describe(copy, last)
        copy.order_qty = Decimal(0)
        copy.leverage_after = None
        copy.target_qty = last.target_qty
        copy.verdict = "skipped"
        return
    _conclude_unfilled(copy, orders[-1][0])


def _conclude_unfilled(copy: Copy, order: Order) -> None:
    copy.verdict = "missed"
    if order.reject_code == NOTHING_TO_REDUCE and order.reduce_only:
        copy.verdict, copy.reason = "skipped", "already_flat"
        copy.detail = "the venue holds no position to reduce"
        copy.limit_value, copy.observed_value = order.qty, Decimal(0)
    elif order.abandoned and order.abandoned not in ("late", "tries"):
        copy.reason, copy.detail = order.abandoned, "entries were stopped before the order left"
    elif order.order_id is None and not order.reject_code:
        copy.reason, copy.detail = "late", "the order could not be placed before the entry's time was over"
        copy.observed_value = Decimal(order.tries)
    elif order.reject_code:
        copy.reason = "rejected"
        copy.observed_value = Decimal(order.reject_code) if order.reject_code.isdecimal() else None
        copy.detail = f"the venue refused the order with code {order.reject_code}"
    else:
        copy.reason, copy.detail = "not_filled", "nothing was offered within the price guard"
        copy.limit_value, copy.observed_value = order.limit_price, Decimal(0)


def _why(last: Decision, orders: Sequence[OrderAndFills]) -> str:
    opened = [order for order, _ in orders if order.leg == "open"]
    if not opened:
        return last.detail
    return f"rejected with code {opened[-1].reject_code}" if opened[-1].reject_code else "not filled"
