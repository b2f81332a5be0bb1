"""Bybit v5 rows as the port's records.

Belongs here: pure translation of one row. Does not belong here: ccxt, state, requests.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any, Literal

from follower_client.core.snapshot import Instrument, LeverageTier
from follower_client.core.stops import Stops
from follower_client.errors import VenueUnavailableError
from follower_client.venue.port import OpenOrder, OrderRequest, OrderStatus, VenueFill, VenueOrder

__all__ = [
    "LONG_LEG",
    "SHORT_LEG",
    "body_of",
    "decimal_of",
    "fill_of",
    "instrument_of",
    "open_order_of",
    "order_body",
    "order_of",
    "part_stop_body",
    "stops_body",
    "stops_of",
]

TAKER_FEE_DEFAULT = Decimal("0.00055")
ZONE_LEVERAGE_MAX = Decimal(2)
"""A follower's cap in contracts of the innovation zone, which the venue itself lists with less leverage and
an insurance pool of their own."""

LONG_LEG, SHORT_LEG = 1, 2
"""`positionIdx` of an account in hedge mode; one-way positions have 0."""

TRIGGER_BY = "MarkPrice"  # a stop is not for whoever can move the last price
STATUSES = {
    "New": OrderStatus.OPEN,
    "Created": OrderStatus.OPEN,
    "Untriggered": OrderStatus.OPEN,
    "PartiallyFilled": OrderStatus.PARTIALLY_FILLED,
    "Filled": OrderStatus.FILLED,
    "Cancelled": OrderStatus.CANCELLED,
    "PartiallyFilledCanceled": OrderStatus.CANCELLED,
    "Deactivated": OrderStatus.CANCELLED,
    "Rejected": OrderStatus.REJECTED,
}
FUNDING = "Funding"
PART_STOP = "PartialStopLoss"
ATTACHED: dict[str, Literal["whole", "part"]] = {
    "StopLoss": "whole",
    "TakeProfit": "whole",
    "TrailingStop": "whole",
    PART_STOP: "part",
    "PartialTakeProfit": "part",
}


def decimal_of(value: object) -> Decimal:
    """A venue's number; 0 for what is absent. A float of ccxt's goes through its shortest text."""
    if value is None or value == "":
        return Decimal(0)
    try:
        found = Decimal(str(value))
    except InvalidOperation:
        return Decimal(0)
    return found if found.is_finite() else Decimal(0)


def body_of(what: str, answer: object) -> dict[str, Any]:
    """The `result` of an answer that lists rows. Raises `VenueUnavailableError` for anything else: a page of
    a proxy proves nothing about an order.
    """
    body = answer.get("result") if isinstance(answer, Mapping) else None
    if not isinstance(body, dict) or not isinstance(body.get("list"), list):
        raise VenueUnavailableError(f"{what}: an answer that cannot be read")
    return body


def instrument_of(symbol: str, market: Mapping[str, Any], tiers: list[dict[str, Any]]) -> Instrument:
    """Filters of a ccxt market and its rows of the risk limit."""
    lots, prices = market["info"]["lotSizeFilter"], market["info"]["priceFilter"]
    ladder = sorted(
        (
            LeverageTier(decimal_of(row["riskLimitValue"]), decimal_of(row["maxLeverage"]))
            for row in tiers
            if row.get("symbol") == market["id"]
        ),
        key=lambda tier: tier.notional_max_usdt,
    )
    zone = market["info"].get("symbolType") == "innovation"
    return Instrument(
        symbol=symbol,
        venue_symbol=market["id"],
        zone_leverage_max=ZONE_LEVERAGE_MAX if zone else None,
        qty_step=decimal_of(lots["qtyStep"]),
        qty_min=decimal_of(lots["minOrderQty"]),
        qty_max=decimal_of(lots.get("maxMktOrderQty") or lots["maxOrderQty"]),
        notional_min_usdt=decimal_of(lots.get("minNotionalValue")),
        tick_size=decimal_of(prices["tickSize"]),
        taker_fee=decimal_of(market.get("taker")) or TAKER_FEE_DEFAULT,
        tiers=tuple(ladder),
    )


def order_of(row: Mapping[str, Any]) -> VenueOrder:
    status = STATUSES.get(row["orderStatus"], OrderStatus.OPEN)
    return VenueOrder(
        client_order_id=row["orderLinkId"],
        order_id=row["orderId"],
        status=status,
        filled_qty=decimal_of(row.get("cumExecQty")),
        reject_code=row.get("rejectReason", "") if status is OrderStatus.REJECTED else "",
    )


def fill_of(row: Mapping[str, Any], symbols_by_id: Mapping[str, str]) -> VenueFill | None:
    """`None` for a symbol that is not followed and for what is no trade."""
    symbol = symbols_by_id.get(row["symbol"])
    if symbol is None or row.get("execType", "Trade") == FUNDING:
        return None
    return VenueFill(
        fill_id=row["execId"],
        client_order_id=row.get("orderLinkId") or "",
        order_id=row.get("orderId") or "",
        symbol=symbol,
        is_buy=row["side"] == "Buy",
        qty=decimal_of(row["execQty"]),
        price=decimal_of(row["execPrice"]),
        fee=decimal_of(row.get("execFee")),
        fee_currency=row.get("feeCurrency") or "USDT",
        executed_ms=int(row["execTime"]),
        is_maker=bool(row.get("isMaker")),
        closes=decimal_of(row.get("closedSize")) > 0,
        by_part_stop=row.get("stopOrderType") == PART_STOP,
    )


def order_body(venue_symbol: str, request: OrderRequest, *, hedged: bool = False) -> dict[str, Any]:
    """An order as `/v5/order/create` and the trade socket take it: IOC at a limit, or market.

    In hedge mode it names its leg, and what closes a leg can never do more than that.
    """
    body: dict[str, Any] = {
        "category": "linear",
        "symbol": venue_symbol,
        "side": "Buy" if request.is_buy else "Sell",
        "orderType": "Market",
        "qty": str(request.qty),
        "orderLinkId": request.client_order_id,
    }
    if request.limit_price is not None:
        body |= {"orderType": "Limit", "price": str(request.limit_price), "timeInForce": "IOC"}
    if hedged:
        body["positionIdx"] = LONG_LEG if request.is_buy != request.closes else SHORT_LEG
    if request.reduce_only or (hedged and request.closes):
        body["reduceOnly"] = True
    if request.stop_loss is not None:
        body |= {"stopLoss": str(request.stop_loss), "slTriggerBy": TRIGGER_BY}
    if request.take_profit is not None:
        body |= {"takeProfit": str(request.take_profit), "tpTriggerBy": TRIGGER_BY}
    return body


def stops_body(venue_symbol: str, stops: Stops, leg: int) -> dict[str, Any]:
    """Stops of a whole position as `/v5/position/trading-stop` takes them; 0 takes one away."""
    return {
        "category": "linear",
        "symbol": venue_symbol,
        "tpslMode": "Full",
        "positionIdx": leg,
        "stopLoss": "0" if stops.stop_loss is None else str(stops.stop_loss),
        "takeProfit": "0" if stops.take_profit is None else str(stops.take_profit),
        "slTriggerBy": TRIGGER_BY,
        "tpTriggerBy": TRIGGER_BY,
    }


def part_stop_body(venue_symbol: str, qty: Decimal, price: Decimal, leg: int) -> dict[str, Any]:
    """One more stop-loss, of a part of a position, as `/v5/position/trading-stop` takes it."""
    return {
        "category": "linear",
        "symbol": venue_symbol,
        "tpslMode": "Partial",
        "positionIdx": leg,
        "stopLoss": str(price),
        "slSize": str(qty),
        "slOrderType": "Market",
        "slTriggerBy": TRIGGER_BY,
    }


def stops_of(row: Mapping[str, Any]) -> Stops:
    """What a row of the positions says about its stops."""
    stop, take = decimal_of(row.get("stopLoss")), decimal_of(row.get("takeProfit"))
    return Stops(stop or None, take or None)


def open_order_of(row: Mapping[str, Any], symbols_by_id: Mapping[str, str]) -> OpenOrder | None:
    """A resting order; `None` for a symbol that is not followed and for what rests no more."""
    symbol = symbols_by_id.get(row["symbol"])
    if symbol is None or row["orderStatus"] not in ("New", "PartiallyFilled", "Untriggered"):
        return None
    return OpenOrder(
        symbol=symbol,
        order_id=row["orderId"],
        client_order_id=row.get("orderLinkId") or "",
        reduce_only=bool(row.get("reduceOnly")),
        is_stop=row["orderStatus"] == "Untriggered",
        attached=ATTACHED.get(row.get("stopOrderType", ""), ""),
        is_buy=row.get("side") == "Buy",
        qty=decimal_of(row.get("qty")),
        trigger_price=decimal_of(row.get("triggerPrice")) or None,
    )
