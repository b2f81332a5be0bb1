"""What the ambient traders know of one contract: its grid, its sizes, its prices over time.

Belongs here: exact rounding of a wished size to what the venue takes. Does not belong here: any decision.
"""

from __future__ import annotations

from dataclasses import dataclass

from simulated_exchange.scenario.fixed import SCALE, ceil_to, floor_to
from simulated_exchange.scenario.paths import PricePath

__all__ = ["Follower", "Market"]


@dataclass(frozen=True, slots=True)
class Follower:
    """An instrument without traders of its own, whose index moves with that of a market, source by source."""

    instrument: int
    index_paths: tuple[PricePath, ...]


@dataclass(frozen=True, slots=True)
class Market:
    """One contract; integers in units of 10**-8."""

    instrument: int
    symbol: str
    tick_size: int
    qty_step: int
    qty_min: int
    qty_max: int
    qty_market_max: int
    notional_min: int
    index_paths: tuple[PricePath, ...]
    quote_path: PricePath
    replayed: bool = False
    is_spot: bool = False
    is_inverse: bool = False

    def worth(self, qty: int, price: int) -> int:
        """What a quantity is worth at a price, in the quote coin; inverse contracts are counted in it."""
        return qty if self.is_inverse else qty * price // SCALE

    def size_of(self, notional: int, price: int) -> int:
        """The quantity of this worth, on no grid."""
        return notional if self.is_inverse else notional * SCALE // price

    def least_qty(self, price: int) -> int:
        """The smallest size that the venue takes at this price."""
        return max(self.qty_min, ceil_to(-(-self.notional_min * SCALE // price), self.qty_step))

    def qty_of(self, notional: int, price: int) -> int:
        """`notional` at `price`, rounded down to the step, inside what a market order may be."""
        qty = floor_to(self.size_of(notional, price), self.qty_step)
        return min(max(qty, self.least_qty(price)), floor_to(self.qty_market_max, self.qty_step))
