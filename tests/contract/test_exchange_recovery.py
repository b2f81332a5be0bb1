"""Restarts: the same data folder is the same venue."""

from __future__ import annotations

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
