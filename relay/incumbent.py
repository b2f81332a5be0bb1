"""Whether another publisher of the same leader is alive: its heartbeats are heard.

Belongs here: listening to a leader's own heartbeat subject, before a publisher speaks and while it does. Does
not belong here: what keeps two from interleaving (the fence, `nats_bus`), what is said (`publisher`).

The key alone cannot tell a copy of a publisher from the publisher. What tells is the outbox file: one that
lies where it lay when it was last used, on a machine that has not been started anew, can have no other user
(its lock says so), unless the stream has gone on without it. Any other copy listens first.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final

from nacl.signing import SigningKey

from relay.errors import Failed, TryAgain
from relay.keys import ring_of
from relay.nats_bus import Bus, BusError, BusMessage, NotPermitted
from relay.protocol import subjects
from relay.protocol.codec import decode_payload
from relay.protocol.errors import ProtocolError
from relay.protocol.looks import links_in
from relay.protocol.messages import Heartbeat, KeyLink
from relay.protocol.signing import open_with

__all__ = ["Incumbent"]

LISTEN_S: Final = 2.5  # two heartbeats, and what a busy machine adds
OWN_BEATS_KEPT: Final = 32
RETRY_WAIT_S: Final = 1.0


class Incumbent:
    """Hears a leader's heartbeats that are not our own."""

    def __init__(self, bus: Bus, leader_id: str, key: SigningKey, links: Sequence[KeyLink]) -> None:
        self._bus = bus
        self._leader_id = leader_id
        self._ring = ring_of(leader_id, key, links)
        self._own: deque[bytes] = deque(maxlen=OWN_BEATS_KEPT)
        self._heard: asyncio.Queue[Heartbeat] = asyncio.Queue(1)
        self._is_listening = False

    def note_own(self, wire: bytes) -> None:
        """A heartbeat that we are about to send."""
        self._own.append(wire)

    async def give_way(self) -> None:
        """Raise `Failed` if another publisher beats within LISTEN_S.

        Where the broker does not let leaders hear (rights of an earlier version) the fence alone keeps two
        apart.
        """
        try:
            if not await self._subscribe():
                return
        except BusError as error:
            raise TryAgain(f"broker.url: heartbeats of {self._leader_id} cannot be heard ({error})") from None
        with suppress(TimeoutError):
            async with asyncio.timeout(LISTEN_S):
                beat = await self._heard.get()
            raise Failed(
                f"leader.signing_key_file: another publisher of {self._leader_id} is running, its heartbeat "
                f"was heard (number {beat.head_seq}, {beat.mode}, version {beat.program_version}): end that "
                "one first, or replace it with --take-over"
            )

    async def watch(self, last_seq: Callable[[], int]) -> None:
        """Wait; raises `Failed` when another publisher has gone on beyond our last number. Who was frozen and
        replaced hears of it when he wakes.
        """
        while not await self._is_heard():  # noqa: ASYNC110 - a broker that answers again sets no event
            await asyncio.sleep(RETRY_WAIT_S)
        while True:
            beat = await self._heard.get()
            if beat.head_seq > last_seq():
                raise Failed(
                    f"leader.outbox: another publisher of {self._leader_id} has gone on to number "
                    f"{beat.head_seq}, this one is at {last_seq()}; the publisher stops"
                )

    async def _is_heard(self) -> bool:
        try:
            return await self._subscribe()
        except BusError:
            return False

    async def _subscribe(self) -> bool:
        if not self._is_listening:
            try:
                await self._bus.subscribe(subjects.beat(self._leader_id), self._hear)
            except NotPermitted:
                return False
            self._is_listening = True
        return True

    async def _hear(self, message: BusMessage) -> None:
        if message.data in self._own or self._heard.full():
            return
        beat = self._read(message.data)
        if beat is not None:
            self._heard.put_nowait(beat)

    def _read(self, wire: bytes) -> Heartbeat | None:
        """Signed by this leader, or nothing: anybody may have sent it."""
        try:
            self._ring.learn(links_in(wire))
            envelope = open_with(
                wire, lambda key_id, seq: self._ring.choose(key_id, seq + 1), self._leader_id
            )
            message = decode_payload(envelope.kind, envelope.payload)
        except ProtocolError:
            return None
        return message if isinstance(message, Heartbeat) else None
