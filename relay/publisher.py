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
import secrets
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal

import structlog
from nacl.signing import SigningKey

from relay.core.account import Account
from relay.errors import Failed, TryAgain
from relay.failpoint import Failpoints
from relay.incumbent import Incumbent
from relay.keys import dump_links, load_links, public_key_hex
from relay.lasting import Lasting
from relay.nats_bus import Bus, BusError, BusTimeout, BusUnavailable, Fenced, NotPermitted, StreamBehind
from relay.outbox import Happened, Head, Outbox, Record
from relay.protocol import subjects
from relay.protocol.codec import Message, kind_of
from relay.protocol.messages import Heartbeat, KeyLink, Notice
from relay.protocol.signing import key_id_of
from relay.sealing import Sealer
from relay.taking_over import RECALLED_MAX, REVOKED, head_to_adopt, recall

__all__ = ["Publisher"]

UNSENT_MAX = 10_000  # sealed and recorded, not acknowledged; beyond it the program stops
HEARTBEAT_INTERVAL_S = 1.0
RESEND_WAIT_MIN_S = 0.05
RESEND_WAIT_MAX_S = 0.25
DRAIN_TIMEOUT_S = 1.5
REWIND_BATCH = 500
HOME_FACT = "home"  # where the file lay when it was last used
LINKS_FACT = "key_links"
PAUSED_FACT = "paused"
REVOKED_FACT = "revoked"

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Identity:
    leader_id: str
    program_version: str


