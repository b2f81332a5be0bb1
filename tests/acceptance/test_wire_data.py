"""The documentation's own examples against this venue's answers: every field is there, and of the same kind.

Needs the recorded data: its folder is `SLIPSTREAM_DATA` (`../shared/data` unless set). Without it they fail.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from simulated_exchange.gateway.rest import ROUTES
from tests.acceptance.recorded_data import text_of
from tests.acceptance.wire_shapes import EXAMPLES, FOLDER, documented_answers, lacks
from tests.wire_room import WireRoom

pytestmark = pytest.mark.data

SYMBOL = {"symbol": "BTCUSDT"}
COIN: dict[str, Any] = {"coin": "USDT"}
CURRENCY = {"currency": "BTC"}
LINEAR = {"category": "linear", **SYMBOL}

BARS = {**SYMBOL, "interval": "1"}
GETS: dict[str, dict[str, Any]] = {
    "/v5/market/kline": BARS,
    "/v5/market/mark-price-kline": BARS,
    "/v5/market/index-price-kline": BARS,
    "/v5/market/premium-index-price-kline": BARS,
    **dict.fromkeys(
        ("/v5/market/orderbook", "/v5/market/recent-trade", "/v5/market/funding/history"), SYMBOL
    ),
    "/v5/market/open-interest": {**SYMBOL, "intervalTime": "1h"},
    "/v5/market/account-ratio": {**LINEAR, "period": "1h"},
    "/v5/market/price-limit": LINEAR,
    "/v5/market/index-price-components": {"indexName": "BTCUSDT"},
    "/v5/market/fee-group-info": {"productType": "contract"},
    "/v5/market/delivery-price": {"category": "linear"},
    "/v5/asset/delivery-record": {"category": "linear"},
    "/v5/account/wallet-balance": {"accountType": "UNIFIED"},
    "/v5/account/withdrawal": {"coinName": "BTC,SOL,XRP,ETH"},
    "/v5/asset/transfer/query-account-coins-balance": {"accountType": "FUND"},
    "/v5/asset/transfer/query-account-coin-balance": {"accountType": "UNIFIED", **COIN},
    "/v5/asset/deposit/query-address": COIN,
    "/v5/asset/withdraw/withdrawable-amount": COIN,
    **dict.fromkeys(
        (
            "/v5/spot-margin-trade/interest-rate-history",
            "/v5/spot-margin-trade/max-borrowable",
            "/v5/spot-margin-trade/liability",
            "/v5/spot-margin-trade/repayment-available-amount",
            "/v5/spot-margin-trade/flexible-available-inventory",
        ),
        CURRENCY,
    ),
    "/v5/order/spot-borrow-check": {"category": "spot", **SYMBOL, "side": "Buy"},
    "/v5/position/symbol-info": LINEAR,
}
"""What each question needs beside the market of its example."""

APART = {
    "result.permissions.FiatBybitPay": "an older spelling of FiatBitPay",
    "result.list[].cumFeeDetail.MNT": "fees in the platform's own token, which nobody pays here",
    "result.list[].mmrSysUpdateTime": "an older spelling of mmrSysUpdatedTime",
}
"""What an example has and an answer has not, and why."""

EMPTY = {
    "/v5/market/historical-volatility": "options are not traded",
    "/v5/asset/settlement-record": "USDC contracts settle when they are closed",
}


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> WireRoom:
    """A venue where everything that is asked for has happened."""
    room = WireRoom(tmp_path_factory.mktemp("wire"))
    for category, symbol, qty in (
        ("linear", "BTCUSDT", "1"),
        ("inverse", "BTCUSD", "10000"),
        ("spot", "BTCUSDT", "1"),
        ("linear", "BTCUSDT-25JUN27", "0.1"),
    ):
        room.trade(category, symbol, qty, "100000")
    room.order(room.alice, "linear", "BTCUSDT", "Buy", "0.5", "100000")
    room.order(room.bob, "linear", "BTCUSDT", "Sell", "0.5", "100000")
    for side, price in (("Buy", "99900"), ("Sell", "100100")):
        room.order(room.alice, "linear", "BTCUSDT", side, "0.5", price)
        room.order(room.alice, "inverse", "BTCUSD", side, "500", price)
        room.order(room.alice, "spot", "BTCUSDT", side, "0.5", price)
    for category in ("linear", "spot"):
        room.order(room.bob, category, "BTCUSDT", "Buy", "0.5", "99000")
    room.order(room.bob, "inverse", "BTCUSD", "Buy", "500", "99000")
    room.ask("POST", "/v5/account/borrow", coin="SOL", amount="100")
    wallets = {"fromAccountType": "UNIFIED", "toAccountType": "FUND", **COIN}
    transfer = {**wallets, "amount": "5000", "transferId": str(uuid.uuid4())}
    room.ask("POST", "/v5/asset/transfer/inter-transfer", **transfer)
    room.ask("POST", "/v5/asset/withdraw/create", **COIN, amount="10", address="0x1", timestamp=1)
    room.wait(9)
    sub = room.ask("POST", "/v5/user/create-sub-member", username="sub", memberType=1)
    room.ask(
        "POST",
        "/v5/asset/transfer/universal-transfer",
        **{**transfer, "transferId": str(uuid.uuid4()), "toAccountType": "UNIFIED"},
        fromMemberId=room.bob.account,
        toMemberId=int(sub["uid"]),
    )
    permissions = {
        "ContractTrade": ["Order", "Position"],
        "Spot": ["SpotTrade"],
        "Wallet": ["AccountTransfer"],
    }
    key = {"subuid": int(sub["uid"]), "readOnly": 0, "permissions": permissions}
    room.ask("POST", "/v5/user/create-sub-api", **key)
    return room


def _cases(method: str) -> Iterator[Any]:
    for (found, path), examples in documented_answers().items():
        if found != method or (found, path) not in ROUTES:
            continue
        for number, example in enumerate(examples):
            category = example.get("category", "") if isinstance(example, dict) else ""
            if category != "option":
                yield pytest.param(path, example, id=f"{path}-{category or number}")


def _unexpected(example: Any, answer: Any) -> list[str]:
    """What is not set apart; groups of permissions that no key has here are empty."""
    return [
        line
        for line in lacks(example, answer)
        if line.partition(":")[0] not in APART and not re.search(r"permissions\.\w+: no row", line)
    ]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One test per example; where the data is not at hand, one that says so and fails when it is run."""
    method = {"test_questions": "GET", "test_requests": "POST"}.get(metafunc.function.__name__)
    if method is not None:
        cases = list(_cases(method)) if EXAMPLES.is_file() else [pytest.param("", None, id="no-data")]
        metafunc.parametrize(("path", "example"), cases)


