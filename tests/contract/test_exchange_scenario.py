"""A venue with ambient traders: there is a market for whoever comes, and the books balance afterwards."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path

import pytest

from tests.contract.serving import run, served, trading

SYMBOL = "BTC/USDT:USDT"
BESIDE = {"BTC/USDT": 0.01, "ETH/USDT": 0.1, "BTC/USD:BTC": 1000, "BTC/USDC:USDC": 0.01}


@pytest.mark.asyncio
async def test_market_orders_fill_against_the_makers_and_everything_adds_up(tmp_path: Path) -> None:
    arguments = ("--scenario", "calm", "--seconds", "10", "--seed", "7", "--enable-sim", "--durability", "os")
    with served(tmp_path / "data", *arguments) as venue:
        account = venue.open_account()
        async with trading(venue, account) as client:
            book = await client.fetch_order_book(SYMBOL)
            assert len(book["bids"]) >= 3
            assert len(book["asks"]) >= 3
            assert book["bids"][0][0] < book["asks"][0][0]
            async with asyncio.timeout(10):
                watched = await client.watch_trades(SYMBOL)
            assert watched[-1]["price"] > 0
            bought = await client.create_order(SYMBOL, "market", "buy", 0.05)
            sold = await client.create_order(SYMBOL, "market", "sell", 0.05, None, {"reduceOnly": True})
            for order in (bought, sold):
                found = await client.fetch_order(order["id"], SYMBOL, {"acknowledged": True})
                assert (found["status"], found["filled"]) == ("closed", 0.05)
            assert (await client.fetch_position(SYMBOL))["contracts"] in (0.0, None)
            venue.sim("deposit", {"name": account.name, "coin": "BTC", "amount": "1"})
            for symbol, size in BESIDE.items():
                index = float((await client.fetch_ticker(symbol))["info"].get("indexPrice") or 0)
                by_base = {"marketUnit": "baseCoin"} if ":" not in symbol else {}
                ordered = await client.create_order(symbol, "market", "buy", size, params=by_base)
                bought = await client.fetch_order(ordered["id"], symbol, {"acknowledged": True})
                assert (bought["status"], bought["filled"]) == ("closed", size)
                assert not index or abs(bought["average"] / index - 1) < 0.002
        stats = venue.sim("stats")
        assert stats["scenario"]["name"] == "calm"
        assert stats["trades"] > 2
        assert stats["mark_last_gap_bps"]["p50"] is not None
        rows = venue.sim("history?symbol=BTCUSDT")["rows"]
        assert rows
        assert all(float(mark) > 0 for _, _, _, mark, _ in rows)
        assert venue.sim("invariants")["conservation_delta"] == "0"
        assert venue.stop() == 0
    verified = json.loads(run("verify", str(venue.journal), "--json").stdout)
    assert (verified["invariants"], verified["conservation_delta"]) == ("ok", "0")
    replayed = json.loads(run("replay", str(venue.journal), "--json").stdout)
    assert replayed["state_hash"] == verified["state_hash"]
    assert replayed["trades"] >= stats["trades"]
    described = json.loads(run("scenario", "calm", "--describe", "--json").stdout)
    assert described["name"] == "calm"


def test_a_held_market_stands_still_until_it_is_told_to_play(tmp_path: Path) -> None:
    arguments = ("--scenario", "demo", "--hold", "--seconds", "10", "--enable-sim", "--durability", "os")
    with served(tmp_path / "data", *arguments) as venue:
        time.sleep(1)  # ten ticks in which nothing may happen
        held = venue.sim("stats")
        assert (held["trades"], held["liquidations"], held["scenario"]["ticks"]) == (0, 0, 1)
        assert held["orders"] > 20, "the books are full"
        rows = venue.sim("history?symbol=BTCUSDT")["rows"]
        assert len({market_ms for _, market_ms, *_ in rows}) == 1
        assert venue.sim("scenario", {"action": "stop"})["retCode"] == 10001
        started = venue.sim("scenario", {"action": "play"})
        assert started["market_ms"] >= rows[0][1]
        assert "not held" in venue.sim("scenario", {"action": "play"})["retMsg"]
        for _ in range(100):
            if venue.sim("stats")["trades"] > 0:
                break
            time.sleep(0.1)
        stats = venue.sim("stats")
        assert stats["trades"] > 0
        first = stats["scenario"]["prices"]["BTCUSDT"][0]
        assert abs(first[0] - started["started_ms"]) < 100, "wall times count from the play"
        assert venue.stop() == 0
