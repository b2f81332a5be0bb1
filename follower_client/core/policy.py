"""What one follower allows: the sizing mode, the caps and the gates, as one frozen record.

Belongs here: values and their own sense. Does not belong here: reading files (`settings`), using the values
(`sizing`, `caps`, `decide`).
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

__all__ = [
    "ENTRY_LIFE_MAX_MS",
    "EXIT_GUARD_BPS",
    "LEADER_LEVERAGE_SHARE",
    "WAVE_WAIT_MAX_MS",
    "BelowMinimum",
    "Mode",
    "Policy",
]

LEADER_LEVERAGE_SHARE = Decimal("0.5")
"""A follower's leverage stays at or below this share of the leader's. A product rule, not a setting."""

EXIT_GUARD_BPS = Decimal(100)
"""How far beyond the touch a reduction may be priced before it falls back to a plain market order."""

ENTRY_LIFE_MAX_MS = 60_000
"""No entry is sent later than this after its wave began, whatever the leader allows."""

WAVE_WAIT_MAX_MS = 30_000
"""The longest stagger that a follower puts up with."""


class Mode(StrEnum):
    """How a leader's state becomes a target quantity."""

    EXPOSURE = "exposure"
    FIXED_NOTIONAL = "fixed_notional"


class BelowMinimum(StrEnum):
    """What happens to an entry below the venue's minimum."""

    SKIP = "skip"
    ROUND_UP = "round_up"


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """The follower's own rules. No signal changes any of them.

    Notional caps are in USDT, `None` = not set. `ignore_band_bps` is in basis points of equity.
    """

    label: str
    mode: Mode = Mode.EXPOSURE
    scale: Decimal = Decimal("0.5")
    fixed_notional_usdt: Decimal = Decimal(100)
    leverage_max: Decimal = Decimal(3)
    notional_per_order_max_usdt: Decimal | None = None
    notional_per_symbol_max_usdt: Decimal | None = None
    notional_total_max_usdt: Decimal | None = None
    entry_guard_bps: Decimal = Decimal(50)
    below_minimum: BelowMinimum = BelowMinimum.SKIP
    ignore_band_bps: Decimal = Decimal(5)
    symbols: frozenset[str] = frozenset()
