"""Bodies of trading requests: from wire fields to typed requests, or a refusal that names the field.

Belongs here: shape of the values (kinds, words, decimals). Does not belong here: filters and risk, which are
the engine's. Documented features this venue lacks are refused, never ignored; unknown fields are ignored.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from simulated_exchange.driver import OrderType, Side, TimeInForce
from simulated_exchange.gateway.translate.numbers import parse_decimal
from simulated_exchange.gateway.translate.refusals import bad_request, invalid_parameter, not_supported
from simulated_exchange.gateway.translate.rows import parse_order_id
from simulated_exchange.instruments import SCALE, Catalogue, Instrument

__all__ = [
    "BATCH_MAX",
    "AmendRequest",
    "CancelAllRequest",
    "LeverageRequest",
    "OrderReference",
    "OrderRequest",
    "amend_request",
    "batch_requests",
    "cancel_all_request",
    "cancel_request",
    "check_margin_mode",
    "check_position_mode",
    "leverage_request",
    "order_request",
    "require_linear",
]

BATCH_MAX = 20
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
# Documented features that this venue refuses, with what counts as "not asked for".
_UNSUPPORTED = {
    "takeProfit": ("", "0"),
    "stopLoss": ("", "0"),
    "tpslMode": ("",),
    "tpLimitPrice": ("", "0"),
    "slLimitPrice": ("", "0"),
    "triggerPrice": ("", "0"),
    "triggerDirection": ("", 0),
    "orderIv": ("",),
    "orderFilter": ("", "Order"),
    "slippageTolerance": ("", "0"),
    "bboSideType": ("",),
    "smpType": ("", "None"),
    "mmp": (False,),
}


@dataclass(frozen=True, slots=True)
class OrderRequest:
    """A new order. `qty` 0 with `whole_position` closes what there is."""

    instrument: Instrument
    side: Side
    order_type: OrderType
    time_in_force: TimeInForce
    qty: int
    price: int
    reduce_only: bool
    whole_position: bool
    link_id: str


@dataclass(frozen=True, slots=True)
class OrderReference:
    """Which order: by the venue's number (0 when it is none of ours) or by the client's identifier."""

    instrument: Instrument
    order_id: int | None
    link_id: str


@dataclass(frozen=True, slots=True)
class AmendRequest:
    """New price or quantity of an order."""

    order: OrderReference
    price: int | None
    qty: int | None


@dataclass(frozen=True, slots=True)
class CancelAllRequest:
    """Every order, or those of one instrument."""

    instrument: Instrument | None


@dataclass(frozen=True, slots=True)
class LeverageRequest:
    """Leverage in hundredths."""

    instrument: Instrument
    leverage: int


def require_linear(body: Body) -> None:
    """Only linear perpetuals are traded here."""
    if body.get("category") != "linear":
        raise invalid_parameter("category", "linear")


def _instrument(body: Body, catalogue: Catalogue) -> Instrument:
    symbol = body.get("symbol")
    instrument = catalogue.by_symbol(symbol) if isinstance(symbol, str) else None
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


def order_request(body: Body, catalogue: Catalogue) -> OrderRequest:
    """A body of order create; `category` is checked by the caller, because a batch names it once."""
    instrument = _instrument(body, catalogue)
    side = _word(body, "side", _SIDES)
    if side is None:
        raise bad_request("params error: side invalid")
    order_type = _word(body, "orderType", _ORDER_TYPES)
    if order_type is None:
        raise invalid_parameter("orderType", "Market or Limit")
    if body.get("positionIdx") not in (None, 0, "0", ""):
        raise bad_request("position idx not match position mode")
    _refuse_unsupported(body)
    qty = parse_decimal(body.get("qty"))
    if qty is None:
        raise bad_request("Qty invalid")
    reduce_only, close_on_trigger = _flag(body, "reduceOnly"), _flag(body, "closeOnTrigger")
    price, time_in_force = 0, TimeInForce.ImmediateOrCancel
    if order_type == OrderType.Limit:
        parsed = parse_decimal(body.get("price"))
        if not parsed:
            raise invalid_parameter("price", "a decimal string above zero for a limit order")
        price = parsed
        named = _word(body, "timeInForce", _TIMES_IN_FORCE, "GTC")
        if named is None:
            raise invalid_parameter("timeInForce", "GTC, IOC, FOK or PostOnly")
        time_in_force = named
    return OrderRequest(
        instrument=instrument,
        side=side,
        order_type=order_type,
        time_in_force=time_in_force,
        qty=qty,
        price=price,
        reduce_only=reduce_only or close_on_trigger,
        whole_position=qty == 0 and reduce_only and close_on_trigger,
        link_id=_link_id(body),
    )


def _reference(body: Body, catalogue: Catalogue) -> OrderReference:
    instrument = _instrument(body, catalogue)
    wire_id, link_id = body.get("orderId"), body.get("orderLinkId")
    if wire_id:
        return OrderReference(instrument, parse_order_id(wire_id), "")
    if isinstance(link_id, str) and link_id:
        return OrderReference(instrument, None, link_id)
    raise bad_request("params error: OrderId or orderLinkId is required")


def cancel_request(body: Body, catalogue: Catalogue) -> OrderReference:
    """A body of order cancel."""
    return _reference(body, catalogue)


def amend_request(body: Body, catalogue: Catalogue) -> AmendRequest:
    """A body of order amend; absent and empty values stay as they are."""
    reference = _reference(body, catalogue)
    _refuse_unsupported(body)
    price = _optional_decimal(body, "price")
    qty = _optional_decimal(body, "qty")
    if price is None and qty is None:
        raise bad_request("params error: price or qty is required")
    return AmendRequest(reference, price, qty)


def _optional_decimal(body: Body, name: str) -> int | None:
    value = body.get(name)
    if value is None or value == "":
        return None
    parsed = parse_decimal(value)
    if parsed is None:
        raise bad_request("Qty invalid") if name == "qty" else invalid_parameter(name, "a decimal string")
    return parsed


def cancel_all_request(body: Body, catalogue: Catalogue) -> CancelAllRequest:
    """A body of cancel-all: one symbol, one base coin's contract, or everything settled in one coin."""
    require_linear(body)
    if body.get("orderFilter") not in (None, "", "Order"):
        raise not_supported("orderFilter", "leave it out")
    if body.get("symbol"):
        return CancelAllRequest(_instrument(body, catalogue))
    base, settle = body.get("baseCoin"), body.get("settleCoin")
    if base:
        for instrument in catalogue:
            if instrument.base == base:
                return CancelAllRequest(instrument)
        raise invalid_parameter("baseCoin")
    if settle:
        if all(instrument.quote != settle for instrument in catalogue):
            raise invalid_parameter("settleCoin", "USDT")
        return CancelAllRequest(None)
    raise bad_request("params error: symbol, baseCoin or settleCoin is required")


