"""A thread beside the loop that waits for the disk.

Belongs here: one piece of work after the other. Does not belong here: what is written and who waits for it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue

__all__ = ["DiskThread"]

Work = Callable[[], int]


class DiskThread:
    """One piece of work at a time; unlike an executor's thread, one that is stuck lets the process end."""

    def __init__(self, name: str) -> None:
        self._asked: SimpleQueue[tuple[Work, Future[int]] | None] = SimpleQueue()
        threading.Thread(target=self._run, name=name, daemon=True).start()

    def ask(self, work: Work) -> Future[int]:
        """Done when the work, which begins after the call, has ended; with its answer, or with its error."""
        done: Future[int] = Future()
        self._asked.put((work, done))
        return done

    def close(self) -> None:
        """No more work; what runs is not waited for."""
        self._asked.put(None)

    def _run(self) -> None:
        while (asked := self._asked.get()) is not None:
            work, done = asked
            if not done.set_running_or_notify_cancel():
                continue
            try:
                done.set_result(work())
            except Exception as error:
                done.set_exception(error)
