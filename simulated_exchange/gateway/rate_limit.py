"""How often may be asked: a budget per account and call, and one per address, as published or one for all.

Belongs here: counting, and the published table. Does not belong here: the answer to who asks too often.
"""

from __future__ import annotations

from typing import NamedTuple

__all__ = [
    "ADDRESS_BAN_MS",
    "ADDRESS_FRAMES_MAX",
    "ADDRESS_REQUESTS_MAX",
    "ADDRESS_SOCKETS_MAX",
    "PUBLISHED",
    "SOCKETS_WINDOW_MS",
    "Allowance",
    "RateLimiter",
]

SECOND_MS = 1000
MINUTE_MS = 60_000
RESET_AHEAD_MS = 50  # at least; a client that reads of a reset in the past sleeps a negative time and fails
WINDOWS_MAX = 200_000  # more than accounts x calls; beyond it the counters begin anew

PUBLISHED: dict[str, tuple[int, int]] = {
    **dict.fromkeys(("order.create", "order.amend", "order.cancel"), (10, SECOND_MS)),
    **dict.fromkeys(("order.create-batch", "order.amend-batch", "order.cancel-batch"), (10, SECOND_MS)),
    **dict.fromkeys(("order.create.spot", "order.cancel.spot"), (20, SECOND_MS)),
    **dict.fromkeys(("order.create-batch.spot", "order.cancel-batch.spot"), (20, SECOND_MS)),
    **dict.fromkeys(("order.amend.spot", "order.amend-batch.spot"), (10, SECOND_MS)),
    "order.cancel-all": (10, SECOND_MS),
    "order.cancel-all.spot": (20, SECOND_MS),
    "order.cancel-all.option": (1, SECOND_MS),
    "history": (50, SECOND_MS),
    "position": (10, SECOND_MS),
    "key": (10, SECOND_MS),
    "transactions": (25, SECOND_MS),
    "coins": (5, SECOND_MS),
    "fees": (5, SECOND_MS),
    "loan": (1, SECOND_MS),
    "transfer": (60, MINUTE_MS),
}
"""Calls and the window in milliseconds, by budget; a batch of n costs n."""

ADDRESS_REQUESTS_MAX = 600
ADDRESS_WINDOW_MS = 5000
ADDRESS_BAN_MS = 600_000
ADDRESS_SOCKETS_MAX = 500
SOCKETS_WINDOW_MS = 300_000
ADDRESS_FRAMES_MAX = 3000  # on trade sockets, in a second


class Allowance(NamedTuple):
    """What is left in this window."""

    limit: int
    remaining: int
    reset_ms: int
    is_exceeded: bool


class RateLimiter:
    """Counts calls in windows: of one second, or as published."""

    def __init__(self, per_second_max: int, *, is_published: bool = False) -> None:
        self._limit = per_second_max
        self._is_published = is_published
        self._windows: dict[tuple[int, str], list[int]] = {}
        self._addresses: dict[str, list[int]] = {}
        self._sockets: dict[str, list[int]] = {}
        self._frames: dict[str, list[int]] = {}

    def take(self, account: int, group: str, now_ms: int, cost: int = 1) -> Allowance:
        """Use `cost` calls. Reset is now, or lies ahead when there is nothing left."""
        limit, length_ms = self._limit, SECOND_MS
        if self._is_published and account:
            limit, length_ms = PUBLISHED.get(group, (limit, length_ms))
        windows = self._windows
        window = windows.get((account, group))
        if window is None:
            if len(windows) >= WINDOWS_MAX:
                windows.clear()
            window = windows[account, group] = [now_ms, 0]
        if now_ms - window[0] >= length_ms or now_ms < window[0]:
            window[0], window[1] = now_ms, 0
        if window[1] + cost > limit and not (cost > limit and window[1] == 0):
            reset_ms = max(window[0] + length_ms, now_ms + RESET_AHEAD_MS)
            return Allowance(limit, 0, reset_ms, True)
        window[1] += cost
        return Allowance(limit, max(limit - window[1], 0), now_ms, False)

    def is_banned(self, address: str, now_ms: int) -> bool:
        """Count a request of an address; true when it asked too often and has to wait. Only as published."""
        if not self._is_published:
            return False
        window = self._addresses.get(address)
        if window is None:
            if len(self._addresses) >= WINDOWS_MAX:
                self._addresses.clear()
            window = self._addresses[address] = [now_ms, 0, 0]
        if now_ms < window[2]:
            return True
        if now_ms - window[0] >= ADDRESS_WINDOW_MS or now_ms < window[0]:
            window[0], window[1] = now_ms, 0
        window[1] += 1
        if window[1] > ADDRESS_REQUESTS_MAX:
            window[2] = now_ms + ADDRESS_BAN_MS
            return True
        return False

    def opens_too_many(self, address: str, now_ms: int) -> bool:
        """Count a socket that an address opens; true when it opened too many of late. Only as published."""
        return self._counts_beyond(self._sockets, address, now_ms, SOCKETS_WINDOW_MS, ADDRESS_SOCKETS_MAX)

    def sends_too_much(self, address: str, now_ms: int) -> bool:
        """Count a request of an address on a trade socket; true beyond what a second allows. Only as
        published.
        """
        return self._counts_beyond(self._frames, address, now_ms, SECOND_MS, ADDRESS_FRAMES_MAX)

    def _counts_beyond(
        self, windows: dict[str, list[int]], address: str, now_ms: int, length_ms: int, most: int
    ) -> bool:
        if not self._is_published:
            return False
        window = windows.get(address)
        if window is None:
            if len(windows) >= WINDOWS_MAX:
                windows.clear()
            window = windows[address] = [now_ms, 0]
        if now_ms - window[0] >= length_ms or now_ms < window[0]:
            window[0], window[1] = now_ms, 0
        window[1] += 1
        return window[1] > most
