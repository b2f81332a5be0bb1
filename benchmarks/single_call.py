"""single_call_python: one order by one typed call from Python with its events, beside the bare border.

Belongs here: a stream as typed calls, their timing, the baseline. Does not belong here: what a call does.

Baseline: two C functions, one that takes seven integers, one that returns three tuples of six (`border.c`),
called in turn: what the interpreter takes for an order and its events whoever fills them. Both by processor
time, so that strangers take nothing from either. `matching/callcost.c` in the folder that SLIPSTREAM_BENCH
names (`../shared/bench`) is used instead where it is, or the file that SLIPSTREAM_CALLCOST_C names.
"""

from __future__ import annotations

import importlib.util
import os
import shlex
import statistics
import struct
import subprocess
import sysconfig
import tempfile
import time
from pathlib import Path
from types import ModuleType
from typing import Any

from benchmarks import runner
from benchmarks.table import Row, compared
from simulated_exchange._engine import COMMAND_BYTES, Engine, OrderType, Side, TimeInForce

__all__ = ["NAMES", "run"]

NAMES = ("single_call_python",)
CALLS = 200_000
ROUNDS = 5
TARGET = 3
WORKLOAD = "W3"
SOURCE_VARIABLE = "SLIPSTREAM_CALLCOST_C"
MODULE = "callcost"
PLACE, AMEND, CANCEL = 4, 5, 6
SIDES = (Side.Buy, Side.Sell)
TIMES_IN_FORCE = (TimeInForce.GoodTillCancel, TimeInForce.ImmediateOrCancel)
ORDER = (1, 2, 3, 4, 5, 6, 1_000_007)
BLOCK = 1000


def run(only: set[str] | None) -> list[Row]:
    """The row, if it is asked for."""
    if only is not None and only.isdisjoint(NAMES):
        return []
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        setup, stream, instruments = runner.records(folder, WORKLOAD, CALLS)
        border = _border(folder)
        answer = runner.asked("exchange", WORKLOAD, CALLS)
        rounds = []
        for _ in range(ROUNDS):
            engine = runner.engine(instruments, setup)
            rounds.append(_in_turn(engine, stream, border))
            runner.must_agree(engine, answer)
    ours, bare = (statistics.median(seconds) / CALLS * 1e6 for seconds in zip(*rounds, strict=True))
    native = answer["processor_s"] / CALLS * 1e6
    note = f"the native loop takes {native:.3g} us for the same command"
    baseline = "7 integers in, 3 tuples of 6 out, in C"
    row = compared(NAMES[0], "us/call", ours, bare, baseline, [note])
    return [row | {"target": TARGET}]


def _in_turn(engine: Engine, stream: bytes, border: ModuleType) -> tuple[float, float]:
    """Seconds of the stream, call by call, and of the border, crossed as often, a block of each in turn.

    A call's arguments are made shortly before it, as any caller makes them, outside of what is timed.
    """
    place, amend, cancel = engine.place_order, engine.amend_order, engine.cancel_order
    apply7, events = border.apply7, border.events
    clock, ours, bare = time.thread_time, 0.0, 0.0
    for block in runner.split(stream, BLOCK * COMMAND_BYTES):
        calls = [_arguments(record) for record in runner.split(block, COMMAND_BYTES)]
        start = clock()
        for kind, arguments in calls:
            if kind == PLACE:
                _ = place(*arguments).events
            elif kind == CANCEL:
                _ = cancel(*arguments).events
            else:
                _ = amend(*arguments).events
        ours += clock() - start
        start = clock()
        for _ in calls:
            apply7(*ORDER)
            _ = events()
        bare += clock() - start
    return ours, bare


def _border(folder: Path) -> ModuleType:
    """The baseline's module, compiled with the compiler that Python was built with."""
    reference = Path(os.environ.get(SOURCE_VARIABLE, runner.BENCH_FOLDER / "matching" / "callcost.c"))
    source = str(reference if reference.is_file() else Path(__file__).with_name("border.c"))
    library = folder / f"{MODULE}.so"
    compiler = shlex.split(os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc")
    include = sysconfig.get_paths()["include"]
    command = [*compiler, "-O2", "-shared", "-fPIC", f"-I{include}", source, "-o", str(library)]
    subprocess.run(command, check=True, capture_output=True)
    spec = importlib.util.spec_from_file_location(MODULE, library)
    if spec is None or spec.loader is None:
        raise RuntimeError(f"{library} is no module")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _arguments(record: bytes) -> tuple[int, tuple[Any, ...]]:
    """A command record as its kind and the arguments of the typed call that says the same."""
    kind, side, _, time_in_force, _, _, instrument, account = struct.unpack_from("<6BHI", record)
    market_ms, wall_us, order_id, price, qty = struct.unpack_from("<qqQqq", record, 16)
    if kind == CANCEL:
        return kind, (market_ms, wall_us, account, order_id)
    if kind == AMEND:
        return kind, (market_ms, wall_us, account, order_id, price, None)
    if kind != PLACE:
        raise ValueError(f"kind {kind} is not part of a workload")
    words = SIDES[side], OrderType.Limit, TIMES_IN_FORCE[time_in_force]
    return kind, (market_ms, wall_us, account, instrument, *words, qty, price, False, "")
