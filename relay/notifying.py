"""Tells people that something is wrong, and that it is over: through apprise, where that is installed.

Belongs here: the words, what is not sent and why. Does not belong here: when something is
wrong (`relay.core.alarms`), the log and the metrics (`watching`).

Sending is an extra (`pip install slipstream[notify]`). An alarm that returns soon after it was told waits,
and is told if it stays; more than the limit per hour are counted, and their number is told once there is room
again. That something is over is told only to whoever was told that it began.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime

import structlog

from relay.core.alarms import Alarm, Severity
from relay.telling.people import Sender

__all__ = ["Notifier"]

HOUR_S = 3600.0
AGAIN_S = 600.0  # how long an alarm that returns must wait until it is told again
SEND_LIMIT_S = 15.0
PAUSES_S = (0.0, 1.0, 5.0)  # before each try of one message
LOOK_S = 1.0
QUEUE_MAX = 100
KEYS_MAX = 10_000

_Key = tuple[str, str]
_log = structlog.get_logger("relay.alarms")


class Notifier:
    """`tell` neither blocks nor raises; `run` sends.

    Args:
        send: takes title and body; whether it arrived. None = nobody is to be told.
        per_hour_max: messages, those that something is over included.
        least: `critical` leaves warnings out.
        clock_s: seconds that never go back.
    """

    def __init__(
        self,
        send: Sender | None,
        *,
        per_hour_max: int,
        least: Severity = "warning",
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._send = send
        self._per_hour_max = per_hour_max
        self._least = least
        self._clock_s = clock_s
        self._sent_s: deque[float] = deque()
        self._told_s: dict[_Key, float] = {}  # when each was told last
        self._standing: set[_Key] = set()  # told, and not over
        self._returned: dict[_Key, Alarm] = {}  # wrong again, not told yet
        self._waiting: asyncio.Queue[tuple[str, str]] = asyncio.Queue(QUEUE_MAX)
        self._held_back = 0

    def tell(self, alarm: Alarm, is_over: bool) -> None:
        """An alarm began, or is over."""
        if self._send is None or (self._least == "critical" and alarm.severity != "critical"):
            return
        if is_over:
            self._returned.pop(alarm.key, None)
            if alarm.key in self._standing:
                self._standing.discard(alarm.key)
                self._put(alarm, is_over)
            return
        told_s = self._told_s.get(alarm.key)
        if told_s is not None and self._clock_s() - told_s < AGAIN_S:
            self._returned[alarm.key] = alarm
        elif self._put(alarm, is_over):
            self._note(alarm.key)

    def look(self) -> None:
        """Tell what returned and stayed."""
        now_s = self._clock_s()
        for key, alarm in list(self._returned.items()):
            if now_s - self._told_s.get(key, 0.0) >= AGAIN_S and self._put(alarm, False):
                del self._returned[key]
                self._note(key)

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            self.look()
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_S):
                    title, body = await self._waiting.get()
                await self._deliver(title, body)

    async def _deliver(self, title: str, body: str) -> None:
        assert self._send is not None, "nothing is put where nobody is to be told"
        for pause_s in PAUSES_S:
            await asyncio.sleep(pause_s)
            try:
                async with asyncio.timeout(SEND_LIMIT_S):
                    if await self._send(title, body):
                        return
            except Exception as error:  # whatever a service does, the monitor goes on
                _log.debug("alarm_try_failed", error=type(error).__name__)
        _log.warning("alarm_not_sent", title=title)

    def _put(self, alarm: Alarm, is_over: bool) -> bool:
        now_s = self._clock_s()
        while self._sent_s and now_s - self._sent_s[0] > HOUR_S:
            self._sent_s.popleft()
        if len(self._sent_s) >= self._per_hour_max or self._waiting.full():
            self._held_back += 1
            return False
        self._sent_s.append(now_s)
        more = f"\n({self._held_back} more messages were not sent.)" if self._held_back else ""
        self._held_back = 0
        self._waiting.put_nowait((_title(alarm, is_over), _body(alarm, is_over) + more))
        return True

    def _note(self, key: _Key) -> None:
        self._standing.add(key)
        self._told_s.pop(key, None)
        self._told_s[key] = self._clock_s()
        if len(self._told_s) > KEYS_MAX:
            del self._told_s[next(iter(self._told_s))]


def _title(alarm: Alarm, is_over: bool) -> str:
    rule = alarm.rule.replace("_", " ")
    return f"Slipstream {alarm.subject}: {rule} is over" if is_over else f"Slipstream {alarm.subject}: {rule}"


def _body(alarm: Alarm, is_over: bool) -> str:
    since = f"{datetime.fromtimestamp(alarm.since_ms / 1000, UTC):%Y-%m-%d %H:%M:%S} UTC"
    if is_over:
        return f"It was, since {since}: {alarm.what}"
    return f"{alarm.what}\nSince {since} ({alarm.severity}).\n{alarm.todo}"
