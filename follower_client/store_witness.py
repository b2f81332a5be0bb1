"""A small file beside the store that tells when the store is gone, or is an older one than it was.

Belongs here: that file. Does not belong here: the store itself (`store`), building it anew (`recovery`).

It keeps how many orders the store has had, written after the commit that made it so and never waited for. So
it may lag behind the store, after a power loss for instance, and is never ahead of it: where it is, the store
has lost what was on the disk (its -wal file is gone, or a backup was put back).
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from follower_client.errors import StoreError

__all__ = ["Witness", "is_lost", "orders_seen", "refuse_lost", "refuse_older"]

SUFFIX = ".kept"
WIDTH = 20
RECOVER = "next: follower-client recover"


def is_lost(store: Path) -> bool:
    """Whether there was a store here, and now there is none."""
    is_there = store.exists() and store.stat().st_size > 0
    return not is_there and store.with_suffix(SUFFIX).exists()


def refuse_lost(store: Path) -> None:
    """Raises `StoreError`: to begin anew would make what is held by copying somebody else's."""
    if is_lost(store):
        raise StoreError(f"{store}: the store is gone, and with it what is a copy; {RECOVER}")


def orders_seen(store: Path) -> int:
    """How many orders the store has had at least; to be read before the store is."""
    with suppress(OSError, ValueError):
        return int(store.with_suffix(SUFFIX).read_text("ascii").strip() or 0)
    return 0


def refuse_older(store: Path, seen: int, found: int) -> None:
    """Raises `StoreError`: what is missing would be traded again, or be held for somebody else's."""
    if found < seen:
        raise StoreError(
            f"{store}: the store is older than it was, {seen} orders were in it and {found} are (its -wal "
            f"file was lost, or a backup was put back); {RECOVER}"
        )


class Witness:
    """Held open by the store's writer. Raises `StoreError`."""

    def __init__(self, store: Path, count: int) -> None:
        path = store.with_suffix(SUFFIX)
        try:
            path.touch(mode=0o600)
            self._file = path.open("r+b", buffering=0)
        except OSError as error:
            raise StoreError(f"{path}: {error.strerror}") from None
        self._count = -1
        self.tell(count)

    def tell(self, count: int) -> None:
        """So many orders are in the store, on the disk."""
        if count <= self._count:
            return
        try:
            os.pwrite(self._file.fileno(), f"{count:<{WIDTH}}".encode("ascii"), 0)
        except OSError as error:
            raise StoreError(f"{self._file.name}: {error.strerror}") from None
        self._count = count

    def close(self) -> None:
        """Twice does no harm."""
        self._file.close()
