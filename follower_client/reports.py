"""What a follower says about itself: one report per signal, and where it stands.

Belongs here: building the wire's reports from rows, and the pump that sends what the store holds. Does not
belong here: what a verdict is (`executor`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Literal, Protocol

import msgspec
import structlog

from follower_client.core.order import OrderState
from follower_client.records import Copy, Order
from follower_client.store import Store
from follower_client.venue.port import VenueFill
from relay.nats_bus import BusError
from relay.protocol.codec import decimal_text, decode_report, encode_report
from relay.protocol.messages import ORDERS_PER_COPY_MAX, CopyReport, FillRow, OrderRow, StatusReport

__all__ = ["Identity", "ReportSink", "Reporter", "copy_report", "report_id", "wire_number"]

OUTBOX_BATCH = 64
FILLS_REPORTED_MAX = 40  # per copy; above, the fills of an order are reported as one at their average price
IDLE_WAIT_S = 10.0  # who has something new wakes it
RETRY_WAIT_S = 0.5
FLUSH_TRIES_MAX = 10
WIRE_NUMBER_MAX = Decimal(10) ** 15

OrderAndFills = tuple[Order, Sequence[VenueFill]]
log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Identity:
    """Who reports."""

    follower_id: str
    leader_id: str
    policy: str
    paper: bool
    venue: str = ""  # `venue_name` of where the copies are made; empty = not known


class ReportSink(Protocol):
    """The part of the bus that takes reports."""

    async def publish_report(
        self, leader_id: str, follower_id: str, data: bytes, msg_id: str, *, timeout_s: float = ...
    ) -> int: ...


def report_id(identity: Identity, copy: Copy) -> str:
    """The same for every try of the same report."""
    return f"copy.{identity.follower_id}.{copy.signal_id}"


def wire_number(value: Decimal) -> str:
    """A number as the wire has it; one that the wire cannot carry becomes the largest that it can."""
    return decimal_text(max(-WIRE_NUMBER_MAX, min(WIRE_NUMBER_MAX, value)))


def _text(value: Decimal | None) -> str | None:
    return None if value is None else wire_number(value)


def _outcome(order: Order) -> Literal["accepted", "rejected", "unknown"]:
    if order.state is OrderState.UNKNOWN:
        return "unknown"
    return "accepted" if order.order_id is not None else "rejected"


def _merged(fills: Sequence[VenueFill]) -> list[VenueFill]:
    """One fill at the volume-weighted price; every sum is kept."""
    qty = sum((fill.qty for fill in fills), Decimal(0))
    if qty == 0:
        return []
    value = sum((fill.qty * fill.price for fill in fills), Decimal(0))
    fee = sum((fill.fee for fill in fills), Decimal(0))
    last = max(fills, key=lambda fill: fill.executed_ms)
    return [replace(last, fill_id=f"{last.fill_id}+{len(fills) - 1}", qty=qty, price=value / qty, fee=fee)]


def _reported(orders: Sequence[OrderAndFills]) -> list[OrderAndFills]:
    """As many as the wire takes: what was filled, and the last ones that were not. What was filled in more
    parts than that is told with the last of them.
    """
    if len(orders) <= ORDERS_PER_COPY_MAX:
        return list(orders)
    filled, idle = [one for one in orders if one[1]], [one for one in orders if not one[1]]
    if len(filled) > ORDERS_PER_COPY_MAX:
        rest = filled[ORDERS_PER_COPY_MAX - 1 :]
        fills = [fill for _, some in rest for fill in some]
        last = msgspec.structs.replace(rest[-1][0], qty=sum((fill.qty for fill in fills), Decimal(0)))
        filled[ORDERS_PER_COPY_MAX - 1 :] = [(last, fills)]
    return [*idle[len(idle) - (ORDERS_PER_COPY_MAX - len(filled)) :], *filled]


def _order_row(order: Order, fills: Sequence[VenueFill]) -> OrderRow:
    return OrderRow(
        client_order_id=order.client_order_id,
        order_id=order.order_id,
        side="buy" if order.is_buy else "sell",
        qty=decimal_text(order.qty),
        reduce_only=order.reduce_only,
        outcome=_outcome(order),
        reject_code=order.reject_code or None,
        fills=[
            FillRow(
                fill_id=fill.fill_id,
                qty=decimal_text(fill.qty),
                price=decimal_text(fill.price),
                fee=decimal_text(fill.fee),
                fee_currency=fill.fee_currency,
                executed_ms=fill.executed_ms,
                is_maker=fill.is_maker,
            )
            for fill in fills
        ],
    )


def copy_report(identity: Identity, copy: Copy, orders: Sequence[OrderAndFills]) -> CopyReport:
    """A finished copy as it goes on the wire."""
    assert copy.verdict is not None
    orders = _reported(orders)
    if sum(len(fills) for _, fills in orders) > FILLS_REPORTED_MAX:
        orders = [(order, _merged(fills)) for order, fills in orders]
    return CopyReport(
        follower_id=identity.follower_id,
        leader_id=copy.leader_id,
        epoch=copy.epoch,
        seq=copy.seq,
        signal_id=copy.signal_id,
        symbol=copy.symbol,
        side="buy" if copy.side == "buy" else "sell",
        policy=identity.policy,
        paper=identity.paper,
        verdict=copy.verdict,
        reason=copy.reason,
        detail=copy.detail,
        is_exit=copy.is_exit,
        target_qty=wire_number(copy.target_qty or Decimal(0)),
        order_qty=wire_number(copy.order_qty),
        wanted_qty=wire_number(copy.wanted_qty),
        limit_value=_text(copy.limit_value),
        observed_value=_text(copy.observed_value),
        leverage_after=_text(copy.leverage_after),
        leverage_cap=_text(copy.leverage_cap),
        received_ms=copy.received_ms,
        released_ms=copy.released_ms,
        submitted_ms=copy.submitted_ms,
        accepted_ms=copy.accepted_ms,
        executed_ms=copy.executed_ms,
        received_mid=_text(copy.received_mid),
        released_mid=_text(copy.released_mid),
        submitted_mid=_text(copy.submitted_mid),
        accepted_mid=_text(copy.accepted_mid),
        received_mark=_text(copy.received_mark),
        received_last=_text(copy.received_last),
        venue_mid=_text(copy.venue_mid),
        executed_mark=_text(copy.executed_mark),
        executed_last=_text(copy.executed_last),
        orders=[_order_row(order, fills) for order, fills in orders],
    )


class Reporter:
    """Sends the store's outbox in order, each row until it is acknowledged."""

    def __init__(self, follower_id: str, store: Store, sink: ReportSink) -> None:
        self._follower_id = follower_id
        self._store = store
        self._sink = sink
        self._wake = asyncio.Event()

    def wake(self) -> None:
        """There is something new in the outbox."""
        self._wake.set()

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            self._wake.clear()
            if not await self.flush_once():
                await asyncio.sleep(RETRY_WAIT_S)
                continue
            with suppress(TimeoutError):
                async with asyncio.timeout(IDLE_WAIT_S):
                    await self._wake.wait()

    async def flush_once(self) -> bool:
        """Send what is there, once it is on the disk; whether the outbox is empty now."""
        await self._store.kept()
        while rows := self._store.outbox(OUTBOX_BATCH):
            for row_id, msg_id, body in rows:
                try:
                    await self._publish(decode_report(body).leader_id, body, msg_id)
                except BusError as error:
                    log.warning("report_not_sent", error=str(error))
                    return False
                self._store.reported(row_id)
        return True

    async def flush(self, timeout_s: float) -> bool:
        """Whether everything was sent in time."""
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                for _ in range(FLUSH_TRIES_MAX):
                    if await self.flush_once():
                        return True
                    await asyncio.sleep(RETRY_WAIT_S)
        return False

    async def send_status(self, status: StatusReport) -> None:
        """Where the follower stands; not kept: the next one says more."""
        try:
            name = f"status.{status.follower_id}.{status.leader_id}.{status.sent_ms}"
            await self._publish(status.leader_id, encode_report(status), name)
        except BusError as error:
            log.warning("status_not_sent", error=str(error))

    async def _publish(self, leader_id: str, body: bytes, msg_id: str) -> None:
        await self._sink.publish_report(leader_id, self._follower_id, body, msg_id)
