"""The venue's two clocks: market time, possibly compressed, and wall time.

Belongs here: how market time follows from elapsed wall time. Does not belong here: who is told what time it
is (the driver), and any decision. Market time never goes backwards; it runs on the monotonic clock, so that a
correction of the system's clock cannot turn it back.
"""

from __future__ import annotations

import time
from collections.abc import Callable

__all__ = ["MarketClock", "wall_ms"]


def wall_ms() -> int:
    """Wall time in milliseconds of the Unix epoch; rules signatures, receive windows and wire timestamps."""
    return time.time_ns() // 1_000_000


class MarketClock:
    """market_ms = start + elapsed wall time * factor."""

    def __init__(
        self,
        start_ms: int,
        factor: float = 1.0,
        *,
        held: bool = False,
        monotonic_ns: Callable[[], int] = time.monotonic_ns,
        time_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        """`start_ms`: market time now. `factor`: market seconds in one wall second, above zero.

        A `held` clock stands still until `play`.
        """
        if factor <= 0:
            raise ValueError(f"factor must be above zero, not {factor}")
        self.start_ms = start_ms
        self.factor = factor
        self._monotonic_ns = monotonic_ns
        self._time_ns = time_ns
        self._started_ns: int | None = None if held else monotonic_ns()

    @property
    def is_held(self) -> bool:
        """Whether market time stands still."""
        return self._started_ns is None

    def play(self) -> None:
        """Let market time run from here on. Does nothing when it runs."""
        if self._started_ns is None:
            self._started_ns = self._monotonic_ns()

    def hold(self) -> None:
        """Let market time stand still until `play`."""
        if self._started_ns is not None:
            self.start_ms = self.market_ms()
            self._started_ns = None

    def market_ms(self) -> int:
        """Market time in milliseconds of the Unix epoch."""
        elapsed_ns = 0 if self._started_ns is None else self._monotonic_ns() - self._started_ns
        return self.start_ms + int(elapsed_ns * self.factor) // 1_000_000

    def wall_us(self) -> int:
        """Wall time in microseconds of the Unix epoch; stamped onto events, decides nothing."""
        return self._time_ns() // 1000

    def not_before(self, market_ms: int) -> None:
        """Move the start so that market time goes on from `market_ms`, where a recovered journal ended."""
        behind_ms = market_ms - self.market_ms()
        if behind_ms > 0:
            self.start_ms += behind_ms
