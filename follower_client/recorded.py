"""What of one leader's signals is recorded, known without a look at the disk where there can be nothing.

Belongs here: which copies there are, and their orders. Does not belong here: recording (`store`), what a copy
does next (`executor`).

The first reading of a store after a pause costs a tenth of a millisecond, and a signal that has just come
would wait for it to be told that there is nothing.
"""

from __future__ import annotations

from collections.abc import Iterable

from follower_client.records import LATE_EPOCH, Copy, CopyKey, Order
from follower_client.store import Store

__all__ = ["Recorded"]

NOWHERE = (LATE_EPOCH, 0)  # before every signal


class Recorded:
    """One leader's, in the program that alone records him. Before `begin` the store is asked each time."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._newest: tuple[int, int] | None = None  # (epoch, seq): there is no copy of any signal beyond
        self._fresh: set[CopyKey] = set()

    def begin(self, newest: Iterable[Copy]) -> None:
        """The newest copies that the store holds."""
        self._newest = max(((copy.epoch, copy.seq) for copy in newest), default=NOWHERE)

    def hear(self, key: CopyKey) -> bool:
        """Whether there is a copy of this signal. If not, one is made of it from here on."""
        place, newest = (key.epoch, key.seq), self._newest
        if newest is not None:
            self._newest = max(place, newest)
        if (newest is None or place <= newest) and self._store.has_copy(key):
            return True
        self._fresh.add(key)
        return False

    def note(self, key: CopyKey) -> None:
        """Something of the copy is recorded now."""
        self._fresh.discard(key)

    def orders_of(self, key: CopyKey) -> list[Order]:
        """The copy's orders, as they are recorded."""
        return [] if key in self._fresh else self._store.orders_of(key)
