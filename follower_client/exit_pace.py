"""How often a way out that does not open is tried again, and for which of them somebody has to be told.

Belongs here: one pause per leader and symbol, shared by all who want to close there. Does not belong here:
the orders (`core.exits`), the words of the alarm (`notify`), telling it (`watch`).

There is no last try. While there is something to close that should be closed, tries go on: at first within a
second, then ever more rarely, in the end once a minute. A fill begins anew.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

__all__ = ["ExitPaces", "Stuck"]

RETRY_WAIT_S = 0.1
RETRY_WAIT_MAX_S = 60.0
STUCK_TRIES = 3  # in a row without a fill; the price guard is dropped by then


@dataclass(frozen=True, slots=True)
class Stuck:
    """A position that should be closed and cannot be. `since_s` is monotonic."""

    leader_id: str
    symbol: str
    tries: int
    why: str
    since_s: float


@dataclass(slots=True)
class _Pace:
    since_s: float
    tries: int = 0
    why: str = ""
    not_before_s: float = 0.0


class ExitPaces:
    """One account's. `failed` and `done` after each try, `wait` before the next one."""

    def __init__(self) -> None:
        self._paces: dict[tuple[str, str], _Pace] = {}

    def failed(self, leader_id: str, symbol: str, why: str) -> None:
        """A try closed nothing."""
        now_s = time.monotonic()
        pace = self._paces.setdefault((leader_id, symbol), _Pace(now_s))
        pace.tries, pace.why = pace.tries + 1, why
        pace.not_before_s = now_s + min(RETRY_WAIT_S * 2 ** min(pace.tries, 32), RETRY_WAIT_MAX_S)

    def done(self, leader_id: str, symbol: str) -> None:
        """Something was closed, or there is nothing more to close."""
        self._paces.pop((leader_id, symbol), None)

    async def wait(self, leader_id: str, symbol: str, lane: asyncio.Lock) -> None:
        """Return when the next try may be made. The caller holds the lane. Where tries have become rare it is
        free while he waits: others may have a better reason to try at once.
        """
        while (pace := self._paces.get((leader_id, symbol))) is not None:
            wait_s = pace.not_before_s - time.monotonic()
            if wait_s <= 0:
                return
            if pace.tries < STUCK_TRIES:
                await asyncio.sleep(wait_s)
                continue
            lane.release()
            try:
                await asyncio.sleep(wait_s)
            finally:
                await lane.acquire()

    def stuck(self) -> list[Stuck]:
        """What somebody has to be told of."""
        return [
            Stuck(leader_id, symbol, pace.tries, pace.why, pace.since_s)
            for (leader_id, symbol), pace in self._paces.items()
            if pace.tries >= STUCK_TRIES
        ]

    def due(self, leader_id: str) -> frozenset[str]:
        """Symbols of a leader in which an exit could not be made yet: nothing is entered there."""
        return frozenset(one.symbol for one in self.stuck() if one.leader_id == leader_id)
