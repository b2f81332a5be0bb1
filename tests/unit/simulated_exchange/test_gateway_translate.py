"""Wire text to typed requests and back."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest

from simulated_exchange.driver import (
    OrderType,
    PositionIndex,
    PositionMode,
    Reject,
    SelfMatch,
    Side,
    Terms,
    TimeInForce,
    TpSlMode,
    TriggerBy,
    TriggerDirection,
)
from simulated_exchange.gateway.json_object import DEPTH_MAX, parse_object
from simulated_exchange.gateway.translate import position_requests, queries, requests
from simulated_exchange.gateway.translate.numbers import (
    decimal_text,
    fixed_text,
    leverage_text,
    parse_decimal,
    rate_text,
)
from simulated_exchange.gateway.translate.refusals import RefusedError
from simulated_exchange.gateway.translate.rejects import engine_refusal, trigger_refusal
from simulated_exchange.gateway.translate.rows import order_id_text, parse_order_id
from simulated_exchange.gateway.translate.tables import risk_limit_rows
from simulated_exchange.gateway.translate.topics import parse_topic, private_topic
from simulated_exchange.instruments import SCALE, Catalogue
from tests.unit.simulated_exchange.listing_rooms import shipped_genesis

CATALOGUE = Catalogue.from_genesis(shipped_genesis())
BTC = CATALOGUE[0]
ORDER: dict[str, Any] = {
    "symbol": "BTCUSDT",
    "side": "Buy",
    "orderType": "Limit",
    "qty": "0.01",
    "price": "99000",
}


def test_numbers_come_back_exactly() -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")  # noqa: T201
    generator = random.Random(seed)
    for _ in range(500):
        value = generator.randrange(10 ** generator.randrange(1, 18))
        assert parse_decimal(decimal_text(value)) == value
        assert parse_decimal(fixed_text(value, 8)) == value
    assert [decimal_text(value) for value in (0, -5 * SCALE, 54_450_000)] == ["0", "-5", "0.5445"]
    assert [fixed_text(99_000 * SCALE, decimals) for decimals in (0, 2)] == ["99000", "99000.00"]
    assert fixed_text(-123_456_789, 3) == "-1.234"
    assert (leverage_text(1250), rate_text(1, 3), rate_text(1, 0), rate_text(-1, 8, 3)) == (
        "12.5",
        "0.333333",
        "0",
        "-0.125",
    )


@pytest.mark.parametrize(
    "text", ["", "-1", "+1", "1e5", ".5", "1.", " 1", "1,0", "٣", "0.123456789", "1" * 11, None, 1.5, True]
)
def test_what_is_no_plain_decimal_is_none(text: object) -> None:
    assert parse_decimal(text) is None


def test_trailing_zeros_and_whole_numbers_are_decimals() -> None:
    assert parse_decimal("1.5000000000") == 150_000_000
    assert parse_decimal(3) == 3 * SCALE


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (
            {},
            {
                "order_type": OrderType.Limit,
                "time_in_force": TimeInForce.GoodTillCancel,
                "price": 99_000 * SCALE,
            },
        ),
        ({"timeInForce": "PostOnly"}, {"time_in_force": TimeInForce.PostOnly}),
        ({"timeInForce": "FOK"}, {"time_in_force": TimeInForce.FillOrKill}),
        ({"timeInForce": ""}, {"time_in_force": TimeInForce.GoodTillCancel}),
        ({"orderType": "Market"}, {"order_type": OrderType.Market, "price": 0}),
        (
            {"side": "Sell", "reduceOnly": True},
            {"side": Side.Sell, "reduce_only": True, "terms": None},
        ),
        (
            {"qty": "0", "reduceOnly": True, "closeOnTrigger": True},
            {"qty": 0, "reduce_only": True, "terms": Terms(close_on_trigger=True)},
        ),
        ({"positionIdx": 2}, {"position_index": PositionIndex.HedgeSell}),
        ({"smpType": "CancelMaker"}, {"terms": Terms(self_match=SelfMatch.CancelMaker)}),
        (
            {"slippageToleranceType": "TickSize", "slippageTolerance": "10"},
            {"terms": Terms(slippage_ticks=10)},
        ),
        (
            {"slippageToleranceType": "Percent", "slippageTolerance": "0.05"},
            {"terms": Terms(slippage_ratio=50_000)},
        ),
        (
            {"triggerPrice": "90000", "triggerDirection": 2, "triggerBy": "MarkPrice"},
            {
                "terms": Terms(
                    trigger_price=90_000 * SCALE,
                    trigger_by=TriggerBy.MarkPrice,
                    trigger_direction=TriggerDirection.Fall,
                )
            },
        ),
        ({"orderLinkId": "a-B_9"}, {"link_id": "a-B_9"}),
        ({"position_idx": 0, "positionIdx": 0, "trigger": True, "isLeverage": 1}, {"qty": SCALE // 100}),
        (
            {"takeProfit": "", "stopLoss": "0", "smpType": "None", "triggerDirection": 0},
            {"qty": SCALE // 100},
        ),
    ],
)
def test_orders_are_understood(change: dict[str, Any], expected: dict[str, Any]) -> None:
    request = requests.order_request({**ORDER, **change}, CATALOGUE, "linear")
    assert request.instrument is BTC
    for name, value in expected.items():
        assert getattr(request, name) == value


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"symbol": None}, "symbol invalid"),
        ({"symbol": ["BTCUSDT"]}, "symbol invalid"),
        ({"side": "buy"}, "side invalid"),
        ({"side": "BUY"}, "side invalid"),
        ({"side": ["Buy"]}, "side invalid"),
        ({"orderType": {}}, "orderType invalid"),
        ({"orderType": "Stop"}, "orderType invalid"),
        ({"qty": 0.01}, "Qty invalid"),
        ({"qty": "1e3"}, "Qty invalid"),
        ({"price": ""}, "price invalid"),
        ({"price": "0"}, "price invalid"),
        ({"timeInForce": "GTD"}, "timeInForce invalid"),
        ({"timeInForce": ["GTC"]}, "timeInForce invalid"),
        ({"positionIdx": 3}, "position idx not match position mode"),
        ({"reduceOnly": "yes"}, "reduceOnly invalid"),
        ({"orderLinkId": "x" * 37}, "orderLinkId invalid"),
        ({"orderLinkId": "a b"}, "orderLinkId invalid"),
        ({"takeProfit": "high"}, "takeProfit invalid"),
        ({"takeProfit": "1", "tpslMode": "Half"}, "tpslMode invalid"),
        ({"stopLoss": "1", "slOrderType": "Limit"}, "slLimitPrice invalid"),
        ({"stopLoss": "1", "slTriggerBy": "BestPrice"}, "slTriggerBy invalid"),
        ({"bboSideType": "Queue"}, "bboSideType is not supported"),
        ({"triggerPrice": "high"}, "triggerPrice invalid"),
        ({"triggerPrice": "1", "triggerDirection": 3}, "triggerDirection invalid"),
        ({"triggerPrice": "1", "triggerBy": "BestPrice"}, "triggerBy invalid"),
        ({"orderFilter": "StopOrder"}, "triggerPrice invalid"),
        ({"smpType": "CancelAll"}, "smpType invalid"),
        ({"slippageToleranceType": "TickSize", "slippageTolerance": "1.5"}, "slippageTolerance invalid"),
        ({"slippageToleranceType": "Percent", "slippageTolerance": "11"}, "slippageTolerance invalid"),
    ],
)
def test_orders_that_cannot_be_understood_name_the_field(change: dict[str, Any], text: str) -> None:
    with pytest.raises(RefusedError) as refused:
        requests.order_request({**ORDER, **change}, CATALOGUE, "linear")
    assert refused.value.code == 10001
    assert text in refused.value.text


def test_what_is_to_end_a_position_is_understood() -> None:
    request = requests.order_request(
        {
            **ORDER,
            "takeProfit": "110000",
            "stopLoss": "90000",
            "tpslMode": "Partial",
            "tpOrderType": "Limit",
            "tpLimitPrice": "109000",
            "slTriggerBy": "MarkPrice",
        },
        CATALOGUE,
        "linear",
    )
    assert request.terms == Terms(
        tpsl_mode=TpSlMode.Partial,
        take_profit=110_000 * SCALE,
        take_profit_limit=109_000 * SCALE,
        stop_loss=90_000 * SCALE,
        stop_loss_by=TriggerBy.MarkPrice,
    )
    spot = {**ORDER, "takeProfit": "110000", "tpLimitPrice": "109000", "tpslMode": "Partial"}
    request = requests.order_request(spot, CATALOGUE, "spot")
    assert request.terms == Terms(take_profit=110_000 * SCALE, take_profit_limit=109_000 * SCALE)
    with pytest.raises(
        RefusedError, match="takeProfit is not supported by this venue, of spot it comes with limit orders"
    ):
        requests.order_request({**spot, "orderType": "Market"}, CATALOGUE, "spot")

    def stop(**body: Any) -> dict[str, Any]:
        whole = {"category": "linear", "symbol": "BTCUSDT", **body}
        return position_requests.trading_stop_request(whole, CATALOGUE)[1].terms

    assert stop(trailingStop="500", activePrice="101000") == {
        "trailing_stop": 500 * SCALE,
        "active_price": 101_000 * SCALE,
        "mode": TpSlMode.Full,
    }
    assert stop(takeProfit="0")["take_profit"] == 0
    assert stop(stopLoss="90000", slSize="0.1")["mode"] == TpSlMode.Partial
    for body, text in (
        ({}, "is required"),
        ({"takeProfit": "1", "tpSize": "1", "slSize": "2"}, "must be equal"),
    ):
        with pytest.raises(RefusedError, match=text):
            stop(**body)


def test_references_and_batches() -> None:
    with pytest.raises(RefusedError, match="OrderId or orderLinkId is required"):
        requests.cancel_request({"symbol": "BTCUSDT"}, CATALOGUE, "linear")
    reference = requests.cancel_request(
        {"symbol": "BTCUSDT", "orderId": order_id_text(77)}, CATALOGUE, "linear"
    )
    assert reference.order_id == 77
    odd = {"symbol": "BTCUSDT", "orderLinkId": "../.."}
    assert requests.cancel_request(odd, CATALOGUE, "linear").order_id == 0
    stranger = {"symbol": "BTCUSDT", "orderId": "stranger"}
    assert requests.cancel_request(stranger, CATALOGUE, "linear").order_id == 0
    with pytest.raises(RefusedError, match="price, qty or triggerPrice is required"):
        requests.amend_request({"symbol": "BTCUSDT", "orderLinkId": "x"}, CATALOGUE, "linear")
    wrong: list[Any] = [None, [], [{}] * 21, ["x"]]
    for entries in wrong:
        with pytest.raises(RefusedError, match="request invalid"):
            requests.batch_requests({"category": "linear", "request": entries})
    with pytest.raises(RefusedError, match="1 to 10 orders"):
        requests.batch_requests({"category": "spot", "request": [{}] * 11})


def test_cancel_all_means_what_it_says() -> None:
    def meant(**body: Any) -> tuple[list[str], bool, bool]:
        request = requests.cancel_all_request(body, CATALOGUE)
        return [entry.name for entry in request.instruments], request.resting, request.waiting

    assert meant(category="linear", symbol="BTCUSDT") == (["BTCUSDT"], True, True)
    assert meant(category="linear", symbol="BTCUSDT", orderFilter="Order") == (["BTCUSDT"], True, False)
    assert meant(category="linear", settleCoin="USDC", orderFilter="StopOrder") == (["BTCPERP"], False, True)
    assert meant(category="spot", symbol="BTCUSDT") == (["BTC/USDT"], True, False)
    assert meant(category="inverse") == (["BTCUSD"], True, True)
    for body, text in (
        ({"category": "option"}, "category invalid"),
        ({"category": "linear"}, "settleCoin is required"),
        ({"category": "linear", "settleCoin": "EUR"}, "settleCoin invalid"),
        ({"category": "linear", "settleCoin": "USDT", "orderFilter": "All"}, "orderFilter invalid"),
    ):
        with pytest.raises(RefusedError, match=text):
            requests.cancel_all_request(body, CATALOGUE)


def test_settings_of_positions_are_understood() -> None:
    body = {"category": "linear", "symbol": "BTCUSDT", "buyLeverage": "12.5", "sellLeverage": "12.50"}
    request = position_requests.leverage_request(body, CATALOGUE)
    assert (request.buy, request.sell) == (1250, 1250)
    for change in ({"buyLeverage": "0"}, {"sellLeverage": "1.005"}):
        with pytest.raises(RefusedError, match="Leverage invalid"):
            position_requests.leverage_request({**body, **change}, CATALOGUE)
    with pytest.raises(RefusedError, match="Set margin mode failed"):
        position_requests.margin_mode_request({"setMarginMode": "PORTFOLIO_MARGIN"})
    mode = position_requests.position_mode_request(
        {"category": "linear", "coin": "USDT", "mode": 3}, CATALOGUE
    )
    assert (mode.mode, mode.instrument, mode.coin) == (PositionMode.Hedge, None, "USDT")
    with pytest.raises(RefusedError, match="mode invalid"):
        position_requests.position_mode_request({"category": "linear", "coin": "USDT", "mode": 1}, CATALOGUE)
    taken = position_requests.margin_request(
        {"category": "inverse", "symbol": "BTCUSD", "margin": "-0.1"}, CATALOGUE
    )
    assert taken.amount == -SCALE // 10


def test_a_trigger_that_is_reached_already_says_by_what() -> None:
    refusal = trigger_refusal(Reject.TriggerNotAbove, 90_000 * SCALE, 100_000 * SCALE, "LastPrice")
    assert (refusal.code, refusal.text) == (
        110092,
        "expect Rising, but trigger_price[90000] <= current[100000]??LastPrice",
    )


def test_order_ids_come_back() -> None:
    for number in (1, 255, 2**40):
        assert parse_order_id(order_id_text(number)) == number
    for text in ("", "x", None, 5, "51700000-0000-4000-8000-zzzzzzzzzzzz", order_id_text(3)[:-1]):
        assert parse_order_id(text) == 0


def test_queries_name_what_is_wrong() -> None:
    for query, text in (
        ({}, "category invalid"),
        ({"category": "linear", "limit": "0"}, "limit invalid"),
        ({"category": "linear", "limit": "many"}, "limit invalid"),
        ({"category": "linear", "cursor": "%3A"}, "cursor invalid"),
        ({"category": "linear", "startTime": "9", "endTime": "8"}, "startTime invalid"),
        ({"category": "linear", "symbol": "NOPE"}, "symbol invalid"),
        ({"category": "linear", "orderStatus": "Odd"}, "orderStatus invalid"),
    ):
        with pytest.raises(RefusedError) as refused:
            queries.history_query(query, CATALOGUE, default_limit=20, limit_max=50)
        assert text in refused.value.text
    assert queries.history_query({"category": "option"}, CATALOGUE, default_limit=20, limit_max=50) is None
    with pytest.raises(RefusedError, match="Not supported symbols"):
        queries.kline_query({"category": "linear", "symbol": "NOPE", "interval": "1"}, CATALOGUE)
    with pytest.raises(RefusedError, match="interval invalid"):
        queries.kline_query({"category": "linear", "symbol": "BTCUSDT", "interval": "2"}, CATALOGUE)


def test_refusals_of_the_engine_have_codes_of_the_wire() -> None:
    for reject, code, text in (
        (Reject.InsufficientBalance, 110007, "ab not enough for new order"),
        (Reject.DuplicateLinkId, 110072, "OrderLinkedID is duplicate"),
        (Reject.BelowMinimumNotional, 110094, "Order does not meet minimum order value 5USDT"),
        (Reject.ReduceOnlySameSide, 110017, "reduce-only order has same side with current position"),
    ):
        refusal = engine_refusal(reject, BTC)
        assert (refusal.code, refusal.text) == (code, text)
    too_large = engine_refusal(Reject.QtyAboveMaximum, BTC, 1191 * SCALE).text
    assert too_large.endswith("order_qty:119100000000 > max_qty:119000000000")


def test_tiers_have_the_published_deductions() -> None:
    rows = risk_limit_rows(BTC)
    assert [row["mmDeduction"] for row in rows[:4]] == ["", "1200", "3020", "4300"]
    assert rows[-1]["mmDeduction"] == "1482000"
    assert rows[0]["maintenanceMargin"] == "0.005"


def test_topics() -> None:
    assert parse_topic("orderbook.50.BTCUSDT") == ("book", "BTCUSDT", "50")
    assert parse_topic("kline.D.ETHUSDT") == ("kline", "ETHUSDT", "D")
    for text in ("orderbook.7.BTCUSDT", "kline.2.BTCUSDT", "tickers", "", "publicTrade.A.B"):
        assert parse_topic(text) is None
    assert private_topic("order.linear") == ("order", "linear", "")
    assert private_topic("execution.fast") == ("execution.fast", "", "")
    assert private_topic("execution.fast.spot") == ("execution.fast", "spot", "")
    assert private_topic("dcp.future") == ("dcp", "", "Contracts")
    assert private_topic("wallet.spot") is None
    assert private_topic("everything") is None


def test_json_is_read_like_json_but_strictly() -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")  # noqa: T201
    generator = random.Random(seed)

    def value(depth: int) -> Any:
        kind = generator.randrange(6 if depth < DEPTH_MAX - 1 else 4)
        if kind < 4:
            return generator.choice([1, "a:b", 'x":"y', None, True, "", "ключ"])
        if kind == 4:
            return [value(depth + 1) for _ in range(generator.randrange(3))]
        return {f"k{number}:": value(depth + 1) for number in range(generator.randrange(4))}

    for _ in range(300):
        body = {f"n{number}": value(1) for number in range(generator.randrange(5))}
        text = json.dumps(
            body, ensure_ascii=generator.random() < 0.5, separators=(",", generator.choice([":", " : "]))
        )
        assert parse_object(text.encode()) == body
    for raw in (b'{"a":1,"a":2}', b'{"a" :1,"a":2}', b'{"b":":","a":1,"a":":"}', b'{"x":[{"a":1,"a":1}]}'):
        with pytest.raises(RefusedError, match="appears twice"):
            parse_object(raw)
    assert parse_object(b"") == {}
