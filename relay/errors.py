"""How a program of this package ends badly, and with which exit status.

Belongs here: the failures a user sees as one line. Does not belong here: what may be wrong on the wire
(`relay.protocol.errors`) or on the bus (`relay.nats_bus`).
"""

# ruff: noqa: N818 - these names say what happened

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Final

__all__ = [
    "ConfigurationError",
    "Failed",
    "InvariantBroken",
    "RelayError",
    "TryAgain",
    "wrong",
]

_VALUE_LENGTH_MAX: Final = 60


class RelayError(Exception):
    """Base. `exit_status` is what the program ends with, the text what it prints."""

    exit_status: ClassVar[int] = 1


class Failed(RelayError):
    """Cannot go on, and trying again at once will not help."""

    exit_status = 1


class InvariantBroken(RelayError):
    """A bug or a damaged store: something that must hold does not."""

    exit_status = 70


class TryAgain(RelayError):
    """Somebody else has what we need: a port, a lock, a broker that is not there yet."""

    exit_status = 75


class ConfigurationError(RelayError):
    """Every mistake of a configuration at once, one line each. Never carries a secret's value.

    `is_located`: the lines name the file or the variable themselves.
    """

    exit_status = 78

    def __init__(self, lines: Sequence[str], *, is_located: bool = False) -> None:
        super().__init__("\n".join(lines))
        self.lines = tuple(lines)
        self.is_located = is_located


def wrong(place: str, value: Any, allowed: str) -> str:
    """The line about a setting that was given wrongly; its value is left out where it may be a secret."""
    match value:
        case dict():
            was = "a table"
        case list():
            was = "a list"
        case str() if len(value) > _VALUE_LENGTH_MAX:
            was = f"{value[:_VALUE_LENGTH_MAX]!r}..."
        case bool():
            was = str(value).lower()
        case _:
            was = repr(value) if isinstance(value, str | int | float) else str(value)
    hides = "@" in was or any(word in place.rpartition(": ")[2].lower() for word in ("key", "secret"))
    return f"{place}: allowed: {allowed}" if hides else f"{place}: was {was}, allowed: {allowed}"
