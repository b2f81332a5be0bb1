"""How much of an entry the caps let through. A signal can lower what is allowed, never raise a cap.

Belongs here: every limit on quantity, with the number it was held against, and what the leverage caps leave
of the exposures that a policy wants. Does not belong here: gates that say yes or no (`gates`), anything that
could hold an exit back.

Leverage = sum of |notional at mark| / equity, orders of unknown outcome counted as filled.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

import msgspec
from msgspec.structs import replace

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


class Limit(msgspec.Struct, frozen=True):
    """One cap: the most that may be ordered under it, the limit, and what the wanted quantity would have
    made.
    """

    name: str
    qty_max: Decimal
    limit: Decimal
    observed: Decimal


class CapOutcome(msgspec.Struct, frozen=True):
    """The tightest cap. `qty` <= wanted, not yet rounded; `binding` is `None` when nothing was cut."""

    qty: Decimal
    binding: Limit | None
    leverage_cap: Decimal


def leverage_cap(
    leader_leverage: Decimal,
    recommended: Decimal | None,
    policy: Policy,
    instrument: Instrument,
    symbol_notional: Decimal,
) -> tuple[str, Decimal]:
    """The leverage cap in force and its source: own, half of the leader's, what he recommends, the
    instrument's tier, its zone.
    """
    name, cap = "cap_leverage", policy.leverage_max
    half = max(ZERO, leader_leverage * LEADER_LEVERAGE_SHARE)
    if half < cap:
        name, cap = "cap_leader_leverage", half
    if policy.leverage_recommended and recommended is not None and recommended < cap:
        name, cap = "cap_recommended_leverage", max(ZERO, recommended)
    tier = instrument.leverage_max(symbol_notional)
    if tier is not None and tier < cap:
        name, cap = "cap_tier_leverage", tier
    zone = instrument.zone_leverage_max
    if zone is not None and zone < cap:
        name, cap = "cap_zone_leverage", zone
    return name, cap


def leverage_share(
    wanted: Iterable[Decimal], leader_leverage: Decimal, policy: Policy, recommended: Decimal | None = None
) -> Decimal:
    """The share of these exposures, 0..1, that together stays within the own cap, half of the leader's and
    what he recommends.
    """
    total = sum((abs(exposure) for exposure in wanted), ZERO)
    cap = min(policy.leverage_max, max(ZERO, leader_leverage * LEADER_LEVERAGE_SHARE))
    if policy.leverage_recommended and recommended is not None:
        cap = min(cap, max(ZERO, recommended))
    return cap / total if total > cap else Decimal(1)


def capped_step(step: LeaderStep, snapshot: Snapshot, policy: Policy) -> LeaderStep:
    """The step with its exposure cut to what the leverage caps leave of all that the policy wants.

    What a reduction is sized for: who could not follow the leader all the way up follows him down from there.
    """
    leader = snapshot.leader
    scale = policy.scale * snapshot.guard.stakes
    exposures = {**leader.exposures, step.symbol: step.exposure}
    wanted = [
        exposure * scale
        for symbol, exposure in exposures.items()
        if symbol == step.symbol or policy.allows(symbol)
    ]
    share = leverage_share(wanted, step.account_leverage, policy, leader.leverage_recommended)
    return step if share == 1 else replace(step, exposure=step.exposure * share)


def _other_notional(snapshot: Snapshot, symbol: str, *, own: bool = False) -> Decimal | None:
    """Of every other symbol, at worst; with `own` only what this leader's signals built."""
    total = ZERO
    for other in snapshot.held_symbols():
        if other == symbol:
            continue
        notional = snapshot.worst_notional(other, own=own)
        if notional is None:
            return None
        total += notional
    return total


def leverage_after(snapshot: Snapshot, symbol: str, is_buy: bool, qty: Decimal) -> Decimal | None:
    """Leverage with this order counted as filled; `None` where equity or a price is missing."""
    quote, others = snapshot.quotes.get(symbol), _other_notional(snapshot, symbol)
    if quote is None or others is None or snapshot.equity is None or snapshot.equity <= 0:
        return None
    room = _Room.of(snapshot, symbol, is_buy, quote.mark)
    return (others + max(abs(room.directional + qty) * quote.mark, room.against)) / snapshot.equity


