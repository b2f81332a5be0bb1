"""One signal's life in words, and the store's tables as files that other tools read back."""

from __future__ import annotations

import csv
import json
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest
from typer.testing import CliRunner

from relay.cli import app
from relay.core.alarms import Alarm
from relay.core.intake import Refusal
from relay.store import (
    AlarmRecord,
    DriftStore,
    FeedEntry,
    FeedHead,
    MarketSample,
    RefusedReport,
    StoreItem,
    StorePlace,
    VenueFact,
    store_place,
)
from relay.store.exporting import EXPORT_TABLES, WORK_TABLES
from tests.store_places import by_hand
from tests.unit.relay.drift_samples import LEADER, START_MS, SYMBOL, a_copy, a_signal, a_status
from tests.unit.relay.test_dashboard import filled


def ran(*arguments: str, status: int = 0) -> str:
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == status, done.output
    return done.stdout + done.stderr


def test_a_signal_is_explained_with_every_verdict(place: StorePlace) -> None:
    filled(place)
    text = ran("explain", f"{LEADER}.1.5", "--store", str(place))
    assert "the publisher sees the fill +4 ms" in text
    assert "tiny: skipped (below minimum)" in text and "smallest notional" in text
    told = json.loads(ran("explain", f"{LEADER}.1.5", "--store", str(place), "--json"))
    assert [verdict["follower"] for verdict in told["verdicts"]] == [
        "bold",
        "fixed",
        "paper",
        "steady",
        "tiny",
    ]
    assert told["verdicts"][0]["orders"][0]["fills"][0]["qty"] == "0.1"
    for unknown in (f"{LEADER}.1.999", "nonsense", f"{LEADER}.x.y", f"{LEADER}.1.{'9' * 40}"):
        assert "is not in the store" in ran("explain", unknown, "--store", str(place), status=1)


def read_back(file: Path) -> list[dict[str, Any]]:
    """The rows of an exported file, by whatever reads such files."""
    if file.suffix == ".csv":
        with file.open(newline="") as opened:
            return list(csv.DictReader(opened))
    if file.suffix == ".json":
        return [json.loads(line) for line in file.read_text().splitlines()]
    found = duckdb.sql(f"SELECT * FROM '{file}'")
    return [dict(zip(found.columns, row, strict=True)) for row in found.fetchall()]


def same(stored: object, read: object, form: str) -> bool:
    """Whether a value came through: a decimal to its last digit, an empty text as one where the form can."""
    if isinstance(read, Decimal):
        return Decimal(str(stored)) == read
    if form == "csv":
        return read == ("" if stored is None else str(int(stored) if isinstance(stored, bool) else stored))
    return stored == read or (form == "parquet" and stored == "" and read is None)


def everything() -> list[StoreItem]:
    """Rows for the tables that a run does not fill, with long numbers, nothing, and odd text."""
    odd = 'a, "b"\n\\N\x1b[31m<i>\u2028=1+1'
    signal = a_signal(70, at_ms=START_MS + 7_200_000)
    longest = "1234567890123456.123456789012"
    return [
        FeedEntry(FeedHead(LEADER, 1, 70, "h"), signal.signal),
        a_copy(signal, "steady", policy=odd, reason="", detail=odd, received_mid=longest, leverage_cap=None),
        a_status("steady", at_ms=START_MS + 7_200_000, equity="-0.000000000001"),
        MarketSample(SYMBOL, START_MS, None, longest, None, "0.1"),
        VenueFact("fund", odd, START_MS, "0.00000000000000001", "{}"),
        AlarmRecord(Alarm("gap", odd, "warning", 1, odd, ""), None),
        RefusedReport("d", odd, Refusal("malformed", "")),
    ]


@pytest.mark.parametrize("form", ["csv", "json", "parquet"])
def test_every_table_reads_back_to_the_last_digit(form: str, place: StorePlace, tmp_path: Path) -> None:
    filled(place, *everything())
    with DriftStore.open(place) as store:
        while store.count(START_MS + 86_400_000):
            pass
    told = ran("store", "export", "--store", str(place), "--out", str(tmp_path / "out"), "--format", form)
    with closing(by_hand(place)) as database:
        for table, key in EXPORT_TABLES.items():
            stored = database.rows(f"SELECT * FROM {table} ORDER BY {', '.join(key)}")
            read = read_back(tmp_path / "out" / f"{table}.{form}")
            assert f"{table}.{form}: {len(stored)} rows" in told
            assert len(read) == len(stored) and (stored or table in ("refused_sums", "arrivals")), table
            for ours, theirs in zip(stored, read, strict=True):
                assert list(theirs) == list(ours.keys())
                wrong = [name for name in theirs if not same(ours[name], theirs[name], form)]
                assert not wrong, (table, [(name, ours[name], theirs[name]) for name in wrong])
    assert not list((tmp_path / "out").glob(".*")), "nothing is left behind"
    if form == "parquet":
        kinds = f"SELECT column_name, column_type FROM (DESCRIBE FROM '{tmp_path / 'out' / 'fills.parquet'}')"
        found = dict(duckdb.sql(kinds).fetchall())
        wanted = {"price": "DECIMAL(38,12)", "executed_ms": "BIGINT", "is_maker": "BOOLEAN"}
        assert found | wanted == found


