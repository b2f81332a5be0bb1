"""Bybit's v5 answers as fills, positions, quotes and wallet events, exactly (decimal text, never a float).

Belongs here: the rows of its v5 interface, over ccxt's signed calls and sockets. Does not belong here: what
to do about any of it (`relay.feed`), other venues (`unified`).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final, Literal, TypeVar

import ccxt.pro

from relay.core.account import Fill, Leg, LegName, Position, Quote, WalletEvent, hedged
from relay.protocol.messages import Cause
from relay.venue.port import (
    BOOK_LEVELS,
    KEEP_ALIVE_MS,
    REQUEST_TIMEOUT_MS,
    KeyedAddress,
    Levels,
    VenueUnavailable,
    Wallet,
    answered,
    decimal_of,
    levels_of,
)
from relay.venue.stops import StopOrders

__all__ = ["BybitVenue", "make_exchange", "quote_of"]

FILLS_PER_PAGE: Final = 100
EVENTS_PER_PAGE: Final = 50
PAGES_MAX: Final = 50
STRETCH_MS: Final = 7 * 24 * 3600 * 1000  # executions of at most a week are listed at once
CLOCKS_APART_MS: Final = 60_000  # how far the venue's clock may be ahead of ours
_CATEGORIES: Final = ("spot", "linear", "inverse", "option")
_CAUSES: Final[dict[str, Cause]] = {"Trade": "trade", "BustTrade": "liquidation", "AdlTrade": "adl"}
_OF_A_FILL: Final = frozenset({"TRADE", "LIQUIDATION", "ADL", "DELIVERY"})  # in the log of transactions
_SETTLE_COIN: Final = "USDT"
_LEGS: Final[dict[str, LegName]] = {"0": "net", "1": "long", "2": "short"}  # positionIdx
_Answer = TypeVar("_Answer")


def make_exchange(address: KeyedAddress) -> Any:
    """A `ccxt.pro.bybit` that talks to these addresses only, whichever of its modes is chosen."""
    rest, ws = (address.rest_url or "").rstrip("/"), (address.ws_url or "").rstrip("/")

    def endpoints() -> dict[str, Any]:
        private = f"{ws}/v5/private"
        unified = {"unified": private, "nonUnified": private}
        sockets: dict[str, Any] = {
            "public": {name: f"{ws}/v5/public/{name}" for name in _CATEGORIES},
            "private": {"spot": unified, "contract": private, "usdc": private, "trade": f"{ws}/v5/trade"},
        }
        return dict.fromkeys(("spot", "futures", "v2", "public", "private"), rest) | {"ws": sockets}

    api_key, secret = address.credentials()
    exchange = ccxt.pro.bybit(
        {
            "apiKey": api_key,
            "secret": secret,
            "timeout": REQUEST_TIMEOUT_MS,
            "urls": {"api": endpoints(), "test": endpoints(), "demotrading": endpoints()},
            "options": {
                "defaultType": "swap",
                "fetchMarkets": {"types": ["linear"]},
                "adjustForTimeDifference": True,
                "enableUnifiedMargin": False,
                "enableUnifiedAccount": True,
                "watchPositions": {"fetchPositionsSnapshot": False, "awaitPositionsSnapshot": False},
            },
        }
    )
    exchange.has["fetchCurrencies"] = False
    exchange.streaming["keepAlive"] = KEEP_ALIVE_MS
    return exchange


class BybitVenue:
    """`Venue` over Bybit's v5 interface: a unified account, linear USDT perpetuals, one-way or hedged."""

    def __init__(self, address: KeyedAddress) -> None:
        self._where = address.rest_url or "bybit"
        self._exchange = make_exchange(address)
        self._rows: dict[str, dict[LegName, Leg]] = {}  # symbol -> its sides as last told
        self._margin_modes: dict[str, Literal["cross", "isolated"]] = {}
        self._stops = StopOrders(self._exchange, self._ask, ())
        self._modes_known = asyncio.Event()  # an execution does not say which side it moved

    async def watch_fills(self) -> list[Fill]:
        """New executions of this account, as soon as the venue tells."""
        trades = await self._ask(self._exchange.watch_my_trades())
        await self._modes_known.wait()
        return self._fills([trade["info"] for trade in trades])

    async def watch_positions(self, symbols: Sequence[str]) -> dict[str, Position]:
        """Positions that were changed by fills or by hand (leverage, take-profit, stop-loss)."""
        changed = await self._ask(self._exchange.watch_positions(list(symbols)))
        found = self._positions([row["info"] for row in changed])
        return await self._stops.onto(found, lambda _: Decimal(1))

    async def watch_orders(self) -> None:
        """Wait until stops that are orders of their own may have changed."""
        await self._stops.changed()

    async def watch_wallet(self) -> Wallet:
        """The wallet after its next change."""
        balance = await self._ask(self._exchange.watch_balance())
        return _wallet(balance["info"])

    async def watch_quotes(self, symbols: Sequence[str]) -> dict[str, Quote]:
        """The symbols whose prices changed."""
        tickers = await self._ask(self._exchange.watch_tickers(list(symbols)))
        return {symbol: quote_of(ticker["info"]) for symbol, ticker in tickers.items()}

    async def fetch_fills(self, since_ms: int) -> list[Fill]:
        """All executions since then, oldest first, those of one order in their order."""
        await self._markets()
        rows: list[dict[str, Any]] = []
        until_ms = time.time_ns() // 1_000_000 + CLOCKS_APART_MS
        for start_ms in range(since_ms, until_ms, STRETCH_MS):
            found = await self._executions(start_ms, start_ms + STRETCH_MS - 1)
            rows.extend(reversed(found))  # the venue lists the newest first, also within one millisecond
        return sorted(self._fills(rows), key=lambda fill: fill.exec_ms)

    async def _executions(self, start_ms: int, end_ms: int) -> list[dict[str, Any]]:
        request = {"category": "linear", "startTime": start_ms, "endTime": end_ms, "limit": FILLS_PER_PAGE}
        return await self._pages(self._exchange.privateGetV5ExecutionList, request)

    async def _pages(
        self, call: Callable[[dict[str, Any]], Awaitable[Any]], request: dict[str, Any]
    ) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = []
        for _ in range(PAGES_MAX):
            result = _result(await self._ask(call(dict(request))))
            rows.extend(result["list"])
            request["cursor"] = result.get("nextPageCursor")
            if not request["cursor"] or len(result["list"]) < request["limit"]:
                break
        return rows

    async def fetch_positions(self, symbols: Sequence[str]) -> dict[str, Position]:
        """Open positions, and the flat ones of `symbols` for their mode and leverage."""
        await self._markets()
        rows: list[dict[str, Any]] = []
        requests: list[dict[str, Any]] = [{"settleCoin": _SETTLE_COIN, "limit": 200}]
        requests += [{"symbol": self._exchange.market_id(symbol)} for symbol in symbols]
        for request in requests:
            answer = await self._ask(
                self._exchange.privateGetV5PositionList({"category": "linear", **request})
            )
            rows.extend(_result(answer)["list"])
        self._rows.clear()
        found = self._positions(rows)
        self._modes_known.set()
        return await self._stops.onto(found, lambda _: Decimal(1))

    async def fetch_wallet_events(self, since_ms: int) -> list[WalletEvent]:
        """Funding and cash flows in USDT since then, oldest first."""
        rows: list[dict[str, Any]] = []
        until_ms = time.time_ns() // 1_000_000 + CLOCKS_APART_MS
        for start_ms in range(since_ms, until_ms, STRETCH_MS):
            request = {
                "accountType": "UNIFIED",
                "startTime": start_ms,
                "endTime": start_ms + STRETCH_MS - 1,
                "limit": EVENTS_PER_PAGE,
            }
            rows.extend(
                reversed(await self._pages(self._exchange.privateGetV5AccountTransactionLog, request))
            )
        seen_ms = time.time_ns() // 1_000_000
        return [
            WalletEvent(
                event_id=f"wallet-{row['id']}",
                cause="funding" if row.get("type") == "SETTLEMENT" else "cash_flow",
                amount=amount,
                symbol=self._symbol(row) if row.get("symbol") else None,
                exec_ms=int(row["transactionTime"]),
                seen_ms=seen_ms,
            )
            for row in rows
            if row.get("type") not in _OF_A_FILL
            and row.get("currency") == _SETTLE_COIN
            and (amount := decimal_of(row.get("change")))
        ]

    async def fetch_wallet(self) -> Wallet:
        """The wallet now."""
        answer = await self._ask(self._exchange.privateGetV5AccountWalletBalance({"accountType": "UNIFIED"}))
        return _wallet(_result(answer)["list"])

    async def fetch_book(self, symbol: str) -> tuple[Levels, Levels]:
        """The book's upper levels."""
        book = await self._ask(self._exchange.fetch_order_book(symbol, BOOK_LEVELS))
        return levels_of(book["bids"]), levels_of(book["asks"])

    async def now_ms(self) -> int:
        """The venue's clock."""
        return int(await self._ask(self._exchange.fetch_time()))

    async def close(self) -> None:
        """Close all sockets."""
        await self._stops.close()
        await self._exchange.close()

    async def _markets(self) -> None:
        await self._ask(self._exchange.load_markets())

    def _symbol(self, row: dict[str, Any]) -> str:
        symbol: str = self._exchange.safe_symbol(row.get("symbol"), None, None, "contract")
        return symbol

    def _fills(self, rows: Sequence[dict[str, Any]]) -> list[Fill]:
        """Executions that moved a position; funding and the like change the wallet only."""
        seen_ms = time.time_ns() // 1_000_000
        return [
            _fill(row, symbol, cause, seen_ms, self._leg(symbol, row))
            for row in rows
            if (cause := _CAUSES.get(row.get("execType", "Trade"))) is not None
            and (symbol := self._symbol(row))
        ]

    def _leg(self, symbol: str, row: dict[str, Any]) -> LegName:
        """In hedge mode a sale closes the long side if it closed anything, and opens the short one if not."""
        if "net" in self._rows.get(symbol, {"net": Leg()}):
            return "net"
        has_closed = decimal_of(row.get("closedSize")) > 0
        return "long" if (row["side"] == "Buy") != has_closed else "short"

    def _positions(self, rows: Sequence[dict[str, Any]]) -> dict[str, Position]:
        """Rows of one side each, put together by symbol with what is known of the other side."""
        symbols = []
        for row in rows:
            symbol, name = self._symbol(row), _LEGS.get(str(row.get("positionIdx") or "0"), "net")
            legs = self._rows.setdefault(symbol, {})
            for other in [other for other in legs if (other == "net") != (name == "net")]:
                del legs[other]  # the mode was switched
            legs[name] = _leg_of(row)
            self._margin_modes[symbol] = "isolated" if str(row.get("tradeMode")) == "1" else "cross"
            symbols.append(symbol)
        return {symbol: self._position(symbol) for symbol in symbols}

    def _position(self, symbol: str) -> Position:
        legs, margin_mode = self._rows[symbol], self._margin_modes[symbol]
        if "net" not in legs:
            return hedged(
                Position(
                    margin_mode=margin_mode, long=legs.get("long", Leg()), short=legs.get("short", Leg())
                )
            )
        leg = legs["net"]
        return Position(leg.qty, leg.entry_price, leg.leverage, leg.take_profit, leg.stop_loss, margin_mode)

    async def _ask(self, call: Awaitable[_Answer]) -> _Answer:
        return await answered(call, self._where)


