"""A venue in memory behind the follower's port, as obedient or as faulty as a test wants.

It keeps orders by client id and refuses a second one with the same id, like the real one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from decimal import Decimal

from follower_client.core.stops import Stops
from follower_client.errors import VenueUnavailableError
from follower_client.order_driver import now_ms
from follower_client.venue.account import AccountState
from follower_client.venue.key_rights import KeyRights
from follower_client.venue.port import (
    Ending,
    OpenOrder,
    OrderRequest,
    OrderStatus,
    SubmitResult,
    VenueFill,
    VenueListener,
    VenueOrder,
)
from tests.unit.follower_client.build import BTC, instrument, quote

__all__ = ["FakeVenue"]

ZERO = Decimal(0)
Fault = Callable[[OrderRequest], SubmitResult | None]


class FakeVenue:
    """Fills whole at the quote unless told otherwise.

    `fault` may answer a submit instead (nothing reaches the book then). `lose_answers` = the order is taken,
    the client hears "unknown". `fill_share` = how much of an order is filled before it is cancelled.
    `silent` = no stream tells anything, only queries do. `blind` = queries fail.
    """

    paper = False
    recv_window_ms = 0

    def __init__(self, *, balance: str = "10000") -> None:
        self.account = AccountState(
            instruments={BTC: instrument()},
            leverage_settings={BTC: Decimal(20)},
            quotes={BTC: quote(at_ms=now_ms())},
            wallet_balance=Decimal(balance),
        )
        self.orders: dict[str, VenueOrder] = {}
        self.requests: list[OrderRequest] = []
        self.fills: list[VenueFill] = []
        self.fault: Fault = lambda request: None
        self.lose_answers = False
        self.fill_share = Decimal(1)
        self.silent = False
        self.blind = False
        self.stop_calls: list[tuple[str, Stops]] = []
        self.stops_refused = ""
        self.part_calls = 0
        self.resting: list[OpenOrder] = []
        self.listener: VenueListener | None = None

    def move(self, price: str) -> None:
        self.account.quotes[BTC] = quote(price, at_ms=now_ms())

    async def start(self, listener: VenueListener) -> None:
        self.listener = listener

    async def run(self) -> None:
        await asyncio.Event().wait()

    async def reserve(self, *, urgent: bool) -> None:
        """No limits here."""

    async def submit(self, request: OrderRequest) -> SubmitResult:
        self.requests.append(request)
        await asyncio.sleep(0)
        answer = self.fault(request)
        if answer is not None:
            return answer
        if request.client_order_id in self.orders:
            return SubmitResult(Ending.DUPLICATE, None, "110072")
        held = self.account.positions().get(request.symbol, ZERO)
        qty = request.qty
        if request.reduce_only:
            qty = min(qty, abs(held)) if (held > 0) != request.is_buy else ZERO
            if qty == 0:
                return SubmitResult(Ending.REJECTED, None, "110017")
        self._execute(request, (qty * self.fill_share).quantize(Decimal("0.001")))
        if self.lose_answers:
            return SubmitResult(Ending.UNKNOWN)
        return SubmitResult(Ending.ACCEPTED, self.orders[request.client_order_id].order_id)

    def _execute(self, request: OrderRequest, filled: Decimal) -> None:
        order_id = f"v{len(self.orders) + 1}"
        price = self.account.quotes[request.symbol].ask if request.is_buy else self.account.quotes[BTC].bid
        status = OrderStatus.FILLED if filled == request.qty else OrderStatus.CANCELLED
        order = VenueOrder(
            client_order_id=request.client_order_id, order_id=order_id, status=status, filled_qty=filled
        )
        self.orders[request.client_order_id] = order
        if filled > 0:
            fill = VenueFill(
                fill_id=f"x{order_id}",
                client_order_id=request.client_order_id,
                order_id=order_id,
                symbol=request.symbol,
                is_buy=request.is_buy,
                qty=filled,
                price=price,
                fee=filled * price * Decimal("0.00055"),
                fee_currency="USDT",
                executed_ms=now_ms(),
                is_maker=False,
            )
            self.fills.append(fill)
            self.account.apply_fill(fill.symbol, is_buy=fill.is_buy, qty=filled, price=price, fee=fill.fee)
            self._tell(lambda listener: listener.on_fill(fill))
        self._tell(lambda listener: listener.on_order(order))

    def _tell(self, what: Callable[[VenueListener], None]) -> None:
        if self.listener is not None and not self.silent:
            asyncio.get_running_loop().call_soon(what, self.listener)

    async def fetch_by_client_id(self, symbol: str, client_order_id: str) -> VenueOrder | None:
        await asyncio.sleep(0)
        if self.blind:
            raise VenueUnavailableError("blind")
        return self.orders.get(client_order_id)

    async def fetch_fills(self, symbol: str, order_id: str) -> list[VenueFill]:
        found = [fill for fill in self.fills if fill.order_id == order_id]
        for fill in found:
            if self.listener is not None:
                self.listener.on_fill(fill)
        return found

    async def fetch_fills_since(self, since_ms: int) -> list[VenueFill]:
        return [fill for fill in self.fills if fill.executed_ms >= since_ms]

    async def set_stops(self, symbol: str, stops: Stops) -> SubmitResult:
        self.stop_calls.append((symbol, stops))
        if self.stops_refused:
            return SubmitResult(Ending.REJECTED, None, self.stops_refused)
        self.account.stops[symbol] = stops
        return SubmitResult(Ending.ACCEPTED)

    async def add_part_stop(
        self, symbol: str, *, is_long: bool, qty: Decimal, price: Decimal
    ) -> SubmitResult:
        self.part_calls += 1
        if self.stops_refused:
            return SubmitResult(Ending.REJECTED, None, self.stops_refused)
        stop = OpenOrder(
            symbol=symbol,
            order_id=f"p{self.part_calls}",
            client_order_id="",
            reduce_only=True,
            is_stop=True,
            attached="part",
            is_buy=not is_long,
            qty=qty,
            trigger_price=price,
        )
        self.resting.append(stop)
        return SubmitResult(Ending.UNKNOWN if self.lose_answers else Ending.ACCEPTED)

    def trigger(self, stop: OpenOrder, *, told: bool = True) -> None:
        """A stop of a part of a position is executed whole, where it was set."""
        assert stop.trigger_price is not None
        self.resting.remove(stop)
        fill = VenueFill(
            fill_id=f"x{stop.order_id}",
            client_order_id="",
            order_id=stop.order_id,
            symbol=stop.symbol,
            is_buy=stop.is_buy,
            qty=stop.qty,
            price=stop.trigger_price,
            fee=ZERO,
            fee_currency="USDT",
            executed_ms=now_ms(),
            is_maker=False,
            closes=True,
            by_part_stop=True,
        )
        self.fills.append(fill)
        self.account.apply_fill(
            fill.symbol, is_buy=fill.is_buy, qty=fill.qty, price=fill.price, fee=ZERO, closes=True
        )
        if told:
            self._tell(lambda listener: listener.on_fill(fill))

    async def open_orders(self) -> list[OpenOrder]:
        return list(self.resting)

    async def cancel(self, order: OpenOrder) -> SubmitResult:
        self.resting = [one for one in self.resting if one.order_id != order.order_id]
        return SubmitResult(Ending.ACCEPTED)

    async def fetch_positions(self) -> dict[str, Decimal]:
        return self.account.positions()

    async def fetch_key(self) -> KeyRights | None:
        return None

    async def close(self) -> None:
        """Nothing to give back."""
