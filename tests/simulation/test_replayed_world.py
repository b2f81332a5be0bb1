"""A recording on the real engine, in virtual time: trades follow `last`, the mark is compared, never fed."""

from __future__ import annotations

import gc
from pathlib import Path
from typing import Any

import pytest

from simulated_exchange.scenario import ReplaySpec, ScenarioError
from tests.simulation.virtual_venue import EPOCH_MS, Room, play

MINUTE = 60_000
START = 1_760_000_040_000 // MINUTE * MINUTE
BTC = 0


def record(folder: Path, name: str, closes: list[float], *, wick: float = 0.001) -> str:
    """One-minute bars from close to close with a wick on both sides."""
    rows = []
    opened = closes[0]
    for at, close in enumerate(closes):
        high, low = max(opened, close) * (1 + wick), min(opened, close) * (1 - wick)
        rows.append(f"{START + at * MINUTE},{opened:.1f},{high:.1f},{low:.1f},{close:.1f}")
        opened = close
    path = folder / name
    path.write_text("open_time_ms,open,high,low,close\n" + "\n".join(rows) + "\n")
    return str(path)


FALL = [100_000.0] * 10 + [99_000, 97_000, 92_000, 88_000, 91_000, 93_000] + [93_500.0] * 14


def replay(folder: Path, seed: int = 1, **options: Any) -> Room:
    specs = [
        ReplaySpec("index", "BTCUSDT", record(folder, "spot.csv", FALL)),
        ReplaySpec("last", "BTCUSDT", record(folder, "perp.csv", [price * 0.999 for price in FALL])),
        ReplaySpec("mark_check", "BTCUSDT", record(folder, "mark.csv", [price * 0.9995 for price in FALL])),
    ]
    window = {"from_ms": START, "to_ms": START + 30 * MINUTE}
    return play("demo", seconds=30, seed=seed, specs=specs, **window, **options)


def test_trades_follow_the_recorded_path_and_reach_its_extremes(tmp_path: Path) -> None:
    room = replay(tmp_path, overrides={"crowd": {"traders": 0}})
    report = room.scenario.report()
    assert report["time_factor"] == 60.0
    assert report["replayed_symbols"] == ["BTCUSDT"]
    assert report["synthetic_symbols"] == ["ETHUSDT"]
    assert "open-low-high-close" in report["bar_walk"]
    assert report["tracking_bps"]["BTCUSDT"]["p50"] < 5
    assert report["tracking_bps"]["BTCUSDT"]["p99"] < 30
    prices = [price / 10**8 for _, instrument, price in room.prints if instrument == BTC]
    assert abs(min(prices) / (88_000 * 0.999 * 0.999) - 1) < 0.004
    assert [row["kind"] for row in report["shocks"] if row["symbol"] == "BTCUSDT"] == ["high", "low"]
    assert {(file["kind"], file["rows_used"]) for file in report["replay"]["files"]} == {
        ("index", 30),
        ("last", 30),
        ("mark_check", 30),
    }
    assert room.driver.conservation().adds_up


def test_a_recorded_fall_liquidates_and_the_liquidations_move_the_price(tmp_path: Path) -> None:
    room, empty = replay(tmp_path), replay(tmp_path, overrides={"crowd": {"traders": 0}})
    assert room.scenario.report()["crowd"]["liquidated"] >= 5
    assert room.driver.conservation().adds_up
    lowest, lowest_empty = (
        min(price for _, instrument, price in venue.prints if instrument == BTC) for venue in (room, empty)
    )
    assert lowest <= lowest_empty


HELD_MS = 300_000


