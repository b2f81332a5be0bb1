"""The fold from rows to the report document, and the promises it is held to."""

from __future__ import annotations

import copy as copying
from decimal import Decimal
from typing import Any

import pytest

from relay.core.drift import LEGS, PARTS
from relay.core.report import build_report, figures_of, validate
from relay.core.verdicts import ReportRows
from relay.protocol.messages import MarketState
from relay.reporting.detail import build_detail
from relay.reporting.html import page
from tests.unit.relay.drift_samples import LEADER, START_MS, a_copy, a_signal, a_status, sample_run

VENUE: dict[str, Any] = {
    "orders": 8000,
    "trades": 5000,
    "liquidations": 3,
    "adl": 0,
    "insurance_fund": "1000",
    "conservation_delta": "0",
    "mark_last_gap_bps": {"p50": "1", "p99": "9"},
}
RUN = {"seed": 7, "scenario": "demo", "replay": None, "seconds": 60, "version": "0.1.0"}


def follower_row(rows: ReportRows, follower: str = "steady", **venue: Any) -> dict[str, Any]:
    report = build_report(figures_of(rows), {**VENUE, **venue}, RUN)
    row: dict[str, Any] = next(row for row in report["followers"] if row["id"] == follower)
    return row


def test_the_document_has_exactly_its_keys() -> None:
    report = build_report(figures_of(sample_run().rows), {**VENUE, "followers": {}}, RUN)
    assert list(report) == ["run", "venue", "leaders", "followers", "risk", "delivery", "trend", "left_out"]
    assert report["run"] == RUN
    assert report["venue"] == VENUE
    assert report["leaders"] == [{"id": LEADER, "fills": 26, "signals": 26}]
    row = report["followers"][0]
    assert list(row) == [
        *("id", "policy", "signals", "copied", "capped", "skipped", "missed", "skip_reasons"),
        *(
            "orders",
            "duplicate_orders",
            "slippage_bps",
            "slippage_parts_bps",
            "latency_ms",
            "latency_legs_ms",
            "latency_legs_spread_ms",
            "mark_last_gap_bps",
        ),
        *("leverage_max", "leverage_cap", "leverage_peak", "exposure_gap"),
        *("costs", "copied_notional", "pnl", "tracking", "carry"),
    ]
    assert list(row["slippage_bps"]) == ["mean", "p50", "p95", "p99"]
    assert tuple(row["slippage_parts_bps"]) == PARTS
    assert list(row["latency_ms"]) == ["p50", "p95", "p99"]
    assert tuple(row["latency_legs_ms"]) == tuple(row["latency_legs_spread_ms"]) == LEGS
    for leg, spread in row["latency_legs_spread_ms"].items():
        assert list(spread) == ["p50", "p95", "p99"] and spread["p50"] == row["latency_legs_ms"][leg]
        assert spread["p50"] <= spread["p95"] <= spread["p99"]
    assert all(isinstance(text, str) for text in row["slippage_parts_bps"].values())
    assert validate(report) == []


def test_verdicts_add_up_and_reasons_are_ranked() -> None:
    signals = [a_signal(seq) for seq in range(1, 8)]
    copies = [
        a_copy(signals[0]),
        a_copy(signals[1], verdict="capped", reason="leverage_cap"),
        a_copy(signals[2], price=None),
        a_copy(signals[3], price=None),
        a_copy(signals[4], price=None, reason="entry_guard"),
        a_copy(signals[5], price=None, verdict="missed", reason="rejected"),
        a_copy(signals[6]),
    ]
    row = follower_row(ReportRows(signals, copies, []))
    assert (row["signals"], row["copied"], row["capped"], row["skipped"], row["missed"]) == (7, 2, 1, 3, 1)
    assert list(row["skip_reasons"].items()) == [("below_minimum", 2), ("entry_guard", 1), ("rejected", 1)]


def test_a_signal_without_a_verdict_is_missed_once_the_follower_had_joined() -> None:
    signals = [a_signal(seq, at_ms=START_MS + seq * 1000) for seq in range(1, 6)]
    joined_after_two = a_status(at_ms=START_MS + 2500)
    row = follower_row(ReportRows(signals, [a_copy(signals[3])], [joined_after_two]))
    assert (row["signals"], row["copied"], row["missed"]) == (3, 1, 2)
    assert row["skip_reasons"] == {"no_verdict": 2}


def test_signals_after_a_follower_stopped_are_not_its_signals() -> None:
    signals = [a_signal(seq, at_ms=START_MS + seq * 1000) for seq in range(1, 5)]
    copies = [a_copy(signals[0]), a_copy(signals[1])]
    stopped = a_status(at_ms=START_MS + 2900, mode="stopped")
    assert follower_row(ReportRows(signals, copies, [stopped]))["signals"] == 2
    restarted = a_status(at_ms=START_MS + 3500)
    row = follower_row(ReportRows(signals, copies, [stopped, restarted]))
    assert (row["signals"], row["skip_reasons"]) == (4, {"no_verdict": 2})


def test_a_follower_without_copies_has_null_figures_and_a_row() -> None:
    signal = a_signal()
    row = follower_row(ReportRows([signal], [a_copy(signal, "tiny", price=None)], []), "tiny")
    assert (
        row["slippage_bps"]
        is row["slippage_parts_bps"]
        is row["latency_ms"]
        is row["latency_legs_ms"]
        is None
    )
    assert (row["leverage_max"], row["leverage_cap"], row["orders"]) == ("0", "0", 0)


