"""Names of the streams' topics, and which pushes have which.

Belongs here: what a topic's text means. Does not belong here: frames around pushes (`frames`), rows.
"""

from __future__ import annotations

from typing import NamedTuple

from simulated_exchange.ledger.candles import INTERVALS

__all__ = [
    "BOOK_DEPTHS",
    "PRIVATE_TOPICS",
    "PrivateTopic",
    "Topic",
    "TopicKind",
    "adl_topic",
    "book_topic",
    "insurance_topic",
    "liquidation_topic",
    "parse_topic",
    "private_topic",
    "trade_topic",
]

BOOK_DEPTHS = (1, 50, 200, 500, 1000)
PRIVATE_TOPICS = ("order", "execution", "execution.fast", "position", "wallet")
"""What is pushed to an account, in the order in which it is pushed."""

_DISCONNECT = {"dcp": "Contracts", "dcp.future": "Contracts", "dcp.spot": "Spot", "dcp.option": ""}
_CATEGORIES = frozenset({"linear", "inverse", "spot", "option"})
_UNCATEGORISED = frozenset({"wallet"})
_DEPTHS = frozenset(map(str, BOOK_DEPTHS))


class TopicKind:
    """What a public topic tells of."""

    BOOK = "book"
    KLINE = "kline"
    TICKER = "ticker"
    TRADE = "trade"
    LIQUIDATION = "liquidation"
    PRICE_LIMIT = "price limit"
    INSURANCE = "insurance"
    ADL = "adl"


class Topic(NamedTuple):
    """A public topic: what, of which symbol (or coin), and its parameter."""

    kind: str
    symbol: str
    parameter: str


class PrivateTopic(NamedTuple):
    """A private topic: what, of which market ("" for all), and whether orders go when its listener does."""

    base: str
    category: str
    disconnects: str


def parse_topic(text: str) -> Topic | None:
    """A public topic, or None."""
    match text.split("."):
        case ["orderbook", depth, symbol] if depth in _DEPTHS:
            return Topic(TopicKind.BOOK, symbol, depth)
        case ["kline", interval, symbol] if interval in INTERVALS:
            return Topic(TopicKind.KLINE, symbol, interval)
        case ["tickers", symbol]:
            return Topic(TopicKind.TICKER, symbol, "")
        case ["publicTrade", symbol]:
            return Topic(TopicKind.TRADE, symbol, "")
        case ["allLiquidation", symbol]:
            return Topic(TopicKind.LIQUIDATION, symbol, "")
        case ["priceLimit", symbol]:
            return Topic(TopicKind.PRICE_LIMIT, symbol, "")
        case ["insurance", coin]:
            return Topic(TopicKind.INSURANCE, coin, "")
        case ["adlAlert", coin]:
            return Topic(TopicKind.ADL, coin, "")
        case _:
            return None


def book_topic(symbol: str, depth: int) -> str:
    """The topic of a book."""
    return f"orderbook.{depth}.{symbol}"


def trade_topic(symbol: str) -> str:
    """The topic of everybody's trades."""
    return f"publicTrade.{symbol}"


def liquidation_topic(symbol: str) -> str:
    """The topic of liquidated positions."""
    return f"allLiquidation.{symbol}"


def insurance_topic(coin: str) -> str:
    """The topic of the insurance pools of a coin; those of inverse contracts have one together."""
    return f"insurance.{coin}"


def adl_topic(coin: str) -> str:
    """The topic of how far a coin's contracts are from deleveraging."""
    return f"adlAlert.{coin}"


def private_topic(text: str) -> PrivateTopic | None:
    """A private topic, or None when the wire knows no such topic."""
    if text in _DISCONNECT:
        return PrivateTopic("dcp", "", _DISCONNECT[text])
    if text in PRIVATE_TOPICS or text == "greeks":
        return PrivateTopic(text, "", "")
    base, _, category = text.rpartition(".")
    if category in _CATEGORIES and base in PRIVATE_TOPICS and base not in _UNCATEGORISED:
        return PrivateTopic(base, category, "")
    return None
