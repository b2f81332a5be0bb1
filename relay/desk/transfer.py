"""`relay move`: a whole relay from one broker to another.

Belongs here: both brokers opened, every leader copied, people registered there too. Does not belong here: how
one stream is copied (`relay.moving`).
"""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack
from pathlib import Path

from relay.admission import people
from relay.broker import Broker
from relay.broker_config import ADMIN, FollowerUser, LeaderUser
from relay.errors import Failed, TryAgain
from relay.external_broker import ExternalBroker
from relay.moving import move_leader
from relay.nats_bus import BusError
from relay.registry import Registry
from relay.serving import make_broker, retention_of
from relay.settings import ServeSettings, load_serve

__all__ = ["transfer"]


def transfer(old: Path, new: Path) -> str:
    """Copy every leader's stream; returns what was copied. Raises `Failed`, `TryAgain`."""
    return asyncio.run(_transfer(load_serve(old), load_serve(new)))


async def _transfer(old: ServeSettings, new: ServeSettings) -> str:
    async with AsyncExitStack() as stack:
        registry = Registry.open(old.registry_path)
        stack.callback(registry.close)
        source = await _started(old, registry, stack)
        target = await _started(new, registry, stack)
        try:
            here, there = await source.connect(ADMIN), await target.connect(ADMIN)
            stack.push_async_callback(here.close)
            stack.push_async_callback(there.close)
            moved = [
                await move_leader(here, there, leader.id, retention_of(new)) for leader in source.leaders
            ]
        except BusError as error:
            raise TryAgain(f"move: {error}; the same command goes on where it ended") from None
    if new.registry_path != old.registry_path:
        await asyncio.to_thread(_copy_registry, old.registry_path, new.registry_path)
    return "\n".join(f"{one.leader_id}: {one.first_seq} to {one.last_seq}" for one in moved)


async def _started(
    settings: ServeSettings, registry: Registry, stack: AsyncExitStack
) -> Broker | ExternalBroker:
    """A broker for the time of the copy, without leaders' streams of its own making."""
    leaders = [LeaderUser(one.id, one.nkey) for one in settings.leaders]
    followers = [FollowerUser(one.id, one.nkey, tuple(one.leaders)) for one in settings.followers]
    users = people(registry, leaders, followers, time.time_ns() // 1_000_000)
    broker = make_broker(settings, *users)
    await broker.start(make_streams=False)
    stack.push_async_callback(broker.stop)
    return broker


def _copy_registry(old: Path, new: Path) -> None:
    import sqlite3

    source = sqlite3.connect(old)
    try:
        if new.exists():
            existing = Registry.open(new)
            empty = not existing.leaders() and not existing.log()
            existing.close()
            if not empty:
                raise Failed(f"registry: {new} has people of its own; nothing was copied into it")
        target = sqlite3.connect(new)
        try:
            source.backup(target)
        finally:
            target.close()
        new.chmod(0o600)
    finally:
        source.close()
