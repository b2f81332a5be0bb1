"""How much of an entry the caps let through. A signal can lower what is allowed, never raise a cap.

Belongs here: every limit on quantity, with the number it was held against, and what the leverage caps leave
of the exposures that a policy wants. Does not belong here: gates that say yes or no (`decide`), anything that
could hold an exit back.

Leverage = sum of |notional at mark| / equity, orders of unknown outcome counted as filled.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from decimal import Decimal

from follower_client.core.policy import LEADER_LEVERAGE_SHARE, Policy
from follower_client.core.snapshot import Instrument, LeaderStep, Pending, Quote, Snapshot

__all__ = [
    "CapOutcome",
    "Limit",
    "capped_step",
    "entry_limit",
    "leverage_after",
    "leverage_cap",
    "leverage_share",
]

ZERO = Decimal(0)
MARGIN_RESERVE = Decimal(
    "1.003"
)  # fees of entry and exit and a tick of slippage on top of the initial margin


@dataclass(frozen=True, slots=True)
class Limit:
    """One cap: the most that may be ordered under it, the limit, and what the wanted quantity would have
    made.
    """

    name: str
    qty_max: Decimal
    limit: Decimal
    observed: Decimal


@dataclass(frozen=True, slots=True)
class CapOutcome:
    """The tightest cap. `qty` <= wanted, not yet rounded; `binding` is `None` when nothing was cut."""

    qty: Decimal
    binding: Limit | None
    leverage_cap: Decimal


def leverage_cap(
    leader_leverage: Decimal, policy: Policy, instrument: Instrument, symbol_notional: Decimal
) -> tuple[str, Decimal]:
    """The leverage cap in force and its source: own, half of the leader's, or the instrument's tier."""
    candidates = [
        ("cap_leverage", policy.leverage_max),
        ("cap_leader_leverage", max(ZERO, leader_leverage * LEADER_LEVERAGE_SHARE)),
    ]
    tier = instrument.leverage_max(symbol_notional)
    if tier is not None:
        candidates.append(("cap_tier_leverage", tier))
    return min(candidates, key=lambda candidate: candidate[1])


def leverage_share(wanted: Iterable[Decimal], leader_leverage: Decimal, policy: Policy) -> Decimal:
    """The share of these exposures, 0..1, that together stays within the own cap and half of the leader's."""
    total = sum((abs(exposure) for exposure in wanted), ZERO)
    cap = min(policy.leverage_max, max(ZERO, leader_leverage * LEADER_LEVERAGE_SHARE))
    return cap / total if total > cap else Decimal(1)


def capped_step(step: LeaderStep, snapshot: Snapshot, policy: Policy) -> LeaderStep:
    """The step with its exposure cut to what the leverage caps leave of all that the policy wants.

    What a reduction is sized for: who could not follow the leader all the way up follows him down from there.
    """
    exposures = {**snapshot.leader_exposures, step.symbol: step.exposure}
    wanted = [
        exposure * policy.scale
        for symbol, exposure in exposures.items()
        if symbol == step.symbol or not policy.symbols or symbol in policy.symbols
    ]
    return replace(step, exposure=step.exposure * leverage_share(wanted, step.account_leverage, policy))


def _other_notional(snapshot: Snapshot, symbol: str) -> Decimal | None:
    total = ZERO
    for other in snapshot.held_symbols():
        if other == symbol:
            continue
        notional = snapshot.worst_notional(other)
        if notional is None:
            return None
        total += notional
    return total


def _directional(snapshot: Snapshot, symbol: str, is_buy: bool) -> Decimal:
    """Position in the order's direction (negative = opposite), pending orders of that direction filled."""
    qty, pending = snapshot.positions.get(symbol, ZERO), snapshot.pending.get(symbol, Pending())
    return qty + pending.buy if is_buy else -qty + pending.sell


def _against(snapshot: Snapshot, symbol: str, is_buy: bool) -> Decimal:
    """The largest position that pending orders of the other direction could leave on the other side."""
    qty, pending = snapshot.positions.get(symbol, ZERO), snapshot.pending.get(symbol, Pending())
    return pending.sell - qty if is_buy else pending.buy + qty


def leverage_after(snapshot: Snapshot, symbol: str, is_buy: bool, qty: Decimal) -> Decimal | None:
    """Leverage with this order counted as filled; `None` where equity or a price is missing."""
    quote, others = snapshot.quotes.get(symbol), _other_notional(snapshot, symbol)
    if quote is None or others is None or snapshot.equity is None or snapshot.equity <= 0:
        return None
    here = max(abs(_directional(snapshot, symbol, is_buy) + qty), _against(snapshot, symbol, is_buy))
    return (others + here * quote.mark) / snapshot.equity


def entry_limit(
    step: LeaderStep,
    snapshot: Snapshot,
    policy: Policy,
    instrument: Instrument,
    quote: Quote,
    *,
    is_buy: bool,
    wanted: Decimal,
    order_price: Decimal,
) -> CapOutcome | None:
    """The wanted quantity after every cap; `None` when equity or the price of a held position is missing."""
    equity, symbol = snapshot.equity, step.symbol
    others = _other_notional(snapshot, symbol)
    if equity is None or equity <= 0 or others is None:
        return None
    directional = _directional(snapshot, symbol, is_buy)
    against = max(ZERO, _against(snapshot, symbol, is_buy)) * quote.mark
    wanted_notional = max(abs(directional + wanted) * quote.mark, against)

    def resulting(name: str, room: Decimal, limit: Decimal, observed: Decimal) -> Limit:
        """A cap on the position that results: nothing while the opposite side alone fills the room."""
        qty_max = max(ZERO, room / quote.mark - directional) if against <= room else ZERO
        return Limit(name, qty_max, limit, observed)

    leader_leverage = step.account_leverage  # or his newest where that is less: the entry may have waited
    if snapshot.leader_leverage_now is not None:
        leader_leverage = min(leader_leverage, snapshot.leader_leverage_now)
    cap_name, cap = leverage_cap(leader_leverage, policy, instrument, wanted_notional)
    limits = [
        resulting(cap_name, cap * equity - others, cap, (others + wanted_notional) / equity),
        Limit("cap_order_size", instrument.qty_max, instrument.qty_max, wanted),
    ]
    if policy.notional_per_symbol_max_usdt is not None:
        most = policy.notional_per_symbol_max_usdt
        limits.append(resulting("cap_symbol_notional", most, most, wanted_notional))
    if policy.notional_total_max_usdt is not None:
        most = policy.notional_total_max_usdt
        limits.append(resulting("cap_total_notional", most - others, most, others + wanted_notional))
    price = max(order_price, quote.mark)
    if policy.notional_per_order_max_usdt is not None:
        most = policy.notional_per_order_max_usdt
        limits.append(Limit("cap_order_notional", most / price, most, wanted * price))
    setting = snapshot.leverage_settings.get(symbol)
    if snapshot.available is not None and setting is not None and setting > 0:
        margin = max(ZERO, snapshot.available)
        per_unit = price * (MARGIN_RESERVE / setting + 2 * instrument.taker_fee)
        limits.append(Limit("cap_margin", margin / per_unit, margin, wanted * per_unit))

    tightest = min(limits, key=lambda limit: limit.qty_max)
    if tightest.qty_max >= wanted:
        return CapOutcome(wanted, None, cap)
    return CapOutcome(tightest.qty_max, tightest, cap)
