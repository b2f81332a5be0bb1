"""Any venue through ccxt's unified calls: fills, positions, quotes, wallet, funding and cash flows.

Belongs here: what ccxt makes the same for all venues, and what has to be looked up in the venue's own words
(which side of a hedge, liquidations). Does not belong here: Bybit (`bybit` reads its rows exactly).

ccxt gives numbers as floats made from the venue's text; their shortest form is that text again for every
price and quantity of up to 15 digits. What a venue has no stream for is read by REST, every few seconds.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Awaitable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final, Literal, TypeVar

import ccxt.pro

from relay.core.account import Fill, Leg, LegName, Position, Quote, WalletEvent, hedged
from relay.errors import ConfigurationError
from relay.protocol.messages import Cause
from relay.venue.port import (
    BOOK_LEVELS,
    KEEP_ALIVE_MS,
    REQUEST_TIMEOUT_MS,
    Levels,
    VenueAddress,
    VenueUnavailable,
    Wallet,
    answered,
    decimal_of,
    levels_of,
)

__all__ = ["UnifiedVenue"]

PAGE: Final = 100
PAGES_MAX: Final = 50
POLL_S: Final = 5.0  # where a venue has no stream for something
_NEEDED: Final = ("watchMyTrades", "fetchMyTrades", "fetchPositions", "fetchBalance")
_STABLE: Final = ("USDT", "USDC", "USD")
_SIDE_FIELDS: Final = ("positionSide", "posSide", "holdSide", "position_side")
_FORCED: Final = re.compile(r"(?<![a-z])(liquidat|bust|burst|takeover|adl|deleverag)")
_OWN_WORDS: Final = re.compile(r"client|clord|link|label|tag", re.IGNORECASE)  # fields that the leader fills
_CASH_FLOWS: Final = (
    "transaction",
    "transfer",
    "deposit",
    "withdrawal",
    "rebate",
    "cashback",
    "airdrop",
    "referral",
)
_Answer = TypeVar("_Answer")


class UnifiedVenue:
    """`Venue` over an exchange object of `ccxt.pro`."""

    def __init__(self, exchange: Any, where: str) -> None:
        """Raises `ConfigurationError` for a venue that cannot tell its fills."""
        self._exchange = exchange
        self._where = where
        missing = [name for name in _NEEDED if not exchange.has.get(name)]
        if missing:
            raise ConfigurationError([f"venue.exchange: {where} has no {', '.join(missing)}"])

    @classmethod
    def open(cls, address: VenueAddress) -> UnifiedVenue:
        """The account at an address. Raises `ConfigurationError` for a venue that ccxt does not know."""
        made = getattr(ccxt.pro, address.exchange, None)
        if made is None or address.exchange not in ccxt.pro.exchanges:
            raise ConfigurationError([f"venue.exchange: {address.exchange} is none of ccxt.pro's exchanges"])
        api_key, secret = address.credentials()
        settings: dict[str, Any] = {
            "apiKey": api_key,
            "secret": secret,
            "timeout": REQUEST_TIMEOUT_MS,
            "enableRateLimit": True,
            "options": {"defaultType": "swap", "adjustForTimeDifference": True},
        }
        if address.passphrase() is not None:
            settings["password"] = address.passphrase()
        exchange = made(settings)
        exchange.streaming["keepAlive"] = KEEP_ALIVE_MS
        if address.sandbox:
            exchange.set_sandbox_mode(True)
        return cls(exchange, address.exchange)

    async def watch_fills(self) -> list[Fill]:
        """New trades of this account."""
        return self._fills(await self._ask(self._exchange.watch_my_trades()))

    async def watch_positions(self, symbols: Sequence[str]) -> dict[str, Position]:
        """Positions that were changed."""
        if not self._exchange.has.get("watchPositions"):
            await asyncio.sleep(POLL_S)
            return await self.fetch_positions(symbols)
        await self._ask(self._exchange.watch_positions(list(symbols)))
        return await self.fetch_positions(symbols)  # the stream may tell one side of a hedge only

    async def watch_wallet(self) -> Wallet:
        """The wallet after its next change."""
        if not self._exchange.has.get("watchBalance"):
            await asyncio.sleep(POLL_S)
            return await self.fetch_wallet()
        return self._wallet(await self._ask(self._exchange.watch_balance()))

    async def watch_quotes(self, symbols: Sequence[str]) -> dict[str, Quote]:
        """The symbols whose prices changed."""
        if self._exchange.has.get("watchTickers"):
            tickers = await self._ask(self._exchange.watch_tickers(list(symbols)))
        elif self._exchange.has.get("watchTicker") and len(symbols) == 1:
            tickers = {symbols[0]: await self._ask(self._exchange.watch_ticker(symbols[0]))}
        else:
            await asyncio.sleep(POLL_S)
            tickers = await self._ask(self._exchange.fetch_tickers(list(symbols)))
        return {symbol: _quote(tickers[symbol]) for symbol in symbols if symbol in tickers}

    async def fetch_fills(self, since_ms: int) -> list[Fill]:
        """All trades since then, oldest first."""
        await self._ask(self._exchange.load_markets())
        found: dict[str, Fill] = {}
        start_ms = since_ms
        for _ in range(PAGES_MAX):
            trades = await self._ask(self._exchange.fetch_my_trades(None, start_ms, PAGE))
            fills = self._fills(trades)
            new = [fill for fill in fills if fill.fill_id not in found and fill.exec_ms >= since_ms]
            found.update((fill.fill_id, fill) for fill in new)
            if not new or len(trades) < PAGE:
                break
            start_ms = max(fill.exec_ms for fill in new)
        return sorted(found.values(), key=lambda fill: fill.exec_ms)

    async def fetch_positions(self, symbols: Sequence[str]) -> dict[str, Position]:
        """Open positions of the account; `symbols` are flat where it has none."""
        await self._ask(self._exchange.load_markets())
        rows = await self._ask(self._exchange.fetch_positions())
        return {symbol: Position() for symbol in symbols} | _positions(rows)

    async def fetch_wallet(self) -> Wallet:
        """The wallet now."""
        return self._wallet(await self._ask(self._exchange.fetch_balance()))

    async def fetch_wallet_events(self, since_ms: int) -> list[WalletEvent]:
        """From the ledger where ccxt has one of this venue; none elsewhere: equity tells of them then."""
        if not self._exchange.has.get("fetchLedger"):
            return []
        rows = await self._ask(self._exchange.fetch_ledger(None, since_ms, PAGE))
        seen_ms = time.time_ns() // 1_000_000
        events = [_event(row, seen_ms) for row in rows if row.get("currency") in _STABLE]
        found = [event for event in events if event is not None]
        return sorted(found, key=lambda event: event.exec_ms)

    async def fetch_book(self, symbol: str) -> tuple[Levels, Levels]:
        """The book's upper levels."""
        book = await self._ask(self._exchange.fetch_order_book(symbol, BOOK_LEVELS))
        return levels_of(book["bids"]), levels_of(book["asks"])

    async def now_ms(self) -> int:
        """The venue's clock; ours where it does not tell."""
        if not self._exchange.has.get("fetchTime"):
            return time.time_ns() // 1_000_000
        return int(await self._ask(self._exchange.fetch_time()))

    async def close(self) -> None:
        """Close all sockets."""
        await self._exchange.close()

    def _fills(self, trades: Sequence[Mapping[str, Any]]) -> list[Fill]:
        seen_ms = time.time_ns() // 1_000_000
        return [_fill(trade, seen_ms) for trade in trades if trade.get("id") and trade.get("amount")]

    def _wallet(self, balance: Mapping[str, Any]) -> Wallet:
        total = balance.get("total")
        if not isinstance(total, Mapping):
            raise VenueUnavailable("venue: the wallet's answer cannot be read")
        return Wallet(sum((decimal_of(total.get(coin)) for coin in _STABLE), Decimal(0)))

    async def _ask(self, call: Awaitable[_Answer]) -> _Answer:
        return await answered(call, self._where)


