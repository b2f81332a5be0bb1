"""The venue port over ccxt (Bybit v5): the follower's only importer of ccxt.

Belongs here: ccxt's calls and rows, in and out. Does not belong here: what a code means (`outcomes`), the
rows (`v5_rows`), folding fills (`account`), prices (`market_data`).

Rows are read from ccxt's `info`, the venue's own strings, so no amount passes through a float. Reads are
retried by whoever asks; an order call is sent once and its ending reported.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from contextlib import suppress
from decimal import ROUND_CEILING, Decimal
from typing import Any

import ccxt
import ccxt.pro
import structlog

from follower_client.core.snapshot import Instrument, Quote
from follower_client.errors import FollowerError, TryAgainError, VenueUnavailableError
from follower_client.venue.account import AccountState, Holding
from follower_client.venue.market_data import MarketData
from follower_client.venue.outcomes import ending_of, venue_code
from follower_client.venue.port import (
    Ending,
    OrderRequest,
    SubmitResult,
    VenueFill,
    VenueListener,
    VenueOrder,
)
from follower_client.venue.v5_rows import decimal_of, fill_of, instrument_of, order_of

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
LEVERAGE_HEADROOM = Decimal("1.25")

log = structlog.get_logger(__name__)


def make_exchange(
    rest_url: str | None, ws_url: str | None, api_key: str = "", api_secret: str = "", *, depth: bool = False
) -> Any:
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
            tiers = await exchange.publicGetV5MarketRiskLimit(query)
            found[symbol] = instrument_of(symbol, market, tiers["result"]["list"])
    except ccxt.BaseError as error:
        raise TryAgainError(f"venue: markets cannot be read ({_plain(error)})") from None
    if not found:
        raise FollowerError("policy.symbols: none of them is a linear perpetual of this venue")
    return found


def _plain(error: Exception) -> str:
    """An error without the request in it: the class and the venue's code."""
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
        except ccxt.BaseError as error:
            raise TryAgainError(f"venue: the account cannot be read ({_plain(error)})") from None
        if any(int(row.get("positionIdx") or 0) != 0 for row in rows):
            raise FollowerError("venue: the account is in hedge mode; one-way mode is needed")
        self._adopt(rows, force=True)

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
            return _ending(error)
        order_id = answer["info"].get("orderId")
        return SubmitResult(Ending.ACCEPTED if order_id else Ending.UNKNOWN, order_id)

    async def cancel(self, symbol: str, client_order_id: str) -> None:
        with suppress(ccxt.BaseError):
            await self._exchange.privatePostV5OrderCancel(self._query(symbol, orderLinkId=client_order_id))

    async def fetch_by_client_id(self, symbol: str, client_order_id: str) -> VenueOrder | None:
        query = self._query(symbol, orderLinkId=client_order_id)
        try:
            for ask in (self._exchange.privateGetV5OrderRealtime, self._exchange.privateGetV5OrderHistory):
                for row in (await ask(query))["result"]["list"]:
                    if row["orderLinkId"] == client_order_id:
                        return order_of(row)
        except ccxt.BaseError as error:
            raise VenueUnavailableError(f"order query: {_plain(error)}") from None
        return None

    async def fetch_fills(self, symbol: str, order_id: str) -> list[VenueFill]:
        fills = [fill for fill in await self._executions(orderId=order_id) if fill.order_id == order_id]
        for fill in fills:
            self._hear_fill(fill)
        return fills

    async def fetch_positions(self) -> dict[str, Decimal]:
        try:
            rows = await self._position_rows()
        except ccxt.BaseError as error:
            raise VenueUnavailableError(f"positions: {_plain(error)}") from None
        self._adopt(rows, force=False)
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
        while True:
            await asyncio.sleep(BACKFILL_S)
            try:
                await self._backfill()
            except (ccxt.BaseError, VenueUnavailableError) as error:
                log.warning("account_poll_failed", error=_plain(error))

    async def _backfill(self) -> None:
        """What the streams may have dropped: executions since the last look, then wallet and positions."""
        asked_ms = self._venue_ms()
        for fill in await self._executions(startTime=self._since_ms):
            self._hear_fill(fill)
        self._since_ms = asked_ms - BACKFILL_OVERLAP_MS
        rows = await self._position_rows()
        quiet = time.monotonic() - max(self._last_fill_s.values(), default=0.0) > QUIET_S
        if quiet:
            self._adopt(rows, force=False)
            await self._read_wallet()

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
        answer = await self._exchange.privateGetV5AccountWalletBalance({"accountType": "UNIFIED"})
        for row in answer["result"]["list"]:
            self._take_wallet(row)

    def _take_wallet(self, row: dict[str, Any]) -> None:
        for coin in row.get("coin", []):
            if coin["coin"] == "USDT":
                self.account.wallet_balance = decimal_of(coin["walletBalance"])

    async def _position_rows(self) -> list[dict[str, Any]]:
        query = {"category": "linear", "settleCoin": "USDT", "limit": 200}
        answer = await self._exchange.privateGetV5PositionList(query)
        rows: list[dict[str, Any]] = answer["result"]["list"]
        return rows

    def _adopt(self, rows: list[dict[str, Any]], *, force: bool) -> None:
        """Take the venue's positions; a symbol with a fill within `QUIET_S` keeps what its fills say."""
        now_s = time.monotonic()
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
            if force or now_s - self._last_fill_s.get(symbol, 0.0) > QUIET_S:
                self.account.holdings[symbol] = found.get(symbol, Holding())

    async def _executions(self, **query: Any) -> list[VenueFill]:
        try:
            answer = await self._exchange.privateGetV5ExecutionList(
                {"category": "linear", "limit": 100, **query}
            )
        except ccxt.BaseError as error:
            raise VenueUnavailableError(f"executions: {_plain(error)}") from None
        return [
            fill
            for row in answer["result"]["list"]
            if (fill := fill_of(row, self._symbols_by_id)) is not None
        ]

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


def _ending(error: ccxt.BaseError) -> SubmitResult:
    text = str(error)
    code = venue_code(text)
    if not code and isinstance(error, (ccxt.ArgumentsRequired, ccxt.BadSymbol, ccxt.InvalidOrder)):
        return SubmitResult(Ending.REJECTED, None, "local", "ccxt refused to send it")
    status = "429" if isinstance(error, ccxt.RateLimitExceeded) else ""
    return SubmitResult(ending_of(code, http_status=status), None, code, _plain(error))
