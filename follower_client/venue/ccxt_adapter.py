"""An account at Bybit v5 over ccxt: the follower's only importer of ccxt.

Belongs here: ccxt's object, its calls and streams as a transport. Does not belong here: what rows and codes
mean (`v5_account`, `outcomes`), prices (`market_data`).

Rows are read from ccxt's `info`, the venue's own strings, so no amount passes through a float.
"""

from __future__ import annotations

import asyncio
import functools
import re
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import ccxt
import ccxt.pro
import structlog

from follower_client.core.snapshot import Instrument
from follower_client.errors import FollowerError, TryAgainError, VenueUnavailableError
from follower_client.venue.market_data import MarketData
from follower_client.venue.outcomes import venue_code
from follower_client.venue.transport import CallError, StreamListener
from follower_client.venue.v5_account import RECV_WINDOW_MS, V5Account
from follower_client.venue.v5_rows import body_of, instrument_of

__all__ = [
    "CCXT_FAILURES",
    "MAPPED_VENUES",
    "CcxtAdapter",
    "CcxtTransport",
    "capabilities",
    "load_instruments",
    "make_exchange",
]

CCXT_FAILURES = ccxt.BaseError
REQUEST_TIMEOUT_MS = 4000
RECONNECT_WAIT_S = 0.5
DISCONNECT_TOPIC = "dcp.future"

MAPPED_VENUES = ("bybit", "binance", "okx", "bitget")
"""Venues whose abilities are read from ccxt's own descriptions. Only Bybit v5 is tried."""

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
    if rest_url is not None and rest_url.startswith("http:"):
        exchange.timeout_on_exit = 0  # what it waits for at the end is TLS
    assert exchange.options["maxRetriesOnFailure"] == 0
    return exchange


async def load_instruments(exchange: Any, symbols: list[str]) -> dict[str, Instrument]:
    """Filters and tiers of those symbols that are linear perpetuals. Raises `TryAgainError`, or
    `FollowerError` where none is.
    """
    found: dict[str, Instrument] = {}
    try:
        await exchange.load_markets()
        for symbol in symbols:
            market = exchange.markets.get(symbol)
            if market is None or not market.get("linear") or not market.get("swap"):
                continue
            query = {"category": "linear", "symbol": market["id"]}
            tiers = body_of("tiers", await exchange.publicGetV5MarketRiskLimit(query))
            found[symbol] = instrument_of(symbol, market, tiers["list"])
    except (ccxt.BaseError, VenueUnavailableError) as error:
        raise TryAgainError(f"venue: markets cannot be read ({_plain(error)})") from None
    if not found:
        told = ", ".join(symbols)
        raise FollowerError(
            f"policy.symbols: was {told}, allowed: linear perpetuals of this venue (BTC/USDT:USDT)"
        )
    return found


def _plain(error: Exception) -> str:
    """An error without the request in it: the class and the venue's code."""
    if isinstance(error, VenueUnavailableError):
        return str(error)
    code = venue_code(str(error))
    return f"{type(error).__name__} {code}".strip()


