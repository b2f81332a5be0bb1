"""The followers' words, summed once for every hour that is over.

Belongs here: which hours are summed, summing them, what a report reads. Does not belong here: what a stretch
of words says (`relay.core.tracking`), writing words (`writing`).

A word belongs to the hour it was sent in, and may change what the word before it says, which stands at most
`HELD_MS_MAX` earlier: both hours are summed again.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from relay.core.tracking import HELD_MS_MAX, Tracking, tracking_over
from relay.core.verdicts import Pair
from relay.protocol.messages import StatusReport
from relay.store.database import Database, insert
from relay.store.rows import status_from
from relay.store.stretches import HOUR_MS, hour_of

__all__ = ["TrackedHours"]

KNOWN_MAX = 100_000
_TRACKING = msgspec.json.Decoder(Tracking)
_Hour = tuple[str, str, int]  # follower, leader, when it began


class TrackedHours:
    """The hours of words in one store."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._open: set[_Hour] = set()  # of `untracked`, as far as this writer knows

    def take_out(self, words: Iterable[StatusReport]) -> None:
        """These words are new: their hours are not summed (any more). Within the caller's transaction."""
        hours = {
            (word.follower_id, word.leader_id, hour_of(at_ms))
            for word in words
            for at_ms in (word.sent_ms, word.sent_ms - HELD_MS_MAX)
        }
        new = sorted(hours - self._open)
        if new:
            self._database.run_many(_INSERT_OPEN, new)
            if len(self._open) > KNOWN_MAX:
                self._open.clear()
            self._open.update(new)

    def forget(self) -> None:
        """A transaction was not committed."""
        self._open.clear()

    def sum_up(self, before_ms: int, hours_max: int) -> int:
        """Sum at most so many hours that ended before a moment; returns how many."""
        rows = self._database.rows(
            "SELECT * FROM untracked WHERE hour_ms <= ? ORDER BY hour_ms LIMIT ?",
            (before_ms - HOUR_MS, hours_max),
        )
        hours = [(row["follower_id"], row["leader_id"], row["hour_ms"]) for row in rows]
        found = [(hour, self._track(hour, hour[2])) for hour in hours]
        if hours:
            with self._database.transaction():
                self._database.run_many(_DELETE_OPEN, hours)
                told = [(*hour, msgspec.json.encode(track).decode()) for hour, track in found]
                self._database.run_many(_UPSERT, told)
            self._open.difference_update(hours)
        return len(hours)

    def read(self, pairs: Iterable[Pair], since_ms: int) -> dict[Pair, Tracking]:
        """Everything that these followers told since then."""
        first = -(-since_ms // HOUR_MS) * HOUR_MS
        wanted = sorted(pairs)
        not_summed: dict[Pair, set[int]] = defaultdict(set)
        for row in self._database.rows("SELECT * FROM untracked WHERE hour_ms >= ?", (first,)):
            not_summed[row["follower_id"], row["leader_id"]].add(row["hour_ms"])
        total: dict[Pair, Tracking] = {}
        for pair in wanted:
            found = Tracking()
            for row in self._database.rows(_TRACKED, (*pair, first)):
                if row["hour_ms"] not in not_summed[pair]:
                    found.merge(_TRACKING.decode(row["tracking"]))
            for hour in sorted(not_summed[pair]):
                found.merge(self._track((*pair, hour), hour))
            if first != since_ms:
                found.merge(self._track((*pair, hour_of(since_ms)), since_ms))
            total[pair] = found
        return total

    def _track(self, hour: _Hour, since_ms: int) -> Tracking:
        follower, leader, from_ms = hour
        words = self._words(_WORDS, (follower, leader, since_ms, from_ms + HOUR_MS))
        after = self._words(_AFTER, (follower, leader, from_ms + HOUR_MS)) if words else []
        return tracking_over(words, after[0] if after else None)

    def _words(self, sql: str, values: Sequence[Any]) -> list[StatusReport]:
        return [status_from(row) for row in self._database.rows(sql, values)]


_KEY = "follower_id = ? AND leader_id = ?"
_HOUR = ("follower_id", "leader_id", "hour_ms")
_INSERT_OPEN = insert("untracked", _HOUR, "ON CONFLICT DO NOTHING")
_DELETE_OPEN = f"DELETE FROM untracked WHERE {_KEY} AND hour_ms = ?"
_UPSERT = insert(
    "tracked",
    (*_HOUR, "tracking"),
    "ON CONFLICT (follower_id, leader_id, hour_ms) DO UPDATE SET tracking = excluded.tracking",
)
_TRACKED = f"SELECT hour_ms, tracking FROM tracked WHERE {_KEY} AND hour_ms >= ?"
_WORDS = f"SELECT * FROM statuses WHERE {_KEY} AND sent_ms >= ? AND sent_ms < ? ORDER BY sent_ms"
_AFTER = f"SELECT * FROM statuses WHERE {_KEY} AND sent_ms >= ? ORDER BY sent_ms LIMIT 1"
