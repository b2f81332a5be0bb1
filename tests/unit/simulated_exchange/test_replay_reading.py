"""Recorded files: what is read from them, and the one line that each unusable file gets."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from simulated_exchange.scenario.errors import ScenarioError
from simulated_exchange.scenario.replay import ReplaySpec, parse_replay_spec, parse_utc_ms
from simulated_exchange.scenario.replay_files import Replay, genesis_for_replay, load_replay

MINUTE = 60_000
START = 1_760_000_000_000 // MINUTE * MINUTE
PLAIN = "open_time_ms,utc,open,high,low,close,volume"
E8 = 10**8


def plain_rows(count: int, first: int = START) -> list[str]:
    return [f"{first + at * MINUTE},x,{100 + at},{103 + at}.5,{98 + at},{101 + at},1" for at in range(count)]


def write(folder: Path, header: str, rows: list[str], name: str = "bars.csv") -> str:
    path = folder / name
    text = "\n".join([header, *rows]) + "\n"
    path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    return str(path)


def load(path: str, kind: str = "index", *, minutes: tuple[int, int] = (0, 4)) -> Replay:
    return load_replay(
        [
            ReplaySpec(kind, "BTCUSDT", path),
            *([ReplaySpec("last", "BTCUSDT", path)] * (kind == "mark_check")),
        ],
        symbols=["BTCUSDT", "ETHUSDT"],
        from_ms=START + minutes[0] * MINUTE,
        to_ms=START + minutes[1] * MINUTE,
    )


@pytest.mark.parametrize("name", ["bars.csv", "bars.csv.gz"])
def test_plain_file_gives_exact_bars(tmp_path: Path, name: str) -> None:
    replay = load(write(tmp_path, PLAIN, plain_rows(6), name))
    bars = replay.files[0].bars
    assert [bar.open_time_ms for bar in bars] == [START + at * MINUTE for at in range(4)]
    assert (bars[1].open, bars[1].high, bars[1].low, bars[1].close) == (
        101 * E8,
        10450000000,
        99 * E8,
        102 * E8,
    )
    assert replay.report()["files"][0]["rows_used"] == 4
    assert replay.report()["files"][0]["rows_held"] == 0


@pytest.mark.parametrize(("kind", "price"), [("index", 30), ("last", 10), ("mark_check", 20)])
def test_joined_file_gives_each_kind_its_own_columns(tmp_path: Path, kind: str, price: int) -> None:
    names = [
        f"{prefix}_{field}"
        for prefix in ("perp", "mark", "spot")
        for field in ("open", "high", "low", "close")
    ]
    rows = [",".join([str(START + at * MINUTE), *["10"] * 4, *["20"] * 4, *["30"] * 4]) for at in range(5)]
    replay = load(write(tmp_path, ",".join(["open_time_ms", *names]), rows), kind)
    assert replay.files[0].bars[0].close == price * E8
    prefix = {"index": "spot_", "last": "perp_", "mark_check": "mark_"}[kind]
    assert replay.report()["files"][0]["columns"] == [
        prefix + field for field in ("open", "high", "low", "close")
    ]


def test_closes_alone_run_from_close_to_close(tmp_path: Path) -> None:
    rows = [f"{START + at * MINUTE},{price}" for at, price in enumerate([100, 110, 90, 95])]
    bars = load(write(tmp_path, "open_time_ms,close", rows)).files[0].bars
    assert [(bar.open // E8, bar.high // E8, bar.low // E8, bar.close // E8) for bar in bars] == [
        (100, 100, 100, 100),
        (100, 110, 100, 110),
        (110, 110, 90, 90),
        (90, 95, 90, 95),
    ]


def test_times_in_words_are_utc(tmp_path: Path) -> None:
    rows = ["2025-10-10T20:30:00Z,100", "2025-10-10T20:31,101", "2025-10-10T22:32+02:00,102"]
    path = write(tmp_path, "utc,close", rows)
    start_ms = parse_utc_ms("2025-10-10T20:30", "--from")
    replay = load_replay(
        [ReplaySpec("last", "BTCUSDT", path)],
        symbols=["BTCUSDT"],
        from_ms=start_ms,
        to_ms=start_ms + 3 * MINUTE,
    )
    assert [bar.open_time_ms - start_ms for bar in replay.files[0].bars] == [0, MINUTE, 2 * MINUTE]


def test_blank_and_missing_bars_stand_at_the_close_before(tmp_path: Path) -> None:
    rows = plain_rows(8)
    rows[2] = f"{START + 2 * MINUTE},x,,,,,"
    del rows[4]
    bars = load(write(tmp_path, PLAIN, rows), minutes=(0, 8)).files[0].bars
    assert [bar.held for bar in bars] == [False, False, True, False, True, False, False, False]
    assert {bars[2].open, bars[2].high, bars[2].low, bars[2].close} == {102 * E8}
    assert bars[4].close == bars[3].close == 104 * E8
    assert [bar.open_time_ms for bar in bars] == [START + at * MINUTE for at in range(8)]


def test_a_window_that_the_file_covers_in_part_is_held_at_both_ends(tmp_path: Path) -> None:
    replay = load(write(tmp_path, PLAIN, plain_rows(3)), minutes=(-2, 6))
    bars = replay.files[0].bars
    assert [bar.held for bar in bars] == [True, True, False, False, False, True, True, True]
    assert bars[0].close == 100 * E8
    assert bars[-1].close == 103 * E8
    assert replay.report()["files"][0]["rows_held"] == 5


def test_a_bar_that_begins_before_the_window_is_part_of_it(tmp_path: Path) -> None:
    path = write(tmp_path, PLAIN, plain_rows(6))
    replay = load_replay(
        [ReplaySpec("last", "BTCUSDT", path)],
        symbols=["BTCUSDT"],
        from_ms=START + MINUTE + MINUTE // 2,
        to_ms=START + 3 * MINUTE,
    )
    assert [bar.open_time_ms - START for bar in replay.files[0].bars] == [MINUTE, 2 * MINUTE]


ROW = f"{START},x,100,103,98,101,1"
SECOND = f"{START + MINUTE},x,100,103,98,101,1"


@pytest.mark.parametrize(
    ("header", "rows", "said"),
    [
        (PLAIN, [SECOND, ROW], ["row 3", "column open_time_ms", "must ascend"]),
        (PLAIN, [ROW, ROW], ["row 3", "column open_time_ms", "must ascend"]),
        ("utc_time,open,high,low,close", [ROW, SECOND], ["row 1", "column open_time_ms", "missing"]),
        ("open_time_ms,utc,open,high,close", [ROW, SECOND], ["row 1", "column low", "missing"]),
        (
            "open_time_ms,volume",
            [ROW, SECOND],
            ["row 1", "column open", "open, high, low, close", "close alone"],
        ),
        (
            "open_time_ms,perp_open,perp_high,perp_low,perp_close",
            [ROW, SECOND],
            ["row 1", "column spot_open"],
        ),
        (PLAIN, [ROW, f"{START + MINUTE},x,abc,103,98,101,1"], ["row 3", "column open", "'abc'", "above 0"]),
        (PLAIN, [ROW, f"{START + MINUTE},x,100,nan,98,101,1"], ["row 3", "column high", "'nan'"]),
        (PLAIN, [ROW, f"{START + MINUTE},x,100,inf,98,101,1"], ["row 3", "column high", "'inf'"]),
        (PLAIN, [ROW, f"{START + MINUTE},x,100,103,0,101,1"], ["row 3", "column low", "'0'", "above 0"]),
        (PLAIN, [ROW, f"{START + MINUTE},x,100,103,-98,101,1"], ["row 3", "column low", "'-98'"]),
        (PLAIN, [ROW, f"{START + MINUTE},x,100,97,98,101,1"], ["row 3", "column high", "below low"]),
        (PLAIN, [ROW, f"{START + MINUTE},x,104,103,98,101,1"], ["row 3", "column open", "outside its bar"]),
        (PLAIN, [ROW, f"{START + MINUTE},x,100,103,98,97,1"], ["row 3", "column close", "outside its bar"]),
        (PLAIN, [ROW, f"{START + MINUTE},x,100"], ["row 3", "column high", "missing cell"]),
        (PLAIN, ["tomorrow,x,100,103,98,101,1", SECOND], ["row 2", "column open_time_ms", "milliseconds"]),
        (PLAIN, ["1760000000,x,100,103,98,101,1", SECOND], ["row 2", "column open_time_ms", "out of range"]),
        ("utc,close", ["10 Oct 2025,100", "2025-10-10,99"], ["row 2", "column utc", "2025-10-10T20:30"]),
        (PLAIN, [ROW], ["at least 2 rows"]),
        (PLAIN, [], ["at least 2 rows"]),
        (PLAIN, [f"{START},x,,,,,", f"{START + MINUTE},x,,,,,"], ["every cell is blank"]),
        ("", [], ["row 1"]),
    ],
)
def test_an_unusable_row_is_one_line_that_names_it(
    tmp_path: Path, header: str, rows: list[str], said: list[str]
) -> None:
    path = write(tmp_path, header, rows)
    with pytest.raises(ScenarioError) as failure:
        load(path)
    line = str(failure.value)
    assert "\n" not in line
    assert line.startswith("bars.csv: ")
    for part in said:
        assert part in line, line


def test_a_window_outside_the_file_names_what_the_file_holds(tmp_path: Path) -> None:
    path = write(tmp_path, PLAIN, plain_rows(6))
    with pytest.raises(ScenarioError, match=r"bars.csv: no rows between .* allowed: a window inside .* to "):
        load(path, minutes=(1000, 1010))
    with pytest.raises(ScenarioError, match="empty window; allowed: --to after --from"):
        load(path, minutes=(4, 4))
    with pytest.raises(ScenarioError, match="empty window"):
        load(path, minutes=(4, 2))


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("bars.csv.gz", b"not gzip at all"),
        ("bars.csv.gz", gzip.compress(b"open_time_ms,close\n" * 1000, mtime=0)[:40]),
        ("bars.csv", b"open_time_ms,close\n\xff\xfe,1\n"),
        ("bars.csv", b'open_time_ms,close\n1760000000000,"1\n'),
        ("bars.csv", b"open_time_ms,close\n" + b"1" * 70_000),
        ("bars.txt", b"open_time_ms,close\n"),
    ],
)
def test_an_unreadable_file_is_one_line(tmp_path: Path, name: str, body: bytes) -> None:
    path = tmp_path / name
    path.write_bytes(body)
    with pytest.raises(ScenarioError) as failure:
        load(str(path))
    assert name in str(failure.value)
    assert "allowed" in str(failure.value)
    assert "\n" not in str(failure.value)


def test_a_missing_file_and_a_folder_are_one_line(tmp_path: Path) -> None:
    (tmp_path / "folder.csv").mkdir()
    for name in ("absent.csv", "folder.csv"):
        with pytest.raises(ScenarioError, match=f"{name}: cannot be read"):
            load(str(tmp_path / name))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("BTCUSDT=file.csv", "KIND:SYMBOL=FILE"),
        ("index:BTCUSDT", "KIND:SYMBOL=FILE"),
        ("index:=file.csv", "KIND:SYMBOL=FILE"),
        ("index:BTCUSDT=", "KIND:SYMBOL=FILE"),
        ("mark:BTCUSDT=file.csv", "allowed: index, last, mark_check"),
    ],
)
def test_an_unusable_option_says_what_is_allowed(text: str, said: str) -> None:
    with pytest.raises(ScenarioError, match=said):
        parse_replay_spec(text)


def test_options_are_taken_apart_at_the_first_equals_sign() -> None:
    assert parse_replay_spec("last:BTCUSDT=a=b:c.csv") == ReplaySpec("last", "BTCUSDT", "a=b:c.csv")


@pytest.mark.parametrize(
    ("specs", "said"),
    [
        ([("index", "DOGEUSDT")], "unknown symbol 'DOGEUSDT'; allowed: BTCUSDT, ETHUSDT"),
        ([("last", "BTCUSDT"), ("last", "BTCUSDT")], "allowed for last: 1"),
        (
            [("index", "BTCUSDT"), ("mark_check", "BTCUSDT"), ("mark_check", "BTCUSDT")],
            "allowed for mark_check: 1",
        ),
        ([("index", "BTCUSDT")] * 17, "allowed for index: 16"),
        ([("mark_check", "BTCUSDT")], "never fed"),
    ],
)
def test_files_that_do_not_go_together(tmp_path: Path, specs: list[tuple[str, str]], said: str) -> None:
    path = write(tmp_path, PLAIN, plain_rows(6))
    with pytest.raises(ScenarioError, match=said):
        load_replay([ReplaySpec(*spec, path) for spec in specs], symbols=["BTCUSDT", "ETHUSDT"])


def test_unusable_time_names_its_option() -> None:
    with pytest.raises(
        ScenarioError, match=r"--from: 'noon' is not a time; allowed: UTC like 2025-10-10T20:30"
    ):
        parse_utc_ms("noon", "--from")


def test_genesis_gets_a_source_for_each_file_and_a_staleness_that_fits_the_clock(tmp_path: Path) -> None:
    paths = [write(tmp_path, PLAIN, plain_rows(6), f"{at}.csv") for at in range(2)]
    replay = load_replay(
        [ReplaySpec("index", "BTCUSDT", path) for path in paths],
        symbols=["BTCUSDT", "ETHUSDT"],
        from_ms=START,
        to_ms=START + 5 * MINUTE,
    )
    sources = [
        {"name": "one", "weight": "0.7"},
        {"name": "two", "weight": "0.2"},
        {"name": "three", "weight": "0.1"},
    ]
    genesis = {
        "instruments": [
            {"symbol": symbol, "index_sources": sources, "index_stale_ms": 60_000}
            for symbol in ("BTCUSDT", "ETHUSDT")
        ],
        "insurance_fund": "1",
    }
    bitcoin, ether = genesis_for_replay(genesis, replay, factor=120.0, tick_ms=100)["instruments"]
    assert [source["weight"] for source in bitcoin["index_sources"]] == ["1", "1"]
    assert ether["index_sources"] == sources
    assert bitcoin["index_stale_ms"] == 240_000
    kept = {**genesis, "instruments": [{**genesis["instruments"][0], "index_sources": sources[:2]}]}  # type: ignore[dict-item]
    assert genesis_for_replay(kept, replay, factor=1.0, tick_ms=100)["instruments"] == kept["instruments"]
