"""Who follows right now, and with how much: what followers' reports say, kept for as long as it is fresh.

Belongs here: status reports in, a crowd per leader out, bounded. Does not belong here: what is made of it
(`relay.core.spreading`), drift (`relay.monitor`).
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
    equity_usdt: Decimal


class Presence:
    """Takes reports, answers how many followers of a leader are active and what they hold."""

    def __init__(self) -> None:
        self._seen: OrderedDict[tuple[str, str], _Seen] = OrderedDict()

    async def hear(self, message: BusMessage) -> None:
        """One message on `reports.<leader>.<follower>`; the broker has enforced who sent it."""
        try:
            leader_id, follower_id = subjects.parse_report_subject(message.subject)
            report = decode_report(message.data)
        except ProtocolError:
            return  # the monitor notes it
        if not isinstance(report, StatusReport):
            return
        key = (leader_id, follower_id)
        self._seen.pop(key, None)
        if report.mode == "running" and not report.paper:
            self._seen[key] = _Seen(time.monotonic(), max(Decimal(report.equity), Decimal(0)))
            if len(self._seen) > FOLLOWERS_MAX:
                self._seen.popitem(last=False)

    def of(self, leader_id: str) -> tuple[int, Decimal]:
        """Active followers of a leader with real orders, and their equity in all (USDT)."""
        now_s = time.monotonic()
        while self._seen:
            oldest = next(iter(self._seen.values()))
            if now_s - oldest.at_s <= FRESH_S:
                break
            self._seen.popitem(last=False)
        found = [seen.equity_usdt for (leader, _), seen in self._seen.items() if leader == leader_id]
        return len(found), sum(found, Decimal(0))
