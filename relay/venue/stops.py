"""A leader's orders that close a whole position at a price: his take-profits and stop-losses.

Belongs here: noticing that orders changed, reading which of them are such, putting them onto positions. Does
not belong here: any other order; what followers are told of it (`relay.core.signals`).

Most venues keep stops as orders beside the position. One that covers part of a position is not told: whoever
copied it would close everything. Rows are ccxt's unified ones.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from decimal import Decimal
from typing import Any, Final, Literal

from ccxt.base import errors as ccxt_errors

from relay.core.account import FLAT, Leg, Position, hedged
from relay.venue.listing import Row
from relay.venue.port import decimal_of

__all__ = ["StopOrders", "with_stops"]

LOOK_EVERY_S: Final = 15.0  # a stream may not tell of conditional orders
SETTLE_S: Final = 0.5  # orders that change within it are looked at once
PAGE: Final = 100
_NOT_SO: Final = (ccxt_errors.ArgumentsRequired, ccxt_errors.NotSupported, ccxt_errors.BadRequest)
_LISTS: Final[tuple[dict[str, Any], ...]] = ({}, {"trigger": True})  # orders, and conditional ones
_LISTS_OF: Final[dict[str, tuple[dict[str, Any], ...]]] = {
    "binance": ({"type": "swap"}, {"type": "swap", "trigger": True}),  # spot's, unless it is told
    "bitget": ({"trigger": True, "planType": "profit_loss"}, {"trigger": True}),
    "hyperliquid": ({},),
    "okx": (
        {"trigger": True, "ordType": "conditional"},
        {"trigger": True, "ordType": "oco"},
        {"trigger": True},
    ),
}
_TYPE_FIELDS: Final = ("type", "origType", "orderType", "stopOrderType", "planType", "tpsl")
_Kind = Literal["take_profit", "stop_loss"]
_Ask = Callable[[Awaitable[Any]], Awaitable[Any]]
_SizeOf = Callable[[str], Decimal]


class StopOrders:
    """Knows the stops of one account. `ask` makes ccxt's exceptions ours; `symbols` are asked for one by one
    where the venue lists orders only so.
    """

    def __init__(self, exchange: Any, ask: _Ask, symbols: Iterable[str]) -> None:
        self._exchange = exchange
        self._ask = ask
        self._symbols = symbols
        self._orders: list[Row] = []
        self._read_at = float("-inf")
        self._news: asyncio.Task[Any] | None = None
        self._has_stream = bool(exchange.has.get("watchOrders"))
        self._is_listed = bool(exchange.has.get("fetchOpenOrders"))
        self._by_symbol = False

    @property
    def symbols(self) -> set[str]:
        """Of the orders that were read last."""
        return {str(order.get("symbol")) for order in self._orders}

    async def changed(self) -> None:
        """Return when orders have changed, or LOOK_EVERY_S later."""
        if not self._has_stream:
            await asyncio.sleep(LOOK_EVERY_S)
        else:
            if self._news is None:
                self._news = asyncio.ensure_future(self._exchange.watch_orders())
            done, _ = await asyncio.wait({self._news}, timeout=LOOK_EVERY_S)
            if done:
                task, self._news = self._news, None
                if _is_refusal(task.exception()):
                    self._has_stream = False  # it will say the same again: look now and then
                else:
                    await self._ask(task)
                    await asyncio.sleep(SETTLE_S)
        self._read_at = float("-inf")

    async def onto(self, positions: Mapping[str, Position], size_of: _SizeOf) -> dict[str, Position]:
        """The positions with their stops; those that the venue tells of a position itself go first."""
        if self._is_listed and time.monotonic() - self._read_at > LOOK_EVERY_S:
            self._orders = await self._read()
            self._read_at = time.monotonic()
        return with_stops(positions, self._orders, size_of)

    async def close(self) -> None:
        """Wait for news no more."""
        if self._news is not None:
            self._news.cancel()
            with suppress(asyncio.CancelledError, Exception):
                await self._news
            self._news = None

    async def _read(self) -> list[Row]:
        if not self._by_symbol:
            try:
                return await self._list(None)
            except _NeedsSymbol:
                self._by_symbol = True
        rows: list[Row] = []
        for symbol in list(self._symbols):
            with suppress(_NeedsSymbol):
                rows += await self._list(symbol)
        return rows

    async def _list(self, symbol: str | None) -> list[Row]:
        """All lists of open orders that stops can be in."""

        async def all_lists() -> list[Row]:
            rows: list[Row] = []
            for number, which in enumerate(_LISTS_OF.get(str(self._exchange.id), _LISTS)):
                try:
                    rows += await self._exchange.fetch_open_orders(symbol, None, PAGE, dict(which))
                except _NOT_SO:
                    if number == 0:
                        raise _NeedsSymbol from None  # else: the venue has one list only
            return rows

        found: list[Row] = await self._ask(all_lists())
        return found


def _is_refusal(error: BaseException | None) -> bool:
    return isinstance(error, ccxt_errors.ExchangeError) and not isinstance(
        error, ccxt_errors.AuthenticationError
    )


class _NeedsSymbol(Exception):  # noqa: N818 - it is no failure
    """The venue lists orders of one symbol at a time."""


def with_stops(
    positions: Mapping[str, Position], orders: Sequence[Row], size_of: _SizeOf
) -> dict[str, Position]:
    """The positions with the stops that these open orders are; `size_of` a symbol's contract, base units."""
    found = dict(positions)
    for symbol in {str(order.get("symbol")) for order in orders} & positions.keys():
        own = [order for order in orders if order.get("symbol") == symbol]
        position, size = positions[symbol], size_of(symbol)
        if position.long is not None and position.short is not None:
            long = _with(position.long, Decimal(1), _of_side(own, "long"), size)
            short = _with(position.short, Decimal(-1), _of_side(own, "short"), size)
            found[symbol] = hedged(replace(position, long=long, short=short))
        elif position.qty:
            leg = Leg(
                abs(position.qty),
                position.entry_price,
                take_profit=position.take_profit,
                stop_loss=position.stop_loss,
            )
            leg = _with(leg, position.qty, own, size)
            found[symbol] = replace(position, take_profit=leg.take_profit, stop_loss=leg.stop_loss)
        else:
            found[symbol] = replace(position, take_profit=FLAT.take_profit, stop_loss=FLAT.stop_loss)
    return found


