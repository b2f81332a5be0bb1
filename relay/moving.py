"""From one broker to another without losing a number: `relay move OLD.toml NEW.toml`.

Belongs here: copying leaders' streams with their sequence numbers. Does not belong here: brokers, what
streams must be (`relay.streams`); docs/cluster.md has the whole procedure.

The new stream begins at the number of the oldest message the old one keeps; every message is stored under its
own number or the copy stops. Copying again goes on where the last copy ended. Publishers must be stopped.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from relay.errors import Failed
from relay.nats_bus import Bus, BusError
from relay.protocol import subjects
from relay.streams import Retention, ensure_signals

__all__ = ["Moved", "move_leader"]

BATCH = 512


@dataclass(frozen=True, slots=True)
class Moved:
    """What a copy has come to: the numbers that both brokers have now."""

    leader_id: str
    first_seq: int
    last_seq: int


async def move_leader(
    old: Bus, new: Bus, leader_id: str, retention: Retention, tell: Callable[[int], None] = lambda _: None
) -> Moved:
    """Copy one leader's stream; both connections are ADMIN's. `tell` gets the last number after each batch.

    Raises `Failed` when the new stream has another message under a number.
    """
    stream = subjects.stream(leader_id)
    first, last = await _range(old, stream)
    await ensure_signals(new, leader_id, retention, first_seq=first or 1)
    _, done = await _range(new, stream)
    if done > last:
        raise Failed(f"{stream}: the new broker goes to {done}, the old one to {last}: it is in use already")
    if done >= first > 0:
        await _compare(old, new, stream, done)
    at = max(first, done + 1)
    while last and at <= last:
        batch = await old.fetch_range(stream, at, min(BATCH, last - at + 1))
        if not batch or batch[0][0] != at:
            raise Failed(f"{stream}: number {at} is not there any more; copy again")
        for seq, wire in batch:
            await new.publish_signal(leader_id, wire, seq - 1, f"move-{leader_id}-{seq}", timeout_s=10)
        at = batch[-1][0] + 1
        tell(at - 1)
    return Moved(leader_id, first, last)


async def _compare(old: Bus, new: Bus, stream: str, seq: int) -> None:
    if await old.fetch_range(stream, seq, 1) != await new.fetch_range(stream, seq, 1):
        raise Failed(f"{stream}: number {seq} is another message on the new broker")


async def _range(bus: Bus, stream: str) -> tuple[int, int]:
    """First and last number of a stream; 0, 0 for none."""
    try:
        state = (await bus.api(f"$JS.API.STREAM.INFO.{stream}", {}))["state"]
    except BusError:
        return 0, 0
    if not state["messages"]:
        return 0, int(state["last_seq"])
    return int(state["first_seq"]), int(state["last_seq"])
