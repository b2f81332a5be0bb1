"""`relay publish`: a leader's account on one side, his stream on the other.

Belongs here: what is started in which order, and which step becomes which message. Does not belong here:
any rule of theirs.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from importlib import metadata

import structlog
from nacl.signing import SigningKey

from relay.core.account import Account, Fill, WalletEvent
from relay.core.positions import dump_positions, load_positions
from relay.core.signals import SignalTerms, build_account_change, build_signal, build_snapshot
from relay.errors import Failed, TryAgain
from relay.feed import LeaderFeed
from relay.keys import load_nkey_seed, load_signing_key, public_key_hex
from relay.nats_bus import Bus, BusUnavailable, NotPermitted
from relay.outbox import Outbox
from relay.protocol import subjects
from relay.protocol.messages import StaggerPlan
from relay.protocol.signing import key_id_of
from relay.publisher import Publisher
from relay.running import cancel, first_of, tell_ready, wait_for_stop
from relay.settings import PublishSettings
from relay.venue import Venue, VenueUnavailable, open_venue

__all__ = ["publish"]

FEED_START_TIMEOUT_S = 30.0
_log = structlog.get_logger(__name__)


async def publish(settings: PublishSettings, stop: asyncio.Event, *, take_over: bool, as_json: bool) -> None:
    """Run until told to stop. The ready line comes when the account is current and the epoch has begun."""
    signing_key = load_signing_key(settings.leader.signing_key_file, field="leader.signing_key_file")
    async with AsyncExitStack() as stack:
        venue = await _open_venue(settings, stack)
        outbox = Outbox.open(
            settings.leader.outbox, leader_id=settings.leader.id, key_id=key_id_of(signing_key.verify_key)
        )
        stack.callback(outbox.close)
        bus = await _connect(settings, stack)
        program = _Program(settings, venue, outbox, bus, signing_key)
        positions, newest_exec_ms = load_positions(outbox.state), outbox.told_through_ms
        await program.publisher.start(take_over=take_over)
        sender = asyncio.create_task(program.publisher.run(), name="publisher")
        stack.push_async_callback(cancel, sender)
        ready = asyncio.Event()
        reader = asyncio.create_task(
            program.feed.run(ready, positions=positions, newest_exec_ms=newest_exec_ms), name="feed"
        )
        stack.push_async_callback(cancel, reader)
        try:
            async with asyncio.timeout(FEED_START_TIMEOUT_S):
                is_ready = await first_of(stop, ready, sender, reader)
        except TimeoutError:
            raise TryAgain(f"venue.ws_url: not current within {FEED_START_TIMEOUT_S:g} s") from None
        if is_ready:
            program.tell_state(program.feed.account)
            tell_ready(
                {"ready": True, "leader": settings.leader.id, "public_key": public_key_hex(signing_key)},
                as_json=as_json,
            )
            while not await wait_for_stop(stop, settings.signals.snapshot_seconds, sender, reader):
                if program.publisher.unsent == 0:
                    program.tell_state(program.feed.account)
        await cancel(reader)
        await program.publisher.stop()


class _Program:
    """Feed and publisher, tied together: a step becomes a signal, a correction a snapshot."""

    def __init__(
        self,
        settings: PublishSettings,
        venue: Venue,
        outbox: Outbox,
        bus: Bus,
        signing_key: SigningKey,
    ) -> None:
        signals = settings.signals
        self._terms = SignalTerms(signals.expires_ms, StaggerPlan(**signals.stagger.model_dump()))
        self.feed = LeaderFeed(
            venue,
            signals.symbols,
            knows_fill=outbox.knows_fill,
            on_step=self._tell_step,
            on_event=self._tell_event,
            on_first=self._tell_first,
            on_correction=self.tell_state,
        )
        self.publisher = Publisher(
            leader_id=settings.leader.id,
            signing_key=signing_key,
            outbox=outbox,
            bus=bus,
            program_version=_program_version(),
            is_live=lambda: self.feed.is_live,
        )

    def tell_state(self, account: Account) -> None:
        """Record a snapshot."""
        self.publisher.record(
            lambda _: build_snapshot(account, sealed_ms=_now_ms()),
            state=dump_positions(account.positions),
        )

    def _tell_first(self, account: Account, fills: Sequence[Fill | WalletEvent], began_ms: int) -> None:
        """Record a snapshot and the fills that it includes already: no later run tells them."""
        self.publisher.record(
            lambda _: build_snapshot(account, sealed_ms=_now_ms()),
            fills=fills,
            state=dump_positions(account.positions),
            began_ms=began_ms,
        )

    def _tell_event(self, event: WalletEvent, account: Account) -> None:
        record = self.publisher.record(
            lambda signal_id: build_account_change(
                account, [event], signal_id=signal_id, sealed_ms=_now_ms()
            ),
            fills=[event],
        )
        _log.info("account_change", signal_id=record.message_id, cause=event.cause, amount=str(event.amount))

    def _tell_step(self, fills: tuple[Fill, ...], account: Account) -> None:
        record = self.publisher.record(
            lambda signal_id: build_signal(
                account, fills, signal_id=signal_id, sealed_ms=_now_ms(), terms=self._terms
            ),
            fills=fills,
            state=dump_positions(account.positions),
        )
        first = fills[0]
        _log.info(
            "signal", signal_id=record.message_id, symbol=first.symbol, side=first.side, fills=len(fills)
        )


async def _open_venue(settings: PublishSettings, stack: AsyncExitStack) -> Venue:
    """The account, after one call has shown that it can be reached and knows the key."""
    venue = open_venue(settings.venue)
    stack.push_async_callback(venue.close)
    try:
        await venue.fetch_wallet()
    except VenueUnavailable as error:
        raise TryAgain(f"venue.rest_url: {error}") from None
    return venue


async def _connect(settings: PublishSettings, stack: AsyncExitStack) -> Bus:
    leader = settings.leader
    seed = load_nkey_seed(leader.nkey_seed_file, field="leader.nkey_seed_file")
    try:
        bus = await Bus.connect(
            settings.broker.url, seed, subjects.inbox_prefix(leader.id), f"publisher-{leader.id}"
        )
    except BusUnavailable as error:
        raise TryAgain(f"broker.url: {error}") from None
    except NotPermitted as error:
        raise Failed(f"leader.id: {error}; the nkey is another user's") from None
    stack.push_async_callback(bus.close)
    return bus


def _program_version() -> str:
    try:
        return metadata.version("slipstream")
    except metadata.PackageNotFoundError:  # run from a source tree
        return "unknown"


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
