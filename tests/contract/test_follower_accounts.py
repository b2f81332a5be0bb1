"""What a port knows of its account beyond orders: position modes, moved money, the venue's news."""

from __future__ import annotations

import time
import uuid
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from follower_client.core.stops import Stops
from follower_client.venue.ccxt_adapter import CCXT_FAILURES, load_instruments, make_exchange
from follower_client.venue.market_data import MarketData
from follower_client.venue.market_news import MarketNews
from follower_client.venue.port import Ending
from tests.contract.follower_ports import BTC, desk, until
from tests.contract.serving import VenueProcess, served, trading

live_ports = pytest.mark.parametrize("kind", ["ccxt", "v5"])
HEDGE = {"category": "linear", "symbol": "BTCUSDT", "mode": "3"}


@live_ports
@pytest.mark.asyncio
async def test_in_hedge_mode_each_side_is_opened_kept_and_closed_by_itself(
    venue: VenueProcess, kind: str, tmp_path: Path
) -> None:
    owner = venue.open_account()
    async with trading(venue, owner) as client:
        await client.privatePostV5PositionSwitchMode(HEDGE)
        async with desk(venue, kind, tmp_path, account=owner) as one:
            account = one.port.account
            assert BTC in account.legs, "a flat account tells its mode, too"
            assert (await one.port.submit(one.order("long", qty="0.02"))).ending is Ending.ACCEPTED
            await until(lambda: account.positions() == {BTC: Decimal("0.02")}, "the long leg")
            assert (await one.port.submit(one.order("short", is_buy=False))).ending is Ending.ACCEPTED
            await until(lambda: account.positions() == {BTC: Decimal("0.01")}, "the short leg")
            assert account.hedges() == {BTC: Decimal("0.01")}
            mark = account.quotes[BTC].mark.quantize(Decimal("0.1"))
            wanted = Stops(mark - 2000, mark + 2000)
            assert (await one.port.set_stops(BTC, wanted)).ending is Ending.ACCEPTED
            smaller = await one.port.add_part_stop(
                BTC, is_long=False, qty=Decimal("0.004"), price=mark + 1500
            )
            assert smaller.ending is Ending.ACCEPTED, smaller
            parts = [order for order in await one.port.open_orders() if order.attached == "part"]
            assert [(order.is_buy, order.qty) for order in parts] == [(True, Decimal("0.004"))]
            legs, own = dict(account.legs), account.equity()
            account.legs[BTC] = account.legs[BTC][1], account.legs[BTC][0]  # so that the venue has to say it
            await until(lambda: account.legs == legs, "legs from the venue's rows", 8)
            assert account.stops[BTC] == wanted and own is not None
            shut = one.order("shut", qty="0.05", closes=True, reduce_only=True)
            assert (await one.port.submit(shut)).ending is Ending.ACCEPTED
            await until(lambda: account.positions() == {BTC: Decimal("0.02")}, "the short leg is gone")
            assert "part" not in [order.attached for order in await one.port.open_orders()]
            shut = one.order("shut2", is_buy=False, qty="0.05", closes=True)
            assert (await one.port.submit(shut)).ending is Ending.ACCEPTED
            await until(lambda: not account.positions() and not account.hedges(), "flat")
            assert await one.port.fetch_positions() == {}
            fees = sum((fill.fee for fill in one.ear.fills.values()), Decimal(0))
            row = (await client.privateGetV5AccountWalletBalance({"accountType": "UNIFIED"}))["result"][
                "list"
            ]
            told = Decimal(row[0]["coin"][0]["walletBalance"])
            await until(lambda: account.wallet_balance == told, "the wallet as the venue tells it")
            assert fees > 0 and abs(told - Decimal(100_000)) < 10


@live_ports
@pytest.mark.asyncio
async def test_a_mode_that_is_switched_meanwhile_is_read_again(
    venue: VenueProcess, kind: str, tmp_path: Path
) -> None:
    owner = venue.open_account()
    async with desk(venue, kind, tmp_path, account=owner) as one, trading(venue, owner) as client:
        await client.privatePostV5PositionSwitchMode(HEDGE)
        refused = await one.port.submit(one.order("a"))
        assert (refused.ending, refused.code) == (Ending.REJECTED, "10001")
        await until(lambda: BTC in one.port.account.legs, "hedge mode")
        assert (await one.port.submit(one.order("b"))).ending is Ending.ACCEPTED
        await until(lambda: one.port.account.positions() == {BTC: Decimal("0.01")}, "open")


async def moved(client: Any, amount: str, *, away: bool) -> None:
    wallets = ("UNIFIED", "FUND") if away else ("FUND", "UNIFIED")
    await client.privatePostV5AssetTransferInterTransfer(
        {
            "transferId": str(uuid.uuid4()),
            "coin": "USDT",
            "amount": amount,
            "fromAccountType": wallets[0],
            "toAccountType": wallets[1],
        }
    )


