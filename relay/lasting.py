"""A failure that lasts, said once: when it begins, when its words change, once a minute, and when it is over.

Belongs here: when a line is due, and what it counts. Does not belong here: what failed.
"""

from __future__ import annotations

from typing import Any

import structlog

__all__ = ["AGAIN_S", "Lasting"]

AGAIN_S = 60.0

_log = structlog.get_logger("relay")


class Lasting:
    """One such failure. Times are of any monotonic clock, in seconds."""

    def __init__(self, event: str, over: str) -> None:
        """`event` is the line's name while it lasts, `over` that of the last one."""
        self._event, self._over = event, over
        self._began_s = self._said_s = 0.0
        self._count = 0
        self._reason = ""

    def failed(self, now_s: float, reason: str, **about: Any) -> None:
        """Once more."""
        if not self._count:
            self._began_s = now_s
        self._count += 1
        if reason != self._reason or now_s - self._said_s >= AGAIN_S:
            self._said_s, self._reason = now_s, reason
            _log.warning(self._event, reason=reason, tries=self._count, **about)

    def ended(self, now_s: float) -> None:
        """It works again. Nothing is said where nothing had failed."""
        if self._count:
            _log.info(self._over, tries=self._count, seconds=round(now_s - self._began_s, 1))
        self._count, self._reason = 0, ""
