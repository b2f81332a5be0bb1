"""Public market data.

Belongs here: which view answers which question. Does not belong here: names and texts of rows.
"""

from __future__ import annotations

from typing import Any

from simulated_exchange.gateway.rest.route import Call, Route
from simulated_exchange.gateway.translate import market as rows
from simulated_exchange.gateway.translate import queries
from simulated_exchange.gateway.translate.answers import (
    book_answer,
    kline_answer,
    listing,
    server_time,
    updated_listing,
)
from simulated_exchange.gateway.translate.frames import page
from simulated_exchange.gateway.translate.market import Funding
from simulated_exchange.gateway.translate.refusals import unknown_market_symbol
from simulated_exchange.gateway.venue import SETTLE_COIN, Venue
from simulated_exchange.instruments import Instrument
from simulated_exchange.ledger.candles import CandleSeries
from simulated_exchange.ledger.market import DEPTH_MAX, TRADES_MAX

__all__ = ["LAUNCH_MS", "ROUTES", "funding_of"]

LAUNCH_MS = 1_577_836_800_000  # every contract counts as listed since 2020
PREMIUM_DECIMALS = 6
FUNDING_ROWS_MAX = 200

Result = dict[str, Any]


def funding_of(venue: Venue, instrument: Instrument) -> Funding:
    """The rate so far and its caps, and the next settlement in market time."""
    view = venue.driver.funding(instrument.index)
    market_ms, interval_ms = venue.driver.market_ms(), view.interval_ms
    return Funding(
        rate=view.rate,
        next_ms=view.next_ms or market_ms - market_ms % interval_ms + interval_ms,
        interval_ms=interval_ms,
        lower=view.lower,
        upper=view.upper,
    )


def _time(call: Call) -> Result:
    return server_time(call.now_ms)


def _status(_call: Call) -> Result:
    return {"list": []}


def _instruments(call: Call) -> Result:
    category = queries.category(call.query)
    if category != "linear" or call.query.get("status", "Trading") != "Trading":
        return page(category, [])
    instruments = queries.market_instruments(call.query, call.venue.catalogue)
    found = [rows.instrument_row(entry, LAUNCH_MS, funding_of(call.venue, entry)) for entry in instruments]
    return page(category, found)


def _tickers(call: Call) -> Result:
    category = queries.category(call.query)
    found = []
    for entry in queries.market_instruments(call.query, call.venue.catalogue):
        market = call.venue.ledger.markets[entry.index]
        prices = call.venue.driver.prices(entry.index)
        found.append(rows.ticker_row(entry, market, prices, funding_of(call.venue, entry)))
    return listing(category, found)


def _order_book(call: Call) -> Result:
    instrument = queries.market_instrument(call.query, call.venue.catalogue)
    depth = queries.limit(call.query, 25, DEPTH_MAX)
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
    count = queries.limit(call.query, 500, TRADES_MAX)
    trades = call.venue.ledger.markets[instrument.index].trades
    newest = [trade for trade, _ in zip(reversed(trades), range(count), strict=False)]
    return listing("linear", [rows.recent_trade_row(trade, instrument) for trade in newest])


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


def _funding_history(call: Call) -> Result:
    instrument = queries.market_instrument(call.query, call.venue.catalogue)
    start_ms, end_ms = queries.time_range(call.query)
    count = queries.limit(call.query, FUNDING_ROWS_MAX, FUNDING_ROWS_MAX)
    settlements = reversed(call.venue.ledger.markets[instrument.index].settlements)
    within = [row for row in settlements if start_ms <= row.settled_ms <= end_ms][:count]
    return listing("linear", [rows.funding_row(instrument, row.rate, row.settled_ms) for row in within])


def _open_interest(call: Call) -> Result:
    instrument = queries.market_instrument(call.query, call.venue.catalogue)
    step_ms = queries.open_interest_step_ms(call.query)
    market_ms = call.venue.driver.market_ms()
    now = call.venue.driver.prices(instrument.index).open_interest
    result = page("linear", [rows.open_interest_row(instrument, now, market_ms - market_ms % step_ms)])
    result["symbol"] = instrument.symbol
    return result


def _risk_limit(call: Call) -> Result:
    category = queries.category(call.query)
    instruments = queries.market_instruments(call.query, call.venue.catalogue)
    return page(category, [row for entry in instruments for row in rows.risk_limit_rows(entry)])


def _price_limit(call: Call) -> Result:
    instrument = queries.market_instrument(call.query, call.venue.catalogue)
    return rows.price_limit_row(instrument, call.venue.driver.prices(instrument.index), call.now_ms)


def _insurance(call: Call) -> Result:
    if call.query.get("coin", SETTLE_COIN) != SETTLE_COIN:
        return updated_listing([], call.now_ms)
    symbols = [entry.symbol for entry in call.venue.catalogue]
    row = rows.insurance_row(SETTLE_COIN, symbols, call.venue.driver.insurance_pool())
    return updated_listing([row], call.now_ms)


def _index_components(call: Call) -> Result:
    instrument = call.venue.catalogue.by_symbol(queries.index_name(call.query))
    if instrument is None:
        raise unknown_market_symbol()
    index = call.venue.ledger.markets[instrument.index].index_price
    return rows.index_components_row(instrument, index, call.now_ms)


def _public(step: Any) -> Route:
    return Route(step, is_signed=False)


ROUTES: dict[tuple[str, str], Route] = {
    ("GET", "/v5/market/time"): Route(_time, is_signed=False, reads_state=False),
    ("GET", "/v5/system/status"): Route(_status, is_signed=False, reads_state=False),
    ("GET", "/v5/market/instruments-info"): _public(_instruments),
    ("GET", "/v5/market/tickers"): _public(_tickers),
    ("GET", "/v5/market/orderbook"): _public(_order_book),
    ("GET", "/v5/market/recent-trade"): _public(_recent_trades),
    ("GET", "/v5/market/kline"): _public(lambda call: _bars(call, "candles")),
    ("GET", "/v5/market/mark-price-kline"): _public(lambda call: _bars(call, "mark_candles")),
    ("GET", "/v5/market/index-price-kline"): _public(lambda call: _bars(call, "index_candles")),
    ("GET", "/v5/market/premium-index-price-kline"): _public(lambda call: _bars(call, "premium_candles")),
    ("GET", "/v5/market/funding/history"): _public(_funding_history),
    ("GET", "/v5/market/open-interest"): _public(_open_interest),
    ("GET", "/v5/market/risk-limit"): _public(_risk_limit),
    ("GET", "/v5/market/price-limit"): _public(_price_limit),
    ("GET", "/v5/market/insurance"): _public(_insurance),
    ("GET", "/v5/market/index-price-components"): _public(_index_components),
}
