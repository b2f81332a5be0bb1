"""Tallies add up: however a run is cut into pieces, the pieces sum to the whole."""

from __future__ import annotations

import random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.core.tally import Tally, TallyKey, rounded, spread_quantile, tally
from relay.core.verdicts import Judged, judge
from tests.unit.relay.drift_samples import sample_run


def judged(seed: int) -> list[Judged]:
    return [item for items in judge(sample_run(seed).rows).values() for item in items]


def merged(pieces: list[list[Judged]]) -> dict[TallyKey, Tally]:
    total: dict[TallyKey, Tally] = {}
    for piece in pieces:
        for key, found in tally(piece).items():
            stored = msgspec.json.decode(msgspec.json.encode(found), type=Tally)
            total.setdefault(key, Tally()).merge(stored)
    return total


@pytest.mark.parametrize("seed", [7, 11])
@pytest.mark.parametrize("count", [1, 2, 9])
def test_pieces_sum_to_the_whole(seed: int, count: int) -> None:
    items = judged(seed)
    whole = tally(items)
    random.Random(seed).shuffle(items)
    assert merged([items[at::count] for at in range(count)]) == whole
    assert any(found.executed for found in whole.values())


@given(st.lists(st.integers(-5_000_000, 5_000_000), min_size=1, max_size=60), st.integers(1, 100))
def test_a_quantile_is_within_half_a_percent(values: list[int], percent: int) -> None:
    spread: dict[int, int] = {}
    for value in values:
        spread[rounded(value)] = spread.get(rounded(value), 0) + 1
    exact = sorted(values)[-(-len(values) * percent // 100) - 1]
    assert abs(spread_quantile(spread, percent) - exact) <= abs(exact) / 200 + 0.5
