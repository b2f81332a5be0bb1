"""What an open page is made of: sums of minutes, not rows; and stores from before minutes were counted."""

from __future__ import annotations

import random
from contextlib import closing
from decimal import Decimal
from typing import Any

import pytest

from relay.core.report import build_report, figures_of, follower_columns
from relay.store import DriftStore, FeedEntry, FeedHead, RowFilter, StoreItem, StorePlace, span_start
from tests.store_places import by_hand
from tests.unit.relay.drift_samples import LEADER, START_MS, a_copy, a_signal, a_status

MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
FIRST_MS = START_MS // HOUR_MS * HOUR_MS
NOW_MS = FIRST_MS + 5 * HOUR_MS + 25 * MINUTE_MS + 7_000

BEFORE_MINUTES = f"""
  INSERT INTO untracked SELECT follower_id, leader_id, from_ms FROM tracked_tens
    WHERE TRUE ON CONFLICT DO NOTHING;
  INSERT INTO untracked SELECT follower_id, leader_id, from_ms / {HOUR_MS} * {HOUR_MS} FROM untracked
    WHERE TRUE ON CONFLICT DO NOTHING;
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


def filled(place: StorePlace) -> None:
    with DriftStore.open(place) as store:
        store.write(hours())
        for now_ms in range(FIRST_MS, NOW_MS + 1, 5 * MINUTE_MS):
            while store.count(now_ms):
                pass
        while store.count(NOW_MS):
            pass


def run_by_hand(place: StorePlace, *statements: str) -> None:
    """What a person, or a version before this one, does to a store."""
    with closing(by_hand(place)) as database, database.transaction():
        for statement in statements:
            database.run(statement)


def reports(place: StorePlace) -> list[dict[str, Any]]:
    with DriftStore.open_for_reading(place) as store:
        since = [0, span_start(NOW_MS, HOUR_MS), span_start(NOW_MS, 3 * HOUR_MS), NOW_MS - 90 * MINUTE_MS]
        found = [build_report(store.figures(RowFilter(at_ms)), {}, {}) for at_ms in since]
    for report in found:
        del report["trend"]  # its steps are as long as what is summed
    return found


def test_what_is_counted_is_read_without_its_rows(place: StorePlace) -> None:
    filled(place)
    before = reports(place)[:3]
    run_by_hand(place, *(f"DELETE FROM {table}" for table in ("fills", "orders", "copies", "signals")))
    assert before[1]["followers"][0]["copied"] > 0
    assert reports(place)[:3] == before


def test_a_store_from_before_minutes_were_counted_says_the_same(place: StorePlace) -> None:
    filled(place)
    before = reports(place)
    run_by_hand(place, *BEFORE_MINUTES.split(";")[:-1])
    assert DriftStore.migrate(place) == [6]
    assert reports(place) == before
    with DriftStore.open(place) as store:
        while store.count(NOW_MS):
            pass
    assert reports(place) == before


def test_one_call_counts_no_more_than_it_is_told(place: StorePlace) -> None:
    with DriftStore.open(place) as store:
        store.write(hours())
        done = [store.count(NOW_MS, stretches_max=5)]
        while done[-1]:
            assert done[-1] <= 5
            done.append(store.count(NOW_MS, stretches_max=5))
        assert sum(done) > 60


@pytest.mark.parametrize("seed", range(3))
def test_a_reader_that_stays_open_sees_what_a_new_one_sees(seed: int, place: StorePlace) -> None:
    """Of live minutes it keeps what it read: what is added, replaced, told later, owed no more, counts."""
    rng = random.Random(seed)
    items: list[StoreItem] = [a_status(follower, at_ms=FIRST_MS - 1) for follower in ("steady", "half")]
    for seq in range(1, 31):
        signal = a_signal(
            seq, at_ms=FIRST_MS + seq * 5_000, symbol=rng.choice(("BTC/USDT:USDT", "ETH/USDT:USDT"))
        )
        items.append(FeedEntry(FeedHead(LEADER, 1, seq, "h"), signal.signal))
        for follower in ("steady", "half"):
            price = str(rng.randrange(59_000, 61_000)) if rng.random() < 0.8 else None
            items.append(a_copy(signal, follower, price=price))
            if rng.random() < 0.2:  # says more later
                items.append(a_copy(signal, follower, price="60500", executed_ms=FIRST_MS + 9_000_000))
        if rng.random() < 0.1:
            mode = rng.choice(("stopped", "running"))
            items.append(a_status("half", at_ms=FIRST_MS + seq * 5_000 + 2_000, mode=mode))
    items = sorted(items, key=lambda _: rng.random())
    wheres = [
        RowFilter(),
        RowFilter(leader_id=LEADER, since_ms=FIRST_MS + MINUTE_MS),
        RowFilter(follower_id="half"),
        RowFilter(symbol="ETH/USDT:USDT", since_ms=FIRST_MS + 61_234),
    ]
    with DriftStore.open(place) as store:
        store.write(items[:1])
        with DriftStore.open_for_reading(place) as stays:
            for at in range(1, len(items), 7):
                store.write(items[at : at + 7])
                if rng.random() < 0.2:
                    store.count(FIRST_MS + rng.randrange(5 * MINUTE_MS))
                with DriftStore.open_for_reading(place) as new:
                    for where in wheres:
                        found, rows = stays.figures(where), new.read_rows(where)
                        assert build_report(found, {}, {}) == build_report(new.figures(where), {}, {})
                        same = {row["id"]: row for row in follower_columns(figures_of(rows))}
                        for row in follower_columns(found):
                            if row["signals"]:
                                assert row == same[row["id"]] | {"policy": row["policy"]}, where


def test_a_trend_says_whether_it_gets_worse_and_in_which_part(place: StorePlace) -> None:
    """Eight hours; from the fifth on the market moves while the signal travels."""
    with DriftStore.open(place) as store:
        for hour in range(8):
            for each in range(6):
                seq = hour * 6 + each + 1
                signal = a_signal(seq, at_ms=FIRST_MS + hour * HOUR_MS + each * MINUTE_MS)
                moved = {"received_mid": "60013"} if hour >= 4 else {}
                late = dict.fromkeys(("released_mid", "submitted_mid", "accepted_mid"), "60013")
                copy = a_copy(signal, price="60015", **moved, **(late if hour >= 4 else {}))
                store.write([FeedEntry(FeedHead(LEADER, 1, seq, "h"), signal.signal), copy])
        counted = [build_report(store.figures(in_steps=True), {}, {})["trend"]]
        while store.count(FIRST_MS + 20 * HOUR_MS):
            pass
        counted.append(build_report(store.figures(in_steps=True), {}, {})["trend"])
    by_rows, by_sums = counted
    assert by_sums["step_ms"] == HOUR_MS and len(by_sums["steps"]) == 8
    assert [step["from_ms"] for step in by_sums["steps"]] == [FIRST_MS + hour * HOUR_MS for hour in range(8)]
    assert sum(step["copies"] for step in by_sums["steps"]) == 48
    for step in by_sums["steps"]:
        parts = sum(Decimal(part) for part in step["slippage_parts_bps"].values())
        assert parts == Decimal(step["slippage_bps"]["mean"]) == Decimal("2.5")
    assert by_rows["change"] == by_sums["change"]
    change = by_sums["change"]
    assert (change["slippage_bps"], change["slippage_parts_bps"]["transit"]) == ("0", "2")
    assert sum(Decimal(part) for part in change["slippage_parts_bps"].values()) == 0
