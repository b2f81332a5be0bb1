"""Orders of many trade sockets gathered into one call: answered as if each had gone the long way."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest

from simulated_exchange.accounts import ApiKey, KeyStore
from simulated_exchange.clock import MarketClock
from simulated_exchange.driver import Driver, DriverSettings
from simulated_exchange.gateway.app import Gateway
from simulated_exchange.gateway.auth import sign
from simulated_exchange.gateway.translate.rows import order_id_text
from simulated_exchange.gateway.transport.http import HttpConnection, Terms
from simulated_exchange.gateway.venue import Venue
from simulated_exchange.instruments import SCALE, Catalogue
from simulated_exchange.ledger import Ledger
from simulated_exchange.settings import GatewaySettings
from tests.unit.simulated_exchange.test_gateway_translate import ORDER
from tests.unit.simulated_exchange.test_http_short_way import DATE, GENESIS, HANDSHAKE, SocketWire
from tests.unit.simulated_exchange.test_ledger_keeping import plain

NOW_MS = 1_760_000_000_000
SOCKETS = 5
HEADER = {"X-BAPI-TIMESTAMP": str(NOW_MS), "X-BAPI-RECV-WINDOW": "5000"}


class Room:
    """A venue whose clocks stand still, and its trade sockets; odd ones are signed in as another."""

    def __init__(self, folder: Path, *, is_short: bool) -> None:
        catalogue = Catalogue.from_genesis(GENESIS)
        clock = MarketClock(NOW_MS, monotonic_ns=lambda: 0, time_ns=lambda: 0)
        self.driver = Driver.open(DriverSettings(GENESIS, clock, None, "none"))
        self.ledger = Ledger(len(catalogue), catalogue)
        folder.mkdir()
        venue = Venue(
            driver=self.driver,
            ledger=self.ledger,
            catalogue=catalogue,
            keys=KeyStore.open(folder / "accounts.json"),
            limits=GatewaySettings(requests_per_second_max=700),
            is_sim_enabled=False,
            scenario_report=dict,
            now_ms=lambda: NOW_MS,
        )
        for instrument in catalogue:
            venue.set_index(instrument, 100_000 * SCALE)
        self._gateway = Gateway(venue)
        self.driver.subscribe_batches(self._gateway.hub.take)
        entry: Any = self._gateway._sockets._order_entry
        self.gathered: list[int] = []
        if is_short:
            place: Callable[..., Any] = entry._desk.place_plain_all

            def counted(asked: list[Any]) -> Any:
                self.gathered.append(len(asked))
                return place(asked)

            entry._desk.place_plain_all = counted
        else:
            entry.takes_plain = lambda *_: False
        keys = [venue.open_account(name, 1_000_000 * SCALE) for name in ("alice", "bob")]
        self.wires = [self._opened(keys[at % 2]) for at in range(SOCKETS)]

    def _opened(self, key: ApiKey) -> SocketWire:
        gateway, wire = self._gateway, SocketWire()
        terms = Terms(
            gateway._handle, gateway._handle_signed, 9999, lambda: DATE, lambda _: None, lambda _: None
        )
        http = HttpConnection(terms)
        http.connection_made(wire)
        http.data_received(HANDSHAKE)
        signature = sign(key.api_secret, f"GET/realtime{NOW_MS + 1}".encode())
        wire.protocol.data_received(masked({"op": "auth", "args": [key.api_key, NOW_MS + 1, signature]}))
        return wire


def masked(message: Any) -> bytes:
    """A client's frame under a mask of zeros."""
    payload = message if isinstance(message, bytes) else orjson.dumps(message)
    return b"\x81\xfe" + len(payload).to_bytes(2) + bytes(4) + payload


def message(dice: random.Random, number: int) -> dict[str, Any] | bytes:
    """Mostly a plain new order; now and then a refused one, another operation, or no request at all."""
    order = {
        **ORDER,
        "category": "linear",
        "side": dice.choice(["Buy", "Sell"]),
        "qty": dice.choice(["0.001", "0.002", "0.5", "0.0001", "9000"]),
        "price": dice.choice(["99000", "100000", "100000.05", "101000"]),
        "timeInForce": dice.choice(["GTC", "IOC", "FOK", "PostOnly"]),
        "orderLinkId": f"b-{dice.randrange(number * 4 + 8)}",
    }
    header: Any = HEADER if dice.random() < 0.95 else {"X-BAPI-TIMESTAMP": "1"}
    frame = {"reqId": str(dice.randrange(number * 8 + 8)), "header": header}
    chance = dice.random()
    if chance < 0.8:
        return {**frame, "op": "order.create", "args": [order]}
    if chance < 0.88:
        entries = [{**order, "orderLinkId": f"e-{number}-{at}"} for at in range(dice.randrange(1, 5))]
        args = [{"category": "linear", "request": entries}]
        return {**frame, "op": "order.create-batch", "args": args}
    if chance < 0.95:
        body = {"category": "linear", "symbol": "BTCUSDT", "orderLinkId": order["orderLinkId"]}
        if dice.random() < 0.5:
            body = {**body, "orderLinkId": "", "orderId": order_id_text(dice.randrange(1, 60))}
        operation = dice.choice(["order.cancel", "order.amend"])
        return {**frame, "op": operation, "args": [{**body, "qty": "0.003"}]}
    odd: list[dict[str, Any] | bytes] = [{"op": "ping"}, b"{", {**frame, "op": "nonsense"}]
    return dice.choice(odd)


@pytest.mark.asyncio
async def test_orders_gathered_from_many_sockets_are_answered_as_one_by_one(tmp_path: Path) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")  # noqa: T201
    dice = random.Random(seed)
    short, long = Room(tmp_path / "short", is_short=True), Room(tmp_path / "long", is_short=False)
    tasks = [asyncio.create_task(room.driver.run()) for room in (short, long)]
    await asyncio.gather(short.driver.committed(), long.driver.committed())
    for number in range(150):
        for _ in range(dice.randrange(1, 9)):
            at = dice.randrange(SOCKETS)
            data = b"".join(masked(message(dice, number)) for _ in range(dice.choice([1, 1, 1, 2, 20])))
            for room in (short, long):
                room.wires[at].protocol.data_received(data)
        for _ in range(dice.randrange(12)):
            await asyncio.sleep(0)
    for _ in range(200):
        await asyncio.sleep(0)
    for one, other in zip(short.wires, long.wires, strict=True):
        assert one.written == other.written
    assert short.driver.state_hash() == long.driver.state_hash()
    assert short.driver.command_count() == long.driver.command_count()
    assert plain(short.ledger) == plain(long.ledger)
    assert max(short.gathered) > 5, "hardly anything was gathered"
    assert sum(wire.written.count(b'"retCode":0,') for wire in short.wires) > 50
    for task in tasks:
        task.cancel()
