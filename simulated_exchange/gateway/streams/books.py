"""Order-book topics: one chain of snapshot and deltas per symbol and depth.

Belongs here: what changed since the last push. Does not belong here: who listens and when to push.
"""

from __future__ import annotations

from typing import Any

from simulated_exchange.gateway.translate.answers import book_data
from simulated_exchange.gateway.translate.frames import public_frame
from simulated_exchange.gateway.translate.market import levels
from simulated_exchange.gateway.translate.topics import book_topic
from simulated_exchange.instruments import Instrument
from simulated_exchange.ledger.market import MarketView

__all__ = ["BookChain"]

REPEAT_MS = 3000  # the best level is repeated when nothing happened for so long


class BookChain:
    """The pushes of one depth; every listener follows the same chain."""

    def __init__(self, instrument: Instrument, depth: int) -> None:
        self._instrument = instrument
        self._depth = depth
        self._topic = book_topic(instrument.symbol, depth)
        self._bids: dict[int, int] = {}
        self._asks: dict[int, int] = {}
        self._update_id = 1
        self._sequence = -1
        self._pushed_ms = 0

    def snapshot(self, market: MarketView, now_ms: int) -> dict[str, Any]:
        """The state that the next delta continues."""
        bids = sorted(self._bids.items(), reverse=True)
        asks = sorted(self._asks.items())
        return self._frame("snapshot", bids, asks, market, now_ms)

    def refresh(self, market: MarketView) -> None:
        """Take the book as it is now; for a chain that nobody followed so far."""
        bids, asks = market.depth(self._depth)
        self._bids, self._asks = dict(bids), dict(asks)
        self._sequence = market.book_sequence
        self._update_id += 1

    def push(self, market: MarketView, now_ms: int) -> dict[str, Any] | None:
        """What changed, as the next frame; None when nothing did."""
        if market.book_sequence == self._sequence:
            if self._depth == 1 and now_ms - self._pushed_ms >= REPEAT_MS:
                self._pushed_ms = now_ms
                return self.snapshot(market, now_ms)
            return None
        self._sequence = market.book_sequence
        bid_list, ask_list = market.depth(self._depth)
        bids, asks = dict(bid_list), dict(ask_list)
        if bids == self._bids and asks == self._asks:
            return None
        bid_changes, ask_changes = _changes(self._bids, bids), _changes(self._asks, asks)
        self._bids, self._asks = bids, asks
        self._update_id += 1
        self._pushed_ms = now_ms
        if self._depth == 1:
            return self._frame("snapshot", bid_list, ask_list, market, now_ms)
        return self._frame("delta", bid_changes, ask_changes, market, now_ms)

    def _frame(
        self,
        kind: str,
        bids: list[tuple[int, int]],
        asks: list[tuple[int, int]],
        market: MarketView,
        now_ms: int,
    ) -> dict[str, Any]:
        instrument = self._instrument
        data = book_data(
            instrument,
            levels(bids, instrument),
            levels(asks, instrument),
            self._update_id,
            max(self._sequence, 0),
        )
        return public_frame(self._topic, kind, data, now_ms, cts=market.book_wall_ms or now_ms)


def _changes(before: dict[int, int], after: dict[int, int]) -> list[tuple[int, int]]:
    changed = [(price, qty) for price, qty in after.items() if before.get(price) != qty]
    return changed + [(price, 0) for price in before if price not in after]
