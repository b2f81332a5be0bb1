"""What the pictures need beyond the report: every copy, every fill, prices over time.

Belongs here: turning rows into plain points, bounded in number. Does not belong here: figures that are
reported (`relay.core.report`), how points are drawn (`html` and its template).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import TypeAlias, TypeVar

from relay.core.drift import decimal_text
from relay.core.report import Figures
from relay.core.verdicts import Judged, ReportRows, judge

__all__ = [
    "CopyPoint",
    "ExposurePoint",
    "FillPoint",
    "LiquidationPoint",
    "PriceRow",
    "ReportDetail",
    "Stretch",
    "VerdictPoint",
    "build_detail",
    "plain_symbol",
]

POINTS_MAX = 4_000  # per picture; more are thinned evenly, extremes of price kept
BPS_PLACES = 3

# wall_ms, market_ms (None where market time is wall time), index, mark, last (decimal strings or None)
PriceRow: TypeAlias = tuple[int, int | None, str | None, str | None, str | None]
Point = TypeVar("Point")


@dataclass(frozen=True, slots=True)
class FillPoint:
    """One execution. `who` is a follower's or leader's id; `note` is shown to whoever points at it."""

    who: str
    symbol: str
    wall_ms: int
    side: str
    price: str
    qty: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class LiquidationPoint:
    """One liquidation at the venue; `side` is of the order that closed the position."""

    symbol: str
    wall_ms: int
    side: str
    price: str
    qty: str


@dataclass(frozen=True, slots=True)
class CopyPoint:
    """One executed copy and what it cost."""

    follower_id: str
    signal_id: str
    wall_ms: int
    side: str
    verdict: str
    slippage_bps: str
    latency_ms: int
    orders: int


@dataclass(frozen=True, slots=True)
class VerdictPoint:
    """What one follower decided about one signal, when it knew of it (or when it was published)."""

    follower_id: str
    signal_id: str
    symbol: str
    wall_ms: int
    side: str
    verdict: str
    reason: str
    detail: str


@dataclass(frozen=True, slots=True)
class ExposurePoint:
    """What a follower said of its exposure, in parts of its equity."""

    follower_id: str
    wall_ms: int
    target: str
    actual: str


@dataclass(frozen=True, slots=True)
class Stretch:
    """A span of wall time that is shaded, and the words above it: `shock`, `from low to high`."""

    from_ms: int
    to_ms: int
    label: str


@dataclass(frozen=True, slots=True)
class ReportDetail:
    """Everything the pictures show. Wall times; `started_ms` is second 0 of the horizontal axis."""

    started_ms: int
    prices: Mapping[str, Sequence[PriceRow]]
    leader_fills: Sequence[FillPoint]
    follower_fills: Sequence[FillPoint]
    copies: Sequence[CopyPoint]
    verdicts: Sequence[VerdictPoint]
    exposures: Sequence[ExposurePoint]
    liquidations: Sequence[LiquidationPoint]
    shock: Stretch | None
    dearest: CopyPoint | None  # of all copies, not only of those in `copies`
    cap_reasons: Mapping[str, int]  # which cap cut a copy down, over all capped ones
    cap_violations: Sequence[str]


def build_detail(
    rows: ReportRows,
    figures: Figures,
    *,
    prices: Mapping[str, Sequence[PriceRow]],
    liquidations: Sequence[LiquidationPoint] = (),
    shock: Stretch | None = None,
    started_ms: int | None = None,
) -> ReportDetail:
    """Gather the points of a report.

    Args:
        rows: what can be shown one by one.
        figures: what the report was printed from.
        prices: rows over time by symbol, in the venue's spelling or ccxt's.
        liquidations: where the venue took positions over.
        shock: the stretch to shade, where there is one: the scenario's shock, the recording's extremes.
        started_ms: second 0; by default the earliest price or signal.
    """
    judged = [item for items in judge(rows).values() for item in items]
    named = {plain_symbol(symbol): _thin_prices(samples) for symbol, samples in prices.items() if samples}
    earliest = [samples[0][0] for samples in named.values()] + [p.signal.leader_exec_ms for p in rows.signals]
    copies = [_copy_point(item) for item in judged if item.drift is not None]
    return ReportDetail(
        started_ms=started_ms if started_ms is not None else min(earliest, default=0),
        prices=named,
        leader_fills=_thin(_leader_fills(rows)),
        follower_fills=_thin([point for item in judged for point in _follower_fills(item)]),
        copies=_thin(copies),
        verdicts=_thin([_verdict_point(item) for item in judged]),
        exposures=_thin(_exposures(rows)),
        liquidations=_thin([_named(point) for point in liquidations]),
        shock=shock,
        dearest=max(copies, key=lambda copy: Decimal(copy.slippage_bps), default=None),
        cap_reasons=_cut_by(figures),
        cap_violations=figures.cap_violations,
    )


def plain_symbol(symbol: str) -> str:
    """`BTC/USDT:USDT` and `BTCUSDT` are the same market: the venue's spelling. A raw id stays raw."""
    return symbol.split(":", 1)[0].replace("/", "") if "/" in symbol else symbol


