"""Short looks into messages, for the reader of a feed.

Belongs here: pure questions about one message. Does not belong here: their order (`feed`).
"""

from __future__ import annotations

from relay.protocol.codec import Message, decode_payload
from relay.protocol.errors import ProtocolError
from relay.protocol.events import Unreadable
from relay.protocol.messages import AccountChange, Heartbeat, KeyLink, Notice, Signal
from relay.protocol.signing import Envelope

__all__ = ["is_start", "links_in", "misplaced"]


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


def misplaced(envelope: Envelope, message: Message) -> Unreadable | None:
    """What is wrong with a message at its place, if anything."""
    if isinstance(message, Signal | AccountChange) and message.signal_id != envelope.message_id:
        return Unreadable(envelope, "malformed", f"signal_id: {envelope.message_id} is allowed here")
    return None
