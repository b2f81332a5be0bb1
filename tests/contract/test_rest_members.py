"""Sub-accounts, further keys, and what a key may not do: through unmodified pybit."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pybit._http_manager as http_manager
import pytest
from pybit import unified_trading
from pybit.exceptions import FailedRequestError, InvalidRequestError

from tests.contract.clients import rich_account
from tests.contract.serving import VenueProcess, served


@pytest.fixture
def addressed(venue: VenueProcess, monkeypatch: pytest.MonkeyPatch) -> Iterator[VenueProcess]:
    monkeypatch.setattr(http_manager, "HTTP_URL", venue.rest)
    yield venue


def session(api_key: str, api_secret: str, **options: Any) -> Any:
    return unified_trading.HTTP(testnet=False, api_key=api_key, api_secret=api_secret, **options)


def refused(call: Any, **arguments: Any) -> int:
    with pytest.raises(InvalidRequestError) as caught:
        call(**arguments)
    code: int = caught.value.status_code
    return code


def transfer(main: Any, source: int, target: int, amount: str) -> dict[str, Any]:
    answer: dict[str, Any] = main.create_universal_transfer(
        transferId=str(uuid.uuid4()),
        coin="USDT",
        amount=amount,
        fromMemberId=source,
        toMemberId=target,
        fromAccountType="UNIFIED",
        toAccountType="UNIFIED",
    )["result"]
    return answer


ORDER = {"symbol": "BTCUSDT", "side": "Buy", "orderType": "Limit", "qty": "0.01", "price": "90000"}


def test_a_sub_account_gets_money_and_a_key_and_trades(addressed: VenueProcess) -> None:
    account = rich_account(addressed, "10000")
    main = session(account.api_key, account.api_secret)
    own = main.get_api_key_information()["result"]
    assert (own["isMaster"], own["parentUid"], own["readOnly"], own["uta"]) == (True, "0", 0, 1)
    name = f"sub-{uuid.uuid4().hex[:8]}"
    sub = main.create_sub_uid(username=name, memberType=1, note="a bot")["result"]
    assert (sub["username"], sub["remark"]) == (name, "a bot")
    uid = int(sub["uid"])
    assert [row["uid"] for row in main.get_sub_uid_list()["result"]["subMembers"]] == [sub["uid"]]
    assert main.get_sub_uid()["result"]["subMemberIds"] == [sub["uid"]]
    assert transfer(main, own["userID"], uid, "4000")["status"] == "SUCCESS"
    made = main.create_sub_api_key(
        subuid=uid, readOnly=0, permissions={"ContractTrade": ["Order", "Position"]}, ips="127.0.0.1"
    )["result"]
    bot = session(made["apiKey"], made["secret"])
    row = bot.get_api_key_information()["result"]
    assert (row["isMaster"], row["parentUid"], row["ips"]) == (False, str(own["userID"]), ["127.0.0.1"])
    assert row["permissions"]["ContractTrade"] == ["Order", "Position"]
    assert row["permissions"]["Spot"] == []
    assert bot.get_wallet_balance(accountType="UNIFIED")["result"]["list"][0]["totalEquity"] == "4000"
    assert bot.place_order(category="linear", **ORDER)["retCode"] == 0
    spot = {**ORDER, "price": "99000"}
    assert refused(bot.place_order, category="spot", **spot) == 10005
    assert refused(bot.set_margin_mode, setMarginMode="PORTFOLIO_MARGIN") == 3400045
    held = main.get_coins_balance(accountType="UNIFIED", coin="USDT", memberId=uid)["result"]["balance"][0]
    assert held["walletBalance"] == "4000"
    listed = main.get_universal_transfer_records()["result"]["list"]
    assert [(entry["toMemberId"], entry["amount"]) for entry in listed] == [(sub["uid"], "4000")]


def test_keys_are_changed_frozen_and_taken_back(addressed: VenueProcess) -> None:
    account = rich_account(addressed, "10000")
    main = session(account.api_key, account.api_secret)
    uid = int(main.create_sub_uid(username=f"sub-{uuid.uuid4().hex[:8]}", memberType=1)["result"]["uid"])
    made = main.create_sub_api_key(subuid=uid, readOnly=1, permissions={"ContractTrade": ["Order"]})["result"]
    bot = session(made["apiKey"], made["secret"])
    assert refused(bot.place_order, category="linear", **ORDER) == 10005, "a key that only reads"
    assert bot.get_open_orders(category="linear", settleCoin="USDT")["retCode"] == 0
    main.modify_sub_api_key(apikey=made["apiKey"], readOnly=0)
    assert refused(bot.place_order, category="linear", **ORDER) == 110007, "it may now, but is poor"
    main.modify_sub_api_key(apikey=made["apiKey"], ips="10.1.2.3")
    assert refused(bot.get_account_info) == 10010
    main.modify_sub_api_key(apikey=made["apiKey"], ips="*")
    main.freeze_sub_uid(subuid=uid, frozen=1)
    assert refused(bot.get_account_info) == 10005
    main.freeze_sub_uid(subuid=uid, frozen=0)
    assert bot.get_account_info()["retCode"] == 0
    main.delete_sub_api_key(apikey=made["apiKey"])
    assert refused(bot.get_account_info) == 10003
    stranger = rich_account(addressed, "1")
    other = session(stranger.api_key, stranger.api_secret)
    assert refused(other.freeze_sub_uid, subuid=uid, frozen=1) == 10001
    own = other.get_api_key_information()["result"]["userID"]
    with pytest.raises(InvalidRequestError):
        transfer(other, uid, own, "1")


def test_what_was_made_is_listed_and_ended(addressed: VenueProcess) -> None:
    account = rich_account(addressed, "10000")
    main = session(account.api_key, account.api_secret)
    uid = int(main.create_sub_uid(username=f"sub-{uuid.uuid4().hex[:8]}", memberType=1)["result"]["uid"])
    made = main.create_sub_api_key(subuid=uid, readOnly=0, permissions={"ContractTrade": ["Order"]})["result"]
    (key,) = main.get_all_sub_api_keys(subMemberId=uid)["result"]["result"]
    assert (key["apiKey"], key["secret"], key["readOnly"]) == (made["apiKey"], "******", False)
    listed = main.get_sub_uid_list_unlimited()["result"]["subMembers"]
    assert [row["uid"] for row in listed] == [str(uid)]
    assert main.get_sub_deposit_records(subMemberId=uid)["result"]["rows"] == []
    main.delete_sub_uid(subMemberId=uid)
    (ended,) = main.get_sub_uid_list_unlimited()["result"]["subMembers"]
    assert ended["status"] == 4, "frozen, so that its money can be fetched"
    assert refused(session(made["apiKey"], made["secret"]).get_account_info) == 10003
    spare = addressed.sim("keys", {"name": account.name})
    ending = session(spare["api_key"], spare["api_secret"])
    ending.delete_master_api_key()
    assert refused(ending.get_account_info) == 10003
    assert main.get_account_info()["retCode"] == 0


def test_a_key_is_as_narrow_as_it_was_made(addressed: VenueProcess) -> None:
    account = rich_account(addressed, "10000")

    def key(**terms: Any) -> Any:
        row = addressed.sim("keys", {"name": account.name, **terms})
        return session(row["api_key"], row["api_secret"])

    assert refused(key(expires_ms=1).get_account_info) == 33004
    assert refused(key(ips="10.0.0.1,10.0.0.2").get_account_info) == 10010
    reader = key(read_only=True)
    assert reader.get_wallet_balance(accountType="UNIFIED")["retCode"] == 0
    assert refused(reader.cancel_all_orders, category="linear", settleCoin="USDT") == 10005
    keeper = key(permissions={"Wallet": ["AccountTransfer", "SubMemberTransfer"]})
    assert refused(keeper.place_order, category="linear", **ORDER) == 10005
    assert refused(keeper.withdraw, coin="USDT", address="0x1", amount="1", timestamp=1) == 10005
    wider = {"permissions": {"Wallet": ["AccountTransfer", "SubMemberTransfer", "Withdraw"]}}
    assert refused(keeper.modify_master_api_key, **wider) == 10005, "it cannot grant what it lacks"
    narrower = {"Wallet": ["SubMemberTransfer"]}
    row = keeper.modify_master_api_key(permissions=narrower, readOnly=0)["result"]
    assert row["permissions"]["Wallet"] == ["SubMemberTransfer"]
    trader = key(permissions={"ContractTrade": ["Order"]})
    assert trader.place_order(category="linear", **ORDER)["retCode"] == 0
    leverage = {"symbol": "BTCUSDT", "buyLeverage": "3", "sellLeverage": "3"}
    assert refused(trader.set_leverage, category="linear", **leverage) == 10005
    assert refused(key().switch_margin_mode, category="linear", symbol="BTCUSDT", tradeMode=1) == 100028


def test_the_published_limits_by_account_and_call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = tmp_path / "exchange.toml"
    config.write_text(
        "enable_sim = true\n[start_prices]\nBTCUSDT = '100000'\n[gateway]\npublished_limits = true\n"
    )
    with served(tmp_path / "data", "--config", str(config), "--durability", "os") as venue:
        monkeypatch.setattr(http_manager, "HTTP_URL", venue.rest)
        account = rich_account(venue, "100000")
        http = session(
            account.api_key, account.api_secret, return_response_headers=True, max_retries=1, retry_delay=0
        )
        limits = []
        for number in range(10):
            _, _, headers = http.place_order(category="linear", **{**ORDER, "price": str(90000 + number)})
            limits.append((headers["X-Bapi-Limit"], headers["X-Bapi-Limit-Status"]))
        assert limits[0] == ("10", "9")
        assert {limit for limit, _ in limits} == {"10"}
        _, _, headers = http.get_account_info()
        assert headers["X-Bapi-Limit"] == "50"
        batch = [{**ORDER, "price": str(91000 + number)} for number in range(10)]
        _, _, headers = http.place_batch_order(category="linear", request=batch)
        assert (headers["X-Bapi-Limit"], headers["X-Bapi-Limit-Status"]) == ("10", "0"), "ten cost ten"
        with pytest.raises((InvalidRequestError, FailedRequestError)):
            for _ in range(700):
                http.get_server_time()
        with pytest.raises(FailedRequestError, match="403"):
            http.get_server_time()
        venue.stop()
