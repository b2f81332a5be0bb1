"""One signal's life in words, and the store's tables as files that other tools read back."""

from __future__ import annotations

import csv
import json
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest
from typer.testing import CliRunner

from relay.cli import app
from relay.store import DriftStore, StorePlace, store_place
from tests.unit.relay.drift_samples import LEADER
from tests.unit.relay.test_dashboard import filled


def ran(*arguments: str, status: int = 0) -> str:
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == status, done.output
    return done.stdout + done.stderr


def test_a_signal_is_explained_with_every_verdict(tmp_path: Path) -> None:
    store = tmp_path / "drift.sqlite"
    filled(store)
    text = ran("explain", f"{LEADER}.1.5", "--store", str(store))
    assert "the publisher sees the fill +4 ms" in text
    assert "tiny: skipped (below minimum)" in text and "smallest notional" in text
    told = json.loads(ran("explain", f"{LEADER}.1.5", "--store", str(store), "--json"))
    assert [verdict["follower"] for verdict in told["verdicts"]] == [
        "bold",
        "fixed",
        "paper",
        "steady",
        "tiny",
    ]
    assert told["verdicts"][0]["orders"][0]["fills"][0]["qty"] == "0.1"
    for unknown in (f"{LEADER}.1.999", "nonsense", f"{LEADER}.x.y", f"{LEADER}.1.{'9' * 40}"):
        assert "is not in the store" in ran("explain", unknown, "--store", str(store), status=1)


@pytest.mark.parametrize("form", ["csv", "json", "parquet"])
def test_exported_tables_read_back(form: str, tmp_path: Path) -> None:
    store, out = tmp_path / "drift.sqlite", tmp_path / "out"
    filled(store)
    told = ran("store", "export", "--store", str(store), "--out", str(out), "--format", form)
    with DriftStore.open_for_reading(store) as opened:
        counts = opened.counts()
    assert f"fills.{form}: {counts['fills']} rows" in told
    file = out / f"fills.{form}"
    if form == "csv":
        prices = [row["price"] for row in csv.DictReader(file.open())]
    elif form == "json":
        prices = [json.loads(line)["price"] for line in file.read_text().splitlines()]
    else:
        rows = duckdb.sql(f"SELECT price FROM '{file}'").fetchall()
        prices = [str(row[0]) for row in rows]
        assert duckdb.sql(f"SELECT typeof(price) FROM '{file}' LIMIT 1").fetchall() == [("DECIMAL(38,12)",)]
    assert len(prices) == counts["fills"] and all(float(price) > 0 for price in prices)
    assert not list(out.glob(".*")), "nothing is left behind"


def test_the_slippage_report_as_parquet_holds_the_lines_of_the_csv(tmp_path: Path) -> None:
    store, table, file = (str(tmp_path / name) for name in ("drift.sqlite", "r.csv", "r.parquet"))
    filled(Path(store))
    report = ("report", "slippage", "--store", store)
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


def test_a_parquet_report_of_nothing_is_a_table_without_rows(tmp_path: Path) -> None:
    with DriftStore.open(tmp_path / "drift.sqlite"):
        pass
    file = tmp_path / "r.parquet"
    ran(*("report", "slippage", "--store", str(tmp_path / "drift.sqlite"), "--format", "parquet"),
        *("--output", str(file)))  # fmt: skip
    assert duckdb.sql(f"SELECT count(*) FROM '{file}'").fetchall() == [(0,)]


def test_what_can_not_be_exported_says_so(tmp_path: Path) -> None:
    filled(tmp_path / "drift.sqlite")
    told = ran(
        *("store", "export", "--store", str(tmp_path / "drift.sqlite")),
        *("--out", str(tmp_path), "--format", "xml"),
        status=1,
    )
    assert "allowed: csv, json, parquet" in told


def test_a_store_is_migrated_once(place: StorePlace) -> None:
    assert store_place(str(place)) == place
    assert "applied 1, 2, 3" in ran("store", "migrate", "--store", str(place))
    assert "nothing to do" in ran("store", "migrate", "--store", str(place))


def test_top_prints_once_without_a_terminal(tmp_path: Path) -> None:
    filled(tmp_path / "drift.sqlite")
    arguments = ["top", "--store", str(tmp_path / "drift.sqlite"), "--hours", "87600"]
    done = CliRunner().invoke(app, arguments, env={"COLUMNS": "140"})
    assert done.exit_code == 0, done.output
    for word in ("steady", "tiny", "skipped", "leverage", "nothing is wrong", f"{LEADER}.1.26"):
        assert word in done.stdout, word
    found = json.loads(CliRunner().invoke(app, [*arguments, "--json"]).stdout)
    rows = {row["id"]: row for row in found["followers"]}
    assert rows["tiny"]["copied"] == 0 and rows["steady"]["copied"] > 0
    missing = CliRunner().invoke(app, ["top", "--store", str(tmp_path / "none.sqlite")])
    assert missing.exit_code == 1 and "there is no such file" in missing.output


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
