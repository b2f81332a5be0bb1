"""What a venue tells everybody of its own risk, over the v5 interface, without a key.

Belongs here: its public rows as plain facts, exactly (decimal text). Does not belong here: how often to ask
and what to keep (`relay.venue_watch`), what a fact means (`relay.core.venue_risk`).
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from relay.core.account import Quote
from relay.core.venue_risk import VenueFact
from relay.venue.bybit import make_exchange, quote_of
from relay.venue.port import VenueUnavailable, answered, decimal_of

__all__ = ["PublicVenue"]

ROWS_MAX = 5_000  # of one answer


@dataclass(frozen=True, slots=True)
class _Keyless:
    rest_url: str | None
    ws_url: str | None = None

    def credentials(self) -> tuple[str, str]:
        return "", ""


class PublicVenue:
    """The venue at an address. Every call raises `VenueUnavailable`."""

    def __init__(self, rest_url: str) -> None:
        self._where = rest_url
        self._exchange = make_exchange(_Keyless(rest_url))

    async def fetch_prices(self, symbols: Collection[str]) -> dict[str, Quote]:
        """Index, mark and last of these symbols (ccxt's names), as far as the venue lists them."""
        await answered(self._exchange.load_markets(), self._where)
        ids = {
            market["id"]: symbol
            for symbol in symbols
            if (market := self._exchange.markets.get(symbol)) is not None
        }
        if not ids:
            return {}
        rows = await self._rows(self._exchange.publicGetV5MarketTickers, category="linear")
        return {ids[row["symbol"]]: quote_of(row) for row in rows if row.get("symbol") in ids}

    async def fetch_facts(self, now_ms: int) -> list[VenueFact]:
        """Funds, distance from deleveraging, borrow rates."""
        funds = await self._rows(self._exchange.publicGetV5MarketInsurance)
        contracts = await self._rows(self._exchange.publicGetV5MarketAdlAlert)
        levels = await self._rows(self._exchange.publicGetV5SpotMarginTradeData, within="vipCoinList")
        return [
            *(_fund(row, now_ms) for row in funds),
            *(_adl(row, now_ms) for row in contracts),
            *_borrow_rates(levels, now_ms),
        ]

    async def close(self) -> None:
        """Close all connections."""
        await self._exchange.close()

    async def _rows(
        self, call: Callable[[dict[str, Any]], Awaitable[Any]], within: str = "list", **request: str
    ) -> list[Mapping[str, Any]]:
        answer = await answered(call(request), self._where)
        result = answer.get("result") if isinstance(answer, dict) else None
        rows = result.get(within) if isinstance(result, dict) else None
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise VenueUnavailable(f"venue {self._where}: an answer that cannot be read")
        return rows[:ROWS_MAX]


def _fund(row: Mapping[str, Any], now_ms: int) -> VenueFact:
    symbols = str(row.get("symbols", ""))
    name = f"{row.get('coin', '')} {symbols}".strip()
    detail = {"coin": str(row.get("coin", "")), "symbols": symbols, "usd": _text(row, "value")}
    return VenueFact("fund", name, now_ms, _text(row, "balance"), json.dumps(detail))


def _adl(row: Mapping[str, Any], now_ms: int) -> VenueFact:
    fields = {
        "balance": "balance",
        "peak": "maxBalance",
        "trigger": "insurancePnlRatio",
        "stop": "adlStopRatio",
        "threshold": "adlTriggerThreshold",
    }
    detail = {"coin": str(row.get("coin", ""))} | {ours: _text(row, name) for ours, name in fields.items()}
    return VenueFact("adl", str(row.get("symbol", "")), now_ms, _text(row, "pnlRatio"), json.dumps(detail))


def _borrow_rates(levels: list[Mapping[str, Any]], now_ms: int) -> Iterator[VenueFact]:
    """Of the first level, which is everybody's."""
    for row in levels[0].get("list", [])[:ROWS_MAX] if levels else []:
        if row.get("borrowable"):
            detail = {"most": _text(row, "maxBorrowingAmount"), "collateral": _text(row, "collateralRatio")}
            coin, rate = str(row.get("currency", "")), _text(row, "hourlyBorrowRate")
            yield VenueFact("borrow_rate", coin, now_ms, rate, json.dumps(detail))


def _text(row: Mapping[str, Any], name: str) -> str:
    """A number as the venue wrote it, checked to be one."""
    value = decimal_of(row.get(name))
    if not value.is_finite():
        raise VenueUnavailable("venue: a number was expected in an answer")
    return str(row[name]) if row.get(name) not in (None, "") else "0"
