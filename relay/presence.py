"""Who follows right now, and with how much: what followers' reports say, kept for as long as it is fresh.

Belongs here: status reports in, what each claims to hold out, bounded. Does not belong here: what is made of
it (`relay.core.spreading`), drift (`relay.monitor`).
"""

from __future__ import annotations

import time
from collections import OrderedDict
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from relay.nats_bus import BusMessage
from relay.protocol import subjects
from relay.protocol.codec import decode_report
from relay.protocol.errors import ProtocolError
from relay.protocol.messages import StatusReport

__all__ = ["FRESH_S", "Presence"]

FRESH_S: Final = 20.0  # reports come every five seconds
FOLLOWERS_MAX: Final = 200_000


@dataclass(frozen=True, slots=True)
class _Seen:
    at_s: float
    equity_usdt: int


class Presence:
    """Takes reports, answers what the active followers of a leader claim to hold."""

    def __init__(self) -> None:
        self._seen: dict[str, OrderedDict[str, _Seen]] = {}  # by leader and follower, the newest last
        self._count = 0

    async def hear(self, message: BusMessage) -> None:
        """One message on `reports.<leader>.<follower>`; the broker has enforced who sent it."""
        try:
            leader_id, follower_id = subjects.parse_report_subject(message.subject)
            report = decode_report(message.data)
        except ProtocolError:
            return  # the monitor notes it
        if not isinstance(report, StatusReport):
            return
        seen = self._seen.setdefault(leader_id, OrderedDict())
        self._count -= seen.pop(follower_id, None) is not None
        if self._count >= FOLLOWERS_MAX:
            for leader in list(self._seen):
                self._forget_old(leader)
        if report.mode == "running" and not report.paper and self._count < FOLLOWERS_MAX:
            seen[follower_id] = _Seen(time.monotonic(), max(int(Decimal(report.equity)), 0))
            self._count += 1

    def of(self, leader_id: str) -> list[int]:
        """What each active follower of a leader with real orders claims to hold (whole USDT)."""
        self._forget_old(leader_id)
        return [one.equity_usdt for one in self._seen.get(leader_id, {}).values()]

    def _forget_old(self, leader_id: str) -> None:
        seen, now_s = self._seen.get(leader_id), time.monotonic()
        while seen and now_s - next(iter(seen.values())).at_s > FRESH_S:
            seen.popitem(last=False)
            self._count -= 1
