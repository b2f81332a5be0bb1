"""What can go wrong with a follower as a program, and the exit status each has.

Belongs here: failures that end a start or a run. Does not belong here: refusals to copy (values of
`core.decide`), endings of an order (`core.order`).
"""

from __future__ import annotations

from typing import ClassVar, Self

__all__ = [
    "ConfigurationError",
    "FollowerError",
    "InstanceError",
    "StoreError",
    "TryAgainError",
    "VenueUnavailableError",
]


class FollowerError(Exception):
    """Base: one clear line for stderr, and the exit status."""

    exit_status: ClassVar[int] = 1

    def of(self, follower_id: str) -> Self:
        """The same, saying whose it is."""
        return type(self)(f"{follower_id}: {self}")


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


class VenueUnavailableError(FollowerError):
    """A question to the venue had no usable answer. Never read as "no" or "flat"."""

    exit_status = 75
