"""The leader's venue through ccxt: the one door to it in this package.

Belongs here: how Bybit's v5 answers become fills, positions, quotes and a wallet balance, exactly (decimal
text, never a float), and what an exception of ccxt means. Does not belong here: what to do about any of it
(`relay.feed`).
"""

from __future__ import annotations

import re
import time
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any, Final, Literal, Protocol, TypeVar

import ccxt.pro
from ccxt.base import errors as ccxt_errors

from relay.core.signals import Fill, Position, Quote
from relay.errors import ConfigurationError
from relay.protocol.messages import Cause

__all__ = [
    "BybitVenue",
    "Venue",
    "VenueAddress",
    "VenueCallError",
    "VenueUnavailable",
    "Wallet",
    "make_exchange",
]

VenueCallError = ccxt_errors.BaseError  # what a call on `make_exchange`'s object raises, whatever the reason

FILLS_PER_PAGE: Final = 100
PAGES_MAX: Final = 50
STRETCH_MS: Final = 7 * 24 * 3600 * 1000  # executions of at most a week are listed at once
CLOCKS_APART_MS: Final = 60_000  # how far the venue's clock may be ahead of ours
REQUEST_TIMEOUT_MS: Final = 5_000
KEEP_ALIVE_MS: Final = 5_000
_CATEGORIES: Final = ("spot", "linear", "inverse", "option")
_CAUSES: Final[dict[str, Cause]] = {"Trade": "trade", "BustTrade": "liquidation", "AdlTrade": "adl"}
_Answer = TypeVar("_Answer")


class VenueUnavailable(Exception):  # noqa: N818 - it is there again later
    """No answer, or none that can be used; try again. The text names the venue's code where there is one."""


class VenueAddress(Protocol):
    """What is needed to reach an account (`relay.settings.VenueSettings` has it)."""

    @property
    def rest_url(self) -> str: ...

    @property
    def ws_url(self) -> str: ...

    def credentials(self) -> tuple[str, str]:
        """API key and secret."""


@dataclass(frozen=True, slots=True)
class Wallet:
    """The account's wallet balance over all coins, in USDT terms; unrealised profit is not in it."""

    balance_usdt: Decimal


class Venue(Protocol):
    """What the leader's feed asks of a venue. `watch_*` wait for news; all raise `VenueUnavailable`."""

    async def watch_fills(self) -> list[Fill]: ...

    async def watch_wallet(self) -> Wallet: ...

    async def watch_quotes(self, symbols: Sequence[str]) -> dict[str, Quote]: ...

    async def fetch_fills(self, since_ms: int) -> list[Fill]: ...

    async def fetch_positions(self, symbols: Sequence[str]) -> dict[str, Position]: ...

    async def fetch_wallet(self) -> Wallet: ...

    async def now_ms(self) -> int: ...

    async def close(self) -> None: ...


def make_exchange(address: VenueAddress) -> Any:
    """A `ccxt.pro.bybit` that talks to these addresses only, whichever of its modes is chosen."""
    rest, ws = address.rest_url.rstrip("/"), address.ws_url.rstrip("/")

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
            },
        }
    )
    exchange.has["fetchCurrencies"] = False
    exchange.streaming["keepAlive"] = KEEP_ALIVE_MS
    return exchange


class BybitVenue:
    """`Venue` over Bybit's v5 interface: a unified account, linear USDT perpetuals, one-way positions."""

    def __init__(self, address: VenueAddress) -> None:
        self._address = address
        self._exchange = make_exchange(address)

    async def watch_fills(self) -> list[Fill]:
        """New executions of this account, as soon as the venue tells."""
        trades = await self._call(self._exchange.watch_my_trades())
        return self._fills([trade["info"] for trade in trades])

    async def watch_wallet(self) -> Wallet:
        """The wallet after its next change."""
        balance = await self._call(self._exchange.watch_balance())
        return _wallet(balance["info"])

    async def watch_quotes(self, symbols: Sequence[str]) -> dict[str, Quote]:
        """The symbols whose prices changed."""
        tickers = await self._call(self._exchange.watch_tickers(list(symbols)))
        return {symbol: _quote(ticker["info"]) for symbol, ticker in tickers.items()}

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
        rows: list[dict[str, Any]] = []
        request: dict[str, Any] = {"category": "linear", "startTime": start_ms, "endTime": end_ms}
        request["limit"] = FILLS_PER_PAGE
        for _ in range(PAGES_MAX):
            result = _result(await self._call(self._exchange.privateGetV5ExecutionList(dict(request))))
            rows.extend(result["list"])
            request["cursor"] = result.get("nextPageCursor")
            if not request["cursor"] or len(result["list"]) < FILLS_PER_PAGE:
                break
        return rows

    async def fetch_positions(self, symbols: Sequence[str]) -> dict[str, Position]:
        """Open positions, and the flat ones of `symbols` for their leverage setting."""
        await self._markets()
        found: dict[str, Position] = {}
        requests: list[dict[str, Any]] = [{"settleCoin": "USDT", "limit": 200}]
        requests += [{"symbol": self._exchange.market_id(symbol)} for symbol in symbols]
        for request in requests:
            answer = await self._call(
                self._exchange.privateGetV5PositionList({"category": "linear", **request})
            )
            for row in _result(answer)["list"]:
                if str(row.get("positionIdx") or "0") != "0":
                    raise ConfigurationError(["venue: an account in one-way position mode is allowed"])
                found[self._symbol(row)] = _position(row)
        return found

    async def fetch_wallet(self) -> Wallet:
        """The wallet now."""
        answer = await self._call(self._exchange.privateGetV5AccountWalletBalance({"accountType": "UNIFIED"}))
        return _wallet(_result(answer)["list"])

    async def now_ms(self) -> int:
        """The venue's clock."""
        return int(await self._call(self._exchange.fetch_time()))

    async def close(self) -> None:
        """Close all sockets."""
        await self._exchange.close()

    async def _markets(self) -> None:
        await self._call(self._exchange.load_markets())

    def _symbol(self, row: dict[str, Any]) -> str:
        symbol: str = self._exchange.safe_symbol(row.get("symbol"), None, None, "contract")
        return symbol

    def _fills(self, rows: Sequence[dict[str, Any]]) -> list[Fill]:
        """Executions that moved a position; funding and the like change the wallet only."""
        seen_ms = time.time_ns() // 1_000_000
        return [
            _fill(row, self._symbol(row), cause, seen_ms)
            for row in rows
            if (cause := _CAUSES.get(row.get("execType", "Trade"))) is not None
        ]

    async def _call(self, call: Awaitable[_Answer]) -> _Answer:
        try:
            return await call
        except ccxt_errors.AuthenticationError as error:
            raise _refused(error) from None
        except ccxt_errors.BadSymbol:
            raise ConfigurationError(["signals.symbols: symbols that the venue lists are allowed"]) from None
        except ccxt_errors.InvalidNonce as error:
            told = f"this machine's clock and the venue's are too far apart ({_code(error)})"
            raise VenueUnavailable(f"venue {self._address.rest_url}: {told}") from None
        except ccxt_errors.BaseError as error:
            where = self._address.rest_url
            raise VenueUnavailable(f"venue {where}: {type(error).__name__} {_code(error)}".rstrip()) from None


