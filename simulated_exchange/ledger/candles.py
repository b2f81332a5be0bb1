"""Bars of one price series in market time, for every interval of the wire.

Belongs here: folding ticks into bars. Does not belong here: where ticks come from, and wire text (intervals
are named as the wire names them because that is their only name). Prices and quantities are fixed point;
times are market milliseconds. Minutes without a tick get a flat bar, as the real venue prints them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import islice
from operator import attrgetter

__all__ = ["BARS_MAX", "INTERVALS", "MINUTE_MS", "Bar", "CandleSeries", "bar_end_ms", "bar_start_ms"]

MINUTE_MS = 60_000
BARS_MAX = 1500  # bars kept per interval; more than a day of minutes, and more than one answer may ask for

_MINUTES = {str(minutes): minutes for minutes in (1, 3, 5, 15, 30, 60, 120, 240, 360, 720)} | {"D": 1440}
INTERVALS = (*_MINUTES, "W", "M")
_WEEK_MS = 7 * 86_400_000
_FIRST_MONDAY_MS = 4 * 86_400_000  # 1970-01-05


def bar_start_ms(interval: str, market_ms: int) -> int:
    """Where the bar that contains `market_ms` begins: weeks on Monday, months on the first, all in UTC."""
    minutes = _MINUTES.get(interval)
    if minutes is not None:
        return market_ms - market_ms % (minutes * MINUTE_MS)
    if interval == "W":
        return market_ms - (market_ms - _FIRST_MONDAY_MS) % _WEEK_MS
    moment = datetime.fromtimestamp(market_ms // 1000, UTC)
    return int(moment.replace(day=1, hour=0, minute=0, second=0).timestamp()) * 1000


def bar_end_ms(interval: str, start_ms: int) -> int:
    """The last millisecond of the bar that begins at `start_ms`."""
    minutes = _MINUTES.get(interval)
    if minutes is not None:
        return start_ms + minutes * MINUTE_MS - 1
    if interval == "W":
        return start_ms + _WEEK_MS - 1
    beyond = datetime.fromtimestamp(start_ms // 1000, UTC) + timedelta(days=32)
    return int(beyond.replace(day=1).timestamp()) * 1000 - 1


class Bar:
    """One bar; `turnover` is in quote units."""

    __slots__ = ("close", "high", "low", "open", "start_ms", "turnover", "volume")

    def __init__(self, start_ms: int, price: int) -> None:
        self.start_ms = start_ms
        self.open = self.high = self.low = self.close = price
        self.volume = 0
        self.turnover = 0

    @classmethod
    def of_row(cls, row: _Row) -> Bar:
        """A bar whose seven values are known."""
        bar = cls(row[0], row[1])
        _, _, bar.high, bar.low, bar.close, bar.volume, bar.turnover = row
        return bar

    def tick(self, price: int, volume: int, turnover: int) -> None:
        """Take one trade, or one sample with no volume."""
        self.high = max(self.high, price)
        self.low = min(self.low, price)
        self.close = price
        self.volume += volume
        self.turnover += turnover

    def absorb(self, later: Bar) -> None:
        """Take a whole later bar."""
        self.high = max(self.high, later.high)
        self.low = min(self.low, later.low)
        self.close = later.close
        self.volume += later.volume
        self.turnover += later.turnover

    def copy(self, start_ms: int) -> Bar:
        """The same values under another start."""
        other = Bar(start_ms, self.open)
        other.high, other.low, other.close = self.high, self.low, self.close
        other.volume, other.turnover = self.volume, self.turnover
        return other


_Row = tuple[int, int, int, int, int, int, int]
_State = tuple[dict[str, list[_Row]], _Row | None, int]
_ROW: Callable[[Bar], _Row] = attrgetter("start_ms", "open", "high", "low", "close", "volume", "turnover")


class CandleSeries:
    """All intervals of one series. The running minute is kept apart and joined when somebody looks."""

    def __init__(self) -> None:
        self._bars: dict[str, deque[Bar]] = {name: deque(maxlen=BARS_MAX) for name in INTERVALS}
        self._minute: Bar | None = None
        self._minute_end_ms = 0

    def __getstate__(self) -> _State:
        """Rows instead of bars: a tenth of the time, and there are many."""
        rows = {name: [_ROW(bar) for bar in bars] for name, bars in self._bars.items()}
        minute = _ROW(self._minute) if self._minute else None
        return rows, minute, self._minute_end_ms

    def __setstate__(self, state: _State) -> None:
        rows, minute, self._minute_end_ms = state
        self._bars = {name: deque(map(Bar.of_row, rows[name]), maxlen=BARS_MAX) for name in INTERVALS}
        self._minute = Bar.of_row(minute) if minute else None

    def tick(self, market_ms: int, price: int, volume: int = 0, turnover: int = 0) -> None:
        """One trade or sample; times never go backwards."""
        if market_ms >= self._minute_end_ms:
            self._roll(market_ms, price)
        minute = self._minute
        assert minute is not None
        minute.tick(price, volume, turnover)

    def pass_time(self, market_ms: int) -> None:
        """Let time go on without a tick: flat bars where nothing happened."""
        if self._minute is not None and market_ms >= self._minute_end_ms:
            self._roll(market_ms, self._minute.close)

    def _roll(self, market_ms: int, price: int) -> None:
        start_ms = market_ms - market_ms % MINUTE_MS
        minute = self._minute
        if minute is not None:
            self._close(minute)
            first_flat_ms = max(minute.start_ms + MINUTE_MS, start_ms - BARS_MAX * MINUTE_MS)
            for flat_ms in range(first_flat_ms, start_ms, MINUTE_MS):
                self._close(Bar(flat_ms, minute.close))
            price = minute.close
        self._minute = Bar(start_ms, price)
        self._minute_end_ms = start_ms + MINUTE_MS

    def _close(self, minute: Bar) -> None:
        for name, bars in self._bars.items():
            start_ms = minute.start_ms if name == "1" else bar_start_ms(name, minute.start_ms)
            if bars and bars[-1].start_ms == start_ms:
                bars[-1].absorb(minute)
            else:
                bars.append(minute.copy(start_ms))

    def running(self, interval: str) -> Bar | None:
        """The bar that is not closed yet; None before the first tick."""
        minute = self._minute
        if minute is None:
            return None
        start_ms = bar_start_ms(interval, minute.start_ms)
        bars = self._bars[interval]
        if bars and bars[-1].start_ms == start_ms:
            joined = bars[-1].copy(start_ms)
            joined.absorb(minute)
            return joined
        return minute.copy(start_ms)

    def newest_first(self, interval: str) -> list[Bar]:
        """Every bar kept, the running one first."""
        running = self.running(interval)
        if running is None:
            return []
        closed = reversed(self._bars[interval])
        return [running, *(bar for bar in closed if bar.start_ms < running.start_ms)]

    def last_closed(self, interval: str) -> Bar | None:
        """The newest bar that will not change any more."""
        running = self.running(interval)
        for bar in reversed(self._bars[interval]):
            if running is None or bar.start_ms < running.start_ms:
                return bar
        return None

    def closed_minutes(self, count: int) -> list[Bar]:
        """The newest `count` closed minutes, newest first."""
        return list(islice(reversed(self._bars["1"]), count))
