"""Waves: everybody in one, evenly spread, the first rotates."""

from __future__ import annotations

from collections import Counter

from relay.protocol.messages import StaggerPlan
from relay.protocol.stagger import delay_ms, wave_of


def test_one_wave_means_nobody_waits() -> None:
    assert {delay_ms(StaggerPlan(waves=1, spacing_ms=500), f"f{n}", 7) for n in range(50)} == {0}


def test_waves_are_about_equally_full() -> None:
    counts = Counter(wave_of(f"follower{n}", 12, 5) for n in range(5000))
    assert set(counts) == set(range(5))
    assert max(counts.values()) < 1.15 * min(counts.values())


def test_whoever_is_first_is_not_first_again() -> None:
    waves = [wave_of("bob", seq, 4) for seq in range(100, 108)]
    assert sorted(waves[:4]) == [0, 1, 2, 3]
    assert waves[:4] == waves[4:]


def test_a_wave_waits_its_place_times_the_spacing() -> None:
    plan = StaggerPlan(waves=4, spacing_ms=250)
    for seq in range(8):
        assert delay_ms(plan, "bob", seq) == 250 * wave_of("bob", seq, 4)
