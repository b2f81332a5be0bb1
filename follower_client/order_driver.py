"""Takes one recorded order from its intent to its end: send, find out, account for every fill.

Belongs here: the three endings of a submit, the receive-window fence, streams against queries. Does not
belong here: which order to send (`core.decide`), when a copy is finished (`executor`).

An order of unknown outcome is looked up by its client order id. Only after the fence, when a request that was
sent can no longer enter the venue, does "not found" prove anything; then the same id may be sent again.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from decimal import Decimal

import structlog

from follower_client.core.decision import Decision
from follower_client.core.order import TRANSITIONS, OrderEvent, OrderState, client_order_id
from follower_client.core.snapshot import Pending
from follower_client.errors import VenueUnavailableError
from follower_client.failpoint import Failpoints
from follower_client.records import CopyKey, Order
from follower_client.risk import RiskWatch
from follower_client.store import Store
from follower_client.venue.port import (
    Ending,
    OrderRequest,
    OrderStatus,
    VenueFill,
    VenueOrder,
    VenuePort,
)

__all__ = ["SEND_SLACK_MS", "LiveOrder", "OrderDriver", "intent_of", "now_ms"]

SEND_SLACK_MS = 250  # an intent that has not left this long after it was recorded is recorded anew
FUTURE_TOLERANCE_MS = 1000  # how far ahead of its own clock the venue accepts a timestamp
ENGINE_LAG_MS = 2000
TRIES_MAX = 5  # sends of one order under one id
QUERY_WAIT_S = (0.05, 0.1, 0.2, 0.4)
WATCH_WAIT_S = 0.5
REFUSED_WAIT_S = 0.25
SETTLE_TRIES_MAX = 20
SETTLE_WAIT_MAX_S = 5.0  # from then on
FILLS_LISTED_MS = 7 * 86_400_000  # so long the venue lists an order's executions

EVENT_OF = {
    OrderStatus.OPEN: OrderEvent.ACCEPT,
    OrderStatus.PARTIALLY_FILLED: OrderEvent.PARTIAL_FILL,
    OrderStatus.FILLED: OrderEvent.FILL,
    OrderStatus.CANCELLED: OrderEvent.CANCEL,
    OrderStatus.REJECTED: OrderEvent.REJECT,
}

ZERO = Decimal(0)
log = structlog.get_logger(__name__)


def now_ms() -> int:
    """Wall clock, Unix epoch."""
    return time.time_ns() // 1_000_000


def intent_of(
    follower_id: str,
    key: CopyKey,
    leg: str,
    n: int,
    symbol: str,
    decision: Decision,
    slack_ms: int = SEND_SLACK_MS,
) -> Order:
    """The order that a decision asks for, not recorded yet. It is named by what it is for."""
    return Order(
        client_order_id=client_order_id(follower_id, key.leader_id, key.epoch, key.seq, leg, n),
        leader_id=key.leader_id,
        epoch=key.epoch,
        seq=key.seq,
        leg=leg,
        n=n,
        symbol=symbol,
        is_buy=decision.is_buy,
        qty=decision.qty,
        limit_price=decision.limit_price,
        reduce_only=decision.reduce_only,
        send_by_ms=now_ms() + slack_ms,
        stop_loss=decision.stop_loss,
        take_profit=decision.take_profit,
    )


@dataclass(slots=True)
class LiveOrder:
    """An order that is not done, and the quantity of its fills that the journal holds."""

    order: Order
    held_qty: Decimal = ZERO
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    sent_s: float | None = None  # when this process sent it last, monotonic
    is_new: bool = True  # recorded by this process, which therefore knows whether it was ever sent
    on_accepted: Callable[[], None] | None = None
    why_not: Callable[[], str] = lambda: ""  # asked right before each send; a reason abandons the order


class OrderDriver:
    """Owns every order that is not done. Hears the account's streams through `on_order` and `on_fill`."""

    def __init__(
        self, store: Store, port: VenuePort, failpoints: Failpoints, risk: RiskWatch | None = None
    ) -> None:
        self._store = store
        self._risk = risk
        self._port = port
        self._failpoints = failpoints
        self._live: dict[str, LiveOrder] = {}
        self.send_slack_ms = SEND_SLACK_MS  # longer where many followers wait for each other
        self._next_done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    # --- what decisions count

    def pending(self) -> dict[str, Pending]:
        """Unfilled quantity per symbol, unknown orders as if they may still fill whole."""
        found: dict[str, Pending] = {}
        for live in self._live.values():
            order = live.order
            left = order.qty - live.held_qty
            if order.state in (OrderState.CANCELLED, OrderState.REJECTED):
                left = order.filled_qty - live.held_qty
            if left <= 0:
                continue
            old = found.get(order.symbol, Pending())
            found[order.symbol] = (
                Pending(old.buy + left, old.sell) if order.is_buy else Pending(old.buy, old.sell + left)
            )
        return found

    def unknown_symbols(self) -> frozenset[str]:
        return frozenset(
            live.order.symbol for live in self._live.values() if live.order.state is OrderState.UNKNOWN
        )

    def unknown_count(self) -> int:
        return sum(live.order.state is OrderState.UNKNOWN for live in self._live.values())

    def open_entries(self, symbol: str) -> bool:
        """Whether an order that adds risk on the symbol is still on its way."""
        return any(live.order.symbol == symbol and not live.order.reduce_only for live in self._live.values())

    def is_live(self, client_order_id: str) -> bool:
        """Whether an order of that name is on its way."""
        return client_order_id in self._live

    @property
    def live_count(self) -> int:
        return len(self._live)

    # --- the streams

    def on_order(self, seen: VenueOrder) -> None:
        live = self._live.get(seen.client_order_id)
        if live is not None:
            self._take(live, seen)

    def on_fill(self, fill: VenueFill) -> None:
        """A fill that the journal did not have."""
        live = self._live.get(fill.client_order_id)
        if live is not None:
            live.held_qty += fill.qty
            live.order.order_id = live.order.order_id or fill.order_id
            live.changed.set()

    def _take(self, live: LiveOrder, seen: VenueOrder) -> None:
        order = live.order
        if order.terminal:
            return
        if order.state is OrderState.INTENT:
            if order.tries == 0:
                self._note_twin(live)
            order.advance(OrderEvent.LOSE)  # the venue knows it, so it was sent by another process
        event = EVENT_OF[seen.status]
        if (order.state, event) not in TRANSITIONS:
            return
        order.advance(event)
        order.order_id = seen.order_id
        order.filled_qty = max(order.filled_qty, seen.filled_qty)
        order.reject_code = seen.reject_code
        live.changed.set()

    def _note_twin(self, live: LiveOrder) -> None:
        """An order of this life is at the venue, and this process did not send it: somebody else did, under a
        name that only this follower's own folder gives.
        """
        if live.is_new and self._risk is not None:
            self._risk.note_twin(live.order.client_order_id, is_entry=live.order.leg == "open")

    # --- one order, from here to its end

    def adopt(self, order: Order, *, is_new: bool = False) -> LiveOrder:
        """Count an order from now on; called in the same breath as its intent is recorded. `is_new` = for the
        first time: no fill can be known of it.
        """
        fills = [] if is_new else self._store.fills_of(order.client_order_id)
        held = sum((fill.qty for fill in fills), ZERO)
        return self._live.setdefault(order.client_order_id, LiveOrder(order, held))

    async def any_done(self) -> None:
        """Return when the next order is done."""
        await asyncio.shield(self._next_done)

    async def drive(self, live: LiveOrder, *, recovered: bool = False) -> Order:
        """Return once the order is done. Safe to call again after a crash with `recovered`."""
        order = live.order
        live.is_new = not recovered
        if recovered and order.state in (OrderState.INTENT, OrderState.SENT):
            order.advance(OrderEvent.LOSE)
        while order.state is not OrderState.DONE:
            if order.state is OrderState.INTENT:
                await self._send_or_abandon(live)
            elif order.state in (OrderState.UNKNOWN, OrderState.SENT):
                await self._resolve(live)
            elif order.terminal:
                await self._settle(live)
            else:
                await self._watch(live)
        del self._live[order.client_order_id]
        self._next_done.set_result(None)
        self._next_done = asyncio.get_running_loop().create_future()
        return order

    async def _send_or_abandon(self, live: LiveOrder) -> None:
        order = live.order
        await self._store.kept()
        await self._port.reserve(urgent=order.leg != "open")
        await self._renew(order)
        self._failpoints.reach("reserved")
        if _has_left(order):
            return  # a stream has told of it meanwhile
        order.abandoned = "tries" if order.tries >= TRIES_MAX else live.why_not()
        if order.abandoned:
            order.advance(OrderEvent.ABANDON)
            return
        self._failpoints.reach("before_submit")
        order.advance(OrderEvent.SEND)
        order.tries += 1
        live.sent_s = time.monotonic()
        if self._risk is not None:
            self._risk.note_order()
        result = await self._port.submit(
            OrderRequest(
                client_order_id=order.client_order_id,
                symbol=order.symbol,
                is_buy=order.is_buy,
                qty=order.qty,
                limit_price=order.limit_price,
                reduce_only=order.reduce_only,
                closes=order.leg != "open",
                stop_loss=order.stop_loss,
                take_profit=order.take_profit,
            )
        )
        self._failpoints.reach("after_submit")
        if result.ending is Ending.DUPLICATE and order.tries == 1:
            self._note_twin(live)  # also where the streams have told of it meanwhile
        order.order_id = order.order_id or result.order_id
        if result.ending is Ending.ACCEPTED:
            if live.on_accepted is not None:
                live.on_accepted()
            if order.state is OrderState.SENT:
                order.advance(OrderEvent.ACCEPT)
            self._store.record_order(order, durable=False)
            self._failpoints.reach("accepted_recorded")
            return
        if order.state is not OrderState.SENT:
            return  # the streams knew better
        log.info("order_not_accepted", client_order_id=order.client_order_id, ending=result.ending.value)
        order.reject_code = result.code
        if result.ending is Ending.REJECTED:
            if self._risk is not None:
                self._risk.note_reject(result.code)
            order.advance(OrderEvent.REJECT)
        elif result.ending is Ending.REFUSED:
            order.advance(OrderEvent.REFUSE)
            await asyncio.sleep(REFUSED_WAIT_S * order.tries)
        else:
            order.advance(OrderEvent.LOSE)
        self._store.record_order(order, durable=False)

    async def _renew(self, order: Order) -> None:
        """An intent that has waited for too long is recorded anew, with a later time to leave by."""
        slack_ms = self.send_slack_ms
        while now_ms() > order.send_by_ms:
            order.send_by_ms = now_ms() + slack_ms
            self._store.record_order(order, durable=False)
            await self._store.kept()
            slack_ms *= 2

    async def _resolve(self, live: LiveOrder) -> None:
        order = live.order
        if order.state is OrderState.SENT:
            order.advance(OrderEvent.LOSE)
        fence_s = self._fence_s(live)
        turn = 0
        while order.state is OrderState.UNKNOWN:
            asked_s = time.monotonic()
            try:
                seen = await self._port.fetch_by_client_id(order.symbol, order.client_order_id)
            except VenueUnavailableError as error:
                log.warning("order_unknown", client_order_id=order.client_order_id, error=str(error))
            else:
                if seen is not None:
                    self._take(live, seen)
                    self._store.record_order(order)
                    return
                if asked_s > fence_s and order.state is OrderState.UNKNOWN:
                    order.advance(OrderEvent.ABSENT)
                    order.reject_code = ""
                    self._store.record_order(order)
                    return
            await self._wait(live, QUERY_WAIT_S[min(turn, len(QUERY_WAIT_S) - 1)])
            turn += 1

    def _fence_s(self, live: LiveOrder) -> float:
        """From when on what was sent can no longer enter the venue, monotonic: a clock that is set meanwhile
        moves it in neither direction.
        """
        wait_ms = SEND_SLACK_MS + self._port.recv_window_ms + FUTURE_TOLERANCE_MS + ENGINE_LAG_MS
        if live.sent_s is not None:
            return live.sent_s + wait_ms / 1000
        left_ms = live.order.send_by_ms - SEND_SLACK_MS + wait_ms - now_ms()
        return time.monotonic() + min(max(left_ms, 0), wait_ms) / 1000

    async def _watch(self, live: LiveOrder) -> None:
        """At the venue and not terminal: streams first, a query when they are quiet."""
        if await self._wait(live, WATCH_WAIT_S) or live.order.terminal:
            return
        with suppress(VenueUnavailableError):
            seen = await self._port.fetch_by_client_id(live.order.symbol, live.order.client_order_id)
            if seen is not None:
                self._take(live, seen)

    async def _settle(self, live: LiveOrder) -> None:
        """Terminal: every fill must be in the journal before anything is planned on top of it. An entry
        counts as filled until they are, however long the venue does not tell them: who forgot it would not
        leave it.
        """
        order = live.order
        turn = 0
        while live.held_qty < order.filled_qty:
            if turn == SETTLE_TRIES_MAX:
                log.error("fills_missing", client_order_id=order.client_order_id, held=str(live.held_qty))
                if order.leg != "open" or now_ms() - order.send_by_ms > FILLS_LISTED_MS:
                    break  # an exit's: more seems to be held than is, which positions and reduce-only tell
            if turn > 0 and order.order_id is not None:
                with suppress(VenueUnavailableError):
                    await self._port.fetch_fills(order.symbol, order.order_id)
            if live.held_qty < order.filled_qty:
                await self._wait(live, WATCH_WAIT_S if turn < SETTLE_TRIES_MAX else SETTLE_WAIT_MAX_S)
            turn += 1
        self._failpoints.reach("settled")
        order.advance(OrderEvent.SETTLE)
        self._store.record_order(order, durable=False)
        self._failpoints.reach("done_recorded")

    async def _wait(self, live: LiveOrder, timeout_s: float) -> bool:
        """Whether a stream said something about the order in time."""
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await live.changed.wait()
        heard = live.changed.is_set()
        live.changed.clear()
        return heard


def _has_left(order: Order) -> bool:
    return order.state is not OrderState.INTENT
