"""One signal, one account, one policy -> the next thing to do, or why not.

Belongs here: the choice of the next order. Does not belong here: quantities from equity (`sizing`), limits
on them (`caps`), refusals of entries (`gates`), the way out (`exits`), doing anything (`executor`).

A gate may stop an entry, never an exit. The same function decides the first order of a copy and, given the
target it chose then, every order after it: what is left is planned from the target, never from the step.
"""

from __future__ import annotations

from dataclasses import replace as replaced
from decimal import Decimal

from msgspec.structs import replace

from follower_client.core import caps
from follower_client.core.decision import Action, Decision, skip
from follower_client.core.exits import band_notional, nothing_to_exit, reduce
from follower_client.core.gates import entry_gate, no_quote
from follower_client.core.policy import BelowMinimum, Policy
from follower_client.core.sizing import (
    Account,
    SizingError,
    price_to_tick,
    round_to_lot,
    round_up_to_lot,
    target_qty,
)
from follower_client.core.snapshot import Instrument, LeaderStep, Quote, Snapshot, StepKind, sign
from follower_client.core.stops import NO_STOPS, wanted_stops
from relay.protocol.messages import Signal

__all__ = ["Action", "Decision", "decide", "is_exit_step"]

ZERO = Decimal(0)
BPS = Decimal(10_000)
FINEST_STEP = Decimal("1E-8")
EXITS = (StepKind.CLOSE, StepKind.REDUCTION)


def is_exit_step(signal: Signal) -> bool:
    """Whether the leader only took risk off (a reversal does both, and is none)."""
    return LeaderStep.of(signal).kind in EXITS


def decide(
    signal: Signal,
    snapshot: Snapshot,
    policy: Policy,
    now_ms: int,
    *,
    target: Decimal | None = None,
    target_basis: Decimal | None = None,
    exit_tries: int = 0,
    entered: Decimal = ZERO,
) -> Decision:
    """The next order of this copy, or the reason for none.

    `target`, `target_basis` = the signed quantity chosen by an earlier call for the same signal, and the
    leader's position that it was sized for. `exit_tries` = reductions already sent: past the second one the
    price guard is dropped. `entered` = what entries of this copy have filled: over all of them never more
    than the target, also where a later signal has closed some of it meanwhile.
    """
    step = LeaderStep.of(signal)
    if policy.reverse:
        step, snapshot = step.mirrored(), replace(snapshot, leader=snapshot.leader.mirrored())
    kind = step.kind
    exiting = kind in EXITS
    instrument = snapshot.instruments.get(step.symbol)
    if kind is StepKind.NONE:
        told = "the leader's position did not change by trading"
        return skip("no_step", told, exiting, observed=step.qty_after)
    if instrument is None:
        return skip("symbol_unknown", f"{step.symbol} is not traded at the follower's venue", exiting)
    own = snapshot.own_qty(step.symbol)
    quote = snapshot.fresh_quote(step.symbol, now_ms)
    if target is None:
        try:
            target = _target(step, snapshot, policy, instrument, quote, own, exiting=exiting)
        except SizingError as error:
            if kind is not StepKind.REVERSAL:
                if quote is None and not exiting:
                    stale = no_quote(step.symbol, snapshot, ZERO, now_ms)
                    return replace(stale, reason=error.code, detail=error.detail)
                return skip(error.code, error.detail, exiting, observed=error.observed)
            target = ZERO
    if exiting:
        keeps = target if sign(target) == sign(own) else ZERO
        if abs(keeps) >= abs(own):
            return nothing_to_exit(own, target)
        return reduce(step, snapshot, policy, instrument, quote, own, keeps, target, exit_tries)
    sized_for = target_basis or step.qty_after
    basis = min(_newest_within(step, snapshot), sized_for, key=abs)  # it shrinks with him, and never grows
    if basis != sized_for:
        target = round_to_lot(target * basis / sized_for, instrument.qty_step)
    if own != 0 and sign(own) == -sign(step.qty_after):
        decision = reduce(step, snapshot, policy, instrument, quote, own, ZERO, target, exit_tries)
    else:
        decision = _enter(step, snapshot, policy, instrument, quote, own, target, entered, now_ms)
    return replace(decision, target_basis=basis)


