"""The market as a leader's signals meet it: depth, refill and motion of each symbol, from his own venue.

Belongs here: what to measure how often, and smoothing. Does not belong here: what a plan makes of it
(`relay.core.spreading`), the venue's dialect (`relay.venue`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Final, Protocol

import structlog

from relay.core.account import Account
from relay.core.spreading import REACH_BPS, MarketSample
from relay.venue import VenueUnavailable

__all__ = ["Sampler", "depth_within"]

LOOK_INTERVAL_S: Final = 1.0
BOOK_EVERY: Final = 5  # looks between two readings of a book, where so many symbols are watched at most
SMOOTHING: Final = Decimal("0.1")
_BPS = Decimal(10_000)
_log = structlog.get_logger(__name__)

Levels = Sequence[tuple[Decimal, Decimal]]  # price, qty; best first


class BookSource(Protocol):
    """A venue that shows its book."""

    async def fetch_book(self, symbol: str) -> tuple[Levels, Levels]:
        """Bids and asks."""


class AccountSource(Protocol):
    """Whoever keeps the leader's account."""

    @property
    def account(self) -> Account: ...


def depth_within(bids: Levels, asks: Levels) -> Decimal:
    """USDT on the thinner side within REACH_BPS of the middle; 0 for an empty side."""
    if not bids or not asks:
        return Decimal(0)
    middle = (bids[0][0] + asks[0][0]) / 2
    reach = middle * REACH_BPS / _BPS
    below = sum((price * qty for price, qty in bids if price >= middle - reach), Decimal(0))
    above = sum((price * qty for price, qty in asks if price <= middle + reach), Decimal(0))
    return min(below, above)


class Sampler:
    """Keeps a `MarketSample` per symbol while `run` runs."""

    def __init__(self, venue: BookSource, symbols: Sequence[str]) -> None:
        self._venue = venue
        self._symbols = tuple(symbols)
        self._marks: dict[str, Decimal] = {}
        self._variance: dict[str, Decimal] = {}
        self._depth: dict[str, Decimal] = {}
        self._refill: dict[str, Decimal] = {}
        self._read_at: dict[str, int] = {}  # the look that read the book last

    def samples(self) -> Mapping[str, MarketSample]:
        """Symbols whose book and motion are known."""
        return {
            symbol: MarketSample(
                self._depth[symbol],
                self._refill.get(symbol, Decimal(0)),
                self._variance[symbol].sqrt(),
            )
            for symbol in self._symbols
            if symbol in self._depth and symbol in self._variance
        }

    def depth_usdt(self, symbol: str) -> Decimal | None:
        """The thinner side within REACH_BPS, as it was read last."""
        return self._depth.get(symbol)

    async def run(self, latest: AccountSource) -> None:
        """Look every LOOK_INTERVAL_S until cancelled."""
        turn = 0
        while True:
            await asyncio.sleep(LOOK_INTERVAL_S)
            await self.look(latest.account, turn)
            turn += 1

    async def look(self, account: Account, turn: int) -> None:
        """One look: every mark, and the book whose turn it is."""
        self._note_marks(account)
        if self._symbols and turn % BOOK_EVERY < len(self._symbols):
            await self._read_book(self._symbols[turn % len(self._symbols)], turn)

    def _note_marks(self, account: Account) -> None:
        for symbol in self._symbols:
            mark = account.mark(symbol)
            before = self._marks.get(symbol)
            if mark <= 0:
                continue
            self._marks[symbol] = mark
            if before:
                change = (mark / before - 1) * _BPS
                known = self._variance.get(symbol)
                self._variance[symbol] = (
                    change * change if known is None else known + SMOOTHING * (change * change - known)
                )

    async def _read_book(self, symbol: str, turn: int) -> None:
        try:
            depth = depth_within(*await self._venue.fetch_book(symbol))
        except VenueUnavailable as error:
            _log.debug("book_not_read", symbol=symbol, reason=str(error))
            return
        before, looks = self._depth.get(symbol), turn - self._read_at.get(symbol, turn)
        self._depth[symbol], self._read_at[symbol] = depth, turn
        if before is not None and looks > 0:  # five looks on average, more of them for more symbols
            grown = max(depth - before, Decimal(0)) / (looks * Decimal(LOOK_INTERVAL_S))
            known = self._refill.get(symbol, grown)
            self._refill[symbol] = known + SMOOTHING * (grown - known)
