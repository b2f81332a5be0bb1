"""A leader's account on a running venue, through Bybit's own rows and through ccxt's unified calls."""

from __future__ import annotations

import asyncio
import json
import shutil
import urllib.request
from collections.abc import Callable, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from ccxt.base.errors import ArgumentsRequired

from relay.core.account import Account, Fill, Position, WalletEvent
from relay.feed import LeaderFeed
from relay.settings import VenueSettings
from relay.venue import BybitVenue, UnifiedVenue, Venue, make_exchange
from tests.integration.broker_room import eventually
from tests.integration.relay_programs import ROOT, Program, programs
from tests.integration.test_relay_programs import SYMBOL, trader

pytestmark = pytest.mark.asyncio


def address(venue: Program) -> VenueSettings:
    account = next(row for row in venue.ready["accounts"] if row["name"] == "leader")
    return VenueSettings(
        rest_url=venue.ready["rest"],
        ws_url=venue.ready["ws"],
        api_key=account["api_key"],
        api_secret=account["api_secret"],
    )


def bybit(venue: Program) -> Venue:
    return BybitVenue(address(venue))


def unified(venue: Program) -> Venue:
    return UnifiedVenue(make_exchange(address(venue)), "bybit")


def by_symbol(venue: Program) -> Venue:
    """A venue that lists trades of one symbol at a time, and says so when it is asked for all."""
    exchange = make_exchange(address(venue))
    listed = exchange.fetch_my_trades

    async def fetch_my_trades(symbol: str | None, *arguments: Any) -> Any:
        if symbol is None:
            raise ArgumentsRequired("fetchMyTrades() requires a symbol argument")
        return await listed(symbol, *arguments)

    exchange.fetch_my_trades = fetch_my_trades
    return UnifiedVenue(exchange, "bybit", [SYMBOL])


