"""ccxt's unified rows, and the venue's own words beside them, as fills, positions, prices and wallet events.

Belongs here: what one row means, venue by venue where ccxt does not make it the same. Pure. Does not belong
here: asking for rows (`unified`), Bybit's own ones (`bybit`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final, Literal, TypeAlias

from relay.core.account import Fill, Leg, LegName, Position, Quote, WalletEvent, hedged
from relay.protocol.messages import Cause
from relay.venue.port import VenueUnavailable, decimal_of

__all__ = ["STABLE", "event_of", "fill_of", "funding_of", "positions_of", "quote_of", "wallet_of"]

WalletCause: TypeAlias = Literal["funding", "cash_flow"]
STABLE: Final = ("USDT", "USDC", "USD")
_SIDE_FIELDS: Final = ("positionSide", "posSide", "holdSide", "position_side")
_FORCED: Final = re.compile(r"(?<![a-z])(liquidat|bust|burst|takeover|adl|deleverag)")
_OWN_WORDS: Final = re.compile(r"client|clord|link|label|tag", re.IGNORECASE)  # fields that the leader fills
_CASH_FLOWS: Final = (
    "transaction",
    "transfer",
    "deposit",
    "withdrawal",
    "withdraw",
    "deposit/withdraw",
    "rebate",
    "cashback",
    "airdrop",
    "referral",
)
_FUNDING_CODES: Final = {"okx": ("8",), "gate": ("fund",)}  # kinds of bills
_COIN_FIELDS: Final = ("asset", "ccy", "marginCoin", "currency", "coin")
_WALLET_FIELDS: Final = {  # the wallet, or the equity and the unrealised profit in it
    "binance": ("walletBalance", ""),
    "binanceusdm": ("walletBalance", ""),
    "okx": ("cashBal", ""),
    "bitget": ("accountEquity", "unrealizedPL"),
    "bingx": ("equity", "unrealizedProfit"),
    "mexc": ("equity", "unrealized"),
    "htx": ("equity", "profit_unreal"),
}
_DEPTH_MAX: Final = 6


def fill_of(trade: Mapping[str, Any], size: Decimal, seen_ms: int) -> Fill:
    """One of the account's trades; `size` of a contract, base units."""
    info = trade.get("info") or {}
    side: Literal["buy", "sell"] = "buy" if trade["side"] == "buy" else "sell"
    fee = trade.get("fee") or {}
    return Fill(
        fill_id=str(trade["id"]),
        order_id=str(trade.get("order") or ""),
        symbol=str(trade["symbol"]),
        side=side,
        qty=decimal_of(trade["amount"]) * size,
        price=decimal_of(trade["price"]),
        fee=decimal_of(fee.get("cost")) if fee.get("currency") in (None, *STABLE) else Decimal(0),
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


def positions_of(rows: Sequence[Mapping[str, Any]], size_of: Callable[[str], Decimal]) -> dict[str, Position]:
    """Positions by symbol; rows are of one side each where the account is hedged."""
    sides: dict[str, dict[str, Mapping[str, Any]]] = {}
    for row in rows:
        sides.setdefault(str(row["symbol"]), {})[str(row.get("side") or "long")] = row
    found: dict[str, Position] = {}
    for symbol, legs in sides.items():
        first = next(iter(legs.values()))
        margin_mode: Literal["cross", "isolated"] = (
            "isolated" if first.get("marginMode") == "isolated" else "cross"
        )
        size = size_of(symbol)
        if len(legs) > 1 or first.get("hedged"):
            long, short = _leg_of(legs.get("long"), size), _leg_of(legs.get("short"), size)
            found[symbol] = hedged(Position(margin_mode=margin_mode, long=long, short=short))
            continue
        leg = _leg_of(first, size)
        sign = -1 if first.get("side") == "short" else 1
        found[symbol] = Position(
            sign * leg.qty, leg.entry_price, leg.leverage, leg.take_profit, leg.stop_loss, margin_mode
        )
    return found


def _leg_of(row: Mapping[str, Any] | None, size: Decimal) -> Leg:
    if row is None:
        return Leg()
    qty = abs(decimal_of(row.get("contracts"))) * size
    return Leg(
        qty=qty,
        entry_price=decimal_of(row.get("entryPrice")) if qty else Decimal(0),
        leverage=decimal_of(row.get("leverage")),
        take_profit=decimal_of(row.get("takeProfitPrice")) if qty else Decimal(0),
        stop_loss=decimal_of(row.get("stopLossPrice")) if qty else Decimal(0),
    )


def quote_of(ticker: Mapping[str, Any]) -> Quote:
    """A symbol's prices; the last one where others are not told."""
    last = decimal_of(ticker.get("last"))
    return Quote(
        mark=decimal_of(ticker.get("markPrice")) or last,
        index=decimal_of(ticker.get("indexPrice")) or last,
        last=last,
        bid=decimal_of(ticker.get("bid")) or last,
        ask=decimal_of(ticker.get("ask")) or last,
    )


def event_of(row: Mapping[str, Any], where: str, seen_ms: int) -> WalletEvent | None:
    """A row of the ledger that is funding or a cash flow; None for trades and fees: fills tell of those."""
    kind = str(row.get("type") or "").lower()
    is_funding = _is_funding(kind, row.get("info") or {}, where)
    if not is_funding and kind not in _CASH_FLOWS:
        return None
    amount = decimal_of(row.get("amount"))
    if row.get("direction") == "out" or kind.startswith("withdraw"):
        amount = -abs(amount)
    return _event(row, "funding" if is_funding else "cash_flow", amount, seen_ms)


def funding_of(row: Mapping[str, Any], seen_ms: int) -> WalletEvent | None:
    """A row of the history of funding, where the ledger does not have it."""
    return _event(row, "funding", decimal_of(row.get("amount")), seen_ms)


def _event(row: Mapping[str, Any], cause: WalletCause, amount: Decimal, seen_ms: int) -> WalletEvent | None:
    exec_ms, symbol = int(row.get("timestamp") or 0), str(row["symbol"]) if row.get("symbol") else None
    name = row.get("id") or (f"{cause}-{exec_ms}-{symbol}-{amount}" if exec_ms else None)
    if not amount or name is None:
        return None
    return WalletEvent(
        event_id=f"wallet-{name}",
        cause=cause,
        amount=amount,
        symbol=symbol,
        exec_ms=exec_ms or seen_ms,
        seen_ms=seen_ms,
    )


def _is_funding(kind: str, info: Mapping[str, Any], where: str) -> bool:
    told = [str(info.get(name, "")).lower() for name in ("type", "incomeType", "businessType", "bizType")]
    if any(word in _FUNDING_CODES.get(where, ()) for word in told):
        return True
    return any(word in text for text in (kind, *told) for word in ("funding", "settlement", "settle_fee"))


def wallet_of(balance: Mapping[str, Any], where: str) -> Decimal:
    """The wallet in stable coins without unrealised profit. ccxt's total is that at one venue and the equity
    at another, so the venue's own fields are read where they are known. Raises `VenueUnavailable`.
    """
    total = balance.get("total")
    if not isinstance(total, Mapping):
        raise VenueUnavailable("venue: the wallet's answer cannot be read")
    if where == "hyperliquid":
        return _equity_less_profit(balance)
    field, less = _WALLET_FIELDS.get(where, ("", ""))
    rows = [row for row in _rows_in(balance.get("info"), 0) if field in row and _coin_of(row) in STABLE]
    if rows:
        return sum((decimal_of(row[field]) - decimal_of(row.get(less)) for row in rows), Decimal(0))
    return sum((decimal_of(total.get(coin)) for coin in STABLE), Decimal(0))


def _equity_less_profit(balance: Mapping[str, Any]) -> Decimal:
    rows = list(_rows_in(balance.get("info"), 0))
    equity = next((decimal_of(row["accountValue"]) for row in rows if "accountValue" in row), Decimal(0))
    return equity - sum((decimal_of(row.get("unrealizedPnl")) for row in rows), Decimal(0))


def _coin_of(row: Mapping[str, Any]) -> str:
    return next((str(row[name]).upper() for name in _COIN_FIELDS if row.get(name)), "")


def _rows_in(tree: Any, depth: int) -> Iterator[Mapping[str, Any]]:
    if depth > _DEPTH_MAX:
        return
    if isinstance(tree, Mapping):
        yield tree
    children = tree.values() if isinstance(tree, Mapping) else tree if isinstance(tree, list) else ()
    for child in children:
        yield from _rows_in(child, depth + 1)
