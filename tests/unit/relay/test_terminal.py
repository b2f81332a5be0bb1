"""What commands print for people: it fits the terminal, and nothing that others wrote steers it."""

from __future__ import annotations

import json
import unicodedata
from pathlib import Path

import pytest
from typer.testing import CliRunner

from relay.cli import app
from relay.core.alarms import Alarm
from relay.core.intake import Refusal
from relay.store import AlarmRecord, FeedEntry, FeedHead, RefusedReport, StorePlace
from tests.unit.relay.drift_samples import LEADER, a_copy, a_signal, a_status
from tests.unit.relay.test_dashboard import filled

STEERS = "\x1b]0;owned\x07\x1b[2J\x9b31m\rall\u202ewell\x08"  # title, wipe, colour, return, right to left


def test_top_prints_once_without_a_terminal(place: StorePlace, tmp_path: Path) -> None:
    filled(place)
    arguments = ["top", "--store", str(place), "--hours", "87600"]
    done = CliRunner().invoke(app, arguments, env={"COLUMNS": "140"})
    assert done.exit_code == 0, done.output
    for word in ("steady", "tiny", "skipped", "leverage", "nothing is wrong", f"{LEADER}.1.26"):
        assert word in done.stdout, word
    found = json.loads(CliRunner().invoke(app, [*arguments, "--json"]).stdout)
    rows = {row["id"]: row for row in found["followers"]}
    assert rows["tiny"]["copied"] == 0 and rows["steady"]["copied"] > 0
    missing = CliRunner().invoke(app, ["top", "--store", str(tmp_path / "none.sqlite")])
    assert missing.exit_code == 1 and "there is no such file" in missing.output


def top_of(place: StorePlace, columns: int) -> str:
    arguments = ["top", "--store", str(place), "--hours", "87600", "--once"]
    done = CliRunner().invoke(app, arguments, env={"COLUMNS": str(columns)})
    assert done.exit_code == 0, done.output
    return done.stdout


@pytest.mark.parametrize("columns", [60, 80, 100, 140])
def test_top_fits_and_cuts_no_word(columns: int, tmp_path: Path) -> None:
    filled(tmp_path / "drift.sqlite")
    text = top_of(tmp_path / "drift.sqlite", columns)
    assert max(map(len, text.splitlines())) <= columns
    assert "…" not in text
    heading = next(line.split() for line in text.splitlines() if line.startswith("follower"))
    assert [name for name in ("follower", "skipped", "bps") if name not in heading] == []
    hidden = {"p95", "heard"} - set(heading)
    assert all(f"{name}" in text for name in hidden), "what is left out is named"
    if columns >= 80:
        assert {"mode", "copied", "capped", "skipped", "missed", "bps", "ms"} <= set(heading)


def test_what_others_wrote_does_not_steer_the_terminal(tmp_path: Path) -> None:
    place, signal = tmp_path / "drift.sqlite", a_signal(50)
    filled(
        place,
        FeedEntry(FeedHead(LEADER, 1, 50, "h"), signal.signal),
        a_copy(
            signal,
            "steady",
            price=None,
            verdict="skipped",
            **dict.fromkeys(("policy", "reason", "detail", "limit_value", "observed_value"), STEERS),
        ),
        a_status("steady", at_ms=2**40, policy=STEERS),
        RefusedReport("d", STEERS, Refusal(STEERS, STEERS)),
        AlarmRecord(Alarm("gap", STEERS, "warning", 1, STEERS, STEERS), None),
    )
    store = ("--store", str(place))
    for command in (
        ("top", "--hours", "87600", "--once", *store),
        ("explain", f"{LEADER}.1.50", *store),
        *(("report", "slippage", "--format", form, *store) for form in ("table", "csv")),
        ("report", "slippage", "--follower", STEERS, *store),
        ("explain", STEERS, *store),
    ):
        for columns in ("80", "140"):
            done = CliRunner().invoke(app, command, env={"COLUMNS": columns})
            steering = {char for char in done.output if unicodedata.category(char) in ("Cc", "Cf")} - {"\n"}
            assert not steering, (command, columns)
