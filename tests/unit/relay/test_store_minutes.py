"""What an open page is made of: sums of minutes, not rows; and stores from before minutes were counted."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from relay.core.report import build_report
from relay.store import DriftStore, FeedEntry, FeedHead, RowFilter, StoreItem, span_start
from tests.unit.relay.drift_samples import LEADER, START_MS, a_copy, a_signal, a_status

MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
FIRST_MS = START_MS // HOUR_MS * HOUR_MS
NOW_MS = FIRST_MS + 5 * HOUR_MS + 25 * MINUTE_MS + 7_000

BEFORE_MINUTES = f"""
  INSERT OR IGNORE INTO untracked SELECT follower_id, leader_id, from_ms FROM tracked_tens;
  INSERT OR IGNORE INTO untracked
    SELECT follower_id, leader_id, from_ms / {HOUR_MS} * {HOUR_MS} FROM untracked;
  DELETE FROM untracked WHERE from_ms % {HOUR_MS} <> 0;
  DROP INDEX untracked_by_time;
  ALTER TABLE untracked RENAME COLUMN from_ms TO hour_ms;
  DROP TABLE tracked_tens;
  DROP TABLE uncounted;
  DELETE FROM counted WHERE span_ms < {HOUR_MS};
  DELETE FROM tallies WHERE span_ms < {HOUR_MS};
  UPDATE counted SET span_ms = span_ms / {HOUR_MS};
  UPDATE tallies SET span_ms = span_ms / {HOUR_MS};
  ALTER TABLE counted RENAME COLUMN span_ms TO hours;
  ALTER TABLE tallies RENAME COLUMN span_ms TO hours;
  DELETE FROM schema_versions WHERE version = 6;
"""


def hours() -> list[StoreItem]:
    """A signal every seven minutes up to now, copied by one follower and half by another, and their words."""
    items: list[StoreItem] = []
    for seq, at_ms in enumerate(range(FIRST_MS, NOW_MS - 30_000, 7 * MINUTE_MS), start=1):
        signal = a_signal(seq, at_ms=at_ms)
        items.append(FeedEntry(FeedHead(LEADER, 1, seq, f"{seq:064x}"), signal.signal))
        items.append(a_copy(signal))
        if seq % 2:
            items.append(a_copy(signal, "half", price="60010"))
        for follower in ("steady", "half"):
            items.append(a_status(follower, at_ms=at_ms, exposure_gap=f"0.{seq % 10}", funding_paid=str(seq)))
    return items


def filled(path: Path) -> None:
    with DriftStore.open(path) as store:
        store.write(hours())
        for now_ms in range(FIRST_MS, NOW_MS + 1, 5 * MINUTE_MS):
            while store.count(now_ms):
                pass
        while store.count(NOW_MS):
            pass


def reports(path: Path) -> list[dict[str, Any]]:
    with DriftStore.open_for_reading(path) as store:
        since = [0, span_start(NOW_MS, HOUR_MS), span_start(NOW_MS, 3 * HOUR_MS), NOW_MS - 90 * MINUTE_MS]
        return [build_report(store.figures(RowFilter(at_ms)), {}, {}) for at_ms in since]


def test_what_is_counted_is_read_without_its_rows(tmp_path: Path) -> None:
    path = tmp_path / "drift.sqlite"
    filled(path)
    before = reports(path)[:3]
    with closing(sqlite3.connect(path)) as database:
        for table in ("fills", "orders", "copies", "signals"):
            database.execute(f"DELETE FROM {table}")
        database.commit()
    assert before[1]["followers"][0]["copied"] > 0
    assert reports(path)[:3] == before


def test_a_store_from_before_minutes_were_counted_says_the_same(tmp_path: Path) -> None:
    path = tmp_path / "drift.sqlite"
    filled(path)
    before = reports(path)
    with closing(sqlite3.connect(path)) as database:
        database.executescript(BEFORE_MINUTES)
    assert DriftStore.migrate(path) == [6]
    assert reports(path) == before
    with DriftStore.open(path) as store:
        while store.count(NOW_MS):
            pass
    assert reports(path) == before


def test_one_call_counts_no_more_than_it_is_told(tmp_path: Path) -> None:
    with DriftStore.open(tmp_path / "drift.sqlite") as store:
        store.write(hours())
        done = [store.count(NOW_MS, stretches_max=5)]
        while done[-1]:
            assert done[-1] <= 5
            done.append(store.count(NOW_MS, stretches_max=5))
        assert sum(done) > 60
