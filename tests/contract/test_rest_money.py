"""Money that moves, is lent, or leaves, through unmodified ccxt, sync and async: it is where it went."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from typing import NamedTuple

import ccxt
import pytest
import pytest_asyncio

from tests.contract.clients import KINDS, SPOT, Caller, calling, rich_account
from tests.contract.serving import Account, VenueProcess

pytestmark = pytest.mark.asyncio


class Purse(NamedTuple):
    """Somebody with money in three coins."""

    client: Caller
    venue: VenueProcess
    account: Account


@pytest_asyncio.fixture(params=KINDS)
async def purse(request: pytest.FixtureRequest, venue: VenueProcess) -> AsyncIterator[Purse]:
    account = rich_account(venue, BTC="10", ETH="50")
    async with calling(request.param, venue, account) as client:
        yield Purse(client, venue, account)


async def test_transfers_go_where_they_are_sent_and_are_found_again(purse: Purse) -> None:
    client = purse.client
    there = await client.transfer("USDT", 1500.5, "unified", "fund")
    assert (there["status"], there["amount"], there["currency"]) == ("ok", 1500.5, "USDT")
    assert (await client.fetch_balance({"type": "funding"}))["USDT"]["total"] == 1500.5
    assert (await client.fetch_balance())["USDT"]["total"] == 98499.5
    back = await client.transfer("USDT", 500, "fund", "unified")
    listed = await client.fetch_transfers("USDT")
    assert [row["id"] for row in listed] == [there["id"], back["id"]]
    assert [(row["fromAccount"], row["toAccount"]) for row in listed] == [
        ("unified", "fund"),
        ("fund", "unified"),
    ]
    with pytest.raises(ccxt.InsufficientFunds, match="131212"):
        await client.transfer("USDT", 2000, "fund", "unified")
    kinds = [row["info"]["type"] for row in await client.fetch_ledger("USDT")]
    assert kinds == ["TRANSFER_IN", "TRANSFER_OUT", "TRANSFER_IN"]


async def test_a_transfers_name_is_used_once(purse: Purse) -> None:
    body = {
        "transferId": str(uuid.uuid4()),
        "coin": "USDT",
        "amount": "10",
        "fromAccountType": "UNIFIED",
        "toAccountType": "FUND",
    }
    ask = purse.client.privatePostV5AssetTransferInterTransfer
    with pytest.raises(ccxt.InsufficientFunds):
        await ask({**body, "amount": "1000000"})
    assert (await ask(body))["result"] == {"transferId": body["transferId"], "status": "SUCCESS"}
    with pytest.raises(ccxt.BadRequest, match="131214"):
        await ask(body)
    assert (await purse.client.fetch_balance({"type": "funding"}))["USDT"]["total"] == 10


async def test_withdrawals_leave_within_the_level(purse: Purse) -> None:
    client, venue = purse.client, purse.venue
    paid = await client.withdraw("USDT", 1000, "0xabcdef")
    assert (await client.fetch_balance())["USDT"]["total"] == 99000
    (row,) = await client.fetch_withdrawals("USDT")
    assert (row["id"], row["amount"], row["addressTo"], row["status"]) == (paid["id"], 1000, "0xabcdef", "ok")
    (deposit,) = await client.fetch_deposits("USDT")
    assert (deposit["amount"], deposit["status"]) == (100000, "ok")
    assert (await client.fetch_deposit_address("USDT", {"network": "ERC20"}))["address"].startswith("0x")
    fees = await client.fetch_deposit_withdraw_fees(["USDT", "BTC"])
    assert fees["BTC"]["networks"]["ERC20"]["withdraw"]["fee"] == 0
    room = (await client.privateGetV5AssetWithdrawWithdrawableAmount({"coin": "USDT"}))["result"]
    assert float(room["limitAmountUsd"]) == pytest.approx(999000)
    assert float(room["withdrawableAmount"]["UTA"]["withdrawableAmount"]) == 99000
    venue.sim("level", {"name": purse.account.name, "level": "unverified"})
    with pytest.raises(ccxt.ExchangeError, match="131002"):
        await client.withdraw("USDT", 20000, "0xabcdef")
    assert (await client.fetch_balance())["USDT"]["total"] == 99000, "nothing moved"
    info = (await client.privateGetV5UserQueryApi())["result"]
    assert info["kycLevel"] == "LEVEL_DEFAULT"
    with pytest.raises(ccxt.InsufficientFunds):
        await client.withdraw("BTC", 0.15, "0xabcdef", params={"accountType": "FUND"})


async def test_loans_are_taken_charged_to_the_limit_and_paid_back(purse: Purse) -> None:
    client = purse.client
    loan = await client.borrow_cross_margin("USDT", 20000)
    assert (loan["currency"], loan["amount"]) == ("USDT", 20000)
    balance = await client.fetch_balance()
    assert balance["USDT"]["total"] == 120000
    assert balance["USDT"]["debt"] == pytest.approx(20000, rel=1e-4)
    (row,) = (await client.privateGetV5AccountCollateralInfo({"currency": "USDT"}))["result"]["list"]
    assert (row["borrowAmount"], row["borrowable"]) == ("20000", True)
    owed = await client.request("v5/spot-margin-trade/liability", ["private"], "GET", {"currency": "USDT"})
    assert owed["result"]["spotTotalBorrow"] == "20000"
    (loan,) = await client.fetch_borrow_interest("USDT")
    assert (loan["amountBorrowed"], loan["interest"]) == (20000, 0)
    before = (await client.privateGetV5SpotCrossMarginTradeAccount())["result"]
    assert float(before["debtBalanceSum"]) == pytest.approx(0.2)
    assert float(before["acctBalanceSum"]) == pytest.approx(1.2 + 10 + 2)
    asked = ("v5/spot-margin-trade/flexible-available-inventory", ["public"], "GET", {"currency": "USDT"})
    left = float((await client.request(*asked))["result"]["availableInventory"])
    await client.repay_cross_margin("USDT", 5000)
    assert (await client.fetch_balance())["USDT"]["total"] == 115000
    assert float((await client.request(*asked))["result"]["availableInventory"]) == pytest.approx(left + 5000)
    await client.privatePostV5AccountNoConvertRepay({"coin": "USDT"})
    balance = await client.fetch_balance()
    assert (balance["USDT"]["total"], balance["USDT"]["debt"]) == (100000, 0)
    with pytest.raises(ccxt.ExchangeError, match="176016"):
        await client.repay_cross_margin("USDT", 1)
    with pytest.raises(ccxt.ExchangeError, match="176029"):
        await client.borrow_cross_margin("USDT", 3_000_000)
    history = await client.fetch_borrow_rate_history("BTC")
    assert history[-1]["rate"] > 0
    assert (await client.privateGetV5AccountBorrowHistory({"currency": "USDT"}))["result"]["list"] == []


async def test_collateral_is_switched_and_counts(purse: Purse) -> None:
    client = purse.client

    async def row(coin: str) -> dict[str, object]:
        answer = await client.privateGetV5AccountCollateralInfo({"currency": coin})
        found: dict[str, object] = answer["result"]["list"][0]
        return found

    async def margin() -> float:
        answer = await client.privateGetV5AccountWalletBalance({"accountType": "UNIFIED"})
        return float(answer["result"]["list"][0]["totalMarginBalance"])

    before = await margin()
    assert before == pytest.approx(100000 + 10 * 100000 * 0.98 + 50 * 4000 * 0.975)
    await client.privatePostV5AccountSetCollateralSwitch({"coin": "ETH", "collateralSwitch": "OFF"})
    assert (await row("ETH"))["collateralSwitch"] is False
    assert await margin() == pytest.approx(before - 50 * 4000 * 0.975)
    await client.privatePostV5AccountSetCollateralSwitchBatch(
        {"request": [{"coin": "ETH", "collateralSwitch": "ON"}]}
    )
    assert await margin() == pytest.approx(before)
    with pytest.raises(ccxt.BadRequest, match="fixed"):
        await client.privatePostV5AccountSetCollateralSwitch({"coin": "USDT", "collateralSwitch": "OFF"})


async def test_every_coin_is_listed_with_a_chain(purse: Purse) -> None:
    currencies = await purse.client.fetch_currencies()
    assert {"USDT", "USDC", "BTC", "ETH", "SOL"} <= set(currencies)
    assert len(currencies) > 70
    chain = currencies["BTC"]["networks"]["ERC20"]
    assert (chain["deposit"], chain["withdraw"]) == (True, True)


async def test_fees_by_market(purse: Purse) -> None:
    client = purse.client
    assert (await client.fetch_trading_fee(SPOT))["taker"] == 0.001
    fees = await client.fetch_trading_fees()
    assert (fees["BTC/USDT:USDT"]["taker"], fees["BTC/USDT:USDT"]["maker"]) == (0.00055, 0.0002)
    rows = (await client.privateGetV5AccountFeeRate({"category": "inverse"}))["result"]["list"]
    assert [entry["symbol"] for entry in rows] == ["BTCUSD"]
