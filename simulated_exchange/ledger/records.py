"""What is remembered of an account's trading: orders, executions, closed profit, movements of the wallet.

Belongs here: the shapes. Does not belong here: how they come about (`ledger.accounts`), other money
(`money_records`) and wire text.
Amounts are fixed point; times are wall microseconds.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NamedTuple

from simulated_exchange.driver import Event, OrderType, Side, TimeInForce
from simulated_exchange.ledger.event_rows import event_of_row, event_row

__all__ = [
    "Closure",
    "Execution",
    "FundingPayment",
    "OrderRecord",
    "OrderStatus",
    "PaidFunding",
    "PositionMemory",
    "WalletMovement",
]


_TIME_IN_FORCE = {
    TimeInForce.GoodTillCancel: "GTC",
    TimeInForce.ImmediateOrCancel: "IOC",
    TimeInForce.FillOrKill: "FOK",
    TimeInForce.PostOnly: "PostOnly",
}


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


class _OfEvent:
    """What a record reads from the event that it is made of: which one, and when."""

    __slots__ = ()
    _event: Event.OrderAccepted | Event.Fill | PaidFunding | Event.WalletChanged

    @property
    def sequence(self) -> int:
        """Number of the event."""
        return self._event.sequence

    @property
    def wall_us(self) -> int:
        """When it happened."""
        return self._event.wall_us


class _OfTrading(_OfEvent):
    """Also whose it is, and of which position."""

    __slots__ = ()
    _event: Event.OrderAccepted | Event.Fill | PaidFunding

    @property
    def account(self) -> int:
        """Whose it is."""
        return self._event.account

    @property
    def instrument(self) -> int:
        """What it is about."""
        return self._event.instrument

    @property
    def position_index(self) -> int:
        """Which of the account's positions it is for."""
        return int(self._event.position_index)

    @property
    def is_buy(self) -> bool:
        """Its side; of funding whether the position is long."""
        return self._event.side == Side.Buy


class OrderRecord(_OfTrading):
    """One order through its whole life: the event that began it, and what has become of it since.

    What never changes is read from the event when somebody asks; what mostly stays as it is costs nothing
    until it changes.
    """

    _event: Event.OrderAccepted
    status: OrderStatus = OrderStatus.NEW
    cancel_reason: str = ""
    filled_qty: int = 0
    filled_value: int = 0
    fee: int = 0
    closed_pnl: int = 0
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

    def __init__(
        self,
        event: Event.OrderAccepted,
        order_id: int,
        link_id: str,
        price: int,
        qty: int,
        wall_us: int,
        last_price: int,
    ) -> None:
        self._event = event
        self.order_id = order_id
        self.link_id = link_id
        self.price = price
        self.qty = self.leaves = qty
        self.updated_us = wall_us
        self.last_price_on_created = last_price

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_event": event_row(self._event)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state, _event=event_of_row(state["_event"]))

    @property
    def is_market(self) -> bool:
        """Whether it takes any price."""
        return self._event.order_type == OrderType.Market

    @property
    def time_in_force(self) -> str:
        """How long it lives, in the wire's word."""
        return _TIME_IN_FORCE[self._event.time_in_force]

    @property
    def reduce_only(self) -> bool:
        """Whether it may only make a position smaller."""
        return self._event.reduce_only

    @property
    def created_us(self) -> int:
        """When it was taken."""
        return self.wall_us

    @property
    def create_type(self) -> str:
        """Who made it."""
        return self._event.create_type.name


class Execution(_OfTrading):
    """One fill of one account. `order` is None where no order was filled; `value` is in the quote coin."""

    __slots__ = ("_event", "mark_price", "order", "value")
    _event: Event.Fill | PaidFunding

    def __init__(
        self, event: Event.Fill | PaidFunding, order: OrderRecord | None, value: int, mark_price: int
    ) -> None:
        self._event = event
        self.order = order
        self.value = value
        self.mark_price = mark_price

    def __getstate__(self) -> tuple[Any, ...]:
        event = self._event
        row = event if isinstance(event, PaidFunding) else event_row(event)
        return row, self.order, self.value, self.mark_price

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        row, self.order, self.value, self.mark_price = state
        self._event = row if isinstance(row, PaidFunding) else event_of_row(row)

    @property
    def trade_id(self) -> int:
        """The trade it is a side of; 0 for none."""
        return self._event.trade_id

    @property
    def price(self) -> int:
        """At what price; of funding the mark."""
        return self._event.price

    @property
    def qty(self) -> int:
        """How much."""
        return self._event.qty

    @property
    def fee(self) -> int:
        """What it cost; below zero it was paid."""
        return self._event.fee

    @property
    def is_maker(self) -> bool:
        """Whether the order rested before."""
        return self._event.is_maker

    @property
    def leaves(self) -> int:
        """What is left of the order."""
        return self._event.leaves

    @property
    def closed_qty(self) -> int:
        """How much of it closed a position."""
        return self._event.closed_qty

    @property
    def realised_pnl(self) -> int:
        """What closing realised."""
        return self._event.realised_pnl

    @property
    def kind(self) -> str:
        """How it came about."""
        kind = self._event.kind
        return kind if isinstance(kind, str) else kind.name

    @property
    def rate(self) -> int:
        """Of funding, 10**-12; 0 for what is traded."""
        event = self._event
        return event.rate if isinstance(event, PaidFunding) else 0


class PaidFunding(NamedTuple):
    """One payment of funding in the fields of a fill."""

    sequence: int
    account: int
    instrument: int
    position_index: int
    is_long: bool
    price: int
    qty: int
    fee: int
    rate: int
    wall_us: int
    trade_id: int = 0
    is_maker: bool = False
    leaves: int = 0
    closed_qty: int = 0
    realised_pnl: int = 0
    kind: str = "Funding"

    @property
    def side(self) -> Side:
        """As if it were a fill."""
        return Side.Buy if self.is_long else Side.Sell


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


class WalletMovement(_OfEvent):
    """One change of a unified wallet, and the fill or the payment that made it."""

    __slots__ = ("_event", "execution", "funding")
    _event: Event.WalletChanged

    def __init__(
        self,
        event: Event.WalletChanged,
        execution: Execution | None = None,
        funding: FundingPayment | None = None,
    ) -> None:
        self._event = event
        self.execution = execution
        self.funding = funding

    def __getstate__(self) -> tuple[Any, ...]:
        return event_row(self._event), self.execution, self.funding

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        row, self.execution, self.funding = state
        self._event = event_of_row(row)

    @property
    def reason(self) -> str:
        """Why."""
        return self._event.reason.name

    @property
    def change(self) -> int:
        """By how much."""
        return self._event.change

    @property
    def balance(self) -> int:
        """What there is now."""
        return self._event.balance

    @property
    def coin(self) -> int:
        """Of which coin."""
        return self._event.coin
