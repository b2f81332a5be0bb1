"""The instrument files: what is traded, one contract or pair to a file, as rows of the genesis text.

Belongs here: which keys each kind of instrument has, and what is wrong with a file. Does not belong here:
margin and price rules (the engine's), the integer view of what is listed (`instruments`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from simulated_exchange.errors import ConfigurationError
from simulated_exchange.toml_rows import (
    Check,
    at_most_decimals,
    one_of,
    read_table,
    read_toml,
    switch,
    tables,
    text,
    utc_ms,
    whole,
)

__all__ = ["INSTRUMENTS_MAX", "KINDS", "instrument_files", "read_instruments"]

INSTRUMENTS_MAX = 512
KINDS = ("perpetual", "expiry", "spot")

_AMOUNT = at_most_decimals(8)
_RATE = at_most_decimals(12)
_HUNDREDTHS = at_most_decimals(2)
# Spot has no positions, so no limits of them: one tier that says nothing.
_NO_TIERS = [{"limit": "1000000000", "max_leverage": "1", "mmr": "0.5"}]
_SPOT_BASIS_WINDOW_MS = 120_000  # the premium that moves spot's price bands is a mean of two minutes


_REQUIRED: dict[str, Check] = {
    "symbol": text,
    "base": text,
    "quote": text,
    **dict.fromkeys(("tick_size", "max_price", "qty_step", "min_qty", "max_qty"), _AMOUNT),
    **dict.fromkeys(("max_market_qty", "min_notional", "taker_fee", "maker_fee"), _AMOUNT),
    **dict.fromkeys(("price_band_x", "price_band_y", "index_clamp"), _AMOUNT),
    "index_sources": tables({"name": text, "weight": _AMOUNT}, {"converted_by": text}),
    "index_stale_ms": whole,
}
_OPTIONAL: dict[str, Check] = {
    "kind": one_of(KINDS),
    "pool": text,
    "max_post_only_qty": _AMOUNT,
    "index_method": one_of(("clamp", "drop", "two_pass")),
}
_CONTRACT: dict[str, Check] = {
    "basis_window_ms": whole,
    "tiers": tables({"limit": _AMOUNT, "max_leverage": _HUNDREDTHS, "mmr": _AMOUNT}, {}),
}
_CONTRACT_OPTIONAL: dict[str, Check] = {
    "inverse": switch,
    "zone": text,
    "default_leverage": _HUNDREDTHS,
    "guards_low_price": switch,
    "isolated_margin_on": one_of(("mark", "entry")),
}
_FUNDING: dict[str, Check] = {
    "funding_interval_ms": whole,
    "funding_payments": whole,
    "impact_notional": _AMOUNT,
    **dict.fromkeys(("lower_funding_rate", "upper_funding_rate", "daily_interest", "funding_clamp"), _RATE),
}
_KEYS: dict[str, tuple[dict[str, Check], dict[str, Check]]] = {
    "perpetual": (_CONTRACT, {**_CONTRACT_OPTIONAL, **_FUNDING}),
    "expiry": ({**_CONTRACT, "delivery": utc_ms}, {**_CONTRACT_OPTIONAL, "delivery_fee": _AMOUNT}),
    "spot": ({}, {}),
}
"""What a kind of instrument has beyond the others: keys that it needs, and keys that it may have."""


def instrument_files(folder: Path) -> list[Path]:
    """The files of a folder in the order in which they are listed; one more than allowed where there are."""
    return sorted(folder.glob("*.toml"))[: INSTRUMENTS_MAX + 1]


def read_instruments(folder: Path) -> list[dict[str, Any]]:
    """The rows of a folder of instrument files, in the order of their names.

    Raises ConfigurationError with one line per problem, each naming file and key.
    """
    files = instrument_files(folder)
    if not files:
        raise ConfigurationError([f"instruments: {folder} has no .toml file"])
    problems: list[str] = []
    rows: list[dict[str, Any]] = []
    for file in files:
        try:
            row, found = _instrument(read_toml(file))
        except ConfigurationError as error:
            problems += error.problems
            continue
        problems += [f"{file}: {problem}" for problem in found]
        rows.append(row)
    names = [row.get("symbol") for row in rows]
    twice = sorted({name for name in names if name is not None and names.count(name) > 1})
    problems += [f"{folder}: symbol {name} twice" for name in twice]
    if len(files) > INSTRUMENTS_MAX:
        problems.append(f"instruments: more than {INSTRUMENTS_MAX} files in {folder}")
    if problems:
        raise ConfigurationError(problems)
    return rows


def _instrument(table: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """One file's row, and what is wrong with it."""
    kind = table.get("kind", "perpetual")
    if kind not in KINDS:
        return {}, [f"kind: was {kind!r}, must be one of {', '.join(KINDS)}"]
    required, optional = _KEYS[kind]
    foreign = {
        key: other
        for other in KINDS
        for key in (*_KEYS[other][0], *_KEYS[other][1])
        if key in table and key not in required and key not in optional
    }
    problems = [f"{key}: belongs to {other}, the kind is {kind}" for key, other in foreign.items()]
    own = {key: value for key, value in table.items() if key not in foreign}
    row, found = read_table(own, {**_REQUIRED, **required}, {**_OPTIONAL, **optional})
    problems += found
    problems += _shape(kind, row)
    if "delivery" in row:
        row["delivery_ms"] = row.pop("delivery")
    if kind == "spot":
        row |= {"tiers": _NO_TIERS, "basis_window_ms": _SPOT_BASIS_WINDOW_MS}
    return row, problems


def _shape(kind: str, row: dict[str, Any]) -> list[str]:
    """What holds between two keys."""
    problems = []
    pair = f"{row.get('base')}/{row.get('quote')}"
    if kind == "spot" and "symbol" in row and row["symbol"] != pair:
        problems.append(f"symbol: was {row['symbol']!r}, must be {pair!r}: a pair is named by its coins")
    if kind != "spot" and "/" in row.get("symbol", ""):
        problems.append(f"symbol: was {row['symbol']!r}, must be without a stroke: that is for spot")
    if ("lower_funding_rate" in row) != ("upper_funding_rate" in row):
        problems.append("lower_funding_rate, upper_funding_rate: one needs the other")
    return problems
