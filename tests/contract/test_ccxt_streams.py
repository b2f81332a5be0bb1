"""Sockets through unmodified ccxt.pro: market data, an account's own events, order entry."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.contract.serving import VenueProcess, trading

SYMBOL = "BTC/USDT:USDT"
SECONDS_MAX = 10


async def soon(watching: Any) -> Any:
    async with asyncio.timeout(SECONDS_MAX):
        return await watching


@pytest.mark.asyncio
async def test_public_streams(venue: VenueProcess) -> None:
    async with trading(venue) as maker, trading(venue) as taker:
        order = await maker.create_order(SYMBOL, "limit", "sell", 0.5, 100020)
        book = await soon(taker.watch_order_book(SYMBOL, 50))
        assert book["asks"][0] == [100020.0, 0.5]
        ticker = await soon(taker.watch_ticker(SYMBOL))
        assert ticker["ask"] == 100020.0
        watching_trades = asyncio.create_task(taker.watch_trades(SYMBOL))
        watching_bars = asyncio.create_task(taker.watch_ohlcv(SYMBOL, "1m"))
        await maker.edit_order(order["id"], SYMBOL, "limit", "sell", 0.4, 100020)
        async with asyncio.timeout(SECONDS_MAX):
            while book["asks"][0] != [100020.0, 0.4]:
                book = await taker.watch_order_book(SYMBOL, 50)
        async with asyncio.timeout(SECONDS_MAX):
            while not watching_trades.done():
                await taker.create_order(SYMBOL, "market", "buy", 0.001)
                await asyncio.wait([watching_trades], timeout=0.2)
        trade = watching_trades.result()[-1]
        assert (trade["price"], trade["side"]) == (100020.0, "buy")
        bar = (await soon(watching_bars))[-1]
        assert bar[4] > 0


@pytest.mark.asyncio
async def test_deltas_rebuild_the_book(venue: VenueProcess) -> None:
    async with trading(venue) as maker, trading(venue) as watcher:
        await soon(watcher.watch_order_book(SYMBOL, 200))
        for number in range(20):
            await maker.create_order(SYMBOL, "limit", "buy", 0.01, 99000 + number)
        await maker.cancel_order((await maker.fetch_open_orders(SYMBOL))[0]["id"], SYMBOL)
        expected = await maker.fetch_order_book(SYMBOL, 200)
        book = watcher.orderbooks[SYMBOL]  # what came while nobody waited is in it already
        async with asyncio.timeout(SECONDS_MAX):
            while book["bids"] != expected["bids"] or book["asks"] != expected["asks"]:
                book = await watcher.watch_order_book(SYMBOL, 200)


@pytest.mark.asyncio
async def test_private_streams_tell_the_life_of_an_order(venue: VenueProcess) -> None:
    async with trading(venue) as maker, trading(venue) as taker:
        watching = {
            name: asyncio.create_task(getattr(taker, f"watch_{name}")())
            for name in ("orders", "my_trades", "balance", "positions")
        }
        await maker.create_order(SYMBOL, "limit", "sell", 3, 100030)
        bought = []
        async with asyncio.timeout(SECONDS_MAX):
            while not all(task.done() for task in watching.values()):
                bought.append(await taker.create_order(SYMBOL, "limit", "buy", 0.01, 100030))
                await asyncio.wait(watching.values(), timeout=0.2)
        ids = {order["id"] for order in bought}
        order = watching["orders"].result()[-1]
        assert order["id"] in ids
        assert (order["status"], order["filled"], order["average"]) == ("closed", 0.01, 100030.0)
        trade = watching["my_trades"].result()[-1]
        assert trade["order"] in ids
        assert (trade["price"], trade["amount"], trade["takerOrMaker"]) == (100030.0, 0.01, "taker")
        assert watching["balance"].result()["USDT"]["total"] < 100000
        position = watching["positions"].result()[-1]
        assert (position["side"], position["entryPrice"]) == ("long", 100030.0)


@pytest.mark.asyncio
async def test_orders_over_the_trade_socket(venue: VenueProcess) -> None:
    async with trading(venue) as client:
        created = await soon(client.create_order_ws(SYMBOL, "limit", "buy", 0.01, 99100))
        opened = (await client.fetch_open_orders(SYMBOL))[0]
        assert (opened["id"], opened["price"]) == (created["id"], 99100.0)
        await soon(client.edit_order_ws(created["id"], SYMBOL, "limit", "buy", 0.01, 99200))
        assert (await client.fetch_open_orders(SYMBOL))[0]["price"] == 99200.0
        await soon(client.cancel_order_ws(created["id"], SYMBOL))
        assert await client.fetch_open_orders(SYMBOL) == []
        several = await asyncio.gather(
            *(client.create_order_ws(SYMBOL, "limit", "buy", 0.01, 99000 + number) for number in range(20))
        )
        assert len({order["id"] for order in several}) == 20


@pytest.mark.asyncio
async def test_best_levels_all_depths_and_unwatching(venue: VenueProcess) -> None:
    symbol = "ETH/USDT:USDT"
    async with trading(venue) as maker, trading(venue) as watcher:
        await maker.create_order(symbol, "limit", "sell", 2, 4010)
        await maker.create_order(symbol, "limit", "buy", 1, 3990)
        best = (await soon(watcher.watch_bids_asks([symbol])))[symbol]
        assert (best["bid"], best["bidVolume"], best["ask"], best["askVolume"]) == (3990.0, 1.0, 4010.0, 2.0)
        for limit in (1, 50, 200, 1000):
            book = await soon(watcher.watch_order_book(symbol, limit))
            assert (book["bids"][0], book["asks"][0]) == ([3990.0, 1.0], [4010.0, 2.0])
        tickers = await soon(watcher.watch_tickers([symbol]))
        assert tickers[symbol]["bid"] == 3990.0
        await soon(watcher.un_watch_order_book(symbol))
        await soon(watcher.un_watch_trades(symbol))
        await maker.cancel_all_orders(symbol)


@pytest.mark.asyncio
async def test_a_liquidation_is_told_to_everybody_and_to_who_is_liquidated(venue: VenueProcess) -> None:
    symbol = "ETH/USDT:USDT"
    async with trading(venue) as maker, trading(venue, venue.open_account("1000")) as gambler:
        await gambler.set_leverage(20, symbol)
        await maker.create_order(symbol, "limit", "sell", 4, 4000)
        await gambler.create_order(symbol, "limit", "buy", 4, 4000)
        told = asyncio.create_task(maker.watch_liquidations(symbol))
        position = asyncio.create_task(gambler.watch_positions([symbol]))
        mine = asyncio.create_task(gambler.watch_my_trades(symbol))
        await asyncio.sleep(1)  # until the subscriptions are in force; what follows happens once
        try:
            async with asyncio.timeout(SECONDS_MAX):
                for price in (3950, 3900, 3850, 3800, 3750, 3700, 3650, 3600):
                    venue.sim("index", {"symbol": "ETHUSDT", "price": str(price)})
                    await asyncio.wait([told], timeout=0.5)
                    if told.done():
                        break
                liquidation = (await told)[-1]
                assert (liquidation["symbol"], liquidation["side"]) == (symbol, "buy")
                assert liquidation["price"] < 3950
                assert (await mine)[-1]["info"]["execType"] == "BustTrade"
                assert (await position)[-1]["symbol"] == symbol
                assert not (await gambler.fetch_position(symbol))["contracts"]
        finally:
            venue.sim("index", {"symbol": "ETHUSDT", "price": "4000"})
            for task in (told, position, mine):
                task.cancel()
