"""The followers' words, summed once for every ten minutes that are over, and for every hour from these.

Belongs here: which stretches are summed, summing them, what a report reads. Does not belong here: what a
stretch of words says (`relay.core.tracking`), writing words (`writing`).

A word belongs to the ten minutes it was sent in, and may change what the word before it says, which stands at
most `HELD_MS_MAX` earlier: both are summed again. An hour that is summed has no shorter sums beside it; one
whose words change is taken apart into ten minutes that are not summed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import NamedTuple

import msgspec

from relay.core.tracking import HELD_MS_MAX, Tracking, tracking_over
from relay.core.verdicts import Pair
from relay.protocol.messages import StatusReport
from relay.store.database import Database, insert
from relay.store.stretches import HOUR_MS, TEN_MINUTES_MS, hour_of

__all__ = ["TrackedWords"]

KNOWN_MAX = 100_000
GRACE_MS = 2 * HELD_MS_MAX  # words that come later than this are summed again
HOUR_GRACE_MS = 10 * 60_000
_TRACKING = msgspec.json.Decoder(Tracking)
_Piece = tuple[str, str, int]  # follower, leader, when it began


class _Word(NamedTuple):
    """What of a word is summed."""

    sent_ms: int
    exposure_gap: str
    mode: str
    funding_paid: str | None
    interest_paid: str | None


class TrackedWords:
    """The sums of words in one store."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._open: set[_Piece] = set()  # of `untracked`, as far as this writer knows

    def take_out(self, words: Iterable[StatusReport], kept_ms: int) -> None:
        """These words are new: what they change is not summed (any more). Within the caller's transaction.

        Sums of what was before `kept_ms` are final: its words may be gone.
        """
        pieces = {
            (word.follower_id, word.leader_id, _ten_of(at_ms))
            for word in words
            for at_ms in (word.sent_ms, word.sent_ms - HELD_MS_MAX)
            if at_ms >= kept_ms
        }
        new = pieces - self._open
        for follower, leader, at_ms in sorted(new):
            hour = (follower, leader, hour_of(at_ms))
            if self._database.rows(_HOUR, hour):
                self._database.run(_DELETE_HOUR, hour)
                new |= {(follower, leader, ten) for ten in _tens_of(hour[2])}
        if new:
            self._database.run_many(_INSERT_OPEN, sorted(new))
            if len(self._open) > KNOWN_MAX:
                self._open.clear()
            self._open.update(new)

    def forget(self) -> None:
        """A transaction was not committed."""
        self._open.clear()

    def sum_up(self, now_ms: int, pieces_max: int) -> None:
        """Sum at most so many ten minutes, and at most so many hours, that are over."""
        ended_ms = now_ms - TEN_MINUTES_MS - GRACE_MS
        pieces = [
            (row["follower_id"], row["leader_id"], row["from_ms"])
            for row in self._database.rows(_OPEN_OVER, (ended_ms, pieces_max))
        ]
        if pieces:
            told = [(*piece, _text(self._track(piece, piece[2] + TEN_MINUTES_MS))) for piece in pieces]
            with self._database.transaction():
                self._database.run_many(_DELETE_OPEN, pieces)
                self._database.run_many(_UPSERT_TEN, told)
            self._open.difference_update(pieces)
        whole = self._database.rows(_WHOLE_HOURS, (hour_of(now_ms - HOUR_GRACE_MS), pieces_max))
        hours = [(row["follower_id"], row["leader_id"], row["hour"] * HOUR_MS) for row in whole]
        if hours:
            sums = [(*hour, _text(self._tens(hour))) for hour in hours]
            with self._database.transaction():
                self._database.run_many(_UPSERT_HOUR, sums)
                self._database.run_many(_DELETE_TENS, [(*hour, hour[2] + HOUR_MS) for hour in hours])

    def read(self, pairs: Iterable[Pair], since_ms: int) -> dict[Pair, Tracking]:
        """Everything that these followers told since then."""
        first_hour, first_ten = (-(-since_ms // span) * span for span in (HOUR_MS, TEN_MINUTES_MS))
        not_summed: dict[Pair, set[int]] = defaultdict(set)
        for row in self._database.rows("SELECT * FROM untracked WHERE from_ms >= ?", (first_ten,)):
            not_summed[row["follower_id"], row["leader_id"]].add(row["from_ms"])
        total: dict[Pair, Tracking] = {}
        for pair in sorted(pairs):
            found = Tracking()
            for row in self._database.rows(_HOURS, (*pair, first_hour)):
                found.merge(_TRACKING.decode(row["tracking"]))
            for row in self._database.rows(_TENS, (*pair, first_ten, _FOREVER_MS)):
                if row["from_ms"] not in not_summed[pair]:
                    found.merge(_TRACKING.decode(row["tracking"]))
            for ten in sorted(not_summed[pair]):
                found.merge(self._track((*pair, ten), ten + TEN_MINUTES_MS))
            if first_hour != since_ms and self._database.rows(_HOUR, (*pair, hour_of(since_ms))):
                found.merge(self._track((*pair, since_ms), first_hour))
            elif first_ten != since_ms:
                found.merge(self._track((*pair, since_ms), first_ten))
            total[pair] = found
        return total

    def _track(self, piece: _Piece, until_ms: int) -> Tracking:
        follower, leader, from_ms = piece
        words = self._words(_WORDS, (follower, leader, from_ms, until_ms))
        after = self._words(_AFTER, (follower, leader, until_ms)) if words else []
        return tracking_over(words, after[0] if after else None)

    def _tens(self, hour: _Piece) -> Tracking:
        found = Tracking()
        for row in self._database.rows(_TENS, (*hour, hour[2] + HOUR_MS)):
            found.merge(_TRACKING.decode(row["tracking"]))
        return found

    def _words(self, sql: str, values: tuple[str | int, ...]) -> list[_Word]:
        return [_Word(*row.values()) for row in map(dict, self._database.rows(sql, values))]


def _ten_of(at_ms: int) -> int:
    return at_ms // TEN_MINUTES_MS * TEN_MINUTES_MS


def _tens_of(hour_ms: int) -> range:
    return range(hour_ms, hour_ms + HOUR_MS, TEN_MINUTES_MS)


def _text(found: Tracking) -> str:
    return msgspec.json.encode(found).decode()


_FOREVER_MS = 2**62
_KEY = "follower_id = ? AND leader_id = ?"
_PIECE = ("follower_id", "leader_id", "from_ms")
_INSERT_OPEN = insert("untracked", _PIECE, "ON CONFLICT DO NOTHING")
_DELETE_OPEN = f"DELETE FROM untracked WHERE {_KEY} AND from_ms = ?"
_OPEN_OVER = "SELECT * FROM untracked WHERE from_ms <= ? ORDER BY from_ms LIMIT ?"
_UPSERT_TEN = insert(
    "tracked_tens",
    (*_PIECE, "tracking"),
    "ON CONFLICT (follower_id, leader_id, from_ms) DO UPDATE SET tracking = excluded.tracking",
)
_UPSERT_HOUR = insert(
    "tracked",
    ("follower_id", "leader_id", "hour_ms", "tracking"),
    "ON CONFLICT (follower_id, leader_id, hour_ms) DO UPDATE SET tracking = excluded.tracking",
)
_WHOLE_HOURS = (
    f"SELECT DISTINCT t.follower_id, t.leader_id, t.from_ms / {HOUR_MS} AS hour FROM tracked_tens t"
    " WHERE t.from_ms < ? AND NOT EXISTS (SELECT 1 FROM untracked u WHERE u.follower_id = t.follower_id"
    f" AND u.leader_id = t.leader_id AND u.from_ms >= t.from_ms / {HOUR_MS} * {HOUR_MS}"
    f" AND u.from_ms < (t.from_ms / {HOUR_MS} + 1) * {HOUR_MS}) LIMIT ?"
)
_HOUR = f"SELECT 1 AS there FROM tracked WHERE {_KEY} AND hour_ms = ?"
_DELETE_HOUR = f"DELETE FROM tracked WHERE {_KEY} AND hour_ms = ?"
_HOURS = f"SELECT tracking FROM tracked WHERE {_KEY} AND hour_ms >= ?"
_TENS = f"SELECT from_ms, tracking FROM tracked_tens WHERE {_KEY} AND from_ms >= ? AND from_ms < ?"
_DELETE_TENS = f"DELETE FROM tracked_tens WHERE {_KEY} AND from_ms >= ? AND from_ms < ?"
_WORD = f"SELECT {', '.join(_Word._fields)} FROM statuses WHERE {_KEY}"
_WORDS = f"{_WORD} AND sent_ms >= ? AND sent_ms < ? ORDER BY sent_ms"
_AFTER = f"{_WORD} AND sent_ms >= ? ORDER BY sent_ms LIMIT 1"
