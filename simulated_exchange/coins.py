"""The coins of the venue: collateral, borrowing and lending, from the coin file or from a genesis record.

Belongs here: TOML to the coin rows of the genesis text, and the integer view of them that the gateway needs.
Does not belong here: what the figures do (the engine's), contracts (`instruments`).
Amounts and ratios are fixed point, 10**-8; rates of an hour 10**-12.
"""

from __future__ import annotations

import tomllib
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

import orjson

from simulated_exchange.errors import ConfigurationError
from simulated_exchange.instruments import SCALE, fixed_point

__all__ = [
    "RATE_SCALE",
    "BorrowTier",
    "Coin",
    "Coins",
    "CollateralTier",
    "Lending",
    "hourly_rate",
    "read_coins",
]

RATE_SCALE = 10**12
COINS_MAX = 512
# The largest quantity of the engine's boundary: a bracket without an end.
WITHOUT_END = f"{Decimal(2**63 - 1) / SCALE:f}"

_PAR_ROW: dict[str, Any] = {
    "price": "1",
    "can_switch": False,
    "collateral": [{"ratio": "1"}],
    "borrow": [],
    "user_limit": "0",
    "free_limit": "0",
}
_COIN_KEYS = {"name", "class", "price", "index", "step", "user_limit", "free_limit", "supplied"}
_CURVE_KEYS = ("base", "slope1", "kink", "slope2", "reserve")
_LADDER_KEYS = ("cap", "warning", "repay", "stop")
_CLASS_KEYS = {"collateral", "collateral_full", "borrow", *_CURVE_KEYS}


@dataclass(frozen=True, slots=True)
class CollateralTier:
    """Up to `limit` of the coin: this part of its value counts as margin."""

    limit: int
    ratio: int


@dataclass(frozen=True, slots=True)
class BorrowTier:
    """Up to `limit` borrowed: margin rates of the whole loan."""

    limit: int
    initial_rate: int
    maintenance_rate: int


@dataclass(frozen=True, slots=True)
class Lending:
    """A coin's pool: its curve (rates of an hour, 10**-12) and its ladder (loans per pool)."""

    base: int
    slope1: int
    kink: int
    slope2: int
    reserve: int
    cap: int
    warning: int
    repay: int
    stop: int
    supplied: int


@dataclass(frozen=True, slots=True)
class Coin:
    """One coin as the venue publishes it. `opening_price` is 0 where a contract's index gives the price."""

    index: int
    name: str
    opening_price: int
    is_fixed: bool
    can_switch: bool
    collateral: tuple[CollateralTier, ...]
    borrow: tuple[BorrowTier, ...]
    user_limit: int
    free_limit: int
    lending: Lending | None

    @classmethod
    def from_row(cls, index: int, row: dict[str, Any]) -> Coin:
        """From one coin of the genesis text."""
        price, lending = row["price"], row.get("lending")
        is_fixed = price[:1].isdigit()
        opening = price if is_fixed else row.get("first_price", "0")
        return cls(
            index=index,
            name=row["name"],
            opening_price=fixed_point(opening),
            is_fixed=is_fixed,
            can_switch=row["can_switch"],
            collateral=tuple(
                CollateralTier(fixed_point(tier.get("limit", WITHOUT_END)), fixed_point(tier["ratio"]))
                for tier in row["collateral"]
            ),
            borrow=tuple(
                BorrowTier(
                    fixed_point(tier["limit"]),
                    fixed_point(tier["initial_rate"]),
                    fixed_point(tier["maintenance_rate"]),
                )
                for tier in row["borrow"]
            ),
            user_limit=fixed_point(row["user_limit"]),
            free_limit=fixed_point(row["free_limit"]),
            lending=None if lending is None else _lending(lending),
        )


def _lending(row: dict[str, Any]) -> Lending:
    return Lending(
        **{key: hourly_rate(row[key]) for key in ("base", "slope1", "slope2")},
        **{key: fixed_point(row[key]) for key in ("kink", "reserve", *_LADDER_KEYS, "supplied")},
    )


class Coins:
    """All coins of a venue, by number and by name."""

    def __init__(self, coins: list[Coin]) -> None:
        self._coins = coins
        self._by_name = {coin.name: coin for coin in coins}

    @classmethod
    def from_genesis(cls, genesis_json: str) -> Coins:
        """From the text the engine was created with."""
        genesis = orjson.loads(genesis_json)
        rows = genesis.get("coins")
        if rows is None:  # then every quote coin is one that counts in full, as at the engine
            quotes = dict.fromkeys(row["quote"] for row in genesis["instruments"])
            rows = [{"name": name, **_PAR_ROW} for name in quotes]
        return cls([Coin.from_row(index, row) for index, row in enumerate(rows)])

    def __iter__(self) -> Iterator[Coin]:
        return iter(self._coins)

    def __len__(self) -> int:
        return len(self._coins)

    def __getitem__(self, index: int) -> Coin:
        return self._coins[index]

    def by_name(self, name: str) -> Coin | None:
        """The coin of a name such as USDT."""
        return self._by_name.get(name)


