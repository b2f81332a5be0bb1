"""The keys that speak for one leader: the one that was pinned, and those it has passed its word on to.

Belongs here: which key is right for which seq, and what follows from rotations. Does not belong here: keys
that sign (`relay.keys`), messages (`feed`).

A rotation is a link signed by the old key: from a seq on, the new one signs. Whoever shows a link may be
anybody, for only the old key can have made it. Two different links of one key are a contradiction of the
leader's own, or somebody has stolen it: both are evidence.
"""

from __future__ import annotations

from collections.abc import Sequence

from nacl.signing import VerifyKey

from relay.protocol.errors import ProtocolError, WrongLeader
from relay.protocol.messages import KEY_LINKS_MAX, KeyLink
from relay.protocol.signing import PublicKey, as_verify_key, key_id_of, verify_link

__all__ = ["KeyRing"]


class KeyRing:
    """Begins with the pinned key; `learn` extends it."""

    def __init__(self, leader_id: str, pinned: PublicKey) -> None:
        first = as_verify_key(pinned)
        self._leader_id = leader_id
        self._links: list[KeyLink] = []
        self._keys: list[tuple[str, VerifyKey, int]] = [(key_id_of(first), first, 0)]
        self.contradiction: tuple[KeyLink, KeyLink] | None = None

    @property
    def public_key(self) -> str:
        """The key that signs now, 64 hex digits."""
        return bytes(self._keys[-1][1]).hex()

    @property
    def links(self) -> list[KeyLink]:
        """The rotations that led to it."""
        return list(self._links)

    def choose(self, key_id: str, seq: int) -> VerifyKey:
        """The key of this id, if it is the one that signs at this seq. Raises `WrongLeader`."""
        for at, (known, key, from_seq) in enumerate(self._keys):
            if known != key_id:
                continue
            end = self._keys[at + 1][2] if at + 1 < len(self._keys) else None
            if seq < from_seq or (end is not None and seq >= end):
                raise WrongLeader(f"envelope: this key does not sign seq {seq}")
            return key
        raise WrongLeader("envelope: another leader's id or key")

    def learn(self, links: Sequence[KeyLink]) -> bool:
        """Take over the links that go on from a known key, in order; others are passed over.

        False if one contradicts what is known: then `contradiction` has both, and nothing was taken over.
        """
        for link in links[:KEY_LINKS_MAX]:
            known = next((one for one in self._links if one.old_key == link.old_key), None)
            if known == link:
                continue
            if known is None and link.old_key != self.public_key:
                continue
            try:
                verify_link(link, self._leader_id)
                new = as_verify_key(link.new_key)
            except ProtocolError:
                continue
            if known is not None:
                self.contradiction = (known, link)
                return False
            if link.from_seq <= self._keys[-1][2] or len(self._links) >= KEY_LINKS_MAX:
                continue
            self._links.append(link)
            self._keys.append((key_id_of(new), new, link.from_seq))
        return True
