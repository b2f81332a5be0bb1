"""Waits for the disk: of one store, and of all the stores of a process together.

Belongs here: syncing write-ahead logs, and whose turn it is. Does not belong here: what is written, and what
may happen only after it is on the disk (`store`, `order_driver`, `reports`).

One follower alone waits in place. Where there are more, their logs are synced by some threads side by side: a
disk takes many syncs at once for the time of a few, and one after the other the last of a thousand followers
would wait for all the others'.
"""

from __future__ import annotations

import asyncio
import itertools
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from follower_client.errors import StoreError

__all__ = ["Disk", "WriteAheadLog"]

CLOSED = -1
THREADS = 16
LOGS_AT_ONCE_MAX = 8  # of one thread: less to hand over, and nobody waits for long for his neighbours


class WriteAheadLog:
    """What a store has committed, and how much of it is known to be on the disk."""

    def __init__(self, store: Path) -> None:
        self._file = store.with_name(f"{store.name}-wal")
        self._handle: int | None = None
        self._written = self._kept = 0
        self._error: StoreError | None = None
        self.disk: Disk | None = None  # of the process, where it hosts more than this one

    @property
    def is_alone(self) -> bool:
        """Whether nobody else waits for the disk."""
        return self.disk is None

    def begin(self) -> None:
        """Have it synced, though nobody waits: what goes wrong is told to who waits next."""
        if self.disk is not None:
            self.disk.begin(self)

    def note(self) -> None:
        """There was a commit that did not wait for the disk."""
        self._written += 1

    async def kept(self) -> None:
        """Return when all that was committed before the call is on the disk. Raises `StoreError`, and does so
        ever after: what a failed sync has dropped, the next one does not report.
        """
        due = self._written
        while self._kept < due or self._error is not None:
            if self._error is not None:
                raise StoreError(str(self._error))
            if self.disk is not None:
                await self.disk.sync(self)
            else:
                self.take(self._written, self.sync())

    @property
    def written(self) -> int:
        """How many commits there were."""
        return self._written

    def sync(self) -> OSError | None:
        """Wait for the disk; any thread. What went wrong."""
        try:
            if self._handle is None:
                self._handle = os.open(self._file, os.O_RDONLY)
                folder = os.open(self._file.parent, os.O_RDONLY)
                try:
                    os.fsync(folder)  # the log itself may be new
                finally:
                    os.close(folder)
            os.fdatasync(self._handle)
        except OSError as error:
            return error
        return None

    def take(self, written: int, error: OSError | None) -> None:
        """A sync that began when there were so many commits is over."""
        if error is not None:
            self._error = StoreError(f"store: {self._file}: {error}")
        else:
            self._kept = max(self._kept, written)

    def close(self) -> None:
        if self._handle is not None:
            os.close(self._handle)
        self._handle = CLOSED  # whatever thread comes late fails by itself


class Disk:
    """Syncs logs for whoever waits, some threads side by side."""

    def __init__(self, hosted: int) -> None:
        """`hosted` = how many followers there are."""
        self._pool = ThreadPoolExecutor(THREADS, "disk")
        self._free = THREADS
        self.hosted = hosted
        self._due: dict[WriteAheadLog, asyncio.Future[None]] = {}

    async def sync(self, log: WriteAheadLog) -> None:
        """Return when a sync is over that began after the call."""
        await asyncio.shield(self.begin(log))

    def begin(self, log: WriteAheadLog) -> asyncio.Future[None]:
        """What is done when such a sync is over. Who asks in the same turn of the loop goes along."""
        turn = self._due.get(log)
        if turn is None:
            loop = asyncio.get_running_loop()
            turn = self._due[log] = loop.create_future()
            if len(self._due) == 1:
                loop.call_soon(self._next)
        return turn

    def _next(self) -> None:
        loop = asyncio.get_running_loop()
        while self._due and self._free:
            count = min(LOGS_AT_ONCE_MAX, -(-len(self._due) // self._free))
            first = list(itertools.islice(self._due, count))
            logs = [(log, log.written, self._due.pop(log)) for log in first]
            self._free -= 1
            done = loop.run_in_executor(self._pool, _sync_all, [log for log, _, _ in logs])
            done.add_done_callback(partial(self._end, logs))

    def _end(
        self,
        logs: Sequence[tuple[WriteAheadLog, int, asyncio.Future[None]]],
        ended: asyncio.Future[list[OSError | None]],
    ) -> None:
        self._free += 1
        for (log, written, turn), error in zip(logs, ended.result(), strict=True):
            log.take(written, error)
            if not turn.done():
                turn.set_result(None)
        self._next()

    def close(self) -> None:
        """Nobody waits any more."""
        self._pool.shutdown()


def _sync_all(logs: Sequence[WriteAheadLog]) -> list[OSError | None]:
    return [log.sync() for log in logs]
