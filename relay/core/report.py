"""The slippage report: from figures that were counted to the one document that everything else prints.

Belongs here: what a report is printed from (`Figures`), the fold into `report.json`, and the promises such a
report must keep (`validate`, `Figures.cap_violations`).
Does not belong here: which signals count for whom (`verdicts`), counting (`tally`), reading rows
(`relay.store`), printing (`relay.reporting`).

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

from relay.core.drift import LEGS, decimal_text
from relay.core.intake import ARRIVALS
from relay.core.money import last_marks, money_columns, pnl_of
from relay.core.risk import deliveries, risk_rows, symbol_risks
from relay.core.shortfall import PnlDrift
from relay.core.tally import (
    SPREAD_UNITS,
    Tally,
    TallyKey,
    mean_parts,
    spread_quantile,
    spread_quantiles,
    tally,
)
from relay.core.tracking import Tracking, tracking_columns, tracking_of
from relay.core.trend import Trend
from relay.core.verdicts import Pair, PublishedSignal, ReportRows, judge, presence
from relay.protocol.messages import StatusReport

__all__ = [
    "BPS_PLACES",
    "Anomalies",
    "Figures",
    "Leader",
    "Standing",
    "build_report",
    "figures_of",
    "follower_columns",
    "leaders_of",
    "left_out",
    "validate",
]

BPS_PLACES = 4
STEP_MS = 1_000  # of a trend that is made of rows
RUN_KEYS = ("seed", "scenario", "replay", "seconds", "version")
VENUE_KEYS = ("orders", "trades", "liquidations", "adl", "insurance_fund", "conservation_delta")


@dataclass(frozen=True, slots=True)
class Anomalies:
    """What was heard but is not in the figures."""

    unknown_signals: int  # verdicts on signals that the feed has not shown (yet)
    impossible_prices: int  # executed, but at a price that cannot be a copy of the leader's
    refused: Mapping[str, int]
    clocks_apart: int = 0  # copies whose latency legs are not in the figures
    arrivals: Mapping[str, int] = field(default_factory=dict)  # `ARRIVALS`: figures are as if they had not
    fees_elsewhere: int = 0  # copies with fees in another coin, which are not in the figures


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a follower stands with one leader, by its own last word."""

    policy: str
    leverage_peak: str
    exposure_gap: str
    word: StatusReport


@dataclass(frozen=True, slots=True)
class Leader:
    """What a leader published."""

    fills: int
    signals: int


@dataclass(frozen=True, slots=True)
class Figures:
    """What a report is printed from, whether rows were counted just now or hour by hour as they came."""

    leaders: Mapping[str, Leader]
    tallies: Mapping[TallyKey, Tally]
    followers: Mapping[Pair, Standing | None]  # everybody who was heard of; None = no status yet
    policies: Mapping[str, str]  # of a follower, as its last copy named it
    tracking: Mapping[Pair, Tracking] = field(default_factory=dict)
    marks: Mapping[str, tuple[int, str]] = field(default_factory=dict)  # by symbol: when, and a newer price
    unknown_signals: int = 0
    refused: Mapping[str, int] = field(default_factory=dict)
    arrivals: Mapping[str, int] = field(default_factory=dict)
    trend: Trend = field(default_factory=Trend)

    @property
    def anomalies(self) -> Anomalies:
        """What was heard but is not in the figures, so that nothing is left out in silence."""
        impossible = sum(found.impossible for found in self.tallies.values())
        apart = sum(found.apart for found in self.tallies.values())
        fees = sum(found.fees_elsewhere for found in self.tallies.values())
        came = dict(self.arrivals)
        return Anomalies(self.unknown_signals, impossible, dict(self.refused), apart, came, fees)

    @property
    def cap_violations(self) -> list[str]:
        """Entry orders that left a follower above the cap in force for that very order, one sentence each."""
        told = [line for _, found in sorted(self.tallies.items()) for line in found.violations]
        more = sum(found.violated for found in self.tallies.values()) - len(told)
        return [*told, f"and {more} more orders above their cap"] if more else told


