"""ccxt's real classes of other venues against answers in their form: fills, positions, stops, wallet, events.

What is shown is that the right calls are made and their answers understood as ccxt reads them, over REST and
the private streams; no venue was asked.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal

import ccxt.pro
import pytest
from pydantic import SecretStr

from relay.errors import ConfigurationError
from relay.settings import VenueSettings
from relay.venue import UnifiedVenue
from tests.integration.venue_replies import Replies, pointed, serving
from tests.integration.venue_samples import BEGAN_MS, SYMBOL, SYMBOLS, VENUES

pytestmark = pytest.mark.asyncio

BY_SYMBOL = ("binance", "bitget", "mexc", "hyperliquid")


@asynccontextmanager
async def account(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[tuple[UnifiedVenue, Replies, str]]:
    replies = VENUES[name]()
    async with serving(replies) as base:
        symbol = SYMBOLS.get(name, SYMBOL)
        monkeypatch.setattr(ccxt.pro, name, pointed(name, symbol, replies, base))
        key = "0x" + "1" * 40 if name == "hyperliquid" else "a-key-of-this-account"
        settings = VenueSettings(
            exchange=name,
            api_key=SecretStr(key),
            api_secret=SecretStr("MDEy" * 8),
            api_password=SecretStr("p"),
        )
        venue = UnifiedVenue.open(settings, [symbol])
        try:
            yield venue, replies, symbol
        finally:
            await venue.close()


@pytest.mark.parametrize("name", sorted(VENUES))
async def test_an_account_is_read_the_same_at_every_venue(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async with account(name, monkeypatch) as (venue, _, symbol):
        fills = await venue.fetch_fills(BEGAN_MS)
        assert [
            (fill.fill_id, fill.symbol, fill.side, fill.qty, fill.price, fill.cause) for fill in fills
        ] == [
            ("1", symbol, "buy", Decimal("0.2"), Decimal("100.5"), "trade"),
            ("2", symbol, "buy", Decimal("0.3"), Decimal("100.5"), "trade"),
        ]
        assert [fill.exec_ms - BEGAN_MS for fill in fills] == [1000, 2000]
        assert {fill.fee for fill in fills} == {Decimal("0.01")}
        position = (await venue.fetch_positions([symbol]))[symbol]
        assert (position.qty, position.entry_price, position.long) == (Decimal("0.5"), Decimal("100.5"), None)
        assert (await venue.fetch_wallet()).balance_usdt == Decimal(1000)
        if name != "mexc":  # its conditional orders are of a form ccxt does not list with what they close
            assert position.stop_loss == 90
        events = {event.cause: event.amount for event in await venue.fetch_wallet_events(BEGAN_MS)}
        assert events["funding"] == Decimal("-0.25")
        if name != "mexc":  # it has no ledger
            assert events == {"funding": Decimal("-0.25"), "cash_flow": Decimal(200)}


@pytest.mark.parametrize("name", sorted(VENUES))
async def test_a_fill_comes_over_the_private_stream(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async with account(name, monkeypatch) as (venue, _, symbol):
        (fill,) = await asyncio.wait_for(venue.watch_fills(), 20)
        assert (fill.fill_id, fill.symbol, fill.side, fill.qty, fill.price, fill.exec_ms, fill.cause) == (
            "3", symbol, "sell", Decimal("0.1"), Decimal(101), BEGAN_MS + 3000, "trade",
        )  # fmt: skip


@pytest.mark.parametrize("name", BY_SYMBOL)
async def test_a_venue_is_asked_for_trades_of_symbols_that_are_held(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with account(name, monkeypatch) as (venue, _, _):
        nobody = UnifiedVenue(venue._exchange, name)  # nothing is published: the position alone leads there
        assert len(await nobody.fetch_fills(BEGAN_MS)) == 2


async def test_a_venue_whose_trades_have_no_names_is_refused() -> None:
    settings = VenueSettings(exchange="bingx", api_key=SecretStr("k"), api_secret=SecretStr("s"))
    with pytest.raises(ConfigurationError, match="bingx lists trades without id and side"):
        UnifiedVenue.open(settings, ["BTC/USDT:USDT"])


async def test_a_symbol_that_is_no_linear_contract_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    async with account("binance", monkeypatch) as (venue, _, _):
        wrong = UnifiedVenue(venue._exchange, "binance", ["BTC/USDT"])
        with pytest.raises(ConfigurationError, match="was 'BTC/USDT', allowed: linear contracts"):
            await wrong.fetch_fills(BEGAN_MS)
