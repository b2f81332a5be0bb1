"""What the public may know about one instrument: levels, trades, prices, bars, the last day.

Belongs here: the fold of public events. Does not belong here: accounts and wire text.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from heapq import nlargest, nsmallest
from typing import NamedTuple

from simulated_exchange.instruments import SCALE
from simulated_exchange.ledger.candles import CandleSeries

__all__ = [
    "DAY_MINUTES",
    "DEPTH_MAX",
    "LIQUIDATIONS_MAX",
    "TRADES_MAX",
    "DayStatistics",
    "FundingSettlement",
    "MarketView",
    "PublicTrade",
]

TRADES_MAX = 1000
LIQUIDATIONS_MAX = 500
DEPTH_MAX = 1000
DAY_MINUTES = 1440
SETTLEMENTS_MAX = 2000

Level = tuple[int, int]


class PublicTrade(NamedTuple):
    """One trade as everybody sees it."""

    trade_id: int
    price: int
    qty: int
    taker_buys: bool
    tick_direction: str
    wall_ms: int
    sequence: int


@dataclass(frozen=True, slots=True)
class DayStatistics:
    """The last day of market time; prices are 0 before the first trade."""

    open: int
    open_hour: int
    high: int
    low: int
    volume: int
    turnover: int


class FundingSettlement(NamedTuple):
    """One settlement of funding; the rate is of 10**-12."""

    settled_ms: int
    rate: int


class MarketView:
    """The public state of one instrument, folded from events."""

    def __init__(self, *, is_inverse: bool = False) -> None:
        self.is_inverse = is_inverse
        self.bids: dict[int, int] = {}
        self.asks: dict[int, int] = {}
        self.book_sequence = 0
        self.book_wall_ms = 0
        self.trades: deque[PublicTrade] = deque(maxlen=TRADES_MAX)
        self.last_price = 0
        self.tick_direction = "ZeroPlusTick"
        self.index_price = 0
        self.mark_price = 0
        self.candles = CandleSeries()
        self.mark_candles = CandleSeries()
        self.index_candles = CandleSeries()
        self.premium_candles = CandleSeries()
        self.settlements: deque[FundingSettlement] = deque(maxlen=SETTLEMENTS_MAX)
        self._day: tuple[int, DayStatistics] | None = None

    def set_level(self, is_bid: bool, price: int, qty: int, sequence: int, wall_ms: int) -> None:
        """A price level has this quantity now; 0 removes it."""
        side = self.bids if is_bid else self.asks
        if qty:
            side[price] = qty
        else:
            side.pop(price, None)
        self.book_sequence = sequence
        self.book_wall_ms = wall_ms

    def add_trade(
        self,
        trade_id: int,
        price: int,
        qty: int,
        taker_buys: bool,
        market_ms: int,
        wall_ms: int,
        sequence: int,
    ) -> PublicTrade:
        """A trade happened."""
        if price != self.last_price:
            self.tick_direction = "PlusTick" if price > self.last_price else "MinusTick"
        elif not self.tick_direction.startswith("Zero"):
            self.tick_direction = "Zero" + self.tick_direction
        self.last_price = price
        trade = PublicTrade(trade_id, price, qty, taker_buys, self.tick_direction, wall_ms, sequence)
        self.trades.append(trade)
        turnover = qty * SCALE // price if self.is_inverse and price else price * qty // SCALE
        self.candles.tick(market_ms, price, qty, turnover)
        return trade

    def set_prices(self, index_price: int, mark_price: int, market_ms: int) -> None:
        """Index and mark moved, or time did."""
        self.index_price = index_price
        self.mark_price = mark_price
        if index_price:
            self.index_candles.tick(market_ms, index_price)
            self.premium_candles.tick(market_ms, (mark_price - index_price) * SCALE // index_price)
        if mark_price:
            self.mark_candles.tick(market_ms, mark_price)
        self.candles.pass_time(market_ms)

    def pass_time(self, market_ms: int) -> None:
        """Time went on without an event: bars end all the same."""
        for series in (self.candles, self.mark_candles, self.index_candles, self.premium_candles):
            series.pass_time(market_ms)

    def best_bid(self) -> Level:
        """Highest bid with its quantity; zeros when there is none."""
        price = max(self.bids, default=0)
        return price, self.bids.get(price, 0)

    def best_ask(self) -> Level:
        """Lowest ask with its quantity; zeros when there is none."""
        price = min(self.asks, default=0)
        return price, self.asks.get(price, 0)

    def depth(self, levels: int) -> tuple[list[Level], list[Level]]:
        """The best levels of both sides, best first."""
        return nlargest(levels, self.bids.items()), nsmallest(levels, self.asks.items())

    def day(self) -> DayStatistics:
        """High, low, volume and first price of the last 24 hours of market time."""
        running = self.candles.running("1")
        if running is None:
            return DayStatistics(0, 0, 0, 0, 0, 0)
        if self._day is None or self._day[0] != running.start_ms:
            self._day = (running.start_ms, self._closed_day())
        closed = self._day[1]
        return DayStatistics(
            open=closed.open or running.open,
            open_hour=closed.open_hour or running.open,
            high=max(closed.high, running.high),
            low=min(closed.low or running.low, running.low),
            volume=closed.volume + running.volume,
            turnover=closed.turnover + running.turnover,
        )

    def _closed_day(self) -> DayStatistics:
        minutes = self.candles.closed_minutes(DAY_MINUTES - 1)
        if not minutes:
            return DayStatistics(0, 0, 0, 0, 0, 0)
        return DayStatistics(
            open=minutes[-1].open,
            open_hour=minutes[min(59, len(minutes)) - 1].open,
            high=max(bar.high for bar in minutes),
            low=min(bar.low for bar in minutes),
            volume=sum(bar.volume for bar in minutes),
            turnover=sum(bar.turnover for bar in minutes),
        )