def _target(
    step: LeaderStep,
    snapshot: Snapshot,
    policy: Policy,
    instrument: Instrument,
    quote: Quote | None,
    own: Decimal,
    *,
    exiting: bool,
) -> Decimal:
    """Where this step leads. Raises `SizingError`."""
    leader = snapshot.leader
    base = own
    if policy.below_minimum is BelowMinimum.CARRY and not exiting:
        carried = snapshot.carried.get(step.symbol, ZERO)
        if sign(carried) == sign(step.qty_after) and abs(carried) > abs(own):
            base = carried
    mark = quote.mark if quote else (step.mark if step.mark > 0 and exiting else None)
    account = Account(
        equity=snapshot.equity,
        own_qty=base,
        mark=mark,
        stakes=snapshot.guard.stakes,
        equity_at_start=leader.equity_at_start,
        rebased=step.symbol in leader.rebased_symbols,
    )
    return target_qty(
        caps.capped_step(step, snapshot, policy) if exiting else step, policy, instrument, account
    )


def _unrounded(
    step: LeaderStep,
    snapshot: Snapshot,
    policy: Policy,
    instrument: Instrument,
    quote: Quote,
    own: Decimal,
) -> Decimal:
    """What would be wanted if the venue took any quantity: what a skip is worth is measured by it."""
    finest = replaced(instrument, qty_step=FINEST_STEP)
    try:
        return abs(_target(step, snapshot, policy, finest, quote, own, exiting=False))
    except SizingError:
        return ZERO


def _newest_within(step: LeaderStep, snapshot: Snapshot) -> Decimal:
    """The leader's position that an entry is held to: after this step, or his newest where that is less.

    0 when he has left or crossed since. An entry that waited for its wave never copies more than he has.
    """
    newest = snapshot.leader.qty_now
    if newest is None or step.qty_after == 0:
        return step.qty_after
    if sign(newest) != sign(step.qty_after):
        return ZERO
    return min(newest, step.qty_after, key=abs)


def _enter(
    step: LeaderStep,
    snapshot: Snapshot,
    policy: Policy,
    instrument: Instrument,
    quote: Quote | None,
    own: Decimal,
    target: Decimal,
    entered: Decimal,
    now_ms: int,
) -> Decision:
    refusal = entry_gate(step, snapshot, policy, quote, target, own, now_ms)
    if refusal is not None or quote is None:
        return refusal or no_quote(step.symbol, snapshot, target, now_ms)
    wanted = abs(target) - max(abs(own), entered)
    if target == 0:
        smallest = max(instrument.qty_min, instrument.notional_min_usdt / quote.mark)
        if policy.below_minimum is not BelowMinimum.ROUND_UP or own != 0:
            asked = _unrounded(step, snapshot, policy, instrument, quote, own)
            return _below_minimum(policy, asked, smallest, target)
        target = instrument.qty_step * sign(step.qty_after)
        wanted = instrument.qty_step
    if wanted <= 0:
        return skip(
            "at_target",
            "the copied position is at its target or above it; an entry never reduces",
            False,
            target=target,
            limit=abs(target),
            observed=abs(own),
        )
    band = band_notional(snapshot, policy)
    if own != 0 and band is not None and wanted * quote.mark < band:
        return skip(
            "within_band",
            "the change is smaller than the ignore band",
            False,
            target=target,
            wanted=wanted,
            limit=band,
            observed=wanted * quote.mark,
        )
    return _sized_entry(step, snapshot, policy, instrument, quote, target, wanted)


