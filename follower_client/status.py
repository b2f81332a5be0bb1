"""Where a follower stands, as one report.

Belongs here: exposures and their gap. Does not belong here: sending it (`reports`).
"""

from __future__ import annotations

from decimal import Decimal
from typing import Literal

from follower_client.core.caps import leverage_share
from follower_client.core.policy import Mode, Policy
from follower_client.executor import Executor
from follower_client.order_driver import now_ms
from follower_client.reports import wire_number
from follower_client.venue.account import AccountState
from relay.protocol.messages import PositionState, StatusReport

__all__ = ["status_report", "target_exposures"]

ZERO = Decimal(0)


def target_exposures(executor: Executor, policy: Policy, account: AccountState) -> dict[str, Decimal]:
    """Signed exposure per symbol that the policy wants of the leader's state, within the leverage caps."""
    equity = account.equity() or ZERO
    scale = policy.scale * executor.desk.risk.stakes * (-1 if policy.reverse else 1)
    if policy.mode is Mode.EXPOSURE:
        found = {
            symbol: exposure * scale
            for symbol, exposure in executor.leader.exposures.items()
            if policy.allows(symbol)
        }
    else:
        found = {
            symbol: qty * account.quotes[symbol].mark / equity
            for symbol, qty in executor.targets.items()
            if equity > 0 and symbol in account.quotes
        }
    leader = executor.leader
    share = leverage_share(found.values(), leader.leverage or ZERO, policy, leader.facts.leverage_recommended)
    return {symbol: exposure * share for symbol, exposure in found.items()}


def status_report(
    executor: Executor, policy: Policy, account: AccountState, *, mode: Literal["running", "stopped"]
) -> StatusReport:
    """The state of this moment."""
    equity = account.equity() or ZERO
    actual = {
        symbol: (
            qty * account.quotes[symbol].mark / equity if equity > 0 and symbol in account.quotes else ZERO
        )
        for symbol, qty in account.positions().items()
    }
    target = target_exposures(executor, policy, account)
    gap = sum(
        (abs(target.get(symbol, ZERO) - actual.get(symbol, ZERO)) for symbol in {*target, *actual}), ZERO
    )
    identity = executor.identity
    funding, interest = executor.desk.risk.carry()
    return StatusReport(
        follower_id=identity.follower_id,
        leader_id=identity.leader_id,
        policy=identity.policy,
        paper=identity.paper,
        sent_ms=now_ms(),
        head_seq=executor.last_seq,
        equity=wire_number(equity),
        positions=[
            PositionState(
                symbol=symbol,
                qty=wire_number(holding.qty),
                entry_price=wire_number(holding.entry_price),
                exposure=wire_number(actual.get(symbol, ZERO)),
                leverage=wire_number(account.leverage_settings.get(symbol, Decimal(1))),
            )
            for symbol, holding in sorted(account.holdings.items())
            if holding.qty != 0
        ],
        target_exposure=wire_number(sum(target.values(), ZERO)),
        actual_exposure=wire_number(sum(actual.values(), ZERO)),
        exposure_gap=wire_number(gap),
        leverage=wire_number(executor.desk.note_leverage()),
        leverage_peak=wire_number(executor.desk.leverage_peak),
        unknown_orders=executor.driver.unknown_count(),
        funding_paid=None if identity.paper else wire_number(funding),
        interest_paid=None if identity.paper else wire_number(max(ZERO, interest)),
        mode=mode,
    )
