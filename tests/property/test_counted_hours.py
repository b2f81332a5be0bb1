"""Hours that were counted once and rows that were not give the figures of all rows, whatever came when."""

from __future__ import annotations

import random

import pytest

from relay.core.report import build_report, figures_of
from relay.core.verdicts import PublishedSignal
from relay.protocol.messages import CopyReport, StatusReport
from relay.store import DriftStore, FeedEntry, FeedHead, RowFilter, StoreItem, StorePlace
from tests.unit.relay.drift_samples import LEADER, START_MS, SYMBOL, a_copy, a_signal, a_status

HOUR_MS = 3_600_000
SPAN_MS = 75 * HOUR_MS
OTHER = "ETH/USDT:USDT"
FOLLOWERS = ("steady", "tiny", "late")


def signals(rng: random.Random) -> list[PublishedSignal]:
    times = sorted(START_MS + rng.randrange(SPAN_MS) for _ in range(80))
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


def words(rng: random.Random) -> list[StatusReport]:
    return [
        a_status(
            rng.choice(FOLLOWERS),
            at_ms=START_MS + rng.randrange(SPAN_MS),
            mode=rng.choice(("running", "running", "stopped")),
            leverage_peak=str(rng.randrange(30)),
            exposure_gap=str(rng.randrange(30)),
        )
        for _ in range(25)
    ]


def run(rng: random.Random) -> list[StoreItem]:
    published = signals(rng)
    feed = [FeedEntry(FeedHead(LEADER, 1, p.seq, f"{p.seq:064x}"), p.signal) for p in published]
    return [*feed, *verdicts(rng, published), *words(rng)]


@pytest.mark.parametrize("seed", range(5))
def test_counted_and_uncounted_hours_give_the_figures_of_all_rows(seed: int, place: StorePlace) -> None:
    rng = random.Random(seed)
    items = run(rng)
    rng.shuffle(items)
    counted = 0
    while items:
        with DriftStore.open(place) as store:
            for _ in range(rng.randrange(1, 5)):
                size = rng.randrange(1, 60)
                store.write(items[:size])
                items = items[size:]
                now_ms = START_MS + rng.randrange(2 * SPAN_MS)
                counted += store.count(now_ms, hours_max=rng.choice((1, 7, 100)))
    with DriftStore.open(place) as store:
        counted += store.count(START_MS + 2 * SPAN_MS, hours_max=rng.choice((3, 1000)))
    assert counted > 20, "otherwise this tests nothing"
    with DriftStore.open_for_reading(place) as store:
        for where in filters(rng):
            rows = store.read_rows(where)
            expected = build_report(figures_of(rows), {}, {})
            found = build_report(store.figures(where), {}, {})
            heard = [row for row in found["followers"] if row["signals"] or not where.since_ms]
            for row in heard:
                [same] = [other for other in expected["followers"] if other["id"] == row["id"]]
                assert row == same | {"policy": row["policy"], "leverage_peak": row["leverage_peak"]}
            assert found["leaders"] == expected["leaders"]


def filters(rng: random.Random) -> list[RowFilter]:
    since = [START_MS + rng.randrange(SPAN_MS) for _ in range(3)]
    return [
        RowFilter(),
        RowFilter(follower_id="late"),
        RowFilter(symbol=OTHER),
        RowFilter(leader_id=LEADER, since_ms=START_MS // (24 * HOUR_MS) * 24 * HOUR_MS + 24 * HOUR_MS),
        *(RowFilter(since_ms=at_ms, symbol=rng.choice((None, SYMBOL))) for at_ms in since),
    ]


def test_a_late_report_takes_its_day_out_and_counting_puts_it_back(place: StorePlace) -> None:
    midnight = START_MS // (24 * HOUR_MS) * 24 * HOUR_MS
    first, second = a_signal(1, at_ms=midnight + 1000), a_signal(2, at_ms=midnight + 5 * HOUR_MS)
    later = midnight + 30 * HOUR_MS
    with DriftStore.open(place) as store:
        for published in (first, second):
            store.write([FeedEntry(FeedHead(LEADER, 1, published.seq, "h"), published.signal)])
        store.write([a_copy(first)])
        assert store.count(midnight + HOUR_MS) == 0, "the hour is only just over"
        assert store.count(later) == 3, "two hours and their day"
        assert store.count(later) == 0
        store.write([a_copy(second)])
        [row] = build_report(store.figures(), {}, {})["followers"]
        assert row["copied"] == 2
        assert store.count(later) == 2, "the hour and the day again"
        [again] = build_report(store.figures(), {}, {})["followers"]
        assert again == row
