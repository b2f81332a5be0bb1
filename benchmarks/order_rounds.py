"""What the rows of order entry share: one round of load against one server, and the words about its figures.

Belongs here: a round, its processor time, notes. Does not belong here: which servers are compared
(`rest_orders`, `order_entry`), the clients (`rest_load`, `ws_load`).
"""

from __future__ import annotations

import statistics
from collections.abc import Awaitable, Callable
from typing import Any

from benchmarks.interleave import cpu_seconds_of, spread
from benchmarks.talk import ask
from relay.demo.processes import Program

__all__ = ["ACCOUNTS", "Figures", "Side", "accounts_of", "median_rate", "order_round", "port_of", "told"]

ACCOUNTS = ("maker", "taker")

Figures = dict[str, float]
"""Of one round: `requests`, `per_second`, `p50_ms`, `p99_ms`, `client_cpu` (share of a core), `cpu_us`
(the server's processor time per order, microseconds)."""

Side = Callable[[], Awaitable[Figures]]


def order_round(client: Program, server: Program, task: dict[str, Any]) -> Side:
    """One side of a comparison: the client does `task` once, the server's processor time is read around it.

    The side raises RuntimeError if an order was not accepted.
    """

    async def measure() -> Figures:
        before = cpu_seconds_of(server.process.pid)
        answer = await ask(client, task)
        if "failure" in answer:
            raise RuntimeError(f"an order was not accepted: {answer['failure']}")
        answer["cpu_us"] = (cpu_seconds_of(server.process.pid) - before) / answer["requests"] * 1e6
        return answer

    return measure


def port_of(venue: Program) -> int:
    """Of its REST address."""
    return int(venue.ready["rest"].rpartition(":")[2])


def accounts_of(venue: Program) -> list[dict[str, str]]:
    """Its rows of `ACCOUNTS`, with their keys, in that order."""
    by_name = {row["name"]: row for row in venue.ready["accounts"]}
    return [by_name[name] for name in ACCOUNTS]


def median_rate(rounds: list[Figures]) -> float:
    """Orders per second."""
    return statistics.median([figures["per_second"] for figures in rounds])


def told(results: dict[str, list[Figures]]) -> list[str]:
    """A note for each side: spread of its rounds, latencies, processor time."""
    notes = []
    for name, rounds in results.items():
        middle = {
            key: statistics.median([figures[key] for figures in rounds])
            for key in ("p50_ms", "p99_ms", "cpu_us", "client_cpu")
        }
        notes.append(
            f"{name}: rounds {spread([figures['per_second'] for figures in rounds])}/s, "
            f"p50 {middle['p50_ms']:.1f} ms, p99 {middle['p99_ms']:.1f} ms, "
            f"server CPU {middle['cpu_us']:.0f} us an order, client {middle['client_cpu']:.0%} of a core"
        )
    return notes
