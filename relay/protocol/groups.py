"""Private groups: payloads that members alone can read, and the keys to them.

Belongs here: sealing and opening payloads, wrapping the group's key to a member, the root that commits to all
members' keys. Pure: keys are arguments. Does not belong here: who is a member (`relay.group`), the order of
messages (`feed`).

A sealed payload is `0x01`, the group epoch (8 bytes), then XChaCha20-Poly1305 of the payload. Bound to it are
leader, epoch, seq and kind, so it cannot be moved; the nonce follows from the same place and is never used
twice under one key. The signature covers the ciphertext. A wrapped key is a sealed box (X25519) of the group
key and the hash of whom and when it is for, with its proof below the root in the signed `group_epoch` notice.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Annotated, Final

import msgspec
from nacl.bindings import (
    crypto_aead_xchacha20poly1305_ietf_decrypt,
    crypto_aead_xchacha20poly1305_ietf_encrypt,
)
from nacl.exceptions import CryptoError
from nacl.public import PrivateKey, PublicKey, SealedBox

from relay.protocol.codec import decode_strictly
from relay.protocol.errors import BadSignature, Malformed, ProtocolError
from relay.protocol.messages import Count, Hash, Identifier

__all__ = [
    "GROUP_KEY_BYTES",
    "MEMBERS_MAX",
    "MONITOR_MEMBER",
    "SEALED_KINDS",
    "WRAPPED_BYTES_MAX",
    "KeyTree",
    "Place",
    "WrappedKey",
    "decode_wrapped",
    "encode_wrapped",
    "group_epoch_of",
    "leaf_of",
    "open_payload",
    "seal_payload",
    "unwrap_key",
    "wrap_key",
]

GROUP_KEY_BYTES: Final = 32
MEMBERS_MAX: Final = 100_000
MONITOR_MEMBER: Final = "monitor"  # the relay's monitor, in by the leader's own act; no follower is called so
SEALED_KINDS: Final = frozenset({"signal", "snapshot"})  # notices tell members what they need for these
WRAPPED_BYTES_MAX: Final = 4_096
_MARK = b"\x01"
_PREFIX_BYTES = 9
_PROOF_MAX = 20  # two to this power is above MEMBERS_MAX
_NONCE_DOMAIN = b"slipstream group nonce v1\0"
_WRAP_DOMAIN = b"slipstream group key v1\0"


class Place(msgspec.Struct, frozen=True):
    """Where a message stands: what its sealed payload is bound to."""

    leader_id: str
    epoch: int
    seq: int
    kind: str

    def bound(self, domain: bytes) -> bytes:
        """These fields as bytes, each preceded by its length."""
        fields = (self.leader_id, str(self.epoch), str(self.seq), self.kind)
        return domain + b"".join(len(f).to_bytes(4, "big") + f.encode() for f in fields)


class WrappedKey(msgspec.Struct, frozen=True, kw_only=True):
    """One member's copy of a group key, as it is kept at `keys.<leader>.<group epoch>.<member>`."""

    leader_id: Identifier
    group_epoch: Count
    member_id: Identifier
    box: Annotated[str, msgspec.Meta(pattern=r"\A[0-9a-f]{224}\Z")]  # sealed box, hex
    place: Count  # of the leaf
    proof: Annotated[list[Hash], msgspec.Meta(max_length=_PROOF_MAX)]  # neighbours up to the root


def seal_payload(key: bytes, group_epoch: int, place: Place, payload: bytes) -> bytes:
    """A payload that only who has the key can read."""
    nonce = hashlib.sha256(place.bound(_NONCE_DOMAIN)).digest()[:24]
    sealed = crypto_aead_xchacha20poly1305_ietf_encrypt(payload, place.bound(b""), nonce, key)
    return _MARK + group_epoch.to_bytes(8, "big") + sealed


def group_epoch_of(payload: bytes) -> int | None:
    """The group epoch a payload is sealed for; None if it is not sealed."""
    if payload[:1] != _MARK or len(payload) < _PREFIX_BYTES:
        return None
    return int.from_bytes(payload[1:_PREFIX_BYTES], "big")


