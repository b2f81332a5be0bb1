"""Query strings of GET requests: from wire parameters to typed questions, or a refusal that names one.

Belongs here: parameter names, kinds and ranges. Does not belong here: how a question is answered.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from simulated_exchange.gateway.translate.refusals import (
    bad_request,
    invalid_parameter,
    unknown_market_symbol,
)
from simulated_exchange.gateway.translate.rows import parse_order_id, status_filter
from simulated_exchange.instruments import Catalogue, Instrument
from simulated_exchange.ledger.candles import INTERVALS
from simulated_exchange.ledger.records import OrderStatus

__all__ = [
    "CATEGORIES",
    "HistoryQuery",
    "KlineQuery",
    "PositionQuery",
    "Query",
    "TransactionQuery",
    "account_type",
    "category",
    "coins",
    "history_query",
    "index_name",
    "kline_query",
    "limit",
    "market_instrument",
    "market_instruments",
    "named_coin",
    "open_interest_step_ms",
    "position_query",
    "time_range",
    "transaction_query",
]

Query = Mapping[str, str]

CATEGORIES = ("linear", "spot", "inverse", "option")
_OPEN_INTEREST_STEPS = {
    "5min": 300_000,
    "15min": 900_000,
    "30min": 1_800_000,
    "1h": 3_600_000,
    "4h": 14_400_000,
    "1d": 86_400_000,
}
TIME_MS_MAX = 2**53


@dataclass(frozen=True, slots=True)
class KlineQuery:
    """Which bars."""

    instrument: Instrument
    interval: str
    start_ms: int
    end_ms: int
    limit: int


@dataclass(frozen=True, slots=True)
class HistoryQuery:
    """Which rows of an account's past; `before` is the cursor: only rows older than this number."""

    instrument: Instrument | None
    settles_here: bool
    order_id: int | None
    link_id: str
    statuses: set[OrderStatus] | None
    exec_type: str
    open_only: bool
    conditional_only: bool
    start_ms: int
    end_ms: int
    limit: int
    before: int


def category(query: Query, default: str | None = None) -> str:
    """One of the wire's four markets; only the linear one is traded here, the others are empty."""
    value = query.get("category", default)
    if value not in CATEGORIES:
        raise invalid_parameter("category", "linear, spot, inverse or option")
    return value


def limit(query: Query, default: int, most: int) -> int:
    """How many rows; larger wishes are cut to the most there is, as the real venue does."""
    value = _integer(query, "limit", default)
    if value < 1:
        raise invalid_parameter("limit", f"1 to {most}")
    return min(value, most)


def _integer(query: Query, name: str, default: int) -> int:
    text = query.get(name)
    if text is None or text == "":
        return default
    if not text.isascii() or not text.isdigit() or len(text) > 16:
        raise invalid_parameter(name, "a whole number")
    return int(text)


def time_range(query: Query, start: str = "startTime", end: str = "endTime") -> tuple[int, int]:
    """First and last millisecond asked for."""
    start_ms, end_ms = _integer(query, start, 0), _integer(query, end, TIME_MS_MAX)
    if start_ms > end_ms:
        raise invalid_parameter(start, f"not after {end}")
    return start_ms, end_ms


def market_instrument(query: Query, catalogue: Catalogue) -> Instrument:
    """The instrument of a market data question that needs one."""
    instrument = None
    if category(query, "linear") == "linear":
        instrument = catalogue.by_symbol(query.get("symbol", ""))
    if instrument is None:
        raise unknown_market_symbol()
    return instrument


def market_instruments(query: Query, catalogue: Catalogue) -> list[Instrument]:
    """The instruments of a market data question that may name one: none in markets that are empty here."""
    if category(query) != "linear":
        if query.get("symbol"):
            raise unknown_market_symbol()
        return []
    if query.get("symbol"):
        return [market_instrument(query, catalogue)]
    base = query.get("baseCoin")
    listed = [entry for entry in catalogue.of("linear") if entry.is_perpetual]
    return [entry for entry in listed if not base or entry.base == base]


