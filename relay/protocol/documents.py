"""A leader's word outside of his feed: a signed document.

Belongs here: its bytes, signing and opening. Does not belong here: what kinds there are, and what is in them
(`profile`, `statements`), where they are kept.

Bytes: the signature as a line of hex digits, a line feed, the payload as it is. Signed are: a domain prefix,
then the kind of document, the leader's id and the payload, each preceded by its length.
"""

from __future__ import annotations

import re
from typing import Final

from nacl.exceptions import BadSignatureError
from nacl.signing import SigningKey

from relay.protocol.errors import BadSignature
from relay.protocol.signing import PublicKey, as_verify_key
from relay.protocol.subjects import check_identifier

__all__ = ["open_document", "sign_document"]

_DOMAIN: Final = b"slipstream document v1\0"
_SIGNATURE: Final = re.compile(rb"[0-9a-f]{128}")


def sign_document(signing_key: SigningKey, kind: bytes, leader_id: str, payload: bytes) -> bytes:
    """The document. `kind` keeps one kind from being taken for another."""
    signature = signing_key.sign(_signed(kind, leader_id, payload)).signature
    return signature.hex().encode() + b"\n" + payload


def open_document(document: bytes, public_key: PublicKey, kind: bytes, leader_id: str) -> bytes:
    """The payload. Raises `BadSignature` unless this leader's key has signed it as this kind of document."""
    key = as_verify_key(public_key)
    line, _, payload = document.partition(b"\n")
    if _SIGNATURE.fullmatch(line) is None:
        raise BadSignature("document: it has no signature")
    try:
        key.verify(_signed(kind, leader_id, payload), bytes.fromhex(line.decode()))
    except (BadSignatureError, ValueError):
        raise BadSignature("document: not signed by this leader's key") from None
    return payload


def _signed(kind: bytes, leader_id: str, payload: bytes) -> bytes:
    fields = (kind, check_identifier(leader_id).encode(), payload)
    return _DOMAIN + b"".join(len(field).to_bytes(4, "big") + field for field in fields)