def figures_of(rows: ReportRows) -> Figures:
    """Count rows."""
    known = {(p.leader_id, p.epoch, p.seq) for p in rows.signals}
    judged = [item for items in judge(rows).values() for item in items]
    trend = Trend()
    for item in judged:
        at_ms = item.published.signal.sealed_ms // STEP_MS * STEP_MS
        for found in tally([item]).values():
            trend.add(at_ms, STEP_MS, found)
    last: dict[Pair, StatusReport] = {}
    peaks: dict[Pair, list[str]] = defaultdict(list)
    for status in sorted(rows.statuses, key=lambda status: status.sent_ms):
        pair = (status.follower_id, status.leader_id)
        last[pair] = status
        peaks[pair].append(status.leverage_peak)
    standing = {
        pair: Standing(status.policy, _highest(peaks[pair]), status.exposure_gap, status)
        for pair, status in last.items()
    }
    return Figures(
        leaders=leaders_of(rows.signals),
        tallies=tally(judged),
        followers={pair: standing.get(pair) for pair in presence(rows)[0]},
        policies={copy.follower_id: copy.policy for copy in sorted(rows.copies, key=lambda c: c.received_ms)},
        tracking=tracking_of(status for status in rows.statuses if status.sent_ms >= rows.since_ms),
        unknown_signals=sum((c.leader_id, c.epoch, c.seq) not in known for c in rows.copies),
        refused=rows.refused,
        trend=trend,
    )


def leaders_of(signals: Iterable[PublishedSignal]) -> dict[str, Leader]:
    """What each leader published in these signals."""
    fills: dict[str, set[str]] = defaultdict(set)
    counts: Counter[str] = Counter()
    for published in signals:
        fills[published.leader_id].update(published.signal.fill_ids)
        counts[published.leader_id] += 1
    return {leader: Leader(len(fills[leader]), counts[leader]) for leader in sorted(counts)}


def build_report(figures: Figures, venue: Mapping[str, Any], run: Mapping[str, Any]) -> dict[str, Any]:
    """The report document.

    `venue` holds the document's venue keys as the venue itself counted them (absent = null) and, under
    `followers`, `{id: {"orders": n, "duplicate_orders": n}}` from its order list by `orderLinkId`. A follower
    it does not name has its orders counted from its own reports, where a client order id can occur only once.
    """
    words = [standing.word for standing in figures.followers.values() if standing is not None]
    return {
        "run": {**dict.fromkeys(RUN_KEYS), **run},
        "venue": {
            **{key: venue.get(key) for key in VENUE_KEYS},
            "mark_last_gap_bps": venue.get("mark_last_gap_bps") or _mark_last_gaps(figures.tallies.values()),
        },
        "leaders": [
            {"id": leader, "fills": found.fills, "signals": found.signals}
            for leader, found in sorted(figures.leaders.items())
        ],
        "followers": follower_columns(figures, venue.get("followers", {})),
        "risk": risk_rows(symbol_risks(words, figures.tallies)),
        "delivery": deliveries(figures.tallies),
        "trend": figures.trend.document(),
        "left_out": left_out(figures.anomalies),
    }


def follower_columns(
    figures: Figures, counted_at_venue: Mapping[str, Mapping[str, int]] | None = None
) -> list[dict[str, Any]]:
    """The report's followers; `counted_at_venue` as in `build_report`."""
    own: dict[str, list[tuple[TallyKey, Tally]]] = {follower: [] for follower, _ in sorted(figures.followers)}
    for key, found in sorted(figures.tallies.items()):
        own.setdefault(key[0], []).append((key, found))
    marks, counted = last_marks(figures.tallies, figures.marks), counted_at_venue or {}
    return [
        _follower(
            *(follower, _total([found for _, found in each]), pnl_of(each, marks), figures),
            counted.get(follower, {}),
        )
        for follower, each in own.items()
    ]


