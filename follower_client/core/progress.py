"""How far the feed is dealt with when signals finish out of order.

Belongs here: the contiguous head. Does not belong here: storing it (`store`), reading the feed
(`subscriber`).
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

__all__ = ["Place", "Progress"]


@dataclass(slots=True)
class Place:
    """One message of the feed that was heard."""

    epoch: int
    seq: int
    chain_hash: str
    settled: bool


class Progress:
    """An exit may be decided while an earlier entry waits for its wave; the head moves over settled places
    only.
    """

    def __init__(self) -> None:
        self._heard: deque[Place] = deque()
        self._head: Place | None = None

    @property
    def head(self) -> Place | None:
        """The last place before which nothing is unsettled; `None` before the first."""
        return self._head

    @property
    def open_count(self) -> int:
        return len(self._heard)

    def hear(self, epoch: int, seq: int, chain_hash: str, *, settled: bool) -> None:
        """Places come in the order of the feed."""
        self._heard.append(Place(epoch, seq, chain_hash, settled))
        self._move()

    def settle(self, epoch: int, seq: int) -> None:
        """What becomes of this signal is being recorded; harmless for a place that was never heard."""
        for place in self._heard:
            if (place.epoch, place.seq) == (epoch, seq):
                place.settled = True
                break
        self._move()

    def _move(self) -> None:
        while self._heard and self._heard[0].settled:
            self._head = self._heard.popleft()
