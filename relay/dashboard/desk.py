"""What pages read from the store: one connection on one thread, each answer kept for a moment.

Belongs here: asking without blocking the loop, the short memory that lets many open pages share an answer.
Does not belong here: what is shown (`views`).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from relay.store import DriftStore, StoreError, StorePlace

__all__ = ["Desk"]

KEPT_SECONDS = 0.1
ANSWERS_KEPT_MAX = 200

_Found = TypeVar("_Found")


class Desk:
    """Reads a store for any number of pages."""

    def __init__(self, place: StorePlace) -> None:
        self._place = place
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="dashboard")
        self._store: DriftStore | None = None
        self._answers: dict[Any, tuple[float, asyncio.Future[Any]]] = {}

    async def ask(self, key: Any, question: Callable[[DriftStore], _Found]) -> _Found:
        """The answer to a question; who asks the same (`key`) at the same moment shares it."""
        now = time.monotonic()
        kept = self._answers.get(key)
        if kept is None or (now - kept[0] > KEPT_SECONDS and kept[1].done()):
            if len(self._answers) >= ANSWERS_KEPT_MAX:
                self._answers.clear()
            loop = asyncio.get_running_loop()
            kept = (now, asyncio.ensure_future(loop.run_in_executor(self._thread, self._answer, question)))
            self._answers[key] = kept
        found: _Found = await asyncio.shield(kept[1])
        return found

    def _answer(self, question: Callable[[DriftStore], _Found]) -> _Found:
        if self._store is None:
            self._store = DriftStore.open_for_reading(self._place)
        try:
            return question(self._store)
        except StoreError:
            self._store.close()  # the next question opens it anew
            self._store = None
            raise

    async def close(self) -> None:
        """Close the connection."""

        def end() -> None:
            if self._store is not None:
                self._store.close()

        await asyncio.get_running_loop().run_in_executor(self._thread, end)
        self._thread.shutdown()
