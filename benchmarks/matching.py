"""Matching speed: the whole exchange beside a plain order book, Python's calls beside the native loop.

Belongs here: building and calling the Rust runner, turn-by-turn timing, rows. Does not belong here: workloads
and engines (`simulated_exchange/engine/bench`), printing (`benchmarks.__main__`).

Baseline of matching_w1..w3: our own hash map and B-tree book without margin, accounts or events. If
SLIPSTREAM_REF_RS names the Rust source of another engine, that one is compiled and used instead; it is called
as `PROGRAM run btree ORDERS 1` and prints `med=` (Mops/s), `trades=`, `vol=` and `notional=`.
"""

from __future__ import annotations

import gc
import json
import os
import re
import statistics
import struct
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from simulated_exchange._engine import COMMAND_BYTES, Engine, OrderType, Outcome, Side, TimeInForce
from simulated_exchange.commits import CommitThread

__all__ = ["NAMES", "run"]

NAMES = (
    "matching_w1",
    "matching_w2",
    "matching_w3",
    "matching_batch_python",
    "single_call_python",
    "journal_on",
)
COMMANDS = 1_000_000
SINGLE_CALLS = 200_000
ROUNDS = 5
BATCH_COMMANDS = 4096
BATCH_WORKLOAD, SINGLE_WORKLOAD = "W1", "W3"
RUNNER_SECONDS_MAX = 600
ENGINE_FOLDER = Path(__file__).parents[1] / "simulated_exchange" / "engine"
REFERENCE_VARIABLE = "SLIPSTREAM_REF_RS"
PLACE, AMEND, CANCEL = 4, 5, 6

Row = dict[str, Any]


def run(only: set[str] | None) -> list[Row]:
    """The rows whose names are in `only`, or all of them; builds the runner first."""
    wanted = [name for name in NAMES if only is None or name in only]
    if not wanted:
        return []
    runner = _build_runner()
    measures: dict[str, Callable[[Path, Path], Row]] = {
        "matching_batch_python": _batch_python,
        "single_call_python": _single_call_python,
        "journal_on": _journal_on,
    }
    rows = []
    for name in wanted:
        with tempfile.TemporaryDirectory(prefix="bench-") as folder:
            if name in measures:
                rows.append(measures[name](runner, Path(folder)))
            else:
                rows.append(_matching(name, runner, Path(folder)))
    return rows


def _build_runner() -> Path:
    subprocess.run(
        ["cargo", "build", "--release", "--locked", "--quiet", "--package", "exchange-bench"],
        cwd=ENGINE_FOLDER,
        check=True,
    )
    return ENGINE_FOLDER / "target" / "release" / "matching-bench"


def _asked(runner: Path, *arguments: object) -> dict[str, Any]:
    output = _output(runner, *arguments)
    answer: dict[str, Any] = json.loads(output)
    return answer


def _output(program: Path, *arguments: object) -> str:
    command = [str(program), *map(str, arguments)]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=RUNNER_SECONDS_MAX, check=False)
    if ran.returncode != 0:
        raise RuntimeError(f"{' '.join(command)} ended with {ran.returncode}: {ran.stderr.strip()}")
    return ran.stdout


def _row(name: str, unit: str, ours: list[float], baseline: list[float], baseline_name: str) -> Row:
    mine, other = statistics.median(ours), statistics.median(baseline)
    return {
        "name": name,
        "unit": unit,
        "ours": round(mine, 3),
        "baseline": round(other, 3),
        "baseline_name": baseline_name,
        "ratio": round(mine / other, 3),
        "target": None,
    }


