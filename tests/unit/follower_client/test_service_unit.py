"""The systemd unit is one that systemd takes, and keeps its program in."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

UNIT = Path(__file__).resolve().parents[3] / "configs" / "follower-client.service"
EXPOSURE_MAX = 2.0  # of 10: what systemd itself calls "OK"


def analyze(*words: str) -> str:
    found = shutil.which("systemd-analyze")
    assert found is not None, "systemd-analyze is needed: Debian's package systemd"
    ended = subprocess.run([found, *words], capture_output=True, text=True, timeout=30, check=False)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout + ended.stderr


@pytest.mark.system
def test_systemd_takes_the_unit_and_finds_it_well_shut_in(tmp_path: Path) -> None:
    text = UNIT.read_text(encoding="utf-8")
    (program,) = re.findall(r"^ExecStart=(\S+)", text, re.MULTILINE)
    copy = tmp_path / UNIT.name
    copy.write_text(text.replace(program, sys.executable), encoding="utf-8")
    assert analyze("verify", str(copy)).strip() == ""
    told = analyze("security", "--offline=true", str(copy))
    (exposure,) = re.findall(r"Overall exposure level for \S+: ([\d.]+)", told)
    assert float(exposure) <= EXPOSURE_MAX


def test_what_the_unit_calls_is_what_the_program_has() -> None:
    text = UNIT.read_text(encoding="utf-8")
    assert "ExecStart=/usr/local/bin/follower-client run --config /etc/slipstream/followers --json" in text
    assert "RestartPreventExitStatus=78" in text and "Type=notify" in text and "WatchdogSec=" in text