def batch_requests(body: Body) -> list[Body]:
    """The entries of a batch, 1 to BATCH_MAX of them."""
    require_linear(body)
    entries = body.get("request")
    if not isinstance(entries, list) or not 1 <= len(entries) <= BATCH_MAX:
        raise invalid_parameter("request", f"a list of 1 to {BATCH_MAX} orders")
    if not all(isinstance(entry, dict) for entry in entries):
        raise invalid_parameter("request", "a list of objects")
    return entries


def leverage_request(body: Body, catalogue: Catalogue) -> LeverageRequest:
    """A body of set-leverage; one-way mode has one leverage for both sides."""
    require_linear(body)
    instrument = _instrument(body, catalogue)
    buy, sell = parse_decimal(body.get("buyLeverage")), parse_decimal(body.get("sellLeverage"))
    if not buy or buy % (SCALE // 100):
        raise invalid_parameter("buyLeverage", "a decimal string from 1, at most two decimals")
    if buy != sell:
        raise invalid_parameter("sellLeverage", "the same as buyLeverage in one-way mode")
    return LeverageRequest(instrument, min(buy // (SCALE // 100), 2**31))


def check_position_mode(body: Body, catalogue: Catalogue) -> None:
    """A body of switch-mode: this venue is one-way, so only staying so can be asked for."""
    require_linear(body)
    if body.get("symbol"):
        _instrument(body, catalogue)
    elif not body.get("coin"):
        raise bad_request("params error: symbol or coin is required")
    if body.get("mode") != 0:
        raise not_supported("mode", "it must be 0, one-way")


def check_margin_mode(body: Body) -> None:
    """A body of set-margin-mode: this venue has cross margin only."""
    mode = body.get("setMarginMode")
    if mode in ("ISOLATED_MARGIN", "PORTFOLIO_MARGIN"):
        raise not_supported("setMarginMode", "it must be REGULAR_MARGIN")
    if mode != "REGULAR_MARGIN":
        raise invalid_parameter("setMarginMode", "REGULAR_MARGIN")
