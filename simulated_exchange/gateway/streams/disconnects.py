"""Cancel orders when a client is gone: its last listening socket broke and did not come back in time.

Belongs here: who listens, timers. Does not belong here: how long to wait, which is an account's setting in
the engine.
"""

from __future__ import annotations

import asyncio

import structlog

from simulated_exchange.driver import JOURNAL_FAILURES, ProductClass
from simulated_exchange.errors import VenueBusyError
from simulated_exchange.gateway.streams.connection import Connection
from simulated_exchange.gateway.translate.topics import private_topic
from simulated_exchange.gateway.venue import Venue

__all__ = ["Disconnects"]

log = structlog.get_logger(__name__)

RETRY_SECONDS = 0.5  # while the journal is behind
_CLASSES = {"Contracts": ProductClass.Contracts, "Spot": ProductClass.Spot}
_ALL = tuple(_CLASSES)


class Disconnects:
    """Per account and class of products: sockets that subscribed to its topic."""

    def __init__(self, venue: Venue) -> None:
        self._venue = venue
        self._listeners: dict[tuple[int, str], set[Connection]] = {}
        self._timers: dict[tuple[int, str], asyncio.TimerHandle] = {}

    def listen(self, account: int, connection: Connection, topics: list[str]) -> None:
        """Wait for this connection's end; a timer that runs is stopped."""
        for products in _products(topics):
            self._listeners.setdefault((account, products), set()).add(connection)
            timer = self._timers.pop((account, products), None)
            if timer is not None:
                timer.cancel()

    def stop_listening(self, account: int, connection: Connection, topics: list[str]) -> None:
        """It said so itself; nothing is cancelled for that."""
        for products in _products(topics):
            self._remove((account, products), connection)

    def lose(self, account: int, connection: Connection) -> None:
        """The connection broke; when it was the last, time runs."""
        for products in _ALL:
            key = (account, products)
            if self._remove(key, connection) and key not in self._listeners:
                seconds = self._window(account, products)
                if seconds:
                    loop = asyncio.get_running_loop()
                    self._timers[key] = loop.call_later(seconds, self._cancel_all, key)

    def _remove(self, key: tuple[int, str], connection: Connection) -> bool:
        listeners = self._listeners.get(key, set())
        if connection not in listeners:
            return False
        listeners.discard(connection)
        if not listeners:
            del self._listeners[key]
        return True

    def _window(self, account: int, products: str) -> int:
        settings = self._venue.driver.order_settings(account)
        return settings.spot_disconnect_s if products == "Spot" else settings.contracts_disconnect_s

    def _cancel_all(self, key: tuple[int, str]) -> None:
        self._timers.pop(key, None)
        account, products = key
        log.info("client gone, cancelling", account=account, products=products)
        try:
            self._venue.driver.cancel_disconnected(account=account, products=_CLASSES[products])
        except VenueBusyError:
            loop = asyncio.get_running_loop()
            self._timers[key] = loop.call_later(RETRY_SECONDS, self._cancel_all, key)
        except JOURNAL_FAILURES:
            log.warning("client gone, but the journal fails", account=account)


def _products(topics: list[str]) -> set[str]:
    """The classes whose orders are to go; the topic without a class means contracts."""
    found = (private_topic(text) for text in topics)
    return {topic.disconnects for topic in found if topic is not None and topic.disconnects}
