"""The slippage report: from rows of the store to the one document that everything else prints.

Belongs here: which signals count for which follower, the fold into `report.json`, and the promises such a
report must keep (`validate`, `cap_violations`).
Does not belong here: one copy's arithmetic (`drift`), reading rows (`relay.store`), printing
(`relay.reporting`).

Decimals are strings and counts are numbers. `skip_reasons` says why signals were not copied, so its numbers
sum to `skipped + missed`; a signal published after a follower joined, on which that follower never gave a
verdict, counts as missed with the reason `no_verdict`.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from typing import Any

from relay.core.drift import LEGS, PARTS, CopyDrift, apportion, decimal_text, measure, quantile
from relay.protocol.messages import CopyReport, Signal, StatusReport

__all__ = [
    "BPS_PLACES",
    "NO_VERDICT",
    "Anomalies",
    "Judged",
    "PublishedSignal",
    "ReportRows",
    "anomalies",
    "build_report",
    "cap_violations",
    "judge",
    "validate",
]

BPS_PLACES = 4
NO_VERDICT = "no_verdict"
EXECUTED_VERDICTS = ("copied", "capped")
RUN_KEYS = ("seed", "scenario", "replay", "seconds", "version")
VENUE_KEYS = ("orders", "trades", "liquidations", "adl", "insurance_fund", "conservation_delta")

Pair = tuple[str, str]  # follower id, leader id


@dataclass(frozen=True, slots=True)
class PublishedSignal:
    """A signal and its place in its leader's feed."""

    leader_id: str
    epoch: int
    seq: int
    signal: Signal


@dataclass(frozen=True, slots=True)
class ReportRows:
    """What a report is made of. At most one copy per (follower, leader, epoch, seq).

    `joined_ms` is when each (follower, leader) was first heard of, over everything ever stored; where it does
    not name a pair, the rows at hand decide.
    """

    signals: Sequence[PublishedSignal]
    copies: Sequence[CopyReport]
    statuses: Sequence[StatusReport]
    joined_ms: Mapping[Pair, int] = field(default_factory=dict)
    refused: Mapping[str, int] = field(default_factory=dict)  # reports kept out at the door, by reason


@dataclass(frozen=True, slots=True)
class Judged:
    """What became of one signal at one follower."""

    follower_id: str
    published: PublishedSignal
    copy: CopyReport | None
    verdict: str
    reason: str
    drift: CopyDrift | None


@dataclass(frozen=True, slots=True)
class Anomalies:
    """What was heard but is not in the figures."""

    unknown_signals: int  # verdicts on signals that the feed has not shown (yet)
    impossible_prices: int  # executed, but at a price that cannot be a copy of the leader's
    refused: Mapping[str, int]


def judge(rows: ReportRows) -> dict[str, list[Judged]]:
    """Every follower's signals in feed order, each with its verdict (an empty list where there was none)."""
    copies = {(c.follower_id, c.leader_id, c.epoch, c.seq): c for c in rows.copies}
    joined, left = _presence(rows)
    by_leader: dict[str, list[PublishedSignal]] = defaultdict(list)
    for published in sorted(rows.signals, key=lambda p: (p.leader_id, p.epoch, p.seq)):
        by_leader[published.leader_id].append(published)
    judged: dict[str, list[Judged]] = {follower: [] for follower, _ in sorted(joined)}
    for (follower, leader), joined_ms in sorted(joined.items()):
        for published in by_leader[leader]:
            copy = copies.get((follower, leader, published.epoch, published.seq))
            if copy is not None:
                judged[follower].append(_judge_copy(published, copy))
            elif (
                joined_ms
                <= published.signal.sealed_ms
                <= left.get((follower, leader), published.signal.sealed_ms)
            ):
                judged[follower].append(Judged(follower, published, None, "missed", NO_VERDICT, None))
    return judged


def anomalies(rows: ReportRows) -> Anomalies:
    """Count what the report leaves out, so that nothing is left out in silence."""
    known = {(p.leader_id, p.epoch, p.seq) for p in rows.signals}
    unknown = sum((c.leader_id, c.epoch, c.seq) not in known for c in rows.copies)
    impossible = sum(
        item.drift is None and item.copy is not None and any(order.fills for order in item.copy.orders)
        for items in judge(rows).values()
        for item in items
        if item.verdict in EXECUTED_VERDICTS
    )
    return Anomalies(unknown, impossible, dict(rows.refused))


