"""The venue's formulas as Python sees them: units, keywords, refusals. The core tests their numbers."""

from __future__ import annotations

import pytest

from simulated_exchange._engine import SCALE, IndexMethod, Side, rules

WHOLE = rules.RATE_SCALE


def test_units_are_those_of_the_boundary() -> None:
    assert rules.mark_price1(10_000 * SCALE, WHOLE // 10_000, 4, 8) == 10_000 * SCALE + SCALE // 2
    assert rules.expiry_mark(20_100 * SCALE, [WHOLE * 3 // 1000]) == 20_160 * SCALE + SCALE * 3 // 10
    assert rules.premium_index(10_012 * SCALE, 10_018 * SCALE, 10_000 * SCALE) == WHOLE * 12 // 10_000
    assert rules.funding_fee(80_000 * SCALE, WHOLE // 10_000) == 8 * SCALE
    assert rules.tier_deductions([(100 * SCALE, 1000, SCALE // 100), (200 * SCALE, 500, SCALE // 50)]) == [
        0,
        SCALE,
    ]


def test_an_index_is_clamped_unless_told_otherwise() -> None:
    prices = [(100 * SCALE, 1), (100 * SCALE, 1), (200 * SCALE, 1)]
    assert rules.index_price(prices, band=SCALE // 10) == (310 * SCALE + 1) // 3
    assert rules.index_price(prices, band=SCALE // 10, method=IndexMethod.Drop) == 100 * SCALE
    assert rules.index_price([], band=0) is None


def test_an_impact_price_needs_enough_on_the_book() -> None:
    levels = [(100 * SCALE, SCALE), (102 * SCALE, SCALE)]
    assert rules.impact_price(levels, 202 * SCALE) == 101 * SCALE
    assert rules.impact_price(levels, 203 * SCALE) is None
    assert rules.impact_price([(10_000 * SCALE, 10_000 * SCALE)], SCALE, inverse=True) == 10_000 * SCALE


def test_slippage_is_a_distance_or_a_ratio() -> None:
    best = 2100 * SCALE
    assert rules.slippage_limit(Side.Buy, best, distance=SCALE) == 2101 * SCALE
    assert rules.slippage_limit(Side.Sell, best, ratio=SCALE // 10) == 1890 * SCALE
    for both in ({}, {"distance": 1, "ratio": 1}):
        with pytest.raises(ValueError, match="exactly one"):
            rules.slippage_limit(Side.Buy, best, **both)


def test_tiers_that_are_none_are_refused_by_name() -> None:
    for tiers in ([], [(0, 1000, 1)], [(5, 1000, 1), (4, 1000, 1)], [(5, 99, 1)]):
        with pytest.raises(ValueError, match="tiers"):
            rules.tier_deductions(tiers)


def test_other_kinds_and_sizes_of_arguments_are_refused() -> None:
    with pytest.raises(OverflowError):
        rules.funding_fee(2**63, 1)
    with pytest.raises(TypeError):
        rules.funding_fee("1", 1)  # type: ignore[arg-type]
