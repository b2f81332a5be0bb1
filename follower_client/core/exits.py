"""Orders that take risk off: for a leader's step, and for a flatten that nobody's signal asked for.

Belongs here: quantity, price guard and the reduce-only flag of a reduction. Does not belong here: whether to
reduce (`decide`, the operator). Nothing here can be refused for a cap.
"""

from __future__ import annotations

from decimal import Decimal

from follower_client.core.decision import Action, Decision, skip
from follower_client.core.policy import EXIT_GUARD_BPS, FLATTEN_GUARD_BPS, Mode, Policy
from follower_client.core.sizing import price_to_tick
from follower_client.core.snapshot import Instrument, LeaderStep, Quote, Snapshot, StepKind, sign

__all__ = ["GUARDED_TRIES", "band_notional", "flatten", "nothing_to_exit", "reduce"]

ZERO = Decimal(0)
BPS = Decimal(10_000)
GUARDED_TRIES = 2  # past so many orders the price guard is dropped


def band_notional(snapshot: Snapshot, policy: Policy) -> Decimal | None:
    """The ignore band in USDT; only the exposure mode wobbles with equity."""
    if snapshot.equity is None or policy.mode is not Mode.EXPOSURE:
        return None
    return snapshot.equity * policy.ignore_band_bps / BPS


def nothing_to_exit(own: Decimal, target: Decimal) -> Decision:
    """The leader reduced, and there is nothing to follow him with."""
    if own == 0:
        return skip("no_position", "there is no copied position to reduce", True, target=target, observed=0)
    return skip(
        "within_target",
        "the copied position is already within the target after the leader's reduction",
        True,
        target=target,
        limit=abs(target),
        observed=abs(own),
    )


def reduce(
    step: LeaderStep,
    snapshot: Snapshot,
    policy: Policy,
    instrument: Instrument,
    quote: Quote | None,
    own: Decimal,
    keeps: Decimal,
    target: Decimal,
    tries: int,
) -> Decision:
    """From `own` down to `keeps` (signed, same side). `target` = where the step leads in the end."""
    wanted = abs(own - keeps)
    band = band_notional(snapshot, policy)
    if keeps != 0 and quote is not None and band is not None and wanted * quote.mark < band:
        return skip(
            "within_band",
            "the change is smaller than the ignore band",
            True,
            target=target,
            wanted=wanted,
            limit=band,
            observed=wanted * quote.mark,
        )
    is_buy, qty = own < 0, min(wanted, instrument.qty_max)
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
        reduce_only=_reduces_account(snapshot, step.symbol, own, qty),
        limit_price=_guarded(quote, instrument, EXIT_GUARD_BPS, tries, is_buy=is_buy),
        opens_after=target != keeps,
    )


def flatten(
    symbol: str, own: Decimal, snapshot: Snapshot, now_ms: int, *, tries: int, reason: str
) -> Decision | None:
    """The next order out of a copied position; `None` when there is none left."""
    instrument = snapshot.instruments.get(symbol)
    if own == 0 or instrument is None:
        return None
    is_buy, qty = own < 0, min(abs(own), instrument.qty_max)
    quote = snapshot.fresh_quote(symbol, now_ms)
    return Decision(
        action=Action.ORDER,
        reason=reason,
        detail="closes the copied position by order of the operator or of a limit",
        is_exit=True,
        leg="flatten",
        is_buy=is_buy,
        qty=qty,
        wanted_qty=abs(own),
        reduce_only=_reduces_account(snapshot, symbol, own, qty),
        limit_price=_guarded(quote, instrument, FLATTEN_GUARD_BPS, tries, is_buy=is_buy),
    )


def _reduces_account(snapshot: Snapshot, symbol: str, own: Decimal, qty: Decimal) -> bool:
    """Reduce-only always, but where other leaders' copies stand against this one on the same account: there
    the account's position does not have what this part of it has to give back.
    """
    if not snapshot.shared:
        return True
    net = snapshot.positions.get(symbol, ZERO)
    return sign(net) == sign(own) and abs(net) >= qty


def _guarded(
    quote: Quote | None, instrument: Instrument, guard_bps: Decimal, tries: int, *, is_buy: bool
) -> Decimal | None:
    if quote is None or tries >= GUARDED_TRIES:
        return None
    margin = guard_bps / BPS
    raw = quote.ask * (1 + margin) if is_buy else quote.bid * (1 - margin)
    price = price_to_tick(raw, instrument.tick_size, is_buy=is_buy)
    return price if price > 0 else None
