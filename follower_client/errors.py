"""What can go wrong with a follower as a program, and the exit status each has.

Belongs here: failures that end a start or a run. Does not belong here: refusals to copy (values of
`core.decide`), endings of an order (`core.order`).
"""

from __future__ import annotations

import errno
from pathlib import Path
from typing import ClassVar, Self

__all__ = [
    "ConfigurationError",
    "FollowerError",
    "InstanceError",
    "StoreError",
    "TryAgainError",
    "VenueUnavailableError",
    "not_written",
]


NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
WHAT_THEN = "; is the disk full? Make room and say it again; what is open can be closed by hand at the venue"


class FollowerError(Exception):
    """Base: one clear line for stderr, and the exit status."""

    exit_status: ClassVar[int] = 1

    def of(self, follower_id: str) -> Self:
        """The same, saying whose it is."""
        return type(self)(f"{follower_id}: {self}")


def not_written(path: Path, error: OSError) -> FollowerError:
    """What could not be written, and what to do where there is no room for it."""
    what_then = WHAT_THEN if error.errno in NO_ROOM else ""
    return FollowerError(f"{path}: cannot be written ({error.strerror}){what_then}")


class ConfigurationError(FollowerError):
    """The configuration is wrong. `lines` has one entry per field, all of them at once."""

    exit_status = 78

    def __init__(self, lines: list[str]) -> None:
        super().__init__("\n".join(lines))
        self.lines = lines

    def of(self, follower_id: str) -> Self:
        return type(self)([f"{follower_id}: {line}" for line in self.lines])


class InstanceError(FollowerError):
    """Another program already runs on this data folder or this account."""

    exit_status = 75


class TryAgainError(FollowerError):
    """Broker or venue could not be reached within the start's limit."""

    exit_status = 75


class StoreError(FollowerError):
    """The store cannot be read or written: nothing may be sent without it."""

    exit_status = 1

    def __init__(self, text: str) -> None:
        has_room = not any(sign in text for sign in ("disk I/O error", "disk is full", "No space left"))
        super().__init__(text if has_room or WHAT_THEN in text else f"{text}{WHAT_THEN}")


class VenueUnavailableError(FollowerError):
    """A question to the venue had no usable answer. Never read as "no" or "flat"."""

    exit_status = 75
