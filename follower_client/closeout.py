"""Does what the operator or a trigger has ordered: cancels orders, closes copied positions.

Belongs here: one repeatable way out of every copied position. Does not belong here: refusing
entries (`core.gates`), the order itself (`core.exits`), writing the order down (`control`).

Every closing order's id is a function of the command's number, the symbol and its place, so a crash in the
middle goes on where it was. What copying did not build is never touched.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from decimal import Decimal
from functools import partial

import structlog

from follower_client.core.exits import flatten
from follower_client.core.snapshot import Control, LeaderState
from follower_client.desk import Desk
from follower_client.errors import VenueUnavailableError
from follower_client.order_driver import intent_of, now_ms
from follower_client.records import CopyKey
from follower_client.venue.port import Ending
from follower_client.venue.transport import ask_sparely

__all__ = ["Closeout"]

LOOK_EVERY_S = 0.05
SWEEP_EVERY_S, SWEEP_EACH_S = 10.0, 0.1  # all followers of a process together ten times a second
LOOKS_IN_FULL = 10  # one of so many
EPOCH = 0  # of orders that no signal asked for

log = structlog.get_logger(__name__)


class Closeout:
    """One account. `run` watches the control file; `close_all` is for whoever has no loop, and a limit."""

    def __init__(self, follower_id: str, desk: Desk) -> None:
        self._follower_id = follower_id
        self._desk = desk
        self._woken = asyncio.Event()
        self._done = 0  # number of the last command that was carried out
        self._is_quiet, self._looks = False, 0

    async def run(self) -> None:
        """Until cancelled."""
        await self._desk.reconciled.wait()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._desk.rounds.repeat(LOOK_EVERY_S, self._look))
            group.create_task(self._obey(group))
            group.create_task(self._sweep_loop())

    async def _obey(self, group: asyncio.TaskGroup) -> None:
        """Closes also what is filled after it was ordered, until somebody resumes."""
        running: dict[tuple[str, int], asyncio.Task[bool]] = {}
        while True:
            await self._woken.wait()
            self._woken.clear()
            state = self._desk.control.read()
            if state.number != self._done:
                if state.closing or state.level is Control.CANCEL_ALL:
                    await self.cancel_all()
                self._done = state.number
            for leader_id, number in state.closings().items():
                task, only = running.get((leader_id, number)), leader_id or None
                if self._held(only) and (task is None or task.done()):
                    still = partial(self._is_in_force, leader_id, number)
                    closing = self.close_all(number, only, is_wanted=still)
                    running[leader_id, number] = group.create_task(closing)

    def _look(self) -> None:
        self._looks += 1
        if self._is_quiet and self._looks % LOOKS_IN_FULL and not self._desk.control.may_have_changed():
            return
        state = self._desk.control.read()
        self._is_quiet = state.number == self._done and not state.closings()
        if not self._is_quiet:
            self._woken.set()

    def _is_in_force(self, leader_id: str, number: int) -> bool:
        return self._desk.control.read().closings().get(leader_id) == number

    async def cancel_all(self) -> int:
        """Take back every resting order of this program; how many. Stops of positions stay."""
        return await self._cancel(stops=False)

    async def close_all(
        self, number: int, only: str | None = None, *, is_wanted: Callable[[], bool] = lambda: True
    ) -> bool:
        """Close every copied position (of one leader, where one is named), for as long as it takes and is
        wanted; whether all of them are closed.
        """
        while (held := self._held(only)) and is_wanted():
            await asyncio.gather(*(self._close(*one, number, is_wanted) for one in held))
            if self._held(only) == held:
                await asyncio.sleep(LOOK_EVERY_S)  # the journal has what the account has not: it will be told
        log.info("flatten_ended" if held else "flat", number=number, only=only)
        return not held

    def _held(self, only: str | None) -> dict[tuple[str, str], Decimal]:
        """Copied quantity per leader and symbol."""
        journal = self._desk.journal
        return {
            (leader, symbol): qty
            for symbol in journal.symbols()
            for leader, qty in journal.leaders_of(symbol).items()
            if only in (None, leader)
        }

    async def _close(self, leader_id: str, symbol: str, number: int, is_wanted: Callable[[], bool]) -> None:
        desk, key = self._desk, CopyKey(leader_id, EPOCH, number)
        async with desk.exit_lane(leader_id, symbol):
            leg = f"flatten {symbol}"
            tries = sum(order.leg == leg for order in desk.store.orders_of(key))
            while is_wanted():
                state = desk.snapshot(leader_id, LeaderState(), {})
                own = state.own_qty(symbol)
                if own == 0:
                    desk.exits.done(leader_id, symbol)
                    if not desk.driver.open_entries(symbol):
                        return
                    await desk.driver.any_done()  # an entry on its way may still add to it
                    continue
                decision = flatten(symbol, own, state, now_ms(), tries=tries, reason="flatten")
                if decision is None:
                    await desk.exit_impossible(leader_id, symbol)
                    continue
                slack_ms = desk.driver.send_slack_ms
                order = intent_of(self._follower_id, key, leg, tries, symbol, decision, slack_ms)
                desk.store.record_order(order, durable=False)
                desk.failpoints.reach("recorded")
                tries += 1
                await desk.exit_tried(await desk.driver.drive(desk.driver.adopt(order)))
            desk.exits.done(leader_id, symbol)  # whoever else wants it closed says so again

    # --- orders that nobody needs any more

    async def _sweep_loop(self) -> None:
        ask_sparely()
        while True:
            await asyncio.sleep(max(SWEEP_EVERY_S, SWEEP_EACH_S * self._desk.hosted))
            await self._cancel(stops=True)

    async def _cancel(self, *, stops: bool) -> int:
        """Cancel own resting orders that no live copy drives; with `stops` also stops of copies that are
        flat, known by the venue's id or by their price: nobody else's is touched.
        """
        desk, count = self._desk, 0
        try:
            resting = await desk.port.open_orders()
        except VenueUnavailableError as error:
            log.warning("orders_not_read", error=str(error))
            return 0
        account = desk.port.account
        held = {*account.positions(), *account.hedges()}  # two legs of the same size are no net position
        for order in resting:
            is_own = bool(order.client_order_id) and desk.store.is_own_order(order.client_order_id)
            is_orphan = stops and order.symbol not in held and desk.part_stops.is_own(order)
            if desk.driver.is_live(order.client_order_id) or not (is_own or is_orphan):
                continue
            result = await desk.port.cancel(order)
            count += result.ending is Ending.ACCEPTED
            log.info("order_cancelled", symbol=order.symbol, order_id=order.order_id, orphan=is_orphan)
        return count
