"""Bringing records in: what is wrong with a file is one line with its place."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from relay.cli import app
from relay.core.drift import PARTS
from relay.core.imported import RecordedFill, import_fills, read_fill
from relay.core.report import build_report
from relay.dashboard.money_views import explained_rows
from relay.dashboard.pictures import legs_picture, parts_picture
from relay.dashboard.views import follower_rows
from relay.errors import Failed
from relay.importing import import_file, told
from relay.store import DriftStore, StorePlace

HEAD = "slot,role,time_ms,coin,side,px,sz,startPosition,fee,feeToken,oid,tid\n"


def fill(role: str, time_ms: int, *, side: str = "buy", px: str = "100", oid: str = "1") -> RecordedFill:
    values = f"acc1,{role},{time_ms},BTC,{side},{px},2,0,0.1,USDC,{oid},{role}{time_ms}"
    return read_fill(dict(zip(HEAD.strip().split(","), values.split(","), strict=True)))


def test_a_fill_copies_the_latest_leaders_fill_before_it() -> None:
    found = import_fills(
        [
            fill("leader", 1000, px="100"),
            fill("leader", 1000, px="102"),  # one step at the mean of its fills
            fill("leader", 5000, side="sell"),
            fill("follower", 4000),
            fill("follower", 4500, oid="2"),
            fill("follower", 900),  # before any
            fill("follower", 9000, side="sell"),  # beyond the window
        ],
        window_ms=3_600,
    )
    assert [(p.seq, p.signal.side, p.signal.price, p.signal.position.qty) for p in found.signals] == [
        (1, "buy", "101", "4"),
        (2, "sell", "100", "-2"),
    ]
    assert (found.follower_fills, list(found.delays_ms), found.beyond_window) == (4, [3000, 3500, 4000], 1)
    [copy] = found.copies
    assert (copy.seq, len(copy.orders), copy.order_qty, copy.executed_ms) == (1, 2, "4", 4500)


def test_what_is_imported_is_reported_once_however_often(place: StorePlace, tmp_path: Path) -> None:
    file = tmp_path / "fills.csv"
    file.write_text(
        HEAD
        + "acc1,leader,1000,BTC,buy,100,2,0,0.1,USDC,1,1\n"
        + "acc1,follower,1900,BTC,buy,101,2,0,0.1,USDC,2,2\n"
    )
    for _ in range(2):
        assert "1 of 1 fills follow" in told(import_file(file, place, 60_000))
    with DriftStore.open_for_reading(place) as store:
        [row] = build_report(store.figures(), {}, {})["followers"]
    assert (row["copied"], row["slippage_bps"]["mean"], row["latency_ms"]["p50"]) == (1, "100", 900)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("slot,role\n", "columns missing: time_ms"),
        (HEAD + "acc1,leader,x,BTC,buy,1,1,0,0,USDC,1,1\n", "line 2"),
        (HEAD + "acc1,boss,1,BTC,buy,1,1,0,0,USDC,1,1\n", "line 2: role 'boss'"),
        (HEAD + "acc1,leader,1,BTC,buy,-1,1,0,0,USDC,1,1\n", "above 0"),
        (HEAD + "acc1,leader,1,BTC,buy,NaN,1,0,0,USDC,1,1\n", "above 0"),
    ],
)
def test_what_is_no_record_says_where(text: str, said: str, tmp_path: Path) -> None:
    file = tmp_path / "fills.csv"
    file.write_text(text)
    with pytest.raises(Failed, match=said):
        import_file(file, tmp_path / "drift.sqlite", 1000)


def test_what_records_of_fills_cannot_say_is_null_everywhere(tmp_path: Path) -> None:
    """No prices on the way, no steps between the fills: neither is made up, in no form of the report."""
    file, store = tmp_path / "fills.csv", tmp_path / "drift.sqlite"
    rows = [
        "acc1,leader,1000,BTC,buy,100,2,0,0.1,USDC,1,a",
        "acc1,follower,2000,BTC,buy,101,2,0,0.1,USDC,2,b",
    ]
    file.write_text(HEAD + "\n".join([*rows, "acc1,leader,9000,BTC,sell,100,2,2,0.1,USDC,3,c", ""]))
    import_file(file, store, 5_000)

    def report(form: str) -> str:
        done = CliRunner().invoke(app, ["report", "slippage", "--store", str(store), "--format", form])
        assert done.exit_code == 0
        return done.stdout

    [row] = json.loads(report("json"))["followers"]
    assert row["slippage_bps"]["mean"] == "100"
    assert row["slippage_parts_bps"] is row["latency_legs_ms"] is row["latency_legs_spread_ms"] is None
    assert [row["pnl"]["explained"][part] for part in PARTS] == [None] * len(PARTS)
    assert (row["pnl"]["explained"]["unsplit"], row["costs"]["slippage"]) == ("2", "2")
    assert row["latency_ms"]["p50"] == 1000
    lines = list(csv.DictReader(report("csv").splitlines()))
    assert lines[0]["slippage_bps"] == "100" and not any(lines[0][f"{part}_bps"] for part in PARTS)
    page = report("html")
    assert "No promise is known to be broken" in page and "Of 2 signals 1 have no verdict" in page
    told = CliRunner().invoke(app, ["explain", "acc1.1.1", "--store", str(store)]).stdout
    assert "nobody noted when it was seen and signed" in told
    assert "100.00 bps worse" in told and "spread" not in told and "+0 ms" not in told
    with DriftStore.open_for_reading(store) as opened:
        [found] = follower_rows(opened.figures(), [], 0)
    assert dict(explained_rows(found))["slippage whose parts are not known"] == "2.00"
    assert parts_picture([found])["series"] == legs_picture([found])["series"] == []