def _fill(trade: Mapping[str, Any], seen_ms: int) -> Fill:
    info = trade.get("info") or {}
    side: Literal["buy", "sell"] = "buy" if trade["side"] == "buy" else "sell"
    fee = trade.get("fee") or {}
    return Fill(
        fill_id=str(trade["id"]),
        order_id=str(trade.get("order") or ""),
        symbol=str(trade["symbol"]),
        side=side,
        qty=decimal_of(trade["amount"]),
        price=decimal_of(trade["price"]),
        fee=decimal_of(fee.get("cost")) if fee.get("currency") in (None, *_STABLE) else Decimal(0),
        cause=_cause(info),
        exec_ms=int(trade["timestamp"]),
        seen_ms=seen_ms,
        leg=_leg(info),
    )


def _cause(info: Mapping[str, Any]) -> Cause:
    """Venues say in one field or another that a trade was not the leader's own; never in those that are his
    to fill, or he could call a close of his a forced one.
    """
    for name, value in info.items():
        if not isinstance(value, str) or len(value) > 40 or _OWN_WORDS.search(name):
            continue
        word = _FORCED.search(value.lower())
        if word is not None and not (name == "text" and value.startswith("t-")):  # gate's client order ids
            return "adl" if word[0] in ("adl", "deleverag") else "liquidation"
    return "trade"


