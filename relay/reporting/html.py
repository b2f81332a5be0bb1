"""The report as one self-contained page.

Belongs here: handing words, tables and points to the template, and everything the page needs into the page.
Does not belong here: figures (`relay.core.report`), sentences (`findings`), look and geometry (`templates`).

The page carries its styles, its script and the plotting library (about 5 MB), asks the network for nothing
and forbids itself to (Content-Security-Policy). Names and texts that others wrote are escaped by the
template; the data is JSON in which `<`, `>` and `&` are escaped too, so no text in it can end its element.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache
from importlib import resources
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import jinja2
import orjson
from markupsafe import Markup

from relay.core.drift import LEGS, PARTS
from relay.core.report import validate
from relay.core.verdicts import NO_VERDICT
from relay.reporting.detail import FillPoint, LiquidationPoint, PriceRow, ReportDetail, VerdictPoint
from relay.reporting.facts import run_facts, was_replayed
from relay.reporting.files import write_atomically
from relay.reporting.findings import (
    PART_NOTES,
    PART_WORDS,
    STEP_WORDS,
    arrival_words,
    findings,
    headline,
    left_out_lines,
    mean_slippage_bps,
    number,
    reason_words,
)
from relay.reporting.over_time import trend_points, trend_words

__all__ = ["FOLLOWER_COLOURS", "FOLLOWER_SHAPES", "page", "write_html"]

# Okabe and Ito's palette, told apart with any colour vision. Its vermilion is kept for what went wrong.
FOLLOWER_COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#B8A60B", "#7A7F87")
FOLLOWER_SHAPES = ("circle", "square", "diamond")  # of the first seven followers, the next seven, and so on
# The steps from fill to fill, in order: one ramp of lightness, the same for prices and for times; the
# deliberate step stands out. Their values for light and dark are in the style sheet.
STEP_COLOURS = tuple(f"--step-{number}" for number in range(1, 8))
PART_LABELS = (
    *("leader lag", "venue basis", "transit", "stagger", "decision", "venue", "spread + impact"),
    "not split",
)
LEG_LABELS = ("notice", "sign", "travel", "stagger", "decide", "order", "fill")
UNSPLIT = "unsplit"
PART_COLOURS = (*STEP_COLOURS, "--faint")
DELIBERATE = ("stagger", "released")


def write_html(report: Mapping[str, Any], detail: ReportDetail, path: Path) -> None:
    """Write the page to `path`, all at once."""
    write_atomically(path, page(report, detail))


def page(report: Mapping[str, Any], detail: ReportDetail) -> str:
    """The whole page as text."""
    asked_venue = report["venue"]["conservation_delta"] is not None
    problems = [line for line in validate(report) if asked_venue or not line.startswith("venue:")]
    names = _part_names(report)
    looks = {row["id"]: _look(place) for place, row in enumerate(report["followers"])}
    return _template("report.html.j2").render(
        headline=headline(report),
        facts=run_facts(report["run"]),
        problems=problems + list(detail.cap_violations),
        kept=_kept(report, asked_venue),
        tiles=_tiles(report),
        findings=[
            dict(zip(("name", "text"), line.split(": ", 1), strict=True)) for line in findings(report, detail)
        ],
        trend=trend_words(report["trend"]),
        followers=[_row(row, looks[row["id"]], names) for row in report["followers"]],
        parts=_parts(report),
        legs=_legs(),
        price_note=_price_note(
            detail,
            replayed=was_replayed(report["run"]),
            some_hidden=any(row["slippage_bps"] for row in report["followers"][len(FOLLOWER_COLOURS) :]),
        ),
        footer=_footer(report),
        css=_asset("report.css"),
        script=_asset("report.js"),
        plotly=_plotting_library(),
        data=_embedded(_data(report, detail, looks)),
    )


def _look(place: int) -> dict[str, str]:
    """Colour and shape of the follower at this place; its price markers start hidden once colours repeat."""
    repeats, at = divmod(place, len(FOLLOWER_COLOURS))
    return {"colour": FOLLOWER_COLOURS[at], "shape": FOLLOWER_SHAPES[repeats % len(FOLLOWER_SHAPES)]}


def _row(row: Mapping[str, Any], look: Mapping[str, str], names: Sequence[str]) -> dict[str, Any]:
    slippage, latency = row["slippage_bps"] or {}, row["latency_ms"] or {}
    parts, spread = row["slippage_parts_bps"], row["latency_legs_spread_ms"]
    gaps: Mapping[str, Any] = row["mark_last_gap_bps"] or {}
    highest, cap = Decimal(row["leverage_max"]), Decimal(row["leverage_cap"])
    return {
        **row,
        **look,
        "slippage_mean": number(slippage.get("mean")),
        "slippage_below": f"{number(slippage['p50'])} · {number(slippage['p95'])}" if slippage else "",
        "latency_p50": number(latency.get("p50"), 0),
        "latency_p95": f"p95 {number(latency['p95'], 0)}" if latency else "",
        "leverage_max": f"{highest:.2f}x" if cap else "–",
        "leverage_cap": f"cap {cap:.2f}x" if cap else "",
        "over_cap": highest > cap,
        "gap": "–" if row["exposure_gap"] is None else f"{Decimal(row['exposure_gap']) * 100:.2f} %",
        "why": ", ".join(f"{reason_words(name)} ({count})" for name, count in row["skip_reasons"].items())
        or "–",
        "parts": [number(parts.get(name)) for name in names] if parts else None,
        "legs": [_leg(spread.get(name)) for name in LEGS] if spread else None,
        "gaps": [_gap(gaps[side]) for side in ("leader", "follower")] if any(gaps.values()) else None,
    }


def _leg(found: Mapping[str, int] | None) -> str:
    return "–" if found is None else " · ".join(number(found[p], 0) for p in ("p50", "p95", "p99"))


def _gap(found: Mapping[str, str] | None) -> str:
    return "–" if found is None else " · ".join(number(found[p]) for p in ("p50", "p95", "p99"))


def _tiles(report: Mapping[str, Any]) -> list[dict[str, str]]:
    followers, venue = report["followers"], report["venue"]
    copies = sum(row["copied"] + row["capped"] for row in followers)
    tiles = [
        _tile(
            "Copies",
            number(copies, 0),
            f"of {sum(row['signals'] for row in followers)}",
            "signals x followers",
        )
    ]
    executed = [row for row in followers if row["slippage_bps"] is not None]
    if executed:
        means = sorted(Decimal(row["slippage_bps"]["mean"]) for row in executed)
        by_follower = f"{_range(means, 2)} by follower"
        medians = sorted(row["latency_ms"]["p50"] for row in executed)
        tiles.append(_tile("Slippage, mean", number(mean_slippage_bps(report)), "bps", by_follower))
        tiles.append(_tile("Latency, median", _range(medians, 0), "ms", "by follower"))
    duplicates = sum(row["duplicate_orders"] for row in followers)
    orders = sum(row["orders"] for row in followers)
    tiles.append(_tile("Doubled orders", number(duplicates, 0), f"of {orders:,}", "by client order id"))
    if venue["liquidations"] is not None:
        note = f"of {number(venue['trades'], 0)} trades" if venue["trades"] is not None else "at the venue"
        tiles.append(_tile("Liquidations", number(venue["liquidations"], 0), "", note))
    if venue["conservation_delta"] is not None:
        tiles.append(
            _tile("Unaccounted money", venue["conservation_delta"], "USDT", "from the venue's journal")
        )
    return tiles


def _tile(name: str, value: str, unit: str, note: str) -> dict[str, str]:
    return {"name": name, "value": value, "unit": unit, "note": note}


def _range(ordered: Sequence[Decimal | int], places: int) -> str:
    low, high = number(ordered[0], places), number(ordered[-1], places)
    if low == high:
        return low
    return f"{low} to {high}" if low.startswith("-") else f"{low}–{high}"


def _kept(report: Mapping[str, Any], asked_venue: bool) -> dict[str, Any]:
    """What was promised and holds, and what nobody can say."""
    rows = report["followers"]
    silent = sum(row["skip_reasons"].get(NO_VERDICT, 0) for row in rows)
    if not any(row["signals"] for row in rows):
        text = "Nothing was signalled to a follower in this time, so no promise could be broken."
        return {"title": "Nothing to judge", "text": text, "is_whole": True}
    verdict = "Every signal has its verdict at every follower"
    if silent:
        chances = sum(row["signals"] for row in rows)
        verdict = f"Of {chances:,} signals {silent:,} have no verdict: what became of them is not known"
    capped = "no order led above its leverage cap"
    if not any(Decimal(row["leverage_cap"]) for row in rows):
        capped = "leverage was not reported"
    line = f"{verdict}, and {capped}"
    if asked_venue:
        line += "; no order reached the venue twice, and its money adds up to the last unit"
    title = "No promise is known to be broken" if silent else "Every promise kept"
    return {"title": title, "text": f"{line}.", "is_whole": not silent}


def _price_note(detail: ReportDetail, *, replayed: bool, some_hidden: bool) -> str:
    notes = []
    if detail.liquidations:
        notes.append("Crosses are liquidations at the venue, counted per second in the strip below.")
    if detail.shock is not None:
        words = "lies between the recording's extremes" if replayed else "is the scenario's shock"
        notes.append(f"The shaded stretch {words}.")
    if some_hidden:
        notes.append(
            f"Fills of the followers after the first {len(FOLLOWER_COLOURS)} are hidden at first: "
            "click a name in the legend to show or hide it."
        )
    return " ".join(notes)


def _footer(report: Mapping[str, Any]) -> str:
    words = "Slippage = side x (follower's price - leader's price) / leader's price; positive is worse."
    left_out = ", ".join(left_out_lines(report["left_out"])) or "nothing"
    came = arrival_words(report["left_out"])
    line = f"{words} Left out of every figure: {left_out}."
    return f"{line} Reports that came {came} are counted as if they had not." if came else line


def _parts(report: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Those of `_part_names`, with their words."""
    named = dict(zip((*PARTS, UNSPLIT), zip(PART_LABELS, PART_COLOURS, strict=True), strict=True))
    return [
        {
            "label": named[name][0],
            "words": PART_WORDS[name],
            "note": PART_NOTES.get(name, ""),
            "colour": named[name][1],
            "deliberate": name in DELIBERATE,
        }
        for name in _part_names(report)
    ]


