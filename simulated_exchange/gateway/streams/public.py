"""Market data topics of one market: who listens to what, and what is pushed when.

Belongs here: subscriptions, the beat, what is told as it happens. Does not belong here: the topics' contents
(`feeds`, `books`), accounts.
"""

from __future__ import annotations

from typing import Any

import orjson

from simulated_exchange.driver import Event
from simulated_exchange.gateway.streams.connection import Connection
from simulated_exchange.gateway.streams.feeds import Feed, coins_of, feed_of
from simulated_exchange.gateway.translate.frames import public_frame
from simulated_exchange.gateway.translate.market import (
    stream_insurance_row,
    stream_liquidation_row,
    stream_trade_row,
)
from simulated_exchange.gateway.translate.topics import (
    Topic,
    TopicKind,
    insurance_topic,
    liquidation_topic,
    parse_topic,
    trade_topic,
)
from simulated_exchange.gateway.transport.frames import text_frame
from simulated_exchange.gateway.venue import Venue
from simulated_exchange.instruments import Instrument

__all__ = ["BEAT_SECONDS", "PublicStreams"]

BEAT_SECONDS = 0.02
CROWD = 32  # to so many listeners rows go with the beat, to fewer as they happen
ROWS_PER_FRAME_MAX = 1024


class PublicStreams:
    """All market data subscriptions of one market's socket."""

    def __init__(self, venue: Venue, category: str) -> None:
        self._venue = venue
        self._category = category
        self._coins = coins_of(venue, category)
        self._listeners: dict[str, set[Connection]] = {}
        self._subscribed: dict[Connection, set[str]] = {}
        self._feeds: dict[str, Feed] = {}
        self._rows: dict[str, list[dict[str, Any]]] = {}

    # -- subscriptions ---------------------------------------------------------------------------------------

    @property
    def is_idle(self) -> bool:
        """Whether nobody listens."""
        return not self._listeners

    def knows(self, text: str) -> bool:
        """Whether this is a topic of something that is traded here."""
        topic = parse_topic(text)
        if topic is None:
            return False
        if topic.kind in (TopicKind.INSURANCE, TopicKind.ADL):
            return topic.symbol in self._coins
        instrument = self._venue.catalogue.by_symbol(topic.symbol, self._category)
        if instrument is None:
            return False
        return not (instrument.is_spot and topic.kind == TopicKind.LIQUIDATION)

    def subscribe(self, text: str, connection: Connection) -> None:
        """Begin to push; what has a state begins with a snapshot of it."""
        topic = parse_topic(text)
        assert topic is not None
        listeners = self._listeners.setdefault(text, set())
        if connection in listeners:
            return  # it has the snapshot and what followed
        now_ms = self._venue.now_ms()
        if not listeners:
            feed = feed_of(self._venue, self._category, text, topic)
            if feed is not None:
                self._feeds[text] = feed
        snapshot = self._snapshot(text, topic, now_ms)
        if snapshot is not None:
            connection.send(text_frame(orjson.dumps(snapshot)))
        listeners.add(connection)
        self._subscribed.setdefault(connection, set()).add(text)

    def unsubscribe(self, text: str, connection: Connection) -> None:
        """Stop to push; silently nothing for a topic never subscribed."""
        listeners = self._listeners.get(text)
        if listeners is None:
            return
        listeners.discard(connection)
        self._subscribed.get(connection, set()).discard(text)
        if not listeners:
            del self._listeners[text]
            self._feeds.pop(text, None)
            self._rows.pop(text, None)

    def forget(self, connection: Connection) -> None:
        """The connection is gone."""
        for text in self._subscribed.pop(connection, set()):
            self.unsubscribe(text, connection)

    def _snapshot(self, text: str, topic: Topic, now_ms: int) -> dict[str, Any] | None:
        if topic.kind == TopicKind.INSURANCE:
            pools = {pool.pool: pool.balance for pool in self._venue.driver.insurance_pools()}
            rows = [
                row
                for pool, balance in pools.items()
                if (row := self._insurance_row(pool, balance, topic.symbol, now_ms)) is not None
            ]
            return public_frame(text, "snapshot", rows, now_ms)
        feed = self._feeds.get(text)
        return feed.snapshot(now_ms) if feed is not None else None

    # -- events ----------------------------------------------------------------------------------------------

    def on_trade(self, event: Event, instrument: Instrument) -> None:
        """A trade became durable; the ledger has taken it already."""
        text = trade_topic(instrument.symbol)
        if text in self._listeners:
            trade = self._venue.ledger.markets[instrument.index].trades[-1]
            self._rows.setdefault(text, []).append(stream_trade_row(trade, instrument))

    def on_take_over(self, event: Event, instrument: Instrument) -> None:
        """A position was taken over."""
        assert isinstance(event, Event.TakenOver)
        text = liquidation_topic(instrument.symbol)
        if text in self._listeners:
            row = stream_liquidation_row(instrument, event.qty, event.bankruptcy_price, event.wall_us // 1000)
            self._rows.setdefault(text, []).append(row)

    def on_insurance(self, event: Event) -> None:
        """An insurance pool changed."""
        assert isinstance(event, Event.InsuranceFundChanged)
        for coin in self._coins:
            text = insurance_topic(coin)
            if text in self._listeners:
                row = self._insurance_row(event.pool, event.balance, coin, event.wall_us // 1000)
                if row is not None:
                    self._rows.setdefault(text, []).append(row)

    def _insurance_row(self, pool: int, balance: int, coin: str, now_ms: int) -> dict[str, Any] | None:
        """A pool with the contracts that it stands behind; None when it is behind none of this topic."""
        driver = self._venue.driver
        symbols = [entry.symbol for entry in self._coins[coin] if driver.adl_alert(entry.index).pool == pool]
        if not symbols:
            return None
        return stream_insurance_row(self._coins[coin][0].settle, symbols, balance, now_ms)

    def flush(self) -> None:
        """Push the rows collected for few listeners; those for many go with the beat."""
        if self._rows:
            now_ms = self._venue.now_ms()
            for text in [text for text in self._rows if len(self._listeners[text]) <= CROWD]:
                self._push_rows(text, now_ms)

    def _push_rows(self, text: str, now_ms: int) -> None:
        rows = self._rows.pop(text)
        kind = "delta" if text.startswith(insurance_topic("")) else "snapshot"
        for start in range(0, len(rows), ROWS_PER_FRAME_MAX):
            self._push(text, public_frame(text, kind, rows[start : start + ROWS_PER_FRAME_MAX], now_ms))

    # -- pace ------------------------------------------------------------------------------------------------

    def beat(self, number: int) -> None:
        """Push what is due with this beat."""
        if not self._listeners:
            return
        now_ms = self._venue.now_ms()
        for text in list(self._rows):
            self._push_rows(text, now_ms)
        for text, feed in list(self._feeds.items()):
            if number % feed.beats == 0:
                for frame in feed.push(now_ms):
                    self._push(text, frame)

    def _push(self, text: str, frame: dict[str, Any]) -> None:
        encoded = text_frame(orjson.dumps(frame))
        for connection in tuple(self._listeners.get(text, ())):
            connection.send(encoded)
