"""Two accounts of a venue through unmodified ccxt: one that trades, one that quotes.

Belongs here: the room that tests of orders share. Does not belong here: tests.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import NamedTuple

import pytest
import pytest_asyncio

from tests.contract.clients import INVERSE, KINDS, LINEAR, SPOT, USDC, Caller, calling, rich_account
from tests.contract.serving import Account, VenueProcess

__all__ = ["ETH", "Room", "room"]

ETH = "ETH/USDT:USDT"


class Room(NamedTuple):
    """Who trades, who quotes, and where."""

    taker: Caller
    maker: Caller
    venue: VenueProcess
    account: Account

    async def sell(self, symbol: str, amount: float, price: float) -> None:
        """Somebody offers."""
        await self.maker.create_order(symbol, "limit", "sell", amount, price)

    async def buy(self, symbol: str, amount: float, price: float) -> None:
        """Somebody bids."""
        await self.maker.create_order(symbol, "limit", "buy", amount, price)

    async def trade(self, symbol: str, price: float) -> None:
        """Make it the last price."""
        await self.sell(symbol, 0.01, price)
        await self.buy(symbol, 0.01, price)

    async def position(self, symbol: str) -> dict[str, object]:
        """The taker's position in a symbol."""
        found: dict[str, object] = (await self.taker.fetch_positions([symbol]))[0]
        return found


@pytest_asyncio.fixture(params=KINDS)
async def room(request: pytest.FixtureRequest, venue: VenueProcess) -> AsyncIterator[Room]:
    account, other = (rich_account(venue, BTC="10", USDC="100000") for _ in range(2))
    async with calling(request.param, venue, account) as taker, calling("sync", venue, other) as maker:
        yield Room(taker, maker, venue, account)
        for symbol in (LINEAR, INVERSE, USDC, SPOT, ETH):
            for caller in (maker, taker):
                await caller.cancel_all_orders(symbol)
