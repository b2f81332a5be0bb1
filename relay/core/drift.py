"""What one copy cost against the leader's fill, and where on the way it was lost.

Belongs here: the decomposition of one copy's slippage into its parts, its latency legs, the mark/last gap,
exact quantiles, and how exact numbers become printed ones.
Does not belong here: which copies count for whom (`report`), rows and files (`relay.store`), pictures
(`relay.reporting`).

Sign: positive = worse for the follower. Everything is exact (`Fraction`) until it is printed, and becomes
basis points of the leader's fill price once. A mid that is missing (an empty book, a step that was not
reached) carries the last known price forward: its own part is then 0, and what moved meanwhile falls to the
next step that does know its mid.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property, lru_cache
from math import lcm
from typing import TypeVar

from relay.protocol.messages import CopyReport, FillRow, MarketState, Signal

__all__ = [
    "LEGS",
    "PARTS",
    "PRICE_RATIO_MAX",
    "STEPS",
    "CopyDrift",
    "Decomposition",
    "PricePath",
    "apportion",
    "apportion_units",
    "clocks_apart",
    "decimal_text",
    "decompose",
    "exact",
    "latency_legs",
    "mark_last_gap_bps",
    "measure",
    "mid_of",
    "quantile",
    "volume_weighted_price",
]

PARTS = ("leader_lag", "venue_basis", "transit", "stagger", "decision", "venue", "spread_impact")
STEPS = ("leader_exec", "seen", "sealed", "received", "released", "submitted", "accepted", "executed")
LEGS = STEPS[1:]  # a leg is named after the step it ends at
BPS = 10_000
CLOCKS_APART_MS = 250  # beyond it, an effect before its cause says that two clocks disagree
PRICE_RATIO_MAX = 2  # a fill at more than double or less than half of the leader's price is no copy of it


_QUOTES = ("USDT", "USDC", "USD")  # counted as one, as leaders' fees are

Value = TypeVar("Value", int, Fraction)


@dataclass(frozen=True, slots=True)
class PricePath:
    """Every price that one copy went past, from the leader's fill to the follower's; None = not known."""

    side: str  # of the follower's order: "buy" | "sell"
    leader_price: Fraction
    fill_price: Fraction
    sealed_mid: Fraction | None = None
    venue_mid: Fraction | None = None  # the follower's venue when the signal was sealed
    received_mid: Fraction | None = None
    released_mid: Fraction | None = None
    submitted_mid: Fraction | None = None
    accepted_mid: Fraction | None = None

    @property
    def quotes(self) -> tuple[Fraction | None, ...]:
        """Everything between the two fills, in order."""
        return (
            self.sealed_mid,
            self.venue_mid,
            self.received_mid,
            self.released_mid,
            self.submitted_mid,
            self.accepted_mid,
        )

    @property
    def measured(self) -> tuple[bool, ...]:
        """Which of `PARTS` are known. On one venue there is no basis; the last part takes what is left, where
        anything between the two fills is known.
        """
        known = [quote is not None for quote in self.quotes]
        known[1] = known[1] or known[0]
        return (*known, any(known))


@dataclass(frozen=True)
class Decomposition:
    """The parts in price units, in the order of `PARTS`; they sum to `total` exactly."""

    leader_price: Fraction
    parts: tuple[Fraction, ...]
    total: Fraction

    @cached_property
    def total_bps(self) -> Fraction:
        return self.total * BPS / self.leader_price

    @cached_property
    def parts_bps(self) -> tuple[Fraction, ...]:
        return tuple(part * BPS / self.leader_price for part in self.parts)


@lru_cache(maxsize=4_096)
def exact(text: str) -> Fraction:
    """A number of the wire. What a leader said is read once for all of his followers."""
    return Fraction(text)


def decompose(path: PricePath) -> Decomposition:
    """Split `side x (fill - leader)` into the seven parts. Prices must be positive."""
    assert path.side in ("buy", "sell"), path.side
    assert path.leader_price > 0 and path.fill_price > 0, "prices are positive"
    sign = 1 if path.side == "buy" else -1
    known = path.leader_price
    parts: list[Fraction] = []
    for price in (*path.quotes, path.fill_price):
        reached = known if price is None else price
        parts.append(sign * (reached - known))
        known = reached
    total = sign * (path.fill_price - path.leader_price)
    assert sum(parts) == total, "the parts sum to the whole"
    return Decomposition(path.leader_price, tuple(parts), total)


def volume_weighted_price(fills: Sequence[tuple[Fraction, Fraction]]) -> Fraction | None:
    """Mean price of (qty, price) pairs weighted by qty; None without quantity."""
    volume = sum((qty for qty, _ in fills), Fraction(0))
    return sum((qty * price for qty, price in fills), Fraction(0)) / volume if volume > 0 else None


def mid_of(market: MarketState) -> Fraction | None:
    """Middle of best bid and ask; None when a side of the book is empty or the two are crossed."""
    bid, ask = exact(market.bid), exact(market.ask)
    return (bid + ask) / 2 if 0 < bid <= ask else None


def latency_legs(times_ms: Mapping[str, int | None]) -> dict[str, int]:
    """Milliseconds from each step to the next one known, keyed by the step the leg ends at.

    The venue's fill may carry an earlier time than the moment its acceptance reached the follower; the order
    was then accepted no later than it was executed, and the leg ends there. Legs sum to last - first.
    """
    times = dict(times_ms)
    accepted, executed = times.get("accepted"), times.get("executed")
    if accepted is not None and executed is not None:
        times["accepted"] = min(accepted, executed)
    legs: dict[str, int] = {}
    known = times.get("leader_exec")
    for step in LEGS:
        reached = times.get(step)
        if reached is None:
            continue
        if known is not None:
            legs[step] = reached - known
        known = reached
    return legs


def mark_last_gap_bps(mark: str | None, last: str | None) -> Fraction | None:
    """How far last stood from mark, in basis points of the mark; None when either is unknown."""
    if mark is None or last is None:
        return None
    mark_price, last_price = exact(mark), exact(last)
    if mark_price <= 0 or last_price <= 0:
        return None
    return (last_price - mark_price) * BPS / mark_price


@dataclass(frozen=True, slots=True)
class CopyDrift:
    """One executed copy, measured against the leader's fill."""

    slippage: Decomposition
    measured: tuple[bool, ...]  # whether each of `PARTS` is known: a quote that is missing makes its part 0
    fill_price: Fraction
    filled_qty: Fraction
    fees: Fraction  # in quote currency, positive = paid; those of another coin are not in it
    fees_elsewhere: bool  # some were charged in a coin that is neither of the symbol's
    executed_ms: int
    latency_ms: int
    legs_ms: Mapping[str, int]  # empty where they are not known: clocks apart, or nobody noted the steps
    clocks_apart: bool
    leader_gap_bps: Fraction | None  # mark/last gap at the leader's fill
    follower_gap_bps: Fraction | None  # and at the follower's, or else when the signal reached him

    @property
    def is_split(self) -> bool:
        """Whether any quote on the way was known; without one the parts say nothing."""
        return self.measured[-1]

    @property
    def known_parts_bps(self) -> dict[str, Fraction | None]:
        """By name; None where it was not measured."""
        parts = zip(PARTS, self.slippage.parts_bps, self.measured, strict=True)
        return {name: value if is_known else None for name, value, is_known in parts}

    @property
    def cost(self) -> Fraction:
        """What copying this signal cost in quote currency: slippage and fees."""
        return self.slippage.total * self.filled_qty + self.fees


