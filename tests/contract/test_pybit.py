"""Unmodified pybit against the venue: its address constants are set, nothing else."""

from __future__ import annotations

import queue
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pybit._http_manager as http_manager
import pybit._websocket_trading as websocket_trading
import pytest
from pybit import unified_trading
from pybit.exceptions import InvalidRequestError

from tests.contract.serving import Account, VenueProcess, served

SECONDS_MAX = 10


@pytest.fixture
def addressed(venue: VenueProcess, monkeypatch: pytest.MonkeyPatch) -> Iterator[VenueProcess]:
    monkeypatch.setattr(http_manager, "HTTP_URL", venue.rest)
    monkeypatch.setattr(unified_trading, "PUBLIC_WSS", f"{venue.ws}/v5/public/{{CHANNEL_TYPE}}")
    monkeypatch.setattr(unified_trading, "PRIVATE_WSS", f"{venue.ws}/v5/private")
    monkeypatch.setattr(websocket_trading, "TRADE_WSS", f"{venue.ws}/v5/trade")
    yield venue


def session(account: Account) -> Any:
    return unified_trading.HTTP(testnet=False, api_key=account.api_key, api_secret=account.api_secret)


def test_requests(addressed: VenueProcess) -> None:
    account = addressed.open_account()
    http = session(account)
    assert http.get_server_time()["retCode"] == 0
    assert http.get_instruments_info(category="linear")["result"]["list"][0]["symbol"] == "BTCUSDT"
    assert http.get_wallet_balance(accountType="UNIFIED")["result"]["list"][0]["totalEquity"] == "100000"
    order = http.place_order(
        category="linear", symbol="BTCUSDT", side="Buy", orderType="Limit", qty=0.01, price=99000
    )["result"]
    found = http.get_open_orders(category="linear", symbol="BTCUSDT", orderId=order["orderId"])["result"][
        "list"
    ]
    assert (found[0]["orderStatus"], found[0]["qty"]) == ("New", "0.010")
    http.amend_order(category="linear", symbol="BTCUSDT", orderId=order["orderId"], price="99100.0")
    cancelled = http.cancel_all_orders(category="linear", settleCoin="USDT")["result"]
    assert [row["orderId"] for row in cancelled["list"]] == [order["orderId"]]
    http.set_leverage(category="linear", symbol="BTCUSDT", buyLeverage="3", sellLeverage="3")
    position = http.get_positions(category="linear", symbol="BTCUSDT")["result"]["list"][0]
    assert (position["size"], position["side"], position["leverage"]) == ("0", "", "3")
    for call in (
        http.get_account_info,
        http.get_api_key_information,
        http.get_coin_info,
        http.get_collateral_info,
        http.get_fee_rates,
        http.get_transaction_log,
    ):
        assert call(**({"category": "linear"} if call == http.get_fee_rates else {}))["retCode"] == 0
    for call in (http.get_order_history, http.get_executions, http.get_closed_pnl, http.get_risk_limit):
        assert call(category="linear")["retCode"] == 0
    assert http.get_insurance(coin="USDT")["result"]["list"][0]["coin"] == "USDT"
    assert http.get_price_limit(category="linear", symbol="BTCUSDT")["result"]["buyLmt"] > "100"
    with pytest.raises(InvalidRequestError, match="ErrCode: 10001"):
        http.place_order(
            category="linear", symbol="BTCUSDT", side="Buy", orderType="Market", qty="0.01", takeProfit="1"
        )


def test_who_asks_too_often_waits_and_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = tmp_path / "exchange.toml"
    config.write_text("enable_sim = true\n[gateway]\nrequests_per_second_max = 20\n")
    with served(tmp_path / "data", "--config", str(config), "--durability", "os") as venue:
        monkeypatch.setattr(http_manager, "HTTP_URL", venue.rest)
        http = session(venue.open_account())
        for _ in range(50):
            assert http.get_account_info()["retCode"] == 0
        assert venue.stop() == 0


def test_sockets(addressed: VenueProcess) -> None:
    account = addressed.open_account()
    keys = {"api_key": account.api_key, "api_secret": account.api_secret}
    news: queue.Queue[dict[str, Any]] = queue.Queue()
    public = unified_trading.WebSocket(testnet=False, channel_type="linear")
    private = unified_trading.WebSocket(testnet=False, channel_type="private", **keys)
    trade = unified_trading.WebSocketTrading(testnet=False, **keys)
    try:
        public.orderbook_stream(50, "BTCUSDT", news.put)
        assert news.get(timeout=SECONDS_MAX)["topic"] == "orderbook.50.BTCUSDT"
        private.order_stream(news.put)
        answers: queue.Queue[dict[str, Any]] = queue.Queue()
        trade.place_order(
            answers.put,
            category="linear",
            symbol="BTCUSDT",
            side="Buy",
            orderType="Limit",
            price="99000",
            qty="0.01",
        )
        answer = answers.get(timeout=SECONDS_MAX)
        assert answer["retCode"] == 0
        http = session(account)
        http.cancel_order(category="linear", symbol="BTCUSDT", orderId=answer["data"]["orderId"])
        while True:
            told = news.get(timeout=SECONDS_MAX)
            if told["topic"] == "order" and told["data"][0]["orderStatus"] == "Cancelled":
                break
        assert told["data"][0]["orderId"] == answer["data"]["orderId"]
    finally:
        for client in (public, private, trade):
            client.exit()
