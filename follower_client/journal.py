"""The position that copying built, leader by leader, as the store has it, kept against what the venue shows.

Belongs here: own quantity per leader and symbol, its corrections. Does not belong here: the comparison itself
(`core.reconcile`), orders.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

import structlog

from follower_client.core.reconcile import Difference, differences
from follower_client.core.snapshot import sign
from follower_client.order_driver import now_ms
from follower_client.store import Store
from follower_client.venue.port import VenueFill

__all__ = ["Journal"]

RECORDED_MAX = 2000
ZERO = Decimal(0)
log = structlog.get_logger(__name__)


class Journal:
    """Own fills and adjustments, summed per leader."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._own: dict[str, dict[str, Decimal]] = {}
        self._recorded: dict[str, None] = {}  # the latest fills that the store has: they are read again often

    def read(self) -> None:
        """From the store, at a start."""
        self._own = self._store.positions_by_leader()

    def record(self, fill: VenueFill, *, durable: bool = True) -> bool:
        """Whether the fill belongs to an own order and is new; it is in the store then."""
        if fill.fill_id in self._recorded:
            return False
        leader_id = self._store.leader_of(fill.client_order_id)
        if leader_id is None:
            return False
        is_new = self._store.record_fill(fill, durable=durable)
        self._recorded[fill.fill_id] = None
        if len(self._recorded) > RECORDED_MAX:
            del self._recorded[next(iter(self._recorded))]
        if not is_new:
            return False
        self._add(leader_id, fill.symbol, fill.qty if fill.is_buy else -fill.qty)
        return True

    def is_own(self, fill: VenueFill) -> bool:
        return fill.fill_id in self._recorded or (
            bool(fill.client_order_id) and self._store.is_own_order(fill.client_order_id)
        )

    def own(self, leader_id: str, symbol: str) -> Decimal:
        """What this leader's signals built, as far as the journal knows."""
        return self._own.get(leader_id, {}).get(symbol, ZERO)

    def leaders_of(self, symbol: str) -> dict[str, Decimal]:
        """Own quantity per leader, where there is one."""
        return {leader: own[symbol] for leader, own in self._own.items() if own.get(symbol, ZERO) != 0}

    def symbols(self) -> frozenset[str]:
        """Where copying holds something."""
        return frozenset(symbol for own in self._own.values() for symbol, qty in own.items() if qty != 0)

    def external(
        self, venue: Mapping[str, Decimal], leader_id: str, hedges: Mapping[str, Decimal]
    ) -> dict[str, Decimal]:
        """The part of the venue's net positions that this leader's signals did not build."""
        own = self._own.get(leader_id, {})
        if len(self._own) <= 1:
            return differences(own, venue, hedges)[0]
        foreign = differences(self._total(), venue, hedges)[0]
        found = {}
        for symbol in {*venue, *own, *foreign}:
            held = venue.get(symbol, ZERO)
            # what is nobody's stays nobody's; the rest belongs to the leaders as their fills say
            rest = (
                held - own.get(symbol, ZERO)
                if symbol not in foreign
                else held - self._share(leader_id, symbol, held - foreign[symbol])
            )
            if rest != 0:
                found[symbol] = rest
        return found

    def settle(self, venue: Mapping[str, Decimal], hedges: Mapping[str, Decimal]) -> None:
        """Write off what somebody else, or a liquidation, has closed; say what somebody else opened."""
        for found in differences(self._total(), venue, hedges)[1]:
            log.warning(
                "position_differs",
                symbol=found.symbol,
                journal=str(found.journal_qty),
                venue=str(found.venue_qty),
                external=str(found.external_qty),
            )
            if found.own_qty != found.journal_qty:
                self._write_off(found)

    def _total(self) -> dict[str, Decimal]:
        total: dict[str, Decimal] = {}
        for own in self._own.values():
            for symbol, qty in own.items():
                total[symbol] = total.get(symbol, ZERO) + qty
        return total

    def _share(self, leader_id: str, symbol: str, own_qty: Decimal) -> Decimal:
        """This leader's part of what is left of the copies."""
        mine, total = self._own.get(leader_id, {}).get(symbol, ZERO), self._total().get(symbol, ZERO)
        return mine if total == 0 or abs(own_qty) >= abs(total) else mine * own_qty / total

    def _write_off(self, found: Difference) -> None:
        """From the leaders on the side that was closed, the largest first."""
        left = found.own_qty - found.journal_qty
        held = sorted(self.leaders_of(found.symbol).items(), key=lambda item: -abs(item[1]))
        for leader_id, qty in held:
            if left == 0 or sign(qty) == sign(left):
                continue
            change = max(-abs(qty), min(abs(qty), left))
            self._store.adjust(found.symbol, change, now_ms(), "closed outside this program", leader_id)
            self._add(leader_id, found.symbol, change)
            left -= change

    def _add(self, leader_id: str, symbol: str, change: Decimal) -> None:
        own = self._own.setdefault(leader_id, {})
        own[symbol] = own.get(symbol, ZERO) + change