def hourly_rate(value: Any) -> int:
    """A decimal string as a rate of an hour; ValueError when it has more than twelve decimals."""
    try:
        scaled = Decimal(str(value)) * RATE_SCALE
    except InvalidOperation:
        raise ValueError(f"{value!r} is not a decimal number") from None
    if not scaled.is_finite() or scaled != scaled.to_integral_value():
        raise ValueError(f"{value!r} is not a decimal number of at most twelve decimals")
    return int(scaled)


def read_coins(file: Path, symbols: Collection[str]) -> list[dict[str, Any]]:
    """The coin rows of the genesis text, in the file's order; `symbols` are the contracts the venue lists.

    Raises ConfigurationError with one line per problem, each naming file, coin and key.
    """
    try:
        table = tomllib.loads(file.read_text(encoding="utf-8"), parse_float=Decimal)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigurationError([f"{file}: {error}"]) from error
    entries, classes, ladder = table.get("coins"), table.get("classes"), table.get("ladder")
    if not isinstance(entries, list) or not isinstance(classes, dict) or not isinstance(ladder, dict):
        raise ConfigurationError([f"{file}: needs the list `coins` and the tables `classes` and `ladder`"])
    problems = [
        f"{file}: {key}: is not a known key" for key in table if key not in ("coins", "classes", "ladder")
    ]
    problems += [f"{file}: ladder.{key}: is not a known key" for key in ladder if key not in _LADDER_KEYS]
    for name, kind in classes.items():
        unknown = (
            [key for key in kind if key not in _CLASS_KEYS] if isinstance(kind, dict) else ["(not a table)"]
        )
        problems += [f"{file}: classes.{name}.{key}: is not a known key" for key in unknown]
    rows: list[dict[str, Any]] = []
    for at, entry in enumerate(entries):
        name = entry.get("name", f"coins[{at}]") if isinstance(entry, dict) else f"coins[{at}]"
        try:
            rows.append(_row(entry, classes, ladder, symbols))
            Coin.from_row(at, rows[-1])
        except ValueError as error:
            problems.append(f"{file}: {name}: {error}")
        except (KeyError, TypeError, AttributeError) as error:
            problems.append(f"{file}: {name}: key missing or of the wrong kind: {error}")
    names = [row["name"] for row in rows]
    problems += [f"{file}: coin {name} twice" for name in sorted({n for n in names if names.count(n) > 1})]
    if len(entries) > COINS_MAX:
        problems.append(f"{file}: more than {COINS_MAX} coins")
    if problems:
        raise ConfigurationError(problems)
    return rows


def _row(
    entry: dict[str, Any], classes: dict[str, Any], ladder: dict[str, Any], symbols: Collection[str]
) -> dict[str, Any]:
    """One coin with everything its class gives it."""
    unknown = sorted(set(entry) - _COIN_KEYS - _CLASS_KEYS)
    if unknown:
        raise ValueError(f"{unknown[0]}: is not a known key")
    kind = classes[entry["class"]]
    is_par = bool(kind.get("collateral_full", False))
    curve = {key: str(entry.get(key, kind.get(key, "0"))) for key in _CURVE_KEYS}
    rules = {key: str(ladder[key]) for key in _LADDER_KEYS}
    return {
        "name": entry["name"],
        **_price(entry, symbols, is_par),
        "is_collateral": True,
        "can_switch": not is_par,
        "collateral": _collateral(entry, kind, is_par),
        "borrow": _borrow(entry, kind),
        "user_limit": str(entry["user_limit"]),
        "free_limit": str(entry.get("free_limit", "0")),
        "lending": {**curve, **rules, "supplied": str(entry["supplied"])},
    }


def _price(entry: dict[str, Any], symbols: Collection[str], is_par: bool) -> dict[str, str]:
    """A number, the symbol of the contract whose index it follows, or `reported` with the first price."""
    if is_par:
        return {"price": str(entry["price"])}
    if entry.get("index") in symbols:
        return {"price": entry["index"]}
    return {"price": "reported", "first_price": str(entry["price"])}


def _collateral(entry: dict[str, Any], kind: dict[str, Any], is_par: bool) -> list[dict[str, str]]:
    if is_par:
        return [{"ratio": "1"}]
    own = "collateral" in entry
    unit = Decimal(1) if own else Decimal(entry["step"])
    brackets = entry["collateral"] if own else kind["collateral"]
    return [{"limit": _times(unit, limit), "ratio": str(ratio)} for limit, ratio in brackets]


def _borrow(entry: dict[str, Any], kind: dict[str, Any]) -> list[dict[str, str]]:
    own = "borrow" in entry
    unit = Decimal(1) if own else Decimal(entry["user_limit"])
    return [
        {"limit": _times(unit, limit), "initial_rate": str(initial), "maintenance_rate": str(maintenance)}
        for limit, initial, maintenance in (entry["borrow"] if own else kind["borrow"])
    ]


def _times(unit: Decimal, count: str) -> str:
    try:
        return f"{unit * Decimal(count):f}"
    except InvalidOperation:
        raise ValueError(f"{count!r} is not a decimal number") from None
