"""Market data topics: who listens to what, and what is pushed when.

Belongs here: subscriptions and the pace of pushes. Does not belong here: accounts.
"""

from __future__ import annotations

import asyncio
from typing import Any

import orjson

from simulated_exchange.driver import Event
from simulated_exchange.gateway.rest.market import funding_of
from simulated_exchange.gateway.streams.books import BookChain
from simulated_exchange.gateway.streams.connection import Connection
from simulated_exchange.gateway.translate.frames import (
    Topic,
    insurance_topic,
    liquidation_topic,
    parse_topic,
    public_frame,
    trade_topic,
)
from simulated_exchange.gateway.translate.market import (
    stream_insurance_row,
    stream_kline_row,
    stream_liquidation_row,
    stream_ticker_row,
    stream_trade_row,
)
from simulated_exchange.gateway.transport.frames import text_frame
from simulated_exchange.gateway.venue import SETTLE_COIN, Venue

__all__ = ["PublicStreams"]

BEAT_MS = 20
BOOK_BEATS = {1: 1, 50: 1, 200: 5, 500: 5, 1000: 10}  # beats between two pushes
TICKER_BEATS = 5
KLINE_BEATS = 10
ROWS_PER_FRAME_MAX = 1024


class PublicStreams:
    """All market data subscriptions of the linear socket."""

    def __init__(self, venue: Venue) -> None:
        self._venue = venue
        self._listeners: dict[str, set[Connection]] = {}
        self._topics: dict[str, Topic] = {}
        self._chains: dict[str, BookChain] = {}
        self._tickers: dict[str, dict[str, Any]] = {}
        self._klines: dict[str, tuple[int, dict[str, Any]]] = {}
        self._rows: dict[str, list[dict[str, Any]]] = {}

    # -- subscriptions ---------------------------------------------------------------------------------------

    def knows(self, text: str) -> bool:
        """Whether this is a topic of something that is traded here."""
        topic = parse_topic(text)
        if topic is None:
            return False
        if topic.kind == "insurance":
            return topic.symbol == SETTLE_COIN
        return self._venue.catalogue.by_symbol(topic.symbol) is not None

    def subscribe(self, text: str, connection: Connection) -> None:
        """Begin to push; what has a state begins with a snapshot of it."""
        topic = parse_topic(text)
        assert topic is not None
        listeners = self._listeners.setdefault(text, set())
        if connection in listeners:
            return  # it has the snapshot and what followed
        is_first = not listeners
        self._topics[text] = topic
        snapshot = self._snapshot(text, topic, is_first=is_first)
        if snapshot is not None:
            connection.send(text_frame(orjson.dumps(snapshot)))
        listeners.add(connection)

    def unsubscribe(self, text: str, connection: Connection) -> None:
        """Stop to push; silently nothing for a topic never subscribed."""
        listeners = self._listeners.get(text)
        if listeners is None:
            return
        listeners.discard(connection)
        if not listeners:
            del self._listeners[text]
            for memory in (self._topics, self._chains, self._tickers, self._klines, self._rows):
                memory.pop(text, None)

    def forget(self, connection: Connection) -> None:
        """The connection is gone."""
        for text in [text for text, listeners in self._listeners.items() if connection in listeners]:
            self.unsubscribe(text, connection)

    def _snapshot(self, text: str, topic: Topic, *, is_first: bool) -> dict[str, Any] | None:
        now_ms = self._venue.now_ms()
        instrument = self._venue.catalogue.by_symbol(topic.symbol)
        if instrument is None:
            return None
        market = self._venue.ledger.markets[instrument.index]
        if topic.kind == "book":
            if is_first:
                self._chains[text] = BookChain(instrument, int(topic.parameter))
                self._chains[text].refresh(market)
            return self._chains[text].snapshot(market, now_ms)
        if topic.kind == "ticker":
            if is_first:
                self._tickers[text] = self._ticker(topic)
            sequence = self._venue.ledger.sequence
            return public_frame(text, "snapshot", self._tickers[text], now_ms, cs=sequence)
        return None

    # -- events ----------------------------------------------------------------------------------------------

    def observe(self, event: Event) -> None:
        """Collect rows of what just became durable; the ledger has taken the event already."""
        if isinstance(event, Event.Trade):
            instrument = self._venue.catalogue[event.instrument]
            text = trade_topic(instrument.symbol)
            if text in self._listeners:
                trade = self._venue.ledger.markets[event.instrument].trades[-1]
                self._rows.setdefault(text, []).append(stream_trade_row(trade, instrument))
        elif isinstance(event, Event.TakenOver):
            instrument = self._venue.catalogue[event.instrument]
            text = liquidation_topic(instrument.symbol)
            if text in self._listeners:
                row = stream_liquidation_row(
                    instrument, event.qty, event.bankruptcy_price, event.wall_us // 1000
                )
                self._rows.setdefault(text, []).append(row)
        elif isinstance(event, Event.InsuranceFundChanged):
            text = insurance_topic(SETTLE_COIN)
            if text in self._listeners:
                symbols = [entry.symbol for entry in self._venue.catalogue]
                row = stream_insurance_row(SETTLE_COIN, symbols, event.balance, event.wall_us // 1000)
                self._rows[text] = [row]

    def flush(self) -> None:
        """Push the rows collected."""
        if not self._rows:
            return
        now_ms = self._venue.now_ms()
        collected, self._rows = self._rows, {}
        for text, rows in collected.items():
            kind = "delta" if text == insurance_topic(SETTLE_COIN) else "snapshot"
            for start in range(0, len(rows), ROWS_PER_FRAME_MAX):
                self._push(text, public_frame(text, kind, rows[start : start + ROWS_PER_FRAME_MAX], now_ms))

    # -- pace ------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Push books, tickers and bars at their pace for as long as the venue serves."""
        beat = 0
        while True:
            await asyncio.sleep(BEAT_MS / 1000)
            beat += 1
            now_ms = self._venue.now_ms()
            for text, topic in list(self._topics.items()):
                self._push_due(text, topic, beat, now_ms)

    def _push_due(self, text: str, topic: Topic, beat: int, now_ms: int) -> None:
        if topic.kind == "book":
            if beat % BOOK_BEATS[int(topic.parameter)] == 0:
                self._push_book(text, topic, now_ms)
        elif topic.kind == "ticker":
            if beat % TICKER_BEATS == 0:
                self._push_ticker(text, topic, now_ms)
        elif topic.kind == "kline" and beat % KLINE_BEATS == 0:
            self._push_kline(text, topic, now_ms)

    def _push_book(self, text: str, topic: Topic, now_ms: int) -> None:
        instrument = self._venue.catalogue.by_symbol(topic.symbol)
        assert instrument is not None
        frame = self._chains[text].push(self._venue.ledger.markets[instrument.index], now_ms)
        if frame is not None:
            self._push(text, frame)

    def _push_ticker(self, text: str, topic: Topic, now_ms: int) -> None:
        before, after = self._tickers[text], self._ticker(topic)
        changed = {name: value for name, value in after.items() if before[name] != value}
        if changed:
            self._tickers[text] = after
            data = {"symbol": topic.symbol, **changed}
            self._push(text, public_frame(text, "delta", data, now_ms, cs=self._venue.ledger.sequence))

    def _push_kline(self, text: str, topic: Topic, now_ms: int) -> None:
        instrument = self._venue.catalogue.by_symbol(topic.symbol)
        assert instrument is not None
        series = self._venue.ledger.markets[instrument.index].candles
        bar = series.running(topic.parameter)
        if bar is None:
            return
        rows = []
        start_ms, before = self._klines.get(text, (bar.start_ms, {}))
        if start_ms < bar.start_ms:
            closed = series.last_closed(topic.parameter)
            if closed is not None:
                rows.append(stream_kline_row(closed, instrument, topic.parameter, True, now_ms))
        row = stream_kline_row(bar, instrument, topic.parameter, False, now_ms)
        if {**row, "timestamp": 0} != before:
            rows.append(row)
        self._klines[text] = (bar.start_ms, {**row, "timestamp": 0})
        for entry in rows:
            self._push(text, public_frame(text, "snapshot", [entry], now_ms))

    def _ticker(self, topic: Topic) -> dict[str, Any]:
        instrument = self._venue.catalogue.by_symbol(topic.symbol)
        assert instrument is not None
        market = self._venue.ledger.markets[instrument.index]
        prices = self._venue.driver.prices(instrument.index)
        return stream_ticker_row(instrument, market, prices, funding_of(self._venue, instrument))

    def _push(self, text: str, frame: dict[str, Any]) -> None:
        encoded = text_frame(orjson.dumps(frame))
        for connection in self._listeners.get(text, ()):
            connection.send(encoded)
