"""A stream read forwards, one batch ahead of whoever takes them.

Belongs here: asking for the next batch while the last one is being verified. Does not belong here: how a
batch is fetched (`bus`), what is in it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any

from relay.nats_bus.errors import BusError

__all__ = ["HISTORY_BATCH", "History", "Rows"]

HISTORY_BATCH = 512  # messages per Direct Get request

TURNS_TO_SEND = 4  # of the event loop, until a request that was made is on the wire

Rows = list[tuple[int, bytes]]


class History:
    """One reader's way through a stream. `close` it when no more is wanted."""

    def __init__(self, fetch: Callable[[str, int, int], Coroutine[Any, Any, Rows]], stream: str) -> None:
        self._fetch = fetch
        self._stream = stream
        self._ahead: asyncio.Task[Rows] | None = None
        self._ahead_from = 0

    async def take(self, from_seq: int) -> Rows:
        """The stored messages `from_seq` .. `from_seq + HISTORY_BATCH - 1`: as `Bus.fetch_range`, and it
        raises as that does.

        After a full batch the one behind it is asked for at once, so that it is on its way while the caller
        works on this one; a caller who goes on elsewhere costs that answer and nothing more.
        """
        if self._ahead is None or self._ahead_from != from_seq:
            await self.close()
            self._ask(from_seq)
        ahead, self._ahead = self._ahead, None
        assert ahead is not None, "it was asked for just now"
        rows = await ahead
        if len(rows) == HISTORY_BATCH:
            self._ask(rows[-1][0] + 1)
            for _ in range(TURNS_TO_SEND):
                await asyncio.sleep(0)
        return rows

    async def close(self) -> None:
        """Wait for nothing more. Harmless on a closed one; it can be taken from again."""
        ahead, self._ahead = self._ahead, None
        if ahead is not None:
            ahead.cancel()
            with suppress(asyncio.CancelledError, BusError):
                await ahead

    def _ask(self, from_seq: int) -> None:
        self._ahead_from = from_seq
        self._ahead = asyncio.create_task(self._fetch(self._stream, from_seq, HISTORY_BATCH))
