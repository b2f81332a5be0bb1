"""The genesis that a venue's settings describe: instrument files, coin file, pool file, insurance fund.

Belongs here: putting the files together. Does not belong here: what stands in each (`instrument_files`,
`coins`, `pools`).
"""

from __future__ import annotations

from typing import Any

from simulated_exchange.coins import read_coins
from simulated_exchange.errors import ConfigurationError
from simulated_exchange.instrument_files import read_instruments
from simulated_exchange.pools import read_pools
from simulated_exchange.settings import VenueSettings

__all__ = ["listed_genesis"]


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
    return genesis


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