def test_leverage_is_taken_from_entries_that_reached_the_venue() -> None:
    signals = [a_signal(seq) for seq in range(1, 5)]
    rejected = a_copy(signals[2], leverage_after="9", leverage_cap="1")
    order = rejected.orders[0]
    refused = type(order)(
        client_order_id="r",
        order_id=None,
        side="buy",
        qty="1",
        reduce_only=False,
        outcome="rejected",
        reject_code="1",
    )
    rows = ReportRows(
        signals,
        [
            a_copy(signals[0], leverage_after="0.5", leverage_cap="0.8"),
            a_copy(signals[1], leverage_after="0.7", leverage_cap="0.7"),
            a_copy(
                signals[2],
                price=None,
                verdict="missed",
                reason="rejected",
                orders=[refused],
                leverage_after="9",
            ),
            a_copy(signals[3], is_exit=True, leverage_after="7", leverage_cap=None),
        ],
        [
            a_status(leverage_peak="1.5"),
            a_status(at_ms=START_MS + 9000, leverage_peak="1.2", exposure_gap="0.01"),
        ],
    )
    row = follower_row(rows)
    assert (row["leverage_max"], row["leverage_cap"]) == ("0.7", "0.8")
    assert (row["leverage_peak"], row["exposure_gap"]) == ("1.5", "0.01")
    assert figures_of(rows).cap_violations == []


def test_each_order_is_held_against_its_own_cap() -> None:
    signals = [a_signal(1), a_signal(2)]
    rows = ReportRows(
        signals,
        [
            a_copy(signals[0], leverage_after="0.6", leverage_cap="0.5"),
            a_copy(signals[1], leverage_after="0.1", leverage_cap="0.9"),
        ],
        [],
    )
    assert figures_of(rows).cap_violations == ["steady: alice.1.1 went to 0.6x, cap was 0.5x"]


def test_orders_are_counted_where_the_venue_counted_them() -> None:
    signal = a_signal()
    rows = ReportRows([signal], [a_copy(signal), a_copy(signal, "paper")], [])
    counted = {"steady": {"orders": 3, "duplicate_orders": 1}}
    assert follower_row(rows, followers=counted)["duplicate_orders"] == 1
    assert follower_row(rows, followers=counted)["orders"] == 3
    paper = follower_row(rows, "paper", followers=counted)
    assert (paper["orders"], paper["duplicate_orders"]) == (1, 0)


def test_what_is_left_out_is_counted() -> None:
    signal = a_signal()
    unheard = a_signal(9)
    rows = ReportRows(
        [signal], [a_copy(signal, price="1"), a_copy(unheard)], [], refused={"impossible_price": 2}
    )
    found = figures_of(rows).anomalies
    assert (found.unknown_signals, found.impossible_prices, found.refused) == (1, 1, {"impossible_price": 2})
    row = follower_row(rows)
    assert (row["signals"], row["copied"], row["slippage_bps"]) == (1, 1, None)


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        (("venue", "conservation_delta"), "0.00000001", "conservation_delta"),
        (("followers", 0, "copied"), 99, "verdicts"),
        (("followers", 0, "skip_reasons"), {"stale": 99}, "reason"),
        (("followers", 0, "duplicate_orders"), 1, "duplicate_orders"),
        (("followers", 0, "leverage_max"), "100", "leverage_cap"),
        (("followers", 0, "slippage_parts_bps", "venue"), "1000", "parts sum"),
    ],
)
def test_a_broken_promise_is_said(path: tuple[Any, ...], value: Any, said: str) -> None:
    report = copying.deepcopy(build_report(figures_of(sample_run().rows), VENUE, RUN))
    place: Any = report
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    broken = validate(report)
    assert len(broken) == 1
    assert said in broken[0]


def test_the_gap_at_the_leaders_fill_is_not_the_one_at_the_followers() -> None:
    signals = [a_signal(seq) for seq in range(1, 4)]  # his mark and last are the same
    copies = [a_copy(of, executed_mark="60000", executed_last="60030") for of in signals]
    row = follower_row(ReportRows(signals, copies, []))
    assert row["mark_last_gap_bps"] == {
        "leader": dict.fromkeys(("p50", "p95", "p99"), "0"),
        "follower": dict.fromkeys(("p50", "p95", "p99"), "5"),
    }


def test_a_part_that_nobody_measured_is_null_and_what_is_not_split_is_told_apart() -> None:
    """Without a quote when it was released, no part ends there; a copy without any quote is in no part."""
    signals = [a_signal(seq) for seq in range(1, 5)]
    no_mids: dict[str, Any] = dict.fromkeys(("received_mid", "released_mid", "submitted_mid", "accepted_mid"))
    copies = [a_copy(of, released_mid=None) for of in signals[:3]]
    empty = MarketState(**dict.fromkeys(("mark", "index", "last", "bid", "ask"), "0"))
    dark = a_signal(4, market=empty)
    rows = ReportRows([*signals[:3], dark], [*copies, a_copy(dark, price="60012", **no_mids)], [])
    row = follower_row(rows)
    parts = row["slippage_parts_bps"]
    assert parts["stagger"] is None and all(parts[name] is not None for name in PARTS if name != "stagger")
    assert parts["unsplit"] == "0.5", "2 bps of one copy in four"
    assert sum(Decimal(part or 0) for part in parts.values()) == Decimal(row["slippage_bps"]["mean"])
    explained = row["pnl"]["explained"]
    assert explained["stagger"] is None and explained["unsplit"] == "1.2"
    report = build_report(figures_of(rows), {"conservation_delta": "0"}, {})
    assert validate(report) == []
    page_of = page(report, build_detail(rows, figures_of(rows), prices={}))
    assert "not split" in page_of and "no prices on the way are known" in page_of
