"""Rows that are old go, what was counted of them stays, on both databases."""

from __future__ import annotations

import random
from typing import Any

import pytest

from relay.core.intake import Refusal
from relay.core.report import build_report
from relay.store import (
    DriftStore,
    FeedEntry,
    FeedHead,
    RefusedReport,
    RowFilter,
    StoreItem,
    StorePlace,
    VenueFact,
)
from relay.store.pruning import REFUSED_ROWS_MAX
from tests.unit.relay.drift_samples import LEADER, START_MS, a_copy, a_signal, a_status

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
FIRST_MS = START_MS // DAY_MS * DAY_MS
DAYS = 5
NOW_MS = FIRST_MS + (DAYS + 1) * DAY_MS
KEPT_MS = FIRST_MS + 3 * DAY_MS  # two days of five stay


def days(seed: int) -> list[StoreItem]:
    """Signals, verdicts and words of five days, and a verdict on a signal that never came."""
    rng = random.Random(seed)
    items: list[StoreItem] = []
    for seq in range(1, 81):
        at_ms = FIRST_MS + seq * DAYS * DAY_MS // 81
        signal = a_signal(seq, at_ms=at_ms, price=str(rng.randrange(59_000, 61_000)))
        items.append(FeedEntry(FeedHead(LEADER, 1, seq, f"{seq:064x}"), signal.signal))
        for follower in ("steady", "bold"):
            price = str(rng.randrange(59_000, 61_000)) if rng.random() < 0.7 else None
            if rng.random() < 0.9:
                items.append(a_copy(signal, follower, price=price))
            gap = f"0.{rng.randrange(10)}"
            items.append(a_status(follower, at_ms=at_ms - 20_000, exposure_gap=gap, funding_paid=str(seq)))
    return [*items, a_copy(a_signal(900, at_ms=FIRST_MS + HOUR_MS), "bold")]


def counted(place: StorePlace, items: list[StoreItem]) -> None:
    with DriftStore.open(place) as store:
        store.write(items)
        while store.count(NOW_MS, stretches_max=1_000):
            pass


def prune(place: StorePlace, until_ms: int = KEPT_MS) -> int:
    done = 0
    with DriftStore.open(place) as store:
        while more := store.prune(until_ms):
            done += more
    return done


def reports(place: StorePlace) -> list[dict[str, Any]]:
    whole_days = [RowFilter(FIRST_MS + day * DAY_MS) for day in range(DAYS)]
    with DriftStore.open_for_reading(place) as store:
        found = [build_report(store.figures(where), {}, {}) for where in (RowFilter(), *whole_days)]
    for report in found:
        del report["left_out"]  # what waited for its signal is refused once its day is gone
    return found


@pytest.mark.parametrize("seed", range(2))
def test_every_figure_stays_and_old_rows_go(seed: int, place: StorePlace) -> None:
    counted(place, days(seed))
    before = reports(place)
    with DriftStore.open_for_reading(place) as store:
        rows = store.counts()
    assert prune(place) > 0
    assert prune(place) == 0, "and nothing more the next time"
    with DriftStore.open_for_reading(place) as store:
        left, kept = store.counts(), store.read_rows()
        assert store.kept_since_ms == KEPT_MS
        assert store.figures().anomalies.refused == {"unknown_signal": 1}
        assert store.figures().unknown_signals == 0
        names = store.names()
    assert reports(place) == before
    assert {p.signal.sealed_ms >= KEPT_MS for p in kept.signals} == {True}
    for table in ("signals", "copies", "orders", "fills", "statuses"):
        assert 0 < left[table] < rows[table] * 2 // 3, table
    assert names["follower"] == ["bold", "steady"]


def test_what_comes_late_for_a_day_that_is_gone_is_counted_and_changes_no_figure(place: StorePlace) -> None:
    counted(place, days(3))
    prune(place)
    before = reports(place)
    old = a_signal(901, at_ms=FIRST_MS + 5 * HOUR_MS)
    late: list[StoreItem] = [
        FeedEntry(FeedHead(LEADER, 1, 901, "9" * 64), old.signal),
        a_copy(old),
        a_status(at_ms=FIRST_MS + HOUR_MS, exposure_gap="9"),
        a_status("stranger", at_ms=FIRST_MS + HOUR_MS),
    ]
    with DriftStore.open(place) as store:
        for _ in range(2):
            store.write(late)
        store.count(NOW_MS)
        head = store.head(LEADER)
        assert store.figures().anomalies.refused == {"unknown_signal": 1, "older_than_kept": 4}
    assert head is not None and head.seq == 901, "the feed goes on behind it"
    assert reports(place) == before


def test_a_day_that_is_not_counted_keeps_its_rows_and_all_after_it(place: StorePlace) -> None:
    items = days(4)
    with DriftStore.open(place) as store:
        store.write(items)
        assert store.prune(NOW_MS) == 0
        store.count(NOW_MS, stretches_max=1)
        assert store.prune(NOW_MS) == 0
        assert store.kept_since_ms <= FIRST_MS


def test_a_follower_who_comes_later_answers_for_no_time_that_is_gone(place: StorePlace) -> None:
    counted(place, days(5))
    prune(place)
    before = reports(place)[0]
    with DriftStore.open(place) as store:
        store.write([a_status("new", at_ms=KEPT_MS + 1)])
        while store.count(NOW_MS, stretches_max=1_000):
            pass
    after = reports(place)[0]
    rows = {row["id"]: row for row in after["followers"]}
    missed = rows.pop("new")
    assert missed["signals"] == missed["missed"] > 0
    assert list(rows.values()) == before["followers"]


def test_what_the_venue_said_goes_but_for_its_last_word_before(place: StorePlace) -> None:
    """A fund that spoke every hour, a rate that was said once."""
    facts = [
        VenueFact("fund", "USDT", FIRST_MS + hour * HOUR_MS, str(hour), "{}") for hour in range(DAYS * 24)
    ]
    rate = VenueFact("borrow_rate", "BTC", FIRST_MS, "0.01", "{}")
    counted(place, [*days(6), *facts, rate])
    prune(place)
    with DriftStore.open_for_reading(place) as store:
        left = [fact for fact in facts if fact.wall_ms >= KEPT_MS - HOUR_MS]
        assert store.read_venue_facts("fund", 0) == left
        assert store.read_venue_facts("fund", KEPT_MS)[0].wall_ms == KEPT_MS - HOUR_MS
        assert store.read_venue_facts("borrow_rate", 0) == [rate]


def test_of_refused_reports_so_many_rows_are_kept_and_all_are_counted(place: StorePlace) -> None:
    """A follower whose clock is off has a word refused every few seconds, for as long as it runs."""
    refused = [
        RefusedReport(
            f"{number:064x}", "reports.alice.steady", Refusal("late" if number % 3 else "malformed", "")
        )
        for number in range(REFUSED_ROWS_MAX + 500)
    ]
    with DriftStore.open(place) as store:
        for at in range(0, len(refused), 2_000):
            store.write(refused[at : at + 2_000])
        before = dict(store.figures().refused)
        for _ in range(3):
            store.count(START_MS)
        assert store.counts()["refused"] <= REFUSED_ROWS_MAX
        assert store.figures().refused == before
