"""What is remembered of an account: orders, executions, closed profit, wallet movements, loans' interest.

Belongs here: the shapes. Does not belong here: how they come about (`ledger.accounts`) and wire text.
Amounts are fixed point; times are wall microseconds.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

__all__ = [
    "CashFlow",
    "Closure",
    "Execution",
    "FundingPayment",
    "InterestCharge",
    "OrderRecord",
    "OrderStatus",
    "PositionMemory",
    "TransferRecord",
    "WalletMovement",
]


class OrderStatus(StrEnum):
    """Where an order is in its life."""

    NEW = "new"
    PARTIALLY_FILLED = "partially_filled"
    FILLED = "filled"
    CANCELLED = "cancelled"
    UNTRIGGERED = "untriggered"
    DEACTIVATED = "deactivated"
    FILLED_IN_PART = "filled_in_part"  # of spot: what was left was cancelled

    @property
    def is_open(self) -> bool:
        """True while it rests in the book, or waits for a price."""
        return self in {OrderStatus.NEW, OrderStatus.PARTIALLY_FILLED, OrderStatus.UNTRIGGERED}


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
    position_index: int = 0
    create_type: str = "User"
    kind: str = "Plain"
    trigger_price: int = 0
    trigger_by: str = ""
    trigger_direction: str = ""
    close_on_trigger: bool = False
    self_match: str = "Allow"
    slippage_ticks: int = 0
    slippage_ratio: int = 0
    counterparty: int = 0
    is_fired: bool = False
    tpsl_mode: str = ""
    take_profit: int = 0
    take_profit_by: str = ""
    take_profit_limit: int = 0
    stop_loss: int = 0
    stop_loss_by: str = ""
    stop_loss_limit: int = 0
    trailing_stop: int = 0
    is_leveraged: bool = False
    spend: int = 0  # of a market buy that spends so much of the quote coin


class Execution(NamedTuple):
    """One fill of one account, or one payment of funding. `order` is None where no order was filled."""

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
    position_index: int = 0
    rate: int = 0
    """Of funding, 10**-12; 0 for what is traded."""


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


class FundingPayment(NamedTuple):
    """What one position's payment of funding was reckoned from; the rate is of 10**-12."""

    instrument: int
    qty: int
    mark_price: int
    rate: int


class WalletMovement(NamedTuple):
    """One change of a unified wallet."""

    sequence: int
    reason: str
    change: int
    balance: int
    execution: Execution | None
    wall_us: int
    funding: FundingPayment | None = None
    coin: int = 0


class TransferRecord(NamedTuple):
    """Money that left one of an account's wallets for another wallet; `ordinal` counts from 1."""

    ordinal: int
    sequence: int
    source: int
    target: int
    coin: int
    amount: int
    from_wallet: str
    to_wallet: str
    wall_us: int


class CashFlow(NamedTuple):
    """Money that came into the venue, or left it; `ordinal` counts from 1 within its kind."""

    ordinal: int
    sequence: int
    coin: int
    amount: int
    wall_us: int


class InterestCharge(NamedTuple):
    """Interest on one loan; the rate is of one hour, 10**-12."""

    sequence: int
    coin: int
    borrowed: int
    free: int
    rate: int
    interest: int
    wall_us: int
