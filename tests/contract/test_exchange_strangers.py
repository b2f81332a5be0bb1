"""Whoever speaks nonsense to the venue is told so, has no effect, and keeps nobody else waiting."""

from __future__ import annotations

import asyncio
import json
import random
import resource
import time
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from simulated_exchange.gateway.auth import sign
from tests.contract.serving import Account, VenueProcess, served

SEED = 20_261_123
REQUESTS = 5_000
ANSWER_SECONDS_MAX = 5.0
ORDER: dict[str, Any] = {
    "category": "linear",
    "symbol": "BTCUSDT",
    "side": "Buy",
    "orderType": "Limit",
    "qty": "0.01",
    "price": "99000",
    "timeInForce": "GTC",
    "reduceOnly": False,
    "closeOnTrigger": False,
    "orderLinkId": "",
    "positionIdx": 0,
    "triggerPrice": "",
    "orderFilter": "Order",
    "smpType": "None",
}
REFERENCE = {
    "category": "linear",
    "symbol": "BTCUSDT",
    "orderId": "51700000-0000-4000-8000-000000000001",
    "orderLinkId": "",
}
BODIES = {
    "/v5/order/create": ORDER,
    "/v5/order/amend": REFERENCE | {"qty": "0.02", "price": "98000"},
    "/v5/order/cancel": REFERENCE,
}
ODD: list[Any] = [
    *(None, True, False, 0, 1, -1, 2**53, 2**63, 10**30, 1.5, -0.0, 1e308, [], {}, [1], {"a": 1}, [[]]),
    *("", " ", "0", "-1", "1e5", "NaN", "Infinity", "１.5", "1_000", "0x10", "+1", "01", "1.", ".5", " 1"),
    *("9" * 30, "0." + "0" * 30 + "1", "x", "BUY", "Stop", "GTD", "spot", "btcusdt", "ETHUSD"),
    *("\x00", "💥", "a" * 37, "a" * 10_000, "../..", "'; drop table orders"),
    *("51700000-0000-4000-8000-0x0000000001", "51700000-0000-4000-8000-00_000000001"),
]
RUBBISH = [
    (b"\x00\x01\x02\xff" * 50 + b"\r\n\r\n", b"400"),
    (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"400"),
    (b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", b"400"),
    (b"GET / HTTP/1.1\r\nX: " + b"z" * 100_000 + b"\r\n\r\n", b"400"),
    (b"POST /v5/order/create HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n", b"400"),
    (
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"400",
    ),
    (b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n", b"400"),
    (b"GET /v5/market/tickers?symbol=\xef\xbc\x91 HTTP/1.1\r\nHost: x\r\n\r\n", b"400"),
    (b"POST /v5/order/create HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n", b"10001"),
    (
        b"POST /v5/order/create HTTP/1.1\r\nHost: x\r\n"
        b"Content-Encoding: gzip\r\nContent-Length: 4\r\n\r\nabcd",
        b"10001",
    ),
    (b"DELETE /v5/order/create HTTP/1.1\r\nHost: x\r\n\r\n", b"10017"),
    (b"GET /v5/order/create HTTP/1.1\r\nHost: x\r\n\r\n", b"10017"),
    (b"POST /v5/market/time HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", b"10017"),
    (b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", b"10017"),
    (b"GET /v5/account/info HTTP/1.1\r\nHost: x\r\nX-BAPI-API-KEY: \xff\xfe\r\n\r\n", b"10003"),
]


def headers(account: Account, payload: bytes, window: str = "20000") -> dict[str, str]:
    now = str(time.time_ns() // 1_000_000)
    origin = f"{now}{account.api_key}{window}".encode() + payload
    return {
        "X-BAPI-API-KEY": account.api_key,
        "X-BAPI-TIMESTAMP": now,
        "X-BAPI-RECV-WINDOW": window,
        "X-BAPI-SIGN": sign(account.api_secret, origin),
    }


def address(venue: VenueProcess) -> tuple[str, int]:
    return "127.0.0.1", int(venue.rest.rpartition(":")[2])


async def say(venue: VenueProcess, data: bytes) -> bytes:
    """Send bytes, return what comes back first."""
    reader, writer = await asyncio.open_connection(*address(venue))
    writer.write(data)
    async with asyncio.timeout(ANSWER_SECONDS_MAX):
        answer = await reader.readuntil(b"\r\n\r\n")
        answer += await reader.read(4096)
    writer.close()
    return answer


@pytest.mark.asyncio
async def test_thousands_of_odd_requests_are_refused_in_words_and_change_nothing(tmp_path: Path) -> None:
    chance = random.Random(SEED)
    with served(tmp_path / "data", "--enable-sim", "--durability", "os") as venue:
        account = venue.open_account()
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(ANSWER_SECONDS_MAX)) as session:

            async def post(path: str, body: dict[str, Any]) -> dict[str, Any]:
                raw = json.dumps(body).encode()
                url = venue.rest + path
                async with session.post(url, data=raw, headers=headers(account, raw)) as response:
                    assert response.status == 200, (path, body)
                    answer: dict[str, Any] = await response.json()
                    return answer

            assert (await post("/v5/order/create", ORDER))["retCode"] == 0
            counted = venue.sim("stats")
            accepted = dict.fromkeys(BODIES, 0)
            for _ in range(REQUESTS):
                path = chance.choice(list(BODIES))
                body = dict(BODIES[path])
                for name in chance.sample(list(body), chance.choice([1, 1, 2, 3])):
                    body[name] = chance.choice(ODD)
                answer = await post(path, body)
                code = answer["retCode"]
                of_orders, of_spot = 110_000 < code < 110_100, 170_000 < code < 170_300
                assert code in (0, 10001) or of_orders or of_spot, (body, answer)
                assert answer["retMsg"], (body, answer)
                accepted[path] += answer["retCode"] == 0
        stats = venue.sim("stats")
        assert stats["orders"] - counted["orders"] == accepted["/v5/order/create"]
        assert stats["cancels"] - counted["cancels"] == accepted["/v5/order/cancel"]
        assert stats["trades"] == 0
        assert venue.sim("invariants")["conservation_delta"] == "0"
        logged = (tmp_path / "data.log").read_text()
        assert "Traceback" not in logged
        assert account.api_secret not in logged
        assert venue.stop() == 0


@pytest.mark.asyncio
async def test_what_is_no_http_is_answered_and_not_logged(tmp_path: Path) -> None:
    with served(tmp_path / "data", "--durability", "os") as venue:
        for data, expected in RUBBISH:
            assert expected in await say(venue, data), data[:80]
        assert (tmp_path / "data.log").read_text().count("\n") <= 2
        assert venue.stop() == 0


@pytest.mark.asyncio
async def test_a_body_that_comes_in_after_its_receive_window_is_too_late(venue: VenueProcess) -> None:
    account = venue.open_account()
    body = json.dumps(ORDER).encode()
    lines = [f"{name}: {value}" for name, value in headers(account, body, window="300").items()]
    head = "\r\n".join(
        ["POST /v5/order/create HTTP/1.1", "Host: x", f"Content-Length: {len(body)}", *lines, "", ""]
    )
    reader, writer = await asyncio.open_connection(*address(venue))
    writer.write(head.encode() + body[:10])
    await asyncio.sleep(0.5)  # longer than the window, which is what this is about
    writer.write(body[10:])
    async with asyncio.timeout(ANSWER_SECONDS_MAX):
        await reader.readuntil(b"\r\n\r\n")
        assert json.loads(await reader.read(4096))["retCode"] == 10002
    writer.close()


@pytest.mark.asyncio
async def test_a_flood_of_subscriptions_gets_one_snapshot_and_holds_nobody_up(venue: VenueProcess) -> None:
    topic = "orderbook.1000.BTCUSDT"
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(f"{venue.ws}/v5/public/linear") as flood,
    ):
        for number in range(20):
            await flood.send_json({"op": "subscribe", "req_id": str(number), "args": [topic] * 500})
        asked = time.monotonic()
        async with session.get(f"{venue.rest}/v5/market/time") as response:
            assert response.status == 200
        assert time.monotonic() - asked < 1
        await flood.send_json({"op": "ping", "req_id": "last"})
        frames: list[dict[str, Any]] = []
        async with asyncio.timeout(ANSWER_SECONDS_MAX):
            while not frames or frames[-1].get("req_id") != "last":
                frames.append(await flood.receive_json())
        assert sum(frame.get("op") == "subscribe" and frame["success"] for frame in frames) == 20
        assert sum(frame.get("type") == "snapshot" for frame in frames) == 1


@pytest.mark.asyncio
async def test_two_thousand_idle_connections_keep_nobody_out(venue: VenueProcess) -> None:
    _, files_max = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (files_max, files_max))
    idle = []
    try:
        async with asyncio.timeout(30):
            for _ in range(2000):
                idle.append(await asyncio.open_connection(*address(venue)))
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(ANSWER_SECONDS_MAX)) as session:
            account = venue.open_account()
            raw = json.dumps(ORDER).encode()
            url = f"{venue.rest}/v5/order/create"
            async with session.post(url, data=raw, headers=headers(account, raw)) as response:
                assert (await response.json())["retCode"] == 0
    finally:
        for _, writer in idle:
            writer.close()
