"""How often an account may ask: one budget per account, group of calls and second.

Belongs here: counting. Does not belong here: the answer to who asks too often.
"""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["Allowance", "RateLimiter"]

SECOND_MS = 1000
RESET_AHEAD_MS = 50  # at least; a client that reads of a reset in the past sleeps a negative time and fails
WINDOWS_MAX = 200_000  # more than accounts x groups; beyond it the counters begin anew


class Allowance(NamedTuple):
    """What is left in this second."""

    limit: int
    remaining: int
    reset_ms: int
    is_exceeded: bool


class RateLimiter:
    """Counts calls in windows of one second."""

    def __init__(self, per_second_max: int) -> None:
        self._limit = per_second_max
        self._windows: dict[tuple[int, str], list[int]] = {}

    def take(self, account: int, group: str, now_ms: int, cost: int = 1) -> Allowance:
        """Use `cost` calls. Reset is now, or lies ahead when there is nothing left."""
        windows = self._windows
        window = windows.get((account, group))
        if window is None:
            if len(windows) >= WINDOWS_MAX:
                windows.clear()
            window = windows[account, group] = [now_ms, 0]
        if now_ms - window[0] >= SECOND_MS or now_ms < window[0]:
            window[0], window[1] = now_ms, 0
        if window[1] + cost > self._limit:
            reset_ms = max(window[0] + SECOND_MS, now_ms + RESET_AHEAD_MS)
            return Allowance(self._limit, 0, reset_ms, True)
        window[1] += cost
        return Allowance(self._limit, self._limit - window[1], now_ms, False)
