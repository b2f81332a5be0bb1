"""Messages of a leader as a follower gets them: signed, on the wire, checked and opened again."""

from __future__ import annotations

from typing import Any

from nacl.signing import SigningKey

from relay.protocol.codec import encode_payload, kind_of
from relay.protocol.signing import GENESIS_HASH, Envelope, open_envelope, seal

__all__ = ["KEY", "frame", "sealed"]

KEY = SigningKey(bytes(32))


def frame(
    message: Any,
    seq: int,
    *,
    prev_hash: str = GENESIS_HASH,
    leader: str = "leader",
    epoch: int = 1,
    key: SigningKey = KEY,
) -> bytes:
    """The bytes that travel."""
    return seal(
        key,
        kind=kind_of(message),
        leader_id=leader,
        epoch=epoch,
        seq=seq,
        prev_hash=prev_hash,
        payload=encode_payload(message),
    )


def sealed(
    message: Any, seq: int, *, prev_hash: str = GENESIS_HASH, leader: str = "leader", epoch: int = 1
) -> Envelope:
    """The same, checked and opened."""
    wire = frame(message, seq, prev_hash=prev_hash, leader=leader, epoch=epoch)
    return open_envelope(wire, KEY.verify_key, leader)