class _Room(msgspec.Struct, frozen=True):
    """One symbol before an order. `directional` = position in the order's direction with the pending orders
    of that direction filled; `against` = notional that pending orders could leave on the other side.
    """

    directional: Decimal
    against: Decimal
    mark: Decimal

    @classmethod
    def of(cls, snapshot: Snapshot, symbol: str, is_buy: bool, mark: Decimal, *, own: bool = False) -> _Room:
        if symbol in snapshot.hedged:
            return cls(snapshot.worst_qty(symbol, own=own), ZERO, mark)
        qty = snapshot.own_qty(symbol) if own else snapshot.positions.get(symbol, ZERO)
        pending = snapshot.pending.get(symbol, Pending())
        if is_buy:
            return cls(qty + pending.buy, max(ZERO, pending.sell - qty) * mark, mark)
        return cls(pending.sell - qty, max(ZERO, pending.buy + qty) * mark, mark)

    def after(self, qty: Decimal) -> Decimal:
        """The notional that this order could lead to, at worst."""
        return max(abs(self.directional + qty) * self.mark, self.against)

    def limit(self, name: str, room: Decimal, limit: Decimal, observed: Decimal) -> Limit:
        """A cap on the position that results: nothing while the opposite side alone fills the room."""
        qty_max = max(ZERO, room / self.mark - self.directional) if self.against <= room else ZERO
        return Limit(name, qty_max, limit, observed)


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
    room = _Room.of(snapshot, symbol, is_buy, quote.mark)
    wanted_notional = room.after(wanted)
    leader_leverage = step.account_leverage  # or his newest where that is less: the entry may have waited
    if snapshot.leader.leverage_now is not None:
        leader_leverage = min(leader_leverage, snapshot.leader.leverage_now)
    cap_name, cap = leverage_cap(
        leader_leverage, snapshot.leader.leverage_recommended, policy, instrument, wanted_notional
    )
    limits = [
        room.limit(cap_name, cap * equity - others, cap, (others + wanted_notional) / equity),
        Limit("cap_order_size", instrument.qty_max, instrument.qty_max, wanted),
    ]
    price = max(order_price, quote.mark)
    limits += _notional_limits(snapshot, policy, symbol, room, wanted, others, price, is_buy=is_buy)
    limits += _money_limits(snapshot, policy, instrument, symbol, wanted, price, is_buy=is_buy)
    tightest = min(limits, key=lambda limit: limit.qty_max)
    if tightest.qty_max >= wanted:
        return CapOutcome(wanted, None, cap)
    return CapOutcome(tightest.qty_max, tightest, cap)


def _notional_limits(
    snapshot: Snapshot,
    policy: Policy,
    symbol: str,
    room: _Room,
    wanted: Decimal,
    others: Decimal,
    price: Decimal,
    *,
    is_buy: bool,
) -> list[Limit]:
    """The policy's own amounts: one order, one symbol over all leaders, one leader, everything."""
    found = []
    if policy.notional_per_order_max_usdt is not None:
        most = policy.notional_per_order_max_usdt
        found.append(Limit("cap_order_notional", most / price, most, wanted * price))
    if policy.notional_per_symbol_max_usdt is not None:
        most = policy.notional_per_symbol_max_usdt
        found.append(room.limit("cap_symbol_notional", most, most, room.after(wanted)))
    if policy.notional_total_max_usdt is not None:
        most = policy.notional_total_max_usdt
        found.append(room.limit("cap_total_notional", most - others, most, others + room.after(wanted)))
    if policy.notional_per_leader_max_usdt is not None:
        most = policy.notional_per_leader_max_usdt
        own_others = _other_notional(snapshot, symbol, own=True) or ZERO
        own = _Room.of(snapshot, symbol, is_buy, room.mark, own=True)
        found.append(
            own.limit("cap_leader_notional", most - own_others, most, own_others + own.after(wanted))
        )
    return found


def _money_limits(
    snapshot: Snapshot,
    policy: Policy,
    instrument: Instrument,
    symbol: str,
    wanted: Decimal,
    price: Decimal,
    *,
    is_buy: bool,
) -> list[Limit]:
    """Margin, borrowing, and the share of what is offered."""
    found = []
    setting = snapshot.leverage_settings.get(symbol)
    if snapshot.available is not None and setting is not None and setting > 0:
        margin = max(ZERO, snapshot.available)
        per_unit = price * (MARGIN_RESERVE / setting + 2 * instrument.taker_fee)
        found.append(Limit("cap_margin", margin / per_unit, margin, wanted * per_unit))
    if snapshot.wallet is not None and snapshot.equity is not None:
        # the coin's balance with losses so far; what the fees take from it must not be a loan
        money = max(ZERO, min(snapshot.wallet, snapshot.equity) + policy.borrow_max_usdt)
        per_unit = price * 2 * instrument.taker_fee
        if per_unit > 0:
            found.append(Limit("cap_borrow", money / per_unit, money, wanted * per_unit))
    depth = snapshot.depth.get(symbol)
    if policy.depth_share_max is not None:
        most = (depth[1 if is_buy else 0] if depth else ZERO) * policy.depth_share_max
        found.append(Limit("cap_depth", most, most, wanted))
    return found
