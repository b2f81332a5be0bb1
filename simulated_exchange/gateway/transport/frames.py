"""WebSocket frames (RFC 6455) from bytes and to bytes, as a server sees them.

Belongs here: the format and its limits, pure. Does not belong here: sockets, and what messages mean.
Servers do not mask, so that one frame encoded once goes to every subscriber.
"""

from __future__ import annotations

import base64
import hashlib
import struct
from collections.abc import Mapping

from simulated_exchange.driver import whole_messages

__all__ = [
    "BINARY",
    "CLOSE",
    "PING",
    "PONG",
    "TEXT",
    "FrameError",
    "FrameReader",
    "Message",
    "accept_key",
    "encoded",
    "text_frame",
]

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA
CONTROL_BYTES_MAX = 125
VERSION = "13"
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_PROTOCOL_ERROR, _TOO_LARGE = 1002, 1009


class FrameError(Exception):
    """The other side breaks the protocol; the connection ends with this code."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code


Message = tuple[int, bytes]
"""One whole message, or one control frame: kind and payload."""


def accept_key(headers: Mapping[str, str]) -> str | None:
    """The answer to an opening handshake (header names in upper case); None when it is none."""
    key = headers.get("SEC-WEBSOCKET-KEY", "")
    if headers.get("UPGRADE", "").lower() != "websocket" or headers.get("SEC-WEBSOCKET-VERSION") != VERSION:
        return None
    try:
        if len(base64.b64decode(key, validate=True)) != 16:
            return None
    except ValueError:
        return None
    return base64.b64encode(hashlib.sha1(key.encode() + _GUID, usedforsecurity=False).digest()).decode()


def encoded(kind: int, payload: bytes) -> bytes:
    """One unmasked frame."""
    size = len(payload)
    if size < 126:
        return bytes((0x80 | kind, size)) + payload
    if size < 65_536:
        return struct.pack("!BBH", 0x80 | kind, 126, size) + payload
    return struct.pack("!BBQ", 0x80 | kind, 127, size) + payload


def text_frame(payload: bytes) -> bytes:
    """One unmasked frame of text."""
    return encoded(TEXT, payload)


class FrameReader:
    """Takes bytes as they come, gives messages as they end."""

    def __init__(self, message_bytes_max: int) -> None:
        self._most = message_bytes_max
        self._kept = bytearray()
        self._wanted = 2
        self._kind = 0
        self._pieces: list[bytes] = []
        self._size = 0

    def feed(self, data: bytes) -> list[Message]:
        """What ended with these bytes. Raises FrameError; nothing is read after that."""
        if not self._kept and not self._pieces:
            whole = whole_messages(data, self._most)  # as they mostly come
            if whole is not None:
                return whole
        if self._kept:
            self._kept += data
            if len(self._kept) < self._wanted:
                return []
            data = bytes(self._kept)
        elif len(data) < self._wanted:
            self._kept += data
            return []
        messages: list[Message] = []
        at = 0
        while (end := self._end_of_frame(data, at)) <= len(data):
            payload_at = end - self._length
            payload = data[payload_at:end]
            if self._length:
                payload = _unmasked(payload, data[payload_at - 4 : payload_at])
            self._take(data[at], payload, messages)
            at = end
        self._kept = bytearray(data[at:])
        self._wanted = end - at
        return messages

    def _end_of_frame(self, data: bytes, at: int) -> int:
        """Where the frame at `at` ends, as far as its head says; behind `data` when that is not all here."""
        self._length = 0
        if len(data) - at < 2:
            return at + 2
        first, second = data[at], data[at + 1]
        length, head = second & 0x7F, 6
        if first & 0x70:
            raise FrameError(_PROTOCOL_ERROR, "reserved bits are set")
        if not second & 0x80:
            raise FrameError(_PROTOCOL_ERROR, "a client must mask")
        if first & 0x08 and (length > CONTROL_BYTES_MAX or not first & 0x80):
            raise FrameError(_PROTOCOL_ERROR, "a control frame is short and whole")
        if length == 126:
            head = 8
        elif length == 127:
            head = 14
        if len(data) - at < head:
            return at + head
        if head > 6:
            length = int.from_bytes(data[at + 2 : at + head - 4])
        if length + self._size > self._most:
            raise FrameError(_TOO_LARGE, f"message is larger than {self._most} bytes")
        self._length = length
        return at + head + length

    def _take(self, first: int, payload: bytes, messages: list[Message]) -> None:
        kind, is_last = first & 0x0F, first & 0x80
        if kind in (CLOSE, PING, PONG):
            messages.append((kind, payload))
        elif kind in (TEXT, BINARY) and not self._pieces:
            if is_last:
                messages.append((kind, payload))
                return
            self._kind, self._pieces, self._size = kind, [payload], len(payload) + 1
        elif kind == CONTINUATION and self._pieces:
            self._pieces.append(payload)
            self._size += len(payload) + 1  # empty pieces count, too
            if is_last:
                messages.append((self._kind, b"".join(self._pieces)))
                self._pieces, self._size = [], 0
        else:
            raise FrameError(_PROTOCOL_ERROR, "frames out of order")


def _unmasked(payload: bytes, mask: bytes) -> bytes:
    """Exclusive or with the repeated mask, as one operation on long integers."""
    size = len(payload)
    key = (mask * (size // 4 + 1))[:size]
    return (int.from_bytes(payload, "little") ^ int.from_bytes(key, "little")).to_bytes(size, "little")