def test_a_held_market_waits_with_full_books_and_then_plays_as_if_it_had_not_waited(tmp_path: Path) -> None:
    standing: set[tuple[int, ...]] = set()

    def look(room: Room) -> None:
        if room.wall_ms < HELD_MS:
            prices = room.driver.prices(BTC)
            standing.add((prices.index, prices.mark, *room.driver.best(BTC), room.driver.market_ms()))
        elif room.driver.clock.is_held:
            room.driver.clock.play()
            room.scenario.begin()

    room = replay(tmp_path, held=True, more_seconds=HELD_MS // 1000, each_tick=look)
    assert len(standing) == 1, "nothing moves while the market is held"
    index, _, _, bid_qty, _, ask_qty, market_ms = standing.pop()
    assert (index, market_ms) == (100_000 * 10**8, START)
    assert min(bid_qty, ask_qty) > 0
    assert min(wall_ms for wall_ms, _, _ in room.prints) > HELD_MS
    report, other = room.scenario.report(), replay(tmp_path).scenario.report()
    assert report["ticks"] == other["ticks"]
    assert report["mark_check"] == other["mark_check"]
    assert report["crowd"] == other["crowd"]
    assert [row[1:] for row in report["prices"]["BTCUSDT"]] == [row[1:] for row in other["prices"]["BTCUSDT"]]
    assert report["prices"]["BTCUSDT"][0][0] == EPOCH_MS + HELD_MS, "wall times count from the play"
    low = next(row for row in report["shocks"] if row["kind"] == "low")
    assert abs(low["wall_ms"] - EPOCH_MS - HELD_MS - (low["market_ms"] - START) / 60) <= 1


def test_a_held_venue_that_comes_back_quotes_at_once(tmp_path: Path) -> None:
    journal = tmp_path / "venue.journal"
    for _ in range(2):
        room = replay(tmp_path, held=True, journal=journal)
        assert min(room.driver.best(BTC)) > 0
        assert room.scenario.report()["refusals"] == {}
        del room
        gc.collect()  # the former venue lets go of its journal


def test_the_mark_is_compared_and_never_fed(tmp_path: Path) -> None:
    room = replay(tmp_path)
    check = room.scenario.report()["mark_check"]["BTCUSDT"]
    assert check["samples"] > 250
    assert check["inside_share"] > 0.9
    assert check["at_close_bps"]["count"] == 30
    assert check["at_close_bps"]["p50"] < 30
    (tmp_path / "other").mkdir()
    record(tmp_path / "other", "mark.csv", FALL)
    without = [
        ReplaySpec("index", "BTCUSDT", str(tmp_path / "spot.csv")),
        ReplaySpec("last", "BTCUSDT", str(tmp_path / "perp.csv")),
    ]
    window = {"from_ms": START, "to_ms": START + 30 * MINUTE}
    other = play("demo", seconds=30, specs=without, **window)
    assert other.driver.engine.state_hash() == room.driver.engine.state_hash()
    assert other.scenario.report()["mark_check"] == {}


def test_an_index_alone_is_quoted_around_and_a_last_alone_is_its_own_index(tmp_path: Path) -> None:
    path = record(tmp_path, "only.csv", FALL)
    window = {"from_ms": START, "to_ms": START + 30 * MINUTE}
    for kind in ("index", "last"):
        room = play("demo", seconds=10, specs=[ReplaySpec(kind, "BTCUSDT", path)], **window)
        prices = room.driver.prices(BTC)
        assert abs(prices.index / 10**8 / 93_500 - 1) < 0.003
        assert abs(prices.last / 10**8 / 93_500 - 1) < 0.005
        assert room.driver.conservation().adds_up


def test_several_index_files_are_several_sources_of_equal_weight(tmp_path: Path) -> None:
    paths = [record(tmp_path, f"{at}.csv", [100_000.0 + 200 * at] * 30) for at in range(2)]
    window = {"from_ms": START, "to_ms": START + 30 * MINUTE}
    room = play("demo", seconds=5, specs=[ReplaySpec("index", "BTCUSDT", path) for path in paths], **window)
    assert abs(room.driver.prices(BTC).index / 10**8 - 100_100) < 1
    listing = room.driver.engine.instruments()[BTC]
    assert [name for name, _ in listing.index_sources] == ["replay-1", "replay-2"]


def test_two_replays_are_the_same_run(tmp_path: Path) -> None:
    first, second = replay(tmp_path, seed=3), replay(tmp_path, seed=3)
    assert first.driver.engine.state_hash() == second.driver.engine.state_hash()


def test_a_symbol_that_nobody_quotes_is_refused(tmp_path: Path) -> None:
    path = record(tmp_path, "only.csv", FALL)
    scenario = tmp_path / "one.toml"
    market = '[[symbols]]\nsymbol = "ETHUSDT"\nstart_price = 4000\n[[symbols.makers]]\nname = "only"\n'
    scenario.write_text(f'name = "one"\n{market}')
    specs = [ReplaySpec("last", "BTCUSDT", path)]
    with pytest.raises(ScenarioError, match="replay last:BTCUSDT: scenario one has no makers for it"):
        play(str(scenario), specs=specs, from_ms=START, to_ms=START + MINUTE)
