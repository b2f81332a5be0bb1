"""Rebuilds the follower's memory from the leader's history and the venue's, when the store is gone.

Belongs here: reading both histories, replacing the store. Does not belong here: which execution was a copy
(`retracing`), a normal start (`follower`), which needs none of this.

An order's name is a function of the signal it copied, so the feed's history says which names may exist, and
the venue says which of them do. Whatever matches none stays external: never traded.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import msgspec

from follower_client.control import ControlFile
from follower_client.daemon import Market
from follower_client.errors import FollowerError, StoreError, TryAgainError
from follower_client.leader_view import LeaderFacts
from follower_client.locks import hold
from follower_client.membership import fetch_group_key
from follower_client.reading import read_secret
from follower_client.retracing import COMMANDS_MAX, Retrace
from follower_client.settings import FollowerSettings, LeaderSection
from follower_client.store import Store
from follower_client.venue.port import VenueFill, VenueOrder
from relay.nats_bus import Bus, BusError
from relay.protocol import subjects
from relay.protocol.feed import Accepted, FeedReader, NeedKey
from relay.protocol.messages import Signal, Snapshot
from relay.protocol.signing import Envelope

__all__ = ["Recovered", "recover"]

HISTORY_CHUNK = 512
MESSAGES_MAX = 1_000_000
LIMIT_S = 120.0
OVERLAP_MS = 60_000


@dataclass(frozen=True, slots=True)
class Recovered:
    """What was found. `set_aside` = the damaged store, if there was one."""

    signals: int
    orders: int
    fills: int
    positions: dict[str, str]
    external: dict[str, str]
    set_aside: Path | None


class _Silent:
    """Nobody acts on a stream while memory is rebuilt."""

    def on_fill(self, fill: VenueFill) -> None:
        """Read again with all the others."""

    def on_order(self, order: VenueOrder) -> None:
        """Likewise."""


def recover(settings: FollowerSettings, *, force: bool) -> Recovered:
    """Make a new store. A good one is only replaced with `force`. Raises `FollowerError`."""
    folder = settings.follower.data_dir
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with closing(hold(folder / "lock", "follower.data_dir")):
        path = folder / "follower.sqlite"
        aside = _set_aside(path, force=force)
        try:
            return asyncio.run(_recover(settings, path, aside))
        except BaseException:
            path.unlink(missing_ok=True)  # half a memory is worse than none
            raise


def _set_aside(path: Path, *, force: bool) -> Path | None:
    if not path.exists():
        return None
    try:
        Store.open(path).close()
    except StoreError:
        pass
    else:
        if not force:
            raise FollowerError(f"{path}: the store is good, allowed: --force to build it anew")
    aside = path.with_name(f"{path.name}.{time.strftime('%Y%m%dT%H%M%S')}")
    for suffix in ("", "-wal", "-shm"):
        part = path.with_name(path.name + suffix)
        if part.exists():
            part.rename(aside.with_name(aside.name + suffix))
    return aside


async def _recover(settings: FollowerSettings, path: Path, aside: Path | None) -> Recovered:
    async with asyncio.timeout(LIMIT_S):
        heard: list[tuple[Envelope, Signal]] = []
        since_ms = int(time.time() * 1000)
        for leader in settings.leaders:
            async for envelope, message in _history(settings, leader):
                since_ms = min(since_ms, getattr(message, "sealed_ms", since_ms))
                if isinstance(message, Signal):
                    heard.append((envelope, message))
        market = Market([settings])
        port = None
        try:
            port = market.port(settings, await market.start())
            await port.start(_Silent())
            fills = await port.fetch_fills_since(since_ms - OVERLAP_MS)
            positions = port.account.positions()
        finally:
            if port is not None:
                await port.close()
            await market.close()
    found = Retrace(settings.follower.id, fills)
    for envelope, signal in heard:
        found.signal(envelope, signal)
    await _look_further(settings, found)
    store = Store.open(path, anew=True)
    try:
        store.claim({"follower": settings.follower.id})
        found.write(store)
        for leader in settings.leaders:  # whom it has joined before: nothing of his is late any more
            store.save_leader(leader.id, msgspec.json.encode(LeaderFacts()))
        own = store.positions()
    finally:
        store.close()
    external = {name: qty - own.get(name, 0) for name, qty in positions.items() if qty != own.get(name, 0)}
    return Recovered(
        signals=len(heard),
        orders=len(found.fills),
        fills=sum(found.fills),
        positions={name: str(qty) for name, qty in own.items()},
        external={name: str(qty) for name, qty in external.items()},
        set_aside=aside,
    )


async def _look_further(settings: FollowerSettings, found: Retrace) -> None:
    """For executions that no signal's first orders explain."""
    if found.left:
        commands = ControlFile(settings.follower.data_dir).read().number or COMMANDS_MAX
        found.flattens([leader.id for leader in settings.leaders], commands)
    for leader in settings.leaders if found.left else ():
        async for envelope, message in _history(settings, leader):
            if isinstance(message, Snapshot):
                found.snapshot(envelope, message)
    found.long_exits()


async def _history(
    settings: FollowerSettings, leader: LeaderSection
) -> AsyncIterator[tuple[Envelope, object]]:
    """Every message of a leader that the relay still has, verified."""
    seed = read_secret(None, settings.broker.nkey_seed_file, "broker.nkey_seed_file")
    name = settings.follower.id
    reader = FeedReader(leader.id, leader.public_key, None, is_member=leader.box_key_file is not None)
    try:
        bus = await Bus.connect(
            settings.broker.url,
            seed,
            subjects.inbox_prefix(name),
            f"follower-client recover {name}",
            ca_pem=settings.broker.ca_pem(),
        )
    except BusError as error:
        raise TryAgainError(str(error)) from None
    try:
        first, count = 1, 0
        while count < MESSAGES_MAX:
            batch = await bus.fetch_range(subjects.stream(leader.id), first, HISTORY_CHUNK)
            if not batch:
                break
            count += len(batch)
            for seq, wire in batch:
                events = deque(reader.receive(wire, seq))
                while events:
                    event = events.popleft()
                    if isinstance(event, Accepted):
                        yield event.envelope, event.message
                    elif isinstance(event, NeedKey):
                        key = await fetch_group_key(bus, leader, name, event)
                        events.extend(reader.give_key(event.group_epoch, key))
            first = batch[-1][0] + 1
    except BusError as error:
        raise TryAgainError(f"broker: {error}") from None
    finally:
        await bus.close()
