"""The venue port over ccxt (Bybit v5): the follower's only importer of ccxt.

Belongs here: ccxt's calls and rows, in and out. Does not belong here: what a code means (`outcomes`), the
rows (`v5_rows`), folding fills (`account`), prices (`market_data`).

Rows are read from ccxt's `info`, the venue's own strings, so no amount passes through a float. Reads are
retried by whoever asks; an order call is sent once and its ending reported.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import OrderedDict
from collections.abc import Awaitable
from contextlib import suppress
from decimal import ROUND_CEILING, Decimal
from typing import Any

import ccxt
import ccxt.pro
import structlog

from follower_client.core.snapshot import Instrument, Quote
from follower_client.errors import ConfigurationError, FollowerError, TryAgainError, VenueUnavailableError
from follower_client.venue.account import AccountState, Holding
from follower_client.venue.market_data import MarketData
from follower_client.venue.outcomes import CLOCK_REFUSED, ending_of, venue_code
from follower_client.venue.port import (
    Ending,
    OrderRequest,
    SubmitResult,
    VenueFill,
    VenueListener,
    VenueOrder,
)
from follower_client.venue.v5_rows import body_of, decimal_of, fill_of, instrument_of, order_of

__all__ = ["CCXT_FAILURES", "CcxtAdapter", "load_instruments", "make_exchange"]

CCXT_FAILURES = ccxt.BaseError
RECV_WINDOW_MS = 2000
REQUEST_TIMEOUT_MS = 4000
RECONNECT_WAIT_S = 0.5
BACKFILL_S = 3.0  # how often executions and positions are compared over REST
BACKFILL_OVERLAP_MS = 5000
QUIET_S = 1.0  # a position of the stream is believed against own fills after this long without one
SETTLE_S = 0.02  # lets the fills of one burst be applied before the wallet row that includes them
SEEN_FILLS_MAX = 20_000
START_READS_MAX = 5
PAGES_MAX = 50  # of executions, per look
LEVERAGE_HEADROOM = Decimal("1.25")

log = structlog.get_logger(__name__)


def make_exchange(rest_url: str | None, ws_url: str | None, api_key: str = "", api_secret: str = "") -> Any:
    """A ccxt.pro bybit that can only reach the given addresses (the real venue's where they are `None`)."""
    config: dict[str, Any] = {
        "apiKey": api_key,
        "secret": api_secret,
        "enableRateLimit": False,  # its queue would delay signed requests past their window
        "timeout": REQUEST_TIMEOUT_MS,
        "options": {
            "defaultType": "swap",
            "fetchMarkets": {"types": ["linear"]},
            "adjustForTimeDifference": True,
            "recvWindow": RECV_WINDOW_MS,
            "maxRetriesOnFailure": 0,  # ccxt would send an order again
            "enableUnifiedMargin": False,
            "enableUnifiedAccount": True,
        },
    }
    if rest_url is not None and ws_url is not None:
        rest, streams = rest_url.rstrip("/"), ws_url.rstrip("/")
        private = f"{streams}/v5/private"
        urls: dict[str, Any] = dict.fromkeys(("spot", "futures", "v2", "public", "private"), rest)
        urls["ws"] = {
            "public": {
                kind: f"{streams}/v5/public/{kind}" for kind in ("spot", "linear", "inverse", "option")
            },
            "private": {
                "spot": {"unified": private, "nonUnified": private},
                "contract": private,
                "usdc": private,
                "trade": f"{streams}/v5/trade",
            },
        }
        config["urls"] = {"api": urls, "test": urls, "demotrading": urls}
    exchange = ccxt.pro.bybit(config)
    exchange.has["fetchCurrencies"] = False
    assert exchange.options["maxRetriesOnFailure"] == 0
    return exchange


async def load_instruments(exchange: Any, symbols: list[str], *, required: bool) -> dict[str, Instrument]:
    """Filters and tiers of the wanted symbols. Raises `TryAgainError` or, for a wrong symbol,
    `FollowerError`.
    """
    found: dict[str, Instrument] = {}
    try:
        await exchange.load_markets()
        for symbol in symbols:
            market = exchange.markets.get(symbol)
            if market is None or not market.get("linear") or not market.get("swap"):
                if required:
                    raise FollowerError(f"policy.symbols: {symbol} is not a linear perpetual of this venue")
                continue
            query = {"category": "linear", "symbol": market["id"]}
            tiers = await _answer("tiers", exchange.publicGetV5MarketRiskLimit(query))
            found[symbol] = instrument_of(symbol, market, tiers["list"])
    except (ccxt.BaseError, VenueUnavailableError) as error:
        raise TryAgainError(f"venue: markets cannot be read ({_plain(error)})") from None
    if not found:
        raise FollowerError("policy.symbols: none of them is a linear perpetual of this venue")
    return found


def _plain(error: Exception) -> str:
    """An error without the request in it: the class and the venue's code."""
    if isinstance(error, VenueUnavailableError):
        return str(error)
    code = venue_code(str(error))
    return f"{type(error).__name__} {code}".strip()


class CcxtAdapter:
    """One account at Bybit v5, live (or at a venue that speaks the same wire)."""

    paper = False
    recv_window_ms = RECV_WINDOW_MS

    def __init__(
        self,
        exchange: Any,
        market_data: MarketData,
        instruments: dict[str, Instrument],
        *,
        leverage_max: Decimal,
    ) -> None:
        self.account = AccountState(instruments=dict(instruments), quotes=market_data.quotes)
        self._exchange = exchange
        self._market_data = market_data
        self._leverage_max = leverage_max
        self._listener: VenueListener | None = None
        self._seen: OrderedDict[str, None] = OrderedDict()
        self._last_fill_s: dict[str, float] = {}
        self._since_ms = 0
        self._floor_ms = 0  # the positions read at the start include every execution before it
        self._symbols_by_id: dict[str, str] = {}

    async def start(self, listener: VenueListener) -> None:
        self._listener = listener
        self._exchange.set_markets_from_exchange(self._market_data.exchange)
        self._symbols_by_id = {
            self._exchange.markets[symbol]["id"]: symbol for symbol in self.account.instruments
        }
        try:
            await self._exchange.load_time_difference()
            self._floor_ms = self._since_ms = self._venue_ms() - BACKFILL_OVERLAP_MS
            for symbol in self.account.instruments:
                await self._set_leverage(symbol)
            await self._read_wallet()
            rows = await self._first_positions()
        except ccxt.AuthenticationError as error:
            told = f"venue.api_key, venue.api_secret: a key that the venue knows is needed ({_plain(error)})"
            raise ConfigurationError([told]) from None
        except (ccxt.BaseError, VenueUnavailableError) as error:
            raise TryAgainError(f"venue: the account cannot be read ({_plain(error)})") from None
        if any(int(row.get("positionIdx") or 0) != 0 for row in rows):
            raise FollowerError("venue: the account is in hedge mode; one-way mode is needed")
        self._adopt(rows, math.inf)

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            for watch in (self._watch_fills, self._watch_orders, self._watch_wallet):
                group.create_task(self._loop(watch))
            group.create_task(self._backfill_loop())

    async def submit(self, request: OrderRequest) -> SubmitResult:
        params: dict[str, Any] = {"clientOrderId": request.client_order_id}
        if request.reduce_only:
            params["reduceOnly"] = True
        if request.limit_price is not None:
            params["timeInForce"] = "IOC"
        try:
            answer = await self._exchange.create_order(
                request.symbol,
                "market" if request.limit_price is None else "limit",
                "buy" if request.is_buy else "sell",
                str(request.qty),
                None if request.limit_price is None else str(request.limit_price),
                params,
            )
        except ccxt.BaseError as error:
            ending = _ending(error)
            if ending.code == CLOCK_REFUSED:
                await self._read_clock()
            return ending
        order_id = answer["info"].get("orderId")
        return SubmitResult(Ending.ACCEPTED if order_id else Ending.UNKNOWN, order_id)

    async def fetch_by_client_id(self, symbol: str, client_order_id: str) -> VenueOrder | None:
        query = self._query(symbol, orderLinkId=client_order_id)
        for ask in (self._exchange.privateGetV5OrderRealtime, self._exchange.privateGetV5OrderHistory):
            for row in (await _answer("order query", ask(query)))["list"]:
                if row["orderLinkId"] == client_order_id:
                    return order_of(row)
        return None

    async def fetch_fills(self, symbol: str, order_id: str) -> list[VenueFill]:
        fills = [fill for fill in await self._executions(orderId=order_id) if fill.order_id == order_id]
        for fill in fills:
            self._hear_fill(fill)
        return fills

    async def fetch_positions(self) -> dict[str, Decimal]:
        await self._compare()
        return self.account.positions()

    async def close(self) -> None:
        with suppress(Exception):
            await self._exchange.close()

    # --- streams

    async def _loop(self, watch: Any) -> None:
        while True:
            try:
                await watch()
            except ccxt.BaseError as error:
                log.warning("account_stream_lost", stream=watch.__name__, error=_plain(error))
                await asyncio.sleep(RECONNECT_WAIT_S)

    async def _watch_fills(self) -> None:
        for trade in await self._exchange.watch_my_trades():
            fill = fill_of(trade["info"], self._symbols_by_id)
            if fill is not None:
                self._hear_fill(fill)

    async def _watch_orders(self) -> None:
        for order in await self._exchange.watch_orders():
            if self._listener is not None and order["info"].get("orderLinkId"):
                self._listener.on_order(order_of(order["info"]))

    async def _watch_wallet(self) -> None:
        rows = (await self._exchange.watch_balance())["info"]
        await asyncio.sleep(SETTLE_S)
        for row in rows:
            self._take_wallet(row)

    async def _backfill_loop(self) -> None:
        """What the streams may have dropped, and what no stream tells."""
        while True:
            await asyncio.sleep(BACKFILL_S)
            try:
                if await self._compare():
                    await self._read_wallet()
            except VenueUnavailableError as error:
                log.warning("account_poll_failed", error=str(error))
                await self._read_clock()  # after a step of the clock every signed call is refused

    async def _compare(self) -> bool:
        """Take over the venue's positions but of symbols that trade. Whether all of them are quiet.

        Executions are read after the positions, so a fill that the positions show has been heard by then,
        and its symbol keeps what its fills say; likewise a fill while the answers are on their way.
        """
        before_s, asked_ms = time.monotonic() - QUIET_S, self._venue_ms()
        rows = await self._position_rows()
        for fill in await self._executions(startTime=self._since_ms):
            self._hear_fill(fill)
        self._since_ms = asked_ms - BACKFILL_OVERLAP_MS
        self._adopt(rows, before_s)
        return self._newest_fill_s < before_s

    async def _first_positions(self) -> list[dict[str, Any]]:
        """Positions, with every execution that they include marked as seen, so that none is folded in
        twice.
        """
        for _ in range(START_READS_MAX):
            before = await self._executions(startTime=self._floor_ms)
            rows = await self._position_rows()
            after = await self._executions(startTime=self._floor_ms)
            if len(before) == len(after):
                for fill in after:
                    self._remember(fill.fill_id)
                return rows
        raise TryAgainError("venue: the account trades too fast to be read; another program uses it")

    # --- rows

    def _venue_ms(self) -> int:
        return int(time.time() * 1000 - self._exchange.options.get("timeDifference", 0))

    def _query(self, symbol: str, **fields: str) -> dict[str, Any]:
        return {"category": "linear", "symbol": self._exchange.market(symbol)["id"], **fields}

    async def _read_clock(self) -> None:
        with suppress(ccxt.BaseError):
            await self._exchange.load_time_difference()

    async def _set_leverage(self, symbol: str) -> None:
        """High enough that the margin of a position at the cap fits; the cap itself is the policy's."""
        tiers = self.account.instruments[symbol].tiers
        wanted = (self._leverage_max * LEVERAGE_HEADROOM + 1).to_integral_value(ROUND_CEILING)
        leverage = min([wanted, *(tier.leverage_max for tier in tiers[:1])])
        body = self._query(symbol, buyLeverage=str(leverage), sellLeverage=str(leverage))
        try:
            await self._exchange.privatePostV5PositionSetLeverage(body)
        except ccxt.BaseError as error:
            if venue_code(str(error)) != "110043":
                raise
        self.account.leverage_settings[symbol] = leverage

    async def _read_wallet(self) -> None:
        newest_s = self._newest_fill_s
        call = self._exchange.privateGetV5AccountWalletBalance({"accountType": "UNIFIED"})
        for row in (await _answer("wallet", call))["list"]:
            if self._newest_fill_s == newest_s:  # else what was read is older than what the fills say
                self._take_wallet(row)

    def _take_wallet(self, row: dict[str, Any]) -> None:
        for coin in row.get("coin", []):
            if coin["coin"] == "USDT":
                self.account.wallet_balance = decimal_of(coin["walletBalance"])

    async def _position_rows(self) -> list[dict[str, Any]]:
        query = {"category": "linear", "settleCoin": "USDT", "limit": 200}
        answer = await _answer("positions", self._exchange.privateGetV5PositionList(query))
        rows: list[dict[str, Any]] = answer["list"]
        return rows

    @property
    def _newest_fill_s(self) -> float:
        return max(self._last_fill_s.values(), default=0.0)

    def _adopt(self, rows: list[dict[str, Any]], before_s: float) -> None:
        """Take the venue's positions; a symbol with a fill since `before_s` keeps what its fills say."""
        found: dict[str, Holding] = {}
        for row in rows:
            symbol = self._symbols_by_id.get(row["symbol"])
            if symbol is None:
                symbol = self._exchange.safe_symbol(row["symbol"], None, None, "swap")
                mark = decimal_of(row.get("markPrice"))
                self.account.quotes[symbol] = Quote(mark, mark, mark, mark, time.time_ns() // 1_000_000)
            size = decimal_of(row["size"]) * (-1 if row["side"] == "Sell" else 1)
            found[symbol] = Holding(size, decimal_of(row.get("avgPrice") or row.get("entryPrice")))
        for symbol in {*found, *self.account.holdings}:
            if self._last_fill_s.get(symbol, 0.0) < before_s:
                self.account.holdings[symbol] = found.get(symbol, Holding())

    async def _executions(self, **query: Any) -> list[VenueFill]:
        """Oldest first. The venue lists the newest first, page by page."""
        rows: list[dict[str, Any]] = []
        request = {"category": "linear", "limit": 100, **query}
        for _ in range(PAGES_MAX):
            answer = await _answer("executions", self._exchange.privateGetV5ExecutionList(dict(request)))
            rows += answer["list"]
            request["cursor"] = answer.get("nextPageCursor")
            if not request["cursor"] or not answer["list"]:
                break
        found = [fill_of(row, self._symbols_by_id) for row in reversed(rows)]
        return [fill for fill in found if fill is not None]

    def _remember(self, fill_id: str) -> bool:
        """Whether it is new."""
        if fill_id in self._seen:
            return False
        self._seen[fill_id] = None
        if len(self._seen) > SEEN_FILLS_MAX:
            self._seen.popitem(last=False)
        return True

    def _hear_fill(self, fill: VenueFill) -> None:
        if self._remember(fill.fill_id) and fill.executed_ms >= self._floor_ms:
            self._last_fill_s[fill.symbol] = time.monotonic()
            self.account.apply_fill(
                fill.symbol, is_buy=fill.is_buy, qty=fill.qty, price=fill.price, fee=fill.fee
            )
        if self._listener is not None:
            self._listener.on_fill(fill)


async def _answer(what: str, call: Awaitable[Any]) -> dict[str, Any]:
    """The body of an answer that lists rows. Raises `VenueUnavailableError` where there is none."""
    try:
        return body_of(what, await call)
    except ccxt.BaseError as error:
        raise VenueUnavailableError(f"{what}: {_plain(error)}") from None


def _ending(error: ccxt.BaseError) -> SubmitResult:
    text = str(error)
    code = venue_code(text)
    if not code and isinstance(error, (ccxt.ArgumentsRequired, ccxt.BadSymbol, ccxt.InvalidOrder)):
        return SubmitResult(Ending.REJECTED, None, "local", "ccxt refused to send it")
    status = "429" if isinstance(error, ccxt.RateLimitExceeded) else ""
    return SubmitResult(ending_of(code, http_status=status), None, code, _plain(error))
