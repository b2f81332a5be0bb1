"""Which hours are played when nobody says, and how the clock is planned."""

from __future__ import annotations

from pathlib import Path

import pytest

from simulated_exchange.scenario.errors import ScenarioError
from simulated_exchange.scenario.replay import ReplaySpec
from simulated_exchange.scenario.replay_files import Replay, load_replay
from simulated_exchange.scenario.window import plan_clock

HOUR = 3_600_000
START = 1_760_000_400_000 // HOUR * HOUR


def series(
    folder: Path, bar_ms: int, prices: list[float], *, name: str = "bars.csv", first: int = START
) -> str:
    rows = [
        f"{first + at * bar_ms},{price},{price + 1},{price - 1},{price}" for at, price in enumerate(prices)
    ]
    path = folder / name
    path.write_text("open_time_ms,open,high,low,close\n" + "\n".join(rows) + "\n")
    return str(path)


def load(path: str, **options: int) -> Replay:
    return load_replay([ReplaySpec("last", "BTCUSDT", path)], symbols=["BTCUSDT"], **options)


def test_fine_bars_give_the_two_hours_of_greatest_range(tmp_path: Path) -> None:
    bar_ms = 300_000
    prices = [100.0] * 60 + [100, 90, 70, 95] + [100.0] * 60
    replay = load(series(tmp_path, bar_ms, prices))
    assert replay.chosen
    assert replay.to_ms - replay.from_ms == 2 * HOUR
    low_ms = START + 62 * bar_ms
    assert replay.from_ms < low_ms < replay.to_ms - bar_ms, "the extreme is inside, not at an edge"


def test_hourly_bars_give_forty_eight_of_them(tmp_path: Path) -> None:
    prices = [100.0] * 100 + [60.0] + [100.0] * 100
    replay = load(series(tmp_path, HOUR, prices))
    assert replay.to_ms - replay.from_ms == 48 * HOUR
    assert replay.from_ms <= START + 100 * HOUR < replay.to_ms


def test_the_window_lies_inside_what_all_files_hold(tmp_path: Path) -> None:
    bar_ms = 300_000
    last = series(tmp_path, bar_ms, [100.0] * 40 + [50.0] + [100.0] * 60 + [80.0] + [100.0] * 40)
    index = series(tmp_path, bar_ms, [100.0] * 80, name="index.csv", first=START + 60 * bar_ms)
    replay = load_replay(
        [ReplaySpec("last", "BTCUSDT", last), ReplaySpec("index", "BTCUSDT", index)], symbols=["BTCUSDT"]
    )
    assert replay.from_ms >= START + 60 * bar_ms
    assert replay.from_ms <= START + 101 * bar_ms < replay.to_ms


def test_gaps_are_never_part_of_a_chosen_window(tmp_path: Path) -> None:
    path = Path(series(tmp_path, 300_000, [100.0] * 100))
    lines = path.read_text().splitlines()
    del lines[20:22], lines[60]
    path.write_text("\n".join(lines) + "\n")
    replay = load(str(path))
    assert not any(bar.held for bar in replay.files[0].bars)


def test_too_short_a_file_asks_for_a_window(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match="no 24 bars in a row without a gap; give --from and --to"):
        load(series(tmp_path, 300_000, [100.0] * 10))


def test_one_end_alone_gets_the_usual_length(tmp_path: Path) -> None:
    path = series(tmp_path, 300_000, [100.0] * 100)
    assert load(path, from_ms=START + HOUR).window == (START + HOUR, START + 3 * HOUR)
    assert load(path, to_ms=START + 3 * HOUR).window == (START + HOUR, START + 3 * HOUR)


def test_clock_plan() -> None:
    assert plan_clock(60, (START, START + 2 * HOUR)) == (START, 120.0)
    assert plan_clock(60, (START, START + 7 * 24 * HOUR)) == (START, 10_080.0)
    assert plan_clock(60, None, now_ms=17) == (17, 1.0)
    with pytest.raises(ScenarioError, match="seconds: 0 is not a length of time; allowed: above 0"):
        plan_clock(0, None)
