"""What can follow from a message of the feed, as values.

Belongs here: one frozen class per outcome. Does not belong here: when which of them comes (`feed`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import msgspec

from relay.protocol.codec import Message
from relay.protocol.messages import Heartbeat
from relay.protocol.signing import Envelope

__all__ = [
    "Accepted",
    "Beat",
    "FeedEvent",
    "Locked",
    "NeedGap",
    "NeedKey",
    "Rejected",
    "Resumed",
    "Unreadable",
]


class Accepted(msgspec.Struct, frozen=True, gc=False):
    """The next message of the feed, verified. The reader's head is now this one."""

    envelope: Envelope
    message: Message


@dataclass(frozen=True, slots=True)
class Unreadable:
    """The next message of the feed is the leader's, but its payload cannot be read. The head has moved on."""

    envelope: Envelope
    code: str
    detail: str


@dataclass(frozen=True, slots=True)
class Beat:
    """A heartbeat, newer than any before it."""

    envelope: Envelope
    message: Heartbeat


@dataclass(frozen=True, slots=True)
class NeedGap:
    """Messages from_seq .. from_seq+count-1 exist and were not received: fetch them and hand them to
    `receive`.
    """

    from_seq: int
    count: int


@dataclass(frozen=True, slots=True)
class NeedKey:
    """The next message is sealed for this group epoch: fetch our key to it and call `give_key`.

    `root` and `count` are those of the epoch's signed notice; empty where the notice was not heard.
    """

    group_epoch: int
    root: str
    count: int


@dataclass(frozen=True, slots=True)
class Resumed:
    """The feed goes on at a snapshot; `lost_count` messages from `lost_from_seq` on are gone for good."""

    lost_from_seq: int
    lost_count: int


@dataclass(frozen=True, slots=True)
class Rejected:
    """Dropped: not provably the leader's, or not where it belongs. `code` is fit for a metric label."""

    code: str
    detail: str


@dataclass(frozen=True, slots=True)
class Locked:
    """The leader contradicts himself. Nothing is accepted any more; `evidence` holds the signed frames."""

    reason: str  # equivocation | chain_break | epoch | revoked
    seq: int
    detail: str
    evidence: tuple[bytes, ...]


FeedEvent: TypeAlias = Accepted | Unreadable | Beat | NeedGap | NeedKey | Resumed | Rejected | Locked
