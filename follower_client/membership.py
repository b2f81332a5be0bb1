"""The own key to an epoch of a leader's private group.

Belongs here: fetching and unwrapping it. Does not belong here: when it is needed (the feed reader), what is
sealed with it (`relay.protocol.groups`).
"""

from __future__ import annotations

import structlog

from follower_client.reading import read_secret
from follower_client.settings import LeaderSection
from relay.nats_bus import Bus
from relay.protocol.errors import ProtocolError
from relay.protocol.feed import NeedKey
from relay.protocol.groups import decode_wrapped, unwrap_key

__all__ = ["fetch_group_key"]

log = structlog.get_logger(__name__)


async def fetch_group_key(bus: Bus, leader: LeaderSection, follower_id: str, need: NeedKey) -> bytes | None:
    """`None` for who is no member of that epoch, or whose key does not fit. Raises `BusError`."""
    if leader.box_key_file is None:
        return None
    raw = await bus.fetch_group_key(leader.id, need.group_epoch, follower_id)
    if raw is None:
        return None
    own = read_secret(None, leader.box_key_file, "leader.box_key_file")
    try:
        return unwrap_key(decode_wrapped(raw), bytes.fromhex(own), need.root, need.count)
    except (ProtocolError, ValueError) as error:
        log.error("group_key_refused", epoch=need.group_epoch, error=str(error))
        return None
