"""Keeps the stops of copied positions at the venue, where they work while this program does not.

Belongs here: comparing what the policy wants with what the venue keeps, and asking again within limits. Does
not belong here: where a stop belongs (`core.stops`), the entry that carries the first one (`executor`).

State, not steps: whatever was missed, the next look sets it right. A position that is partly somebody else's
gets no stop of the whole: the copied part has one of its own size (`part_stops`), and no take-profit: were
both executed one after the other while nobody looks, the second would close what is not copied.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from decimal import ROUND_FLOOR, Decimal

import structlog

from follower_client.core.snapshot import sign
from follower_client.core.stops import NO_STOPS, Stops, wanted_stops
from follower_client.desk import Desk
from follower_client.errors import VenueUnavailableError
from follower_client.leader_view import LeaderView
from follower_client.part_stops import PartStop, entry_price
from follower_client.venue.account import Holding
from follower_client.venue.port import Ending

__all__ = ["Protection"]

LOOK_EVERY_S = 0.25
RETRY_WAIT_S = 1.0
RETRY_WAIT_MAX_S = 60.0
PARTS = ""  # the name that stops of parts wait under
ZERO = Decimal(0)

log = structlog.get_logger(__name__)


class Protection:
    """One account. `leaders` tells who is copied on it, by name."""

    def __init__(self, desk: Desk, leaders: Callable[[], Mapping[str, LeaderView]]) -> None:
        self._desk = desk
        self._leaders = leaders
        self._woken = asyncio.Event()
        self._entries: dict[tuple[str, str], tuple[Decimal, Decimal]] = {}  # quantity, entry price of copies
        self._wait_s: dict[str, float] = {}
        self._not_before_s: dict[str, float] = {}

    async def run(self) -> None:
        """Until cancelled."""
        await self._desk.reconciled.wait()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._desk.rounds.repeat(LOOK_EVERY_S, self._wake))
            while True:
                await self._woken.wait()
                self._woken.clear()
                await self.look()

    def _wake(self) -> None:
        if self._desk.journal.symbols() or self._desk.part_stops.live:
            self._woken.set()

    async def look(self) -> None:
        """Bring every copied position's stops to where they belong."""
        account = self._desk.port.account
        for symbol in sorted(self._desk.journal.symbols()):
            wanted = self.wanted(symbol)
            if wanted is None:
                continue
            self._desk.part_stops.note_set(symbol, wanted)
            if wanted == account.stops.get(symbol, NO_STOPS):
                continue
            if time.monotonic() < self._not_before_s.get(symbol, 0.0):
                continue
            result = await self._desk.port.set_stops(symbol, wanted)
            if result.ending is Ending.ACCEPTED:
                self._wait_s.pop(symbol, None)
                log.info("stops_set", symbol=symbol, stop=str(wanted.stop_loss), take=str(wanted.take_profit))
                continue
            self._wait(symbol)
            log.error("stops_not_set", symbol=symbol, ending=result.ending.value, code=result.code)
        if time.monotonic() >= self._not_before_s.get(PARTS, 0.0):
            await self._keep_parts()

    async def _keep_parts(self) -> None:
        why = ""
        try:
            refused = await self._desk.part_stops.keep(self.parts())
            why = "" if refused is None else refused.code or refused.ending.value
        except VenueUnavailableError as error:
            why = str(error)
        if not why:
            self._wait_s.pop(PARTS, None)
            return
        self._wait(PARTS)
        log.error("part_stops_not_set", why=why)

    def _wait(self, name: str) -> None:
        wait_s = self._wait_s.get(name, RETRY_WAIT_S)
        self._not_before_s[name] = time.monotonic() + wait_s
        self._wait_s[name] = min(2 * wait_s, RETRY_WAIT_MAX_S)

    def unprotected(self) -> dict[str, str]:
        """Symbols without the stop-loss that belongs there, and why: it was never taken, it was executed and
        found nobody to trade with, or it would close what is somebody else's.
        """
        stops, found = self._desk.port.account.stops, {}
        for symbol in sorted(self._desk.journal.symbols()):
            copied = self._copied(symbol)
            if copied == 0 or not self._wants_stop(symbol):
                continue
            mine = self._holding(symbol).qty == copied
            current = stops.get(symbol, NO_STOPS) if mine or self._is_larger_leg(symbol, copied) else NO_STOPS
            if current.stop_loss is None and (mine or self._desk.part_stops.covered(symbol) < abs(copied)):
                partly = "partly somebody else's, and the copied part has no stop of its own"
                found[symbol] = "the venue has not taken one" if mine else partly
        return found

    def wanted(self, symbol: str) -> Stops | None:
        """What belongs at the venue now; `None` where nothing is to be touched."""
        account = self._desk.port.account
        holding, quote = self._holding(symbol), account.quotes.get(symbol)
        instrument, current = account.instruments.get(symbol), account.stops.get(symbol, NO_STOPS)
        if holding.qty == 0 or quote is None or instrument is None:
            return None
        if self._copied(symbol) != holding.qty:
            return self._taken_away(symbol, current)
        if _is_due(current, is_long=holding.qty > 0, mark=quote.mark):
            return None
        stop, take = self._leader_stops(symbol)
        return wanted_stops(
            self._desk.policy,
            is_long=holding.qty > 0,
            entry_price=holding.entry_price,
            mark=quote.mark,
            tick=instrument.tick_size,
            leader_stop=stop,
            leader_take=take,
        )

    def _taken_away(self, symbol: str, current: Stops) -> Stops | None:
        """A stop of the whole that was set while all of it was copied, once its part has one of its own."""
        parts, copied = self._desk.part_stops, self._copied(symbol)
        is_mine = self._is_larger_leg(symbol, copied) and parts.were_set(symbol, current)
        return NO_STOPS if is_mine and parts.covered(symbol) >= abs(copied) > 0 else None

    def parts(self) -> dict[tuple[str, str], PartStop]:
        """What belongs at the venue for copies beside somebody else's, per leader and symbol."""
        found = {}
        for symbol in sorted(self._desk.journal.symbols()):
            copied, instrument = self._copied(symbol), self._desk.port.account.instruments.get(symbol)
            leg = self._leg(symbol, copied)
            if (
                instrument is None
                or sign(leg.qty) != sign(copied)
                or copied in (0, self._holding(symbol).qty)
            ):
                continue
            leaders = self._desk.journal.leaders_of(symbol)
            same = {leader: qty for leader, qty in leaders.items() if sign(qty) == sign(copied)}
            covered = min(abs(copied), abs(leg.qty)) / sum((abs(qty) for qty in same.values()), ZERO)
            for leader_id, qty in same.items():
                lots = (abs(qty) * covered / instrument.qty_step).to_integral_value(ROUND_FLOOR)
                stop = self._part(leader_id, symbol, qty, lots * instrument.qty_step, instrument.tick_size)
                if lots > 0 and stop is not None:
                    found[leader_id, symbol] = stop
        return found

    def _part(
        self, leader_id: str, symbol: str, copied: Decimal, qty: Decimal, tick: Decimal
    ) -> PartStop | None:
        quote = self._desk.port.account.quotes.get(symbol)
        if quote is None:
            return None
        kept = self._entries.get((leader_id, symbol))
        if kept is None or kept[0] != copied:
            kept = copied, entry_price(self._desk.store, leader_id, symbol)
            self._entries[leader_id, symbol] = kept
        price = wanted_stops(
            self._desk.policy,
            is_long=copied > 0,
            entry_price=kept[1],
            mark=None,
            tick=tick,
            leader_stop=self._leader_stops(symbol)[0],
            leader_take=None,
        ).stop_loss
        if price is None:
            return None
        is_due = _is_due(Stops(price), is_long=copied > 0, mark=quote.mark)
        return PartStop(copied > 0, qty, price, is_due)

    def _leg(self, symbol: str, copied: Decimal) -> Holding:
        """The position that copies are a part of."""
        account = self._desk.port.account
        net = account.holdings.get(symbol, Holding())
        long, short = account.legs.get(symbol, (net, net))
        return long if copied > 0 else short

    def _copied(self, symbol: str) -> Decimal:
        """What copying holds, over all leaders."""
        return sum(self._desk.journal.leaders_of(symbol).values(), ZERO)

    def _holding(self, symbol: str) -> Holding:
        """The position that the venue keeps stops for: in hedge mode the larger leg."""
        account = self._desk.port.account
        net = account.holdings.get(symbol, Holding())
        long, short = account.legs.get(symbol, (net, net))
        return long if net.qty > 0 else short

    def _is_larger_leg(self, symbol: str, copied: Decimal) -> bool:
        return sign(self._holding(symbol).qty) == sign(copied)

    def _leader_stops(self, symbol: str) -> tuple[Decimal | None, Decimal | None]:
        """The leader's, as they are for the follower's side; none where several are copied: theirs differ."""
        leaders = list(self._leaders().values())
        stop, take = leaders[0].stops(symbol) if len(leaders) == 1 else (None, None)
        return (take, stop) if self._desk.policy.reverse else (stop, take)

    def _wants_stop(self, symbol: str) -> bool:
        policy = self._desk.policy
        return policy.stop_loss_bps > 0 or (policy.copy_stops and self._leader_stops(symbol)[0] is not None)


def _is_due(stops: Stops, *, is_long: bool, mark: Decimal) -> bool:
    """Whether the market has passed one of them: the venue is about to execute it, and it is not moved."""
    low, high = (stops.stop_loss, stops.take_profit) if is_long else (stops.take_profit, stops.stop_loss)
    return (low is not None and mark <= low) or (high is not None and mark >= high)
