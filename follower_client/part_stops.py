"""Stops of the copied part of a position that is partly somebody else's.

Belongs here: setting, finding and taking away stops that bear no name of ours, and whose execution is a
copy's. Does not belong here: where a stop belongs (`core.stops`), stops of whole positions (`protection`).

The venue's own stop of a part of a position, and no conditional order: it ends with the position, so it never
closes what somebody opens later, and no disconnect protection takes it away. It has no client order id. So
its size and price are recorded before it is asked for, and the venue's id of it once it rests; the first
execution of that size and side tells it too.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal

import structlog

from follower_client.core.order import OrderEvent, OrderState
from follower_client.core.stops import NO_STOPS, Stops
from follower_client.order_driver import now_ms
from follower_client.records import Order
from follower_client.store import Store
from follower_client.venue.account import Holding
from follower_client.venue.port import Ending, OpenOrder, SubmitResult, VenueFill, VenuePort

__all__ = ["PartStop", "PartStops", "entry_price"]

KEPT_MAX = 200  # the latest stops, whose executions may still be told
MARK = "stops:"  # of a symbol: the last ones of a whole position
LOOK_EVERY_S = 10.0  # how often what rests at the venue is compared with what is believed
ROUNDS_MAX = 4  # take away, look, set, look
LOST_AFTER_S = 6.0  # what was asked for and does not rest by then came never, or is over

ZERO = Decimal(0)
log = structlog.get_logger(__name__)
Key = tuple[str, str]  # leader, symbol


@dataclass(frozen=True, slots=True)
class PartStop:
    """What is wanted for one leader's copies of a symbol; `is_due` = the market has passed it."""

    is_long: bool
    qty: Decimal
    price: Decimal
    is_due: bool = False

    def fits(self, order: Order) -> bool:
        """Whether an order is it; one that the venue is about to execute is not moved."""
        is_same = (order.is_buy, order.qty, order.stop_loss) == (not self.is_long, self.qty, self.price)
        return is_same or (self.is_due and order.is_buy != self.is_long)


