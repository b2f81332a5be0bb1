"""Orders that wait for a price, and what protects a position, through unmodified ccxt, sync and async."""

from __future__ import annotations

import ccxt
import pytest

from tests.contract.clients import LINEAR
from tests.contract.trading_rooms import Room, room

__all__ = ["room"]  # a fixture

pytestmark = pytest.mark.asyncio

TAKER = 0.00055


async def test_conditional_orders_wait_and_fire(room: Room) -> None:
    taker = room.taker
    await room.trade(LINEAR, 100000)
    rising = await taker.create_order(
        LINEAR, "limit", "buy", 0.1, 99000, {"triggerPrice": 100500, "triggerDirection": "ascending"}
    )
    waiting = (await taker.fetch_open_orders(LINEAR, params={"trigger": True}))[0]
    assert (waiting["id"], waiting["triggerPrice"], waiting["status"]) == (rising["id"], 100500, "open")
    assert waiting["info"]["orderStatus"] == "Untriggered"
    assert (await taker.fetch_balance())["USDT"]["used"] == 0, "what waits holds no margin"
    await room.trade(LINEAR, 100600)
    fired = await taker.fetch_order(rising["id"], LINEAR, {"acknowledged": True})
    assert (fired["info"]["orderStatus"], fired["info"]["stopOrderType"]) == ("New", "Stop")
    assert (await taker.fetch_balance())["USDT"]["used"] > 0
    await room.sell(LINEAR, 0.1, 100600)
    await taker.create_order(LINEAR, "market", "buy", 0.1)
    stop = await taker.create_order(LINEAR, "market", "sell", 0.1, params={"stopLossPrice": 90000})
    await taker.cancel_order(stop["id"], LINEAR, {"trigger": True})
    gone = await taker.fetch_order(stop["id"], LINEAR, {"acknowledged": True})
    assert (gone["status"], gone["info"]["orderStatus"]) == ("canceled", "Deactivated")
    profit = await taker.create_order(LINEAR, "market", "sell", 0.1, params={"takeProfitPrice": 100700})
    await room.buy(LINEAR, 0.1, 100690)
    await room.trade(LINEAR, 100700)
    taken = await taker.fetch_order(profit["id"], LINEAR, {"acknowledged": True})
    assert (taken["status"], taken["average"], taken["reduceOnly"]) == ("closed", 100690, True)


async def test_take_profit_and_stop_loss_come_with_an_order(room: Room) -> None:
    taker = room.taker
    with pytest.raises(ccxt.BadRequest, match="TakeProfit:99000 set for Buy position should be higher"):
        await taker.create_order(LINEAR, "limit", "buy", 0.1, 100000, {"takeProfit": {"triggerPrice": 99000}})
    await room.trade(LINEAR, 100000)
    await room.sell(LINEAR, 0.1, 100000)
    exits = {"takeProfit": {"triggerPrice": 101000}, "stopLoss": {"triggerPrice": 95000}}
    opened = await taker.create_order(LINEAR, "limit", "buy", 0.1, 100000, exits)
    order = await taker.fetch_order(opened["id"], LINEAR, {"acknowledged": True})
    assert (order["takeProfitPrice"], order["stopLossPrice"], order["info"]["tpslMode"]) == (
        101000,
        95000,
        "Full",
    )
    position = await room.position(LINEAR)
    assert (position["takeProfitPrice"], position["stopLossPrice"]) == (101000, 95000)
    waiting = await taker.fetch_open_orders(LINEAR, params={"trigger": True})
    assert {row["info"]["stopOrderType"] for row in waiting} == {"TakeProfit", "StopLoss"}
    await room.buy(LINEAR, 0.1, 100990)
    await room.trade(LINEAR, 101000)
    assert (await room.position(LINEAR))["contracts"] == 0
    done = {
        row["info"]["stopOrderType"]: row["info"]
        for row in await taker.fetch_canceled_and_closed_orders(LINEAR)
    }
    assert (done["TakeProfit"]["orderStatus"], done["TakeProfit"]["createType"]) == (
        "Filled",
        "CreateByTakeProfit",
    )
    assert done["StopLoss"]["cancelType"] == "CancelByTpSlTsClear"
    closed = (await taker.fetch_positions_history([LINEAR]))[0]
    assert float(closed["info"]["closedPnl"]) == pytest.approx(99 - 10000 * TAKER - 10099 * TAKER)


async def test_a_position_gets_a_pair_and_a_trailing_stop(room: Room) -> None:
    taker = room.taker
    await room.trade(LINEAR, 100000)
    with pytest.raises(ccxt.BadRequest, match="zero position"):
        await taker.create_order(LINEAR, "market", "sell", 0.1, params={"trailingAmount": 500})
    await room.sell(LINEAR, 0.2, 100000)
    await taker.create_order(LINEAR, "market", "buy", 0.2)
    both = {"takeProfitPrice": 101000, "stopLossPrice": 95000}
    await taker.create_order(LINEAR, "market", "sell", 0.1, params=both)
    waiting = await taker.fetch_open_orders(LINEAR, params={"trigger": True})
    assert {(row["info"]["stopOrderType"], row["amount"]) for row in waiting} == {
        ("PartialTakeProfit", 0.1),
        ("PartialStopLoss", 0.1),
    }
    await taker.create_order(LINEAR, "market", "sell", 0.2, params={"trailingAmount": 500})
    assert (await room.position(LINEAR))["info"]["trailingStop"] == "500"  # type: ignore[index]
    body = {"category": "linear", "symbol": "BTCUSDT", "tpslMode": "Full", "positionIdx": 0}
    await taker.privatePostV5PositionTradingStop({**body, "stopLoss": "94000"})
    assert (await room.position(LINEAR))["stopLossPrice"] == 94000
    with pytest.raises(ccxt.ExchangeError, match="34040"):
        await taker.privatePostV5PositionTradingStop({**body, "stopLoss": "94000"})
    with pytest.raises(ccxt.BadRequest, match="StopLoss:105000 set for Buy position should be lower"):
        await taker.privatePostV5PositionTradingStop({**body, "stopLoss": "105000"})
    await taker.privatePostV5PositionTradingStop({**body, "stopLoss": "0"})
    assert (await room.position(LINEAR))["stopLossPrice"] is None
    await room.buy(LINEAR, 0.2, 99000)
    await room.trade(LINEAR, 99500)
    assert (await room.position(LINEAR))["contracts"] == 0, "500 below the best price it saw"
