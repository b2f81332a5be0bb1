"""The catalogue: what is traded here, read from the genesis text that the engine was created with.

Belongs here: the integer view of it that the gateway needs to render and check values. Does not belong here:
the instrument files (`instrument_files`), margin and price rules (the engine's).
Amounts are fixed point, 10**-8.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

import orjson

__all__ = ["MARKETS", "SCALE", "Catalogue", "Instrument", "RiskTier", "fixed_point"]

MARKETS = ("linear", "inverse", "spot")
"""What is traded here; on the wire a symbol is unique within one of these."""

SCALE = 10**8
# The engine's own values where an instrument file names none.
FUNDING_INTERVAL_MS = 8 * 3_600_000
PRICE_MAX = "1999999"
DEFAULT_LEVERAGE = "10"
DELIVERY_FEE = "0.0005"


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
    """One contract or spot pair; prices, quantities and rates are fixed point, `default_leverage` is in
    hundredths. `name` is unique at the venue, `symbol` is the wire's, unique within its `category`.
    """

    index: int
    name: str
    symbol: str
    category: str
    base: str
    quote: str
    tick_size: int
    price_max: int
    qty_step: int
    qty_min: int
    qty_max: int
    qty_market_max: int
    qty_post_only_max: int
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
    settle: str
    delivery_ms: int
    delivery_fee: int
    pool: str
    zone: str

    @property
    def is_spot(self) -> bool:
        """The coin itself changes hands."""
        return self.category == "spot"

    @property
    def is_inverse(self) -> bool:
        """Quantities are amounts of the quote coin; it settles in the base coin."""
        return self.category == "inverse"

    @property
    def is_perpetual(self) -> bool:
        """A contract without an end, which therefore has funding."""
        return not self.is_spot and not self.delivery_ms

    def value(self, qty: int, price: int) -> int:
        """What a quantity is worth at a price in the coin it settles in; 0 without a price."""
        if not self.is_inverse:
            return qty * price // SCALE
        return (2 * qty * SCALE + price) // (2 * price) if price else 0

    def average_price(self, qty: int, value: int) -> int:
        """The price at which a quantity has this value; 0 for nothing."""
        over, under = (qty, value) if self.is_inverse else (value, qty)
        return over * SCALE // under if under else 0

    @classmethod
    def from_row(cls, index: int, row: dict[str, Any]) -> Instrument:
        """From one instrument of the genesis text."""
        tick_size, qty_step = fixed_point(row["tick_size"]), fixed_point(row["qty_step"])
        kind, is_inverse = row.get("kind", "perpetual"), bool(row.get("inverse", False))
        return cls(
            index=index,
            name=row["symbol"],
            symbol=row["symbol"].replace("/", ""),
            category="spot" if kind == "spot" else "inverse" if is_inverse else "linear",
            base=row["base"],
            quote=row["quote"],
            tick_size=tick_size,
            price_max=fixed_point(row.get("max_price", PRICE_MAX)),
            qty_step=qty_step,
            qty_min=fixed_point(row["min_qty"]),
            qty_max=fixed_point(row["max_qty"]),
            qty_market_max=fixed_point(row["max_market_qty"]),
            qty_post_only_max=fixed_point(row.get("max_post_only_qty", row["max_qty"])),
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
            settle=row["base"] if is_inverse else row["quote"],
            delivery_ms=int(row.get("delivery_ms", 0)),
            delivery_fee=fixed_point(row.get("delivery_fee", DELIVERY_FEE)),
            pool=row.get("pool", ""),
            zone=row.get("zone", ""),
        )


def _decimals(step: int) -> int:
    count = 8
    while count and step % 10 == 0:
        step //= 10
        count -= 1
    return count


class Catalogue:
    """All instruments of a venue, by number, by name and by the wire's symbol."""

    def __init__(self, instruments: list[Instrument]) -> None:
        self._instruments = instruments
        self._by_name = {instrument.name: instrument for instrument in instruments}
        self._by_symbol = {(entry.category, entry.symbol): entry for entry in instruments}

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

    def by_name(self, name: str) -> Instrument | None:
        """The instrument of the name that its file gives it, such as BTCUSDT, or BTC/USDT for spot."""
        return self._by_name.get(name)

    def by_symbol(self, symbol: str, category: str = "linear") -> Instrument | None:
        """The instrument of the wire's symbol, such as BTCUSDT, in one of the wire's markets."""
        return self._by_symbol.get((category, symbol))

    def of(self, category: str) -> list[Instrument]:
        """The instruments of one of the wire's markets."""
        return [instrument for instrument in self if instrument.category == category]
