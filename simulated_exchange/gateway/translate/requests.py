"""Bodies of trading requests: from wire fields to typed requests, or a refusal that names the field.

Belongs here: shape of the values (kinds, words, decimals). Does not belong here: filters and risk, which are
the engine's. Documented features this venue lacks are refused, never ignored; unknown fields are ignored.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, NamedTuple

from simulated_exchange.driver import (
    OrderType,
    PlainReader,
    PositionIndex,
    Side,
    StopKind,
    Terms,
    TimeInForce,
)
from simulated_exchange.gateway.translate.body import Body, flag, optional_decimal, whole_number, word
from simulated_exchange.gateway.translate.numbers import parse_decimal
from simulated_exchange.gateway.translate.order_terms import ORDER_FILTERS, amended_terms, read_terms
from simulated_exchange.gateway.translate.refusals import bad_request, invalid_parameter, not_supported
from simulated_exchange.gateway.translate.rows import parse_order_id
from simulated_exchange.instruments import MARKETS, Catalogue, Instrument

__all__ = [
    "BATCH_MAX",
    "AmendRequest",
    "CancelAllRequest",
    "OrderReference",
    "OrderRequest",
    "amend_request",
    "batch_requests",
    "cancel_all_request",
    "cancel_request",
    "category_of",
    "instrument_of",
    "order_request",
    "plain_reader",
    "position_index",
]

BATCH_MAX = 20
SPOT_BATCH_MAX = 10

_LINK_ID = re.compile(r"[A-Za-z0-9_-]{1,36}", re.ASCII)
_SIDES = {"Buy": Side.Buy, "Sell": Side.Sell}
_SPOT_SIDES = {**_SIDES, "BUY": Side.Buy, "SELL": Side.Sell}  # as hummingbot's connector of spot writes them
_ORDER_TYPES = {"Market": OrderType.Market, "Limit": OrderType.Limit}
_TIMES_IN_FORCE = {
    "GTC": TimeInForce.GoodTillCancel,
    "IOC": TimeInForce.ImmediateOrCancel,
    "FOK": TimeInForce.FillOrKill,
    "PostOnly": TimeInForce.PostOnly,
}
_POSITION_INDICES = {
    0: PositionIndex.OneWay,
    1: PositionIndex.HedgeBuy,
    2: PositionIndex.HedgeSell,
}
_PLAIN = frozenset({"category", "symbol", "side", "orderType", "qty", "price", "timeInForce", "orderLinkId"})
# Documented features that this venue refuses, with what counts as "not asked for".
_UNSUPPORTED = {
    "orderIv": ("",),
    "bboSideType": ("",),
    "mmp": (False,),
}
_UNSUPPORTED_NAMES = frozenset(_UNSUPPORTED)


class OrderRequest(NamedTuple):
    """A new order. Quantity 0, reduce-only and closing on trigger, closes the whole position."""

    instrument: Instrument
    side: Side
    order_type: OrderType
    time_in_force: TimeInForce
    qty: int
    price: int
    reduce_only: bool
    link_id: str
    position_index: PositionIndex
    terms: Terms | None


@dataclass(frozen=True, slots=True)
class OrderReference:
    """Which order: by the venue's number (0 when it is none of ours) or by the client's identifier."""

    instrument: Instrument
    order_id: int | None
    link_id: str


@dataclass(frozen=True, slots=True)
class AmendRequest:
    """New price, quantity or terms of an order; `terms` are arguments of the driver's call."""

    order: OrderReference
    price: int | None
    qty: int | None
    terms: dict[str, Any]


@dataclass(frozen=True, slots=True)
class CancelAllRequest:
    """The orders of these instruments: those that rest, those that wait, or both."""

    category: str
    instruments: tuple[Instrument, ...]
    resting: bool
    waiting: bool
    order_filter: str = ""

    def includes(self, is_waiting: bool, kind: StopKind) -> bool:
        """Whether an order that waits for a price (of a kind), or one that does not, is meant."""
        if not is_waiting:
            return self.resting
        holds = kind.name == "SpotTpSl"
        return self.waiting and (not self.order_filter or holds == (self.order_filter == "tpslOrder"))


def category_of(body: Body) -> str:
    """The market a request is for; options are not traded here."""
    value = body.get("category")
    if value not in MARKETS:
        raise invalid_parameter("category", "linear, inverse or spot")
    assert isinstance(value, str)
    return value


def instrument_of(body: Body, catalogue: Catalogue, category: str) -> Instrument:
    """The instrument that a request names."""
    symbol = body.get("symbol")
    instrument = catalogue.by_symbol(symbol, category) if isinstance(symbol, str) else None
    if instrument is None:
        raise bad_request("params error: symbol invalid")
    return instrument


def _refuse_unsupported(body: Body) -> None:
    if _UNSUPPORTED_NAMES.isdisjoint(body):
        return
    for name, idle in _UNSUPPORTED.items():
        value = body.get(name)
        if value is not None and value not in idle:
            raise not_supported(name, "leave it out")


def _link_id(body: Body) -> str:
    value = body.get("orderLinkId")
    if value is None or value == "":
        return ""
    if not isinstance(value, str) or _LINK_ID.fullmatch(value) is None:
        raise invalid_parameter("orderLinkId", "at most 36 letters, digits, '-' or '_'")
    return value


def position_index(body: Body) -> PositionIndex:
    """Which position an order or setting is for: the only one, or a leg of a hedge."""
    value = whole_number(body, "positionIdx", 0)
    index = _POSITION_INDICES.get(value)
    if index is None:
        raise bad_request("position idx not match position mode")
    return index


