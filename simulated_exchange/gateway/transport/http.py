"""HTTP/1.1 on one connection: bytes in, requests out one at a time, answers back in the same order.

Belongs here: framing with limits, what is no HTTP, keeping alive. Does not belong here: routes, envelopes.
The parsing is llhttp's, through httptools.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import NamedTuple, cast

import httptools

from simulated_exchange.driver import SignedPost, signed_post

__all__ = ["Handler", "HttpConnection", "Request", "Terms"]

HEAD_BYTES_MAX = 16_384
PIPELINED_MAX = 16  # requests read ahead of the one being answered
WRITE_BUFFER_BYTES = 262_144  # answers that nobody reads; no further request is taken beyond
HEADER_NAMES_MAX = 1000  # spellings that are remembered
LINGER_SECONDS = 1.0  # for the last words to arrive before the connection is cut
BAD_REQUEST = b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_REASONS = {200: "OK", 403: "Forbidden", 500: "Internal Server Error", 502: "Bad Gateway"}
_REASONS |= {503: "Service Unavailable", 504: "Gateway Timeout", 429: "Too Many Requests"}


class Request(NamedTuple):
    """One request as received. Header names are in upper case; `fault` says why the body cannot be had."""

    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: bytes
    peer: str
    fault: str
    is_upgrade: bool
    keeps_alive: bool


Handler = Callable[[Request, "HttpConnection"], None]
SignedHandler = Callable[[SignedPost, "HttpConnection"], bool]
"""Answers a request that was read the short way, or is False and has done nothing."""


class _Names(dict[bytes, str]):
    """Header names in upper case, by how clients write them: the same few again and again."""

    def __missing__(self, raw: bytes) -> str:
        name = raw.upper().decode("latin-1")
        if len(self) < HEADER_NAMES_MAX:
            self[raw] = name
        return name


_NAMES = _Names()


class Terms(NamedTuple):
    """What every connection of a server is told."""

    handle: Handler
    handle_signed: SignedHandler
    body_bytes_max: int
    date: Callable[[], str]
    opened: Callable[[HttpConnection], None]
    ended: Callable[[HttpConnection], None]


class HttpConnection(asyncio.Protocol):
    """`handle` is called with one request at a time and answers it through `respond`, once."""

    def __init__(self, terms: Terms) -> None:
        self._terms = terms
        self._loop = asyncio.get_running_loop()
        self._requests: deque[Request] = deque()
        self._fields: dict[bytes, bytes] = {}
        self.on_header = self._fields.__setitem__  # of equal names the last counts
        self._tail = b""
        self._is_parted = False
        self._is_busy = self._is_working = self._is_ending = self._is_stalled = False
        self._is_pausing = self._is_head = self._is_bad = False
        self._keeps_alive = True
        self._peer = ""
        self.since = self._loop.time()
        self._renew()

    def _renew(self) -> None:
        """The next message begins with nothing."""
        self._parser = httptools.HttpRequestParser(self)
        self._begin()

    def _begin(self) -> None:
        self.is_receiving = self._has_head = False
        self._is_between = True
        self._head_bytes = 0
        self._target = b""
        self._fields.clear()
        self._headers: dict[str, str] = {}
        self._body = b""
        self._fault = ""

    # -- transport -------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop's is none by inheritance
        self.transport.set_write_buffer_limits(high=WRITE_BUFFER_BYTES)
        address = transport.get_extra_info("peername")
        self._peer = str(address[0]) if address else ""
        self._terms.opened(self)

    def connection_lost(self, error: Exception | None) -> None:
        self._is_ending = True
        self._requests.clear()
        self._terms.ended(self)

    def pause_writing(self) -> None:
        self._is_stalled = True
        self.since = self._loop.time()

    def resume_writing(self) -> None:
        self._is_stalled = False
        self._next()

    def data_received(self, data: bytes) -> None:
        if self._is_ending:
            return
        if self._is_parted:
            self._tail += data
            if len(self._tail) > HEAD_BYTES_MAX:
                self._refuse()
            return
        if self._is_between and not self._is_busy and not self._requests and self._takes_signed(data):
            return
        if not self.is_receiving:
            self.is_receiving = True
            self.since = self._loop.time()
            if data.count(b" ", 0, data.find(b"\r\n")) > 2:
                data = _with_escaped_blanks(data)
        if not self._has_head:
            self._head_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._is_parted, self._tail = True, data[upgrade.args[0] :]
        except httptools.HttpParserError:
            self._is_bad = True
        if self._is_bad or (not self._has_head and self._head_bytes > HEAD_BYTES_MAX):
            self._refuse()
            return
        self._next()

    def _takes_signed(self, data: bytes) -> bool:
        """The short way of a request that is here by itself and whole, as they mostly are."""
        post = signed_post(data)
        if post is None or self._is_stalled or len(post.body) > self._terms.body_bytes_max:
            return False
        self.since = self._loop.time()
        self._is_busy, self._is_head, self._keeps_alive = True, False, True
        if self._terms.handle_signed(post, self):
            return True
        self._is_busy = False
        return False

    # -- parser ----------------------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        """The first byte of a request."""
        self._is_between = False

    def on_url(self, target: bytes) -> None:
        """A piece of the request's target."""
        self._target += target

    def on_headers_complete(self) -> None:
        """The head is here; what it announces may be too much."""
        self._has_head = True
        names = _NAMES
        headers = {names[name]: value.decode("latin-1") for name, value in self._fields.items()}
        self._headers = headers
        length = headers.get("CONTENT-LENGTH", "0")
        if not self._target.isascii() or (self._head_bytes > HEAD_BYTES_MAX and self._is_head_too_long()):
            self._is_bad = True
        elif headers.get("CONTENT-ENCODING", "identity") != "identity":
            self._fault = "body cannot be read: it must not be compressed"
        elif int(length) > self._terms.body_bytes_max:
            self._announce_too_large()
        elif "EXPECT" in headers:
            self.transport.write(CONTINUE)

    def _is_head_too_long(self) -> bool:
        """Counted only when more came at once than a head may be, of which the body may be a part."""
        fields = sum(len(name) + len(value) for name, value in self._headers.items())
        return len(self._target) + fields > HEAD_BYTES_MAX

    def on_body(self, piece: bytes) -> None:
        """A piece of the body."""
        if self._fault or self._is_bad:
            return
        self._body = self._body + piece if self._body else piece
        if len(self._body) > self._terms.body_bytes_max:
            self._body = b""
            self._announce_too_large()

    def on_message_complete(self) -> None:
        """A whole request is here."""
        if not self._is_bad and not self._is_ending:
            self._enqueue(keeps_alive=self._parser.should_keep_alive())
        self._begin()

    def _announce_too_large(self) -> None:
        """Answer now; what is still to come is not read."""
        self._fault = f"body is larger than {self._terms.body_bytes_max} bytes"
        self._enqueue(keeps_alive=False)
        self._is_ending = True

    def _enqueue(self, *, keeps_alive: bool) -> None:
        path, _, query = self._target.decode("ascii").partition("?")
        parser = self._parser
        method, upgrade = parser.get_method().decode("ascii"), bool(parser.should_upgrade())
        self._requests.append(
            Request(
                method, path, query, self._headers, self._body, self._peer, self._fault, upgrade, keeps_alive
            )
        )

    # -- answers ---------------------------------------------------------------------------------------------

    def _next(self) -> None:
        """Hand on requests for as long as each is answered at once."""
        if self._is_working:
            return
        self._is_working = True
        try:
            while self._requests and not self._is_busy and not self._is_stalled:
                request = self._requests.popleft()
                self._is_busy = True
                self._is_head = request.method == "HEAD"
                self._keeps_alive = request.keeps_alive
                self._terms.handle(request, self)
        finally:
            self._is_working = False
        self._regulate()

    def _regulate(self) -> None:
        """Read no further ahead than a few requests."""
        wants_pause = len(self._requests) >= PIPELINED_MAX or self._is_stalled
        if wants_pause != self._is_pausing and not self.transport.is_closing():
            self._is_pausing = wants_pause
            if wants_pause:
                self.transport.pause_reading()
            else:
                self.transport.resume_reading()

    def respond(self, body: bytes, headers: str = "", status: int = 200) -> None:
        """The answer to the request handed on last; `headers` are whole lines, each with its end."""
        if self.transport.is_closing():
            return
        ending = "" if self._keeps_alive else "Connection: close\r\n"
        head = (
            f"HTTP/1.1 {status} {_REASONS[status]}\r\nContent-Type: application/json; charset=utf-8\r\n"
            f"Date: {self._terms.date()}\r\nContent-Length: {len(body)}\r\n{headers}{ending}\r\n"
        )
        self._answer(head.encode() if self._is_head else head.encode() + body)

    @property
    def takes_whole(self) -> bool:
        """Whether an answer may be written by somebody else: to no HEAD, and not as the last one."""
        return self._keeps_alive and not self._is_head

    @property
    def date(self) -> str:
        """For the head of an answer."""
        return self._terms.date()

    def respond_whole(self, answer: bytes) -> None:
        """As `respond`, with head and body as they are sent."""
        if not self.transport.is_closing():
            self._answer(answer)

    def _answer(self, answer: bytes) -> None:
        self.transport.write(answer)
        self._is_busy = False
        if not self._keeps_alive:
            self._end()
            return
        if not self.is_receiving:
            self.since = self._loop.time()
        if self._is_parted and not self._requests:  # an upgrade was declined: what follows is HTTP
            tail, self._tail, self._is_parted = self._tail, b"", False
            self._renew()
            if tail:
                self._loop.call_soon(self.data_received, tail)
        self._next()

    def hand_over(self) -> bytes:
        """What came behind the request handed on last; from now on this connection is another protocol's."""
        self._terms.ended(self)
        return self._tail

    @property
    def peer(self) -> str:
        """The address of the other side."""
        return self._peer

    @property
    def is_busy(self) -> bool:
        """Whether a request waits for its answer."""
        return self._is_busy

    @property
    def is_stalled(self) -> bool:
        """Whether the other side does not read what it asked for."""
        return self._is_stalled

    def cut(self) -> None:
        """End at once, with nothing said."""
        self._is_ending = True
        self._requests.clear()
        self.transport.abort()

    def _refuse(self) -> None:
        """What came is no HTTP. A request that waits for its answer still gets it, as the last one."""
        self._requests.clear()
        if self._is_busy:
            self._is_ending, self._keeps_alive = True, False
            return
        self.transport.write(BAD_REQUEST)
        self._end()

    def _end(self) -> None:
        """Say no more; let the last words arrive."""
        self._is_ending = True
        self._requests.clear()
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self._loop.call_later(LINGER_SECONDS, self.transport.abort)


def _with_escaped_blanks(data: bytes) -> bytes:
    """A blank within the request's target, which one client sends unescaped, as the parser wants it."""
    line, end, rest = data.partition(b"\r\n")
    if line.count(b" ") <= 2 or not end:
        return data
    method, _, behind = line.partition(b" ")
    target, _, version = behind.rpartition(b" ")
    return method + b" " + target.replace(b" ", b"%20") + b" " + version + end + rest
