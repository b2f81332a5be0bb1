"""Bodies of trading requests: from wire fields to typed requests, or a refusal that names the field.

Belongs here: shape of the values (kinds, words, decimals). Does not belong here: filters and risk, which are
the engine's. Documented features this venue lacks are refused, never ignored; unknown fields are ignored.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

from simulated_exchange.driver import (
    OrderType,
    PositionIndex,
    SelfMatch,
    Side,
    Terms,
    TimeInForce,
    TriggerBy,
    TriggerDirection,
)
from simulated_exchange.gateway.translate.numbers import parse_decimal
from simulated_exchange.gateway.translate.refusals import bad_request, invalid_parameter, not_supported
from simulated_exchange.gateway.translate.rows import parse_order_id
from simulated_exchange.instruments import MARKETS, SCALE, Catalogue, Instrument

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
    "position_index",
    "whole_number",
]

BATCH_MAX = 20
SPOT_BATCH_MAX = 10
Body = Mapping[str, Any]
T = TypeVar("T")

_LINK_ID = re.compile(r"[A-Za-z0-9_-]{1,36}", re.ASCII)
_SIDES = {"Buy": Side.Buy, "Sell": Side.Sell}
_ORDER_TYPES = {"Market": OrderType.Market, "Limit": OrderType.Limit}
_TIMES_IN_FORCE = {
    "GTC": TimeInForce.GoodTillCancel,
    "IOC": TimeInForce.ImmediateOrCancel,
    "FOK": TimeInForce.FillOrKill,
    "PostOnly": TimeInForce.PostOnly,
}
_SELF_MATCH = {
    "None": SelfMatch.Allow,
    "CancelMaker": SelfMatch.CancelMaker,
    "CancelTaker": SelfMatch.CancelTaker,
    "CancelBoth": SelfMatch.CancelBoth,
}
_TRIGGER_BY = {
    "LastPrice": TriggerBy.LastPrice,
    "MarkPrice": TriggerBy.MarkPrice,
    "IndexPrice": TriggerBy.IndexPrice,
}
_DIRECTIONS = {0: TriggerDirection.Either, 1: TriggerDirection.Rise, 2: TriggerDirection.Fall}
_POSITION_INDICES = {
    0: PositionIndex.OneWay,
    1: PositionIndex.HedgeBuy,
    2: PositionIndex.HedgeSell,
}
_ORDER_FILTERS = ("Order", "StopOrder", "tpslOrder")
# Documented features that this venue refuses, with what counts as "not asked for".
_UNSUPPORTED = {
    "takeProfit": ("", "0"),
    "stopLoss": ("", "0"),
    "tpLimitPrice": ("", "0"),
    "slLimitPrice": ("", "0"),
    "orderIv": ("",),
    "bboSideType": ("",),
    "mmp": (False,),
}
SLIPPAGE_TICKS_MAX = 10_000


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
    """New price, quantity or trigger of an order."""

    order: OrderReference
    price: int | None
    qty: int | None
    trigger_price: int | None
    trigger_by: TriggerBy | None


@dataclass(frozen=True, slots=True)
class CancelAllRequest:
    """The orders of these instruments: those that rest, those that wait, or both."""

    category: str
    instruments: tuple[Instrument, ...]
    resting: bool
    waiting: bool

    def includes(self, is_waiting: bool) -> bool:
        """Whether an order that waits for a price, or one that does not, is meant."""
        return self.waiting if is_waiting else self.resting


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
    for name, idle in _UNSUPPORTED.items():
        value = body.get(name)
        if value is not None and value not in idle:
            raise not_supported(name, "leave it out")


def _word(body: Body, name: str, words: Mapping[str, T], default: str = "") -> T | None:
    """What one of the wire's words means; None for any other value."""
    value = body.get(name) or default
    return words.get(value) if isinstance(value, str) else None


def _flag(body: Body, name: str) -> bool:
    value = body.get(name)
    if value is None or value == "":
        return False
    if not isinstance(value, bool):
        raise invalid_parameter(name, "true or false")
    return value


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


