"""The loop of one follower: gather -> decide -> record -> act -> report.

Belongs here: the order of those five steps, and which copy may go first. Does not belong here: the decision
(`core.decide`), an order's way to its end (`order_driver`), the feed (`subscriber`).

Each signal is one task. Per symbol there are two lanes: reductions run at once and one after another; entries
wait for their turn, their wave and for reductions in flight. Deciding and recording happen in one breath,
so two tasks never decide on the same room under a cap.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import suppress
from decimal import Decimal
from typing import cast

import msgspec
import structlog
from structlog.contextvars import bind_contextvars

from follower_client.copies import (
    conclude,
    describe,
    mark_accepted,
    mark_executed,
    mark_released,
    mark_submitted,
    open_copy,
    refusal,
    venue_mid,
)
from follower_client.core.decide import Action, Decision, decide
from follower_client.core.order import OrderState
from follower_client.core.policy import ENTRY_LIFE_MAX_MS, Policy
from follower_client.core.progress import Progress
from follower_client.core.snapshot import Control, LeaderStep, Snapshot, StepKind, sign
from follower_client.desk import Desk
from follower_client.late_join import record_late
from follower_client.leader_view import LeaderFacts, LeaderView
from follower_client.order_driver import LiveOrder, intent_of, now_ms
from follower_client.recorded import Recorded
from follower_client.records import Copy, CopyKey, Head, Order
from follower_client.reports import Identity, Reporter, copy_report, report_id
from relay.protocol.codec import decode_payload, encode_report
from relay.protocol.messages import Signal
from relay.protocol.signing import Envelope
from relay.telling.evidence import keep_evidence

__all__ = ["ACTIVE_COPIES_MAX", "Executor"]

ACTIVE_COPIES_MAX = 256  # above, entries are refused; reductions never are
ENTRY_ORDERS_MAX = 4
RETRY_WAIT_S = 0.1
RECENT_COPIES = 500
HEAD_EVERY_S = 30.0
NO_TARGET = frozenset({"no_step", "symbol_unknown", "overload", "no_account", "leader_state_invalid"})

ZERO = Decimal(0)
log = structlog.get_logger(__name__)


class Executor:
    """One follower's copies of one leader. `run` owns the tasks; `offer` is called in the order of the
    feed.
    """

    def __init__(self, identity: Identity, policy: Policy, desk: Desk, reporter: Reporter) -> None:
        self.identity = identity
        self.policy = policy
        self.desk = desk
        self.driver = desk.driver
        self.progress = Progress()
        self.started = asyncio.Event()  # from here on `offer` is heard
        self.leader_alive = True
        self.leader = LeaderView()
        self.targets: dict[str, Decimal] = {}
        self.last_seq = 0
        self._store = desk.store
        self._reporter = reporter
        self._failpoints = desk.failpoints
        self._recorded = Recorded(desk.store)
        self._carried: dict[str, Decimal] = {}
        self._entry_lanes: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._group: asyncio.TaskGroup | None = None
        self._active = 0
        self._head_kept_s = -HEAD_EVERY_S
        self._idle = asyncio.Event()
        self._idle.set()

    # --- life

    def prepare(self) -> None:
        """Read what the store knows of this leader."""
        newest = self._store.newest_copies(self.identity.leader_id, limit=RECENT_COPIES)
        self._recorded.begin(newest)
        for copy in newest:
            if not copy.is_late:
                self.leader.hear(self._signal(copy), copy.seq)
            if copy.target_qty is not None:
                self.targets[copy.symbol] = copy.target_qty
            self._note_carried(copy)
            if copy.verdict is not None and not copy.is_late:
                self.last_seq = max(self.last_seq, copy.seq)
        facts = self._store.leader(self.identity.leader_id)
        if facts is not None:
            self.leader.restore(msgspec.json.decode(facts, type=LeaderFacts))

    async def run(self) -> None:
        """Resume what was open, then copy until cancelled. The port is started already."""
        async with asyncio.TaskGroup() as group:
            self._group = group
            self._resume(group)
            self.started.set()
            await asyncio.Event().wait()

    async def drain(self, timeout_s: float) -> None:
        """Let copies that are on their way end, within a limit."""
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._idle.wait()
        self._keep_head(0.0)

    def _resume(self, group: asyncio.TaskGroup) -> None:
        leader_id = self.identity.leader_id
        open_orders = defaultdict(list)
        for order in self._store.open_orders():
            if order.leader_id == leader_id:
                open_orders[order.key].append(order)
        for copy in self._store.open_copies(leader_id):
            self._spawn(group, copy, open_orders.pop(copy.key, []))
        for orders in open_orders.values():
            for order in orders:
                group.create_task(self.driver.drive(self.driver.adopt(order), recovered=True))

    def locked(self, reason: str, detail: str, evidence: str) -> None:
        """The feed contradicts itself: nothing of it is believed until a person has looked."""
        text = f"the feed of {self.identity.leader_id} is locked ({reason}): {detail}"
        try:
            folder = self.desk.control.path.parent
            text += f"; evidence: {keep_evidence(folder, self.identity.leader_id, evidence)}"
        except OSError as error:
            log.error("evidence_not_kept", error=str(error), evidence=evidence)
        whom = self.identity.leader_id if self.desk.shared else ""
        self.desk.control.order(Control.LOCK, by=f"trigger:{reason}", reason=text, leader_id=whom)

    # --- what comes in

    def offer(self, envelope: Envelope, signal: Signal) -> None:
        """The next signal of the feed."""
        key = CopyKey(envelope.leader_id, envelope.epoch, envelope.seq)
        known = self._recorded.hear(key)
        self.progress.hear(envelope.epoch, envelope.seq, envelope.chain_hash, settled=known)
        self._hear(signal, envelope.seq)
        if known or self._group is None:
            return
        self._failpoints.reach("received")
        quote = self.desk.quote(signal.symbol)
        copy = open_copy(self.identity.follower_id, envelope, signal, quote, now_ms())
        copy.venue_mid = venue_mid(self.identity.venue, signal, self.desk.port.account)
        self._spawn(self._group, copy, [], signal)

    def heard(self, envelope: Envelope, message: object) -> None:
        """A message of the feed that is no signal."""
        self.progress.hear(envelope.epoch, envelope.seq, envelope.chain_hash, settled=True)
        late = record_late(
            self._store, self.policy, self.identity, self.leader, self.desk.quote, envelope, message
        )
        self._hear(message, envelope.seq)
        self._keep_head(HEAD_EVERY_S)
        for copy in late:
            assert self._group is not None, "the feed is heard before `run`"
            self._spawn(self._group, copy, [])

    def _hear(self, message: object, seq: int) -> None:
        before = self.leader.facts
        self.leader.hear(message, seq)
        if self.leader.facts != before:
            self._store.save_leader(self.identity.leader_id, msgspec.json.encode(self.leader.facts))

    def _signal(self, copy: Copy) -> Signal:
        return cast("Signal", decode_payload("signal", copy.signal))

    # --- one copy

    def _spawn(
        self, group: asyncio.TaskGroup, copy: Copy, orders: list[Order], signal: Signal | None = None
    ) -> None:
        self._active += 1
        self._idle.clear()
        lives = [(order, self.driver.adopt(order)) for order in orders]
        work = self._run_copy(copy, signal or self._signal(copy), [live for _, live in lives])
        task = group.create_task(work)
        task.add_done_callback(self._ended)

    def _ended(self, _task: asyncio.Task[None]) -> None:
        self._active -= 1
        if self._active == 0:
            self._idle.set()

    async def _run_copy(self, copy: Copy, signal: Signal, unfinished: list[LiveOrder]) -> None:
        bind_contextvars(signal_id=copy.signal_id, follower_id=self.identity.follower_id)
        step = LeaderStep.of(signal)
        for live in unfinished:
            live.why_not = self._why_not(copy, live.order, step)
            if not live.order.reduce_only:
                await self.driver.drive(live, recovered=True)
        is_crowded = self._active > ACTIVE_COPIES_MAX and copy.target_qty is None
        async with self.desk.exit_lane(copy.leader_id, copy.symbol):
            for live in unfinished:
                if live.order.reduce_only:
                    await self.driver.drive(live, recovered=True)
            last = await self._run_exits(copy, signal, step)
        if last is None and is_crowded:
            told = "too many copies are on their way"
            last = refusal("overload", told, limit=ACTIVE_COPIES_MAX, observed=self._active)
        if last is None:
            async with self._entry_lanes[copy.symbol]:
                last = await self._run_entries(copy, signal, step)
        self._finish(copy, last)

    async def _run_exits(self, copy: Copy, signal: Signal, step: LeaderStep) -> Decision | None:
        """Reduce until the target is reached, for as long as that takes. The caller holds the lane. Returns
        the decision that ended the copy, `None` to go on to entries.
        """
        exiting = step.kind not in (StepKind.ENTRY, StepKind.REVERSAL)
        if step.kind is StepKind.ENTRY and not self._stands_against(copy, step):
            return None
        legs = [order.leg for order in self._recorded.orders_of(copy.key)]
        if "open" in legs and not exiting:
            return None  # that is done: what is on the other side now, a newer copy has opened
        tries, is_due = legs.count("close"), False
        while True:
            decision = self._decide(copy, signal, exit_tries=tries)
            if decision.action is Action.ORDER and decision.leg == "close":
                order = await self.driver.drive(self._record_intent(copy, decision, tries, step))
                tries, is_due = tries + 1, True
                await self.desk.exit_tried(order)
                continue
            if decision.reason == "symbol_unknown" and self._must_leave(copy, step):
                is_due = True
                await self.desk.exit_impossible(copy.leader_id, copy.symbol)
                continue
            if is_due:
                self.desk.exits.done(copy.leader_id, copy.symbol)
            if step.kind is not StepKind.ENTRY and self.driver.open_entries(copy.symbol):
                await self.driver.any_done()  # an entry still on its way may add to what must go
                continue
            return decision if exiting else None

    def _stands_against(self, copy: Copy, step: LeaderStep) -> bool:
        """Whether what copies of him hold is on the side that an entry of his does not go to."""
        held = self.desk.journal.own(copy.leader_id, copy.symbol)
        return sign(held) == sign(step.qty_after) * (1 if self.policy.reverse else -1) != 0

    def _must_leave(self, copy: Copy, step: LeaderStep) -> bool:
        """Whether he left, or left some, of what is held here."""
        return step.kind is not StepKind.ENTRY and self._snapshot(copy).own_qty(copy.symbol) != 0

    async def _run_entries(self, copy: Copy, signal: Signal, step: LeaderStep) -> Decision:
        await self._wait_for_wave(copy, step)
        await self.desk.wait_for_quote(copy.symbol)
        orders = [order for order in self._recorded.orders_of(copy.key) if order.leg == "open"]
        n, entered = len(orders), sum((order.filled_qty for order in orders), ZERO)
        while True:
            async with self.desk.exit_lane(copy.leader_id, copy.symbol):
                decision = self._decide(copy, signal, entered=entered)
                if decision.action is Action.ORDER and decision.leg == "close" and n == 0:
                    # an entry before this one was filled after all, on the side that he has left
                    if (last := await self._run_exits(copy, signal, step)) is not None:
                        return last
                    continue
                if decision.action is Action.SKIP or decision.leg == "close" or n >= ENTRY_ORDERS_MAX:
                    return decision
                live = self._record_intent(copy, decision, n, step)
            order = await self.driver.drive(live)
            n, entered = n + 1, entered + order.filled_qty
            if order.state is OrderState.DONE and (
                order.filled_qty >= order.qty or order.reject_code or order.order_id is None
            ):
                return decision
            await asyncio.sleep(RETRY_WAIT_S)

    async def _wait_for_wave(self, copy: Copy, step: LeaderStep) -> None:
        if (wait_ms := copy.wave_start_ms - now_ms()) > 0:
            await asyncio.sleep(wait_ms / 1000)
        if not self.desk.reconciled.is_set():
            life_ms = min(step.expires_ms, ENTRY_LIFE_MAX_MS)
            left_s = max(0, copy.wave_start_ms + life_ms - now_ms()) / 1000
            try:
                async with asyncio.timeout(left_s):
                    await self.desk.reconciled.wait()
            except TimeoutError:
                log.warning("entry_not_reconciled", symbol=copy.symbol)
        mark_released(copy, self.desk.quote(copy.symbol), now_ms())

    # --- gather, decide, record, act

    def _snapshot(self, copy: Copy) -> Snapshot:
        leader = self.leader.state(copy.symbol, alive=self.leader_alive)
        return self.desk.snapshot(
            self.identity.leader_id, leader, self._carried, wave_start_ms=copy.wave_start_ms
        )

    def _decide(
        self, copy: Copy, signal: Signal, *, exit_tries: int = 0, entered: Decimal = ZERO
    ) -> Decision:
        decision = decide(
            signal,
            self._snapshot(copy),
            self.policy,
            now_ms(),
            target=copy.target_qty,
            target_basis=copy.target_basis,
            exit_tries=exit_tries,
            entered=entered,
        )
        self._failpoints.reach("decided")
        return decision

    def _record_intent(self, copy: Copy, decision: Decision, n: int, step: LeaderStep) -> LiveOrder:
        """Intent, row and feed's head in one transaction: it counts, and leaves once it is on the disk."""
        if copy.target_qty is None:
            copy.target_qty = self.targets[copy.symbol] = decision.target_qty
            copy.target_basis = decision.target_basis
        if n == 0:
            describe(copy, decision)
        copy.leverage_after = decision.leverage_after or copy.leverage_after
        copy.leverage_cap = decision.leverage_cap or copy.leverage_cap
        slack_ms, follower_id = self.driver.send_slack_ms, self.identity.follower_id
        order = intent_of(follower_id, copy.key, decision.leg, n, copy.symbol, decision, slack_ms)
        self.progress.settle(copy.epoch, copy.seq)
        mark_submitted(copy, self.desk.quote(copy.symbol), now_ms())
        self._store.record(copy, order=order, head=self._head())
        self._recorded.note(copy.key)
        self._failpoints.reach("recorded")
        live = self.driver.adopt(order, is_new=True)
        live.why_not = self._why_not(copy, order, step)
        live.on_accepted = lambda: mark_accepted(copy, self.desk.quote(copy.symbol), now_ms())
        return live

    def _why_not(self, copy: Copy, order: Order, step: LeaderStep) -> Callable[[], str]:
        """What forbids an entry that is recorded at the moment it would leave."""
        deadline_ms = copy.wave_start_ms + min(step.expires_ms, ENTRY_LIFE_MAX_MS)
        control = self.desk.control

        def why_not() -> str:
            if order.leg != "open":
                return ""
            level = control.read().level_of(copy.leader_id)
            if level is not Control.RUN:
                return level.value
            return "late" if now_ms() > deadline_ms else ""

        return why_not

    def _note_carried(self, copy: Copy) -> None:
        """The target of an entry that was too small stays until the next decision on the symbol."""
        if copy.reason == "carried" and copy.target_qty is not None:
            self._carried[copy.symbol] = copy.target_qty
        elif copy.verdict is not None:
            self._carried.pop(copy.symbol, None)

    # --- report

    def _head(self) -> Head | None:
        place = self.progress.head
        return None if place is None else Head(place.epoch, place.seq, place.chain_hash)

    def _keep_head(self, every_s: float) -> None:
        """What is no signal does no harm when it is heard again after a crash: not each is worth a write."""
        head, now_s = self._head(), time.monotonic()
        if head is not None and now_s - self._head_kept_s >= every_s:
            self._store.save_head(self.identity.leader_id, head)
            self._head_kept_s = now_s

    def _finish(self, copy: Copy, last: Decision) -> None:
        """The one verdict, its report and the head of the feed in one transaction."""
        orders = [
            (one, self._store.fills_of(one.client_order_id)) for one in self._recorded.orders_of(copy.key)
        ]
        conclude(copy, last, orders)
        mark_executed(copy, self.desk.port.account)
        if copy.target_qty is None and last.reason not in NO_TARGET:
            self.targets[copy.symbol] = last.target_qty
        self.progress.settle(copy.epoch, copy.seq)
        report = None
        if not copy.is_late:
            body = encode_report(copy_report(self.identity, copy, orders))
            report = report_id(self.identity, copy), body
            self.last_seq = max(self.last_seq, copy.seq)
        self._store.record(copy, head=self._head(), report=report)
        self._recorded.note(copy.key)
        self._failpoints.reach("reported")
        self._note_carried(copy)
        self._reporter.wake()
        log.info("verdict", verdict=copy.verdict, reason=copy.reason, symbol=copy.symbol, detail=copy.detail)