def _leg(info: Mapping[str, Any]) -> LegName:
    for name in _SIDE_FIELDS:
        value = str(info.get(name, "")).lower()
        if value in ("long", "short"):
            return "long" if value == "long" else "short"
    return "net"


def _positions(rows: Sequence[Mapping[str, Any]]) -> dict[str, Position]:
    sides: dict[str, dict[str, Mapping[str, Any]]] = {}
    for row in rows:
        sides.setdefault(str(row["symbol"]), {})[str(row.get("side") or "long")] = row
    found: dict[str, Position] = {}
    for symbol, legs in sides.items():
        first = next(iter(legs.values()))
        margin_mode: Literal["cross", "isolated"] = (
            "isolated" if first.get("marginMode") == "isolated" else "cross"
        )
        if any(row.get("hedged") for row in legs.values()):
            long, short = _leg_of(legs.get("long")), _leg_of(legs.get("short"))
            found[symbol] = hedged(Position(margin_mode=margin_mode, long=long, short=short))
            continue
        leg = _leg_of(first)
        sign = -1 if first.get("side") == "short" else 1
        found[symbol] = Position(
            sign * leg.qty, leg.entry_price, leg.leverage, leg.take_profit, leg.stop_loss, margin_mode
        )
    return found


def _leg_of(row: Mapping[str, Any] | None) -> Leg:
    if row is None:
        return Leg()
    qty = decimal_of(row.get("contracts")) * decimal_of(row.get("contractSize") or 1)
    return Leg(
        qty=qty,
        entry_price=decimal_of(row.get("entryPrice")) if qty else Decimal(0),
        leverage=decimal_of(row.get("leverage")),
        take_profit=decimal_of(row.get("takeProfitPrice")) if qty else Decimal(0),
        stop_loss=decimal_of(row.get("stopLossPrice")) if qty else Decimal(0),
    )


def _quote(ticker: Mapping[str, Any]) -> Quote:
    last = decimal_of(ticker.get("last"))
    return Quote(
        mark=decimal_of(ticker.get("markPrice")) or last,
        index=decimal_of(ticker.get("indexPrice")) or last,
        last=last,
        bid=decimal_of(ticker.get("bid")) or last,
        ask=decimal_of(ticker.get("ask")) or last,
    )


def _event(row: Mapping[str, Any], seen_ms: int) -> WalletEvent | None:
    """Rows of trades and their fees are left out: fills tell of those."""
    kind = str(row.get("type") or "").lower()
    info = row.get("info") or {}
    words = " ".join(str(info.get(name, "")) for name in ("type", "incomeType", "businessType", "bizType"))
    is_funding = "funding" in f"{kind} {words}".lower() or "settlement" in words.lower()
    if not is_funding and kind not in _CASH_FLOWS:
        return None
    amount = decimal_of(row.get("amount"))
    if row.get("direction") == "out":
        amount = -abs(amount)
    if not amount or not row.get("id"):
        return None
    return WalletEvent(
        event_id=f"wallet-{row['id']}",
        cause="funding" if is_funding else "cash_flow",
        amount=amount,
        symbol=str(row["symbol"]) if row.get("symbol") else None,
        exec_ms=int(row.get("timestamp") or seen_ms),
        seen_ms=seen_ms,
    )
