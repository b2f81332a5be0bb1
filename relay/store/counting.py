"""Counting hours that are over, once, so that a report reads sums instead of rows.

Belongs here: which hours are ready, counting them, summing days. Does not belong here: what is counted
(`relay.core.tally`), taking out what changed (`stretches`).
"""

from __future__ import annotations

from collections import Counter, defaultdict

import msgspec

from relay.core.tally import Tally, tally
from relay.core.verdicts import ReportRows, judge
from relay.store.database import Database, insert
from relay.store.reading import Reader, RowFilter
from relay.store.stretches import DAY_MS, HOUR_MS, HOURS_PER_DAY, Stretch, Stretches

__all__ = ["GRACE_MS", "count_days", "count_hours"]

GRACE_MS = 10 * 60_000  # reports that come later than this after their hour take it out again
_COUNTED = ("leader_id", "from_ms", "hours", "symbol", "signals", "fills")
_TALLIES = ("leader_id", "from_ms", "hours", "follower_id", "symbol", "tally")


def count_hours(database: Database, reader: Reader, stretches: Stretches, now_ms: int, hours_max: int) -> int:
    """Count at most so many hours that ended `GRACE_MS` ago; returns how many."""
    ready = [
        (leader, hour)
        for leader in stretches.leaders
        for hour in stretches.open_hours(leader)
        if hour + HOUR_MS + GRACE_MS <= now_ms
    ][:hours_max]
    for leader, hour in ready:
        rows = reader.rows(RowFilter(hour, leader, until_ms=hour + HOUR_MS))
        with database.transaction():
            _write_hour(database, rows, leader, hour)
        stretches.put_in(leader, Stretch(hour, 1))
    return len(ready)


def count_days(database: Database, stretches: Stretches, now_ms: int) -> int:
    """Sum the hours of every day that ended `GRACE_MS` ago and has none left to count; returns how many."""
    done = 0
    for leader in stretches.leaders:
        for day in stretches.full_days(leader):
            if day + DAY_MS + GRACE_MS <= now_ms:
                with database.transaction():
                    _write_day(database, leader, day)
                stretches.put_in(leader, Stretch(day, HOURS_PER_DAY))
                done += 1
    return done


def _write_hour(database: Database, rows: ReportRows, leader: str, hour: int) -> None:
    signals: Counter[str] = Counter(published.signal.symbol for published in rows.signals)
    fills: dict[str, set[str]] = defaultdict(set)
    for published in rows.signals:
        fills[published.signal.symbol].update(published.signal.fill_ids)
    database.run_many(
        insert("counted", _COUNTED),
        [(leader, hour, 1, symbol, count, len(fills[symbol])) for symbol, count in sorted(signals.items())],
    )
    found = tally(item for items in judge(rows).values() for item in items)
    database.run_many(
        insert("tallies", _TALLIES),
        [
            (leader, hour, 1, follower, symbol, msgspec.json.encode(each).decode())
            for (follower, _, symbol), each in sorted(found.items())
        ],
    )


def _write_day(database: Database, leader: str, day: int) -> None:
    span = (leader, day, day + DAY_MS)
    where = "WHERE leader_id = ? AND hours = 1 AND from_ms >= ? AND from_ms < ?"
    total: dict[tuple[str, str], Tally] = {}
    for row in database.rows(f"SELECT follower_id, symbol, tally FROM tallies {where}", span):
        found = msgspec.json.decode(row["tally"], type=Tally)
        total.setdefault((row["follower_id"], row["symbol"]), Tally()).merge(found)
    published: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for row in database.rows(f"SELECT symbol, signals, fills FROM counted {where}", span):
        published[row["symbol"]][0] += row["signals"]
        published[row["symbol"]][1] += row["fills"]
    database.run_many(
        insert("counted", _COUNTED),
        [(leader, day, HOURS_PER_DAY, symbol, *counts) for symbol, counts in sorted(published.items())],
    )
    database.run_many(
        insert("tallies", _TALLIES),
        [
            (leader, day, HOURS_PER_DAY, follower, symbol, msgspec.json.encode(found).decode())
            for (follower, symbol), found in sorted(total.items())
        ],
    )
