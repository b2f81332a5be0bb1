"""Query strings of GET requests: from wire parameters to typed questions, or a refusal that names one.

Belongs here: parameter names, kinds and ranges. Does not belong here: how a question is answered.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from simulated_exchange.coins import Coin, Coins
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
    "FlowQuery",
    "HistoryQuery",
    "KlineQuery",
    "PositionQuery",
    "Query",
    "TransactionQuery",
    "account_type",
    "category",
    "coins",
    "filters_in",
    "flow_query",
    "history_query",
    "index_instrument",
    "is_asked_for",
    "kline_query",
    "limit",
    "market_instrument",
    "market_instruments",
    "member_id",
    "named_coin",
    "offset",
    "page_number",
    "page_size",
    "position_query",
    "sampling_step_ms",
    "side_is_buy",
    "time_range",
    "transaction_query",
]

Query = Mapping[str, str]

CATEGORIES = ("linear", "spot", "inverse", "option")
_SAMPLING_STEPS = {
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

    category: str
    instrument: Instrument | None
    settle: str
    base: str
    order_id: int | None
    link_id: str
    statuses: set[OrderStatus] | None
    exec_type: str
    open_only: bool
    order_filter: str
    start_ms: int
    end_ms: int
    limit: int
    before: int


def category(query: Query, default: str | None = None) -> str:
    """One of the wire's four markets; options are not traded here, but may be asked for."""
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
    instrument = catalogue.by_symbol(query.get("symbol", ""), category(query, "linear"))
    if instrument is None:
        raise unknown_market_symbol()
    return instrument


def market_instruments(query: Query, catalogue: Catalogue) -> list[Instrument]:
    """The instruments of a market data question that may name one: none of options, which are not traded
    here.
    """
    market = category(query)
    if query.get("symbol"):
        return [market_instrument(query, catalogue)]
    base = query.get("baseCoin")
    return [instrument for instrument in catalogue.of(market) if not base or instrument.base == base]


def kline_query(query: Query, catalogue: Catalogue) -> KlineQuery:
    """A question for bars."""
    instrument = market_instrument(query, catalogue)
    interval = query.get("interval", "")
    if interval not in INTERVALS:
        raise invalid_parameter("interval", ", ".join(INTERVALS))
    start_ms, end_ms = time_range(query, "start", "end")
    return KlineQuery(instrument, interval, start_ms, end_ms, limit(query, 200, 1000))


def sampling_step_ms(query: Query, name: str) -> int:
    """The interval of a question for open interest, or for who holds it."""
    step = _SAMPLING_STEPS.get(query.get(name, ""))
    if step is None:
        raise invalid_parameter(name, ", ".join(_SAMPLING_STEPS))
    return step


def offset(query: Query) -> int:
    """The cursor of a list that is cut from its beginning: how many rows were shown."""
    text = query.get("cursor")
    if not text:
        return 0
    if not text.isascii() or not text.isdigit() or len(text) > 9:
        raise invalid_parameter("cursor", "a value of nextPageCursor")
    return int(text)


def page_number(query: Query) -> int:
    """Which page, from 1."""
    return max(_integer(query, "page", 1), 1)


ORDER_FILTERS = ("", "Order", "StopOrder", "tpslOrder", "OcoOrder", "BidirectionalTpslOrder")


def history_query(
    query: Query, catalogue: Catalogue, *, default_limit: int, limit_max: int
) -> HistoryQuery | None:
    """A question for orders, executions or closed profit; None where this venue has no such market."""
    market = category(query)
    symbol = query.get("symbol")
    instrument = catalogue.by_symbol(symbol, market) if symbol else None
    if symbol and instrument is None and market != "option":
        raise bad_request("params error: symbol invalid")
    status = query.get("orderStatus")
    statuses = status_filter(status) if status else None
    if status and statuses is None:
        raise invalid_parameter("orderStatus")
    order_filter = query.get("orderFilter", "")
    if order_filter not in ORDER_FILTERS:
        raise invalid_parameter("orderFilter", ", ".join(ORDER_FILTERS[1:]))
    wire_id = query.get("orderId")
    start_ms, end_ms = time_range(query)
    rows, before = limit(query, default_limit, limit_max), _cursor(query)
    if market == "option":
        return None
    return HistoryQuery(
        category=market,
        instrument=instrument,
        settle=query.get("settleCoin", ""),
        base=query.get("baseCoin", ""),
        order_id=parse_order_id(wire_id) if wire_id else None,
        link_id=query.get("orderLinkId", ""),
        statuses=statuses,
        exec_type=query.get("execType", ""),
        open_only=query.get("openOnly", "0") in ("", "0") and not wire_id and not query.get("orderLinkId"),
        order_filter=order_filter,
        start_ms=start_ms,
        end_ms=end_ms,
        limit=rows,
        before=before,
    )


