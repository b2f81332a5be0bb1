"""A leader's contradiction as a document that anybody can check: two of his own signed frames.

Belongs here: its text, and what it proves to somebody who has only the leader's public key. Does not belong
here: finding a contradiction (`feed`), where the document is kept.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from typing import Annotated, Final

import msgspec

from relay.protocol.codec import decode_strictly
from relay.protocol.errors import Malformed, ProtocolError
from relay.protocol.events import Locked
from relay.protocol.messages import Hash, Identifier, Text
from relay.protocol.signing import Envelope, open_envelope

__all__ = ["EVIDENCE_FOLDER", "evidence_name", "evidence_of", "proven"]

EVIDENCE_FOLDER: Final = "evidence"  # beside what a program keeps
EVIDENCE_BYTES_MAX: Final = 64 * 1024
_Frame = Annotated[str, msgspec.Meta(max_length=24 * 1024)]


class _Evidence(msgspec.Struct, frozen=True, kw_only=True):
    leader_id: Identifier
    public_key: Hash
    reason: Text
    frames: Annotated[list[_Frame], msgspec.Meta(max_length=2)]  # base64, as they came


def evidence_of(leader_id: str, public_key: str, locked: Locked) -> str:
    """The document; `public_key` is the one that the frames are signed by."""
    frames = [base64.b64encode(frame).decode() for frame in locked.evidence]
    tree = _Evidence(leader_id=leader_id, public_key=public_key, reason=locked.reason, frames=frames)
    return msgspec.json.encode(tree).decode()


def evidence_name(leader_id: str, document: str) -> str:
    """The file it is kept in: the same document has the same name, however often it is found."""
    return f"{leader_id}-{hashlib.sha256(document.encode()).hexdigest()[:16]}.json"


def proven(document: str) -> str:
    """What the document proves against the key's holder. Raises a `ProtocolError` if that is nothing."""
    evidence = decode_strictly(document.encode(), _Evidence, EVIDENCE_BYTES_MAX, "evidence")
    try:
        frames = [base64.b64decode(frame, validate=True) for frame in evidence.frames]
    except (binascii.Error, ValueError):
        raise Malformed("evidence: frames in base64 are allowed") from None
    opened = [open_envelope(frame, evidence.public_key, evidence.leader_id) for frame in frames]
    if len(opened) == 2:
        first, second = opened
        if _place(first) == _place(second) and _said(first) != _said(second):
            return f"{evidence.leader_id} has signed two different messages as seq {_place(first)}"
        if second.seq == first.seq + 1 and second.prev_hash != first.chain_hash:
            return f"{evidence.leader_id} has signed seq {second.seq} behind another message than his last"
        if second.seq > first.seq and second.epoch < first.epoch:
            return f"{evidence.leader_id} has gone back from epoch {first.epoch} to {second.epoch}"
    if len(opened) == 1 and evidence.reason == "revoked" and opened[0].kind == "notice":
        return f"{evidence.leader_id} has signed a notice at seq {opened[0].seq}"
    raise ProtocolError("evidence: its frames do not contradict each other")


def _place(envelope: Envelope) -> int:
    return envelope.seq


def _said(envelope: Envelope) -> str:
    """A heartbeat says which message stands at its seq; any other frame is that message."""
    return envelope.prev_hash if envelope.kind == "heartbeat" else envelope.chain_hash
