"""Nothing leaves the gateway before the journal has it: answers, refusals, readings, standings."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import aiohttp
import orjson
import pytest

from simulated_exchange._engine import Engine
from simulated_exchange.accounts import ApiKey, KeyStore
from simulated_exchange.clock import MarketClock
from simulated_exchange.coins import Coins
from simulated_exchange.driver import Driver, Event
from simulated_exchange.gateway.app import Gateway
from simulated_exchange.gateway.auth import sign
from simulated_exchange.gateway.venue import Venue
from simulated_exchange.instruments import SCALE, Catalogue
from simulated_exchange.ledger import Ledger
from simulated_exchange.settings import GatewaySettings
from tests.unit.simulated_exchange.held_commits import HeldCommitter
from tests.unit.simulated_exchange.listing_rooms import shipped_genesis

GENESIS = shipped_genesis()
ORDER = {"category": "linear", "symbol": "BTCUSDT", "side": "Buy", "orderType": "Limit", "qty": "0.01"}
PATIENCE = 10  # seconds


class HeldJournal:
    """The real engine; while it is held, a commit ends when the test lets it."""

    def __init__(self) -> None:
        self._engine = Engine.create(GENESIS, None, "none")
        self._permits = threading.Semaphore(0)
        self.is_held = False
        self.began = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    def committer(self) -> HeldCommitter:
        return HeldCommitter(self.sync)

    def sync(self) -> int:
        self.began += 1
        assert not self.is_held or self._permits.acquire(timeout=PATIENCE)
        return self._engine.sync()

    def let(self, commits: int = 100) -> None:
        """Let so many commits end."""
        self._permits.release(commits)


@dataclass
class Room:
    """A gateway on a socket, its journal, and one trader with money."""

    address: str
    journal: HeldJournal
    driver: Driver
    key: ApiKey
    session: aiohttp.ClientSession

    def headers(self, payload: bytes) -> dict[str, str]:
        now = str(time.time_ns() // 1_000_000)
        origin = f"{now}{self.key.api_key}5000".encode() + payload
        return {
            "X-BAPI-API-KEY": self.key.api_key,
            "X-BAPI-TIMESTAMP": now,
            "X-BAPI-RECV-WINDOW": "5000",
            "X-BAPI-SIGN": sign(self.key.api_secret, origin),
        }

    async def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        raw = orjson.dumps(body)
        return await self._answer(
            self.session.post(f"{self.address}{path}", data=raw, headers=self.headers(raw))
        )

    async def get(self, path: str, query: str = "") -> dict[str, Any]:
        url = f"{self.address}{path}?{query}"
        return await self._answer(self.session.get(url, headers=self.headers(query.encode())))

    async def _answer(self, asking: Any) -> dict[str, Any]:
        async with asking as response:
            answer: dict[str, Any] = await response.json()
            return answer

    async def taken(self, commands: int) -> None:
        """Return when the engine has taken so many commands."""
        await until(lambda: self.driver.command_count() >= commands)


async def until(holds: Callable[[], bool]) -> None:
    for _ in range(PATIENCE * 1000):
        if holds():
            return
        await asyncio.sleep(0.001)
    raise AssertionError("it never came to that")


@contextlib.asynccontextmanager
async def opened(tmp_path: Path) -> AsyncIterator[Room]:
    journal = HeldJournal()
    driver = Driver(cast("Engine", journal), MarketClock(1_760_000_000_000), "fsync", None)
    catalogue = Catalogue.from_genesis(GENESIS)
    venue = Venue(
        driver=driver,
        ledger=Ledger(len(catalogue), catalogue),
        catalogue=catalogue,
        coins=Coins.from_genesis(GENESIS),
        keys=KeyStore.open(tmp_path / "accounts.json"),
        limits=GatewaySettings(ack_delay_ms=0),
        is_sim_enabled=True,
        scenario_report=dict,
    )
    gateway = Gateway(venue)
    driver.subscribe_batches(gateway.hub.take)
    commits = asyncio.create_task(driver.run())
    for instrument in catalogue:
        venue.set_index(instrument, 100_000 * SCALE)
    key = venue.open_account("alice", 100_000 * SCALE)
    await driver.committed()
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setblocking(False)
    address = f"http://127.0.0.1:{listener.getsockname()[1]}"
    await gateway.start(listener)
    async with aiohttp.ClientSession() as session:
        yield Room(address, journal, driver, key, session)
    journal.let()
    await gateway.stop()
    commits.cancel()
    await asyncio.wait([commits])
    driver.close()


async def settled(tasks: list[asyncio.Task[Any]]) -> list[bool]:
    """Whether each is done after the loop and a stranger's request had their turns."""
    for _ in range(200):
        await asyncio.sleep(0)
    return [task.done() for task in tasks]


