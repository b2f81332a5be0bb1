"""How far a follower was from where its policy wanted it, over time, and what holding cost it.

Belongs here: what a stretch of its words says, mergeable with any other. Does not belong here: whether that
is an alarm (`alarms`), the words themselves (`relay.protocol`).

A word holds until the next one, and no longer than `HELD_MS_MAX`: of what nobody reported nothing is said.
The integral is exposure x time; over the time it was observed for, it is the tracking error.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from fractions import Fraction
from functools import lru_cache
from typing import Any, Protocol

import msgspec

from relay.core.drift import decimal_text
from relay.protocol.messages import StatusReport

__all__ = ["HELD_MS_MAX", "Tracking", "Word", "tracking_columns", "tracking_of", "tracking_over"]

HELD_MS_MAX = 30_000  # six times the distance of two words
EXPOSURE_UNITS = 10**6
HOUR_MS = 3_600_000
PLACES = 6
MONEY_PLACES = 4


class Word(Protocol):
    """What of a follower's word is counted (`relay.protocol.messages.StatusReport`)."""

    @property
    def sent_ms(self) -> int: ...
    @property
    def exposure_gap(self) -> str: ...
    @property
    def mode(self) -> str: ...
    @property
    def funding_paid(self) -> str | None: ...
    @property
    def interest_paid(self) -> str | None: ...


class Tracking(msgspec.Struct):
    """One follower's words to one leader over a stretch of time."""

    held_ms: int = 0  # how long it was observed
    gap: int = 0  # sum of |target - actual| x ms, EXPOSURE_UNITS
    gap_max: int = 0  # EXPOSURE_UNITS
    first_ms: int = 0  # of the words that told what was paid
    last_ms: int = 0
    first_paid: tuple[str, str] = ("0", "0")  # funding, interest: by the account's own counters
    last_paid: tuple[str, str] = ("0", "0")

    def add(self, word: Word, following: Word | None) -> None:
        """Count one word, which holds until the following one."""
        gap = _gap_units(word.exposure_gap)
        held_ms = 0 if word.mode == "stopped" else HELD_MS_MAX
        if following is not None:
            held_ms = min(held_ms, following.sent_ms - word.sent_ms)
        self.held_ms += held_ms
        self.gap += gap * held_ms
        self.gap_max = max(self.gap_max, gap)
        if word.funding_paid is not None or word.interest_paid is not None:
            self._note_paid(word.sent_ms, (word.funding_paid or "0", word.interest_paid or "0"))

    def merge(self, other: Tracking) -> None:
        """Count everything that another one counted."""
        self.held_ms += other.held_ms
        self.gap += other.gap
        self.gap_max = max(self.gap_max, other.gap_max)
        if other.first_ms:
            self._note_paid(other.first_ms, other.first_paid)
            self._note_paid(other.last_ms, other.last_paid)

    @property
    def paid(self) -> tuple[Fraction, Fraction] | None:
        """Funding and interest paid between the first and the last word; None where they did not say."""
        if not self.first_ms:
            return None
        funding, interest = zip(self.first_paid, self.last_paid, strict=True)
        return Fraction(funding[1]) - Fraction(funding[0]), Fraction(interest[1]) - Fraction(interest[0])

    def _note_paid(self, at_ms: int, paid: tuple[str, str]) -> None:
        if not self.first_ms or at_ms < self.first_ms:
            self.first_ms, self.first_paid = at_ms, paid
        if at_ms >= self.last_ms:
            self.last_ms, self.last_paid = at_ms, paid


@lru_cache(maxsize=4_096)
def _gap_units(text: str) -> int:
    return round(Fraction(text) * EXPOSURE_UNITS)


def tracking_over(words: Sequence[Word], after: Word | None = None) -> Tracking:
    """Of one follower's words to one leader in order of time; `after` is the next one."""
    found = Tracking()
    for at, word in enumerate(words, start=1):
        following = words[at] if at < len(words) else after
        found.add(word, following)
    return found


def tracking_of(statuses: Iterable[StatusReport]) -> dict[tuple[str, str], Tracking]:
    """By follower and leader."""
    words: dict[tuple[str, str], list[StatusReport]] = defaultdict(list)
    for status in sorted(statuses, key=lambda status: status.sent_ms):
        words[status.follower_id, status.leader_id].append(status)
    return {pair: tracking_over(own) for pair, own in words.items()}


def tracking_columns(found: Tracking | None) -> dict[str, Any]:
    """For a report: the error as a mean and as an integral, what was paid for holding."""
    if found is None or not found.held_ms:
        tracking = None
    else:
        mean = Fraction(found.gap, found.held_ms * EXPOSURE_UNITS)
        tracking = {
            "error": decimal_text(mean, PLACES),
            "integral_hours": decimal_text(Fraction(found.gap, HOUR_MS * EXPOSURE_UNITS), PLACES),
            "max": decimal_text(Fraction(found.gap_max, EXPOSURE_UNITS), PLACES),
            "observed_hours": decimal_text(Fraction(found.held_ms, HOUR_MS), PLACES),
        }
    paid = None if found is None else found.paid
    names = ("funding_paid", "interest_paid")
    if paid is None:
        return {"tracking": tracking, "carry": None}
    carry = {name: decimal_text(value, MONEY_PLACES) for name, value in zip(names, paid, strict=True)}
    return {"tracking": tracking, "carry": carry}
