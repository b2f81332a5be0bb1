"""Connections of every bad kind: idle by the thousand, silent, slow, endless, broken. Each is ended or borne,
and whoever trades meanwhile notices nothing.
"""

from __future__ import annotations

import asyncio
import json
import random
import resource
import struct
import time
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest

from tests.contract.serving import VenueProcess, served, sync_client

SECONDS_MAX = 10
IDLE = 10_000
UPGRADE = (
    b"GET /v5/public/linear HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
TIME = b"GET /v5/market/time HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.fixture(scope="module")
def venue(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VenueProcess]:
    folder: Path = tmp_path_factory.mktemp("connections")
    config = folder / "exchange.toml"
    config.write_text(
        "enable_sim = true\n[start_prices]\nBTCUSDT = '100000'\n"
        "[gateway]\nsilent_seconds_max = 2\nrequest_seconds_max = 2\nidle_seconds_max = 2\n"
    )
    with served(folder / "data", "--config", str(config), "--durability", "os") as process:
        yield process
        assert "Traceback" not in (folder / "data.log").read_text()
        assert process.stop() == 0


def address(venue: VenueProcess) -> tuple[str, int]:
    return "127.0.0.1", int(venue.rest.rpartition(":")[2])


async def ended(reader: asyncio.StreamReader) -> bytes:
    """What comes until the venue hangs up."""
    received = b""
    async with asyncio.timeout(SECONDS_MAX):
        try:
            while piece := await reader.read(65_536):
                received += piece
        except ConnectionError:
            pass
    return received


def rss_kib(venue: VenueProcess) -> int:
    lines = Path(f"/proc/{venue.process.pid}/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("VmRSS")))


@pytest.mark.asyncio
async def test_who_says_nothing_or_never_ends_a_request_is_hung_up_on(venue: VenueProcess) -> None:
    begun_body = b"POST /v5/order/create HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n{"
    for begun in (b"", TIME, begun_body, b"GET /"):
        reader, writer = await asyncio.open_connection(*address(venue))
        writer.write(begun)
        received = await ended(reader)
        assert received.count(b"HTTP/1.1 200") == (begun == TIME)
        writer.close()


@pytest.mark.asyncio
async def test_a_trickle_does_not_keep_a_request_alive(venue: VenueProcess) -> None:
    reader, writer = await asyncio.open_connection(*address(venue))
    asked = time.monotonic()
    writer.write(b"GET /v5/market/time HTTP/1.1\r\n")
    hanging_up = asyncio.create_task(ended(reader))
    while not hanging_up.done() and time.monotonic() - asked < SECONDS_MAX:
        writer.write(b"X: y\r\n")
        await asyncio.wait([hanging_up], timeout=0.1)
    assert hanging_up.done()
    assert time.monotonic() - asked >= 2
    writer.close()


@pytest.mark.asyncio
async def test_pipelined_requests_are_answered_in_their_order(venue: VenueProcess) -> None:
    reader, writer = await asyncio.open_connection(*address(venue))
    paths = ["/v5/market/time", "/v5/market/tickers?category=linear", "/nowhere"] * 100
    writer.write(b"".join(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode() for path in paths))
    seen = []
    async with asyncio.timeout(SECONDS_MAX):
        for _ in paths:
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
            answer = json.loads(await reader.readexactly(length))
            seen.append("timeNano" if "timeNano" in answer["result"] else answer["retCode"])
    assert seen == ["timeNano", 0, 10017] * 100
    writer.close()


@pytest.mark.asyncio
async def test_who_asks_without_end_and_never_reads_costs_no_memory(venue: VenueProcess) -> None:
    before = rss_kib(venue)
    _, writer = await asyncio.open_connection(*address(venue), limit=1024)
    assert isinstance(writer.transport, asyncio.Transport)
    writer.transport.pause_reading()
    asked = b"GET /v5/market/instruments-info?category=linear HTTP/1.1\r\nHost: x\r\n\r\n" * 100
    sent = 0
    with pytest.raises((ConnectionError, TimeoutError)):
        async with asyncio.timeout(SECONDS_MAX):
            while sent < 200_000_000:
                writer.write(asked)
                sent += len(asked)
                await writer.drain()
    writer.transport.abort()
    assert rss_kib(venue) - before < 30_000


@pytest.mark.system
@pytest.mark.timeout(400)
@pytest.mark.asyncio
async def test_ten_thousand_idle_connections_keep_nobody_out(tmp_path: Path) -> None:
    _, files_max = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (files_max, files_max))
    assert files_max >= IDLE + 1000, f"this test needs {IDLE + 1000} open files, ulimit -Hn says {files_max}"
    with served(tmp_path / "data", "--enable-sim", "--durability", "os") as venue:
        before = rss_kib(venue)
        idle = []
        try:
            async with asyncio.timeout(300):  # seconds; a machine with other things to do takes its time
                for number in range(IDLE):
                    reader, writer = await asyncio.open_connection(*address(venue))
                    idle.append(writer)
                    if number % 2:
                        writer.write(UPGRADE)
                        assert b"101" in await reader.readuntil(b"\r\n\r\n")
            client = sync_client(venue, venue.open_account())
            await asyncio.to_thread(client.load_markets)
            order = await asyncio.to_thread(client.create_order, "BTC/USDT:USDT", "limit", "buy", 0.01, 99000)
            assert order["id"]
            assert (rss_kib(venue) - before) / IDLE < 40  # KiB for each
        finally:
            for writer in idle:
                writer.transport.abort()
        assert venue.stop() == 0


BROKEN = [
    b"\x81\x05Hello",
    b"\xc1\x80\x00\x00\x00\x00",
    b"\x83\x80\x00\x00\x00\x00",
    b"\x80\x80\x00\x00\x00\x00",
    struct.pack("!BBQ", 0x81, 0xFF, 2**62) + b"mask",
    b"\x89\xfe\x00\x80mask" + b"x" * 128,
    b"\x00" * 1000,
]


@pytest.mark.asyncio
async def test_broken_frames_end_one_connection_with_the_standards_code(venue: VenueProcess) -> None:
    chance = random.Random(20_261_126)
    for data in [*BROKEN, *(chance.randbytes(chance.randint(1, 400)) for _ in range(300))]:
        reader, writer = await asyncio.open_connection(*address(venue))
        writer.write(UPGRADE)
        assert b"101" in await reader.readuntil(b"\r\n\r\n")
        writer.write(data)
        if data in BROKEN:
            told = await ended(reader)
            assert told[:1] == b"\x88"
            assert struct.unpack("!H", told[2:4])[0] in (1002, 1009)
        writer.close()
    async with aiohttp.ClientSession() as session, session.get(f"{venue.rest}/v5/market/time") as response:
        assert response.status == 200


@pytest.mark.asyncio
async def test_an_idle_socket_is_ended_and_one_that_pings_is_not(venue: VenueProcess) -> None:
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(f"{venue.ws}/v5/public/linear") as idle,
        session.ws_connect(f"{venue.ws}/v5/public/linear") as alive,
        session.ws_connect(f"{venue.ws}/v5/private?max_active_time=30s") as patient,
    ):
        async with asyncio.timeout(SECONDS_MAX):
            closing = asyncio.create_task(idle.receive())
            while not closing.done():
                await alive.send_json({"op": "ping"})
                assert (await alive.receive_json())["ret_msg"] == "pong"
                await asyncio.wait([closing], timeout=0.3)
        assert idle.close_code == 1000
        await patient.send_json({"op": "ping"})
        assert (await patient.receive_json(timeout=5))["op"] == "pong"
        await patient.close()
        await alive.close()


