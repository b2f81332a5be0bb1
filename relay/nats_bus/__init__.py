"""The bus: everything this project asks of NATS, with defaults that are right for a daemon.

Public; with `relay.protocol` all that a follower imports of the relay. The only importer of `nats`.

What a call may end with: a value, or `NotPermitted` (the broker's allow-list), `Fenced` / `StreamBehind` (the
stream is not where the publisher thought), `BusTimeout` (**unknown**: it may have happened; send the same
bytes again), `BusUnavailable` (nothing was sent, or the connection is gone for good).
"""

from relay.nats_bus.bus import Bus, Delivery
from relay.nats_bus.connection import PUT_OUT_WAIT_S
from relay.nats_bus.errors import (
    BusError,
    BusTimeout,
    BusUnavailable,
    Fenced,
    NobodyAnswers,
    NotPermitted,
    StreamBehind,
)
from relay.nats_bus.history import HISTORY_BATCH, History
from relay.nats_bus.message import BusMessage, Subscription

__all__ = [
    "HISTORY_BATCH",
    "PUT_OUT_WAIT_S",
    "Bus",
    "BusError",
    "BusMessage",
    "BusTimeout",
    "BusUnavailable",
    "Delivery",
    "Fenced",
    "History",
    "NobodyAnswers",
    "NotPermitted",
    "StreamBehind",
    "Subscription",
]
