"""The vocabulary of the wire: what a leader broadcasts and what a follower reports.

Belongs here: the shape of every payload, as frozen msgspec structs, and the rules for its values.
Does not belong here: bytes (`codec`), keys (`signing`), subjects (`subjects`), any I/O or clock.

Amounts are decimal strings (`0|[1-9]\\d{0,15}` with up to 12 decimals, a leading `-` only where a field says
"signed"); times are integers whose name ends in their unit, Unix epoch, wall clock of whoever set them.
Symbols are ccxt's (`BTC/USDT:USDT`). A reader ignores fields it does not know within one major version.
"""

from __future__ import annotations

from typing import Literal

import msgspec

__all__ = [
    "SCHEMA_VERSION",
    "Cause",
    "CopyReport",
    "FillRow",
    "Heartbeat",
    "MarketState",
    "Notice",
    "OrderRow",
    "PositionState",
    "Signal",
    "Snapshot",
    "StaggerPlan",
    "StatusReport",
    "Verdict",
]

SCHEMA_VERSION = 1

Side = Literal["buy", "sell"]
Cause = Literal["trade", "liquidation", "adl", "funding", "cash_flow", "manual"]
Verdict = Literal["copied", "capped", "skipped", "missed"]
OrderOutcome = Literal["accepted", "rejected", "unknown"]


class _Message(msgspec.Struct, frozen=True, kw_only=True):
    """Base of all payloads: immutable, named fields only, unknown fields ignored."""


class PositionState(_Message):
    """A position as it is after the step that the message reports."""

    symbol: str
    qty: str  # signed base units; "0" = flat
    entry_price: str  # "0" when flat
    exposure: str  # signed notional at mark / equity
    leverage: str  # the position's leverage setting
    margin_mode: Literal["cross", "isolated"] = "cross"
    position_mode: Literal["one_way", "hedge"] = "one_way"
    take_profit: str | None = None
    stop_loss: str | None = None


class MarketState(_Message):
    """Prices at the leader's venue when the message was sealed."""

    mark: str
    index: str
    last: str
    bid: str
    ask: str


class StaggerPlan(_Message):
    """How entries are spread: `waves` groups, `spacing_ms` apart. One wave = no stagger."""

    waves: int = 1
    spacing_ms: int = 0


class Signal(_Message):
    """One step of the leader, and where he stands after it.

    `side`, `qty`, `price` are the step (volume-weighted over `fill_ids`); `position` is the state after it.
    `account_leverage` = sum of |notional| over all symbols / equity, after the step: what half of the leader's
    leverage is counted from. `expires_ms` is a duration: an entry not submitted within it after the follower's
    wave began is dropped; exits never expire.
    """

    signal_id: str  # "<leader>.<epoch>.<seq>"
    cause: Cause
    symbol: str
    side: Side
    qty: str
    price: str
    fill_ids: list[str]
    position: PositionState
    equity: str
    account_leverage: str
    market: MarketState
    leader_exec_ms: int  # the venue's time of the (last) fill
    seen_ms: int  # the publisher read it from the stream
    sealed_ms: int  # the publisher signed it
    expires_ms: int
    stagger: StaggerPlan = StaggerPlan()


class Snapshot(_Message):
    """Everything the leader holds. Sent at start and every N seconds; takes a seq."""

    positions: list[PositionState]
    equity: str
    account_leverage: str
    sealed_ms: int


class Heartbeat(_Message):
    """Head of the chain, once a second, not stored, no seq of its own."""

    head_seq: int
    head_hash: str
    mode: Literal["live", "paused"]
    program_version: str
    sent_ms: int


class Notice(_Message):
    """Something followers should know that is not a trade. Takes a seq."""

    notice: Literal["started", "paused", "resumed", "closing"]
    text: str
    sealed_ms: int


class FillRow(_Message):
    """One execution at the follower's venue."""

    fill_id: str
    qty: str
    price: str
    fee: str
    fee_currency: str
    executed_ms: int
    is_maker: bool


class OrderRow(_Message):
    """One order of a copy and everything that became of it."""

    client_order_id: str
    order_id: str | None
    side: Side
    qty: str
    reduce_only: bool
    outcome: OrderOutcome
    reject_code: str | None = None
    fills: list[FillRow] = []


class CopyReport(_Message):
    """The one terminal verdict of one follower on one signal.

    `reason` is a code (`copied` or why not), `detail` a sentence, `limit_value` / `observed_value` the numbers that
    decided it. `*_mid` are the follower's own quotes at that moment (null where that step was not reached);
    `leverage_after` / `leverage_cap` are in the sense of the leverage cap: |notional| / equity at the moment of
    deciding with this order counted as filled, and the cap in force for it (null for exits and skips).
    """

    follower_id: str
    leader_id: str
    epoch: int
    seq: int
    signal_id: str
    symbol: str
    side: Side
    policy: str
    paper: bool
    verdict: Verdict
    reason: str
    detail: str
    is_exit: bool
    target_qty: str  # signed position the policy wanted
    order_qty: str  # unsigned, after caps and rounding; "0" when nothing was sent
    wanted_qty: str  # unsigned, before caps
    limit_value: str | None = None
    observed_value: str | None = None
    leverage_after: str | None = None
    leverage_cap: str | None = None
    received_ms: int
    released_ms: int | None = None
    submitted_ms: int | None = None
    accepted_ms: int | None = None
    executed_ms: int | None = None  # last fill, venue time
    received_mid: str | None = None
    released_mid: str | None = None
    submitted_mid: str | None = None
    accepted_mid: str | None = None
    received_mark: str | None = None
    received_last: str | None = None
    orders: list[OrderRow] = []


class StatusReport(_Message):
    """Where a follower stands: sent every few seconds and once more at the end."""

    follower_id: str
    leader_id: str
    policy: str
    paper: bool
    sent_ms: int
    head_seq: int  # last signal seq with a verdict
    equity: str
    positions: list[PositionState]
    target_exposure: str  # signed, of the leader's last state under this policy, all symbols summed
    actual_exposure: str
    exposure_gap: str  # |target - actual|, fractions of equity
    leverage: str
    leverage_peak: str  # highest ever seen, prices included
    unknown_orders: int
    mode: Literal["running", "reduce_only", "paused", "stopped"]
