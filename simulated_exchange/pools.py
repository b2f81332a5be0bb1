"""The insurance pools: what stands behind which contracts, from the pool file or from a genesis record.

Belongs here: TOML to the pool rows of the genesis text, and the integer view of them that the gateway needs.
Does not belong here: what a pool pays for and when its contracts are deleveraged (the engine's). Amounts are
fixed point.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from simulated_exchange.errors import ConfigurationError
from simulated_exchange.instruments import fixed_point
from simulated_exchange.toml_rows import Check, at_most_decimals, one_of, read_table, read_toml, text

__all__ = ["Pool", "pools_of", "read_pools", "with_fund"]

POOLS_MAX = 800
_AMOUNT = at_most_decimals(8)
_RULES = ("adl_threshold", "adl_trigger_ratio", "adl_stop_ratio", "adl_mark_beyond")


@dataclass(frozen=True, slots=True)
class Pool:
    """One insurance pool as listed; its number is its position."""

    index: int
    name: str
    coin: str
    opening_balance: int


def pools_of(genesis_json: str) -> list[Pool]:
    """The pools of the text the engine was created with; a text without any has one per settlement coin."""
    genesis = orjson.loads(genesis_json)
    rows = genesis.get("pools")
    if rows is None:
        coins = dict.fromkeys(row["quote"] for row in genesis["instruments"])
        rows = [{"name": name, "coin": name, "balance": genesis["insurance_fund"]} for name in coins]
    return [
        Pool(index, row["name"], row["coin"], fixed_point(row["balance"])) for index, row in enumerate(rows)
    ]


def read_pools(file: Path, insurance_fund: str, coins: Collection[str]) -> list[dict[str, Any]]:
    """The pool rows of the genesis text, in the file's order; a pool without a balance opens with the fund.

    Raises ConfigurationError with one line per problem, each naming file, pool and key.
    """
    table = read_toml(file)
    entries = table.get("pools")
    if not isinstance(entries, list) or not entries:
        raise ConfigurationError([f"{file}: pools: must be a list of one table or more"])
    required: dict[str, Check] = {"name": text, "coin": one_of(coins)}
    optional: dict[str, Check] = dict.fromkeys(("balance", *_RULES), _AMOUNT)
    problems = [f"{file}: {key}: is not a known key" for key in table if key != "pools"]
    rows: list[dict[str, Any]] = []
    for at, entry in enumerate(entries):
        row, found = read_table(entry, required, optional, f"pools[{at}].")
        problems += [f"{file}: {problem}" for problem in found]
        rows.append({"balance": insurance_fund, **row})
    names = [row.get("name") for row in rows]
    problems += [
        f"{file}: pool {name} twice" for name in sorted({n for n in names if n and names.count(n) > 1})
    ]
    if len(rows) > POOLS_MAX:
        problems.append(f"{file}: more than {POOLS_MAX} pools")
    if problems:
        raise ConfigurationError(problems)
    return rows


def with_fund(genesis: dict[str, Any], insurance_fund: str) -> dict[str, Any]:
    """A genesis whose first pool opens with this much."""
    pools = genesis.get("pools", [])
    first = [{**pool, "balance": insurance_fund} for pool in pools[:1]]
    changed = {**genesis, "insurance_fund": insurance_fund}
    return {**changed, "pools": [*first, *pools[1:]]} if pools else changed
