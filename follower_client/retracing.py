"""Which executions at the venue were copies, found by their orders' names.

Belongs here: the names that a leader's messages and an operator's commands can have led to, and the rows that
must have been there. Does not belong here: asking the relay and the venue, replacing the store (`recovery`).

An order's name is a function of what it was for. Names of the first tries are looked at for every message;
exits were tried further on where the venue had refused them, and their names are looked for only while
executions are left that nothing else explains.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from follower_client.copies import open_copy
from follower_client.core.order import OrderState, client_order_id
from follower_client.executor import ENTRY_ORDERS_MAX
from follower_client.late_join import late_place, late_signals, unheard_exit
from follower_client.records import Copy, CopyKey, Head, Order
from follower_client.store import Store
from follower_client.venue.port import VenueFill
from relay.protocol.messages import POSITIONS_MAX, Signal, Snapshot
from relay.protocol.signing import Envelope

__all__ = ["COMMANDS_MAX", "Retrace"]

EXIT_TRIES = 16  # looked at for every message
EXIT_TRIES_MAX = 1 << 16  # of one exit: a month and a half of one a minute
NAMES_MAX = 4_000_000  # looked at beyond those: some ten seconds
COMMANDS_MAX = 64  # of the operator, where the file that counts them is gone too
OPERATOR_EPOCH = 0


@dataclass(slots=True)
class _Found:
    """A signal, and the orders that copied it."""

    copy: Copy
    head: Head | None
    orders: list[Order] = field(default_factory=list)


class Retrace:
    """Takes executions away from `left` as it finds what they were for; `write` puts them into a store."""

    def __init__(self, follower_id: str, fills: Iterable[VenueFill]) -> None:
        self.left: dict[str, list[VenueFill]] = {}
        self._follower_id = follower_id
        self._fills: dict[str, list[VenueFill]] = {}
        self._copies: list[_Found] = []
        self._flattens: list[Order] = []
        for fill in fills:
            if fill.client_order_id:
                self.left.setdefault(fill.client_order_id, []).append(fill)

    @property
    def signals(self) -> int:
        return sum(not found.copy.is_late for found in self._copies)

    @property
    def fills(self) -> list[int]:
        """How many executions each order had that was found."""
        return [len(fills) for fills in self._fills.values()]

    # --- what the orders can have been for

    def signal(self, envelope: Envelope, signal: Signal) -> None:
        """A step of the leader's; kept, copied or not."""
        found = self._open(envelope, signal)
        found.orders += self._take(found.copy.key, found.copy.symbol, "open", range(ENTRY_ORDERS_MAX))
        found.orders += self._take(found.copy.key, found.copy.symbol, "close", range(EXIT_TRIES))
        self._copies.append(found)

    def snapshot(self, envelope: Envelope, snapshot: Snapshot) -> None:
        """A list of all his positions: what was copied on joining, and exits that no signal told."""
        for place, signal in late_signals(envelope, snapshot, lambda _: None, snapshot.sealed_ms):
            found = self._open(place, signal)
            found.orders += self._take(found.copy.key, signal.symbol, "open", range(ENTRY_ORDERS_MAX))
            if found.orders:
                self._copies.append(found)
        for number in range(POSITIONS_MAX) if self.left else ():
            orders = self._take(late_place(envelope, number), "", "close", range(EXIT_TRIES))
            if orders:
                symbol, price = orders[0].symbol, self._fills[orders[0].client_order_id][0].price
                found = self._open(*unheard_exit(envelope, snapshot, number, symbol, price))
                found.orders += orders
                self._copies.append(found)

    def flattens(self, leader_ids: Sequence[str], commands: int) -> None:
        """What the operator or a limit had closed, with one of the first so many commands."""
        symbols = sorted({fills[0].symbol for fills in self.left.values()})
        for number in range(1, commands + 1) if symbols else ():
            for leader_id in leader_ids:
                for symbol in symbols:
                    key = CopyKey(leader_id, OPERATOR_EPOCH, number)
                    leg = f"flatten {symbol}"
                    self._flattens += self._take(key, symbol, leg, range(EXIT_TRIES))

    def long_exits(self) -> None:
        """Exits that the venue refused for so long that their names are beyond those looked at before."""
        looked, begin = 0, EXIT_TRIES
        while self.left and begin < EXIT_TRIES_MAX:
            symbols = {fills[0].symbol for fills in self.left.values()}
            for found in reversed(self._copies):
                if found.copy.symbol in symbols and looked < NAMES_MAX and self.left:
                    looked += begin
                    found.orders += self._take(
                        found.copy.key, found.copy.symbol, "close", range(begin, 2 * begin)
                    )
            begin *= 2

    # --- what must have been in the store

    def write(self, store: Store) -> None:
        """Copies with their verdicts, orders and executions."""
        for found in self._copies:
            copy = found.copy
            copy.verdict, copy.reason = ("copied" if found.orders else "skipped"), "recovered"
            copy.detail = (
                "found again at the venue" if found.orders else "no order of this signal is at the venue"
            )
            store.record(copy, head=found.head)
            self._write_orders(store, found.orders)
        self._write_orders(store, self._flattens)

    def _write_orders(self, store: Store, orders: Iterable[Order]) -> None:
        for order in orders:
            store.record_order(order)
            for fill in self._fills[order.client_order_id]:
                store.record_fill(fill)

    def _open(self, envelope: Envelope, signal: Signal) -> _Found:
        copy = open_copy(self._follower_id, envelope, signal, None, signal.sealed_ms)
        head = None if copy.is_late else Head(envelope.epoch, envelope.seq, envelope.chain_hash)
        return _Found(copy, head)

    def _take(self, key: CopyKey, symbol: str, leg: str, tries: range) -> list[Order]:
        """The orders among these tries that were executed."""
        found = []
        for n, name in self._names(key, leg, tries):
            fills = self.left.pop(name, None)
            if fills is not None:
                self._fills[name] = fills
                found.append(_order(key, leg, n, name, symbol or fills[0].symbol, fills))
        return found

    def _names(self, key: CopyKey, leg: str, tries: range) -> Iterator[tuple[int, str]]:
        for n in tries if self.left else ():
            yield n, client_order_id(self._follower_id, key.leader_id, key.epoch, key.seq, leg, n)


def _order(key: CopyKey, leg: str, n: int, name: str, symbol: str, fills: Sequence[VenueFill]) -> Order:
    qty = sum((fill.qty for fill in fills), start=fills[0].qty * 0)
    return Order(
        client_order_id=name,
        leader_id=key.leader_id,
        epoch=key.epoch,
        seq=key.seq,
        leg=leg,
        n=n,
        symbol=symbol,
        is_buy=fills[0].is_buy,
        qty=qty,
        limit_price=None,
        reduce_only=leg != "open",
        send_by_ms=fills[0].executed_ms,
        state=OrderState.DONE,
        order_id=fills[0].order_id,
        filled_qty=qty,
    )
