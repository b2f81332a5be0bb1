"""The position that copying built, as the store has it, kept against what the venue shows.

Belongs here: own quantity per symbol, its corrections. Does not belong here: the comparison itself
(`core.reconcile`), orders.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

import structlog

from follower_client.core.reconcile import differences
from follower_client.order_driver import now_ms
from follower_client.store import Store
from follower_client.venue.port import VenueFill

__all__ = ["Journal"]

ZERO = Decimal(0)
log = structlog.get_logger(__name__)


class Journal:
    """Own fills and adjustments, summed."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._own: dict[str, Decimal] = {}

    def read(self) -> None:
        """From the store, at a start."""
        self._own = self._store.positions()

    def record(self, fill: VenueFill) -> bool:
        """Whether the fill belongs to an own order and is new; it is in the store then."""
        if not self._store.record_fill(fill):
            return False
        change = fill.qty if fill.is_buy else -fill.qty
        self._own[fill.symbol] = self._own.get(fill.symbol, ZERO) + change
        return True

    def is_own(self, fill: VenueFill) -> bool:
        return bool(fill.client_order_id) and self._store.is_own_order(fill.client_order_id)

    def external(self, venue: Mapping[str, Decimal]) -> dict[str, Decimal]:
        """The part of the venue's positions that copying did not build."""
        return differences(self._own, venue)[0]

    def settle(self, venue: Mapping[str, Decimal]) -> None:
        """Write off what somebody else, or a liquidation, has closed; say what somebody else opened."""
        for found in differences(self._own, venue)[1]:
            log.warning(
                "position_differs",
                symbol=found.symbol,
                journal=str(found.journal_qty),
                venue=str(found.venue_qty),
                external=str(found.external_qty),
            )
            if found.own_qty != found.journal_qty:
                change = found.own_qty - found.journal_qty
                self._store.adjust(found.symbol, change, now_ms(), "closed outside this program")
                self._own[found.symbol] = found.own_qty
