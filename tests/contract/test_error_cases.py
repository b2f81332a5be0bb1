"""Every refusal that users of the real venue know, provoked through ccxt: code, text, exception."""

from __future__ import annotations

import json
import uuid
from collections.abc import AsyncIterator
from typing import Any

import ccxt
import pytest
import pytest_asyncio

from tests.contract.clients import Caller, calling, rich_account
from tests.contract.serving import VenueProcess

pytestmark = pytest.mark.asyncio

SYMBOL = {"category": "linear", "symbol": "BTCUSDT"}
ORDER = {**SYMBOL, "side": "Buy", "orderType": "Limit", "qty": "0.01", "price": "99000"}
SPOT = {**ORDER, "category": "spot"}
LEVERAGE = {**SYMBOL, "buyLeverage": "7", "sellLeverage": "7"}
TRANSFER = {"coin": "USDT", "amount": "9999999", "fromAccountType": "UNIFIED", "toAccountType": "FUND"}

CASES: list[tuple[str, str, dict[str, Any], int, str, str]] = [
    ("unknown route", "GetV5AssetExchangeOrderRecord", {}, 10017, "Route not found.", "BadRequest"),
    (
        "unknown symbol",
        "PostV5OrderCreate",
        {**ORDER, "symbol": "NOPE"},
        10001,
        "params error: symbol invalid",
        "BadRequest",
    ),
    (
        "bad side",
        "PostV5OrderCreate",
        {**ORDER, "side": "Long"},
        10001,
        "params error: side invalid",
        "BadRequest",
    ),
    (
        "no order named",
        "PostV5OrderCancel",
        SYMBOL,
        10001,
        "params error: OrderId or orderLinkId is required",
        "BadRequest",
    ),
    (
        "position index",
        "PostV5OrderCreate",
        {**ORDER, "positionIdx": 1},
        10001,
        "position idx not match position mode",
        "BadRequest",
    ),
    ("qty off the step", "PostV5OrderCreate", {**ORDER, "qty": "0.0105"}, 10001, "Qty invalid", "BadRequest"),
    (
        "qty below the least",
        "PostV5OrderCreate",
        {**ORDER, "category": "inverse", "symbol": "BTCUSD", "qty": "0"},
        10001,
        "Qty invalid",
        "BadRequest",
    ),
    (
        "qty above the most",
        "PostV5OrderCreate",
        {**ORDER, "qty": "2000"},
        10001,
        "The number of contracts exceeds maximum limit allowed: too large, "
        "order_qty:200000000000 > max_qty:119000000000",
        "BadRequest",
    ),
    (
        "no such order",
        "PostV5OrderCancel",
        {**SYMBOL, "orderId": str(uuid.uuid4())},
        110001,
        "order not exists or too late to cancel",
        "OrderNotFound",
    ),
    (
        "price out of range",
        "PostV5OrderCreate",
        {**ORDER, "price": "1999999.9"},
        110003,
        "Order price exceeds the allowable range.",
        "InvalidOrder",
    ),
    (
        "not enough margin",
        "PostV5OrderCreate",
        {**ORDER, "qty": "100"},
        110007,
        "ab not enough for new order",
        "InsufficientFunds",
    ),
    (
        "leverage above the tier",
        "PostV5PositionSetLeverage",
        {**SYMBOL, "buyLeverage": "101", "sellLeverage": "101"},
        110013,
        "cannot set leverage [10100] gt maxLeverage [10000] by risk limit",
        "BadRequest",
    ),
    (
        "nothing to reduce",
        "PostV5OrderCreate",
        {**ORDER, "reduceOnly": True},
        110017,
        "current position is zero, cannot fix reduce-only order qty",
        "InvalidOrder",
    ),
    (
        "position mode unchanged",
        "PostV5PositionSwitchMode",
        {**SYMBOL, "mode": 0},
        110025,
        "Position mode is not modified",
        "NoChange",
    ),
    (
        "rising trigger",
        "PostV5OrderCreate",
        {**ORDER, "triggerPrice": "90000", "triggerDirection": 1},
        110092,
        "expect Rising, but trigger_price[90000] <= current[100000]??LastPrice",
        "InvalidOrder",
    ),
    (
        "falling trigger",
        "PostV5OrderCreate",
        {**ORDER, "triggerPrice": "110000", "triggerDirection": 2},
        110093,
        "expect Falling, but trigger_price[110000] >= current[100000]??LastPrice",
        "InvalidOrder",
    ),
    (
        "order value",
        "PostV5OrderCreate",
        {**ORDER, "qty": "0.001", "price": "4000"},
        110094,
        "Order does not meet minimum order value 5USDT",
        "InvalidOrder",
    ),
    (
        "spot balance",
        "PostV5OrderCreate",
        {**SPOT, "qty": "50"},
        170131,
        "Insufficient balance.",
        "InsufficientFunds",
    ),
    (
        "spot order value",
        "PostV5OrderCreate",
        {**SPOT, "qty": "0.00002"},
        170140,
        "Order value exceeded lower limit.",
        "InvalidOrder",
    ),
    (
        "no such spot order",
        "PostV5OrderCancel",
        {"category": "spot", "symbol": "BTCUSDT", "orderId": str(uuid.uuid4())},
        170213,
        "Order does not exist.",
        "OrderNotFound",
    ),
    (
        "transfer",
        "PostV5AssetTransferInterTransfer",
        {**TRANSFER, "transferId": str(uuid.uuid4())},
        131212,
        "insufficient balance",
        "InsufficientFunds",
    ),
    (
        "trading stop without position",
        "PostV5PositionTradingStop",
        {**SYMBOL, "stopLoss": "90000"},
        10001,
        "can not set tp/sl/ts for zero position",
        "BadRequest",
    ),
]


