"""An account's own events: orders, executions, positions, wallet, in this order.

Belongs here: collecting rows per account from durable events and pushing them. Does not belong here: who may
listen (`sockets`) and names of fields.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import orjson

from simulated_exchange.driver import Event
from simulated_exchange.gateway.streams.connection import Connection
from simulated_exchange.gateway.translate.frames import PRIVATE_TOPICS, private_frame
from simulated_exchange.gateway.translate.rows import (
    fast_execution_row,
    stream_execution_row,
    stream_order_row,
)
from simulated_exchange.gateway.translate.standing import stream_position_row, wallet_row
from simulated_exchange.gateway.transport.frames import text_frame
from simulated_exchange.gateway.venue import SETTLE_COIN, Venue
from simulated_exchange.ledger.records import Execution, OrderRecord

__all__ = ["PrivateStreams"]

Row = dict[str, Any]

_STANDING_TOPICS = (
    "position",
    "wallet",
)  # told as the engine has them now, which may be ahead of the journal


class _News:
    """What happened to one account since the last push."""

    __slots__ = ("executions", "has_wallet", "orders", "positions")

    def __init__(self) -> None:
        self.orders: dict[tuple[int, int], Row] = {}
        self.executions: list[Execution] = []
        self.positions: set[int] = set()
        self.has_wallet = False


class PrivateStreams:
    """All private subscriptions."""

    def __init__(self, venue: Venue) -> None:
        self._venue = venue
        self._listeners: dict[int, dict[Connection, set[str]]] = {}
        self._news: dict[int, _News] = {}
        self._pushes = 0

    def subscribe(self, topics: list[str], connection: Connection) -> None:
        """Push these topics of the connection's account; there is no snapshot."""
        assert connection.account is not None
        listeners = self._listeners.setdefault(connection.account, {})
        listeners.setdefault(connection, set()).update(topics)

    def unsubscribe(self, topics: list[str], connection: Connection) -> None:
        """Stop to push these topics."""
        assert connection.account is not None
        self._listeners.get(connection.account, {}).get(connection, set()).difference_update(topics)

    def forget(self, connection: Connection) -> None:
        """The connection is gone."""
        if connection.account is None:
            return
        listeners = self._listeners.get(connection.account, {})
        listeners.pop(connection, None)
        if not listeners:
            self._listeners.pop(connection.account, None)

    def observe(self, event: Event) -> None:
        """Collect what concerns an account that listens; the ledger has taken the event already.

        A row shows the order as it is after one command: what one command did to it is one row.
        """
        account = getattr(event, "account", None)
        if account not in self._listeners:
            return
        news = self._news.setdefault(account, _News())
        memory = self._venue.memory(account)
        if isinstance(event, Event.Fill):
            execution = memory.executions[-1]
            news.executions.append(execution)
            news.has_wallet = True
            if execution.order is not None:
                self._collect_order(news, execution.order, event.wall_us)
        elif isinstance(event, Event.OrderAccepted | Event.OrderAmended | Event.OrderCancelled):
            order = memory.order(event.order_id)
            news.has_wallet = True
            if order is not None:
                self._collect_order(news, order, event.wall_us)
        elif isinstance(event, Event.PositionChanged | Event.LeverageChanged):
            news.positions.add(event.instrument)
        elif isinstance(event, Event.WalletChanged | Event.Deposited | Event.Withdrawn):
            news.has_wallet = True

    def _collect_order(self, news: _News, order: OrderRecord, wall_us: int) -> None:
        row = stream_order_row(order, self._venue.catalogue[order.instrument])
        news.orders[order.order_id, wall_us] = row

    def flush(self) -> None:
        """Push what was collected: order, execution, position, wallet."""
        if not self._news:
            return
        collected, self._news = self._news, {}
        now_ms, faults = self._venue.now_ms(), self._venue.faults
        for account, news in collected.items():
            listeners = self._listeners.get(account)
            if not listeners:
                continue
            wanted = set().union(*listeners.values())
            for topic in PRIVATE_TOPICS:
                rows = self._rows(topic, account, news) if topic in wanted else []
                if rows and not (faults and faults.loses(topic, account, now_ms)):
                    self._pushes += 1
                    body = orjson.dumps(private_frame(topic, rows, f"{account}{self._pushes:016x}", now_ms))
                    frame = text_frame(body)
                    push = partial(_push, frame, [entry for entry in listeners if topic in listeners[entry]])
                    if topic in _STANDING_TOPICS:
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
                    self._venue.driver.position(account, instrument),
                    memory.position(instrument),
                    catalogue[instrument],
                )
                for instrument in sorted(news.positions)
            ]
        if not news.has_wallet:
            return []
        realised = sum(position.realised_ever for position in memory.positions.values())
        return [wallet_row(SETTLE_COIN, self._venue.driver.account(account), realised)]


def _push(frame: bytes, connections: list[Connection]) -> None:
    for connection in connections:
        connection.send(frame)
