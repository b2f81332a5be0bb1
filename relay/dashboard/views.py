"""From figures to what a page says: rows, tiles and sentences as plain values.

Belongs here: choosing and wording. Does not belong here: HTML (the templates), pictures (`pictures`), asking
the store (`desk`), figures of its own (`relay.core`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Context, Decimal, InvalidOperation
from fractions import Fraction
from typing import Any

from relay.core.alarms import Alarm
from relay.core.report import Figures, follower_columns, left_out
from relay.core.risk import CopyRisk, copy_risk
from relay.core.tally import SPREAD_UNITS, Spread, Tally, add_counts, spread_quantile
from relay.protocol.messages import StatusReport
from relay.protocol.plans import PlansTold
from relay.reporting.findings import (
    PART_WORDS,
    STEP_WORDS,
    arrival_words,
    left_out_lines,
    number,
    reason_words,
)

__all__ = [
    "COPIED",
    "ago",
    "alarm_rows",
    "answers",
    "follower_rows",
    "gap_tiles",
    "kept_out",
    "leader_rows",
    "leg_rows",
    "plan_rows",
    "risk_row",
    "risks",
    "short",
    "tiles",
    "totals",
]

DIGITS_SHOWN = 8
COPIED = ("copied", "capped")
PERCENTS = ("p50", "p95", "p99")
LOST_NAMED_MAX = 3  # followers, in the answer to what was not copied


def plan_rows(told: PlansTold | None) -> list[dict[str, Any]]:
    """A leader's stagger plans, with both parts of what each costs."""
    return [
        {
            "symbol": symbol,
            "waves": plan.stagger.waves,
            "window_ms": (plan.stagger.waves - 1) * plan.stagger.spacing_ms,
            "impact": number(plan.impact_bps),
            "timing": number(plan.timing_bps),
            "at_once": number(plan.impact_at_once_bps),
        }
        for symbol, plan in sorted(told.plans.items() if told else ())
    ]


def ago(at_ms: int, now_ms: int) -> str:
    """How long ago, in one unit."""
    seconds = max(0, now_ms - at_ms) / 1000
    for name, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {name} ago"
    return f"{seconds:.0f} s ago"


def short(value: str) -> str:
    """A number with at most eight digits that count (an average price has thirty); other text as it is."""
    try:
        found = Decimal(value)
    except (InvalidOperation, TypeError, ValueError):
        return value
    if not found.is_finite() or len(found.as_tuple().digits) <= DIGITS_SHOWN:
        return value
    rounded = Context(prec=DIGITS_SHOWN).plus(found)
    return f"{rounded.normalize():f}"


def totals(figures: Figures) -> Tally:
    """Everything in one."""
    total = Tally()
    for found in figures.tallies.values():
        total.merge(found)
    return total


def tiles(figures: Figures, leaders: int) -> list[tuple[str, str, str]]:
    """The overview's figures: name, value, note."""
    total = totals(figures)
    signals = sum(found.signals for found in figures.leaders.values())
    found = figures.anomalies
    left_out = found.unknown_signals + found.impossible_prices + found.clocks_apart
    left_out += sum(found.refused.values())
    median = number(spread_quantile(total.latency, 50), 0) if total.latency else "–"
    return [
        ("Signals", number(signals, 0), f"of {leaders} leader{'' if leaders == 1 else 's'}"),
        ("Copies", f"{total.executed:,}", f"of {total.signals:,} signals x followers"),
        ("Slippage, mean", _mean_bps(total), "bps; positive is worse for followers"),
        ("Latency, median", median, "ms from the leader's fill to the follower's"),
        ("Copying cost", number(str(total.cost / 10**8)), "slippage and fees, in the quote currency"),
        ("Not counted", f"{left_out:,}", "reports refused, unknown or impossible"),
    ]


def kept_out(figures: Figures) -> dict[str, Any]:
    """What no figure is made of, in words, and how reports came."""
    found = left_out(figures.anomalies)
    return {"left_out": left_out_lines(found), "came": arrival_words(found)}


