"""`relay demo` on recorded markets and recorded traders: the same promises, and what must be seen there."""

from __future__ import annotations

from decimal import Decimal

import pytest

from relay.core.verdicts import ReportRows
from relay.store import DriftStore
from tests.acceptance.demo_runs import DemoRun, assert_promises, run_demo
from tests.acceptance.recorded_data import data_file

pytestmark = [pytest.mark.data, pytest.mark.timeout(300)]


def rows_of(run: DemoRun) -> ReportRows:
    with DriftStore.open_for_reading(run.out / "data" / "drift.sqlite") as store:
        return store.read_rows()


@pytest.fixture(scope="module")
def crash(tmp_path_factory: pytest.TempPathFactory) -> DemoRun:
    bybit = "bybit-linear/btcusdt_"
    return run_demo(
        tmp_path_factory.mktemp("crash"),
        *("--seconds", "60"),
        *("--replay", f"index:BTCUSDT={data_file(bybit + 'spot_5m_2025-09-16_2025-10-16.csv.gz')}"),
        *("--replay", f"last:BTCUSDT={data_file(bybit + 'perp_last_5m_2025-09_2026-07.csv.gz')}"),
        *("--replay", f"mark_check:BTCUSDT={data_file(bybit + 'mark_price_1h_2025-09_2026-07.csv.gz')}"),
        *("--from", "2025-10-10T20:30", "--to", "2025-10-10T22:30"),
        *("--leader-fills", str(data_file("hyperliquid/copy_leader_and_follower_fills_2026-07.csv.gz"))),
        *("--leader-account", "acc6", "--leader-symbol", "BTCUSDT", "--leader-equity", "100000"),
    )


@pytest.fixture(scope="module")
def week(tmp_path_factory: pytest.TempPathFactory) -> DemoRun:
    hourly = data_file("binance-usdm-hourly/btcusdt_1h_2022-01_2026-04.csv.gz")
    return run_demo(
        tmp_path_factory.mktemp("week"),
        *("--seconds", "60"),
        *("--replay", f"index:BTCUSDT={hourly}", "--replay", f"last:BTCUSDT={hourly}"),
        *("--from", "2025-04-10T00:00", "--to", "2025-04-17T00:00"),
        *("--leader-fills", str(data_file("hyperliquid/trader_fills_0x513b_2024-2025.csv.gz"))),
        *("--leader-account", "0x513b", "--leader-symbol", "BTCUSDT", "--leader-equity", "100000"),
    )


def test_the_crash_keeps_every_promise(crash: DemoRun) -> None:
    assert_promises(crash)


def test_the_crash_liquidates_and_is_called_what_it_is(crash: DemoRun) -> None:
    report = crash.report
    assert report["venue"]["liquidations"] >= 1
    assert report["run"]["replay"]["transplanted"] is True
    assert Decimal(report["run"]["replay"]["time_factor"]) == 120
    page = (crash.out / "report.html").read_text()
    assert "transplanted" in page
    assert "time factor" in page


def test_the_crash_went_as_deep_as_it_was_recorded(crash: DemoRun) -> None:
    """Bybit's perpetual printed 101,045.9 at the low of 2025-10-10; the recorded mark's low is 102,032.5."""
    marks = [Decimal(row.signal.market.mark) for row in rows_of(crash).signals]
    assert max(marks) > Decimal(115_000)
    check = crash.report["run"]["replay"]["mark_check"]["BTCUSDT"]
    assert check["samples"] > 500
    assert Decimal(check["inside_share"]) > Decimal("0.95")
    assert Decimal(crash.report["run"]["replay"]["tracking_bps"]["BTCUSDT"]["p50"]) < 10


def test_the_week_keeps_every_promise(week: DemoRun) -> None:
    assert_promises(week)
    assert week.report["run"]["replay"]["transplanted"] is False
    assert Decimal(week.report["run"]["replay"]["time_factor"]) == 10_080


def test_followers_of_the_week_end_with_his_direction_and_fraction(week: DemoRun) -> None:
    rows = rows_of(week)
    last = max(rows.signals, key=lambda row: row.seq).signal
    leader = Decimal(last.position.exposure)
    assert leader != 0
    final = {status.follower_id: status for status in sorted(rows.statuses, key=lambda s: s.sent_ms)}
    for follower, scale in (("steady", Decimal("0.5")), ("paper", Decimal("0.4"))):
        actual = Decimal(final[follower].actual_exposure)
        # The price moved since his last signal, and quantities are whole lots: within a tenth of it.
        assert actual * leader > 0
        assert abs(actual / leader - scale) < scale / 10, (follower, actual, leader)