def _of_side(orders: Sequence[Row], name: str) -> list[Row]:
    def side(order: Row) -> str:
        info = order.get("info") or {}
        words = (str(info.get(field, "")).lower() for field in ("positionSide", "posSide", "holdSide"))
        told = {"1": "long", "2": "short"}.get(str(info.get("positionIdx")), "")
        return next((word for word in words if word in ("long", "short")), told)

    return [order for order in orders if side(order) in (name, "")]


def _with(leg: Leg, direction: Decimal, orders: Sequence[Row], size: Decimal) -> Leg:
    """A side of a position with its nearest take-profit and stop-loss."""
    prices: dict[str, list[Decimal]] = {"take_profit": [], "stop_loss": []}
    side = "sell" if direction > 0 else "buy"
    for order in orders:
        if leg.qty and order.get("side") == side and _closes(order, leg.qty, size):
            for kind, price in _stops_in(order, direction, leg.entry_price):
                prices[kind].append(price)
    ahead, behind = (min, max) if direction > 0 else (max, min)
    return replace(
        leg,
        take_profit=leg.take_profit or ahead(prices["take_profit"], default=Decimal(0)),
        stop_loss=leg.stop_loss or behind(prices["stop_loss"], default=Decimal(0)),
    )


def _closes(order: Row, qty: Decimal, size: Decimal) -> bool:
    """Whether it closes all of a position and opens nothing."""
    info = order.get("info") or {}
    if str(info.get("closePosition")).lower() == "true":
        return True
    amount = decimal_of(order.get("amount")) * size
    return bool(order.get("reduceOnly")) and (amount >= qty or not amount)


def _stops_in(order: Row, direction: Decimal, entry: Decimal) -> list[tuple[_Kind, Decimal]]:
    take_profit, stop_loss = decimal_of(order.get("takeProfitPrice")), decimal_of(order.get("stopLossPrice"))
    if take_profit or stop_loss:
        told: list[tuple[_Kind, Decimal]] = [("take_profit", take_profit), ("stop_loss", stop_loss)]
        return [(kind, price) for kind, price in told if price]
    price = decimal_of(order.get("triggerPrice") or order.get("stopPrice"))
    kind = _kind_of(order, direction)
    if kind is None and (price - entry) * direction < 0:
        kind = "stop_loss"  # a loss; a gain may be taken or kept from falling
    return [(kind, price)] if price and kind is not None else []


def _kind_of(order: Row, direction: Decimal) -> _Kind | None:
    """By where the price comes from, if the venue says it, or by the venue's own word for the order."""
    info = order.get("info") or {}
    trigger = info.get("trigger")
    comes_from = str(
        info.get("triggerDirection") or (trigger.get("rule") if isinstance(trigger, dict) else "")
    )
    if comes_from in ("1", "2"):  # 1: it rises to the price
        return "take_profit" if (comes_from == "1") == (direction > 0) else "stop_loss"
    told = (order.get("type"), *(info.get(name) for name in _TYPE_FIELDS))
    words = " ".join(str(value) for value in told).lower()
    if "profit" in words or words.split().count("tp"):
        return "take_profit"
    return "stop_loss" if "stop" in words or "loss" in words or words.split().count("sl") else None