def kline_query(query: Query, catalogue: Catalogue) -> KlineQuery:
    """A question for bars."""
    instrument = market_instrument(query, catalogue)
    interval = query.get("interval", "")
    if interval not in INTERVALS:
        raise invalid_parameter("interval", ", ".join(INTERVALS))
    start_ms, end_ms = time_range(query, "start", "end")
    return KlineQuery(instrument, interval, start_ms, end_ms, limit(query, 200, 1000))


def open_interest_step_ms(query: Query) -> int:
    """The interval of an open-interest question."""
    step = _OPEN_INTEREST_STEPS.get(query.get("intervalTime", ""))
    if step is None:
        raise invalid_parameter("intervalTime", ", ".join(_OPEN_INTEREST_STEPS))
    return step


def history_query(
    query: Query, catalogue: Catalogue, *, default_limit: int, limit_max: int
) -> HistoryQuery | None:
    """A question for orders, executions or closed profit; None where this venue has no such market."""
    if category(query) != "linear":
        return None
    symbol, settle, base = query.get("symbol"), query.get("settleCoin"), query.get("baseCoin")
    instrument = catalogue.by_symbol(symbol) if symbol else None
    if symbol and instrument is None:
        raise bad_request("params error: symbol invalid")
    if base and instrument is None:
        instrument = next((entry for entry in catalogue if entry.base == base), None)
    status = query.get("orderStatus")
    statuses = status_filter(status) if status else None
    if status and statuses is None:
        raise invalid_parameter("orderStatus")
    wire_id = query.get("orderId")
    start_ms, end_ms = time_range(query)
    return HistoryQuery(
        instrument=instrument,
        settles_here=not settle or any(entry.quote == settle for entry in catalogue),
        order_id=parse_order_id(wire_id) if wire_id else None,
        link_id=query.get("orderLinkId", ""),
        statuses=statuses,
        exec_type=query.get("execType", ""),
        open_only=query.get("openOnly", "0") in ("", "0") and not wire_id and not query.get("orderLinkId"),
        conditional_only=query.get("orderFilter", "Order") not in ("", "Order"),
        start_ms=start_ms,
        end_ms=end_ms,
        limit=limit(query, default_limit, limit_max),
        before=_cursor(query),
    )


def _cursor(query: Query) -> int:
    text = query.get("cursor")
    if not text:
        return TIME_MS_MAX
    if not text.isascii() or not text.isdigit() or len(text) > 15:
        raise invalid_parameter("cursor", "a value of nextPageCursor")
    return int(text)


@dataclass(frozen=True, slots=True)
class TransactionQuery:
    """Which wallet movements."""

    coin: str
    kind: str
    start_ms: int
    end_ms: int
    limit: int
    before: int


def transaction_query(query: Query) -> TransactionQuery:
    """A question for the transaction log."""
    start_ms, end_ms = time_range(query)
    return TransactionQuery(
        coin=query.get("currency", ""),
        kind=query.get("type", ""),
        start_ms=start_ms,
        end_ms=end_ms,
        limit=limit(query, 20, 50),
        before=_cursor(query),
    )


def index_name(query: Query) -> str:
    """Which index; it has the symbol of its contract."""
    return query.get("indexName", "")


def named_coin(query: Query) -> str:
    """The one coin a question is about."""
    return query.get("coinName", "")


@dataclass(frozen=True, slots=True)
class PositionQuery:
    """Which positions: of one instrument, flat or not, or the open ones that settle in or are of a coin."""

    instrument: Instrument | None
    settle: str
    base: str


def position_query(query: Query, catalogue: Catalogue) -> PositionQuery:
    """A question for positions."""
    symbol = query.get("symbol", "")
    instrument = catalogue.by_symbol(symbol)
    if symbol and instrument is None:
        raise bad_request("params error: symbol invalid")
    settle, base = query.get("settleCoin", ""), query.get("baseCoin", "")
    if not symbol and not settle and not base:
        raise bad_request("params error: symbol or settleCoin is required")
    return PositionQuery(instrument, settle, base)


def account_type(query: Query, allowed: tuple[str, ...]) -> str:
    """Which wallet."""
    value = query.get("accountType", "")
    if value not in allowed:
        raise invalid_parameter("accountType", " or ".join(allowed))
    return value


def coins(query: Query, known: list[str]) -> list[str]:
    """The coins named, comma separated, or all of them."""
    text = query.get("coin", "")
    return [name for name in known if name in text.split(",")] if text else known
