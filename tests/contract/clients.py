"""Unmodified ccxt, with and without asyncio, behind one way of calling; and accounts with several coins.

Belongs here: what tests of REST calls share. Does not belong here: any promise that a test checks.
"""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import AsyncIterator
from typing import Any

import ccxt
import ccxt.async_support

from tests.contract.serving import Account, VenueProcess, client_options

__all__ = ["KINDS", "Caller", "calling", "rich_account"]

KINDS = ("sync", "async")
LINEAR, INVERSE, USDC, SPOT = "BTC/USDT:USDT", "BTC/USD:BTC", "BTC/USDC:USDC", "BTC/USDT"


class Caller:
    """`await caller.fetch_ticker(...)`, whether the client under it is synchronous or not."""

    def __init__(self, client: Any) -> None:
        self.client = client

    def __getattr__(self, name: str) -> Any:
        method = getattr(self.client, name)

        async def call(*arguments: Any, **options: Any) -> Any:
            answer = method(*arguments, **options)
            return await answer if inspect.isawaitable(answer) else answer

        return call


def rich_account(venue: VenueProcess, deposit: str = "100000", **coins: str) -> Account:
    """A new account with money in several coins."""
    account = venue.open_account(deposit)
    for coin, amount in coins.items():
        venue.sim("deposit", {"name": account.name, "coin": coin, "amount": amount})
    return account


@contextlib.asynccontextmanager
async def calling(kind: str, venue: VenueProcess, account: Account | None = None) -> AsyncIterator[Caller]:
    """A client of one kind for an account, its markets loaded."""
    options = client_options(venue, account)
    client = ccxt.bybit(options) if kind == "sync" else ccxt.async_support.bybit(options)
    caller = Caller(client)
    try:
        await caller.load_markets()
        yield caller
    finally:
        await caller.close() if kind == "async" else None
