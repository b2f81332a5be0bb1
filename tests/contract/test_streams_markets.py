"""Spot and inverse sockets through unmodified ccxt.pro and pybit; clients that come back, and that do not."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import ccxt
import pytest

from simulated_exchange.gateway.auth import sign
from tests.contract.serving import Account, VenueProcess, sync_client, trading

SECONDS_MAX = 15


async def soon(watching: Any) -> Any:
    async with asyncio.timeout(SECONDS_MAX):
        return await watching


async def until(watch: Any, fits: Any, act: Any = None) -> Any:
    """Watch until what is told fits; `act` is done again and again meanwhile."""
    async with asyncio.timeout(SECONDS_MAX):
        while True:
            watching = asyncio.ensure_future(watch())
            while not watching.done():
                if act is not None:
                    await act()
                await asyncio.wait([watching], timeout=0.3)
            if fits(watching.result()):
                return watching.result()


@pytest.mark.asyncio
async def test_spot_through_ccxt_pro(venue: VenueProcess) -> None:
    seller = venue.open_account()
    venue.sim("deposit", {"name": seller.name, "amount": "10", "coin": "BTC"})
    symbol = "BTC/USDT"
    async with trading(venue, seller) as maker, trading(venue) as taker:
        for client in (maker, taker):
            client.options["defaultType"] = "spot"
        await maker.create_order(symbol, "limit", "sell", 1, 100010)
        book = await until(lambda: taker.watch_order_book(symbol, 50), lambda it: bool(it["asks"]))
        assert book["asks"][0] == [100010.0, 1.0]
        ticker = await soon(taker.watch_ticker(symbol))
        assert ticker["symbol"] == symbol

        async def buy() -> None:
            await taker.create_order(symbol, "limit", "buy", 0.001, 100010)

        trades = await until(lambda: taker.watch_trades(symbol), bool, buy)
        assert (trades[-1]["symbol"], trades[-1]["price"], trades[-1]["side"]) == (symbol, 100010.0, "buy")
        mine = await until(lambda: taker.watch_my_trades(symbol), bool, buy)
        assert (mine[-1]["symbol"], mine[-1]["amount"]) == (symbol, 0.001)
        orders = await until(lambda: taker.watch_orders(symbol), bool, buy)
        assert (orders[-1]["symbol"], orders[-1]["status"]) == (symbol, "closed")
        balance = await until(taker.watch_balance, lambda it: it["BTC"]["total"] > 0, buy)
        assert balance["USDT"]["total"] < 100_000
        await maker.cancel_all_orders(symbol)


@pytest.mark.asyncio
async def test_inverse_through_ccxt_pro(venue: VenueProcess) -> None:
    accounts = [venue.open_account(), venue.open_account()]
    for account in accounts:
        venue.sim("deposit", {"name": account.name, "amount": "1", "coin": "BTC"})
    symbol = "BTC/USD:BTC"
    async with trading(venue, accounts[0]) as maker, trading(venue, accounts[1]) as taker:
        await maker.create_order(symbol, "limit", "sell", 10_000, 100010)
        ticker = await soon(taker.watch_ticker(symbol))
        assert ticker["symbol"] == symbol

        async def buy() -> None:
            await taker.create_order(symbol, "limit", "buy", 100, 100010)

        mine = await until(lambda: taker.watch_my_trades(symbol), bool, buy)
        assert (mine[-1]["symbol"], mine[-1]["amount"], mine[-1]["fee"]["currency"]) == (symbol, 100.0, "BTC")
        positions = await until(lambda: taker.watch_positions([symbol]), bool, buy)
        assert (positions[-1]["symbol"], positions[-1]["side"]) == (symbol, "long")
        await maker.cancel_all_orders(symbol)


@contextlib.asynccontextmanager
async def private(venue: VenueProcess, account: Account, topics: list[str]) -> AsyncIterator[Any]:
    """A private socket that has subscribed."""
    expires = time.time_ns() // 1_000_000 + 10_000
    auth = [account.api_key, expires, sign(account.api_secret, f"GET/realtime{expires}".encode())]
    async with aiohttp.ClientSession() as session, session.ws_connect(f"{venue.ws}/v5/private") as socket:
        for frame in ({"op": "auth", "args": auth}, {"op": "subscribe", "args": topics}):
            await socket.send_json(frame)
            assert (await socket.receive_json(timeout=5))["success"]
        yield socket


@pytest.mark.asyncio
async def test_topics_by_market_tell_of_their_market_alone(venue: VenueProcess) -> None:
    account = venue.open_account()
    client = sync_client(venue, account)
    client.load_markets()
    async with private(venue, account, ["order.spot", "execution.linear", "order.linear"]) as socket:
        placed = {}
        for symbol in ("BTC/USDT", "BTC/USDT:USDT", "ETH/USDT"):
            placed[symbol] = client.create_order(
                symbol, "limit", "buy", 0.1, 3900 if "ETH" in symbol else 99000
            )
        told = [await socket.receive_json(timeout=5) for _ in placed]
        assert [(it["topic"], it["data"][0]["category"]) for it in told] == [
            ("order.spot", "spot"),
            ("order.linear", "linear"),
            ("order.spot", "spot"),
        ]
        assert [it["data"][0]["orderId"] for it in told] == [order["id"] for order in placed.values()]
        assert "tpslMode" not in told[0]["data"][0]  # by which ccxt knows a contract


@pytest.mark.asyncio
async def test_the_orders_of_a_client_that_is_gone_are_cancelled_by_class(venue: VenueProcess) -> None:
    account = venue.open_account()
    client = sync_client(venue, account)
    client.load_markets()
    client.cancel_all_orders_after(3000, {"product": "DERIVATIVES"})

    def open_orders() -> tuple[int, int]:
        return len(client.fetch_open_orders("BTC/USDT:USDT")), len(client.fetch_open_orders("BTC/USDT"))

    for symbol in ("BTC/USDT:USDT", "BTC/USDT"):
        client.create_order(symbol, "limit", "buy", 0.01, 99000)
    async with private(venue, account, ["dcp.future"]):
        async with private(venue, account, ["dcp.future"]):
            pass
        await asyncio.sleep(4)
        assert open_orders() == (1, 1)  # somebody still listens
    async with private(venue, account, ["dcp"]):
        await asyncio.sleep(4)
        assert open_orders() == (1, 1)  # came back in time
    async with asyncio.timeout(SECONDS_MAX):
        while await asyncio.to_thread(open_orders) != (0, 1):
            pass
    client.cancel_all_orders("BTC/USDT")


@pytest.mark.asyncio
async def test_watching_goes_on_after_the_venue_was_gone(venue: VenueProcess) -> None:
    """The books of a client that came back are the venue's, whatever it missed."""
    symbol = "ETH/USDT:USDT"
    async with trading(venue) as maker, trading(venue) as watcher:
        order = await maker.create_order(symbol, "limit", "buy", 1, 3900)
        await until(lambda: watcher.watch_order_book(symbol, 50), lambda it: bool(it["bids"]))
        for number in range(1, 6):
            venue.sim("faults", {"kind": "disconnect", "channel": "public"})
            await maker.edit_order(order["id"], symbol, "limit", "buy", 1 + number, 3900 + number)
            expected = [[3900.0 + number, 1.0 + number]]
            async with asyncio.timeout(SECONDS_MAX):
                book: Any = {"bids": []}
                while book["bids"] != expected:
                    with contextlib.suppress(ccxt.NetworkError):
                        book = await watcher.watch_order_book(symbol, 50)
        await maker.cancel_all_orders(symbol)
