"""The three programs' command lines are alike: one line for a mistake, a version, and help at once."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import structlog

import follower_client.cli
import follower_client.cli_words
import follower_client.failpoint
import relay.cli
import relay.failpoint
import relay.running
import simulated_exchange.cli

HEAVY = {
    "aiohttp",
    "ccxt",
    "jinja2",
    "msgspec",
    "nacl",
    "nats",
    "nkeys",
    "plotly",
    "rich",
    "structlog",
    "uvloop",
}
PROGRAMS: dict[str, Callable[[], None]] = {
    "relay": relay.cli.main,
    "follower-client": follower_client.cli.main,
    "simulated-exchange": simulated_exchange.cli.main,
}


def end_of(program: str, *arguments: str, monkeypatch: pytest.MonkeyPatch) -> object:
    monkeypatch.setattr(sys, "argv", [program, *arguments])
    with pytest.raises(SystemExit) as ended:
        PROGRAMS[program]()
    return ended.value.code


@pytest.mark.parametrize(
    ("module", "help_of"),
    [
        ("relay", ["", "demo", "serve", "publish", "report", "report slippage", "keys", "keys nkey"]),
        ("follower_client", ["", "run", "status", "verdicts", "init", "config", "config check"]),
        ("simulated_exchange", ["", "serve", "verify", "replay", "scenario", "env"]),
    ],
)
def test_help_imports_nothing_heavy(module: str, help_of: list[str]) -> None:
    script = f"""
import json, sys
from {module}.cli import app
at_import = sorted(sys.modules)
for words in {help_of!r}:
    assert app([*words.split(), "--help"], standalone_mode=False) == 0
print(json.dumps([at_import, sorted(sys.modules)]))
"""
    ended = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60
    )
    at_import, after_help = (
        {name.partition(".")[0] for name in names} for names in json.loads(ended.stdout.splitlines()[-1])
    )
    assert at_import & (HEAVY | {"pydantic", "asyncio"}) == set()
    assert after_help & HEAVY == set()  # pydantic: typer's own, when it describes types


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nonsense"], "No such command 'nonsense'"),
        (["--nonsense"], "No such option: --nonsense"),
    ],
)
def test_a_mistake_is_one_line_and_status_2(
    program: str,
    arguments: list[str],
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert end_of(program, *arguments, monkeypatch=monkeypatch) == 2
    told = capsys.readouterr()
    assert told.out == ""
    (line,) = told.err.splitlines()
    assert line.startswith(f"{program}: {said}")


@pytest.mark.parametrize(
    ("program", "arguments", "said"),
    [
        ("relay", ["keys", "nkey"], "Missing argument 'FILE'."),
        ("relay", ["demo", "--seconds", "long"], "--seconds: allowed: a valid integer"),
        ("follower-client", ["verdicts", "--limit", "0"], "--limit: allowed: greater than or equal to 1"),
        ("simulated-exchange", ["serve", "--port", "x"], "--port: allowed: a valid integer"),
    ],
)
def test_a_wrong_option_says_what_is_allowed(
    program: str,
    arguments: list[str],
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert end_of(program, *arguments, monkeypatch=monkeypatch) == 2
    assert capsys.readouterr().err == f"{program}: {said}\n"


@pytest.mark.parametrize("program", PROGRAMS)
def test_version_and_the_help_of_a_bare_call(
    program: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert end_of(program, "--version", monkeypatch=monkeypatch) == 0
    name, version = capsys.readouterr().out.split()
    assert name == program and version[0].isdigit()
    assert end_of(program, monkeypatch=monkeypatch) == 2
    assert "Commands:" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("program", "variable", "arguments", "option"),
    [
        ("relay", "RELAY_CONFIG", ["serve"], "nowhere.toml: cannot be read"),
        ("relay", "PUBLISHER_CONFIG", ["publish"], "nowhere.toml: cannot be read"),
        ("relay", "RELAY_STORE__PATH", ["report", "slippage"], "nowhere.toml"),
        ("follower-client", "SLIPSTREAM_FOLLOWER_CONFIG", ["run"], "nowhere.toml: cannot be read"),
        ("simulated-exchange", "SIMULATED_EXCHANGE_CONFIG", ["serve"], "nowhere.toml: no such file"),
    ],
)
def test_the_file_can_be_named_by_the_environment(
    program: str, variable: str, arguments: list[str], option: str, tmp_path: Path
) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", program.replace("-", "_"), *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={variable: str(tmp_path / "nowhere.toml")},
    )
    (line,) = ended.stderr.splitlines()
    assert option in line
    assert ended.returncode in {1, 78}


def test_a_mistyped_failpoint_is_refused_and_another_programs_is_not(tmp_path: Path) -> None:
    ours, theirs = relay.failpoint, follower_client.failpoint
    assert ours.NAMES_ELSEWHERE == theirs.NAMES
    assert theirs.NAMES_ELSEWHERE == ours.NAMES
    for kind in (ours.Failpoints, theirs.Failpoints):
        for setting in ("", "received", "message_stored:3"):
            kind(setting)
        for setting in ("message_stord", "received:", "received:x", "received:0"):
            with pytest.raises(ValueError, match=r"^SLIPSTREAM_FAILPOINT: was '.*', allowed: NAME\[:COUNT\]"):
                kind(setting)
    ended = subprocess.run(
        [sys.executable, "-m", "relay", "publish", "--config", str(tmp_path / "publisher.toml")],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={"SLIPSTREAM_FAILPOINT": "message_stord"},
    )
    assert ended.returncode == 78
    assert ended.stderr.startswith("relay: SLIPSTREAM_FAILPOINT: was 'message_stord', allowed: NAME[:COUNT]")
    assert len(ended.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    "begin_logging",
    [
        relay.running.configure_logging,
        follower_client.cli_words.log_to_stderr,
        simulated_exchange.cli.configure_logging,
    ],
)
def test_what_is_said_later_goes_to_the_stderr_of_then(
    begin_logging: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    lent, later = io.StringIO(), io.StringIO()
    monkeypatch.setattr(sys, "stderr", lent)
    begin_logging()
    logger = structlog.get_logger("test_command_lines")
    logger.warning("first_word")
    assert "first_word" in lent.getvalue()
    lent.close()
    monkeypatch.setattr(sys, "stderr", later)
    logger.warning("second_word")
    structlog.reset_defaults()
    assert "second_word" in later.getvalue()
