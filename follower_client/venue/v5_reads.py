"""Questions to Bybit v5 that are asked again: lists page by page, and what the key may do.

Belongs here: asking, within limits. Does not belong here: what rows mean (`v5_rows`, `v5_holdings`), what a
key's rights mean (`key_rights`).
"""

from __future__ import annotations

import asyncio
from typing import Any

import structlog

from follower_client.errors import ConfigurationError, TryAgainError, VenueUnavailableError
from follower_client.venue.key_rights import KeyRights
from follower_client.venue.outcomes import KEY_REFUSED
from follower_client.venue.transport import CallError, Rows, Transport
from follower_client.venue.v5_rows import body_of

__all__ = ["KEY_WANTED", "Reads"]

PAGES_MAX = 50
KEY_READS_MAX, KEY_WAIT_S = 5, 0.25  # the wait doubles: four seconds in all
KEY_WANTED = "venue.api_key, venue.api_secret: a key that the venue knows is needed"

log = structlog.get_logger(__name__)


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

    async def key(self) -> KeyRights:
        """What the key may do. Asked again within limits; then `TryAgainError`, because nothing is traded
        with a key whose rights are not known. Raises `ConfigurationError` for one that the venue refuses.
        """
        wait_s = KEY_WAIT_S
        for left in reversed(range(KEY_READS_MAX)):
            try:
                return KeyRights.of(await self._transport.get("/v5/user/query-api", {}))
            except (CallError, VenueUnavailableError) as error:
                if isinstance(error, CallError) and error.code in KEY_REFUSED:
                    raise ConfigurationError([f"{KEY_WANTED} ({error})"]) from None
                if not left:
                    told = f"what the key may do cannot be read ({error})"
                    raise TryAgainError(f"venue: {told}, and no unknown key is traded with") from None
                log.warning("key_not_described", error=str(error), tries_left=left)
            await asyncio.sleep(wait_s)
            wait_s *= 2
        raise AssertionError("the last try returns or raises")
