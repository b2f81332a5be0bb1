"""Restarts: the same data folder is the same venue, also after kill -9 under load."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import ccxt
import pytest

from tests.contract.serving import VenueProcess, client_options, run, served, trading

SYMBOL = "BTC/USDT:USDT"


@pytest.mark.asyncio
async def test_a_restart_keeps_accounts_orders_positions_and_history(tmp_path: Path) -> None:
    arguments = ("--account", "alice:50000", "--account", "bob:50000", "--enable-sim", "--durability", "os")
    with served(tmp_path / "data", *arguments) as venue:
        alice, bob = venue.accounts["alice"], venue.accounts["bob"]
        async with trading(venue, alice) as client, trading(venue, bob) as other:
            await other.create_order(SYMBOL, "limit", "sell", 0.2, 100010)
            bought = await client.create_order(SYMBOL, "market", "buy", 0.1)
            before = (
                await client.fetch_positions([SYMBOL]),
                await client.fetch_balance(),
                await client.fetch_my_trades(SYMBOL),
                await client.fetch_ohlcv(SYMBOL, "1d"),
            )
        resting = await _rest(venue, "alice")
        assert venue.stop() == 0
    verified = json.loads(run("verify", str(venue.journal), "--json").stdout)
    assert (verified["invariants"], verified["conservation_delta"]) == ("ok", "0")
    with served(tmp_path / "data", *arguments) as again:
        assert again.accounts == venue.accounts
        async with trading(again, alice) as client:
            assert (await client.fetch_open_orders(SYMBOL))[0]["id"] == resting
            found = await client.fetch_order(bought["id"], SYMBOL, {"acknowledged": True})
            assert (found["status"], found["filled"]) == ("closed", 0.1)
            positions, balance, trades, bars = before
            position = (await client.fetch_positions([SYMBOL]))[0]
            for name in ("side", "contracts", "entryPrice"):
                assert position[name] == positions[0][name]
            assert position["info"]["curRealisedPnl"] == positions[0]["info"]["curRealisedPnl"]
            assert (await client.fetch_balance())["USDT"]["total"] == balance["USDT"]["total"]
            assert await client.fetch_my_trades(SYMBOL) == trades
            assert [bar[:5] for bar in await client.fetch_ohlcv(SYMBOL, "1d")][-1][4] == bars[-1][4]
            with pytest.raises(ccxt.InvalidOrder, match="110072"):
                await client.create_order(
                    SYMBOL, "limit", "buy", 0.01, 99000, {"clientOrderId": "kept-over-the-restart"}
                )


async def _rest(venue: VenueProcess, name: str) -> str:
    """Leave an order in the book."""
    client = ccxt.pro.bybit(client_options(venue, venue.accounts[name]))
    try:
        order = await client.create_order(
            SYMBOL, "limit", "buy", 0.05, 99000, {"clientOrderId": "kept-over-the-restart"}
        )
        return str(order["id"])
    finally:
        await client.close()


@pytest.mark.asyncio
async def test_kill_9_under_load_loses_nothing_acknowledged(tmp_path: Path) -> None:
    arguments = ("--account", "alice:50000", "--enable-sim")
    acknowledged: list[str] = []
    enough = asyncio.Event()
    with served(tmp_path / "data", *arguments) as venue:
        client = ccxt.pro.bybit(client_options(venue, venue.accounts["alice"]))
        await client.load_markets()

        async def load(lane: int) -> None:
            for number in range(1000):
                try:
                    order = await client.create_order(
                        SYMBOL, "limit", "buy", 0.001, 98000 + lane * 100 + number % 90
                    )
                except ccxt.NetworkError:
                    return
                acknowledged.append(order["id"])
                if len(acknowledged) >= 100:
                    enough.set()

        lanes = [asyncio.create_task(load(lane)) for lane in range(4)]
        async with asyncio.timeout(20):
            await enough.wait()
        venue.kill()
        await asyncio.gather(*lanes, return_exceptions=True)
        await client.close()
    verified = json.loads(run("verify", str(venue.journal), "--json").stdout)
    with served(tmp_path / "data", *arguments) as again:
        log = (tmp_path / "data.log").read_text()
        assert verified["state_hash"] in log
        account = again.accounts["alice"]
        client = ccxt.pro.bybit(client_options(again, account))
        try:
            await client.load_markets()
            found: set[str] = set()
            cursor = ""
            for _ in range(100):
                query = {"category": "linear", "symbol": "BTCUSDT", "limit": 50}
                answer = await client.privateGetV5OrderRealtime(
                    {**query, **({"cursor": cursor} if cursor else {})}
                )
                found |= {row["orderId"] for row in answer["result"]["list"]}
                cursor = answer["result"]["nextPageCursor"]
                if not cursor:
                    break
        finally:
            await client.close()
        assert account == venue.accounts["alice"]
        assert len(acknowledged) >= 100
        assert set(acknowledged) <= found
        assert again.sim("invariants")["conservation_delta"] == "0"
