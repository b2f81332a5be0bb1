"""A venue that is killed again and again while real clients trade on it. No tests here.

Belongs here: the order flow, what was promised to it, and holding the venue to that after every restart.
"""

from __future__ import annotations

import asyncio
import json
import random
import shutil
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import ccxt
import ccxt.pro

from simulated_exchange._engine import Engine, Event
from simulated_exchange.gateway.auth import sign
from tests.contract.serving import VenueProcess, client_options, served

__all__ = ["Campaign"]

SYMBOL = "BTC/USDT:USDT"
NAMES = ("alice", "bob", "carol")
ARGUMENTS = ("--enable-sim", *(word for name in NAMES for word in ("--account", f"{name}:1000000")))
SNAPSHOT_EVERY = 150  # commands: one or two between kills, so that kills meet snapshots being written
LANES = 2  # of single orders over REST, beside those of batches and of the trade socket
AT_ONCE = 4  # orders in a batch, or in flight on the socket
RESTING_MAX = 100  # of alice at the beginning of a life; with more she cancels everything
RESTING_LIMIT = 400  # a venue takes no more than 500
LOT = 0.001


@dataclass
class Campaign:
    """Life after life of one venue on one data folder, each ended by kill -9."""

    folder: Path
    dice: random.Random
    acknowledged: int = 0
    from_snapshots: int = 0
    torn: int = 0
    seconds_to_ready: list[float] = field(default_factory=list)
    _markets: Any = None
    _links: set[str] = field(default_factory=set)
    _resting: set[str] = field(default_factory=set)
    _sent: int = 0
    _bought: int = 0  # lots of bob, acknowledged
    _buying: int = 0  # lots of bob, asked for

    def run(self, kills: int) -> None:
        """Kill so often; everything promised must hold after every restart."""
        for life in range(kills + 1):
            clean = self._clean_replay() if life else None
            begun = time.perf_counter()
            every = {"SIMULATED_EXCHANGE_JOURNAL__SNAPSHOT_EVERY": str(SNAPSHOT_EVERY)}
            with served(self.folder / "data", *ARGUMENTS, **every) as venue:
                self.seconds_to_ready.append(time.perf_counter() - begun)
                if clean is not None:
                    self._check_recovery(venue, *clean)
                asyncio.run(self._live(venue, life, is_last=life == kills))
                if life == kills:
                    assert venue.stop() == 0

    def _clean_replay(self) -> tuple[str, int, int]:
        """State hash, orders and trades of a copy of the journal, applied from its first command."""
        copy = self.folder / "clean.journal"
        shutil.copy(self.folder / "data" / "exchange.journal", copy)
        engine, clean = Engine.recover(str(copy), "none")
        assert clean.snapshot_commands == 0
        engine.check_invariants()
        rows = json.loads((self.folder / "data" / "accounts.json").read_text())["accounts"]
        alice = next(row["account"] for row in rows if row["name"] == "alice")
        lost = {link for link in self._links if engine.order_id_by_link(alice, link) == 0}
        assert lost == set(), f"{len(lost)} acknowledged orders are not in the journal"
        events = [event for batch in Engine.replay(str(copy)) for event in batch.events()]
        orders = sum(isinstance(event, Event.OrderAccepted) for event in events)
        trades = sum(isinstance(event, Event.Trade) for event in events)
        return clean.state_hash, orders, trades

    def _check_recovery(self, venue: VenueProcess, state_hash: str, orders: int, trades: int) -> None:
        """Engine and read model went on from where a clean replay ends."""
        entries = [json.loads(line) for line in (self.folder / "data.log").read_text().splitlines()]
        [recovered] = [entry for entry in entries if entry["event"] == "journal recovered"]
        assert recovered["state_hash"] == state_hash
        assert not any(entry["event"] == "snapshot passed over" for entry in entries), entries
        self.from_snapshots += recovered["snapshot_commands"] > 0
        self.torn += recovered["truncated_bytes"] > 0
        stats = venue.sim("stats")
        assert (stats["orders"], stats["trades"]) == (orders, trades)

    async def _live(self, venue: VenueProcess, life: int, *, is_last: bool) -> None:
        clients = {name: await self._client(venue, name) for name in NAMES}
        try:
            async with asyncio.timeout(60):
                await self._check_promises(clients)
                if is_last:
                    return
                if life == 0:
                    await clients["carol"].create_order(SYMBOL, "limit", "sell", 50, 100_010)
                if len(self._resting) > RESTING_MAX:
                    await clients["alice"].cancel_all_orders(SYMBOL)
                    self._resting.clear()
                flow = [asyncio.create_task(self._rest(clients["alice"])) for _ in range(LANES)]
                flow.append(asyncio.create_task(self._rest_in_batches(clients["alice"])))
                flow.append(asyncio.create_task(self._rest_by_socket(venue)))
                flow.append(asyncio.create_task(self._buy(clients["bob"])))
                before = self._snapshots()
                await asyncio.sleep(self.dice.uniform(0.05, 0.6))
                while life % 2 == 0 and self._snapshots() <= before:  # noqa: ASYNC110 - another process writes it
                    await asyncio.sleep(0.02)
                venue.kill()
                await asyncio.gather(*flow)
        finally:
            for client in clients.values():
                await client.close()

    def _snapshots(self) -> set[str]:
        """Those that are whole."""
        return {file.name for file in (self.folder / "data").glob("exchange.journal.snapshot-*[0-9]")}

    async def _client(self, venue: VenueProcess, name: str) -> Any:
        client = ccxt.pro.bybit(client_options(venue, venue.accounts[name]))
        if self._markets is None:
            self._markets = await client.load_markets()
        client.set_markets(self._markets)
        return client

    async def _check_promises(self, clients: dict[str, Any]) -> None:
        """What was acknowledged is there for whoever asks over the wire."""
        found: set[str] = set()
        query: dict[str, Any] = {"category": "linear", "symbol": "BTCUSDT", "limit": 50}
        while True:
            answer = (await clients["alice"].privateGetV5OrderRealtime(query))["result"]
            found |= {row["orderLinkId"] for row in answer["list"]}
            if not answer["nextPageCursor"]:
                break
            query["cursor"] = answer["nextPageCursor"]
        assert self._resting <= found, f"{len(self._resting - found)} acknowledged orders do not rest"
        positions = await clients["bob"].fetch_positions([SYMBOL])
        lots = round(sum(position["contracts"] or 0 for position in positions) / LOT)
        assert self._bought <= lots <= self._buying
        self._bought = self._buying = lots

    async def _rest(self, client: Any) -> None:
        """Orders that nothing reaches, each with its own link id, until the venue is gone or full."""
        while len(self._resting) < RESTING_LIMIT:
            link, price = self._next()
            try:
                await client.create_order(SYMBOL, "limit", "buy", LOT, price, {"clientOrderId": link})
            except ccxt.NetworkError:
                return
            self._promised(link)

    async def _rest_in_batches(self, client: Any) -> None:
        """The same, several in one request."""
        while len(self._resting) < RESTING_LIMIT:
            entries = [self._plain() for _ in range(AT_ONCE)]
            try:
                answer = await client.privatePostV5OrderCreateBatch(
                    {"category": "linear", "request": entries}
                )
            except ccxt.NetworkError:
                return
            for entry, outcome in zip(entries, answer["retExtInfo"]["list"], strict=True):
                assert int(outcome["code"]) == 0, outcome
                self._promised(entry["orderLinkId"])

    async def _rest_by_socket(self, venue: VenueProcess) -> None:
        """The same over the trade socket, several in flight."""
        account, expires = venue.accounts["alice"], time.time_ns() // 1_000_000 + 10_000
        signature = sign(account.api_secret, f"GET/realtime{expires}".encode())
        try:
            async with (
                aiohttp.ClientSession() as session,
                session.ws_connect(f"{venue.ws}/v5/trade") as trade,
            ):
                await trade.send_json({"op": "auth", "args": [account.api_key, expires, signature]})
                welcome = await _heard(trade)
                if welcome is None:
                    return
                assert welcome["retCode"] == 0
                while len(self._resting) < RESTING_LIMIT:
                    bodies = [{"category": "linear", **self._plain()} for _ in range(AT_ONCE)]
                    now = str(time.time_ns() // 1_000_000)
                    header = {"X-BAPI-TIMESTAMP": now, "X-BAPI-RECV-WINDOW": "5000"}
                    for body in bodies:
                        request = {"reqId": body["orderLinkId"], "header": header, "op": "order.create"}
                        await trade.send_json({**request, "args": [body]})
                    for body in bodies:
                        answer = await _heard(trade)
                        if answer is None:
                            return
                        assert (answer["retCode"], answer["reqId"]) == (0, body["orderLinkId"]), answer
                        self._promised(body["orderLinkId"])
        except aiohttp.ClientError:
            return

    def _next(self) -> tuple[str, int]:
        """The client's identifier and the price of one more order that rests."""
        self._sent += 1
        return f"kill-{self._sent}", 98_000 + self._sent % 900

    def _plain(self) -> dict[str, str]:
        """One more order in the fields that most have, which is taken the short way."""
        link, price = self._next()
        order = {"symbol": "BTCUSDT", "side": "Buy", "orderType": "Limit", "timeInForce": "GTC"}
        return {**order, "qty": str(LOT), "price": str(price), "orderLinkId": link}

    def _promised(self, link: str) -> None:
        """The venue has acknowledged this order."""
        self._links.add(link)
        self._resting.add(link)
        self.acknowledged += 1

    async def _buy(self, client: Any) -> None:
        """Trades, until the venue is gone."""
        while True:
            self._buying += 1
            try:
                await client.create_order(SYMBOL, "market", "buy", LOT)
            except ccxt.NetworkError:
                return
            self._bought += 1
            self.acknowledged += 1


async def _heard(socket: aiohttp.ClientWebSocketResponse) -> dict[str, Any] | None:
    """The next answer, or nothing where the venue is gone."""
    message = await socket.receive()
    return json.loads(message.data) if message.type is aiohttp.WSMsgType.TEXT else None
