"""The genesis that a venue's settings describe: instrument files, coin file, pool file, insurance fund.

Belongs here: putting the files together. Does not belong here: what stands in each (`instrument_files`,
`coins`, `pools`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson

from simulated_exchange.coins import read_coins
from simulated_exchange.driver import genesis_problem
from simulated_exchange.errors import ConfigurationError
from simulated_exchange.instrument_files import instrument_files, read_instruments
from simulated_exchange.pools import read_pools
from simulated_exchange.settings import VenueSettings

__all__ = ["listed_genesis"]

_KEYS = {"delivery_ms": "delivery", "funding": "funding_interval_ms, lower_funding_rate, upper_funding_rate"}
"""Keys of the files where the genesis calls them otherwise."""


def listed_genesis(settings: VenueSettings) -> dict[str, Any]:
    """What the venue lists, as its engine is created from. Raises ConfigurationError with all problems."""
    # load_settings fills them in
    assert settings.instruments is not None and settings.coins is not None and settings.pools is not None
    fund = f"{settings.insurance_fund_usdt:f}"
    instruments = read_instruments(settings.instruments)
    coins = read_coins(settings.coins, [row["symbol"] for row in instruments])
    pools = read_pools(settings.pools, fund, [row["name"] for row in coins])
    problems = _strangers(instruments, {row["name"] for row in coins}, pools)
    if problems:
        raise ConfigurationError(problems)
    genesis: dict[str, Any] = {
        "instruments": instruments,
        "coins": coins,
        "pools": pools,
        "insurance_fund": fund,
    }
    genesis["liquidation_fill_or_kill"] = settings.liquidation.fill_or_kill
    if settings.liquidation.takeover_beyond is not None:
        genesis["liquidation_takeover_beyond"] = f"{settings.liquidation.takeover_beyond:f}"
    problem = genesis_problem(orjson.dumps(genesis).decode())
    if problem is not None:
        places = {"coins": settings.coins, "pools": settings.pools}
        raise ConfigurationError([_with_file(problem, instrument_files(settings.instruments), places)])
    return genesis


def _with_file(problem: str, files: list[Path], places: Mapping[str, Path]) -> str:
    """What the engine says of a genesis, with the file and the key it comes from instead of the path."""
    found = re.match(r"(\w+)\[(\d+)\]\.?([^:]*): (.*)", problem, re.DOTALL)
    if found is None:
        return problem
    table, place, path, said = found[1], int(found[2]), found[3], found[4]
    if table == "instruments" and place < len(files):
        key = _KEYS.get(path, path)
        return f"{files[place]}: {key}: {said}"
    return f"{places[table]}: {problem}" if table in places else problem


def _strangers(instruments: list[dict[str, Any]], coins: set[str], pools: list[dict[str, Any]]) -> list[str]:
    """Coins, pools and converting instruments that an instrument names and nobody lists."""
    problems = []
    listed: list[str] = []
    for row in instruments:
        symbol, settle = row["symbol"], row["base"] if row.get("inverse") else row["quote"]
        needed = [settle, *([row["base"]] if row.get("kind") == "spot" else [])]
        problems += [f"{symbol}: {coin} is no listed coin" for coin in needed if coin not in coins]
        pool = row.get("pool", "")
        if all(other["coin"] != settle or pool not in ("", other["name"]) for other in pools):
            named = f"pool {pool} is not listed, or not" if pool else "no pool is"
            problems.append(f"{symbol}: {named} of the coin it settles in, {settle}")
        bridges = [source["converted_by"] for source in row["index_sources"] if "converted_by" in source]
        problems += [
            f"{symbol}: index_sources: converted_by {bridge} is not listed before it"
            for bridge in bridges
            if bridge not in listed
        ]
        listed.append(symbol)
    return problems
