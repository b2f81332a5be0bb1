"""One socket: a bounded queue to the reader, and answers that are held back a little, in order.

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
from aiohttp import WSMsgType, web

__all__ = ["GOING_AWAY", "Connection"]

log = structlog.get_logger(__name__)

QUEUE_BYTES_MAX = 8_388_608  # beside the configured number of frames: some frames are large
TOO_SLOW = "reader too slow: the queue of this connection is full"
CLOSE_SECONDS_MAX = 1.0
POLICY_VIOLATION = 1008
GOING_AWAY = 1001


class Connection:
    """Frames out of one socket."""

    def __init__(
        self, socket: web.WebSocketResponse, name: str, *, queue_max: int, ack_delay_ms: int
    ) -> None:
        self.name = name
        self.account: int | None = None
        self.closed_because = ""
        self._close_code = POLICY_VIOLATION
        self._socket = socket
        self._queue: deque[bytes] = deque()
        self._queued_bytes = 0
        self._queue_max = queue_max
        self._ack_delay_seconds = ack_delay_ms / 1000
        self._acks: deque[tuple[bytes, Callable[[], None] | None]] = deque()
        self._wake = asyncio.Event()
        self._loop = asyncio.get_running_loop()

    def send(self, frame: bytes) -> None:
        """Queue one frame; a full queue ends the connection."""
        if self.closed_because:
            return
        if len(self._queue) >= self._queue_max or self._queued_bytes + len(frame) > QUEUE_BYTES_MAX:
            self.drop(TOO_SLOW)
            return
        self._queued_bytes += len(frame)
        self._queue.append(frame)
        self._wake.set()

    def answer(self, frame: dict[str, Any], then: Callable[[], None] | None = None) -> None:
        """Queue an answer for a little later, behind earlier answers; `then` runs once it is queued.

        Some clients send first and register what they wait for afterwards; an answer that comes at once
        finds nobody.
        """
        encoded = orjson.dumps(frame)
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
            self.closed_because = reason
            self._close_code = code
            self._queue.clear()
            self._acks.clear()
            log.warning("connection dropped", connection=self.name, account=self.account, reason=reason)
            self._wake.set()

    async def pump(self) -> None:
        """Write the queue to the socket until the connection ends."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._queue:
                frame = self._queue.popleft()
                self._queued_bytes -= len(frame)
                await self._socket.send_frame(frame, WSMsgType.TEXT)
            if self.closed_because:
                await self._close()
                return

    async def _close(self) -> None:
        message = self.closed_because.encode()[:120]
        try:
            async with asyncio.timeout(CLOSE_SECONDS_MAX):
                await self._socket.close(code=self._close_code, message=message)
        except TimeoutError:
            log.info("connection did not close in time", connection=self.name)
