"""What the follower's own account has been through: losses, drawdown, order rate, refusals, clocks.

Belongs here: the numbers that entries are held against, and the triggers that order a control level. Does
not belong here: the refusal itself (`core.gates`), closing (`closeout`).

Losses are measured on equity since midnight UTC and since Monday, drawdown against the highest equity seen.
Money that is moved in or out moves these marks with it: a withdrawal is no loss, a deposit hides none. While
the wallet has changed for a reason that is not known yet, no limit pulls a trigger, for some seconds at most.
Durations come from the monotonic clock alone.
"""

from __future__ import annotations

import time
from collections import deque
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import structlog

from follower_client.control import ControlFile
from follower_client.core.policy import ORDER_RATE_WINDOW_MS, LossAction, Policy
from follower_client.core.snapshot import CLOCK_FAULT_MS, Control, Guard
from follower_client.store import Store
from follower_client.venue.account import AccountState
from follower_client.venue.outcomes import KEY_REFUSED

__all__ = ["RiskWatch"]

REJECTS_MAX = 20  # orders the venue refused, within the window
REJECTS_WINDOW_S = 60.0
UNKNOWN_MAX = 3
SAVE_EVERY_S = 5.0
UNEXPLAINED_MAX_S = 10.0
SECOND_INSTANCE = (
    "another follower-client, on another machine, copies with this follower's id on this account: "
    "stop one of them, then resume here"
)
ZERO = Decimal(0)

log = structlog.get_logger(__name__)