def measure(signal: Signal, copy: CopyReport) -> CopyDrift | None:
    """Measure one copy; None when nothing was executed or its price cannot be a copy of the leader's."""
    filled_orders = [order for order in copy.orders if order.fills]
    fills = [(fill, exact(fill.qty), exact(fill.price)) for o in filled_orders for fill in o.fills]
    fill_price = volume_weighted_price([(qty, price) for _, qty, price in fills])
    leader_price = exact(signal.price)
    if fill_price is None or leader_price <= 0 or fill_price <= 0:
        return None
    if not leader_price / PRICE_RATIO_MAX <= fill_price <= leader_price * PRICE_RATIO_MAX:
        return None
    executed_ms = (
        copy.executed_ms if copy.executed_ms is not None else max(f.executed_ms for f, _, _ in fills)
    )
    are_apart = clocks_apart(signal, copy)
    has_steps = signal.seen_ms > 0  # records of fills alone do not say when a signal was made of one
    times_ms = {
        "leader_exec": signal.leader_exec_ms,
        "seen": signal.seen_ms,
        "sealed": signal.sealed_ms,
        "received": copy.received_ms,
        "released": copy.released_ms,
        "submitted": copy.submitted_ms,
        "accepted": copy.accepted_ms,
        "executed": executed_ms,
    }
    path = PricePath(
        side=filled_orders[0].side,
        leader_price=leader_price,
        fill_price=fill_price,
        sealed_mid=mid_of(signal.market),
        venue_mid=_positive(copy.venue_mid),
        received_mid=_positive(copy.received_mid),
        released_mid=_positive(copy.released_mid),
        submitted_mid=_positive(copy.submitted_mid),
        accepted_mid=_positive(copy.accepted_mid),
    )
    fees = [_fee_in_quote(signal.symbol, fill, price) for fill, _, price in fills]
    return CopyDrift(
        slippage=decompose(path),
        measured=path.measured,
        fill_price=fill_price,
        filled_qty=sum((qty for _, qty, _ in fills), Fraction(0)),
        fees=sum((fee for fee in fees if fee is not None), Fraction(0)),
        fees_elsewhere=None in fees,
        executed_ms=executed_ms,
        latency_ms=executed_ms - signal.leader_exec_ms,
        legs_ms=latency_legs(times_ms) if has_steps and not are_apart else {},
        clocks_apart=are_apart,
        leader_gap_bps=mark_last_gap_bps(signal.market.mark, signal.market.last),
        follower_gap_bps=_gap_at_fill(copy),
    )


