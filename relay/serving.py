"""`relay serve`: the broker, its streams, the drift monitor.

Belongs here: what is started in which order. Does not belong here: any rule of theirs.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from relay.admission import Admission, people
from relay.broker import Broker
from relay.broker_config import FollowerUser, LeaderUser, TlsFiles
from relay.dashboard import Dashboard
from relay.dashboard.access import read_token
from relay.errors import ConfigurationError, Failed
from relay.external_broker import ExternalBroker
from relay.guarding import Guard
from relay.monitor import run_monitor
from relay.nats_bus import Bus, BusError
from relay.notifying import Notifier
from relay.planning import Planner
from relay.private_feeds import PrivateFeeds
from relay.registry import Registry
from relay.running import cancel, first_of, tell_ready
from relay.settings import ServeSettings
from relay.streams import Retention
from relay.telling.people import AddressError, sender_of
from relay.venue_watch import VenueWatch
from relay.watching import Watching

__all__ = ["make_broker", "retention_of", "serve"]


async def serve(settings: ServeSettings, stop: asyncio.Event, *, as_json: bool) -> None:
    """Run until told to stop. The ready line comes when streams exist and the monitor listens."""
    leaders = [LeaderUser(leader.id, leader.nkey) for leader in settings.leaders]
    followers = [FollowerUser(entry.id, entry.nkey, tuple(entry.leaders)) for entry in settings.followers]
    async with AsyncExitStack() as stack:
        registry = Registry.open(settings.registry_path)
        stack.callback(registry.close)
        revision = registry.revision
        broker = make_broker(settings, *people(registry, leaders, followers, time.time_ns() // 1_000_000))
        await broker.start()
        stack.push_async_callback(broker.stop)
        registry.note_applied(revision)
        bus = await broker.connect()
        stack.push_async_callback(bus.close)
        listening, admitting = asyncio.Event(), asyncio.Event()
        notifier = _notifier(settings)
        watching = Watching(settings.alarms.limits, notifier.tell)
        watching.metrics.note_broker(syncs_always=True)  # it would not have started otherwise
        planner = Planner()
        dashboard = await _dashboard(settings, watching, planner)
        stack.push_async_callback(dashboard.stop)
        private = PrivateFeeds(settings.registry_path.with_name("monitor.box.key"), bus)
        monitor = _Monitor(settings, bus, registry, listening, watching, private)
        admission = Admission(
            broker,
            registry,
            leaders=leaders,
            followers=followers,
            signing_keys={leader.id: leader.signing_key for leader in settings.leaders},
            on_leaders=monitor.leaders_changed.set,
            on_barred=watching.hear_barred,
            planner=planner,
            monitor_key=private.box_key,
        )
        tasks = [
            asyncio.create_task(monitor.run(), name="monitor"),
            asyncio.create_task(admission.run(admitting), name="admission"),
            asyncio.create_task(Guard(broker, admission.bar).run(), name="guard"),
            asyncio.create_task(broker.wait_failed(), name="broker-failed"),
            asyncio.create_task(notifier.run(), name="notifier"),
        ]
        for task in tasks:
            stack.push_async_callback(cancel, task)
        if await first_of(stop, listening, *tasks) and await first_of(stop, admitting, *tasks):
            ready = {
                "broker": broker.url,
                "dashboard": dashboard.url,
                "metrics": f"{dashboard.address}/metrics",
            }
            tell_ready(ready, as_json=as_json)
            await first_of(stop, asyncio.Event(), *tasks)


def _notifier(settings: ServeSettings) -> Notifier:
    own = settings.notify
    try:
        send = sender_of(own.urls_file)
    except AddressError as error:
        raise ConfigurationError([f"notify.urls_file: {error}"]) from None
    return Notifier(send, per_hour_max=own.per_hour_max, least=own.least)


def make_broker(settings: ServeSettings, *users: Any) -> Broker | ExternalBroker:
    """The embedded one, or the cluster at `broker.url`."""
    leaders, followers, invites = users
    host, port = settings.broker.host_port
    tls = settings.broker.tls
    if settings.broker.url:
        ca_file = settings.broker.ca_file
        return ExternalBroker(
            settings.broker.url,
            settings.broker.data_dir,
            leaders,
            followers,
            invites=invites,
            retention=retention_of(settings),
            ca_pem=_ca_pem(ca_file) if ca_file else None,
        )
    return Broker(
        settings.broker.data_dir,
        leaders,
        followers,
        invites=invites,
        host=host,
        port=port,
        retention=retention_of(settings),
        tls=TlsFiles(tls.certificate, tls.key) if tls else None,
        ca_pem=_ca_pem(tls.ca) if tls and tls.ca else None,
    )


def retention_of(settings: ServeSettings) -> Retention:
    """How much is kept, and where."""
    broker = settings.broker
    return Retention(broker.retention_days * 86_400, broker.retention_mib * 1024**2, broker.replicas)


def _ca_pem(path: Path) -> str:
    try:
        return path.read_text("ascii")
    except (OSError, UnicodeDecodeError):
        raise ConfigurationError([f"broker.tls.ca: cannot be read, allowed: a PEM file ({path})"]) from None


async def _dashboard(settings: ServeSettings, watching: Watching, planner: Planner) -> Dashboard:
    own = settings.dashboard
    dashboard = Dashboard(
        settings.store.place,
        watching,
        read_token(own.token_file),
        public_metrics=own.public_metrics,
        plans=planner.plans,
    )
    host, port = own.host_port
    await dashboard.start(host, port)
    return dashboard


class _Monitor:
    """The drift monitor; begun again, from where it was, when there are other leaders."""

    def __init__(
        self,
        settings: ServeSettings,
        bus: Bus,
        registry: Registry,
        ready: asyncio.Event,
        watching: Watching,
        private: PrivateFeeds,
    ) -> None:
        self._private = private
        self.leaders_changed = asyncio.Event()
        self._fixed = {leader.id: leader.signing_key for leader in settings.leaders}
        self._fixed_members = {(one.id, leader) for one in settings.followers for leader in one.leaders}
        self._store = settings.store
        self._evidence_in = settings.registry_path.parent
        self._bus = bus
        self._registry = registry
        self._ready = ready
        self._watching = watching
        read = settings.venue
        self._venue = VenueWatch(read.rest_url, read.interval_ms, watching) if read else None

    async def run(self) -> None:
        while True:
            self.leaders_changed.clear()
            keys = {leader.id: leader.signing_key for leader in self._registry.leaders()} | self._fixed
            running = asyncio.create_task(self._monitor(keys), name="monitor-run")
            changed = asyncio.create_task(self.leaders_changed.wait())
            try:
                await asyncio.wait({running, changed}, return_when=asyncio.FIRST_COMPLETED)
                if running.done():
                    running.result()
                    return
            finally:
                changed.cancel()
                await cancel(running)

    def _members(self) -> set[tuple[str, str]]:
        joined = {(one.id, leader) for one in self._registry.followers() for leader in one.leaders}
        return joined | self._fixed_members

    async def _monitor(self, keys: dict[str, str]) -> None:
        try:
            await run_monitor(
                self._bus,
                self._store.place,
                keys,
                self._ready,
                watching=self._watching,
                keep_ms=self._store.keep_ms,
                venue=self._venue,
                evidence_in=self._evidence_in,
                group_key=self._private.key,
                members=self._members,
            )
        except (BusError, OSError) as error:
            raise Failed(f"monitor: {error}") from None
