"""What the leader held when he was first heard, as copies like any others.

Belongs here: the signal that such a position would have been, and the copy of it. Does not belong here:
whether it is taken (`core.gates`, by the policy's rule for joining late), doing it (`executor`).

Nobody sent that signal: it is a step from nothing to the position, at the market's price of this moment, so
that the price guard holds the entry to the market and not to what the leader paid. Its place is a function of
the snapshot's, so a crash finds the same copy and the same order again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from decimal import Decimal

import msgspec

from follower_client.copies import open_copy
from follower_client.core.policy import ENTRY_LIFE_MAX_MS, LateJoin, Policy
from follower_client.core.snapshot import Quote
from follower_client.leader_view import LeaderView
from follower_client.records import LATE_EPOCH, Copy
from follower_client.reports import Identity
from follower_client.store import Store
from relay.protocol.codec import decimal_text, encode_payload
from relay.protocol.messages import POSITIONS_MAX, MarketState, PositionState, Signal, Snapshot
from relay.protocol.signing import Envelope

__all__ = ["late_signals", "record_late"]

FILL_ID = "held-before"
PRICE_MAX = Decimal(10) ** 15  # the wire carries no larger one


def record_late(
    store: Store,
    policy: Policy,
    identity: Identity,
    view: LeaderView,
    quote_of: Callable[[str], Quote | None],
    envelope: Envelope,
    message: object,
) -> list[Copy]:
    """The copies to make of a message that has just come, in the store already: the head may move on. None
    but of the first snapshot, where positions from before are wanted, and never twice.
    """
    if not isinstance(message, Snapshot) or policy.late_join is LateJoin.WAIT:
        return []
    wanted, now_ms = {state.symbol for state in view.late(message)}, time.time_ns() // 1_000_000
    found = [
        open_copy(identity.follower_id, place, signal, quote_of(signal.symbol), now_ms)
        for place, signal in late_signals(envelope, message, quote_of, now_ms)
        if signal.symbol in wanted
    ]
    new = [copy for copy in found if not store.has_copy(copy.key)]
    for copy in new:
        store.record(copy)
    return new


def late_signals(
    envelope: Envelope, snapshot: Snapshot, quote_of: Callable[[str], Quote | None], now_ms: int
) -> Iterator[tuple[Envelope, Signal]]:
    """Every position of a snapshot as a step from nothing, at a place of its own."""
    for number, state in enumerate(snapshot.positions):
        qty = Decimal(state.qty)
        if qty == 0:
            continue
        signal = _signal(envelope.message_id, snapshot, state, quote_of(state.symbol), now_ms)
        seq = envelope.seq * POSITIONS_MAX + number
        payload = encode_payload(signal)
        yield msgspec.structs.replace(envelope, epoch=LATE_EPOCH, seq=seq, payload=payload), signal


def _signal(
    signal_id: str, snapshot: Snapshot, state: PositionState, quote: Quote | None, now_ms: int
) -> Signal:
    qty, implied = Decimal(state.qty), _implied_mark(snapshot, state)
    mark, last, bid, ask, mid = (
        (implied,) * 5 if quote is None else (quote.mark, quote.last, quote.bid, quote.ask, quote.mid)
    )
    return Signal(
        signal_id=signal_id,
        cause="manual",
        symbol=state.symbol,
        side="buy" if qty > 0 else "sell",
        qty=decimal_text(abs(qty)),
        price=decimal_text(mid),
        fill_ids=[FILL_ID],
        position=state,
        equity=snapshot.equity,
        account_leverage=snapshot.account_leverage,
        market=MarketState(
            mark=decimal_text(mark),
            index=decimal_text(mark),
            last=decimal_text(last),
            bid=decimal_text(bid),
            ask=decimal_text(ask),
        ),
        leader_exec_ms=snapshot.sealed_ms,
        seen_ms=snapshot.sealed_ms,
        sealed_ms=now_ms,
        expires_ms=ENTRY_LIFE_MAX_MS,
    )


def _implied_mark(snapshot: Snapshot, state: PositionState) -> Decimal:
    """What his position was valued at, where the own market has no price yet."""
    qty = Decimal(state.qty)
    return min(PRICE_MAX, abs(Decimal(state.exposure) * Decimal(snapshot.equity) / qty))
