"""Any venue through ccxt's unified calls: fills, positions with their stops, quotes, wallet and its events.

Belongs here: what is asked of a venue, and how where venues differ in what they want to be asked. Does not
belong here: what a row means (`unified_rows`), Bybit (`bybit` reads its rows exactly).

ccxt gives numbers as floats made from the venue's text; their shortest form is that text again for every
price and quantity of up to 15 digits. What a venue has no stream for is read by REST, every few seconds.
A venue that lists one's own trades only by symbol is asked for those that are published, held or have orders.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final, TypeVar

import ccxt.pro
import structlog
from ccxt.base.errors import ArgumentsRequired

from relay.core.account import Fill, Position, Quote, WalletEvent
from relay.errors import ConfigurationError
from relay.venue.listing import Row, list_between, terms_of
from relay.venue.port import (
    BOOK_LEVELS,
    KEEP_ALIVE_MS,
    REQUEST_TIMEOUT_MS,
    Levels,
    VenueAddress,
    Wallet,
    answered,
    levels_of,
)
from relay.venue.stops import StopOrders
from relay.venue.unified_rows import (
    STABLE,
    event_of,
    fill_of,
    funding_of,
    positions_of,
    quote_of,
    wallet_of,
)

__all__ = ["UnifiedVenue"]

POLL_S: Final = 5.0  # where a venue has no stream for something
SYMBOLS_MAX: Final = 30  # asked for one by one
CLOCKS_APART_MS: Final = 60_000
_NEEDED: Final = ("watchMyTrades", "fetchMyTrades", "fetchPositions", "fetchBalance")
_LEDGER_WITHOUT_FUNDING: Final = ("hyperliquid",)
_LEDGER_OF_ANOTHER_WALLET: Final = ("htx",)  # the spot account's
_UNUSABLE: Final = {"bingx": "lists trades without id and side, so that nobody could tell which are new"}
_END_PARAMETER: Final = {"mexc": "end_time"}  # ccxt's "until" elsewhere
_Answer = TypeVar("_Answer")
_log = structlog.get_logger(__name__)


class UnifiedVenue:
    """`Venue` over an exchange object of `ccxt.pro`. `symbols` are asked for one by one where it must be."""

    def __init__(self, exchange: Any, where: str, symbols: Sequence[str] = ()) -> None:
        """Raises `ConfigurationError` for a venue that cannot tell its fills."""
        self._exchange = exchange
        self._where = where
        missing = [name for name in _NEEDED if not exchange.has.get(name)]
        if missing:
            raise ConfigurationError([f"venue.exchange: {where} has no {', '.join(missing)}"])
        self._published = tuple(symbols)
        self._watched: dict[str, None] = dict.fromkeys(symbols)
        self._terms = terms_of(exchange)
        self._by_symbol = self._terms.by_symbol
        self._stops = StopOrders(exchange, self._ask, self._watched)

    @classmethod
    def open(cls, address: VenueAddress, symbols: Sequence[str] = ()) -> UnifiedVenue:
        """The account at an address. Raises `ConfigurationError` for a venue that ccxt does not know."""
        made = getattr(ccxt.pro, address.exchange, None)
        if made is None or address.exchange not in ccxt.pro.exchanges:
            raise ConfigurationError([f"venue.exchange: {address.exchange} is none of ccxt.pro's exchanges"])
        if address.exchange in _UNUSABLE:
            raise ConfigurationError([f"venue.exchange: {address.exchange} {_UNUSABLE[address.exchange]}"])
        api_key, secret = address.credentials()
        settings: dict[str, Any] = {
            "apiKey": api_key,
            "secret": secret,
            "timeout": REQUEST_TIMEOUT_MS,
            "enableRateLimit": True,
            "options": {
                "defaultType": "swap",
                "adjustForTimeDifference": True,
                "warnOnFetchOpenOrdersWithoutSymbol": False,
                "fetchOpenOrders": {"warnWithoutSymbol": False},
            },
        }
        if address.passphrase() is not None:
            settings["password"] = address.passphrase()
        exchange = made(settings)
        if exchange.requiredCredentials.get("walletAddress"):  # reading needs the address and no key
            exchange.walletAddress = api_key
        exchange.streaming["keepAlive"] = KEEP_ALIVE_MS
        if address.sandbox:
            exchange.set_sandbox_mode(True)
        return cls(exchange, address.exchange, symbols)

    async def watch_fills(self) -> list[Fill]:
        """New trades of this account."""
        await self._markets()
        fills = self._fills(await self._ask(self._exchange.watch_my_trades()))
        self._note(fill.symbol for fill in fills)
        return fills

    async def watch_positions(self, symbols: Sequence[str]) -> dict[str, Position]:
        """Positions that were changed."""
        if not self._exchange.has.get("watchPositions"):
            await asyncio.sleep(POLL_S)
            return await self.fetch_positions(symbols)
        await self._ask(self._exchange.watch_positions(list(symbols)))
        return await self.fetch_positions(symbols)  # the stream may tell one side of a hedge only

    async def watch_orders(self) -> None:
        """Wait until stops may have changed."""
        await self._markets()
        await self._stops.changed()

    async def watch_wallet(self) -> Wallet:
        """The wallet after its next change."""
        if self._exchange.has.get("watchBalance"):
            await self._ask(self._exchange.watch_balance())  # what a total is differs from the other call's
        else:
            await asyncio.sleep(POLL_S)
        return await self.fetch_wallet()

    async def watch_quotes(self, symbols: Sequence[str]) -> dict[str, Quote]:
        """The symbols whose prices changed."""
        if self._exchange.has.get("watchTickers"):
            tickers = await self._ask(self._exchange.watch_tickers(list(symbols)))
        elif self._exchange.has.get("watchTicker") and len(symbols) == 1:
            tickers = {symbols[0]: await self._ask(self._exchange.watch_ticker(symbols[0]))}
        else:
            await asyncio.sleep(POLL_S)
            tickers = await self._ask(self._exchange.fetch_tickers(list(symbols)))
        return {symbol: quote_of(tickers[symbol]) for symbol in symbols if symbol in tickers}

    async def fetch_fills(self, since_ms: int) -> list[Fill]:
        """All trades since then, oldest first, each once."""
        await self._markets()
        rows: list[Row] = []
        if not self._by_symbol:
            try:
                rows = await self._trades(None, since_ms)
            except _NeedsSymbol:
                self._by_symbol = True
        if self._by_symbol:
            for symbol in await self._symbols_to_ask():
                rows += await self._trades(symbol, since_ms)
        found = {fill.fill_id: fill for fill in self._fills(rows) if fill.exec_ms >= since_ms}
        return sorted(found.values(), key=lambda fill: fill.exec_ms)

    async def _symbols_to_ask(self) -> list[str]:
        """Those that are published, and those with a position or an order, now or earlier in this run."""
        await self.fetch_positions(self._published)
        self._note(self._stops.symbols)
        return list(self._watched)

    def _note(self, symbols: Iterable[str]) -> None:
        for symbol in symbols:
            if symbol not in self._watched and self._is_linear(symbol):
                if len(self._watched) >= SYMBOLS_MAX:
                    _log.warning("symbol_not_asked_for", symbol=symbol, symbols_max=SYMBOLS_MAX)
                    return
                self._watched[symbol] = None

    async def _trades(self, symbol: str | None, since_ms: int) -> list[Row]:
        async def page_of(start_ms: int, end_ms: int | None) -> list[Row]:
            end = {} if end_ms is None else {_END_PARAMETER.get(self._where, "until"): end_ms}

            async def ask() -> list[Row]:
                try:
                    call = self._exchange.fetch_my_trades(symbol, start_ms, self._terms.page, end)
                    return list(await call)
                except ArgumentsRequired:
                    if symbol is not None:
                        raise
                    raise _NeedsSymbol from None

            return await self._ask(ask())

        until_ms = time.time_ns() // 1_000_000 + CLOCKS_APART_MS
        rows, is_whole = await list_between(page_of, since_ms, until_ms, self._terms)
        if not is_whole:
            _log.error("fills_not_all_listed", symbol=symbol, since_ms=since_ms, listed=len(rows))
        return rows

    async def fetch_positions(self, symbols: Sequence[str]) -> dict[str, Position]:
        """Open positions of the account with their stops; `symbols` are flat where it has none."""
        await self._markets()
        rows = [row for row in await self._ask(self._exchange.fetch_positions()) if row.get("contracts")]
        found = positions_of([row for row in rows if self._is_linear(str(row["symbol"]))], self._size)
        self._note(found)
        return await self._stops.onto({symbol: Position() for symbol in symbols} | found, self._size)

    async def fetch_wallet(self) -> Wallet:
        """The wallet now."""
        return Wallet(wallet_of(await self._ask(self._exchange.fetch_balance()), self._where))

    async def fetch_wallet_events(self, since_ms: int) -> list[WalletEvent]:
        """From the ledger, or the history of funding where the ledger lacks it; a deposit that neither tells
        is seen in the equity alone.
        """
        has, seen_ms = self._exchange.has, time.time_ns() // 1_000_000
        found: list[WalletEvent | None] = []
        if has.get("fetchLedger") and self._where not in _LEDGER_OF_ANOTHER_WALLET:
            rows = await self._pages(self._exchange.fetch_ledger, None, since_ms)
            found += [
                event_of(row, self._where, seen_ms) for row in rows if row.get("currency") in (None, *STABLE)
            ]
            has_funding = self._where not in _LEDGER_WITHOUT_FUNDING
        else:
            has_funding = False
        if not has_funding and has.get("fetchFundingHistory"):
            for symbol in self._watched:
                rows = await self._pages(self._exchange.fetch_funding_history, symbol, since_ms)
                found += [funding_of(row, seen_ms) for row in rows if row.get("code") in (None, *STABLE)]
        events = {event.event_id: event for event in found if event is not None and event.exec_ms >= since_ms}
        return sorted(events.values(), key=lambda event: event.exec_ms)

    async def _pages(self, call: Any, what: str | None, since_ms: int) -> list[Row]:
        async def page_of(start_ms: int, end_ms: int | None) -> list[Row]:
            ends = {} if end_ms is None else {"until": end_ms}
            if self._where == "gate":  # ccxt hands it milliseconds, and it counts in seconds
                ends = {"from": start_ms // 1000} | ({} if end_ms is None else {"to": end_ms // 1000})
            return list(await self._ask(call(what, start_ms, self._terms.page, ends)))

        until_ms = time.time_ns() // 1_000_000 + CLOCKS_APART_MS
        rows, is_whole = await list_between(page_of, since_ms, until_ms, self._terms)
        if not is_whole:
            _log.error("events_not_all_listed", since_ms=since_ms, listed=len(rows))
        return rows

    async def fetch_book(self, symbol: str) -> tuple[Levels, Levels]:
        """The book's upper levels."""
        book = await self._ask(self._exchange.fetch_order_book(symbol, BOOK_LEVELS))
        size = self._size(symbol)
        bids, asks = levels_of(book["bids"]), levels_of(book["asks"])
        return [(price, qty * size) for price, qty in bids], [(price, qty * size) for price, qty in asks]

    async def now_ms(self) -> int:
        """The venue's clock; ours where it does not tell."""
        if not self._exchange.has.get("fetchTime"):
            return time.time_ns() // 1_000_000
        return int(await self._ask(self._exchange.fetch_time()))

    async def close(self) -> None:
        """Close all sockets."""
        await self._stops.close()
        await self._exchange.close()

    async def _markets(self) -> None:
        """Raises `ConfigurationError` for published symbols that are no linear contracts."""
        await self._ask(self._exchange.load_markets())
        if self._where == "gate" and not self._exchange.uid:  # its private streams are asked for by user
            found = await self._ask(self._exchange.privateAccountGetDetail())
            self._exchange.uid = str(found.get("user_id", ""))
        wrong = [symbol for symbol in self._published if not self._is_linear(symbol)]
        if wrong:
            raise ConfigurationError(
                [f"signals.symbols: was {wrong[0]!r}, allowed: linear contracts that {self._where} lists"]
            )

    def _market(self, symbol: str) -> Mapping[str, Any]:
        markets: Mapping[str, Any] = self._exchange.markets or {}
        found: Mapping[str, Any] = markets.get(symbol) or {}
        return found

    def _is_linear(self, symbol: str) -> bool:
        return bool(self._market(symbol).get("linear"))

    def _size(self, symbol: str) -> Decimal:
        """Base units in a contract, which is what ccxt counts in."""
        return Decimal(str(self._market(symbol).get("contractSize") or 1))

    def _fills(self, trades: Sequence[Mapping[str, Any]]) -> list[Fill]:
        seen_ms = time.time_ns() // 1_000_000
        return [
            fill_of(trade, self._size(str(trade["symbol"])), seen_ms)
            for trade in trades
            if trade.get("id") and trade.get("amount") and self._is_linear(str(trade["symbol"]))
        ]

    async def _ask(self, call: Awaitable[_Answer]) -> _Answer:
        return await answered(call, self._where)


class _NeedsSymbol(Exception):  # noqa: N818 - it is no failure
    """The venue lists trades of one symbol at a time."""
