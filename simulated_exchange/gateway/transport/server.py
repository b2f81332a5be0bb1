"""The listening socket and everybody connected to it.

Belongs here: counting connections, ending those that are silent for too long, closing. Does not belong here:
what a connection says.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable
from email.utils import formatdate
from typing import Protocol

from simulated_exchange.gateway.transport.http import Handler, HttpConnection, SignedHandler, Terms

__all__ = ["Server", "Watched"]

LOOK_SECONDS = 1.0
CLOSE_LOOKS_MAX, CLOSE_LOOK_SECONDS = 100, 0.01
BACKLOG = 1024


class Watched(Protocol):
    """A connection that is not HTTP any more."""

    def look(self, now: float) -> None:
        """Called every second with the loop's time."""

    def abort(self) -> None:
        """End at once."""


class Server:
    """Serves HTTP on one socket until it is stopped.

    A connection may say nothing for `silent_seconds_max` between two requests; from a request's first byte to
    its last, and for an answer to be read, it has `request_seconds_max`.
    """

    def __init__(
        self,
        handle: Handler,
        handle_signed: SignedHandler,
        *,
        body_bytes_max: int,
        connections_max: int,
        silent_seconds_max: float,
        request_seconds_max: float,
    ) -> None:
        self._silent_seconds_max = silent_seconds_max
        self._request_seconds_max = request_seconds_max
        self._connections: set[HttpConnection] = set()
        self._others: set[Watched] = set()
        self._connections_max = connections_max
        self._date = formatdate(usegmt=True)
        self._terms = Terms(
            handle, handle_signed, body_bytes_max, lambda: self._date, self._opened, self._ended
        )
        self._server: asyncio.Server | None = None
        self._watch: asyncio.Task[None] | None = None

    async def start(self, listener: socket.socket) -> None:
        """Serve on a socket that is bound already."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: HttpConnection(self._terms), sock=listener, backlog=BACKLOG
        )
        self._watch = asyncio.create_task(self._watch_all())

    async def stop(self) -> None:
        """Take no more requests, let those that are here end, close every connection."""
        if self._server is not None:
            self._server.close()
        for _ in range(CLOSE_LOOKS_MAX):
            if not self._others and not any(connection.is_busy for connection in self._connections):
                break
            await asyncio.sleep(CLOSE_LOOK_SECONDS)
        for connection in list(self._connections):
            connection.cut()
        for other in list(self._others):
            other.abort()
        if self._watch is not None:
            self._watch.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._watch
        if self._server is not None:
            await self._server.wait_closed()

    def adopt(self, other: Watched) -> Callable[[], None]:
        """Look after a connection that was HTTP; call what is returned once it has ended."""
        self._others.add(other)
        return lambda: self._others.discard(other)

    def _opened(self, connection: HttpConnection) -> None:
        if len(self._connections) + len(self._others) >= self._connections_max:
            connection.cut()
            return
        self._connections.add(connection)

    def _ended(self, connection: HttpConnection) -> None:
        self._connections.discard(connection)

    async def _watch_all(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            self._date = formatdate(usegmt=True)
            now = loop.time()
            for connection in list(self._connections):
                if connection.is_receiving or connection.is_stalled:
                    most = self._request_seconds_max
                elif connection.is_busy:
                    continue
                else:
                    most = self._silent_seconds_max
                if now - connection.since > most:
                    connection.cut()
            for other in list(self._others):
                other.look(now)
