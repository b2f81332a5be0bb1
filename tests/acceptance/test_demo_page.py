"""The page of a real run in a real browser: what a person sees after `relay demo`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.acceptance.demo_runs import run_demo
from tests.acceptance.test_report_html import Shapes, browse

pytestmark = [pytest.mark.system, pytest.mark.timeout(240)]


def test_a_real_run_draws_all_its_pictures(tmp_path: Path) -> None:
    run = run_demo(tmp_path / "run", "--seconds", "25")
    assert run.status == 0, run.stderr
    copied = [row for row in run.report["followers"] if row["copied"] + row["capped"]]
    assert len(copied) >= 3

    shapes = Shapes()
    shapes.feed(browse(run.out / "report.html", tmp_path, "--window-size=1200,2600", "--dump-dom"))

    executed = sum(row["copied"] + row["capped"] for row in copied)
    assert shapes.counts["picture-slippage"]["box"] == len(copied)
    assert shapes.counts["picture-slippage"]["point"] == executed + len(copied)
    assert shapes.counts["picture-latency"]["bars"] >= 3
    assert shapes.counts["picture-price"]["js-line"] == 2 * 3  # index, mark, last, and their legend
    assert shapes.counts["picture-over-time"]["point"] >= executed + run.report["leaders"][0]["signals"]
    assert shapes.counts["picture-tracking"]["js-line"] >= len(copied)
    assert shapes.counts["picture-gap"]["js-line"] == 1
    leader_signals = run.report["leaders"][0]["signals"]
    assert shapes.counts["picture-price"]["point"] >= leader_signals + executed
