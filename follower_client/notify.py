"""Tells a person what happened and what to do about it.

Belongs here: the words of each alarm, its rate limit. Does not belong here: when something is an alarm
(`risk`, `follower`), addresses and sending (`relay.telling`).

Every alarm is logged; sending is an extra (`pip install slipstream[notify]`). More than the limit per hour
are counted and told in one line once there is room again.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from contextlib import suppress

import structlog

from relay.telling.people import Sender

__all__ = ["WHAT_TO_DO", "Notifier"]

HOUR_S = 3600.0
SEND_LIMIT_S = 10.0
LAST_LIMIT_S = 3.0  # a program that ends waits no longer for its last word
QUEUE_MAX = 100
WHAT_TO_DO = {
    "second_instance": "Find the other machine that follows with this id and stop it; then resume here.",
    "order_rate": "Look at `follower-client verdicts`; `follower-client resume` when the orders were right.",
    "rejects": "Look at `follower-client verdicts` for the venue's codes; mend the cause, then resume.",
    "key_refused": "Check the API key, its rights and its addresses with `follower-client doctor`.",
    "unknown_orders": "The venue does not answer. Look at its status page; entries go on after resume.",
    "daily_loss": "Positions are being closed. Resume after midnight UTC, or raise the limit first.",
    "weekly_loss": "Positions are being closed. Resume after Sunday, or raise the limit first.",
    "drawdown": "Positions are being closed. Raise the limit before you resume: else it closes again.",
    "leader_silent": "Ask the leader. Positions are handled as [policy] silence says; resume to go on.",
    "put_out": "Ask the leader. `follower-client flatten` closes what is held; exits and stops go on here. "
    "The relay is asked again by itself; once you are let in, resume.",
    "let_in": "`follower-client resume` lets entries be copied again.",
    "equivocation": "Do not resume before you have spoken to the leader: two messages claim one place.",
    "revoked": "The leader's key is not his any more. Ask him by another way; then join him anew.",
    "chain_break": "The leader's messages do not follow from each other. Ask him before you resume.",
    "epoch": "The leader's messages do not follow from each other. Ask him before you resume.",
    "loss_stop": "Entries stay stopped while the loss is at its limit. Raise the limit, or flatten.",
    "clock": "Set this machine's clock (NTP). Entries go on by themselves once it is right.",
    "adl_rank": "Your profit may be taken to cover others' losses. Reduce the position or its leverage.",
    "adl_near": "The venue may soon close winners to pay for losers. Consider smaller positions.",
    "borrowed_usdt": "Fees or losses made a loan. Deposit, or repay it at the venue; then resume.",
    "mark_last_gap": "Liquidation follows the mark price. Look at the market before you trust an entry.",
    "insurance_drop": "Deleveraging comes nearer when the pool is empty. Consider smaller positions.",
    "rules_changed": "Look at the contract's page at the venue: the most leverage or size may be less now.",
    "unprotected": "It is tried again. Set a stop by hand at the venue, or flatten, if the alarm stays on.",
    "not_flat": "It is tried again, once a minute in the end. Find out why, or close it by hand.",
    "left": "Nothing. `follower-client join` follows somebody else.",
    "stopped": "The follower has ended. Look at its log and start it again; positions are as they were.",
}
ALWAYS_TOLD = frozenset({"not_flat", "stopped", "left", "equivocation"})
"""Alarms that the limit per hour does not hold back."""

DEFAULT_ADVICE = "Look at `follower-client status` and the log."

log = structlog.get_logger(__name__)


class Notifier:
    """One follower's alarms. `tell` never blocks and never raises; `run` sends."""

    def __init__(self, follower_id: str, send: Sender | None, *, per_hour_max: int) -> None:
        self._follower_id = follower_id
        self._send = send
        self._per_hour_max = per_hour_max
        self._sent_s: deque[float] = deque()
        self._waiting: asyncio.Queue[tuple[str, str]] = asyncio.Queue(QUEUE_MAX)
        self._held_back = 0

    def tell(self, name: str, what: str) -> None:
        """Something needs a person."""
        advice = WHAT_TO_DO.get(name, DEFAULT_ADVICE)
        log.error("alarm", name=name, what=what, what_to_do=advice)
        if self._send is None:
            return
        now_s = time.monotonic()
        while self._sent_s and now_s - self._sent_s[0] > HOUR_S:
            self._sent_s.popleft()
        is_over = len(self._sent_s) >= self._per_hour_max and name not in ALWAYS_TOLD
        if is_over or self._waiting.full():
            self._held_back += 1
            return
        self._sent_s.append(now_s)
        more = f"\n({self._held_back} more alarms were not sent.)" if self._held_back else ""
        self._held_back = 0
        self._waiting.put_nowait((f"Slipstream {self._follower_id}: {name}", f"{what}\n{advice}{more}"))

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await self._deliver(*await self._waiting.get(), SEND_LIMIT_S)

    async def last_word(self, name: str, what: str) -> None:
        """The same as `tell` for who has no `run` any more: what waits and this are sent, within a limit."""
        self.tell(name, what)
        with suppress(TimeoutError):
            async with asyncio.timeout(LAST_LIMIT_S):
                while not self._waiting.empty():
                    await self._deliver(*self._waiting.get_nowait(), LAST_LIMIT_S)

    async def _deliver(self, title: str, body: str, limit_s: float) -> None:
        if self._send is None:
            return
        try:
            async with asyncio.timeout(limit_s):
                if not await self._send(title, body):
                    log.warning("alarm_not_sent", title=title)
        except Exception as error:  # whatever a notification service does, copying goes on
            log.warning("alarm_not_sent", error=type(error).__name__)
