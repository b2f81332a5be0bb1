"""From the leader's state to the follower's target position, one pure function per mode.

Belongs here: targets and rounding. Does not belong here: caps (`caps`), gates and the choice of an order
(`decide`). A target is a signed quantity, rounded to the lot toward zero.

Modes are of two kinds. `exposure` follows the leader's state at every step. The others size the first entry
and then take the leader's fractions: an add of half is an add of half, a close of half a close of half.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_DOWN, ROUND_FLOOR, Decimal

from follower_client.core.policy import LeaderLiquidated, Mode, Policy
from follower_client.core.snapshot import Instrument, LeaderStep, StepKind, sign

__all__ = [
    "Account",
    "SizingError",
    "fraction_left",
    "price_to_tick",
    "round_to_lot",
    "round_up_to_lot",
    "target_qty",
]

ZERO = Decimal(0)
ONE = Decimal(1)


class SizingError(ValueError):
    """The inputs define no target: a reason code, a sentence, the number that decided where there is one."""

    def __init__(self, code: str, detail: str, observed: Decimal | None = None) -> None:
        super().__init__(code, detail)
        self.code, self.detail, self.observed = code, detail, observed


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """What a target depends on beside step and policy.

    `equity`, `mark` are `None` while they are not established; `stakes` = share of the policy's size in
    force; `equity_at_start` = the leader's; `rebased` = the leader moved money under this position.
    """

    equity: Decimal | None
    own_qty: Decimal
    mark: Decimal | None
    stakes: Decimal = ONE
    equity_at_start: Decimal | None = None
    rebased: bool = False


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
        return ZERO
    return min(ONE, after / before)


def target_qty(step: LeaderStep, policy: Policy, instrument: Instrument, account: Account) -> Decimal:
    """Where the policy wants the position after this step, before any cap.

    On a reduction that cannot be sized by equity (equity or price not established) the leader's fraction is
    taken instead, because an exit is never blocked. Raises `SizingError` when an entry cannot be sized.
    """
    if step.qty_after == 0:
        return ZERO
    if step.forced and policy.leader_liquidated is LeaderLiquidated.CLOSE:
        return ZERO
    same_side = sign(account.own_qty) == sign(step.qty_after)
    if step.forced or account.rebased or policy.mode is not Mode.EXPOSURE:
        raw = _by_fraction(step, account, same_side=same_side)
        if raw is None:
            raw = _first_entry(step, policy, account)
    else:
        try:
            raw = _exposure(step, policy, account)
        except SizingError:
            if step.kind is not StepKind.REDUCTION:
                raise
            raw = account.own_qty * fraction_left(step) if same_side else ZERO
    return round_to_lot(raw, instrument.qty_step)


def _by_fraction(step: LeaderStep, account: Account, *, same_side: bool) -> Decimal | None:
    """The leader's fraction of the own position; `None` where an entry starts from nothing."""
    if step.kind is StepKind.REDUCTION:
        return account.own_qty * fraction_left(step) if same_side else ZERO
    if step.kind is StepKind.ENTRY and same_side and step.qty_before != 0:
        return account.own_qty * step.qty_after / step.qty_before
    return None


def _first_entry(step: LeaderStep, policy: Policy, account: Account) -> Decimal:
    return SIZES[policy.mode](step, policy, account) * (
        ONE if policy.mode is Mode.EXPOSURE else account.stakes
    )


def _direction(step: LeaderStep) -> int:
    return sign(step.qty_after)


def _mark(account: Account) -> Decimal:
    if account.mark is None:
        raise SizingError("no_account", "own price is not established")
    return account.mark


def _equity(account: Account) -> Decimal:
    if account.equity is None:
        raise SizingError("no_account", "own equity is not established")
    if account.equity <= 0:
        raise SizingError("no_equity", "own equity is not positive", account.equity)
    return account.equity


def _allocation(policy: Policy, account: Account) -> Decimal:
    """The money set apart for this leader, never more than there is."""
    equity = _equity(account)
    return equity if policy.allocation_usdt is None else min(equity, policy.allocation_usdt)


def _exposure(step: LeaderStep, policy: Policy, account: Account) -> Decimal:
    """follower equity x leader exposure x scale, in base units at the follower's mark."""
    if step.equity <= 0 or sign(step.exposure) != sign(step.qty_after):
        raise SizingError(
            "leader_state_invalid", "the leader's equity or exposure makes no sense", step.equity
        )
    if account.equity is None or account.mark is None:
        raise SizingError("no_account", "own equity or price is not established")
    return _equity(account) * step.exposure * policy.scale * account.stakes / account.mark


def _ratio_at_start(step: LeaderStep, policy: Policy, account: Account) -> Decimal:
    """leader qty x allocation / leader equity when he was first heard."""
    start = account.equity_at_start
    if start is None or start <= 0:
        raise SizingError("leader_state_invalid", "the leader's equity at the start is not known")
    return step.qty_after * _allocation(policy, account) / start


def _smart_ratio(step: LeaderStep, policy: Policy, account: Account) -> Decimal:
    """The leader's margin share of his equity, of the allocation, at his leverage up to the own cap."""
    if step.equity <= 0 or sign(step.exposure) != sign(step.qty_after):
        raise SizingError(
            "leader_state_invalid", "the leader's equity or exposure makes no sense", step.equity
        )
    if step.leverage <= 0:
        raise SizingError("leader_state_invalid", "the leader's leverage setting is not known", step.leverage)
    margin = abs(step.exposure) / step.leverage * _allocation(policy, account)
    return _direction(step) * margin * min(step.leverage, policy.leverage_max) / _mark(account)


def _fixed_notional(step: LeaderStep, policy: Policy, account: Account) -> Decimal:
    return _direction(step) * policy.fixed_notional_usdt / _mark(account)


def _fixed_margin(step: LeaderStep, policy: Policy, account: Account) -> Decimal:
    """The margin x the leader's leverage setting, up to the own cap (the own cap where he tells none)."""
    leverage = min(step.leverage, policy.leverage_max) if step.leverage > 0 else policy.leverage_max
    return _direction(step) * policy.fixed_margin_usdt * leverage / _mark(account)


def _multiplier(step: LeaderStep, policy: Policy, account: Account) -> Decimal:
    return step.qty_after * policy.multiplier


def _risk_per_trade(step: LeaderStep, policy: Policy, account: Account) -> Decimal:
    """So much that the loss at the leader's stop is a fixed share of equity."""
    mark = _mark(account)
    if step.stop_loss is None:
        raise SizingError("no_stop", "the leader set no stop, so the risk of the trade is not known")
    distance = (mark - step.stop_loss) * _direction(step)
    if distance <= 0:
        raise SizingError("no_stop", "the market has passed the leader's stop", step.stop_loss)
    return _direction(step) * _equity(account) * policy.risk_share / distance


SIZES: dict[Mode, Callable[[LeaderStep, Policy, Account], Decimal]] = {
    Mode.EXPOSURE: _exposure,
    Mode.RATIO_AT_START: _ratio_at_start,
    Mode.SMART_RATIO: _smart_ratio,
    Mode.FIXED_NOTIONAL: _fixed_notional,
    Mode.FIXED_MARGIN: _fixed_margin,
    Mode.MULTIPLIER: _multiplier,
    Mode.RISK_PER_TRADE: _risk_per_trade,
}
