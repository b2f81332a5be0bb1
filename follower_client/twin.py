"""Notices another program that copies as this follower, on another machine or with a copy of its folder.

Belongs here: programs of one name telling one another on the bus that they run, orders of this name at the
venue that the store does not know. Does not belong here: locks of one machine (`instance`), an order that was
taken already (`order_driver`), what a pause means (`core.gates`).

A lease that rests at the venue would need an order that may be executed. The bus is there. The broker lets a
follower alone write below his inbox, but others can have answers sent there, with what their leader stored:
so a word counts if it was made with the follower's own key to the broker, and so is the address. Nobody else
can make him pause, or send him more than he can read.
"""

from __future__ import annotations

import asyncio
import hmac
import re
import secrets
import socket
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from typing import Protocol

import msgspec
import structlog

from follower_client.core.order import client_order_id
from follower_client.errors import StoreError
from follower_client.order_driver import now_ms
from follower_client.store import Store
from follower_client.venue.port import VenueFill, VenuePort
from relay.nats_bus import BusError, BusMessage, Subscription
from relay.protocol import subjects

__all__ = ["TwinWatch", "refuse_unknown_orders"]

TELL_EVERY_S = 30.0
LOOK_BACK_MS = 60_000
LOOK_BACK_MAX_MS = 7 * 86_400_000
SIGNALS_AHEAD = 2000  # of a leader: what another program may have heard since
SIGNALS_BEHIND = 200
TRIES = 4
COMMANDS_AHEAD = 50
OWN_NAME = re.compile(r"[a-z2-7]{32}")
MARK_BYTES = 32
TOKEN_CHARS = 32

log = structlog.get_logger(__name__)


class _Bus(Protocol):
    async def publish(self, subject: str, data: bytes) -> None: ...

    async def subscribe(
        self, subject: str, callback: Callable[[BusMessage], Awaitable[None]]
    ) -> Subscription: ...


class Running(msgspec.Struct, frozen=True):
    """One program that copies; of two the one that began later is to stop."""

    since_ms: int
    instance: str
    host: str = ""

    @property
    def place(self) -> tuple[int, str]:
        return self.since_ms, self.instance


class TwinWatch:
    """One follower's program. `on_twin` hears once of each other one, if this is the later of the two; `seed`
    is the nkey's, which all programs of this follower have.
    """

    def __init__(self, bus: _Bus, follower_id: str, seed: str, on_twin: Callable[[str], None]) -> None:
        self._bus = bus
        self._seed = seed.encode()
        token = hmac.digest(self._seed, b"instance " + follower_id.encode(), "sha256")
        self._subject = subjects.instance(follower_id, token.hex()[:TOKEN_CHARS])
        self._on_twin = on_twin
        self._own = Running(now_ms(), secrets.token_hex(8), socket.gethostname()[:64])
        self._known: set[str] = set()

    async def start(self) -> None:
        """Ask who runs; the answer comes while everything else starts. Raises `BusError`."""
        await self._bus.subscribe(self._subject, self._hear)
        await self.tell()

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await asyncio.sleep(TELL_EVERY_S)
            await self.tell()

    async def tell(self) -> None:
        """That this one runs; whoever cannot hear it now hears it later."""
        with suppress(BusError):
            said = msgspec.json.encode(self._own)
            await self._bus.publish(self._subject, self._mark(said) + said)

    def _mark(self, said: bytes) -> bytes:
        return hmac.digest(self._seed, self._subject.encode() + b" " + said, "sha256")

    async def _hear(self, message: BusMessage) -> None:
        mark, said = message.data[:MARK_BYTES], message.data[MARK_BYTES:]
        if not hmac.compare_digest(mark, self._mark(said)):
            return
        try:
            other = msgspec.json.decode(said, type=Running)
        except msgspec.MsgspecError:
            return
        if other.instance == self._own.instance:
            return
        if other.place > self._own.place:
            await self.tell()
        elif other.instance not in self._known:
            self._known = {other.instance}
            self._on_twin(other.host)


async def refuse_unknown_orders(
    follower_id: str, leader_ids: list[str], store: Store, port: VenuePort, commands: int
) -> None:
    """Whether the venue executed orders of this follower's names that its store has never had. Raises
    `StoreError`, `VenueUnavailableError`.
    """
    newest_ms = store.newest_order_ms()
    since_ms = max(newest_ms - LOOK_BACK_MS, now_ms() - LOOK_BACK_MAX_MS)
    unknown = {
        fill.client_order_id: fill
        for fill in await port.fetch_fills_since(since_ms)
        if OWN_NAME.fullmatch(fill.client_order_id) and not store.is_own_order(fill.client_order_id)
    }
    if not unknown:
        return
    for name in _names(follower_id, leader_ids, store, list(unknown.values()), commands):
        if (fill := unknown.get(name)) is not None:
            raise StoreError(
                f"the venue has executed an order of {follower_id} that this store has never had ({name}, "
                f"{fill.qty} {fill.symbol}): another machine copies from a copy of this folder, or an older "
                "backup was put back; next: stop the other one, or follower-client recover --force"
            )


def _names(
    follower_id: str, leader_ids: list[str], store: Store, fills: list[VenueFill], commands: int
) -> Iterator[str]:
    """What a program of this name may have called its orders since this store's last one."""
    for leader_id in leader_ids:
        head = store.head(leader_id)
        if head is not None:
            for seq in range(max(1, head.seq - SIGNALS_BEHIND), head.seq + SIGNALS_AHEAD):
                for leg in ("open", "close"):
                    for n in range(TRIES):
                        yield client_order_id(follower_id, leader_id, head.epoch, seq, leg, n)
        for symbol in sorted({fill.symbol for fill in fills}):
            for number in range(1, commands + COMMANDS_AHEAD):
                for n in range(TRIES):
                    yield client_order_id(follower_id, leader_id, 0, number, f"flatten {symbol}", n)
