"""The trade socket grants no more than REST: scopes, budgets, keys that end while a socket is open."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from simulated_exchange.gateway.auth import sign
from tests.contract.serving import Account, VenueProcess, served

ORDER = {
    "category": "linear",
    "symbol": "BTCUSDT",
    "side": "Buy",
    "orderType": "Limit",
    "qty": "0.01",
    "price": "99000",
}
PUBLISHED = "enable_sim = true\n[start_prices]\nBTCUSDT = '100000'\n[gateway]\npublished_limits = true\n"


async def post(
    session: aiohttp.ClientSession, venue: VenueProcess, account: Account, path: str, body: Any
) -> Any:
    raw, now = json.dumps(body).encode(), str(time.time_ns() // 1_000_000)
    headers = {
        "X-BAPI-API-KEY": account.api_key,
        "X-BAPI-TIMESTAMP": now,
        "X-BAPI-RECV-WINDOW": "20000",
        "X-BAPI-SIGN": sign(account.api_secret, f"{now}{account.api_key}20000".encode() + raw),
    }
    async with session.post(venue.rest + path, data=raw, headers=headers) as response:
        return await response.json()


async def signed_in(session: aiohttp.ClientSession, venue: VenueProcess, account: Account) -> Any:
    socket = await session.ws_connect(f"{venue.ws}/v5/trade")
    expires = time.time_ns() // 1_000_000 + 10_000
    signature = sign(account.api_secret, f"GET/realtime{expires}".encode())
    await socket.send_json({"op": "auth", "args": [account.api_key, expires, signature]})
    assert (await socket.receive_json(timeout=5))["retCode"] == 0
    return socket


async def placed(socket: Any, operation: str = "order.create", body: Any = ORDER) -> Any:
    header = {"X-BAPI-TIMESTAMP": str(time.time_ns() // 1_000_000)}
    await socket.send_json({"header": header, "op": operation, "args": [body]})
    return await socket.receive_json(timeout=5)


@pytest.mark.asyncio
async def test_a_key_may_do_on_the_socket_what_it_may_do_over_rest(venue: VenueProcess) -> None:
    main = venue.open_account()
    async with aiohttp.ClientSession() as session:
        made = await post(
            session, venue, main, "/v5/user/create-sub-member", {"username": "subuser1", "memberType": 1}
        )
        uid = int(made["result"]["uid"])
        for terms, code in (
            ({"readOnly": 1, "permissions": {"ContractTrade": ["Order", "Position"]}}, 10005),
            ({"readOnly": 0, "permissions": {"Spot": ["SpotTrade"]}}, 10005),
            ({"readOnly": 0, "permissions": {"ContractTrade": ["Order", "Position"]}}, 110007),
        ):
            answer = await post(session, venue, main, "/v5/user/create-sub-api", {"subuid": uid, **terms})
            row = answer["result"]
            key = Account("sub", row["apiKey"], row["secret"])
            async with await signed_in(session, venue, key) as socket:
                assert (await placed(socket))["retCode"] == code, terms
                gone = await post(session, venue, main, "/v5/user/delete-sub-api", {"apikey": key.api_key})
                assert gone["retCode"] == 0
                assert (await placed(socket))["retCode"] == 10003


@pytest.mark.asyncio
async def test_the_published_budget_counts_orders_of_both_ways_together(tmp_path: Path) -> None:
    config = tmp_path / "exchange.toml"
    config.write_text(PUBLISHED)
    with served(tmp_path / "data", "--config", str(config), "--durability", "os") as venue:
        account = venue.open_account()
        async with aiohttp.ClientSession() as session, await signed_in(session, venue, account) as socket:
            batch = {"category": "linear", "request": [ORDER] * 8}
            assert (await placed(socket, "order.create-batch", batch))["header"]["X-Bapi-Limit-Status"] == "2"
            refused = await placed(socket, "order.create-batch", batch)
            assert refused["retCode"] == 10006
            assert int(refused["header"]["X-Bapi-Limit-Reset-Timestamp"]) > time.time_ns() // 1_000_000 - 1000
            codes = [(await placed(socket))["retCode"] for _ in range(12)]
            assert codes.count(0) == 10
            over_rest = await post(session, venue, account, "/v5/order/create", ORDER)
            assert over_rest["retCode"] == 10006
        assert venue.stop() == 0