def _part_names(report: Mapping[str, Any]) -> tuple[str, ...]:
    """The parts, and what is not split where there is any."""
    found = any(UNSPLIT in (row["slippage_parts_bps"] or {}) for row in report["followers"])
    return (*PARTS, UNSPLIT) if found else PARTS


def _legs() -> list[dict[str, Any]]:
    named = zip(LEGS, LEG_LABELS, STEP_COLOURS, strict=True)
    return [
        {"label": label, "words": STEP_WORDS[name], "colour": colour, "deliberate": name in DELIBERATE}
        for name, label, colour in named
    ]


def _data(
    report: Mapping[str, Any], detail: ReportDetail, looks: Mapping[str, Mapping[str, str]]
) -> dict[str, Any]:
    """What the script draws: floats, seconds from the start, everything else as text."""
    fills = [*detail.leader_fills, *detail.follower_fills]
    traded: dict[str, int] = dict.fromkeys(detail.prices, 0)
    for fill in fills:
        traded[fill.symbol] = traded.get(fill.symbol, 0) + 1
    symbols = sorted(traded, key=lambda symbol: (-traded[symbol], symbol))
    shock = detail.shock
    return {
        "leaders": sorted({fill.who for fill in detail.leader_fills}),
        "followers": [_data_row(row, looks[row["id"]], _part_names(report)) for row in report["followers"]],
        "colours": len(FOLLOWER_COLOURS),
        "parts": _parts(report),
        "trend": trend_points(report["trend"], _part_names(report)),
        "legs": _legs(),
        "copies": [
            {
                "follower": copy.follower_id,
                "signal": copy.signal_id,
                "side": copy.side,
                "verdict": copy.verdict,
                "x": _second(copy.wall_ms, detail),
                "bps": float(copy.slippage_bps),
                "latency": copy.latency_ms,
            }
            for copy in detail.copies
        ],
        "symbols": [{"name": symbol} for symbol in symbols],
        "prices": {symbol: [_price(row, detail) for row in rows] for symbol, rows in detail.prices.items()},
        "leader_fills": [_point(fill, detail) for fill in detail.leader_fills],
        "follower_fills": [_point(fill, detail) for fill in detail.follower_fills],
        "verdicts": [_verdict(verdict, detail) for verdict in detail.verdicts],
        "exposures": [
            {
                "who": said.follower_id,
                "x": _second(said.wall_ms, detail),
                "target": float(said.target),
                "actual": float(said.actual),
                "apart": float(abs(Decimal(said.target) - Decimal(said.actual)) * 100),
            }
            for said in detail.exposures
        ],
        "liquidations": [_point(point, detail) for point in detail.liquidations],
        "shock": None
        if shock is None
        else {
            "from": _second(shock.from_ms, detail),
            "to": _second(shock.to_ms, detail),
            "label": shock.label,
        },
    }


