"""Public prices of one venue, heard once per process and shared by every follower in it.

Belongs here: streams of tickers and books into quotes. Does not belong here: accounts, orders, ccxt itself
(the exchange object is handed in).
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import structlog

from follower_client.core.snapshot import Instrument, Quote
from follower_client.errors import VenueUnavailableError
from follower_client.venue.account import AccountState
from follower_client.venue.v5_rows import body_of, decimal_of

__all__ = ["BookSide", "MarketData"]

RECONNECT_WAIT_S = 0.5
QUIET_S_MAX = 1.0  # after this long without a message a symbol is asked for over REST
POLL_S = 0.5
BOOK_DEPTH = 50
DEPTH_BPS = 10
FIRST_BOOK_S = 5.0

EARLIER_MAX = 512  # some seconds of a busy symbol

BookSide = list[tuple[Decimal, Decimal]]
log = structlog.get_logger(__name__)


class MarketData:
    """Keeps `quotes` current. With `depth` it also keeps whole books, which paper fills walk through.

    The dictionaries `quotes`, `earlier` (the latest quotes), `depth` (visible bid and ask quantity: of the
    touch, or with `depth` of the levels within `DEPTH_BPS` of it) and `warnings` (alarms of the market,
    `market_news`) are shared: accounts hold a reference and read them at any time.
    """

    def __init__(
        self, exchange: Any, failures: type[Exception], symbols: Sequence[str], *, depth: bool
    ) -> None:
        self.exchange = exchange
        self.symbols = list(symbols)
        self.quotes: dict[str, Quote] = {}
        self.earlier: dict[str, deque[Quote]] = {}
        self.depth: dict[str, tuple[Decimal, Decimal]] = {}
        self.warnings: dict[str, Decimal] = {}
        self._accounts: list[AccountState] = []
        self._failures = failures
        self._depth = depth
        self._heard_s: dict[str, float] = {}
        self._touch: dict[str, tuple[Decimal, Decimal]] = {}
        self._marks: dict[str, tuple[Decimal, Decimal]] = {}

    async def start(self) -> None:
        """A first quote of every symbol, and its first book where books are kept. Raises
        `VenueUnavailableError`.
        """
        await self._ask(self.symbols)
        if self._depth:
            try:
                async with asyncio.timeout(FIRST_BOOK_S):
                    await asyncio.gather(*(self._watch_book(symbol) for symbol in self.symbols))
            except (TimeoutError, self._failures) as error:
                raise VenueUnavailableError(f"books: {type(error).__name__}") from None
        missing = [symbol for symbol in self.symbols if symbol not in self.quotes]
        if missing:
            raise VenueUnavailableError(f"no price of {', '.join(missing)} at the venue")

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._loop(self._watch_tickers))
            if self._depth:
                for symbol in self.symbols:
                    group.create_task(self._loop(lambda symbol=symbol: self._watch_book(symbol)))
            else:
                group.create_task(self._loop(self._watch_touch))
            group.create_task(self._poll())

    def account(self, instruments: Mapping[str, Instrument]) -> AccountState:
        """A new account that lives on these prices."""
        found = AccountState(
            instruments=dict(instruments),
            quotes=self.quotes,
            earlier=self.earlier,
            depth=self.depth,
            market_warnings=self.warnings,
        )
        self._accounts.append(found)
        return found

    def change(self, instrument: Instrument) -> None:
        """A contract's rules are others from now on, for every account that trades it."""
        for account in self._accounts:
            if instrument.symbol in account.instruments:
                account.instruments[instrument.symbol] = instrument

    def book(self, symbol: str) -> tuple[BookSide, BookSide]:
        """(bids, asks), best first, as far as the stream carries them."""
        found = self.exchange.orderbooks.get(symbol)
        if found is None:
            return [], []
        return (
            [(decimal_of(level[0]), decimal_of(level[1])) for level in found["bids"][:BOOK_DEPTH]],
            [(decimal_of(level[0]), decimal_of(level[1])) for level in found["asks"][:BOOK_DEPTH]],
        )

    async def _loop(self, watch: Any) -> None:
        while True:
            try:
                await watch()
            except self._failures as error:
                log.warning("market_stream_lost", error=type(error).__name__)
                await asyncio.sleep(RECONNECT_WAIT_S)

    async def _watch_tickers(self) -> None:
        for symbol, ticker in (await self.exchange.watch_tickers(self.symbols)).items():
            self._take_ticker(symbol, ticker["info"])

    async def _watch_touch(self) -> None:
        for symbol, ticker in (await self.exchange.watch_bids_asks(self.symbols)).items():
            self._take_touch(symbol, ticker["bid"], ticker["ask"])
            if not self._depth:
                self.depth[symbol] = decimal_of(ticker["bidVolume"]), decimal_of(ticker["askVolume"])

    async def _watch_book(self, symbol: str) -> None:
        found = await self.exchange.watch_order_book(symbol, BOOK_DEPTH)
        if found["bids"] and found["asks"]:
            self._take_touch(symbol, found["bids"][0][0], found["asks"][0][0])
            bids, asks = self.book(symbol)
            self.depth[symbol] = _within(bids), _within(asks)

    def _take_ticker(self, symbol: str, raw: dict[str, Any], *, touch: bool = False) -> None:
        self._marks[symbol] = decimal_of(raw.get("markPrice")), decimal_of(raw.get("lastPrice"))
        bid, ask = decimal_of(raw.get("bid1Price")), decimal_of(raw.get("ask1Price"))
        if touch or symbol not in self._touch:
            self._touch[symbol] = bid, ask
        self._publish(symbol)

    def _take_touch(self, symbol: str, bid: object, ask: object) -> None:
        self._touch[symbol] = decimal_of(bid), decimal_of(ask)
        self._publish(symbol)

    def _publish(self, symbol: str) -> None:
        now_ms = time.time_ns() // 1_000_000
        self._heard_s[symbol] = time.monotonic()
        touch, marks = self._touch.get(symbol), self._marks.get(symbol)
        if touch is not None and marks is not None:
            quote = Quote(touch[0], touch[1], marks[0], marks[1], now_ms)
            self.quotes[symbol] = quote
            self.earlier.setdefault(symbol, deque(maxlen=EARLIER_MAX)).append(quote)

    async def _poll(self) -> None:
        while True:
            await asyncio.sleep(POLL_S)
            before_s = time.monotonic() - QUIET_S_MAX
            quiet = [symbol for symbol in self.symbols if self._heard_s.get(symbol, 0.0) < before_s]
            if not quiet:
                continue
            try:
                await self._ask(quiet)
            except VenueUnavailableError as error:
                log.warning("market_poll_failed", error=str(error))

    async def _ask(self, symbols: Sequence[str]) -> None:
        wanted = {self.exchange.market(symbol)["id"]: symbol for symbol in symbols}
        try:
            answer = await self.exchange.publicGetV5MarketTickers({"category": "linear"})
        except self._failures as error:
            raise VenueUnavailableError(f"tickers: {type(error).__name__}") from None
        for row in body_of("tickers", answer)["list"]:
            if row["symbol"] in wanted:
                self._take_ticker(wanted[row["symbol"]], row, touch=True)


def _within(side: BookSide) -> Decimal:
    """What is offered within `DEPTH_BPS` of the best price."""
    best = side[0][0]
    return sum((qty for price, qty in side if abs(price - best) <= best * DEPTH_BPS / 10_000), Decimal(0))