class PartStops:
    """One account. `read` before the port is started; `keep` as often as somebody looks."""

    def __init__(self, store: Store, port: VenuePort) -> None:
        self._store = store
        self._port = port
        self._orders: dict[str, Order] = {}  # the latest, those that are over too
        self._asked_s: dict[str, float] = {}
        self._wholes: dict[str, Stops] = {}
        self._looked_s = -LOOK_EVERY_S
        self._resting: list[OpenOrder] = []  # at the last look
        self._next = 0

    def read(self) -> None:
        """From the store, at a start."""
        found = self._store.stop_orders(limit=KEPT_MAX)
        self._next = max((order.n for order in found), default=-1) + 1
        for order in reversed(found):
            self._orders[order.client_order_id] = order
            self._asked_s[order.client_order_id] = time.monotonic()
        for name, value in self._store.marks().items():
            if name.startswith(MARK):
                stop, take = (Decimal(price) if price else None for price in value.split("|"))
                self._wholes[name.removeprefix(MARK)] = Stops(stop, take)

    @property
    def live(self) -> dict[Key, Order]:
        """Stops that rest at the venue, as far as is known."""
        return {(one.leader_id, one.symbol): one for one in self._open() if one.order_id is not None}

    def covered(self, symbol: str) -> Decimal:
        """The copied quantity that has its stop."""
        return sum((one.qty for (_, name), one in self.live.items() if name == symbol), ZERO)

    def note_set(self, symbol: str, stops: Stops) -> None:
        """The stops of a whole position, all of it copied; kept before they are set."""
        if stops not in (NO_STOPS, self._wholes.get(symbol)):
            self._wholes[symbol] = stops
            prices = (stops.stop_loss, stops.take_profit)
            self._store.save_marks({f"{MARK}{symbol}": "|".join(str(price or "") for price in prices)})

    def were_set(self, symbol: str, stops: Stops) -> bool:
        """Whether a position's stops, if there are any, are this program's."""
        return stops != NO_STOPS and stops == self._wholes.get(symbol)

    def is_own(self, order: OpenOrder) -> bool:
        """Whether a resting stop is provably this program's: by the venue's id, or at a price that it set."""
        if any(one.order_id == order.order_id for one in self._orders.values()):
            return True
        mine = self._wholes.get(order.symbol, NO_STOPS)
        return order.attached == "whole" and order.trigger_price in (mine.stop_loss, mine.take_profit)

    # --- whose execution it was

    def named(self, fill: VenueFill) -> VenueFill:
        """The execution under the name that the store knows it by, where a stop of a copy did it."""
        if fill.client_order_id:
            return fill
        for order in self._orders.values():
            if order.order_id == fill.order_id:
                return replace(fill, client_order_id=order.client_order_id)
        for order in self._open():
            is_it = (order.symbol, order.is_buy) == (fill.symbol, fill.is_buy) and fill.qty <= order.qty
            if fill.by_part_stop and order.order_id is None and is_it:
                self._found(order, fill.order_id)
                return replace(fill, client_order_id=order.client_order_id)
        return fill

    async def look_up(self) -> None:
        """What became of the last life's stops, before anything is compared with the positions. Raises
        `VenueUnavailableError`.
        """
        if not list(self._open()):
            return
        unknown = [order.send_by_ms for order in self._open() if order.order_id is None]
        await self._compare()
        if unknown and any(order.order_id is None for order in self._open()):
            for fill in await self._port.fetch_fills_since(min(unknown)):
                if self.named(fill).client_order_id:
                    await self._port.fetch_fills(fill.symbol, fill.order_id)

    # --- at the venue

    async def keep(self, wanted: Mapping[Key, PartStop]) -> SubmitResult | None:
        """Bring what rests to what is wanted. The first refusal, where there was one; raises
        `VenueUnavailableError`.
        """
        is_late = bool(wanted or list(self._open())) and time.monotonic() - self._looked_s > LOOK_EVERY_S
        if self._is_kept(wanted) and not is_late:
            return None
        for _ in range(ROUNDS_MAX):
            await self._compare()
            if self._is_kept(wanted):
                return None
            if not await self._take_away(wanted):
                asked, refused = await self._set(wanted)
                if refused is not None or not asked:
                    return refused
        return None

    def _open(self) -> Iterable[Order]:
        return [order for order in self._orders.values() if order.state is not OrderState.DONE]

    def _known(self) -> set[str | None]:
        return {order.order_id for order in self._orders.values()}

    def _is_kept(self, wanted: Mapping[Key, PartStop]) -> bool:
        live = {(order.leader_id, order.symbol): order for order in self._open()}
        due = {key for key, one in wanted.items() if one.is_due and key not in live}
        return live.keys() == wanted.keys() - due and all(
            order.order_id is not None and wanted[key].fits(order) for key, order in live.items()
        )

    async def _compare(self) -> None:
        """Learn the ids of stops that rest, and end those that do not, with all of their executions heard."""
        begun_s = time.monotonic()
        self._resting = [one for one in await self._port.open_orders() if one.attached == "part"]
        resting = {one.order_id: one for one in self._resting}
        self._looked_s = time.monotonic()
        known = self._known()
        for order in self._open():
            name = order.client_order_id
            if order.order_id is None:
                match = next((one for one in resting.values() if _is(order, one, known)), None)
                if match is not None:
                    known.add(match.order_id)
                    self._found(order, match.order_id)
                elif begun_s - self._asked_s[name] > LOST_AFTER_S:
                    self._end(order)
            elif order.order_id not in resting:
                await self._port.fetch_fills(order.symbol, order.order_id)
                self._end(order)

    async def _take_away(self, wanted: Mapping[Key, PartStop]) -> bool:
        """Whether anything was in the way: two stops of one copy together would close more than it."""
        count = 0
        for key, order in self.live.items():
            if (one := wanted.get(key)) is not None and one.fits(order):
                continue
            assert order.order_id is not None
            count += 1
            await self._port.cancel(
                OpenOrder(
                    symbol=order.symbol,
                    order_id=order.order_id,
                    client_order_id="",
                    reduce_only=True,
                    is_stop=True,
                )
            )
        return count > 0

    async def _set(self, wanted: Mapping[Key, PartStop]) -> tuple[bool, SubmitResult | None]:
        """Whether anything was asked for, and the first refusal."""
        asked, held = False, {(order.leader_id, order.symbol) for order in self._open()}
        for (leader_id, symbol), one in wanted.items():
            if (leader_id, symbol) in held or one.is_due:
                continue
            asked, order = True, self._record(leader_id, symbol, one)
            if any(_is(order, rests, self._known()) for rests in self._resting):
                continue  # set in an earlier life, of which nothing is remembered: the next look finds it
            result = await self._port.add_part_stop(symbol, is_long=one.is_long, qty=one.qty, price=one.price)
            if result.ending not in (Ending.ACCEPTED, Ending.UNKNOWN):
                self._end(order)
                return asked, result
        return asked, None

    def _record(self, leader_id: str, symbol: str, one: PartStop) -> Order:
        order = Order(
            client_order_id=f"part-stop|{leader_id}|{symbol}|{self._next}",
            leader_id=leader_id,
            epoch=0,
            seq=0,
            leg=f"stop {symbol}",
            n=self._next,
            symbol=symbol,
            is_buy=not one.is_long,
            qty=one.qty,
            limit_price=None,
            reduce_only=True,
            send_by_ms=now_ms(),
            stop_loss=one.price,
        )
        self._next += 1
        self._store.record_order(order)
        self._orders[order.client_order_id] = order
        self._asked_s[order.client_order_id] = time.monotonic()
        while len(self._orders) > KEPT_MAX:
            del self._orders[next(iter(self._orders))]
        return order

    def _found(self, order: Order, order_id: str) -> None:
        order.order_id = order_id
        for event in (OrderEvent.SEND, OrderEvent.ACCEPT):
            order.advance(event)
        self._store.record_order(order)
        log.info("part_stop_set", symbol=order.symbol, qty=str(order.qty), stop=str(order.stop_loss))

    def _end(self, order: Order) -> None:
        order.advance(OrderEvent.ABANDON if order.state is OrderState.INTENT else OrderEvent.CANCEL)
        order.advance(OrderEvent.SETTLE)
        self._store.record_order(order)


def entry_price(store: Store, leader_id: str, symbol: str) -> Decimal:
    """At average cost, of what this leader's copies hold; 0 where they hold nothing."""
    held = Holding()
    for is_buy, qty, price in store.executions(leader_id, symbol):
        held, _ = held.after(qty if is_buy else -qty, held.entry_price if price is None else price)
    return held.entry_price


def _is(order: Order, resting: OpenOrder, known: set[str | None]) -> bool:
    """Whether what rests is what was asked for, and nobody's yet."""
    asked = order.symbol, order.is_buy, order.qty, order.stop_loss
    told = resting.symbol, resting.is_buy, resting.qty, resting.trigger_price
    return resting.order_id not in known and asked == told