def left_out(found: Anomalies) -> dict[str, Any]:
    """How many reports, why; `arrivals` are in the figures, as if they had come once, in order, at once."""
    return {
        "unknown_signals": found.unknown_signals,
        "impossible_prices": found.impossible_prices,
        "clocks_apart": found.clocks_apart,
        "fees_elsewhere": found.fees_elsewhere,
        "refused": dict(sorted(found.refused.items())),
        "arrivals": {kind: found.arrivals.get(kind, 0) for kind in ARRIVALS},
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
        if row["slippage_parts_bps"] is not None:
            parts = sum((Decimal(part or 0) for part in row["slippage_parts_bps"].values()), Decimal(0))
            if parts != Decimal(row["slippage_bps"]["mean"]):
                broken.append(f"{row['id']}: parts sum to {parts} bps, mean is {row['slippage_bps']['mean']}")
        if row["pnl"] is not None:
            explained = sum((Decimal(part or 0) for part in row["pnl"]["explained"].values()), Decimal(0))
            drift = Decimal(row["pnl"]["leader"]) - Decimal(row["pnl"]["own"])
            if not explained == Decimal(row["pnl"]["drift"]) == drift:
                broken.append(f"{row['id']}: {explained} explained of a PnL drift of {drift}")
    return broken


def _follower(
    follower: str, total: Tally, pnl: PnlDrift | None, figures: Figures, counted: Mapping[str, int]
) -> dict[str, Any]:
    pairs = sorted(figures.followers.items())
    standing = [found for (name, _), found in pairs if name == follower and found is not None]
    policy = standing[-1].policy if standing else figures.policies.get(follower, "")
    return {
        "id": follower,
        "policy": policy,
        "signals": total.signals,
        **{verdict: total.verdicts.get(verdict, 0) for verdict in ("copied", "capped", "skipped", "missed")},
        "skip_reasons": dict(sorted(total.reasons.items(), key=lambda pair: (-pair[1], pair[0]))),
        "orders": counted.get("orders", total.orders),
        "duplicate_orders": counted.get("duplicate_orders", 0),
        **_drift_columns(total),
        "leverage_max": total.leverage_max,
        "leverage_cap": total.leverage_cap,
        "leverage_peak": _highest(found.leverage_peak for found in standing),
        "exposure_gap": _highest(found.exposure_gap for found in standing) if standing else None,
        **money_columns(total, pnl),
        **tracking_columns(_tracking(follower, figures)),
    }


def _total(tallies: Sequence[Tally]) -> Tally:
    """All in one; only to be read."""
    if len(tallies) == 1:
        return tallies[0]
    total = Tally()
    for found in tallies:
        total.merge(found)
    return total


def _tracking(follower: str, figures: Figures) -> Tracking | None:
    """Towards all of its leaders."""
    own = [found for (name, _), found in sorted(figures.tracking.items()) if name == follower]
    total = Tracking()
    for found in own:
        total.merge(found)
    return total if own else None


def _highest(values: Iterable[str]) -> str:
    return max(values, key=Decimal, default="0")


def _drift_columns(total: Tally) -> dict[str, Any]:
    """Slippage and latency over all executed copies; null where there was none."""
    if not total.executed:
        return dict.fromkeys(_DRIFT_COLUMNS)
    mean, parts = mean_parts(total, BPS_PLACES)
    legs = {leg: _whole_quantiles(total.legs[leg]) for leg in LEGS if leg in total.legs}
    return {
        "slippage_bps": {"mean": decimal_text(mean, BPS_PLACES), **_quantiles(total.slippage)},
        "slippage_parts_bps": None
        if parts is None
        else {name: None if part is None else decimal_text(part, BPS_PLACES) for name, part in parts.items()},
        "latency_ms": _whole_quantiles(total.latency),
        "latency_legs_ms": {leg: found["p50"] for leg, found in legs.items()} or None,
        "latency_legs_spread_ms": legs or None,
        "mark_last_gap_bps": {
            "leader": _quantiles(total.leader_gaps) if total.leader_gaps else None,
            "follower": _quantiles(total.follower_gaps) if total.follower_gaps else None,
        },
    }


_DRIFT_COLUMNS = (
    *("slippage_bps", "slippage_parts_bps", "latency_ms", "latency_legs_ms", "latency_legs_spread_ms"),
    "mark_last_gap_bps",
)


def _whole_quantiles(spread: Mapping[int, int]) -> dict[str, int]:
    return dict(zip(_PERCENTS, spread_quantiles(spread, (50, 95, 99)), strict=True))


def _quantiles(spread: Mapping[int, int]) -> dict[str, str]:
    return {
        name: decimal_text(Fraction(value, SPREAD_UNITS), BPS_PLACES)
        for name, value in _whole_quantiles(spread).items()
    }


_PERCENTS = ("p50", "p95", "p99")


def _mark_last_gaps(totals: Iterable[Tally]) -> dict[str, str | None]:
    """Gap between mark and last as seen by the copies, where the venue itself was not asked."""
    gaps: Counter[int] = Counter()
    for total in totals:
        gaps.update(total.both_gaps)
    return {f"p{p}": _spread_text(gaps, p) if gaps else None for p in (50, 99)}


def _spread_text(spread: Mapping[int, int], percent: int) -> str:
    return decimal_text(Fraction(spread_quantile(spread, percent), SPREAD_UNITS), BPS_PLACES)