def _sized_entry(
    step: LeaderStep,
    snapshot: Snapshot,
    policy: Policy,
    instrument: Instrument,
    quote: Quote,
    target: Decimal,
    wanted: Decimal,
) -> Decision:
    is_buy = target > 0
    guard = policy.entry_guard_bps / BPS
    raw = step.price * (1 + guard if is_buy else 1 - guard)
    price = price_to_tick(raw, instrument.tick_size, is_buy=is_buy)
    if price <= 0:
        told, tick = "the leader's price is below the smallest", instrument.tick_size
        return skip("leader_state_invalid", told, False, target=target, limit=tick, observed=step.price)
    smallest = max(
        instrument.qty_min,
        round_up_to_lot(instrument.notional_min_usdt / min(price, quote.mark), instrument.qty_step),
    )
    asked = wanted
    if wanted < smallest and policy.below_minimum is BelowMinimum.ROUND_UP:
        wanted = smallest
        target = (abs(target) - asked + wanted) * sign(target)
    outcome = caps.entry_limit(
        step, snapshot, policy, instrument, quote, is_buy=is_buy, wanted=wanted, order_price=price
    )
    if outcome is None:
        return skip(
            "no_account", "own equity or the price of a held position is unknown", False, target=target
        )
    qty = round_to_lot(outcome.qty, instrument.qty_step)
    if qty < smallest:
        if outcome.binding is None or asked < smallest:
            return _below_minimum(policy, asked, smallest, target)
        return skip(
            outcome.binding.name,
            f"the cap leaves {max(ZERO, qty)} of {asked} {step.symbol}",
            False,
            target=target,
            wanted=asked,
            limit=outcome.binding.limit,
            observed=outcome.binding.observed,
            leverage_cap=outcome.leverage_cap,
        )
    return _entry(step, snapshot, policy, instrument, quote, target, wanted, price, qty, outcome)


def _entry(
    step: LeaderStep,
    snapshot: Snapshot,
    policy: Policy,
    instrument: Instrument,
    quote: Quote,
    target: Decimal,
    wanted: Decimal,
    price: Decimal,
    qty: Decimal,
    outcome: caps.CapOutcome,
) -> Decision:
    is_buy = target > 0
    cut = outcome.binding if wanted - qty > instrument.qty_step else None
    stops = (
        NO_STOPS
        if _has_others(snapshot, step.symbol, target)
        else wanted_stops(
            policy,
            is_long=is_buy,
            entry_price=quote.ask if is_buy else quote.bid,
            mark=quote.mark,
            tick=instrument.tick_size,
            leader_stop=step.stop_loss,
            leader_take=step.take_profit,
        )
    )
    return Decision(
        action=Action.ORDER,
        reason="copied" if cut is None else cut.name,
        detail="copies the leader's entry" if cut is None else f"{qty} of {wanted}: cut by {cut.name}",
        is_exit=False,
        target_qty=target,
        leg="open",
        is_buy=is_buy,
        qty=qty,
        wanted_qty=wanted,
        limit_price=price,
        capped=cut is not None,
        limit_value=None if cut is None else cut.limit,
        observed_value=None if cut is None else cut.observed,
        leverage_after=caps.leverage_after(snapshot, step.symbol, is_buy, qty),
        leverage_cap=outcome.leverage_cap,
        stop_loss=stops.stop_loss,
        take_profit=stops.take_profit,
    )


def _has_others(snapshot: Snapshot, symbol: str, target: Decimal) -> bool:
    """Whether somebody else has a part of the position: the venue's stops are the whole position's. In hedge
    mode what is on the other side is another position.
    """
    external = snapshot.external.get(symbol, ZERO)
    return external != 0 and (symbol not in snapshot.hedged or sign(external) == sign(target))


def _below_minimum(policy: Policy, asked: Decimal, smallest: Decimal, target: Decimal) -> Decision:
    carried = policy.below_minimum is BelowMinimum.CARRY
    return skip(
        "carried" if carried else "below_minimum",
        f"{asked} is below the venue's minimum of {smallest}"
        + ("; kept for the next entry" if carried else ""),
        False,
        target=target,
        wanted=asked,
        limit=smallest,
        observed=asked,
    )
