"""A follower's port to a running venue, of each kind, and an ear for what it hears."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from decimal import Decimal
from pathlib import Path
from typing import Any

from follower_client.core.snapshot import Instrument
from follower_client.daemon import live_port
from follower_client.venue.ccxt_adapter import CCXT_FAILURES, load_instruments, make_exchange
from follower_client.venue.market_data import MarketData
from follower_client.venue.paper_adapter import PaperAdapter
from follower_client.venue.port import OrderRequest, VenueFill, VenueOrder, VenuePort
from tests.contract.serving import Account, VenueProcess

__all__ = ["BTC", "KINDS", "Desk", "Ear", "desk", "until"]

BTC = "BTC/USDT:USDT"
KINDS = ("ccxt", "v5", "paper")
LIMIT_S = 10.0
STREAMS_S = 0.5


class Ear:
    """What the port told, each fill once."""

    def __init__(self) -> None:
        self.fills: dict[str, VenueFill] = {}
        self.orders: dict[str, VenueOrder] = {}

    def on_fill(self, fill: VenueFill) -> None:
        self.fills[fill.fill_id] = fill

    def on_order(self, order: VenueOrder) -> None:
        self.orders[order.client_order_id] = order

    def filled(self, client_order_id: str) -> Decimal:
        found = (fill.qty for fill in self.fills.values() if fill.client_order_id == client_order_id)
        return sum(found, Decimal(0))


class Desk:
    """A started port, its ear, and the venue's other side."""

    def __init__(self, port: VenuePort, account: Account, maker: Any) -> None:
        self.port = port
        self.account = account
        self.ear = Ear()
        self.maker = maker
        self.instrument: Instrument

    def order(self, name: str, *, is_buy: bool = True, qty: str = "0.01", **terms: Any) -> OrderRequest:
        values: dict[str, Any] = {"limit_price": None, "reduce_only": False} | terms
        return OrderRequest(
            client_order_id=f"{self.account.name}-{name}",
            symbol=BTC,
            is_buy=is_buy,
            qty=Decimal(qty),
            **values,
        )


async def until(check: Callable[[], object], what: str, limit_s: float = LIMIT_S) -> None:
    """Wait for it; an assertion after the limit."""
    with suppress(TimeoutError):
        async with asyncio.timeout(limit_s):
            while not check():  # noqa: ASYNC110 - the streams set no event of the test's
                await asyncio.sleep(0.01)
    assert check(), what


@asynccontextmanager
async def desk(
    venue: VenueProcess,
    kind: str,
    folder: Path,
    *,
    account: Account | None = None,
    flows_from_ms: int | None = None,
) -> AsyncIterator[Desk]:
    """The port of that kind, for an account of its own, with a maker's quotes to trade with."""
    owner, making = account or venue.open_account(), venue.open_account("100000000")
    maker = make_exchange(venue.rest, venue.ws, making.api_key, making.api_secret)
    public = make_exchange(venue.rest, venue.ws)
    running: list[asyncio.Task[None]] = []
    port: VenuePort | None = None
    try:
        await maker.load_markets()
        ticker = await maker.publicGetV5MarketTickers({"category": "linear", "symbol": "BTCUSDT"})
        index = Decimal(ticker["result"]["list"][0]["indexPrice"]).quantize(Decimal("0.1"))
        await maker.create_order(BTC, "limit", "buy", "5", str(index - 5))
        await maker.create_order(BTC, "limit", "sell", "5", str(index + 5))
        instruments = await load_instruments(public, [BTC])
        data = MarketData(public, CCXT_FAILURES, [BTC], depth=kind == "paper")
        await data.start()
        if kind == "paper":
            port = PaperAdapter(
                data,
                instruments,
                folder / f"{owner.name}.sqlite",
                balance_usdt=Decimal(100_000),
                leverage_max=Decimal(3),
            )
        else:
            address = (venue.rest, venue.ws, owner.api_key, owner.api_secret)
            port = live_port(kind, data, instruments, address, leverage_max=Decimal(3), orders_per_s=1000)
        port.account.flows_from_ms = flows_from_ms
        found = Desk(port, owner, maker)
        await port.start(found.ear)
        running += [asyncio.create_task(data.run()), asyncio.create_task(port.run())]
        await asyncio.sleep(STREAMS_S)  # what happens before a stream is open is only back-filled
        yield found
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        if port is not None:
            await port.close()
        with suppress(Exception):
            await maker.cancel_all_orders(BTC)
        await maker.close()
        await public.close()