async def sim(venue: Program, path: str, body: dict[str, Any]) -> None:
    request = urllib.request.Request(
        f"{venue.ready['rest']}/sim/{path}", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    await asyncio.to_thread(lambda: urllib.request.urlopen(request, timeout=10).close())


class Told:
    """What the feed has told."""

    def __init__(self, venue: Venue) -> None:
        self.steps: list[tuple[str, Decimal, Decimal]] = []
        self.causes: list[str] = []
        self.events: list[tuple[str, Decimal, Decimal]] = []
        self.corrections: list[Account] = []
        self.feed = LeaderFeed(
            venue,
            [SYMBOL],
            knows_fill=lambda _: False,
            on_step=self._step,
            on_event=self._event,
            on_first=lambda _account, _happened, _began: None,
            on_correction=self.corrections.append,
        )

    def _step(self, fills: Sequence[Fill], account: Account) -> None:
        qty = sum((fill.qty for fill in fills), Decimal(0))
        self.causes.append(fills[0].cause)
        self.steps.append((fills[0].side, qty, account.position(SYMBOL).qty))

    def _event(self, event: WalletEvent, account: Account) -> None:
        self.events.append((event.cause, event.amount, account.wallet_usdt))


@pytest.mark.timeout(120)
@pytest.mark.parametrize("dialect", [bybit, by_symbol])
async def test_trades_deposits_and_withdrawals_are_told_apart(
    tmp_path: Path, dialect: Callable[[Program], Venue]
) -> None:
    async with programs(tmp_path) as room:
        venue = await room.start(
            "simulated_exchange", "serve", "--data-dir", str(tmp_path / "venue"), "--durability", "os",
            "--account", "leader:100000", "--account", "maker:10000000", "--enable-sim", "--json",
        )  # fmt: skip
        port = dialect(venue)
        told, ready = Told(port), asyncio.Event()
        maker, leader = trader(venue, "maker"), trader(venue, "leader")
        running = asyncio.create_task(told.feed.run(ready, positions=None, newest_exec_ms=0))
        try:
            await asyncio.wait_for(ready.wait(), 30)
            for step in range(3):
                await maker.create_order(SYMBOL, "limit", "sell", 0.5, 100_000 + 10 * step)
                await maker.create_order(SYMBOL, "limit", "buy", 0.5, 99_990 - 10 * step)
            await leader.create_order(SYMBOL, "market", "buy", 0.5)
            await eventually(lambda: bool(told.steps), 20)
            stop = {"triggerPrice": 98_000, "triggerDirection": 2, "reduceOnly": True}
            order = await leader.create_order(SYMBOL, "market", "sell", 0.5, None, stop)
            await eventually(lambda: told.feed.account.position(SYMBOL).stop_loss == 98_000, 30)
            await leader.cancel_order(order["id"], SYMBOL)
            await eventually(lambda: told.feed.account.position(SYMBOL).stop_loss == 0, 30)
            await sim(venue, "deposit", {"name": "leader", "amount": "500"})
            await eventually(lambda: bool(told.events), 20)
            await leader.withdraw("USDT", 200.25, "0xabcdef")
            await eventually(lambda: len(told.events) == 2, 20)
            await leader.create_order(SYMBOL, "market", "sell", 0.5)
            await eventually(lambda: len(told.steps) == 2, 20)
            assert told.steps == [
                ("buy", Decimal("0.5"), Decimal("0.5")),
                ("sell", Decimal("0.5"), Decimal(0)),
            ]
            (came, with_it), (went, without) = [(event[:2], event[2]) for event in told.events]
            assert came == ("cash_flow", Decimal(500))
            assert went == ("cash_flow", Decimal("-200.25"))  # once, though it goes by another wallet
            assert Decimal(100_400) < with_it < Decimal(100_500)  # the first trade's fee is paid
            assert without == with_it - Decimal("200.25")
            # ccxt tells a flat position's leverage nowhere, so a first trade may bring a change of settings
            assert {account.position(SYMBOL).qty for account in told.corrections} <= {Decimal("0.5")}
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            await asyncio.gather(port.close(), maker.close(), leader.close())


@pytest.mark.timeout(240)
@pytest.mark.system
async def test_what_a_venue_does_to_a_leader_is_labelled_as_such(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stops, funding, liquidation, auto-deleveraging, as both ways of watching tell them of one account."""
    monkeypatch.setenv("SIMULATED_EXCHANGE_INSURANCE_FUND_USDT", "0")
    listed = shutil.copytree(ROOT / "configs" / "instruments", tmp_path / "instruments")
    file = listed / "BTCUSDT.toml"
    interval = "funding_interval_ms = 28800000"
    assert interval in file.read_text()
    file.write_text(file.read_text().replace(interval, "funding_interval_ms = 60000"))
    monkeypatch.setenv("SIMULATED_EXCHANGE_INSTRUMENTS", str(listed))
    async with programs(tmp_path) as room:
        venue = await room.start(
            "simulated_exchange", "serve", "--data-dir", str(tmp_path / "venue"), "--durability", "os",
            "--account", "leader:3000", "--account", "maker:10000000", "--account", "gambler:1000",
            "--enable-sim", "--json",
        )  # fmt: skip
        ports = [bybit(venue), unified(venue)]
        tellers, ready = [Told(port) for port in ports], [asyncio.Event() for _ in ports]
        running = [
            asyncio.create_task(told.feed.run(begun, positions=None, newest_exec_ms=0))
            for told, begun in zip(tellers, ready, strict=True)
        ]
        people = {name: trader(venue, name) for name in ("leader", "maker", "gambler")}
        try:
            for begun in ready:
                await asyncio.wait_for(begun.wait(), 30)
            await _play(venue, people, tellers)
        finally:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)
            await asyncio.gather(*(one.close() for one in (*ports, *people.values())))


async def _play(venue: Program, people: dict[str, Any], tellers: list[Told]) -> None:
    leader, maker, gambler = people["leader"], people["maker"], people["gambler"]

    async def all_told(condition: Callable[[Told], bool], seconds: float = 30) -> None:
        await eventually(lambda: all(condition(told) for told in tellers), seconds)

    def position(told: Told) -> Position:
        return told.feed.account.position(SYMBOL)

    async def index(price: int) -> None:
        await sim(venue, "index", {"symbol": "BTCUSDT", "price": str(price)})

    async def steps_to(count: int, price: int, by: int) -> None:
        """The market goes on until so many steps were told."""
        for _ in range(40):
            if all(len(told.steps) >= count for told in tellers):
                return
            await index(price)
            await asyncio.sleep(0.5)
            price += by
        raise AssertionError(f"not told: {[told.causes for told in tellers]}")

    funding = {"interval_minutes": 1, "lower": "0.001", "upper": "0.002"}
    await sim(venue, "market", {"symbol": "BTCUSDT", "funding": funding})
    await maker.create_order(SYMBOL, "limit", "sell", 0.05, 100_000)
    await leader.create_order(SYMBOL, "market", "buy", 0.05)
    await all_told(lambda told: len(told.steps) == 1)
    stops = {"category": "linear", "symbol": "BTCUSDT", "positionIdx": 0, "tpslMode": "Full"}
    await leader.privatePostV5PositionTradingStop(
        stops | {"stopLoss": "98000", "takeProfit": "110000", "slTriggerBy": "IndexPrice"}
    )
    await all_told(lambda told: position(told).stop_loss == 98_000 and position(told).take_profit == 110_000)
    await all_told(lambda told: bool(told.events), 80)
    for told in tellers:
        cause, amount, _ = told.events[0]
        assert cause == "funding" and amount < 0  # the rate's bounds are above zero: a long pays

    await maker.create_order(SYMBOL, "limit", "buy", 0.05, 97_500)
    await index(97_900)
    await all_told(lambda told: len(told.steps) == 2)
    assert [told.steps[1] for told in tellers] == [("sell", Decimal("0.05"), Decimal(0))] * 2

    await leader.create_order(SYMBOL, "limit", "sell", 0.15, 97_900)
    await gambler.set_leverage(20, SYMBOL)
    await gambler.create_order(SYMBOL, "market", "buy", 0.15)
    await all_told(lambda told: len(told.steps) == 3)
    await steps_to(4, 96_000, -1_000)  # nobody buys: the gambler is taken over, and no fund stands behind him
    assert [told.steps[3][0] for told in tellers] == ["buy", "buy"]

    await all_told(lambda told: position(told).qty == 0)
    await index(90_000)
    await maker.create_order(SYMBOL, "limit", "sell", 0.3, 90_000)
    await leader.create_order(SYMBOL, "market", "buy", 0.3)
    await all_told(lambda told: len(told.steps) == 5)
    await steps_to(6, 86_000, -1_000)
    assert [told.causes for told in tellers] == [
        ["trade", "trade", "trade", "adl", "trade", "liquidation"]
    ] * 2
