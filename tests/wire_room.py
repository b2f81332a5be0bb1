"""A venue without sockets on a clock that stands until it is told: every REST route can be asked directly.

Belongs here: two funded members, quotes, time, and asking. Does not belong here: any expectation.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson

from simulated_exchange.accounts import ApiKey, KeyStore
from simulated_exchange.clock import MarketClock
from simulated_exchange.coins import Coins
from simulated_exchange.driver import Driver, DriverSettings, Event
from simulated_exchange.gateway.desk import OrderDesk
from simulated_exchange.gateway.rest import ROUTES
from simulated_exchange.gateway.rest.route import Call
from simulated_exchange.gateway.translate.refusals import RefusedError
from simulated_exchange.gateway.venue import Venue
from simulated_exchange.instruments import Catalogue, fixed_point
from simulated_exchange.ledger import Ledger
from simulated_exchange.listing import listed_genesis
from simulated_exchange.request_book import RequestBook
from simulated_exchange.settings import GatewaySettings, load_settings

__all__ = ["START_MS", "WireRoom"]

START_MS = 1_800_000_000_000
HOUR_MS = 3_600_000
DEPOSITS = {"USDT": "1000000", "USDC": "1000000", "BTC": "10", "ETH": "100"}


class WireRoom:
    """The shipped venue; `alice` quotes, `bob` takes."""

    def __init__(self, folder: Path, **changes: Any) -> None:
        self.elapsed_ns = 0
        genesis = orjson.dumps({**listed_genesis(load_settings(None, {})), **changes}).decode()
        clock = MarketClock(
            START_MS,
            monotonic_ns=lambda: self.elapsed_ns,
            time_ns=lambda: START_MS * 1_000_000 + self.elapsed_ns,
        )
        catalogue = Catalogue.from_genesis(genesis)
        self.driver = Driver.open(DriverSettings(genesis, clock))
        self.venue = Venue(
            driver=self.driver,
            ledger=Ledger(len(catalogue), catalogue),
            catalogue=catalogue,
            coins=Coins.from_genesis(genesis),
            keys=KeyStore.open(folder / "accounts.json"),
            book=RequestBook.open(folder / "requests.jsonl"),
            limits=GatewaySettings(),
            is_sim_enabled=True,
            scenario_report=dict,
            now_ms=lambda: START_MS + self.elapsed_ns // 1_000_000,
        )
        self.driver.subscribe(self._fold)
        self.desk = OrderDesk(self.venue)
        self.alice, self.bob = (self.open_account(name) for name in ("alice", "bob"))
        for name, price in load_settings(None, {}).start_prices.items():
            self.index(name, f"{price:f}")

    def _fold(self, events: Any) -> None:
        for event in events:
            self.venue.ledger.fold(event)

    def open_account(self, name: str) -> ApiKey:
        """A member with money in four coins."""
        key = self.venue.open_account(name, 0)
        for coin, amount in DEPOSITS.items():
            found = self.venue.coins.by_name(coin)
            assert found is not None
            self.driver.deposit(key.account, fixed_point(amount), found.index)
        return key

    def index(self, name: str, price: str) -> None:
        """Put an instrument's index somewhere."""
        instrument = self.venue.catalogue.by_name(name)
        assert instrument is not None, name
        self.venue.set_index(instrument, fixed_point(price))

    def wait(self, hours: float = 0) -> list[Event]:
        """Let time pass, indices standing still."""
        self.elapsed_ns += round(hours * HOUR_MS) * 1_000_000
        for instrument in self.venue.catalogue:
            price = self.venue.ledger.markets[instrument.index].index_price
            if price:
                self.venue.set_index(instrument, price)
        return list(self.driver.advance_time().events)

    def ask(self, method: str, path: str, key: ApiKey | None = None, /, **arguments: Any) -> Any:
        """The result of a route: arguments are its query or its body. Raises RefusedError."""
        route = ROUTES[method, path]
        query = {name: str(value) for name, value in arguments.items()} if method == "GET" else {}
        body = arguments if method == "POST" else {}
        call = Call(self.venue, self.desk, query, body, key or self.bob, self.venue.now_ms())
        answer = route.step(call)
        return orjson.loads(orjson.dumps(answer[0] if isinstance(answer, tuple) else answer))

    def code_of(self, method: str, path: str, key: ApiKey | None = None, /, **arguments: Any) -> int:
        """The code of a refusal; 0 when it is answered."""
        try:
            self.ask(method, path, key, **arguments)
        except RefusedError as refusal:
            return refusal.code
        return 0

    def order(
        self, key: ApiKey, category: str, symbol: str, side: str, qty: str, price: str, **more: Any
    ) -> str:
        """Place a limit order; its id."""
        answer = self.ask(
            "POST",
            "/v5/order/create",
            key,
            category=category,
            symbol=symbol,
            side=side,
            orderType="Limit",
            qty=qty,
            price=price,
            **more,
        )
        found: str = answer["orderId"]
        return found

    def trade(self, category: str, symbol: str, qty: str, price: str) -> None:
        """Bob buys of Alice."""
        self.order(self.alice, category, symbol, "Sell", qty, price)
        self.order(self.bob, category, symbol, "Buy", qty, price)
