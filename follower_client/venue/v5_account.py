"""The venue port at a venue that speaks Bybit v5, over any transport.

Belongs here: orders, stops, streams, and what the streams may have dropped. Does not belong here: how a call
travels (`transport`, the adapters), what a code means (`outcomes`), one row (`v5_rows`), what the account
holds (`v5_holdings`), folding fills (`account`), prices (`market_data`).

Reads are retried by whoever asks; an order call is sent once and its ending reported.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import OrderedDict
from contextlib import suppress
from decimal import ROUND_CEILING, Decimal
from typing import Any

import structlog

from follower_client.core.snapshot import Instrument
from follower_client.core.stops import Stops
from follower_client.errors import ConfigurationError, TryAgainError, VenueUnavailableError
from follower_client.venue.key_rights import KeyRights
from follower_client.venue.market_data import MarketData
from follower_client.venue.outcomes import CLOCK_REFUSED, KEY_REFUSED, NOT_CHANGED, ending_of
from follower_client.venue.port import (
    Ending,
    OpenOrder,
    OrderRequest,
    SubmitResult,
    VenueFill,
    VenueListener,
    VenueOrder,
)
from follower_client.venue.transport import (
    Address,
    Budget,
    CallError,
    PacedTransport,
    Room,
    Rows,
    Transport,
    ask_sparely,
)
from follower_client.venue.v5_holdings import V5Holdings
from follower_client.venue.v5_reads import KEY_WANTED, Reads
from follower_client.venue.v5_rows import (
    LONG_LEG,
    SHORT_LEG,
    fill_of,
    open_order_of,
    order_body,
    order_of,
    part_stop_body,
    stops_body,
)

__all__ = ["ORDERS_PER_S", "RECV_WINDOW_MS", "V5Account"]

RECV_WINDOW_MS = 2000
ORDERS_PER_S = 10  # of one account, by the venue's rule
BACKFILL_S = 3.0  # how often executions and positions are compared over REST
BACKFILL_OVERLAP_MS = 5000
CLOCK_EVERY_S = 60.0
CLOCK_AGAIN_S = 1.0  # who doubts it takes somebody else's reading of no longer ago
QUIET_S = 1.0  # a position of the stream is believed against own fills after this long without one
SETTLE_S = 0.02  # lets the fills of one burst be applied before the wallet row that includes them
SETTLE_TURNS_MAX = 25  # fills that go on for longer than so many of these wait for no wallet row
SEEN_FILLS_MAX = 20_000
START_READS_MAX = 5
LEVERAGE_HEADROOM = Decimal("1.25")
DISCONNECT_WINDOW_S = 10
FLOWS_EVERY_S = 60.0
LEG_REFUSED = "10001"  # among other things: the position mode is another than the order's
HISTORY_WINDOW_MS = 7 * 86_400_000  # the longest span of executions that the venue tells at once

log = structlog.get_logger(__name__)


class V5Account:
    """One account. `shared` = what it shares with everybody behind the same address."""

    paper = False
    recv_window_ms = RECV_WINDOW_MS

    def __init__(
        self,
        transport: Transport,
        market_data: MarketData,
        instruments: dict[str, Instrument],
        *,
        leverage_max: Decimal,
        orders_per_s: int = ORDERS_PER_S,
        shared: Address | None = None,
    ) -> None:
        if shared is not None:
            transport = PacedTransport(transport, shared.calls)
        self._address = shared
        self.account = market_data.account(instruments)
        self._transport = transport
        self._reads = Reads(transport)
        self._leverage_max = leverage_max
        self._room = Room(transport, Budget(orders_per_s, 1.0), shared)
        self._listener: VenueListener | None = None
        self._seen: OrderedDict[str, None] = OrderedDict()
        self._since_ms = 0
        self._floor_ms = 0  # the positions read at the start include every execution before it
        self._ids = {symbol: one.venue_symbol for symbol, one in instruments.items()}
        self._symbols = {name: symbol for symbol, name in self._ids.items()}
        self._holdings = V5Holdings(self.account, self._reads, self._ids)
        self._modes_known = True
        self._flows_s = 0.0
        self._look = asyncio.Event()
        self._clock_s = 0.0
        self._wallet_rows: Rows = []
        self._settling: asyncio.Task[None] | None = None

    # --- life

    async def start(self, listener: VenueListener) -> None:
        self._listener = listener
        try:
            await self._transport.start()
            await self._read_clock(CLOCK_EVERY_S / 2)
            self._floor_ms = self._since_ms = self.account.venue_ms() - BACKFILL_OVERLAP_MS
            for symbol in self.account.instruments:
                await self._set_leverage(symbol)
            await self._holdings.read_modes()
            await self._holdings.read_wallet()
            await self._holdings.read_flows()
            rows = await self._first_positions()
        except (CallError, VenueUnavailableError) as error:
            if isinstance(error, CallError) and error.code in KEY_REFUSED:
                raise ConfigurationError([f"{KEY_WANTED} ({error})"]) from None
            raise TryAgainError(f"venue: the account cannot be read ({error})") from None
        self._holdings.adopt(rows, math.inf)
        await self._room.for_call(urgent=False)
        try:  # not every account may have it; orders here never rest, so it is a spare
            body = {"product": "DERIVATIVES", "timeWindow": DISCONNECT_WINDOW_S}
            await self._transport.post("/v5/order/disconnected-cancel-all", body)
        except CallError as error:
            log.warning("no_disconnect_protection", error=str(error))

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._transport.run(self))
            group.create_task(self._backfill_loop())

    async def close(self) -> None:
        with suppress(Exception):
            await self._transport.close()

    async def fetch_key(self) -> KeyRights:
        return await self._reads.key()

    # --- orders

    async def reserve(self, *, urgent: bool) -> None:
        await self._room.for_order(urgent=urgent)

    async def submit(self, request: OrderRequest) -> SubmitResult:
        hedged = request.symbol in self.account.legs
        body = order_body(self._ids[request.symbol], request, hedged=hedged)
        if not self._room.holds():
            return SubmitResult(Ending.REFUSED, None, "", "the socket is gone that this was to leave on")
        try:
            answer = await self._transport.create_order(body)
        except CallError as error:
            return await self._ending(error)
        result = answer.get("result") if isinstance(answer, dict) else None
        order_id = result.get("orderId") if isinstance(result, dict) else None
        if order_id and (request.stop_loss is not None or request.take_profit is not None):
            self.account.stops[request.symbol] = Stops(request.stop_loss, request.take_profit)
        return SubmitResult(Ending.ACCEPTED if order_id else Ending.UNKNOWN, order_id)

    async def set_stops(self, symbol: str, stops: Stops) -> SubmitResult:
        await self._room.for_call(urgent=True)
        leg = 0
        if symbol in self.account.legs:
            leg = LONG_LEG if self.account.holdings[symbol].qty > 0 else SHORT_LEG
        try:
            await self._transport.post("/v5/position/trading-stop", stops_body(self._ids[symbol], stops, leg))
        except CallError as error:
            if error.code not in NOT_CHANGED:
                return await self._ending(error)
        self.account.stops[symbol] = stops
        return SubmitResult(Ending.ACCEPTED)

    async def add_part_stop(
        self, symbol: str, *, is_long: bool, qty: Decimal, price: Decimal
    ) -> SubmitResult:
        await self._room.for_call(urgent=True)
        leg = (LONG_LEG if is_long else SHORT_LEG) if symbol in self.account.legs else 0
        body = part_stop_body(self._ids[symbol], qty, price, leg)
        try:
            await self._transport.post("/v5/position/trading-stop", body)
        except CallError as error:
            return await self._ending(error)
        return SubmitResult(Ending.ACCEPTED)

    async def cancel(self, order: OpenOrder) -> SubmitResult:
        await self._room.for_call(urgent=True)
        body = {"category": "linear", "symbol": self._ids[order.symbol], "orderId": order.order_id}
        try:
            await self._transport.post("/v5/order/cancel", body)
        except CallError as error:
            if error.code != "110001":  # gone already
                return await self._ending(error)
        return SubmitResult(Ending.ACCEPTED, order.order_id)

    async def open_orders(self) -> list[OpenOrder]:
        query = {"category": "linear", "settleCoin": "USDT", "openOnly": 0, "limit": 50}
        rows = await self._reads.pages("open orders", "/v5/order/realtime", query)
        found = [open_order_of(row, self._symbols) for row in rows]
        return [order for order in found if order is not None]

    async def fetch_by_client_id(self, symbol: str, client_order_id: str) -> VenueOrder | None:
        query = {"category": "linear", "symbol": self._ids[symbol], "orderLinkId": client_order_id}
        for path in ("/v5/order/realtime", "/v5/order/history"):
            for row in (await self._reads.one("order query", path, query))["list"]:
                if row["orderLinkId"] == client_order_id:
                    return order_of(row)
        return None

    async def fetch_fills(self, symbol: str, order_id: str) -> list[VenueFill]:
        fills = [fill for fill in await self._executions(orderId=order_id) if fill.order_id == order_id]
        for fill in fills:
            self._hear_fill(fill)
        return fills

    async def fetch_fills_since(self, since_ms: int) -> list[VenueFill]:
        found, now_ms = [], self.account.venue_ms()
        for begin in range(since_ms, now_ms + 1, HISTORY_WINDOW_MS):
            end = min(begin + HISTORY_WINDOW_MS - 1, now_ms + 1000)
            found += await self._executions(startTime=begin, endTime=end)
        return found

    async def fetch_positions(self) -> dict[str, Decimal]:
        await self._compare()
        return self.account.positions()

    async def _ending(self, error: CallError) -> SubmitResult:
        if error.is_local:
            return SubmitResult(Ending.REJECTED, None, "local", str(error))
        if error.code == CLOCK_REFUSED:
            with suppress(CallError):
                await self._read_clock()
        if error.code == LEG_REFUSED:
            self._modes_known = False
            self._look.set()
        return SubmitResult(
            ending_of(error.code, http_status=error.http_status), None, error.code, str(error)
        )

    # --- streams

    def on_execution_rows(self, rows: Rows) -> None:
        for row in rows:
            fill = fill_of(row, self._symbols)
            if fill is not None:
                self._hear_fill(fill)

    def on_order_rows(self, rows: Rows) -> None:
        for row in rows:
            if self._listener is not None and row.get("orderLinkId"):
                self._listener.on_order(order_of(row))

    def on_wallet_rows(self, rows: Rows) -> None:
        self._wallet_rows = rows
        if self._settling is None or self._settling.done():
            self._settling = asyncio.create_task(self._settle_wallet())

    def on_stream_back(self) -> None:
        self._look.set()

    async def _settle_wallet(self) -> None:
        """The newest rows, once the fills around them are over: what a row says is compared with what fills
        have made of the balance, and while they come the one is always ahead of the other.
        """
        for _ in range(SETTLE_TURNS_MAX):
            await asyncio.sleep(SETTLE_S)
            if time.monotonic() - self._holdings.newest_fill_s > SETTLE_S:
                break
        for row in self._wallet_rows:
            if self._holdings.take_wallet(row):
                self._look.set()

    async def _backfill_loop(self) -> None:
        """What the streams may have dropped, and what no stream tells."""
        ask_sparely()
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(BACKFILL_S):
                    await self._look.wait()
            is_asked = self._look.is_set()
            if self._address is not None:
                await self._address.looks.take(urgent=is_asked)
            self._look.clear()
            try:
                if not self._modes_known:
                    await self._holdings.read_modes()
                    self._modes_known = True
                if await self._compare():
                    await self._holdings.read_wallet()
                unexplained = self.account.unexplained_s is not None
                if unexplained or time.monotonic() - self._flows_s > FLOWS_EVERY_S:
                    self._flows_s = time.monotonic()
                    await self._holdings.read_flows()
                if time.monotonic() - self._clock_s > CLOCK_EVERY_S:
                    await self._read_clock(CLOCK_EVERY_S / 2)
            except (CallError, VenueUnavailableError) as error:
                log.warning("account_poll_failed", error=str(error))
                with suppress(CallError):
                    await self._read_clock()  # after a step of the clock every signed call is refused

    async def _compare(self) -> bool:
        """Take over the venue's positions but of symbols that trade. Whether all of them are quiet.

        Executions are read after the positions, so a fill that the positions show has been heard by then,
        and its symbol keeps what its fills say; likewise a fill while the answers are on their way.
        """
        before_s, asked_ms = time.monotonic() - QUIET_S, self.account.venue_ms()
        rows = await self._holdings.position_rows()
        for fill in await self._executions(startTime=self._since_ms):
            self._hear_fill(fill)
        self._since_ms = asked_ms - BACKFILL_OVERLAP_MS
        self._holdings.adopt(rows, before_s)
        return self._holdings.newest_fill_s < before_s

    async def _first_positions(self) -> Rows:
        """Positions, with every execution that they include marked as seen, so that none is folded in
        twice.
        """
        for _ in range(START_READS_MAX):
            before = await self._executions(startTime=self._floor_ms)
            rows = await self._holdings.position_rows()
            after = await self._executions(startTime=self._floor_ms)
            if len(before) == len(after):
                for fill in after:
                    self._remember(fill.fill_id)
                return rows
        raise TryAgainError("venue: the account trades too fast to be read; another program uses it")

    # --- rows

    async def _read_clock(self, age_max_s: float = CLOCK_AGAIN_S) -> None:
        self._clock_s, transport = time.monotonic(), self._transport
        if self._address is None:
            self.account.compare_clocks(*await transport.read_clock())
        else:
            self.account.compare_clocks(*await self._address.read_clock(transport, age_max_s=age_max_s))

    async def _set_leverage(self, symbol: str) -> None:
        """High enough that the margin of a position at the cap fits; the cap itself is the policy's."""
        tiers = self.account.instruments[symbol].tiers
        wanted = (self._leverage_max * LEVERAGE_HEADROOM + 1).to_integral_value(ROUND_CEILING)
        leverage = min([wanted, *(tier.leverage_max for tier in tiers[:1])])
        body = {"category": "linear", "symbol": self._ids[symbol]}
        body |= {"buyLeverage": str(leverage), "sellLeverage": str(leverage)}
        await self._room.for_call(urgent=False)
        try:
            await self._transport.post("/v5/position/set-leverage", body)
        except CallError as error:
            if error.code not in NOT_CHANGED:
                raise
        self.account.leverage_settings[symbol] = leverage

    async def _executions(self, **query: Any) -> list[VenueFill]:
        """Oldest first. The venue lists the newest first, page by page."""
        asked = {"category": "linear", "limit": 100, **query}
        rows = await self._reads.pages("executions", "/v5/execution/list", asked)
        found = [fill_of(row, self._symbols) for row in reversed(rows)]
        return [fill for fill in found if fill is not None]

    def _remember(self, fill_id: str) -> bool:
        """Whether it is new."""
        if fill_id in self._seen:
            return False
        self._seen[fill_id] = None
        if len(self._seen) > SEEN_FILLS_MAX:
            self._seen.popitem(last=False)
        return True

    def _hear_fill(self, fill: VenueFill) -> None:
        if self._remember(fill.fill_id) and fill.executed_ms >= self._floor_ms:
            self._holdings.note_fill(fill.symbol)
            self.account.apply_fill(
                fill.symbol,
                is_buy=fill.is_buy,
                qty=fill.qty,
                price=fill.price,
                fee=fill.fee,
                closes=fill.closes,
            )
        if self._listener is not None:
            self._listener.on_fill(fill)
