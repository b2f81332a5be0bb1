"""Frames of WebSockets: the standard's own examples, any cut of the bytes, whatever breaks the protocol."""

from __future__ import annotations

import asyncio
import random
import struct
from typing import cast

import pytest

from simulated_exchange.gateway.transport.frames import (
    CLOSE,
    PING,
    PONG,
    TEXT,
    FrameError,
    FrameReader,
    accept_key,
    encoded,
    text_frame,
)
from simulated_exchange.gateway.transport.http import _with_escaped_blanks
from simulated_exchange.gateway.transport.websocket import WebSocket

HELLO_MASKED = bytes.fromhex("818537fa213d7f9f4d5158")  # RFC 6455, 5.7
SIZES = (0, 1, 3, 4, 5, 125, 126, 127, 1000, 65_535, 65_536, 70_000)


def masked(first: int, payload: bytes, mask: bytes = b"\x01\x80\xff\x37") -> bytes:
    size = len(payload)
    head = bytes((first, 0x80 | size)) if size < 126 else b""
    if 126 <= size < 65_536:
        head = struct.pack("!BBH", first, 0xFE, size)
    elif size >= 65_536:
        head = struct.pack("!BBQ", first, 0xFF, size)
    return head + mask + bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload))


def test_the_standards_examples() -> None:
    assert FrameReader(100).feed(HELLO_MASKED) == [(TEXT, b"Hello")]
    assert text_frame(b"Hello") == bytes.fromhex("810548656c6c6f")
    headers = {
        "UPGRADE": "WebSocket",
        "SEC-WEBSOCKET-VERSION": "13",
        "SEC-WEBSOCKET-KEY": "dGhlIHNhbXBsZSBub25jZQ==",
    }
    assert accept_key(headers) == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
    for change in ({"UPGRADE": "h2c"}, {"SEC-WEBSOCKET-VERSION": "8"}, {"SEC-WEBSOCKET-KEY": "x"}):
        assert accept_key({**headers, **change}) is None


def test_messages_are_the_same_however_their_bytes_are_cut() -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")  # noqa: T201
    chance = random.Random(seed)
    expected, data = [], b""
    for size in SIZES:
        payload = chance.randbytes(size)
        expected.append((TEXT, payload))
        cut = chance.randrange(size + 1)
        data += masked(0x01, payload[:cut]) + masked(0x89, b"between") + masked(0x80, payload[cut:])
        expected.insert(len(expected) - 1, (PING, b"between"))
        expected.append((TEXT, payload))
        data += masked(0x81, payload)
    for most in (1, 7, 1000, 10**6):
        reader, found, at = FrameReader(10**6), [], 0
        while at < len(data):
            step = chance.randint(1, most)
            found += reader.feed(data[at : at + step])
            at += step
        assert found == expected


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"\x81\x05Hello", 1002),  # not masked
        (masked(0xC1, b"x"), 1002),  # compressed, which was not agreed on
        (masked(0x83, b"x"), 1002),  # no such kind
        (masked(0x80, b"x"), 1002),  # goes on with nothing
        (masked(0x01, b"x") + masked(0x81, b"y"), 1002),  # begins anew within a message
        (masked(0x09, b"x"), 1002),  # a control frame in pieces
        (masked(0x89, b"x" * 126), 1002),
        (masked(0x81, b"x" * 2000), 1009),
        (masked(0x81, b"x" * 2000)[:8], 1009),  # refused by its head
        (masked(0x01, b"") + masked(0x00, b"") * 1001, 1009),  # endless pieces of nothing
        (struct.pack("!BBQ", 0x81, 0xFF, 2**63) + b"mask", 1009),
    ],
)
def test_what_breaks_the_protocol_is_refused_with_the_standards_code(data: bytes, code: int) -> None:
    with pytest.raises(FrameError) as refused:
        FrameReader(1000).feed(data)
    assert refused.value.code == code


def test_long_frames_say_their_length() -> None:
    for size in SIZES:
        frame = encoded(CLOSE if size < 126 else TEXT, b"x" * size)
        assert frame.endswith(b"x" * size)
        assert len(frame) - size == (2 if size < 126 else 4 if size < 65_536 else 10)


def test_blanks_within_a_target_are_escaped_and_nothing_else_is_touched() -> None:
    line = b"GET /v5/spot-margin-trade/data?vipLevel=No VIP&currency=USDT HTTP/1.1\r\n"
    rest = b"X: a b c\r\n\r\n"
    assert _with_escaped_blanks(line + rest) == line.replace(b"No VIP", b"No%20VIP") + rest
    plain = b"GET / HTTP/1.1\r\n" + rest
    assert _with_escaped_blanks(plain) is plain


class Line:
    """Stands where a transport stands."""

    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.is_cut = False

    def write(self, data: bytes) -> None:
        self.written.append(data)

    def is_closing(self) -> bool:
        return self.is_cut

    def close(self) -> None:
        self.is_cut = True

    def abort(self) -> None:
        self.is_cut = True


@pytest.mark.asyncio
async def test_who_is_silent_is_pinged_and_who_is_gone_is_cut_off() -> None:
    said: list[bytes] = []
    socket, line = WebSocket(message_bytes_max=1000, idle_seconds_max=600), Line()
    socket.on_message, socket.on_writable, socket.on_end = said.append, lambda: None, lambda: None
    socket.connection_made(cast("asyncio.Transport", line))
    now = asyncio.get_running_loop().time()
    socket.look(now + 20)
    assert line.written == []
    socket.look(now + 31)
    socket.look(now + 40)
    assert line.written == [encoded(PING, b"")]
    socket.data_received(masked(0x89, b"yours") + masked(0x8A, b"") + masked(0x81, b"text"))
    assert line.written[1:] == [encoded(PONG, b"yours")]
    assert said == [b"text"]
    socket.look(now + 62)
    assert line.written[2:] == [encoded(PING, b"")]
    socket.look(now + 200)
    assert line.is_cut


@pytest.mark.asyncio
async def test_a_client_that_floods_is_heard_a_little_at_a_time() -> None:
    said: list[bytes] = []
    socket, line = WebSocket(message_bytes_max=1000, idle_seconds_max=600), Line()
    socket.on_message, socket.on_writable, socket.on_end = said.append, lambda: None, lambda: None
    socket.connection_made(cast("asyncio.Transport", line))
    paused: list[bool] = []
    line.pause_reading = lambda: paused.append(True)  # type: ignore[attr-defined]
    line.resume_reading = lambda: paused.append(False)  # type: ignore[attr-defined]
    socket.data_received(b"".join(masked(0x81, b"%d" % number) for number in range(100)))
    assert len(said) == 16
    assert paused == [True]
    socket.hold()
    for _ in range(10):
        await asyncio.sleep(0)
    assert len(said) == 16
    socket.go_on()
    for _ in range(10):
        await asyncio.sleep(0)
    assert said == [b"%d" % number for number in range(100)]
    assert paused == [True, False]
