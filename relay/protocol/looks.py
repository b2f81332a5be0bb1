"""Short looks into messages, for the reader of a feed.

Belongs here: pure questions about one message. Does not belong here: their order (`feed`).
"""

from __future__ import annotations

from typing import Literal

from relay.protocol.codec import Message, decode_payload
from relay.protocol.errors import ProtocolError
from relay.protocol.events import Unreadable
from relay.protocol.messages import AccountChange, Heartbeat, KeyLink, Notice, Signal
from relay.protocol.signing import Envelope

__all__ = ["is_goodbye", "is_start", "links_in", "misplaced", "out_of_line"]


def links_in(wire: bytes) -> list[KeyLink]:
    """The rotations a frame shows, whoever has sent it: each is believed by its own signature."""
    try:
        message = decode_payload("heartbeat", wire.partition(b"\n")[2])
    except ProtocolError:
        return []
    return list(message.keys) if isinstance(message, Heartbeat) else []


def is_start(message: Message) -> bool:
    """Whether an epoch begins with it."""
    return isinstance(message, Notice) and message.notice == "started"


def is_goodbye(message: Message) -> bool:
    """Whether the leader says that he goes: until the next start there is no more."""
    return isinstance(message, Notice) and message.notice == "closing"


def misplaced(envelope: Envelope, message: Message) -> Unreadable | None:
    """What is wrong with a message at its place, if anything."""
    if isinstance(message, Signal | AccountChange) and message.signal_id != envelope.message_id:
        return Unreadable(envelope, "malformed", f"signal_id: {envelope.message_id} is allowed here")
    return None


def out_of_line(
    envelope: Envelope, last_hash: str, epoch: int | None, *, started: bool
) -> tuple[Literal["chain_break", "epoch"], str] | None:
    """Why a message cannot follow from the head with this chain hash and epoch (None = not known), if so.
    `started`: it is the notice that begins an epoch.
    """
    if envelope.prev_hash != last_hash:
        return "chain_break", f"seq {envelope.seq} does not follow from the message before it"
    if epoch is None or envelope.epoch == epoch:
        return None
    if envelope.epoch < epoch:
        return "epoch", f"epoch fell from {epoch} to {envelope.epoch}"
    if not started:
        return "epoch", f"epoch rose to {envelope.epoch} without a notice of a start"
    return None
