"""The leader's stagger plan, kept current: his market told to the relay, the relay's plan read back.

Belongs here: telling, reading and the last plan per symbol. Does not belong here: the planning
(`relay.planning`), the market's figures (`relay.sampling`).

The plan lies in an entry of the broker that this leader alone may read, so a publisher that starts again has
it at once. An entry lives a minute, and what was read of it as long: where the relay plans no more, everybody
enters together again.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Any, Final

import msgspec
import structlog

from relay.nats_bus import Bus, BusError
from relay.protocol import subjects
from relay.protocol.codec import decimal_text
from relay.protocol.errors import ProtocolError
from relay.protocol.messages import StaggerPlan
from relay.protocol.plans import (
    MarketsTold,
    MarketTold,
    PlansTold,
    TellingAnswer,
    decode_plans,
    encode_markets,
)
from relay.sampling import AccountSource, Sampler

__all__ = ["Spreader"]

PLAN_INTERVAL_S: Final = 5.0
STEP_SMOOTHING: Final = Decimal("0.2")
STEP_START: Final = Decimal("0.25")  # of equity, before the leader has shown how he trades
_log = structlog.get_logger(__name__)


class Spreader:
    """Tells and reads while `run` runs; `plan` is what goes into the next signal."""

    def __init__(
        self,
        bus: Bus,
        leader_id: str,
        sampler: Sampler,
        latest: AccountSource,
        window_ms_max: int,
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._bus = bus
        self._leader_id = leader_id
        self._sampler = sampler
        self._latest = latest
        self._window_ms_max = window_ms_max
        self._step = STEP_START  # typical notional of his entries / his equity
        self._clock_s = clock_s
        self._told: PlansTold | None = None
        self._read_s = 0.0  # when it was
        self._is_failing = False

    def plan(self, symbol: str) -> StaggerPlan:
        """One wave while nothing is known."""
        told = self._in_force()
        found = told.plans.get(symbol) if told else None
        return found.stagger if found else StaggerPlan()

    def note_step(self, notional_usdt: Decimal, equity_usdt: Decimal) -> None:
        """How big the leader's steps are."""
        if equity_usdt > 0:
            self._step += STEP_SMOOTHING * (notional_usdt / equity_usdt - self._step)

    def shown(self) -> dict[str, Any]:
        """How many follow now, and every plan with both parts of its cost, as text."""
        in_force = self._in_force()
        if in_force is None:
            return {"followers": 0, "plans": {}}
        told: dict[str, Any] = msgspec.to_builtins(in_force)
        return {name: told[name] for name in ("followers", "plans")}

    async def run(self) -> None:
        """Keep the plan current until cancelled; keep the last one for its life where that fails."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._sampler.run(self._latest), name="sampler")
            await self._try(self.read)
            while True:
                await asyncio.sleep(PLAN_INTERVAL_S)
                await self._try(self.renew)

    async def renew(self) -> None:
        """Tell the market, read the plan. Raises `BusError`, a `ProtocolError`."""
        told = MarketsTold(
            step=decimal_text(self._step),
            window_ms_max=self._window_ms_max,
            markets={
                symbol: MarketTold(
                    depth_usdt=decimal_text(market.depth_usdt),
                    refill_usdt_per_s=decimal_text(market.refill_usdt_per_s),
                    volatility_bps=decimal_text(market.volatility_bps),
                )
                for symbol, market in self._sampler.samples().items()
            },
        )
        answer = await self._bus.request(subjects.market(self._leader_id), encode_markets(told))
        error = msgspec.json.decode(answer.data, type=TellingAnswer).error
        if error:
            raise BusError(f"plan: {error}")
        await self.read()

    async def read(self) -> None:
        """The entry as it is now. Raises `BusError`, a `ProtocolError`."""
        raw = await self._bus.fetch_plan(self._leader_id)
        plans = decode_plans(raw) if raw is not None else None
        if plans is not None and plans.leader_id != self._leader_id:
            raise BusError(f"plan: it is {plans.leader_id}'s")
        for symbol, plan in plans.plans.items() if plans else ():
            if (plan.stagger.waves - 1) * plan.stagger.spacing_ms > self._window_ms_max:
                raise BusError(f"plan: {symbol} would wait for longer than {self._window_ms_max} ms")
        if plans is not None and (self._told is None or plans.plans != self._told.plans):
            _log.info("stagger_plan", leader_id=self._leader_id, followers=plans.followers)
        self._told, self._read_s = plans, self._clock_s()

    def _in_force(self) -> PlansTold | None:
        """What was read, for as long as the entry it was read from lives."""
        return self._told if self._clock_s() - self._read_s < subjects.PLAN_LIFE_S else None

    async def _try(self, step: Callable[[], Awaitable[None]]) -> None:
        try:
            await step()
        except (BusError, ProtocolError, msgspec.MsgspecError) as error:
            if not self._is_failing:
                _log.warning("plan_kept", leader_id=self._leader_id, reason=str(error))
            self._is_failing = True
        else:
            self._is_failing = False
