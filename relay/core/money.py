"""A report's figures in money: what copying cost, what was not copied, whose profit was larger and why.

Belongs here: choosing the mark, the columns of `report.json`. Does not belong here: sums (`tally`,
`shortfall`).

All amounts are of the quote currency; parts sum to their whole as printed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fractions import Fraction
from typing import Any

from relay.core.drift import PARTS, apportion, decimal_text
from relay.core.shortfall import QUOTE_UNITS, PnlDrift, Stock, pnl_drift
from relay.core.tally import Tally, TallyKey, is_measured

__all__ = ["MONEY_PLACES", "last_marks", "money_columns", "pnl_of"]

MONEY_PLACES = 4
RATIO_PLACES = 4


def last_marks(
    tallies: Mapping[TallyKey, Tally], known: Mapping[str, tuple[int, str]]
) -> dict[str, Fraction]:
    """By symbol, the newest price of the tallies and of `known` (when, price)."""
    newest = dict(known)
    for (_, _, symbol), found in tallies.items():
        newest[symbol] = max(newest.get(symbol, (0, "0")), (found.stock.market_ms, found.stock.mark))
    return {symbol: Fraction(mark) for symbol, (_, mark) in newest.items()}


def pnl_of(tallies: Iterable[tuple[TallyKey, Tally]], marks: Mapping[str, Fraction]) -> PnlDrift | None:
    """The drift of some tallies together."""
    return pnl_drift((found.stock, found.fees, marks[symbol]) for (_, _, symbol), found in tallies)


def money_columns(total: Tally, pnl: PnlDrift | None) -> dict[str, Any]:
    """What a follower's copies cost, what was left out, and the drift of its profit."""
    stock = total.stock
    lost = stock.lost
    is_compared = stock.fees_compared != 0 or stock.leader_fees != 0
    return {
        "costs": {
            "slippage": _money(lost),
            "fees": _money(total.fees),
            "total": _money(lost + total.fees),
            "per_signal": _money(Fraction(lost + total.fees, total.executed)) if total.executed else None,
            "fee_difference": _money(stock.fees_compared - stock.leader_fees) if is_compared else None,
        },
        "copied_notional": _copied(stock),
        "pnl": _pnl(pnl, total),
    }


def _copied(stock: Stock) -> dict[str, str | None]:
    """Of the executed copies: what was wanted before caps; of all orders: what was sent, and filled."""
    filled = Fraction(stock.filled, stock.ordered) if stock.ordered else None
    return {
        "wanted": _money(stock.wanted),
        "ordered": _money(stock.ordered),
        "filled": _money(stock.filled),
        "fill_ratio": None if filled is None else decimal_text(filled, RATIO_PLACES),
    }


def _pnl(pnl: PnlDrift | None, total: Tally) -> dict[str, Any] | None:
    """A part of slippage that no copy's way measured is None; `unsplit` is there where there is any."""
    if pnl is None:
        return None
    shown = dict(zip(pnl.explained, apportion(list(pnl.explained.values()), MONEY_PLACES), strict=True))
    unknown = {name for at, name in enumerate(PARTS) if total.executed and not is_measured(total, at)}
    drift = sum(shown.values(), Fraction(0))
    own = Fraction(round(pnl.own * 10**MONEY_PLACES), 10**MONEY_PLACES)
    return {
        "leader": decimal_text(own + drift, MONEY_PLACES),
        "own": decimal_text(own, MONEY_PLACES),
        "drift": decimal_text(drift, MONEY_PLACES),
        "explained": {
            name: decimal_text(value, MONEY_PLACES) if name not in unknown else None
            for name, value in shown.items()
            if name != "unsplit" or total.unsplit
        },
        "unscaled": pnl.unscaled,
    }


def _money(units: int | Fraction) -> str:
    return decimal_text(Fraction(units) / QUOTE_UNITS, MONEY_PLACES)
