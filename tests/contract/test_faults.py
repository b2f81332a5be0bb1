"""Faults on purpose, as unmodified clients meet them: what is lost, what is done all the same."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from typing import Any

import aiohttp
import ccxt
import pytest

from tests.contract.serving import VenueProcess, sync_client, trading

SYMBOL = "BTC/USDT:USDT"
SECONDS_MAX = 10


@pytest.fixture(autouse=True)
def no_fault_is_left(venue: VenueProcess) -> Iterator[None]:
    yield
    venue.sim("faults/clear", {})


def failing(venue: VenueProcess, kind: str, **terms: Any) -> dict[str, Any]:
    """A fault in force."""
    fault = venue.sim("faults", {"kind": kind, **terms})
    assert fault.get("kind") == kind, fault
    return fault


def place(client: Any, price: float = 99000) -> Any:
    return client.create_order(SYMBOL, "limit", "buy", 0.01, price)


def hits(venue: VenueProcess) -> list[int]:
    return [fault["hits"] for fault in venue.sim("faults")["faults"]]


def test_a_lost_request_was_never_made_and_a_lost_reply_was(venue: VenueProcess) -> None:
    account = venue.open_account()
    client = sync_client(venue, account)
    client.load_markets()
    for applied, orders in ((False, 0), (True, 1)):
        failing(venue, "drop", path="/v5/order/create", name=account.name, applied=applied, count=1)
        with pytest.raises(ccxt.NetworkError):
            place(client)
        assert len(client.fetch_open_orders(SYMBOL)) == orders
    assert hits(venue) == [1, 1]
    place(client)
    assert len(client.fetch_open_orders(SYMBOL)) == 2


@pytest.mark.parametrize(
    ("terms", "raised"),
    [
        ({"kind": "error", "status": 503}, ccxt.ExchangeNotAvailable),
        ({"kind": "error", "status": 500}, ccxt.ExchangeNotAvailable),
        ({"kind": "error", "status": 403}, ccxt.RateLimitExceeded),
        ({"kind": "busy"}, ccxt.ExchangeError),
        ({"kind": "rate_limit"}, ccxt.RateLimitExceeded),
    ],
)
def test_storms_meet_whom_they_should_and_end_by_count(
    venue: VenueProcess, terms: dict[str, Any], raised: type[Exception]
) -> None:
    account, bystander = venue.open_account(), venue.open_account()
    client, other = sync_client(venue, account), sync_client(venue, bystander)
    client.load_markets()
    other.load_markets()
    failing(venue, **terms, name=account.name, path="/v5/order/", count=2)
    for _ in range(2):
        with pytest.raises(raised):
            place(client)
        place(other)
    place(client)
    assert len(client.fetch_open_orders(SYMBOL)) == 1
    assert len(other.fetch_open_orders(SYMBOL)) == 2


def test_every_third_request_fails_though_it_took_effect(venue: VenueProcess) -> None:
    account = venue.open_account()
    client = sync_client(venue, account)
    client.load_markets()
    failing(venue, "busy", name=account.name, path="/v5/order/create", every=3, applied=True)
    failed = []
    for number in range(6):
        try:
            place(client)
        except ccxt.ExchangeError:
            failed.append(number)
    assert failed == [2, 5]
    assert len(client.fetch_open_orders(SYMBOL)) == 6


def test_a_delay_is_waited_out(venue: VenueProcess) -> None:
    client = sync_client(venue, venue.open_account())
    client.load_markets()
    for applied in (False, True):
        failing(venue, "delay", path="/v5/order/create", delay_ms=300, applied=applied, count=1)
        asked = time.monotonic()
        place(client)
        assert time.monotonic() - asked >= 0.3
    assert len(client.fetch_open_orders(SYMBOL)) == 2


@pytest.mark.asyncio
async def test_the_trade_socket_meets_the_same_faults(venue: VenueProcess) -> None:
    async with trading(venue) as client:
        await client.create_order_ws(SYMBOL, "limit", "buy", 0.01, 99000)
        failing(venue, "busy", channel="trade", path="/v5/order/create", count=1)
        with pytest.raises(ccxt.ExchangeError):
            await client.create_order_ws(SYMBOL, "limit", "buy", 0.01, 99000)
        assert len(await client.fetch_open_orders(SYMBOL)) == 1
        failing(venue, "drop", channel="trade", applied=True, count=1)
        with pytest.raises(ccxt.NetworkError):
            await client.create_order_ws(SYMBOL, "limit", "buy", 0.01, 99000)
        assert len(await client.fetch_open_orders(SYMBOL)) == 2
        await client.create_order_ws(SYMBOL, "limit", "buy", 0.01, 99000)
        assert len(await client.fetch_open_orders(SYMBOL)) == 3


@pytest.mark.asyncio
async def test_lost_private_events_are_lost_and_others_are_not(venue: VenueProcess) -> None:
    async with trading(venue) as client:
        client.options["watchOrders"] = {}
        watching = asyncio.create_task(client.watch_orders())
        async with asyncio.timeout(SECONDS_MAX):
            while not watching.done():
                first = await client.create_order(SYMBOL, "limit", "buy", 0.01, 99000)
                await asyncio.wait([watching], timeout=0.2)
        failing(venue, "drop_private", topics=["order"])
        watching = asyncio.create_task(client.watch_orders())
        lost = await client.create_order(SYMBOL, "limit", "buy", 0.01, 99001)
        async with asyncio.timeout(SECONDS_MAX):
            while await asyncio.to_thread(hits, venue) != [1]:
                pass
        venue.sim("faults/clear", {})
        told = await client.create_order(SYMBOL, "limit", "buy", 0.01, 99002)
        seen: set[str] = {first["id"]}
        async with asyncio.timeout(SECONDS_MAX):
            while told["id"] not in seen:
                seen |= {order["id"] for order in await watching}
                watching = asyncio.create_task(client.watch_orders())
        watching.cancel()
        assert lost["id"] not in seen


@pytest.mark.asyncio
async def test_whoever_is_disconnected_comes_back_and_goes_on(venue: VenueProcess) -> None:
    async with trading(venue) as maker, trading(venue) as client:
        await maker.create_order(SYMBOL, "limit", "sell", 1, 100040)
        await client.watch_order_book(SYMBOL)
        watching = asyncio.create_task(client.watch_order_book(SYMBOL))
        failing(venue, "disconnect", channel="public")
        with pytest.raises(ccxt.NetworkError):
            async with asyncio.timeout(SECONDS_MAX):
                while True:
                    await watching
                    watching = asyncio.create_task(client.watch_order_book(SYMBOL))
        book = await asyncio.wait_for(client.watch_order_book(SYMBOL), SECONDS_MAX)
        assert book["asks"][-1][0] == 100040.0 or any(price == 100040.0 for price, _ in book["asks"])
        failing(venue, "disconnect", channel="public", seconds=60)
        async with aiohttp.ClientSession() as session:
            with pytest.raises(aiohttp.ClientError):
                await session.ws_connect(f"{venue.ws}/v5/public/linear")
            venue.sim("faults/clear", {})
            socket = await session.ws_connect(f"{venue.ws}/v5/public/linear")
            await socket.close()


def test_what_is_no_fault_is_refused_in_words(venue: VenueProcess) -> None:
    for body, text in (
        ({}, "kind must be one of delay, drop"),
        ({"kind": "storm"}, "kind must be"),
        ({"kind": "delay"}, "delay_ms"),
        ({"kind": "busy", "path": "/sim/stats"}, "path must begin with /v5/"),
        ({"kind": "busy", "name": "nobody"}, "name must be that of an account"),
        ({"kind": "busy", "count": -1}, "count must be a whole number"),
        ({"kind": "error", "status": 200}, "status must be one of"),
        ({"kind": "drop_private", "topics": ["news"]}, "topics must be"),
        ({"kind": "busy", "chance": 1}, "chance is no field"),
    ):
        answer = venue.sim("faults", body)
        assert answer["retCode"] == 10001, body
        assert text in answer["retMsg"], answer
    assert venue.sim("faults")["faults"] == []


def test_the_market_is_held_and_goes_on(venue: VenueProcess) -> None:
    assert venue.sim("scenario", {"action": "play"})["retCode"] == 10001
    held = venue.sim("scenario", {"action": "pause"})
    assert venue.sim("scenario", {"action": "pause"})["retCode"] == 10001
    time.sleep(0.05)
    played = venue.sim("scenario", {"action": "play"})
    assert played["market_ms"] == held["market_ms"]


def test_accounts_get_any_coin_and_a_level(venue: VenueProcess) -> None:
    name = venue.open_account("1").name
    deposited = venue.sim("deposit", {"name": name, "amount": "1.5", "coin": "BTC"})
    assert (deposited["coin"], deposited["wallet_balance"]) == ("BTC", "1.5")
    assert venue.sim("deposit", {"name": name, "amount": "1", "coin": "XYZ"})["retCode"] == 10001
    assert venue.sim("level", {"name": name, "level": "vip"})["level"] == "vip"
    assert venue.sim("level", {"name": name, "level": "emperor"})["retCode"] == 10001
