"""Tallies of the minute or two that nobody has counted yet, kept from one reading to the next.

Belongs here: reading only what is new of such a minute. Does not belong here: counting for good (`counting`),
what counts for whom (`relay.core.verdicts`).

A verdict that is added is one more to a sum; one that was replaced makes its minute be read anew. What is
still owed is not kept: it changes with every signal and every word.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from relay.core.tally import Tally, TallyKey
from relay.core.verdicts import NO_VERDICT, Judged, Pair, PublishedSignal, judge_copy
from relay.protocol.messages import CopyReport
from relay.store.database import Database
from relay.store.rows import signal_from
from relay.store.stretches import MINUTE_MS

__all__ = ["LiveMinutes", "Presence"]

MINUTES_KEPT_MAX = 8

_Place = tuple[int, int]  # epoch, seq
_Key = tuple[str, int, int]  # follower, epoch, seq
ReadCopies = Callable[[str, Sequence[_Place]], Sequence[CopyReport]]


@dataclass(frozen=True, slots=True)
class Presence:
    """Since when followers listen, and until when those that stopped did."""

    joined_ms: Mapping[Pair, int]
    left_ms: Mapping[Pair, int]


@dataclass(slots=True)
class _Minute:
    digests: dict[_Key, str] = field(default_factory=dict)
    tallies: dict[TallyKey, Tally] = field(default_factory=dict)


class LiveMinutes:
    """Belongs to one reader, whose view of the store is one moment."""

    def __init__(self, database: Database, read_copies: ReadCopies) -> None:
        """`read_copies` gives every follower's verdict on these signals of a leader."""
        self._database = database
        self._read_copies = read_copies
        self._minutes: dict[tuple[str, int], _Minute] = {}

    def read(
        self, leader_id: str, from_ms: int, presence: Presence
    ) -> tuple[list[PublishedSignal], list[tuple[TallyKey, Tally]]]:
        """The signals of a minute, and what became of them; the tallies are only to be read."""
        span = (leader_id, from_ms, from_ms + MINUTE_MS)
        signals = {(p.epoch, p.seq): p for p in map(signal_from, self._database.rows(_SIGNALS, span))}
        rows = self._database.rows(_DIGESTS, span)
        now = {(row["follower_id"], row["epoch"], row["seq"]): row["digest"] for row in rows}
        minute = self._minute(leader_id, from_ms, now)
        new = now.keys() - minute.digests.keys()
        if new:
            places = sorted({(epoch, seq) for _, epoch, seq in new})
            for copy in self._read_copies(leader_id, places):
                if (copy.follower_id, copy.epoch, copy.seq) in new:
                    _add(minute.tallies, judge_copy(signals[copy.epoch, copy.seq], copy))
            minute.digests = now
        owed: dict[TallyKey, Tally] = {}
        for (follower, leader), joined_ms in presence.joined_ms.items():
            if leader == leader_id:
                left_ms = presence.left_ms.get((follower, leader))
                for place, published in signals.items():
                    at_ms = published.signal.sealed_ms
                    is_there = joined_ms <= at_ms and (left_ms is None or at_ms <= left_ms)
                    if is_there and (follower, *place) not in now:
                        _add(owed, Judged(follower, published, None, "missed", NO_VERDICT, None))
        return list(signals.values()), [*minute.tallies.items(), *owed.items()]

    def _minute(self, leader_id: str, from_ms: int, now: Mapping[_Key, str]) -> _Minute:
        """As it is known, unless something of that has changed."""
        known = self._minutes.pop((leader_id, from_ms), None)
        if known is None or any(now.get(key) != digest for key, digest in known.digests.items()):
            known = _Minute()
        self._minutes[leader_id, from_ms] = known  # the latest asked for is the last to go
        while len(self._minutes) > MINUTES_KEPT_MAX:
            del self._minutes[next(iter(self._minutes))]
        return known


def _add(tallies: dict[TallyKey, Tally], item: Judged) -> None:
    key = (item.follower_id, item.published.leader_id, item.published.signal.symbol)
    tallies.setdefault(key, Tally()).add(item)


_SIGNALS = "SELECT * FROM signals WHERE leader_id = ? AND sealed_ms >= ? AND sealed_ms < ?"
_DIGESTS = """SELECT c.follower_id, c.epoch, c.seq, c.digest FROM signals s
  JOIN copies c ON c.leader_id = s.leader_id AND c.epoch = s.epoch AND c.seq = s.seq
  WHERE s.leader_id = ? AND s.sealed_ms >= ? AND s.sealed_ms < ?"""
