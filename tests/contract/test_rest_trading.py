"""Orders and positions of every kind through unmodified ccxt, sync and async: what was asked for happened."""

from __future__ import annotations

import ccxt
import pytest

from tests.contract.clients import INVERSE, LINEAR, SPOT, USDC
from tests.contract.trading_rooms import ETH, Room, room

__all__ = ["room"]  # a fixture

pytestmark = pytest.mark.asyncio

TAKER, MAKER, SPOT_FEE = 0.00055, 0.0002, 0.001


async def test_a_linear_position_is_opened_and_closed(room: Room) -> None:
    taker = room.taker
    await taker.set_leverage(5, LINEAR)
    await room.sell(LINEAR, 0.2, 100010)
    bought = await taker.create_order(LINEAR, "market", "buy", 0.2, params={"clientOrderId": "in-1"})
    order = await taker.fetch_order(bought["id"], LINEAR, {"acknowledged": True})
    assert (order["status"], order["filled"], order["average"]) == ("closed", 0.2, 100010)
    assert order["fees"][0] == {"cost": pytest.approx(20002 * TAKER), "currency": "USDT"}
    position = await room.position(LINEAR)
    assert (position["side"], position["contracts"], position["entryPrice"]) == ("long", 0.2, 100010)
    assert (position["leverage"], position["info"]["tradeMode"]) == (5, 0)  # type: ignore[index]
    assert position["initialMargin"] == pytest.approx(20000 / 5 + 20002 * 0.8 * TAKER, rel=1e-4)
    await room.buy(LINEAR, 0.2, 99990)
    await taker.create_order(LINEAR, "market", "sell", 0.2, params={"reduceOnly": True})
    assert (await room.position(LINEAR))["contracts"] == 0
    closed = (await taker.fetch_positions_history([LINEAR]))[0]
    fees = 20002 * TAKER + 0.2 * 99990 * TAKER
    assert float(closed["info"]["closedPnl"]) == pytest.approx(-4 - fees)
    assert (await taker.fetch_balance())["USDT"]["total"] == pytest.approx(100000 - 4 - fees)
    fills = await taker.fetch_my_trades(LINEAR)
    assert [fill["side"] for fill in fills] == ["buy", "sell"]
    assert [fill["id"] for fill in await taker.fetch_order_trades(bought["id"], LINEAR)] == [fills[0]["id"]]
    assert await taker.fetch_my_liquidations(LINEAR) == []
    assert await taker.fetch_funding_history(LINEAR) == []


async def test_an_inverse_position_is_counted_in_the_coin(room: Room) -> None:
    taker = room.taker
    before = (await taker.fetch_balance())["BTC"]["total"]
    await room.sell(INVERSE, 10000, 100000)
    await taker.create_order(INVERSE, "market", "buy", 10000)
    position = await room.position(INVERSE)
    assert (position["side"], position["contracts"], position["entryPrice"]) == ("long", 10000, 100000)
    assert position["notional"] == pytest.approx(0.1, rel=1e-3)
    await room.buy(INVERSE, 10000, 99990)
    await taker.create_order(INVERSE, "market", "sell", 10000, params={"reduceOnly": True})
    lost = 10000 / 99990 - 10000 / 100000
    closed = (await taker.fetch_positions_history([INVERSE]))[0]
    assert float(closed["info"]["closedPnl"]) == pytest.approx(-lost - 0.2 * TAKER, rel=1e-4)
    after = (await taker.fetch_balance())["BTC"]["total"]
    assert after == pytest.approx(before - lost - 0.2 * TAKER, rel=1e-6)
    fill = (await taker.fetch_my_trades(INVERSE))[0]
    assert (fill["fee"]["currency"], fill["fee"]["cost"]) == ("BTC", pytest.approx(0.1 * TAKER))


async def test_a_usdc_position_settles_in_usdc(room: Room) -> None:
    taker = room.taker
    await room.sell(USDC, 0.1, 100010)
    await taker.create_order(USDC, "market", "buy", 0.1)
    assert (await taker.fetch_positions(params={"settleCoin": "USDC"}))[0]["symbol"] == USDC
    balance = await taker.fetch_balance()
    assert balance["USDC"]["total"] == pytest.approx(100000 - 10001 * TAKER)
    assert balance["USDT"]["total"] == 100000


