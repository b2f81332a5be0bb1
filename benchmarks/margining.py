"""What margin costs beyond matching: a mark price change over many positions, memory per order and account.

Belongs here: calling the runner, rows. Does not belong here: the market that is measured and the bare pass
beside it (`simulated_exchange/engine/bench`).
"""

from __future__ import annotations

import statistics
from collections.abc import Callable

from benchmarks import runner
from benchmarks.table import Row, compared, reported

__all__ = ["NAMES", "run"]

POSITIONS, MANY_POSITIONS = 100_000, 1_000_000
ROUNDS = 15
LINEAR_TURNS, LINEAR_ROUNDS = 3, 5
TARGET, LINEAR_TARGET = 4, 1.5
ORDERS, ORDER_BYTES_MAX = 1_000_000, 128
ACCOUNTS, ACCOUNT_BYTES_MAX = 200_000, 512


def run(only: set[str] | None) -> list[Row]:
    """The rows whose names are in `only`, or all of them."""
    return [measure() for name, measure in MEASURES.items() if only is None or name in only]


def _remark() -> Row:
    answer = runner.asked("remark", POSITIONS, ROUNDS)
    ours, bare = (statistics.median(answer[side]) * 1e3 for side in ("exchange_s", "bare_s"))
    row = compared("remark_100k", "ms", ours, bare, "profits alone over arrays of the same shape")
    return row | {"target": TARGET}


def _remark_linear() -> Row:
    """Time per position, many positions beside the usual number."""
    each: dict[int, list[float]] = {POSITIONS: [], MANY_POSITIONS: []}
    for _ in range(LINEAR_TURNS):
        for positions, nanoseconds in each.items():
            seconds = runner.asked("remark", positions, LINEAR_ROUNDS)["exchange_s"]
            nanoseconds += [value / positions * 1e9 for value in seconds]
    few, many = (statistics.median(nanoseconds) for nanoseconds in each.values())
    baseline = f"the same with {POSITIONS:,} positions"
    row = compared("remark_linear", "ns/position", many, few, baseline, [f"{MANY_POSITIONS:,} positions"])
    return row | {"target": LINEAR_TARGET}


def _memory_per_order() -> Row:
    bytes_each = runner.asked("memory", "orders", ORDERS)["bytes"] / ORDERS
    note = f"growth of the process while {ORDERS:,} orders come to rest"
    return reported("memory_per_order", "B", bytes_each, [note]) | {"target": ORDER_BYTES_MAX}


def _memory_per_account() -> Row:
    bytes_each = runner.asked("memory", "accounts", ACCOUNTS)["bytes"] / ACCOUNTS
    note = f"growth of the process while {ACCOUNTS:,} accounts open, get money and trade"
    return reported("memory_per_account", "B", bytes_each, [note]) | {"target": ACCOUNT_BYTES_MAX}


MEASURES: dict[str, Callable[[], Row]] = {
    "remark_100k": _remark,
    "remark_linear": _remark_linear,
    "memory_per_order": _memory_per_order,
    "memory_per_account": _memory_per_account,
}
NAMES = tuple(MEASURES)