def _matching(name: str, runner: Path, folder: Path) -> Row:
    workload = name.removeprefix("matching_").upper()
    reference = os.environ.get(REFERENCE_VARIABLE)
    if reference:
        return _matching_beside(Path(reference), name, workload, runner, folder)
    answer = _asked(runner, "compare", workload, COMMANDS, ROUNDS)
    return _row(
        name,
        "Mops/s",
        [COMMANDS / seconds / 1e6 for seconds in answer["exchange_s"]],
        [COMMANDS / seconds / 1e6 for seconds in answer["reference_s"]],
        "own hash map + B-tree book, no margin, no events",
    )


def _matching_beside(reference: Path, name: str, workload: str, runner: Path, folder: Path) -> Row:
    """The same stream through another engine's program, in turn with ours; both must trade the same."""
    program, orders = folder / "reference", folder / "orders.bin"
    flags = ["-C", "opt-level=3", "-C", "target-cpu=native", "-C", "panic=abort", "-C", "codegen-units=1"]
    subprocess.run(["rustc", "--edition", "2021", *flags, str(reference), "-o", str(program)], check=True)
    _asked(runner, "orders", workload, COMMANDS, orders)
    expected = _asked(runner, "compare", workload, COMMANDS, 1)
    ours, baseline = [], []
    for _ in range(ROUNDS):
        told = _output(program, "run", "btree", orders, 1)
        facts = dict(re.findall(r"(\w+)=([0-9.]+)", told))
        traded = [int(facts[key]) for key in ("trades", "vol", "notional")]
        if traded != [expected["trades"], expected["volume"], expected["notional"]]:
            raise RuntimeError(f"{workload}: {reference} traded {traded}, the exchange {expected}")
        baseline.append(float(facts["med"]))
        ours.append(COMMANDS / _asked(runner, "exchange", workload, COMMANDS)["exchange_s"] / 1e6)
    return _row(name, "Mops/s", ours, baseline, f"{reference.name} btree")


def _batch_python(runner: Path, folder: Path) -> Row:
    setup, stream, instruments = _records(runner, folder, BATCH_WORKLOAD, COMMANDS)
    ours, native = [], []
    for _ in range(ROUNDS):
        engine = _engine(instruments, setup)
        start = time.perf_counter()
        for batch in _batches(stream):
            engine.apply_batch(batch)
        ours.append(COMMANDS / (time.perf_counter() - start) / 1e6)
        answer = _asked(runner, "exchange", BATCH_WORKLOAD, COMMANDS)
        native.append(COMMANDS / answer["exchange_s"] / 1e6)
        _must_agree(engine, answer)
    return _row("matching_batch_python", "Mops/s", ours, native, "native loop of the same core")


def _single_call_python(runner: Path, folder: Path) -> Row:
    setup, stream, instruments = _records(runner, folder, SINGLE_WORKLOAD, SINGLE_CALLS)
    ours, native = [], []
    for _ in range(ROUNDS):
        engine = _engine(instruments, setup)
        calls = [_typed_call(engine, record) for record in _split(stream, COMMAND_BYTES)]
        gc.collect()
        gc.freeze()  # the prepared calls are not the engine's garbage
        start = time.perf_counter()
        for method, times, arguments in calls:
            _ = method(*times, **arguments).events
        ours.append((time.perf_counter() - start) / SINGLE_CALLS * 1e6)
        gc.unfreeze()
        answer = _asked(runner, "exchange", SINGLE_WORKLOAD, SINGLE_CALLS)
        native.append(answer["exchange_s"] / SINGLE_CALLS * 1e6)
        _must_agree(engine, answer)
    return _row("single_call_python", "us/call", ours, native, "native apply of the same commands")


def _journal_on(runner: Path, folder: Path) -> Row:
    setup, stream, instruments = _records(runner, folder, BATCH_WORKLOAD, COMMANDS)
    on: list[float] = []
    off: list[float] = []
    for number in range(ROUNDS):
        for journal, speeds in ((None, off), (folder / f"{number}.journal", on)):
            engine = _engine(instruments, setup, journal)
            commits = CommitThread(engine.sync)
            start = time.perf_counter()
            commit = commits.ask()
            for batch in _batches(stream):
                engine.apply_batch(batch)
                if commit.done():
                    commit = commits.ask()
            commits.ask().result()
            speeds.append(COMMANDS / (time.perf_counter() - start) / 1e6)
            commits.close()
            del engine
            if journal:
                journal.unlink()
    return _row("journal_on", "Mops/s", on, off, "no journal; one fsync after the other beside the commands")