@live_ports
@pytest.mark.asyncio
async def test_money_that_is_moved_is_told_once_and_also_after_a_restart(
    venue: VenueProcess, kind: str, tmp_path: Path
) -> None:
    owner = venue.open_account()
    start_ms = time.time_ns() // 1_000_000
    async with trading(venue, owner) as client:
        async with desk(venue, kind, tmp_path, account=owner) as one:
            account = one.port.account
            assert account.flows == [], "what was there before is nobody's flow"
            await moved(client, "1500", away=True)
            await until(lambda: account.wallet_balance == Decimal(98_500), "the wallet", 5)
            assert account.unexplained_s is not None or account.flows
            await until(lambda: len(account.flows) == 1 and account.unexplained_s is None, "the flow", 5)
            await moved(client, "500", away=False)
            await until(lambda: len(account.flows) == 2 and account.unexplained_s is None, "the flow back", 5)
            assert [flow.amount for flow in account.flows] == [Decimal(-1500), Decimal(500)]
            last_ms = account.flows[-1].at_ms
        await moved(client, "100", away=True)
        for since_ms, amounts in ((last_ms, [-100]), (start_ms, [100_000, -1500, 500, -100])):
            async with desk(venue, kind, tmp_path, account=owner, flows_from_ms=since_ms) as one:
                told = [int(flow.amount) for flow in one.port.account.flows]
                assert told == amounts or told == amounts[1:]  # the deposit may be from before


@pytest.mark.asyncio
async def test_rules_that_change_are_alarms_and_hold_from_then_on(venue: VenueProcess) -> None:
    eth = "ETH/USDT:USDT"
    exchange = make_exchange(venue.rest, venue.ws)
    try:
        instruments = await load_instruments(exchange, [eth])
        data = MarketData(exchange, CCXT_FAILURES, [eth], depth=False)
        account = data.account(instruments)
        news = MarketNews(data, instruments, CCXT_FAILURES, every_s=1)
        await news.look()
        assert data.warnings == {f"insurance_drop:{eth}": 0, f"adl_near:{eth}": 0} or all(
            "announced" in name or value == 0 for name, value in data.warnings.items()
        )
        tier = {"limit": "100000", "max_leverage": "20", "maintenance_rate": "0.02"}
        when_ms = int((await exchange.publicGetV5MarketTime())["time"]) + 1500
        told = venue.sim("market", {"symbol": "ETHUSDT", "risk_limits": [tier], "effective_ms": when_ms})
        assert told.get("changed") == ["risk_limits"], told
        await news.look()
        assert any(name.startswith(f"rules_changed:{eth} announced") for name in data.warnings)
        deadline_s = time.monotonic() + 10
        while account.instruments[eth].tiers == instruments[eth].tiers:
            assert time.monotonic() < deadline_s, data.warnings
            await news.look()
        assert account.instruments[eth].leverage_max(Decimal(1000)) == 20
        assert f"rules_changed:{eth} risk limits: 20.00x up to 100000 USDT" in data.warnings
    finally:
        await exchange.close()


@pytest.mark.asyncio
async def test_an_insurance_pool_that_pays_is_seen(tmp_path: Path) -> None:
    with served(tmp_path / "venue", "--enable-sim", SIMULATED_EXCHANGE_INSURANCE_FUND_USDT="20000") as venue:
        exchange = make_exchange(venue.rest, venue.ws)
        maker, victim = venue.open_account("100000000"), venue.open_account("1000")
        try:
            instruments = await load_instruments(exchange, [BTC])
            data = MarketData(exchange, CCXT_FAILURES, [BTC], depth=False)
            news = MarketNews(data, instruments, CCXT_FAILURES, every_s=1)
            await news.look()
            assert data.warnings[f"insurance_drop:{BTC}"] == data.warnings[f"adl_near:{BTC}"] == 0
            async with trading(venue, maker) as quotes, trading(venue, victim) as loser:
                ticker = await quotes.publicGetV5MarketTickers({"category": "linear", "symbol": "BTCUSDT"})
                price = Decimal(ticker["result"]["list"][0]["indexPrice"])
                await quotes.create_order(BTC, "limit", "sell", 1, float(price + 1))
                leverage = {
                    "category": "linear",
                    "symbol": "BTCUSDT",
                    "buyLeverage": "50",
                    "sellLeverage": "50",
                }
                await loser.privatePostV5PositionSetLeverage(leverage)
                qty = float((Decimal(40_000) / price).quantize(Decimal("0.001")))
                await loser.create_order(BTC, "market", "buy", qty)
                await quotes.cancel_all_orders(BTC)
                fallen = price * Decimal("0.955")  # past the price at which the account has nothing left
                await quotes.create_order(BTC, "limit", "buy", 5, float(int(fallen)))
                venue.sim("index", {"symbol": "BTCUSDT", "price": str(int(fallen))})
                deadline_s = time.monotonic() + 15
                while data.warnings[f"insurance_drop:{BTC}"] <= 0:
                    assert time.monotonic() < deadline_s, "the pool was not asked to pay"
                    await news.look()
                await news.look()
                gone, near = (data.warnings[f"{name}:{BTC}"] for name in ("insurance_drop", "adl_near"))
                # deleveraging begins at a loss of three tenths of the pool
                assert near > 0 and abs(near - gone / Decimal("0.3")) < Decimal("0.01")
        finally:
            await exchange.close()
