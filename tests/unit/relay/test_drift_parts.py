"""One copy's arithmetic: parts, legs, gaps, quantiles, printed numbers."""

from __future__ import annotations

from fractions import Fraction

import pytest
from msgspec.structs import replace

from relay.core.drift import (
    PARTS,
    PricePath,
    apportion,
    decimal_text,
    decompose,
    latency_legs,
    mark_last_gap_bps,
    measure,
    mid_of,
    quantile,
    volume_weighted_price,
)
from relay.core.report import Figures, left_out
from relay.core.tally import Tally
from relay.core.verdicts import judge_copy
from relay.metrics import Metrics
from relay.protocol.messages import MarketState
from relay.reporting.findings import left_out_lines
from tests.unit.relay.drift_samples import START_MS, a_copy, a_fill, a_signal


def parts_of(path: PricePath) -> dict[str, Fraction]:
    return dict(zip(PARTS, decompose(path).parts, strict=True))


def test_every_step_of_a_buy_gets_what_the_mid_moved_during_it() -> None:
    path = PricePath(
        side="buy",
        leader_price=Fraction(100),
        sealed_mid=Fraction(101),
        venue_mid=Fraction("100.5"),
        received_mid=Fraction(102),
        released_mid=Fraction(104),
        submitted_mid=Fraction(103),
        accepted_mid=Fraction(105),
        fill_price=Fraction(106),
    )
    assert parts_of(path) == {
        "leader_lag": 1,
        "venue_basis": Fraction("-0.5"),
        "transit": Fraction("1.5"),
        "stagger": 2,
        "decision": -1,
        "venue": 2,
        "spread_impact": 1,
    }
    assert decompose(path).total_bps == 600


def test_a_falling_price_is_good_for_a_buyer_and_bad_for_a_seller() -> None:
    buy = PricePath(side="buy", leader_price=Fraction(100), fill_price=Fraction(99))
    sell = PricePath(side="sell", leader_price=Fraction(100), fill_price=Fraction(99))
    assert decompose(buy).total_bps == -100
    assert decompose(sell).total_bps == 100


def test_a_missing_mid_carries_the_last_known_price_forward() -> None:
    path = PricePath(
        side="buy", leader_price=Fraction(100), received_mid=Fraction(101), fill_price=Fraction(103)
    )
    parts = parts_of(path)
    assert parts["transit"] == 1
    assert parts["spread_impact"] == 2
    assert sum(parts.values()) == 3
    assert [name for name, part in parts.items() if part == 0] == [
        *("leader_lag", "venue_basis", "stagger", "decision", "venue")
    ]


def test_a_copy_is_measured_by_all_its_fills() -> None:
    signal = a_signal(price="60000")
    order = a_copy(signal).orders[0]
    two = [
        a_fill("60002", "0.03", fill_id="a", at_ms=START_MS + 40),
        a_fill("60010", "0.01", fill_id="b", at_ms=START_MS + 55),
    ]
    orders = [type(order)(**{**{f: getattr(order, f) for f in order.__struct_fields__}, "fills": two})]
    drift = measure(signal.signal, a_copy(signal, orders=orders, executed_ms=START_MS + 55))
    assert drift is not None
    assert drift.fill_price == 60004
    assert drift.filled_qty == Fraction("0.04")
    assert drift.latency_ms == 55
    assert drift.slippage.total_bps == Fraction(4 * 10_000, 60_000)
    assert drift.cost == 4 * Fraction("0.04") + Fraction("0.00055") * (
        60002 * Fraction("0.03") + 60010 * Fraction("0.01")
    )
    assert drift.follower_gap_bps == 1


@pytest.mark.parametrize(
    ("currency", "fees", "is_elsewhere"),
    [("USDT", "2", False), ("BTC", "120004", False), ("BNB", "0", True)],
    ids=["quote", "base, at what it was traded at", "another coin"],
)
def test_a_fee_is_worth_what_its_coin_is(currency: str, fees: str, is_elsewhere: bool) -> None:
    signal = a_signal(1)
    copy = a_copy(signal, price="60002")
    [order] = copy.orders
    fill = replace(order.fills[0], fee="2", fee_currency=currency)
    item = judge_copy(signal, replace(copy, orders=[replace(order, fills=[fill])]))
    assert item.drift is not None and item.drift.fees == Fraction(fees)
    metrics = Metrics()
    metrics.note_verdict(item)
    assert (b'reason="fees_elsewhere"} 1.0' in metrics.page()) == is_elsewhere
    counted = Tally()
    counted.add(item)
    told = left_out(Figures({}, {("steady", "alice", "BTC/USDT:USDT"): counted}, {}, {}).anomalies)
    assert told["fees_elsewhere"] == is_elsewhere
    assert (
        left_out_lines(told) == ["1 copies charged in a coin that is not traded (those fees)"] * is_elsewhere
    )


