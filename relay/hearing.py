"""One leader's feed on its way to the drift store: verified, in order, gaps filled, private ones opened.

Belongs here: the bus on one side, items to store on the other. Does not belong here: what may be believed
(`relay.protocol`), when an item is stored (`monitor`), where the keys of private feeds are (`private_feeds`).
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Protocol, TypeAlias

import structlog

from relay.core.intake import Refusal, signal_refusal
from relay.nats_bus import BusError, BusMessage
from relay.protocol import subjects
from relay.protocol.errors import NoKey
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
from relay.protocol.messages import Signal
from relay.protocol.signing import GENESIS_HASH, Envelope, PublicKey
from relay.store import FeedEntry, FeedHead, RefusedReport, StoreItem
from relay.telling.evidence import evidence_against, keep_evidence
from relay.watching import Watching

__all__ = ["FeedBus", "GroupKey", "Hearing"]

INBOX_MESSAGES_MAX = 4_096  # per leader; a full one slows the subscription down, and what that drops is a gap
FETCH_MESSAGES_MAX = 512
GAP_RETRY_SECONDS = 1.0
GroupKey: TypeAlias = Callable[[str, NeedKey], Awaitable[bytes | None]]

_log = structlog.get_logger(__name__)


class FeedBus(Protocol):
    """What is asked of the bus here (`relay.nats_bus.Bus`)."""

    async def subscribe(self, subject: str, callback: Callable[[BusMessage], Awaitable[None]]) -> object: ...

    async def fetch_range(self, stream: str, from_seq: int, count: int) -> list[tuple[int, bytes]]: ...


class Hearing:
    """One leader's feed, from the last message stored: verified, in order, gaps filled."""

    def __init__(
        self,
        bus: FeedBus,
        leader_id: str,
        key: PublicKey,
        head: FeedHead | None,
        store: Callable[[Sequence[StoreItem]], Awaitable[None]],
        watching: Watching,
        evidence_in: Path | None,
        group_key: GroupKey | None,
    ) -> None:
        self.leader_id = leader_id
        self._evidence_in = evidence_in
        self._group_key = group_key
        self._keys_needed: deque[NeedKey] = deque()
        self._is_fetching = False
        self._is_sealed = False  # it is private, and we are not let in
        self._is_shut = False  # he has contradicted himself in an earlier life of this program
        self._watching = watching
        self._bus = bus
        self._store = store
        self._inbox: asyncio.Queue[BusMessage] = asyncio.Queue(INBOX_MESSAGES_MAX)
        self._reader = FeedReader(
            leader_id,
            key,
            head.seq if head else 0,
            head.header_hash if head else GENESIS_HASH,
            last_epoch=head.epoch if head else 0,
            is_member=group_key is not None,
        )

    async def start(self) -> None:
        """Listen first, then read what was published before: nothing falls in between. Who has contradicted
        himself is not listened to: no restart makes him believed again.
        """
        if self._evidence_in is not None:
            proof = await asyncio.to_thread(evidence_against, self._evidence_in, self.leader_id)
            if proof is not None:
                now_ms = time.time_ns() // 1_000_000
                self._watching.watch.hear_lock(self.leader_id, "equivocation", proof, now_ms)
                self._is_shut = True
                return
        if self._reader.last_seq:  # who has never spoken is not missed
            self._watching.watch.expect(self.leader_id, time.time_ns() // 1_000_000)
        await self._bus.subscribe(subjects.feed(self.leader_id), self._inbox.put)
        await self._bus.subscribe(subjects.beat(self.leader_id), self._inbox.put)
        await self._catch_up()

    async def run(self) -> None:
        while self._reader.locked is None and not self._is_shut:
            try:
                async with asyncio.timeout(GAP_RETRY_SECONDS):
                    message = await self._inbox.get()
            except TimeoutError:
                await self._fetch_keys()
                if self._reader.missing is not None:
                    await self._catch_up()
                continue
            if message.subject == subjects.beat(self.leader_id):
                events = self._reader.beat(message.data)
            else:
                events = self._reader.receive(message.data, message.seq or 0)
            await self._handle(events)
            if any(isinstance(event, NeedGap) for event in events):
                await self._catch_up()

    async def _catch_up(self) -> None:
        """Read the stream from the last message known to its end; try again later where the bus can't."""
        stream = subjects.stream(self.leader_id)
        cursor = self._reader.last_seq + 1
        while self._reader.locked is None:
            try:
                batch = await self._bus.fetch_range(stream, cursor, FETCH_MESSAGES_MAX)
            except BusError as error:
                _log.warning("feed_fetch_failed", leader=self.leader_id, from_seq=cursor, reason=str(error))
                return
            if not batch:
                return
            if batch[0][0] > self._reader.last_seq + 1:
                await self._handle(self._reader.resume_at_snapshot())
            for seq, wire in batch:
                await self._handle(self._reader.receive(wire, seq))
            cursor = max(self._reader.last_seq, batch[-1][0]) + 1

    async def _handle(self, events: list[FeedEvent]) -> None:
        self._watching.hear_feed(self.leader_id, events, is_whole=self._reader.missing is None)
        for event in events:
            if isinstance(event, Accepted):
                signal = event.message if isinstance(event.message, Signal) else None
                refusal = signal_refusal(signal) if signal is not None else None
                await self._keep(event.envelope, None if refusal else signal, refusal)
            elif isinstance(event, Unreadable) and event.code == NoKey.code:
                await self._pass_over(event.envelope)
            elif isinstance(event, Unreadable):
                await self._keep(event.envelope, None, Refusal(event.code, event.detail))
            elif isinstance(event, NeedKey):
                self._keys_needed.append(event)
            elif isinstance(event, Resumed):
                _log.warning(
                    "feed_lost", leader=self.leader_id, seq=event.lost_from_seq, count=event.lost_count
                )
            elif isinstance(event, Rejected):
                _log.warning("feed_rejected", leader=self.leader_id, code=event.code, detail=event.detail)
            elif isinstance(event, Locked):
                await self._keep_evidence(event)
            else:
                assert isinstance(event, Beat | NeedGap)
        if self._keys_needed and not self._is_fetching:
            await self._fetch_keys()

    async def _fetch_keys(self) -> None:
        """Our key to each epoch that waits for one; what the broker does not answer is asked again later."""
        self._is_fetching = True
        try:
            while self._keys_needed and self._group_key is not None:
                epoch = self._keys_needed[0].group_epoch
                key = await self._group_key(self.leader_id, self._keys_needed[0])
                self._keys_needed.popleft()
                await self._handle(self._reader.give_key(epoch, key))
        except BusError as error:
            _log.warning("group_key_not_fetched", leader=self.leader_id, reason=str(error))
        finally:
            self._is_fetching = False

    async def _pass_over(self, envelope: Envelope) -> None:
        """A private message that the leader has not let the monitor read: its place is kept, nothing else."""
        if not self._is_sealed:
            self._is_sealed = True
            todo = "the leader lets the reports in with `relay group add monitor`"
            _log.warning("feed_is_private", leader=self.leader_id, signal_id=envelope.message_id, todo=todo)
        await self._keep(envelope, None, None)

    async def _keep_evidence(self, event: Locked) -> None:
        evidence, file = evidence_of(self.leader_id, self._reader.public_key, event), None
        if self._evidence_in is not None:
            try:
                file = await asyncio.to_thread(keep_evidence, self._evidence_in, self.leader_id, evidence)
            except OSError as error:
                _log.error("evidence_not_kept", leader=self.leader_id, reason=str(error))
        told = {"file": str(file)} if file is not None else {"evidence": evidence}
        _log.error("feed_locked", leader=self.leader_id, reason=event.reason, detail=event.detail, **told)

    async def _keep(self, envelope: Envelope, signal: Signal | None, refusal: Refusal | None) -> None:
        if refusal is not None:
            subject = subjects.feed(self.leader_id)
            _log.warning("signal_refused", signal_id=envelope.message_id, reason=refusal.reason)
            await self._store([RefusedReport(envelope.chain_hash, subject, refusal)])
        head = FeedHead(self.leader_id, envelope.epoch, envelope.seq, envelope.chain_hash)
        await self._store([FeedEntry(head, signal)])
