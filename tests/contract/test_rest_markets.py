"""Every market data call of unmodified ccxt, sync and async, in every market: what it says is so."""

from __future__ import annotations

from collections.abc import AsyncIterator

import ccxt
import pytest
import pytest_asyncio

from tests.contract.clients import INVERSE, KINDS, LINEAR, SPOT, USDC, Caller, calling, rich_account
from tests.contract.serving import VenueProcess

pytestmark = pytest.mark.asyncio

TRADED = {LINEAR: 0.2, INVERSE: 2000, USDC: 0.3, SPOT: 0.4}
ASK, BID = 100010.0, 99990.0


@pytest_asyncio.fixture(params=KINDS)
async def client(request: pytest.FixtureRequest, venue: VenueProcess) -> AsyncIterator[Caller]:
    """Somebody who asks, after somebody has traded in every market."""
    maker, taker = (rich_account(venue, BTC="10", USDC="100000") for _ in range(2))
    async with calling("sync", venue, maker) as quoting, calling("sync", venue, taker) as buying:
        for symbol, amount in TRADED.items():
            await quoting.create_order(symbol, "limit", "sell", 2 * amount, ASK)
            await quoting.create_order(symbol, "limit", "buy", amount, BID)
            await buying.create_order(symbol, "limit", "buy", amount, ASK)
        async with calling(request.param, venue) as caller:
            yield caller
        for symbol in TRADED:
            await quoting.cancel_all_orders(symbol)


async def test_markets_are_what_they_are(client: Caller) -> None:
    markets = await client.load_markets()
    linear, inverse, spot = markets[LINEAR], markets[INVERSE], markets[SPOT]
    assert (linear["swap"], linear["linear"], linear["settle"], linear["contractSize"]) == (
        True,
        True,
        "USDT",
        1,
    )
    assert (inverse["inverse"], inverse["settle"], inverse["contractSize"]) == (True, "BTC", 1)
    assert (markets[USDC]["settle"], markets[USDC]["id"]) == ("USDC", "BTCPERP")
    assert (spot["spot"], spot["margin"], spot["id"]) == (True, True, linear["id"])
    assert spot["limits"]["cost"]["min"] == 5
    assert linear["limits"]["leverage"]["max"] == 100
    dated = markets["BTC/USDT:USDT-270625"]
    assert (dated["future"], dated["expiryDatetime"]) == (True, "2027-06-25T08:00:00.000Z")
    assert markets["MEME/USDT:USDT"]["limits"]["leverage"]["max"] == 25


@pytest.mark.parametrize("symbol", TRADED)
async def test_a_market_tells_of_its_trades(client: Caller, symbol: str) -> None:
    ticker = await client.fetch_ticker(symbol)
    assert (ticker["last"], ticker["bid"], ticker["ask"]) == (ASK, BID, ASK)
    assert ticker["baseVolume"] >= TRADED[symbol]
    assert (symbol in await client.fetch_tickers([symbol])) is True
    book = await client.fetch_order_book(symbol, 5)
    assert (book["bids"][0][0], book["asks"][0][0]) == (BID, ASK)
    trade = (await client.fetch_trades(symbol))[-1]
    assert (trade["price"], trade["amount"], trade["side"], trade["symbol"]) == (
        ASK,
        TRADED[symbol],
        "buy",
        symbol,
    )
    bar = (await client.fetch_ohlcv(symbol, "1m"))[-1]
    in_coin = TRADED[symbol] / ASK if symbol == INVERSE else TRADED[symbol]  # bars of ccxt count coins
    assert (bar[4], bar[5] >= in_coin * 0.999) == (ASK, True)
    assert len(await client.fetch_ohlcv(symbol, "1d", limit=1)) == 1


@pytest.mark.parametrize("symbol", [LINEAR, INVERSE, USDC])
async def test_contracts_have_prices_funding_interest_and_tiers(client: Caller, symbol: str) -> None:
    ticker = await client.fetch_ticker(symbol)
    assert ticker["indexPrice"] == 100000
    assert ticker["markPrice"] == pytest.approx(100000, rel=1e-3)
    for fetch in (client.fetch_mark_ohlcv, client.fetch_index_ohlcv, client.fetch_premium_index_ohlcv):
        assert await fetch(symbol, "1m")
    funding = await client.fetch_funding_rate(symbol)
    assert abs(funding["fundingRate"]) <= 0.00375
    assert funding["fundingTimestamp"] > (await client.fetch_time()) - 1000
    assert symbol in await client.fetch_funding_rates([symbol])
    assert await client.fetch_funding_rate_history(symbol) == []
    unit = "openInterestValue" if symbol == INVERSE else "openInterestAmount"
    assert (await client.fetch_open_interest(symbol))[unit] >= TRADED[symbol]
    assert (await client.fetch_open_interest_history(symbol))[-1][unit] >= TRADED[symbol]
    ratio = (await client.fetch_long_short_ratio_history(symbol, "1h"))[-1]
    assert ratio["longShortRatio"] == pytest.approx(
        float(ratio["info"]["buyRatio"]) / float(ratio["info"]["sellRatio"])
    )
    tiers = await client.fetch_market_leverage_tiers(symbol)
    assert (tiers[0]["maxLeverage"], tiers[0]["maintenanceMarginRate"]) == (100.0, 0.005)
    assert symbol in await client.fetch_leverage_tiers([symbol])


