"""What is heard on the bus, and the handle of who listens.

Belongs here: one message as this project reads it. Does not belong here: the connection it comes over
(`connection`).
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field

import nats.errors
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription as NatsSubscription

__all__ = ["BusMessage", "Subscription", "from_wire"]


@dataclass(frozen=True, slots=True)
class BusMessage:
    """One message. `seq` is its place in the stream it was stored in, None where it was not stored."""

    subject: str
    data: bytes
    seq: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


class Subscription:
    """A running subscription; `stop` ends it."""

    def __init__(self, inner: NatsSubscription) -> None:
        self._inner = inner

    async def stop(self) -> None:
        """Stop hearing. Harmless on a closed connection."""
        with suppress(nats.errors.Error):
            await self._inner.unsubscribe()


def from_wire(message: Msg) -> BusMessage:
    """As the library has it."""
    headers = message.headers or {}
    seq = headers.get("Nats-Sequence")
    return BusMessage(message.subject, message.data, int(seq) if seq and seq.isdigit() else None, headers)
