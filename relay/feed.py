"""The leader's account, kept current: every fill once, positions, wallet and prices, whatever the streams do.

Belongs here: the shell around `core.signals`: streams in, REST where they broke off, one callback per step.
Does not belong here: any venue's dialect (`relay.venue`), what is published (`relay.publisher`).

Positions and wallet follow from the fills; the venue's own answers are what they are checked against: at
start, after every broken stream and every RECONCILE_INTERVAL_S. A fill is known by its id, so it may come
twice. What moves the wallet alone (funding, deposits, withdrawals) is read from the venue's log, at once
when the wallet moves without a fill. Settings of positions (leverage, take-profit, stop-loss) are the
venue's; what followers are capped by is the leverage in use.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from decimal import Decimal

import structlog

from relay.core.account import FLAT, Account, Fill, Position, WalletEvent
from relay.core.positions import quantities, quantities_text, settings_of, with_leverage_of
from relay.core.signals import FillBatcher
from relay.venue import Venue, VenueUnavailable

__all__ = ["LeaderFeed"]

COALESCE_WINDOW_MS = 5  # fills of one order that come later are a signal of their own
RECONCILE_INTERVAL_S = 5.0  # how long a fill that a stream dropped without a word stays unseen
WALLET_SETTLE_S = 0.1  # within it a fill and the wallet after it arrive, in whatever order
WALLET_TOLERANCE_USDT = Decimal("0.01")  # rounding of what fills add up to
WALLET_REFRESH_S = 1.0  # after a fill: the wallet as the venue has it
BACKFILL_OVERLAP_MS = 10_000
READS_MAX = 3  # tries to read fills and positions that belong together
RETRY_WAIT_MIN_S = 0.2
RETRY_WAIT_MAX_S = 5.0
RECENT_FILLS_MAX = 10_000

_log = structlog.get_logger(__name__)


class LeaderFeed:
    """Follows one account.

    Args:
        venue: where the account is.
        symbols: those whose fills are told; prices are kept for them.
        knows_fill: whether a fill was told by an earlier run.
        on_step: gets the fills of one step and the account after it. Must not wait.
        on_event: gets funding or a cash flow, and the account after it.
        on_first: at the first start ever, gets the account, what has happened lately that is in it and is not
            to be told, and since when things are (venue clock).
        on_correction: gets the account when the venue's positions were not those the fills add up to, or
            their settings were changed.
    """

    def __init__(
        self,
        venue: Venue,
        symbols: Sequence[str],
        *,
        knows_fill: Callable[[str], bool],
        on_step: Callable[[tuple[Fill, ...], Account], None],
        on_event: Callable[[WalletEvent, Account], None],
        on_first: Callable[[Account, Sequence[Fill | WalletEvent], int], None],
        on_correction: Callable[[Account], None],
    ) -> None:
        self.account = Account()
        self.is_live = False
        self._venue = venue
        self._symbols = tuple(symbols)
        self._knows_fill = knows_fill
        self._on_step = on_step
        self._on_event = on_event
        self._on_first = on_first
        self._on_correction = on_correction
        self._batcher = FillBatcher(COALESCE_WINDOW_MS)
        self._flush: asyncio.TimerHandle | None = None
        self._recent: set[str] = set()
        self._recent_order: deque[str] = deque()
        self._taken_since_read: set[str] = set()
        self._held: list[Fill] | None = []  # what the stream brings while the start is still reading
        self._newest_exec_ms = 0
        self._taken = 0  # fills since the start
        self._broken = asyncio.Event()
        self._look = asyncio.Event()  # something to be read now and not at the next interval
        self._traded = asyncio.Event()
        self._priced = asyncio.Event()

    async def run(
        self,
        ready: asyncio.Event,
        *,
        positions: Mapping[str, Position] | None,
        newest_exec_ms: int,
    ) -> None:
        """Follow the account until cancelled; sets `ready` when it is current.

        `positions` and `newest_exec_ms` are where an earlier run ended: what was filled since is told first.
        None = nothing is known: begin with what the venue says. Raises `ConfigurationError` if the venue
        refuses the key or the account is not usable.
        """
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._follow("fills", self._watch_fills), name="venue-fills")
            tasks.create_task(self._follow("wallet", self._watch_wallet), name="venue-wallet")
            tasks.create_task(self._follow("positions", self._watch_positions), name="venue-positions")
            tasks.create_task(self._follow("quotes", self._watch_quotes), name="venue-quotes")
            tasks.create_task(self._follow("orders", self._watch_orders), name="venue-orders")
            await self._start(positions, newest_exec_ms)
            ready.set()
            tasks.create_task(self._keep_reconciled(), name="venue-reconcile")
            tasks.create_task(self._keep_wallet(), name="venue-wallet-refresh")

    async def _start(self, positions: Mapping[str, Position] | None, newest_exec_ms: int) -> None:
        wait_s = RETRY_WAIT_MIN_S
        while True:
            try:
                self._newest_exec_ms = newest_exec_ms or await self._venue.now_ms()
                read = await self._read_consistently()
                break
            except VenueUnavailable as error:
                _log.warning("venue_unavailable", reason=str(error))
                await asyncio.sleep(wait_s)
                wait_s = min(2 * wait_s, RETRY_WAIT_MAX_S)
        await self._priced.wait()
        if positions is None:
            happened: list[Fill | WalletEvent] = [*read.fills, *read.events]
            for one in happened:
                self._remember(one.event_id)
            self.account = replace(self.account, positions=read.positions, wallet_usdt=read.wallet_usdt)
            untold = [one for one in happened if not self._knows_fill(one.event_id)]
            self._on_first(self.account, untold, self._newest_exec_ms)
        else:
            self._resume(positions, read)
        held, self._held = self._held or [], None
        for fill in held:
            self._take(fill)
        self._broken.clear()
        self.is_live = True

    def _resume(self, positions: Mapping[str, Position], read: _Reading) -> None:
        """From where the earlier run ended to where the venue is now, step by step."""
        missed = [fill for fill in read.fills if not self._knows_fill(fill.fill_id)]
        start = Account(positions=with_leverage_of(positions, read.positions))
        end = start
        for fill in missed:
            end = end.with_fill(fill)
        wallet = read.wallet_usdt - end.wallet_usdt
        self.account = replace(self.account, positions=start.positions, wallet_usdt=wallet)
        for fill in read.fills:
            self._take(fill)
        self._flush_batch()
        self._take_events(read)
        self._adopt(read.positions, read.wallet_usdt)

    async def _read_consistently(self) -> _Reading:
        """Fills, positions, wallet and its events with no fill in between. `VenueUnavailable` if trading is
        too busy.
        """
        since_ms = self._newest_exec_ms - BACKFILL_OVERLAP_MS
        self._taken_since_read.clear()
        before = await self._venue.fetch_fills(since_ms)
        for _ in range(READS_MAX):
            positions = await self._venue.fetch_positions(self._symbols)
            events = await self._venue.fetch_wallet_events(since_ms)
            wallet = await self._venue.fetch_wallet()
            after = await self._venue.fetch_fills(since_ms)
            if {fill.fill_id for fill in after} == {fill.fill_id for fill in before}:
                return _Reading(after, positions, wallet.balance_usdt, events)
            before = after
        raise VenueUnavailable("venue: the account traded during every read")

    async def _keep_reconciled(self) -> None:
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(RECONCILE_INTERVAL_S):
                    await self._look.wait()
            self._broken.clear()
            self._look.clear()
            try:
                await self._reconcile()
                self.is_live = not self._broken.is_set()
            except VenueUnavailable as error:
                _log.warning("reconcile_failed", reason=str(error))
                self._note_broken()
            await asyncio.sleep(RETRY_WAIT_MIN_S)

    async def _reconcile(self) -> None:
        read = await self._read_consistently()
        for fill in read.fills:
            self._take(fill)
        self._flush_batch()
        if self._taken_since_read <= {fill.fill_id for fill in read.fills}:
            self._take_events(read)
            self._adopt(read.positions, read.wallet_usdt)
        # else the stream is ahead of what was read, and the next round compares

    def _adopt(self, positions: Mapping[str, Position], wallet: Decimal) -> None:
        """Take over entry prices, leverage, wallet; a position that differs is the venue's, and is told."""
        before = self.account.positions
        self.account = replace(self.account, positions=dict(positions), wallet_usdt=wallet)
        ours, theirs = quantities(before), quantities(positions)
        if ours != theirs:
            _log.warning("position_corrected", ours=quantities_text(ours), venue=quantities_text(theirs))
            self._on_correction(self.account)
        elif any(settings_of(before.get(s, FLAT)) != settings_of(positions.get(s, FLAT)) for s in theirs):
            self._on_correction(self.account)

    def _take_events(self, read: _Reading) -> None:
        """Funding and cash flows that are not told yet; the wallet was read after all of them."""
        new = [event for event in read.events if not self._is_told(event.event_id)]
        account = replace(
            self.account, wallet_usdt=read.wallet_usdt - sum((event.amount for event in new), Decimal(0))
        )
        for event in new:
            self._remember(event.event_id)
            self._newest_exec_ms = max(self._newest_exec_ms, event.exec_ms)
            account = account.with_event(event)
            self.account = account
            self._on_event(event, account)

    async def _keep_wallet(self) -> None:
        while True:
            await self._traded.wait()
            self._traded.clear()
            await asyncio.sleep(WALLET_REFRESH_S)
            try:
                wallet = await self._venue.fetch_wallet()
            except VenueUnavailable as error:
                _log.warning("wallet_refresh_failed", reason=str(error))
                continue
            if not self._traded.is_set():
                self.account = replace(self.account, wallet_usdt=wallet.balance_usdt)

    async def _follow(self, name: str, watch: Callable[[], Awaitable[None]]) -> None:
        """Keep one stream going; a break makes the account not live until it is reconciled."""
        wait_s = RETRY_WAIT_MIN_S
        while True:
            try:
                await watch()
                wait_s = RETRY_WAIT_MIN_S
            except VenueUnavailable as error:
                _log.warning("stream_broken", stream=name, reason=str(error))
                self._note_broken()
                await asyncio.sleep(wait_s)
                wait_s = min(2 * wait_s, RETRY_WAIT_MAX_S)

    def _note_broken(self) -> None:
        self.is_live = False
        self._broken.set()
        self._look.set()

    async def _watch_fills(self) -> None:
        for fill in await self._venue.watch_fills():
            if self._held is not None:
                self._held.append(fill)
            else:
                self._take(fill)

    async def _watch_wallet(self) -> None:
        """What no fill explains, like a deposit. After a fill the account has its own sum, then REST's."""
        wallet = await self._venue.watch_wallet()
        taken = self._taken
        await asyncio.sleep(WALLET_SETTLE_S)
        if self._taken != taken:
            return
        if abs(wallet.balance_usdt - self.account.wallet_usdt) > WALLET_TOLERANCE_USDT:
            self._look.set()  # the log knows why
        self.account = replace(self.account, wallet_usdt=wallet.balance_usdt)

    async def _watch_positions(self) -> None:
        """Settings that were changed by hand; quantities are told by fills."""
        self._take_settings(await self._venue.watch_positions(self._symbols))

    def _take_settings(self, changed: Mapping[str, Position]) -> None:
        before = self.account.positions
        same = {
            symbol: replace(found, entry_price=before.get(symbol, FLAT).entry_price)
            for symbol, found in changed.items()
            if quantities({symbol: found}) == quantities({symbol: before.get(symbol, FLAT)})
            and settings_of(found) != settings_of(before.get(symbol, FLAT))
        }
        if same and self._held is None:
            self.account = replace(self.account, positions={**before, **same})
            self._on_correction(self.account)

    async def _watch_orders(self) -> None:
        """Take-profits and stop-losses that are orders: read with the positions they belong to."""
        await self._venue.watch_orders()
        if self._held is None:
            self._take_settings(await self._venue.fetch_positions(self._symbols))

    async def _watch_quotes(self) -> None:
        quotes = await self._venue.watch_quotes(self._symbols)
        self.account = replace(self.account, quotes={**self.account.quotes, **quotes})
        if set(self._symbols) <= set(self.account.quotes):
            self._priced.set()

    def _take(self, fill: Fill) -> None:
        """One fill, from wherever it came; told once."""
        if self._is_told(fill.fill_id):
            return
        self._remember(fill.fill_id)
        self._taken_since_read.add(fill.fill_id)
        self._taken += 1
        self._newest_exec_ms = max(self._newest_exec_ms, fill.exec_ms)
        for batch in self._batcher.add(fill):
            self._step(batch)
        if self._flush:
            self._flush.cancel()
            self._flush = None
        if self._batcher.is_open:
            wait_s = max(0, self._batcher.due_ms - time.time_ns() // 1_000_000) / 1000
            self._flush = asyncio.get_running_loop().call_later(wait_s, self._flush_batch)

    def _flush_batch(self) -> None:
        if self._flush:
            self._flush.cancel()
            self._flush = None
        for batch in self._batcher.flush():
            self._step(batch)

    def _step(self, fills: tuple[Fill, ...]) -> None:
        for fill in fills:
            self.account = self.account.with_fill(fill)
        self._traded.set()
        if fills[0].symbol not in self._symbols:
            _log.warning("symbol_not_published", symbol=fills[0].symbol, fill_id=fills[0].fill_id)
            return
        self._on_step(fills, self.account)

    def _is_told(self, event_id: str) -> bool:
        return event_id in self._recent or self._knows_fill(event_id)

    def _remember(self, event_id: str) -> None:
        self._recent.add(event_id)
        self._recent_order.append(event_id)
        if len(self._recent_order) > RECENT_FILLS_MAX:
            self._recent.discard(self._recent_order.popleft())


@dataclass(frozen=True, slots=True)
class _Reading:
    """What REST says, all of one moment."""

    fills: list[Fill]
    positions: dict[str, Position]
    wallet_usdt: Decimal
    events: list[WalletEvent]