def test_questions(room: WireRoom, path: str, example: Any) -> None:
    assert EXAMPLES.is_file(), f"SLIPSTREAM_DATA: {EXAMPLES} is missing"
    arguments = dict(GETS.get(path, {}))
    if isinstance(example, dict) and example.get("category"):
        arguments["category"] = example["category"]
    if path == "/v5/user/sub-apikeys":
        arguments["subMemberId"] = room.venue.keys.sub_members(room.bob.account)[0].account
    if arguments.get("category") == "inverse" and "symbol" in arguments:
        arguments["symbol"] = "BTCUSD"
    if path == "/v5/position/list":
        arguments["symbol"] = "BTCUSD" if arguments["category"] == "inverse" else "BTCUSDT"
    if path in ("/v5/market/delivery-price", "/v5/asset/delivery-record"):
        arguments["category"] = "linear"
    answer = room.ask("GET", path, **arguments)
    if path in EMPTY:
        assert (answer if isinstance(answer, list) else answer["list"]) == []
        return
    assert _unexpected(example, answer) == []


def _request(room: WireRoom, path: str) -> dict[str, Any]:
    """A body that is taken now."""
    order = {"side": "Buy", "orderType": "Limit", "qty": "0.1", "price": "98000"}
    name = path.rpartition("/")[2]

    def own() -> str:
        return room.order(room.bob, "linear", "BTCUSDT", "Buy", "0.1", "98000")

    def owed() -> str:
        room.ask("POST", "/v5/account/borrow", coin="SOL", amount="1")
        return "SOL"

    transfer = {"fromAccountType": "UNIFIED", "toAccountType": "FUND", **COIN, "amount": "10"}
    members = {"fromMemberId": room.bob.account, "toMemberId": room.bob.account}
    sub = room.venue.keys.sub_members(room.bob.account)
    bodies: dict[str, Any] = {
        "create": {**LINEAR, **order},
        "amend": lambda: {**LINEAR, "orderId": own(), "price": "98100"},
        "cancel": lambda: {**LINEAR, "orderId": own()},
        "cancel-all": lambda: {**LINEAR, "own": own()},
        "create-batch": {"category": "linear", "request": [{**SYMBOL, **order}]},
        "amend-batch": lambda: {
            "category": "linear",
            "request": [{**SYMBOL, "orderId": own(), "price": "98200"}],
        },
        "cancel-batch": lambda: {"category": "linear", "request": [{**SYMBOL, "orderId": own()}]},
        "pre-check": {**LINEAR, **order},
        "borrow": {"coin": "ETH", "amount": "1"},
        **dict.fromkeys(("repay", "no-convert-repay", "quick-repayment"), lambda: {"coin": owed()}),
        "set-collateral-switch-batch": {"request": [{"coin": "ETH", "collateralSwitch": "OFF"}]},
        "inter-transfer": {**transfer, "transferId": str(uuid.uuid4())},
        "universal-transfer": {**transfer, **members, "transferId": str(uuid.uuid4())},
        "set-auto-repay-mode": {"currency": "ETH", "autoRepayMode": "1"},
        "switch-mode": {"spotMarginMode": "1"},
        "create-sub-member": {"username": f"sub{uuid.uuid4().hex[:6]}", "memberType": 1, "note": "test"},
        "create-sub-api": {
            "subuid": sub[0].account,
            "readOnly": 0,
            "permissions": {"Wallet": ["AccountTransfer"]},
        }
        if sub
        else {},
        "update-api": {"readOnly": 0},
        "update-sub-api": {"readOnly": 0},
    }
    if path == "/v5/asset/withdraw/create":
        return {**COIN, "amount": "1", "address": "0x1", "timestamp": 1}
    body = bodies[name]
    found: dict[str, Any] = body() if callable(body) else body
    return found