def _cut_by(figures: Figures) -> Counter[str]:
    """Which cap cut copies down, over all of them."""
    counts: Counter[str] = Counter()
    for found in figures.tallies.values():
        counts.update(found.cut_by)
    return counts


def _leader_fills(rows: ReportRows) -> list[FillPoint]:
    return [
        FillPoint(
            who=published.leader_id,
            symbol=plain_symbol(published.signal.symbol),
            wall_ms=published.signal.leader_exec_ms,
            side=published.signal.side,
            price=published.signal.price,
            qty=published.signal.qty,
            note=f"{published.signal.signal_id}, position after it {published.signal.position.qty}",
        )
        for published in rows.signals
        if published.signal.qty != "0"
    ]


def _follower_fills(item: Judged) -> list[FillPoint]:
    if item.copy is None or item.drift is None:
        return []
    slippage = decimal_text(item.drift.slippage.total_bps, BPS_PLACES)
    note = (
        f"{item.copy.signal_id} {item.verdict}, {slippage} bps, {item.drift.latency_ms} ms after the leader"
    )
    return [
        FillPoint(
            item.follower_id,
            plain_symbol(item.copy.symbol),
            fill.executed_ms,
            order.side,
            fill.price,
            fill.qty,
            note,
        )
        for order in item.copy.orders
        for fill in order.fills
    ]


def _copy_point(item: Judged) -> CopyPoint:
    assert item.drift is not None and item.copy is not None
    return CopyPoint(
        follower_id=item.follower_id,
        signal_id=item.copy.signal_id,
        wall_ms=item.drift.executed_ms,
        side=item.copy.side,
        verdict=item.verdict,
        slippage_bps=decimal_text(item.drift.slippage.total_bps, BPS_PLACES),
        latency_ms=item.drift.latency_ms,
        orders=len(item.copy.orders),
    )


def _verdict_point(item: Judged) -> VerdictPoint:
    signal, copy = item.published.signal, item.copy
    decided_ms = (
        signal.sealed_ms if copy is None else copy.executed_ms or copy.released_ms or copy.received_ms
    )
    return VerdictPoint(
        follower_id=item.follower_id,
        signal_id=signal.signal_id,
        symbol=plain_symbol(signal.symbol),
        wall_ms=decided_ms,
        side=signal.side if copy is None else copy.side,
        verdict=item.verdict,
        reason=item.reason,
        detail="" if copy is None else copy.detail,
    )


def _exposures(rows: ReportRows) -> list[ExposurePoint]:
    """In the order of time, of all followers."""
    return [
        ExposurePoint(said.follower_id, said.sent_ms, said.target_exposure, said.actual_exposure)
        for said in sorted(rows.statuses, key=lambda said: said.sent_ms)
        if said.sent_ms >= rows.since_ms
    ]


def _named(point: LiquidationPoint) -> LiquidationPoint:
    return LiquidationPoint(plain_symbol(point.symbol), point.wall_ms, point.side, point.price, point.qty)


def _thin(points: Sequence[Point]) -> list[Point]:
    """At most `POINTS_MAX` of them, evenly spaced, first and last kept."""
    if len(points) <= POINTS_MAX:
        return list(points)
    return [points[i * (len(points) - 1) // (POINTS_MAX - 1)] for i in range(POINTS_MAX)]


def _thin_prices(samples: Sequence[PriceRow]) -> list[PriceRow]:
    """At most `POINTS_MAX` rows: of every stretch the lowest and the highest last price stay."""
    ordered = sorted(samples, key=lambda row: row[0])
    if len(ordered) <= POINTS_MAX:
        return ordered
    stretch = -(-len(ordered) * 2 // POINTS_MAX)
    kept: list[PriceRow] = []
    for start in range(0, len(ordered), stretch):
        rows = ordered[start : start + stretch]
        extremes = {id(row): row for row in (min(rows, key=_height), max(rows, key=_height))}
        kept += sorted(extremes.values(), key=lambda row: row[0])
    return kept


def _height(row: PriceRow) -> float:
    """Where a row stands in a picture: float is fine, nothing is decided by it."""
    return next(
        (float(price) for price in (row[4], row[3], row[2]) if price is not None and float(price) > 0), 0.0
    )
