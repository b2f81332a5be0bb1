"""`relay publish`: leaders' accounts on one side, their streams on the other.

Belongs here: what is started in which order, and several leaders in one process. Does not belong here: which
step becomes which message (`relay.leading`), any rule of the parts.
"""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack, suppress
from pathlib import Path

import structlog

from relay.core.positions import load_positions
from relay.door import Door
from relay.errors import ConfigurationError, Failed, TryAgain
from relay.keys import load_current_key, load_nkey_seed
from relay.leading import Leading
from relay.nats_bus import Bus, BusUnavailable, NotPermitted
from relay.outbox import Outbox
from relay.profiling import publish_profile
from relay.protocol import subjects
from relay.protocol.signing import key_id_of
from relay.running import cancel, first_of, tell_ready, wait_for_stop
from relay.settings import PublishSettings
from relay.taking_over import Lost
from relay.venue import Venue, VenueUnavailable, open_venue

__all__ = ["door_note", "publish"]

FEED_START_TIMEOUT_S = 30.0
_log = structlog.get_logger(__name__)


def door_note(settings: PublishSettings) -> Path:
    """The file that says where this leader's door is while his publisher runs."""
    return settings.leader.outbox.with_name(settings.leader.outbox.name + ".door")


async def publish(
    leaders: Sequence[PublishSettings], stop: asyncio.Event, *, lost: Lost, as_json: bool
) -> None:
    """Publish for each of these leaders until told to stop; each has a ready line of its own.

    One leader who cannot go on ends alone; the others do. When all have ended, the first failure is raised.
    """
    if len(leaders) == 1:
        await _publish_one(leaders[0], stop, lost=lost, as_json=as_json)
        return
    results = await asyncio.gather(
        *(_publish_apart(one, stop, lost=lost, as_json=as_json) for one in leaders),
        return_exceptions=True,
    )
    for result in results:
        if isinstance(result, BaseException):
            raise result


async def _publish_apart(
    settings: PublishSettings, stop: asyncio.Event, *, lost: Lost, as_json: bool
) -> None:
    with structlog.contextvars.bound_contextvars(leader=settings.leader.id):
        try:
            await _publish_one(settings, stop, lost=lost, as_json=as_json)
        except Exception as error:
            _log.error("leader_ended", leader_id=settings.leader.id, reason=str(error))
            raise


async def _publish_one(settings: PublishSettings, stop: asyncio.Event, *, lost: Lost, as_json: bool) -> None:
    """Run until told to stop. The ready line comes when the account is current and the epoch has begun."""
    leader = settings.leader
    signing_key = load_current_key(
        leader.signing_key_file, Outbox.key_id_in(leader.outbox), field="leader.signing_key_file"
    )
    async with AsyncExitStack() as stack:
        venue = None if settings.venue.is_external else await _open_venue(settings, stack)
        outbox = Outbox.open(leader.outbox, leader_id=leader.id, key_id=key_id_of(signing_key.verify_key))
        stack.callback(outbox.close)
        bus = await _connect(settings, stack)
        leading = Leading(settings, venue, outbox, bus, signing_key)
        stack.callback(leading.close)
        await leading.group.check_stream(signing_key, begins_anew=lost.group)
        await leading.publisher.start(take_over=lost.outbox)
        await leading.group.begin_anew()
        positions, newest_exec_ms = outbox.state if venue else None, outbox.told_through_ms
        leading.resume()
        links, now_ms = leading.publisher.links, time.time_ns() // 1_000_000
        await publish_profile(settings, signing_key, links, bus, now_ms)
        sender = asyncio.create_task(leading.publisher.run(), name="publisher")
        stack.push_async_callback(cancel, sender)
        keeper = asyncio.create_task(leading.group.run(), name="group")
        stack.push_async_callback(cancel, keeper)
        tasks, ready = [sender, keeper], asyncio.Event()
        sampling = _sampling(leading)
        if sampling is not None:
            stack.push_async_callback(cancel, sampling)
            tasks.append(sampling)
        if leading.feed is not None:
            watching = leading.feed.run(
                ready, positions=load_positions(positions), newest_exec_ms=newest_exec_ms
            )
            reader = asyncio.create_task(watching, name="feed")
            stack.push_async_callback(cancel, reader)
            tasks.append(reader)
        else:
            ready.set()
        if await _is_current(stop, ready, tasks):
            await _open_door(settings, leading, stack)
            tell_ready(
                {"ready": True, "leader": leader.id, "public_key": leading.publisher.public_key},
                as_json=as_json,
            )
            gc.freeze()  # what was loaded stays: looking through ccxt now and then would hold a signal up
            await _go_on(settings, leading, stop, tasks)
        for task in tasks[1:]:
            await cancel(task)
        await leading.publisher.stop()


