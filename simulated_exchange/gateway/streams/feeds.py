"""Topics that are told at a pace: each knows what changed since the last push, and how often to look.

Belongs here: one feed per kind of topic. Does not belong here: who listens and the beat (`public`), books
(`books`), what is told as it happens (trades, liquidations, pools: `public`).
"""

from __future__ import annotations

from typing import Any, Protocol

from simulated_exchange.gateway.rest.market import funding_of, quote_price
from simulated_exchange.gateway.streams.books import BookChain
from simulated_exchange.gateway.translate.frames import public_frame
from simulated_exchange.gateway.translate.market import (
    BEST_PRICES,
    stream_adl_row,
    stream_kline_row,
    stream_ticker_row,
)
from simulated_exchange.gateway.translate.tables import price_limit_row
from simulated_exchange.gateway.translate.topics import Topic, TopicKind
from simulated_exchange.gateway.venue import Venue
from simulated_exchange.instruments import Instrument

__all__ = ["Feed", "coins_of", "feed_of"]

BOOK_BEATS = {1: 1, 50: 1, 200: 5, 500: 5, 1000: 10}  # beats between two pushes
SPOT_TICKER_BEATS = 3
TICKER_BEATS = 5
KLINE_BEATS = 10
LIMIT_BEATS = 15
ADL_BEATS = 50

Frame = dict[str, Any]


class Feed(Protocol):
    """One topic; `beats` is how many beats lie between two looks."""

    beats: int

    def snapshot(self, now_ms: int) -> Frame | None:
        """What a new listener begins with; None when there is nothing to begin with."""

    def push(self, now_ms: int) -> list[Frame]:
        """What is new since the last push."""


def coins_of(venue: Venue, category: str) -> dict[str, list[Instrument]]:
    """Contracts by the coin in whose topics they are told of; inverse contracts have one together."""
    found: dict[str, list[Instrument]] = {}
    for instrument in venue.catalogue.of(category):
        if not instrument.is_spot:
            coin = "inverse" if instrument.is_inverse else instrument.settle
            found.setdefault(coin, []).append(instrument)
    return found


def feed_of(venue: Venue, category: str, text: str, topic: Topic) -> Feed | None:
    """The feed of a topic that is told at a pace."""
    if topic.kind == TopicKind.ADL:
        return _AdlFeed(venue, text, coins_of(venue, category)[topic.symbol])
    instrument = venue.catalogue.by_symbol(topic.symbol, category)
    if instrument is None:
        return None
    if topic.kind == TopicKind.BOOK:
        return _BookFeed(venue, instrument, int(topic.parameter))
    if topic.kind == TopicKind.TICKER:
        return _TickerFeed(venue, text, instrument)
    if topic.kind == TopicKind.KLINE:
        return _KlineFeed(venue, text, instrument, topic.parameter)
    if topic.kind == TopicKind.PRICE_LIMIT:
        return _PriceLimitFeed(venue, text, instrument)
    return None


class _BookFeed:
    """A chain of snapshot and deltas; every listener follows the same."""

    def __init__(self, venue: Venue, instrument: Instrument, depth: int) -> None:
        self.beats = BOOK_BEATS[depth]
        self._market = venue.ledger.markets[instrument.index]
        self._chain = BookChain(instrument, depth)
        self._chain.refresh(self._market)

    def snapshot(self, now_ms: int) -> Frame | None:
        return self._chain.snapshot(self._market, now_ms)

    def push(self, now_ms: int) -> list[Frame]:
        frame = self._chain.push(self._market, now_ms)
        return [] if frame is None else [frame]


