"""Running `relay demo` as a user does, and what must hold of every report. Shared by the acceptance tests."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

RUN_SECONDS_MAX = 240.0


@dataclass(frozen=True)
class DemoRun:
    status: int
    stdout: str
    stderr: str
    out: Path

    @property
    def report(self) -> dict[str, Any]:
        report: dict[str, Any] = json.loads((self.out / "report.json").read_text())
        return report

    @property
    def followers(self) -> dict[str, dict[str, Any]]:
        return {row["id"]: row for row in self.report["followers"]}


def demo_command(out: Path, *options: str) -> list[str]:
    return [sys.executable, "-m", "relay", "demo", "--out", str(out), *options]


def run_demo(out: Path, *options: str) -> DemoRun:
    done = subprocess.run(
        demo_command(out, *options), capture_output=True, text=True, timeout=RUN_SECONDS_MAX, check=False
    )
    return DemoRun(done.returncode, done.stdout, done.stderr, out)


def programs_of(out: Path) -> list[str]:
    """Command lines of living processes that name the run's folder."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:  # it ended meanwhile
            continue
        if str(out) in command:
            found.append(command)
    return found


def assert_promises(run: DemoRun) -> None:
    """What every run promises, whatever the market did."""
    assert run.status == 0, run.stderr
    assert "broken promise" not in run.stderr
    report = run.report
    assert report["venue"]["conservation_delta"] == "0"
    assert len(report["followers"]) == 5
    for row in report["followers"]:
        assert row["signals"] == row["copied"] + row["capped"] + row["skipped"] + row["missed"], row
        assert row["signals"] >= 20, row
        assert row["duplicate_orders"] == 0, row
        assert Decimal(row["leverage_max"]) <= Decimal(row["leverage_cap"]), row
    assert sum(row["copied"] >= 10 for row in report["followers"]) >= 3
    assert any(row["capped"] >= 1 for row in report["followers"])
    assert any(row["skip_reasons"].get("below_minimum", 0) >= 1 for row in report["followers"])
    assert (run.out / "report.html").stat().st_size > 100_000
    assert programs_of(run.out) == []