def plain_reader(catalogue: Catalogue) -> PlainReader:
    """Reads the usual requests for new orders of contracts, as `order_request` would, in far less time."""
    return PlainReader(
        [(entry.category, entry.symbol, entry.index) for entry in catalogue if not entry.is_spot]
    )


def order_request(body: Body, catalogue: Catalogue, category: str) -> OrderRequest:
    """A body of order create in a market, which a batch names once."""
    instrument = instrument_of(body, catalogue, category)
    side = word(body, "side", _SPOT_SIDES if instrument.is_spot else _SIDES)
    if side is None:
        raise bad_request("params error: side invalid")
    order_type = word(body, "orderType", _ORDER_TYPES)
    if order_type is None:
        raise invalid_parameter("orderType", "Market or Limit")
    is_plain = not instrument.is_spot and body.keys() <= _PLAIN  # most orders; nothing else to look for
    index = PositionIndex.OneWay if is_plain else position_index(body)
    if not is_plain:
        _refuse_unsupported(body)
    qty = parse_decimal(body.get("qty"))
    if qty is None:
        raise bad_request("Qty invalid")
    price, time_in_force = _price_and_time(body, order_type)
    reduce_only = not is_plain and flag(body, "reduceOnly") and not instrument.is_spot  # spot ignores it
    return OrderRequest(
        instrument=instrument,
        side=side,
        order_type=order_type,
        time_in_force=time_in_force,
        qty=qty,
        price=price,
        reduce_only=reduce_only,
        link_id=_link_id(body),
        position_index=index,
        terms=None if is_plain else read_terms(body, instrument, side, order_type),
    )


def _price_and_time(body: Body, order_type: OrderType) -> tuple[int, TimeInForce]:
    if order_type == OrderType.Market:
        return 0, TimeInForce.ImmediateOrCancel
    price = parse_decimal(body.get("price"))
    if not price:
        raise invalid_parameter("price", "a decimal string above zero for a limit order")
    time_in_force = word(body, "timeInForce", _TIMES_IN_FORCE, "GTC")
    if time_in_force is None:
        raise invalid_parameter("timeInForce", "GTC, IOC, FOK or PostOnly")
    return price, time_in_force


def _named_instrument(body: Body, catalogue: Catalogue, category: str) -> Instrument:
    """The instrument of an order that is named by its id; hummingbot writes the pair as BTC-USDT then."""
    symbol = body.get("symbol")
    if category == "spot" and isinstance(symbol, str) and "-" in symbol:
        instrument = catalogue.by_symbol(symbol.replace("-", "", 1), category)
        if instrument is not None:
            return instrument
    return instrument_of(body, catalogue, category)


def _reference(body: Body, catalogue: Catalogue, category: str) -> OrderReference:
    instrument = _named_instrument(body, catalogue, category)
    wire_id, link_id = body.get("orderId"), body.get("orderLinkId")
    if wire_id:
        return OrderReference(instrument, parse_order_id(wire_id), "")
    if isinstance(link_id, str) and link_id:
        if _LINK_ID.fullmatch(link_id) is None:
            return OrderReference(instrument, 0, "")  # no order can have it
        return OrderReference(instrument, None, link_id)
    raise bad_request("params error: OrderId or orderLinkId is required")


def cancel_request(body: Body, catalogue: Catalogue, category: str) -> OrderReference:
    """A body of order cancel."""
    return _reference(body, catalogue, category)


def amend_request(body: Body, catalogue: Catalogue, category: str) -> AmendRequest:
    """A body of order amend; absent and empty values stay as they are."""
    reference = _reference(body, catalogue, category)
    _refuse_unsupported(body)
    price, qty = optional_decimal(body, "price"), optional_decimal(body, "qty")
    terms = amended_terms(body)
    if price is None and qty is None and not terms:
        raise bad_request("params error: price, qty or triggerPrice is required")
    return AmendRequest(reference, price, qty, terms)


def cancel_all_request(body: Body, catalogue: Catalogue) -> CancelAllRequest:
    """A body of cancel-all: one symbol, one base coin, everything settled in one coin, or (spot)
    everything.
    """
    category = category_of(body)
    order_filter = body.get("orderFilter") or ("Order" if category == "spot" else "")
    if order_filter and order_filter not in ORDER_FILTERS:
        raise invalid_parameter("orderFilter", ", ".join(ORDER_FILTERS))
    resting, waiting = order_filter in ("", "Order"), order_filter != "Order"
    if body.get("symbol"):
        return CancelAllRequest(
            category, (instrument_of(body, catalogue, category),), resting, waiting, order_filter
        )
    base, settle = body.get("baseCoin"), body.get("settleCoin")
    if not base and not settle and category == "linear":
        raise bad_request("params error: symbol, baseCoin or settleCoin is required")
    found = tuple(
        entry
        for entry in catalogue.of(category)
        if (not base or entry.base == base) and (not settle or entry.settle == settle)
    )
    if not found:
        raise invalid_parameter("baseCoin" if base else "settleCoin")
    return CancelAllRequest(category, found, resting, waiting, order_filter)


def batch_requests(body: Body) -> tuple[str, list[Body]]:
    """The market and the entries of a batch, 1 to BATCH_MAX of them; half as many in spot."""
    category = category_of(body)
    entries, most = body.get("request"), SPOT_BATCH_MAX if category == "spot" else BATCH_MAX
    if not isinstance(entries, list) or not 1 <= len(entries) <= most:
        raise invalid_parameter("request", f"a list of 1 to {most} orders")
    if not all(isinstance(entry, dict) for entry in entries):
        raise invalid_parameter("request", "a list of objects")
    return category, entries
