"""The short way of a signed request over HTTP: it reads what the parser reads, or leaves it to it."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path
from typing import Any

import pytest

from simulated_exchange.accounts import KeyStore
from simulated_exchange.clock import MarketClock
from simulated_exchange.driver import Driver, DriverSettings, SignedPost, http_answer
from simulated_exchange.gateway.app import Gateway
from simulated_exchange.gateway.auth import signed_of
from simulated_exchange.gateway.rate_limit import ADDRESS_FRAMES_MAX
from simulated_exchange.gateway.translate.frames import rate_limit_lines
from simulated_exchange.gateway.transport.http import HttpConnection, Request, Terms
from simulated_exchange.gateway.venue import Venue
from simulated_exchange.instruments import Catalogue
from simulated_exchange.ledger import Ledger
from simulated_exchange.settings import GatewaySettings
from tests.unit.simulated_exchange.listing_rooms import shipped_genesis

GENESIS = shipped_genesis()
DATE = "Thu, 26 Nov 2026 13:00:00 GMT"
NAMES = ["X-BAPI-API-KEY", "x-bapi-timestamp", "X-Bapi-Recv-Window", "X-BAPI-SIGN", "Host", "User-Agent"]
ODD_LINES = [
    b"Connection: close",
    b"Connection: keep-alive",
    b"Content-Length: 3",
    b"Transfer-Encoding: chunked",
    b"Content-Encoding: gzip",
    b"Upgrade: h2c",
    b"Host : x",
    b": x",
    b"no colon",
    b" folded",
    b"X-\xc3\xbc: \xff",
    b"X-Empty:",
    b"X-BAPI-SIGN: again",
]
TARGETS = ["/v5/order/create", "/v5/order/create", "/v5/a%20b", "/v5/x?y=1", "*", "/v5/\u00fc"]
Heard = tuple[str, tuple[str, ...], bytes]


class Wire(asyncio.Transport):
    """Keeps what is written; is never full."""

    def __init__(self) -> None:
        super().__init__()
        self.written = bytearray()
        self.is_over = False

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return ("127.0.0.1", 1)

    def write(self, data: Any) -> None:
        self.written += data

    def is_closing(self) -> bool:
        return self.is_over

    def can_write_eof(self) -> bool:
        return False

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass

    def abort(self) -> None:
        self.is_over = True


class Side:
    """A connection that says what it was asked, and answers with the body."""

    def __init__(self, *, is_short: bool) -> None:
        self.heard: list[Heard] = []
        self.short = 0
        self._is_short = is_short
        self.wire = Wire()
        terms = Terms(self._long, self._signed, 100_000, lambda: DATE, lambda _: None, lambda _: None)
        self.connection = HttpConnection(terms)
        self.connection.connection_made(self.wire)

    def _long(self, request: Request, connection: HttpConnection) -> None:
        asked = f"{request.method} {request.path}?{request.query}{request.fault}"
        self.heard.append((asked, tuple(signed_of(request.headers)), request.body))
        connection.respond(request.body)

    def _signed(self, post: SignedPost, connection: HttpConnection) -> bool:
        if not self._is_short:
            return False
        self.short += 1
        signed = (post.api_key, post.timestamp, post.recv_window, post.signature)
        self.heard.append((f"POST {post.path}?", signed, post.body))
        connection.respond(post.body)
        return True


def request_bytes(dice: random.Random) -> bytes:
    """A signed request, mostly a usual one."""
    target = TARGETS[0] if dice.random() < 0.8 else dice.choice(TARGETS)
    method = "POST" if dice.random() < 0.9 else dice.choice(["GET", "HEAD", "PUT"])
    body = dice.choice([b"{}", b"", dice.randbytes(dice.randrange(40)), b"POST / HTTP/1.1\r\n\r\n"])
    lines = [f"{name}:{' ' * dice.randrange(3)}{dice.choice(['a', '17', 'a b'])}".encode() for name in NAMES]
    lines = [line for line in lines if dice.random() < 0.97]
    if dice.random() < 0.95:
        lines.append(b"Content-Length: %d" % len(body))
    if dice.random() < 0.2:
        lines.append(dice.choice(ODD_LINES))
    dice.shuffle(lines)
    head = f"{method} {target} HTTP/1.{dice.choice('11111110')}".encode()
    return b"\r\n".join([head, *lines, b"", body])


@pytest.mark.asyncio
async def test_a_connection_is_asked_and_answers_the_same_by_either_way() -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")  # noqa: T201
    dice = random.Random(seed)
    short = 0
    for _ in range(400):
        pieces: list[bytes] = []
        for _ in range(dice.randrange(1, 6)):
            data = request_bytes(dice)
            cut = dice.randrange(len(data)) if dice.random() < 0.3 else len(data)
            pieces += [data[:cut], data[cut:]]
            if dice.random() < 0.2 and len(pieces) > 2:
                pieces[-3:] = [b"".join(pieces[-3:])]
        one, other = Side(is_short=True), Side(is_short=False)
        for piece in filter(None, pieces):
            one.connection.data_received(piece)
            other.connection.data_received(piece)
        assert one.heard == other.heard, pieces
        assert one.wire.written == other.wire.written, pieces
        short += one.short
    assert short > 200, "the short way was hardly taken"


@pytest.mark.asyncio
async def test_the_short_answer_has_the_bytes_of_the_long_one() -> None:
    side = Side(is_short=False)
    lines = rate_limit_lines(10, 9, 1_760_000_000_050, 1_760_000_000_000, 77)
    side.connection.respond(b'{"retCode":0}', lines)
    short = http_answer(b'{"retCode":0}', DATE, (10, 9, 1_760_000_000_050), 1_760_000_000_000, 77)
    assert short == side.wire.written


HANDSHAKE = (
    b"GET /v5/trade HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


@pytest.mark.asyncio
async def test_an_address_is_told_when_its_trade_sockets_ask_too_often(tmp_path: Path) -> None:
    """Time stands still, so all of it is in one second."""
    catalogue = Catalogue.from_genesis(GENESIS)
    driver = Driver.open(DriverSettings(GENESIS, MarketClock(0), None, "none"))
    gateway = Gateway(
        Venue(
            driver=driver,
            ledger=Ledger(len(catalogue), catalogue),
            catalogue=catalogue,
            keys=KeyStore.open(tmp_path / "accounts.json"),
            limits=GatewaySettings(published_limits=True),
            is_sim_enabled=False,
            scenario_report=dict,
            now_ms=lambda: 1_760_000_000_000,
        )
    )
    wire = SocketWire()
    terms = Terms(gateway._handle, gateway._handle_signed, 9999, lambda: DATE, lambda _: None, lambda _: None)
    http = HttpConnection(terms)
    http.connection_made(wire)
    http.data_received(HANDSHAKE)
    wire.written.clear()
    frame = b"\x81\x8d\0\0\0\0" + b'{"op":"none"}'
    for _ in range(ADDRESS_FRAMES_MAX + 1):
        wire.protocol.data_received(frame)
    assert wire.written.count(b'"retCode":10001') == ADDRESS_FRAMES_MAX, wire.written[:300]
    assert wire.written.count(b'"retCode":10403') == 1


class SocketWire(Wire):
    """Whose protocol may change."""

    protocol: Any

    def set_protocol(self, protocol: Any) -> None:
        self.protocol = protocol
