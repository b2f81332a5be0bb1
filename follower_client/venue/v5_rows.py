"""Bybit v5 rows as the port's records.

Belongs here: pure translation of one row. Does not belong here: ccxt, state, requests.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

from follower_client.core.snapshot import Instrument, LeverageTier
from follower_client.errors import VenueUnavailableError
from follower_client.venue.port import OrderStatus, VenueFill, VenueOrder

__all__ = ["body_of", "decimal_of", "fill_of", "instrument_of", "order_of"]

TAKER_FEE_DEFAULT = Decimal("0.00055")
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
    return Instrument(
        symbol=symbol,
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
    )
