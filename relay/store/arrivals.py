"""How reports came: late, doubled, out of order. Counted beside the rows, in the same transaction.

Belongs here: what is odd about a batch, and its sums. Does not belong here: what is late
(`relay.core.intake`), rows (`writing`).

What the broker hands over again after a monitor was killed says nothing of the follower and is not counted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from relay.core.intake import ARRIVALS, Odd, OddKind
from relay.store.database import Database, insert
from relay.store.rows import CopyRows, Word

__all__ = ["Arrivals"]

_CopyKey = tuple[str, str, int, int]
_Pair = tuple[str, str]  # follower, leader


class Arrivals:
    """Knows of every follower how far it had reported. Nothing here reads a clock."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._heads: dict[_Pair, tuple[int, int]] = {}  # the furthest verdict: epoch, seq
        self._spoken: dict[_Pair, int] = {}  # when the latest word was sent
        self._odd: list[Odd] = []

    def forget(self) -> None:
        """A transaction was not committed."""
        self._heads.clear()
        self._spoken.clear()
        self._odd.clear()

    def may_be_there(self, key: _CopyKey) -> bool:
        """Whether a verdict can be in the store: none beyond the furthest one is. Spares a look for each."""
        return key[2:] <= self._head(key[:2])

    def note_copies(self, copies: Sequence[CopyRows], there: Mapping[_CopyKey, str]) -> None:
        """Before they are written; `there` has the digests of those that were, by key."""
        known = dict(there)
        for rows in copies:
            copy, came, digest = rows.copy, rows.came, rows.row[0]
            pair, place = (copy.follower_id, copy.leader_id), (copy.epoch, copy.seq)
            head = self._head(pair)
            if place > head:
                self._heads[pair] = place
            if came is None:
                continue
            key = (*pair, *place)
            is_first = key not in known
            if not is_first and digest <= known[key] and not came.is_again:
                self._note("doubled", pair)
            if is_first and rows.is_late:
                self._note("late", pair)
            if is_first and place < head and not came.is_again:
                self._note("out_of_order", pair)
            known[key] = max(digest, known.get(key, ""))

    def note_words(self, words: Sequence[Word]) -> None:
        """Before they are written."""
        known: set[tuple[_Pair, int]] = set()
        for word in words:
            status = word.status
            pair = (status.follower_id, status.leader_id)
            last_ms = self._last_word(pair)
            if status.sent_ms <= last_ms and not word.came.is_again:
                is_there = (pair, status.sent_ms) in known
                is_there = is_there or bool(self._database.rows(_WORD, (*pair, status.sent_ms)))
                self._note("doubled" if is_there else "out_of_order", pair)
            known.add((pair, status.sent_ms))
            self._spoken[pair] = max(status.sent_ms, last_ms)

    def note_unknown(self, copies: Sequence[_CopyKey], shown: Mapping[_CopyKey, CopyRows]) -> None:
        """Verdicts that now wait for their signal; those that go on waiting are counted by the figures."""
        for key in copies:
            if shown[key].came is not None:
                self._odd.append(Odd("unknown_signal", key[1], key[0]))

    def write(self) -> list[Odd]:
        """Add to the sums, within the caller's transaction; returns what was noted."""
        noted, self._odd = self._odd, []
        sums = Counter(each for each in noted if each.kind in ARRIVALS)
        if sums:
            self._database.run_many(_ADD, [(*odd, count) for odd, count in sorted(sums.items())])
        return noted

    def _note(self, kind: OddKind, pair: _Pair) -> None:
        self._odd.append(Odd(kind, pair[1], pair[0]))

    def _head(self, pair: _Pair) -> tuple[int, int]:
        if pair not in self._heads:
            rows = self._database.rows(_HEAD, pair)
            self._heads[pair] = (rows[0]["epoch"], rows[0]["seq"]) if rows else (0, 0)
        return self._heads[pair]

    def _last_word(self, pair: _Pair) -> int:
        if pair not in self._spoken:
            rows = self._database.rows(_LAST_WORD, pair)
            self._spoken[pair] = rows[0]["sent_ms"] if rows else -1
        return self._spoken[pair]


_OF = "WHERE follower_id = ? AND leader_id = ?"
_HEAD = f"SELECT epoch, seq FROM copies {_OF} ORDER BY epoch DESC, seq DESC LIMIT 1"
_LAST_WORD = f"SELECT sent_ms FROM statuses {_OF} ORDER BY sent_ms DESC LIMIT 1"
_WORD = f"SELECT 1 AS there FROM statuses {_OF} AND sent_ms = ?"
_ADD = insert(
    "arrivals",
    ("kind", "leader_id", "follower_id", "count"),
    "ON CONFLICT (kind, leader_id, follower_id) DO UPDATE SET count = arrivals.count + excluded.count",
)
