"""The refusals of an entry that need no quantity, in the order in which they are told.

Belongs here: yes or no, with the number that decided. Does not belong here: limits on quantity (`caps`),
anything about exits: a gate may stop an entry, never an exit.
"""

from __future__ import annotations

from decimal import Decimal

from follower_client.core.decision import Decision, skip
from follower_client.core.policy import ENTRY_LIFE_MAX_MS, LEADER_EQUITY_JUMP_MAX, LateJoin, Policy
from follower_client.core.snapshot import (
    CLOCK_FAULT_MS,
    Control,
    Guard,
    LeaderStep,
    Pending,
    Quote,
    Snapshot,
    StepKind,
)

__all__ = ["entry_gate", "no_quote"]

ZERO = Decimal(0)
BPS = Decimal(10_000)
CONTROL_REASONS = {
    Control.PAUSE: ("paused", "entries are paused"),
    Control.REDUCE_ONLY: ("reduce_only", "only reductions are allowed"),
    Control.CANCEL_ALL: ("cancel_all", "orders were cancelled and entries stopped"),
    Control.FLATTEN: ("flattened", "everything was ordered to be closed"),
    Control.LOCK: ("locked", "locked until somebody resumes with a reason"),
}


def entry_gate(
    step: LeaderStep,
    snapshot: Snapshot,
    policy: Policy,
    quote: Quote | None,
    target: Decimal,
    own: Decimal,
    now_ms: int,
) -> Decision | None:
    """Why this entry is not made, or `None`."""
    if step.price <= 0:
        told = "the leader's price makes no sense"
        return skip("leader_state_invalid", told, False, target=target, limit=0, observed=step.price)
    found = _own_gate(step, snapshot, policy, target, now_ms)
    if found is not None:
        return found
    leader = snapshot.leader
    if not leader.alive:
        told = "nothing was heard from the leader for so many ms"
        return skip("leader_silent", told, False, target=target, observed=leader.silent_ms)
    if step.symbol in snapshot.blocked_symbols:
        told, open_here = (
            "an order of unknown outcome is open here",
            snapshot.pending.get(step.symbol, Pending()),
        )
        return skip("unknown_order", told, False, target=target, limit=0, observed=open_here.total)
    if step.symbol in snapshot.exits_due:
        told = "an exit of this leader could not be made here yet: so much is still held"
        return skip("exit_due", told, False, target=target, observed=own)
    if target == 0 and leader.qty_now is not None and step.qty_after != leader.qty_now:
        told = "the leader left the position before this entry's wave: he was to hold one and holds the other"
        return skip("superseded", told, False, limit=step.qty_after, observed=leader.qty_now)
    jump = _equity_jump(step, leader.equity_before)
    if jump is not None:
        return skip(
            "leader_equity_jump",
            "the leader's equity changed by more than trading explains",
            False,
            target=target,
            limit=LEADER_EQUITY_JUMP_MAX,
            observed=jump,
        )
    if quote is None:
        return no_quote(step.symbol, snapshot, target, now_ms)
    return _loss_gate(snapshot, policy, target) or _market_gate(step, snapshot, policy, quote, target, own)


def _own_gate(
    step: LeaderStep, snapshot: Snapshot, policy: Policy, target: Decimal, now_ms: int
) -> Decision | None:
    """What the follower himself has ordered, and the entry's time."""
    guard = snapshot.guard
    if guard.control is not Control.RUN:
        return _ordered(guard, target, now_ms)
    if not policy.allows(step.symbol):
        told, listed = f"{step.symbol} is not among those on the follower's list", len(policy.symbols)
        return skip("symbol_denied", told, False, target=target, limit=listed)
    if not snapshot.reconciled:
        return skip("not_reconciled", "the account is not reconciled yet", False, target=target)
    if guard.clock_fault:
        told = "the venue's clock is so many ms from this one: old and new cannot be told apart"
        return skip("clock", told, False, limit=CLOCK_FAULT_MS, observed=guard.clock_offset_ms)
    expires_ms = min(step.expires_ms, ENTRY_LIFE_MAX_MS)
    deadline_ms = snapshot.wave_start_ms + expires_ms
    if now_ms > deadline_ms:
        return skip(
            "expired",
            f"the entry came {now_ms - deadline_ms} ms after its time",
            False,
            target=target,
            limit=expires_ms,
            observed=now_ms - snapshot.wave_start_ms,
        )
    if guard.orders_recent >= policy.orders_per_10_s_max:
        return skip(
            "order_rate",
            "as many orders as are allowed were sent in the last ten seconds",
            False,
            target=target,
            limit=policy.orders_per_10_s_max,
            observed=guard.orders_recent,
        )
    return None


