"""One client of the streams: a bounded queue to the reader; answers are held back a little, in order.

Belongs here: sending. Does not belong here: what is sent. A reader that is too slow is cut off with a reason
rather than slowing anybody else down.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any

import orjson
import structlog

from simulated_exchange.gateway.faults import Channel
from simulated_exchange.gateway.transport.frames import text_frame
from simulated_exchange.gateway.transport.websocket import POLICY_VIOLATION, WebSocket

__all__ = ["Connection"]

log = structlog.get_logger(__name__)

QUEUE_BYTES_MAX = 8_388_608  # beside the configured number of frames: some frames are large
TOO_SLOW = "reader too slow: the queue of this connection is full"


class Connection:
    """Frames out of one socket. What goes to many is encoded once (`text_frame`) and sent to each."""

    def __init__(
        self,
        socket: WebSocket,
        name: str,
        *,
        queue_max: int,
        ack_delay_ms: int,
        address: str = "",
        channel: Channel = Channel.PUBLIC,
    ) -> None:
        self.name = name
        self.address = address
        self.channel = channel
        self.account: int | None = None
        self.api_key = ""
        self.closed_because = ""
        self.in_flight = 0
        self.request_ids: set[str] = set()
        self.socket = socket
        self._queue: deque[bytes] = deque()
        self._queued_bytes = 0
        self._queue_max = queue_max
        self._ack_delay_seconds = ack_delay_ms / 1000
        self._acks: deque[tuple[bytes, Callable[[], None] | None]] = deque()
        self._loop = asyncio.get_running_loop()

    def send(self, frame: bytes) -> None:
        """Send an encoded frame, or queue it while the reader is behind; a full queue ends the connection."""
        if self.socket.is_writable and not self._queue:
            self.socket.write(frame)
            return
        if self.closed_because:
            return
        if len(self._queue) >= self._queue_max or self._queued_bytes + len(frame) > QUEUE_BYTES_MAX:
            self.drop(TOO_SLOW)
            return
        self._queued_bytes += len(frame)
        self._queue.append(frame)

    def catch_up(self) -> None:
        """The reader can take more."""
        while self._queue and self.socket.is_writable:
            frame = self._queue.popleft()
            self._queued_bytes -= len(frame)
            self.socket.write(frame)

    def answer(self, frame: dict[str, Any], then: Callable[[], None] | None = None) -> None:
        """Send an answer a little later, behind earlier answers; `then` runs once it is sent.

        Some clients send first and register what they wait for afterwards; an answer that comes at once
        finds nobody.
        """
        self.answer_encoded(text_frame(orjson.dumps(frame)), then)

    def answer_encoded(self, encoded: bytes, then: Callable[[], None] | None = None) -> None:
        """The same for a frame that is encoded already."""
        if not self._ack_delay_seconds:
            self.send(encoded)
            if then is not None:
                then()
            return
        if len(self._acks) >= self._queue_max:
            self.drop(TOO_SLOW)
            return
        self._acks.append((encoded, then))
        self._loop.call_later(self._ack_delay_seconds, self._release_answer)

    def _release_answer(self) -> None:
        if not self._acks or self.closed_because:
            return
        encoded, then = self._acks.popleft()
        self.send(encoded)
        if then is not None:
            then()

    def drop(self, reason: str, code: int = POLICY_VIOLATION) -> None:
        """End the connection from our side."""
        if not self.closed_because:
            self.end(reason)
            log.warning("connection dropped", connection=self.name, account=self.account, reason=reason)
            self.socket.close(code, reason)

    def end(self, reason: str) -> None:
        """Nothing more is sent; the socket is closed, or about to be."""
        self.closed_because = self.closed_because or reason
        self._queue.clear()
        self._queued_bytes = 0
        self._acks.clear()
