"""The catalogue: what is traded here, read from the instrument files or back from a journal's genesis record.

Belongs here: TOML to the genesis text the engine is created with, and the integer view of it that the gateway
needs to render and check values. Does not belong here: margin and price rules (the engine's).
Amounts are fixed point, 10**-8.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

import orjson

from simulated_exchange.errors import ConfigurationError

__all__ = ["SCALE", "Catalogue", "Instrument", "RiskTier", "fixed_point", "read_genesis"]

SCALE = 10**8
INSTRUMENTS_MAX = 512
# The engine's own values where an instrument file names none.
FUNDING_INTERVAL_MS = 8 * 3_600_000
PRICE_MAX = "1999999"
DEFAULT_LEVERAGE = "10"


def fixed_point(value: Any) -> int:
    """A decimal string (or an integer) as fixed point; ValueError when it has more than eight decimals."""
    try:
        scaled = Decimal(str(value)) * SCALE
    except InvalidOperation:
        raise ValueError(f"{value!r} is not a decimal number") from None
    if not scaled.is_finite() or scaled != scaled.to_integral_value():
        raise ValueError(f"{value!r} is not a decimal number of at most eight decimals")
    return int(scaled)


@dataclass(frozen=True, slots=True)
class RiskTier:
    """Up to `limit` of position value: this leverage at most, this maintenance rate. Rates: fixed point."""

    limit: int
    leverage_max: int
    maintenance_rate: int


@dataclass(frozen=True, slots=True)
class Instrument:
    """One contract; prices, quantities and rates are fixed point, `default_leverage` is in hundredths."""

    index: int
    symbol: str
    base: str
    quote: str
    tick_size: int
    price_max: int
    qty_step: int
    qty_min: int
    qty_max: int
    qty_market_max: int
    notional_min: int
    taker_fee: int
    maker_fee: int
    price_band_x: int
    price_band_y: int
    tiers: tuple[RiskTier, ...]
    price_decimals: int
    qty_decimals: int
    index_sources: tuple[tuple[str, int], ...]
    funding_interval_ms: int
    default_leverage: int

    @classmethod
    def from_row(cls, index: int, row: dict[str, Any]) -> Instrument:
        """From one instrument of the genesis text."""
        tick_size, qty_step = fixed_point(row["tick_size"]), fixed_point(row["qty_step"])
        return cls(
            index=index,
            symbol=row["symbol"],
            base=row["base"],
            quote=row["quote"],
            tick_size=tick_size,
            price_max=fixed_point(row.get("max_price", PRICE_MAX)),
            qty_step=qty_step,
            qty_min=fixed_point(row["min_qty"]),
            qty_max=fixed_point(row["max_qty"]),
            qty_market_max=fixed_point(row["max_market_qty"]),
            notional_min=fixed_point(row["min_notional"]),
            taker_fee=fixed_point(row["taker_fee"]),
            maker_fee=fixed_point(row["maker_fee"]),
            price_band_x=fixed_point(row["price_band_x"]),
            price_band_y=fixed_point(row["price_band_y"]),
            tiers=tuple(
                RiskTier(
                    fixed_point(tier["limit"]), fixed_point(tier["max_leverage"]), fixed_point(tier["mmr"])
                )
                for tier in row["tiers"]
            ),
            price_decimals=max(_decimals(tick_size), 2),
            qty_decimals=_decimals(qty_step),
            index_sources=tuple(
                (source["name"], fixed_point(source["weight"])) for source in row["index_sources"]
            ),
            funding_interval_ms=int(row.get("funding_interval_ms", FUNDING_INTERVAL_MS)),
            default_leverage=fixed_point(row.get("default_leverage", DEFAULT_LEVERAGE)) // (SCALE // 100),
        )


def _decimals(step: int) -> int:
    count = 8
    while count and step % 10 == 0:
        step //= 10
        count -= 1
    return count


class Catalogue:
    """All instruments of a venue, by number and by symbol."""

    def __init__(self, instruments: list[Instrument]) -> None:
        self._instruments = instruments
        self._by_symbol = {instrument.symbol: instrument for instrument in instruments}

    @classmethod
    def from_genesis(cls, genesis_json: str) -> Catalogue:
        """From the text the engine was created with."""
        rows = orjson.loads(genesis_json)["instruments"]
        return cls([Instrument.from_row(index, row) for index, row in enumerate(rows)])

    def __iter__(self) -> Iterator[Instrument]:
        return iter(self._instruments)

    def __len__(self) -> int:
        return len(self._instruments)

    def __getitem__(self, index: int) -> Instrument:
        return self._instruments[index]

    def by_symbol(self, symbol: str) -> Instrument | None:
        """The instrument of the venue's own symbol, such as BTCUSDT."""
        return self._by_symbol.get(symbol)

    def coins(self) -> list[str]:
        """Every coin in use, the settlement coin first."""
        names = dict.fromkeys([*(i.quote for i in self), *(i.base for i in self)])
        return list(names)


def read_genesis(folder: Path, insurance_fund: str) -> str:
    """The genesis text from a folder of instrument files, in the order of their names.

    Raises ConfigurationError with one line per problem, each naming file and key.
    """
    files = sorted(folder.glob("*.toml"))[: INSTRUMENTS_MAX + 1]
    if not files:
        raise ConfigurationError([f"instruments: {folder} has no .toml file"])
    problems: list[str] = []
    rows: list[dict[str, Any]] = []
    for index, file in enumerate(files):
        try:
            row = _decimal_strings(tomllib.loads(file.read_text(encoding="utf-8"), parse_float=Decimal))
            Instrument.from_row(index, row)
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, ValueError) as error:
            problems.append(f"{file}: {error}")
        except (KeyError, TypeError) as error:
            problems.append(f"{file}: key missing or of the wrong kind: {error}")
        else:
            rows.append(row)
    symbols = [row["symbol"] for row in rows]
    problems += [f"{folder}: symbol {name} twice" for name in {s for s in symbols if symbols.count(s) > 1}]
    if len(files) > INSTRUMENTS_MAX:
        problems.append(f"instruments: more than {INSTRUMENTS_MAX} files in {folder}")
    if problems:
        raise ConfigurationError(problems)
    return orjson.dumps({"instruments": rows, "insurance_fund": insurance_fund}).decode()


def _decimal_strings(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _decimal_strings(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_decimal_strings(inner) for inner in value]
    return str(value) if isinstance(value, Decimal) else value
