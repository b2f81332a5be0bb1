"""Market data and account data through unmodified ccxt (async)."""

from __future__ import annotations

import ccxt
import pytest

from tests.contract.serving import VenueProcess, trading

SYMBOL = "BTC/USDT:USDT"


@pytest.mark.asyncio
async def test_markets_carry_filters_and_leverage(venue: VenueProcess) -> None:
    async with trading(venue) as client:
        market = client.market(SYMBOL)
        assert market["linear"] and market["swap"] and market["active"]
        assert (market["precision"]["price"], market["precision"]["amount"]) == (0.1, 0.001)
        assert market["limits"]["leverage"]["max"] == 100.0
        assert (market["limits"]["amount"]["min"], market["limits"]["cost"]["min"]) == (0.001, 5.0)
        assert client.market("ETH/USDT:USDT")["settle"] == "USDT"
        assert set(client.currencies) >= {"USDT", "BTC", "ETH"}


@pytest.mark.asyncio
async def test_public_data_after_a_trade(venue: VenueProcess) -> None:
    async with trading(venue) as maker, trading(venue) as taker:
        await maker.create_order(SYMBOL, "limit", "sell", 0.5, 100005.5)
        await maker.create_order(SYMBOL, "limit", "buy", 0.4, 99995.5)
        await taker.create_order(SYMBOL, "market", "buy", 0.1)

        book = await taker.fetch_order_book(SYMBOL, 25)
        assert (book["asks"][0], book["bids"][0]) == ([100005.5, 0.4], [99995.5, 0.4])
        ticker = await taker.fetch_ticker(SYMBOL)
        assert (ticker["last"], ticker["bid"], ticker["ask"]) == (100005.5, 99995.5, 100005.5)
        assert ticker["indexPrice"] == 100000.0
        assert ticker["markPrice"] == pytest.approx(100000, rel=1e-3)
        assert ticker["baseVolume"] >= 0.1
        assert SYMBOL in await taker.fetch_tickers([SYMBOL])
        trade = (await taker.fetch_trades(SYMBOL))[-1]
        assert (trade["price"], trade["amount"], trade["side"]) == (100005.5, 0.1, "buy")
        own = (await taker.fetch_my_trades(SYMBOL))[0]
        assert own["id"] == trade["id"]
        bar = (await taker.fetch_ohlcv(SYMBOL, "1m"))[-1]
        assert bar[4] == 100005.5
        assert bar[5] >= 0.1
        for fetch in (taker.fetch_mark_ohlcv, taker.fetch_index_ohlcv, taker.fetch_premium_index_ohlcv):
            assert await fetch(SYMBOL, "1m")
        interest = await taker.fetch_open_interest(SYMBOL)
        assert interest["openInterestAmount"] >= 0.1
        assert (await taker.fetch_funding_rate(SYMBOL))["fundingTimestamp"] > taker.milliseconds() - 1000
        assert await taker.fetch_funding_rate_history(SYMBOL) == []


@pytest.mark.asyncio
async def test_tiers_fees_time_and_account(venue: VenueProcess) -> None:
    async with trading(venue) as client:
        tiers = await client.fetch_market_leverage_tiers(SYMBOL)
        assert (tiers[0]["maxLeverage"], tiers[0]["maintenanceMarginRate"]) == (100.0, 0.005)
        assert tiers[-1]["maxNotional"] == 80_000_000.0
        fee = await client.fetch_trading_fee(SYMBOL)
        assert (fee["taker"], fee["maker"]) == (0.00055, 0.0002)
        assert SYMBOL in await client.fetch_trading_fees()
        assert abs(await client.fetch_time() - client.milliseconds()) < 2000
        assert (await client.fetch_status())["status"] == "ok"
        assert await client.is_unified_enabled() == [False, True]
        leverage = await client.fetch_leverage(SYMBOL)
        assert leverage["longLeverage"] >= 1
        position = await client.fetch_position(SYMBOL)
        assert position["contracts"] in (0.0, None)
        funding = await client.fetch_balance({"type": "funding"})
        assert funding["USDT"]["total"] == 0
        ledger = await client.fetch_ledger("USDT")
        assert [(row["type"], row["amount"]) for row in ledger] == [("transaction", 100000.0)]


@pytest.mark.asyncio
async def test_unknown_symbols_and_routes(venue: VenueProcess) -> None:
    async with trading(venue) as client:
        with pytest.raises(ccxt.BadSymbol):
            await client.publicGetV5MarketTickers({"category": "linear", "symbol": "NOPEUSDT"})
        with pytest.raises(ccxt.BadRequest, match="10017"):
            await client.publicGetV5InsLoanProductInfos()
        answer = await client.publicGetV5MarketInstrumentsInfo({"category": "option", "baseCoin": "BTC"})
        assert answer["result"] == {"category": "option", "nextPageCursor": "", "list": []}