def _sampling(leading: Leading) -> asyncio.Task[None] | None:
    """Looks at the market; plans waves out of that where the settings say so."""
    if leading.spreader is not None:
        return asyncio.create_task(leading.spreader.run(), name="spreader")
    if leading.sampler is not None:
        return asyncio.create_task(leading.sampler.run(leading), name="sampler")
    return None


async def _is_current(stop: asyncio.Event, ready: asyncio.Event, tasks: Sequence[asyncio.Task[None]]) -> bool:
    try:
        async with asyncio.timeout(FEED_START_TIMEOUT_S):
            return await first_of(stop, ready, *tasks)
    except TimeoutError:
        raise TryAgain(f"venue.ws_url: not current within {FEED_START_TIMEOUT_S:g} s") from None


async def _go_on(
    settings: PublishSettings, leading: Leading, stop: asyncio.Event, tasks: Sequence[asyncio.Task[None]]
) -> None:
    """A snapshot now and then, until told to stop."""
    if leading.has_account:
        leading.tell_state(leading.account)
    while not await wait_for_stop(stop, settings.signals.snapshot_seconds, *tasks):
        if leading.publisher.unsent == 0 and leading.has_account:
            leading.tell_state(leading.account)


async def _open_door(settings: PublishSettings, leading: Leading, stack: AsyncExitStack) -> None:
    door = Door(leading.handlers(), settings.door.secret_file)
    host, port = settings.door.host_port
    url = await door.start(host, port, door_note(settings))
    stack.push_async_callback(door.stop)
    _log.info("door_open", leader_id=settings.leader.id, url=url)


async def _open_venue(settings: PublishSettings, stack: AsyncExitStack) -> Venue:
    """The account, after one call has shown that it can be reached and knows the key."""
    venue = open_venue(settings.venue, settings.signals.symbols)
    stack.push_async_callback(venue.close)
    try:
        await venue.fetch_wallet()
    except VenueUnavailable as error:
        raise TryAgain(f"venue.rest_url: {error}") from None
    return venue


async def _connect(settings: PublishSettings, stack: AsyncExitStack) -> Bus:
    leader, broker = settings.leader, settings.broker
    seed = load_nkey_seed(leader.nkey_seed_file, field="leader.nkey_seed_file")
    ca_pem = None
    if broker.ca_file is not None:
        with suppress(OSError, UnicodeDecodeError):
            ca_pem = await asyncio.to_thread(broker.ca_file.read_text, "ascii")
        if ca_pem is None:
            raise ConfigurationError(
                [f"broker.ca_file: cannot be read, allowed: a PEM file ({broker.ca_file})"]
            )
    prefix = subjects.inbox_prefix(leader.id)
    try:
        bus = await Bus.connect(broker.url, seed, prefix, f"publisher-{leader.id}", ca_pem=ca_pem)
    except BusUnavailable as error:
        raise TryAgain(f"broker.url: {error}") from None
    except NotPermitted as error:
        raise Failed(f"leader.id: {error}; the nkey is another user's") from None
    stack.push_async_callback(bus.close)
    return bus
