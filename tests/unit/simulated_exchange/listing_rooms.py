"""What the shipped configuration lists, for tests that trade on it. No tests here."""

from __future__ import annotations

from typing import Any

import orjson

from simulated_exchange.instruments import Catalogue, Instrument
from simulated_exchange.listing import listed_genesis
from simulated_exchange.pools import with_fund
from simulated_exchange.settings import load_settings

__all__ = ["listed", "shipped", "shipped_genesis"]


def shipped(insurance_fund: str = "1000") -> dict[str, Any]:
    """The genesis of the shipped files."""
    return with_fund(listed_genesis(load_settings(None, {})), insurance_fund)


def shipped_genesis(insurance_fund: str = "1000") -> str:
    """The same as the engine takes it."""
    return orjson.dumps(shipped(insurance_fund)).decode()


def listed(name: str) -> Instrument:
    """An instrument of the shipped files."""
    instrument = Catalogue.from_genesis(shipped_genesis()).by_name(name)
    assert instrument is not None, name
    return instrument