class RiskWatch:
    """One account. `guard` is cheap and asked before every decision; `tick` runs twice a second."""

    def __init__(self, policy: Policy, account: AccountState, store: Store, control: ControlFile) -> None:
        self._policy = policy
        self._account = account
        self._store = store
        self._control = control
        self._marks = {name: Decimal(text) for name, text in store.marks().items() if name in MARKS}
        self._days = {name: text for name, text in store.marks().items() if name in DAYS}
        account.flows_from_ms = int(self._days.get("flows_ms", 0)) or None
        self._sent_ms: deque[int] = deque()
        self._rejects_s: deque[float] = deque()
        self._saved_s, self._saved = 0.0, self._known()
        self.stakes = Decimal(1)

    def guard(self, leader_id: str = "", equity: Decimal | None = None) -> Guard:
        """What may forbid an entry, of this leader's where one is named, at this moment. `equity` = the
        account's, where the caller knows it.
        """
        self._forget_orders()
        state = self._control.read()
        control = state.level_of(leader_id)
        source = state if control is state.level else state.leaders[leader_id]
        equity = self._account.equity() if equity is None else equity
        return Guard(
            control=control,
            control_by=source.by,
            control_at_ms=source.at_ms,
            control_reason=source.reason,
            orders_recent=len(self._sent_ms),
            daily_loss_usdt=self._loss("day_start", equity),
            weekly_loss_usdt=self._loss("week_start", equity),
            drawdown=self._drawdown(equity),
            stakes=self.stakes,
            clock_fault=self.clock_fault(),
            clock_offset_ms=self._account.clock_offset_ms(),
        )

    def carry(self) -> tuple[Decimal, Decimal]:
        """Funding and interest paid by the account since its first start here."""
        funding, interest = (self._marks.get(name, ZERO) for name in CARRY)
        return funding, interest

    def clock_fault(self) -> bool:
        """Whether this machine's clock is too far from the venue's, as far as anybody knows."""
        offset_ms = self._account.clock_offset_ms()
        return offset_ms is not None and abs(offset_ms) > CLOCK_FAULT_MS

    def note_order(self) -> None:
        """An order was recorded and is about to leave."""
        self._sent_ms.append(_monotonic_ms())
        self._forget_orders()
        if len(self._sent_ms) > 2 * self._policy.orders_per_10_s_max:
            self._trigger(Control.PAUSE, "order_rate", f"{len(self._sent_ms)} orders within ten seconds")

    def note_reject(self, code: str) -> None:
        """The venue refused an order."""
        now_s = time.monotonic()
        self._rejects_s.append(now_s)
        while self._rejects_s and now_s - self._rejects_s[0] > REJECTS_WINDOW_S:
            self._rejects_s.popleft()
        if code in KEY_REFUSED:
            self._trigger(Control.PAUSE, "key_refused", f"the venue refuses the key (code {code})")
        elif len(self._rejects_s) >= REJECTS_MAX:
            self._trigger(Control.PAUSE, "rejects", f"{len(self._rejects_s)} orders refused within a minute")

    def note_twin(self, client_order_id: str, *, is_entry: bool) -> None:
        """Another program sent an order of this follower's own name. Whoever is second with an entry pauses;
        exits go on in both, because no name is taken twice.
        """
        if is_entry:
            self._trigger(Control.PAUSE, "second_instance", SECOND_INSTANCE)
        log.error("second_instance", client_order_id=client_order_id, what=SECOND_INSTANCE)

    def note_second(self, host: str) -> None:
        """Another program that runs as this follower, since before this one."""
        self._trigger(Control.PAUSE, "second_instance", f"{SECOND_INSTANCE} (it runs on {host or '?'})")

    def tick(self, unknown_orders: int) -> None:
        """Bring the marks up to date and pull triggers."""
        equity = self._account.equity()
        if equity is not None:
            self._take_flows(equity)
            if not self._is_unexplained():
                self._mark(equity)
                self._check_losses()
        if unknown_orders > UNKNOWN_MAX:
            self._trigger(Control.PAUSE, "unknown_orders", f"{unknown_orders} orders of unknown outcome")

    def _is_unexplained(self) -> bool:
        since_s = self._account.unexplained_s
        return since_s is not None and time.monotonic() - since_s < UNEXPLAINED_MAX_S

    def _take_flows(self, equity: Decimal) -> None:
        """Move the marks with the money: losses by the amount, the peak in proportion."""
        flows, self._account.flows[:] = list(self._account.flows), []
        if not flows:
            return
        for flow in flows:
            if flow.carry:
                self._marks[flow.carry] = self._marks.get(flow.carry, ZERO) - flow.amount
        total = sum((flow.amount for flow in flows if not flow.carry), ZERO)
        for name in ("day_start", "week_start"):
            if name in self._marks:
                self._marks[name] += total
        if "peak" in self._marks and total:
            before = equity - total
            self._marks["peak"] = self._marks["peak"] * equity / before if before > 0 < equity else equity
        self._days["flows_ms"] = str(max(flow.at_ms for flow in flows))
        self._save()

    def _mark(self, equity: Decimal) -> None:
        now = datetime.now(UTC)
        day, week = now.date(), now.date() - timedelta(days=now.weekday())
        for name, date in (("day_start", day), ("week_start", week)):
            if self._days.get(f"{name}_date") != date.isoformat() or name not in self._marks:
                self._marks[name], self._days[f"{name}_date"] = equity, date.isoformat()
        self._marks["peak"] = max(equity, self._marks.get("peak", equity))
        known = self._known()
        is_new = self._saved.keys() != known.keys()
        if is_new or (self._saved != known and time.monotonic() - self._saved_s > SAVE_EVERY_S):
            self._save()

    def _save(self) -> None:
        self._days.setdefault("flows_ms", str(self._account.venue_ms()))
        self._saved_s, self._saved = time.monotonic(), self._known()
        self._store.save_marks(self._saved)

    def _known(self) -> dict[str, str]:
        return {name: str(value) for name, value in self._marks.items()} | self._days

    def losses_at_limit(self) -> dict[str, str]:
        """The limits that are reached, and a sentence on each."""
        policy, equity, found = self._policy, self._account.equity(), {}
        for name, limit, observed in (
            ("daily_loss", policy.daily_loss_max_usdt, self._loss("day_start", equity)),
            ("weekly_loss", policy.weekly_loss_max_usdt, self._loss("week_start", equity)),
            ("drawdown", policy.drawdown_max_share, self._drawdown(equity)),
        ):
            if limit is not None and observed >= limit and not self._is_unexplained():
                found[name] = f"{name} is {observed:.4f}, the limit is {limit}"
        return found

    def _check_losses(self) -> None:
        if self._policy.loss_action is LossAction.CLOSE:
            for name, text in self.losses_at_limit().items():
                self._trigger(Control.FLATTEN, name, text)

    def _trigger(self, level: Control, name: str, detail: str) -> None:
        before = self._control.read()
        after = self._control.pull(level, name=name, reason=detail)
        if after.number != before.number:
            log.error("trigger", name=name, level=level.value, detail=detail)

    def _loss(self, mark: str, equity: Decimal | None) -> Decimal:
        start = self._marks.get(mark)
        return ZERO if equity is None or start is None else max(ZERO, start - equity)

    def _drawdown(self, equity: Decimal | None) -> Decimal:
        peak = self._marks.get("peak", ZERO)
        return ZERO if equity is None or peak <= 0 else max(ZERO, (peak - equity) / peak)

    def _forget_orders(self) -> None:
        oldest_ms = _monotonic_ms() - ORDER_RATE_WINDOW_MS
        while self._sent_ms and self._sent_ms[0] < oldest_ms:
            self._sent_ms.popleft()


CARRY = ("funding_paid", "interest_paid")
MARKS = ("day_start", "week_start", "peak", *CARRY)
DAYS = ("day_start_date", "week_start_date", "flows_ms")


def _monotonic_ms() -> int:
    return time.monotonic_ns() // 1_000_000
