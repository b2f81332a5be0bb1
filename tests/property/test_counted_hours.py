"""Stretches that were counted once and rows that were not give the figures of all rows, whatever came."""

from __future__ import annotations

import random
from typing import Any

import pytest

from relay.core.report import build_report, figures_of
from relay.core.verdicts import PublishedSignal
from relay.protocol.messages import CopyReport, StatusReport
from relay.store import DriftStore, FeedEntry, FeedHead, RowFilter, StoreItem, StorePlace
from tests.unit.relay.drift_samples import LEADER, START_MS, SYMBOL, a_copy, a_signal, a_status

MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS
SPANS_MS = (75 * HOUR_MS, 4 * HOUR_MS)  # days of quiet hours, and minutes that hold several signals
OTHER = "ETH/USDT:USDT"
FOLLOWERS = ("steady", "tiny", "late")


def signals(rng: random.Random, span_ms: int) -> list[PublishedSignal]:
    bursts = [START_MS + rng.randrange(span_ms) for _ in range(30)]
    times = sorted(rng.choice(bursts) + rng.randrange(span_ms // 1_000) for _ in range(80))
    return [
        a_signal(
            seq, at_ms=at_ms, symbol=rng.choice((SYMBOL, OTHER)), price=str(rng.randrange(59_000, 61_000))
        )
        for seq, at_ms in enumerate(times, start=1)
    ]


def verdicts(rng: random.Random, published: list[PublishedSignal]) -> list[CopyReport]:
    found = []
    for signal in published:
        for follower in FOLLOWERS:
            if rng.random() < 0.2 or (follower == "late" and signal.seq < 30):
                continue
            price = str(rng.randrange(58_000, 62_000)) if rng.random() < 0.7 else None
            found.append(a_copy(signal, follower, price=price, symbol=signal.signal.symbol))
            if price is not None and rng.random() < 0.1:  # says more later
                found.append(
                    a_copy(signal, follower, price="60500", executed_ms=signal.signal.sealed_ms + 9000)
                )
    return found


def words(rng: random.Random, span_ms: int) -> list[StatusReport]:
    return [
        a_status(
            rng.choice(FOLLOWERS),
            at_ms=START_MS + rng.randrange(span_ms),
            mode=rng.choice(("running", "running", "stopped")),
            leverage_peak=str(rng.randrange(30)),
            exposure_gap=str(rng.randrange(30)),
            funding_paid=str(rng.randrange(30)),
        )
        for _ in range(25 if span_ms > DAY_MS else 150)
    ]


def run(rng: random.Random, span_ms: int) -> list[StoreItem]:
    """Everything that happened, some of it twice."""
    published = signals(rng, span_ms)
    feed = [FeedEntry(FeedHead(LEADER, 1, p.seq, f"{p.seq:064x}"), p.signal) for p in published]
    items: list[StoreItem] = [*feed, *verdicts(rng, published), *words(rng, span_ms)]
    return items + rng.sample(items, len(items) // 4)


@pytest.mark.parametrize("span_ms", SPANS_MS)
@pytest.mark.parametrize("seed", range(2))
def test_counted_and_uncounted_stretches_give_the_figures_of_all_rows(
    seed: int, span_ms: int, place: StorePlace
) -> None:
    rng = random.Random(seed)
    items = run(rng, span_ms)
    rng.shuffle(items)
    counted = 0
    while items:
        with DriftStore.open(place) as store:
            for _ in range(rng.randrange(1, 5)):
                size = rng.randrange(1, 60)
                store.write(items[:size])
                items = items[size:]
                now_ms = START_MS + rng.randrange(2 * span_ms)
                counted += store.count(now_ms, stretches_max=rng.choice((1, 30, 400)))
                if rng.random() < 0.2:
                    assert_figures_of_all_rows(store, random_filters(rng, span_ms, 1))
    with DriftStore.open(place) as store:
        counted += store.count(START_MS + 2 * span_ms, stretches_max=rng.choice((3, 1000)))
    assert counted > 20, "otherwise this tests nothing"
    with DriftStore.open_for_reading(place) as store:
        assert_figures_of_all_rows(store, [*filters(), *random_filters(rng, span_ms, 6)])


def assert_figures_of_all_rows(store: DriftStore, wheres: list[RowFilter]) -> None:
    for where in wheres:
        rows = store.read_rows(where)
        expected = build_report(figures_of(rows), {}, {})
        found = build_report(store.figures(where), {}, {})
        heard = [row for row in found["followers"] if row["signals"] or not where.since_ms]
        for row in heard:
            [same] = [other for other in expected["followers"] if other["id"] == row["id"]]
            assert row == same | {"policy": row["policy"], "leverage_peak": row["leverage_peak"]}, where
        assert found["leaders"] == expected["leaders"], where


def filters() -> list[RowFilter]:
    return [
        RowFilter(),
        RowFilter(follower_id="late"),
        RowFilter(symbol=OTHER),
        RowFilter(leader_id=LEADER, since_ms=START_MS // DAY_MS * DAY_MS + DAY_MS),
    ]


def random_filters(rng: random.Random, span_ms: int, count: int) -> list[RowFilter]:
    """Since any moment, minute, ten minutes or hour."""
    found = []
    for _ in range(count):
        step_ms = rng.choice((1, MINUTE_MS, 10 * MINUTE_MS, HOUR_MS))
        since_ms = (START_MS + rng.randrange(span_ms)) // step_ms * step_ms
        found.append(RowFilter(since_ms, symbol=rng.choice((None, SYMBOL))))
    return found


def one_day(store: DriftStore, midnight: int) -> tuple[PublishedSignal, PublishedSignal]:
    """Two signals of a day, the first one copied."""
    first, second = a_signal(1, at_ms=midnight + 1000), a_signal(2, at_ms=midnight + 5 * HOUR_MS)
    for published in (first, second):
        store.write([FeedEntry(FeedHead(LEADER, 1, published.seq, "h"), published.signal)])
    store.write([a_copy(first)])
    return first, second


def reported(store: DriftStore) -> dict[str, Any]:
    [row] = build_report(store.figures(), {}, {})["followers"]
    return dict(row)


def test_a_late_report_takes_its_day_out_and_counting_puts_it_back(place: StorePlace) -> None:
    midnight = START_MS // DAY_MS * DAY_MS
    later = midnight + 30 * HOUR_MS
    with DriftStore.open(place) as store:
        _, second = one_day(store, midnight)
        assert store.count(midnight + MINUTE_MS) == 0, "the minute is only just over"
        assert store.count(midnight + MINUTE_MS + 10_000) == 1, "a minute"
        assert store.count(midnight + HOUR_MS) == 1, "ten minutes; the hour is only just over"
        assert store.count(later) == 5, "the other minute and its ten, two hours and their day"
        assert store.count(later) == 0
        store.write([a_copy(second)])
        row = reported(store)
        assert row["copied"] == 2
        assert store.count(later) == 4, "the minute, the ten, the hour and the day again"
        assert reported(store) == row


def test_an_hour_whose_minutes_are_gone_is_counted_again_from_its_rows(place: StorePlace) -> None:
    hour = START_MS // DAY_MS * DAY_MS + 2 * HOUR_MS
    published = [a_signal(seq, at_ms=hour + seq * 5 * MINUTE_MS) for seq in range(1, 10)]
    with DriftStore.open(place) as store:
        store.write([FeedEntry(FeedHead(LEADER, 1, p.seq, "h"), p.signal) for p in published])
        store.write([a_copy(signal) for signal in published[:-1]])
        assert store.count(hour + 2 * HOUR_MS) == 9 + 5 + 1
        assert store.count(hour + 4 * HOUR_MS) == 0
        store.write([a_copy(published[-1])])
        assert reported(store)["copied"] == 9
        assert store.count(hour + 4 * HOUR_MS, stretches_max=2) == 2, "some of it"
        assert reported(store)["copied"] == 9
        assert store.count(hour + 4 * HOUR_MS) == 7 + 5 + 1
        assert reported(store)["copied"] == 9
