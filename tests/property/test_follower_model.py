"""Decisions, order table, store and reconciliation against a venue that loses, delays, repeats and reorders.

A stateful test: hypothesis makes up what the leader, the venue and the operator do and when the follower
dies. The model venue keeps the truth; whatever happened, no id is taken twice, no cap is passed, and once
everybody is heard, journal and venue agree.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Coroutine
from decimal import Decimal
from pathlib import Path
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from follower_client import order_driver
from follower_client.core.policy import Policy
from follower_client.core.snapshot import Control
from follower_client.venue.port import Ending, OrderRequest, SubmitResult
from relay.protocol.messages import Signal
from relay.protocol.signing import Envelope
from tests.unit.follower_client.build import BTC
from tests.unit.follower_client.executor_bench import Bench
from tests.unit.follower_client.fake_venue import FakeVenue

POLICY = Policy(
    label="model",
    leverage_max=Decimal(2),
    notional_per_symbol_max_usdt=Decimal(15_000),
    notional_per_order_max_usdt=Decimal(12_000),
    orders_per_10_s_max=1000,
)
STEPS = ("0", "1", "2", "0.5", "-1", "-2", "3")
SETTLE_S = 20.0


class Treacherous(FakeVenue):
    """What the next submits meet, and what the streams hold back, is decided from outside."""

    def __init__(self) -> None:
        super().__init__(balance="10000")
        self.fates: list[str] = []
        self.held_back: list[Any] = []
        self.withhold = False
        self.highest = Decimal(0)

    async def submit(self, request: OrderRequest) -> SubmitResult:
        fate = self.fates.pop(0) if self.fates else "well"
        if fate == "lost":
            self.requests.append(request)
            return SubmitResult(Ending.UNKNOWN)
        if fate == "refused":
            self.requests.append(request)
            return SubmitResult(Ending.REFUSED, None, "10006")
        if fate == "rejected":
            self.requests.append(request)
            return SubmitResult(Ending.REJECTED, None, "110007")
        self.fill_share = Decimal("0.5") if fate == "half" else Decimal(1)
        result = await super().submit(request)
        self.highest = max(self.highest, abs(self.account.positions().get(BTC, Decimal(0))))
        return SubmitResult(Ending.UNKNOWN) if fate == "unanswered" else result

    def _tell(self, what: Any) -> None:
        if self.withhold:
            self.held_back.append(what)
        else:
            super()._tell(what)

    def let_go(self, *, backwards: bool, twice: bool) -> None:
        """What was held back arrives: late, in another order, repeated."""
        held, self.held_back = self.held_back, []
        for what in (list(reversed(held)) if backwards else held) * (2 if twice else 1):
            super()._tell(what)


class FollowerModel(RuleBasedStateMachine):
    """The follower's whole inside on a loop of its own; a rule ends when nothing more happens by itself."""

    @initialize()
    def begin(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.folder = tempfile.TemporaryDirectory()
        self.venue = Treacherous()
        self.qty, self.seq = Decimal(0), 0
        self.feed: list[tuple[Envelope, Signal]] = []
        self.lags = order_driver.ENGINE_LAG_MS, order_driver.FUTURE_TOLERANCE_MS
        order_driver.ENGINE_LAG_MS, order_driver.FUTURE_TOLERANCE_MS = 0, 20
        order_driver.SEND_SLACK_MS = 20
        self.start()

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self.loop.run_until_complete(work)

    def start(self) -> None:
        async def build() -> None:
            self.venue.account.quotes[BTC] = self.venue.account.quotes[BTC]
            self.bench = Bench(Path(self.folder.name), self.venue, POLICY)
            self.bench.qty, self.bench.seq = self.qty, self.seq
            self.bench.desk.prepare()
            self.bench.executor.prepare()
            await self.venue.start(self.bench.desk)
            self.tasks = [asyncio.create_task(self.bench.executor.run())]
            await self.bench.executor.started.wait()
            self.tasks.append(asyncio.create_task(self.bench.desk.reconcile()))
            head = self.bench.store.head("leader")  # the feed goes on behind it
            for message, body in self.feed[head.seq if head else 0 :]:
                self.bench.executor.offer(message, body)

        self.run(build())

    @rule(after=st.sampled_from(STEPS), price=st.sampled_from(("99900", "100000", "100100")))
    def the_leader_trades(self, after: str, price: str) -> None:
        if Decimal(after) == self.qty:
            return

        async def trade() -> None:
            self.venue.move(price)
            self.feed.append(self.bench.told(after, price=price, leverage=str(abs(Decimal(after)) or 1)))
            self.bench.executor.offer(*self.feed[-1])
            await asyncio.sleep(0.005)

        self.run(trade())
        self.qty, self.seq = self.bench.qty, self.bench.seq

    @rule(
        fates=st.lists(
            st.sampled_from(("well", "half", "unanswered", "lost", "refused", "rejected")), max_size=4
        )
    )
    def the_venue_turns(self, fates: list[str]) -> None:
        self.venue.fates = fates

    @rule()
    def the_streams_fall_silent(self) -> None:
        self.venue.withhold = True

    @rule(backwards=st.booleans(), twice=st.booleans())
    def the_streams_come_back(self, backwards: bool, twice: bool) -> None:
        async def arrive() -> None:
            self.venue.withhold = False
            self.venue.let_go(backwards=backwards, twice=twice)
            await asyncio.sleep(0.002)

        self.run(arrive())

    @rule()
    def the_follower_is_killed_and_started_again(self) -> None:
        self.stop()
        self.venue.held_back.clear()  # nobody was listening
        self.start()

    @rule(level=st.sampled_from((Control.PAUSE, Control.RUN)))
    def the_operator_speaks(self, level: Control) -> None:
        if level is Control.RUN:
            self.bench.control.resume(by="operator", reason="")
        else:
            self.bench.control.order(level, by="operator", reason="")

    @precondition(lambda self: self.seq > 0)
    @rule()
    def everything_settles(self) -> None:
        """With a venue that behaves, every signal gets its verdict and everybody agrees."""

        async def settle() -> None:
            self.venue.fates, self.venue.withhold = [], False
            self.venue.let_go(backwards=False, twice=False)
            for fill in self.venue.fills:
                self.bench.desk.on_fill(fill)  # what a back-fill reads again
            for seq in range(1, self.seq + 1):
                async with asyncio.timeout(SETTLE_S):
                    await self.bench.verdict(seq)
            await self.bench.desk.reconciled.wait()
            held = self.venue.account.positions()
            assert self.bench.store.positions() == held
            own = {BTC: held[BTC]} if BTC in held else {}
            assert self.bench.desk.journal.leaders_of(BTC) == ({"leader": own[BTC]} if own else {})
            if self.qty == 0:
                assert held == {}
            else:
                assert held.get(BTC, Decimal(0)) * self.qty >= 0

        self.run(settle())

    @invariant()
    def no_id_is_taken_twice_and_no_cap_is_passed(self) -> None:
        if not hasattr(self, "venue"):
            return
        taken = [fill.client_order_id for fill in self.venue.fills]
        assert len(taken) == len(set(taken)), "one id was executed twice"
        assert self.venue.highest * 100_200 <= 15_000 + 1, self.venue.highest
        for request in self.venue.requests:
            assert request.reduce_only or request.qty * 100_000 <= 12_100

    def stop(self) -> None:
        async def end() -> None:
            for task in self.tasks:
                task.cancel()
            await asyncio.gather(*self.tasks, return_exceptions=True)
            self.bench.store.close()

        self.run(end())

    def teardown(self) -> None:
        if hasattr(self, "bench"):
            self.stop()
            self.loop.close()
            self.folder.cleanup()
            order_driver.ENGINE_LAG_MS, order_driver.FUTURE_TOLERANCE_MS = self.lags
            order_driver.SEND_SLACK_MS = 250


FollowerModel.TestCase.settings = settings(
    max_examples=25, stateful_step_count=18, deadline=None, print_blob=True
)
TestFollowerModel = FollowerModel.TestCase
