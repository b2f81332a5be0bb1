"""Signals with every verdict on them, as rows for pages and for the terminal.

Belongs here: choosing and wording. Does not belong here: HTML and tables (`relay.dashboard`, `explain`).
"""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, datetime
from fractions import Fraction
from typing import Any

from relay.core.drift import LEGS
from relay.core.verdicts import Judged, PublishedSignal, ReportRows, judge
from relay.reporting.findings import PART_WORDS, STEP_WORDS, number, reason_words

__all__ = ["clock", "timeline", "verdict_row"]


def clock(at_ms: int) -> str:
    """`14:02:11.512`, UTC."""
    return f"{datetime.fromtimestamp(at_ms / 1000, UTC):%H:%M:%S}.{at_ms % 1000:03d}"


def timeline(rows: ReportRows) -> list[dict[str, Any]]:
    """Signals, the latest first, each with every verdict on it."""
    by_signal: dict[tuple[str, int, int], list[Judged]] = defaultdict(list)
    for items in judge(rows).values():
        for item in items:
            by_signal[_key(item.published)].append(item)
    ordered = sorted(rows.signals, key=lambda published: published.signal.sealed_ms, reverse=True)
    return [
        {
            "id": published.signal.signal_id,
            "leader": published.leader_id,
            "time": clock(published.signal.leader_exec_ms),
            "symbol": published.signal.symbol,
            "side": published.signal.side,
            "cause": published.signal.cause,
            "qty": published.signal.qty,
            "price": published.signal.price,
            "verdicts": [verdict_row(item) for item in by_signal[_key(published)]],
        }
        for published in ordered
    ]


def verdict_row(item: Judged) -> dict[str, Any]:
    """What became of one signal at one follower, with the number that decided it."""
    copy, drift, signal = item.copy, item.drift, item.published.signal
    legs = drift.legs_ms if drift else {}
    return {
        "follower": item.follower_id,
        "signal": signal.signal_id,
        "time": clock(copy.received_ms if copy else signal.sealed_ms),
        "symbol": signal.symbol,
        "side": copy.side if copy else signal.side,
        "verdict": item.verdict,
        "reason": reason_words(item.reason),
        "detail": copy.detail if copy else "No verdict was reported.",
        "limit": copy.limit_value if copy else None,
        "observed": copy.observed_value if copy else None,
        "slippage": number(str(float(drift.slippage.total_bps))) if drift else "–",
        "latency": number(drift.latency_ms, 0) if drift else "–",
        "price": _short(drift.fill_price, 4) if drift else "–",
        "qty": _short(drift.filled_qty, 6) if drift else "–",
        "legs": [(STEP_WORDS[leg], legs[leg]) for leg in LEGS if leg in legs],
        "parts": [
            (PART_WORDS[name], number(str(float(value))))
            for name, value in drift.known_parts_bps.items()
            if value is not None
        ]
        if drift
        else [],
        "orders": copy.orders if copy else [],
    }


def _short(value: Fraction, places: int) -> str:
    """A figure without the zeros at its end."""
    told = number(str(float(value)), places)
    return told.rstrip("0").rstrip(".")


def _key(published: PublishedSignal) -> tuple[str, int, int]:
    return (published.leader_id, published.epoch, published.seq)