async def test_spot_changes_hands_and_fees_are_paid_out_of_what_is_got(room: Room) -> None:
    taker = room.taker
    await room.sell(SPOT, 1, 100000)
    by_base = await taker.create_order(SPOT, "market", "buy", 0.1, params={"marketUnit": "baseCoin"})
    by_cost = await taker.create_market_buy_order_with_cost(SPOT, 5000)
    balance = await taker.fetch_balance()
    assert balance["BTC"]["total"] == pytest.approx(10 + 0.15 * (1 - SPOT_FEE))
    assert balance["USDT"]["total"] == pytest.approx(100000 - 15000)
    for order_id, filled in ((by_base["id"], 0.1), (by_cost["id"], 0.05)):
        order = await taker.fetch_order(order_id, SPOT, {"acknowledged": True})
        assert (order["symbol"], order["filled"], order["status"]) == (SPOT, filled, "closed")
        assert (order["amount"], order["remaining"]) == (filled, 0)
        assert order["fees"][0]["currency"] == "BTC"
    asked = {"category": "spot", "symbol": "BTCUSDT"}
    rows = (await taker.privateGetV5OrderRealtime({**asked, "openOnly": 1}))["result"]["list"]
    told = [(row["qty"], row["marketUnit"], row["isLeverage"]) for row in rows]
    assert told == [("5000", "quoteCoin", "0"), ("0.100000", "baseCoin", "0")]
    fills = (await taker.privateGetV5ExecutionList(asked))["result"]["list"]
    assert [row["orderQty"] for row in fills] == ["5000", "0.100000"]
    fill = (await taker.fetch_my_trades(SPOT))[-1]
    assert (fill["symbol"], fill["fee"]["currency"]) == (SPOT, "BTC")
    await room.buy(SPOT, 0.1, 99000)
    await taker.create_order(SPOT, "market", "sell", 0.1)
    got = (await taker.fetch_balance())["USDT"]["total"]
    assert got == pytest.approx(85000 + 9900 * (1 - SPOT_FEE))
    resting = await taker.create_order(SPOT, "limit", "buy", 0.1, 95000)
    balance = await taker.fetch_balance()
    assert balance["USDT"]["used"] == pytest.approx(9500)
    assert [order["id"] for order in await taker.fetch_open_orders(SPOT)] == [resting["id"]]
    await taker.cancel_order(resting["id"], SPOT)
    with pytest.raises(ccxt.OrderNotFound, match="170213"):
        await taker.cancel_order(resting["id"], SPOT)
    assert [order["id"] for order in await taker.fetch_canceled_orders(SPOT)] == [resting["id"]]


async def test_a_stop_of_spot_holds_what_it_sells(room: Room) -> None:
    taker = room.taker
    await room.trade(SPOT, 100000)
    stop = await taker.create_order(SPOT, "market", "sell", 2, params={"stopLossPrice": 99000})
    row = (await taker.fetch_order(stop["id"], SPOT, {"acknowledged": True}))["info"]
    assert (row["orderStatus"], row["stopOrderType"]) == ("Untriggered", "tpslOrder")
    assert (await taker.fetch_balance())["BTC"]["used"] == 2
    query = {"category": "spot", "symbol": "BTCUSDT"}
    for order_filter, count in (("tpslOrder", 1), ("StopOrder", 0), ("Order", 0)):
        found = await taker.privateGetV5OrderRealtime({**query, "orderFilter": order_filter})
        assert len(found["result"]["list"]) == count
    gone = await taker.privatePostV5OrderCancelAll({**query, "orderFilter": "StopOrder"})
    assert gone["result"]["list"] == []
    gone = await taker.privatePostV5OrderCancelAll({**query, "orderFilter": "tpslOrder"})
    assert [entry["orderId"] for entry in gone["result"]["list"]] == [stop["id"]]
    assert (await taker.fetch_balance())["BTC"]["used"] == 0
    terms = {"side": "Buy", "orderType": "Market", "qty": "500", "triggerPrice": "101000"}
    by_cost = await taker.privatePostV5OrderCreate({**query, **terms, "orderFilter": "StopOrder"})
    order_id = by_cost["result"]["orderId"]
    await taker.privatePostV5OrderAmend({**query, "orderId": order_id, "qty": "600"})
    (row,) = (await taker.privateGetV5OrderRealtime({**query, "orderId": order_id}))["result"]["list"]
    assert (row["orderStatus"], row["qty"], row["marketUnit"]) == ("Untriggered", "600", "quoteCoin")
    await taker.cancel_order(order_id, SPOT, {"trigger": True})


