"""The leader's account, kept current: every fill once, positions, wallet and prices, whatever the streams do.

Belongs here: the shell around `core.signals`: streams in, REST where they broke off, one callback per step.
Does not belong here: any venue's dialect (`relay.venue`), what is published (`relay.publisher`).

Positions and wallet follow from the fills; the venue's own answers are what they are checked against: at
start, after every broken stream and every RECONCILE_INTERVAL_S. A fill is known by its id, so it may come
twice. The leverage setting is the venue's at that check; what followers are capped by is the leverage in use.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal

import structlog

from relay.core.signals import FLAT, Account, Fill, FillBatcher, Position
from relay.venue import Venue, VenueUnavailable

__all__ = ["LeaderFeed", "dump_positions", "load_positions"]

COALESCE_WINDOW_MS = 5  # fills of one order that come later are a signal of their own
RECONCILE_INTERVAL_S = 5.0  # how long a fill that a stream dropped without a word stays unseen
WALLET_SETTLE_S = 0.1  # within it a fill and the wallet after it arrive, in whatever order
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
        on_first: at the first start ever, gets the account, the recent fills that are in it and are not to
            be told, and since when fills are (venue clock).
        on_correction: gets the account when the venue's positions were not those the fills add up to.
    """

    def __init__(
        self,
        venue: Venue,
        symbols: Sequence[str],
        *,
        knows_fill: Callable[[str], bool],
        on_step: Callable[[tuple[Fill, ...], Account], None],
        on_first: Callable[[Account, Sequence[Fill], int], None],
        on_correction: Callable[[Account], None],
    ) -> None:
        self.account = Account()
        self.is_live = False
        self._venue = venue
        self._symbols = tuple(symbols)
        self._knows_fill = knows_fill
        self._on_step = on_step
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
            tasks.create_task(self._follow("quotes", self._watch_quotes), name="venue-quotes")
            await self._start(positions, newest_exec_ms)
            ready.set()
            tasks.create_task(self._keep_reconciled(), name="venue-reconcile")
            tasks.create_task(self._keep_wallet(), name="venue-wallet-refresh")

    async def _start(self, positions: Mapping[str, Position] | None, newest_exec_ms: int) -> None:
        wait_s = RETRY_WAIT_MIN_S
        while True:
            try:
                self._newest_exec_ms = newest_exec_ms or await self._venue.now_ms()
                fills, found, wallet = await self._read_consistently()
                break
            except VenueUnavailable as error:
                _log.warning("venue_unavailable", reason=str(error))
                await asyncio.sleep(wait_s)
                wait_s = min(2 * wait_s, RETRY_WAIT_MAX_S)
        await self._priced.wait()
        if positions is None:
            for fill in fills:
                self._remember(fill.fill_id)
            self.account = replace(self.account, positions=found, wallet_usdt=wallet)
            untold = [fill for fill in fills if not self._knows_fill(fill.fill_id)]
            self._on_first(self.account, untold, self._newest_exec_ms)
        else:
            self._resume(positions, fills, found, wallet)
        held, self._held = self._held or [], None
        for fill in held:
            self._take(fill)
        self._broken.clear()
        self.is_live = True

    def _resume(
        self,
        positions: Mapping[str, Position],
        fills: Sequence[Fill],
        found: Mapping[str, Position],
        wallet: Decimal,
    ) -> None:
        """From where the earlier run ended to where the venue is now, step by step."""
        missed = [fill for fill in fills if not self._knows_fill(fill.fill_id)]
        start = Account(positions=_with_leverage(positions, found))
        end = start
        for fill in missed:
            end = end.with_fill(fill)
        self.account = replace(self.account, positions=start.positions, wallet_usdt=wallet - end.wallet_usdt)
        for fill in fills:
            self._take(fill)
        self._flush_batch()
        self._adopt(found, wallet)

    async def _read_consistently(self) -> tuple[list[Fill], dict[str, Position], Decimal]:
        """Fills, positions and wallet with no fill in between. `VenueUnavailable` if trading is too busy."""
        since_ms = self._newest_exec_ms - BACKFILL_OVERLAP_MS
        self._taken_since_read.clear()
        before = await self._venue.fetch_fills(since_ms)
        for _ in range(READS_MAX):
            positions = await self._venue.fetch_positions(self._symbols)
            wallet = await self._venue.fetch_wallet()
            after = await self._venue.fetch_fills(since_ms)
            if {fill.fill_id for fill in after} == {fill.fill_id for fill in before}:
                return after, positions, wallet.balance_usdt
            before = after
        raise VenueUnavailable("venue: the account traded during every read")

    async def _keep_reconciled(self) -> None:
        while True:
            try:
                async with asyncio.timeout(RECONCILE_INTERVAL_S):
                    await self._broken.wait()
            except TimeoutError:
                pass
            self._broken.clear()
            try:
                await self._reconcile()
                self.is_live = not self._broken.is_set()
            except VenueUnavailable as error:
                _log.warning("reconcile_failed", reason=str(error))
                await asyncio.sleep(RETRY_WAIT_MIN_S)
                self._broken.set()

    async def _reconcile(self) -> None:
        fills, positions, wallet = await self._read_consistently()
        for fill in fills:
            self._take(fill)
        self._flush_batch()
        if self._taken_since_read <= {fill.fill_id for fill in fills}:
            self._adopt(positions, wallet)
        # else the stream is ahead of what was read, and the next round compares

    def _adopt(self, positions: Mapping[str, Position], wallet: Decimal) -> None:
        """Take over entry prices, leverage, wallet; a position that differs is the venue's, and is told."""
        ours = {symbol: position.qty for symbol, position in self.account.positions.items() if position.qty}
        theirs = {symbol: position.qty for symbol, position in positions.items() if position.qty}
        self.account = replace(self.account, positions=dict(positions), wallet_usdt=wallet)
        if ours != theirs:
            _log.warning("position_corrected", ours=_text(ours), venue=_text(theirs))
            self._on_correction(self.account)

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
                self.is_live = False
                self._broken.set()
                await asyncio.sleep(wait_s)
                wait_s = min(2 * wait_s, RETRY_WAIT_MAX_S)

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
        if self._taken == taken:
            self.account = replace(self.account, wallet_usdt=wallet.balance_usdt)

    async def _watch_quotes(self) -> None:
        quotes = await self._venue.watch_quotes(self._symbols)
        self.account = replace(self.account, quotes={**self.account.quotes, **quotes})
        if set(self._symbols) <= set(self.account.quotes):
            self._priced.set()

    def _take(self, fill: Fill) -> None:
        """One fill, from wherever it came; told once."""
        if fill.fill_id in self._recent or self._knows_fill(fill.fill_id):
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

    def _remember(self, fill_id: str) -> None:
        self._recent.add(fill_id)
        self._recent_order.append(fill_id)
        if len(self._recent_order) > RECENT_FILLS_MAX:
            self._recent.discard(self._recent_order.popleft())


def dump_positions(positions: Mapping[str, Position]) -> str:
    """Positions as text for the outbox, to resume from."""
    return json.dumps({symbol: [str(p.qty), str(p.entry_price)] for symbol, p in positions.items() if p.qty})


def load_positions(text: str | None) -> dict[str, Position] | None:
    """The inverse of `dump_positions`; None for None."""
    if text is None:
        return None
    rows: dict[str, tuple[str, str]] = json.loads(text)
    return {symbol: Position(Decimal(qty), Decimal(entry)) for symbol, (qty, entry) in rows.items()}


def _with_leverage(positions: Mapping[str, Position], found: Mapping[str, Position]) -> dict[str, Position]:
    symbols = positions.keys() | found.keys()
    return {s: replace(positions.get(s, FLAT), leverage=found.get(s, FLAT).leverage) for s in symbols}


def _text(quantities: Mapping[str, Decimal]) -> dict[str, str]:
    return {symbol: str(qty) for symbol, qty in quantities.items()}
