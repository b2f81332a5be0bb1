"""The store: what is written comes back, once, whatever the order; what is no store says so."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from relay.core.intake import Refusal
from relay.core.report import build_report, figures_of
from relay.store import (
    DriftStore,
    FeedEntry,
    FeedHead,
    MarketSample,
    RefusedReport,
    RowFilter,
    StoreError,
    StoreItem,
    StorePlace,
)
from tests.unit.relay.drift_samples import LEADER, START_MS, SYMBOL, a_copy, a_signal, a_status, sample_run


def feed_entry(seq: int, *, at_ms: int = START_MS) -> FeedEntry:
    return FeedEntry(FeedHead(LEADER, 1, seq, f"hash-{seq}"), a_signal(seq, at_ms=at_ms).signal)


def test_every_field_comes_back(place: StorePlace) -> None:
    run = sample_run()
    entries: list[StoreItem] = [
        FeedEntry(FeedHead(p.leader_id, p.epoch, p.seq, "h"), p.signal) for p in run.signals
    ]
    with DriftStore.open(place) as store:
        store.write([*entries, *run.copies, *run.statuses])
    with DriftStore.open_for_reading(place) as store:
        rows = store.read_rows()
    assert list(rows.signals) == run.signals
    by_key = {(c.follower_id, c.seq): c for c in run.copies}
    assert {(c.follower_id, c.seq): c for c in rows.copies} == by_key
    assert sorted(rows.statuses, key=lambda s: (s.sent_ms, s.follower_id)) == sorted(
        run.statuses, key=lambda s: (s.sent_ms, s.follower_id)
    )
    assert build_report(figures_of(rows), {}, {}) == build_report(figures_of(run.rows), {}, {})


def test_a_report_that_knows_more_fills_replaces_its_orders_and_a_lesser_one_does_not(tmp_path: Path) -> None:
    signal = a_signal()
    before = a_copy(signal, price=None, verdict="missed", reason="unknown")
    after = a_copy(signal)
    for order in ([before, after], [after, before], [after, before, after]):
        with DriftStore.open(tmp_path / f"{len(list(tmp_path.iterdir()))}.sqlite") as store:
            for item in order:
                store.write([item])
            assert list(store.read_rows().copies) == [after]
            assert store.counts() | {"orders": 1, "fills": 1, "copies": 1} == store.counts()


def test_the_head_never_moves_back(place: StorePlace) -> None:
    with DriftStore.open(place) as store:
        assert store.head(LEADER) is None
        store.write([feed_entry(3), feed_entry(2)])
        assert store.head(LEADER) == FeedHead(LEADER, 1, 3, "hash-3")
        store.write([FeedEntry(FeedHead(LEADER, 2, 1, "new-epoch"), None)])
        assert store.head(LEADER) == FeedHead(LEADER, 2, 1, "new-epoch")


def test_a_refused_report_counts_once_however_often_it_comes(place: StorePlace) -> None:
    refused = RefusedReport("d1", "reports.alice.steady", Refusal("impossible_price", "price was 0"))
    with DriftStore.open(place) as store:
        store.write([refused, refused])
        store.write([refused])
        assert store.read_rows().refused == {"impossible_price": 1}


def test_a_verdict_waits_for_its_signal(place: StorePlace) -> None:
    with DriftStore.open(place) as store:
        store.write([a_copy(a_signal(5))])
        assert build_report(figures_of(store.read_rows()), {}, {})["followers"][0]["signals"] == 0
        store.write([feed_entry(5)])
        assert build_report(figures_of(store.read_rows()), {}, {})["followers"][0]["copied"] == 1


def test_a_filter_keeps_when_followers_joined(place: StorePlace) -> None:
    late = START_MS + 60_000
    with DriftStore.open(place) as store:
        store.write([feed_entry(1), feed_entry(2, at_ms=late), a_copy(a_signal(1)), a_status()])
        rows = store.read_rows(RowFilter(since_ms=late))
        assert [p.seq for p in rows.signals] == [2]
        assert rows.joined_ms == {("steady", LEADER): START_MS - 500}
        assert build_report(figures_of(rows), {}, {})["followers"][0]["skip_reasons"] == {"no_verdict": 1}
        assert store.read_rows(RowFilter(symbol="ETH/USDT:USDT")).signals == []
        assert store.read_rows(RowFilter(follower_id="nobody")).copies == []
        assert store.read_rows(RowFilter(leader_id="bob")).joined_ms == {}


def test_prices_come_from_samples_and_from_signals(place: StorePlace) -> None:
    sample = MarketSample(SYMBOL, START_MS, None, "1", "2", "3")
    with DriftStore.open(place) as store:
        store.write([sample, sample, feed_entry(1)])
        found = store.read_samples(SYMBOL, START_MS, START_MS + 100)
    assert found == [sample, MarketSample(SYMBOL, START_MS + 6, None, "60000", "60000", "60000")]


def test_a_batch_is_stored_whole_or_not_at_all(place: StorePlace) -> None:
    with DriftStore.open(place) as store:
        broken = a_status(head_seq=2**70)  # more than a column holds
        with pytest.raises(StoreError):
            store.write([feed_entry(1), broken])
        assert store.counts()["signals"] == 0
        store.write([feed_entry(1)])
        assert store.counts()["signals"] == 1


def test_opening_again_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "drift.sqlite"
    with DriftStore.open(path) as store:
        store.write([feed_entry(1)])
    with DriftStore.open(path) as store:
        assert store.counts()["signals"] == 1


def test_what_is_no_store_says_so(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"none\.sqlite: there is no such file"):
        DriftStore.open_for_reading(tmp_path / "none.sqlite")
    (tmp_path / "text.sqlite").write_text("not a database, and long enough to be looked at " * 40)
    with pytest.raises(StoreError, match=r"text\.sqlite"):
        DriftStore.open_for_reading(tmp_path / "text.sqlite")
    with pytest.raises(StoreError, match=r"text\.sqlite"):
        DriftStore.open(tmp_path / "text.sqlite")
    connection = sqlite3.connect(tmp_path / "other.sqlite")
    connection.execute("CREATE TABLE schema_versions (version BIGINT)")
    connection.close()
    with pytest.raises(StoreError, match="not written by this version"):
        DriftStore.open_for_reading(tmp_path / "other.sqlite")
