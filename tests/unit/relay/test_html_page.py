"""The page, the table, the files and the command: what a reader gets, and what nobody can put into it."""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path
from typing import Any

import pytest

from relay.core.report import build_report, figures_of, validate
from relay.core.verdicts import ReportRows
from relay.reporting import (
    FillPoint,
    LiquidationPoint,
    ReportDetail,
    Stretch,
    build_detail,
    csv_text,
    slippage,
    write_html,
    write_json,
)
from relay.reporting.facts import run_facts
from relay.store import DriftStore, FeedEntry, FeedHead, StorePlace
from tests.unit.relay.drift_samples import START_MS, SYMBOL, a_copy, a_signal, sample_run

VENUE = {
    "orders": 1,
    "trades": 5000,
    "liquidations": 3,
    "adl": 1,
    "insurance_fund": "1",
    "conservation_delta": "0",
}
EVIL = '</script><script>alert("x")</script>'


def a_report(rows: ReportRows, **run: Any) -> dict[str, Any]:
    return build_report(
        figures_of(rows), VENUE, {"seed": 7, "scenario": "demo", "seconds": 60, "version": "1", **run}
    )


def a_detail() -> ReportDetail:
    run = sample_run()
    fallen = [LiquidationPoint(SYMBOL, wall, side, price, qty) for wall, price, qty, side in run.liquidations]
    return build_detail(
        run.rows,
        figures_of(run.rows),
        prices={"BTCUSDT": run.prices},
        liquidations=fallen,
        shock=Stretch(*run.shock, "shock"),
        started_ms=START_MS,
    )


def data_of(text: str) -> dict[str, Any]:
    found = re.search(r'<script type="application/json" id="report-data">(.*?)</script>', text, re.DOTALL)
    assert found is not None
    data: dict[str, Any] = json.loads(found[1])
    return data


def test_the_page_is_whole_and_asks_the_network_for_nothing(tmp_path: Path) -> None:
    write_html(a_report(sample_run().rows), a_detail(), tmp_path / "out" / "report.html")
    text = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    own = text[: text.index("<script>")]
    assert "default-src 'none'" in own
    assert not re.search(r"""(src|href)\s*=|@import|url\(""", own)
    assert len(text) > 3_000_000
    assert text.count("</script>") == 3
    data = data_of(text)
    assert len(data["copies"]) == sum(len(a.orders) for a in sample_run().copies)
    assert {
        len(data[name]) > 0 for name in ("leader_fills", "follower_fills", "liquidations", "verdicts")
    } == {True}
    assert data["prices"]["BTCUSDT"][0]["x"] == 0
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["report.html"]


def test_nothing_that_others_wrote_can_become_markup(tmp_path: Path) -> None:
    signal = a_signal()
    rows = ReportRows(
        [signal], [a_copy(signal, policy=EVIL), a_copy(signal, "tiny", price=None, reason=EVIL)], []
    )
    detail = build_detail(
        rows, figures_of(rows), prices={EVIL: [(START_MS, None, "1", "1", "1")]}, liquidations=[]
    )
    note = FillPoint(EVIL, EVIL, START_MS, "buy", "1", "1", EVIL)
    detail = ReportDetail(
        **{name: getattr(detail, name) for name in detail.__slots__} | {"leader_fills": [note]}
    )
    path = tmp_path / "report.html"
    write_html(a_report(rows, scenario=EVIL), detail, path)
    text = path.read_text(encoding="utf-8")
    assert "<script>alert" not in text
    assert text.count("</script>") == 3
    assert data_of(text)["leader_fills"][0]["note"] == EVIL


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    write_json({"a": 1}, path)
    with pytest.raises(TypeError):
        write_json({"a": object()}, path)
    assert json.loads(path.read_text()) == {"a": 1}
    assert [file.name for file in tmp_path.iterdir()] == ["report.json"]


def test_the_page_says_which_promises_are_broken(tmp_path: Path) -> None:
    report = a_report(sample_run().rows)
    assert "Every promise kept" in _page(report, tmp_path)
    report["followers"][0]["duplicate_orders"] = 2
    report["venue"]["conservation_delta"] = "0.5"
    text = _page(report, tmp_path)
    assert "2 promises broken" in text
    assert all(line.replace("'", "&#39;") in text for line in validate(report))


