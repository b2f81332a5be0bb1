"""Results of REST answers that are more than a page of rows.

Belongs here: the shape around rows. Does not belong here: the rows.
"""

from __future__ import annotations

from typing import Any

from simulated_exchange.gateway.translate.numbers import decimal_text
from simulated_exchange.instruments import Instrument

__all__ = [
    "book_answer",
    "book_data",
    "coin_information",
    "funding_wallet",
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
    return {"category": "linear", "symbol": instrument.symbol, "list": rows}


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


def coin_information(coins: list[str]) -> Result:
    """Every coin in use, each with one chain; clients refuse coins that are not listed."""
    return {
        "rows": [
            {
                "name": coin,
                "coin": coin,
                "remainAmount": "1000000",
                "chains": [
                    {
                        "chain": "ETH",
                        "chainType": "Ethereum (ERC20)",
                        "confirmation": "6",
                        "withdrawFee": "0",
                        "depositMin": "0",
                        "withdrawMin": "0",
                        "minAccuracy": "8",
                        "chainDeposit": "0",
                        "chainWithdraw": "0",
                        "withdrawPercentageFee": "0",
                        "contractAddress": "",
                        "safeConfirmNumber": "6",
                        "withdrawMax": "0",
                    }
                ],
            }
            for coin in coins
        ]
    }


def funding_wallet(kind: str, account: int, balances: list[Result]) -> Result:
    """Balances in the form of the transfer pages."""
    return {"memberId": str(account), "accountType": kind, "balance": balances}


def withdrawable(amount: int) -> Result:
    """What could be withdrawn."""
    return {"availableWithdrawal": decimal_text(amount), "availableWithdrawalMap": {}}
