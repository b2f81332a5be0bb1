"""What several venues say of one account, each in its own fields and units: half a coin long, two fills, a
stop, funding, a deposit; a third fill over the private stream.

Made by hand from the fields that ccxt reads; no venue has sent any of it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from tests.integration.venue_replies import Answer, Replies

__all__ = ["BEGAN_MS", "SYMBOL", "SYMBOLS", "VENUES"]

BEGAN_MS = (time.time_ns() // 10**9 - 3600) * 1000
SYMBOL = "BTC/USDT:USDT"
SYMBOLS = {"hyperliquid": "BTC/USDC:USDC"}


def _third(number: int = 3) -> int:
    return BEGAN_MS + 1000 * number


def _fixed(value: Any) -> Answer:
    return lambda _query, _body: value


def _binance() -> Replies:
    def trade(number: int, qty: str) -> dict[str, Any]:
        return {
            "symbol": "BTCUSDT", "id": number, "orderId": 70 + number, "side": "BUY", "price": "100.5",
            "qty": qty, "commission": "0.01", "commissionAsset": "USDT", "positionSide": "BOTH",
            "time": BEGAN_MS + 1000 * number, "maker": False, "buyer": True,
        }  # fmt: skip

    position = {
        "symbol": "BTCUSDT", "positionSide": "BOTH", "positionAmt": "0.5", "entryPrice": "100.5",
        "markPrice": "110", "unRealizedProfit": "4.75", "notional": "55", "marginAsset": "USDT",
        "isolatedMargin": "0", "isolatedWallet": "0", "initialMargin": "5.5", "maintMargin": "1",
        "liquidationPrice": "10", "updateTime": BEGAN_MS,
    }  # fmt: skip
    bracket = {"bracket": 1, "initialLeverage": 125, "notionalCap": 10**9, "notionalFloor": 0}
    stop = {
        "algoId": 9, "clientAlgoId": "s", "algoType": "CONDITIONAL", "orderType": "STOP_MARKET",
        "symbol": "BTCUSDT", "side": "SELL", "positionSide": "BOTH", "timeInForce": "GTC", "quantity": "0",
        "algoStatus": "NEW", "triggerPrice": "90", "price": "0", "closePosition": True, "reduceOnly": True,
        "createTime": BEGAN_MS, "updateTime": BEGAN_MS,
    }  # fmt: skip
    asset = {
        "asset": "USDT", "walletBalance": "1000", "unrealizedProfit": "4.75", "marginBalance": "1004.75",
        "initialMargin": "5.5", "maintMargin": "1", "availableBalance": "999", "updateTime": BEGAN_MS,
    }  # fmt: skip
    income = [
        {"symbol": "BTCUSDT", "incomeType": kind, "income": amount, "asset": "USDT",
         "time": BEGAN_MS + 2500 + number, "tranId": number, "tradeId": ""}
        for number, (kind, amount) in enumerate(
            [("FUNDING_FEE", "-0.25"), ("TRANSFER", "200"), ("COMMISSION", "-0.01"), ("REALIZED_PNL", "3")]
        )
    ]  # fmt: skip

    def stream(path: str, said: Mapping[str, Any]) -> list[Any]:
        told = {
            "s": "BTCUSDT", "S": "SELL", "o": "MARKET", "f": "GTC", "q": "0.1", "p": "0", "ap": "101",
            "x": "TRADE", "X": "FILLED", "i": 73, "l": "0.1", "z": "0.1", "L": "101", "N": "USDT",
            "n": "0.01", "T": _third(), "t": 3, "ps": "BOTH", "m": False, "c": "x", "R": True,
        }  # fmt: skip
        event = {"e": "ORDER_TRADE_UPDATE", "E": _third(), "T": _third(), "o": told}
        return [event] if "listenKey=own" in path and not said else []

    return Replies(
        "BTCUSDT",
        1,
        {
            "/fapi/v1/userTrades": _fixed([trade(1, "0.2"), trade(2, "0.3")]),
            "/fapi/v1/leverageBracket": _fixed(
                [{"symbol": "BTCUSDT", "brackets": [bracket | {"maintMarginRatio": 0.004, "cum": 0}]}]
            ),
            "/fapi/v3/positionRisk": _fixed([position]),
            "/fapi/v3/account": _fixed({"assets": [asset], "positions": []}),
            "/fapi/v1/openOrders": _fixed([]),
            "/fapi/v1/openAlgoOrders": _fixed([stop]),
            "/fapi/v1/income": _fixed(income),
            "/fapi/v1/listenKey": _fixed({"listenKey": "own"}),
        },
        stream,
    )


def _bitget() -> Replies:
    def ok(data: Any) -> Answer:
        return _fixed({"code": "00000", "msg": "success", "data": data})

    def trade(number: int, qty: str) -> dict[str, Any]:
        return {
            "tradeId": str(number), "symbol": "BTCUSDT", "orderId": str(70 + number), "price": "100.5",
            "baseVolume": qty, "side": "buy", "tradeSide": "buy_single", "posMode": "one_way_mode",
            "feeDetail": [{"feeCoin": "USDT", "totalFee": "-0.01"}], "cTime": str(BEGAN_MS + 1000 * number),
        }  # fmt: skip

    position = {
        "symbol": "BTCUSDT", "marginCoin": "USDT", "holdSide": "long", "total": "0.5", "available": "0.5",
        "leverage": "10", "openPriceAvg": "100.5", "marginMode": "crossed", "posMode": "one_way_mode",
        "unrealizedPL": "4.75", "markPrice": "110", "liquidationPrice": "10", "keepMarginRate": "0.004",
        "marginSize": "5", "marginRatio": "0.1", "cTime": str(BEGAN_MS), "uTime": str(BEGAN_MS),
    }  # fmt: skip
    stop = {
        "orderId": "9", "symbol": "BTCUSDT", "size": "0.5", "planType": "normal_plan", "orderType": "market",
        "triggerPrice": "90", "triggerType": "mark_price", "side": "sell", "reduceOnly": "YES",
        "posMode": "one_way_mode", "planStatus": "live", "cTime": str(BEGAN_MS), "uTime": str(BEGAN_MS),
    }  # fmt: skip
    bills = [
        {"billId": "1", "symbol": "BTCUSDT", "amount": "-0.25", "fee": "0",
         "businessType": "contract_settle_fee", "coin": "USDT", "cTime": str(BEGAN_MS + 2500)},
        {"billId": "2", "symbol": "", "amount": "200", "fee": "0", "businessType": "trans_from_exchange",
         "coin": "USDT", "cTime": str(BEGAN_MS + 2501)},
    ]  # fmt: skip

    def stream(_path: str, said: Mapping[str, Any]) -> list[Any]:
        if said.get("op") == "login":
            return [{"event": "login", "code": 0}]
        fills = [arg for arg in said.get("args", []) if arg.get("channel") == "fill"]
        told = {
            "orderId": "73", "tradeId": "3", "symbol": "BTCUSDT", "side": "sell", "price": "101",
            "baseVolume": "0.1", "quoteVolume": "10.1", "tradeSide": "sell_single", "posMode": "one_way_mode",
            "feeDetail": [{"feeCoin": "USDT", "totalFee": "-0.01"}], "cTime": str(_third()),
        }  # fmt: skip
        return [{"action": "snapshot", "arg": arg, "data": [told], "ts": _third()} for arg in fills]

    return Replies(
        "BTCUSDT",
        1,
        {
            "/api/v3/account/settings": _fixed({"code": "40084", "msg": "classic account", "data": None}),
            "/api/v2/mix/order/fills": ok({"fillList": [trade(2, "0.3"), trade(1, "0.2")], "endId": "1"}),
            "/api/v2/mix/position/all-position": ok([position]),
            "/api/v2/mix/account/accounts": ok(
                [{"marginCoin": "USDT", "available": "999", "accountEquity": "1004.75", "locked": "0",
                  "unrealizedPL": "4.75", "crossedMaxAvailable": "999"}]
            ),
            "/api/v2/mix/order/orders-pending": ok({"entrustedList": None, "endId": None}),
            "/api/v2/mix/order/orders-plan-pending": ok({"entrustedList": [stop], "endId": "9"}),
            "/api/v2/mix/account/bill": ok({"bills": bills, "endId": "2"}),
        },
        stream,
    )  # fmt: skip


def _mexc() -> Replies:
    def ok(data: Any) -> Answer:
        return _fixed({"success": True, "code": 0, "data": data})

    def trade(number: int, contracts: int) -> dict[str, Any]:
        return {
            "id": str(number), "symbol": "BTC_USDT", "side": 1, "vol": contracts, "price": 100.5, "fee": 0.01,
            "feeCurrency": "USDT", "profit": 0, "orderId": str(70 + number), "positionMode": 2,
            "timestamp": BEGAN_MS + 1000 * number,
        }  # fmt: skip

    position = {
        "positionId": 1, "symbol": "BTC_USDT", "positionType": 1, "openType": 2, "state": 1, "holdVol": 5000,
        "holdAvgPrice": 100.5, "openAvgPrice": 100.5, "liquidatePrice": 10, "im": 5, "oim": 5, "leverage": 10,
        "createTime": BEGAN_MS, "updateTime": BEGAN_MS,
    }  # fmt: skip
    funding = {
        "id": 5, "symbol": "BTC_USDT", "positionType": 1, "positionValue": 55, "funding": -0.25,
        "rate": 0.0001, "settleTime": BEGAN_MS + 2500,
    }  # fmt: skip

    def stream(_path: str, said: Mapping[str, Any]) -> list[Any]:
        if said.get("method") != "login":
            return []
        told = trade(3, 1000) | {"side": 4, "price": 101, "isTaker": True}
        deal = {"channel": "push.personal.order.deal", "data": told, "ts": _third()}
        return [{"channel": "rs.login", "data": "success", "ts": _third()}, deal]

    return Replies(
        "BTC_USDT",
        0.0001,
        {
            "/api/v1/private/order/list/order_deals": ok([trade(2, 3000), trade(1, 2000)]),
            "/api/v1/private/position/open_positions": ok([position]),
            "/api/v1/private/account/assets": ok(
                [{"currency": "USDT", "positionMargin": 5, "availableBalance": 995, "cashBalance": 995,
                  "frozenBalance": 0, "equity": 1004.75, "unrealized": 4.75}]
            ),
            "/api/v1/private/order/list/open_orders": ok([]),
            "/api/v1/private/planorder/list/orders": ok([]),
            "/api/v1/private/position/funding_records": ok({"resultList": [funding]}),
        },
        stream,
    )  # fmt: skip


def _gate() -> Replies:
    def trade(number: int, contracts: int) -> dict[str, Any]:
        return {
            "trade_id": str(number), "create_time": BEGAN_MS / 1000 + number, "contract": "BTC_USDT",
            "order_id": str(70 + number), "size": contracts, "price": "100.5", "role": "taker", "text": "t-x",
            "fee": "0.01", "point_fee": "0",
        }  # fmt: skip

    position = {
        "contract": "BTC_USDT", "size": 5000, "leverage": "0", "cross_leverage_limit": "10", "value": "55",
        "entry_price": "100.5", "mark_price": "110", "unrealised_pnl": "4.75", "mode": "single",
        "margin": "5", "maintenance_rate": "0.004", "liq_price": "10", "update_time": BEGAN_MS // 1000,
    }  # fmt: skip
    stop = {
        "id": 9, "initial": {"contract": "BTC_USDT", "size": -5000, "price": "0", "tif": "ioc",
                             "is_reduce_only": True},
        "trigger": {"strategy_type": 0, "price_type": 0, "price": "90", "rule": 2, "expiration": 86400},
        "order_type": "plan-close-long-position", "status": "open", "create_time": BEGAN_MS / 1000,
    }  # fmt: skip
    book = [
        {
            "time": BEGAN_MS // 1000 + 2,
            "change": "-0.25",
            "balance": "999",
            "type": "fund",
            "text": "BTC_USDT",
        },
        {"time": BEGAN_MS // 1000 + 3, "change": "200", "balance": "1199", "type": "dnw", "text": ""},
    ]

    def stream(_path: str, said: Mapping[str, Any]) -> list[Any]:
        if said.get("channel") != "futures.usertrades" or said["payload"] != ["77", "!all"]:
            return []
        told = {
            "id": "3", "create_time": _third() // 1000, "create_time_ms": _third(), "contract": "BTC_USDT",
            "order_id": "73", "size": -1000, "price": "101", "role": "taker", "text": "t-x", "fee": 0.01,
        }  # fmt: skip
        news = {"time": _third() // 1000, "channel": "futures.usertrades"}
        return [
            news | {"event": "subscribe", "result": {"status": "success"}, "id": said.get("id")},
            news | {"event": "update", "result": [told]},
        ]

    return Replies(
        "BTC_USDT",
        0.0001,
        {
            "/api/v4/account/detail": _fixed({"user_id": 77, "key": {"mode": 1}}),
            "/api/v4/futures/usdt/my_trades_timerange": _fixed([trade(2, 3000), trade(1, 2000)]),
            "/api/v4/futures/usdt/positions": _fixed([position]),
            "/api/v4/futures/usdt/accounts": _fixed(
                {"currency": "USDT", "total": "1000", "unrealised_pnl": "4.75", "available": "999"}
            ),
            "/api/v4/futures/usdt/orders": _fixed([]),
            "/api/v4/futures/usdt/price_orders": _fixed([stop]),
            "/api/v4/futures/usdt/account_book": _fixed(book),
        },
        stream,
    )


def _okx() -> Replies:
    def ok(data: Any) -> Answer:
        return _fixed({"code": "0", "msg": "", "data": data})

    def trade(number: int, contracts: str) -> dict[str, Any]:
        return {
            "instType": "SWAP", "instId": "BTC-USDT-SWAP", "tradeId": str(number), "ordId": str(70 + number),
            "billId": str(number), "fillPx": "100.5", "fillSz": contracts, "side": "buy", "posSide": "net",
            "execType": "T", "feeCcy": "USDT", "fee": "-0.01", "ts": str(BEGAN_MS + 1000 * number),
        }  # fmt: skip

    position = {
        "instType": "SWAP", "instId": "BTC-USDT-SWAP", "mgnMode": "cross", "posId": "1", "posSide": "net",
        "pos": "50", "avgPx": "100.5", "upl": "4.75", "lever": "10", "markPx": "110", "ccy": "USDT",
        "notionalUsd": "55", "imr": "5", "mmr": "1", "uTime": str(BEGAN_MS), "cTime": str(BEGAN_MS),
    }  # fmt: skip
    stop = {
        "algoId": "9", "instId": "BTC-USDT-SWAP", "instType": "SWAP", "ordType": "conditional",
        "side": "sell", "sz": "50", "reduceOnly": "true", "slTriggerPx": "90", "slOrdPx": "-1",
        "state": "live", "posSide": "net", "tdMode": "cross", "cTime": str(BEGAN_MS),
    }  # fmt: skip
    bills = [
        {"billId": str(number), "type": kind, "balChg": amount, "ccy": "USDT", "instId": "BTC-USDT-SWAP",
         "bal": "1000", "fee": "0", "ts": str(BEGAN_MS + 2500 + number)}
        for number, (kind, amount) in enumerate([("8", "-0.25"), ("1", "200"), ("2", "3")])
    ]  # fmt: skip

    def algos(query: Mapping[str, str], _body: Any) -> Any:
        return {"code": "0", "msg": "", "data": [stop] if query.get("ordType") == "conditional" else []}

    def stream(_path: str, said: Mapping[str, Any]) -> list[Any]:
        if said.get("op") == "login":
            return [{"event": "login", "code": "0", "msg": "", "connId": "1"}]
        orders = [arg for arg in said.get("args", []) if arg.get("channel") == "orders"]
        told = {
            "instType": "SWAP", "instId": "BTC-USDT-SWAP", "ordId": "73", "tradeId": "3", "side": "sell",
            "posSide": "net", "px": "", "sz": "10", "fillSz": "10", "fillPx": "101", "accFillSz": "10",
            "avgPx": "101", "state": "filled", "ordType": "market", "execType": "T",
            "fillTime": str(_third()), "cTime": str(_third()), "uTime": str(_third()), "fillFee": "-0.01",
            "fillFeeCcy": "USDT", "fee": "-0.01", "feeCcy": "USDT", "category": "normal",
            "clOrdId": "", "reduceOnly": "true",
        }  # fmt: skip
        return [{"arg": arg, "data": [told]} for arg in orders]

    details = {"ccy": "USDT", "eq": "1004.75", "cashBal": "1000", "availEq": "999", "upl": "4.75"}
    return Replies(
        "BTC-USDT-SWAP",
        0.01,
        {
            "/api/v5/trade/fills-history": ok([trade(2, "30"), trade(1, "20")]),
            "/api/v5/account/positions": ok([position]),
            "/api/v5/account/balance": ok([{"details": [details], "totalEq": "1004.75", "uTime": "1"}]),
            "/api/v5/trade/orders-pending": ok([]),
            "/api/v5/trade/orders-algo-pending": algos,
            "/api/v5/account/bills": ok(bills),
        },
        stream,
    )


def _hyperliquid() -> Replies:
    def trade(number: int, qty: str) -> dict[str, Any]:
        return {
            "coin": "BTC", "px": "100.5", "sz": qty, "side": "B", "time": BEGAN_MS + 1000 * number,
            "startPosition": "0", "dir": "Open Long", "closedPnl": "0", "hash": "0x1", "oid": 70 + number,
            "crossed": True, "fee": "0.01", "tid": number, "feeToken": "USDC",
        }  # fmt: skip

    position = {
        "coin": "BTC", "szi": "0.5", "entryPx": "100.5", "leverage": {"type": "cross", "value": 10},
        "liquidationPx": "10", "marginUsed": "5", "positionValue": "55", "unrealizedPnl": "4.75",
        "returnOnEquity": "0.1", "maxLeverage": 50,
    }  # fmt: skip
    margin = {"accountValue": "1004.75", "totalMarginUsed": "5", "totalNtlPos": "55", "totalRawUsd": "950"}
    stop = {
        "coin": "BTC", "side": "A", "limitPx": "85", "sz": "0.5", "oid": 9, "timestamp": BEGAN_MS,
        "isTrigger": True, "triggerPx": "90", "triggerCondition": "Price below 90", "reduceOnly": True,
        "orderType": "Stop Market", "origSz": "0.5", "tif": None, "isPositionTpsl": True, "children": [],
    }  # fmt: skip
    told: dict[str, Any] = {
        "userFillsByTime": [trade(1, "0.2"), trade(2, "0.3")],
        "clearinghouseState": {
            "assetPositions": [{"type": "oneWay", "position": position}],
            "marginSummary": margin, "crossMarginSummary": margin, "withdrawable": "999", "time": BEGAN_MS,
        },
        "userAbstraction": "disabled",
        "frontendOpenOrders": [stop],
        "userNonFundingLedgerUpdates": [
            {"time": BEGAN_MS + 2501, "hash": "0x2", "delta": {"type": "deposit", "usdc": "200"}}
        ],
        "userFunding": [
            {"time": BEGAN_MS + 2500, "hash": "0x3", "delta": {
                "type": "funding", "coin": "BTC", "usdc": "-0.25", "szi": "0.5", "fundingRate": "0.0001"}}
        ],
    }  # fmt: skip

    def stream(_path: str, said: Mapping[str, Any]) -> list[Any]:
        asked = said.get("subscription", {})
        if asked.get("type") != "userFills":
            return []
        fill = trade(3, "0.1") | {"side": "A", "px": "101", "dir": "Close Long"}
        return [
            {"channel": "subscriptionResponse", "data": {"method": "subscribe", "subscription": asked}},
            {"channel": "userFills", "data": {"user": asked["user"], "fills": [fill]}},
        ]

    return Replies("BTC", 1, {"/info": lambda _query, body: told[body["type"]]}, stream)


VENUES: dict[str, Callable[[], Replies]] = {
    "binance": _binance,
    "bitget": _bitget,
    "gate": _gate,
    "hyperliquid": _hyperliquid,
    "mexc": _mexc,
    "okx": _okx,
}
