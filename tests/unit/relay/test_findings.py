"""The report in plain words: every number that is said adds up, and causes are the true ones."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest
from msgspec import structs

from relay.core.report import build_report, figures_of
from relay.core.verdicts import ReportRows
from relay.reporting import build_detail, findings, headline
from tests.unit.relay.drift_samples import a_copy, a_signal, sample_run

VENUE = {"trades": 5000, "liquidations": 3, "adl": 1, "conservation_delta": "0"}


def said(rows: ReportRows) -> dict[str, str]:
    """The findings by name."""
    lines = findings(
        build_report(figures_of(rows), VENUE, {"seed": 7}), build_detail(rows, figures_of(rows), prices={})
    )
    return dict(line.split(": ", 1) for line in lines)


def skips(counts: dict[str, int]) -> ReportRows:
    reasons = [reason for reason, count in counts.items() for _ in range(count)]
    signals = [a_signal(seq) for seq in range(1, len(reasons) + 1)]
    copies = [a_copy(of, price=None, reason=why) for of, why in zip(signals, reasons, strict=True)]
    return ReportRows(signals, copies, [])


def capped(*reasons: str) -> ReportRows:
    signals = [a_signal(seq) for seq in range(1, len(reasons) + 1)]
    copies = [a_copy(of, verdict="capped", reason=why) for of, why in zip(signals, reasons, strict=True)]
    return ReportRows(signals, copies, [])


def test_findings_are_about_this_report() -> None:
    rows = sample_run().rows
    assert headline(build_report(figures_of(rows), VENUE, {})).startswith("5 followers copied ")
    lines = said(rows)
    assert "below minimum 26" in lines["Not copied"]
    assert "3 liquidations, 1 deleveraging" in lines["Venue"]


def test_nobody_copied() -> None:
    rows = ReportRows([a_signal()], [a_copy(a_signal(), price=None)], [])
    assert "none was copied" in headline(build_report(figures_of(rows), VENUE, {}))
    assert "Dearest copy" not in said(rows)
    assert said(rows)["Caps"] == "nothing was ordered."


@pytest.mark.parametrize("kinds", [1, 4, 6, 7, 12])
def test_the_reasons_named_add_up_to_the_whole(kinds: int) -> None:
    counts = {f"reason_{chr(97 + at)}": at + 1 for at in range(kinds)}
    line = said(skips(counts))["Not copied"]
    total, *parts = [int(found) for found in re.findall(r"\d+", line)]
    assert total == sum(counts.values()) == sum(parts)
    assert ("for other reasons" in line) == (kinds > 6)


@pytest.mark.parametrize(
    ("reasons", "words"),
    [
        (("cap_margin",), "1 copied order was cut down to fit its free margin."),
        (("cap_leader_leverage",) * 2, "2 copied orders were cut down to fit half of the leader's leverage."),
        (
            ("cap_order_notional", "cap_leverage", "cap_leverage"),
            "3 copied orders were cut down to fit: its own leverage cap 2, its notional cap per order 1.",
        ),
        (("cap_of_the_future",), "cut down to fit cap of the future."),
        ((), "nothing was ordered."),
    ],
)
def test_orders_are_said_to_be_cut_by_the_cap_that_cut_them(reasons: tuple[str, ...], words: str) -> None:
    assert said(capped(*reasons))["Caps"].endswith(words)


def test_orders_that_fitted_are_said_to_be_whole() -> None:
    rows = ReportRows([a_signal()], [a_copy(a_signal())], [])
    assert said(rows)["Caps"].endswith("none had to be cut down.")


def test_the_dearest_copy_is_named_with_what_is_usual() -> None:
    signals = [a_signal(seq) for seq in range(1, 4)]
    order: dict[str, Any] = {"orders": a_copy(signals[2], price="61500").orders * 2}
    copies = [a_copy(signals[0]), a_copy(signals[1]), a_copy(signals[2], price="61500", **order)]
    line = said(ReportRows(signals, copies, []))["Dearest copy"]
    assert line.startswith("steady on alice.1.3, +250.00 bps in 2 orders, 36 ms after the leader.")
    assert "median of 0.50 and a mean of 83.67 bps" in line


def test_what_was_gained_on_the_way_is_not_where_it_goes() -> None:
    """The market came towards the follower by far more than the spread cost: the spread is the cause."""
    signal = a_signal()
    market = structs.replace(signal.signal.market, bid="59900", ask="59902")
    rows = ReportRows(
        [replace(signal, signal=structs.replace(signal.signal, market=market))], [a_copy(signal)], []
    )
    line = said(rows)["Where it goes"]
    assert "before the signal was sealed" not in line and "-" not in line.partition(";")[0]
