"""What a run is measured by."""

from __future__ import annotations

from itertools import pairwise

from simulated_exchange.scenario.checks import MarkCheck, Percentiles, Samples
from simulated_exchange.scenario.fixed import SCALE
from simulated_exchange.scenario.replay import Bar

START = 1_760_000_000_000
HOUR = 3_600_000


def bar(number: int, opened: int, high: int, low: int, close: int, *, held: bool = False) -> Bar:
    return Bar(START + number * HOUR, HOUR, opened * SCALE, high * SCALE, low * SCALE, close * SCALE, held)


def test_percentiles_are_to_a_hundredth_and_never_above_the_greatest() -> None:
    sizes = Percentiles()
    assert sizes.summary() == {"count": 0, "p50": None, "p99": None, "max": None}
    for size in range(-100, 100):
        sizes.record(size / 10)
    summary = sizes.summary()
    assert summary["count"] == 200
    assert 4.9 <= summary["p50"] <= 5.1
    assert summary["p99"] <= summary["max"] == 10.0
    only = Percentiles()
    only.record(0.0)
    assert only.summary() == {"count": 1, "p50": 0.0, "p99": 0.0, "max": 0.0}


def test_the_mark_is_inside_near_and_far_from_its_bar() -> None:
    check = MarkCheck([bar(0, 100, 110, 90, 105)], (START, START + HOUR), tolerance_bps=25.0)
    for minute, price in enumerate([100, 110, 90, 89.9, 88]):
        check.observe(START + minute * 60_000, round(price * SCALE))
    summary = check.summary()
    assert summary["samples"] == 5
    assert summary["inside_share"] == 0.8, "89.9 is 11 bps below the low: inside the tolerance; 88 is outside"
    assert summary["outside_bar_bps"]["max"] == 222.22


def test_closes_and_extremes_are_compared_for_bars_that_are_over() -> None:
    bars = [bar(0, 100, 110, 90, 105), bar(1, 105, 120, 100, 110), bar(2, 110, 111, 109, 110)]
    check = MarkCheck(bars, (START, START + 3 * HOUR), tolerance_bps=25.0)
    for offset, price in [(0, 100), (HOUR // 2, 91), (HOUR - 1, 104), (HOUR, 105), (HOUR + 5, 118)]:
        check.observe(START + offset, price * SCALE)
    check.finish(START + 2 * HOUR)
    summary = check.summary()
    assert summary["at_close_bps"]["count"] == 2
    assert summary["at_close_bps"]["max"] == 727.27
    assert summary["at_extreme_bps"]["count"] == 4
    check.finish(START + 2 * HOUR)
    assert check.summary() == summary


def test_bars_cut_by_the_window_have_no_extremes_and_held_bars_are_left_out() -> None:
    bars = [bar(0, 100, 110, 90, 105), bar(1, 105, 105, 105, 105, held=True), bar(2, 105, 110, 100, 100)]
    check = MarkCheck(bars, (START + HOUR // 2, START + 3 * HOUR), tolerance_bps=25.0)
    for minute in range(0, 180, 10):
        check.observe(START + minute * 60_000, 105 * SCALE)
    check.finish(START + 4 * HOUR)
    summary = check.summary()
    assert summary["samples"] == 3 + 6
    assert summary["at_close_bps"]["count"] == 2
    assert summary["at_extreme_bps"]["count"] == 2


def test_outside_the_window_nothing_is_compared() -> None:
    check = MarkCheck([bar(0, 100, 110, 90, 105)], (START, START + HOUR), tolerance_bps=25.0)
    check.observe(START - 1, 50 * SCALE)
    check.observe(START + HOUR, 50 * SCALE)
    check.observe(START + 5, 0)
    assert check.summary()["samples"] == 0


def test_samples_stay_bounded_and_cover_the_whole_run() -> None:
    samples = Samples()
    for number in range(100_000):
        samples.add([number])
    assert 200 <= len(samples.rows) <= 600
    numbers = [row[0] for row in samples.rows]
    assert numbers == sorted(numbers)
    assert numbers[0] == 0
    assert numbers[-1] > 99_000
    strides = {later - earlier for earlier, later in pairwise(numbers)}
    assert len(strides) == 1
