"""How a call on the bus may end badly. Each class is one decision of the caller's.

Belongs here: exceptions only.
"""

# ruff: noqa: N818 - these names say what happened

from __future__ import annotations

__all__ = [
    "BusError",
    "BusTimeout",
    "BusUnavailable",
    "Fenced",
    "NobodyAnswers",
    "NotPermitted",
    "StreamBehind",
]


class BusError(Exception):
    """Base of everything the bus raises."""


class BusUnavailable(BusError):
    """No connection: refused, not authorised, or closed for good."""


class BusTimeout(BusError):
    """No answer in time. The outcome is unknown: repeat with the same bytes and the same id."""


class NobodyAnswers(BusTimeout):
    """The broker is there, and nobody listens on this subject: nothing has happened."""


class NotPermitted(BusError):
    """The broker's allow-list does not have this subject for this user."""

    def __init__(self, action: str, subject: str) -> None:
        super().__init__(f"not permitted to {action} {subject}")
        self.subject = subject


class Fenced(BusError):
    """Somebody else has published on this stream: the message at the expected place is not ours."""

    def __init__(self, expected_last_seq: int, actual_last_seq: int) -> None:
        super().__init__(
            f"another publisher has written: expected the stream to end at {expected_last_seq}, "
            f"it ends at {actual_last_seq}"
        )
        self.expected_last_seq = expected_last_seq
        self.actual_last_seq = actual_last_seq


class StreamBehind(BusError):
    """The stream ends before the last acknowledged message: it lost some, which can be sent again."""

    def __init__(self, expected_last_seq: int, actual_last_seq: int) -> None:
        super().__init__(f"the stream ends at {actual_last_seq}, {expected_last_seq} were acknowledged")
        self.expected_last_seq = expected_last_seq
        self.actual_last_seq = actual_last_seq
