"""For any prices and times: the parts are the whole, and the order of reports does not matter."""

from __future__ import annotations

import random
import tempfile
from fractions import Fraction
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from relay.core.drift import LEGS, STEPS, PricePath, apportion, decompose, latency_legs
from relay.core.report import build_report, figures_of, validate
from relay.store import DriftStore, FeedEntry, FeedHead, StoreItem
from tests.unit.relay.drift_samples import a_copy, sample_run

prices = st.decimals(
    min_value="0.000000000001", max_value="9999999999999999", places=12, allow_nan=False
).map(Fraction)
mids = st.none() | prices
times = st.integers(0, 2**53 - 1)


@given(st.sampled_from(["buy", "sell"]), prices, prices, mids, mids, mids, mids, mids, mids)
def test_parts_sum_exactly_to_the_slippage(
    side: str,
    leader: Fraction,
    fill: Fraction,
    sealed: Fraction | None,
    venue: Fraction | None,
    received: Fraction | None,
    released: Fraction | None,
    submitted: Fraction | None,
    accepted: Fraction | None,
) -> None:
    found = decompose(PricePath(side, leader, fill, sealed, venue, received, released, submitted, accepted))
    sign = 1 if side == "buy" else -1
    assert sum(found.parts) == sign * (fill - leader) == found.total
    assert sum(found.parts_bps) == found.total_bps == found.total / leader * 10_000


@given(st.lists(st.fractions(), min_size=1, max_size=12), st.integers(0, 8))
def test_rounding_keeps_the_sum_and_moves_no_value_by_a_whole_unit(
    values: list[Fraction], places: int
) -> None:
    rounded = apportion(values, places)
    unit = Fraction(1, 10**places)
    assert sum(rounded) == Fraction(round(sum(values) * 10**places), 10**places)
    assert all(abs(after - before) <= unit for before, after in zip(values, rounded, strict=True))


@given(
    st.fixed_dictionaries(
        {"leader_exec": times, "executed": times}, optional=dict.fromkeys(STEPS[1:-1], times)
    )
)
def test_legs_sum_exactly_to_the_latency(known: dict[str, int]) -> None:
    legs = latency_legs(known)
    assert set(legs) <= set(LEGS)
    assert sum(legs.values()) == known["executed"] - known["leader_exec"]


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 2**32))
def test_late_doubled_and_shuffled_reports_end_in_the_same_report(seed: int) -> None:
    rng = random.Random(seed)
    run = sample_run(seed, seconds=20)
    first = run.copies[0]
    later = a_copy(run.signals[0], first.follower_id, price="61000", executed_ms=first.received_ms + 900)
    items: list[StoreItem] = [
        *(FeedEntry(FeedHead(p.leader_id, p.epoch, p.seq, f"{p.seq:064x}"), p.signal) for p in run.signals),
        *run.copies,
        *run.statuses,
        later,
    ]
    reports = []
    for _ in range(2):
        delivered = items + rng.choices(items, k=40)
        rng.shuffle(delivered)
        with tempfile.TemporaryDirectory() as folder, DriftStore.open(Path(folder) / "drift.sqlite") as store:
            while delivered:
                size = rng.randrange(1, 60)
                store.write(delivered[:size])
                delivered = delivered[size:]
            head = store.head(run.signals[0].leader_id)
            assert head is not None and head.seq == len(run.signals)
            reports.append(
                build_report(figures_of(store.read_rows()), {"conservation_delta": "0"}, {"seed": seed})
            )
    assert reports[0] == reports[1]
    assert validate(reports[0]) == []
