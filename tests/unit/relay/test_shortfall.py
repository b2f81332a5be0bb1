"""What the leader made and the follower did not: skips, sizes, fees and slippage, to the last unit."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest
from msgspec import structs

from relay.core.drift import PARTS
from relay.core.money import last_marks
from relay.core.report import build_report, figures_of, validate
from relay.core.shortfall import PnlDrift, Stock, pnl_drift
from relay.core.verdicts import Judged, PublishedSignal, ReportRows, judge, judge_copy
from relay.dashboard.views import risk_row, risks
from relay.protocol.messages import MarketState, PositionState
from tests.unit.relay.drift_samples import START_MS, SYMBOL, a_copy, a_fill, a_signal, a_status, sample_run


def market(price: str, **more: Any) -> MarketState:
    return MarketState(mark=price, index=price, last=price, bid=price, ask=price, **more)


def held(qty: str) -> PositionState:
    return PositionState(symbol=SYMBOL, qty=qty, entry_price="100", exposure="0.1", leverage="1")


def step(seq: int, side: str, price: str, after: str, **more: Any) -> PublishedSignal:
    at_ms = START_MS + seq * 1000
    more.setdefault("market", market(price))
    return a_signal(seq, price=price, side=side, qty="10", at_ms=at_ms, position=held(after), **more)


def copied(of: PublishedSignal, price: str, qty: str = "1", **more: Any) -> Judged:
    """The policy wants a tenth of his size; `qty` is what was filled of it."""
    fill = structs.replace(a_fill(price, qty), fee="0.5")
    order = structs.replace(a_copy(of).orders[0], qty=qty, fills=[fill])
    values = {"target_qty": "1", "wanted_qty": "1", "order_qty": qty, "orders": [order]} | more
    return judge_copy(of, a_copy(of, **values))


def skipped(of: PublishedSignal, **more: Any) -> Judged:
    return judge_copy(of, a_copy(of, price=None, **more))


def drift_of(items: list[Judged], mark: str) -> PnlDrift:
    stock, fees = Stock(), Fraction(0)
    for item in items:
        stock.add(item)
        fees += item.drift.fees if item.drift is not None else 0
    found = pnl_drift([(stock, round(fees * 10**8), Fraction(mark))])
    assert found is not None
    assert sum(found.explained.values()) == found.drift
    return found


def test_a_skipped_trade_costs_what_it_made_afterwards() -> None:
    """He buys ten at 100 and sells them at 130; the policy wanted one of them, and none was copied."""
    entry, leave = step(1, "buy", "100", "10"), step(2, "sell", "130", "0")
    found = drift_of(
        [skipped(entry, target_qty="1"), skipped(leave, target_qty="0", wanted_qty="0", is_exit=True)], "77"
    )
    assert [found.leader, found.own] == [30, 0]
    assert found.explained["skipped"] == 30


def test_a_skipped_trade_that_lost_was_worth_skipping() -> None:
    found = drift_of([skipped(step(1, "buy", "100", "10"), target_qty="1")], "90")
    assert found.explained["skipped"] == -10


def test_a_whole_copy_loses_slippage_and_fees_and_nothing_else() -> None:
    entry, leave = step(1, "buy", "100", "10"), step(2, "sell", "130", "0")
    items = [copied(entry, "101"), copied(leave, "129", is_exit=True, target_qty="0")]
    found = drift_of(items, "5000")
    assert [found.leader, found.own] == [30, 27]
    assert found.explained["fees"] == 1
    assert sum(found.explained[part] for part in PARTS) == 2
    assert found.explained["size"] == found.explained["skipped"] == 0


def test_what_a_cap_cut_off_is_told_apart_from_slippage() -> None:
    """Half of the size at his own price: half of the profit is missing, and not a cent of it is slippage."""
    items = [copied(step(1, "buy", "100", "10"), "100", "0.5", verdict="capped", reason="cap_leverage")]
    found = drift_of(items, "120")
    assert [found.leader, found.own] == [20, Fraction("9.5")]
    assert [found.explained["size"], found.explained["fees"]] == [10, Fraction("0.5")]
    assert sum(found.explained[part] for part in PARTS) == 0


def test_a_verdict_that_never_came_counts_in_the_size_of_the_others() -> None:
    first, second = step(1, "buy", "100", "10"), step(2, "buy", "100", "20")
    silent = Judged("steady", second, None, "missed", "no_verdict", None)
    found = drift_of([copied(first, "100"), silent], "110")
    assert found.explained["missed"] == 10


def test_a_follower_who_takes_the_other_side_is_held_against_the_other_side() -> None:
    entry = step(1, "buy", "100", "10")
    found = drift_of([skipped(entry, target_qty="-1", side="sell")], "90")
    assert found.leader == 10


def test_without_a_target_nothing_is_said_of_what_was_not_copied() -> None:
    found = drift_of([skipped(step(1, "buy", "100", "10"), target_qty="0", wanted_qty="0")], "200")
    assert [found.leader, found.own, found.unscaled] == [0, 0, 1]


def test_a_fill_at_an_impossible_price_is_in_no_figure() -> None:
    entry = step(1, "buy", "100", "10")
    stock = Stock()
    stock.add(copied(entry, "500"))
    assert stock == Stock()


def test_what_was_less_than_the_smallest_order_is_measured_by_what_was_wanted() -> None:
    found = drift_of([skipped(step(1, "buy", "100", "10"), target_qty="0", wanted_qty="0.001")], "200")
    assert found.explained["skipped"] == Fraction("0.1")


def test_fees_are_compared_where_the_leader_told_his() -> None:
    entry = step(1, "buy", "100", "10", fee="2")
    item = copied(entry, "100")
    rows = ReportRows([entry], [item.copy] if item.copy else [], [])
    [row] = build_report(figures_of(rows), {}, {})["followers"]
    assert row["costs"] == {
        "slippage": "0",
        "fees": "0.5",
        "total": "0.5",
        "per_signal": "0.5",
        "fee_difference": "0.3",
    }
    assert row["copied_notional"] == {"wanted": "100", "ordered": "100", "filled": "100", "fill_ratio": "1"}


@pytest.mark.parametrize("seed", range(4))
def test_in_a_whole_run_every_drift_is_explained(seed: int) -> None:
    run = sample_run(seed)
    report = build_report(figures_of(run.rows), {"conservation_delta": "0"}, {})
    assert validate(report) == []
    pnl = {row["id"]: row["pnl"] for row in report["followers"]}
    assert pnl["tiny"]["explained"]["skipped"] == pnl["tiny"]["drift"] != "0"
    assert pnl["steady"]["explained"]["skipped"] == "0"
    stock = Stock()
    for items in judge(run.rows).values():
        for item in items:
            stock.add(item)
    assert last_marks(figures_of(run.rows).tallies, {}) == {SYMBOL: Fraction(stock.mark)}


def test_an_unexplained_drift_is_a_broken_promise() -> None:
    report = build_report(figures_of(sample_run().rows), {"conservation_delta": "0"}, {})
    report["followers"][0]["pnl"]["explained"]["fees"] = "0"
    assert any("explained of a PnL drift" in line for line in validate(report))


def test_crowding_and_copy_risk_by_symbol_with_every_factor() -> None:
    """Two live followers of 20,000 hold half of it; 5,000 are in the book, 400 coins of 100 are open."""
    entry = step(1, "buy", "100", "10", market=market("100", depth_usdt="5000", open_interest="400"))
    gap = {"price": "100", "received_mark": "100", "received_last": "101"}
    copies = [a_copy(entry, name, **gap) for name in ("steady", "bold")]
    long = PositionState(symbol=SYMBOL, qty="100", entry_price="100", exposure="0.5", leverage="1")
    words = [a_status(name, positions=[long]) for name in ("steady", "bold")]
    words.append(a_status("paper", positions=[long], paper=True))
    report = build_report(figures_of(ReportRows([entry], copies, words)), {}, {})
    assert report["risk"] == [
        {
            "leader": "alice",
            "symbol": SYMBOL,
            "leverage": "0.5",
            "correlation": "1",
            "divergence": "0.01",
            "copy_risk": "0.005",
            "together_notional": "20000",
            "share_of_depth": "4",
            "share_of_open_interest": "0.5",
        }
    ]


def test_a_copy_risk_whose_divergence_nobody_measured_is_not_known() -> None:
    entry = step(1, "buy", "100", "10", market=market("0"))
    copy = a_copy(entry, "steady", price="100", received_mark=None, received_last=None)
    long = PositionState(symbol=SYMBOL, qty="100", entry_price="100", exposure="0.5", leverage="1")
    figures = figures_of(ReportRows([entry], [copy], words := [a_status("steady", positions=[long])]))
    [row] = build_report(figures, {}, {})["risk"]
    assert (row["leverage"], row["divergence"], row["copy_risk"]) == ("0.5", None, None)
    shown = risk_row(risks(figures, words)["alice"])
    assert (shown["divergence"], shown["value"]) == ("not known", "not known")


def test_how_evenly_signals_are_delivered() -> None:
    signals = [step(seq, "buy", "60000", "10") for seq in range(1, 4)]
    copies = [a_copy(of, "near") for of in signals]
    copies += [a_copy(of, "far", received_ms=of.signal.sealed_ms + 90) for of in signals]
    report = build_report(figures_of(ReportRows(signals, copies, [])), {}, {})
    assert report["delivery"] == [
        {"leader": "alice", "first": "near", "last": "far", "first_ms": 2, "last_ms": 90, "spread_ms": 88}
    ]
