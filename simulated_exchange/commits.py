"""The thread beside the loop that waits for the disk.

Belongs here: one commit after the other. Does not belong here: what a commit covers and who waits for it (the
driver).
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue

__all__ = ["CommitThread"]


class CommitThread:
    """Runs one commit at a time; unlike an executor's thread, one that is stuck lets the process end."""

    def __init__(self, commit: Callable[[], object]) -> None:
        self._commit = commit
        self._asked: SimpleQueue[Future[None] | None] = SimpleQueue()
        threading.Thread(target=self._run, name="commit", daemon=True).start()

    def ask(self) -> Future[None]:
        """Done when a commit that began after the call has ended, with its error if it failed."""
        done: Future[None] = Future()
        self._asked.put(done)
        return done

    def close(self) -> None:
        """No more commits; the one that runs is not waited for."""
        self._asked.put(None)

    def _run(self) -> None:
        while (done := self._asked.get()) is not None:
            if not done.set_running_or_notify_cancel():
                continue
            try:
                self._commit()
            except Exception as error:
                done.set_exception(error)
            else:
                done.set_result(None)
