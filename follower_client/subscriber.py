"""Hears one leader: live messages, heartbeats, and the history that was missed.

Belongs here: the bus into `relay.protocol.feed` and out into calls of the executor, liveness. Does not belong
here: order and signatures (the feed reader), what a signal means (`executor`).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

import structlog

from follower_client.leader_view import LeaderView
from follower_client.records import Head
from follower_client.rounds import Rounds
from relay.nats_bus import HISTORY_BATCH, Bus, BusError, BusMessage, History, Subscription
from relay.protocol import subjects
from relay.protocol.evidence import evidence_of
from relay.protocol.feed import (
    Accepted,
    Beat,
    FeedEvent,
    FeedReader,
    Locked,
    NeedGap,
    NeedKey,
    Rejected,
    Resumed,
    Unreadable,
)
from relay.protocol.messages import KeyLink, Signal
from relay.protocol.signing import Envelope

__all__ = ["FeedListener", "Subscriber"]

GAP_RETRY_S = 0.5
GAP_RETRY_MAX_S = 5.0
LIVENESS_TICK_S = 0.25

log = structlog.get_logger(__name__)


class FeedListener(Protocol):
    """Who acts on the feed."""

    leader_alive: bool
    leader: LeaderView

    def offer(self, envelope: Envelope, signal: Signal) -> None: ...

    def heard(self, envelope: Envelope, message: object) -> None: ...

    def locked(self, reason: str, detail: str, evidence: str) -> None: ...


class Subscriber:
    """One leader's feed into one listener, in order, each message once."""

    def __init__(
        self,
        bus: Bus,
        leader_id: str,
        public_key: str,
        head: Head | None,
        listener: FeedListener,
        *,
        silent_after_ms: int,
        on_joined: Callable[[Head], None],
        group_key: Callable[[NeedKey], Awaitable[bytes | None]] | None = None,
        on_put_out: Callable[[str], None] = lambda _reason: None,
        on_let_in: Callable[[], None] = lambda: None,
        rounds: Rounds | None = None,
        on_refused: Callable[[str], None] = lambda _code: None,
        links: Sequence[KeyLink] = (),
        on_links: Callable[[list[KeyLink]], None] = lambda _links: None,
    ) -> None:
        """`on_refused` is told why a message was not believed; `on_put_out` when the leader ends an epoch of
        his private group that we could read, and gives us no key to the next one; `on_let_in` when a later
        epoch has one for us. `links` are rotations known from before; `on_links` is told when there are more.
        """
        is_member = group_key is not None
        self._rounds = rounds or Rounds()
        self.reader = (
            FeedReader(leader_id, public_key, None, is_member=is_member)
            if head is None
            else FeedReader(
                leader_id, public_key, head.seq, head.hash, last_epoch=head.epoch, is_member=is_member
            )
        )
        self.reader.keys.learn(links)
        self._speaks, self._on_links = self.reader.public_key, on_links
        self._group_key = group_key
        self._keys_needed: asyncio.Queue[NeedKey] = asyncio.Queue()
        self._on_put_out, self._on_let_in, self._on_refused = on_put_out, on_let_in, on_refused
        self._subscriptions: list[Subscription] = []
        self._is_in_group = False
        self._bus = bus
        self._history = History(bus.fetch_range, subjects.stream(leader_id))
        self.leader_id = leader_id
        self._joined = head is not None
        self._listener = listener
        self._silent_after_s = silent_after_ms / 1000
        self._on_joined = on_joined
        self._heard_s = time.monotonic()
        self._gap = asyncio.Event()
        self._failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def start(self) -> None:
        """Subscribe, again if need be. Whatever was published since the stored head is fetched by `run`."""
        while self._subscriptions:
            await self._subscriptions.pop().stop()
        for subject, hear in (
            (subjects.feed(self.leader_id), self._on_feed),
            (subjects.beat(self.leader_id), self._on_beat),
        ):
            self._subscriptions.append(await self._bus.subscribe(subject, hear))

    async def run(self) -> None:
        """Fill gaps and watch for silence until cancelled. Raises what the listener raised."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._watch_failure())
                group.create_task(self._fill_gaps())
                group.create_task(self._rounds.repeat(LIVENESS_TICK_S, self._look_for_silence))
                group.create_task(self._fetch_keys())
        finally:
            await self._history.close()

    def silent_s(self) -> float:
        """How long nothing was heard of the leader."""
        return time.monotonic() - self._heard_s

    def look_back(self) -> None:
        """Ask the stream for what came after the head: at a start and after a reconnect."""
        self._gap.set()

    async def _on_feed(self, message: BusMessage) -> None:
        if message.seq is not None and not self._failed.done():
            self._hand_on(self.reader.receive(message.data, message.seq))

    async def _on_beat(self, message: BusMessage) -> None:
        if not self._failed.done():
            self._hand_on(self.reader.beat(message.data))

    def _hand_on(self, events: list[FeedEvent]) -> None:
        """The bus only notes what a callback raises and goes on with the next message: here it ends `run`."""
        try:
            self._handle(events)
        except Exception as error:
            self._failed.set_exception(error)

    async def _watch_failure(self) -> None:
        await self._failed

    def _handle(self, events: list[FeedEvent]) -> None:
        if self.reader.public_key != self._speaks:
            self._speaks = self.reader.public_key
            self._on_links(self.reader.keys.links)
        for event in events:
            match event:
                case Accepted(envelope, message):
                    self._heard(Head(0, envelope.seq - 1, envelope.prev_hash))
                    if isinstance(message, Signal):
                        self._listener.offer(envelope, message)
                    else:
                        self._listener.heard(envelope, message)
                case Beat(envelope):
                    self._heard(Head(envelope.epoch, envelope.seq, envelope.prev_hash))
                case Unreadable(envelope, code, detail):
                    log.error("message_unreadable", seq=envelope.seq, code=code, detail=detail)
                    self._listener.heard(envelope, None)
                case NeedGap(from_seq, count):
                    log.info("feed_gap", from_seq=from_seq, count=count)
                    self._gap.set()
                case NeedKey():
                    self._keys_needed.put_nowait(event)
                case Resumed(lost_from_seq, lost_count):
                    log.error("messages_lost", from_seq=lost_from_seq, count=lost_count)
                    self._listener.leader.has_gap = True
                case Locked(reason, seq, detail):
                    evidence = evidence_of(self.leader_id, self.reader.public_key, event)
                    log.error("leader_locked", reason=reason, seq=seq, detail=detail, evidence=evidence)
                    self._listener.leader_alive = False
                    self._listener.locked(reason, detail, evidence)
                case Rejected(code, detail):
                    log.warning("message_rejected", code=code, detail=detail)
                    self._on_refused(code)

    def _heard(self, anchor: Head) -> None:
        """`anchor` = where the feed is joined if this is the first that is ever heard of it."""
        self._heard_s = time.monotonic()
        if not self._joined:
            self._joined = True
            self._on_joined(anchor)

    def _look_for_silence(self) -> None:
        silent = self.silent_s() > self._silent_after_s
        alive = not silent and self.reader.locked is None
        self._listener.leader.silent_ms = int(self.silent_s() * 1000)
        if alive != self._listener.leader_alive:
            self._listener.leader_alive = alive
            log.warning("leader_heard_again" if alive else "leader_silent", leader_id=self.leader_id)

    async def _fetch_keys(self) -> None:
        """The own key to each epoch of a private group, asked for until there is an answer."""
        while True:
            need, wait_s = await self._keys_needed.get(), GAP_RETRY_S
            assert self._group_key is not None, "only a member is told of keys"
            while True:
                try:
                    key = await self._group_key(need)
                    break
                except BusError as error:
                    log.warning("group_key_not_fetched", epoch=need.group_epoch, error=str(error))
                    await asyncio.sleep(wait_s)
                    wait_s = min(2 * wait_s, GAP_RETRY_MAX_S)
            if key is None and self._is_in_group:
                log.error("put_out_of_group", leader_id=self.leader_id, epoch=need.group_epoch)
                self._on_put_out(f"put out of {self.leader_id}'s private group by the leader")
            if key is not None:
                self._on_let_in()
            self._is_in_group = key is not None
            self._hand_on(self.reader.give_key(need.group_epoch, key))

    async def _fill_gaps(self) -> None:
        """History from the head on, until nothing is missing."""
        while True:
            await self._gap.wait()
            self._gap.clear()
            if not self._joined:
                continue
            wait_s = GAP_RETRY_S
            while not await self._fetch():
                await asyncio.sleep(wait_s)
                wait_s = min(2 * wait_s, GAP_RETRY_MAX_S)

    async def _fetch(self) -> bool:
        """Whether there is nothing more to fetch."""
        while self.reader.locked is None:
            first = self.reader.last_seq + 1
            try:
                batch = await self._history.take(first)
            except BusError as error:
                log.warning("history_not_fetched", error=str(error))
                return False
            if batch and batch[0][0] > first and self.reader.missing is not None:
                self._handle(self.reader.resume_at_snapshot())
            self._handle(self.reader.receive_history(batch))
            if self.reader.last_seq + 1 == first:
                return not batch and self.reader.missing is None
            if len(batch) < HISTORY_BATCH:
                return self.reader.missing is None
        return True
