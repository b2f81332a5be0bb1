"""Recorded markets on the real engine: the crash of 2025-10-10 and a week of April 2025.

Needs the recorded data: its folder is `SLIPSTREAM_DATA` (`../shared/data` unless set). Without it they fail.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from simulated_exchange.scenario import ReplaySpec, load_replay, parse_utc_ms, plan_clock
from simulated_exchange.scenario.fixed import SCALE
from tests.simulation.virtual_venue import Room, play

pytestmark = pytest.mark.data

BTC = 0
KINDS = ("index", "last", "mark_check")


@pytest.fixture(scope="module")
def data() -> Path:
    folder = Path(os.environ.get("SLIPSTREAM_DATA", "../shared/data"))
    assert folder.is_dir(), (
        f"SLIPSTREAM_DATA: {folder} is not a folder; it must hold the recorded market data"
    )
    return folder


def crash_specs(data: Path) -> list[ReplaySpec]:
    files = [
        "btcusdt_spot_5m_2025-09-16_2025-10-16.csv.gz",
        "btcusdt_perp_last_5m_2025-09_2026-07.csv.gz",
        "btcusdt_mark_price_1h_2025-09_2026-07.csv.gz",
    ]
    return [
        ReplaySpec(kind, "BTCUSDT", str(data / "bybit-linear" / file))
        for kind, file in zip(KINDS, files, strict=True)
    ]


def hourly_specs(data: Path) -> list[ReplaySpec]:
    path = str(data / "binance-usdm-hourly" / "btcusdt_1h_2022-01_2026-04.csv.gz")
    return [ReplaySpec(kind, "BTCUSDT", path) for kind in KINDS]


def window(start: str, end: str) -> dict[str, int]:
    return {"from_ms": parse_utc_ms(start, "--from"), "to_ms": parse_utc_ms(end, "--to")}


@pytest.fixture(scope="module")
def crash(data: Path) -> Room:
    return play("demo", seconds=60, specs=crash_specs(data), **window("2025-10-10T20:30", "2025-10-10T22:30"))


@pytest.fixture(scope="module")
def week(data: Path) -> Room:
    return play(
        "demo", seconds=60, specs=hourly_specs(data), **window("2025-04-07T00:00", "2025-04-14T00:00")
    )


def prints(room: Room) -> list[float]:
    return [price / SCALE for _, instrument, price in room.prints if instrument == BTC]


def test_the_crash_is_replayed_to_its_low_and_liquidates(crash: Room) -> None:
    report = crash.scenario.report()
    assert report["time_factor"] == 120.0
    assert abs(min(prints(crash)) / 101_045.9 - 1) < 0.004, "the recorded last low of 21:20"
    assert abs(crash.driver.prices(BTC).last / SCALE / 112_294.3 - 1) < 0.002
    assert report["crowd"]["liquidated"] >= 10
    assert report["makers_liquidated"] == []
    assert crash.driver.conservation().adds_up


def test_the_crash_is_tracked_and_its_mark_is_near_the_recorded_one(crash: Room) -> None:
    report = crash.scenario.report()
    tracking, check = report["tracking_bps"]["BTCUSDT"], report["mark_check"]["BTCUSDT"]
    assert tracking["p50"] < 6
    assert tracking["p99"] < 80
    assert check["inside_share"] > 0.97
    assert check["at_close_bps"]["count"] == 2
    assert check["at_close_bps"]["max"] < 60
    assert check["at_extreme_bps"]["max"] < 120, "recorded mark low 102,032.5, last low 101,045.9"


def test_a_week_of_hours_is_played_in_a_minute(week: Room) -> None:
    report = week.scenario.report()
    assert report["time_factor"] == 10_080.0
    assert [file["rows_used"] for file in report["replay"]["files"]] == [168, 168, 168]
    assert report["turns_skipped"] == 0
    assert max(week.commands_each_tick) <= week.scenario.config.commands_per_tick_max
    assert week.driver.conservation().adds_up
    assert report["makers_liquidated"] == []
    low, high = min(prints(week)), max(prints(week))
    assert abs(low / 74_588.0 - 1) < 0.02
    assert high / low > 1.1


def test_the_weeks_mark_stays_with_the_recorded_one(week: Room) -> None:
    report = week.scenario.report()
    check = report["mark_check"]["BTCUSDT"]
    assert check["inside_share"] > 0.9
    assert report["tracking_bps"]["BTCUSDT"]["p50"] < 40


def test_the_default_window_finds_the_crash(data: Path) -> None:
    replay = load_replay(crash_specs(data), symbols=["BTCUSDT"])
    assert replay.chosen
    low_ms = parse_utc_ms("2025-10-10T21:20", "low")
    assert replay.from_ms <= low_ms < replay.to_ms
    assert plan_clock(60, replay.window)[1] == 120.0


def test_four_spot_venues_are_four_sources_of_one_index(data: Path) -> None:
    specs = [
        ReplaySpec("index", "BTCUSDT", str(data / "spot-multi-venue-2023-03" / f"{venue}_btcusdt_1m.csv.gz"))
        for venue in ("binanceus", "coinbase", "kraken", "cryptocom")
    ]
    room = play("calm", seconds=30, specs=specs, **window("2023-03-10T00:00", "2023-03-10T06:00"))
    report = room.scenario.report()
    assert len(room.driver.engine.instruments()[BTC].index_sources) == 4
    assert [file["rows_used"] + file["rows_held"] for file in report["replay"]["files"]] == [360] * 4
    assert report["replay"]["files"][2]["rows_held"] > 100, "Kraken has no row for a minute without a trade"
    assert report["tracking_bps"]["BTCUSDT"]["p99"] < 20
    assert room.driver.conservation().adds_up


def test_every_recorded_bar_file_can_be_read(data: Path) -> None:
    for path in sorted((data / "spot-multi-venue-2023-03").glob("*_btcusd*_1m.csv.gz")):
        replay = load_replay(
            [ReplaySpec("index", "BTCUSDT", str(path))],
            symbols=["BTCUSDT"],
            **window("2023-03-10T00:00", "2023-03-10T06:00"),
        )
        report = replay.report()["files"][0]
        assert report["rows_used"] + report["rows_held"] == 360
        assert report["rows_used"] > 100
