"""A committer over any `sync`, for tests whose journal ends its commits when they say so.

Belongs here: what `Engine.committer` gives, made of Python's parts. Does not belong here: tests.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from queue import SimpleQueue

__all__ = ["HeldCommitter"]


class HeldCommitter:
    """Asks `sync` on a thread of its own that keeps no process alive."""

    def __init__(self, sync: Callable[[], int]) -> None:
        self._sync = sync
        self._bell, self._ringer = socket.socketpair()
        self._bell.setblocking(False)
        self._asked: SimpleQueue[bool] = SimpleQueue()
        self._outcome: int | Exception | None = None
        threading.Thread(target=self._work, name="commit", daemon=True).start()

    def fileno(self) -> int:
        return self._bell.fileno()

    def begin(self) -> None:
        self._asked.put(True)

    def ended(self) -> int | None:
        try:
            self._bell.recv(8)
        except BlockingIOError:
            return None
        outcome, self._outcome = self._outcome, None
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def close(self) -> None:
        self._asked.put(False)

    def _work(self) -> None:
        while self._asked.get():
            try:
                self._outcome = self._sync()
            except Exception as error:
                self._outcome = error
            self._ringer.send(b"1")
