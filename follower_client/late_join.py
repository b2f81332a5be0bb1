"""What a list of all the leader's positions tells and no signal did, as copies like any others: what he held
when he was first heard, and what he has left since, where messages are gone for good.

Belongs here: the signal that such a step would have been, and the copy of it. Does not belong here:
whether it is taken (`core.gates`, by the policy's rule for joining late), doing it (`executor`).

Nobody sent that signal: it is a step at the market's price of this moment, so that the price guard holds an
entry to the market and not to what the leader paid. Its place is a function of the snapshot's, so a crash
finds the same copy and the same order again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from decimal import Decimal

import msgspec

from follower_client.copies import open_copy
from follower_client.core.policy import ENTRY_LIFE_MAX_MS, LateJoin, Policy
from follower_client.core.snapshot import Quote, sign
from follower_client.leader_view import LeaderView
from follower_client.records import LATE_EPOCH, Copy, CopyKey
from follower_client.reports import Identity
from follower_client.store import Store
from relay.protocol.codec import decimal_text, encode_payload
from relay.protocol.messages import POSITIONS_MAX, MarketState, PositionState, Signal, Snapshot
from relay.protocol.signing import Envelope

__all__ = ["late_place", "late_signals", "record_late", "unheard_exit"]

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
    but of the first snapshot, where positions from before are wanted, and of the first after a gap; never
    twice.
    """
    if not isinstance(message, Snapshot):
        return []
    now_ms = time.time_ns() // 1_000_000
    wanted = set() if policy.late_join is LateJoin.WAIT else {state.symbol for state in view.late(message)}
    steps = [
        (place, signal)
        for place, signal in late_signals(envelope, message, quote_of, now_ms)
        if signal.symbol in wanted
    ]
    if view.has_gap and view.facts.joined:
        steps += _missed_exits(envelope, message, view, quote_of, now_ms)
    view.has_gap = False
    found = [
        open_copy(identity.follower_id, place, signal, quote_of(signal.symbol), now_ms)
        for place, signal in steps
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
        signal = _signal(envelope.message_id, snapshot, state, qty, state, quote_of(state.symbol), now_ms)
        yield _placed(envelope, number, signal), signal


def _missed_exits(
    envelope: Envelope,
    snapshot: Snapshot,
    view: LeaderView,
    quote_of: Callable[[str], Quote | None],
    now_ms: int,
) -> Iterator[tuple[Envelope, Signal]]:
    """A step down for every position that is smaller in the snapshot than it was when he was last heard. What
    is on the other side now was entered unheard: that is not copied, what stood before it is left.
    """
    after = {state.symbol: state for state in snapshot.positions}
    held = [state for state in view.positions.values() if Decimal(state.qty) != 0]
    for number, before in enumerate(sorted(held, key=lambda state: state.symbol)[:POSITIONS_MAX]):
        flat = PositionState(
            symbol=before.symbol, qty="0", entry_price="0", exposure="0", leverage=before.leverage
        )
        now = after.get(before.symbol, flat)
        if sign(Decimal(now.qty)) != sign(Decimal(before.qty)):
            now = flat
        step = Decimal(now.qty) - Decimal(before.qty)
        if step == 0 or sign(step) == sign(Decimal(before.qty)):
            continue
        signal = _signal(envelope.message_id, snapshot, before, step, now, quote_of(before.symbol), now_ms)
        yield _placed(envelope, number, signal), signal


def late_place(envelope: Envelope, number: int) -> CopyKey:
    """The place of the step that had this number among those that a snapshot told."""
    return CopyKey(envelope.leader_id, LATE_EPOCH, envelope.seq * POSITIONS_MAX + number)


def unheard_exit(
    envelope: Envelope, snapshot: Snapshot, number: int, symbol: str, price: Decimal
) -> tuple[Envelope, Signal]:
    """Such a step out of this symbol, at this price; how much it was is not known any more."""
    state = PositionState(symbol=symbol, qty="1", entry_price="0", exposure="0", leverage="1")
    flat = msgspec.structs.replace(state, qty="0")
    quote = Quote(price, price, price, price, snapshot.sealed_ms)
    signal = _signal(envelope.message_id, snapshot, state, Decimal(-1), flat, quote, snapshot.sealed_ms)
    return _placed(envelope, number, signal), signal


def _placed(envelope: Envelope, number: int, signal: Signal) -> Envelope:
    place = late_place(envelope, number)
    return msgspec.structs.replace(envelope, epoch=place.epoch, seq=place.seq, payload=encode_payload(signal))


def _signal(
    signal_id: str,
    snapshot: Snapshot,
    valued: PositionState,
    step: Decimal,
    after: PositionState,
    quote: Quote | None,
    now_ms: int,
) -> Signal:
    """A step to `after`; `valued` says what the symbol is worth where the own market has no price yet."""
    implied = _implied_mark(snapshot, valued)
    mark, last, bid, ask, mid = (
        (implied,) * 5 if quote is None else (quote.mark, quote.last, quote.bid, quote.ask, quote.mid)
    )
    return Signal(
        signal_id=signal_id,
        cause="manual",
        symbol=after.symbol,
        side="buy" if step > 0 else "sell",
        qty=decimal_text(abs(step)),
        price=decimal_text(mid),
        fill_ids=[FILL_ID],
        position=after,
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