def _result(answer: Any) -> dict[str, Any]:
    """The body of an answer that lists rows; a page of a proxy is no answer."""
    result = answer.get("result") if isinstance(answer, dict) else None
    if not isinstance(result, dict) or not isinstance(result.get("list"), list):
        raise VenueUnavailable("venue: an answer that cannot be read")
    return result


def _fill(row: dict[str, Any], symbol: str, cause: Cause, seen_ms: int, leg: LegName) -> Fill:
    leaves = row.get("leavesQty")
    side: Literal["buy", "sell"] = "buy" if row["side"] == "Buy" else "sell"
    return Fill(
        fill_id=str(row["execId"]),
        order_id=str(row.get("orderId") or ""),
        symbol=symbol,
        side=side,
        qty=decimal_of(row["execQty"]),
        price=decimal_of(row["execPrice"]),
        fee=decimal_of(row.get("execFee")),
        cause=cause,
        exec_ms=int(row["execTime"]),
        seen_ms=seen_ms,
        leaves_qty=decimal_of(leaves) if leaves not in (None, "") else None,
        leg=leg,
    )


def _leg_of(row: dict[str, Any]) -> Leg:
    """One row of the list of positions; the qty is signed in one-way mode only."""
    size = decimal_of(row.get("size"))
    is_net = str(row.get("positionIdx") or "0") == "0"
    return Leg(
        qty=-size if is_net and row.get("side") == "Sell" else size,
        entry_price=decimal_of(row.get("avgPrice") or row.get("entryPrice")) if size else Decimal(0),
        leverage=decimal_of(row.get("leverage")),
        take_profit=decimal_of(row.get("takeProfit")) if size else Decimal(0),
        stop_loss=decimal_of(row.get("stopLoss")) if size else Decimal(0),
    )


def quote_of(info: Mapping[str, Any]) -> Quote:
    """A row of tickers."""
    return Quote(
        mark=decimal_of(info.get("markPrice")),
        index=decimal_of(info.get("indexPrice")),
        last=decimal_of(info.get("lastPrice")),
        bid=decimal_of(info.get("bid1Price")),
        ask=decimal_of(info.get("ask1Price")),
        open_interest=decimal_of(info.get("openInterest")),
    )


def _wallet(rows: Sequence[dict[str, Any]]) -> Wallet:
    if not rows:
        raise VenueUnavailable("venue: the wallet's answer is empty")
    total = rows[0].get("totalWalletBalance")
    if total not in (None, ""):
        return Wallet(decimal_of(total))
    coins = rows[0].get("coin") or []
    return Wallet(
        sum((decimal_of(c.get("walletBalance")) for c in coins if c.get("coin") == "USDT"), Decimal(0))
    )
