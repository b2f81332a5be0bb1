"""How an account reaches a venue that speaks Bybit v5: calls, streams, and what may go wrong with a call.

Belongs here: the protocol that transports keep, their one error, the budget of requests. Does not belong
here: what rows mean (`v5_rows`, `v5_account`), a library (`ccxt_adapter`, `v5_adapter`).
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import math
import time
from collections import deque
from collections.abc import Mapping
from contextvars import ContextVar
from typing import Any, Protocol

__all__ = [
    "Address",
    "Budget",
    "CallError",
    "PacedTransport",
    "Room",
    "StreamListener",
    "Transport",
    "ask_sparely",
]

CALLS_MAX, CALLS_WINDOW_S = 500, 5.0  # calls of all followers behind an address; the venue bans at 600
FRAMES_MAX, FRAMES_WINDOW_S = 2400, 1.0  # on all their trade sockets; the venue refuses beyond 3000
LOOKS_MAX = 25  # of them together within a window for what a stream may have dropped, some seven calls each

Rows = list[dict[str, Any]]


class CallError(Exception):
    """A call that brought no answer that says yes.

    `code` = the venue's, empty where there was none; `http_status` likewise. `is_local` = it was never sent.
    The text holds no secret.
    """

    def __init__(self, text: str, *, code: str = "", http_status: str = "", is_local: bool = False) -> None:
        super().__init__(text)
        self.code, self.http_status, self.is_local = code, http_status, is_local


_is_spare: ContextVar[bool] = ContextVar("is_spare", default=False)


def ask_sparely() -> None:
    """What the current task reads from here on waits for everybody else's calls."""
    _is_spare.set(True)


class StreamListener(Protocol):
    """Hears the rows of the private streams as the venue sends them. Must not block."""

    def on_execution_rows(self, rows: Rows) -> None: ...

    def on_order_rows(self, rows: Rows) -> None: ...

    def on_wallet_rows(self, rows: Rows) -> None: ...

    def on_stream_back(self) -> None: ...


class Transport(Protocol):
    """One account's way to the venue. Calls raise `CallError`; nothing is sent twice by itself."""

    async def start(self) -> None: ...

    async def get(self, path: str, query: Mapping[str, Any]) -> Any: ...

    async def post(self, path: str, body: Mapping[str, Any]) -> Any: ...

    @property
    def has_socket(self) -> bool:
        """Whether an order made now leaves on a socket, which is no call."""
        ...

    async def create_order(self, body: Mapping[str, Any]) -> Any:
        """By the fastest way there is."""
        ...

    @property
    def clock_calls(self) -> int:
        """How many calls `read_clock` makes."""
        ...

    async def read_clock(self) -> tuple[int, int]:
        """(the venue's time, this machine's time) of one moment, ms."""
        ...

    def take_clock(self, ahead_ms: int) -> None:
        """The venue's clock less this machine's, as somebody else has read it."""
        ...

    async def run(self, listener: StreamListener) -> None:
        """Keep the private streams alive until cancelled."""
        ...

    async def close(self) -> None: ...


class PacedTransport:
    """A transport whose reads wait for room among the calls of everybody behind one address. What is posted
    is counted by whoever posts it (`VenuePort.reserve`).
    """

    def __init__(self, inner: Transport, budget: Budget) -> None:
        self._inner, self._budget = inner, budget
        self.start, self.post, self.create_order = inner.start, inner.post, inner.create_order
        self.run, self.close, self.take_clock = inner.run, inner.close, inner.take_clock
        self.clock_calls = inner.clock_calls

    @property
    def has_socket(self) -> bool:
        return self._inner.has_socket

    async def get(self, path: str, query: Mapping[str, Any]) -> Any:
        await self._budget.take(urgent=False, spare=_is_spare.get())
        return await self._inner.get(path, query)

    async def read_clock(self) -> tuple[int, int]:
        for _ in range(self.clock_calls):
            await self._budget.take(urgent=False)
        return await self._inner.read_clock()


