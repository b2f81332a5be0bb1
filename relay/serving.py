"""`relay serve`: the broker, its streams, the drift monitor.

Belongs here: what is started in which order. Does not belong here: any rule of theirs.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

from relay.broker import Broker
from relay.broker_config import FollowerUser, LeaderUser
from relay.errors import Failed
from relay.monitor import run_monitor
from relay.nats_bus import Bus, BusError
from relay.running import cancel, first_of, tell_ready
from relay.settings import ServeSettings
from relay.streams import Retention

__all__ = ["serve"]


async def serve(settings: ServeSettings, stop: asyncio.Event, *, as_json: bool) -> None:
    """Run until told to stop. The ready line comes when streams exist and the monitor listens."""
    host, port = settings.broker.host_port
    broker = Broker(
        settings.broker.data_dir,
        [LeaderUser(leader.id, leader.nkey) for leader in settings.leaders],
        [FollowerUser(entry.id, entry.nkey, tuple(entry.leaders)) for entry in settings.followers],
        host=host,
        port=port,
        retention=Retention(settings.broker.retention_days * 86_400, settings.broker.retention_mib * 1024**2),
    )
    async with AsyncExitStack() as stack:
        await broker.start()
        stack.push_async_callback(broker.stop)
        bus = await broker.connect()
        stack.push_async_callback(bus.close)
        ready = asyncio.Event()
        keys = {leader.id: leader.signing_key for leader in settings.leaders}
        monitor = asyncio.create_task(_monitor(bus, settings.store.path, keys, ready), name="monitor")
        stack.push_async_callback(cancel, monitor)
        failed = asyncio.create_task(broker.wait_failed(), name="broker-failed")
        stack.push_async_callback(cancel, failed)
        if await first_of(stop, ready, monitor, failed):
            tell_ready({"broker": broker.url, "dashboard": None, "metrics": None}, as_json=as_json)
            await first_of(stop, asyncio.Event(), monitor, failed)


async def _monitor(bus: Bus, store_path: Path, keys: dict[str, str], ready: asyncio.Event) -> None:
    try:
        await run_monitor(bus, store_path, keys, ready)
    except (BusError, OSError) as error:
        raise Failed(f"monitor: {error}") from None
