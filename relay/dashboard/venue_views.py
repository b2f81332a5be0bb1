"""What the page on the venue's own risk shows: funds, lights, borrow rates, gaps.

Belongs here: choosing and wording what the venue said. Does not belong here: asking it (`relay.venue_watch`),
when a light is on (`relay.core.venue_risk`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from relay.core.venue_risk import AdlState, VenueFact, adl_light
from relay.dashboard.pictures import Picture, gap_series
from relay.reporting.findings import number
from relay.store import MarketSample

__all__ = ["borrow_rows", "contract_rows", "fund_rows", "gap_picture", "history_picture", "last_of"]

HOURS_PER_YEAR = 8_760
LIGHTS = {"red": 0, "amber": 1, "green": 2}
LINES_MAX = 8


def last_of(facts: Sequence[VenueFact]) -> dict[str, VenueFact]:
    """The newest of each name."""
    return {fact.name: fact for fact in facts}


def contract_rows(facts: Sequence[VenueFact], traded: Collection[str]) -> list[dict[str, Any]]:
    """Lights, what is wrong first, then what leaders trade. `traded` are ccxt's symbols."""
    ids = {symbol.partition(":")[0].replace("/", "") for symbol in traded}
    rows = []
    for name, fact in last_of(facts).items():
        detail = _detail(fact)
        light, why = adl_light(
            AdlState(
                balance=_decimal(detail.get("balance")),
                ratio=_decimal(fact.value),
                trigger=_decimal(detail.get("trigger")),
                stop=_decimal(detail.get("stop")),
                threshold=_decimal(detail.get("threshold")),
            )
        )
        rows.append(
            {
                "symbol": name,
                "light": light,
                "why": why,
                "balance": f"{number(detail.get('balance'))} {detail.get('coin', '')}",
                "peak": number(detail.get("peak")),
                "is_traded": name in ids,
            }
        )
    return sorted(rows, key=lambda row: (LIGHTS[str(row["light"])], not row["is_traded"], row["symbol"]))


def fund_rows(facts: Sequence[VenueFact]) -> list[dict[str, str]]:
    """The funds, each with what it gained or lost since the first word of the span."""
    first: dict[str, VenueFact] = {}
    for fact in facts:
        first.setdefault(fact.name, fact)
    rows = []
    for name, fact in last_of(facts).items():
        detail = _detail(fact)
        change = _decimal(fact.value) - _decimal(first[name].value)
        since = datetime.fromtimestamp(first[name].wall_ms / 1000, UTC)
        rows.append(
            {
                "coin": str(detail.get("coin", "")),
                "symbols": str(detail.get("symbols", "")).replace(",", ", "),
                "balance": number(fact.value),
                "usd": number(detail.get("usd"), 0),
                "change": f"{change:+,.2f}",
                "sign": "bad" if change < 0 else "good" if change > 0 else "empty",
                "since": f"{since:%Y-%m-%d %H:%M:%S}",
            }
        )
    return rows


def borrow_rows(facts: Sequence[VenueFact], traded: Collection[str]) -> list[dict[str, str]]:
    """What borrowing costs now: coins of what is traded (ccxt's symbols), then the dearest."""
    own = {coin for symbol in traded for coin in re.split("[/:]", symbol)}
    rows = [(_decimal(fact.value), name, _detail(fact)) for name, fact in last_of(facts).items()]
    return [
        {
            "coin": name,
            "hourly": f"{rate * 100:.6f} %",
            "yearly": f"{rate * 100 * HOURS_PER_YEAR:.2f} %",
            "most": number(detail.get("most"), 0),
            "collateral": f"{_decimal(detail.get('collateral')) * 100:.0f} %",
        }
        for rate, name, detail in sorted(rows, key=lambda row: (row[1] not in own, -row[0], row[1]))
    ]


def history_picture(name: str, facts: Sequence[VenueFact], unit: str, now_ms: int) -> Picture:
    """Funds as percent of their first value of the span (`%`), or rates per year (`% a year`); only
    what moved, the most moved first.
    """
    values: dict[str, list[tuple[int, Decimal]]] = {}
    for fact in facts:
        values.setdefault(fact.name, []).append((fact.wall_ms, _decimal(fact.value)))
    series: list[tuple[float, Picture]] = []
    for label, points in values.items():
        scale = Decimal(100) * HOURS_PER_YEAR
        if unit == "%":
            scale = 100 / points[0][1] if points[0][1] > 0 else Decimal(0)
        shown = [*points, (now_ms, points[-1][1])]
        heights = [float(value * scale) for _, value in shown]
        line = {"name": label, "x": [at for at, _ in shown], "y": heights}
        if min(heights) != max(heights):
            series.append((min(heights) - max(heights), line))
    series.sort(key=lambda found: found[0])
    return {"id": name, "kind": "steps", "unit": unit, "series": [line for _, line in series[:LINES_MAX]]}


def gap_picture(samples: Mapping[str, Sequence[MarketSample]]) -> Picture:
    """How far execution was from the mark, by symbol."""
    series = [gap_series(symbol, found) for symbol, found in samples.items()]
    return {"id": "gaps", "kind": "lines", "unit": "bps", "series": [line for line in series if line["x"]]}


def _detail(fact: VenueFact) -> dict[str, Any]:
    found = json.loads(fact.detail)
    return found if isinstance(found, dict) else {}


def _decimal(value: Any) -> Decimal:
    try:
        found = Decimal(str(value))
    except InvalidOperation:
        return Decimal(0)
    return found if found.is_finite() else Decimal(0)
