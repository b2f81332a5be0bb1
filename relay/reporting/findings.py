"""A report in plain words.

Belongs here: sentences made from the report's figures. Does not belong here: figures of its own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any

from relay.reporting.detail import CopyPoint, ReportDetail

__all__ = [
    "PART_NOTES",
    "PART_WORDS",
    "STEP_WORDS",
    "arrival_words",
    "findings",
    "headline",
    "left_out_lines",
    "mean_slippage_bps",
    "number",
    "printable",
    "reason_words",
]

PART_WORDS = {
    "leader_lag": "the market moved before the signal was sealed",
    "venue_basis": "the venues' prices differ",
    "transit": "the market moved while the signal travelled",
    "stagger": "the market moved while the follower waited for its wave",
    "decision": "the market moved while the follower decided",
    "venue": "the market moved while the order was on its way",
    "spread_impact": "spread and market impact",
    "unsplit": "no prices on the way are known",
}
PART_NOTES = {
    "venue_basis": "0 where leader and follower trade on one venue; between two, the follower's own middle "
    "price when the signal was sealed against the leader's",
}
CAP_WORDS = {
    "cap_leverage": "its own leverage cap",
    "cap_leader_leverage": "half of the leader's leverage",
    "cap_tier_leverage": "the venue's leverage tier",
    "cap_order_size": "the venue's largest order",
    "cap_order_notional": "its notional cap per order",
    "cap_symbol_notional": "its notional cap per symbol",
    "cap_total_notional": "its notional cap in total",
    "cap_margin": "its free margin",
}
REASONS_NAMED_MAX = 6
STEP_WORDS = {
    "seen": "the publisher sees the fill",
    "sealed": "the signal is signed",
    "received": "the follower has it",
    "released": "its wave begins (deliberate)",
    "submitted": "the order is sent",
    "accepted": "the venue accepts it",
    "executed": "the venue fills it",
}


def number(value: str | int | float | Decimal | None, places: int = 2) -> str:
    """A figure for people: thousands apart, fixed decimals, `–` where there is none."""
    if value is None:
        return "–"
    # The rounding is named: a library in the same process may have changed what the context would do.
    rounded = Decimal(str(value)).quantize(Decimal(1).scaleb(-places), ROUND_HALF_EVEN)
    return f"{rounded + 0:,f}"  # + 0: no "-0.00"


def left_out_lines(found: Mapping[str, Any]) -> list[str]:
    """What of a report's `left_out` there is: what is in no figure, and why."""
    kinds = (
        ("unknown_signals", "verdicts on signals that the feed did not show"),
        ("impossible_prices", "copies filled at impossible prices"),
        ("clocks_apart", "copies by clocks that are apart (their latency legs)"),
        ("fees_elsewhere", "copies charged in a coin that is not traded (those fees)"),
    )
    lines = [f"{found[name]:,} {words}" for name, words in kinds if found[name]]
    return lines + [
        f"{count:,} reports refused: {reason_words(name)}" for name, count in found["refused"].items()
    ]


def arrival_words(found: Mapping[str, Any]) -> str:
    """How reports came, of a report's `left_out`: `3 late, 1 doubled`; empty where all was in order."""
    came = found["arrivals"].items()
    return ", ".join(f"{count:,} {reason_words(kind)}" for kind, count in came if count)


def reason_words(reason: str) -> str:
    """`below_minimum` -> `below minimum`."""
    return reason.replace("_", " ").replace(".", " ").lower()


def printable(text: str) -> str:
    """Followers write policies, reasons and details: nothing in them may steer a terminal."""
    return "".join(char if char.isprintable() else "?" for char in text)


def headline(report: Mapping[str, Any]) -> str:
    """The one sentence to remember."""
    followers: Sequence[Mapping[str, Any]] = report["followers"]
    chances = sum(row["signals"] for row in followers)
    copies = sum(row["copied"] + row["capped"] for row in followers)
    if not copies:
        return (
            f"{_count(len(followers), 'follower')} had {chances} chances to copy a signal; none was copied."
        )
    mean = mean_slippage_bps(report)
    share = Decimal(100 * copies) / chances
    cost = "cost" if mean >= 0 else "gained"
    return (
        f"{_count(len(followers), 'follower')} copied {copies} of {chances} signals ({share:.0f} %). "
        f"On average a copy {cost} {abs(mean):.2f} bps against the leader's own fill."
    )


def mean_slippage_bps(report: Mapping[str, Any]) -> Decimal:
    """Mean over all copies of all followers; 0 where there was none."""
    return _weighted(report["followers"], lambda row: Decimal(row["slippage_bps"]["mean"]))


def findings(report: Mapping[str, Any], detail: ReportDetail) -> list[str]:
    """What the figures say, most important first; each is `Name: ` and one or two sentences."""
    followers: Sequence[Mapping[str, Any]] = report["followers"]
    executed = [row for row in followers if row["slippage_bps"] is not None]
    lines: list[str] = []
    if executed:
        split = [row for row in executed if row["slippage_parts_bps"] is not None]
        lines += [*([_where_it_goes(split)] if split else []), _how_late(executed)]
    if detail.dearest is not None:
        lines.append(_dearest(detail.dearest, executed))
    lines += [
        line
        for line in (_caps(followers, detail.cap_reasons), _not_copied(followers), _venue(report["venue"]))
        if line
    ]
    return lines