def filters_in(order_filter: str, stop_type: str) -> bool:
    """Whether a filter lets an order through, by the kind of order that waits or waited for a price."""
    if not order_filter:
        return True
    if order_filter == "Order":
        return not stop_type
    return stop_type == order_filter if "tpslOrder" in (order_filter, stop_type) else bool(stop_type)


def is_asked_for(question: HistoryQuery, instrument: Instrument) -> bool:
    """Whether rows of an instrument belong into the answer."""
    if question.instrument is not None:
        return instrument is question.instrument
    return (
        instrument.category == question.category
        and question.settle in ("", instrument.settle)
        and question.base in ("", instrument.base)
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
    """Which wallet movements; `category` and `base` are those of what was traded."""

    coin: str
    kind: str
    category: str
    base: str
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
        category=category(query) if query.get("category") else "",
        base=query.get("baseCoin", ""),
        start_ms=start_ms,
        end_ms=end_ms,
        limit=limit(query, 20, 50),
        before=_cursor(query),
    )


def index_instrument(query: Query, catalogue: Catalogue) -> Instrument:
    """The instrument whose index has the name asked for: that of its coins, such as BTCUSDT or BTCUSD."""
    name = query.get("indexName", "")
    for instrument in catalogue:
        if f"{instrument.base}{instrument.quote}" == name:
            return instrument
    raise unknown_market_symbol()


@dataclass(frozen=True, slots=True)
class FlowQuery:
    """Which transfers, deposits, withdrawals or charges; `before` is the cursor."""

    coin: str
    identity: str
    start_ms: int
    end_ms: int
    limit: int
    before: int


def flow_query(
    query: Query, *, coin_name: str = "coin", id_name: str = "", default_limit: int = 20, limit_max: int = 50
) -> FlowQuery:
    """A question for money that moved."""
    start_ms, end_ms = time_range(query)
    return FlowQuery(
        coin=query.get(coin_name, ""),
        identity=query.get(id_name, "") if id_name else "",
        start_ms=start_ms,
        end_ms=end_ms,
        limit=limit(query, default_limit, limit_max),
        before=_cursor(query),
    )


def named_coin(query: Query, known: Coins, name: str = "coin") -> Coin:
    """The one coin a question is about."""
    coin = known.by_name(query.get(name, ""))
    if coin is None:
        raise invalid_parameter(name, "a listed coin")
    return coin


def page_size(query: Query) -> int:
    """How many members."""
    return min(max(_integer(query, "pageSize", 100), 1), 100)


def side_is_buy(query: Query) -> bool:
    """Which side a question is about."""
    side = query.get("side")
    if side not in ("Buy", "Sell"):
        raise invalid_parameter("side", "Buy or Sell")
    return side == "Buy"


def member_id(query: Query, name: str = "memberId") -> int:
    """A member named by its number; 0 when none is."""
    return _integer(query, name, 0)


@dataclass(frozen=True, slots=True)
class PositionQuery:
    """Which positions: of one instrument, flat or not, or the open ones that settle in or are of a coin."""

    category: str
    instrument: Instrument | None
    settle: str
    base: str
    limit: int


def position_query(query: Query, catalogue: Catalogue) -> PositionQuery | None:
    """A question for positions; None of markets that have none. Inverse ones may be asked for all at once."""
    market = category(query)
    symbol = query.get("symbol", "")
    settle, base = query.get("settleCoin", ""), query.get("baseCoin", "")
    rows = limit(query, 20, 200)
    if market in ("spot", "option"):
        return None
    instrument = catalogue.by_symbol(symbol, market)
    if symbol and instrument is None:
        raise bad_request("params error: symbol invalid")
    if market == "linear" and not symbol and not settle and not base:
        raise bad_request("params error: symbol or settleCoin is required")
    return PositionQuery(market, instrument, settle, base, rows)


def account_type(query: Query, allowed: tuple[str, ...]) -> str:
    """Which wallet."""
    value = query.get("accountType", "")
    if value not in allowed:
        raise invalid_parameter("accountType", " or ".join(allowed))
    return value


def coins(query: Query, known: Coins, name: str = "coin") -> list[Coin]:
    """The coins named, comma separated, or all of them."""
    text = query.get(name, "")
    return [coin for coin in known if not text or coin.name in text.split(",")]
