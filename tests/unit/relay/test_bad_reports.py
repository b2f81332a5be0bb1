"""Reports that cannot be right: each kind is counted and shown, and no figure moves by it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from relay.cli import app
from relay.core.report import build_report
from relay.core.watch import AlarmLimits
from relay.protocol.messages import CopyReport
from relay.store import DriftStore
from relay.watching import Watching
from tests.unit.relay.drift_samples import LEADER, START_MS, a_copy, a_signal, a_status
from tests.unit.relay.test_monitor import MemoryBus, monitored, until

SIGNALS = [a_signal(seq, at_ms=START_MS + seq * 1000) for seq in range(2, 8)]
GOOD = [a_copy(of) for of in SIGNALS]


async def report_of(path: Path, *reports: tuple[str, CopyReport]) -> dict[str, Any]:
    """What a monitor says after it was handed these, each by the follower that is named."""
    bus = MemoryBus()
    async with monitored(bus, path):
        await bus.publish(*SIGNALS)
        bus.hand_in(a_status())
        for follower, report in reports:
            bus.hand_in(report, follower=follower)
        await until(lambda: len(bus.acknowledged) == len(reports) + 1)
    with DriftStore.open_for_reading(path) as store:
        figures = store.figures()
    rows: list[dict[str, Any]] = build_report(figures, {}, {})["followers"]
    [row] = rows
    assert row["signals"] == len(SIGNALS)
    return row | {"left_out": figures.anomalies}


def good(*but: int) -> list[tuple[str, CopyReport]]:
    return [("steady", copy) for copy in GOOD if copy.seq not in but]


def shown(path: Path) -> str:
    done = CliRunner().invoke(app, ["report", "slippage", "--store", str(path)])
    assert done.exit_code == 0
    return done.stderr


def same(row: dict[str, Any], other: dict[str, Any]) -> bool:
    return row | {"left_out": None} == other | {"left_out": None}


@pytest.mark.asyncio
async def test_late_doubled_and_out_of_order_change_nothing(tmp_path: Path) -> None:
    plain = await report_of(tmp_path / "plain.sqlite", *good())
    again = await report_of(tmp_path / "again.sqlite", *reversed(good()), *good(), *good()[:2])
    assert same(again, plain)
    watching = Watching(AlarmLimits())
    published = SIGNALS[0]
    watching._signals[published.leader_id, 1, published.seq] = published
    watching.hear_stored([GOOD[0], GOOD[0], GOOD[0]])
    assert b'relay_duplicate_suppressed_total{leader="alice"} 2.0' in watching.metrics.page()


@pytest.mark.asyncio
async def test_for_a_signal_that_nobody_published(tmp_path: Path) -> None:
    plain = await report_of(tmp_path / "plain.sqlite", *good())
    path = tmp_path / "other.sqlite"
    unheard = a_copy(a_signal(999), price="90000")
    row = await report_of(path, *good(), ("steady", unheard))
    assert same(row, plain) and row["left_out"].unknown_signals == 1
    assert "1 verdicts on unknown signals" in shown(path)


@pytest.mark.asyncio
async def test_forged_for_another_follower(tmp_path: Path) -> None:
    plain = await report_of(tmp_path / "plain.sqlite", *good())
    path = tmp_path / "other.sqlite"
    forged = a_copy(SIGNALS[0], "steady", price="90000", executed_ms=START_MS + 99_999)
    row = await report_of(path, *good(), ("mallory", forged))
    assert same(row, plain) and row["left_out"].refused == {"wrong_identity": 1}
    assert "1 reports were refused: wrong_identity" in shown(path)


@pytest.mark.asyncio
@pytest.mark.parametrize(("price", "reason"), [("0", "impossible_price"), ("0.5", None), ("9999999", None)])
async def test_at_an_impossible_price(price: str, reason: str | None, tmp_path: Path) -> None:
    """Nothing at all, and far from the leader's: no slippage is made of either."""
    plain = await report_of(tmp_path / "plain.sqlite", *good(2))
    path = tmp_path / "other.sqlite"
    row = await report_of(path, *good(2), ("steady", a_copy(SIGNALS[0], price=price)))
    for figure in ("slippage_bps", "slippage_parts_bps", "latency_ms", "latency_legs_ms", "costs"):
        assert row[figure] == plain[figure], figure
    if reason is None:
        assert row["left_out"].impossible_prices == 1
        assert "1 fills at impossible prices" in shown(path)
    else:
        assert row["left_out"].refused == {reason: 1}
        assert f"1 reports were refused: {reason}" in shown(path)


@pytest.mark.asyncio
@pytest.mark.parametrize("off_ms", [-3_600_000, -2_000, 2_000, 3_600_000])
async def test_by_a_clock_that_is_off(off_ms: int, tmp_path: Path) -> None:
    """Its legs are in no figure; slippage, and the latency from venue to venue, need no clock of its own."""
    plain = await report_of(tmp_path / "plain.sqlite", *good(2))
    whole = await report_of(tmp_path / "whole.sqlite", *good())
    own = ("received_ms", "released_ms", "submitted_ms", "accepted_ms")
    skewed = a_copy(SIGNALS[0], **{name: getattr(GOOD[0], name) + off_ms for name in own})
    path = tmp_path / "other.sqlite"
    row = await report_of(path, *good(2), ("steady", skewed))
    assert row["left_out"].clocks_apart == 1
    assert row["latency_legs_ms"] == plain["latency_legs_ms"]
    for figure in ("slippage_bps", "slippage_parts_bps", "latency_ms", "costs", "pnl"):
        assert row[figure] == whole[figure], figure
    assert "1 copies by clocks that are apart" in shown(path)
    watching = Watching(AlarmLimits(), clock_ms=lambda: START_MS)
    watching.watch.expect(LEADER, START_MS)
    words = [a_status(at_ms=START_MS + off_ms + step) for step in range(10)]
    watching.hear_stored(words)
    watching.look()
    assert [alarm.rule for alarm in watching.standing] == ["clock_skew"]
