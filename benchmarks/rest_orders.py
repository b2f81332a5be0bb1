"""rest_orders: signed orders per second over REST, the whole venue beside a handler that only checks and
answers.

Belongs here: three processes (two venues, the baseline), one client process for all, turns, notes. Does not
belong here: the client (`rest_load`), the baseline (`rest_baseline`).
"""

from __future__ import annotations

import json
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from benchmarks.interleave import interleave
from benchmarks.order_rounds import (
    ACCOUNTS,
    Figures,
    Side,
    accounts_of,
    median_rate,
    order_round,
    port_of,
    told,
)
from benchmarks.table import Row, compared
from benchmarks.talk import run_loop, started, work_folder
from benchmarks.venue import Durability, venue

__all__ = ["NAMES", "run"]

NAMES = ("rest_orders",)
CONNECTIONS = 32
SECONDS = 1.5
DURABILITIES: tuple[Durability, ...] = ("fsync", "os")
BASELINE = "aiohttp"
TARGET = 0.8  # of the bare handler's rate


def run(only: set[str] | None) -> list[Row]:
    """The row, if it is asked for."""
    if only is not None and "rest_orders" not in only:
        return []
    with work_folder() as folder:
        return [_row(run_loop(_measure(folder)))]


async def _measure(folder: Path) -> dict[str, list[Figures]]:
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(started("client", "benchmarks.rest_load", [], folder))
        sides: dict[str, Side] = {}
        task: dict[str, Any] = {"connections": CONNECTIONS, "seconds": SECONDS}
        for name in DURABILITIES:
            program = await stack.enter_async_context(venue(folder, ACCOUNTS, durability=name))
            task["accounts"] = accounts_of(program)
            sides[name] = order_round(client, program, {**task, "port": port_of(program)})
        keys = json.dumps({row["api_key"]: row["api_secret"] for row in task["accounts"]})
        plain = await stack.enter_async_context(
            started("aiohttp", "benchmarks.rest_baseline", [keys], folder)
        )
        sides[BASELINE] = order_round(client, plain, {**task, "port": plain.ready["port"]})
        return await interleave(sides)


def _row(results: dict[str, list[Figures]]) -> Row:
    medians = {name: median_rate(rounds) for name, rounds in results.items()}
    base = medians[BASELINE]
    notes = [
        f"{CONNECTIONS} keep-alive connections, one request in flight on each; half of the orders trade. "
        "Ours checks key, window, signature, budget and risk, matches, journals, tells the streams; the "
        "baseline checks the signature and parses.",
        f"durability os instead of fsync: {medians['os']:,.0f} orders/s, ratio {medians['os'] / base:.2f}",
        *told(results),
    ]
    name = "minimal aiohttp handler (HMAC)"
    return compared("rest_orders", "orders/s", medians["fsync"], base, name, notes) | {"target": TARGET}