def build_report(rows: ReportRows, venue: Mapping[str, Any], run: Mapping[str, Any]) -> dict[str, Any]:
    """Fold rows into the report document.

    `venue` holds the document's venue keys as the venue itself counted them (absent = null) and, under
    `followers`, `{id: {"orders": n, "duplicate_orders": n}}` from its order list by `orderLinkId`. A follower
    it does not name has its orders counted from its own reports, where a client order id can occur only once.
    """
    counted_at_venue: Mapping[str, Mapping[str, int]] = venue.get("followers", {})
    judged = judge(rows)
    return {
        "run": {**dict.fromkeys(RUN_KEYS), **run},
        "venue": {
            **{key: venue.get(key) for key in VENUE_KEYS},
            "mark_last_gap_bps": venue.get("mark_last_gap_bps") or _mark_last_gaps(judged),
        },
        "leaders": _leaders(rows.signals),
        "followers": [
            _follower(follower, items, rows.statuses, counted_at_venue.get(follower, {}))
            for follower, items in judged.items()
        ],
    }


def validate(report: Mapping[str, Any]) -> list[str]:
    """The promises that this report breaks, one sentence each; an empty list is a good run."""
    broken: list[str] = []
    if report["venue"]["conservation_delta"] != "0":
        broken.append(f"venue: conservation_delta was {report['venue']['conservation_delta']!r}, must be '0'")
    for row in report["followers"]:
        verdicts = row["copied"] + row["capped"] + row["skipped"] + row["missed"]
        if verdicts != row["signals"]:
            broken.append(f"{row['id']}: {row['signals']} signals but {verdicts} verdicts")
        if sum(row["skip_reasons"].values()) != row["skipped"] + row["missed"]:
            broken.append(f"{row['id']}: not every signal that was not copied has its reason")
        if row["duplicate_orders"] != 0:
            broken.append(f"{row['id']}: duplicate_orders was {row['duplicate_orders']}, must be 0")
        if Decimal(row["leverage_max"]) > Decimal(row["leverage_cap"]):
            broken.append(
                f"{row['id']}: leverage_max {row['leverage_max']} > leverage_cap {row['leverage_cap']}"
            )
        if row["slippage_bps"] is not None:
            parts = sum((Decimal(part) for part in row["slippage_parts_bps"].values()), Decimal(0))
            if parts != Decimal(row["slippage_bps"]["mean"]):
                broken.append(f"{row['id']}: parts sum to {parts} bps, mean is {row['slippage_bps']['mean']}")
    return broken


def cap_violations(rows: ReportRows) -> list[str]:
    """Entry orders that left a follower above the cap in force for that very order, one sentence each."""
    return [
        f"{copy.follower_id}: {copy.signal_id} went to {copy.leverage_after}x, cap was {copy.leverage_cap}x"
        for copy in rows.copies
        if _is_entry(copy) and Decimal(copy.leverage_after or 0) > Decimal(copy.leverage_cap or 0)
    ]


def _presence(rows: ReportRows) -> tuple[dict[Pair, int], dict[Pair, int]]:
    """When each follower was first heard of, and when it stopped (only where that is its last word)."""
    joined = dict(rows.joined_ms)
    heard = [((s.follower_id, s.leader_id), s.sent_ms) for s in rows.statuses]
    heard += [((c.follower_id, c.leader_id), c.received_ms) for c in rows.copies]
    for pair, at_ms in heard:
        joined[pair] = min(at_ms, joined.get(pair, at_ms))
    last = {(s.follower_id, s.leader_id): s for s in sorted(rows.statuses, key=lambda s: s.sent_ms)}
    return joined, {pair: status.sent_ms for pair, status in last.items() if status.mode == "stopped"}


def _judge_copy(published: PublishedSignal, copy: CopyReport) -> Judged:
    drift = measure(published.signal, copy) if copy.verdict in EXECUTED_VERDICTS else None
    return Judged(copy.follower_id, published, copy, copy.verdict, copy.reason, drift)


