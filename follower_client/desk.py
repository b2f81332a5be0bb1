"""One account: what the copies of all its leaders share.

Belongs here: hearing the account's streams, counting what is pending, gathering what a decision may look at,
reconciling at a start. Does not belong here: one leader's copies (`executor`), deciding (`core`).
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from decimal import Decimal

import structlog

from follower_client.control import ControlFile
from follower_client.core.policy import Policy
from follower_client.core.snapshot import LeaderState, Quote, Snapshot
from follower_client.errors import VenueUnavailableError
from follower_client.exit_pace import ExitPaces
from follower_client.failpoint import Failpoints
from follower_client.journal import Journal
from follower_client.order_driver import OrderDriver, now_ms
from follower_client.part_stops import PartStops
from follower_client.records import Order
from follower_client.risk import RiskWatch
from follower_client.rounds import Rounds
from follower_client.store import Store
from follower_client.venue.outcomes import NOTHING_TO_REDUCE
from follower_client.venue.port import VenueFill, VenueOrder, VenuePort

__all__ = ["Desk"]

QUOTE_TURN_S = 0.05
QUOTE_TURNS_MAX = 40
STOPS_WAIT_S = 0.5

ZERO = Decimal(0)
log = structlog.get_logger(__name__)


class Desk:
    """Owns the order driver and the journal. `prepare` before the port is started, `reconcile` after."""

    def __init__(
        self, policy: Policy, store: Store, port: VenuePort, control: ControlFile, failpoints: Failpoints
    ) -> None:
        self.policy = policy
        self.store = store
        self.port = port
        self.control = control
        self.failpoints = failpoints
        self.risk = RiskWatch(policy, port.account, store, control)
        self.driver = OrderDriver(store, port, failpoints, self.risk)
        self.journal = Journal(store)
        self.part_stops = PartStops(store, port)
        self.exits = ExitPaces()
        self.rounds = Rounds()  # or that of many followers
        self.hosted = 1  # so many
        self.reconciled = asyncio.Event()
        self.leverage_peak = ZERO
        self.shared = False  # whether more than one leader is copied here
        self._exit_lanes: defaultdict[tuple[str, str], asyncio.Lock] = defaultdict(asyncio.Lock)

    def prepare(self) -> None:
        """Read the journal; before the port is started, so that no fill is heard without it."""
        self.journal.read()
        self.part_stops.read()

    async def reconcile(self) -> None:
        """Every order of the last life resolved, then the journal against the venue, then entries may
        begin.
        """
        while self.driver.live_count:
            await self.driver.any_done()
        await self._look_up_stops()
        positions = self.port.account.positions()
        self.journal.settle(positions, self.port.account.hedges())
        self.reconciled.set()
        log.info("reconciled", positions={symbol: str(qty) for symbol, qty in positions.items()})

    async def _look_up_stops(self) -> None:
        """An execution of a copy's stop that nobody heard would be somebody else's."""
        while True:
            try:
                await self.part_stops.look_up()
                return
            except VenueUnavailableError as error:
                log.warning("stops_not_read", error=str(error))
                await asyncio.sleep(STOPS_WAIT_S)

    def exit_lane(self, leader_id: str, symbol: str) -> asyncio.Lock:
        """Whoever reduces a leader's copy holds this: two at once would take more than there is."""
        return self._exit_lanes[leader_id, symbol]

    async def exit_tried(self, order: Order) -> None:
        """After an order that should have closed something: returns when the next one may be sent. Whoever
        sent it holds the lane.
        """
        if order.filled_qty > 0:
            self.exits.done(order.leader_id, order.symbol)
            return
        if order.reject_code == NOTHING_TO_REDUCE:
            try:
                self.journal.settle(await self.port.fetch_positions(), self.port.account.hedges())
            except VenueUnavailableError as error:
                log.warning("positions_not_read", error=str(error))
        why = f"the venue refused the last order with code {order.reject_code}" if order.reject_code else (
            "nobody took the last order"
        )  # fmt: skip
        await self._exit_failed(order.leader_id, order.symbol, why)

    async def exit_impossible(self, leader_id: str, symbol: str) -> None:
        """The same where no order can be made at all."""
        await self._exit_failed(leader_id, symbol, "the venue's rules of the contract are not known here")

    async def _exit_failed(self, leader_id: str, symbol: str, why: str) -> None:
        self.exits.failed(leader_id, symbol, why)
        log.error("exit_not_executed", leader_id=leader_id, symbol=symbol, why=why)
        await self.exits.wait(leader_id, symbol, self.exit_lane(leader_id, symbol))

    # --- the account's streams

    def on_fill(self, fill: VenueFill) -> None:
        fill = self.part_stops.named(fill)
        if not self.journal.is_own(fill):
            if self.reconciled.is_set():
                self.journal.settle(self.port.account.positions(), self.port.account.hedges())
            return
        self.failpoints.reach("fill_heard")
        if not self.journal.record(fill, durable=not self.driver.is_live(fill.client_order_id)):
            return
        self.failpoints.reach("filled")
        self.driver.on_fill(fill)
        self.note_leverage()

    def on_order(self, order: VenueOrder) -> None:
        self.failpoints.reach("order_heard")
        self.driver.on_order(order)

    # --- what decisions look at

    def snapshot(
        self, leader_id: str, leader: LeaderState, carried: dict[str, Decimal], *, wave_start_ms: int = 0
    ) -> Snapshot:
        """The account as this leader's copies see it."""
        account = self.port.account
        positions, hedges, equity = account.positions(), account.hedges(), account.equity()
        return Snapshot(
            equity=equity,
            available=None if equity is None else equity - account.margin(),
            wallet=account.wallet_balance,
            positions=positions,
            quotes=account.quotes,
            instruments=account.instruments,
            wave_start_ms=wave_start_ms,
            external=self.journal.external(positions, leader_id, hedges),
            pending=self.driver.pending(),
            leverage_settings=account.leverage_settings,
            depth=account.depth,
            carried=carried,
            blocked_symbols=self.driver.unknown_symbols(),
            exits_due=self.exits.due(leader_id),
            shared=self.shared,
            hedged=frozenset(account.legs),
            hedges=hedges,
            leader=leader,
            guard=self.risk.guard(leader_id, equity),
            reconciled=self.reconciled.is_set(),
        )

    def quote(self, symbol: str) -> Quote | None:
        return self.port.account.quotes.get(symbol)

    async def wait_for_quote(self, symbol: str) -> None:
        """Until its price is fresh, within a limit: while many copies are made at once, news of the market
        wait their turn like everything else, and an entry that waits for them lets them in. The limit is
        counted in turns, because they come late then, too.
        """
        for _ in range(QUOTE_TURNS_MAX):
            quote = self.quote(symbol)
            if quote is None or quote.is_fresh(now_ms()):
                return
            await asyncio.sleep(QUOTE_TURN_S)

    def note_leverage(self) -> Decimal:
        """Sum of |notional| / equity right now; keeps the peak."""
        account = self.port.account
        equity = account.equity()
        if equity is None or equity <= 0:
            return ZERO
        leverage = account.notional() / equity
        self.leverage_peak = max(self.leverage_peak, leverage)
        return leverage
