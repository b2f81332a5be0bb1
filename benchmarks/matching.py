"""Matching speed: the exchange beside a plain order book, its journal and Python's batches beside it alone.

Belongs here: turn-by-turn timing of streams, rows. Does not belong here: workloads and engines
(`simulated_exchange/engine/bench`), the runner (`benchmarks.runner`), printing (`benchmarks.__main__`).

Baseline of matching_w1..w3: a reference engine's Rust source, `matching/ref.rs` in the folder that
SLIPSTREAM_BENCH names (`../shared/bench`), or the file that SLIPSTREAM_REF_RS names; without one our own hash
map and B-tree book, as without margin, accounts and events. The row says which. A reference is called
as `PROGRAM run btree ORDERS 1` and prints `med=` (Mops/s), `trades=`, `vol=` and `notional=`.
"""

from __future__ import annotations

import os
import re
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks import runner
from benchmarks.table import Row, compared
from simulated_exchange.disk import DiskThread

__all__ = ["NAMES", "run"]

COMMANDS = 1_000_000
ROUNDS = 5
BATCH_WORKLOAD = "W1"
REFERENCE_VARIABLE = "SLIPSTREAM_REF_RS"
REFERENCE = runner.BENCH_FOLDER / "matching" / "ref.rs"
TARGETS = {
    "matching_w1": 1.5,
    "matching_w2": 1.2,
    "matching_w3": 1.3,
    "matching_batch_python": 0.85,
    "journal_on": 0.6,
}
NAMES = tuple(TARGETS)


def run(only: set[str] | None) -> list[Row]:
    """The rows whose names are in `only`, or all of them; builds the runner first."""
    measures: dict[str, Callable[[Path], Row]] = {
        "matching_batch_python": _batch_python,
        "journal_on": _journal_on,
    }
    rows = []
    for name in NAMES:
        if only is not None and name not in only:
            continue
        with tempfile.TemporaryDirectory(prefix="bench-") as folder:
            measured = measures[name](Path(folder)) if name in measures else _matching(name, Path(folder))
        rows.append(measured | {"target": TARGETS[name]})
    return rows


def _row(name: str, ours: list[float], baseline: list[float], baseline_name: str) -> Row:
    return compared(name, "Mops/s", statistics.median(ours), statistics.median(baseline), baseline_name)


def _matching(name: str, folder: Path) -> Row:
    workload = name.removeprefix("matching_").upper()
    reference = Path(os.environ.get(REFERENCE_VARIABLE, REFERENCE))
    if reference.is_file():
        return _matching_beside(reference, name, workload, folder)
    answer = runner.asked("compare", workload, COMMANDS, ROUNDS)
    return _row(
        name,
        [COMMANDS / seconds / 1e6 for seconds in answer["exchange_s"]],
        [COMMANDS / seconds / 1e6 for seconds in answer["reference_s"]],
        "own hash map + B-tree book, no margin, no events",
    )


def _matching_beside(reference: Path, name: str, workload: str, folder: Path) -> Row:
    """The same stream through another engine's program, in turn with ours; both must trade the same."""
    program, orders = folder / "reference", folder / "orders.bin"
    flags = ["-C", "opt-level=3", "-C", "target-cpu=native", "-C", "panic=abort", "-C", "codegen-units=1"]
    subprocess.run(["rustc", "--edition", "2021", *flags, str(reference), "-o", str(program)], check=True)
    runner.asked("orders", workload, COMMANDS, orders)
    expected = runner.asked("compare", workload, COMMANDS, 1)
    ours, baseline = [], []
    for _ in range(ROUNDS):
        told = runner.output(program, "run", "btree", orders, 1)
        facts = dict(re.findall(r"(\w+)=([0-9.]+)", told))
        traded = [int(facts[key]) for key in ("trades", "vol", "notional")]
        if traded != [expected["trades"], expected["volume"], expected["notional"]]:
            raise RuntimeError(f"{workload}: {reference} traded {traded}, the exchange {expected}")
        baseline.append(float(facts["med"]))
        ours.append(COMMANDS / runner.asked("exchange", workload, COMMANDS)["exchange_s"] / 1e6)
    return _row(name, ours, baseline, f"{reference.name} btree")


def _batch_python(folder: Path) -> Row:
    """By processor time, of which strangers take nothing; a batch is made shortly before its call."""
    setup, stream, instruments = runner.records(folder, BATCH_WORKLOAD, COMMANDS)
    ours, native = [], []
    for _ in range(ROUNDS):
        engine = runner.engine(instruments, setup)
        seconds = 0.0
        for batch in runner.batches(stream):
            start = time.thread_time()
            engine.apply_batch(batch)
            seconds += time.thread_time() - start
        ours.append(COMMANDS / seconds / 1e6)
        answer = runner.asked("exchange", BATCH_WORKLOAD, COMMANDS)
        native.append(COMMANDS / answer["processor_s"] / 1e6)
        runner.must_agree(engine, answer)
    return _row("matching_batch_python", ours, native, "native loop of the same core")


def _journal_on(folder: Path) -> Row:
    setup, stream, instruments = runner.records(folder, BATCH_WORKLOAD, COMMANDS)
    on: list[float] = []
    off: list[float] = []
    for number in range(ROUNDS):
        for journal, speeds in ((None, off), (folder / f"{number}.journal", on)):
            engine = runner.engine(instruments, setup, journal)
            commits = DiskThread("commit")
            start = time.perf_counter()
            commit = commits.ask(engine.sync)
            for batch in runner.batches(stream):
                engine.apply_batch(batch)
                if commit.done():
                    commit = commits.ask(engine.sync)
            commits.ask(engine.sync).result()
            speeds.append(COMMANDS / (time.perf_counter() - start) / 1e6)
            commits.close()
            del engine
            if journal:
                journal.unlink()
    return _row("journal_on", on, off, "no journal; one fsync after the other beside the commands")
