"""What an order asks for beyond side, quantity and price, and what is to end a position.

Belongs here: self-match, slippage, borrowing, triggers, take-profit and stop-loss, trailing stops: shape of
the values. Does not belong here: the order itself (`requests`), filters and risk, which are the engine's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from simulated_exchange.driver import (
    OrderType,
    PositionIndex,
    SelfMatch,
    Side,
    Terms,
    TpSlMode,
    TriggerBy,
    TriggerDirection,
)
from simulated_exchange.gateway.translate.body import Body, flag, optional_decimal, whole_number, word
from simulated_exchange.gateway.translate.numbers import parse_decimal
from simulated_exchange.gateway.translate.refusals import bad_request, invalid_parameter, not_supported
from simulated_exchange.instruments import SCALE, Instrument

__all__ = ["ORDER_FILTERS", "TradingStopRequest", "amended_terms", "read_terms", "trading_stop_terms"]

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
_MODES = {"Full": TpSlMode.Full, "Partial": TpSlMode.Partial}
_KINDS = {"Market": OrderType.Market, "Limit": OrderType.Limit}
ORDER_FILTERS = ("Order", "StopOrder", "tpslOrder")
SLIPPAGE_TICKS_MAX = 10_000
_NAMES = frozenset(
    {
        "smpType",
        "slippageTolerance",
        "closeOnTrigger",
        "orderFilter",
        "triggerPrice",
        "takeProfit",
        "stopLoss",
    }
)
"""Without one of these, an order of a contract asks for nothing beyond the plain."""


@dataclass(frozen=True, slots=True)
class TradingStopRequest:
    """What is to end a position; `terms` are arguments of the driver's call."""

    position_index: PositionIndex
    terms: dict[str, Any]


def read_terms(body: Body, instrument: Instrument, side: Side, order_type: OrderType) -> Terms | None:
    """What an order asks for beyond the plain; None for nothing."""
    if _NAMES.isdisjoint(body) and not instrument.is_spot:
        return None
    asked: dict[str, Any] = {}
    self_match = word(body, "smpType", _SELF_MATCH, "None")
    if self_match is None:
        raise invalid_parameter("smpType", ", ".join(_SELF_MATCH))
    if self_match != SelfMatch.Allow:
        asked["self_match"] = self_match
    asked |= _slippage(body)
    asked |= _spot_terms(body, side, order_type) if instrument.is_spot else {}
    if flag(body, "closeOnTrigger") and not instrument.is_spot:
        asked["close_on_trigger"] = True
    asked |= _trigger(body, instrument)
    asked |= _spot_exits(body, order_type) if instrument.is_spot else _exits(body)
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
    if order_filter not in ORDER_FILTERS:
        raise invalid_parameter("orderFilter", ", ".join(ORDER_FILTERS))
    value = body.get("triggerPrice")
    if value in (None, "", "0"):  # a tuple: what strangers send need not be hashable
        if order_filter != "Order":
            raise invalid_parameter("triggerPrice", "a decimal string above zero")
        return {}
    price = parse_decimal(value)
    if not price:
        raise invalid_parameter("triggerPrice", "a decimal string above zero")
    trigger_by = word(body, "triggerBy", _TRIGGER_BY, "LastPrice")
    if trigger_by is None:
        raise invalid_parameter("triggerBy", ", ".join(_TRIGGER_BY))
    holds = instrument.is_spot and order_filter == "tpslOrder"
    direction = 0 if instrument.is_spot else whole_number(body, "triggerDirection", 0)
    if direction not in _DIRECTIONS:
        raise invalid_parameter("triggerDirection", "1 or 2")
    return {
        "trigger_price": price,
        "trigger_by": trigger_by,
        "trigger_direction": _DIRECTIONS[direction],
        **({"holds": True} if holds else {}),
    }


def _price(body: Body, name: str) -> int | None:
    """A price, 0 to take it away; None where it is not named."""
    return optional_decimal(body, name)


