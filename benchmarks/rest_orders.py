"""rest_orders: signed orders per second over REST, the whole venue beside a handler that only checks and
answers.

Belongs here: three processes (two venues, the baseline), one client process for all, turns, notes. Does not
belong here: the client (`rest_load`), the baseline (`rest_baseline`).
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from benchmarks.interleave import cpu_seconds_of, interleave, spread
from benchmarks.table import Row, compared
from benchmarks.talk import ask, run_loop, started, work_folder
from benchmarks.venue import Durability, venue
from relay.demo.processes import Program

__all__ = ["NAMES", "run"]

NAMES = ("rest_orders",)
CONNECTIONS = 32
SECONDS = 1.5
ACCOUNTS = ("maker", "taker")
DURABILITIES: tuple[Durability, ...] = ("fsync", "os")
BASELINE = "aiohttp"

Figures = dict[str, float]


def run(only: set[str] | None) -> list[Row]:
    """The row, if it is asked for."""
    if only is not None and "rest_orders" not in only:
        return []
    with work_folder() as folder:
        return [_row(run_loop(_measure(folder)))]


async def _measure(folder: Path) -> dict[str, list[Figures]]:
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(started("client", "benchmarks.rest_load", [], folder))
        sides: dict[str, Callable[[], Awaitable[Figures]]] = {}
        accounts: list[dict[str, str]] = []
        for name in DURABILITIES:
            program = await stack.enter_async_context(venue(folder, ACCOUNTS, durability=name))
            accounts = program.ready["accounts"]
            port = int(program.ready["rest"].rpartition(":")[2])
            sides[name] = _round(client, program, port, accounts)
        keys = json.dumps({row["api_key"]: row["api_secret"] for row in accounts})
        plain = await stack.enter_async_context(
            started("aiohttp", "benchmarks.rest_baseline", [keys], folder)
        )
        sides[BASELINE] = _round(client, plain, plain.ready["port"], accounts)
        return await interleave(sides)


def _round(
    client: Program, server: Program, port: int, accounts: list[dict[str, str]]
) -> Callable[[], Awaitable[Figures]]:
    by_name = {row["name"]: row for row in accounts}
    task: dict[str, Any] = {"port": port, "connections": CONNECTIONS, "seconds": SECONDS}
    task["accounts"] = [by_name[name] for name in ACCOUNTS]

    async def measure() -> Figures:
        before = cpu_seconds_of(server.process.pid)
        answer = await ask(client, task)
        if "failure" in answer:
            raise RuntimeError(f"an order was not accepted: {answer['failure']}")
        answer["cpu_us"] = (cpu_seconds_of(server.process.pid) - before) / answer["requests"] * 1e6
        return answer

    return measure


def _row(results: dict[str, list[Figures]]) -> Row:
    rates = {name: [figures["per_second"] for figures in rounds] for name, rounds in results.items()}
    medians = {name: statistics.median(values) for name, values in rates.items()}
    base = medians[BASELINE]
    notes = [
        f"{CONNECTIONS} keep-alive connections, one request in flight on each; half of the orders trade. "
        "Ours checks key, window, signature, budget and risk, matches, journals, tells the streams; the "
        "baseline checks the signature and parses.",
        f"durability os instead of fsync: {medians['os']:,.0f} orders/s, ratio {medians['os'] / base:.2f}",
    ]
    for name, rounds in results.items():
        middle = {
            key: statistics.median([figures[key] for figures in rounds])
            for key in ("p50_ms", "p99_ms", "cpu_us", "client_cpu")
        }
        notes.append(
            f"{name}: rounds {spread(rates[name])}/s, p50 {middle['p50_ms']:.1f} ms, "
            f"p99 {middle['p99_ms']:.1f} ms, server CPU {middle['cpu_us']:.0f} us an order, "
            f"client {middle['client_cpu']:.0%} of a core"
        )
    return compared(
        "rest_orders", "orders/s", medians["fsync"], base, "minimal aiohttp handler (HMAC)", notes
    )
