"""Prices over time: every recorded extreme is touched, synthetic walks depend on their seed alone."""

from __future__ import annotations

import random
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from simulated_exchange.scenario.fixed import SCALE, gap_bps
from simulated_exchange.scenario.paths import BarPath, MeanPath, Offset, OffsetPath, Shock, SyntheticPath
from simulated_exchange.scenario.replay import Bar

START = 1_760_000_000_000


@st.composite
def bars(draw: st.DrawFn) -> list[Bar]:
    duration_ms = draw(st.sampled_from([60_000, 300_000, 3_600_000]))
    found = []
    for at in range(draw(st.integers(1, 6))):
        prices = sorted(draw(st.lists(st.integers(1, 10**14), min_size=4, max_size=4)))
        opened, close = (prices[1], prices[2]) if draw(st.booleans()) else (prices[2], prices[1])
        found.append(Bar(START + at * duration_ms, duration_ms, opened, prices[3], prices[0], close))
    return found


def path_of(recorded: list[Bar]) -> tuple[BarPath, int]:
    end_ms = recorded[-1].open_time_ms + recorded[-1].duration_ms
    return BarPath(recorded, START, end_ms), end_ms


@given(bars())
def test_every_open_high_low_and_close_is_touched_in_the_order_of_the_bars_direction(
    recorded: list[Bar],
) -> None:
    path, end_ms = path_of(recorded)
    times = path.waypoints(START - 1, end_ms)
    assert len(times) == 4 * len(recorded)
    for at, bar in enumerate(recorded):
        walked = [path.price_at(time_ms) for time_ms in times[4 * at : 4 * at + 4]]
        middle = [bar.low, bar.high] if bar.close >= bar.open else [bar.high, bar.low]
        assert walked == [bar.open, *middle, bar.close]


@given(bars(), st.data())
def test_the_path_never_leaves_the_bar(recorded: list[Bar], data: st.DataObject) -> None:
    path, end_ms = path_of(recorded)
    time_ms = data.draw(st.integers(START, end_ms - 1))
    bar = recorded[(time_ms - START) // recorded[0].duration_ms]
    assert bar.low <= path.price_at(time_ms) <= bar.high


@given(bars())
def test_outside_the_window_the_price_stands(recorded: list[Bar]) -> None:
    path, end_ms = path_of(recorded)
    assert path.price_at(START - 10**9) == recorded[0].open
    assert path.price_at(end_ms + 10**9) == recorded[-1].close
    assert path.waypoints(end_ms, end_ms + 10**9) == []


@given(bars(), st.integers(1, 40))
def test_ticks_that_follow_each_other_see_every_turn_once(recorded: list[Bar], parts: int) -> None:
    path, end_ms = path_of(recorded)
    ticks = [START - 1 + (end_ms - START) * part // parts for part in range(parts + 1)]
    seen = [time_ms for earlier, later in pairwise(ticks) for time_ms in path.waypoints(earlier, later)]
    assert seen == path.waypoints(START - 1, end_ms - 1)


def test_a_mean_of_paths_is_weighted_and_turns_where_any_of_them_turns() -> None:
    minute = 60_000
    first = BarPath([Bar(START, 3 * minute, 100, 100, 100, 100)], START, START + 3 * minute)
    second = BarPath([Bar(START, 6 * minute, 200, 260, 140, 200)], START, START + 6 * minute)
    mean = MeanPath([first, second], [3, 1])
    assert mean.price_at(START) == 125
    assert mean.price_at(START + 2 * minute) == 110
    assert mean.waypoints(START, START + 5 * minute) == [
        START + minute,
        START + 2 * minute,
        START + 3 * minute - 1,
        START + 4 * minute,
    ]


def walk(seed: str = "a", shock: Shock | None = None, volatility: float = 0.8) -> SyntheticPath:
    return SyntheticPath(
        seed=seed, start_ms=START, grid_ms=200, start_price=100 * SCALE, volatility=volatility, shock=shock
    )


def test_a_walk_depends_on_its_seed_and_not_on_when_it_is_asked() -> None:
    times = [START + at * 137 for at in range(400)]
    every = walk()
    dense = [every.price_at(time_ms) for time_ms in times]
    rare = walk()
    assert [rare.price_at(time_ms) for time_ms in times[::7]] == dense[::7]
    assert [walk("b").price_at(time_ms) for time_ms in times[1:]] != dense[1:]


def test_volatility_is_annualised() -> None:
    """Over an hour at 80 % a year the standard deviation is 0.8 * sqrt(1 / 8760) = 85 bps."""
    ends = [gap_bps(walk(str(seed)).price_at(START + 3_600_000), 100 * SCALE) for seed in range(120)]
    deviation = (sum(end**2 for end in ends) / len(ends)) ** 0.5
    assert 65 < deviation < 110, deviation


def test_a_shock_falls_and_comes_partly_back() -> None:
    shock = Shock(START + 10_000, -0.06, 4000, 0.4, 12_000)
    path = walk(shock=shock, volatility=0.0)
    assert path.price_at(START + 10_000) == 100 * SCALE
    assert path.price_at(START + 14_000) == 94 * SCALE
    assert abs(path.price_at(START + 26_000) - 96.4 * SCALE) <= 1
    assert abs(path.price_at(START + 900_000) - 96.4 * SCALE) <= 1
    assert path.waypoints(START, START + 10**6) == [START + 10_000, START + 14_000, START + 26_000]


def test_a_basis_reverts_to_its_mean_and_deepens_in_a_shock() -> None:
    shock = Shock(START + 500_000, -0.06, 4000, 1.0, 1000)
    index = walk(shock=shock)
    basis = OffsetPath(
        index, Offset(-2.0, 1.5, 20_000, shock_bps=-60.0), seed="b", start_ms=START, grid_ms=200, shock=shock
    )
    calm = [gap_bps(basis.price_at(START + at), index.price_at(START + at)) for at in range(0, 400_000, 1000)]
    assert -3.5 < sum(calm) / len(calm) < -0.5
    bottom_ms = START + 504_000
    assert gap_bps(basis.price_at(bottom_ms), index.price_at(bottom_ms)) < -50


def test_old_nodes_are_forgotten_and_the_walk_goes_on() -> None:
    path = walk()
    late_ms = START + 200 * 20_000
    price = path.price_at(late_ms)
    assert path.price_at(late_ms) == price
    rng = random.Random(5)
    again = walk()
    for time_ms in sorted(rng.randrange(START, late_ms) for _ in range(200)):
        again.price_at(time_ms)
    assert again.price_at(late_ms) == price