def _where_it_goes(executed: Sequence[Mapping[str, Any]]) -> str:
    means = {
        part: _weighted(executed, lambda row, part=part: Decimal(row["slippage_parts_bps"].get(part) or 0))
        for part in PART_WORDS
    }
    largest = max(means, key=lambda part: means[part])  # what is below nothing was gained there
    ranked = sorted(executed, key=lambda row: Decimal(row["slippage_bps"]["mean"]))
    line = "Where it goes: no part of the way cost anything."
    if means[largest] > 0:
        line = f"Where it goes: mostly {PART_WORDS[largest]} ({means[largest]:+.2f} bps of the mean)."
    if len(ranked) > 1:
        best, worst = ranked[0], ranked[-1]
        line += (
            f" Cheapest follower: {best['id']} ({number(best['slippage_bps']['mean'])} bps); "
            f"dearest: {worst['id']} ({number(worst['slippage_bps']['mean'])} bps)."
        )
    return line


def _how_late(executed: Sequence[Mapping[str, Any]]) -> str:
    medians = sorted(row["latency_ms"]["p50"] for row in executed)
    slowest = max(row["latency_ms"]["p95"] for row in executed)
    spread = f"{medians[0]}" if medians[0] == medians[-1] else f"{medians[0]} to {medians[-1]}"
    return f"How late: the median copy was filled {spread} ms after the leader, p95 at most {slowest} ms."


def _dearest(copy: CopyPoint, executed: Sequence[Mapping[str, Any]]) -> str:
    """One copy can carry a mean: name it, with its follower's median to compare."""
    figures = next(row["slippage_bps"] for row in executed if row["id"] == copy.follower_id)
    bps = Decimal(copy.slippage_bps)
    return (
        f"Dearest copy: {copy.follower_id} on {copy.signal_id}, {bps:+,.2f} bps in "
        f"{_count(copy.orders, 'order')}, {copy.latency_ms:,} ms after the leader. Over all copies "
        f"{copy.follower_id} has a median of {number(figures['p50'])} and a mean of "
        f"{number(figures['mean'])} bps."
    )


def _caps(followers: Sequence[Mapping[str, Any]], reasons: Mapping[str, int]) -> str:
    above = [row["id"] for row in followers if Decimal(row["leverage_max"]) > Decimal(row["leverage_cap"])]
    if above:
        return f"Caps: {', '.join(above)} went above the leverage cap."
    if not any(row["copied"] + row["capped"] for row in followers):
        return "Caps: nothing was ordered."
    line = "Caps: no order led above its leverage cap (at most half of the leader's leverage)"
    if not reasons:
        return f"{line}; none had to be cut down."
    cut = _ranked({CAP_WORDS.get(reason, reason_words(reason)): count for reason, count in reasons.items()})
    names = cut[0][0] if len(cut) == 1 else ", ".join(f"{name} {count:,}" for name, count in cut)
    total = sum(reasons.values())
    return (
        f"{line}. {_count(total, 'copied order')} {'was' if total == 1 else 'were'} cut down to fit"
        f"{':' if len(cut) > 1 else ''} {names}."
    )


def _not_copied(followers: Sequence[Mapping[str, Any]]) -> str:
    reasons: Counter[str] = Counter()
    for row in followers:
        reasons.update(row["skip_reasons"])
    if not reasons:
        return "Not copied: nothing."
    ranked = _ranked(reasons)
    most = len(ranked) if len(ranked) <= REASONS_NAMED_MAX else REASONS_NAMED_MAX - 1
    named = [f"{reason_words(reason)} {count:,}" for reason, count in ranked[:most]]
    if ranked[most:]:
        named.append(f"and {sum(count for _, count in ranked[most:]):,} for other reasons")
    return f"Not copied: {sum(reasons.values()):,}, each with its reason ({', '.join(named)})."


def _ranked(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    return sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))


def _venue(venue: Mapping[str, Any]) -> str:
    if venue["trades"] is None:
        return ""
    liquidations, deleveraged = venue["liquidations"] or 0, venue["adl"] or 0
    line = f"Venue: {number(venue['trades'], 0)} trades, {_count(liquidations, 'liquidation')}"
    line += f", {_count(deleveraged, 'deleveraging')}" if deleveraged else ""
    if venue["conservation_delta"] == "0":
        line += "; every unit of money is accounted for"
    return line + "."


def _weighted(rows: Sequence[Mapping[str, Any]], value: Any) -> Decimal:
    """Mean over copies, not over followers."""
    counted = [(row["copied"] + row["capped"], row) for row in rows if row["slippage_bps"] is not None]
    total = sum(count for count, _ in counted)
    return sum((count * value(row) for count, row in counted), Decimal(0)) / total if total else Decimal(0)


def _count(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
