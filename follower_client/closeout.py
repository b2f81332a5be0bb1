"""Does what the operator or a trigger has ordered: cancels orders, closes copied positions.

Belongs here: one bounded, repeatable way out of every copied position. Does not belong here: refusing
entries (`core.gates`), the order itself (`core.exits`), writing the order down (`control`).

Every closing order's id is a function of the command's number, the symbol and its place, so a crash in the
middle goes on where it was. What copying did not build is never touched.
"""

from __future__ import annotations

import asyncio
from decimal import Decimal

import structlog

from follower_client.core.decision import Decision
from follower_client.core.exits import flatten
from follower_client.core.order import client_order_id
from follower_client.core.snapshot import Control, LeaderState
from follower_client.desk import Desk
from follower_client.errors import VenueUnavailableError
from follower_client.order_driver import SEND_SLACK_MS, now_ms
from follower_client.records import CopyKey, Order
from follower_client.venue.outcomes import NOTHING_TO_REDUCE
from follower_client.venue.port import Ending

__all__ = ["CLOSING_ORDERS_MAX", "Closeout"]

CLOSING_ORDERS_MAX = 16  # per symbol and command
LOOK_EVERY_S = 0.05
SWEEP_EVERY_S = 10.0
RETRY_WAIT_S = 0.1
RETRY_WAIT_MAX_S = 2.0
EPOCH = 0  # of orders that no signal asked for

log = structlog.get_logger(__name__)


class Closeout:
    """One account. `run` watches the control file; `close_all` is one pass, for whoever has no loop."""

    def __init__(self, follower_id: str, desk: Desk) -> None:
        self._follower_id = follower_id
        self._desk = desk
        self._done = 0  # number of the last command that was carried out

    async def run(self) -> None:
        """Until cancelled."""
        await self._desk.reconciled.wait()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._obey())
            group.create_task(self._sweep_loop())

    async def _obey(self) -> None:
        while True:
            state = self._desk.control.read()
            if state.number != self._done:
                if state.closing or state.level is Control.CANCEL_ALL:
                    await self.cancel_all()
                if state.closing:
                    await self.close_all(state.closing)
                self._done = state.number
            await asyncio.sleep(LOOK_EVERY_S)

    async def cancel_all(self) -> int:
        """Take back every resting order of this program; how many. Stops of positions stay."""
        return await self._cancel(stops=False)

    async def close_all(self, number: int, only: str | None = None) -> bool:
        """Close every copied position (of one leader, where one is named); whether all of them are closed."""
        while before := self._held(only):
            await asyncio.gather(
                *(self._close(leader, symbol, number) for symbol in before for leader in before[symbol])
            )
            if self._held(only) == before:
                log.error("not_flat", symbols=sorted(before))
                return False
        log.info("flat", number=number)
        return True

    def _held(self, only: str | None) -> dict[str, dict[str, Decimal]]:
        """Copied quantity per symbol and leader."""
        journal = self._desk.journal
        found = {symbol: journal.leaders_of(symbol) for symbol in journal.symbols()}
        if only is None:
            return found
        return {symbol: {only: held[only]} for symbol, held in found.items() if only in held}

    async def _close(self, leader_id: str, symbol: str, number: int) -> None:
        desk, key = self._desk, CopyKey(leader_id, EPOCH, number)
        async with desk.exit_lane(leader_id, symbol):
            leg = f"flatten {symbol}"
            tries = sum(order.leg == leg for order in desk.store.orders_of(key))
            while tries < CLOSING_ORDERS_MAX:
                state = desk.snapshot(leader_id, LeaderState(), {})
                decision = flatten(
                    symbol, state.own_qty(symbol), state, now_ms(), tries=tries, reason="flatten"
                )
                if decision is None:
                    if not desk.driver.open_entries(symbol):
                        return
                    await desk.driver.any_done()  # an entry on its way may still add to it
                    continue
                order = await self._send(key, leg, tries, symbol, decision)
                tries += 1
                if order.reject_code == NOTHING_TO_REDUCE:
                    await self._look_again()
                if order.filled_qty == 0:
                    await asyncio.sleep(min(RETRY_WAIT_S * 2**tries, RETRY_WAIT_MAX_S))

    async def _send(self, key: CopyKey, leg: str, n: int, symbol: str, decision: Decision) -> Order:
        desk = self._desk
        order = Order(
            client_order_id=client_order_id(self._follower_id, key.leader_id, key.epoch, key.seq, leg, n),
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
            send_by_ms=now_ms() + SEND_SLACK_MS,
        )
        desk.store.record_order(order)
        desk.failpoints.reach("recorded")
        return await desk.driver.drive(desk.driver.adopt(order))

    async def _look_again(self) -> None:
        try:
            positions = await self._desk.port.fetch_positions()
            self._desk.journal.settle(positions, self._desk.port.account.hedges())
        except VenueUnavailableError as error:
            log.warning("positions_not_read", error=str(error))

    # --- orders that nobody needs any more

    async def _sweep_loop(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_EVERY_S)
            await self._cancel(stops=True)

    async def _cancel(self, *, stops: bool) -> int:
        """Cancel own resting orders that no live copy drives; with `stops` also stops of flat positions."""
        desk, count = self._desk, 0
        try:
            resting = await desk.port.open_orders()
        except VenueUnavailableError as error:
            log.warning("orders_not_read", error=str(error))
            return 0
        held: dict[str, Decimal] = desk.port.account.positions()
        for order in resting:
            is_own = bool(order.client_order_id) and desk.store.is_own_order(order.client_order_id)
            is_orphan = stops and order.is_stop and order.reduce_only and order.symbol not in held
            if desk.driver.is_live(order.client_order_id) or not (is_own or is_orphan):
                continue
            result = await desk.port.cancel(order)
            count += result.ending is Ending.ACCEPTED
            log.info("order_cancelled", symbol=order.symbol, order_id=order.order_id, orphan=is_orphan)
        return count