def test_an_upgrade_that_is_none_goes_on_as_http(venue: VenueProcess) -> None:
    async def ask() -> bytes:
        reader, writer = await asyncio.open_connection(*address(venue))
        h2c = TIME.replace(b"\r\n\r\n", b"\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n")
        writer.write(h2c + TIME)
        received = b""
        async with asyncio.timeout(SECONDS_MAX):
            while received.count(b"timeNano") < 2:
                received += await reader.read(65_536)
        writer.close()
        return received

    assert asyncio.run(ask()).count(b"HTTP/1.1 200 OK") == 2


@pytest.mark.asyncio
async def test_mangled_requests_are_answered_or_hung_up_on(venue: VenueProcess) -> None:
    """Requests with bytes changed, left out, doubled or cut: never a crash, never a 5xx, never silence."""
    chance = random.Random(20_261_127)
    whole = (
        b"POST /v5/order/create HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        b'X-BAPI-API-KEY: k\r\nX-BAPI-TIMESTAMP: 1\r\nContent-Length: 13\r\n\r\n{"symbol": 1}'
    )
    for _ in range(500):
        data = bytearray(whole)
        for _ in range(chance.choice([1, 1, 2, 5, 30])):
            at = chance.randrange(len(data))
            change = chance.randrange(4)
            if change == 0:
                data[at] = chance.randrange(256)
            elif change == 1:
                del data[at : at + chance.randint(1, 20)]
            elif change == 2:
                data[at:at] = data[at : at + chance.randint(1, 40)]
            else:
                data[at:at] = chance.randbytes(chance.randint(1, 8))
            data = data or bytearray(b"\r\n")
        reader, writer = await asyncio.open_connection(*address(venue))
        writer.write(bytes(data))
        writer.write_eof()
        received = await ended(reader)
        assert b"HTTP/1.1 5" not in received, data
        writer.close()
    async with aiohttp.ClientSession() as session, session.get(f"{venue.rest}/v5/market/time") as response:
        assert response.status == 200