UNASKED = {
    "/v5/position/add-margin": "of an isolated position: the contract tests have it",
    "/v5/asset/withdraw/cancel": "withdrawals are completed at once",
    "/v5/account/set-margin-mode": "the example is a refusal",
}


def test_requests(room: WireRoom, path: str, example: Any) -> None:
    assert EXAMPLES.is_file(), f"SLIPSTREAM_DATA: {EXAMPLES} is missing"
    if path in UNASKED:
        return
    answer = room.ask("POST", path, **_request(room, path))
    assert _unexpected(example, answer) == []


def _strictest() -> Iterator[tuple[str, str, dict[str, Any]]]:
    """The answers that the strictest known client is tested with: name, path, message."""
    paths = {
        "account_info": "/v5/account/info",
        "executions": "/v5/execution/list",
        "fee_rate": "/v5/account/fee-rate",
        "funding_history": "/v5/market/funding/history",
        "instruments": "/v5/market/instruments-info",
        "klines": "/v5/market/kline",
        "orderbook": "/v5/market/orderbook",
        "orders_history": "/v5/order/history",
        "orders_realtime": "/v5/order/realtime",
        "positions": "/v5/position/list",
        "trades_recent": "/v5/market/recent-trade",
        "user_query_api": "/v5/user/query-api",
        "wallet_balance": "/v5/account/wallet-balance",
    }
    for line in text_of(f"{FOLDER}/nautilus_bybit_messages.jsonl").splitlines():
        case = json.loads(line)
        for part, path in paths.items():
            if case["case"].startswith(f"http_get_{part}") and "option" not in case["case"]:
                yield case["case"], path, case["message"]


def test_the_strictest_client_finds_every_field_it_insists_on(room: WireRoom) -> None:
    missing = {}
    for name, path, message in _strictest():
        example, arguments = message["result"], dict(GETS.get(path, {}))
        category = next((word for word in ("spot", "inverse") if word in name), "linear")
        if path.startswith(("/v5/market", "/v5/order", "/v5/execution", "/v5/position", "/v5/account/fee")):
            arguments["category"] = category
        if path == "/v5/position/list":
            arguments["symbol"] = "BTCUSDT"
        lines = _unexpected(example, room.ask("GET", path, **arguments))
        if lines:
            missing[name] = lines
    assert missing == {}
