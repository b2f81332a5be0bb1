"""What is remembered of an account: orders, executions, closed profit, wallet movements.

Belongs here: the shapes. Does not belong here: how they come about (`ledger.accounts`) and wire text.
Amounts are fixed point; times are wall microseconds.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

__all__ = [
    "Closure",
    "Execution",
    "FundingPayment",
    "OrderRecord",
    "OrderStatus",
    "PositionMemory",
    "WalletMovement",
]


class OrderStatus(StrEnum):
    """Where an order is in its life."""

    NEW = "new"
    PARTIALLY_FILLED = "partially_filled"
    FILLED = "filled"
    CANCELLED = "cancelled"

    @property
    def is_open(self) -> bool:
        """True while it rests in the book."""
        return self in {OrderStatus.NEW, OrderStatus.PARTIALLY_FILLED}


@dataclass(slots=True)
class OrderRecord:
    """One order through its whole life."""

    order_id: int
    account: int
    instrument: int
    is_buy: bool
    is_market: bool
    time_in_force: str
    price: int
    qty: int
    reduce_only: bool
    link_id: str
    leaves: int
    created_us: int
    updated_us: int
    last_price_on_created: int
    status: OrderStatus = OrderStatus.NEW
    cancel_reason: str = ""
    filled_qty: int = 0
    filled_value: int = 0
    fee: int = 0
    closed_pnl: int = 0


@dataclass(frozen=True, slots=True)
class Execution:
    """One fill of one account. `order` is None for take-overs and deleveraging."""

    sequence: int
    trade_id: int
    order: OrderRecord | None
    account: int
    instrument: int
    is_buy: bool
    price: int
    qty: int
    value: int
    fee: int
    is_maker: bool
    leaves: int
    closed_qty: int
    realised_pnl: int
    kind: str
    mark_price: int
    wall_us: int


@dataclass(slots=True)
class Closure:
    """What one closing order made of a position."""

    sequence: int
    order: OrderRecord | None
    instrument: int
    is_buy: bool
    kind: str
    leverage: int
    closed_qty: int = 0
    entry_value: int = 0
    exit_value: int = 0
    open_fee: int = 0
    close_fee: int = 0
    pnl: int = 0
    fills: int = 0
    created_us: int = 0
    updated_us: int = 0


@dataclass(slots=True)
class PositionMemory:
    """What the engine does not keep of a position, because it decides nothing."""

    qty: int = 0
    entry_price: int = 0
    open_fee: int = 0
    realised: int = 0
    realised_ever: int = 0
    opened_us: int = 0
    updated_us: int = 0
    sequence: int = 0
    leverage: int = 0
    closure: Closure | None = None


@dataclass(frozen=True, slots=True)
class FundingPayment:
    """What one position's payment of funding was reckoned from; the rate is of 10**-12."""

    instrument: int
    qty: int
    mark_price: int
    rate: int


@dataclass(frozen=True, slots=True)
class WalletMovement:
    """One change of a wallet."""

    sequence: int
    reason: str
    change: int
    balance: int
    execution: Execution | None
    wall_us: int
    funding: FundingPayment | None = None
