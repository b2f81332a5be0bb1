"""An account as the follower knows it between two messages: wallet, positions, quotes.

Belongs here: folding fills and messages into one state that can be read at once. Does not belong here:
asking the venue (adapters), deciding (`core`).
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from decimal import Decimal

from follower_client.core.snapshot import Instrument, Quote
from follower_client.core.stops import Stops

__all__ = ["AccountState", "Holding"]

ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class Holding:
    """A position: signed quantity and average entry price."""

    qty: Decimal = ZERO
    entry_price: Decimal = ZERO


@dataclass(slots=True)
class AccountState:
    """Mutable, owned by one adapter. `wallet_balance` is `None` until the venue has said it.

    `depth` = visible (bid, ask) quantity; `stops` = what the venue keeps for each position; `warnings` = the
    venue's own alarms (`adl_rank:<symbol>`, `borrowed_usdt`).
    """

    instruments: dict[str, Instrument] = field(default_factory=dict)
    leverage_settings: dict[str, Decimal] = field(default_factory=dict)
    quotes: dict[str, Quote] = field(default_factory=dict)
    holdings: dict[str, Holding] = field(default_factory=dict)
    wallet_balance: Decimal | None = None
    depth: dict[str, tuple[Decimal, Decimal]] = field(default_factory=dict)
    stops: dict[str, Stops] = field(default_factory=dict)
    warnings: dict[str, Decimal] = field(default_factory=dict)
    _clock: tuple[int, int] | None = None  # (venue - wall, wall - monotonic), ms, when they were compared

    def compare_clocks(self, venue_ms: int, wall_ms: int) -> None:
        """The venue's time at a moment of this machine's clock."""
        self._clock = venue_ms - wall_ms, wall_ms - time.monotonic_ns() // 1_000_000

    def clock_offset_ms(self) -> int | None:
        """The venue's clock less this machine's, steps since the comparison included; `None` = never
        compared.
        """
        if self._clock is None:
            return None
        offset, anchor = self._clock
        return offset + anchor - (time.time_ns() - time.monotonic_ns()) // 1_000_000

    def positions(self) -> dict[str, Decimal]:
        return {symbol: holding.qty for symbol, holding in self.holdings.items() if holding.qty != 0}

    def unrealised_pnl(self) -> Decimal | None:
        """At mark; `None` where a held position has no price."""
        total = ZERO
        for symbol, holding in self.holdings.items():
            if holding.qty == 0:
                continue
            quote = self.quotes.get(symbol)
            if quote is None:
                return None
            total += holding.qty * (quote.mark - holding.entry_price)
        return total

    def equity(self) -> Decimal | None:
        pnl = self.unrealised_pnl()
        return None if pnl is None or self.wallet_balance is None else self.wallet_balance + pnl

    def notional(self) -> Decimal:
        """Sum of |notional| at mark over the positions that have a price."""
        return sum(
            (
                abs(holding.qty) * self.quotes[symbol].mark
                for symbol, holding in self.holdings.items()
                if symbol in self.quotes
            ),
            ZERO,
        )

    def available(self) -> Decimal | None:
        """Equity less the initial margin of positions at their leverage setting."""
        equity = self.equity()
        if equity is None:
            return None
        for symbol, holding in self.holdings.items():
            if holding.qty != 0 and symbol in self.quotes:
                leverage = self.leverage_settings.get(symbol, Decimal(1))
                equity -= abs(holding.qty) * self.quotes[symbol].mark / leverage
        return equity

    def apply_fill(self, symbol: str, *, is_buy: bool, qty: Decimal, price: Decimal, fee: Decimal) -> None:
        """Fold one execution in: average cost, realised profit and fee into the wallet."""
        holding = self.holdings.get(symbol, Holding())
        change = qty if is_buy else -qty
        after = holding.qty + change
        realised = ZERO
        if holding.qty == 0 or (holding.qty > 0) == is_buy:
            cost = abs(holding.qty) * holding.entry_price + qty * price
            entry = cost / abs(after)
        else:
            closed = min(qty, abs(holding.qty))
            realised = closed * (price - holding.entry_price) * (1 if holding.qty > 0 else -1)
            crossed = after != 0 and (after > 0) != (holding.qty > 0)
            entry = price if crossed else (holding.entry_price if after != 0 else ZERO)
            if after == 0 or crossed:
                self.stops.pop(symbol, None)  # the venue drops them with the position
        self.holdings[symbol] = Holding(after, entry)
        if self.wallet_balance is not None:
            self.wallet_balance += realised - fee
