"""A follower's figures in money, and how near its target it was: what the report has, worded for a page.

Belongs here: choosing and wording. Does not belong here: sums (`relay.core.money`), other figures (`views`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

from relay.reporting.findings import PART_WORDS, number

__all__ = ["explained_rows", "money_rows", "money_tiles"]

_NOT_COPIED = {"skipped": "skipped", "missed": "missed", "size": "copied in another size"}
_WORDS = {**PART_WORDS, "unsplit": "slippage whose parts are not known", "fees": "fees"}
_WORDS |= {name: f"not copied: {words}" for name, words in _NOT_COPIED.items()}


def money_tiles(row: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Of one follower of a report: name, value, note. Amounts are of the quote currency."""
    costs, pnl, tracking = row["costs"], row["pnl"], row["tracking"]
    each = "–" if costs["per_signal"] is None else f"{number(costs['per_signal'])} per copy"
    apart = costs["fee_difference"]
    against = "" if apart is None else f" ({_signed(apart)} against the leader's rate)"
    fees = f"{number(costs['fees'])}{against}"
    found = [
        (
            "Cost of copying",
            number(costs["total"]),
            f"{each}; slippage {number(costs['slippage'])}, fees {fees}",
        ),
        (
            "Filled of ordered",
            _percent(row["copied_notional"]["fill_ratio"]),
            _ordered(row["copied_notional"]),
        ),
    ]
    if pnl is not None:
        sides = f"leader's trades in its size made {number(pnl['leader'])}, its copies {number(pnl['own'])}"
        left = [f"{words} {number(pnl['explained'][name])}" for name, words in _NOT_COPIED.items()]
        if pnl["unscaled"]:
            left.append("not known where its policy told no target")
        found.insert(0, ("Made less than the leader", number(pnl["drift"]), sides))
        found.insert(2, ("Cost of what was not copied", number(_not_copied(pnl)), ", ".join(left)))
    if tracking is not None:
        most = (
            f"at most {_percent(tracking['max'])}, over {number(tracking['observed_hours'])} hours of words"
        )
        found.append(("Tracking error, mean", _percent(tracking["error"]), f"of equity; {most}"))
    if row["carry"] is not None:
        paid = row["carry"]
        said = f"funding {number(paid['funding_paid'])}, interest {number(paid['interest_paid'])}"
        found.append(("Paid for holding", number(_paid(paid)), said))
    return found


def explained_rows(row: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What the difference to the leader's profit is made of, the largest first; it sums to the drift."""
    if row["pnl"] is None:
        return []
    parts = [(name, value) for name, value in row["pnl"]["explained"].items() if Decimal(value or 0)]
    parts.sort(key=lambda part: -abs(Decimal(part[1])))
    return [(_WORDS[name], number(value)) for name, value in parts]


def money_rows(rows: Iterable[Mapping[str, Any]]) -> list[dict[str, str]]:
    """One row per follower."""
    return [
        {
            "id": row["id"],
            "drift": number(row["pnl"]["drift"]) if row["pnl"] else "–",
            "slippage": number(row["costs"]["slippage"]),
            "fees": number(row["costs"]["fees"]),
            "not_copied": number(_not_copied(row["pnl"])) if row["pnl"] else "–",
            "filled": _percent(row["copied_notional"]["fill_ratio"]),
            "tracking": _percent(row["tracking"]["error"]) if row["tracking"] else "–",
            "paid": number(_paid(row["carry"])) if row["carry"] else "–",
        }
        for row in rows
    ]


def _not_copied(pnl: Mapping[str, Any]) -> Decimal:
    return sum((Decimal(pnl["explained"][name]) for name in _NOT_COPIED), Decimal(0))


def _paid(carry: Mapping[str, str]) -> Decimal:
    return Decimal(carry["funding_paid"]) + Decimal(carry["interest_paid"])


def _ordered(copied: Mapping[str, str | None]) -> str:
    return f"{number(copied['filled'])} of {number(copied['ordered'])} in the quote currency"


def _signed(value: str) -> str:
    return f"{'+' if Decimal(value) > 0 else ''}{number(value)}"


def _percent(share: str | None) -> str:
    return "–" if share is None else f"{number(Decimal(share) * 100)} %"
