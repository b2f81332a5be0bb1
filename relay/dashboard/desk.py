"""What pages read from the store: one connection on one thread, each answer kept for a moment.

Belongs here: asking without blocking the loop, the short memory that lets many open pages share an answer.
Does not belong here: what is shown (`views`).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

from relay.store import DriftStore, StoreError, StorePlace

__all__ = ["KEPT_SECONDS", "Desk"]

KEPT_SECONDS = 0.03  # less than a page waits after news: what it then asks is answered with what is new
ANSWERS_KEPT_MAX = 200

_Found = TypeVar("_Found")


@dataclass(slots=True)
class _Asked:
    """A question on its way."""

    answer: asyncio.Future[Any] | None = None
    began: float | None = None  # when the store was first read for it


class Desk:
    """Reads a store for any number of pages."""

    def __init__(self, place: StorePlace) -> None:
        self._place = place
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="dashboard")
        self._store: DriftStore | None = None
        self._answers: dict[Any, _Asked] = {}

    async def ask(self, key: Any, question: Callable[[DriftStore], _Found]) -> _Found:
        """The answer to a question; who asks the same (`key`) at the same moment shares it.

        A reading that began earlier may not have seen what was stored since: whoever asks while it goes on
        shares the next one. So of each question at most one is read and one waits.
        """
        asked = self._answers.get(key)
        if asked is None or (asked.began is not None and time.monotonic() - asked.began > KEPT_SECONDS):
            if len(self._answers) >= ANSWERS_KEPT_MAX:
                self._answers.clear()
            asked = self._answers[key] = _Asked()
            asked.answer = asyncio.get_running_loop().run_in_executor(
                self._thread, self._answer, question, asked
            )
        assert asked.answer is not None, "asked above, or by somebody before"
        found: _Found = await asyncio.shield(asked.answer)
        return found

    def _answer(self, question: Callable[[DriftStore], _Found], asked: _Asked) -> _Found:
        asked.began = time.monotonic()
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
