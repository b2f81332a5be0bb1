"""One WebSocket: messages in, handed on in their order and in small portions; frames out; the closing.

Belongs here: a connection's life after the handshake. Does not belong here: what messages mean, and queues
for readers that are slow (`streams.connection`).
"""

from __future__ import annotations

import asyncio
import struct
from collections import deque
from collections.abc import Callable, Mapping
from typing import cast

from simulated_exchange.gateway.transport.frames import (
    BINARY,
    CLOSE,
    PING,
    PONG,
    TEXT,
    FrameError,
    FrameReader,
    Message,
    accept_key,
    encoded,
)
from simulated_exchange.gateway.transport.http import HttpConnection

__all__ = ["GOING_AWAY", "POLICY_VIOLATION", "WebSocket", "handshake"]

GOING_AWAY, POLICY_VIOLATION, _NORMAL = 1001, 1008, 1000
CLOSE_SECONDS_MAX = 1.0
WRITE_BUFFER_BYTES = 65_536  # beyond it the reader counts as slow
MESSAGES_IN_A_ROW_MAX = 16  # of one client, so that nobody else waits for all that it has sent
PING_AFTER_SECONDS = 30.0  # of silence
DEAD_AFTER_SECONDS = 90.0  # without even a pong


def handshake(headers: Mapping[str, str]) -> bytes | None:
    """The opening answer, or None when the request is no handshake; no extension is accepted."""
    key = accept_key(headers)
    if key is None:
        return None
    return (
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Accept: {key}\r\n\r\n"
    ).encode()


class WebSocket(asyncio.Protocol):
    """`on_message` gets the bytes of every message, `on_writable` is called when a slow reader caught up, and
    `on_end` once when it is over.
    """

    on_message: Callable[[bytes], None]
    on_writable: Callable[[], None]
    on_end: Callable[[], None]

    def __init__(self, *, message_bytes_max: int, idle_seconds_max: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._reader = FrameReader(message_bytes_max)
        self._idle_seconds_max = idle_seconds_max
        self._inbox: deque[Message] = deque()
        self._heard = self._spoke = self._loop.time()
        self._pinged = 0.0
        self._is_held = self._is_due = self._is_over = self._is_closing = self._is_paused = False
        self.is_writable = True

    def open(self, connection: HttpConnection, answer: bytes) -> None:
        """Take the transport over from HTTP; the callbacks are set already."""
        tail = connection.hand_over()
        self._transport = connection.transport
        self._transport.set_write_buffer_limits(high=WRITE_BUFFER_BYTES)
        self._transport.set_protocol(self)
        self._transport.resume_reading()
        self._transport.write(answer)
        if tail:
            self.data_received(tail)

    # -- transport -------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, error: Exception | None) -> None:
        self._inbox.clear()
        self._is_closing = True
        if not self._is_over:
            self._is_over = True
            self.on_end()

    def pause_writing(self) -> None:
        self.is_writable = False

    def resume_writing(self) -> None:
        self.is_writable = True
        if not self._is_closing:
            self.on_writable()

    def data_received(self, data: bytes) -> None:
        if self._is_closing:
            return
        self._heard = self._loop.time()
        try:
            messages = self._reader.feed(data)
        except FrameError as error:
            self.close(error.code, str(error))
            return
        if len(messages) == 1 and not self._inbox and not self._is_held and not self._is_due:
            self._take(messages[0])
            if self._is_held or self._is_paused:
                self._regulate()
            return
        self._inbox += messages
        if not self._is_due:
            self._work()

    def _work(self) -> None:
        """Hand on what came, a little at a time; read on when it is done."""
        self._is_due = False
        for _ in range(MESSAGES_IN_A_ROW_MAX):
            if not self._inbox or self._is_held or self._is_closing:
                break
            self._take(self._inbox.popleft())
        if self._inbox and not self._is_held and not self._is_closing:
            self._is_due = True
            self._loop.call_soon(self._work)
        self._regulate()

    def _regulate(self) -> None:
        wants_pause = bool(self._inbox) or self._is_held
        if wants_pause != self._is_paused and not self._transport.is_closing():
            self._is_paused = wants_pause
            if wants_pause:
                self._transport.pause_reading()
            else:
                self._transport.resume_reading()

    def _take(self, message: Message) -> None:
        kind, payload = message
        if kind in (TEXT, BINARY):
            self._spoke = self._heard
            self.on_message(payload)
        elif kind == PING:
            if self.is_writable:
                self._transport.write(encoded(PONG, payload))
        elif kind == CLOSE:
            code = struct.unpack("!H", payload[:2])[0] if len(payload) >= 2 else _NORMAL
            self.close(code if 1000 <= code < 5000 and code not in (1005, 1006) else 1002, "")

    # -- what the owner does ---------------------------------------------------------------------------------

    def write(self, frame: bytes) -> None:
        """Send an encoded frame."""
        if not self._is_closing:
            self._transport.write(frame)

    def hold(self) -> None:
        """Hand on no message until `go_on`; nothing more is read then."""
        self._is_held = True

    def go_on(self) -> None:
        """Hand on messages again."""
        if self._is_held:
            self._is_held = False
            if not self._is_due:
                self._is_due = True
                self._loop.call_soon(self._work)

    def close(self, code: int, reason: str) -> None:
        """Say why, then end, whether it was read or not."""
        if self._is_closing:
            return
        self._is_closing = True
        self._inbox.clear()
        self._transport.write(encoded(CLOSE, struct.pack("!H", code) + reason.encode()[:120]))
        self._transport.close()
        self._loop.call_later(CLOSE_SECONDS_MAX, self._transport.abort)

    def abort(self) -> None:
        """End at once."""
        self._is_closing = True
        self._transport.abort()

    def look(self, now: float) -> None:
        """Ping who is silent; end who is gone or has had nothing to say for too long."""
        if self._is_closing:
            return
        if now - self._spoke > self._idle_seconds_max:
            self.close(_NORMAL, "idle for too long")
        elif now - self._heard > DEAD_AFTER_SECONDS and not self._is_paused:
            self.abort()
        elif now - max(self._heard, self._pinged) > PING_AFTER_SECONDS and self.is_writable:
            self._pinged = now
            self._transport.write(encoded(PING, b""))
