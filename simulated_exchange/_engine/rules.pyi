"""The venue's formulas, as the exchange computes them: for people, and for checks against recorded data.

Belongs here: pure functions of prices, rates and tiers. Does not belong here: anything that has a state.

Units. Prices, quantities, money, bands and ratios are integers of 10**-8 (`SCALE`); funding rates, premiums
and basis rates are integers of 10**-12 (`RATE_SCALE`); leverage is an integer of hundredths. Rounding is half
up where nothing else is said. No function raises for integers that fit 64 bits, except where it says so; a
result that does not fit is the nearest one that does, or `None` where `None` is possible.
"""

from collections.abc import Sequence
from typing import Final

from simulated_exchange._engine import IndexMethod, Side

__all__ = [
    "RATE_SCALE",
    "average_premium",
    "basis_rate",
    "convert",
    "expiry_mark",
    "funding_fee",
    "funding_rate",
    "impact_price",
    "index_price",
    "interest",
    "mark_price1",
    "mark_price2",
    "perpetual_mark",
    "premium_index",
    "price_band",
    "slippage_limit",
    "tier_deductions",
    "usd_index",
]

RATE_SCALE: Final[int]
"""Units per whole of funding rates, premiums and basis rates: 10**12."""

def index_price(components: Sequence[tuple[int, int]], *, band: int, method: IndexMethod = ...) -> int | None:
    """Index of `(price, weight)` components; `None` when none counts.

    `band` is a part of the components' median; for `TwoPass` it is the least distance from the first pass, in
    units of price. Components whose price or weight is not positive do not count.
    """

def convert(price: int, quote_price: int) -> int | None:
    """A price in another coin: price times the price of its quote coin. `None` unless all are positive."""

def usd_index(usdt_index: int, bridge_usd: int, bridge_usdt: int) -> int | None:
    """USD index of a coin: its USDT index times a bridge coin's USD index over that coin's USDT index."""

def mark_price1(index: int, funding_rate: int, until_funding_ms: int, interval_ms: int) -> int:
    """First candidate of a perpetual's mark: the index with what is left of the last funding rate."""

def mark_price2(index: int, basis_samples: Sequence[int]) -> int:
    """Second candidate of a perpetual's mark: the index and the mean of middle price less index."""

def perpetual_mark(price1: int, price2: int, last: int) -> int:
    """Mark of a perpetual: the middle one of two candidates and the last traded price."""

def basis_rate(impact_mid: int, index: int) -> int | None:
    """Distance of an impact mid price from the index as a part of it. `None` without an index."""

def expiry_mark(index: int, basis_rates: Sequence[int]) -> int:
    """Mark of an expiry contract: the index with the mean basis rate."""

def price_band(mark: int, index: int, x: int, y: int, premium: int) -> tuple[int, int]:
    """Highest price of a buy and lowest price of a sell; `premium` is the mean of middle price less mark."""

def slippage_limit(side: Side, best: int, *, distance: int | None = None, ratio: int | None = None) -> int:
    """Worst price of a market order that tolerates a distance, or a part, from the best opposite price.

    `ValueError` unless exactly one of the two is given.
    """

def impact_price(levels: Sequence[tuple[int, int]], notional: int, *, inverse: bool = False) -> int | None:
    """Mean price of trading `notional` settlement value against `(price, quantity)` levels, best first.

    `None` when the levels are worth less.
    """

def premium_index(impact_bid: int | None, impact_ask: int | None, index: int) -> int | None:
    """Premium of the contract over its index. `None` without either impact price, or without an index."""

def average_premium(samples: Sequence[int]) -> int:
    """Mean of an interval's premiums, in which the i-th counts i times; 0 without samples."""

def interest(daily: int, interval_ms: int) -> int:
    """Interest part of a funding rate for an interval."""

def funding_rate(
    average_premium: int, interest: int, *, clamp: int, lower: int, upper: int, payments: int = 1
) -> int:
    """Premium plus the clamped rest to the interest, spread over the payments, within `lower` and `upper`.

    `payments` is 8 on a venue that pays the rate of eight hours hour by hour.
    """

def funding_fee(value: int, rate: int) -> int:
    """What a position of this signed value pays, negative when it receives; rounded up."""

def tier_deductions(tiers: Sequence[tuple[int, int, int]]) -> list[int]:
    """Maintenance deductions of tiers `(limit, max_leverage, maintenance_rate)`, smallest first; floored.

    `ValueError` when they are no risk limits: limits rise, rates do not fall, leverage does not rise.
    """
