"""What the leader made with his trades and a follower with the copies, and why that is not the same.

Belongs here: what has to be summed for it, mergeable, and the difference taken apart. Does not belong here:
the parts of one copy (`drift`), other counts (`tally`), how it is printed (`money`).

The leader's trades are valued as if every one had been copied at his price, in the follower's size: `ratio`
is the position that the policy wanted over the leader's, after his entries. Both sides are marked at the last
price known, so for every stretch, whatever was held before it,

    leader - own = slippage, part by part + fees + what was not copied

exactly: what was skipped, what was missed, and what was copied in another size (caps, minimums, rounding,
equity). What was not copied costs what it made afterwards; where it lost, the cost is negative.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction

import msgspec

from relay.core.drift import PARTS, CopyDrift, apportion_units, exact
from relay.core.verdicts import Judged
from relay.protocol.messages import CopyReport, Signal

__all__ = ["NOT_COPIED", "QTY_UNITS", "QUOTE_UNITS", "PnlDrift", "Stock", "pnl_drift"]

QTY_UNITS = 10**12  # quantities, exact: the wire has twelve decimals
QUOTE_UNITS = 10**8  # money: units of the quote currency
NOT_COPIED = ("skipped", "missed", "size")
_CLASS = {"copied": "size", "capped": "size", "skipped": "skipped", "missed": "missed"}


def _no_parts() -> list[int]:
    return [0] * len(PARTS)


class Stock(msgspec.Struct):
    """Signed sums over the signals of one leader, follower and symbol; buys are positive."""

    steps: dict[
        str, list[int]
    ] = {}  # by NOT_COPIED: leader's qty and value; own qty and its value at his price
    parts: list[int] = msgspec.field(default_factory=_no_parts)  # slippage in money, in the order of `PARTS`
    unsplit: int = 0  # and of copies of which no part is known
    own_target: int = 0  # what the policy wanted to hold after his entries, in the leader's direction
    leader_target: int = 0  # and what he held
    wanted: int = 0  # of the copies, before caps, in money at the leader's price
    ordered: int = 0  # in all orders that were sent, those that a later one completed included
    filled: int = 0
    fees_compared: int = 0  # own fees on copies of trades whose fee the leader told
    leader_fees: int = 0  # and what they would have been at his rate
    market_ms: int = 0  # when the market was known last
    mark: str = "0"
    depth_usdt: str = "0"  # 0 = the leader's venue does not tell
    open_interest: str = "0"

    def add(self, item: Judged) -> None:
        """Count one more signal."""
        signal, copy, drift = item.published.signal, item.copy, item.drift
        if drift is None and copy is not None and any(order.fills for order in copy.orders):
            return  # at a price that cannot be: it is in no figure
        price, qty = exact(signal.price), exact(signal.qty)
        sign = _sign(signal.side)
        moved = [round(sign * qty * QTY_UNITS), round(sign * qty * price * QUOTE_UNITS), 0, 0]
        if copy is not None:
            self._add_target(signal, copy)
            sent = sum((exact(order.qty) for order in copy.orders), Fraction(0))
            self.ordered += round(sent * price * QUOTE_UNITS)
        if copy is not None and drift is not None:
            own = _sign(_filled_side(copy)) * drift.filled_qty
            moved[2:] = [round(own * QTY_UNITS), round(own * price * QUOTE_UNITS)]
            self._add_copy(signal, copy, drift, price)
        _add_up(self.steps, _CLASS[item.verdict], moved)
        market = signal.market
        known = (_mark(signal), market.depth_usdt or "0", market.open_interest or "0")
        self._note_market(signal.sealed_ms, known)

    def merge(self, other: Stock) -> None:
        """Count everything that another one counted."""
        for name in _SUMS:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.parts = [mine + theirs for mine, theirs in zip(self.parts, other.parts, strict=True)]
        for kind, moved in other.steps.items():
            _add_up(self.steps, kind, moved)
        self.note_market(other)

    def note_market(self, other: Stock) -> None:
        """Take over the market as it was known last."""
        self._note_market(other.market_ms, (other.mark, other.depth_usdt, other.open_interest))

    @property
    def lost(self) -> int:
        """All slippage in money."""
        return sum(self.parts) + self.unsplit

    @property
    def ratio(self) -> Fraction | None:
        """The follower's size over the leader's; None where no policy has told its target."""
        return Fraction(self.own_target, self.leader_target) if self.leader_target else None

    def _add_target(self, signal: Signal, copy: CopyReport) -> None:
        held, target = exact(signal.position.qty), exact(copy.target_qty)
        if target == 0:  # less than the venue's smallest: what was wanted before rounding
            target = exact(copy.wanted_qty) * (1 if held > 0 else -1)
        if copy.is_exit or target == 0 or held == 0:
            return
        self.own_target += round(target * (1 if held > 0 else -1) * QTY_UNITS)
        self.leader_target += round(abs(held) * QTY_UNITS)

    def _add_copy(self, signal: Signal, copy: CopyReport, drift: CopyDrift, price: Fraction) -> None:
        if drift.is_split:
            lost = [part * drift.filled_qty for part in drift.slippage.parts]
            rounded = apportion_units(lost, QUOTE_UNITS)
            self.parts = [mine + part for mine, part in zip(self.parts, rounded, strict=True)]
        else:
            self.unsplit += round(drift.slippage.total * drift.filled_qty * QUOTE_UNITS)
        self.wanted += round(exact(copy.wanted_qty) * price * QUOTE_UNITS)
        self.filled += round(drift.filled_qty * price * QUOTE_UNITS)
        if signal.fee is not None:
            self.fees_compared += round(drift.fees * QUOTE_UNITS)
            self.leader_fees += round(exact(signal.fee) / exact(signal.qty) * drift.filled_qty * QUOTE_UNITS)

    def _note_market(self, at_ms: int, known: tuple[str, str, str]) -> None:
        """Keep the newest; of two of one moment the same one, whichever came first."""
        if (at_ms, known) > (self.market_ms, (self.mark, self.depth_usdt, self.open_interest)):
            self.market_ms = at_ms
            self.mark, self.depth_usdt, self.open_interest = known


_SUMS = (
    *("unsplit", "own_target", "leader_target", "wanted", "ordered", "filled", "fees_compared"),
    "leader_fees",
)


@dataclass(frozen=True, slots=True)
class PnlDrift:
    """Profits in quote currency, marked at the last price known, and what is between them."""

    leader: Fraction
    own: Fraction
    explained: Mapping[str, Fraction]  # by `PARTS`, unsplit, fees and `NOT_COPIED`; they sum to the drift
    unscaled: int = 0  # stretches whose follower told no target: what they did not copy is not known

    @property
    def drift(self) -> Fraction:
        """How much less the follower made."""
        return self.leader - self.own


def pnl_drift(pieces: Iterable[tuple[Stock, int, Fraction]]) -> PnlDrift | None:
    """Of stocks, each with the fees paid (QUOTE_UNITS) and the price to mark at; None for nothing."""
    explained = dict.fromkeys((*PARTS, "unsplit", "fees", *NOT_COPIED), Fraction(0))
    own, unscaled, count = Fraction(0), 0, 0
    for stock, fees, mark in pieces:
        count += 1
        ratio = stock.ratio
        unscaled += ratio is None
        for name, lost in zip(PARTS, stock.parts, strict=True):
            explained[name] += Fraction(lost, QUOTE_UNITS)
        explained["unsplit"] += Fraction(stock.unsplit, QUOTE_UNITS)
        explained["fees"] += Fraction(fees, QUOTE_UNITS)
        own -= Fraction(stock.lost + fees, QUOTE_UNITS)
        for kind, (his_qty, his_value, own_qty, own_value) in stock.steps.items():
            made = _made(own_qty, own_value, mark)
            own += made
            if ratio is not None:
                explained[kind] += ratio * _made(his_qty, his_value, mark) - made
    return PnlDrift(own + sum(explained.values()), own, explained, unscaled) if count else None


def _made(qty: int, value: int, mark: Fraction) -> Fraction:
    return mark * Fraction(qty, QTY_UNITS) - Fraction(value, QUOTE_UNITS)


def _mark(signal: Signal) -> str:
    """The mark when it was sealed; a record without quotes is marked at its own price."""
    return next((p for p in (signal.market.mark, signal.market.last) if exact(p) > 0), signal.price)


def _sign(side: str) -> int:
    return 1 if side == "buy" else -1


def _filled_side(copy: CopyReport) -> str:
    return next(order.side for order in copy.orders if order.fills)


def _add_up(steps: dict[str, list[int]], kind: str, moved: list[int]) -> None:
    known = steps.get(kind, [0, 0, 0, 0])
    steps[kind] = [mine + more for mine, more in zip(known, moved, strict=True)]
