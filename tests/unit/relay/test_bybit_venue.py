"""Bybit's answers as the leader's feed gets them: all pages, all weeks, and nothing made of garbage."""

from __future__ import annotations

import time
from typing import Any, ClassVar

import ccxt
import pytest

from relay.errors import ConfigurationError
from relay.venue import BybitVenue, VenueUnavailable
from relay.venue import bybit as venue_module

pytestmark = pytest.mark.asyncio

WEEK_MS = 7 * 24 * 3600 * 1000
PAGE = 100


class Address:
    rest_url = ws_url = "http://127.0.0.1:1"

    def credentials(self) -> tuple[str, str]:
        return "key", "secret"


class FakeExchange:
    """Lists executions as the venue does: newest first, in pages, at most a week from `startTime` on."""

    has: ClassVar[dict[str, bool]] = {}

    def __init__(self, times_ms: list[int]) -> None:
        self.rows = [
            {
                "symbol": "BTCUSDT",
                "execId": f"x{number}",
                "side": "Buy",
                "execQty": "1",
                "execPrice": "100",
                "execTime": str(at_ms),
            }
            for number, at_ms in enumerate(times_ms)
        ]
        self.garbled = False

    async def load_markets(self) -> None:
        """They are here."""

    def market_id(self, symbol: str) -> str:
        return symbol

    def safe_symbol(self, market_id: str, *_: Any) -> str:
        return market_id

    async def privateGetV5ExecutionList(self, query: dict[str, Any]) -> Any:
        if self.garbled:
            return "<html>oops</html>"
        start = query["startTime"]
        end = query.get("endTime", start + WEEK_MS)
        assert end - start <= WEEK_MS, "the venue refuses a longer stretch"
        found = [row for row in reversed(self.rows) if start <= int(row["execTime"]) <= end]
        first = int(query.get("cursor") or 0)
        cursor = str(first + PAGE) if len(found) > first + PAGE else ""
        return {"result": {"list": found[first : first + PAGE], "nextPageCursor": cursor}}

    async def privateGetV5PositionList(self, query: dict[str, Any]) -> Any:
        return "<html>oops</html>"

    privateGetV5AccountWalletBalance = privateGetV5PositionList  # noqa: N815


def venue_of(exchange: FakeExchange, monkeypatch: pytest.MonkeyPatch) -> BybitVenue:
    monkeypatch.setattr(venue_module, "make_exchange", lambda _: exchange)
    return BybitVenue(Address())


async def test_fills_of_many_pages_and_weeks_are_all_there_oldest_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now_ms = time.time_ns() // 1_000_000
    since_ms = now_ms - 3 * WEEK_MS
    times_ms = [since_ms, *(since_ms + WEEK_MS + n for n in range(250)), now_ms - 5]
    fills = await venue_of(FakeExchange(times_ms), monkeypatch).fetch_fills(since_ms)
    assert [fill.exec_ms for fill in fills] == times_ms
    assert [fill.fill_id for fill in fills] == [f"x{number}" for number in range(252)]


async def test_an_answer_that_cannot_be_read_is_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    exchange = FakeExchange([])
    exchange.garbled = True
    venue = venue_of(exchange, monkeypatch)
    for call in (venue.fetch_fills(1), venue.fetch_positions(["BTCUSDT"]), venue.fetch_wallet()):
        with pytest.raises(VenueUnavailable):
            await call


@pytest.mark.parametrize(
    ("kind", "code", "words", "said", "status"),
    [
        (ccxt.AuthenticationError, 10003, "API key is invalid.", "venue.api_key: unknown to the venue", 78),
        (
            ccxt.AuthenticationError,
            10004,
            "error sign! origin_string[17000canarykey5000limit=1]",
            "venue.api_secret: does not fit the API key",
            78,
        ),
        (ccxt.PermissionDenied, 10005, "Permission denied", "venue.api_key: refused by the venue", 78),
        (ccxt.InvalidNonce, 10002, "req_timestamp[1],server_timestamp[2]", "clock", None),
    ],
)
async def test_a_refusal_names_what_to_change_and_repeats_nothing_signed(
    kind: type[ccxt.BaseError],
    code: int,
    words: str,
    said: str,
    status: int | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    exchange = FakeExchange([])

    async def refuse(_: dict[str, Any]) -> Any:
        raise kind(f'bybit {{"retCode":{code},"retMsg":"{words}","result":{{}}}}')

    monkeypatch.setattr(exchange, "privateGetV5AccountWalletBalance", refuse)
    with pytest.raises((ConfigurationError, VenueUnavailable)) as caught:
        await venue_of(exchange, monkeypatch).fetch_wallet()
    text = str(caught.value)
    assert said in text and str(code) in text
    assert "origin_string" not in text and "canary" not in text
    assert getattr(caught.value, "exit_status", None) == status
