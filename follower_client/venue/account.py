"""An account as the follower knows it between two messages: wallet, positions, quotes.

Belongs here: folding fills and messages into one state that can be read at once. Does not belong here:
asking the venue (adapters), deciding (`core`).
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Literal

from follower_client.core.snapshot import Instrument, Quote
from follower_client.core.stops import Stops

__all__ = ["AccountState", "CashFlow", "Holding"]

ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class Holding:
    """A position: signed quantity and average entry price."""

    qty: Decimal = ZERO
    entry_price: Decimal = ZERO

    def after(self, change: Decimal, price: Decimal) -> tuple[Holding, Decimal]:
        """This position after a signed execution, at average cost, and the profit that it realised."""
        qty = self.qty + change
        if self.qty == 0 or (self.qty > 0) == (change > 0):
            return Holding(qty, (abs(self.qty) * self.entry_price + abs(change) * price) / abs(qty)), ZERO
        closed = min(abs(change), abs(self.qty))
        realised = closed * (price - self.entry_price) * (1 if self.qty > 0 else -1)
        crossed = qty != 0 and (qty > 0) != (self.qty > 0)
        return Holding(qty, price if crossed else (self.entry_price if qty != 0 else ZERO)), realised


@dataclass(frozen=True, slots=True)
class CashFlow:
    """Money that came (positive) or went without a trade, USDT; when, by the venue's clock. `carry` = what
    holding a position or a loan cost; empty for a transfer.
    """

    flow_id: str
    amount: Decimal
    at_ms: int
    carry: Literal["", "funding_paid", "interest_paid"] = ""


@dataclass(slots=True)
class AccountState:
    """Mutable, owned by one adapter. `wallet_balance` is `None` until the venue has said it.

    `holdings` are net. `legs` = (long, short) of symbols that the account holds in hedge mode. `depth` =
    visible (bid, ask) quantity; `stops` = what the venue keeps for each position; `warnings` = the account's
    own alarms (`adl_rank:<symbol>`, `borrowed_usdt`), `market_warnings` = those of the whole market.
    `flows` = cash flows that nobody has taken yet, `flows_from_ms` = the last one of an earlier life;
    `unexplained_s` = since when (monotonic) the wallet differs from what is known to have happened.
    """

    instruments: dict[str, Instrument] = field(default_factory=dict)
    leverage_settings: dict[str, Decimal] = field(default_factory=dict)
    quotes: dict[str, Quote] = field(default_factory=dict)
    earlier: dict[str, deque[Quote]] = field(default_factory=dict)  # the latest of each symbol, oldest first
    holdings: dict[str, Holding] = field(default_factory=dict)
    wallet_balance: Decimal | None = None
    depth: dict[str, tuple[Decimal, Decimal]] = field(default_factory=dict)
    stops: dict[str, Stops] = field(default_factory=dict)
    warnings: dict[str, Decimal] = field(default_factory=dict)
    market_warnings: dict[str, Decimal] = field(default_factory=dict)
    legs: dict[str, tuple[Holding, Holding]] = field(default_factory=dict)
    flows: list[CashFlow] = field(default_factory=list)
    flows_from_ms: int | None = None
    unexplained_s: float | None = None
    _clock: tuple[int, int] | None = None  # (venue - wall, wall - monotonic), ms, when they were compared

    def quote_at(self, symbol: str, at_ms: int) -> Quote | None:
        """The newest quote that had been heard at a moment; None where that is too long ago."""
        known = reversed(self.earlier.get(symbol, ()))
        return next((quote for quote in known if quote.at_ms <= at_ms), None)

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

    def venue_ms(self) -> int:
        """The venue's time now, as far as anybody knows."""
        return time.time_ns() // 1_000_000 + (self.clock_offset_ms() or 0)

    def positions(self) -> dict[str, Decimal]:
        return {symbol: holding.qty for symbol, holding in self.holdings.items() if holding.qty != 0}

    def hedges(self) -> dict[str, Decimal]:
        """The quantity that is held on both sides at once, where there is one."""
        found = {symbol: min(long.qty, -short.qty) for symbol, (long, short) in self.legs.items()}
        return {symbol: qty for symbol, qty in found.items() if qty > 0}

    def unrealised_pnl(self) -> Decimal | None:
        """At mark; `None` where a held position has no price."""
        total = ZERO
        for symbol, holding in self._parts():
            quote = self.quotes.get(symbol)
            if quote is None:
                return None
            total += holding.qty * (quote.mark - holding.entry_price)
        return total

    def equity(self) -> Decimal | None:
        pnl = self.unrealised_pnl()
        return None if pnl is None or self.wallet_balance is None else self.wallet_balance + pnl

    def notional(self) -> Decimal:
        """Sum of |notional| at mark over the positions that have a price, both legs of a hedge."""
        return sum(
            (
                abs(holding.qty) * self.quotes[symbol].mark
                for symbol, holding in self._parts()
                if symbol in self.quotes
            ),
            ZERO,
        )

    def available(self) -> Decimal | None:
        """Equity less the initial margin of positions at their leverage setting."""
        equity = self.equity()
        return None if equity is None else equity - self.margin()

    def margin(self) -> Decimal:
        """Initial margin of the positions that have a price."""
        total = ZERO
        for symbol, holding in self._parts():
            if symbol in self.quotes:
                leverage = self.leverage_settings.get(symbol, Decimal(1))
                total += abs(holding.qty) * self.quotes[symbol].mark / leverage
        return total

    def apply_fill(
        self, symbol: str, *, is_buy: bool, qty: Decimal, price: Decimal, fee: Decimal, closes: bool = False
    ) -> None:
        """Fold one execution in: average cost, realised profit and fee into the wallet. In hedge mode
        `closes` tells which leg it belongs to.
        """
        change = qty if is_buy else -qty
        before = self.holdings.get(symbol, Holding())
        if symbol in self.legs:
            long, short = self.legs[symbol]
            if is_buy != closes:
                long, realised = long.after(change, price)
            else:
                short, realised = short.after(change, price)
            self.hold_legs(symbol, long, short)
        else:
            self.holdings[symbol], realised = before.after(change, price)
        after = self.holdings[symbol]
        if before.qty != 0 and (after.qty == 0 or (after.qty > 0) != (before.qty > 0)):
            self.stops.pop(symbol, None)  # the venue drops them with the position
        if self.wallet_balance is not None:
            self.wallet_balance += realised - fee

    def hold_legs(self, symbol: str, long: Holding, short: Holding) -> None:
        """A symbol in hedge mode; its net counts as the position, at the larger leg's entry price."""
        self.legs[symbol] = long, short
        net = long.qty + short.qty
        entry = ZERO if net == 0 else (long if net > 0 else short).entry_price
        self.holdings[symbol] = Holding(net, entry)

    def _parts(self) -> Iterator[tuple[str, Holding]]:
        """Every position that is held, leg by leg."""
        for symbol, holding in self.holdings.items():
            for part in self.legs.get(symbol, (holding,)):
                if part.qty != 0:
                    yield symbol, part
