"""The benchmarks' own promises: turns, ratios, the table, the file, the options. No figure is judged here."""

from __future__ import annotations

import asyncio
import io
import json
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from benchmarks.__main__ import MODULES, main
from benchmarks.interleave import ForeignCpu, interleave, percentile
from benchmarks.table import KEYS, compared, is_more_better, print_rows, reported, write_rows

FASTER = compared("rest_orders", "orders/s", 4_000, 8_000, "a plain handler", ["one note"])
SLOWER = compared("signal_one_way", "ms", 2.5, 2.0, "a bare publish")
ALONE = reported("decide", "calls/s", 32_101.4567)


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """No waiting for a quiet machine, few calls: what is tested is not the figures."""
    monkeypatch.setattr(ForeignCpu, "begin_when_quiet", ForeignCpu.begin)
    monkeypatch.setattr("benchmarks.decide.CALLS", 200)


def printed(*rows: dict[str, object]) -> str:
    sink = io.StringIO()
    print_rows(rows, ["a remark"], Console(file=sink, width=100))
    return sink.getvalue()


def line_of(name: str, text: str) -> str:
    return next(line for line in text.splitlines() if line.startswith(name))


def test_a_ratio_is_ours_by_baseline_whichever_way_is_better() -> None:
    assert FASTER["ratio"] == 0.5
    assert SLOWER["ratio"] == 1.25
    assert is_more_better("orders/s")
    assert not is_more_better("ms")
    assert not is_more_better("us/call")


@pytest.mark.parametrize(("ours", "baseline"), [(0.0, 1.0), (1.0, 0.0), (float("nan"), 1.0)])
def test_figures_that_cannot_be_compared_make_no_row(ours: float, baseline: float) -> None:
    with pytest.raises(ValueError, match="rest_orders"):
        compared("rest_orders", "orders/s", ours, baseline, "a plain handler")


def test_the_table_shows_figures_sense_and_notes_within_100_columns() -> None:
    text = printed(FASTER, SLOWER, ALONE)
    assert "4,000" in line_of("rest_orders", text)
    assert "0.50 ↑" in line_of("rest_orders", text)
    assert "1.25 ↓" in line_of("signal_one_way", text)
    assert line_of("decide", text).count("–") == 4
    assert "rest_orders: one note" in text
    assert "a remark" in text
    assert max(len(line) for line in text.splitlines()) <= 100


def test_a_target_is_a_lower_bound_of_rates_and_an_upper_one_of_times() -> None:
    text = printed(FASTER | {"target": 0.8}, SLOWER | {"target": 1.7})
    assert "≥ 0.8" in line_of("rest_orders", text)
    assert "≤ 1.7" in line_of("signal_one_way", text)


def test_the_file_holds_every_key_and_no_other(tmp_path: Path) -> None:
    path = tmp_path / "runs" / "bench.json"
    write_rows([FASTER, ALONE], path)
    rows = json.loads(path.read_text())
    assert [tuple(row) for row in rows] == [KEYS, KEYS]
    assert rows[0]["ours"] == 4_000
    assert rows[0]["target"] is None
    assert rows[1]["baseline"] is rows[1]["ratio"] is None


def test_an_unknown_name_is_refused_with_the_allowed_ones() -> None:
    command = [sys.executable, "-m", "benchmarks", "--only", "rest_order"]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == 2
    assert ran.stdout == ""
    for name in (name for module in MODULES for name in module.NAMES):
        assert name in ran.stderr


def test_names_are_told_once() -> None:
    names = [name for module in MODULES for name in module.NAMES]
    assert len(names) == len(set(names))


def test_one_row_alone_is_measured_and_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "bench.json"
    assert main(["--only", "decide", "--out", str(out)]) == 0
    (row,) = json.loads(out.read_text())
    assert row["name"] == "decide"
    assert row["ours"] > 0
    assert "decide: others used" in capsys.readouterr().out


def test_what_fails_leaves_no_file_of_an_earlier_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "bench.json"
    out.write_text("[]")

    def fail(only: set[str] | None) -> None:
        raise RuntimeError("no order was accepted")

    monkeypatch.setattr("benchmarks.decide.run", fail)
    assert main(["--only", "decide", "--out", str(out)]) == 1
    assert not out.exists()
    assert "decide: RuntimeError: no order was accepted" in capsys.readouterr().err


def test_rounds_take_turns_in_alternating_order_and_the_first_is_dropped() -> None:
    seen: list[str] = []

    async def measure(name: str) -> int:
        seen.append(name)
        return len(seen)

    results = asyncio.run(
        interleave({"ours": lambda: measure("ours"), "plain": lambda: measure("plain")}, rounds=3)
    )
    assert seen == ["ours", "plain", "plain", "ours", "ours", "plain", "plain", "ours"]
    assert results == {"ours": [4, 5, 8], "plain": [3, 6, 7]}


def test_percentiles_of_few_values_are_values() -> None:
    assert percentile([3.0, 1.0, 2.0], 0.5) == 2.0
    assert percentile([3.0, 1.0, 2.0], 0.99) == 3.0
    with pytest.raises(ValueError, match="nothing"):
        percentile([], 0.5)


def test_own_work_is_not_counted_as_that_of_others() -> None:
    before = ForeignCpu(busy_seconds=10.0, all_seconds=100.0, own_seconds=4.0)
    after = ForeignCpu(busy_seconds=16.0, all_seconds=110.0, own_seconds=7.0)
    assert before.share(after) == pytest.approx(0.3)
    assert before.share(ForeignCpu(busy_seconds=12.9, all_seconds=110.0, own_seconds=7.0)) == 0.0
    assert before.share(before) is None
