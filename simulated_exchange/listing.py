"""The genesis that a venue's settings describe: instrument files, coin file, insurance fund.

Belongs here: putting the files together. Does not belong here: what stands in each (`instruments`, `coins`).
"""

from __future__ import annotations

from typing import Any

import orjson

from simulated_exchange.coins import read_coins
from simulated_exchange.instruments import read_genesis
from simulated_exchange.settings import VenueSettings

__all__ = ["listed_genesis"]


def listed_genesis(settings: VenueSettings) -> dict[str, Any]:
    """What the venue lists, as its engine is created from. Raises ConfigurationError with all problems."""
    assert settings.instruments is not None and settings.coins is not None  # load_settings fills them in
    genesis: dict[str, Any] = orjson.loads(
        read_genesis(settings.instruments, f"{settings.insurance_fund_usdt:f}")
    )
    genesis["coins"] = read_coins(settings.coins, [row["symbol"] for row in genesis["instruments"]])
    genesis["liquidation_fill_or_kill"] = settings.liquidation.fill_or_kill
    if settings.liquidation.takeover_beyond is not None:
        genesis["liquidation_takeover_beyond"] = f"{settings.liquidation.takeover_beyond:f}"
    return genesis
