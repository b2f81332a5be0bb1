"""Which stretches of each leader's signals are counted: hours, and days whose hours all are.

Belongs here: the index of counted stretches, taking stretches out, choosing those that cover a span. Does not
belong here: counting them (`counting`).
"""

from __future__ import annotations

from typing import NamedTuple

from relay.store.database import Database

__all__ = ["DAY_MS", "HOURS_PER_DAY", "HOUR_MS", "Stretch", "Stretches", "hour_of"]

HOUR_MS = 3_600_000
HOURS_PER_DAY = 24
DAY_MS = HOURS_PER_DAY * HOUR_MS


class Stretch(NamedTuple):
    """A counted piece of time; ends before `until_ms`."""

    from_ms: int
    hours: int

    @property
    def until_ms(self) -> int:
        return self.from_ms + self.hours * HOUR_MS


def hour_of(at_ms: int) -> int:
    """When the hour of a moment began."""
    return at_ms // HOUR_MS * HOUR_MS


class Stretches:
    """The counted stretches by leader. What is taken out is deleted in the caller's transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._counted: dict[str, set[Stretch]] = {}
        self._open: dict[str, set[int]] = {}
        self.kept_ms = 0  # before it there are sums and no rows, and nothing is taken out any more
        self.load()

    def load(self) -> None:
        """Read the index anew."""
        self._counted, self._open = {}, {}
        self.kept_ms = self.read_kept()
        for row in self._database.rows("SELECT DISTINCT leader_id, from_ms, hours FROM counted"):
            self.put_in(row["leader_id"], Stretch(row["from_ms"], row["hours"]))
        for row in self._database.rows(_HOURS_OF_SIGNALS):
            leader, hour = row["leader_id"], row["hour"] * HOUR_MS
            if hour >= self.kept_ms and Stretch(hour, 1) not in self._counted.get(leader, ()):
                self._open.setdefault(leader, set()).add(hour)

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

    def open_hours(self, leader_id: str) -> list[int]:
        """Hours that hold signals and are not counted."""
        return sorted(self._open.get(leader_id, ()))

    def full_days(self, leader_id: str) -> list[int]:
        """Days that are over, without an open hour, and not counted as days yet."""
        own = self._counted.get(leader_id, set())
        open_days = {hour // DAY_MS for hour in self._open.get(leader_id, ())}
        days = {each.from_ms // DAY_MS for each in own if each.hours == 1} - open_days
        return sorted(day * DAY_MS for day in days if Stretch(day * DAY_MS, HOURS_PER_DAY) not in own)

    def put_in(self, leader_id: str, stretch: Stretch) -> None:
        """This one is counted now."""
        self._counted.setdefault(leader_id, set()).add(stretch)
        if stretch.hours == 1:
            self._open.get(leader_id, set()).discard(stretch.from_ms)

    def take_out(self, leader_id: str, from_ms: int, to_ms: int) -> None:
        """Something between these moments changed: what covers it is to be counted again."""
        if to_ms < self.kept_ms:
            return
        from_ms = max(from_ms, self.kept_ms)
        own = self._counted.get(leader_id, set())
        if from_ms == to_ms:
            self._open.setdefault(leader_id, set()).add(hour_of(from_ms))
        if from_ms == to_ms:
            hit = {Stretch(hour_of(from_ms), 1), Stretch(from_ms // DAY_MS * DAY_MS, HOURS_PER_DAY)} & own
        else:
            hit = {each for each in own if each.from_ms <= to_ms and from_ms < each.until_ms}
        for stretch in hit:
            own.discard(stretch)
            if stretch.hours == 1:
                self._open.setdefault(leader_id, set()).add(stretch.from_ms)
            for table in ("tallies", "counted"):
                self._database.run(
                    f"DELETE FROM {table} WHERE leader_id = ? AND from_ms = ? AND hours = ?",
                    (leader_id, *stretch),
                )

    def cover(self, leader_id: str, from_ms: int) -> list[Stretch]:
        """Counted stretches that begin at `from_ms` or later and do not overlap: days before hours."""
        own = {each for each in self._counted.get(leader_id, ()) if each.from_ms >= from_ms}
        days = {each.from_ms for each in own if each.hours == HOURS_PER_DAY}
        return sorted(each for each in own if each.hours > 1 or each.from_ms // DAY_MS * DAY_MS not in days)


_HOURS_OF_SIGNALS = f"SELECT DISTINCT leader_id, sealed_ms / {HOUR_MS} AS hour FROM signals"