def whole_number(body: Body, name: str, default: int | None = None) -> int:
    """A JSON integer, or text of one."""
    value = body.get(name)
    if (value is None or value == "") and default is not None:
        return default
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 18:
        return int(value)
    if type(value) is not int or not 0 <= value < 10**18:
        raise invalid_parameter(name, "a whole number")
    return value


def order_request(body: Body, catalogue: Catalogue, category: str) -> OrderRequest:
    """A body of order create in a market, which a batch names once."""
    instrument = instrument_of(body, catalogue, category)
    side = _word(body, "side", _SIDES)
    if side is None:
        raise bad_request("params error: side invalid")
    order_type = _word(body, "orderType", _ORDER_TYPES)
    if order_type is None:
        raise invalid_parameter("orderType", "Market or Limit")
    index = position_index(body)
    _refuse_unsupported(body)
    qty = parse_decimal(body.get("qty"))
    if qty is None:
        raise bad_request("Qty invalid")
    price, time_in_force = _price_and_time(body, order_type)
    reduce_only = _flag(body, "reduceOnly") and not instrument.is_spot  # spot ignores it
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
        terms=_terms(body, instrument, side, order_type),
    )


def _price_and_time(body: Body, order_type: OrderType) -> tuple[int, TimeInForce]:
    if order_type == OrderType.Market:
        return 0, TimeInForce.ImmediateOrCancel
    price = parse_decimal(body.get("price"))
    if not price:
        raise invalid_parameter("price", "a decimal string above zero for a limit order")
    time_in_force = _word(body, "timeInForce", _TIMES_IN_FORCE, "GTC")
    if time_in_force is None:
        raise invalid_parameter("timeInForce", "GTC, IOC, FOK or PostOnly")
    return price, time_in_force


def _terms(body: Body, instrument: Instrument, side: Side, order_type: OrderType) -> Terms | None:
    """What an order asks for beyond the plain; None for nothing."""
    asked: dict[str, Any] = {}
    self_match = _word(body, "smpType", _SELF_MATCH, "None")
    if self_match is None:
        raise invalid_parameter("smpType", ", ".join(_SELF_MATCH))
    if self_match != SelfMatch.Allow:
        asked["self_match"] = self_match
    asked |= _slippage(body)
    asked |= _spot_terms(body, side, order_type) if instrument.is_spot else {}
    if _flag(body, "closeOnTrigger") and not instrument.is_spot:
        asked["close_on_trigger"] = True
    asked |= _trigger(body, instrument)
    return Terms(**asked) if asked else None


