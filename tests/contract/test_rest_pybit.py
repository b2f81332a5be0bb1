"""Every REST function of unmodified pybit that is served: called, and its answer checked for meaning."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any, NamedTuple

import pybit._http_manager as http_manager
import pytest
from pybit import unified_trading
from pybit.exceptions import InvalidRequestError

from tests.contract.clients import rich_account
from tests.contract.serving import VenueProcess

LINEAR = {"category": "linear", "symbol": "BTCUSDT"}
TAKER = 0.00055


class Pair(NamedTuple):
    """Who asks, and who quotes."""

    http: Any
    maker: Any

    def rows(self, name: str, **arguments: Any) -> list[dict[str, Any]]:
        """The list that a function answers with."""
        result = getattr(self.http, name)(**arguments)["result"]
        found: list[dict[str, Any]] = result["rows" if "rows" in result else "list"]
        return found

    def result(self, name: str, **arguments: Any) -> dict[str, Any]:
        """The result that a function answers with."""
        found: dict[str, Any] = getattr(self.http, name)(**arguments)["result"]
        return found

    def offer(self, side: str, price: str, qty: str = "0.1") -> None:
        """Somebody quotes."""
        self.maker.place_order(**LINEAR, side=side, orderType="Limit", qty=qty, price=price)


@pytest.fixture
def pair(venue: VenueProcess, monkeypatch: pytest.MonkeyPatch) -> Iterator[Pair]:
    monkeypatch.setattr(http_manager, "HTTP_URL", venue.rest)
    accounts = [rich_account(venue, BTC="2", ETH="20") for _ in range(2)]
    http, maker = (
        unified_trading.HTTP(testnet=False, api_key=entry.api_key, api_secret=entry.api_secret)
        for entry in accounts
    )
    yield Pair(http, maker)
    for client in (http, maker):
        client.cancel_all_orders(category="linear", settleCoin="USDT")
        client.cancel_all_orders(category="spot")


def code_of(call: Any, **arguments: Any) -> int:
    with pytest.raises(InvalidRequestError) as caught:
        call(**arguments)
    code: int = caught.value.status_code
    return code


def test_market_data(pair: Pair) -> None:
    pair.offer("Sell", "100010")
    pair.offer("Buy", "99990")
    pair.http.place_order(**LINEAR, side="Buy", orderType="Market", qty="0.05")
    time = pair.result("get_server_time")
    assert time["timeNano"].startswith(time["timeSecond"])
    assert pair.rows("get_system_status") == []
    rows = pair.rows("get_instruments_info", category="linear")
    assert {row["contractType"] for row in rows} == {"LinearPerpetual", "LinearFutures"}
    assert pair.rows("get_account_instruments_info", category="spot")[0]["marginTrading"] == "utaOnly"
    assert pair.rows("get_tickers", **LINEAR)[0]["lastPrice"] == "100010.00"
    book = pair.result("get_orderbook", **LINEAR, limit=1)
    assert (book["a"], book["b"]) == ([["100010.00", "0.050"]], [["99990.00", "0.100"]])
    assert pair.rows("get_public_trade_history", **LINEAR, limit=1)[0]["price"] == "100010.00"
    for name in (
        "get_kline",
        "get_mark_price_kline",
        "get_index_price_kline",
        "get_premium_index_price_kline",
    ):
        bars = pair.rows(name, **LINEAR, interval=1, limit=2)
        assert len(bars[0]) == (7 if name == "get_kline" else 5)
    assert pair.rows("get_funding_rate_history", **LINEAR) == []
    assert float(pair.rows("get_open_interest", **LINEAR, intervalTime="5min")[0]["openInterest"]) >= 0.05
    assert pair.rows("get_long_short_ratio", **LINEAR, period="1h")[0]["buyRatio"] == "0.5000"
    assert pair.rows("get_risk_limit", **LINEAR)[0]["riskLimitValue"] == "2000000"
    limit = pair.result("get_price_limit", **LINEAR)
    assert float(limit["sellLmt"]) < 100000 < float(limit["buyLmt"])
    assert pair.rows("get_insurance", coin="USDT")[0]["coin"] == "USDT"
    assert pair.rows("get_adl_alert", symbol="BTCUSDT")[0]["adlStopRatio"] == "-0.25"
    assert pair.result("get_index_price_components", indexName="BTCUSDT")["components"]
    assert pair.rows("get_fee_group_info", productType="contract")[0]["symbols"]
    assert pair.rows("get_option_delivery_price", category="option") == []
    assert pair.http.get_historical_volatility(category="option")["result"] == []
    assert pair.result("get_announcement", locale="en-US")["total"] == 0


def test_orders(pair: Pair) -> None:
    order = {"side": "Buy", "orderType": "Limit", "qty": "0.01"}
    placed = pair.result("place_order", **LINEAR, **order, price="95000", orderLinkId="p-1")
    row = pair.rows("get_open_orders", **LINEAR, orderLinkId="p-1")[0]
    assert (row["orderId"], row["orderStatus"], row["price"]) == (placed["orderId"], "New", "95000.00")
    pair.http.amend_order(**LINEAR, orderLinkId="p-1", price="95100", qty="0.02")
    row = pair.rows("get_open_orders", **LINEAR, orderId=placed["orderId"])[0]
    assert (row["price"], row["qty"]) == ("95100.00", "0.020")
    pair.http.cancel_order(**LINEAR, orderLinkId="p-1")
    assert code_of(pair.http.cancel_order, **LINEAR, orderLinkId="p-1") == 110001
    history = pair.rows("get_order_history", **LINEAR, orderId=placed["orderId"])[0]
    assert (history["orderStatus"], history["cancelType"]) == ("Cancelled", "CancelByUser")
    batch = [{"symbol": "BTCUSDT", **order, "price": str(94000 + number)} for number in range(3)]
    answer = pair.http.place_batch_order(category="linear", request=[*batch, {**batch[0], "qty": "0"}])
    assert [entry["code"] for entry in answer["retExtInfo"]["list"]] == [0, 0, 0, 10001]
    ids = [entry["orderId"] for entry in answer["result"]["list"][:3]]
    pair.http.amend_batch_order(
        category="linear", request=[{"symbol": "BTCUSDT", "orderId": ids[0], "price": "93000"}]
    )
    assert pair.rows("get_open_orders", **LINEAR, orderId=ids[0])[0]["price"] == "93000.00"
    pair.http.cancel_batch_order(
        category="linear", request=[{"symbol": "BTCUSDT", "orderId": entry} for entry in ids[:2]]
    )
    assert [entry["orderId"] for entry in pair.rows("get_open_orders", **LINEAR)] == [ids[2]]
    gone = pair.rows("cancel_all_orders", **LINEAR)
    assert [entry["orderId"] for entry in gone] == [ids[2]]
    checked = pair.result("pre_check_order", **LINEAR, **order, price="95000")
    assert checked["postImrE4"] >= checked["preImrE4"]
    quota = pair.result("get_borrow_quota", category="spot", symbol="BTCUSDT", side="Sell")
    assert (quota["spotMaxTradeQty"], quota["borrowCoin"]) == ("2", "BTC")
    pair.http.set_dcp(timeWindow=10)
    told = {entry["product"]: entry for entry in pair.result("query_dcp_info")["dcpInfos"]}
    assert told["DERIVATIVES"] == {"product": "DERIVATIVES", "dcpStatus": "ON", "timeWindow": "10"}


def test_positions(pair: Pair) -> None:
    http = pair.http
    pair.offer("Sell", "100010")
    http.set_leverage(**LINEAR, buyLeverage="5", sellLeverage="5")
    assert code_of(http.set_leverage, **LINEAR, buyLeverage="5", sellLeverage="5") == 110043
    assert code_of(http.set_leverage, **LINEAR, buyLeverage="101", sellLeverage="101") == 110013
    http.place_order(**LINEAR, side="Buy", orderType="Market", qty="0.1")
    row = pair.rows("get_positions", **LINEAR)[0]
    assert (row["side"], row["size"], row["avgPrice"], row["leverage"]) == ("Buy", "0.100", "100010", "5")
    assert [
        entry["symbol"] for entry in pair.rows("get_positions", category="linear", settleCoin="USDT")
    ] == ["BTCUSDT"]
    fill = pair.rows("get_executions", **LINEAR)[0]
    assert (fill["execType"], fill["isMaker"], fill["feeRate"]) == ("Trade", False, "0.00055")
    assert float(fill["execFee"]) == pytest.approx(10001 * TAKER)
    assert code_of(http.add_or_reduce_margin, **LINEAR, margin="10") == 110015
    assert code_of(http.switch_position_mode, category="linear", symbol="BTCUSDT", mode=0) == 110025
    assert code_of(http.switch_position_mode, category="linear", symbol="BTCUSDT", mode=3) == 110024
    for _ in range(2):  # of a whole coin as often as one likes: freqtrade does at every start
        http.switch_position_mode(category="linear", coin="USDC", mode=0)
    http.switch_position_mode(category="linear", symbol="ETHUSDT", mode=3)
    both = pair.rows("get_positions", category="linear", symbol="ETHUSDT")
    assert [entry["positionIdx"] for entry in both] == [1, 2]
    pair.offer("Buy", "99990")
    http.place_order(**LINEAR, side="Sell", orderType="Market", qty="0", reduceOnly=True, closeOnTrigger=True)
    assert pair.rows("get_positions", **LINEAR)[0]["size"] == "0"
    closed = pair.rows("get_closed_pnl", **LINEAR)[0]
    fees = 10001 * TAKER + 9999 * TAKER
    assert float(closed["closedPnl"]) == pytest.approx(-2 - fees)
    assert float(closed["openFee"]) == pytest.approx(10001 * TAKER)
    assert code_of(http.confirm_new_risk_limit, **LINEAR) == 10001
    http.set_margin_mode(setMarginMode="ISOLATED_MARGIN")
    assert pair.result("get_account_info")["marginMode"] == "ISOLATED_MARGIN"
    pair.offer("Sell", "100010")
    http.place_order(**LINEAR, side="Buy", orderType="Market", qty="0.1")
    http.set_auto_add_margin(**LINEAR, autoAddMargin=1)
    before = float(pair.rows("get_positions", **LINEAR)[0]["positionBalance"])
    added = pair.result("add_or_reduce_margin", **LINEAR, margin="100")
    assert (added["category"], added["autoAddMargin"]) == ("linear", 1)
    assert float(pair.rows("get_positions", **LINEAR)[0]["positionBalance"]) == pytest.approx(before + 100)


def test_the_account(pair: Pair) -> None:
    http = pair.http
    wallet = pair.rows("get_wallet_balance", accountType="UNIFIED")[0]
    assert {coin["coin"] for coin in wallet["coin"]} == {"USDT", "BTC", "ETH"}
    assert float(wallet["totalEquity"]) == pytest.approx(100000 + 200000 + 80000)
    sol = pair.rows("get_wallet_balance", accountType="UNIFIED", coin="SOL")[0]["coin"]
    assert [(coin["coin"], coin["walletBalance"]) for coin in sol] == [("SOL", "0")]
    assert pair.result("get_transferable_amount", coinName="USDT,BTC")["availableWithdrawalMap"] == {
        "USDT": "100000",
        "BTC": "2",
    }
    assert pair.rows("get_fee_rates", **LINEAR)[0]["takerFeeRate"] == "0.00055"
    log = pair.rows("get_transaction_log", currency="BTC")
    assert [(row["type"], row["change"]) for row in log] == [("TRANSFER_IN", "2")]
    assert pair.result("get_smp_group") == {"smpGroup": 0}
    http.set_limit_price_action(category="linear", modifyEnable=False)
    assert pair.result("get_user_setting_config")["lpaPerp"] is False
    order = {"side": "Buy", "orderType": "Limit", "qty": "0.01"}
    assert code_of(http.place_order, **LINEAR, **order, price="150000") == 110003
    assert pair.result("get_api_key_information")["permissions"]["Wallet"] == [
        "AccountTransfer",
        "SubMemberTransfer",
        "Withdraw",
    ]
    kinds = http.get_uid_wallet_type()["result"]["accounts"]
    assert kinds[0]["accountType"] == ["UNIFIED", "FUND"]


def test_loans(pair: Pair) -> None:
    http = pair.http
    assert pair.result("borrow", coin="SOL", amount="100") == {"coin": "SOL", "amount": "100"}
    (row,) = pair.rows("get_collateral_info", currency="SOL")
    assert (row["borrowAmount"], float(row["hourlyBorrowRate"]) > 0) == ("100", True)
    assert pair.result("spot_margin_trade_get_max_borrowable", currency="SOL")["currency"] == "SOL"
    left = pair.result("spot_margin_trade_get_repayment_available_amount", currency="SOL")
    assert left["lossLessRepaymentAmount"] == "100"
    pair.http.repay(coin="SOL", amount="40")
    assert pair.rows("get_collateral_info", currency="SOL")[0]["borrowAmount"] == "60"
    http.manual_no_convert_repay(coin="SOL", amount="10")
    assert pair.rows("repay_liability", coin="SOL") == [{"coin": "SOL", "repaymentQty": "50"}]
    assert pair.rows("get_collateral_info", currency="SOL")[0]["borrowAmount"] == "0"
    assert pair.rows("get_borrow_history", currency="SOL") == []
    http.set_collateral_coin(coin="ETH", collateralSwitch="OFF")
    assert pair.rows("get_collateral_info", currency="ETH")[0]["collateralSwitch"] is False
    switched = pair.rows("batch_set_collateral_coin", request=[{"coin": "ETH", "collateralSwitch": "ON"}])
    assert switched == [{"coin": "ETH", "collateralSwitch": "ON"}]
    data = pair.result("spot_margin_trade_get_vip_margin_data", currency="BTC")["vipCoinList"][0]["list"]
    assert (data[0]["currency"], data[0]["collateralRatio"]) == ("BTC", "0.98")
    tiers = pair.rows("spot_margin_trade_get_position_tiers", currency="BTC")[0]["positionTiersRatioList"]
    assert [tier["maxLeverage"] for tier in tiers] == ["5", "4", "3", "2"]
    ratios = pair.rows("get_tiered_collateral_ratio", currency="BTC")[0]["collateralRatioList"]
    assert [ratio["collateralRatio"] for ratio in ratios] == ["0.98", "0.95", "0.9", "0.85", "0.8", "0"]
    assert (ratios[0]["minQty"], ratios[-1]["maxQty"]) == ("0", "")
    assert pair.rows("spot_margin_trade_get_coin_state", currency="BTC")[0]["spotLeverage"] == 5
    assert pair.rows("spot_margin_trade_get_currency_data", currency="BTC")[0]["flexibleManualBorrowable"]
    rates = pair.rows("spot_margin_trade_get_historical_interest_rate", currency="BTC")
    assert rates[0]["timestamp"] % 3_600_000 == 0
    assert pair.result("spot_margin_trade_get_status_and_leverage")["spotMarginMode"] == "1"
    assert http.spot_margin_trade_toggle_margin_trade(spotMarginMode="1")["retCode"] == 0
    assert http.spot_margin_trade_set_leverage(leverage="4")["retCode"] == 0
    http.set_auto_repay_mode(currency="BTC", autoRepayMode="1")
    assert pair.result("get_auto_repay_mode", currency="BTC")["data"] == [
        {"currency": "BTC", "autoRepayMode": "1"}
    ]


def test_assets(pair: Pair) -> None:
    http = pair.http
    assert {row["coin"] for row in pair.rows("get_coin_info")} >= {"USDT", "BTC", "SOL"}
    identity = str(uuid.uuid4())
    moved = pair.result(
        "create_internal_transfer",
        transferId=identity,
        coin="BTC",
        amount="0.5",
        fromAccountType="UNIFIED",
        toAccountType="FUND",
    )
    assert moved == {"transferId": identity, "status": "SUCCESS"}
    held = pair.result("get_coins_balance", accountType="FUND", coin="BTC")["balance"]
    assert held == [{"coin": "BTC", "walletBalance": "0.5", "transferBalance": "0.5", "bonus": ""}]
    one = pair.result("get_coin_balance", accountType="UNIFIED", coin="BTC")["balance"]
    assert one["walletBalance"] == "1.5"
    listed = http.get_transferable_coin(fromAccountType="UNIFIED", toAccountType="FUND")["result"]["list"]
    assert "BTC" in listed
    paid = pair.result(
        "withdraw",
        coin="BTC",
        chain="ETH",
        address="0x1",
        amount="0.2",
        timestamp=1,
        accountType="FUND",
        requestId="w-1",
    )
    (row,) = pair.rows("get_withdrawal_records", coin="BTC")
    assert (row["withdrawId"], row["amount"], row["status"]) == (paid["id"], "0.2", "success")
    again = {"coin": "BTC", "chain": "ETH", "address": "0x1", "amount": "0.2", "timestamp": 1}
    assert code_of(http.withdraw, **again, accountType="FUND", requestId="w-1") == 10014
    assert code_of(http.cancel_withdrawal, id=paid["id"]) == 10001
    room = pair.result("get_withdrawable_amount", coin="BTC")
    assert float(room["limitAmountUsd"]) == pytest.approx(1_000_000 - 20_000)
    assert pair.rows("get_deposit_records", coin="BTC")[0]["amount"] == "2"
    assert pair.result("get_master_deposit_address", coin="BTC")["chains"][0]["chain"] == "ETH"
    assert pair.rows("get_option_delivery_record", category="linear") == []
    assert pair.rows("get_usdc_contract_settlement", category="linear") == []
    assert pair.http.get_sub_uid()["result"]["subMemberIds"] == []
