"""Who signs which message, and for whom it is sealed.

Belongs here: the leader's keys by seq, the key of a private group, putting both around a message. Does not
belong here: the order of messages, the file (`relay.publisher`), key files (`relay.keys`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from nacl.signing import SigningKey

from relay.errors import Failed
from relay.keys import public_key_hex
from relay.protocol.codec import Message, encode_payload, kind_of
from relay.protocol.groups import SEALED_KINDS, Place, seal_payload
from relay.protocol.messages import KEY_LINKS_MAX, KeyLink
from relay.protocol.signing import Sealed, link_keys, seal_chained

__all__ = ["Sealer"]


class Sealer:
    """The keys of one leader. `links` lead from his first key to `signing_key`."""

    def __init__(self, leader_id: str, signing_key: SigningKey, links: Sequence[KeyLink]) -> None:
        self._leader_id = leader_id
        self._links = list(links)
        self._keys: list[tuple[int, SigningKey]] = [(0, signing_key)]  # from which seq on each signs
        if self._links and self._links[-1].new_key == public_key_hex(signing_key):
            self._keys = [(self._links[-1].from_seq, signing_key)]
        self._group: tuple[int, bytes] | None = None  # epoch and key that payloads are sealed with
        self._group_keys: dict[int, bytes] = {}  # by epoch, all that were ever in force

    @property
    def newest_key(self) -> SigningKey:
        """What signs the next message."""
        return self._keys[-1][1]

    @property
    def first_seq(self) -> int:
        """From which seq on the keys here can sign."""
        return self._keys[0][0]

    @property
    def links(self) -> list[KeyLink]:
        """The rotations so far."""
        return list(self._links)

    @property
    def group_keys(self) -> Mapping[int, bytes]:
        """The group's keys by epoch."""
        return self._group_keys

    def key_for(self, seq: int) -> SigningKey:
        """What signs a seq."""
        return next(key for from_seq, key in reversed(self._keys) if from_seq <= seq or len(self._keys) == 1)

    def link_to(self, new_key: SigningKey, from_seq: int) -> KeyLink:
        """The old key's word for a new one. Raises `Failed` after KEY_LINKS_MAX rotations."""
        if len(self._links) >= KEY_LINKS_MAX:
            raise Failed(f"key: rotated {KEY_LINKS_MAX} times; followers have to pin a new one (new invites)")
        return link_keys(self.key_for(from_seq - 1), self._leader_id, public_key_hex(new_key), from_seq)

    def rotate(self, link: KeyLink, new_key: SigningKey) -> None:
        """From the link's seq on the new key signs."""
        self._links.append(link)
        self._keys.append((link.from_seq, new_key))

    def seal_for(self, group_epoch: int, key: bytes) -> None:
        """From the next message on, what members alone may read is sealed with this key."""
        self._group = (group_epoch, key)
        self._group_keys[group_epoch] = key

    def seal(
        self, message: Message, epoch: int, seq: int, prev_hash: str, key: SigningKey | None = None
    ) -> Sealed:
        """A message for its place; `key` where another than the place's own signs."""
        kind, payload = kind_of(message), encode_payload(message)
        if self._group is not None and kind in SEALED_KINDS:
            place = Place(self._leader_id, epoch, seq, kind)
            payload = seal_payload(self._group[1], self._group[0], place, payload)
        return seal_chained(
            key or self.key_for(seq),
            kind=kind,
            leader_id=self._leader_id,
            epoch=epoch,
            seq=seq,
            prev_hash=prev_hash,
            payload=payload,
        )
