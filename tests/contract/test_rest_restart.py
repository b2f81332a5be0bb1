"""What members, keys, transfers and orders are after the venue was killed: what they were before."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

import pybit._http_manager as http_manager
import pytest
from pybit import unified_trading
from pybit.exceptions import InvalidRequestError

from tests.contract.clients import rich_account
from tests.contract.serving import served

LINEAR = {"category": "linear", "symbol": "BTCUSDT"}
ORDER = {"side": "Buy", "orderType": "Limit", "qty": "0.1"}


def told(http: Any) -> dict[str, Any]:
    """Everything that REST tells an account of itself, without what the clock changes."""
    wallet = http.get_wallet_balance(accountType="UNIFIED")["result"]["list"][0]
    balances = {coin["coin"]: (coin["walletBalance"], coin["borrowAmount"]) for coin in wallet["coin"]}
    return {
        "orders": [
            http.get_open_orders(category=category, **more)["result"]["list"]
            for category, more in (("linear", {"settleCoin": "USDT"}), ("inverse", {}), ("spot", {}))
        ],
        "history": http.get_order_history(category="linear")["result"]["list"],
        "executions": http.get_executions(category="spot")["result"]["list"],
        "closed": http.get_closed_pnl(category="linear")["result"]["list"],
        "position": http.get_positions(**LINEAR)["result"]["list"],
        "log": http.get_transaction_log(limit=50)["result"]["list"],
        "transfers": http.get_internal_transfer_records()["result"]["list"],
        "withdrawals": http.get_withdrawal_records()["result"]["rows"],
        "balances": balances,
        "members": http.get_sub_uid_list()["result"]["subMembers"],
        "mode": http.get_account_info()["result"]["marginMode"],
    }


def test_a_killed_venue_comes_back_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    transfer = {"coin": "USDT", "fromAccountType": "UNIFIED", "toAccountType": "FUND", "amount": "500"}
    identity = str(uuid.uuid4())
    with served(tmp_path / "data", "--enable-sim", "--durability", "os") as venue:
        monkeypatch.setattr(http_manager, "HTTP_URL", venue.rest)
        accounts = [rich_account(venue, BTC="5") for _ in range(2)]
        http, maker = (
            unified_trading.HTTP(testnet=False, api_key=entry.api_key, api_secret=entry.api_secret)
            for entry in accounts
        )
        maker.place_order(**LINEAR, side="Sell", orderType="Limit", qty="0.3", price="100000")
        exits = {"takeProfit": "101000", "stopLoss": "90000"}
        http.place_order(**LINEAR, side="Buy", orderType="Market", qty="0.2", **exits)
        http.place_order(**LINEAR, side="Sell", orderType="Limit", qty="0.1", price="99000", reduceOnly=True)
        maker.place_order(**LINEAR, side="Buy", orderType="Limit", qty="0.1", price="100000")
        http.place_order(**LINEAR, **ORDER, price="95000", triggerPrice="110000", triggerDirection=1)
        http.place_order(category="inverse", symbol="BTCUSD", **{**ORDER, "qty": "100"}, price="90000")
        maker.place_order(category="spot", symbol="BTCUSDT", **{**ORDER, "side": "Sell"}, price="100000")
        http.place_order(category="spot", symbol="BTCUSDT", **ORDER, price="100000")
        http.create_internal_transfer(**transfer, transferId=identity)
        http.withdraw(coin="USDT", address="0x1", amount="50", timestamp=1, accountType="FUND")
        http.borrow(coin="SOL", amount="10")
        sub = http.create_sub_uid(username="sub", memberType=1)["result"]
        key = http.create_sub_api_key(
            subuid=int(sub["uid"]), readOnly=1, permissions={"Spot": ["SpotTrade"]}
        )["result"]
        before = told(http)
        venue.kill()
    with served(tmp_path / "data", "--enable-sim", "--durability", "os") as venue:
        http.endpoint = venue.rest
        assert told(http) == before
        with pytest.raises(InvalidRequestError, match="131214"):
            http.create_internal_transfer(**transfer, transferId=identity)
        monkeypatch.setattr(http_manager, "HTTP_URL", venue.rest)
        bot = unified_trading.HTTP(testnet=False, api_key=key["apiKey"], api_secret=key["secret"])
        assert bot.get_api_key_information()["result"]["readOnly"] == 1
        assert venue.sim("invariants")["conservation_delta"] == "0"
        assert venue.stop() == 0
