"""single_call_python: one order by one typed call from Python with its events, beside the bare border.

Belongs here: a stream as typed calls, their timing, the baseline. Does not belong here: what a call does.

Baseline: two C functions, one that takes seven integers, one that returns three tuples of six (`border.c`),
called in turn: what the interpreter takes for an order and its events whoever fills them. If
SLIPSTREAM_CALLCOST_C names another C source of a module `callcost` with `apply7` and `events`, that one is
used.
"""

from __future__ import annotations

import gc
import importlib.util
import os
import shlex
import statistics
import struct
import subprocess
import sysconfig
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from benchmarks import runner
from benchmarks.table import Row, compared
from simulated_exchange._engine import COMMAND_BYTES, Engine, OrderType, Outcome, Side, TimeInForce

__all__ = ["NAMES", "run"]

NAMES = ("single_call_python",)
CALLS = 200_000
ROUNDS = 5
TARGET = 3
WORKLOAD = "W3"
SOURCE_VARIABLE = "SLIPSTREAM_CALLCOST_C"
MODULE = "callcost"
PLACE, AMEND, CANCEL = 4, 5, 6
ORDER = (1, 2, 3, 4, 5, 6, 1_000_007)


def run(only: set[str] | None) -> list[Row]:
    """The row, if it is asked for."""
    if only is not None and only.isdisjoint(NAMES):
        return []
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        setup, stream, instruments = runner.records(folder, WORKLOAD, CALLS)
        border = _border(folder)
        answer = runner.asked("exchange", WORKLOAD, CALLS)
        ours, bare = [], []
        for _ in range(ROUNDS):
            engine = runner.engine(instruments, setup)
            ours.append(_calls_us(engine, stream))
            bare.append(_border_us(border))
            runner.must_agree(engine, answer)
    native = answer["exchange_s"] / CALLS * 1e6
    note = f"the native loop takes {native:.3g} us for the same command"
    baseline = "7 integers in, 3 tuples of 6 out, in C"
    row = compared(NAMES[0], "us/call", statistics.median(ours), statistics.median(bare), baseline, [note])
    return [row | {"target": TARGET}]


def _calls_us(engine: Engine, stream: bytes) -> float:
    calls = [_typed_call(engine, record) for record in runner.split(stream, COMMAND_BYTES)]
    gc.collect()
    gc.freeze()  # the prepared calls are not the engine's garbage
    start = time.perf_counter()
    for method, times, arguments in calls:
        _ = method(*times, **arguments).events
    seconds = time.perf_counter() - start
    gc.unfreeze()
    return seconds / CALLS * 1e6


def _border_us(border: ModuleType) -> float:
    apply7, events = border.apply7, border.events
    start = time.perf_counter()
    for _ in range(CALLS):
        apply7(*ORDER)
        _ = events()
    return (time.perf_counter() - start) / CALLS * 1e6


def _border(folder: Path) -> ModuleType:
    """The baseline's module, compiled with the compiler that Python was built with."""
    source = os.environ.get(SOURCE_VARIABLE) or str(Path(__file__).with_name("border.c"))
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
