"""The leader's publisher: seal, record, publish; heartbeats; the fence.

Belongs here: the order of those steps and what happens when one fails. Does not belong here: the leader's
account (`relay.feed`), the file (`relay.outbox`), the wire (`relay.protocol`).

A message is sealed and recorded the moment it is due, and sent from the outbox in order, one at a time, each
until the broker has it: a time-out is *unknown*, so the same bytes go again. The seq in the envelope is the
place in the stream, so a message that would land elsewhere is refused by the broker. If another publisher
holds that place this one stops: two never interleave.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

import structlog
from nacl.signing import SigningKey

from relay.errors import Failed, TryAgain
from relay.failpoint import Failpoints
from relay.nats_bus import Bus, BusError, BusTimeout, BusUnavailable, Fenced, NotPermitted, StreamBehind
from relay.outbox import Happened, Head, Outbox, Record
from relay.protocol import subjects
from relay.protocol.codec import Message, encode_payload, kind_of
from relay.protocol.errors import ProtocolError
from relay.protocol.messages import Heartbeat, Notice
from relay.protocol.signing import Sealed, open_envelope, seal_chained

__all__ = ["Publisher"]

UNSENT_MAX = 10_000  # sealed and recorded, not acknowledged; beyond it the program stops
HEARTBEAT_INTERVAL_S = 1.0
RESEND_WAIT_MIN_S = 0.05
RESEND_WAIT_MAX_S = 0.25
DRAIN_TIMEOUT_S = 1.5
REWIND_BATCH = 500

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Identity:
    leader_id: str
    signing_key: SigningKey
    program_version: str


class Publisher:
    """Publishes for one leader: `start`, then `record` whatever there is to say while `run` runs."""

    def __init__(
        self,
        *,
        leader_id: str,
        signing_key: SigningKey,
        outbox: Outbox,
        bus: Bus,
        program_version: str,
        is_live: Callable[[], bool] = lambda: True,
        clock_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        self._identity = _Identity(leader_id, signing_key, program_version)
        self._outbox = outbox
        self._bus = bus
        self._is_live = is_live
        self._clock_ms = clock_ms
        self._failpoints = Failpoints()
        self._head = outbox.head  # recorded
        self._stored = Head()  # acknowledged by the broker
        self._epoch = 0
        self._unsent: deque[Record] = deque()
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()

    @property
    def unsent(self) -> int:
        """Messages recorded and not yet acknowledged."""
        return len(self._unsent)

    @property
    def epoch(self) -> int:
        """This run's epoch: higher than any before it."""
        return self._epoch

    async def start(self, *, take_over: bool = False) -> None:
        """Compare outbox and stream, queue what is not acknowledged, and begin an epoch with a `started`
        notice.

        With `take_over` an empty outbox goes on after the stream's head (the old file was lost); any other
        publisher of this leader is thereby fenced. Raises `Failed` if the stream has what this outbox lacks.
        """
        await self._compare_with_stream(take_over=take_over)
        self._head = self._outbox.head
        self._rewind(self._outbox.acknowledged_seq + 1)
        now_ms = self._clock_ms()
        self._epoch = max(self._head.epoch + 1, now_ms // 1000)
        self.record(lambda _: Notice(notice="started", text="", sealed_ms=now_ms))

    def record(
        self,
        make: Callable[[str], Message],
        *,
        fills: Sequence[Happened] = (),
        state: str | None = None,
        began_ms: int | None = None,
    ) -> Record:
        """Seal and record the message that `make` builds for its id; it is sent as soon as its turn comes.

        `fills`, `state`, `began_ms` go into the outbox with it.
        """
        if len(self._unsent) >= UNSENT_MAX:
            raise Failed(f"outbox: {UNSENT_MAX} messages wait for the broker; the publisher stops")
        seq = self._head.seq + 1
        message_id = f"{self._identity.leader_id}.{self._epoch}.{seq}"
        message = make(message_id)
        sealed = self._seal(message, seq, self._head.chain_hash)
        record = Record(
            seq=seq,
            epoch=self._epoch,
            kind=kind_of(message),
            chain_hash=sealed.chain_hash,
            message_id=message_id,
            wire=sealed.wire,
            sealed_ms=self._clock_ms(),
        )
        self._outbox.append(record, fills, state, began_ms)
        self._failpoints.reach("message_recorded")
        self._head = Head(seq, sealed.chain_hash, self._epoch)
        self._unsent.append(record)
        self._idle.clear()
        self._wake.set()
        return record

    async def run(self) -> None:
        """Send and beat until cancelled. Raises `Failed` when fenced, not permitted or cut off for good."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._send_all(), name="publisher-send")
            tasks.create_task(self._beat(), name="publisher-beat")
            tasks.create_task(self._watch_bus(), name="publisher-bus")

    async def stop(self, text: str = "") -> None:
        """Say goodbye and send what is left, within DRAIN_TIMEOUT_S. `run` must still be running."""
        now_ms = self._clock_ms()
        self.record(lambda _: Notice(notice="closing", text=text, sealed_ms=now_ms))
        with suppress(TimeoutError):
            async with asyncio.timeout(DRAIN_TIMEOUT_S):
                await self._idle.wait()

    async def _compare_with_stream(self, *, take_over: bool) -> None:
        leader_id = self._identity.leader_id
        try:
            last = await self._bus.last_message(subjects.stream(leader_id), subjects.signals(leader_id))
        except NotPermitted:
            raise Failed(f"leader.id: this nkey may not publish as {leader_id}") from None
        except BusError as error:
            raise TryAgain(f"broker.url: the stream of {leader_id} cannot be read ({error})") from None
        head = self._outbox.head
        if last is None or last[0] <= head.seq:
            ours = self._outbox.records(last[0], 1) if last else []
            if last and ours and ours[0].seq == last[0] and ours[0].wire != last[1]:
                raise Failed(f"leader.outbox: number {last[0]} of the stream is another publisher's")
            self._stored_from_outbox(min(last[0] if last else 0, self._outbox.acknowledged_seq))
            return
        seq, wire = last
        if not take_over or head.seq > 0:
            raise Failed(
                f"leader.outbox: the stream of {leader_id} goes to {seq}, the outbox to {head.seq}: another "
                "publisher has this key, or the file was lost (then --take-over on an empty one is allowed)"
            )
        try:
            envelope = open_envelope(wire, self._identity.signing_key.verify_key, leader_id)
        except ProtocolError as error:
            problem = f"leader.signing_key_file: the stream's head is not signed by it ({error})"
            raise Failed(problem) from None
        self._stored = Head(envelope.seq, envelope.chain_hash, envelope.epoch)
        self._outbox.adopt(self._stored)

    def _stored_from_outbox(self, seq: int) -> None:
        """Where the heartbeat's head begins: the last message known to be in the stream."""
        if seq == self._outbox.head.seq:
            self._stored = self._outbox.head
            return
        found = self._outbox.records(seq, 1)
        if found and found[0].seq == seq:
            self._stored = Head(seq, found[0].chain_hash, found[0].epoch)

    def _rewind(self, from_seq: int) -> None:
        """Queue everything recorded from a seq on, again."""
        self._unsent.clear()
        while batch := self._outbox.records(from_seq, REWIND_BATCH):
            self._unsent.extend(batch)
            from_seq = batch[-1].seq + 1
        if self._unsent:
            self._wake.set()

    async def _send_all(self) -> None:
        wait_s = RESEND_WAIT_MIN_S
        while True:
            if not self._unsent:
                self._idle.set()
                self._wake.clear()
                await self._wake.wait()
                continue
            record = self._unsent[0]
            try:
                await self._bus.publish_signal(
                    self._identity.leader_id, record.wire, record.seq - 1, record.message_id
                )
            except (BusTimeout, BusUnavailable) as error:
                _log.warning("publish_unknown", signal_id=record.message_id, reason=str(error))
                await asyncio.sleep(wait_s)
                wait_s = min(2 * wait_s, RESEND_WAIT_MAX_S)
                continue
            except StreamBehind as error:
                self._repair(error)
                continue
            except (Fenced, NotPermitted) as error:
                raise Failed(f"{record.message_id}: {error}; the publisher stops") from None
            wait_s = RESEND_WAIT_MIN_S
            self._failpoints.reach("message_stored")
            self._unsent.popleft()
            self._outbox.acknowledge(record.seq)
            self._stored = Head(record.seq, record.chain_hash, record.epoch)
            _log.debug("published", signal_id=record.message_id, kind=record.kind)

    def _repair(self, error: StreamBehind) -> None:
        """The stream lost acknowledged messages: send them again, if the outbox still has them."""
        first = error.actual_last_seq + 1
        found = self._outbox.records(first, 1)
        if not found or found[0].seq != first:
            raise Failed(f"outbox: {error}, and the outbox no longer has number {first}")
        _log.error("stream_repaired", from_seq=first, acknowledged=error.expected_last_seq)
        self._rewind(first)

    async def _beat(self) -> None:
        leader_id = self._identity.leader_id
        while True:
            if self._stored.seq:
                wire = self._heartbeat()
                with suppress(BusUnavailable):
                    await self._bus.publish(subjects.beat(leader_id), wire)
            await asyncio.sleep(HEARTBEAT_INTERVAL_S)

    def _heartbeat(self) -> bytes:
        message = Heartbeat(
            head_seq=self._stored.seq,
            head_hash=self._stored.chain_hash,
            mode="live" if self._is_live() else "paused",
            program_version=self._identity.program_version,
            sent_ms=self._clock_ms(),
        )
        return self._seal(message, self._stored.seq, self._stored.chain_hash).wire

    def _seal(self, message: Message, seq: int, prev_hash: str) -> Sealed:
        return seal_chained(
            self._identity.signing_key,
            kind=kind_of(message),
            leader_id=self._identity.leader_id,
            epoch=self._epoch,
            seq=seq,
            prev_hash=prev_hash,
            payload=encode_payload(message),
        )

    async def _watch_bus(self) -> None:
        await self._bus.wait_closed()
        raise Failed(f"broker.url: the connection is closed ({self._bus.last_error or 'no reason given'})")
