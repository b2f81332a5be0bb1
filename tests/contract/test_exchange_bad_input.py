"""What is refused, and in which words: signatures, bodies, settings, addresses."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from simulated_exchange.gateway.auth import sign
from tests.contract.serving import Account, VenueProcess, run, served

ORDER = {
    "category": "linear",
    "symbol": "BTCUSDT",
    "side": "Buy",
    "orderType": "Limit",
    "qty": "0.01",
    "price": "99000",
}


def signed(account: Account, payload: bytes, *, shift_ms: int = 0, window: str = "5000") -> dict[str, str]:
    now = str(int(time.time() * 1000) + shift_ms)
    return {
        "X-BAPI-API-KEY": account.api_key,
        "X-BAPI-TIMESTAMP": now,
        "X-BAPI-RECV-WINDOW": window,
        "X-BAPI-SIGN": sign(account.api_secret, f"{now}{account.api_key}{window}".encode() + payload),
    }


async def post(venue: VenueProcess, account: Account, body: bytes, **options: Any) -> dict[str, Any]:
    headers = signed(account, body, **options) | {"Content-Type": "application/json"}
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{venue.rest}/v5/order/create", data=body, headers=headers) as response,
    ):
        assert response.status == 200
        answer: dict[str, Any] = await response.json()
        for name in (
            "X-Bapi-Limit",
            "X-Bapi-Limit-Status",
            "X-Bapi-Limit-Reset-Timestamp",
            "Traceid",
            "Timenow",
        ):
            assert name in response.headers
    return answer


BODIES = [
    (b"{", 10001, "body is not JSON"),
    (b"[1,2]", 10001, "must be a JSON object"),
    (b'{"category":"linear","qty":NaN}', 10001, "not JSON"),
    (b'{"category":"linear","symbol":"BTCUSDT","symbol":"ETHUSDT"}', 10001, "key symbol appears twice"),
    (b'{"category":"linear","x":{"y":1,"y" :2}}', 10001, "key y appears twice"),
    (b'{"a":' * 20 + b"1" + b"}" * 20, 10001, "nested deeper"),
    (b"[" * 100_000, 10001, "not JSON"),
    (b'{"a":"' + b"x" * 300_000 + b'"}', 10001, "larger than 262144 bytes"),
    (b"\xff\xfe", 10001, "not JSON"),
    (b"", 10001, "category"),
]


@pytest.mark.asyncio
async def test_malformed_bodies_are_refused_in_words(venue: VenueProcess) -> None:
    account = venue.open_account()
    for body, code, text in BODIES:
        answer = await post(venue, account, body)
        assert answer["retCode"] == code, body[:60]
        assert text in answer["retMsg"], (body[:60], answer["retMsg"])


@pytest.mark.asyncio
async def test_signatures_and_windows(venue: VenueProcess) -> None:
    account = venue.open_account()
    body = json.dumps(ORDER).encode()
    assert (await post(venue, account, body))["retCode"] == 0
    for shift_ms in (-6000, 1500):
        answer = await post(venue, account, body, shift_ms=shift_ms)
        assert answer["retCode"] == 10002
        assert "recv_window[5000]" in answer["retMsg"]
    assert (await post(venue, account, body, shift_ms=-6000, window="50000"))["retCode"] == 0
    stranger = Account("x", "unknown-key", account.api_secret)
    assert (await post(venue, stranger, body))["retCode"] == 10003
    forger = Account("x", account.api_key, "wrong-secret")
    answer = await post(venue, forger, body)
    assert answer["retCode"] == 10004
    assert answer["retMsg"].startswith("error sign! origin_string[")
    assert account.api_secret not in answer["retMsg"]


@pytest.mark.asyncio
async def test_public_sockets_of_every_market_answer(venue: VenueProcess) -> None:
    async with aiohttp.ClientSession() as session:
        for market in ("linear", "spot", "inverse", "option"):
            async with session.ws_connect(f"{venue.ws}/v5/public/{market}") as socket_:
                await socket_.send_json({"op": "ping", "req_id": "7"})
                pong = await socket_.receive_json(timeout=5)
                assert (pong["op"], pong["ret_msg"], pong["req_id"]) == ("ping", "pong", "7")
                await socket_.send_json({"op": "subscribe", "req_id": 3, "args": ["nonsense.BTCUSDT"]})
                answer = await socket_.receive_json(timeout=5)
                assert (answer["success"], answer["req_id"]) == (False, 3)
                assert answer["ret_msg"] == "error:handler not found,topic:nonsense.BTCUSDT"
                await socket_.send_json({"op": "unsubscribe", "args": ["orderbook.500.BTCUSDT"]})
                assert (await socket_.receive_json(timeout=5))["success"] is True
                await socket_.send_str("{not json")
                assert (await socket_.receive_json(timeout=5))["success"] is False


@pytest.mark.asyncio
async def test_private_and_trade_sockets_want_a_signature(venue: VenueProcess) -> None:
    account = venue.open_account()
    expires = int(time.time() * 1000) + 10_000
    arguments = [account.api_key, expires, sign(account.api_secret, f"GET/realtime{expires}".encode())]
    async with aiohttp.ClientSession() as session:
        async with session.ws_connect(f"{venue.ws}/v5/private") as private:
            await private.send_json({"op": "subscribe", "args": ["order"]})
            assert (await private.receive_json(timeout=5))["success"] is False
            await private.send_json({"op": "auth", "args": [*arguments[:2], "0" * 64]})
            assert (await private.receive_json(timeout=5))["success"] is False
            await private.send_json({"op": "auth", "args": arguments})
            await private.send_json({"op": "subscribe", "req_id": "s", "args": ["order", "wallet"]})
            await private.send_json({"op": "ping", "req_id": "p"})
            answers = [await private.receive_json(timeout=5) for _ in range(3)]
            assert [answer["op"] for answer in answers] == ["auth", "subscribe", "pong"]
            assert all(answer.get("success", True) for answer in answers)
        async with session.ws_connect(f"{venue.ws}/v5/trade") as trade:
            header = {"X-BAPI-TIMESTAMP": str(expires - 10_000)}
            request = {"reqId": "1", "header": header, "op": "order.create", "args": [ORDER]}
            await trade.send_json(request)
            assert (await trade.receive_json(timeout=5))["retCode"] == 10003
            await trade.send_json({"op": "auth", "args": [*arguments[:1], str(expires), arguments[2]]})
            assert (await trade.receive_json(timeout=5))["retCode"] == 0
            for change, code in (
                ({}, 0),
                ({}, 20006),
                ({"reqId": "2", "op": "order.nonsense"}, 10404),
                ({"reqId": "3", "args": []}, 10001),
                ({"reqId": "4", "args": [{**ORDER, "qty": "0"}]}, 10001),
                ({"reqId": "5", "header": {"X-BAPI-TIMESTAMP": "1"}}, 10002),
            ):
                await trade.send_json({**request, **change})
                answer = await trade.receive_json(timeout=5)
                assert answer["retCode"] == code, answer
                assert answer["header"]["X-Bapi-Limit"]
            await trade.send_json({"op": "ping"})
            assert (await trade.receive_json(timeout=5))["op"] == "pong"


def test_the_simulators_namespace_is_off_unless_enabled(tmp_path: Path) -> None:
    with served(tmp_path / "data") as venue:
        assert venue.sim("stats")["retCode"] == 10017
        assert venue.stop() == 0


def test_a_taken_address_is_named(venue: VenueProcess, tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        ended = run("serve", "--port", str(port), "--data-dir", str(tmp_path / "data"))
    assert ended.returncode == 75
    assert ended.stdout == ""
    assert len(ended.stderr.splitlines()) == 1
    assert f"127.0.0.1:{port}" in ended.stderr
    assert not (tmp_path / "data").exists()
    ended = run("serve", "--port", "0", "--data-dir", str(venue.journal.parent))
    assert ended.returncode == 75
    assert "in use by another process" in ended.stderr


def test_wrong_settings_are_named_all_at_once(tmp_path: Path) -> None:
    config = tmp_path / "exchange.toml"
    config.write_text('prot = 1\nport = 70000\n[gateway]\nack_delay = 5\n[[accounts]]\nname = "!"\n')
    ended = run("serve", "--config", str(config), "--data-dir", str(tmp_path / "data"))
    assert ended.returncode == 78
    lines = ended.stderr.splitlines()
    assert len(lines) == 4
    text = ended.stderr
    assert "prot: unknown key; nearest: port" in text
    assert f"{config}: port: was 70000, allowed: 0 to 65535" in text
    assert "gateway.ack_delay: unknown key; nearest: gateway.ack_delay_ms" in text
    assert "accounts.0.name" in text
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    ("arguments", "extra", "status", "text"),
    [
        (["serve", "--config", "nowhere.toml"], {}, 78, "nowhere.toml: no such file"),
        (["serve"], {"SIMULATED_EXCHANGE_PROT": "1"}, 78, "nearest: SIMULATED_EXCHANGE_PORT"),
        (["serve", "--durability", "maybe"], {}, 78, "--durability: was 'maybe', allowed: fsync or os"),
        (
            ["serve", "--account", "a:-1"],
            {},
            78,
            "--account: was '-1', allowed: USDT from 0 to 1000000000",
        ),
        (["serve", "--scenario", "nonsense"], {}, 78, "nonsense"),
        (["serve", "--replay", "index:BTCUSDT=x.csv"], {}, 78, "scenario.name"),
        (["verify", "nowhere.journal"], {}, 1, "nowhere.journal: no such journal"),
        (["nonsense"], {}, 2, "simulated-exchange: No such command"),
        (["serve", "--port", "x"], {}, 2, "simulated-exchange: --port: allowed: a valid integer"),
    ],
)
def test_commands_say_what_is_wrong(
    arguments: list[str], extra: dict[str, str], status: int, text: str, tmp_path: Path
) -> None:
    if arguments[0] == "serve":
        arguments = [*arguments, "--data-dir", str(tmp_path / "data")]
    ended = run(*arguments, **extra)
    assert ended.returncode == status, ended.stderr
    assert text in ended.stderr
    assert "Traceback" not in ended.stderr
    assert not (tmp_path / "data").exists()


def test_verify_refuses_what_is_no_journal(tmp_path: Path) -> None:
    file = tmp_path / "exchange.journal"
    file.write_bytes(b"not a journal at all, but long enough to have a header")
    ended = run("verify", str(file))
    assert ended.returncode == 1
    assert "Traceback" not in ended.stderr
    assert len(ended.stderr.splitlines()) == 1


@pytest.mark.asyncio
async def test_a_slow_reader_is_cut_off_and_others_are_not(tmp_path: Path) -> None:
    config = tmp_path / "exchange.toml"
    config.write_text(
        "enable_sim = true\n[start_prices]\nBTCUSDT = '100000'\n[gateway]\nconnection_queue_max = 16\n"
    )
    with served(tmp_path / "data", "--config", str(config), "--durability", "os") as venue:
        account = venue.open_account("1000000")
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", int(venue.rest.rpartition(":")[2]), limit=1024
        )
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        writer.write(
            b"GET /v5/public/linear HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        )
        await reader.readuntil(b"\r\n\r\n")
        subscribe = json.dumps({"op": "subscribe", "args": ["publicTrade.BTCUSDT"]}).encode()
        writer.write(bytes([0x81, 0x80 | len(subscribe), 0, 0, 0, 0]) + subscribe)
        assert isinstance(writer.transport, asyncio.Transport)
        writer.transport.pause_reading()
        async with aiohttp.ClientSession() as session:
            sell = {**ORDER, "side": "Sell", "qty": "50", "price": "100000"}
            await _post(session, venue, account, sell)
            dropped = False
            for _ in range(400):
                orders = [{**ORDER, "price": "100000", "qty": "0.001"} for _ in range(20)]
                batch = {"category": "linear", "request": orders}
                await _post(session, venue, account, batch, "/v5/order/create-batch")
                log = (tmp_path / "data.log").read_text()
                dropped = "reader too slow" in log
                if dropped:
                    break
        writer.close()
        assert dropped
        assert venue.stop() == 0


async def _post(
    session: aiohttp.ClientSession,
    venue: VenueProcess,
    account: Account,
    body: dict[str, Any],
    path: str = "/v5/order/create",
) -> None:
    raw = json.dumps(body).encode()
    async with session.post(venue.rest + path, data=raw, headers=signed(account, raw)) as response:
        assert (await response.json())["retCode"] == 0


@pytest.mark.asyncio
async def test_numbers_beyond_every_width_are_refused_in_words(venue: VenueProcess) -> None:
    account = venue.open_account()
    for path, body in (
        ("/v5/order/disconnected-cancel-all", {"timeWindow": 2**33}),
        ("/v5/order/disconnected-cancel-all", {"timeWindow": 10**17, "product": "SPOT"}),
        ("/v5/position/switch-mode", {"category": "linear", "symbol": "BTCUSDT", "mode": 2**40}),
        (
            "/v5/position/set-auto-add-margin",
            {"category": "linear", "symbol": "BTCUSDT", "autoAddMargin": 2**62},
        ),
        ("/v5/asset/transfer/universal-transfer", {"fromMemberId": 2**62, "toMemberId": 2**62}),
        ("/v5/user/frozen-sub-member", {"subuid": 2**62, "frozen": 1}),
    ):
        raw = json.dumps(body).encode()
        async with (
            aiohttp.ClientSession() as session,
            session.post(venue.rest + path, data=raw, headers=signed(account, raw)) as response,
        ):
            answer = await response.json()
        assert answer["retCode"] not in (0, 10016), (path, answer)
        assert answer["retMsg"], path
