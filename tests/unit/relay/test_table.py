"""The table on terminals of every width: no figure and no header word is ever cut."""

from __future__ import annotations

import copy as copying
import io
from decimal import ROUND_HALF_UP, localcontext
from typing import Any

import pytest
from rich.console import Console

from relay.core.report import build_report, figures_of
from relay.reporting import render_table
from relay.reporting.findings import number
from tests.unit.relay.drift_samples import sample_run

HEADERS = ("signals", "copied", "capped", "skipped", "missed", "slippage", "latency", "leverage")
WHY = {"cap_leader_leverage": 31, "within_target": 19, "entry_guard": 7, "not_filled": 3, "at_target": 12}


def a_report() -> dict[str, Any]:
    report = build_report(figures_of(sample_run().rows), {}, {"seed": 7, "scenario": "demo"})
    report["followers"][0]["skip_reasons"] = WHY
    return report


def printed(report: dict[str, Any], width: int) -> str:
    console = Console(width=width, file=io.StringIO(), color_system=None)
    with console.capture() as capture:
        console.print(render_table(report))
    return capture.get()


def figures(row: dict[str, Any]) -> list[str]:
    found = [str(row[name]) for name in HEADERS[:5]]
    if row["slippage_bps"] is not None:
        found += [f"{number(row['slippage_bps']['mean'])} bps", number(row["slippage_bps"]["p95"], 1)]
        found += [f"{row['latency_ms']['p50']} ms", f"p95 {row['latency_ms']['p95']}"]
        found += [f"{number(row['leverage_max'])}x", f"cap {number(row['leverage_cap'])}"]
    return found


@pytest.mark.parametrize("width", [40, 60, 80, 100, 120, 200])
def test_every_word_and_figure_is_whole(width: int) -> None:
    report = a_report()
    text = printed(report, width)
    words = " ".join(text.split())
    assert "…" not in text
    assert all(len(line) <= width for line in text.splitlines())
    for word in HEADERS:
        assert word in words
    for row in report["followers"]:
        for word in (row["id"], row["policy"], *figures(row)):
            assert word in words
    assert (
        "not copied: cap leader leverage 31, within target 19, entry guard 7, not filled 3, at target 12"
        in (words)
    )


@pytest.mark.parametrize("width", [80, 100])
def test_the_columns_stand_under_each_other(width: int) -> None:
    lines = printed(a_report(), width).splitlines()
    header = lines[1]
    row = next(line for line in lines if line.startswith("steady"))
    for word, ends in (("signals", "26"), ("slippage", "bps"), ("latency", "ms"), ("leverage", "x")):
        end = header.index(word) + len(word)
        assert row[:end].endswith(ends)
    assert not any(line.endswith(" ") for line in lines)


def test_long_names_and_great_figures_are_not_cut_either() -> None:
    report = copying.deepcopy(a_report())
    row = report["followers"][0]
    row |= {"id": "a" * 32, "policy": "p" * 70, "signals": 1_234_567}
    row["slippage_bps"] = {"mean": "-12345.678", "p50": "-2345.6", "p95": "99999.9", "p99": "1"}
    text = printed(report, 80)
    for word in ("a" * 32, "p" * 70, "1,234,567", "-12,345.68 bps", "p50 -2,345.6", "p95 99,999.9"):
        assert word in text


def test_a_policy_cannot_steer_the_terminal() -> None:
    report = a_report()
    report["followers"][0]["policy"] = "mine\x1b[2J\nforged 99"
    assert "mine?[2J?forged 99" in printed(report, 100)


def test_a_report_without_followers_is_its_header() -> None:
    report = build_report(figures_of(sample_run().rows), {}, {}) | {"followers": [], "leaders": []}
    assert printed(report, 80).splitlines()[0] == "Slippage"


def test_figures_do_not_depend_on_what_a_library_did_to_decimals() -> None:
    with localcontext() as context:  # ccxt leaves the process's context rounding half up
        context.rounding = ROUND_HALF_UP
        assert number("1.085") == "1.08"
        assert number("2.5", 0) == "2"


def test_nothing_is_not_printed_as_minus_nothing() -> None:
    assert number("-0.001") == "0.00"
