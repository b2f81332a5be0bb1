"""Looks around twice a second: own risk, the leader's silence, the venue's own alarms.

Belongs here: what is looked at, and which control level or alarm follows. Does not belong here: the numbers
(`risk`, the adapters), doing what a level says (`closeout`, `core.gates`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal

import structlog

from follower_client.control import ControlState, LeaderControl
from follower_client.core.policy import LossAction, Silence
from follower_client.core.snapshot import Control
from follower_client.desk import Desk
from follower_client.notify import Notifier
from follower_client.protection import Protection
from follower_client.settings import WatchAction, WatchSection

__all__ = ["Watch"]

LOOK_EVERY_S = 0.5
TOLD_AGAIN_S = 3600.0
SILENT_TOLD_S = 10.0  # a leader may be unheard for so long before somebody is told
UNPROTECTED_S = 10.0  # a position may be without its stop for so long before somebody is told
BPS = Decimal(10_000)
LEVEL_OF = {WatchAction.CLOSE_ONLY: Control.REDUCE_ONLY, WatchAction.FLATTEN: Control.FLATTEN}

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Limit:
    """One of the venue's numbers, the most that is borne, and what follows."""

    name: str
    most: Decimal | None
    action: WatchAction
    text: str


class Watch:
    """One account. `silent_s` = how long each leader was not heard."""

    def __init__(
        self,
        desk: Desk,
        protection: Protection,
        notifier: Notifier,
        settings: WatchSection,
        silent_s: Callable[[], Mapping[str, float]],
    ) -> None:
        self._desk = desk
        self._protection = protection
        self._notifier = notifier
        self._silent_s = silent_s
        self._limits = _limits(settings)
        self._told = desk.control.read().number
        self._raised: set[str] = set()
        self._unprotected_s: dict[str, float] = {}  # since when, by symbol

    async def run(self) -> None:
        """Until cancelled."""
        await self._desk.rounds.repeat(LOOK_EVERY_S, self.look)

    def look(self) -> None:
        """One round. Only ever raises a control level, never lowers one."""
        desk = self._desk
        desk.note_leverage()
        desk.risk.tick(desk.driver.unknown_count())
        for leader_id, silent_s in self._silent_s().items():
            self._look_at_leader(leader_id, silent_s)
        self._look_at_venue()
        self._edge("clock", desk.risk.clock_fault(), "This machine's clock does not agree with the venue's.")
        if desk.policy.loss_action is LossAction.STOP_OPENING:
            at_limit = desk.risk.losses_at_limit()
            self._edges("loss_stop", {f"loss_stop:{name}": text for name, text in at_limit.items()})
        self._look_at_stops()
        self._look_at_exits()
        self._tell_triggers()

    def _look_at_leader(self, leader_id: str, silent_s: float) -> None:
        """Whoever is silent is told of, and of him alone what the policy says is done."""
        policy = self._desk.policy
        told = f"Nothing is heard from {leader_id}: no entries until he is heard again."
        self._edge(f"leader_silent:{leader_id}", silent_s > SILENT_TOLD_S, told, "leader_silent")
        if policy.silence is Silence.HOLD or silent_s < policy.silence_s:
            return
        level = Control.FLATTEN if policy.silence is Silence.FLATTEN else Control.REDUCE_ONLY
        text = f"nothing heard from {leader_id} for {policy.silence_s} s"
        if self._desk.shared:
            own = self._desk.control.read().leaders.get(leader_id)
            if own is not None and own.level in (level, Control.FLATTEN, Control.LOCK):
                return
            self._desk.control.order(level, by="trigger:leader_silent", reason=text, leader_id=leader_id)
        else:
            self._desk.control.pull(level, name="leader_silent", reason=text)

    def _tell_triggers(self) -> None:
        state = self._desk.control.read()
        if state.number == self._told:
            return
        news: list[ControlState | LeaderControl] = [
            one for one in state.leaders.values() if one.number > self._told
        ]
        if not news or max(one.number for one in news) < state.number:
            news.append(state)  # the account's own is the newest
        for one in news:
            if one.by.startswith("trigger:"):
                self._notifier.tell(one.by.partition(":")[2], f"{one.level.value}: {one.reason}")
        self._told = state.number

    def _look_at_venue(self) -> None:
        numbers = self._numbers()
        for limit in self._limits:
            for name, value in numbers.items():
                kind, _, what = name.partition(":")
                if kind != limit.name:
                    continue
                passed = limit.most is not None and value >= limit.most
                told = limit.text.format(what=what, value=value, most=limit.most)
                if self._edge(name, passed, told, kind):
                    level = LEVEL_OF.get(limit.action)
                    if level is not None:
                        self._desk.control.pull(level, name=kind, reason=told)

    def _numbers(self) -> dict[str, Decimal]:
        account = self._desk.port.account
        numbers = {**account.warnings, **account.market_warnings}
        for symbol in account.positions():
            quote = account.quotes.get(symbol)
            if quote is not None and quote.mark > 0:
                numbers[f"mark_last_gap:{symbol}"] = abs(quote.mark - quote.last) / quote.mark * BPS
        return numbers

    def _look_at_stops(self) -> None:
        unprotected = self._protection.unprotected() if self._desk.reconciled.is_set() else {}
        now_s = time.monotonic()
        self._unprotected_s = {symbol: self._unprotected_s.get(symbol, now_s) for symbol in unprotected}
        late = {
            f"unprotected:{symbol}": f"No stop at the venue for {symbol}: {why}."
            for symbol, why in unprotected.items()
            if now_s - self._unprotected_s[symbol] > UNPROTECTED_S
        }
        self._edges("unprotected", late)

    def _look_at_exits(self) -> None:
        """A position that cannot be closed is told at once, and again every hour until it is."""
        now_s = time.monotonic()
        told = {
            f"not_flat:{one.leader_id}:{one.symbol}:{int((now_s - one.since_s) // TOLD_AGAIN_S)}": (
                f"{one.symbol} cannot be closed ({one.why}; {one.tries} tries). It is tried further on."
            )
            for one in self._desk.exits.stuck()
        }
        self._edges("not_flat", told)

    def _edges(self, kind: str, told: Mapping[str, str]) -> None:
        """Alarms of one kind, each by a name of its own; those that are not named any more have gone."""
        self._raised = {name for name in self._raised if name in told or not name.startswith(f"{kind}:")}
        for name, text in told.items():
            self._edge(name, True, text, kind)

    def _edge(self, name: str, is_on: bool, text: str, kind: str = "") -> bool:
        """Whether the alarm has just come on; it is told once until it has gone. `kind` = its advice."""
        if not is_on:
            self._raised.discard(name)
            return False
        if name in self._raised:
            return False
        self._raised.add(name)
        self._notifier.tell(kind or name, text)
        return True


def _limits(settings: WatchSection) -> list[_Limit]:
    def number(value: int) -> Decimal | None:
        return Decimal(value) if value > 0 else None

    tells = "{what}: {value}, the limit is {most}"
    return [
        _Limit(
            "adl_rank", number(settings.adl_rank), settings.adl_action, f"place in the ADL queue, {tells}"
        ),
        _Limit(
            "adl_near",
            settings.adl_near_share,
            settings.adl_near_action,
            f"share of the loss at which the venue deleverages, {tells}",
        ),
        _Limit(
            "borrowed_usdt",
            settings.borrowed_usdt,
            settings.borrowed_action,
            "borrowed USDT: {value}, the limit is {most}",
        ),
        _Limit(
            "mark_last_gap",
            settings.mark_last_gap_bps,
            settings.mark_last_gap_action,
            f"mark and last price, bps, {tells}",
        ),
        _Limit(
            "insurance_drop",
            settings.insurance_drop_share,
            settings.insurance_action,
            f"share of the insurance pool that is gone, {tells}",
        ),
        _Limit("rules_changed", Decimal(1), settings.rules_action, "the venue's rules: {what}"),
    ]