def test_a_replay_says_what_it_is() -> None:
    facts = run_facts(
        {
            "seed": 7,
            "seconds": 60,
            "replay": {
                "files": [{"kind": "index", "symbol": "BTCUSDT", "file": "some/folder/spot.csv.gz"}],
                "from": "2025-10-10T20:30",
                "to": "2025-10-10T22:30",
                "time_factor": "120",
                "bar_walk": "open-low-high-close when the bar closes at or above its open, else otherwise",
                "mark_check": {"BTCUSDT": {"tolerance_bps": 25.0, "samples": 240, "inside_share": 0.975}},
                "leader": {
                    "file": "fills.csv.gz",
                    "account": "acc6",
                    "times_moved": True,
                    "symbol_moved": False,
                },
                "transplanted": True,
            },
        }
    )
    shown = {fact.name: fact.value for fact in facts}
    assert shown["replayed"] == "index:BTCUSDT=spot.csv.gz"
    assert shown["window"] == "2025-10-10T20:30 to 2025-10-10T22:30"
    assert shown["leader"] == "recorded fills of acc6, fills.csv.gz"
    assert "97.5 % of 240 samples" in shown["mark check BTCUSDT"]
    assert {fact.name for fact in facts if fact.flag} == {"time factor", "transplanted"}
    assert {fact.name for fact in facts if fact.long} == {"bars walked", "mark check BTCUSDT"}
    assert [fact.name for fact in run_facts({"seed": 1, "replay": None})] == ["seed"]


def test_a_price_that_is_not_there_yet_is_a_hole_and_not_a_zero(tmp_path: Path) -> None:
    prices = {
        "BTCUSDT": [(START_MS, None, "1.21E+5", "121000", "0"), (START_MS + 250, None, None, "121001", "1")]
    }
    write_html(
        a_report(sample_run().rows),
        build_detail(sample_run().rows, figures_of(sample_run().rows), prices=prices),
        tmp_path / "p.html",
    )
    first, second = data_of((tmp_path / "p.html").read_text())["prices"]["BTCUSDT"]
    assert (first["index"], first["last"]) == (121_000, None)
    assert (second["index"], second["last"]) == (None, 1)


def test_the_shaded_stretch_carries_its_own_words(tmp_path: Path) -> None:
    rising = Stretch(START_MS + 1_000, START_MS + 3_000, "from low to high")
    detail = build_detail(
        sample_run().rows, figures_of(sample_run().rows), prices={}, shock=rising, started_ms=START_MS
    )
    path = tmp_path / "page.html"
    write_html(a_report(sample_run().rows, replay={"files": ["index:BTCUSDT=a.csv"]}), detail, path)
    text = path.read_text(encoding="utf-8")
    assert data_of(text)["shock"] == {"from": 1.0, "to": 3.0, "label": "from low to high"}
    assert "from high to low" not in text[: text.index("<script>")]


def test_twelve_followers_can_be_told_apart(tmp_path: Path) -> None:
    signal = a_signal()
    rows = ReportRows([signal], [a_copy(signal, f"f{number}") for number in range(10, 22)], [])
    path = tmp_path / "page.html"
    write_html(a_report(rows), build_detail(rows, figures_of(rows), prices={}), path)
    text = path.read_text(encoding="utf-8")
    data = data_of(text)
    looks = [(row["colour"], row["shape"]) for row in data["followers"]]
    assert len(set(looks)) == 12
    assert data["colours"] == 7
    assert "after the first 7 are hidden at first" in text
    assert "hidden at first" not in _page(a_report(sample_run().rows), tmp_path)


def test_the_page_shows_the_median_beside_the_mean_and_says_what_a_basis_is(
    tmp_path: Path,
) -> None:
    report = a_report(sample_run().rows)
    text = _page(report, tmp_path)
    figures = report["followers"][0]["slippage_bps"]
    assert f"{float(figures['p50']):.2f} · {float(figures['p95']):.2f}" in text
    assert "0 where leader and follower trade on one venue; between two" in text


def test_csv_has_a_line_per_verdict_and_no_formulas() -> None:
    signal = a_signal()
    rows = ReportRows(
        [signal], [a_copy(signal), a_copy(signal, "tiny", price=None, detail="=HYPERLINK()")], []
    )
    lines = list(csv.DictReader(io.StringIO(csv_text([rows]))))
    assert [line["follower"] for line in lines] == ["steady", "tiny"]
    assert lines[0]["slippage_bps"] == "0.5"
    assert lines[1]["detail"] == "'=HYPERLINK()"


def filled(place: StorePlace) -> StorePlace:
    run = sample_run()
    with DriftStore.open(place) as store:
        store.write([FeedEntry(FeedHead(p.leader_id, p.epoch, p.seq, "h"), p.signal) for p in run.signals])
        store.write([*run.copies, *run.statuses])
    return place