async def test_what_comes_with_an_order_of_spot_is_a_pair_that_sells_what_it_bought(room: Room) -> None:
    taker = room.taker
    await room.trade(SPOT, 100000)
    used = (await taker.fetch_balance())["BTC"]["used"]
    exits = {"takeProfit": {"triggerPrice": 101000, "price": 100900}, "stopLoss": {"triggerPrice": 98000}}
    bought = await taker.create_order(SPOT, "limit", "buy", 0.1, 99000, exits)
    row = (await taker.fetch_order(bought["id"], SPOT, {"acknowledged": True}))["info"]
    shown = (row["takeProfit"], row["tpLimitPrice"], row["stopLoss"], row["slLimitPrice"])
    assert [float(price or 0) for price in shown] == [101000, 100900, 98000, 0]
    assert "tpslMode" not in row
    await room.sell(SPOT, 0.1, 99000)
    query = {"category": "spot", "symbol": "BTCUSDT", "orderFilter": "tpslOrder"}
    pair = (await taker.privateGetV5OrderRealtime(query))["result"]["list"]
    of_it = {(row["orderType"], float(row["triggerPrice"]), float(row["qty"])) for row in pair}
    assert of_it == {("Limit", 101000.0, 0.0999), ("Market", 98000.0, 0.0999)}
    assert (await taker.fetch_balance())["BTC"]["used"] - used == pytest.approx(0.0999)
    await room.trade(SPOT, 101000)
    (limit,) = (await taker.privateGetV5OrderRealtime(query))["result"]["list"]
    assert (limit["orderStatus"], float(limit["price"])) == ("New", 100900)
    gone = {row["orderId"]: row for row in pair}
    found = [(await taker.fetch_order(order_id, SPOT, {"acknowledged": True}))["info"] for order_id in gone]
    assert sorted(row["orderStatus"] for row in found) == ["Deactivated", "New"]


async def test_spot_refusals_have_their_own_codes(room: Room) -> None:
    taker = room.taker
    await room.sell(SPOT, 0.5, 100000)
    with pytest.raises(ccxt.InvalidOrder, match="170218"):
        await taker.create_order(SPOT, "limit", "buy", 0.1, 100000, {"postOnly": True})
    with pytest.raises(ccxt.InvalidOrder, match="170140"):
        await taker.create_order(SPOT, "limit", "buy", 0.00002, 99000)
    with pytest.raises(ccxt.InsufficientFunds, match="170131"):
        await taker.create_order(SPOT, "limit", "buy", 5, 99000)
    await taker.create_order(SPOT, "limit", "buy", 0.1, 99000, {"clientOrderId": "spot-once"})
    with pytest.raises(ccxt.InvalidOrder, match="170141"):
        await taker.create_order(SPOT, "limit", "buy", 0.1, 99000, {"clientOrderId": "spot-once"})


async def test_spot_on_margin_borrows_what_is_missing(room: Room) -> None:
    taker = room.taker
    await room.sell(SPOT, 2, 100000)
    await taker.create_order(SPOT, "limit", "buy", 1.5, 100000, {"isLeverage": 1, "timeInForce": "IOC"})
    row = (await taker.fetch_canceled_and_closed_orders(SPOT))[0]["info"]
    assert (row["isLeverage"], row["marketUnit"], row["qty"]) == ("1", "", "1.500000")
    assert (await taker.fetch_my_trades(SPOT))[-1]["info"]["isLeverage"] == "1"
    balance = await taker.fetch_balance()
    assert balance["BTC"]["total"] == pytest.approx(10 + 1.5 * (1 - SPOT_FEE))
    assert balance["USDT"]["debt"] == pytest.approx(50000, rel=1e-5)  # with the interest of the hour
    row = next(coin for coin in balance["info"]["result"]["list"][0]["coin"] if coin["coin"] == "USDT")
    assert float(row["borrowAmount"]) == pytest.approx(50000)


