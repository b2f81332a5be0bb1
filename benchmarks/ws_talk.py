"""A WebSocket client of bare protocols, cheap enough not to be what is measured.

Belongs here: handshake, frames, signing in. Does not belong here: what is asked, counting.
Frames to the server carry a mask of zeros, so that nothing has to be turned around.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import struct
import time
from collections.abc import Callable
from typing import Any, cast

__all__ = ["Client", "connected", "frame", "signed_in"]

HANDSHAKE = (
    "GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
WAIT_SECONDS_MAX = 10.0
AUTH_MS = 60_000


def frame(payload: bytes) -> bytes:
    """One text frame of a client."""
    size = len(payload)
    if size < 126:
        return bytes((0x81, 0x80 | size, 0, 0, 0, 0)) + payload
    return struct.pack("!BBHI", 0x81, 0xFE, size, 0) + payload


class Client(asyncio.Protocol):
    """`take` gets the payload of every frame; `ended` is called when the server hangs up."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._received = b""
        self._is_open = False
        self.opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.take: Callable[[bytes], None] = lambda _payload: None
        self.ended: Callable[[], None] = lambda: None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._transport.write(HANDSHAKE.format(path=self._path).encode())

    def connection_lost(self, error: Exception | None) -> None:
        if not self.opened.done():
            self.opened.set_exception(ConnectionError("refused"))
        self.ended()

    def send(self, payload: bytes) -> None:
        """One text message."""
        self._transport.write(frame(payload))

    def close(self) -> None:
        """Hang up."""
        self.ended = lambda: None
        self._transport.close()

    def data_received(self, data: bytes) -> None:
        if self._received:
            data = self._received + data
        if not self._is_open:
            head, end, data = data.partition(b"\r\n\r\n")
            if not end:
                self._received = head
                return
            self._is_open = True
            self.opened.set_result(None)
        at, size = 0, len(data)
        while size - at >= 2:
            length, begin = data[at + 1], at + 2
            if length == 126:
                if size - at < 4:
                    break
                length, begin = (data[at + 2] << 8) | data[at + 3], at + 4
            elif length == 127:
                if size - at < 10:
                    break
                length, begin = int.from_bytes(data[at + 2 : at + 10]), at + 10
            if begin + length > size:
                break
            if data[at] == 0x81:
                self.take(data[begin : begin + length])
            at = begin + length
        self._received = data[at:]


async def connected(port: int, path: str) -> Client:
    """An open socket."""
    loop = asyncio.get_running_loop()
    _, client = await loop.create_connection(lambda: Client(path), "127.0.0.1", port)
    async with asyncio.timeout(WAIT_SECONDS_MAX):
        await client.opened
    return client


async def signed_in(port: int, path: str, account: dict[str, Any]) -> Client:
    """An open socket that has signed in. Raises RuntimeError when it is not let in."""
    client = await connected(port, path)
    answered: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
    client.take = answered.set_result
    expires = time.time_ns() // 1_000_000 + AUTH_MS
    text = f"GET/realtime{expires}".encode()
    signature = hmac.digest(account["api_secret"].encode(), text, "sha256").hex()
    client.send(json.dumps({"op": "auth", "args": [account["api_key"], expires, signature]}).encode())
    async with asyncio.timeout(WAIT_SECONDS_MAX):
        answer = json.loads(await answered)
    if answer.get("retCode", 0) != 0 or not answer.get("success", True):
        raise RuntimeError(f"not let in: {answer}")
    return client
