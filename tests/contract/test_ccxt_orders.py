"""An order's whole life through unmodified ccxt (async): placed, changed, filled, cancelled, found again."""

from __future__ import annotations

import contextlib
from typing import Any

import ccxt
import pytest

from tests.contract.serving import VenueProcess, sync_client, trading

SYMBOL = "BTC/USDT:USDT"


@pytest.mark.asyncio
async def test_limit_order_is_placed_amended_found_and_cancelled(venue: VenueProcess) -> None:
    async with trading(venue) as client:
        order = await client.create_order(
            SYMBOL, "limit", "buy", 0.01, 99500, {"clientOrderId": "life-of-an-order-1"}
        )
        opened = await client.fetch_order(order["id"], SYMBOL, {"acknowledged": True})
        assert (opened["status"], opened["price"], opened["amount"]) == ("open", 99500.0, 0.01)
        assert opened["clientOrderId"] == "life-of-an-order-1"
        assert (opened["timeInForce"], opened["remaining"], opened["filled"]) == ("GTC", 0.01, 0.0)

        await client.edit_order(order["id"], SYMBOL, "limit", "buy", 0.02, 99400)
        amended = (await client.fetch_open_orders(SYMBOL))[0]
        assert (amended["id"], amended["price"], amended["amount"]) == (order["id"], 99400.0, 0.02)

        await client.cancel_order(order["id"], SYMBOL)
        assert await client.fetch_open_orders(SYMBOL) == []
        cancelled = await client.fetch_order(order["id"], SYMBOL, {"acknowledged": True})
        assert cancelled["status"] == "canceled"
        assert [row["id"] for row in await client.fetch_canceled_orders(SYMBOL)] == [order["id"]]


@pytest.mark.asyncio
async def test_market_orders_of_two_accounts_meet(venue: VenueProcess) -> None:
    async with trading(venue) as maker, trading(venue) as taker:
        await taker.set_leverage(5, SYMBOL)
        await maker.create_order(SYMBOL, "limit", "sell", 0.5, 100010)
        bought = await taker.create_order(SYMBOL, "market", "buy", 0.2)

        order = await taker.fetch_order(bought["id"], SYMBOL, {"acknowledged": True})
        assert (order["status"], order["filled"], order["average"]) == ("closed", 0.2, 100010.0)
        assert order["cost"] == pytest.approx(20002.0)
        trade = (await taker.fetch_my_trades(SYMBOL))[0]
        assert (trade["order"], trade["side"], trade["takerOrMaker"]) == (bought["id"], "buy", "taker")
        assert trade["fee"]["cost"] == pytest.approx(20002.0 * 0.00055)
        made = (await maker.fetch_my_trades(SYMBOL))[0]
        assert (made["takerOrMaker"], made["fee"]["cost"]) == ("maker", pytest.approx(20002.0 * 0.0002))
        assert [row["id"] for row in await taker.fetch_closed_orders(SYMBOL)] == [bought["id"]]

        position = (await taker.fetch_positions([SYMBOL]))[0]
        assert (position["side"], position["contracts"], position["entryPrice"]) == ("long", 0.2, 100010.0)
        assert position["leverage"] == 5.0
        short = (await maker.fetch_positions([SYMBOL]))[0]
        assert (short["side"], short["contracts"]) == ("short", 0.2)

        await maker.create_order(SYMBOL, "limit", "buy", 0.2, 99990)
        await taker.create_order(SYMBOL, "market", "sell", 0.2, None, {"reduceOnly": True})
        assert await taker.fetch_positions([SYMBOL]) == [] or (await taker.fetch_positions([SYMBOL]))[0][
            "contracts"
        ] in (0.0, None)
        closed = (await taker.fetch_positions_history([SYMBOL]))[0]
        fees = 20002.0 * 0.00055 + 0.2 * 99990 * 0.00055
        assert float(closed["info"]["closedPnl"]) == pytest.approx(-0.2 * 20 - fees)
        balance = await taker.fetch_balance()
        assert balance["USDT"]["total"] == pytest.approx(100000 - 4 - fees)


