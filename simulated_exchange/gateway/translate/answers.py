"""Results of REST answers that are more than a page of rows.

Belongs here: the shape around rows. Does not belong here: the rows.
"""

from __future__ import annotations

from typing import Any

from simulated_exchange.gateway.translate.numbers import decimal_text
from simulated_exchange.instruments import Instrument

__all__ = [
    "announcement",
    "book_answer",
    "book_data",
    "kline_answer",
    "listing",
    "server_time",
    "updated_listing",
    "withdrawable",
]

Result = dict[str, Any]


def server_time(now_ms: int) -> Result:
    """Wall time twice."""
    return {"timeSecond": str(now_ms // 1000), "timeNano": str(now_ms * 1_000_000)}


def listing(category: str, rows: list[Any]) -> Result:
    """A list that has no pages."""
    return {"category": category, "list": rows}


def updated_listing(rows: list[Any], now_ms: int) -> Result:
    """A list with the time it was made."""
    return {"updatedTime": str(now_ms), "list": rows}


def kline_answer(instrument: Instrument, rows: list[list[str]]) -> Result:
    """Bars, newest first."""
    return {"category": instrument.category, "symbol": instrument.symbol, "list": rows}


def book_data(
    instrument: Instrument, bids: list[list[str]], asks: list[list[str]], update_id: int, sequence: int
) -> Result:
    """Levels of a book on a socket."""
    return {"s": instrument.symbol, "b": bids, "a": asks, "u": update_id, "seq": sequence}


def book_answer(
    instrument: Instrument,
    bids: list[list[str]],
    asks: list[list[str]],
    sequence: int,
    now_ms: int,
    matched_ms: int,
) -> Result:
    """Levels of a book over REST."""
    return {
        **book_data(instrument, bids, asks, max(sequence, 1), sequence),
        "ts": now_ms,
        "cts": matched_ms,
    }


def withdrawable(amounts: dict[str, int]) -> Result:
    """What could leave the unified wallet, by coin; the first is the one asked for."""
    texts = {coin: decimal_text(amount) for coin, amount in amounts.items()}
    return {"availableWithdrawal": next(iter(texts.values()), "0"), "availableWithdrawalMap": texts}


def announcement(title: str, text: str, now_ms: int, begin_ms: int) -> Result:
    """Something that the venue says to everybody."""
    return {
        "title": title,
        "description": text,
        "type": {"title": "Product Updates", "key": "product_updates"},
        "tags": ["Derivatives"],
        "url": "",
        "dateTimestamp": now_ms,
        "startDateTimestamp": begin_ms,
        "endDateTimestamp": begin_ms,
    }