async def test_both_sides_of_a_hedge(room: Room) -> None:
    taker = room.taker
    await taker.set_position_mode(True, ETH)
    with pytest.raises(ccxt.NoChange):
        await taker.set_position_mode(True, ETH)
    await room.sell(ETH, 3, 4000)
    asked = ("v5/position/symbol-info", ["private"], "GET", {"category": "linear", "symbol": "ETHUSDT"})
    await taker.set_leverage(7, ETH)
    legs = (await taker.request(*asked))["result"]["list"]
    told = [(row["positionIdx"], row["side"], row["leverage"]) for row in legs]
    assert told == [(1, "Buy", "7"), (2, "Sell", "7")]
    await taker.set_leverage(10, ETH)
    await taker.create_order(ETH, "market", "buy", 2, params={"hedged": True})
    await room.buy(ETH, 3, 3999)
    await taker.create_order(ETH, "market", "sell", 1, params={"hedged": True})
    legs = {leg["side"]: leg["contracts"] for leg in await taker.fetch_positions([ETH])}
    assert legs == {"long": 2, "short": 1}
    await taker.create_order(ETH, "market", "sell", 2, params={"hedged": True, "reduceOnly": True})
    legs = {leg["info"]["positionIdx"]: leg["contracts"] for leg in await taker.fetch_positions([ETH])}
    assert legs == {1: 0, 2: 1}
    with pytest.raises(ccxt.BadRequest, match="position idx not match position mode"):
        await taker.create_order(ETH, "market", "buy", 1)


async def test_isolated_margin_is_set_added_and_told(room: Room) -> None:
    taker = room.taker
    await taker.set_margin_mode("isolated")
    assert (await taker.fetch_margin_mode(LINEAR))["marginMode"] == "isolated"
    await room.sell(LINEAR, 0.1, 100000)
    await taker.create_order(LINEAR, "market", "buy", 0.1)
    position = await room.position(LINEAR)
    assert (position["info"]["tradeMode"], position["side"]) == (1, "long")  # type: ignore[index]
    before = float(position["liquidationPrice"])  # type: ignore[arg-type]
    body = {"category": "linear", "symbol": "BTCUSDT", "margin": "500", "positionIdx": 0}
    row = (await taker.privatePostV5PositionAddMargin(body))["result"]
    assert float(row["liqPrice"]) == pytest.approx(before - 500 / 0.1 / 0.995, rel=1e-3)
    await taker.privatePostV5PositionAddMargin({**body, "margin": "-200"})
    with pytest.raises(ccxt.InsufficientFunds, match="110012"):
        await taker.privatePostV5PositionAddMargin({**body, "margin": "-400"})
    auto = {"category": "linear", "symbol": "BTCUSDT", "autoAddMargin": 1}
    await taker.privatePostV5PositionSetAutoAddMargin(auto)
    assert (await room.position(LINEAR))["info"]["autoAddMargin"] == 1  # type: ignore[index]
    wallet = (await taker.privateGetV5AccountWalletBalance({"accountType": "UNIFIED"}))["result"]["list"][0]
    assert wallet["accountIMRate"] == ""


async def test_the_sides_of_an_isolated_hedge_have_leverages_of_their_own(room: Room) -> None:
    taker = room.taker
    body = {"category": "linear", "symbol": "ETHUSDT", "buyLeverage": "5", "sellLeverage": "20"}
    with pytest.raises(ccxt.BadRequest, match="must be equal"):
        await taker.privatePostV5PositionSetLeverage(body)
    await taker.set_margin_mode("isolated")
    await taker.set_position_mode(True, ETH)
    await taker.privatePostV5PositionSetLeverage(body)
    legs = {leg["info"]["positionIdx"]: leg["leverage"] for leg in await taker.fetch_positions([ETH])}
    assert legs == {1: 5, 2: 20}


