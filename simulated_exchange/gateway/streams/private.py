"""An account's own events: orders, executions, positions, wallet, in this order.

Belongs here: collecting rows per account from durable events and pushing them. Does not belong here: who may
listen (`sockets`), names of fields, what happens when listeners go (`disconnects`).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import orjson

from simulated_exchange.driver import Event, PositionIndex, PositionMode
from simulated_exchange.gateway.rest.account import wallet_of
from simulated_exchange.gateway.streams.connection import Connection
from simulated_exchange.gateway.streams.disconnects import Disconnects
from simulated_exchange.gateway.translate.frames import private_frame
from simulated_exchange.gateway.translate.rows import (
    fast_execution_row,
    stream_execution_row,
    stream_order_row,
)
from simulated_exchange.gateway.translate.standing import stream_position_row
from simulated_exchange.gateway.translate.topics import PRIVATE_TOPICS, private_topic
from simulated_exchange.gateway.transport.frames import text_frame
from simulated_exchange.gateway.venue import Venue
from simulated_exchange.ledger.records import Execution

__all__ = ["PrivateStreams"]

Row = dict[str, Any]

_STANDING_TOPICS = frozenset({"position", "wallet"})
"""Told as the engine has them now, which may be ahead of the journal."""


class _News:
    """What happened to one account since the last push; orders and positions by what tells them apart."""

    __slots__ = ("executions", "has_wallet", "orders", "positions")

    def __init__(self) -> None:
        self.orders: dict[tuple[int, int], Row] = {}
        self.executions: list[Execution] = []
        self.positions: set[tuple[int, int]] = set()
        self.has_wallet = False


class PrivateStreams:
    """All private subscriptions. `handlers` is what happens with each kind of event."""

    def __init__(self, venue: Venue) -> None:
        self._venue = venue
        self._listeners: dict[int, dict[Connection, set[str]]] = {}
        self._news: dict[int, _News] = {}
        self._pushes = 0
        self._disconnects = Disconnects(venue)
        self.handlers: dict[type, Callable[[Any], None]] = {
            Event.Fill: self._on_fill,
            Event.FundingPaid: self._on_funding,
            **dict.fromkeys(_ORDER_EVENTS, self._on_order),
            **dict.fromkeys(_POSITION_EVENTS, self._on_position),
            Event.PositionModeChanged: self._on_position_mode,
            **dict.fromkeys(_WALLET_EVENTS, self._on_wallet),
            Event.Transferred: self._on_transfer,
        }

    @property
    def is_idle(self) -> bool:
        """Whether nobody listens."""
        return not self._listeners

    def subscribe(self, topics: list[str], connection: Connection) -> None:
        """Push these topics of the connection's account; there is no snapshot."""
        assert connection.account is not None
        listeners = self._listeners.setdefault(connection.account, {})
        listeners.setdefault(connection, set()).update(topics)
        self._disconnects.listen(connection.account, connection, topics)

    def unsubscribe(self, topics: list[str], connection: Connection) -> None:
        """Stop to push these topics."""
        assert connection.account is not None
        self._listeners.get(connection.account, {}).get(connection, set()).difference_update(topics)
        self._disconnects.stop_listening(connection.account, connection, topics)

    def forget(self, connection: Connection) -> None:
        """The connection is gone."""
        if connection.account is None:
            return
        listeners = self._listeners.get(connection.account, {})
        listeners.pop(connection, None)
        if not listeners:
            self._listeners.pop(connection.account, None)
        self._disconnects.lose(connection.account, connection)

    # -- events ----------------------------------------------------------------------------------------------

    def _news_of(self, account: int) -> _News | None:
        """Where to collect for an account; None when nobody listens."""
        if account not in self._listeners:
            return None
        return self._news.setdefault(account, _News())

    def _on_order(self, event: Any) -> None:
        """A row shows the order as it is after one command: what one command did to it is one row."""
        news = self._news_of(event.account)
        if news is not None:
            news.has_wallet = True
            self._collect_order(news, event.account, event.order_id, event.wall_us)

    def _collect_order(self, news: _News, account: int, order_id: int, wall_us: int) -> None:
        order = self._venue.memory(account).order(order_id)
        if order is not None:
            row = stream_order_row(order, self._venue.catalogue[order.instrument])
            news.orders[order.order_id, wall_us] = row

    def _on_fill(self, event: Any) -> None:
        news = self._news_of(event.account)
        if news is not None:
            execution = self._venue.memory(event.account).executions[-1]
            news.executions.append(execution)
            news.has_wallet = True
            if execution.order is not None:
                self._collect_order(news, event.account, execution.order.order_id, event.wall_us)

    def _on_funding(self, event: Any) -> None:
        news = self._news_of(event.account)
        if news is not None:
            news.executions.append(self._venue.memory(event.account).executions[-1])
            news.has_wallet = True

    def _on_position(self, event: Any) -> None:
        news = self._news_of(event.account)
        if news is not None:
            news.positions.add((event.instrument, int(getattr(event, "position_index", 0))))

    def _on_position_mode(self, event: Any) -> None:
        news = self._news_of(event.account)
        if news is not None:
            indexes = (0,) if event.mode == PositionMode.OneWay else (1, 2)
            news.positions.update((event.instrument, index) for index in indexes)

    def _on_wallet(self, event: Any) -> None:
        news = self._news_of(event.account)
        if news is not None:
            news.has_wallet = True

    def _on_transfer(self, event: Any) -> None:
        for account in (event.source, event.target):
            news = self._news_of(account)
            if news is not None:
                news.has_wallet = True

    # -- pushes ----------------------------------------------------------------------------------------------

    def flush(self) -> None:
        """Push what was collected: order, execution, position, wallet."""
        if not self._news:
            return
        collected, self._news = self._news, {}
        for account, news in collected.items():
            listeners = self._listeners.get(account)
            if not listeners:
                continue
            wanted = [topic for text in set().union(*listeners.values()) if (topic := private_topic(text))]
            for base in PRIVATE_TOPICS:
                categories = sorted(topic.category for topic in wanted if topic.base == base)
                rows = self._rows(base, account, news) if categories else []
                for category in categories if rows else []:
                    told = [row for row in rows if not category or row["category"] == category]
                    if told:
                        self._push(account, listeners, base, category, told)

    def _push(
        self, account: int, listeners: dict[Connection, set[str]], base: str, category: str, rows: list[Row]
    ) -> None:
        now_ms, faults = self._venue.now_ms(), self._venue.faults
        if faults and faults.loses(base, account, now_ms):
            return
        self._pushes += 1
        text = f"{base}.{category}" if category else base
        body = orjson.dumps(private_frame(text, rows, f"{account}{self._pushes:016x}", now_ms))
        push = partial(_send, text_frame(body), [entry for entry in listeners if text in listeners[entry]])
        if base in _STANDING_TOPICS:
            self._venue.driver.when_durable(push)
        else:
            push()

    def _rows(self, topic: str, account: int, news: _News) -> list[Row]:
        catalogue = self._venue.catalogue
        if topic == "order":
            return list(news.orders.values())
        if topic == "execution":
            return [stream_execution_row(entry, catalogue[entry.instrument]) for entry in news.executions]
        if topic == "execution.fast":
            return [
                fast_execution_row(entry, catalogue[entry.instrument])
                for entry in news.executions
                if entry.kind == "Trade"
            ]
        memory = self._venue.memory(account)
        if topic == "position":
            return [
                stream_position_row(
                    self._venue.driver.position(account, instrument, _POSITION_INDEXES[index]),
                    memory.position(instrument, index),
                    catalogue[instrument],
                    self._venue.tiers(catalogue[instrument]),
                )
                for instrument, index in sorted(news.positions)
                if not catalogue[instrument].is_spot
            ]
        if not news.has_wallet:
            return []
        return [wallet_of(self._venue, account)]


_POSITION_INDEXES = (PositionIndex.OneWay, PositionIndex.HedgeBuy, PositionIndex.HedgeSell)
_ORDER_EVENTS = (
    Event.OrderAccepted,
    Event.OrderAmended,
    Event.OrderCancelled,
    Event.OrderConditions,
    Event.OrderTriggered,
)
_POSITION_EVENTS = (
    Event.PositionChanged,
    Event.LeverageChanged,
    Event.SideLeverageChanged,
    Event.MarginAdded,
    Event.AutoAddMarginChanged,
    Event.TradingStopChanged,
)
_WALLET_EVENTS = (
    Event.WalletChanged,
    Event.Deposited,
    Event.Withdrawn,
    Event.BorrowChanged,
    Event.InterestCharged,
    Event.CollateralChanged,
)


def _send(frame: bytes, connections: list[Connection]) -> None:
    for connection in connections:
        connection.send(frame)
