"""Counting minutes that are over, once, so that reports read sums instead of rows; what is longer is summed.

Belongs here: which stretches are ready, counting minutes, summing the rest. Does not belong here: what is
counted (`relay.core.tally`), taking out what changed (`stretches`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from itertools import groupby

import msgspec

from relay.core.tally import Tally, tally
from relay.core.verdicts import Judged, ReportRows, judge
from relay.store.database import Database, insert
from relay.store.reading import Reader, RowFilter
from relay.store.stretches import (
    DAY_MS,
    HOUR_MS,
    MINUTE_MS,
    SPANS_MS,
    TEN_MINUTES_MS,
    Stretch,
    Stretches,
    around,
)

__all__ = ["GRACE_MS", "count_minutes", "drop_parts", "sum_up"]

GRACE_MS = 10 * 60_000  # reports that come later than this after their hour take it out again
SHORT_GRACE_MS = 5_000  # the same for minutes, which cost little to count again
PARTS_KEPT_MS = 2 * HOUR_MS  # after their hour, for whoever looks at the last hour
JUDGED_MAX = 5_000  # after so many verdicts a call ends, and the next one goes on
_GRACES_MS = {MINUTE_MS: SHORT_GRACE_MS, TEN_MINUTES_MS: SHORT_GRACE_MS, HOUR_MS: GRACE_MS, DAY_MS: GRACE_MS}
_COUNTED = ("leader_id", "from_ms", "span_ms", "symbol", "signals", "fills")
_TALLIES = ("leader_id", "from_ms", "span_ms", "follower_id", "symbol", "tally")


def count_minutes(
    database: Database, reader: Reader, stretches: Stretches, now_ms: int, stretches_max: int
) -> int:
    """Count at most so many minutes that are over, ten together; returns how many."""
    done = judged = 0
    for leader in stretches.leaders:
        there = stretches.open_minutes(leader)
        ready = [minute for minute in there if _is_over(Stretch(minute, MINUTE_MS), now_ms)]
        for _, some in groupby(ready, lambda minute: minute // TEN_MINUTES_MS):
            minutes = list(some)[: stretches_max - done]
            if not minutes or judged >= JUDGED_MAX:
                return done
            rows = reader.stretch(RowFilter(minutes[0], leader, until_ms=minutes[-1] + MINUTE_MS))
            with database.transaction():
                judged += _write_minutes(database, rows, leader, minutes)
            stretches.put_in(leader, (Stretch(minute, MINUTE_MS) for minute in minutes))
            done += len(minutes)
    return done


def sum_up(database: Database, stretches: Stretches, now_ms: int, stretches_max: int) -> int:
    """Sum the parts of at most so many longer stretches that are over and have none left to count."""
    done = 0
    for span_ms in SPANS_MS[1:]:
        for leader in stretches.leaders:
            ready = [each for each in stretches.whole(leader, span_ms) if _is_over(each, now_ms)]
            ready = ready[: stretches_max - done]
            if ready:
                with database.transaction():
                    for stretch in ready:
                        _write_sum(database, leader, stretch)
                stretches.put_in(leader, ready)
            done += len(ready)
    return done


def drop_parts(database: Database, stretches: Stretches, now_ms: int) -> None:
    """Delete what is shorter than an hour, of hours that are counted and long over."""
    for leader in stretches.leaders:
        parts = stretches.parts_of_hours(leader, now_ms - PARTS_KEPT_MS)
        if parts:
            with database.transaction():
                stretches.leave_out(leader, parts)


def _is_over(stretch: Stretch, now_ms: int) -> bool:
    return stretch.until_ms + _GRACES_MS[stretch.span_ms] <= now_ms


def _write_minutes(database: Database, rows: ReportRows, leader: str, minutes: Sequence[int]) -> int:
    """Returns how many verdicts there were."""
    found: dict[int, list[Judged]] = {minute: [] for minute in minutes}
    for items in judge(rows).values():
        for item in items:
            minute = around(item.published.signal.sealed_ms, MINUTE_MS).from_ms
            if minute in found:
                found[minute].append(item)
    published: dict[int, dict[str, tuple[int, set[str]]]] = {minute: {} for minute in minutes}
    for each in rows.signals:
        own = published.get(around(each.signal.sealed_ms, MINUTE_MS).from_ms)
        if own is not None:
            count, fills = own.get(each.signal.symbol, (0, set()))
            own[each.signal.symbol] = (count + 1, fills | set(each.signal.fill_ids))
    for minute in minutes:
        stretch = Stretch(minute, MINUTE_MS)
        counts = {symbol: (count, len(fills)) for symbol, (count, fills) in published[minute].items()}
        tallies = {(follower, symbol): each for (follower, _, symbol), each in tally(found[minute]).items()}
        _write(database, leader, stretch, counts, tallies)
    database.run_many(
        "DELETE FROM uncounted WHERE leader_id = ? AND from_ms = ?", [(leader, minute) for minute in minutes]
    )
    return sum(len(items) for items in found.values())


def _write_sum(database: Database, leader: str, stretch: Stretch) -> None:
    part_ms = SPANS_MS[SPANS_MS.index(stretch.span_ms) - 1]
    span = (leader, part_ms, stretch.from_ms, stretch.until_ms)
    where = "WHERE leader_id = ? AND span_ms = ? AND from_ms >= ? AND from_ms < ? ORDER BY from_ms"
    total: dict[tuple[str, str], Tally] = {}
    for row in database.rows(f"SELECT follower_id, symbol, tally FROM tallies {where}", span):
        found = msgspec.json.decode(row["tally"], type=Tally)
        total.setdefault((row["follower_id"], row["symbol"]), Tally()).merge(found)
    published: dict[str, tuple[int, int]] = defaultdict(lambda: (0, 0))
    for row in database.rows(f"SELECT symbol, signals, fills FROM counted {where}", span):
        signals, fills = published[row["symbol"]]
        published[row["symbol"]] = (signals + row["signals"], fills + row["fills"])
    _write(database, leader, stretch, published, total)


def _write(
    database: Database,
    leader: str,
    stretch: Stretch,
    published: dict[str, tuple[int, int]],
    tallies: dict[tuple[str, str], Tally],
) -> None:
    """What the leader published by symbol, and what became of it by follower and symbol."""
    counted = [(leader, *stretch, symbol, *counts) for symbol, counts in sorted(published.items())]
    told = [
        (leader, *stretch, *key, msgspec.json.encode(each).decode()) for key, each in sorted(tallies.items())
    ]
    if counted:
        database.run_many(insert("counted", _COUNTED), counted)
    if told:
        database.run_many(insert("tallies", _TALLIES), told)