@pytest.mark.asyncio
async def test_acknowledgements_refusals_and_readings_wait_for_the_journal(tmp_path: Path) -> None:
    async with opened(tmp_path) as room:
        room.journal.is_held = True
        before = room.driver.command_count()
        order = {**ORDER, "price": "99000", "orderLinkId": "once"}
        asked = [asyncio.create_task(room.post("/v5/order/create", order))]
        await room.taken(before + 1)
        # each of these would tell of an order that a crash may still undo
        asked.append(asyncio.create_task(room.post("/v5/order/create", order)))
        await room.taken(before + 2)
        for path, query in (
            ("/v5/account/wallet-balance", "accountType=UNIFIED"),
            ("/v5/order/realtime", "category=linear&symbol=BTCUSDT"),
            ("/v5/market/price-limit", "symbol=BTCUSDT"),
            ("/sim/invariants", ""),
        ):
            asked.append(asyncio.create_task(room.get(path, query)))
        assert (await room.get("/v5/market/time"))["retCode"] == 0, "the time depends on no journal"
        assert await settled(asked) == [False] * 6
        room.journal.let()
        created, duplicate, wallet, orders, limits, books = await asyncio.gather(*asked)
        assert (created["retCode"], duplicate["retCode"]) == (0, 110072)
        assert float(wallet["result"]["list"][0]["totalInitialMargin"]) > 0
        assert [row["orderLinkId"] for row in orders["result"]["list"]] == ["once"]
        assert limits["retCode"] == 0
        assert books["conservation_delta"] == "0"


