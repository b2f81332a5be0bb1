"""The monitor as a member of a private group: its own key, and the groups' keys that leaders have given it.

Belongs here: the file with its X25519 key, fetching and unwrapping. Does not belong here: who lets it in (the
leader, by `relay group add monitor`: `relay.group`), what is read with it (`relay.monitor`).
"""

from __future__ import annotations

from pathlib import Path

import structlog

from relay.keys import box_public, load_or_create_box
from relay.nats_bus import Bus
from relay.protocol.errors import ProtocolError
from relay.protocol.events import NeedKey
from relay.protocol.groups import MONITOR_MEMBER, decode_wrapped, unwrap_key

__all__ = ["PrivateFeeds"]

_log = structlog.get_logger(__name__)


class PrivateFeeds:
    """Opens what leaders have let the monitor read."""

    def __init__(self, file: Path, bus: Bus) -> None:
        """The key in `file`, made if there is none. Raises `ConfigurationError`."""
        self._private = load_or_create_box(file)
        self._bus = bus

    @property
    def box_key(self) -> str:
        """The public half, which leaders wrap for; 64 hex digits."""
        return box_public(self._private)

    async def key(self, leader_id: str, need: NeedKey) -> bytes | None:
        """A group's key; None where the leader has not let the monitor in. Raises `BusError`."""
        raw = await self._bus.fetch_group_key(leader_id, need.group_epoch, MONITOR_MEMBER)
        if raw is None:
            return None
        try:
            return unwrap_key(decode_wrapped(raw), self._private, need.root, need.count)
        except ProtocolError as error:
            _log.error("group_key_refused", leader=leader_id, epoch=need.group_epoch, reason=str(error))
            return None