def open_payload(key: bytes, place: Place, sealed: bytes) -> bytes:
    """The payload. Raises `BadSignature` for another key, place or text."""
    nonce = hashlib.sha256(place.bound(_NONCE_DOMAIN)).digest()[:24]
    try:
        return crypto_aead_xchacha20poly1305_ietf_decrypt(
            sealed[_PREFIX_BYTES:], place.bound(b""), nonce, key
        )
    except (CryptoError, ValueError, TypeError):
        raise BadSignature("payload: sealed with another key, or for another place") from None


def wrap_key(key: bytes, leader_id: str, group_epoch: int, member_id: str, box_key: str) -> str:
    """A group key for one member (his X25519 key, 64 hex digits), hex. Raises `Malformed` for a bad key."""
    try:
        box = SealedBox(PublicKey(bytes.fromhex(box_key)))
    except (ValueError, TypeError):
        raise Malformed("box key: 64 hex digits are allowed") from None
    wrapped: bytes = box.encrypt(key + _whom(leader_id, group_epoch, member_id))
    return wrapped.hex()


def unwrap_key(wrapped: WrappedKey, private_key: bytes, root: str, count: int) -> bytes:
    """The group key, if this was made for us and is below the signed root. Raises `ProtocolError`.

    An empty `root` (the notice was not heard) leaves that out: a key that is not the leader's opens nothing.
    """
    leaf = leaf_of(wrapped.member_id, wrapped.box)
    is_below = wrapped.place < count and _root_from(leaf, wrapped.place, wrapped.proof, count) == root
    if root and not is_below:
        raise BadSignature("group key: not one of those that the leader has signed")
    try:
        opened: bytes = SealedBox(PrivateKey(private_key)).decrypt(bytes.fromhex(wrapped.box))
    except (CryptoError, ValueError, TypeError):
        raise BadSignature("group key: wrapped for another member") from None
    key, whom = opened[:GROUP_KEY_BYTES], opened[GROUP_KEY_BYTES:]
    if whom != _whom(wrapped.leader_id, wrapped.group_epoch, wrapped.member_id):
        raise BadSignature("group key: wrapped for another leader, epoch or member")
    return key


def encode_wrapped(wrapped: WrappedKey) -> bytes:
    """As it is stored."""
    return msgspec.json.encode(wrapped)


def decode_wrapped(raw: bytes) -> WrappedKey:
    """What was stored. Raises a `ProtocolError`."""
    return decode_strictly(raw, WrappedKey, WRAPPED_BYTES_MAX, "group key")


def leaf_of(member_id: str, box: str) -> bytes:
    """A member's leaf in the tree of keys."""
    return hashlib.sha256(b"\0" + member_id.encode() + b"\0" + bytes.fromhex(box)).digest()


class KeyTree:
    """The hash tree over all members' wrapped keys, in the order of their leaves."""

    def __init__(self, leaves: Sequence[bytes]) -> None:
        """Raises `Malformed` for none or more than MEMBERS_MAX."""
        if not 1 <= len(leaves) <= MEMBERS_MAX:
            raise Malformed(f"group: 1 to {MEMBERS_MAX} members are allowed")
        self._levels = [list(leaves)]
        while len(self._levels[-1]) > 1:
            below = self._levels[-1]
            pairs = [below[at : at + 2] for at in range(0, len(below), 2)]
            self._levels.append([_joined(*pair) if len(pair) == 2 else pair[0] for pair in pairs])

    @property
    def root(self) -> str:
        """What the notice signs."""
        return self._levels[-1][0].hex()

    def proof(self, place: int) -> list[str]:
        """The neighbours on the way from a leaf to the root."""
        found = []
        for level in self._levels[:-1]:
            neighbour = place ^ 1
            if neighbour < len(level):
                found.append(level[neighbour].hex())
            place //= 2
        return found


def _root_from(leaf: bytes, place: int, proof: Sequence[str], count: int) -> str:
    at, width, left = leaf, count, list(proof)
    while width > 1:
        if place ^ 1 < width:
            if not left:
                raise ProtocolError("group key: its proof is too short")
            neighbour = bytes.fromhex(left.pop(0))
            at = _joined(neighbour, at) if place & 1 else _joined(at, neighbour)
        place, width = place // 2, (width + 1) // 2
    return at.hex() if not left else ""


def _joined(first: bytes, second: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + first + second).digest()


def _whom(leader_id: str, group_epoch: int, member_id: str) -> bytes:
    return hashlib.sha256(_WRAP_DOMAIN + f"{leader_id}\0{group_epoch}\0{member_id}".encode()).digest()
