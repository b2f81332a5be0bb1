"""Figures that add up: what became of a stretch of signals at one follower, mergeable with any other stretch.

Belongs here: what is counted per follower, leader and symbol, and `Tally.merge`, so that a month is the sum
of its hours whoever counted them and in whatever order. Does not belong here: which signals count for whom
(`verdicts`), the document that is printed (`report`), where tallies are kept (`relay.store`).

Sums are integers and therefore exact. Spreads are kept as counts by value: milliseconds and hundredths of a
basis point, to three significant digits, so a quantile is at most half a percent from the exact one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from typing import Any, Protocol

import msgspec

from relay.core.drift import PARTS, CopyDrift, apportion, apportion_units, clocks_apart, exact
from relay.core.shortfall import QUOTE_UNITS, Stock
from relay.core.verdicts import EXECUTED_VERDICTS, Judged, is_entry
from relay.protocol.messages import CopyReport

__all__ = [
    "MICRO_BPS",
    "QUOTE_UNITS",
    "SPREAD_UNITS",
    "Tally",
    "TallyKey",
    "add_counts",
    "is_measured",
    "mean_parts",
    "rounded",
    "spread_quantile",
    "spread_quantiles",
    "tally",
]

MICRO_BPS = 10**6  # sums of slippage: units of one basis point
SPREAD_UNITS = 100  # spreads of slippage and of the mark/last gap: units of one basis point
SIGNIFICANT = 1000
VIOLATIONS_SHOWN_MAX = 20

Spread = dict[int, int]  # value -> how often
TallyKey = tuple[str, str, str]  # follower id, leader id, symbol


class Tally(msgspec.Struct):
    """What became of a stretch of signals of one leader in one symbol at one follower."""

    signals: int = 0
    verdicts: dict[str, int] = {}
    reasons: dict[str, int] = {}  # why signals were not copied
    cut_by: dict[str, int] = {}  # which cap made a copy smaller
    orders: int = 0
    executed: int = 0  # copies with a measured price
    unsplit: int = 0  # of these, copies on whose way no quote was known
    impossible: int = 0  # copies at a price that cannot be one of the leader's
    apart: int = 0  # copies whose latency legs are left out, since two clocks disagreed
    fees_elsewhere: int = 0  # copies with fees in another coin, which are in no sum
    parts: list[int] = msgspec.field(
        default_factory=lambda: [0] * len(PARTS)
    )  # sums, MICRO_BPS, in the order of `PARTS`
    unmeasured: list[int] = msgspec.field(
        default_factory=lambda: [0] * len(PARTS)
    )  # of the executed copies, those whose part is not known
    unsplit_sum: int = 0  # slippage of copies of which no part is known, MICRO_BPS
    fees: int = 0  # QUOTE_UNITS
    cost: int = 0  # slippage and fees, QUOTE_UNITS
    notional: int = 0  # traded, QUOTE_UNITS
    slippage: Spread = {}  # SPREAD_UNITS
    latency: Spread = {}  # ms
    legs: dict[str, Spread] = {}  # ms, by the step a leg ends at
    gaps: Spread = {}  # |last - mark|, SPREAD_UNITS: of both fills, as it was counted once
    leader_gaps: Spread = {}  # at the leader's fill
    follower_gaps: Spread = {}  # and at the follower's
    leverage_max: str = "0"
    leverage_cap: str = "0"
    violations: list[str] = []  # the first of them
    violated: int = 0  # how many there were
    stock: Stock = msgspec.field(default_factory=Stock)  # for what was earned, and what was not copied

    @property
    def total(self) -> int:
        """Sum of slippage, MICRO_BPS."""
        return sum(self.parts) + self.unsplit_sum

    @property
    def both_gaps(self) -> Spread:
        """At either fill."""
        found = dict(self.gaps)
        add_counts(found, self.leader_gaps)
        add_counts(found, self.follower_gaps)
        return found

    def add(self, item: Judged) -> None:
        """Count one more signal."""
        self.signals += 1
        self.stock.add(item)
        _count(self.verdicts, item.verdict)
        if item.verdict not in EXECUTED_VERDICTS:
            _count(self.reasons, item.reason)
        elif item.verdict == "capped":
            _count(self.cut_by, item.reason)
        if item.copy is not None:
            self._add_copy(item.copy)
        if item.drift is not None:
            self._add_drift(item.drift)
        elif item.copy is not None:
            self.apart += clocks_apart(item.published.signal, item.copy)
            if item.verdict in EXECUTED_VERDICTS:
                self.impossible += any(order.fills for order in item.copy.orders)

    def merge(self, other: Tally) -> None:
        """Count everything that another tally counted."""
        for name in _NUMBERS:
            if more := getattr(other, name):
                setattr(self, name, getattr(self, name) + more)
        for name in _COUNTS:
            if counts := getattr(other, name):
                add_counts(getattr(self, name), counts)
        for leg, spread in other.legs.items():
            add_counts(self.legs.setdefault(leg, {}), spread)
        self.parts = [mine + theirs for mine, theirs in zip(self.parts, other.parts, strict=True)]
        self.unmeasured = [
            mine + theirs for mine, theirs in zip(self.unmeasured, other.unmeasured, strict=True)
        ]
        self.stock.merge(other.stock)
        self.leverage_max = _higher(self.leverage_max, other.leverage_max)
        self.leverage_cap = _higher(self.leverage_cap, other.leverage_cap)
        self.violations = (self.violations + other.violations)[:VIOLATIONS_SHOWN_MAX]

    def _add_copy(self, copy: CopyReport) -> None:
        self.orders += len(copy.orders)
        if not is_entry(copy):
            return
        after, cap = copy.leverage_after or "0", copy.leverage_cap or "0"
        self.leverage_max = _higher(self.leverage_max, after)
        self.leverage_cap = _higher(self.leverage_cap, cap)
        if exact(after) > exact(cap):
            self.violated += 1
            told = f"{copy.follower_id}: {copy.signal_id} went to {after}x, cap was {cap}x"
            self.violations = [*self.violations, told][:VIOLATIONS_SHOWN_MAX]

    def _add_drift(self, drift: CopyDrift) -> None:
        self.executed += 1
        self.unsplit += not drift.is_split
        self.apart += drift.clocks_apart
        self.fees_elsewhere += drift.fees_elsewhere
        if drift.is_split:
            parts = apportion_units(drift.slippage.parts_bps, MICRO_BPS)
            self.parts = [mine + part for mine, part in zip(self.parts, parts, strict=True)]
        else:
            self.unsplit_sum += round(drift.slippage.total_bps * MICRO_BPS)
        if not all(drift.measured):
            missing = zip(self.unmeasured, drift.measured, strict=True)
            self.unmeasured = [count + (not is_known) for count, is_known in missing]
        self.fees += round(drift.fees * QUOTE_UNITS)
        self.cost += round(drift.cost * QUOTE_UNITS)
        self.notional += round(drift.fill_price * drift.filled_qty * QUOTE_UNITS)
        _count(self.slippage, rounded(round(drift.slippage.total_bps * SPREAD_UNITS)))
        _count(self.latency, rounded(drift.latency_ms))
        for leg, value in drift.legs_ms.items():
            _count(self.legs.setdefault(leg, {}), rounded(value))
        gaps = ((self.leader_gaps, drift.leader_gap_bps), (self.follower_gaps, drift.follower_gap_bps))
        for spread, gap in gaps:
            if gap is not None:
                _count(spread, rounded(round(abs(gap) * SPREAD_UNITS)))


_NUMBERS = tuple(name for name, kind in Tally.__annotations__.items() if kind == "int")
_COUNTS = tuple(name for name, kind in Tally.__annotations__.items() if kind in ("Spread", "dict[str, int]"))


def tally(items: Iterable[Judged]) -> dict[TallyKey, Tally]:
    """The tallies of these signals."""
    found: dict[TallyKey, Tally] = {}
    for item in items:
        published = item.published
        key = (item.follower_id, published.leader_id, published.signal.symbol)
        found.setdefault(key, Tally()).add(item)
    return found


class Split(Protocol):
    """Sums of slippage by part, as a `Tally` has them."""

    executed: int
    unsplit: int
    unsplit_sum: int
    parts: list[int]
    unmeasured: list[int]


def mean_parts(total: Split, places: int) -> tuple[Fraction, dict[str, Fraction | None] | None]:
    """Mean slippage of the executed copies, of which there must be some, and its parts, which sum to it as
    they are rounded; None for a part that was measured on no copy's way, and for all where none was.

    `unsplit` is there where of some copies no part is known: what they add to the mean.
    """
    assert total.executed > 0, "a mean needs values"
    sums = [Fraction(part, total.executed * MICRO_BPS) for part in (*total.parts, total.unsplit_sum)]
    *parts, unsplit = apportion(sums, places)
    mean = sum(parts, unsplit)
    if total.unsplit == total.executed:
        return mean, None
    found: dict[str, Fraction | None] = {
        name: parts[at] if is_measured(total, at) else None for at, name in enumerate(PARTS)
    }
    return mean, found | ({"unsplit": unsplit} if total.unsplit else {})


def is_measured(total: Split, at: int) -> bool:
    """Whether the part at this place of `PARTS` is known of any executed copy."""
    return total.unmeasured[at] < total.executed


def spread_quantile(spread: Mapping[int, int], percent: int) -> int:
    """Nearest-rank quantile of counted values."""
    return spread_quantiles(spread, (percent,))[0]


def spread_quantiles(spread: Mapping[int, int], percents: Sequence[int]) -> list[int]:
    """Several of them, ascending."""
    total = sum(spread.values())
    assert total > 0, "a quantile needs values"
    ranks = [-(-total * percent // 100) for percent in percents]
    found: list[int] = []
    seen = 0
    for value in sorted(spread):
        seen += spread[value]
        while len(found) < len(ranks) and ranks[len(found)] <= seen:
            found.append(value)
    return found


def rounded(value: int) -> int:
    """To three significant digits, half away from zero."""
    size, step = abs(value), 1
    while size // step >= SIGNIFICANT:
        step *= 10
    size = (size + step // 2) // step * step
    return size if value >= 0 else -size


def _count(counts: dict[Any, int], key: Any) -> None:
    counts[key] = counts.get(key, 0) + 1


def add_counts(counts: dict[Any, int], others: Mapping[Any, int]) -> None:
    """Count by value what was counted elsewhere."""
    if not counts:
        counts.update(others)
        return
    for key, count in others.items():
        counts[key] = counts.get(key, 0) + count


def _higher(one: str, other: str) -> str:
    return one if exact(one) >= exact(other) else other
