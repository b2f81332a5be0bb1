"""The read model after any traffic, by every way into the venue: it is the one that the journal tells of, and
says of orders, fills, positions and money what the engine says.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import time
from collections.abc import AsyncIterator, Awaitable
from pathlib import Path
from typing import Any, Literal

import aiohttp
import orjson
import pytest

from simulated_exchange.accounts import ApiKey, KeyStore
from simulated_exchange.clock import MarketClock
from simulated_exchange.coins import Coins
from simulated_exchange.driver import (
    Driver,
    DriverSettings,
    Event,
    OrderType,
    PositionIndex,
    Side,
    replayed_events,
)
from simulated_exchange.gateway.app import Gateway
from simulated_exchange.gateway.auth import sign
from simulated_exchange.gateway.venue import Venue
from simulated_exchange.instruments import SCALE, Catalogue
from simulated_exchange.ledger import Ledger
from simulated_exchange.ledger.keeping import Restoring, kept_parts, pack
from simulated_exchange.ledger.records import OrderStatus
from simulated_exchange.settings import GatewaySettings
from tests.unit.simulated_exchange.listing_rooms import shipped_genesis
from tests.unit.simulated_exchange.test_ledger_keeping import plain

GENESIS = shipped_genesis()
CATALOGUE = Catalogue.from_genesis(GENESIS)
START_MS = 1_760_000_000_000
PRICE = 100_000
ROUNDS, AT_ONCE = 40, 8
FUNDING_SECONDS = 8 * 3600
MARKETS = [
    *[("linear", "BTCUSDT", ["0.001", "0.01", "0.5"])] * 4,
    ("linear", "ETHUSDT", ["0.01", "1"]),
    ("inverse", "BTCUSD", ["100", "5000"]),
    ("spot", "BTCUSDT", ["0.001", "0.02"]),
]
EXTRAS: list[dict[str, Any]] = [
    {"orderType": "Market", "price": None, "timeInForce": None},
    {"orderLinkId": None},
    {"reduceOnly": True},
    {"triggerPrice": "100200", "triggerDirection": 1},
    {"triggerPrice": "99800", "triggerDirection": 2},
    {"takeProfit": "103000", "stopLoss": "97000"},
    {"smpType": "CancelMaker"},
    {"qty": "0.0000001"},
    {"price": "1"},
]
BY_SOCKET = ("create", "amend", "cancel", "create-batch", "amend-batch", "cancel-batch")
Body = dict[str, Any]


class World:
    """A venue on its journal, three traders, and what they ask."""

    def __init__(self, dice: random.Random, driver: Driver, venue: Venue, elapsed_ns: list[int]) -> None:
        self.dice = dice
        self.driver = driver
        self.venue = venue
        self.address = ""
        self.keys: list[ApiKey] = []
        self.trade: list[aiohttp.ClientWebSocketResponse] = []
        self._elapsed_ns = elapsed_ns
        self._waiting = [0, 0, 0]  # requests of each trade socket
        self._links: list[tuple[str, str, str]] = []
        self._number = 0

    def set_prices(self, price: int) -> None:
        for instrument in CATALOGUE:
            self.venue.set_index(instrument, price * SCALE)

    def pass_time(self, seconds: int) -> None:
        self._elapsed_ns[0] += seconds * 1_000_000_000
        self.set_prices(PRICE)
        self.driver.advance_time()

    def order(self) -> Body:
        """A new order: half of them plain, the others with something about them."""
        dice = self.dice
        self._number += 1
        category, symbol, sizes = dice.choice(MARKETS)
        link = f"t-{self._number}"
        self._links.append((category, symbol, link))
        body = {
            "category": category,
            "symbol": symbol,
            "side": dice.choice(["Buy", "Sell"]),
            "orderType": "Limit",
            "qty": dice.choice(sizes),
            "price": str(PRICE + dice.randrange(-20, 21) * 10),
            "timeInForce": dice.choice(["GTC", "GTC", "GTC", "IOC", "FOK", "PostOnly"]),
            "orderLinkId": link,
        }
        if dice.random() < 0.5:
            body |= dice.choice(EXTRAS)
        return {name: value for name, value in body.items() if value is not None}

    def named(self) -> Body:
        """An order placed of late, by anybody."""
        if not self._links:
            return {"category": "linear", "symbol": "BTCUSDT", "orderLinkId": "none"}
        category, symbol, link = self.dice.choice(self._links[-60:])
        return {"category": category, "symbol": symbol, "orderLinkId": link}

    def changed(self) -> Body:
        """The same with a new price or quantity."""
        dice = self.dice
        price = {"price": str(PRICE + dice.randrange(-20, 21) * 10)}
        return self.named() | dice.choice([price, {"qty": "0.02"}, {**price, "qty": "0.005"}])

    def request(self) -> tuple[str, Body]:
        """One request about orders."""
        dice = self.dice
        kind = dice.choice(["create"] * 6 + ["amend"] * 3 + ["cancel"] * 3 + ["cancel-all"])
        if kind == "cancel-all":
            category, symbol, _ = dice.choice(MARKETS)
            return kind, {"category": category, "symbol": symbol}
        one = {"create": self.order, "amend": self.changed, "cancel": self.named}[kind]
        if dice.random() < 0.7:
            return kind, one()
        category = dice.choice(["linear", "linear", "inverse", "spot"])
        entries = [entry for entry in (one() for _ in range(12)) if entry.pop("category") == category]
        return f"{kind}-batch", {"category": category, "request": entries or [one()]}

    async def ask(self, session: aiohttp.ClientSession) -> None:
        """One request, by REST or by the trade socket; how it is answered is not looked at here."""
        who = self.dice.randrange(len(self.keys))
        kind, body = self.request()
        now = str(time.time_ns() // 1_000_000)
        if kind in BY_SOCKET and self.dice.random() < 0.5:
            header = {"X-BAPI-TIMESTAMP": now, "X-BAPI-RECV-WINDOW": "5000"}
            self._number += 1
            request = {"reqId": f"r-{self._number}"}
            await self.trade[who].send_json(
                {**request, "header": header, "op": f"order.{kind}", "args": [body]}
            )
            self._waiting[who] += 1
            return
        await self.post(session, self.keys[who], f"/v5/order/{kind}", body)

    async def answered(self) -> None:
        """Everything that was asked on the trade sockets has its answer."""
        for who, ws in enumerate(self.trade):
            for _ in range(self._waiting[who]):
                await ws.receive_json()
            self._waiting[who] = 0

    async def post(self, session: aiohttp.ClientSession, key: ApiKey, path: str, body: Body) -> Body:
        raw, now = orjson.dumps(body), str(time.time_ns() // 1_000_000)
        headers = {
            "X-BAPI-API-KEY": key.api_key,
            "X-BAPI-TIMESTAMP": now,
            "X-BAPI-RECV-WINDOW": "5000",
            "X-BAPI-SIGN": sign(key.api_secret, f"{now}{key.api_key}5000".encode() + raw),
        }
        async with session.post(f"{self.address}{path}", data=raw, headers=headers) as response:
            answer: Body = await response.json()
            return answer

    async def happen(self, session: aiohttp.ClientSession) -> None:
        """What happens beside orders: time, prices, money, leverage."""
        dice = self.dice
        what = dice.randrange(4)
        if what == 0:
            self.pass_time(dice.choice([1, 60]))
        elif what == 1:
            self.set_prices(PRICE + dice.randrange(-400, 401))
        elif what == 2:
            self.driver.deposit(dice.choice(self.keys).account, dice.randrange(1, 1000) * SCALE)
        else:
            leverage = str(dice.choice([3, 5, 10]))
            body = {"category": "linear", "symbol": "BTCUSDT", "buyLeverage": leverage}
            key = dice.choice(self.keys)
            await self.post(session, key, "/v5/position/set-leverage", {**body, "sellLeverage": leverage})


@contextlib.asynccontextmanager
async def opened(
    folder: Path, dice: random.Random, durability: Literal["fsync", "os"], told: list[Event]
) -> AsyncIterator[World]:
    """The venue as it is served, but for the clock, which the test moves."""
    elapsed_ns = [0]
    clock = MarketClock(START_MS, monotonic_ns=lambda: elapsed_ns[0])
    driver = Driver.open(DriverSettings(GENESIS, clock, folder / "exchange.journal", durability))
    venue = Venue(
        driver=driver,
        ledger=Ledger(len(CATALOGUE), CATALOGUE),
        catalogue=CATALOGUE,
        coins=Coins.from_genesis(GENESIS),
        keys=KeyStore.open(folder / "accounts.json"),
        limits=GatewaySettings(ack_delay_ms=0, requests_per_second_max=100_000),
        is_sim_enabled=False,
        scenario_report=dict,
    )
    gateway = Gateway(venue)
    driver.subscribe_batches(gateway.hub.take)
    driver.subscribe_durable(told.extend)
    commits = asyncio.create_task(driver.run())
    world = World(dice, driver, venue, elapsed_ns)
    world.set_prices(PRICE)
    coin = venue.coins.by_name("BTC")
    assert coin is not None
    for name in ("alice", "bob", "carol"):
        key = venue.open_account(name, 1_000_000 * SCALE)
        driver.deposit(key.account, 10 * SCALE, coin.index)
        world.keys.append(key)
    await driver.committed()
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setblocking(False)
    world.address = f"http://127.0.0.1:{listener.getsockname()[1]}"
    await gateway.start(listener)
    try:
        yield world
    finally:
        await gateway.stop()
        commits.cancel()
        await asyncio.wait([commits])
        driver.close()


async def signed_in(
    world: World, session: aiohttp.ClientSession, key: ApiKey, path: str
) -> aiohttp.ClientWebSocketResponse:
    ws = await session.ws_connect(f"{world.address}/v5/{path}")
    expires = time.time_ns() // 1_000_000 + 10_000
    signature = sign(key.api_secret, f"GET/realtime{expires}".encode())
    await ws.send_json({"op": "auth", "args": [key.api_key, expires, signature]})
    await ws.receive_json()
    return ws


async def traffic(world: World) -> None:
    """Rounds of requests at once; now and then somebody listens, now and then nobody does."""
    async with aiohttp.ClientSession() as session:
        world.trade = [await signed_in(world, session, key, "trade") for key in world.keys]
        listening: aiohttp.ClientWebSocketResponse | None = None
        for number in range(ROUNDS):
            if number == ROUNDS // 2:
                world.pass_time(FUNDING_SECONDS)
            if number % 10 == 5:
                if listening is None:
                    listening = await signed_in(world, session, world.keys[0], "private")
                    await listening.send_json({"op": "subscribe", "args": ["order", "execution", "wallet"]})
                else:
                    await listening.close()
                    listening = None
            asked: list[Awaitable[None]] = []
            for who in range(AT_ONCE):
                asked.append(world.ask(session) if who else world.happen(session))
            for work in asked[:3]:
                await work
            await asyncio.gather(*asked[3:])
            await world.answered()
        for ws in [*world.trade, *([listening] if listening else [])]:
            await ws.close()


def agree(driver: Driver, ledger: Ledger, account: int) -> None:
    """Read model and engine say the same of an account."""
    memory = ledger.account(account)
    assert memory is not None
    orders = {order.order_id: order for order in driver.open_orders(account)}
    assert memory.live.keys() == orders.keys()
    for order_id, order in orders.items():
        record = memory.live[order_id]
        assert (record.account, record.instrument, record.link_id) == (
            order.account,
            order.instrument,
            order.link_id,
        )
        assert (record.price, record.qty, record.leaves) == (order.price, order.qty, order.leaves)
        assert (record.filled_value, record.fee) == (order.filled_value, order.fee)
        assert (record.is_buy, record.is_market) == (
            order.side == Side.Buy,
            order.order_type == OrderType.Market,
        )
        assert (record.reduce_only, record.position_index) == (order.reduce_only, int(order.position_index))
        assert record.created_us == order.created_wall_us
        assert (record.status == OrderStatus.UNTRIGGERED) == order.is_waiting
    for record in memory.orders():
        fills = [entry for entry in memory.executions if entry.order is record]
        sums = [sum(getattr(entry, name) for entry in fills) for name in ("qty", "value", "fee")]
        assert sums == [record.filled_qty, record.filled_value, record.fee]
        assert record.status.is_open == (record.order_id in orders)
        if record.status == OrderStatus.FILLED:
            assert record.filled_qty == record.qty
        assert all((entry.is_buy, entry.instrument) == (record.is_buy, record.instrument) for entry in fills)
    balances = {movement.coin: movement.balance for movement in memory.movements}
    purses = {purse.coin: purse.wallet_balance for purse in driver.purses(account)}
    assert balances.items() <= purses.items()
    for instrument in CATALOGUE:
        if not instrument.is_spot:
            position = driver.position(account, instrument.index, PositionIndex.OneWay)
            known = memory.positions.get((instrument.index, 0))
            assert (known.qty if known else 0) == position.qty


@pytest.mark.asyncio
@pytest.mark.parametrize("durability", ["fsync", "os"])
async def test_the_read_model_is_what_the_journal_tells(
    durability: Literal["fsync", "os"], tmp_path: Path
) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")  # noqa: T201
    told: list[Event] = []
    async with opened(tmp_path, random.Random(seed), durability, told) as world:
        await traffic(world)
        await world.driver.committed()
        live, accounts = world.venue.ledger, [key.account for key in world.keys]
        for account in accounts:
            agree(world.driver, live, account)
        orders = [order for memory in live.memories() for order in memory.orders()]

    anew = Ledger(len(CATALOGUE), CATALOGUE)
    restored = Ledger(len(CATALOGUE), CATALOGUE)
    for ledger in (anew, restored):
        for account in accounts:
            ledger.watch(account)
    events = [event for batch in replayed_events(tmp_path / "exchange.journal") for event in batch]
    assert events == told
    for event in events:
        anew.fold(event)
    expected = plain(anew)
    assert plain(live) == expected
    Restoring(restored, pack(kept_parts(live))).finish()
    assert plain(restored) == expected
    assert {order.status.value for order in orders} >= {"new", "filled", "cancelled"}
    assert any(0 < order.filled_qty < order.qty for order in orders), "no order was filled in part"
    reasons = {order.cancel_reason for order in orders}
    assert len(reasons) >= 4, reasons