@pytest_asyncio.fixture
async def client(venue: VenueProcess) -> AsyncIterator[Caller]:
    async with calling("async", venue, rich_account(venue)) as caller:
        yield caller


async def refusal(call: Any) -> tuple[dict[str, Any], ccxt.BaseError]:
    """The body that came with the exception, and the exception."""
    with pytest.raises(ccxt.BaseError) as caught:
        await call
    return json.loads(str(caught.value).partition(" ")[2]), caught.value


@pytest.mark.parametrize(
    ("case", "call", "body", "code", "text", "exception"), CASES, ids=[row[0] for row in CASES]
)
async def test_the_venues_words(
    client: Caller, case: str, call: str, body: dict[str, Any], code: int, text: str, exception: str
) -> None:
    answer, error = await refusal(getattr(client, f"private{call}")(body))
    assert (answer["retCode"], answer["retMsg"], type(error).__name__) == (code, text, exception)
    assert answer["result"] == {}


async def test_what_needs_something_before(client: Caller, venue: VenueProcess) -> None:
    create = client.privatePostV5OrderCreate
    await client.privatePostV5PositionSetLeverage(LEVERAGE)
    answer, error = await refusal(client.privatePostV5PositionSetLeverage(LEVERAGE))
    assert (answer["retCode"], answer["retMsg"]) == (110043, "leverage not modified")
    assert isinstance(error, ccxt.BadRequest)
    await create({**ORDER, "orderLinkId": "twice"})
    answer, _ = await refusal(create({**ORDER, "orderLinkId": "twice"}))
    assert (answer["retCode"], answer["retMsg"]) == (110072, "OrderLinkedID is duplicate")
    await create({**SPOT, "orderLinkId": "spot-twice"})
    answer, _ = await refusal(create({**SPOT, "orderLinkId": "spot-twice"}))
    assert (answer["retCode"], answer["retMsg"]) == (170141, "Duplicate clientOrderId")
    async with calling("sync", venue, rich_account(venue, BTC="5")) as maker:
        await maker.create_order("BTC/USDT", "limit", "sell", 0.1, 100000)
        answer, error = await refusal(create({**SPOT, "price": "100000", "timeInForce": "PostOnly"}))
        assert (answer["retCode"], answer["retMsg"]) == (170218, "LIMIT-MAKER rejected")
        await maker.create_order("BTC/USDT:USDT", "limit", "sell", 0.01, 100000)
        await create({**ORDER, "price": "100000"})
        await maker.cancel_all_orders("BTC/USDT")
    answer, _ = await refusal(create({**ORDER, "reduceOnly": True}))
    assert answer["retMsg"] == "reduce-only order has same side with current position"
    stop = {**SYMBOL, "stopLoss": "90000", "tpslMode": "Full", "positionIdx": 0}
    await client.privatePostV5PositionTradingStop(stop)
    answer, error = await refusal(client.privatePostV5PositionTradingStop(stop))
    assert (answer["retCode"], answer["retMsg"], type(error)) == (34040, "not modified", ccxt.ExchangeError)


async def test_the_five_hundred_and_first_order(client: Caller) -> None:
    entry = {key: value for key, value in ORDER.items() if key != "category"}
    for start in range(0, 500, 20):
        batch = [{**entry, "qty": "0.001", "price": str(50000 + start + number)} for number in range(20)]
        answer = await client.privatePostV5OrderCreateBatch({"category": "linear", "request": batch})
        assert {row["code"] for row in answer["retExtInfo"]["list"]} == {0}
    answer, error = await refusal(client.privatePostV5OrderCreate({**ORDER, "qty": "0.001"}))
    assert (answer["retCode"], answer["retMsg"]) == (
        110020,
        "Not allowed to have more than 500 active orders.",
    )
    assert isinstance(error, ccxt.InvalidOrder)
    gone = await client.privatePostV5OrderCancelAll(SYMBOL)
    assert len(gone["result"]["list"]) == 500


async def test_who_is_not_who_he_says(client: Caller) -> None:
    real = client.client
    secret, key, now = real.secret, real.apiKey, real.milliseconds
    real.secret = "wrong"
    answer, _ = await refusal(client.privateGetV5AccountInfo())
    assert answer["retCode"] == 10004
    assert answer["retMsg"].startswith("error sign! origin_string[")
    real.apiKey = "nobody"
    answer, _ = await refusal(client.privateGetV5AccountInfo())
    assert (answer["retCode"], answer["retMsg"]) == (10003, "API key is invalid.")
    real.secret, real.apiKey = secret, key
    real.milliseconds = lambda: now() - 6000
    answer, error = await refusal(client.privateGetV5AccountInfo())
    assert answer["retCode"] == 10002
    assert answer["retMsg"].startswith(
        "invalid request, please check your server timestamp or recv_window param. req_timestamp["
    )
    assert isinstance(error, ccxt.InvalidNonce)
    real.milliseconds = now
    with pytest.raises(ccxt.BadSymbol, match="Not supported symbols"):
        await client.publicGetV5MarketTickers({"category": "linear", "symbol": "NOPE"})
