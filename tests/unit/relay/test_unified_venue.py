"""What is read out of venues' own words: a forced close is told by the venue, never by the leader's texts."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest

from relay.venue.unified import UnifiedVenue

pytestmark = pytest.mark.asyncio


class FakeExchange:
    """Tells one trade, with a venue's own row beside it."""

    def __init__(self, info: dict[str, Any]) -> None:
        self.has = dict.fromkeys(("watchMyTrades", "fetchMyTrades", "fetchPositions", "fetchBalance"), True)
        self._info = info

    markets: ClassVar[dict[str, Any]] = {"BTC/USDT:USDT": {"linear": True, "contractSize": 1}}

    async def load_markets(self) -> None:
        return

    async def watch_my_trades(self) -> list[dict[str, Any]]:
        trade = {"id": "1", "symbol": "BTC/USDT:USDT", "side": "sell", "amount": 1.0, "price": 100.0}
        return [{**trade, "timestamp": 1_800_000_000_000, "info": self._info}]


@pytest.mark.parametrize(
    ("info", "cause"),
    [
        ({"execType": "BustTrade"}, "liquidation"),
        ({"category": "full_liquidation"}, "liquidation"),
        ({"category": "adl", "clOrdId": "mine"}, "adl"),
        ({"tradeSource": "auto_deleveraging"}, "adl"),
        ({"text": "liquidate-123"}, "liquidation"),
        ({"text": "t-liquidate"}, "trade"),
        ({"clientOrderId": "liquidation-1"}, "trade"),
        ({"orderLinkId": "adl"}, "trade"),
        ({"clOrdId": "takeover"}, "trade"),
        ({"note": "robust-7", "memo": "badlands"}, "trade"),
    ],
)
async def test_the_cause_is_the_venues_word(info: dict[str, Any], cause: str) -> None:
    [fill] = await UnifiedVenue(FakeExchange(info), "some").watch_fills()
    assert fill.cause == cause