@pytest.mark.asyncio
async def test_times_in_force(venue: VenueProcess) -> None:
    async with trading(venue) as maker, trading(venue) as taker:
        await maker.create_order(SYMBOL, "limit", "sell", 0.1, 100000)
        immediate = await taker.create_order(SYMBOL, "limit", "buy", 0.3, 100000, {"timeInForce": "IOC"})
        found = await taker.fetch_order(immediate["id"], SYMBOL, {"acknowledged": True})
        assert (found["status"], found["filled"]) == ("canceled", 0.1)

        await maker.create_order(SYMBOL, "limit", "sell", 0.1, 100000)
        whole = await taker.create_order(SYMBOL, "limit", "buy", 0.3, 100000, {"timeInForce": "FOK"})
        found = await taker.fetch_order(whole["id"], SYMBOL, {"acknowledged": True})
        assert (found["status"], found["filled"]) == ("canceled", 0.0)
        assert found["info"]["rejectReason"] == "EC_CancelForNoFullFill"

        passive = await taker.create_order(SYMBOL, "limit", "buy", 0.1, 100000, {"postOnly": True})
        found = await taker.fetch_order(passive["id"], SYMBOL, {"acknowledged": True})
        assert (found["status"], found["filled"]) == ("canceled", 0.0)
        assert found["info"]["rejectReason"] == "EC_PostOnlyWillTakeLiquidity"


@pytest.mark.asyncio
async def test_batches_and_cancel_all(venue: VenueProcess) -> None:
    async with trading(venue) as client:
        orders = await client.create_orders(
            [
                {"symbol": SYMBOL, "type": "limit", "side": "buy", "amount": 0.01, "price": 99000 + number}
                for number in range(3)
            ]
        )
        assert len({order["id"] for order in orders}) == 3
        await client.cancel_orders([orders[0]["id"]], SYMBOL)
        assert len(await client.fetch_open_orders(SYMBOL)) == 2
        await client.cancel_all_orders(SYMBOL)
        assert await client.fetch_open_orders(SYMBOL) == []


@pytest.mark.asyncio
async def test_history_is_paged(venue: VenueProcess) -> None:
    async with trading(venue) as client:
        placed = []
        for number in range(5):
            order = await client.create_order(SYMBOL, "limit", "buy", 0.01, 99000 + number)
            await client.cancel_order(order["id"], SYMBOL)
            placed.append(order["id"])
        query = {"category": "linear", "symbol": "BTCUSDT", "limit": 2}
        seen: list[str] = []
        cursor = ""
        for _ in range(4):
            answer = await client.privateGetV5OrderHistory(
                {**query, **({"cursor": cursor} if cursor else {})}
            )
            seen += [row["orderId"] for row in answer["result"]["list"]]
            cursor = answer["result"]["nextPageCursor"]
            if not cursor:
                break
        assert seen == placed[::-1]


REFUSALS: list[tuple[str, dict[str, Any], type[Exception], str]] = [
    ("unknown symbol", {"symbol": "NOPEUSDT"}, ccxt.BadRequest, "10001"),
    ("bad side", {"side": "Long"}, ccxt.BadRequest, "side invalid"),
    ("zero qty", {"qty": "0"}, ccxt.BadRequest, "Qty invalid"),
    ("qty off the step", {"qty": "0.0015"}, ccxt.BadRequest, "Qty invalid"),
    ("qty above the maximum", {"qty": "1191"}, ccxt.BadRequest, "maximum limit allowed"),
    ("qty as a number with decimals", {"qty": 0.01}, ccxt.BadRequest, "Qty invalid"),
    ("price of words", {"price": "cheap"}, ccxt.BadRequest, "price invalid"),
    ("not enough margin", {"qty": "100"}, ccxt.InsufficientFunds, "110007"),
    ("reduce-only without position", {"reduceOnly": True}, ccxt.InvalidOrder, "110017"),
    ("hedge mode", {"positionIdx": 1}, ccxt.BadRequest, "position idx not match position mode"),
    ("take profit", {"takeProfit": "90000"}, ccxt.BadRequest, "TakeProfit:90000 set for Buy position"),
    ("falling trigger", {"triggerPrice": "101000", "triggerDirection": 2}, ccxt.InvalidOrder, "110093"),
    ("rising trigger", {"triggerPrice": "90000", "triggerDirection": 1}, ccxt.InvalidOrder, "110092"),
    ("long link id", {"orderLinkId": "x" * 37}, ccxt.BadRequest, "orderLinkId invalid"),
    ("option", {"category": "option"}, ccxt.BadRequest, "category invalid"),
    ("spot without the coin", {"category": "spot", "qty": "10"}, ccxt.InsufficientFunds, "170131"),
    ("order value", {"qty": "0.001", "price": "1000"}, ccxt.InvalidOrder, ""),
]


