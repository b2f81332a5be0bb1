"""How a leader's key was passed on, kept from one run to the next.

Belongs here: the mark in the store. Does not belong here: believing it (`relay.protocol.keyring`: each link
is signed by the key before it, and the first one by the key that was pinned).

Without it a follower that starts again after a rotation would refuse the history that waits for it until a
heartbeat brings the links.
"""

from __future__ import annotations

import msgspec

from follower_client.store import Store
from relay.protocol.messages import KeyLink

__all__ = ["keep_links", "kept_links"]

MARK = "key_links"


def kept_links(store: Store, leader_id: str) -> list[KeyLink]:
    """What `keep_links` was given last; nothing that cannot be read."""
    text = store.marks().get(f"{MARK}:{leader_id}", "[]")
    try:
        return msgspec.json.decode(text, type=list[KeyLink])
    except msgspec.MsgspecError:
        return []


def keep_links(store: Store, leader_id: str, links: list[KeyLink]) -> None:
    """For the next start."""
    store.save_marks({f"{MARK}:{leader_id}": msgspec.json.encode(links).decode()})
