"""Followers who take more of the broker than any of them needs: found by its own figures, barred a while.

Belongs here: what is too much, and of whom. Does not belong here: barring (`relay.admission`), who may ask
what (`relay.broker_config`).

nats-server has limits per account and per connection, none per user: one key could open all the connections
that the account has, or ask for history without end, and everybody's signals would wait behind it. What a
follower does at most was measured: some 80 questions for history and 1,000 reports a second while it catches
up, 40,000 messages a second that it reads. The limits are well above that, over a whole look.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import structlog

from relay.broker import Broker
from relay.broker_config import SYSTEM
from relay.external_broker import ExternalBroker
from relay.nats_bus import Bus, BusError

__all__ = ["CONNECTIONS_MAX", "Guard", "Traffic", "too_many"]

LOOK_S = 5.0
CONNECTIONS_MAX = 32  # of one follower; a program has one, and two while it comes back
SENT_PER_S_MAX = 3_000
HEARD_PER_S_MAX = 150_000
BUSIEST = 64  # connections looked at: who floods is among those with most messages
CROWD = 256  # connections beyond one for everybody, from which on all of them are counted
LISTED_MAX = 100_000

_log = structlog.get_logger(__name__)

Row = Mapping[str, Any]


class Traffic:
    """Messages of each connection as it was seen last."""

    def __init__(self) -> None:
        self._seen: dict[tuple[str, int], tuple[int, int]] = {}
        self._seen_s = 0.0

    def too_much(self, rows: Iterable[tuple[str, Row]], now_s: float) -> dict[str, str]:
        """User -> why, of those who are over a limit since the last look. `rows`: server, connection."""
        passed_s, self._seen_s = max(now_s - self._seen_s, 1.0), now_s
        now: dict[tuple[str, int], tuple[int, int]] = {}
        sent, heard = Counter[str](), Counter[str]()
        for server, row in rows:
            place, user = (server, int(row["cid"])), str(row.get("authorized_user", ""))
            now[place] = int(row.get("in_msgs", 0)), int(row.get("out_msgs", 0))
            before = self._seen.get(place)
            if before is not None:  # a new one is counted from the next look on
                sent[user] += now[place][0] - before[0]
                heard[user] += now[place][1] - before[1]
        self._seen = now
        found = {
            user: f"{count / passed_s:.0f} messages sent a second, allowed: {SENT_PER_S_MAX}"
            for user, count in sent.items()
            if count > SENT_PER_S_MAX * passed_s
        }
        return found | {
            user: f"{count / passed_s:.0f} messages asked for a second, allowed: {HEARD_PER_S_MAX}"
            for user, count in heard.items()
            if count > HEARD_PER_S_MAX * passed_s
        }


def too_many(rows: Iterable[tuple[str, Row]]) -> dict[str, str]:
    """User -> why, of those with too many connections."""
    count = Counter(str(row.get("authorized_user", "")) for _, row in rows)
    return {
        user: f"{number} connections, allowed: {CONNECTIONS_MAX}"
        for user, number in count.items()
        if number > CONNECTIONS_MAX
    }


class Guard:
    """Looks every `LOOK_S` until cancelled; `bar` is told of a follower's id and why."""

    def __init__(self, broker: Broker | ExternalBroker, bar: Callable[[str, str], None]) -> None:
        self._broker, self._bar = broker, bar
        self._traffic = {"msgs_from": Traffic(), "msgs_to": Traffic()}

    async def run(self) -> None:
        """A broker that does not answer is asked again at the next look."""
        system: Bus | None = None
        try:
            while True:
                await asyncio.sleep(LOOK_S)
                try:
                    system = system or await self._broker.connect(SYSTEM)
                    await self._look(system)
                except BusError as error:
                    _log.debug("not_looked", reason=str(error))
        finally:
            if system is not None:
                await system.close()

    async def _look(self, system: Bus) -> None:
        found: dict[str, str] = {}
        for order, traffic in self._traffic.items():
            rows, number = await self._connections(system, {"sort": order, "limit": BUSIEST})
            found |= traffic.too_much(rows, time.monotonic())
        if number > len(self._broker.followers) + CROWD:
            rows, _ = await self._connections(system, {"limit": LISTED_MAX})
            found |= too_many(rows)
        followers = {key: one.id for one in self._broker.followers for key in (one.nkey, one.id)}
        for user, why in found.items():
            follower_id = followers.get(user.removeprefix("user:"))
            if follower_id is not None:  # leaders and the relay's own users are not barred
                self._bar(follower_id, why)

    async def _connections(self, system: Bus, body: dict[str, Any]) -> tuple[list[tuple[str, Row]], int]:
        """What every server lists, and how many there are in all."""
        answers = await system.api_all("$SYS.REQ.SERVER.PING.CONNZ", body={"auth": True, **body})
        listed: list[tuple[str, Row]] = []
        number = 0
        for answer in answers:
            data = answer.get("data", {})
            server = str(answer.get("server", {}).get("id", ""))
            listed += [(server, row) for row in data.get("connections") or []]
            number += int(data.get("total", 0))
        return listed, number
