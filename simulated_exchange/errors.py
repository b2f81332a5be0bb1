"""The venue's failures and the exit status that each of them means.

Belongs here: exceptions that end a program with one clear line. Does not belong here: refusals of a single
request (those are values of the wire, see `gateway.translate.refusals`) and anything that prints.
"""

from __future__ import annotations

__all__ = [
    "AddressInUseError",
    "ConfigurationError",
    "InvariantBrokenError",
    "JournalFailedError",
    "JournalUnreadableError",
    "VenueBusyError",
    "VenueError",
]


class VenueError(Exception):
    """A failure with the exit status it ends a program with."""

    exit_status = 1


class ConfigurationError(VenueError):
    """Settings, accounts or instruments that cannot be used; `problems` holds one line for each of them."""

    exit_status = 78

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class AddressInUseError(VenueError):
    """The address or the data folder belongs to another process just now."""

    exit_status = 75


class JournalUnreadableError(VenueError):
    """The journal is missing, or is no journal, or was written by another version."""

    exit_status = 1


class JournalFailedError(VenueError):
    """The journal could not be made durable; nothing further may be acknowledged."""

    exit_status = 75


class InvariantBrokenError(VenueError):
    """The replayed state breaks a promise of the engine (conservation, positions that do not sum to zero)."""

    exit_status = 70


class VenueBusyError(VenueError):
    """Too many commands wait for the journal; the caller may try again."""

    exit_status = 75