def _records(runner: Path, folder: Path, workload: str, commands: int) -> tuple[bytes, bytes, int]:
    file = folder / "commands.bin"
    answer = _asked(runner, "records", workload, commands, file)
    records = file.read_bytes()
    begin = answer["setup"] * COMMAND_BYTES
    return records[:begin], records[begin:], answer["instruments"]


def _engine(instruments: int, setup: bytes, journal: Path | None = None) -> Engine:
    engine = Engine.create(_genesis(instruments), str(journal) if journal else None, "fsync")
    for batch in _batches(setup):
        rejects = engine.apply_batch(batch).rejects()
        if rejects:
            raise RuntimeError(f"a command of the set-up was refused: {rejects[0]}")
    engine.sync()
    return engine


def _must_agree(engine: Engine, answer: dict[str, Any]) -> None:
    if engine.state_hash() != answer["state_hash"]:
        raise RuntimeError("Python's calls and the native loop ended in different states")


def _genesis(instruments: int) -> str:
    """As `genesis` in the runner: rich accounts, wide bands, nothing refused."""
    contracts = [
        {
            "symbol": f"BENCH{number}",
            "base": f"B{number}",
            "quote": "USDT",
            "tick_size": "0.1",
            "max_price": "1000000",
            "qty_step": "0.001",
            "min_qty": "0.001",
            "max_qty": "1190",
            "max_market_qty": "500",
            "min_notional": "0",
            "tiers": [{"limit": "1000000000", "max_leverage": "100", "mmr": "0.005"}],
            "taker_fee": "0.00055",
            "maker_fee": "0.0002",
            "price_band_x": "0.9",
            "price_band_y": "0.9",
            "index_sources": [{"name": "spot", "weight": "1"}],
            "index_stale_ms": 2**32 - 1,
            "index_clamp": "0.03",
            "basis_window_ms": 300_000,
        }
        for number in range(instruments)
    ]
    return json.dumps({"instruments": contracts, "insurance_fund": "0"})


def _batches(records: bytes) -> Iterator[bytes]:
    return _split(records, BATCH_COMMANDS * COMMAND_BYTES)


def _split(records: bytes, size: int) -> Iterator[bytes]:
    return (records[at : at + size] for at in range(0, len(records), size))


def _typed_call(
    engine: Engine, record: bytes
) -> tuple[Callable[..., Outcome], tuple[int, int], dict[str, Any]]:
    """A command record as the typed call that says the same."""
    kind, side, _, time_in_force, _, _, instrument, account = struct.unpack_from("<6BHI", record)
    market_ms, wall_us, order_id, price, qty = struct.unpack_from("<qqQqq", record, 16)
    times = (market_ms, wall_us)
    if kind == PLACE:
        arguments: dict[str, Any] = {
            "account": account,
            "instrument": instrument,
            "side": (Side.Buy, Side.Sell)[side],
            "order_type": OrderType.Limit,
            "time_in_force": (TimeInForce.GoodTillCancel, TimeInForce.ImmediateOrCancel)[time_in_force],
            "qty": qty,
            "price": price,
            "reduce_only": False,
            "link_id": "",
        }
        return engine.place_order, times, arguments
    if kind == AMEND:
        return (
            engine.amend_order,
            times,
            {"account": account, "order_id": order_id, "price": price, "qty": None},
        )
    if kind == CANCEL:
        return engine.cancel_order, times, {"account": account, "order_id": order_id}
    raise ValueError(f"kind {kind} is not part of a workload")
