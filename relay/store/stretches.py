"""Which stretches of each leader's signals are counted: minutes, and longer ones whose parts all are.

Belongs here: the index of counted stretches and of minutes that are not, taking stretches out, choosing those
that cover a span. Does not belong here: counting them (`counting`).

Every signal's minute is either open or counted. Of a counted hour the shorter stretches may be gone, all
together; days keep their hours.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from relay.store.database import Database, insert

__all__ = [
    "DAY_MS",
    "HOUR_MS",
    "MINUTE_MS",
    "SPANS_MS",
    "TEN_MINUTES_MS",
    "Stretch",
    "Stretches",
    "around",
    "hour_of",
    "span_start",
]

MINUTE_MS = 60_000
TEN_MINUTES_MS = 10 * MINUTE_MS
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS
SPANS_MS = (MINUTE_MS, TEN_MINUTES_MS, HOUR_MS, DAY_MS)  # each is made of the one before it


class Stretch(NamedTuple):
    """A counted piece of time; ends before `until_ms`."""

    from_ms: int
    span_ms: int

    @property
    def until_ms(self) -> int:
        return self.from_ms + self.span_ms


def around(at_ms: int, span_ms: int) -> Stretch:
    """The stretch of this length that a moment is in."""
    return Stretch(at_ms // span_ms * span_ms, span_ms)


def hour_of(at_ms: int) -> int:
    """When the hour of a moment began."""
    return at_ms // HOUR_MS * HOUR_MS


def span_start(now_ms: int, span_ms: int) -> int:
    """Where a look back begins that reads sums alone: a whole minute, or hour where it is longer than one."""
    step_ms = MINUTE_MS if span_ms <= HOUR_MS else HOUR_MS
    return (now_ms - span_ms) // step_ms * step_ms


class Stretches:
    """The counted stretches by leader. What is taken out is deleted in the caller's transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._counted: dict[str, set[Stretch]] = {}
        self._open: dict[str, set[int]] = {}  # minutes
        self.kept_ms = 0  # before it there are sums and no rows, and nothing is taken out any more
        self.load()

    def load(self) -> None:
        """Read the index anew."""
        self._counted, self._open = {}, {}
        self.kept_ms = self.read_kept()
        for row in self._database.rows("SELECT DISTINCT leader_id, from_ms, span_ms FROM counted"):
            self._counted.setdefault(row["leader_id"], set()).add(Stretch(row["from_ms"], row["span_ms"]))
        for row in self._database.rows("SELECT leader_id, from_ms FROM uncounted"):
            self._open.setdefault(row["leader_id"], set()).add(row["from_ms"])

    def read_kept(self) -> int:
        """Since when rows are kept, as the store says now."""
        found: int = self._database.rows("SELECT since_ms FROM kept")[0]["since_ms"]
        return found

    @property
    def leaders(self) -> list[str]:
        """Everybody of whom there is anything."""
        return sorted(self._counted.keys() | self._open.keys())

    @property
    def last_ms(self) -> int:
        """Where the last of them ends."""
        return max((each.until_ms for own in self._counted.values() for each in own), default=0)

    def first_ms(self, since_ms: int) -> int:
        """Where the first of them begins, from a moment on."""
        begins = (each.from_ms for own in self._counted.values() for each in own)
        return min((from_ms for from_ms in begins if from_ms >= since_ms), default=self.last_ms)

    def open_minutes(self, leader_id: str) -> list[int]:
        """Minutes that hold signals and are not counted."""
        return sorted(self._open.get(leader_id, ()))

    def open_days(self) -> set[int]:
        """Days of which something is not counted, or not as a day."""
        days = {minute // DAY_MS * DAY_MS for own in self._open.values() for minute in own}
        for own in self._counted.values():
            whole = {around(each.from_ms, DAY_MS) for each in own}
            days |= {day.from_ms for day in whole - own}
        return days

    def whole(self, leader_id: str, span_ms: int) -> list[Stretch]:
        """Stretches of this length whose parts are all counted, and which are not counted themselves yet."""
        own, part_ms = self._counted.get(leader_id, set()), SPANS_MS[SPANS_MS.index(span_ms) - 1]
        there = {around(each.from_ms, span_ms) for each in own if each.span_ms == part_ms} - own
        if not there:
            return []
        waiting = {around(minute, span_ms) for minute in self._open.get(leader_id, ())}
        waiting |= {
            around(each.from_ms, span_ms)
            for each in own
            if each.span_ms < part_ms and around(each.from_ms, part_ms) not in own
        }
        return sorted(there - waiting)

    def parts_of_hours(self, leader_id: str, until_ms: int) -> list[Stretch]:
        """Whatever is shorter than an hour, of counted hours that ended before a moment."""
        own = self._counted.get(leader_id, set())
        return [
            each
            for each in own
            if each.span_ms < HOUR_MS
            and around(each.from_ms, HOUR_MS).until_ms <= until_ms
            and around(each.from_ms, HOUR_MS) in own
        ]

    def put_in(self, leader_id: str, stretches: Iterable[Stretch]) -> None:
        """These are counted now."""
        minutes = self._open.get(leader_id, set())
        for stretch in stretches:
            self._counted.setdefault(leader_id, set()).add(stretch)
            if stretch.span_ms == MINUTE_MS:
                minutes.discard(stretch.from_ms)

    def leave_out(self, leader_id: str, stretches: Iterable[Stretch]) -> None:
        """The hours of these are enough. Within the caller's transaction."""
        gone = set(stretches)
        self._counted.get(leader_id, set()).difference_update(gone)
        for table in ("tallies", "counted"):
            self._database.run_many(
                f"DELETE FROM {table} WHERE leader_id = ? AND from_ms = ? AND span_ms = ?",
                [(leader_id, *stretch) for stretch in sorted(gone)],
            )

    def take_out(self, leader_id: str, from_ms: int, to_ms: int) -> None:
        """Something between these moments changed: what covers it is to be counted again."""
        if to_ms < self.kept_ms:
            return
        from_ms = max(from_ms, self.kept_ms)
        own, minutes = self._counted.get(leader_id, set()), self._open.setdefault(leader_id, set())
        opened: set[int] = set()
        if from_ms == to_ms:
            minute = around(from_ms, MINUTE_MS).from_ms
            if minute in minutes:
                return  # and nothing longer around it is counted
            opened.add(minute)
            hit = {around(from_ms, span_ms) for span_ms in SPANS_MS} & own
        else:
            hit = {each for each in own if each.from_ms <= to_ms and from_ms < each.until_ms}
        if hit:
            self.leave_out(leader_id, hit)
        opened |= {each.from_ms for each in hit if each.span_ms == MINUTE_MS}
        for hour in hit:
            if hour.span_ms == HOUR_MS:
                opened |= self._minutes_not_counted(leader_id, hour)
        if opened:
            minutes |= opened
            self._database.run_many(_INSERT_OPEN, [(leader_id, minute) for minute in sorted(opened)])

    def cover(self, leader_id: str, since_ms: int, longest_ms: int = DAY_MS) -> list[Stretch]:
        """Counted stretches that begin at `since_ms` or later and do not overlap: the longest there are."""
        own = {
            each
            for each in self._counted.get(leader_id, ())
            if each.from_ms >= since_ms and each.span_ms <= longest_ms
        }
        longer = {span: [more for more in SPANS_MS if more > span] for span in SPANS_MS}
        return sorted(
            each
            for each in own
            if not any(around(each.from_ms, span_ms) in own for span_ms in longer[each.span_ms])
        )

    def uncovered(self, leader_id: str, since_ms: int) -> list[tuple[int, int]]:
        """From when until when signals are in none of them; no piece goes on after its hour."""
        own = self._counted.get(leader_id, set())
        minutes = {minute for minute in self._open.get(leader_id, ()) if minute + MINUTE_MS > since_ms}
        first, hour = around(since_ms, MINUTE_MS), around(since_ms, HOUR_MS)
        if since_ms != first.from_ms:
            minutes.add(first.from_ms)
        if since_ms != hour.from_ms and hour in own:
            parts = (each.from_ms for each in own if each.span_ms < HOUR_MS)
            if not any(hour.from_ms <= from_ms < hour.until_ms for from_ms in parts):
                minutes.update(range(first.from_ms, hour.until_ms, MINUTE_MS))
        found: list[tuple[int, int]] = []
        for minute in sorted(minutes):
            if found and found[-1][1] == minute and minute % HOUR_MS:
                found[-1] = (found[-1][0], minute + MINUTE_MS)
            else:
                found.append((max(minute, since_ms), minute + MINUTE_MS))
        return found

    def _minutes_not_counted(self, leader_id: str, hour: Stretch) -> set[int]:
        """Of an hour that is taken out: minutes that hold signals."""
        own = self._counted.get(leader_id, set())
        rows = self._database.rows(_MINUTES_OF_SIGNALS, (leader_id, hour.from_ms, hour.until_ms))
        minutes = {row["minute"] * MINUTE_MS for row in rows}
        return {minute for minute in minutes if Stretch(minute, MINUTE_MS) not in own}


_INSERT_OPEN = insert("uncounted", ("leader_id", "from_ms"), "ON CONFLICT DO NOTHING")
_MINUTES_OF_SIGNALS = (
    f"SELECT DISTINCT sealed_ms / {MINUTE_MS} AS minute FROM signals"
    " WHERE leader_id = ? AND sealed_ms >= ? AND sealed_ms < ?"
)
