"""`relay demo` on embedded defaults: the whole system as its first user meets it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
import tomllib
from datetime import datetime
from decimal import Decimal
from pathlib import Path

import pytest

from tests.acceptance.demo_runs import DemoRun, assert_promises, demo_command, programs_of, run_demo

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> DemoRun:
    return run_demo(tmp_path_factory.mktemp("demo"))


def test_every_promise_of_the_report_holds(run: DemoRun) -> None:
    assert_promises(run)


def test_the_table_names_every_follower_and_where_the_reports_are(run: DemoRun) -> None:
    for name in ("bold", "fixed", "paper", "steady", "tiny"):
        assert name in run.stdout
    assert "report.html" in run.stdout
    assert "\x1b[" not in run.stdout  # no terminal, no colours


def test_policies_do_what_their_names_say(run: DemoRun) -> None:
    followers = run.followers
    assert followers["bold"]["capped"] >= 1
    # He comes down with his leader: what the cap allows is what he holds, not what he once could buy.
    assert Decimal(followers["bold"]["exposure_gap"]) < Decimal("0.1")
    assert followers["tiny"]["copied"] == 0
    assert followers["tiny"]["orders"] == 0
    assert followers["paper"]["copied"] >= 10
    assert Decimal(followers["steady"]["exposure_gap"]) < Decimal("0.05")


def test_slippage_parts_and_latency_are_there_for_who_copied(run: DemoRun) -> None:
    for row in run.report["followers"]:
        if row["copied"] + row["capped"] == 0:
            assert row["slippage_bps"] is None
            continue
        parts = sum(Decimal(value) for value in row["slippage_parts_bps"].values())
        assert parts == Decimal(row["slippage_bps"]["mean"])
        assert 0 < row["latency_ms"]["p50"] <= row["latency_ms"]["p99"]


def test_every_drift_of_profit_is_explained_and_every_measure_is_there(run: DemoRun) -> None:
    followers = run.followers
    for row in followers.values():
        explained = sum(Decimal(value) for value in row["pnl"]["explained"].values())
        assert explained == Decimal(row["pnl"]["drift"]), row["id"]
        assert row["tracking"]["observed_hours"] != "0"
    assert Decimal(followers["tiny"]["pnl"]["explained"]["skipped"]) != 0, "what it skipped has a price"
    assert followers["steady"]["costs"]["fee_difference"] is not None
    assert followers["steady"]["carry"] is not None
    [risk] = run.report["risk"]
    assert Decimal(risk["share_of_depth"]) > 0 and Decimal(risk["share_of_open_interest"]) > 0
    factors = Decimal(risk["leverage"]) * Decimal(risk["correlation"]) * Decimal(risk["divergence"])
    assert abs(Decimal(risk["copy_risk"]) - factors) < Decimal("0.00001")
    [delivery] = run.report["delivery"]
    assert delivery["spread_ms"] >= 0


def test_the_leader_signs_his_score_and_a_follower_finds_its_own_reports_in_it(run: DemoRun) -> None:
    data, statement, reports = run.out / "data", run.out / "statement.json", run.out / "mine.jsonl"
    key = (data / "keys" / "leader.signing").as_posix()
    sign = ("statement", "sign", "--leader", "alice", "--since", "1d", "--key", key)
    told("relay", *sign, "--store", f"{data}/drift.sqlite", "--out", str(statement))
    own = data / "followers" / "steady.toml"
    reports.write_text(told("follower_client", "verdicts", "--reports", "--config", str(own)))
    public = tomllib.loads(own.read_text())["leader"]["public_key"]
    verify = ("statement", "verify", str(statement), "--key", public, "--json")
    found = json.loads(told("relay", *verify, "--reports", str(reports)))
    live = [row for name, row in run.followers.items() if name != "paper"]
    assert found["own_reports"] == run.followers["steady"]["signals"]
    assert found["copies"] == sum(row["copied"] + row["capped"] for row in live)
    assert found["followers"] == len(live)


def told(program: str, *arguments: str) -> str:
    """What one of the commands prints."""
    command = [sys.executable, "-m", program, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_shock_liquidates_part_of_the_crowd(run: DemoRun) -> None:
    assert run.report["venue"]["liquidations"] >= 1
    assert run.report["venue"]["trades"] > 100


def test_nobody_is_missed_before_he_came(run: DemoRun) -> None:
    rows = map(json.loads, (run.out / "logs" / "relay.log").read_text().splitlines())
    missed = [row["timestamp"] for row in rows if row.get("rule") == "no_heartbeat"]
    signal_id = next(
        row["signal_id"]
        for row in map(json.loads, (run.out / "logs" / "publisher.log").read_text().splitlines())
        if "signal_id" in row
    )
    began_s = int(signal_id.split(".")[1])  # an epoch is named by the second that it began in
    assert not [at for at in missed if datetime.fromisoformat(at).timestamp() < began_s]


def test_secrets_stay_out_of_logs_and_reports(run: DemoRun) -> None:
    secrets = [
        entry["api_secret"]
        for entry in json.loads((run.out / "data" / "venue" / "accounts.json").read_text())["accounts"]
    ]
    assert len(secrets) == 6
    texts = [path.read_text() for path in (run.out / "logs").iterdir()]
    texts += [(run.out / "report.json").read_text(), (run.out / "report.html").read_text()]
    assert not any(secret in text for secret in secrets for text in texts)


def test_interrupt_ends_everything(tmp_path: Path) -> None:
    process = subprocess.Popen(
        demo_command(tmp_path), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        _wait_until(lambda: (tmp_path / "logs" / "leader.log").exists() and len(programs_of(tmp_path)) >= 6)
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=20)
    finally:
        process.kill()
    assert process.returncode == 130
    assert "interrupted" in stderr
    assert "Traceback" not in stderr
    assert programs_of(tmp_path) == []


def test_kill_nine_leaves_no_orphans(tmp_path: Path) -> None:
    process = subprocess.Popen(demo_command(tmp_path), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _wait_until(lambda: len(programs_of(tmp_path)) >= 5)
    process.kill()
    process.wait(timeout=10)
    _wait_until(lambda: programs_of(tmp_path) == [])


def test_a_second_run_in_the_same_folder_is_refused(tmp_path: Path) -> None:
    first = subprocess.Popen(demo_command(tmp_path), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _wait_until(lambda: len(programs_of(tmp_path)) >= 2)
        second = run_demo(tmp_path)
        assert second.status == 75
        assert second.stderr.strip().count("\n") == 0
        assert "--out" in second.stderr
    finally:
        first.send_signal(signal.SIGTERM)
        first.wait(timeout=20)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (("--seconds", "3"), "--seconds"),
        (("--followers", "0"), "--followers"),
        (("--replay", "index:BTCUSDT=/nowhere.csv"), "--replay"),
        (("--replay", "price:BTCUSDT=x.csv"), "--replay"),
        (("--from", "2025-01-01T00:00"), "--from"),
        (("--leader-account", "x"), "--leader-account"),
        (("--leader-equity", "lots"), "--leader-equity"),
        (("--scenario", "nosuch"), "nosuch"),
    ],
)
def test_a_wrong_option_is_one_line_and_starts_nothing(
    tmp_path: Path, options: tuple[str, ...], named: str
) -> None:
    refused = run_demo(tmp_path, *options)
    assert refused.status in (2, 78)
    assert refused.stderr.strip().count("\n") == 0, refused.stderr
    assert named in refused.stderr
    assert programs_of(tmp_path) == []


@pytest.mark.parametrize(
    ("rows", "named"),
    [
        ("open_time_ms,open,high,low\n1,1,1,1\n", "close"),
        ("open_time_ms,open,high,low,close\n1700000600000,1,1,1,1\n1700000000000,1,1,1,1\n", "row 3"),
        ("open_time_ms,open,high,low,close\n1700000000000,1,x,1,1\n1700000060000,1,1,1,1\n", "high"),
    ],
)
def test_a_bad_replay_file_is_one_line(tmp_path: Path, rows: str, named: str) -> None:
    file = tmp_path / "bars.csv"
    file.write_text(rows)
    refused = run_demo(tmp_path / "out", "--replay", f"index:BTCUSDT={file}")
    assert refused.status == 78
    assert refused.stderr.strip().count("\n") == 0, refused.stderr
    assert "bars.csv" in refused.stderr
    assert named in refused.stderr
    assert programs_of(tmp_path / "out") == []


def _wait_until(condition: object, seconds_max: float = 40.0) -> None:
    assert callable(condition)
    deadline = time.monotonic() + seconds_max
    while not condition():
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.1)
