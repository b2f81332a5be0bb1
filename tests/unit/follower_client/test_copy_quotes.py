"""What a report says of the follower's own market: at the seal where it is another one, and at the fill."""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from follower_client.order_driver import now_ms
from follower_client.venue.account import AccountState
from relay.protocol.messages import CopyReport
from tests.unit.follower_client.build import BTC, quote
from tests.unit.follower_client.executor_bench import Bench, bench


async def report_of(one: Bench, own: str, his: str | None) -> CopyReport:
    """The report on an entry that was sealed after the first of two quotes."""
    one.executor.identity = replace(one.executor.identity, venue=own)
    now = now_ms()
    before = replace(quote(at_ms=now - 50), bid=Decimal(100_010), ask=Decimal(100_012))
    one.venue.account.earlier[BTC] = deque([before, quote(at_ms=now + 60_000)])
    await one.verdict(one.offer(str(one.qty + 1), venue=his))
    return one.reports()[-1]


@pytest.mark.asyncio
async def test_the_own_venue_is_told_where_it_is_another_than_the_leaders(tmp_path: Path) -> None:
    async with bench(tmp_path) as one:
        there = await report_of(one, "bybit", "okx")
        assert there.verdict == "copied" and there.venue_mid == "100011"
        for own, his in (("bybit", "bybit"), ("bybit", None), ("", "okx")):
            assert (await report_of(one, own, his)).venue_mid is None


@pytest.mark.asyncio
async def test_mark_and_last_are_told_as_they_were_at_the_fill(tmp_path: Path) -> None:
    async with bench(tmp_path) as one:
        report = await report_of(one, "bybit", "bybit")
        known = one.venue.account.earlier[BTC][0]
        assert (report.executed_mark, report.executed_last) == (str(known.mark), str(known.last))


def test_a_moment_before_everything_that_is_known_has_no_quote() -> None:
    known, account = quote(at_ms=1000), AccountState()
    account.earlier[BTC] = deque([known])
    assert account.quote_at(BTC, 999) is None
    assert account.quote_at(BTC, 1000) is known
    assert account.quote_at("ETH/USDT:USDT", 1000) is None