@pytest.mark.parametrize("form", ["csv", "json", "parquet"])
def test_a_table_without_rows_is_a_file_with_its_columns(
    form: str, place: StorePlace, tmp_path: Path
) -> None:
    DriftStore.open(place).close()
    ran("store", "export", "--store", str(place), "--out", str(tmp_path), "--format", form)
    assert read_back(tmp_path / f"fills.{form}") == []
    if form == "csv":
        assert (tmp_path / "fills.csv").read_text().startswith("follower_id,leader_id,epoch,seq,")
    if form == "parquet":
        assert "price" in duckdb.sql(f"SELECT * FROM '{tmp_path / 'fills.parquet'}'").columns


def test_every_table_is_exported_or_known_to_be_work_in_hand(tmp_path: Path) -> None:
    DriftStore.open(tmp_path / "drift.sqlite").close()
    with closing(by_hand(tmp_path / "drift.sqlite")) as database:
        tables = {row["name"] for row in database.rows("SELECT name FROM sqlite_master WHERE type = 'table'")}
    assert tables == {*EXPORT_TABLES, *WORK_TABLES}


def test_a_number_that_parquet_would_round_is_refused(place: StorePlace, tmp_path: Path) -> None:
    filled(place, a_status("steady", at_ms=START_MS + 7_200_000, equity="0.1234567890123"))
    arguments = ("store", "export", "--store", str(place), "--out", str(tmp_path))
    told = ran(*arguments, "--format", "parquet", status=1)
    assert "statuses.equity 0.1234567890123" in told and "CSV" in told
    ran(*arguments, "--format", "csv")


def test_the_slippage_report_as_parquet_holds_the_lines_of_the_csv(place: StorePlace, tmp_path: Path) -> None:
    table, file = (str(tmp_path / name) for name in ("r.csv", "r.parquet"))
    filled(place)
    report = ("report", "slippage", "--store", str(place))
    ran(*report, "--format", "csv", "--output", table)
    ran(*report, "--format", "parquet", "--output", file)
    with Path(table).open() as opened:
        lines = list(csv.DictReader(opened))
    rows = duckdb.sql(f"SELECT follower, signal_id, slippage_bps, transit_bps, latency_ms FROM '{file}'")
    assert [row[:2] for row in rows.fetchall()] == [(line["follower"], line["signal_id"]) for line in lines]
    total = sum(Decimal(line["slippage_bps"]) for line in lines if line["slippage_bps"])
    assert duckdb.sql(f"SELECT sum(slippage_bps) FROM '{file}'").fetchall() == [(total,)]
    kinds = dict(duckdb.sql(f"SELECT column_name, column_type FROM (DESCRIBE FROM '{file}')").fetchall())
    assert (kinds["leader_price"], kinds["latency_ms"]) == ("DECIMAL(38,12)", "BIGINT")
    assert kinds["time"].startswith("TIMESTAMP")
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")], "nothing is left behind"
    assert "needs --output" in ran(*report, "--format", "parquet", status=2)


def test_a_parquet_report_of_nothing_is_a_table_without_rows(place: StorePlace, tmp_path: Path) -> None:
    DriftStore.open(place).close()
    file = tmp_path / "r.parquet"
    ran(*("report", "slippage", "--store", str(place), "--format", "parquet"),
        *("--output", str(file)))  # fmt: skip
    assert duckdb.sql(f"SELECT count(*) FROM '{file}'").fetchall() == [(0,)]


def test_what_can_not_be_exported_says_so(place: StorePlace, tmp_path: Path) -> None:
    filled(place)
    told = ran(
        *("store", "export", "--store", str(place)),
        *("--out", str(tmp_path), "--format", "xml"),
        status=1,
    )
    assert "allowed: csv, json, parquet" in told


def test_a_store_is_migrated_once(place: StorePlace) -> None:
    assert store_place(str(place)) == place
    assert "applied 1, 2, 3" in ran("store", "migrate", "--store", str(place))
    assert "nothing to do" in ran("store", "migrate", "--store", str(place))


def test_without_a_name_it_is_the_store_of_the_relay_in_this_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As `relay init` writes it: nobody should have to say where the data is."""
    (tmp_path / "data").mkdir()
    filled(tmp_path / "data" / "drift.sqlite")
    settings = tmp_path / "relay.toml"
    settings.write_text('[broker]\ndata_dir = "data/broker"\n[store]\npath = "data/drift.sqlite"\n')
    monkeypatch.chdir(tmp_path)
    assert "the publisher sees the fill +4 ms" in ran("explain", f"{LEADER}.1.5")
    settings.write_text("[store]\n")
    assert "relay.toml" in ran("explain", f"{LEADER}.1.5", status=2)
