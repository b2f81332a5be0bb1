"""The simulated exchange as the benchmarks use it: its real program, a quiet book, accounts with money.

Belongs here: starting it. Does not belong here: orders.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Literal, TypeAlias

import tomli_w

from benchmarks.talk import started
from relay.demo.processes import Program

__all__ = ["PRICE", "Durability", "venue"]

Durability: TypeAlias = Literal["fsync", "os"]

PRICE = 100_000  # where the index of BTCUSDT stands
DEPOSIT_USDT = 100_000_000
READY_S, READY_EACH_S = 30.0, 0.3  # an account is opened, paid in and synced
REQUESTS_PER_SECOND_MAX = 1_000_000  # so that the budget of an account is not what is measured


@asynccontextmanager
async def venue(
    folder: Path, accounts: Sequence[str], durability: Durability = "fsync"
) -> AsyncIterator[Program]:
    """`simulated-exchange serve` on a free port; its ready line is in `ready`."""
    name = f"exchange-{durability}"
    config = folder / f"{name}.toml"
    settings = {
        "start_prices": {"BTCUSDT": str(PRICE)},
        "gateway": {"requests_per_second_max": REQUESTS_PER_SECOND_MAX},
    }
    config.write_text(tomli_w.dumps(settings))
    arguments = ["serve", "--json", "--port", "0", "--config", str(config)]
    arguments += ["--durability", durability, "--data-dir", str(folder / name)]
    for account in accounts:
        arguments += ["--account", f"{account}:{DEPOSIT_USDT}"]
    limit_s = READY_S + READY_EACH_S * len(accounts)
    async with started(name, "simulated_exchange", arguments, folder, ready_seconds_max=limit_s) as program:
        yield program
