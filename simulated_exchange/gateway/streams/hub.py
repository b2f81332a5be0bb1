"""From durable events to pushes: the ledger first, then the public and the private streams.

Belongs here: the order of these steps. Does not belong here: any of them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from simulated_exchange.driver import Event
from simulated_exchange.gateway.streams.private import PrivateStreams
from simulated_exchange.gateway.streams.public import PublicStreams
from simulated_exchange.gateway.venue import Venue

__all__ = ["StreamHub"]


class StreamHub:
    """Takes every durable event once."""

    def __init__(self, venue: Venue) -> None:
        self.public = PublicStreams(venue)
        self.private = PrivateStreams(venue)
        self._ledger = venue.ledger
        self._is_flush_due = False

    def take(self, events: Sequence[Event]) -> None:
        """Fold and collect now, push a moment later.

        Whoever waited for this commit was woken before; the pushes run behind them in the loop's queue, so
        that an acknowledgement is on its way before what follows from it.
        """
        fold = self._ledger.fold
        observe_public, observe_private = self.public.observe, self.private.observe
        for event in events:
            fold(event)
            observe_public(event)
            observe_private(event)
        if events and not self._is_flush_due:
            self._is_flush_due = True
            asyncio.get_running_loop().call_soon(self._flush)

    def _flush(self) -> None:
        self._is_flush_due = False
        self.private.flush()
        self.public.flush()