def _ordered(guard: Guard, target: Decimal, now_ms: int) -> Decision:
    """What was ordered, by whom, why, and how many seconds ago."""
    code, told = CONTROL_REASONS[guard.control]
    ago_s = max(0, now_ms - guard.control_at_ms) // 1000 if guard.control_at_ms else None
    when = "" if ago_s is None else f" {ago_s} s ago"
    why = f" ({guard.control_reason})" if guard.control_reason else ""
    who = f", by {guard.control_by}" if guard.control_by else ""
    return skip(code, f"{told}{who}{when}{why}", False, target=target, observed=ago_s)


def no_quote(symbol: str, snapshot: Snapshot, target: Decimal, now_ms: int) -> Decision:
    """The last one is too old, or there was none."""
    quote = snapshot.quotes.get(symbol)
    age_ms = None if quote is None else now_ms - quote.at_ms
    told = "no fresh quote of the follower's venue"
    return skip("no_quote", told, False, target=target, limit=snapshot.quote_age_max_ms, observed=age_ms)


def _equity_jump(step: LeaderStep, before: Decimal | None) -> Decimal | None:
    """By what factor the leader's equity jumped, where that is too much."""
    if before is None or before <= 0 or step.equity <= 0:
        return None
    factor = max(step.equity / before, before / step.equity)
    return factor if factor > LEADER_EQUITY_JUMP_MAX else None


def _loss_gate(snapshot: Snapshot, policy: Policy, target: Decimal) -> Decision | None:
    guard = snapshot.guard
    for reason, limit, observed, text in (
        ("loss_daily", policy.daily_loss_max_usdt, guard.daily_loss_usdt, "of the day"),
        ("loss_weekly", policy.weekly_loss_max_usdt, guard.weekly_loss_usdt, "of the week"),
        ("drawdown", policy.drawdown_max_share, guard.drawdown, "from the peak"),
    ):
        if limit is not None and observed >= limit:
            return skip(
                reason,
                f"the loss {text} is at its limit",
                False,
                target=target,
                limit=limit,
                observed=observed,
            )
    return None


def _market_gate(
    step: LeaderStep, snapshot: Snapshot, policy: Policy, quote: Quote, target: Decimal, own: Decimal
) -> Decision | None:
    gap_max = policy.mark_last_gap_max_bps
    if gap_max is not None:
        gap = abs(quote.mark - quote.last) / quote.mark * BPS
        if gap > gap_max:
            return skip(
                "mark_last_gap",
                "mark and last price are too far apart",
                False,
                target=target,
                limit=gap_max,
                observed=_cents(gap),
            )
    touch = quote.ask if target > 0 else quote.bid
    late = _late_join_gate(step, snapshot, policy, touch, target, own)
    if late is not None:
        return late
    worse = (touch - step.price if target > 0 else step.price - touch) / step.price * BPS
    if worse <= policy.entry_guard_bps:
        return None
    return skip(
        "entry_guard",
        f"the price is {worse:.1f} bps worse than the leader's fill",
        False,
        target=target,
        limit=policy.entry_guard_bps,
        observed=_cents(worse),
    )


def _late_join_gate(
    step: LeaderStep, snapshot: Snapshot, policy: Policy, touch: Decimal, target: Decimal, own: Decimal
) -> Decision | None:
    """A position that the leader had before he was followed."""
    is_late = step.symbol in snapshot.leader.legacy_symbols and own == 0 and step.kind is StepKind.ENTRY
    if not is_late or policy.late_join is LateJoin.COPY_NOW:
        return None
    if policy.late_join is LateJoin.WAIT:
        told = "a position from before this follower joined: he entered at one price, and now it is the other"
        return skip("late_join", told, False, target=target, limit=step.entry_price, observed=touch)
    worse = touch - step.entry_price if target > 0 else step.entry_price - touch
    if worse <= 0:
        return None
    return skip(
        "late_join_price",
        "the price is worse than the leader's average entry",
        False,
        target=target,
        limit=step.entry_price,
        observed=touch,
    )


def _cents(value: Decimal) -> Decimal:
    return Decimal(int(value * 100)) / 100
