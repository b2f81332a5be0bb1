"""The window that costs least: what pushes it out, what pulls it in, and that it is the minimum."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.core.spreading import SHARE_MAX, Crowd, Entrants, MarketSample, plan_for
from relay.protocol.stagger import delay_ms
from relay.sampling import depth_within

D = Decimal
WINDOW_MS = 4_000


def market(depth: str = "100000", refill: str = "50000", volatility: str = "2") -> MarketSample:
    return MarketSample(D(depth), D(refill), D(volatility))


def window_ms(crowd: Crowd, sample: MarketSample) -> int:
    plan = plan_for(crowd, sample, WINDOW_MS).stagger
    return (plan.waves - 1) * plan.spacing_ms


CROWD = Crowd(200, D(100_000))


def test_a_crowd_that_the_book_bears_does_not_wait() -> None:
    for crowd in (Crowd(0, D(0)), Crowd(1, D(10_000_000)), Crowd(500, D(100))):
        plan = plan_for(crowd, market(), WINDOW_MS)
        assert (plan.stagger.waves, plan.stagger.spacing_ms) == (1, 0)
        assert plan.timing_bps == 0
        assert plan.impact_bps == plan.impact_at_once_bps
    assert plan_for(CROWD, market(depth="0", refill="0"), WINDOW_MS).stagger.waves == 1


def test_more_to_send_and_more_refill_wait_longer_and_more_motion_less() -> None:
    base = window_ms(CROWD, market())
    assert 0 < base < WINDOW_MS
    assert window_ms(Crowd(200, D(2_000_000)), market()) > base
    assert window_ms(CROWD, market(depth="1000000")) < base
    assert window_ms(CROWD, market(volatility="3")) < base
    assert window_ms(CROWD, market(volatility="0.3")) > base
    assert window_ms(CROWD, market(refill="0")) == 0


@pytest.mark.parametrize("notional", ["50000", "500000", "5000000"])
@pytest.mark.parametrize("volatility", ["0.2", "1", "5"])
def test_no_other_window_is_cheaper(notional: str, volatility: str) -> None:
    crowd, sample = Crowd(200, D(notional)), market(volatility=volatility)
    plan = plan_for(crowd, sample, WINDOW_MS)
    cost = plan.impact_bps + plan.timing_bps
    for other_ms in range(0, WINDOW_MS + 1, 40):
        seconds = D(other_ms) / 1000
        impact = 10 * crowd.notional_usdt / (2 * (sample.depth_usdt + sample.refill_usdt_per_s * seconds))
        assert cost <= impact + sample.volatility_bps * 2 / 3 * seconds.sqrt() + D("0.002")
    assert cost <= plan.impact_at_once_bps + D("0.002")


def test_the_plan_is_within_its_limits_and_every_follower_within_the_window() -> None:
    plan = plan_for(Crowd(100_000, D(10**12)), market(volatility="0"), WINDOW_MS).stagger
    assert plan.waves <= 50
    assert plan.spacing_ms >= 20
    waits = [delay_ms(plan, f"f{number}", 7) for number in range(500)]
    assert max(waits) <= WINDOW_MS
    assert len(set(waits)) == plan.waves


@given(
    st.lists(st.integers(0, 10**7), max_size=40),
    st.integers(0, 10**16),
    st.decimals("0.001", "20", places=3),
    st.decimals("1", "10000000", places=2),
    st.decimals("0", "1000000", places=2),
    st.decimals("0", "50", places=3),
)
def test_one_claim_is_a_tenth_of_the_book_and_no_wait_costs_more_than_it_saves(
    equities: list[int], claim: int, step: D, depth: D, refill: D, volatility: D
) -> None:
    honest, all_ = (Entrants(found).crowd(step, depth) for found in (equities, [*equities, claim]))
    assert (honest.followers, all_.followers) == (len(equities), len(equities) + 1)
    exact = sum(min(equity * step / 2, SHARE_MAX * depth) for equity in equities)
    assert abs(honest.notional_usdt - exact) <= exact * D("1E-20")
    assert 0 <= all_.notional_usdt - honest.notional_usdt <= SHARE_MAX * depth * (1 + D("1E-20"))
    sample = MarketSample(depth, refill, volatility)
    before, after = (plan_for(crowd, sample, WINDOW_MS) for crowd in (honest, all_))
    assert after.impact_at_once_bps - before.impact_at_once_bps <= D("0.502")
    assert after.timing_bps <= after.impact_at_once_bps - after.impact_bps + D("0.003")


def test_nobody_enters_where_no_step_or_no_book_is_known() -> None:
    assert Entrants([5, 10]).crowd(D(0), D(100)) == Crowd(2, D(0))
    assert Entrants([5, 10]).crowd(D(1), D(0)) == Crowd(2, D(0))
    assert Entrants([]).crowd(D(1), D(100)) == Crowd(0, D(0))


def test_depth_is_that_of_the_thinner_side_near_the_middle() -> None:
    bids = [(D("99.95"), D(10)), (D("99.91"), D(10)), (D("99.5"), D(1000))]
    asks = [(D("100.05"), D(1)), (D("100.09"), D(1)), (D("100.2"), D(1000))]
    assert depth_within(bids, asks) == D("100.05") + D("100.09")
    assert depth_within([], asks) == 0