class _TickerFeed:
    """The whole ticker first, then the fields that changed; of spot always the whole one."""

    def __init__(self, venue: Venue, text: str, instrument: Instrument) -> None:
        self.beats = SPOT_TICKER_BEATS if instrument.is_spot else TICKER_BEATS
        self._venue = venue
        self._text = text
        self._instrument = instrument
        self._told = self._row()

    def _row(self) -> Frame:
        venue, instrument = self._venue, self._instrument
        market, prices = venue.ledger.markets[instrument.index], venue.driver.prices(instrument.index)
        funding, usd_price = funding_of(venue, instrument), quote_price(venue, instrument)
        return stream_ticker_row(instrument, market, prices, funding, usd_price)

    def snapshot(self, now_ms: int) -> Frame | None:
        return public_frame(self._text, "snapshot", self._told, now_ms, cs=self._venue.ledger.sequence)

    def push(self, now_ms: int) -> list[Frame]:
        before, after = self._told, self._row()
        changed = {name: value for name, value in after.items() if before[name] != value}
        if not changed:
            return []
        self._told = after
        if self._instrument.is_spot:
            frame = self.snapshot(now_ms)
            return [] if frame is None else [frame]
        if not BEST_PRICES.isdisjoint(changed):  # a quote is told whole: readers make one of each message
            changed |= {name: after[name] for name in BEST_PRICES}
        data = {"symbol": self._instrument.symbol, **changed}
        return [public_frame(self._text, "delta", data, now_ms, cs=self._venue.ledger.sequence)]


class _KlineFeed:
    """The running bar as it grows, and each bar once more when it has ended."""

    beats = KLINE_BEATS

    def __init__(self, venue: Venue, text: str, instrument: Instrument, interval: str) -> None:
        self._series = venue.ledger.markets[instrument.index].candles
        self._text = text
        self._instrument = instrument
        self._interval = interval
        self._start_ms = 0
        self._told: Frame = {}

    def snapshot(self, now_ms: int) -> Frame | None:
        return None

    def push(self, now_ms: int) -> list[Frame]:
        bar = self._series.running(self._interval)
        if bar is None:
            return []
        rows = []
        if self._start_ms and self._start_ms < bar.start_ms:
            closed = self._series.last_closed(self._interval)
            if closed is not None:
                rows.append(stream_kline_row(closed, self._instrument, self._interval, True, now_ms))
        row = stream_kline_row(bar, self._instrument, self._interval, False, now_ms)
        timeless = {**row, "timestamp": 0}
        if timeless != self._told:
            rows.append(row)
        self._start_ms, self._told = bar.start_ms, timeless
        return [public_frame(self._text, "snapshot", [entry], now_ms) for entry in rows]


class _PriceLimitFeed:
    """The band of prices, whenever it moved."""

    beats = LIMIT_BEATS

    def __init__(self, venue: Venue, text: str, instrument: Instrument) -> None:
        self._driver = venue.driver
        self._text = text
        self._instrument = instrument
        self._told: Frame = {}

    def _row(self) -> Frame:
        row = price_limit_row(self._instrument, self._driver.prices(self._instrument.index), 0)
        del row["ts"]
        return row

    def _frame(self, now_ms: int) -> Frame:
        return {"topic": self._text, "data": self._told, "ts": now_ms}

    def snapshot(self, now_ms: int) -> Frame | None:
        self._told = self._row()
        return self._frame(now_ms)

    def push(self, now_ms: int) -> list[Frame]:
        row = self._row()
        if row == self._told:
            return []
        self._told = row
        return [self._frame(now_ms)]


class _AdlFeed:
    """How far the contracts of a coin are from deleveraging: all of them at first, then those that moved."""

    beats = ADL_BEATS

    def __init__(self, venue: Venue, text: str, instruments: list[Instrument]) -> None:
        self._driver = venue.driver
        self._text = text
        self._instruments = instruments
        self._told: dict[str, Frame] = {}

    def _rows(self) -> dict[str, Frame]:
        return {
            entry.symbol: stream_adl_row(entry, self._driver.adl_alert(entry.index))
            for entry in self._instruments
        }

    def snapshot(self, now_ms: int) -> Frame | None:
        self._told = self._rows()
        return public_frame(self._text, "snapshot", list(self._told.values()), now_ms)

    def push(self, now_ms: int) -> list[Frame]:
        rows = self._rows()
        moved = [row for symbol, row in rows.items() if row != self._told.get(symbol)]
        self._told = rows
        return [public_frame(self._text, "delta", moved, now_ms)] if moved else []
