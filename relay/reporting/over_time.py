"""Slippage over time, in words and as points: whether it gets worse, and in which part.

Belongs here: sentences and points from a report's `trend`. Does not belong here: sums (`relay.core.trend`),
how points are drawn.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from relay.reporting.findings import PART_WORDS, number

__all__ = ["step_label", "trend_points", "trend_words"]

DAY_MS = 86_400_000
MINUTE_MS = 60_000
SAME_BPS = Decimal("0.005")


def trend_words(trend: Mapping[str, Any]) -> str:
    """One sentence; empty where there is nothing to compare."""
    change = trend["change"]
    if change is None:
        return ""
    moved = Decimal(change["slippage_bps"])
    if abs(moved) < SAME_BPS:
        line = "a copy cost as much in the later half of this time as in the earlier one"
    else:
        word = "more: it gets worse" if moved > 0 else "less: it gets better"
        line = f"a copy cost {number(abs(moved))} bps {word}, the later half of this time against the earlier"
    known = {name: Decimal(by) for name, by in (change["slippage_parts_bps"] or {}).items() if by is not None}
    if not known:
        return f"{line}."
    direction = -1 if moved < 0 else 1
    name = max(known, key=lambda part: direction * known[part])
    if abs(known[name]) < SAME_BPS:
        return f"{line}; no part of the way changed."
    return f"{line}. Most of it: {PART_WORDS[name]} ({known[name]:+.2f} bps)."


def trend_points(trend: Mapping[str, Any], names: Sequence[str]) -> list[dict[str, Any]]:
    """A point per step: when, mean and p95, the parts of these names. Floats: they are only looked at."""
    return [
        {
            "label": step_label(step["from_ms"], trend["step_ms"]),
            "copies": step["copies"],
            "mean": float(step["slippage_bps"]["mean"]),
            "p95": float(step["slippage_bps"]["p95"]),
            "parts": None
            if step["slippage_parts_bps"] is None
            else [float(step["slippage_parts_bps"].get(name) or 0) for name in names],
        }
        for step in trend["steps"]
    ]


def step_label(at_ms: int, step_ms: int) -> str:
    """When a step begins, as short as its length allows; UTC."""
    form = "%Y-%m-%d" if step_ms >= DAY_MS else "%m-%d %H:%M" if step_ms >= MINUTE_MS else "%H:%M:%S"
    return f"{datetime.fromtimestamp(at_ms / 1000, UTC):{form}}"