def _trigger_by(body: Body, name: str) -> TriggerBy:
    found = word(body, name, _TRIGGER_BY, "LastPrice")
    if found is None:
        raise invalid_parameter(name, ", ".join(_TRIGGER_BY))
    return found


def _limit(body: Body, kind: str, price: str) -> int | None:
    """The limit of what ends a position; None for the market."""
    order_type = word(body, kind, _KINDS, "Market")
    if order_type is None:
        raise invalid_parameter(kind, "Market or Limit")
    limit = optional_decimal(body, price)
    if order_type == OrderType.Limit and not limit:
        raise invalid_parameter(price, "a decimal string above zero for a limit order")
    return limit if order_type == OrderType.Limit else None


def _mode(body: Body) -> TpSlMode:
    mode = word(body, "tpslMode", _MODES, "Full")
    if mode is None:
        raise invalid_parameter("tpslMode", "Full or Partial")
    return mode


def _sides(body: Body) -> dict[str, Any]:
    """Take-profit and stop-loss as far as they are named."""
    asked: dict[str, Any] = {}
    for wire, name, short in (("takeProfit", "take_profit", "tp"), ("stopLoss", "stop_loss", "sl")):
        price = _price(body, wire)
        if price is None:
            continue
        asked[name] = price
        asked[f"{name}_by"] = _trigger_by(body, f"{short}TriggerBy")
        limit = _limit(body, f"{short}OrderType", f"{short}LimitPrice")
        if limit is not None:
            asked[f"{name}_limit"] = limit
    return asked


def _spot_exits(body: Body, order_type: OrderType) -> dict[str, Any]:
    """The same for what a limit order of spot gets. Where there is a limit price it is a limit order."""
    kinds = {
        kind: "Limit"
        for kind, price in (("tpOrderType", "tpLimitPrice"), ("slOrderType", "slLimitPrice"))
        if not body.get(kind) and body.get(price) not in (None, "", "0")
    }
    asked = _exits({**body, **kinds})
    if asked and order_type == OrderType.Market:
        raise not_supported("takeProfit", "of spot it comes with limit orders only")
    asked.pop("tpsl_mode", None)
    return asked


def _exits(body: Body) -> dict[str, Any]:
    """What is to be put in place for what an order opens; "0" is nothing."""
    asked = _sides(body)
    for name in ("take_profit", "stop_loss"):
        if asked.get(name) == 0:
            for key in (name, f"{name}_by", f"{name}_limit"):
                asked.pop(key, None)
    return {**asked, "tpsl_mode": _mode(body)} if asked else {}


def amended_terms(body: Body) -> dict[str, Any]:
    """New terms of an order: its trigger, its take-profit and stop-loss; what is not named stays."""
    asked = _sides(body)
    trigger_price = optional_decimal(body, "triggerPrice")
    if trigger_price:
        asked["trigger_price"] = trigger_price
    if body.get("triggerBy"):
        asked["trigger_by"] = _trigger_by(body, "triggerBy")
    if asked and body.get("tpslMode"):
        asked["tpsl_mode"] = _mode(body)
    return asked


def trading_stop_terms(body: Body, index: PositionIndex) -> TradingStopRequest:
    """A body of trading-stop. Without a mode it is the whole position, or a part where a size is named."""
    asked = _sides(body)
    sizes = {optional_decimal(body, name) or 0 for name in ("tpSize", "slSize") if body.get(name)}
    if len(sizes) > 1:
        raise bad_request("params error: tpSize and slSize must be equal")
    size = next(iter(sizes), 0)
    mode = _mode(body) if body.get("tpslMode") else TpSlMode.Partial if size else TpSlMode.Full
    if mode == TpSlMode.Partial and size:
        asked["size"] = size
    for wire, name in (("trailingStop", "trailing_stop"), ("activePrice", "active_price")):
        price = _price(body, wire)
        if price is not None:
            asked[name] = price
    if not asked:
        raise bad_request("params error: takeProfit, stopLoss or trailingStop is required")
    return TradingStopRequest(index, {**asked, "mode": mode})
