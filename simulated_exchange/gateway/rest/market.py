"""Public market data as it goes: instruments, tickers, books, trades, bars.

Belongs here: which view answers which question. Does not belong here: tables that are asked for now and then
(`rest.tables`), names and texts of rows.
"""

from __future__ import annotations

from typing import Any

from simulated_exchange.driver import InstrumentStatus
from simulated_exchange.gateway.rest.route import Call, Route
from simulated_exchange.gateway.translate import market as rows
from simulated_exchange.gateway.translate import queries
from simulated_exchange.gateway.translate.answers import book_answer, kline_answer, listing, server_time
from simulated_exchange.gateway.translate.frames import page
from simulated_exchange.gateway.translate.market import Funding
from simulated_exchange.gateway.venue import Venue
from simulated_exchange.instruments import Instrument
from simulated_exchange.ledger.candles import CandleSeries
from simulated_exchange.ledger.market import DEPTH_MAX, TRADES_MAX

__all__ = ["LAUNCH_MS", "ROUTES", "funding_of", "quote_price"]

LAUNCH_MS = 1_577_836_800_000  # every contract counts as listed since 2020
PREMIUM_DECIMALS = 6

Result = dict[str, Any]


def funding_of(venue: Venue, instrument: Instrument) -> Funding | None:
    """The rate so far and its caps, and the next settlement in market time; None where there is no
    funding.
    """
    if not instrument.is_perpetual:
        return None
    view = venue.driver.funding(instrument.index)
    market_ms, interval_ms = venue.driver.market_ms(), view.interval_ms
    return Funding(
        rate=view.rate,
        next_ms=view.next_ms or market_ms - market_ms % interval_ms + interval_ms,
        interval_ms=interval_ms,
        lower=view.lower,
        upper=view.upper,
    )


def quote_price(venue: Venue, instrument: Instrument) -> int:
    """What the quote coin costs in USD."""
    coin = venue.coins.by_name(instrument.quote)
    return venue.usd_price(coin.index) if coin else 10**8


def _time(call: Call) -> Result:
    return server_time(call.now_ms)


def _status(_call: Call) -> Result:
    return {"list": []}


def _instruments(call: Call) -> Result:
    category = queries.category(call.query)
    count, before = queries.limit(call.query, 500, 1000), queries.offset(call.query)
    wanted = call.query.get("status", "")
    driver, found = call.venue.driver, []
    zone = call.query.get("symbolType", "")
    for entry in queries.market_instruments(call.query, call.venue.catalogue):
        if zone not in ("", entry.zone):
            continue
        is_open = driver.status(entry.index) != InstrumentStatus.Closed
        row = rows.instrument_row(
            entry, LAUNCH_MS, funding_of(call.venue, entry), call.venue.tiers(entry), is_open=is_open
        )
        if row["status"] == (wanted or "Trading") or (not wanted and call.query.get("symbol")):
            found.append(row)
    shown = found[before : before + count]
    cursor = str(before + count) if len(found) > before + count else ""
    return page(category, shown, cursor)


def _own_instruments(call: Call) -> Result:
    """The same for one account: retail price improvement, which this venue does not have, is not for it."""
    result = _instruments(call)
    return {**result, "list": [{**row, **rows.NO_RETAIL_PRICES} for row in result["list"]]}


def _tickers(call: Call) -> Result:
    category = queries.category(call.query)
    venue, found = call.venue, []
    for entry in queries.market_instruments(call.query, venue.catalogue):
        market, prices = venue.ledger.markets[entry.index], venue.driver.prices(entry.index)
        funding, usd_price = funding_of(venue, entry), quote_price(venue, entry)
        found.append(rows.ticker_row(entry, market, prices, funding, usd_price))
    return listing(category, found)


def _order_book(call: Call) -> Result:
    instrument = queries.market_instrument(call.query, call.venue.catalogue)
    depth = queries.limit(call.query, 1 if instrument.is_spot else 25, DEPTH_MAX)
    market = call.venue.ledger.markets[instrument.index]
    bids, asks = market.depth(depth)
    return book_answer(
        instrument,
        rows.levels(bids, instrument),
        rows.levels(asks, instrument),
        market.book_sequence,
        call.now_ms,
        market.book_wall_ms or call.now_ms,
    )


def _recent_trades(call: Call) -> Result:
    instrument = queries.market_instrument(call.query, call.venue.catalogue)
    count = queries.limit(call.query, 60 if instrument.is_spot else 500, TRADES_MAX)
    trades = call.venue.ledger.markets[instrument.index].trades
    newest = [trade for trade, _ in zip(reversed(trades), range(count), strict=False)]
    return listing(instrument.category, [rows.recent_trade_row(trade, instrument) for trade in newest])


def _bars(call: Call, name: str) -> Result:
    question = queries.kline_query(call.query, call.venue.catalogue)
    instrument = question.instrument
    series: CandleSeries = getattr(call.venue.ledger.markets[instrument.index], name)
    bars = [
        bar
        for bar in series.newest_first(question.interval)
        if question.start_ms <= bar.start_ms <= question.end_ms
    ][: question.limit]
    if name == "candles":
        return kline_answer(instrument, [rows.kline_row(bar, instrument) for bar in bars])
    decimals = PREMIUM_DECIMALS if name == "premium_candles" else instrument.price_decimals
    return kline_answer(instrument, [rows.price_kline_row(bar, decimals) for bar in bars])


def _public(step: Any) -> Route:
    return Route(step, is_signed=False)


ROUTES: dict[tuple[str, str], Route] = {
    ("GET", "/v5/market/time"): Route(_time, is_signed=False, reads_state=False),
    ("GET", "/v5/system/status"): Route(_status, is_signed=False, reads_state=False),
    ("GET", "/v5/market/instruments-info"): _public(_instruments),
    ("GET", "/v5/account/instruments-info"): Route(_own_instruments, group="history"),
    ("GET", "/v5/market/tickers"): _public(_tickers),
    ("GET", "/v5/market/orderbook"): _public(_order_book),
    ("GET", "/v5/market/recent-trade"): _public(_recent_trades),
    ("GET", "/v5/market/kline"): _public(lambda call: _bars(call, "candles")),
    ("GET", "/v5/market/mark-price-kline"): _public(lambda call: _bars(call, "mark_candles")),
    ("GET", "/v5/market/index-price-kline"): _public(lambda call: _bars(call, "index_candles")),
    ("GET", "/v5/market/premium-index-price-kline"): _public(lambda call: _bars(call, "premium_candles")),
}
