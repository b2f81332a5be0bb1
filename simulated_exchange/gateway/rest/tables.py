"""Public tables that are asked for now and then: funding, open interest, risk limits, insurance,
announcements.

Belongs here: which view answers which question. Does not belong here: market data as it goes (`rest.market`),
names and texts of rows.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from simulated_exchange.gateway.rest.route import Call, Route
from simulated_exchange.gateway.translate import queries
from simulated_exchange.gateway.translate import tables as rows
from simulated_exchange.gateway.translate.answers import announcement, listing, updated_listing
from simulated_exchange.gateway.translate.frames import page
from simulated_exchange.gateway.translate.refusals import unknown_market_symbol
from simulated_exchange.instruments import Instrument
from simulated_exchange.ledger.samples import InterestSample

__all__ = ["ROUTES"]

FUNDING_ROWS_MAX = 200
RISK_LIMIT_SYMBOLS = 15  # in one page, as on the real venue

Result = dict[str, Any]


def _funding_history(call: Call) -> Result:
    instrument = queries.market_instrument(call.query, call.venue.catalogue)
    start_ms, end_ms = queries.time_range(call.query)
    count = queries.limit(call.query, FUNDING_ROWS_MAX, FUNDING_ROWS_MAX)
    settlements = reversed(call.venue.ledger.markets[instrument.index].settlements)
    within = [row for row in settlements if start_ms <= row.settled_ms <= end_ms][:count]
    found = [rows.funding_row(instrument, row.rate, row.settled_ms) for row in within]
    return listing(instrument.category, found)


def _interest_samples(call: Call, instrument: Instrument, step_ms: int) -> tuple[list[InterestSample], str]:
    """How things stand, and how each step before began, newest first."""
    start_ms, end_ms = queries.time_range(call.query)
    count, before = queries.limit(call.query, 50, 500), queries.offset(call.query)
    market_ms = call.venue.driver.market_ms()
    now = InterestSample(market_ms - market_ms % step_ms, *call.venue.open_interest(instrument))
    past = call.venue.interest.newest_first(instrument.index, step_ms)
    samples = [now, *(sample for sample in past if sample.start_ms < now.start_ms)]
    within = [sample for sample in samples if start_ms <= sample.start_ms <= end_ms]
    cursor = str(before + count) if len(within) > before + count else ""
    return within[before : before + count], cursor


def _contract(call: Call) -> Instrument:
    instrument = queries.market_instrument(call.query, call.venue.catalogue)
    if instrument.is_spot:
        raise unknown_market_symbol()
    return instrument


def _open_interest(call: Call) -> Result:
    instrument = _contract(call)
    samples, cursor = _interest_samples(
        call, instrument, queries.sampling_step_ms(call.query, "intervalTime")
    )
    found = [rows.open_interest_row(instrument, entry.open_interest, entry.start_ms) for entry in samples]
    return {**page(instrument.category, found, cursor), "symbol": instrument.symbol}


def _account_ratio(call: Call) -> Result:
    instrument = _contract(call)
    samples, cursor = _interest_samples(call, instrument, queries.sampling_step_ms(call.query, "period"))
    found = [
        rows.account_ratio_row(instrument, entry.longs, entry.shorts, entry.start_ms) for entry in samples
    ]
    return page(None, found, cursor)


def _risk_limit(call: Call) -> Result:
    category, before = queries.category(call.query), queries.offset(call.query)
    found = [
        entry for entry in queries.market_instruments(call.query, call.venue.catalogue) if not entry.is_spot
    ]
    shown = found[before : before + RISK_LIMIT_SYMBOLS]
    cursor = str(before + RISK_LIMIT_SYMBOLS) if len(found) > before + RISK_LIMIT_SYMBOLS else ""
    tiers = [row for entry in shown for row in rows.risk_limit_rows(entry, call.venue.tiers(entry))]
    return page(category, tiers, cursor)


def _price_limit(call: Call) -> Result:
    instrument = queries.market_instrument(call.query, call.venue.catalogue)
    return rows.price_limit_row(instrument, call.venue.driver.prices(instrument.index), call.now_ms)


def _insurance(call: Call) -> Result:
    venue = call.venue
    views = {view.instrument: view.pool for view in venue.driver.engine.instruments() if not view.is_spot}
    found = []
    for pool in venue.driver.insurance_pools():
        coin = venue.coins[pool.coin]
        symbols = [entry.symbol for entry in venue.catalogue if views.get(entry.index) == pool.pool]
        if call.query.get("coin", "") in ("", coin.name):
            found.append(rows.insurance_row(coin.name, symbols, pool.balance, venue.usd_price(pool.coin)))
    return updated_listing(found, call.now_ms)


def _adl_alert(call: Call) -> Result:
    venue, symbol = call.venue, call.query.get("symbol", "")
    found = [
        rows.adl_alert_row(entry, entry.settle, venue.driver.adl_alert(entry.index))
        for entry in venue.catalogue
        if not entry.is_spot and symbol in ("", entry.symbol)
    ]
    return {**updated_listing(found, call.now_ms), "updateTime": str(call.now_ms)}


def _index_components(call: Call) -> Result:
    instrument = queries.index_instrument(call.query, call.venue.catalogue)
    index, told = call.venue.ledger.markets[instrument.index].index_price, call.venue.driver.source_prices
    prices = [told.get((instrument.index, at), index) for at in range(len(instrument.index_sources))]
    return rows.index_components_row(instrument, index, prices, call.now_ms)


def _fee_groups(call: Call) -> Result:
    groups: dict[tuple[int, int], list[Instrument]] = {}
    for entry in call.venue.catalogue:
        if not entry.is_spot:
            groups.setdefault((entry.taker_fee, entry.maker_fee), []).append(entry)
    found = [
        rows.fee_group_row(f"G{number}", entries, call.now_ms)
        for number, entries in enumerate(groups.values(), start=1)
    ]
    return {"list": found}


def _deliveries(call: Call) -> Result:
    category, catalogue = queries.category(call.query), call.venue.catalogue
    count, before = queries.limit(call.query, 50, 200), queries.offset(call.query)
    symbol, settle = call.query.get("symbol", ""), call.query.get("settleCoin", "")
    base = call.query.get("baseCoin", "")
    found = []
    for delivery in reversed(call.venue.ledger.deliveries):
        entry = catalogue[delivery.instrument]
        if (
            entry.category == category
            and symbol in ("", entry.symbol)
            and base in ("", entry.base)
            and settle in ("", entry.settle)
        ):
            found.append(rows.delivery_row(entry, delivery.price, delivery.at_ms))
    cursor = str(before + count) if len(found) > before + count else ""
    return page(category, found[before : before + count], cursor)


def _announcements(call: Call) -> Result:
    """What the venue has to say: risk limits to come."""
    count, number = queries.limit(call.query, 20, 50), queries.page_number(call.query)
    found = []
    for entry in call.venue.catalogue:
        coming = None if entry.is_spot else call.venue.driver.coming_risk_limits(entry.index)
        if coming is not None:
            begin = datetime.fromtimestamp(coming.effective_ms // 1000, UTC).strftime("%Y-%m-%d %H:%M UTC")
            title = f"Adjustment of the risk limits of {entry.symbol}"
            text = f"{len(coming.tiers)} new risk-limit tiers of {entry.symbol} hold from {begin} on."
            found.append(announcement(title, text, call.now_ms, coming.effective_ms))
    shown = found[(number - 1) * count : number * count]
    return {"total": len(found), "list": shown}


def _public(step: Any) -> Route:
    return Route(step, is_signed=False)


ROUTES: dict[tuple[str, str], Route] = {
    ("GET", "/v5/market/funding/history"): _public(_funding_history),
    ("GET", "/v5/market/open-interest"): _public(_open_interest),
    ("GET", "/v5/market/account-ratio"): _public(_account_ratio),
    ("GET", "/v5/market/risk-limit"): _public(_risk_limit),
    ("GET", "/v5/market/price-limit"): _public(_price_limit),
    ("GET", "/v5/market/insurance"): _public(_insurance),
    ("GET", "/v5/market/adlAlert"): _public(_adl_alert),
    ("GET", "/v5/market/index-price-components"): _public(_index_components),
    ("GET", "/v5/market/fee-group-info"): _public(_fee_groups),
    ("GET", "/v5/market/delivery-price"): _public(_deliveries),
    ("GET", "/v5/market/historical-volatility"): _public(lambda _call: []),
    ("GET", "/v5/announcements/index"): _public(_announcements),
}
