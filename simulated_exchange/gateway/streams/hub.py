"""From durable events to pushes: the ledger first, then the public and the private streams.

Belongs here: the order of these steps, and who is told of which event. Does not belong here: any of them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from simulated_exchange.driver import BatchOutcome, Event, Happened, events_of
from simulated_exchange.gateway.streams.connection import Connection
from simulated_exchange.gateway.streams.private import PrivateStreams
from simulated_exchange.gateway.streams.public import BEAT_SECONDS, PublicStreams
from simulated_exchange.gateway.venue import Venue

__all__ = ["StreamHub"]

CATEGORIES = ("linear", "inverse", "spot", "option")


class StreamHub:
    """Takes every durable event once."""

    def __init__(self, venue: Venue) -> None:
        self.public = {category: PublicStreams(venue, category) for category in CATEGORIES}
        self.private = PrivateStreams(venue)
        self._venue = venue
        self._ledger = venue.ledger
        self._is_flush_due = False

    def take(self, batches: Sequence[Happened]) -> None:
        """Fold and collect now, push a moment later.

        Whoever waited for this commit was woken before; the pushes run behind them in the loop's queue, so
        that an acknowledgement is on its way before what follows from it.
        """
        if not batches:
            return
        if self.private.is_idle and all(streams.is_idle for streams in self.public.values()):
            self._fold(batches)
            return
        for happened in batches:
            for event in events_of(happened):
                self._tell(event)
        if not self._is_flush_due:
            self._is_flush_due = True
            asyncio.get_running_loop().call_soon(self._flush)

    def _fold(self, batches: Sequence[Happened]) -> None:
        """Nobody listens."""
        ledger = self._ledger
        for happened in batches:
            if isinstance(happened, BatchOutcome):
                ledger.fold_batch(happened)
            else:
                for event in happened:
                    ledger.fold(event)

    def _tell(self, event: Event) -> None:
        self._ledger.fold(event)
        kind = type(event)
        handler = self.private.handlers.get(kind)
        if handler is not None:
            handler(event)
        if kind in _PUBLIC:
            self._tell_public(event)

    def _tell_public(self, event: Event) -> None:
        if isinstance(event, Event.InsuranceFundChanged):
            for streams in self.public.values():
                streams.on_insurance(event)
            return
        assert isinstance(event, Event.Trade | Event.TakenOver)
        instrument = self._venue.catalogue[event.instrument]
        streams = self.public[instrument.category]
        if isinstance(event, Event.Trade):
            streams.on_trade(event, instrument)
        else:
            streams.on_take_over(event, instrument)

    def _flush(self) -> None:
        self._is_flush_due = False
        self.private.flush()
        for streams in self.public.values():
            streams.flush()

    def forget(self, connection: Connection) -> None:
        """The connection is gone."""
        for streams in self.public.values():
            streams.forget(connection)
        self.private.forget(connection)

    async def run(self) -> None:
        """Push books, tickers and bars at their pace for as long as the venue serves."""
        number = 0
        while True:
            await asyncio.sleep(BEAT_SECONDS)
            number += 1
            for streams in self.public.values():
                streams.beat(number)


_PUBLIC = frozenset({Event.Trade, Event.TakenOver, Event.InsuranceFundChanged})
