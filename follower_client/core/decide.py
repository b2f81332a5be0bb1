"""One signal, one account, one policy -> the next thing to do, or why not.

Belongs here: the gates and the choice of the next order. Does not belong here: quantities from equity
(`sizing`), limits on them (`caps`), doing anything (`executor`).

A gate may stop an entry, never an exit. The same function decides the first order of a copy and, given the
target it chose then, every order after it: what is left is planned from the target, never from the step.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal
from enum import StrEnum

from follower_client.core import caps
from follower_client.core.policy import ENTRY_LIFE_MAX_MS, EXIT_GUARD_BPS, BelowMinimum, Mode, Policy
from follower_client.core.sizing import (
    SizingError,
    price_to_tick,
    round_to_lot,
    round_up_to_lot,
    target_qty,
)
from follower_client.core.snapshot import Instrument, LeaderStep, Quote, Snapshot, StepKind, sign
from relay.protocol.messages import Signal

__all__ = ["Action", "Decision", "decide", "is_exit_step"]

ZERO = Decimal(0)
BPS = Decimal(10_000)


class Action(StrEnum):
    """Send an order, or stop here."""

    ORDER = "order"
    SKIP = "skip"


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What to do next, as data.

    `qty`, `wanted_qty` are unsigned (`wanted_qty` before caps), `target_qty` signed. `limit_price` `None` =
    market. `opens_after` marks the closing leg of a reversal: once it is confirmed, decide again for the
    opening one.
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


def is_exit_step(signal: Signal) -> bool:
    """Whether the leader only took risk off (a reversal does both, and is none)."""
    return LeaderStep.of(signal).kind in (StepKind.CLOSE, StepKind.REDUCTION)


def decide(
    signal: Signal,
    snapshot: Snapshot,
    policy: Policy,
    now_ms: int,
    *,
    target: Decimal | None = None,
    target_basis: Decimal | None = None,
    exit_tries: int = 0,
) -> Decision:
    """The next order of this copy, or the reason for none.

    `target`, `target_basis` = the signed quantity chosen by an earlier call for the same signal, and the
    leader's position that it was sized for. `exit_tries` = reductions already sent: past the second one the
    price guard is dropped.
    """
    step = LeaderStep.of(signal)
    exiting = step.kind in (StepKind.CLOSE, StepKind.REDUCTION)
    instrument = snapshot.instruments.get(step.symbol)
    if step.kind is StepKind.NONE:
        return _skip("no_step", "the leader's position did not change by trading", exiting)
    if step.price <= 0 and not exiting:
        return _skip("leader_state_invalid", "the leader's price makes no sense", exiting)
    if instrument is None:
        return _skip("symbol_unknown", f"{step.symbol} is not traded at the follower's venue", exiting)
    own = snapshot.own_qty(step.symbol)
    quote = snapshot.fresh_quote(step.symbol, now_ms)
    if target is None:
        try:
            target = target_qty(
                caps.capped_step(step, snapshot, policy) if exiting else step,
                policy,
                instrument,
                equity=snapshot.equity,
                own_qty=own,
                mark=quote.mark if quote else (step.mark if step.mark > 0 and exiting else None),
            )
        except SizingError as error:
            if step.kind is not StepKind.REVERSAL:
                return _skip(str(error.args[0]), str(error.args[1]), exiting)
            target = ZERO
    if exiting:
        keeps = target if sign(target) == sign(own) else ZERO
        if abs(keeps) >= abs(own):
            return _nothing_to_exit(own, target)
        return _reduce(step, snapshot, policy, instrument, quote, own, keeps, target, exit_tries)
    basis = _newest_within(step, snapshot)
    sized_for = target_basis or step.qty_after
    if basis != sized_for:
        target = round_to_lot(target * basis / sized_for, instrument.qty_step)
    if own != 0 and sign(own) == -sign(step.qty_after):
        decision = _reduce(step, snapshot, policy, instrument, quote, own, ZERO, target, exit_tries)
    else:
        decision = _enter(step, snapshot, policy, instrument, quote, own, target, now_ms)
    return replace(decision, target_basis=basis)


def _skip(
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


def _newest_within(step: LeaderStep, snapshot: Snapshot) -> Decimal:
    """The leader's position that an entry is held to: after this step, or his newest where that is less.

    0 when he has left or crossed since. An entry that waited for its wave never copies more than he has.
    """
    newest = snapshot.leader_qty_now
    if newest is None or step.qty_after == 0:
        return step.qty_after
    if sign(newest) != sign(step.qty_after):
        return ZERO
    return min(newest, step.qty_after, key=abs)


def _nothing_to_exit(own: Decimal, target: Decimal) -> Decision:
    if own == 0:
        return _skip("no_position", "there is no copied position to reduce", True, target=target, observed=0)
    return _skip(
        "within_target",
        "the copied position is already within the target after the leader's reduction",
        True,
        target=target,
        limit=abs(target),
        observed=abs(own),
    )


def _reduce(
    step: LeaderStep,
    snapshot: Snapshot,
    policy: Policy,
    instrument: Instrument,
    quote: Quote | None,
    own: Decimal,
    keeps: Decimal,
    target: Decimal,
    exit_tries: int,
) -> Decision:
    wanted = abs(own - keeps)
    qty = min(wanted, instrument.qty_max)
    is_buy = own < 0
    price = None
    if quote is not None and exit_tries < 2:
        margin = EXIT_GUARD_BPS / BPS
        raw = quote.ask * (1 + margin) if is_buy else quote.bid * (1 - margin)
        price = price_to_tick(raw, instrument.tick_size, is_buy=is_buy)
    band = _band_notional(snapshot, policy)
    if keeps != 0 and quote is not None and band is not None and wanted * quote.mark < band:
        return _skip(
            "within_band",
            "the change is smaller than the ignore band",
            True,
            target=target,
            wanted=wanted,
            limit=band,
            observed=wanted * quote.mark,
        )
    return Decision(
        action=Action.ORDER,
        reason="copied",
        detail="closes the copied position" if keeps == 0 else "reduces the copied position to the target",
        is_exit=step.kind is not StepKind.REVERSAL and target == keeps,
        target_qty=target,
        leg="close",
        is_buy=is_buy,
        qty=qty,
        wanted_qty=wanted,
        reduce_only=True,
        limit_price=price,
        opens_after=target != keeps,
    )


def _band_notional(snapshot: Snapshot, policy: Policy) -> Decimal | None:
    """The ignore band in USDT; only the exposure mode wobbles with equity."""
    if snapshot.equity is None or policy.mode is not Mode.EXPOSURE:
        return None
    return snapshot.equity * policy.ignore_band_bps / BPS


def _gate(
    step: LeaderStep, snapshot: Snapshot, policy: Policy, quote: Quote | None, target: Decimal, now_ms: int
) -> Decision | None:
    """The refusals that need no quantity."""
    expires_ms = min(step.expires_ms, ENTRY_LIFE_MAX_MS)
    deadline_ms = snapshot.wave_start_ms + expires_ms
    if policy.symbols and step.symbol not in policy.symbols:
        return _skip("symbol_denied", f"{step.symbol} is not on the follower's list", False, target=target)
    if not snapshot.reconciled:
        return _skip("not_reconciled", "the account is not reconciled yet", False, target=target)
    if now_ms > deadline_ms:
        return _skip(
            "expired",
            f"the entry came {now_ms - deadline_ms} ms after its time",
            False,
            target=target,
            limit=expires_ms,
            observed=now_ms - snapshot.wave_start_ms,
        )
    if not snapshot.leader_alive:
        return _skip("leader_silent", "nothing was heard from the leader lately", False, target=target)
    if step.symbol in snapshot.blocked_symbols:
        return _skip("unknown_order", "an order of unknown outcome is open here", False, target=target)
    if target == 0 and snapshot.leader_qty_now is not None and step.qty_after != snapshot.leader_qty_now:
        return _skip("superseded", "the leader left the position before this entry's wave", False)
    if quote is None:
        return _skip("no_quote", "no fresh quote of the follower's venue", False, target=target)
    return _price_guard(step, policy, quote, target)


def _price_guard(step: LeaderStep, policy: Policy, quote: Quote, target: Decimal) -> Decision | None:
    touch = quote.ask if target > 0 else quote.bid
    worse = (touch - step.price if target > 0 else step.price - touch) / step.price * BPS
    if worse <= policy.entry_guard_bps:
        return None
    return _skip(
        "entry_guard",
        f"the price is {worse:.1f} bps worse than the leader's fill",
        False,
        target=target,
        limit=policy.entry_guard_bps,
        observed=Decimal(int(worse * 100)) / 100,
    )


def _enter(
    step: LeaderStep,
    snapshot: Snapshot,
    policy: Policy,
    instrument: Instrument,
    quote: Quote | None,
    own: Decimal,
    target: Decimal,
    now_ms: int,
) -> Decision:
    refusal = _gate(step, snapshot, policy, quote, target, now_ms)
    if refusal is not None or quote is None:
        return refusal or _skip("no_quote", "no fresh quote of the follower's venue", False, target=target)
    wanted = abs(target) - abs(own)
    if target == 0:
        smallest = max(instrument.qty_min, instrument.notional_min_usdt / quote.mark)
        if policy.below_minimum is BelowMinimum.SKIP or own != 0:
            return _below_minimum(ZERO, smallest, target)
        target = instrument.qty_step * sign(step.qty_after)
        wanted = instrument.qty_step
    if wanted <= 0:
        return _skip(
            "at_target",
            "the copied position is at its target or above it; an entry never reduces",
            False,
            target=target,
            limit=abs(target),
            observed=abs(own),
        )
    band = _band_notional(snapshot, policy)
    if own != 0 and band is not None and wanted * quote.mark < band:
        return _skip(
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
        return _skip(
            "no_account", "own equity or the price of a held position is unknown", False, target=target
        )
    qty = round_to_lot(outcome.qty, instrument.qty_step)
    if qty < smallest:
        if outcome.binding is None or asked < smallest:
            return _below_minimum(asked, smallest, target)
        return _skip(
            outcome.binding.name,
            f"the cap leaves {max(ZERO, qty)} of {asked} {step.symbol}",
            False,
            target=target,
            wanted=asked,
            limit=outcome.binding.limit,
            observed=outcome.binding.observed,
            leverage_cap=outcome.leverage_cap,
        )
    cut = outcome.binding if wanted - qty > instrument.qty_step else None
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
    )


def _below_minimum(asked: Decimal, smallest: Decimal, target: Decimal) -> Decision:
    return _skip(
        "below_minimum",
        f"{asked} is below the venue's minimum of {smallest}",
        False,
        target=target,
        wanted=asked,
        limit=smallest,
        observed=asked,
    )