def test_between_two_venues_the_basis_is_apart_from_the_transit() -> None:
    """The follower's venue stood ten above the leader's at the seal, and fell by nine on the way."""
    signal = a_signal(price="60000")
    drift = measure(
        signal.signal, a_copy(signal, venue_mid="60010", executed_mark="60000", executed_last="60012")
    )
    assert drift is not None
    parts = dict(zip(PARTS, drift.slippage.parts, strict=True))
    assert (parts["venue_basis"], parts["transit"]) == (Fraction(10), Fraction(-9))
    assert sum(drift.slippage.parts) == drift.slippage.total
    assert drift.follower_gap_bps == 2, "mark against last as they were at the fill"
    alone = measure(signal.signal, a_copy(signal))
    assert alone is not None and dict(zip(PARTS, alone.slippage.parts, strict=True))["venue_basis"] == 0


@pytest.mark.parametrize("price", ["29999", "120001"])
def test_a_fill_at_an_impossible_price_is_no_copy(price: str) -> None:
    signal = a_signal(price="60000")
    assert measure(signal.signal, a_copy(signal, price=price)) is None


def test_a_skip_has_no_drift() -> None:
    signal = a_signal()
    assert measure(signal.signal, a_copy(signal, price=None)) is None


def test_legs_sum_to_the_whole_even_where_the_fill_overtook_the_acceptance() -> None:
    times = {
        "leader_exec": 1000,
        "seen": 1003,
        "sealed": 1004,
        "received": 1010,
        "released": None,
        "submitted": 1012,
        "accepted": 1030,
        "executed": 1025,
    }
    legs = latency_legs(times)
    assert legs == {"seen": 3, "sealed": 1, "received": 6, "submitted": 2, "accepted": 13, "executed": 0}
    assert sum(legs.values()) == 25


def test_an_empty_or_crossed_book_has_no_mid() -> None:
    quote = {"mark": "1", "index": "1", "last": "1"}
    assert mid_of(MarketState(bid="99", ask="101", **quote)) == 100
    assert mid_of(MarketState(bid="0", ask="101", **quote)) is None
    assert mid_of(MarketState(bid="102", ask="101", **quote)) is None


def test_mark_last_gap_is_signed_and_unknown_without_either_price() -> None:
    assert mark_last_gap_bps("100", "99") == -100
    assert mark_last_gap_bps(None, "99") is None
    assert mark_last_gap_bps("0", "99") is None


def test_volume_weighted_price_of_nothing_is_unknown() -> None:
    assert volume_weighted_price([]) is None
    assert volume_weighted_price([(Fraction(1), Fraction(10)), (Fraction(3), Fraction(20))]) == Fraction(
        "17.5"
    )


def test_a_quantile_is_one_of_the_values() -> None:
    values = list(range(1, 101))
    assert [quantile(values, percent) for percent in (50, 95, 99, 100)] == [50, 95, 99, 100]
    assert quantile([7], 50) == 7
    assert quantile([1, 2], 50) == 1


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("1/3", "0.3333"),
        ("-1/30000", "0"),
        ("2", "2"),
        ("100", "100"),
        ("0.00005", "0"),
        ("0.00015", "0.0002"),
    ],
)
def test_printed_decimals_round_half_to_even_without_trailing_zeros(value: str, text: str) -> None:
    assert decimal_text(Fraction(value), 4) == text


def test_rounded_parts_sum_to_the_rounded_whole() -> None:
    thirds = [Fraction(1, 3)] * 3
    assert sum(apportion(thirds, 2)) == 1
    assert sorted(apportion(thirds, 2)) == [Fraction("0.33"), Fraction("0.33"), Fraction("0.34")]