async def test_spot_has_no_funding_and_its_ticker_is_told_from_a_contracts(client: Caller) -> None:
    ticker = await client.fetch_ticker(SPOT)
    assert "openInterestValue" not in ticker["info"]
    assert ticker["info"]["usdIndexPrice"] == "100000"
    with pytest.raises(ccxt.BadSymbol):
        await client.publicGetV5MarketOpenInterest(
            {"category": "spot", "symbol": "BTCUSDT", "intervalTime": "1h"}
        )


async def test_options_are_empty_but_well_formed(client: Caller) -> None:
    for path in ("InstrumentsInfo", "Tickers"):
        ask = getattr(client, f"publicGetV5Market{path}")
        answer = await ask({"category": "option", "baseCoin": "BTC"})
        assert (answer["result"]["category"], answer["result"]["list"]) == ("option", [])
    assert await client.fetch_volatility_history("BTC") == []
    with pytest.raises(ccxt.BadSymbol):
        await client.publicGetV5MarketOrderbook({"category": "option", "symbol": "BTC-1JAN27-1-C"})


async def test_time_status_and_rates_of_borrowing(client: Caller) -> None:
    answer = await client.publicGetV5MarketTime()
    assert int(answer["result"]["timeSecond"]) == int(answer["result"]["timeNano"]) // 10**9
    assert (await client.fetch_status())["status"] == "ok"
    rate = await client.fetch_cross_borrow_rate("BTC")  # with a raw blank in its request line
    assert (rate["currency"], rate["info"]["currency"]) == ("BTC", "BTC")
    assert 0 < rate["rate"] < 0.001
    data = await client.publicGetV5SpotMarginTradeData({"currency": "ETH", "vipLevel": "No VIP"})
    (level,) = data["result"]["vipCoinList"]
    assert [row["currency"] for row in level["list"]] == ["ETH"]


async def test_an_index_tells_what_each_of_its_sources_said(client: Caller, venue: VenueProcess) -> None:
    asked = {"indexName": "ETHUSDT"}
    before = (await client.publicGetV5MarketIndexPriceComponents(asked))["result"]
    price = float(before["lastPrice"])
    venue.sim("index", {"symbol": "ETHUSDT", "price": f"{price * 1.001:.2f}", "source": 1})
    after = (await client.publicGetV5MarketIndexPriceComponents(asked))["result"]
    told = [round(float(part["price"]) / price - 1, 4) for part in after["components"]]
    assert told == [0, 0.001, 0]
    assert after["components"][1]["exchange"] == "spot-2"
    mean = sum(float(part["equivalentPrice"]) * float(part["weight"]) for part in after["components"])
    assert mean == pytest.approx(float(after["lastPrice"]), rel=1e-6)
    venue.sim("index", {"symbol": "ETHUSDT", "price": before["lastPrice"]})


async def test_tables(client: Caller) -> None:
    pools = (await client.publicGetV5MarketInsurance())["result"]["list"]
    usdt = next(row for row in pools if row["coin"] == "USDT" and "BTCUSDT" in row["symbols"].split(","))
    assert float(usdt["balance"]) > 0
    btc = next(row for row in pools if row["coin"] == "BTC")
    assert float(btc["value"]) == pytest.approx(float(btc["balance"]) * 100000)
    limit = (await client.publicGetV5MarketPriceLimit({"category": "linear", "symbol": "BTCUSDT"}))["result"]
    assert float(limit["sellLmt"]) < 100000 < float(limit["buyLmt"])
    for path, parameters in (
        ("AdlAlert", {"symbol": "BTCUSDT"}),
        ("FeeGroupInfo", {"productType": "contract"}),
    ):
        rows = (await getattr(client, f"publicGetV5Market{path}")(parameters))["result"]["list"]
        assert rows
    parts = (await client.publicGetV5MarketIndexPriceComponents({"indexName": "BTCUSDT"}))["result"]
    assert sum(float(part["weight"]) for part in parts["components"]) == pytest.approx(1)
    assert float(parts["lastPrice"]) == 100000
    deliveries = await client.publicGetV5MarketDeliveryPrice({"category": "linear"})
    assert deliveries["result"] == {"category": "linear", "nextPageCursor": "", "list": []}
    assert await client.fetch_settlement_history(params={"category": "linear", "type": "future"}) == []
    said = await client.publicGetV5AnnouncementsIndex({"locale": "en-US"})
    assert said["result"] == {"total": 0, "list": []}
