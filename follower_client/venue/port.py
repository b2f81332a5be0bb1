"""What the executor needs of a venue, and nothing else.

Belongs here: the protocol and the records that cross it. Does not belong here: any venue's words (adapters),
the meaning of an answer for an order (`core.order`).
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Literal, Protocol

from follower_client.core.stops import Stops
from follower_client.venue.account import AccountState
from follower_client.venue.key_rights import KeyRights

__all__ = [
    "Ending",
    "OpenOrder",
    "OrderRequest",
    "OrderStatus",
    "SubmitResult",
    "VenueFill",
    "VenueListener",
    "VenueOrder",
    "VenuePort",
]


class Ending(StrEnum):
    """How a submit ended.

    `refused` = certainly not accepted, the same id may be sent again; `duplicate` = an earlier try was
    accepted.
    """

    ACCEPTED = "accepted"
    REJECTED = "rejected"
    REFUSED = "refused"
    DUPLICATE = "duplicate"
    UNKNOWN = "unknown"


class OrderStatus(StrEnum):
    """Where the venue says an order is."""

    OPEN = "open"
    PARTIALLY_FILLED = "partially_filled"
    FILLED = "filled"
    CANCELLED = "cancelled"
    REJECTED = "rejected"


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderRequest:
    """One order to send: IOC at `limit_price`, or a market order where that is `None`. `stop_loss`,
    `take_profit` = trigger prices that the venue keeps for the position from the first fill on. `closes` = it
    takes from a copy (which leg of an account in hedge mode is meant).
    """

    client_order_id: str
    symbol: str
    is_buy: bool
    qty: Decimal
    limit_price: Decimal | None
    reduce_only: bool
    closes: bool = False
    stop_loss: Decimal | None = None
    take_profit: Decimal | None = None


@dataclass(frozen=True, slots=True)
class SubmitResult:
    """The ending, the venue's order id or its code, and a text without secrets."""

    ending: Ending
    order_id: str | None = None
    code: str = ""
    text: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class VenueOrder:
    """An order as the venue shows it."""

    client_order_id: str
    order_id: str
    status: OrderStatus
    filled_qty: Decimal
    reject_code: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class VenueFill:
    """One execution on the account. `client_order_id` is empty for what no client sent (a liquidation);
    `closes` = it took from a position, as the venue said when it was heard; `by_part_stop` = a stop of a part
    of the position did it, which bears no name of ours.
    """

    fill_id: str
    client_order_id: str
    order_id: str
    symbol: str
    is_buy: bool
    qty: Decimal
    price: Decimal
    fee: Decimal
    fee_currency: str
    executed_ms: int
    is_maker: bool
    closes: bool = False
    by_part_stop: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenOrder:
    """An order that rests at the venue. `is_stop` = it waits for a trigger price; `attached` = the venue
    keeps it for a position, of the whole or of a part of it, and drops it with the position.
    """

    symbol: str
    order_id: str
    client_order_id: str
    reduce_only: bool
    is_stop: bool
    attached: Literal["", "whole", "part"] = ""
    is_buy: bool = False
    qty: Decimal = Decimal(0)
    trigger_price: Decimal | None = None


class VenueListener(Protocol):
    """Who hears the account's streams. Called once per fill id, on the event loop, must not block."""

    def on_fill(self, fill: VenueFill) -> None: ...

    def on_order(self, order: VenueOrder) -> None: ...


class VenuePort(Protocol):
    """A follower's account at a venue.

    `account` is kept current by streams, so reading it waits for nothing. Calls that ask raise
    `VenueUnavailableError` when there is no usable answer; `submit` never raises, its ending says it.
    """

    @property
    def paper(self) -> bool: ...

    @property
    def account(self) -> AccountState: ...

    @property
    def recv_window_ms(self) -> int: ...

    async def start(self, listener: VenueListener) -> None:
        """Read instruments, wallet, positions; set leverage; open the streams. Raises when it cannot."""
        ...

    async def run(self) -> None:
        """Keep the streams alive until cancelled."""
        ...

    async def reserve(self, *, urgent: bool) -> None:
        """Wait until the venue's limits leave room for one more call; exits overtake entries."""
        ...

    async def submit(self, request: OrderRequest) -> SubmitResult: ...

    async def fetch_by_client_id(self, symbol: str, client_order_id: str) -> VenueOrder | None:
        """Open orders and history. `None` = the venue answered, and the order is not there."""
        ...

    async def fetch_fills(self, symbol: str, order_id: str) -> list[VenueFill]: ...

    async def fetch_fills_since(self, since_ms: int) -> list[VenueFill]:
        """Every execution of the account since then, oldest first, as far back as the venue tells."""
        ...

    async def set_stops(self, symbol: str, stops: Stops) -> SubmitResult:
        """Keep these stops for the whole position, in place of the ones before; `None` takes one away."""
        ...

    async def add_part_stop(
        self, symbol: str, *, is_long: bool, qty: Decimal, price: Decimal
    ) -> SubmitResult:
        """One more stop-loss, of so much of the position; it bears the venue's name alone, which
        `open_orders` tells.
        """
        ...

    async def open_orders(self) -> list[OpenOrder]:
        """What rests at the venue, in every followed symbol."""
        ...

    async def cancel(self, order: OpenOrder) -> SubmitResult:
        """Take one back; an order that is gone already counts as accepted."""
        ...

    async def fetch_positions(self) -> dict[str, Decimal]:
        """Every position of the account; also brings `account` up to date. A failure is never "flat"."""
        ...

    async def fetch_key(self) -> KeyRights | None:
        """What the key may do; `None` on paper, which has no key. Raises `TryAgainError` when the venue does
        not tell it, `ConfigurationError` for a key that it does not know.
        """
        ...

    async def close(self) -> None: ...