class Publisher:
    """Publishes for one leader: `start`, then `record` whatever there is to say while `run` runs.

    `links` lead from the leader's first key to `signing_key` where the outbox does not know them;
    `dump_state` makes an account the state that `record` is given.
    """

    def __init__(
        self,
        *,
        leader_id: str,
        signing_key: SigningKey,
        outbox: Outbox,
        bus: Bus,
        program_version: str,
        links: Sequence[KeyLink] = (),
        is_live: Callable[[], bool] = lambda: True,
        dump_state: Callable[[Account], str | None] = lambda _: None,
        clock_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        self._identity = _Identity(leader_id, program_version)
        self._sealer = Sealer(leader_id, signing_key, load_links(outbox.fact(LINKS_FACT)) or links)
        self._incumbent = Incumbent(bus, leader_id, signing_key, self._sealer.links)
        self._outbox = outbox
        self._bus = bus
        self._is_live = is_live
        self._dump_state = dump_state
        self._clock_ms = clock_ms
        self._failpoints = Failpoints()
        self._head = outbox.head  # recorded
        self._stored = Head()  # acknowledged by the broker
        self._epoch = 0
        self._beat_ms = 0
        self._last_word = 0  # seq of the notice that revokes the key
        self._unsent: deque[Record] = deque()
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()
        self._unknown = Lasting("publish_unknown", "publish_settled")

    @property
    def unsent(self) -> int:
        """Messages recorded and not yet acknowledged."""
        return len(self._unsent)

    @property
    def is_paused(self) -> bool:
        """Whether the leader has told his followers to open nothing."""
        return bool(self._outbox.fact(PAUSED_FACT))

    @property
    def public_key(self) -> str:
        """The key that signs the next message, 64 hex digits."""
        return public_key_hex(self._sealer.newest_key)

    @property
    def links(self) -> list[KeyLink]:
        """The rotations so far."""
        return self._sealer.links

    @property
    def epoch(self) -> int:
        """This run's epoch: higher than any before it."""
        return self._epoch

    async def start(self, *, take_over: bool = False) -> None:
        """Compare outbox and stream, queue what is not acknowledged, and begin an epoch with a `started`
        notice.

        With `take_over` an empty outbox goes on after the stream's head (the old file was lost), and any
        other publisher is fenced. Raises `Failed` if the stream has what this outbox lacks, or if another
        publisher is heard.
        """
        if self._outbox.fact(REVOKED_FACT):
            raise Failed(REVOKED)
        is_begun = await self._compare_with_stream(take_over=take_over)
        home = self._outbox.home
        if is_begun and not take_over and (home is None or home != self._outbox.fact(HOME_FACT)):
            await self._incumbent.give_way()
        self._head = self._outbox.head
        self._rewind(self._outbox.acknowledged_seq + 1)
        now_ms, run = self._clock_ms(), secrets.token_hex(8)
        self._epoch = max(self._head.epoch + 1, now_ms // 1000)
        self.record(
            lambda _: Notice(notice="started", text="", sealed_ms=now_ms, run=run),
            facts={HOME_FACT: home or ""},
        )

    def record(
        self,
        make: Callable[[str], Message],
        *,
        fills: Sequence[Happened] = (),
        state: str | None = None,
        began_ms: int | None = None,
        facts: Mapping[str, str] | None = None,
    ) -> Record:
        """Seal and record the message that `make` builds for its id; it is sent as soon as its turn comes.

        `fills`, `state`, `began_ms`, `facts` go into the outbox with it.
        """
        if self._last_word:
            raise Failed(REVOKED)
        if len(self._unsent) >= UNSENT_MAX:
            raise Failed(f"outbox: {UNSENT_MAX} messages wait for the broker; the publisher stops")
        seq = self._head.seq + 1
        message_id = f"{self._identity.leader_id}.{self._epoch}.{seq}"
        message = make(message_id)
        sealed = self._sealer.seal(message, self._epoch, seq, self._head.chain_hash)
        record = Record(
            seq=seq,
            epoch=self._epoch,
            kind=kind_of(message),
            chain_hash=sealed.chain_hash,
            message_id=message_id,
            wire=sealed.wire,
            sealed_ms=self._clock_ms(),
        )
        self._outbox.append(record, fills, state, began_ms, facts)
        self._failpoints.reach("message_recorded")
        self._head = Head(seq, sealed.chain_hash, self._epoch)
        self._unsent.append(record)
        self._idle.clear()
        self._wake.set()
        return record

    def set_paused(self, paused: bool, text: str = "") -> Record:
        """Tell followers to open nothing, or that they may again; holds across restarts."""
        now_ms = self._clock_ms()
        notice: Literal["paused", "resumed"] = "paused" if paused else "resumed"
        return self.record(
            lambda _: Notice(notice=notice, text=text, sealed_ms=now_ms),
            facts={PAUSED_FACT: "1" if paused else ""},
        )

    def seal_for(self, group_epoch: int, key: bytes, *, root: str, count: int) -> Record:
        """From the message after this notice on, what members alone may read is sealed with this key."""
        now_ms = self._clock_ms()
        record = self.record(
            lambda _: Notice(
                notice="group_epoch",
                text="",
                sealed_ms=now_ms,
                group_epoch=group_epoch,
                keys_root=root,
                keys_count=count,
            )
        )
        self.go_on_sealing(group_epoch, key)
        return record

    def go_on_sealing(self, group_epoch: int, key: bytes) -> None:
        """As after `seal_for` in an earlier run."""
        self._sealer.seal_for(group_epoch, key)

    def rotate(self, new_key: SigningKey) -> Record:
        """Pass the word on: the notice is the old key's last message, everything after it the new one's.

        The new key must be in its file already. Raises `Failed` after KEY_LINKS_MAX rotations.
        """
        link, now_ms = self._sealer.link_to(new_key, self._head.seq + 2), self._clock_ms()
        record = self.record(
            lambda _: Notice(notice="key_rotation", text="", sealed_ms=now_ms, link=link),
            facts={LINKS_FACT: dump_links([*self.links, link]), "key_id": key_id_of(new_key.verify_key)},
        )
        self._sealer.rotate(link, new_key)
        return record

    def revoke_key(self, text: str) -> Record:
        """The last thing this key ever says; who hears it believes it no more."""
        now_ms = self._clock_ms()
        record = self.record(
            lambda _: Notice(notice="key_revoked", text=text, sealed_ms=now_ms), facts={REVOKED_FACT: "1"}
        )
        self._last_word = record.seq
        return record

    async def run(self) -> None:
        """Send and beat until cancelled. Raises `Failed` when fenced, not permitted or cut off for good."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._send_all(), name="publisher-send")
            tasks.create_task(self._beat(), name="publisher-beat")
            tasks.create_task(self._watch_bus(), name="publisher-bus")
            tasks.create_task(self._incumbent.watch(lambda: self._head.seq), name="publisher-others")

    async def stop(self, text: str = "") -> None:
        """Say goodbye and send what is left, within DRAIN_TIMEOUT_S. `run` must still be running."""
        now_ms = self._clock_ms()
        self.record(lambda _: Notice(notice="closing", text=text, sealed_ms=now_ms))
        await self.drain()

    async def drain(self) -> bool:
        """Whether all that was recorded is stored, within DRAIN_TIMEOUT_S."""
        with suppress(TimeoutError):
            async with asyncio.timeout(DRAIN_TIMEOUT_S):
                await self._idle.wait()
        return not self._unsent

    async def _compare_with_stream(self, *, take_over: bool) -> bool:
        """Whether there is anything in the stream."""
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
            return last is not None
        seq, wire = last
        if not take_over or head.seq > 0:
            raise Failed(
                f"leader.outbox: the stream of {leader_id} goes to {seq}, the outbox to {head.seq}: another "
                "publisher has this key, or the file was lost (then --take-over on an empty one is allowed)"
            )
        self._stored = head_to_adopt(wire, leader_id, self._sealer.newest_key, self.links)
        await self._adopt(seq)
        return True

    async def _adopt(self, seq: int) -> None:
        """Begin an outbox anew behind this message, knowing what the stream still tells."""
        leader_id, first = self._identity.leader_id, max(1, seq - RECALLED_MAX + 1)
        try:
            rows = await self._bus.fetch_range(subjects.stream(leader_id), first, seq - first + 1)
        except BusError as error:
            raise TryAgain(f"broker.url: the stream of {leader_id} cannot be read ({error})") from None
        found = recall(rows, leader_id, self._sealer.newest_key, self.links, self._sealer.group_keys)
        state = None if found.account is None else self._dump_state(found.account)
        facts = {"began_ms": str(found.since_ms), PAUSED_FACT: "1" if found.is_paused else ""}
        self._outbox.adopt(self._stored, found.events, state, facts)

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
                self._unknown.failed(time.monotonic(), str(error), signal_id=record.message_id)
                await asyncio.sleep(wait_s)
                wait_s = min(2 * wait_s, RESEND_WAIT_MAX_S)
                continue
            except StreamBehind as error:
                self._repair(error)
                continue
            except (Fenced, NotPermitted) as error:
                raise Failed(f"{record.message_id}: {error}; the publisher stops") from None
            wait_s = RESEND_WAIT_MIN_S
            self._unknown.ended(time.monotonic())
            self._failpoints.reach("message_stored")
            self._unsent.popleft()
            self._outbox.acknowledge(record.seq)
            self._stored = Head(record.seq, record.chain_hash, record.epoch)
            _log.debug("published", signal_id=record.message_id, kind=record.kind)
            if record.seq == self._last_word:
                self._idle.set()
                raise Failed(REVOKED)

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
            is_ours = self._stored.epoch == self._epoch  # before that another one may still win the place
            if is_ours and self._stored.seq + 1 >= self._sealer.first_seq:
                wire = self._heartbeat()
                self._incumbent.note_own(wire)
                with suppress(BusUnavailable):
                    await self._bus.publish(subjects.beat(leader_id), wire)
            await asyncio.sleep(HEARTBEAT_INTERVAL_S if is_ours else RESEND_WAIT_MIN_S)

    def _heartbeat(self) -> bytes:
        message = Heartbeat(
            head_seq=self._stored.seq,
            head_hash=self._stored.chain_hash,
            mode="live" if self._is_live() and not self.is_paused else "paused",
            program_version=self._identity.program_version,
            sent_ms=self._next_beat_ms(),
            keys=self.links,
        )
        key = self._sealer.key_for(self._stored.seq + 1)  # who would sign what comes next
        head = self._stored
        return self._sealer.seal(message, self._epoch, head.seq, head.chain_hash, key).wire

    def _next_beat_ms(self) -> int:
        """Never less than the last: a clock that was set back is no reason to be taken for silent."""
        self._beat_ms = max(self._clock_ms(), self._beat_ms + 1)
        return self._beat_ms

    async def _watch_bus(self) -> None:
        await self._bus.wait_closed()
        raise Failed(f"broker.url: the connection is closed ({self._bus.last_error or 'no reason given'})")
