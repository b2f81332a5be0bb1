"""What operators and lenders do about money while a venue runs; its effect is where traders meet it."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any

import pytest
import requests

from tests.contract.clients import LINEAR, calling, rich_account
from tests.contract.serving import VenueProcess, sync_client


def posted(venue: VenueProcess, path: str, **body: Any) -> dict[str, Any]:
    answer = requests.post(f"{venue.rest}/sim/{path}", json=body, timeout=10)
    found: dict[str, Any] = answer.json()
    return found


def usable_margin(client: Any) -> Decimal:
    row = client.privateGetV5AccountWalletBalance({"accountType": "UNIFIED"})["result"]["list"][0]
    return Decimal(row["totalMarginBalance"])


def test_a_coin_that_the_venue_no_longer_takes_is_no_margin(venue: VenueProcess) -> None:
    client = sync_client(venue, rich_account(venue, "1000", ETH="10"))
    before = usable_margin(client)
    assert before > 1000
    assert posted(venue, "collateral", coin="ETH", enabled=False) == {"coin": "ETH", "enabled": False}
    assert usable_margin(client) == 1000
    posted(venue, "collateral", coin="ETH", enabled=True)
    assert usable_margin(client) == before


def test_a_lender_earns_what_borrowers_pay(venue: VenueProcess) -> None:
    lender, pool = venue.open_account("5000"), venue.sim("lending?coin=USDT")["pools"]["USDT"]
    sync_client(venue, lender).transfer("USDT", 3000, "unified", "fund")
    supplied = posted(venue, "lending/supply", name=lender.name, amount="2500.5")
    assert (supplied["supplied"], supplied["funding_balance"]) == ("2500.5", "499.5")
    after = venue.sim("lending")["pools"]["USDT"]
    assert Decimal(after["assets"]) == Decimal(pool["assets"]) + Decimal("2500.5")
    assert Decimal(after["borrow_rate"]) >= Decimal(after["supply_rate"])
    part = posted(venue, "lending/redeem", name=lender.name, amount="500.5")
    assert (part["supplied"], part["funding_balance"]) == ("2000", "1000")
    rest = posted(venue, "lending/redeem", name=lender.name)
    assert (rest["supplied"], rest["funding_balance"]) == ("0", "3000")


def test_accounts_of_a_group_do_not_trade_with_each_other(venue: VenueProcess) -> None:
    first, second = venue.open_account(), venue.open_account()
    for account in (first, second):
        assert posted(venue, "smp-group", name=account.name, group=7)["group"] == 7

    async def meet() -> tuple[str, str]:
        async with calling("sync", venue, first) as maker, calling("sync", venue, second) as taker:
            resting = await maker.create_order(LINEAR, "limit", "sell", 0.01, 100000)
            params = {"smpType": "CancelMaker"}
            await taker.create_order(LINEAR, "limit", "buy", 0.01, 100000, params)
            found = await maker.fetch_order(resting["id"], LINEAR, {"acknowledged": True})
            return found["status"], found["info"]["cancelType"]

    venue.sim("index", {"symbol": "BTCUSDT", "price": "100000"})
    assert asyncio.run(meet()) == ("canceled", "CancelBySmp")
    assert (sync_client(venue, first).privateGetV5AccountSmpGroup())["result"]["smpGroup"] == 7


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("collateral", {"coin": "USDT", "enabled": False}),
        ("collateral", {"coin": "NOSUCH", "enabled": True}),
        ("collateral", {"coin": "BTC", "enabled": "no"}),
        ("smp-group", {"name": "nobody", "group": 1}),
        ("smp-group", {"name": "", "group": -1}),
        ("lending/supply", {"name": "", "amount": "1e9"}),
        ("lending/supply", {"name": "", "amount": "-1"}),
        ("lending/supply", {"name": "", "amount": "1"}),
        ("lending/redeem", {"name": "", "amount": "0"}),
        ("lending/redeem", {"name": ""}),
    ],
)
def test_what_cannot_be_is_refused_in_words(venue: VenueProcess, path: str, body: dict[str, Any]) -> None:
    if body.get("name") == "":
        body = {**body, "name": venue.open_account("10").name}
    found = posted(venue, path, **body)
    assert found.get("retCode") not in (None, 0), found
