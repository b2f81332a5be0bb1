"""From figures to what a page shows: rows, tiles and pictures as plain values.

Belongs here: choosing and wording. Does not belong here: HTML (the templates), asking the store (`desk`),
figures of its own (`relay.core`).

A picture is `{"id", "kind", "unit", "series": [{"name", "x", "y", "text"}]}`; floats: it is only looked at.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any

from relay.core.alarms import Alarm
from relay.core.drift import LEGS, PARTS
from relay.core.report import Figures, build_report
from relay.core.risk import CopyRisk, copy_risk
from relay.core.tally import SPREAD_UNITS, Tally, spread_quantile
from relay.core.verdicts import ReportRows, judge
from relay.protocol.messages import StatusReport
from relay.reporting.findings import PART_WORDS, STEP_WORDS, number, reason_words

__all__ = [
    "ago",
    "alarm_rows",
    "follower_rows",
    "leader_rows",
    "legs_picture",
    "parts_picture",
    "prices_picture",
    "risk_row",
    "slippage_picture",
    "statuses_picture",
    "totals",
]

COPIED = ("copied", "capped")


def ago(at_ms: int, now_ms: int) -> str:
    """How long ago, in one unit."""
    seconds = max(0, now_ms - at_ms) / 1000
    for name, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {name} ago"
    return f"{seconds:.0f} s ago"


def totals(figures: Figures) -> Tally:
    """Everything in one."""
    total = Tally()
    for found in figures.tallies.values():
        total.merge(found)
    return total


def leader_rows(
    figures: Figures, ages_ms: Mapping[str, int | None], risks: Mapping[str, CopyRisk]
) -> list[dict[str, Any]]:
    """One row per leader."""
    by_leader: dict[str, Tally] = defaultdict(Tally)
    for (_, leader, _), found in figures.tallies.items():
        by_leader[leader].merge(found)
    followers: dict[str, set[str]] = defaultdict(set)
    for follower, leader in figures.followers:
        followers[leader].add(follower)
    names = sorted(figures.leaders.keys() | by_leader.keys() | followers.keys() | ages_ms.keys())
    rows = []
    for name in names:
        total, age_ms = by_leader[name], ages_ms.get(name)
        published = figures.leaders.get(name)
        rows.append(
            {
                "id": name,
                "signals": published.signals if published else 0,
                "fills": published.fills if published else 0,
                "followers": len(followers[name]),
                "copies": total.executed,
                "slippage": _mean_bps(total),
                "p95": _spread_bps(total, 95),
                "cost": number(Decimal(total.cost) / 10**8),
                "heard": "–" if age_ms is None else f"{age_ms / 1000:.1f} s ago",
                "risk": risk_row(risks[name]) if name in risks else None,
            }
        )
    return rows


def risk_row(risk: CopyRisk) -> dict[str, str]:
    """The factors and their product, for people."""
    return {
        "leverage": f"{float(risk.leverage):.2f}x",
        "correlation": f"{float(risk.correlation) * 100:.0f} %",
        "divergence": f"{float(risk.divergence) * 10_000:.1f} bps",
        "value": f"{float(risk.value) * 100:.3f} % of equity",
    }


def follower_rows(figures: Figures, statuses: Iterable[StatusReport], now_ms: int) -> list[dict[str, Any]]:
    """One row per follower: the report's, and where it stands by its last word."""
    last = {word.follower_id: word for word in sorted(statuses, key=lambda word: word.sent_ms)}
    rows = []
    for row in build_report(figures, {}, {})["followers"]:
        status = last.get(row["id"])
        slippage, latency = row["slippage_bps"] or {}, row["latency_ms"] or {}
        rows.append(
            {
                **row,
                "mean": number(slippage.get("mean")),
                "p95": number(slippage.get("p95")),
                "p50_ms": number(latency.get("p50"), 0),
                "why": ", ".join(f"{reason_words(k)} ({v})" for k, v in row["skip_reasons"].items()) or "–",
                "mode": status.mode.replace("_", "-") if status else "unknown",
                "paper": bool(status and status.paper),
                "equity": number(status.equity) if status else "–",
                "leverage": f"{Decimal(status.leverage):.2f}x" if status else "–",
                "gap": f"{Decimal(status.exposure_gap) * 100:.2f} %" if status else "–",
                "unknown": status.unknown_orders if status else 0,
                "heard": ago(status.sent_ms, now_ms) if status else "never",
                "positions": status.positions if status else [],
            }
        )
    return rows