@pytest.mark.asyncio
async def test_a_refusal_on_the_trade_socket_waits_as_well(tmp_path: Path) -> None:
    async with opened(tmp_path) as room:
        expires = time.time_ns() // 1_000_000 + 10_000
        signature = sign(room.key.api_secret, f"GET/realtime{expires}".encode())
        async with room.session.ws_connect(f"{room.address}/v5/trade") as trade:
            await trade.send_json({"op": "auth", "args": [room.key.api_key, expires, signature]})
            assert (await trade.receive_json())["retCode"] == 0
            room.journal.is_held = True
            before = room.driver.command_count()
            body = {**ORDER, "price": "99000", "orderLinkId": "once"}
            for number in (1, 2):
                header = {"X-BAPI-TIMESTAMP": str(time.time_ns() // 1_000_000)}
                request = {"reqId": str(number), "header": header, "op": "order.create", "args": [body]}
                await trade.send_json(request)
            await room.taken(before + 2)
            first = asyncio.create_task(trade.receive_json())
            assert await settled([first]) == [False]
            room.journal.let()
            answers = [await first, await trade.receive_json()]
            assert [(row["reqId"], row["retCode"]) for row in answers] == [("1", 0), ("2", 110072)]


@pytest.mark.asyncio
async def test_answers_on_the_trade_socket_keep_their_order(tmp_path: Path) -> None:
    async with opened(tmp_path) as room:
        expires = time.time_ns() // 1_000_000 + 10_000
        signature = sign(room.key.api_secret, f"GET/realtime{expires}".encode())
        auth = {"op": "auth", "args": [room.key.api_key, expires, signature]}
        async with room.session.ws_connect(f"{room.address}/v5/trade") as trade:
            await trade.send_json({"op": "ping"})
            await trade.send_json(auth)
            assert [(await trade.receive_json())["op"] for _ in range(2)] == ["pong", "auth"]
            room.journal.is_held = True
            before = room.driver.command_count()
            header = {"X-BAPI-TIMESTAMP": str(time.time_ns() // 1_000_000), "X-BAPI-RECV-WINDOW": "5000"}
            plain = {**ORDER, "price": "99000", "timeInForce": "GTC"}
            for number in (1, 2):
                body = {**plain, "orderLinkId": f"o-{number}"}
                await trade.send_json(
                    {"reqId": str(number), "header": header, "op": "order.create", "args": [body]}
                )
                await trade.send_json({"op": "ping"})
                await trade.send_str("{")
                await trade.send_json(auth)
                await trade.send_json({"reqId": f"{number}x", "op": "nonsense"})
            await room.taken(before + 2)
            first = asyncio.create_task(trade.receive_json())
            assert await settled([first]) == [False], "none overtakes an order"
            room.journal.let()
            told = [await first] + [await trade.receive_json() for _ in range(9)]
            ops = ["order.create", "pong", "", "auth", "nonsense"]
            assert [row["op"] for row in told] == ops * 2
            assert [row.get("reqId") for row in told[::5]] == ["1", "2"]
            assert [told[at]["retCode"] for at in (0, 1, 5, 6)] == [0] * 4


@pytest.mark.asyncio
async def test_who_pings_while_the_journal_is_held_is_not_read_any_further(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("simulated_exchange.gateway.streams.order_entry.REQUESTS_IN_FLIGHT_MAX", 20)
    async with opened(tmp_path) as room, room.session.ws_connect(f"{room.address}/v5/trade") as trade:
        waiting: list[Callable[[], None]] = []
        commits, wait = room.driver.commits, room.driver.commits.when_durable

        def counted(tell: Callable[[], None], fail: Callable[[], None]) -> None:
            waiting.append(tell)
            wait(tell, fail)

        monkeypatch.setattr(commits, "when_durable", counted)
        room.journal.is_held = True
        room.driver.deposit(room.key.account, 1 * SCALE)
        await trade.send_json({"reqId": "1", "op": "nonsense"})
        for _ in range(500):
            await trade.send_json({"op": "ping"})
        await until(lambda: len(waiting) >= 20)
        assert await settled([]) == []
        assert len(waiting) == 20
        room.journal.let()
        assert [(await trade.receive_json())["op"] for _ in range(501)] == ["nonsense"] + ["pong"] * 500


@pytest.mark.asyncio
async def test_nonsense_behind_a_request_that_waits_ends_its_connection_and_nothing_else(
    tmp_path: Path,
) -> None:
    async with opened(tmp_path) as room:
        room.journal.is_held = True
        before = room.driver.command_count()
        raw = orjson.dumps({**ORDER, "price": "99000"})
        lines = "".join(f"{name}: {value}\r\n" for name, value in room.headers(raw).items())
        head = f"POST /v5/order/create HTTP/1.1\r\nHost: venue\r\n{lines}Content-Length: {len(raw)}\r\n\r\n"
        host, port = room.address.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(head.encode() + raw)
        await room.taken(before + 1)
        writer.write(b"no HTTP\r\n\r\n")
        asked = asyncio.create_task(reader.read())
        assert await settled([asked]) == [False]
        room.journal.let()
        head_told, _, told = (await asked).partition(b"\r\n\r\n")
        assert head_told.startswith(b"HTTP/1.1 200 OK") and b"Connection: close" in head_told
        assert orjson.loads(told)["retCode"] == 0, "one answer, and it is the order's"
        writer.close()
        assert (await room.get("/v5/order/realtime", "category=linear&symbol=BTCUSDT"))["retCode"] == 0
        assert (await room.post("/v5/order/create", {**ORDER, "price": "99001"}))["retCode"] == 0


@pytest.mark.asyncio
async def test_a_wallet_is_not_shown_ahead_of_the_journal(tmp_path: Path) -> None:
    async with opened(tmp_path) as room:
        expires = time.time_ns() // 1_000_000 + 10_000
        signature = sign(room.key.api_secret, f"GET/realtime{expires}".encode())
        async with room.session.ws_connect(f"{room.address}/v5/private") as private:
            await private.send_json({"op": "auth", "args": [room.key.api_key, expires, signature]})
            await private.send_json({"op": "subscribe", "args": ["wallet"]})
            assert [(await private.receive_json())["op"] for _ in range(2)] == ["auth", "subscribe"]
            durable: list[Event] = []
            room.driver.subscribe_durable(durable.extend)
            room.journal.is_held = True
            began = room.journal.began
            room.driver.deposit(room.key.account, 1 * SCALE)
            await until(lambda: room.journal.began > began)
            room.driver.deposit(room.key.account, 2 * SCALE)  # too late for the commit that has begun
            first = asyncio.create_task(private.receive_json())
            room.journal.let(1)
            await until(lambda: len(durable) > 0)
            assert await settled([first]) == [False], "it would show the second deposit"
            room.journal.let(1)
            assert float((await first)["data"][0]["totalWalletBalance"]) == 100_003
