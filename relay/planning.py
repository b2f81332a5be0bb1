"""The relay's plans for leaders: who follows now against the book that the leader tells of.

Belongs here: planning whenever a leader tells his market, and putting the plan where he alone may read it.
Does not belong here: the cost model (`relay.core.spreading`), who is active (`relay.presence`), the market's
figures (`relay.sampling`, on the leader's side).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from decimal import Decimal
from typing import Final

import msgspec
import structlog

from relay.core.spreading import Entrants, MarketSample, SpreadPlan, plan_for
from relay.nats_bus import Bus, BusError, BusMessage
from relay.presence import Presence
from relay.protocol import subjects
from relay.protocol.codec import decimal_text
from relay.protocol.errors import ProtocolError
from relay.protocol.plans import MarketsTold, PlansTold, PlanTold, TellingAnswer, decode_markets, encode_plans

__all__ = ["Planner"]

AGAIN_S: Final = 1.0  # sooner than this nothing is planned anew for the same leader
_log = structlog.get_logger(__name__)


class Planner:
    """Answers who tells his market; `plans` is what stands in the entries."""

    def __init__(self, clock_s: Callable[[], float] = time.monotonic) -> None:
        self._presence = Presence()
        self._clock_s = clock_s
        self._made: dict[str, tuple[float, PlansTold]] = {}

    async def start(self, bus: Bus) -> None:
        """Hear leaders and followers on a connection that may write the entries."""

        async def answer(message: BusMessage) -> bytes:
            return await self._on_markets(bus, message)

        await bus.answer(subjects.MARKETS, answer)
        await bus.subscribe(subjects.REPORTS_SUBJECTS, self._presence.hear)

    def plans(self, leader_id: str) -> PlansTold | None:
        """A leader's plans, as long as his entry lives."""
        made = self._made.get(leader_id)
        if made is None or self._clock_s() - made[0] > subjects.PLAN_LIFE_S:
            return None
        return made[1]

    async def _on_markets(self, bus: Bus, message: BusMessage) -> bytes:
        leader_id, error = message.subject.partition(".")[2], ""
        made = self._made.get(leader_id)
        if made is not None and self._clock_s() - made[0] < AGAIN_S:
            return msgspec.json.encode(TellingAnswer())
        try:
            plans = self._plan(leader_id, decode_markets(message.data))
            await bus.put_plan(leader_id, encode_plans(plans))
            self._made[leader_id] = (self._clock_s(), plans)
        except (ProtocolError, BusError) as problem:
            error = str(problem)[:500]
            _log.warning("not_planned", leader=leader_id, reason=error)
        return msgspec.json.encode(TellingAnswer(error=error))

    def _plan(self, leader_id: str, told: MarketsTold) -> PlansTold:
        entrants = Entrants(self._presence.of(leader_id))
        plans: dict[str, PlanTold] = {}
        for symbol, market in told.markets.items():
            sample = MarketSample(
                Decimal(market.depth_usdt), Decimal(market.refill_usdt_per_s), Decimal(market.volatility_bps)
            )
            crowd = entrants.crowd(Decimal(told.step), sample.depth_usdt)
            plans[symbol] = _told(plan_for(crowd, sample, told.window_ms_max))
        now_ms = time.time_ns() // 1_000_000
        return PlansTold(leader_id=leader_id, planned_ms=now_ms, followers=entrants.count, plans=plans)


def _told(plan: SpreadPlan) -> PlanTold:
    return PlanTold(
        stagger=plan.stagger,
        impact_bps=decimal_text(plan.impact_bps),
        timing_bps=decimal_text(plan.timing_bps),
        impact_at_once_bps=decimal_text(plan.impact_at_once_bps),
    )
