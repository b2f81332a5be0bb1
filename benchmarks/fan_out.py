"""market_data: depth and trades to many subscribers while orders run; how old they are on arrival.

Belongs here: the processes, the row. Does not belong here: the clients (`fan_out_load`).
"""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import Any

from benchmarks.interleave import cpu_seconds_of
from benchmarks.table import Row, reported
from benchmarks.talk import ask, run_loop, started, work_folder
from benchmarks.venue import venue

__all__ = ["NAMES", "run"]

NAMES = ("market_data",)
SUBSCRIBERS = 500
ORDERS_PER_SECOND = 1000
SECONDS = 4.0
ROUNDS = 3
ACCOUNTS = ("maker", "taker")


def run(only: set[str] | None) -> list[Row]:
    """The row, if it is asked for."""
    if only is not None and "market_data" not in only:
        return []
    with work_folder() as folder:
        return [run_loop(_measure(folder))]


async def _measure(folder: Path) -> Row:
    rounds: list[dict[str, Any]] = []
    async with (
        started("client", "benchmarks.fan_out_load", [], folder) as client,
        venue(folder, ACCOUNTS) as server,
    ):
        by_name = {row["name"]: row for row in server.ready["accounts"]}
        task: dict[str, Any] = {"port": int(server.ready["rest"].rpartition(":")[2])}
        task |= {"subscribers": SUBSCRIBERS, "orders_per_second": ORDERS_PER_SECOND, "seconds": SECONDS}
        task["accounts"] = [by_name[name] for name in ACCOUNTS]
        for _ in range(ROUNDS):
            before = cpu_seconds_of(server.process.pid)
            figures = await ask(client, task)
            figures["server_cpu"] = (cpu_seconds_of(server.process.pid) - before) / SECONDS
            rounds.append(figures)
    middle = {name: statistics.median([row[name] for row in rounds]) for name in rounds[0]}
    gone = sum(row["gone"] for row in rounds)
    notes = [
        f"{SUBSCRIBERS} sockets, each with orderbook.50 and publicTrade, while {ORDERS_PER_SECOND} orders "
        f"a second trade; subscribers dropped: {gone}. To so many, trades go with the beat of 20 ms.",
        f"trades: p50 {middle['trade_p50_ms']:.0f} ms, p99 {middle['trade_p99_ms']:.0f} ms after the match, "
        f"{middle['trade_frames']:,.0f} frames a round; depth: p50 {middle['book_p50_ms']:.0f} ms, "
        f"p99 {middle['book_p99_ms']:.0f} ms after the frame was made, {middle['book_frames']:,.0f} frames",
        f"server {middle['server_cpu']:.0%} of a core, client {middle['client_cpu']:.0%}",
    ]
    return reported("market_data", "ms p99", middle["trade_p99_ms"], notes)