async def test_batches_have_an_outcome_each(room: Room) -> None:
    taker = room.taker
    orders = [
        {"symbol": INVERSE, "type": "limit", "side": "buy", "amount": 100, "price": 95000 + number}
        for number in range(3)
    ]
    placed = await taker.create_orders([*orders, {**orders[0], "amount": 10**9}])
    assert [bool(order["id"]) for order in placed] == [True, True, True, False]
    assert int(placed[-1]["info"].get("code", 10001)) == 10001
    edited = await taker.edit_orders(
        [
            {
                "symbol": INVERSE,
                "id": placed[0]["id"],
                "type": "limit",
                "side": "buy",
                "amount": 200,
                "price": 95500,
            }
        ]
    )
    assert edited[0]["id"] == placed[0]["id"]
    changed = await taker.fetch_open_order(placed[0]["id"], INVERSE)
    assert (changed["price"], changed["amount"]) == (95500, 200)
    for order in placed[:2]:
        await taker.cancel_order(order["id"], INVERSE)
    assert [order["id"] for order in await taker.fetch_open_orders(INVERSE)] == [placed[2]["id"]]
    await taker.cancel_all_orders(INVERSE)
    assert await taker.fetch_open_orders(INVERSE) == []
    assert len(await taker.fetch_canceled_and_closed_orders(INVERSE)) == 3


async def test_cancel_all_leaves_other_markets_alone(room: Room) -> None:
    taker = room.taker
    for symbol, amount in ((LINEAR, 0.1), (USDC, 0.1), (SPOT, 0.1), (INVERSE, 100)):
        await taker.create_order(symbol, "limit", "buy", amount, 95000)
    await taker.cancel_all_orders(params={"category": "linear", "settleCoin": "USDT"})
    left = [symbol for symbol in (LINEAR, USDC, SPOT, INVERSE) if await taker.fetch_open_orders(symbol)]
    assert left == [USDC, SPOT, INVERSE]


async def test_self_match_prevention_slippage_and_disconnect_window(room: Room) -> None:
    taker = room.taker
    await taker.create_order(LINEAR, "limit", "sell", 0.1, 100000)
    met = await taker.create_order(
        LINEAR, "limit", "buy", 0.1, 100000, {"smpType": "CancelMaker", "timeInForce": "IOC"}
    )
    row = (await taker.fetch_order(met["id"], LINEAR, {"acknowledged": True}))["info"]
    assert (row["smpType"], row["cumExecQty"]) == ("CancelMaker", "0.000")
    stopped = (await taker.fetch_canceled_orders(LINEAR))[0]["info"]
    assert (stopped["cancelType"], stopped["smpOrderId"]) == ("CancelBySmp", met["id"]) or row[
        "orderStatus"
    ] == "Cancelled"
    await room.sell(LINEAR, 0.1, 100000)
    await room.sell(LINEAR, 0.1, 100100)
    held = await taker.create_order(
        LINEAR, "market", "buy", 0.2, params={"slippageToleranceType": "TickSize", "slippageTolerance": "10"}
    )
    filled = await taker.fetch_order(held["id"], LINEAR, {"acknowledged": True})
    assert (filled["filled"], filled["info"]["slippageTolerance"]) == (0.1, "10")
    await taker.cancel_all_orders_after(10000)
    info = (await taker.privateGetV5AccountInfo())["result"]
    assert (info["dcpStatus"], info["timeWindow"]) == ("ON", 10)
    with pytest.raises(ccxt.BadRequest, match="timeWindow"):
        await taker.cancel_all_orders_after(1000)


async def test_what_an_order_would_do_is_told_before(room: Room) -> None:
    body = {
        "category": "linear",
        "symbol": "BTCUSDT",
        "side": "Buy",
        "orderType": "Limit",
        "qty": "1",
        "price": "99000",
    }
    told = (await room.taker.privatePostV5OrderPreCheck(body))["result"]
    assert int(told["preImrE4"]) == 0
    assert int(told["postImrE4"]) > int(told["postMmrE4"]) > 0
    spot = {"category": "spot", "symbol": "BTCUSDT", "side": "Buy"}
    most = (await room.taker.privateGetV5OrderSpotBorrowCheck(spot))["result"]
    assert float(most["maxTradeAmount"]) > float(most["spotMaxTradeAmount"]) == 100000
