"""Whether the relay lets this follower hear his leaders: what is said and ordered when it stops, and when it
does again.

Belongs here: who is out, keeping entries stopped for as long, what the operator reads of it. Does not belong
here: the connection (`relay.nats_bus`), the group's keys (`membership`).

Nobody but the operator starts entries again: who is let in again is told so, and resumes.
"""

from __future__ import annotations

import time

import structlog

from follower_client.control import ControlFile, ControlState
from follower_client.core.snapshot import Control
from follower_client.notify import Notifier

__all__ = ["EVERYBODY", "Standing", "is_out_by"]

EVERYBODY = ""  # in the place of a leader's id
PUT_OUT = "trigger:put_out"
LET_IN = "let in again"
RESUME = LET_IN + " since {since}; `follower-client resume` lets entries be copied again"

log = structlog.get_logger(__name__)


def is_out_by(state: ControlState) -> bool:
    """Whether entries are stopped because the relay does not let this follower in."""
    return state.by == PUT_OUT and not state.reason.startswith(LET_IN)


class Standing:
    """Of one follower. `look` now and then, so that a `resume` that comes too early is taken back."""

    def __init__(self, control: ControlFile, notifier: Notifier, leaders: list[str]) -> None:
        self._control, self._notifier = control, notifier
        self._leaders = leaders
        self._out: dict[str, str] = {}

    def is_out(self, leader_id: str) -> bool:
        """Whether this leader may not be heard."""
        return leader_id in self._out

    def put_out(self, leader_id: str, reason: str) -> None:
        """A leader (or everybody) is heard no more: nothing is opened, and what is held stays in this
        program's care. Other leaders are followed as before.
        """
        if self._out.get(leader_id) == reason:
            return
        self._out[leader_id] = reason
        log.error("put_out", reason=reason)
        if self._stops_entries(leader_id):
            self._control.order(Control.REDUCE_ONLY, by=PUT_OUT, reason=reason)
        else:
            self._control.note("put_out", by=PUT_OUT, detail=reason)
            self._notifier.tell("put_out", reason)

    def let_in(self, leader_id: str) -> None:
        """He is heard again."""
        if self._out.pop(leader_id, None) is None:
            return
        told = RESUME.format(since=time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()))
        log.info("let_in", leader_id=leader_id or self._leaders)
        self._notifier.tell("let_in", told)
        if not self._reason() and self._control.read().by == PUT_OUT:
            self._control.order(Control.REDUCE_ONLY, by=PUT_OUT, reason=told)
        else:
            self._control.note("let_in", by=PUT_OUT, detail=told)

    def look(self) -> None:
        """Entries stay stopped for as long as nobody can be heard."""
        reason = self._reason()
        if reason:
            self._control.pull(Control.REDUCE_ONLY, name=PUT_OUT.partition(":")[2], reason=reason)

    def _reason(self) -> str:
        return next((why for who, why in self._out.items() if self._stops_entries(who)), "")

    def _stops_entries(self, leader_id: str) -> bool:
        return leader_id == EVERYBODY or len(self._leaders) == 1