def alarm_rows(alarms: Iterable[tuple[Alarm, int | None]], now_ms: int) -> list[dict[str, Any]]:
    """What was or is wrong."""
    return [
        {
            "rule": reason_words(alarm.rule),
            "subject": alarm.subject,
            "severity": alarm.severity,
            "what": alarm.what,
            "todo": alarm.todo,
            "since": f"{datetime.fromtimestamp(alarm.since_ms / 1000, UTC):%Y-%m-%d %H:%M:%S}",
            "ago": ago(alarm.since_ms, now_ms),
            "lasted": None if until_ms is None else f"{max(0, until_ms - alarm.since_ms) / 1000:.0f} s",
        }
        for alarm, until_ms in alarms
    ]


def parts_picture(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Where slippage comes from, by follower."""
    return _stacked("parts", "bps", rows, "slippage_parts_bps", {part: PART_WORDS[part] for part in PARTS})


def legs_picture(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Where time goes, by follower (medians)."""
    return _stacked("legs", "ms", rows, "latency_legs_ms", {leg: STEP_WORDS[leg] for leg in LEGS})


def _stacked(
    picture: str, unit: str, rows: Sequence[Mapping[str, Any]], column: str, words: Mapping[str, str]
) -> dict[str, Any]:
    """One bar per follower that has this column, its pieces named."""
    shown = [row for row in rows if row[column]]
    names = [row["id"] for row in shown]
    series = [
        {"name": said, "x": names, "y": [float(row[column].get(piece, 0)) for row in shown]}
        for piece, said in words.items()
    ]
    return {"id": picture, "kind": "stacked", "unit": unit, "series": series if shown else []}


def slippage_picture(rows: ReportRows) -> dict[str, Any]:
    """Every executed copy over time, by follower, and the leader's trades below."""
    series: dict[str, dict[str, list[Any]]] = defaultdict(lambda: {"x": [], "y": [], "text": []})
    for follower, items in judge(rows).items():
        for item in items:
            if item.drift is not None:
                points = series[follower]
                points["x"].append(item.drift.executed_ms)
                points["y"].append(round(float(item.drift.slippage.total_bps), 3))
                points["text"].append(f"{item.published.signal.signal_id} {item.verdict}")
    found = [{"name": name, **points} for name, points in sorted(series.items())]
    return {"id": "slippage", "kind": "points", "unit": "bps", "series": found}


def statuses_picture(statuses: Sequence[StatusReport]) -> dict[str, Any]:
    """Target and actual exposure over time."""
    times = [status.sent_ms for status in statuses]
    series = [
        {"name": "target exposure", "x": times, "y": [float(status.target_exposure) for status in statuses]},
        {"name": "actual exposure", "x": times, "y": [float(status.actual_exposure) for status in statuses]},
    ]
    return {"id": "exposure", "kind": "lines", "unit": "of equity", "series": series if times else []}


def prices_picture(samples: Sequence[Any], rows: ReportRows) -> list[dict[str, Any]]:
    """Prices with the leader's and the followers' fills, and the gap between last and mark."""
    lines = [
        {
            "name": name,
            "x": [sample.wall_ms for sample in samples if getattr(sample, name)],
            "y": [float(getattr(sample, name)) for sample in samples if getattr(sample, name)],
        }
        for name in ("index", "mark", "last")
    ]
    fills = [
        {
            "name": f"{published.leader_id} {published.signal.side}",
            "x": [published.signal.leader_exec_ms],
            "y": [float(published.signal.price)],
            "text": [f"{published.signal.signal_id} {published.signal.qty}"],
            "mark": published.signal.side,
        }
        for published in rows.signals
    ]
    both = [sample for sample in samples if sample.mark and sample.last and Decimal(sample.mark) > 0]
    gap = {
        "name": "last against mark",
        "x": [sample.wall_ms for sample in both],
        "y": [
            round(float((Fraction(sample.last) - Fraction(sample.mark)) / Fraction(sample.mark)) * 10_000, 3)
            for sample in both
        ],
    }
    has_prices = any(line["x"] for line in lines)
    return [
        {"id": "price", "kind": "lines", "unit": "", "series": [*lines, *fills] if has_prices else []},
        {"id": "gap", "kind": "lines", "unit": "bps", "series": [gap] if both else []},
    ]


def risks(figures: Figures, statuses: Iterable[StatusReport]) -> dict[str, CopyRisk]:
    """Copy risk by leader, divergence from the gaps that copies met."""
    gaps: dict[str, Tally] = defaultdict(Tally)
    for (_, leader, _), found in figures.tallies.items():
        gaps[leader].merge(found)
    p99 = {
        leader: Fraction(spread_quantile(found.gaps, 99), SPREAD_UNITS)
        for leader, found in gaps.items()
        if found.gaps
    }
    return copy_risk(statuses, p99)


def _mean_bps(total: Tally) -> str:
    return number(Decimal(total.total) / (total.executed * 10**6)) if total.executed else "–"


def _spread_bps(total: Tally, percent: int) -> str:
    return number(Decimal(spread_quantile(total.slippage, percent)) / SPREAD_UNITS) if total.slippage else "–"