class CcxtTransport:
    """Calls and private streams of one ccxt object."""

    clock_calls = 1
    has_socket = False

    def __init__(self, exchange: Any) -> None:
        self._exchange = exchange

    async def start(self) -> None:
        """Nothing to open: ccxt connects when it is asked."""

    async def get(self, path: str, query: Mapping[str, Any]) -> Any:
        return await self._call("GET", path, query)

    async def post(self, path: str, body: Mapping[str, Any]) -> Any:
        return await self._call("POST", path, body)

    async def create_order(self, body: Mapping[str, Any]) -> Any:
        return await self._call("POST", "/v5/order/create", body)

    async def read_clock(self) -> tuple[int, int]:
        try:
            difference = await self._exchange.load_time_difference()
        except ccxt.BaseError as error:
            raise _call_error(error) from None
        now_ms = time.time_ns() // 1_000_000
        return now_ms - int(difference or 0), now_ms

    def take_clock(self, ahead_ms: int) -> None:
        self._exchange.options["timeDifference"] = -ahead_ms

    async def run(self, listener: StreamListener) -> None:
        async with asyncio.TaskGroup() as group:
            for watch in (self._watch_fills, self._watch_orders, self._watch_wallet):
                group.create_task(self._loop(watch, listener))
            group.create_task(self._stay_listed())

    async def close(self) -> None:
        with suppress(Exception):
            await self._exchange.close()

    async def _call(self, method: str, path: str, params: Mapping[str, Any]) -> Any:
        try:
            return await getattr(self._exchange, _name(method, path))(dict(params))
        except ccxt.BaseError as error:
            raise _call_error(error) from None

    async def _loop(self, watch: Any, listener: StreamListener) -> None:
        while True:
            try:
                await watch(listener)
            except ccxt.BaseError as error:
                log.warning("account_stream_lost", stream=watch.__name__, error=_plain(error))
                await asyncio.sleep(RECONNECT_WAIT_S)
                listener.on_stream_back()

    async def _stay_listed(self) -> None:
        """The venue counts this connection's silence only while it hears the topic, on which nothing is told;
        ccxt has no call of its own for it.
        """
        while True:
            try:
                url = await self._exchange.get_url_by_market_type(None, True, "watchOrders", {})
                await self._exchange.authenticate(url)
                await self._exchange.watch_topics(url, [DISCONNECT_TOPIC], [DISCONNECT_TOPIC], {})
            except ccxt.NetworkError:
                await asyncio.sleep(RECONNECT_WAIT_S)
            except ccxt.BaseError as error:
                log.warning("no_disconnect_protection", error=_plain(error))
                return

    async def _watch_fills(self, listener: StreamListener) -> None:
        listener.on_execution_rows([trade["info"] for trade in await self._exchange.watch_my_trades()])

    async def _watch_orders(self, listener: StreamListener) -> None:
        listener.on_order_rows([order["info"] for order in await self._exchange.watch_orders()])

    async def _watch_wallet(self, listener: StreamListener) -> None:
        listener.on_wallet_rows((await self._exchange.watch_balance())["info"])


class CcxtAdapter(V5Account):
    """One account at Bybit v5, live (or at a venue that speaks the same wire), over ccxt."""

    def __init__(
        self,
        exchange: Any,
        market_data: MarketData,
        instruments: dict[str, Instrument],
        **terms: Any,
    ) -> None:
        """`terms` as in `V5Account`."""
        exchange.set_markets_from_exchange(market_data.exchange)
        super().__init__(CcxtTransport(exchange), market_data, instruments, **terms)


@functools.cache
def _name(method: str, path: str) -> str:
    """ccxt's own name for an endpoint: `privatePostV5OrderCreate`."""
    words = re.split(r"[/-]", path.strip("/"))
    return f"private{method.title()}{''.join(word[:1].upper() + word[1:] for word in words)}"


def _call_error(error: ccxt.BaseError) -> CallError:
    text = str(error)
    code = venue_code(text)
    is_local = not code and isinstance(error, (ccxt.ArgumentsRequired, ccxt.BadSymbol, ccxt.InvalidOrder))
    status = "429" if isinstance(error, ccxt.RateLimitExceeded) else ""
    return CallError(_plain(error), code=code, http_status=status, is_local=is_local)


def capabilities(venue: str) -> dict[str, bool]:
    """What a follower needs, and whether ccxt says that this venue's linear perpetuals have it."""
    described = getattr(ccxt.pro, venue)()
    if not described.features:
        described.features_generator()  # ccxt fills them in lazily
    has, swap = described.has, (described.features.get("swap") or {}).get("linear") or {}
    order = swap.get("createOrder") or {}
    return {
        "limit_ioc": bool((order.get("timeInForce") or {}).get("IOC")),
        "reduce_only": bool(has.get("createReduceOnlyOrder")),
        "order_lookup": bool(has.get("fetchOrder") and has.get("fetchOpenOrders")),
        "fills": bool(has.get("fetchMyTrades")),
        "positions": bool(has.get("fetchPositions")),
        "fill_stream": bool(has.get("watchMyTrades")),
        "order_stream": bool(has.get("watchOrders")),
        "leverage": bool(has.get("setLeverage")),
        "tiers": bool(has.get("fetchLeverageTiers") or has.get("fetchMarketLeverageTiers")),
        "stop_on_entry": bool(order.get("attachedStopLossTakeProfit")),
        "stop_at_mark": bool((order.get("triggerPriceType") or {}).get("mark")),
        "disconnect_protection": bool(has.get("cancelAllOrdersAfter")),
        "server_time": bool(has.get("fetchTime")),
        "test_environment": bool(has.get("sandbox")),
    }
