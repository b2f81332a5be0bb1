"""The frame loops of the three kinds of socket.

Belongs here: what a client may say on a socket and in which order it is answered. Does not belong here:
pushes.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any
from urllib.parse import parse_qs

import structlog

from simulated_exchange.gateway.auth import verify_socket
from simulated_exchange.gateway.desk import OrderDesk
from simulated_exchange.gateway.faults import Channel, Fault
from simulated_exchange.gateway.json_object import parse_object
from simulated_exchange.gateway.rate_limit import RateLimiter
from simulated_exchange.gateway.streams.connection import Connection
from simulated_exchange.gateway.streams.hub import StreamHub
from simulated_exchange.gateway.streams.order_entry import OrderEntry
from simulated_exchange.gateway.translate import frames
from simulated_exchange.gateway.translate.refusals import (
    RefusedError,
    auth_repeated,
    not_authenticated,
)
from simulated_exchange.gateway.translate.topics import private_topic
from simulated_exchange.gateway.transport.http import HttpConnection, Request
from simulated_exchange.gateway.transport.websocket import GOING_AWAY, WebSocket, handshake
from simulated_exchange.gateway.venue import Venue

__all__ = ["Sockets"]

log = structlog.get_logger(__name__)

INTERNAL_ERROR = 1011
STATUS_PATH = "/v5/public/misc/status"
ACTIVE_SECONDS = range(30, 601)  # what a client may ask its idle time to be

_CHANNELS = {"/v5/private": Channel.PRIVATE, "/v5/trade": Channel.TRADE}

Handler = Callable[[Connection, dict[str, Any]], None]


class Sockets:
    """Serves sockets; frames of one connection take effect strictly in their order."""

    def __init__(self, venue: Venue, desk: OrderDesk, hub: StreamHub, limiter: RateLimiter) -> None:
        self._venue = venue
        self._order_entry = OrderEntry(venue, desk, limiter)
        self._hub = hub
        self._connections: dict[str, Connection] = {}
        self._count = 0
        self._markets = {f"/v5/public/{name}" for name in ("linear", "spot", "inverse", "option")}
        self._others = {"/v5/private", "/v5/trade", STATUS_PATH}

    def serves(self, path: str) -> bool:
        """Whether this path is a socket."""
        return path in self._markets or path in self._others

    @property
    def is_full(self) -> bool:
        """Whether one more connection would be too many."""
        return len(self._connections) >= self._venue.limits.connections_max

    def open(
        self, request: Request, http: HttpConnection, adopt: Callable[[WebSocket], Callable[[], None]]
    ) -> bool:
        """Make a socket of a connection; False when the request is no handshake."""
        answer = handshake(request.headers)
        if answer is None:
            return False
        limits, venue = self._venue.limits, self._venue
        channel = _CHANNELS.get(request.path, Channel.PUBLIC)
        if venue.faults and venue.faults.cuts(channel, None, venue.now_ms()):
            http.cut()
            return True
        socket = WebSocket(
            message_bytes_max=limits.frame_bytes_max,
            idle_seconds_max=_idle_seconds(request.query, limits.idle_seconds_max),
        )
        self._count += 1
        connection = Connection(
            socket,
            f"{self._count:08x}-{request.path.rpartition('/')[2]}",
            queue_max=limits.connection_queue_max,
            ack_delay_ms=limits.ack_delay_ms if "ORIGIN" in request.headers else 0,
            address=request.peer,
            channel=channel,
        )
        self._connections[connection.name] = connection
        hear = partial(self._take, connection, self._handler(request.path))
        if channel is Channel.TRADE:
            hear = partial(self._take_order, connection, hear)
        socket.on_message = hear
        socket.on_writable = connection.catch_up
        socket.on_end = partial(self._ended, connection, adopt(socket))
        socket.open(http, answer)
        return True

    def _ended(self, connection: Connection, release: Callable[[], None]) -> None:
        release()
        connection.end("closed by the client")
        self._connections.pop(connection.name, None)
        self._hub.forget(connection)

    def drop_all(self, reason: str) -> None:
        """End every connection; the venue closes."""
        for connection in list(self._connections.values()):
            connection.drop(reason, GOING_AWAY)

    def cut(self, fault: Fault) -> None:
        """Cut off everybody whom a fault meets, with nothing said."""
        for connection in list(self._connections.values()):
            if fault.channel in (None, connection.channel) and fault.account in (None, connection.account):
                connection.end("disconnected on purpose")
                connection.socket.abort()

    def _take_order(self, connection: Connection, hear: Callable[[bytes], None], message: bytes) -> None:
        """Most messages of a trade socket are plain orders."""
        try:
            is_taken = self._order_entry.takes_plain(connection, message)
        except Exception:  # as below
            log.exception("frame failed", connection=connection.name)
            connection.drop("internal error", INTERNAL_ERROR)
            return
        if not is_taken:
            self._venue.driver.settle()  # it may be about an order that came just before
            hear(message)

    def _take(self, connection: Connection, handle: Handler, message: bytes) -> None:
        try:
            frame = parse_object(message)
        except RefusedError as refusal:
            self._order_entry.say(connection, frames.stream_failure({}, connection.name, refusal.text))
            return
        try:
            handle(connection, frame)
        except Exception:  # a bug of ours ends one connection, with a word
            log.exception("frame failed", connection=connection.name)
            connection.drop("internal error", INTERNAL_ERROR)

    def _handler(self, path: str) -> Handler:
        if path == "/v5/private":
            return self._on_private
        if path == "/v5/trade":
            return self._on_trade
        if path == STATUS_PATH:
            return self._on_status
        return partial(self._on_market, path.rpartition("/")[2])

    # -- market data -----------------------------------------------------------------------------------------

    def _on_market(self, category: str, connection: Connection, frame: dict[str, Any]) -> None:
        public = self._hub.public[category]

        def apply(texts: list[str], operation: str) -> None:
            for text in texts:
                if operation == "subscribe":
                    public.subscribe(text, connection)
                else:
                    public.unsubscribe(text, connection)

        self._on_public(connection, frame, public.knows, apply)

    def _on_status(self, connection: Connection, frame: dict[str, Any]) -> None:
        """This venue announces no maintenance, so its topic is known and quiet."""
        self._on_public(connection, frame, lambda text: text == "system.status", lambda *_: None)

    def _on_public(
        self,
        connection: Connection,
        frame: dict[str, Any],
        knows: Callable[[str], bool],
        apply: Callable[[list[str], str], None],
    ) -> None:
        operation = frame.get("op")
        if operation == "ping":
            connection.answer(
                frames.stream_pong(frame, connection.name, self._venue.now_ms(), is_private=False)
            )
        elif operation in ("subscribe", "unsubscribe"):
            self._subscription(connection, frame, knows, apply)
        else:
            connection.answer(frames.stream_failure(frame, connection.name, "error:unknown op"))

    def _subscription(
        self,
        connection: Connection,
        frame: dict[str, Any],
        knows: Callable[[str], bool],
        apply: Callable[[list[str], str], None],
    ) -> None:
        """All topics of a frame, or none. Unsubscribing what never was subscribed succeeds."""
        operation = str(frame["op"])
        try:
            topics = frames.frame_topics(frame)
        except RefusedError as refusal:
            connection.answer(frames.stream_failure(frame, connection.name, refusal.text))
            return
        text = self._objection(topics, knows) if operation == "subscribe" else ""
        if text:
            connection.answer(frames.stream_subscription(frame, connection.name, text))
            return
        connection.answer(
            frames.stream_subscription(frame, connection.name), then=lambda: apply(topics, operation)
        )

    @staticmethod
    def _objection(topics: list[str], knows: Callable[[str], bool]) -> str:
        """What is wrong with a subscription; "" for nothing."""
        unknown = next((topic for topic in topics if not knows(topic)), None)
        if unknown is not None:
            return f"error:handler not found,topic:{unknown[:64]}"
        private = [topic for topic in map(private_topic, topics) if topic is not None]
        whole = {topic.base for topic in private if not topic.category}
        if any(topic.category and topic.base in whole for topic in private):
            return "error:all-in-one and categorised topics cannot be mixed in one request"
        return ""

    # -- an account's own ------------------------------------------------------------------------------------

    def _on_private(self, connection: Connection, frame: dict[str, Any]) -> None:
        operation = frame.get("op")
        if operation == "ping":
            connection.answer(
                frames.stream_pong(frame, connection.name, self._venue.now_ms(), is_private=True)
            )
        elif operation == "auth":
            try:
                self._authenticate(connection, frame)
            except RefusedError as refusal:
                connection.answer(frames.stream_auth(frame, connection.name, refusal.text))
            else:
                connection.answer(frames.stream_auth(frame, connection.name))
        elif operation in ("subscribe", "unsubscribe"):
            if connection.account is None:
                text = not_authenticated().text
                connection.answer(frames.stream_subscription(frame, connection.name, text))
                return
            self._subscription(
                connection,
                frame,
                lambda text: private_topic(text) is not None,
                lambda topics, name: self._apply_private(connection, topics, name),
            )
        else:
            connection.answer(frames.stream_failure(frame, connection.name, "error:unknown op"))

    def _apply_private(self, connection: Connection, topics: list[str], operation: str) -> None:
        if operation == "subscribe":
            self._hub.private.subscribe(topics, connection)
        else:
            self._hub.private.unsubscribe(topics, connection)

    def _authenticate(self, connection: Connection, frame: dict[str, Any]) -> None:
        if connection.account is not None:
            raise auth_repeated()
        key = verify_socket(
            frames.auth_frame(frame), self._venue.keys, self._venue.now_ms(), connection.address
        )
        connection.account, connection.api_key = key.account, key.api_key
        venue = self._venue
        if venue.faults and venue.faults.cuts(connection.channel, key.account, venue.now_ms()):
            connection.end("disconnected on purpose")
            connection.socket.abort()

    def _on_trade(self, connection: Connection, frame: dict[str, Any]) -> None:
        operation = frame.get("op")
        if operation == "ping":
            self._order_entry.say(connection, frames.trade_pong(connection.name, self._venue.now_ms()))
        elif operation == "auth":
            try:
                self._authenticate(connection, frame)
            except RefusedError as refusal:
                self._order_entry.say(
                    connection, frames.trade_auth(frame, connection.name, refusal.code, refusal.text)
                )
            else:
                self._order_entry.say(connection, frames.trade_auth(frame, connection.name))
        else:
            self._order_entry.take(connection, frame)


def _idle_seconds(query: str, default: int) -> int:
    """How long a client may be silent: it may ask for another time, as 90s or 5m."""
    text = parse_qs(query).get("max_active_time", [""])[0]
    number, unit = text[:-1], text[-1:]
    if not number.isascii() or not number.isdigit() or len(number) > 4 or unit not in ("s", "m"):
        return default
    seconds = int(number) * (60 if unit == "m" else 1)
    return seconds if seconds in ACTIVE_SECONDS else default
