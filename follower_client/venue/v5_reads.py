"""Answers of Bybit v5 that list rows: one page, or all of them.

Belongs here: reading lists, page by page. Does not belong here: what rows mean (`v5_rows`, `v5_holdings`).
"""

from __future__ import annotations

from typing import Any

from follower_client.errors import VenueUnavailableError
from follower_client.venue.transport import CallError, Rows, Transport
from follower_client.venue.v5_rows import body_of

__all__ = ["Reads"]

PAGES_MAX = 50


class Reads:
    """Lists of one account. Raises `VenueUnavailableError` where there is no usable answer."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def one(self, what: str, path: str, query: dict[str, Any]) -> dict[str, Any]:
        """The body of one answer."""
        try:
            return body_of(what, await self._transport.get(path, query))
        except CallError as error:
            raise VenueUnavailableError(f"{what}: {error}") from None

    async def pages(self, what: str, path: str, query: dict[str, Any]) -> Rows:
        """The rows of all pages, within a limit."""
        rows: Rows = []
        for _ in range(PAGES_MAX):
            answer = await self.one(what, path, query)
            rows += answer["list"]
            cursor = answer.get("nextPageCursor")
            if not cursor or not answer["list"]:
                break
            query = {**query, "cursor": cursor}
        return rows
