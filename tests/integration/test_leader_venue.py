"""A leader's account on a running venue, through Bybit's own rows and through ccxt's unified calls."""

from __future__ import annotations

import asyncio
import json
import urllib.request
from collections.abc import Callable, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from relay.core.account import Account, Fill, WalletEvent
from relay.feed import LeaderFeed
from relay.settings import VenueSettings
from relay.venue import BybitVenue, UnifiedVenue, Venue, make_exchange
from tests.integration.broker_room import eventually
from tests.integration.relay_programs import Program, programs
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


async def sim(venue: Program, path: str, body: dict[str, Any]) -> None:
    request = urllib.request.Request(
        f"{venue.ready['rest']}/sim/{path}", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    await asyncio.to_thread(lambda: urllib.request.urlopen(request, timeout=10).close())


class Told:
    """What the feed has told."""

    def __init__(self, venue: Venue) -> None:
        self.steps: list[tuple[str, Decimal, Decimal]] = []
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
        self.steps.append((fills[0].side, qty, account.position(SYMBOL).qty))

    def _event(self, event: WalletEvent, account: Account) -> None:
        self.events.append((event.cause, event.amount, account.wallet_usdt))


@pytest.mark.timeout(120)
@pytest.mark.parametrize("dialect", [bybit, unified])
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
            await sim(venue, "deposit", {"name": "leader", "amount": "500"})
            await eventually(lambda: bool(told.events), 20)
            await leader.create_order(SYMBOL, "market", "sell", 0.5)
            await eventually(lambda: len(told.steps) == 2, 20)
            assert told.steps == [
                ("buy", Decimal("0.5"), Decimal("0.5")),
                ("sell", Decimal("0.5"), Decimal(0)),
            ]
            ((cause, amount, wallet),) = told.events
            assert (cause, amount) == ("cash_flow", Decimal(500))
            assert Decimal(100_400) < wallet < Decimal(100_500)  # the first trade's fee is paid
            # ccxt tells a flat position's leverage nowhere, so a first trade may bring a change of settings
            assert {account.position(SYMBOL).qty for account in told.corrections} <= {Decimal("0.5")}
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            await asyncio.gather(port.close(), maker.close(), leader.close())
