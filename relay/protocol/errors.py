"""What can be wrong with bytes from the wire, as exceptions with a stable code.

Belongs here: one class per decision a reader can make about a bad message. Does not belong here: transport
errors (`relay.nats_bus`), refusals of a follower's policy, exit statuses.
"""

# ruff: noqa: N818 - these names say what happened

from __future__ import annotations

from typing import ClassVar

__all__ = [
    "BadSignature",
    "Malformed",
    "NoKey",
    "ProtocolError",
    "TooLarge",
    "UnknownKind",
    "UnknownVersion",
    "WrongLeader",
]


class ProtocolError(ValueError):
    """Base: the message is refused. `code` is stable and fit for a log field or a metric label."""

    code: ClassVar[str] = "protocol"


class Malformed(ProtocolError):
    """Not the grammar of the wire: bad JSON, duplicate key, wrong type, number out of range, bad id."""

    code = "malformed"


class TooLarge(ProtocolError):
    """More bytes or deeper nesting than the wire allows."""

    code = "too_large"


class UnknownVersion(ProtocolError):
    """A major version this program does not speak."""

    code = "unknown_version"


class UnknownKind(ProtocolError):
    """A kind of message this program does not know."""

    code = "unknown_kind"


class WrongLeader(ProtocolError):
    """Addressed as another leader, or signed under another key id."""

    code = "wrong_leader"


class BadSignature(ProtocolError):
    """The signature does not belong to this header, payload and key."""

    code = "bad_signature"


class NoKey(ProtocolError):
    """Sealed for a private group, by a key that we do not have."""

    code = "sealed"
