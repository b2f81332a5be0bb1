"""A thread beside the loop that waits for the disk.

Belongs here: one piece of work after the other. Does not belong here: what is written and who waits for it.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from queue import SimpleQueue

__all__ = ["DiskThread"]

Work = Callable[[], int]
Tell = Callable[[int, Exception | None], object]


class DiskThread:
    """One piece of work at a time; unlike an executor's thread, one that is stuck lets the process end."""

    def __init__(self, name: str) -> None:
        self._asked: SimpleQueue[tuple[Work, Tell] | None] = SimpleQueue()
        threading.Thread(target=self._run, name=name, daemon=True).start()

    def ask(self, work: Work) -> Future[int]:
        """Done when the work, which begins after the call, has ended; with its answer, or with its error."""
        done: Future[int] = Future()
        self._asked.put((work, partial(_settle, done)))
        return done

    def ask_from_loop(self, work: Work) -> asyncio.Future[int]:
        """The same for whoever waits on the running loop, at half the price of a future of both worlds."""
        loop = asyncio.get_running_loop()
        done: asyncio.Future[int] = loop.create_future()

        def tell(answer: int, failure: Exception | None) -> object:
            return loop.call_soon_threadsafe(_settle, done, answer, failure)

        self._asked.put((work, tell))
        return done

    def close(self) -> None:
        """No more work; what runs is not waited for."""
        self._asked.put(None)

    def _run(self) -> None:
        while (asked := self._asked.get()) is not None:
            work, tell = asked
            answer, failure = 0, None
            try:
                answer = work()
            except Exception as error:
                failure = error
            with contextlib.suppress(RuntimeError):  # the loop was closed meanwhile; nobody waits
                tell(answer, failure)


def _settle(done: Future[int] | asyncio.Future[int], answer: int, failure: Exception | None) -> None:
    """Tell who waits; nobody does when the future was cancelled."""
    if done.done():
        return
    if failure is not None:
        done.set_exception(failure)
    else:
        done.set_result(answer)
