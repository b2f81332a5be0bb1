"""From rows to what a page draws.

Belongs here: choosing points and naming series. Does not belong here: geometry and colour (the script),
figures of its own (`relay.core`), sentences (`views`).

A picture is `{"id", "kind", "unit", "series": [{"name", "x", "y", "text"}]}`; floats: it is only looked at.
Kinds: `stacked` bars, `points`, `lines`, `steps` (lines that hold until the next value). A series with `mark`
(`buy`, `sell`, `fill`) is drawn as markers in any kind.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Any

from relay.core.drift import LEGS, PARTS
from relay.core.verdicts import ReportRows, judge
from relay.protocol.messages import StatusReport
from relay.reporting.findings import PART_WORDS, STEP_WORDS
from relay.reporting.over_time import trend_points
from relay.store import MarketSample

__all__ = [
    "gap_series",
    "legs_picture",
    "parts_picture",
    "prices_picture",
    "slippage_picture",
    "statuses_picture",
    "trend_picture",
]

Picture = dict[str, Any]


def parts_picture(rows: Sequence[Mapping[str, Any]]) -> Picture:
    """Where slippage comes from, by follower."""
    words = {part: PART_WORDS[part] for part in (*PARTS, "unsplit")}
    return _stacked("parts", "bps", rows, "slippage_parts_bps", words)


def trend_picture(trend: Mapping[str, Any]) -> Picture:
    """Where slippage came from, step by step in time."""
    names = (*PARTS, "unsplit")
    steps = trend_points(trend, names)
    times = [step["label"] for step in steps]
    series: list[Picture] = []
    for at, name in enumerate(names):
        values = [step["parts"][at] if step["parts"] else 0.0 for step in steps]
        if any(values):
            place = {"step": at + 1} if name != "unsplit" else {}
            series.append({"name": PART_WORDS[name], "x": times, "y": values, **place})
    if steps:
        series.append({"name": "sum", "x": times, "y": [step["mean"] for step in steps], "mark": "sum"})
    return {"id": "trend", "kind": "stacked", "unit": "bps", "series": series}


def legs_picture(rows: Sequence[Mapping[str, Any]]) -> Picture:
    """Where time goes, by follower (medians)."""
    return _stacked("legs", "ms", rows, "latency_legs_ms", {leg: STEP_WORDS[leg] for leg in LEGS})


def _stacked(
    picture: str, unit: str, rows: Sequence[Mapping[str, Any]], column: str, words: Mapping[str, str]
) -> Picture:
    """One bar per follower that has this column, its pieces named; pieces keep their place in the ramp."""
    shown = [row for row in rows if row[column]]
    names = [row["id"] for row in shown]
    series = [
        {"name": said, "x": names, "y": values, **({"step": place} if piece != "unsplit" else {})}
        for place, (piece, said) in enumerate(words.items(), 1)
        if any(values := [float(row[column].get(piece) or 0) for row in shown])
    ]
    if shown and column == "slippage_parts_bps":
        means = [float(row["slippage_bps"]["mean"]) for row in shown]
        series.append({"name": "sum", "x": names, "y": means, "mark": "sum"})
    return {"id": picture, "kind": "stacked", "unit": unit, "series": series if shown else []}


def slippage_picture(rows: ReportRows, followers: Iterable[str] | None = None) -> Picture:
    """Every executed copy over time, by follower, and the leaders' trades on the line of no slippage."""
    series: dict[str, Picture] = defaultdict(lambda: {"x": [], "y": [], "text": []})
    for follower, items in judge(rows).items():
        if followers is not None and follower not in followers:
            continue
        for item in items:
            if item.drift is not None:
                points = series[follower]
                points["x"].append(item.drift.executed_ms)
                points["y"].append(round(float(item.drift.slippage.total_bps), 3))
                points["text"].append(f"{item.published.signal.signal_id} {item.verdict}")
    found = [{"name": name, **points} for name, points in sorted(series.items())]
    if found:
        found += _trades(rows, lambda _published: 0.0)
    return {"id": "slippage", "kind": "points", "unit": "bps", "series": found}


def _trades(rows: ReportRows, height: Any) -> list[Picture]:
    """The leaders' steps as two series, bought and sold."""
    found = []
    for side, word in (("buy", "bought"), ("sell", "sold")):
        steps = [published for published in rows.signals if published.signal.side == side]
        if steps:
            leaders = ", ".join(sorted({published.leader_id for published in steps}))
            found.append(
                {
                    "name": f"{leaders} {word}",
                    "x": [published.signal.leader_exec_ms for published in steps],
                    "y": [height(published) for published in steps],
                    "text": [
                        f"{one.signal.signal_id} {side} {one.signal.qty} at {one.signal.price}"
                        for one in steps
                    ],
                    "mark": side,
                }
            )
    return found


def statuses_picture(statuses: Sequence[StatusReport]) -> Picture:
    """Target and actual exposure over time: what is between them is the tracking error."""
    times = [status.sent_ms for status in statuses]
    series = [
        {"name": "target exposure", "x": times, "y": [float(status.target_exposure) for status in statuses]},
        {"name": "actual exposure", "x": times, "y": [float(status.actual_exposure) for status in statuses]},
    ]
    return {"id": "exposure", "kind": "steps", "unit": "of equity", "series": series if times else []}


def prices_picture(samples: Sequence[MarketSample], rows: ReportRows) -> list[Picture]:
    """Prices with the leader's and the followers' fills, and the gap between last and mark."""
    lines = [
        {
            "name": name,
            "x": [sample.wall_ms for sample in samples if getattr(sample, name)],
            "y": [float(getattr(sample, name)) for sample in samples if getattr(sample, name)],
        }
        for name in ("index", "mark", "last")
    ]
    fills: Picture = {"x": [], "y": [], "text": []}
    for follower, items in judge(rows).items():
        for item in items:
            if item.drift is not None:
                fills["x"].append(item.drift.executed_ms)
                fills["y"].append(float(item.drift.fill_price))
                fills["text"].append(f"{follower} {item.verdict} {item.published.signal.signal_id}")
    marks = _trades(rows, lambda published: float(published.signal.price))
    if fills["x"]:
        marks.insert(0, {"name": "followers' fills", **fills, "mark": "fill"})
    gap = gap_series("last against mark", samples)
    has_prices = any(line["x"] for line in lines)
    return [
        {"id": "price", "kind": "lines", "unit": "", "series": [*lines, *marks] if has_prices else []},
        {"id": "gap", "kind": "lines", "unit": "bps", "series": [gap] if gap["x"] else []},
    ]


def gap_series(name: str, samples: Iterable[MarketSample]) -> Picture:
    """How far the last price was from the mark, in basis points of the mark."""
    both = [sample for sample in samples if sample.mark and sample.last and Decimal(sample.mark) > 0]
    return {
        "name": name,
        "x": [sample.wall_ms for sample in both],
        "y": [round(float(_gap(sample)) * 10_000, 3) for sample in both],
    }


def _gap(sample: MarketSample) -> Fraction:
    assert sample.last is not None and sample.mark is not None, "chosen so"
    return (Fraction(sample.last) - Fraction(sample.mark)) / Fraction(sample.mark)