@pytest.mark.asyncio
async def test_refusals_become_the_right_exceptions(venue: VenueProcess) -> None:
    body = {
        "category": "linear",
        "symbol": "BTCUSDT",
        "side": "Buy",
        "orderType": "Limit",
        "qty": "0.01",
        "price": "99000",
    }
    async with trading(venue) as client:
        for case, change, exception, text in REFUSALS:
            with pytest.raises(exception) as caught:
                await client.privatePostV5OrderCreate({**body, **change})
            assert text in str(caught.value), case
        with pytest.raises(ccxt.OrderNotFound):
            await client.cancel_order("no-such-order", SYMBOL)
        with pytest.raises(ccxt.BadRequest, match="110013"):
            await client.set_leverage(101, SYMBOL)
        await client.set_leverage(7, SYMBOL)
        with pytest.raises(ccxt.BadRequest, match="110043"):
            await client.set_leverage(7, SYMBOL)
        with pytest.raises(ccxt.NoChange):
            await client.set_position_mode(False, SYMBOL)
        with pytest.raises(ccxt.ExchangeError, match="3400045"):
            await client.set_margin_mode("portfolio")
        await client.create_order(SYMBOL, "limit", "buy", 0.01, 99000, {"clientOrderId": "once"})
        with pytest.raises(ccxt.InvalidOrder, match="110072"):
            await client.create_order(SYMBOL, "limit", "buy", 0.01, 99000, {"clientOrderId": "once"})


@pytest.mark.asyncio
async def test_wrong_keys_are_authentication_errors(venue: VenueProcess) -> None:
    account = venue.open_account()
    async with trading(venue, account) as client:
        client.secret = "wrong"
        with pytest.raises(ccxt.AuthenticationError, match="10004"):
            await client.fetch_balance()
        client.apiKey = "unknown"
        with pytest.raises(ccxt.AuthenticationError, match="10003"):
            await client.fetch_balance()
        client.apiKey, client.secret = account.api_key, account.api_secret
        now_ms = client.milliseconds
        client.milliseconds = lambda: now_ms() - 6000
        with pytest.raises(ccxt.InvalidNonce, match="10002"):
            await client.fetch_balance()
        client.milliseconds = now_ms


def test_sync_client_fetches_and_trades(venue: VenueProcess) -> None:
    client = sync_client(venue, venue.open_account("5000"))
    try:
        client.load_markets()
        assert client.fetch_balance()["USDT"]["free"] == pytest.approx(5000)
        order = client.create_order(SYMBOL, "limit", "buy", 0.01, 99000)
        assert client.fetch_open_order(order["id"], SYMBOL)["status"] == "open"
        balance = client.fetch_balance()["USDT"]
        assert balance["used"] > 0
        assert balance["free"] == pytest.approx(5000 - balance["used"])
        client.cancel_order(order["id"], SYMBOL)
        assert client.fetch_balance()["USDT"]["free"] == pytest.approx(5000)
    finally:
        with contextlib.suppress(ccxt.BaseError):
            client.cancel_all_orders(SYMBOL)