def clocks_apart(signal: Signal, copy: CopyReport) -> bool:
    """Whether the follower heard of the signal before it was sealed, or the venue filled before he sent.

    The whole latency is between two times of venues and stays known.
    """
    if copy.received_ms < signal.sealed_ms - CLOCKS_APART_MS:
        return True
    if copy.submitted_ms is None or copy.executed_ms is None:
        return False
    return copy.submitted_ms > copy.executed_ms + CLOCKS_APART_MS


def quantile(ordered: Sequence[Value], percent: int) -> Value:
    """Nearest-rank quantile of an ascending sequence: always one of its values, never an interpolation."""
    assert ordered and 0 < percent <= 100, "a quantile needs values"
    return ordered[-(-len(ordered) * percent // 100) - 1]


def decimal_text(value: Fraction, places: int) -> str:
    """Decimal string of a fraction, rounded half to even at `places`, without trailing zeros."""
    scale = 10**places
    units, left = divmod(value.numerator * scale, value.denominator)
    units += 2 * left > value.denominator or (2 * left == value.denominator and units % 2 == 1)
    whole, part = divmod(abs(units), scale)
    digits = f"{part:0{places}d}".rstrip("0") if part else ""
    return f"{'-' if units < 0 else ''}{whole}{'.' if digits else ''}{digits}"


def apportion(values: Sequence[Fraction], places: int) -> list[Fraction]:
    """Round each value so that the rounded ones sum to the rounded sum (largest remainder first)."""
    return [Fraction(units, 10**places) for units in apportion_units(values, 10**places)]


def apportion_units(values: Sequence[Fraction], scale: int) -> list[int]:
    """The same in whole units of 1 / `scale`. Over one denominator, since this is done for every copy."""
    whole = lcm(*(value.denominator for value in values))
    scaled = [value.numerator * (whole // value.denominator) * scale for value in values]
    floors = [each // whole for each in scaled]
    total, left = divmod(sum(scaled), whole)
    total += 2 * left > whole or (2 * left == whole and total % 2 == 1)  # half to even
    by_remainder = sorted(range(len(values)), key=lambda i: (floors[i] * whole - scaled[i], i))
    for i in by_remainder[: total - sum(floors)]:
        floors[i] += 1
    return floors


def _gap_at_fill(copy: CopyReport) -> Fraction | None:
    at_fill = mark_last_gap_bps(copy.executed_mark, copy.executed_last)
    return mark_last_gap_bps(copy.received_mark, copy.received_last) if at_fill is None else at_fill


def _fee_in_quote(symbol: str, fill: FillRow, price: Fraction) -> Fraction | None:
    """What a fill was charged; the symbol's own coin is worth what it was traded at. None where it was
    charged in another one, of which no price is known.
    """
    fee = exact(fill.fee)
    base, _, rest = symbol.partition("/")
    if not rest or not fee or fill.fee_currency in _QUOTES or fill.fee_currency in rest.split(":"):
        return fee
    return fee * price if fill.fee_currency == base else None


def _positive(text: str | None) -> Fraction | None:
    """A quote, or None where it is missing or zero (an empty book)."""
    if text is None:
        return None
    price = exact(text)
    return price if price > 0 else None