def _slippage(body: Body) -> dict[str, Any]:
    """How far beyond the best price a market order may fill: in ticks, or in percent of it."""
    kind, value = body.get("slippageToleranceType"), body.get("slippageTolerance")
    if not value or value == "0" or not kind or kind == "UNKNOWN":
        return {}
    amount = parse_decimal(value)
    if kind == "TickSize" and amount and amount % SCALE == 0 and amount <= SLIPPAGE_TICKS_MAX * SCALE:
        return {"slippage_ticks": amount // SCALE}
    if kind == "Percent" and amount and amount <= 10 * SCALE:
        return {"slippage_ratio": amount // 100}
    raise invalid_parameter("slippageTolerance", "1 to 10000 ticks (TickSize) or 0.01 to 10 (Percent)")


def _spot_terms(body: Body, side: Side, order_type: OrderType) -> dict[str, Any]:
    """Borrowing, and whether a market buy's quantity is what is spent: so it is unless told otherwise."""
    asked: dict[str, Any] = {}
    if whole_number(body, "isLeverage", 0):
        asked["is_leveraged"] = True
    unit = body.get("marketUnit") or ("quoteCoin" if side == Side.Buy else "baseCoin")
    if unit not in ("baseCoin", "quoteCoin"):
        raise invalid_parameter("marketUnit", "baseCoin or quoteCoin")
    if order_type == OrderType.Market and unit == "quoteCoin":
        if side == Side.Sell:
            raise not_supported("marketUnit", "sell a quantity of the base coin")
        asked["in_quote"] = True
    return asked


def _trigger(body: Body, instrument: Instrument) -> dict[str, Any]:
    """From where to where the price must go before the order comes in."""
    order_filter = body.get("orderFilter") or "Order"
    if order_filter not in _ORDER_FILTERS:
        raise invalid_parameter("orderFilter", ", ".join(_ORDER_FILTERS))
    value = body.get("triggerPrice")
    if value is None or value in {"", "0"}:
        if order_filter != "Order":
            raise invalid_parameter("triggerPrice", "a decimal string above zero")
        return {}
    price = parse_decimal(value)
    if not price:
        raise invalid_parameter("triggerPrice", "a decimal string above zero")
    trigger_by = _word(body, "triggerBy", _TRIGGER_BY, "LastPrice")
    if trigger_by is None:
        raise invalid_parameter("triggerBy", ", ".join(_TRIGGER_BY))
    direction = 0 if instrument.is_spot else whole_number(body, "triggerDirection", 0)
    if direction not in _DIRECTIONS:
        raise invalid_parameter("triggerDirection", "1 or 2")
    return {
        "trigger_price": price,
        "trigger_by": trigger_by,
        "trigger_direction": _DIRECTIONS[direction],
    }


def _reference(body: Body, catalogue: Catalogue, category: str) -> OrderReference:
    instrument = instrument_of(body, catalogue, category)
    wire_id, link_id = body.get("orderId"), body.get("orderLinkId")
    if wire_id:
        return OrderReference(instrument, parse_order_id(wire_id), "")
    if isinstance(link_id, str) and link_id:
        return OrderReference(instrument, None, link_id)
    raise bad_request("params error: OrderId or orderLinkId is required")


def cancel_request(body: Body, catalogue: Catalogue, category: str) -> OrderReference:
    """A body of order cancel."""
    return _reference(body, catalogue, category)


def amend_request(body: Body, catalogue: Catalogue, category: str) -> AmendRequest:
    """A body of order amend; absent and empty values stay as they are."""
    reference = _reference(body, catalogue, category)
    _refuse_unsupported(body)
    price, qty = _optional_decimal(body, "price"), _optional_decimal(body, "qty")
    trigger_price = _optional_decimal(body, "triggerPrice") or None
    trigger_by = None
    if body.get("triggerBy"):
        trigger_by = _word(body, "triggerBy", _TRIGGER_BY)
        if trigger_by is None:
            raise invalid_parameter("triggerBy", ", ".join(_TRIGGER_BY))
    if price is None and qty is None and trigger_price is None and trigger_by is None:
        raise bad_request("params error: price, qty or triggerPrice is required")
    return AmendRequest(reference, price, qty, trigger_price, trigger_by)


def _optional_decimal(body: Body, name: str) -> int | None:
    value = body.get(name)
    if value is None or value == "":
        return None
    parsed = parse_decimal(value)
    if parsed is None:
        raise bad_request("Qty invalid") if name == "qty" else invalid_parameter(name, "a decimal string")
    return parsed


def cancel_all_request(body: Body, catalogue: Catalogue) -> CancelAllRequest:
    """A body of cancel-all: one symbol, one base coin, everything settled in one coin, or (spot)
    everything.
    """
    category = category_of(body)
    order_filter = body.get("orderFilter") or ("Order" if category == "spot" else "")
    if order_filter and order_filter not in _ORDER_FILTERS:
        raise invalid_parameter("orderFilter", ", ".join(_ORDER_FILTERS))
    resting, waiting = order_filter in ("", "Order"), order_filter != "Order"
    if body.get("symbol"):
        return CancelAllRequest(category, (instrument_of(body, catalogue, category),), resting, waiting)
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
    return CancelAllRequest(category, found, resting, waiting)


def batch_requests(body: Body) -> tuple[str, list[Body]]:
    """The market and the entries of a batch, 1 to BATCH_MAX of them; half as many in spot."""
    category = category_of(body)
    entries, most = body.get("request"), SPOT_BATCH_MAX if category == "spot" else BATCH_MAX
    if not isinstance(entries, list) or not 1 <= len(entries) <= most:
        raise invalid_parameter("request", f"a list of 1 to {most} orders")
    if not all(isinstance(entry, dict) for entry in entries):
        raise invalid_parameter("request", "a list of objects")
    return category, entries