def gap_tiles(figures: Figures) -> list[tuple[str, str]]:
    """How far the last price was from the mark at the leaders' fills and at the copies': name, bps."""
    total = totals(figures)
    sides = (("at the leader's fill", total.leader_gaps), ("at the follower's", total.follower_gaps))
    return [
        (f"{side}, p{p}", number(str(spread_quantile(gaps, p) / SPREAD_UNITS)) if gaps else "–")
        for side, gaps in sides
        for p in (50, 95, 99)
    ]


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
    divergence, value = risk.divergence, risk.value
    return {
        "leverage": f"{float(risk.leverage):.2f}x",
        "correlation": f"{float(risk.correlation) * 100:.0f} %",
        "divergence": "not known" if divergence is None else f"{float(divergence) * 10_000:.1f} bps",
        "value": "not known" if value is None else f"{float(value) * 100:.3f} % of equity",
    }


def follower_rows(figures: Figures, statuses: Iterable[StatusReport], now_ms: int) -> list[dict[str, Any]]:
    """One row per follower: the report's, and where it stands by its last word."""
    last = {word.follower_id: word for word in sorted(statuses, key=lambda word: word.sent_ms)}
    rows = []
    for row in follower_columns(figures):
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


def leg_rows(row: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """Of one follower: what, unit, p50, p95, p99 of each latency leg and of both mark/last gaps."""
    legs: Mapping[str, Mapping[str, int]] = row["latency_legs_spread_ms"] or {}
    gaps: Mapping[str, Mapping[str, str] | None] = row["mark_last_gap_bps"] or {}
    found: list[tuple[str, ...]] = [
        (STEP_WORDS[leg], "ms", *(number(legs[leg][p], 0) for p in PERCENTS)) for leg in legs
    ]
    found += [
        (f"last against mark at the {side}'s fill", "bps", *(number(spread[p]) for p in PERCENTS))
        for side, spread in gaps.items()
        if spread is not None
    ]
    return found


def answers(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, str]]:
    """What people ask first: who loses most, by what, and what was not copied."""
    found = []
    executed = [row for row in rows if row["slippage_bps"]]
    if executed:
        worst = max(executed, key=lambda row: Decimal(row["slippage_bps"]["mean"]))
        copies = worst["copied"] + worst["capped"]
        said = f"{worst['mean']} bps on average over {copies:,} copies, p95 {worst['p95']} bps."
        found.append(_answer("Worst slippage", worst["id"], f"/followers/{worst['id']}", said))
        parts = worst["slippage_parts_bps"]
        if Decimal(worst["slippage_bps"]["mean"]) <= 0:
            said = "On average nobody had a worse price than the leader."
            found.append(_answer("Caused by", "no loss", "#picture-parts", said))
        elif parts:
            known = {name: value for name, value in parts.items() if value is not None}
            name, value = max(known.items(), key=lambda part: Decimal(part[1]))
            rest = number(Decimal(worst["slippage_bps"]["mean"]) - Decimal(value))
            said = f"{number(value)} bps for {worst['id']}, the largest part; all others together {rest} bps."
            found.append(_answer("Caused by", PART_WORDS[name], "#picture-parts", said))
    lost = sorted(
        ((sum(row["skip_reasons"].values()), row) for row in rows if row["skip_reasons"]),
        key=lambda pair: -pair[0],
    )
    chances = sum(row["signals"] for row in rows)
    if chances:
        named = [f"{row['id']} {count:,}: {row['why']}" for count, row in lost[:LOST_NAMED_MAX]]
        if len(lost) > LOST_NAMED_MAX:
            named.append(f"{len(lost) - LOST_NAMED_MAX} more followers")
        told = f"{sum(count for count, _ in lost):,} of {chances:,}"
        found.append(_answer("Not copied", told, "/signals?show=missed", f"{'; '.join(named) or 'nothing'}."))
    return found


def _answer(question: str, answer: str, href: str, said: str) -> dict[str, str]:
    return {"question": question, "answer": answer, "href": href, "said": said}


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


def risks(figures: Figures, statuses: Iterable[StatusReport]) -> dict[str, CopyRisk]:
    """Copy risk by leader, divergence from the gaps that copies met."""
    gaps: dict[str, Spread] = defaultdict(dict)
    for (_, leader, _), found in figures.tallies.items():
        add_counts(gaps[leader], found.both_gaps)
    p99 = {leader: Fraction(spread_quantile(met, 99), SPREAD_UNITS) for leader, met in gaps.items() if met}
    return copy_risk(statuses, p99)


def _mean_bps(total: Tally) -> str:
    return number(Decimal(total.total) / (total.executed * 10**6)) if total.executed else "–"


def _spread_bps(total: Tally, percent: int) -> str:
    return number(Decimal(spread_quantile(total.slippage, percent)) / SPREAD_UNITS) if total.slippage else "–"