class Budget:
    """So many calls within a sliding window, exits first, and a share of them for exits alone. What may wait
    as long as it must (`ask_sparely`) comes last and has at most half of them.

    One is shared by everything behind one address, one belongs to each account.
    """

    def __init__(
        self, calls_max: int, window_s: float, *, exit_share: float = 0.2, spare_share: float = 0.5
    ) -> None:
        plain_max = max(1, int(calls_max * (1 - exit_share)))
        self._most = calls_max, plain_max, max(1, min(plain_max, int(calls_max * spare_share)))
        self._window_s = window_s
        self._taken_s: deque[float] = deque()
        self._waiting: list[tuple[int, int, asyncio.Future[None]]] = []
        self._numbers = itertools.count()
        self._timer: asyncio.TimerHandle | None = None

    async def take(self, *, urgent: bool, spare: bool = False) -> None:
        """Return when the call may be made. Urgent ones overtake the others, all overtake spare ones."""
        rank = 0 if urgent else 2 if spare else 1
        if not self._waiting and self._has_room(rank):
            self._taken_s.append(time.monotonic())
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiting, (rank, next(self._numbers), turn))
        self._serve()
        await turn

    def _has_room(self, rank: int) -> bool:
        before_s = time.monotonic() - self._window_s
        while self._taken_s and self._taken_s[0] <= before_s:
            self._taken_s.popleft()
        return len(self._taken_s) < self._most[rank]

    def _serve(self) -> None:
        """Let in whoever has room, best first; come back when the oldest call leaves the window."""
        while self._waiting:
            rank, _, turn = self._waiting[0]
            if turn.done():  # its caller was cancelled
                heapq.heappop(self._waiting)
                continue
            if not self._has_room(rank):
                break
            heapq.heappop(self._waiting)
            self._taken_s.append(time.monotonic())
            turn.set_result(None)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._waiting:
            wait_s = max(0.001, self._taken_s[0] + self._window_s - time.monotonic())
            self._timer = asyncio.get_running_loop().call_later(wait_s, self._serve)


class Address:
    """What everybody behind one address shares at a venue: its limits, and its clock, which is asked once."""

    def __init__(self, calls: Budget | None = None) -> None:
        self.calls = calls or Budget(CALLS_MAX, CALLS_WINDOW_S)
        self.frames = Budget(FRAMES_MAX, FRAMES_WINDOW_S)
        self.looks = Budget(LOOKS_MAX, CALLS_WINDOW_S)
        self._reading = asyncio.Lock()
        self._read_s = -math.inf
        self._ahead_ms = 0  # of the monotonic clock: a step of this machine's changes nothing

    async def read_clock(self, transport: Transport, *, age_max_s: float) -> tuple[int, int]:
        """As a transport's; a reading that is no older than that is good for everybody."""
        async with self._reading:
            if time.monotonic() - self._read_s > age_max_s:
                venue_ms, wall_ms = await transport.read_clock()
                self._ahead_ms = venue_ms - wall_ms + _wall_ms() - _monotonic_ms()
                self._read_s = time.monotonic()
        wall_ms = _wall_ms()
        venue_ms = _monotonic_ms() + self._ahead_ms
        transport.take_clock(venue_ms - wall_ms)
        return venue_ms, wall_ms


class Room:
    """One account's room for the next order or call, within its own limit and that of its address."""

    def __init__(self, transport: Transport, own: Budget, shared: Address | None) -> None:
        self._transport, self._own, self._shared = transport, own, shared
        self._calls = 0  # that orders have room for and were not made

    async def for_order(self, *, urgent: bool) -> None:
        """One on a socket is no call: the venue counts what is sent there apart."""
        await self._own.take(urgent=urgent)
        if self._shared is None:
            return
        if self._transport.has_socket:
            await self._shared.frames.take(urgent=urgent)
        if not self._transport.has_socket:
            await self._shared.calls.take(urgent=urgent)
            self._calls += 1

    def holds(self) -> bool:
        """Whether the order that there was room for may still leave: not as a call, if its socket is gone."""
        if self._calls:
            self._calls -= 1
            return True
        return self._shared is None or self._transport.has_socket

    async def for_call(self, *, urgent: bool) -> None:
        """For whatever is posted and is no order."""
        await self._own.take(urgent=urgent)
        if self._shared is not None:
            await self._shared.calls.take(urgent=urgent)


def _wall_ms() -> int:
    return time.time_ns() // 1_000_000


def _monotonic_ms() -> int:
    return time.monotonic_ns() // 1_000_000