@pytest.fixture
def filled_place(place: StorePlace) -> StorePlace:
    return filled(place)


@pytest.fixture
def store_path(tmp_path: Path) -> Path:
    """For what goes wrong before a database is asked."""
    path = tmp_path / "drift.sqlite"
    filled(path)
    return path


def test_the_command_prints_every_format(
    filled_place: StorePlace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert slippage(store=filled_place) == 0
    assert "steady" in capsys.readouterr().out
    assert slippage(store=filled_place, format="json") == 0
    assert json.loads(capsys.readouterr().out)["followers"][0]["signals"] == 26
    assert slippage(store=filled_place, format="csv", follower="tiny") == 0
    assert len(capsys.readouterr().out.splitlines()) == 27
    page = tmp_path / "page.html"
    assert slippage(store=filled_place, format="html", output=page) == 0
    assert len(data_of(page.read_text())["prices"]["BTCUSDT"]) == 26


def test_the_command_of_a_store_without_signals_still_answers(
    place: StorePlace, capsys: pytest.CaptureFixture[str]
) -> None:
    DriftStore.open(place).close()
    for name in ("table", "json", "csv"):
        assert slippage(store=place, format=name) == 0
    capsys.readouterr()
    assert slippage(store=place, format="html") == 0
    page = capsys.readouterr().out
    assert "Nothing to judge" in page and "Every promise kept" not in page


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        ({"format": "pdf"}, 2, "--format: was 'pdf', allowed: table, json, csv, html"),
        ({"since": "yesterday"}, 2, "--since: was 'yesterday', allowed: 7d"),
        ({"store": Path("nowhere.sqlite")}, 1, "nowhere.sqlite: there is no such file"),
    ],
)
def test_a_wrong_argument_is_one_line(
    store_path: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: dict[str, Any],
    status: int,
    said: str,
) -> None:
    assert slippage(**{"store": store_path, **arguments}) == status
    captured = capsys.readouterr()
    assert captured.out == ""
    assert said in captured.err
    assert captured.err.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"follower": "nobody"}, "--follower: was 'nobody', known: bold, fixed, paper, steady, tiny"),
        ({"leader": "bob"}, "--leader: was 'bob', known: alice"),
        ({"symbol": "ETHUSDT"}, "--symbol: was 'ETHUSDT', known: BTC/USDT:USDT"),
        ({"symbol": "ETH/USDT:USDT", "follower": "bold"}, "--symbol: was 'ETH/USDT:USDT', known: BTC/"),
    ],
)
@pytest.mark.parametrize("form", ["table", "json", "csv", "html"])
def test_an_unknown_name_is_an_error_that_lists_the_known_ones(
    store_path: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: dict[str, Any],
    said: str,
    form: str,
) -> None:
    assert slippage(store=store_path, format=form, **arguments) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert said in captured.err
    assert captured.err.count("\n") == 1


def test_a_symbol_may_be_spelt_as_the_venue_does(
    filled_place: StorePlace, capsys: pytest.CaptureFixture[str]
) -> None:
    texts = []
    for symbol in ("BTCUSDT", "btcusdt", SYMBOL):
        assert slippage(store=filled_place, symbol=symbol, format="json") == 0
        texts.append(capsys.readouterr().out)
    assert json.loads(texts[0])["followers"][0]["signals"] == 26
    assert len(set(texts)) == 1


def test_a_quiet_stretch_is_an_answer_that_is_said(
    filled_place: StorePlace, capsys: pytest.CaptureFixture[str]
) -> None:
    assert slippage(store=filled_place, since="2100-01-01", follower="bold") == 0
    assert "no signal is in the store for this time" in capsys.readouterr().err


def test_a_piped_table_is_whole(
    filled_place: StorePlace, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert slippage(store=filled_place) == 0
    text = capsys.readouterr().out
    header = text.splitlines()[1]
    assert header.split() == [
        *("follower", "signals", "copied", "capped", "skipped", "missed", "slippage", "latency", "leverage")
    ]
    assert "…" not in text
    assert text.count("cap 1.") == 4


def test_since_leaves_older_signals_out(filled_place: StorePlace, capsys: pytest.CaptureFixture[str]) -> None:
    assert slippage(store=filled_place, since="2100-01-01", format="json") == 0
    assert [row["signals"] for row in json.loads(capsys.readouterr().out)["followers"]] == [0] * 5


def _page(report: dict[str, Any], folder: Path) -> str:
    write_html(report, a_detail(), folder / "page.html")
    return (folder / "page.html").read_text(encoding="utf-8")
