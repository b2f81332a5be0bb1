"""The venue port without a venue: fills against live public quotes, wallet in a file of its own. PAPER, no
money.

Belongs here: walking the public book, fees, margin, the paper wallet. Does not belong here: prices
(`market_data`), anything that could send an order.

What is simulated: depth (an order pays for what it would take), the taker fee, initial margin, reduce-only,
one order per client id, stops at the mark price. What is not: funding, liquidation, the order's own effect
on later prices.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from decimal import Decimal
from pathlib import Path

import structlog

from follower_client.core.snapshot import Instrument
from follower_client.core.stops import Stops
from follower_client.errors import StoreError
from follower_client.venue.account import Holding
from follower_client.venue.key_rights import KeyRights
from follower_client.venue.market_data import MarketData
from follower_client.venue.port import (
    Ending,
    OpenOrder,
    OrderRequest,
    OrderStatus,
    SubmitResult,
    VenueFill,
    VenueListener,
    VenueOrder,
)

__all__ = ["PaperAdapter"]

SCHEMA = """
CREATE TABLE IF NOT EXISTS wallet(one INTEGER PRIMARY KEY CHECK(one = 1), balance TEXT NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS holdings(symbol TEXT PRIMARY KEY, qty TEXT NOT NULL, entry_price TEXT NOT NULL)
STRICT; CREATE TABLE IF NOT EXISTS orders(client_order_id TEXT PRIMARY KEY, order_id TEXT NOT NULL, status
TEXT NOT NULL, filled_qty TEXT NOT NULL) STRICT; CREATE TABLE IF NOT EXISTS fills(fill_id TEXT PRIMARY KEY,
client_order_id TEXT NOT NULL, order_id TEXT NOT NULL, symbol TEXT NOT NULL, is_buy INTEGER NOT NULL, qty
TEXT NOT NULL, price TEXT NOT NULL, fee TEXT NOT NULL, executed_ms INTEGER NOT NULL) STRICT;
"""
STOPS_EVERY_S = 0.25
NO_FUNDS, NOTHING_TO_REDUCE = "110007", "110017"
ZERO = Decimal(0)
log = structlog.get_logger(__name__)


class PaperAdapter:
    """A paper account. Survives a restart; an order is applied in one transaction or not at all."""

    paper = True
    recv_window_ms = 0

    def __init__(
        self,
        market_data: MarketData,
        instruments: dict[str, Instrument],
        path: Path,
        *,
        balance_usdt: Decimal,
        leverage_max: Decimal,
    ) -> None:
        self.account = market_data.account(instruments)
        self._market_data = market_data
        self._path = path
        self._start_balance = balance_usdt
        self._leverage = max(Decimal(1), leverage_max + 1)
        self._listener: VenueListener | None = None
        self._db: sqlite3.Connection | None = None

    async def start(self, listener: VenueListener) -> None:
        self._listener = listener
        try:
            self._path.touch(mode=0o600, exist_ok=True)
            self._db = sqlite3.connect(self._path, isolation_level=None)
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=FULL")
            self._db.executescript(SCHEMA)
            self._db.execute("INSERT OR IGNORE INTO wallet VALUES(1, ?)", (str(self._start_balance),))
            self.account.wallet_balance = Decimal(
                self._db.execute("SELECT balance FROM wallet").fetchone()[0]
            )
            for symbol, qty, entry in self._db.execute("SELECT symbol, qty, entry_price FROM holdings"):
                self.account.holdings[symbol] = Holding(Decimal(qty), Decimal(entry))
        except (sqlite3.Error, OSError) as error:
            raise StoreError(f"{self._path}: {error}") from None
        for symbol, instrument in self.account.instruments.items():
            tiers = instrument.tiers[:1]
            self.account.leverage_settings[symbol] = min(
                [self._leverage, *(tier.leverage_max for tier in tiers)]
            )

    async def run(self) -> None:
        while True:
            for symbol, stops in list(self.account.stops.items()):
                await self._trigger(symbol, stops)
            await asyncio.sleep(STOPS_EVERY_S)

    async def _trigger(self, symbol: str, stops: Stops) -> None:
        """Close the position at the market once its mark has passed a stop."""
        held = self.account.holdings.get(symbol, Holding()).qty
        quote = self.account.quotes.get(symbol)
        if held == 0:
            self.account.stops.pop(symbol)
            return
        if quote is None:
            return
        low, high = (stops.stop_loss, stops.take_profit) if held > 0 else (stops.take_profit, stops.stop_loss)
        if (low is not None and quote.mark <= low) or (high is not None and quote.mark >= high):
            request = OrderRequest(
                client_order_id=f"stop-{time.time_ns()}",
                symbol=symbol,
                is_buy=held < 0,
                qty=abs(held),
                limit_price=None,
                reduce_only=True,
            )
            await self.submit(request)

    async def reserve(self, *, urgent: bool) -> None:
        """No limits here."""

    async def submit(self, request: OrderRequest) -> SubmitResult:
        if await self.fetch_by_client_id(request.symbol, request.client_order_id) is not None:
            return SubmitResult(Ending.DUPLICATE)
        qty = request.qty
        held = self.account.holdings.get(request.symbol, Holding()).qty
        if request.reduce_only:
            qty = min(qty, abs(held)) if (held > 0) != request.is_buy else ZERO
            if qty == 0:
                return SubmitResult(Ending.REJECTED, None, NOTHING_TO_REDUCE, "nothing to reduce")
        taken = self._walk(request, qty)
        instrument = self.account.instruments[request.symbol]
        value = sum((level_qty * price for price, level_qty in taken), ZERO)
        if not request.reduce_only and not self._affordable(request.symbol, value, instrument):
            return SubmitResult(Ending.REJECTED, None, NO_FUNDS, "not enough margin")
        order_id = f"paper-{request.client_order_id}"
        executed_ms = time.time_ns() // 1_000_000
        fills = [
            VenueFill(
                fill_id=f"{order_id}-{number}",
                client_order_id=request.client_order_id,
                order_id=order_id,
                symbol=request.symbol,
                is_buy=request.is_buy,
                qty=level_qty,
                price=price,
                fee=level_qty * price * instrument.taker_fee,
                fee_currency="USDT",
                executed_ms=executed_ms,
                is_maker=False,
            )
            for number, (price, level_qty) in enumerate(taken)
        ]
        filled = sum((fill.qty for fill in fills), ZERO)
        order = VenueOrder(
            client_order_id=request.client_order_id,
            order_id=order_id,
            status=OrderStatus.FILLED if filled == request.qty else OrderStatus.CANCELLED,
            filled_qty=filled,
        )
        self._apply(order, fills)
        asyncio.get_running_loop().call_soon(self._tell, order, fills)
        return SubmitResult(Ending.ACCEPTED, order_id)

    async def fetch_by_client_id(self, symbol: str, client_order_id: str) -> VenueOrder | None:
        sql = "SELECT order_id, status, filled_qty FROM orders WHERE client_order_id=?"
        row = self._database.execute(sql, (client_order_id,)).fetchone()
        if row is None:
            return None
        return VenueOrder(
            client_order_id=client_order_id,
            order_id=row[0],
            status=OrderStatus(row[1]),
            filled_qty=Decimal(row[2]),
        )

    async def fetch_fills(self, symbol: str, order_id: str) -> list[VenueFill]:
        fills = self._fills("order_id=?", order_id)
        for fill in fills:
            if self._listener is not None:
                self._listener.on_fill(fill)
        return fills

    async def fetch_fills_since(self, since_ms: int) -> list[VenueFill]:
        return self._fills("executed_ms>=?", since_ms)

    def _fills(self, which: str, value: object) -> list[VenueFill]:
        sql = (
            "SELECT fill_id, client_order_id, order_id, symbol, is_buy, qty, price, fee, executed_ms "
            f"FROM fills WHERE {which} ORDER BY executed_ms, fill_id"
        )
        return [
            VenueFill(
                fill_id=row[0],
                client_order_id=row[1],
                order_id=row[2],
                symbol=row[3],
                is_buy=bool(row[4]),
                qty=Decimal(row[5]),
                price=Decimal(row[6]),
                fee=Decimal(row[7]),
                fee_currency="USDT",
                executed_ms=row[8],
                is_maker=False,
            )
            for row in self._database.execute(sql, (value,))
        ]

    async def set_stops(self, symbol: str, stops: Stops) -> SubmitResult:
        self.account.stops[symbol] = stops
        return SubmitResult(Ending.ACCEPTED)

    async def add_part_stop(
        self, symbol: str, *, is_long: bool, qty: Decimal, price: Decimal
    ) -> SubmitResult:
        told = "on paper nothing is anybody else's: a stop is of the whole"
        return SubmitResult(Ending.REJECTED, None, "local", told)

    async def open_orders(self) -> list[OpenOrder]:
        return []  # every order is filled or cancelled at once

    async def cancel(self, order: OpenOrder) -> SubmitResult:
        return SubmitResult(Ending.ACCEPTED)

    async def fetch_positions(self) -> dict[str, Decimal]:
        return self.account.positions()

    async def fetch_key(self) -> KeyRights | None:
        return None

    async def close(self) -> None:
        if self._db is not None:
            self._db.close()

    @property
    def _database(self) -> sqlite3.Connection:
        assert self._db is not None, "the port is not started"
        return self._db

    def _walk(self, request: OrderRequest, qty: Decimal) -> list[tuple[Decimal, Decimal]]:
        """(price, qty) per level of the public book that the order would take within its limit."""
        bids, asks = self._market_data.book(request.symbol)
        taken: list[tuple[Decimal, Decimal]] = []
        left = qty
        for price, level_qty in asks if request.is_buy else bids:
            limit = request.limit_price
            if left <= 0 or (limit is not None and (price > limit if request.is_buy else price < limit)):
                break
            part = min(left, level_qty)
            if part > 0:
                taken.append((price, part))
                left -= part
        return taken

    def _affordable(self, symbol: str, value: Decimal, instrument: Instrument) -> bool:
        available = self.account.available()
        needed = value / self.account.leverage_settings[symbol] + value * instrument.taker_fee * 2
        return available is not None and needed <= available

    def _apply(self, order: VenueOrder, fills: list[VenueFill]) -> None:
        database = self._database
        before = self.account.wallet_balance, dict(self.account.holdings)
        try:
            database.execute("BEGIN IMMEDIATE")
            for fill in fills:
                self.account.apply_fill(
                    fill.symbol, is_buy=fill.is_buy, qty=fill.qty, price=fill.price, fee=fill.fee
                )
                database.execute(
                    "INSERT INTO fills VALUES(?,?,?,?,?,?,?,?,?)",
                    (
                        fill.fill_id,
                        fill.client_order_id,
                        fill.order_id,
                        fill.symbol,
                        fill.is_buy,
                        str(fill.qty),
                        str(fill.price),
                        str(fill.fee),
                        fill.executed_ms,
                    ),
                )
            for symbol, holding in self.account.holdings.items():
                database.execute(
                    "INSERT OR REPLACE INTO holdings VALUES(?,?,?)",
                    (symbol, str(holding.qty), str(holding.entry_price)),
                )
            database.execute("UPDATE wallet SET balance=?", (str(self.account.wallet_balance),))
            database.execute(
                "INSERT INTO orders VALUES(?,?,?,?)",
                (order.client_order_id, order.order_id, order.status.value, str(order.filled_qty)),
            )
            database.execute("COMMIT")
        except sqlite3.Error as error:
            self.account.wallet_balance, self.account.holdings = before
            raise StoreError(f"{self._path}: {error}") from None

    def _tell(self, order: VenueOrder, fills: list[VenueFill]) -> None:
        if self._listener is not None:
            for fill in fills:
                self._listener.on_fill(fill)
            self._listener.on_order(order)
