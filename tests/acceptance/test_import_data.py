"""A working relay's records, imported: the delay its data page states, and a table that says what it can."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from typer.testing import CliRunner

from relay.cli import app
from relay.core.drift import PARTS

pytestmark = pytest.mark.data
DATA = Path(os.environ.get("SLIPSTREAM_DATA", "../shared/data"))
FILE = DATA / "hyperliquid" / "copy_leader_and_follower_fills_2026-07.csv.gz"


def ran(*arguments: str) -> str:
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    return done.stdout


def test_the_recorded_copies_come_after_the_stated_delay(tmp_path: Path) -> None:
    store = str(tmp_path / "drift.sqlite")
    told = ran("import", "fills", str(FILE), "--store", store)
    assert "130 of 134 fills follow" in told
    assert "median 1.08 s" in told
    assert ran("import", "fills", str(FILE), "--store", store) == told, "a second time changes nothing"
    report = json.loads(ran("report", "slippage", "--store", store, "--json"))
    rows = {row["id"]: row for row in report["followers"]}
    assert sum(row["copied"] for row in rows.values()) == 102
    assert all(row["slippage_parts_bps"] is None for row in rows.values()), "there are no quotes in it"
    assert all(row["slippage_bps"] for row in rows.values())
    for row in rows.values():
        assert row["latency_legs_ms"] is row["latency_legs_spread_ms"] is None, "nobody noted the steps"
        explained = row["pnl"]["explained"]
        assert {part: explained[part] for part in PARTS} == dict.fromkeys(PARTS)
        assert explained["unsplit"] == row["costs"]["slippage"]
        assert row["mark_last_gap_bps"] == {"leader": None, "follower": None}
    page = ran("report", "slippage", "--store", store, "--format", "html")
    silent = sum(row["skip_reasons"].get("no_verdict", 0) for row in rows.values())
    assert silent > 1_000 and "Every promise kept" not in page
    assert f"{silent:,} have no verdict" in page and "leverage was not reported" in page
    symbols = ran("report", "slippage", "--store", store, "--symbol", "xyz:CXMT", "--format", "csv")
    assert "xyz:CXMT" in symbols, "raw coin ids stay raw"