def _data_row(row: Mapping[str, Any], look: Mapping[str, str], names: Sequence[str]) -> dict[str, Any]:
    slippage, parts, legs = row["slippage_bps"], row["slippage_parts_bps"], row["latency_legs_ms"]
    return {
        "id": row["id"],
        **look,
        "copies": row["copied"] + row["capped"],
        "slippage": None if slippage is None else {name: float(value) for name, value in slippage.items()},
        "parts": None if parts is None else [float(parts.get(name) or 0) for name in names],
        "latency": row["latency_ms"],
        "legs": None if legs is None else [legs.get(name) for name in LEGS],
    }


def _point(point: FillPoint | LiquidationPoint, detail: ReportDetail) -> dict[str, Any]:
    who = {"who": point.who, "note": point.note} if isinstance(point, FillPoint) else {}
    return {
        **who,
        "symbol": point.symbol,
        "x": _second(point.wall_ms, detail),
        "side": point.side,
        "price": float(point.price),
        "shown": point.price,
        "qty": point.qty,
    }


def _verdict(point: VerdictPoint, detail: ReportDetail) -> dict[str, Any]:
    return {
        "who": point.follower_id,
        "signal": point.signal_id,
        "symbol": point.symbol,
        "x": _second(point.wall_ms, detail),
        "side": point.side,
        "verdict": point.verdict,
        "why": f"{reason_words(point.reason)}. {point.detail}".removesuffix(". "),
    }


