"""trade_socket and batch_orders: orders over the trade socket beside an echo, orders in batches beside single
ones.

Belongs here: processes, turns, notes. Does not belong here: the clients (`ws_load`, `rest_load`), the echo
(`ws_baseline`).
"""

from __future__ import annotations

from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from benchmarks.interleave import interleave
from benchmarks.order_rounds import ACCOUNTS, accounts_of, median_rate, order_round, port_of, told
from benchmarks.table import Row, compared
from benchmarks.talk import run_loop, started, work_folder
from benchmarks.venue import venue

__all__ = ["NAMES", "run"]

NAMES = ("trade_socket", "batch_orders")
SOCKETS = 50
CONNECTIONS = 8
BATCH = 20
SECONDS = 1.5
SOCKET_TARGET = 0.7  # of the echo's rate
BATCH_TARGET = 5.0  # times the rate of single orders


def run(only: set[str] | None) -> list[Row]:
    """The rows that are asked for."""
    rows = []
    for name, measure in (("trade_socket", _trade_socket), ("batch_orders", _batches)):
        if only is None or name in only:
            with work_folder() as folder:
                rows.append(run_loop(measure(folder)))
    return rows


async def _trade_socket(folder: Path) -> Row:
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(started("client", "benchmarks.ws_load", [], folder))
        server = await stack.enter_async_context(venue(folder, ACCOUNTS))
        echo = await stack.enter_async_context(started("echo", "benchmarks.ws_baseline", [], folder))
        task = {"connections": SOCKETS, "seconds": SECONDS}
        ours = {**task, "port": port_of(server), "accounts": accounts_of(server)}
        theirs = {**task, "port": echo.ready["port"], "accounts": []}
        results = await interleave(
            {"ours": order_round(client, server, ours), "echo": order_round(client, echo, theirs)}
        )
    notes = [
        f"{SOCKETS} sockets, one order in flight on each; half of the orders trade. Ours matches, "
        "journals with fsync before the answer, and tells the streams; the echo parses and answers.",
        *told(results),
    ]
    ours_rate, echo_rate = median_rate(results["ours"]), median_rate(results["echo"])
    row = compared("trade_socket", "orders/s", ours_rate, echo_rate, "aiohttp socket, echo", notes)
    return row | {"target": SOCKET_TARGET}


async def _batches(folder: Path) -> Row:
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(started("client", "benchmarks.rest_load", [], folder))
        server = await stack.enter_async_context(venue(folder, ACCOUNTS))
        task: dict[str, Any] = {"connections": CONNECTIONS, "seconds": SECONDS, "port": port_of(server)}
        task["accounts"] = accounts_of(server)
        single = order_round(client, server, task)
        batch = order_round(client, server, {**task, "batch": BATCH})
        results = await interleave({"batch": batch, "single": single})
    notes = [
        f"{CONNECTIONS} signed REST connections, one request in flight on each, {BATCH} orders in a batch.",
        *told(results),
    ]
    row = compared(
        "batch_orders",
        "orders/s",
        median_rate(results["batch"]),
        median_rate(results["single"]),
        "single orders",
        notes,
    )
    return row | {"target": BATCH_TARGET}
