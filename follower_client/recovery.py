"""Rebuilds the follower's memory from the leader's history and the venue's, when the store is gone.

Belongs here: finding out which executions at the venue were copies. Does not belong here: a normal start
(`follower`), which needs none of this.

An order's name is a function of the signal it copied, so the signals of the feed's history say which names
may exist, and the venue says which of them do. Whatever matches none stays external: never traded.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict, deque
from dataclasses import dataclass
from pathlib import Path

from follower_client.copies import open_copy
from follower_client.core.order import OrderState, client_order_id
from follower_client.daemon import Market
from follower_client.errors import FollowerError, StoreError, TryAgainError
from follower_client.executor import ENTRY_ORDERS_MAX, EXIT_ORDERS_MAX
from follower_client.locks import hold
from follower_client.membership import fetch_group_key
from follower_client.reading import read_secret
from follower_client.records import Copy, Head, Order
from follower_client.settings import FollowerSettings, LeaderSection
from follower_client.store import Store
from follower_client.venue.port import VenueFill, VenueOrder
from relay.nats_bus import Bus, BusError
from relay.protocol import subjects
from relay.protocol.feed import Accepted, FeedReader, NeedKey
from relay.protocol.messages import Signal
from relay.protocol.signing import Envelope

__all__ = ["Recovered", "recover"]

HISTORY_CHUNK = 512
SIGNALS_MAX = 100_000
LIMIT_S = 120.0
LEGS = (("open", ENTRY_ORDERS_MAX), ("close", EXIT_ORDERS_MAX))
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
    with hold(folder / "lock", "follower.data_dir"):
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
        heard = [one for leader in settings.leaders for one in await _history(settings, leader)]
        since_ms = min((signal.sealed_ms for _, signal in heard), default=0)
        market = Market([settings])
        port = None
        try:
            port = market.port(settings, await market.start())
            await port.start(_Silent())
            fills = await port.fetch_fills_since(since_ms - OVERLAP_MS) if heard else []
            positions = port.account.positions()
        finally:
            if port is not None:
                await port.close()
            await market.close()
    store = Store.open(path)
    try:
        store.claim({"follower": settings.follower.id})
        orders, count = _rebuild(settings, store, heard, fills)
        own = store.positions()
    finally:
        store.close()
    external = {name: qty - own.get(name, 0) for name, qty in positions.items() if qty != own.get(name, 0)}
    return Recovered(
        signals=len(heard),
        orders=orders,
        fills=count,
        positions={name: str(qty) for name, qty in own.items()},
        external={name: str(qty) for name, qty in external.items()},
        set_aside=aside,
    )


async def _history(settings: FollowerSettings, leader: LeaderSection) -> list[tuple[Envelope, Signal]]:
    """Every signal of a leader that the relay still has, verified."""
    seed = read_secret(None, settings.broker.nkey_seed_file, "broker.nkey_seed_file")
    name = settings.follower.id
    reader = FeedReader(leader.id, leader.public_key, None, is_member=leader.box_key_file is not None)
    found: list[tuple[Envelope, Signal]] = []
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
        first = 1
        while len(found) < SIGNALS_MAX:
            batch = await bus.fetch_range(subjects.stream(leader.id), first, HISTORY_CHUNK)
            if not batch:
                break
            for seq, wire in batch:
                events = deque(reader.receive(wire, seq))
                while events:
                    event = events.popleft()
                    if isinstance(event, Accepted) and isinstance(event.message, Signal):
                        found.append((event.envelope, event.message))
                    elif isinstance(event, NeedKey):
                        key = await fetch_group_key(bus, leader, name, event)
                        events.extend(reader.give_key(event.group_epoch, key))
            first = batch[-1][0] + 1
    except BusError as error:
        raise TryAgainError(f"broker: {error}") from None
    finally:
        await bus.close()
    return found


def _rebuild(
    settings: FollowerSettings,
    store: Store,
    heard: list[tuple[Envelope, Signal]],
    fills: list[VenueFill],
) -> tuple[int, int]:
    """Copies, orders and fills as they must have been; how many orders and fills."""
    by_name: defaultdict[str, list[VenueFill]] = defaultdict(list)
    for fill in fills:
        by_name[fill.client_order_id].append(fill)
    orders = count = 0
    for envelope, signal in heard:
        copy = open_copy(settings.follower.id, envelope, signal, None, signal.sealed_ms)
        head = Head(envelope.epoch, envelope.seq, envelope.chain_hash)
        found = list(_orders(settings.follower.id, copy, by_name))
        copy.verdict, copy.reason = ("copied" if found else "skipped"), "recovered"
        copy.detail = "found again at the venue" if found else "no order of this signal is at the venue"
        store.record(copy, head=head)
        for order in found:
            store.record_order(order)
            for fill in by_name[order.client_order_id]:
                count += store.record_fill(fill)
        orders += len(found)
    return orders, count


def _orders(follower_id: str, copy: Copy, by_name: dict[str, list[VenueFill]]) -> list[Order]:
    found = []
    for leg, most in LEGS:
        for n in range(most):
            name = client_order_id(follower_id, copy.leader_id, copy.epoch, copy.seq, leg, n)
            fills = by_name.get(name)
            if not fills:
                continue
            qty = sum((fill.qty for fill in fills), start=fills[0].qty * 0)
            found.append(
                Order(
                    client_order_id=name,
                    leader_id=copy.leader_id,
                    epoch=copy.epoch,
                    seq=copy.seq,
                    leg=leg,
                    n=n,
                    symbol=copy.symbol,
                    is_buy=fills[0].is_buy,
                    qty=qty,
                    limit_price=None,
                    reduce_only=leg != "open",
                    send_by_ms=copy.received_ms,
                    state=OrderState.DONE,
                    order_id=fills[0].order_id,
                    filled_qty=qty,
                )
            )
    return found
