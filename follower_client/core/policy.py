"""What one follower allows: the sizing mode, the caps and the gates, as one frozen record.

Belongs here: values and their own sense. Does not belong here: reading files (`settings`), using the values
(`sizing`, `caps`, `gates`, `decide`).
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

__all__ = [
    "ENTRY_LIFE_MAX_MS",
    "EXIT_GUARD_BPS",
    "FLATTEN_GUARD_BPS",
    "LEADER_EQUITY_JUMP_MAX",
    "LEADER_LEVERAGE_SHARE",
    "ORDER_RATE_WINDOW_MS",
    "WAVE_WAIT_MAX_MS",
    "BelowMinimum",
    "LateJoin",
    "LeaderLiquidated",
    "LossAction",
    "Mode",
    "Policy",
    "Silence",
]

LEADER_LEVERAGE_SHARE = Decimal("0.5")
"""A follower's leverage stays at or below this share of the leader's. A product rule, not a setting."""

EXIT_GUARD_BPS = Decimal(100)
"""How far beyond the touch a reduction may be priced before it falls back to a plain market order."""

FLATTEN_GUARD_BPS = Decimal(300)
"""The same for an emergency: a flatten by the operator or by a trigger."""

ENTRY_LIFE_MAX_MS = 60_000
"""No entry is sent later than this after its wave began, whatever the leader allows."""

WAVE_WAIT_MAX_MS = 30_000
"""The longest stagger that a follower puts up with."""

LEADER_EQUITY_JUMP_MAX = Decimal(10)
"""An entry is not sized by an equity this many times the last one (or its inverse) unless the leader said
that money came or went."""

ORDER_RATE_WINDOW_MS = 10_000
"""The window of `Policy.orders_per_10_s_max`."""


class Mode(StrEnum):
    """How a leader's state becomes a target quantity."""

    EXPOSURE = "exposure"
    RATIO_AT_START = "ratio_at_start"
    SMART_RATIO = "smart_ratio"
    FIXED_NOTIONAL = "fixed_notional"
    FIXED_MARGIN = "fixed_margin"
    MULTIPLIER = "multiplier"
    RISK_PER_TRADE = "risk_per_trade"


class BelowMinimum(StrEnum):
    """What happens to an entry below the venue's minimum: refused, remembered for the next one, or raised."""

    SKIP = "skip"
    CARRY = "carry"
    ROUND_UP = "round_up"


class LateJoin(StrEnum):
    """What happens to positions that the leader had before he was followed.

    `wait` = not copied until he has been flat; `copy_now` = copied on joining, at the market's price, or at
    his next step where that failed; `if_not_worse` = the same, but only at a price not worse than his
    average.
    """

    WAIT = "wait"
    COPY_NOW = "copy_now"
    IF_NOT_WORSE = "if_not_worse"


class Silence(StrEnum):
    """After `silence_s` without the leader. No entries in any case."""

    HOLD = "hold"
    CLOSE_ONLY = "close_only"
    FLATTEN = "flatten"


class LeaderLiquidated(StrEnum):
    """What a liquidation or deleveraging of the leader does to the copy."""

    SAME_SHARE = "same_share"
    CLOSE = "close"


class LossAction(StrEnum):
    """What happens when a loss limit is reached: no more entries, or out of everything."""

    STOP_OPENING = "stop_opening"
    CLOSE = "close"


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """The follower's own rules. No signal changes any of them.

    Caps are in USDT, `None` = not set. `*_bps` are basis points: of equity for `ignore_band_bps`, of a price
    elsewhere. `*_share` are fractions. `allocation_usdt` `None` = the whole equity. `stop_loss_bps`,
    `take_profit_bps` are distances from the entry price, kept at the venue; 0 = none of our own.
    """

    label: str
    mode: Mode = Mode.EXPOSURE
    scale: Decimal = Decimal("0.5")
    allocation_usdt: Decimal | None = None
    fixed_notional_usdt: Decimal = Decimal(100)
    fixed_margin_usdt: Decimal = Decimal(50)
    multiplier: Decimal = Decimal("0.1")
    risk_share: Decimal = Decimal("0.01")
    reverse: bool = False
    leverage_max: Decimal = Decimal(3)
    leverage_recommended: bool = True
    notional_per_order_max_usdt: Decimal | None = None
    notional_per_symbol_max_usdt: Decimal | None = None
    notional_per_leader_max_usdt: Decimal | None = None
    notional_total_max_usdt: Decimal | None = None
    depth_share_max: Decimal | None = None
    orders_per_10_s_max: int = 50
    borrow_max_usdt: Decimal = Decimal(0)
    entry_guard_bps: Decimal = Decimal(50)
    mark_last_gap_max_bps: Decimal | None = None
    daily_loss_max_usdt: Decimal | None = None
    weekly_loss_max_usdt: Decimal | None = None
    drawdown_max_share: Decimal | None = None
    loss_action: LossAction = LossAction.STOP_OPENING
    stop_loss_bps: Decimal = Decimal(2500)
    take_profit_bps: Decimal = Decimal(0)
    copy_stops: bool = True
    late_join: LateJoin = LateJoin.WAIT
    silence: Silence = Silence.HOLD
    silence_s: int = 300
    leader_liquidated: LeaderLiquidated = LeaderLiquidated.SAME_SHARE
    below_minimum: BelowMinimum = BelowMinimum.SKIP
    ignore_band_bps: Decimal = Decimal(5)
    symbols: frozenset[str] = frozenset()
    symbols_denied: frozenset[str] = frozenset()

    def allows(self, symbol: str) -> bool:
        """Whether a symbol may be entered."""
        return symbol not in self.symbols_denied and (not self.symbols or symbol in self.symbols)