def _price(row: PriceRow, detail: ReportDetail) -> dict[str, Any]:
    wall_ms, market_ms, *prices = row
    index, mark, last = (float(price) if price is not None and float(price) > 0 else None for price in prices)
    market = (
        None
        if market_ms is None
        else datetime.fromtimestamp(market_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")
    )
    gap = (last - mark) / mark * 10_000 if last is not None and mark is not None else None
    return {
        "x": _second(wall_ms, detail),
        "market": market,
        "index": index,
        "mark": mark,
        "last": last,
        "gap": gap,
    }


def _second(wall_ms: int, detail: ReportDetail) -> float:
    return (wall_ms - detail.started_ms) / 1000


def _embedded(data: Mapping[str, Any]) -> Markup:
    text = orjson.dumps(data).decode()
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)


def _template(name: str) -> jinja2.Template:
    loader = jinja2.PackageLoader("relay.reporting")
    environment = jinja2.Environment(loader=loader, autoescape=True, undefined=jinja2.StrictUndefined)
    return environment.get_template(name)


def _asset(name: str) -> Markup:
    """A file of this package, which is trusted as it is."""
    return Markup((resources.files("relay.reporting") / "templates" / name).read_text(encoding="utf-8"))


@cache
def _plotting_library() -> Markup:
    """The script of the installed plotting library, found without importing the library."""
    spec = find_spec("plotly")
    assert spec is not None and spec.submodule_search_locations, "plotly is a dependency of this package"
    path = Path(spec.submodule_search_locations[0]) / "package_data" / "plotly.min.js"
    return Markup(path.read_text(encoding="utf-8").replace("</script", "<\\/script"))
