"""From the leader's state to the follower's target position, one pure function per mode.

Belongs here: targets and rounding. Does not belong here: caps (`caps`), gates and the choice of an order
(`decide`). A target is a signed quantity, rounded to the lot toward zero.
"""

from __future__ import annotations

from decimal import ROUND_CEILING, ROUND_DOWN, ROUND_FLOOR, Decimal

from follower_client.core.policy import Mode, Policy
from follower_client.core.snapshot import Instrument, LeaderStep, StepKind, sign

__all__ = ["SizingError", "fraction_left", "price_to_tick", "round_to_lot", "round_up_to_lot", "target_qty"]


class SizingError(ValueError):
    """The inputs define no target: `args[0]` is a reason code, `args[1]` a sentence."""


def round_to_lot(qty: Decimal, step: Decimal) -> Decimal:
    """Toward zero, sign kept."""
    return (qty / step).to_integral_value(ROUND_DOWN) * step


def round_up_to_lot(qty: Decimal, step: Decimal) -> Decimal:
    """Away from zero for an unsigned quantity."""
    return (qty / step).to_integral_value(ROUND_CEILING) * step


def price_to_tick(price: Decimal, tick: Decimal, *, is_buy: bool) -> Decimal:
    """The guard's price on the venue's grid, never beyond the guard: a buy rounds down, a sell up."""
    return (price / tick).to_integral_value(ROUND_FLOOR if is_buy else ROUND_CEILING) * tick


def fraction_left(step: LeaderStep) -> Decimal:
    """The share of his position that the leader kept, 0..1; 0 when he crossed to the other side."""
    before, after = step.qty_before, step.qty_after
    if before == 0 or sign(before) != sign(after):
        return Decimal(0)
    return min(Decimal(1), after / before)


def target_qty(
    step: LeaderStep,
    policy: Policy,
    instrument: Instrument,
    *,
    equity: Decimal | None,
    own_qty: Decimal,
    mark: Decimal | None,
) -> Decimal:
    """Where the policy wants the position after this step, before any cap.

    On a reduction that cannot be sized by equity (equity or price not established) the leader's fraction is
    taken instead, because an exit is never blocked. Raises `SizingError` when an entry cannot be sized.
    """
    if step.qty_after == 0:
        return Decimal(0)
    size = _exposure_target if policy.mode is Mode.EXPOSURE else _fixed_target
    try:
        raw = size(step, policy, equity, own_qty, mark)
    except SizingError:
        if step.kind is not StepKind.REDUCTION:
            raise
        raw = own_qty * fraction_left(step) if sign(own_qty) == sign(step.qty_after) else Decimal(0)
    return round_to_lot(raw, instrument.qty_step)


def _exposure_target(
    step: LeaderStep, policy: Policy, equity: Decimal | None, own_qty: Decimal, mark: Decimal | None
) -> Decimal:
    """follower equity x leader exposure x scale, in base units at the follower's mark."""
    if step.equity <= 0 or sign(step.exposure) != sign(step.qty_after):
        raise SizingError("leader_state_invalid", "the leader's equity or exposure makes no sense")
    if equity is None or mark is None:
        raise SizingError("no_account", "own equity or price is not established")
    if equity <= 0:
        raise SizingError("no_equity", "own equity is not positive")
    return equity * step.exposure * policy.scale / mark


def _fixed_target(
    step: LeaderStep, policy: Policy, equity: Decimal | None, own_qty: Decimal, mark: Decimal | None
) -> Decimal:
    """A fixed amount from flat; adds pro rata to the leader's; closes the same fraction."""
    direction = sign(step.qty_after)
    same_side = sign(own_qty) == direction
    if step.kind is StepKind.REDUCTION:
        return own_qty * fraction_left(step) if same_side else Decimal(0)
    if step.kind is StepKind.ENTRY and same_side and step.qty_before != 0:
        return own_qty * step.qty_after / step.qty_before
    if mark is None:
        raise SizingError("no_account", "own price is not established")
    return direction * policy.fixed_notional_usdt / mark
