"""The venue's own risk over time: asked now and then, kept when it changed.

Belongs here: how often, what is worth a row, going on when the venue does not answer. Does not belong here:
the venue's dialect (`relay.venue`), writing (`relay.monitor` does, with everything else).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from importlib import import_module
from typing import TYPE_CHECKING

import structlog

from relay.core.account import Quote
from relay.core.venue_risk import VenueFact
from relay.store import MarketSample
from relay.watching import Watching

if TYPE_CHECKING:
    from relay.venue import PublicVenue

__all__ = ["VenueWatch"]

FACTS_EVERY_MS = 5_000
UNCHANGED_KEPT_MS = 300_000  # what stays the same is written once in so long
NAMES_MAX = 20_000

_log = structlog.get_logger(__name__)
_Keep = Callable[[Sequence[MarketSample | VenueFact]], Awaitable[None]]


class VenueWatch:
    """Asks one venue while `run` runs."""

    def __init__(
        self, rest_url: str, interval_ms: int, watching: Watching, facts_every_ms: int = FACTS_EVERY_MS
    ) -> None:
        self._rest_url = rest_url
        self._interval_ms = interval_ms
        self._watching = watching
        self._kept: dict[tuple[str, str], VenueFact] = {}
        self._facts_every_ms = facts_every_ms
        self._facts_at_ms = 0

    async def run(self, keep: _Keep) -> None:
        """Ask and hand on, until cancelled."""
        doors = await asyncio.to_thread(import_module, "relay.venue")  # takes a second
        venue: PublicVenue = doors.PublicVenue(self._rest_url)
        is_there = True
        try:
            while True:
                try:
                    await self._look(venue, keep)
                    is_there = True
                except doors.VenueUnavailable as error:
                    if is_there:
                        _log.warning("venue_not_read", reason=str(error))
                    is_there = False
                await asyncio.sleep(self._interval_ms / 1000)
        finally:
            await venue.close()

    async def _look(self, venue: PublicVenue, keep: _Keep) -> None:
        now_ms = time.time_ns() // 1_000_000
        quotes = await venue.fetch_prices(frozenset(self._watching.symbols))
        if quotes:
            await keep([_sample(symbol, quote, now_ms) for symbol, quote in quotes.items()])
        if now_ms >= self._facts_at_ms:
            self._facts_at_ms = now_ms + self._facts_every_ms
            facts = [fact for fact in await venue.fetch_facts(now_ms) if self._is_news(fact)]
            if facts:
                await keep(facts)

    def _is_news(self, fact: VenueFact) -> bool:
        last = self._kept.get((fact.kind, fact.name))
        if last is not None and (last.value, last.detail) == (fact.value, fact.detail):
            if fact.wall_ms - last.wall_ms < UNCHANGED_KEPT_MS:
                return False
        elif last is None and len(self._kept) >= NAMES_MAX:
            return False
        self._kept[fact.kind, fact.name] = fact
        return True


def _sample(symbol: str, quote: Quote, now_ms: int) -> MarketSample:
    prices = (f"{price:f}" if price > 0 else None for price in (quote.index, quote.mark, quote.last))
    return MarketSample(symbol, now_ms, None, *prices)
