"""Named places where a test may kill the process; off unless the environment names one.

Belongs here: the names and the kill. `SLIPSTREAM_FAILPOINT=name[:count]` ends the process by SIGKILL the
count-th time the place is reached.
"""

from __future__ import annotations

import os
import signal
from typing import Final

__all__ = ["ENVIRONMENT_VARIABLE", "NAMES", "NAMES_ELSEWHERE", "Failpoints"]

ENVIRONMENT_VARIABLE: Final = "SLIPSTREAM_FAILPOINT"
NAMES: Final = (
    "message_recorded",  # in the outbox, not yet sent
    "message_stored",  # the broker has it, the outbox does not know
)


NAMES_ELSEWHERE: Final = (  # the follower client's: a variable for all programs of a machine is no mistake
    "received",
    "decided",
    "recorded",
    "reserved",
    "before_submit",
    "after_submit",
    "accepted_recorded",
    "order_heard",
    "fill_heard",
    "filled",
    "settled",
    "done_recorded",
    "reported",
)


class Failpoints:
    """Counts visits to the one place that was chosen, and kills the process there."""

    def __init__(self, setting: str | None = None) -> None:
        """Raises `ValueError` for a name that no program has."""
        text = os.environ.get(ENVIRONMENT_VARIABLE, "") if setting is None else setting
        self._name, colon, count = text.partition(":")
        is_count = count.isdigit() and int(count) > 0 if colon else True
        if text and (self._name not in (*NAMES, *NAMES_ELSEWHERE) or not is_count):
            known = ", ".join(NAMES)
            raise ValueError(
                f"{ENVIRONMENT_VARIABLE}: was {text!r}, allowed: NAME[:COUNT] with one of {known}"
            )
        self._left = int(count or "1")

    def reach(self, name: str) -> None:
        """Say that the place is reached; does not return if it is the chosen one's turn."""
        if name != self._name:
            return
        self._left -= 1
        if self._left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
