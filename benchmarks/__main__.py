"""`python -m benchmarks`: measure, print the table, write the file.

Belongs here: which modules there are, options, exit status. Does not belong here: any measuring.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

from rich.console import Console

from benchmarks import (
    dashboard_update,
    decide,
    fan_out,
    follower_submit,
    followers_fan_out,
    followers_scale,
    gap_fill,
    hosted_copies,
    key_wrap,
    margining,
    matching,
    order_entry,
    report_10m,
    reports_ingest,
    rest_orders,
    signal_one_way,
    signal_to_decision,
    single_call,
)
from benchmarks.interleave import ForeignCpu
from benchmarks.table import Row, print_rows, write_rows

__all__ = ["MODULES", "main"]

MODULES: tuple[ModuleType, ...] = (
    matching,
    single_call,
    margining,
    rest_orders,
    order_entry,
    fan_out,
    signal_one_way,
    signal_to_decision,
    followers_fan_out,
    followers_scale,
    gap_fill,
    key_wrap,
    follower_submit,
    hosted_copies,
    decide,
    reports_ingest,
    report_10m,
    dashboard_update,
)
"""Each has `NAMES`, its rows, and `run(only)`, which measures those asked for (None: all)."""

DEFAULT_OUTPUT = Path("runs/bench.json")
DISTURBED_SHARE = 0.25  # of all processors, taken by others
HEADLINE = "Medians of interleaved rounds. ↑ more is better, ↓ less is better; ratio = ours / baseline."


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns the exit status; a wrong option ends the program with 2."""
    names = [name for module in MODULES for name in module.NAMES]
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description="Every speed figure beside its baseline."
    )
    parser.add_argument("--only", metavar="NAME", choices=names, help=", ".join(names))
    parser.add_argument(
        "--out", metavar="FILE", type=Path, default=DEFAULT_OUTPUT, help=f"default: {DEFAULT_OUTPUT}"
    )
    options = parser.parse_args(arguments)
    only = None if options.only is None else {options.only}
    options.out.unlink(missing_ok=True)  # figures of another run are worse than none
    rows: list[Row] = []
    remarks = [HEADLINE]
    for module in MODULES:
        if only is not None and only.isdisjoint(module.NAMES):
            continue
        name = module.__name__.rpartition(".")[2]
        try:
            with Console(stderr=True).status(f"measuring {name}"):
                foreign = ForeignCpu.begin_when_quiet()
                rows += module.run(only)
        except KeyboardInterrupt:
            return 1
        except Exception as error:
            sys.stderr.write(f"benchmarks: {name}: {type(error).__name__}: {error}\n")
            return 1
        remarks.append(_remark(name, foreign.share()))
    print_rows(rows, remarks)
    write_rows(rows, options.out)
    return 0


def _remark(name: str, share: float | None) -> str:
    if share is None:
        return f"{name}: what others used of the processors is unknown on this system"
    doubt = "" if share <= DISTURBED_SHARE else "; disturbed, repeat before believing a figure"
    return f"{name}: others used {share:.0%} of {os.cpu_count()} processors meanwhile{doubt}"


if __name__ == "__main__":
    sys.exit(main())
