"""trade_socket and batch_orders: orders over the trade socket beside an echo, orders in batches beside single
ones.

Belongs here: processes, turns, notes. Does not belong here: the clients (`ws_load`, `rest_load`), the echo
(`ws_baseline`).
"""

from __future__ import annotations

import statistics
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from benchmarks.interleave import cpu_seconds_of, interleave, spread
from benchmarks.table import Row, compared
from benchmarks.talk import ask, run_loop, started, work_folder
from benchmarks.venue import venue
from relay.demo.processes import Program

__all__ = ["NAMES", "run"]

NAMES = ("trade_socket", "batch_orders")
SOCKETS = 50
CONNECTIONS = 8
BATCH = 20
SECONDS = 1.5
ACCOUNTS = ("maker", "taker")

Figures = dict[str, float]
Side = Callable[[], Awaitable[Figures]]


def run(only: set[str] | None) -> list[Row]:
    """The rows that are asked for."""
    rows = []
    for name, measure in (("trade_socket", _trade_socket), ("batch_orders", _batches)):
        if only is None or name in only:
            with work_folder() as folder:
                rows.append(run_loop(measure(folder)))
    return rows


def _round(client: Program, server: Program, task: dict[str, Any]) -> Side:
    async def measure() -> Figures:
        before = cpu_seconds_of(server.process.pid)
        answer = await ask(client, task)
        if "failure" in answer:
            raise RuntimeError(f"an order was not accepted: {answer['failure']}")
        answer["cpu_us"] = (cpu_seconds_of(server.process.pid) - before) / answer["requests"] * 1e6
        return answer

    return measure


def _port(program: Program) -> int:
    return int(program.ready["rest"].rpartition(":")[2])


def _accounts(program: Program) -> list[dict[str, str]]:
    by_name = {row["name"]: row for row in program.ready["accounts"]}
    return [by_name[name] for name in ACCOUNTS]


def _told(results: dict[str, list[Figures]]) -> list[str]:
    notes = []
    for name, rounds in results.items():
        middle = {
            key: statistics.median([figures[key] for figures in rounds])
            for key in ("p50_ms", "p99_ms", "cpu_us", "client_cpu")
        }
        rates = [figures["per_second"] for figures in rounds]
        notes.append(
            f"{name}: rounds {spread(rates)}/s, p50 {middle['p50_ms']:.1f} ms, "
            f"p99 {middle['p99_ms']:.1f} ms, "
            f"server CPU {middle['cpu_us']:.0f} us an order, client {middle['client_cpu']:.0%} of a core"
        )
    return notes


def _median(rounds: list[Figures]) -> float:
    return statistics.median([figures["per_second"] for figures in rounds])


async def _trade_socket(folder: Path) -> Row:
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(started("client", "benchmarks.ws_load", [], folder))
        server = await stack.enter_async_context(venue(folder, ACCOUNTS))
        echo = await stack.enter_async_context(started("echo", "benchmarks.ws_baseline", [], folder))
        task = {"connections": SOCKETS, "seconds": SECONDS}
        ours = {**task, "port": _port(server), "accounts": _accounts(server)}
        theirs = {**task, "port": echo.ready["port"], "accounts": []}
        results = await interleave(
            {"ours": _round(client, server, ours), "echo": _round(client, echo, theirs)}
        )
    notes = [
        f"{SOCKETS} sockets, one order in flight on each; half of the orders trade. Ours matches, "
        "journals with fsync before the answer, and tells the streams; the echo parses and answers.",
        *_told(results),
    ]
    ours_rate, echo_rate = _median(results["ours"]), _median(results["echo"])
    return compared("trade_socket", "orders/s", ours_rate, echo_rate, "aiohttp socket, echo", notes)


async def _batches(folder: Path) -> Row:
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(started("client", "benchmarks.rest_load", [], folder))
        server = await stack.enter_async_context(venue(folder, ACCOUNTS))
        task: dict[str, Any] = {"connections": CONNECTIONS, "seconds": SECONDS, "port": _port(server)}
        task["accounts"] = _accounts(server)
        single = _round(client, server, task)
        batch = _round(client, server, {**task, "batch": BATCH})
        results = await interleave({"batch": batch, "single": single})
    notes = [
        f"{CONNECTIONS} signed REST connections, one request in flight on each, {BATCH} orders in a batch.",
        *_told(results),
    ]
    return compared(
        "batch_orders",
        "orders/s",
        _median(results["batch"]),
        _median(results["single"]),
        "single orders",
        notes,
    )