def _leaders(signals: Iterable[PublishedSignal]) -> list[dict[str, Any]]:
    fills: dict[str, set[str]] = defaultdict(set)
    counts: Counter[str] = Counter()
    for published in signals:
        fills[published.leader_id].update(published.signal.fill_ids)
        counts[published.leader_id] += 1
    return [
        {"id": leader, "fills": len(fills[leader]), "signals": counts[leader]} for leader in sorted(counts)
    ]


def _follower(
    follower: str, items: Sequence[Judged], statuses: Sequence[StatusReport], counted: Mapping[str, int]
) -> dict[str, Any]:
    verdicts = Counter(item.verdict for item in items)
    reasons = Counter(item.reason for item in items if item.verdict not in EXECUTED_VERDICTS)
    own = sorted((s for s in statuses if s.follower_id == follower), key=lambda s: s.sent_ms)
    copies = [item.copy for item in items if item.copy is not None]
    entries = [copy for copy in copies if _is_entry(copy)]
    final = {status.leader_id: status for status in own}
    policies = [copy.policy for copy in copies] + [status.policy for status in own]
    drifts = [item.drift for item in items if item.drift is not None]
    return {
        "id": follower,
        "policy": policies[-1] if policies else "",
        "signals": len(items),
        **{verdict: verdicts[verdict] for verdict in ("copied", "capped", "skipped", "missed")},
        "skip_reasons": dict(sorted(reasons.items(), key=lambda pair: (-pair[1], pair[0]))),
        "orders": counted.get("orders", sum(len(copy.orders) for copy in copies)),
        "duplicate_orders": counted.get("duplicate_orders", 0),
        **_drift_columns(drifts),
        "leverage_max": _highest(copy.leverage_after for copy in entries),
        "leverage_cap": _highest(copy.leverage_cap for copy in entries),
        "leverage_peak": _highest(status.leverage_peak for status in own),
        "exposure_gap": _highest(status.exposure_gap for status in final.values()) if final else None,
    }


def _is_entry(copy: CopyReport) -> bool:
    """Whether an order that adds risk reached the venue, or may have (unknown counts as filled)."""
    sent = any(order.outcome != "rejected" for order in copy.orders)
    return sent and not copy.is_exit and copy.leverage_after is not None


def _highest(values: Iterable[str | None]) -> str:
    return max((value for value in values if value is not None), key=Decimal, default="0")


def _drift_columns(drifts: Sequence[CopyDrift]) -> dict[str, Any]:
    """Slippage and latency over all executed copies; null where there was none."""
    if not drifts:
        return dict.fromkeys(("slippage_bps", "slippage_parts_bps", "latency_ms", "latency_legs_ms"))
    totals = sorted(drift.slippage.total_bps for drift in drifts)
    means = [sum(part) / len(drifts) for part in zip(*(d.slippage.parts_bps for d in drifts), strict=True)]
    parts = apportion(means, BPS_PLACES)
    latencies = sorted(drift.latency_ms for drift in drifts)
    legs = {leg: sorted(d.legs_ms[leg] for d in drifts if leg in d.legs_ms) for leg in LEGS}
    return {
        "slippage_bps": {
            "mean": decimal_text(sum(parts, Fraction(0)), BPS_PLACES),
            **{f"p{p}": decimal_text(quantile(totals, p), BPS_PLACES) for p in (50, 95, 99)},
        },
        "slippage_parts_bps": {
            name: decimal_text(part, BPS_PLACES) for name, part in zip(PARTS, parts, strict=True)
        },
        "latency_ms": {f"p{p}": quantile(latencies, p) for p in (50, 95, 99)},
        "latency_legs_ms": {leg: quantile(values, 50) for leg, values in legs.items() if values},
    }


def _mark_last_gaps(judged: Mapping[str, Sequence[Judged]]) -> dict[str, str | None]:
    """Gap between mark and last as seen by the copies, where the venue itself was not asked."""
    drifts = [item.drift for items in judged.values() for item in items if item.drift is not None]
    gaps = sorted(
        abs(gap) for d in drifts for gap in (d.leader_gap_bps, d.follower_gap_bps) if gap is not None
    )
    return {f"p{p}": decimal_text(quantile(gaps, p), BPS_PLACES) if gaps else None for p in (50, 99)}
