"""Named places where a test may kill the process, off unless the environment names one.

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
    "received",  # a signal arrived, nothing is decided
    "decided",  # decided, nothing is recorded
    "recorded",  # the intent is durable
    "reserved",  # the venue's limits leave room for the order
    "before_submit",  # the order is about to leave
    "after_submit",  # the answer is here, not recorded
    "accepted_recorded",  # the answer is recorded
    "order_heard",  # a stream tells of an order, nothing is made of it
    "fill_heard",  # a stream tells of a fill, nothing is recorded
    "filled",  # a fill is recorded
    "settled",  # every fill of an order is there, its end is not recorded
    "done_recorded",  # its end is recorded, its copy's is not
    "reported",  # the verdict and its report are recorded
)

NAMES_ELSEWHERE: Final = ("message_recorded", "message_stored")  # the publisher's, and no mistake here


class Failpoints:
    """Counts visits to one named place and kills the process at the chosen one."""

    def __init__(self, setting: str | None = None) -> None:
        text = os.environ.get(ENVIRONMENT_VARIABLE, "") if setting is None else setting
        name, colon, count = text.partition(":")
        is_count = count.isdigit() and int(count) > 0 if colon else True
        if text and (name not in (*NAMES, *NAMES_ELSEWHERE) or not is_count):
            known = ", ".join(NAMES)
            raise ValueError(
                f"{ENVIRONMENT_VARIABLE}: was {text!r}, allowed: NAME[:COUNT] with one of {known}"
            )
        self._name = name
        self._left = int(count or "1")

    def reach(self, name: str) -> None:
        """Say that the place is reached; does not return where it was chosen."""
        if name != self._name:
            return
        self._left -= 1
        if self._left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