def _result(answer: Any) -> dict[str, Any]:
    """The body of an answer that lists rows; a page of a proxy is no answer."""
    result = answer.get("result") if isinstance(answer, dict) else None
    if not isinstance(result, dict) or not isinstance(result.get("list"), list):
        raise VenueUnavailable("venue: an answer that cannot be read")
    return result


def _refused(error: Exception) -> ConfigurationError:
    """What to change when the venue refuses who we are: it tells an unknown key from a wrong secret."""
    told = _code(error)
    match told.partition(" ")[0]:
        case "10003":
            line = "venue.api_key: unknown to the venue, allowed: an API key of this environment"
        case "10004":
            line = "venue.api_secret: does not fit the API key, allowed: the secret of venue.api_key"
        case _:
            line = "venue.api_key: refused by the venue, allowed: a key that may read the account"
    return ConfigurationError([f"{line} ({told})" if told else line])


def _code(error: Exception) -> str:
    """The venue's code and words; never the request, with its signature, nor its echo of what was signed."""
    found = re.search(r'"retCode":\s*(\d+).*?"retMsg":\s*"([^"]{0,120})', str(error))
    if found is None:
        return ""
    return f"{found[1]} {found[2].partition('origin_string')[0].strip()}".strip()


def _decimal(text: Any) -> Decimal:
    try:
        return Decimal(str(text)) if text not in (None, "") else Decimal(0)
    except InvalidOperation:
        raise VenueUnavailable("venue: a number was expected in an answer") from None


def _fill(row: dict[str, Any], symbol: str, cause: Cause, seen_ms: int) -> Fill:
    leaves = row.get("leavesQty")
    side: Literal["buy", "sell"] = "buy" if row["side"] == "Buy" else "sell"
    return Fill(
        fill_id=str(row["execId"]),
        order_id=str(row.get("orderId") or ""),
        symbol=symbol,
        side=side,
        qty=_decimal(row["execQty"]),
        price=_decimal(row["execPrice"]),
        fee=_decimal(row.get("execFee")),
        cause=cause,
        exec_ms=int(row["execTime"]),
        seen_ms=seen_ms,
        leaves_qty=_decimal(leaves) if leaves not in (None, "") else None,
    )


def _position(row: dict[str, Any]) -> Position:
    size = _decimal(row.get("size"))
    return Position(
        qty=-size if row.get("side") == "Sell" else size,
        entry_price=_decimal(row.get("avgPrice")) if size else Decimal(0),
        leverage=_decimal(row.get("leverage")),
    )


def _quote(info: dict[str, Any]) -> Quote:
    return Quote(
        mark=_decimal(info.get("markPrice")),
        index=_decimal(info.get("indexPrice")),
        last=_decimal(info.get("lastPrice")),
        bid=_decimal(info.get("bid1Price")),
        ask=_decimal(info.get("ask1Price")),
    )


def _wallet(rows: Sequence[dict[str, Any]]) -> Wallet:
    if not rows:
        raise VenueUnavailable("venue: the wallet's answer is empty")
    total = rows[0].get("totalWalletBalance")
    if total not in (None, ""):
        return Wallet(_decimal(total))
    coins = rows[0].get("coin") or []
    return Wallet(
        sum((_decimal(c.get("walletBalance")) for c in coins if c.get("coin") == "USDT"), Decimal(0))
    )
