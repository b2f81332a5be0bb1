"""The leader's stagger plan, kept current: the relay's crowd, the venue's market, the cheapest window.

Belongs here: asking, planning and the last plan per symbol. Does not belong here: the cost model
(`relay.core.spreading`), the market's figures (`relay.sampling`), who is active (`relay.presence`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

import msgspec
import structlog

from relay.core.spreading import Crowd, SpreadPlan, plan_for
from relay.nats_bus import Bus, BusError
from relay.protocol import subjects
from relay.protocol.messages import StaggerPlan, Unsigned
from relay.sampling import AccountSource, Sampler

__all__ = ["Spreader"]

PLAN_INTERVAL_S: Final = 5.0
STEP_SMOOTHING: Final = Decimal("0.2")
STEP_START: Final = Decimal("0.25")  # of equity, before the leader has shown how he trades
COPIED_SHARE: Final = Decimal("0.5")  # followers take at most half of his exposure
_log = structlog.get_logger(__name__)


class _CrowdAnswer(msgspec.Struct):
    followers: int
    equity_usdt: Unsigned


class Spreader:
    """Plans while `run` runs; `plan` is what goes into the next signal."""

    def __init__(
        self, bus: Bus, leader_id: str, sampler: Sampler, latest: AccountSource, window_ms_max: int
    ) -> None:
        self._bus = bus
        self._leader_id = leader_id
        self._sampler = sampler
        self._latest = latest
        self._window_ms_max = window_ms_max
        self._step = STEP_START  # typical notional of his entries / his equity
        self._plans: Mapping[str, SpreadPlan] = {}

    def plan(self, symbol: str) -> StaggerPlan:
        """One wave until something is known."""
        found = self._plans.get(symbol)
        return found.stagger if found else StaggerPlan()

    def note_step(self, notional_usdt: Decimal, equity_usdt: Decimal) -> None:
        """How big the leader's steps are."""
        if equity_usdt > 0:
            self._step += STEP_SMOOTHING * (notional_usdt / equity_usdt - self._step)

    def shown(self) -> dict[str, Any]:
        """Every plan with both parts of its cost, as text."""
        return {
            symbol: {
                "waves": plan.stagger.waves,
                "spacing_ms": plan.stagger.spacing_ms,
                "impact_bps": str(plan.impact_bps),
                "timing_bps": str(plan.timing_bps),
                "impact_at_once_bps": str(plan.impact_at_once_bps),
            }
            for symbol, plan in self._plans.items()
        }

    async def run(self) -> None:
        """Plan anew every PLAN_INTERVAL_S until cancelled; keep the last plan where that fails."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._sampler.run(self._latest), name="sampler")
            while True:
                await asyncio.sleep(PLAN_INTERVAL_S)
                try:
                    await self._replan()
                except (BusError, msgspec.MsgspecError) as error:
                    _log.debug("plan_kept", reason=str(error))

    async def _replan(self) -> None:
        answer = await self._bus.request(subjects.crowd(self._leader_id), b"")
        told = msgspec.json.decode(answer.data, type=_CrowdAnswer)
        notional = Decimal(told.equity_usdt) * self._step * COPIED_SHARE
        crowd = Crowd(told.followers, notional)
        plans = {
            symbol: plan_for(crowd, market, self._window_ms_max)
            for symbol, market in self._sampler.samples().items()
        }
        if plans != self._plans:
            _log.info("stagger_plan", leader_id=self._leader_id, followers=told.followers)
        self._plans = plans
