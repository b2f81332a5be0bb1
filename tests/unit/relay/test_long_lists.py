"""Lists longer than a page: complete whichever end of a stretch the venue shows, bounded, said when not."""

from __future__ import annotations

import random
from collections.abc import Sequence
from types import SimpleNamespace

import pytest

from relay.venue.listing import CALLS_MAX, PAGE_MAX, Row, Terms, list_between, terms_of

pytestmark = pytest.mark.asyncio
DAY_MS = 24 * 3600 * 1000


class Pages:
    """A venue with these rows; it shows the oldest or the newest of a stretch, a page of them."""

    def __init__(self, rows: Sequence[Row], *, newest: bool, page: int, span_ms: int = 365 * DAY_MS) -> None:
        self.rows = sorted(rows, key=lambda row: row["timestamp"])
        self.newest, self.page, self.span_ms, self.calls = newest, page, span_ms, 0

    async def __call__(self, since_ms: int, until_ms: int | None) -> list[Row]:
        self.calls += 1
        assert until_ms is None or until_ms - since_ms <= self.span_ms
        end_ms = since_ms + self.span_ms if until_ms is None else until_ms
        found = [row for row in self.rows if since_ms <= row["timestamp"] <= end_ms]
        return found[-self.page :] if self.newest else found[: self.page]


@pytest.mark.parametrize("newest", [False, True], ids=["oldest first", "newest first"])
async def test_every_row_is_listed_whichever_end_a_venue_shows(newest: bool) -> None:
    seed = random.SystemRandom().randrange(2**32)
    numbers = random.Random(seed)
    for _ in range(50):
        began, page = 1_700_000_000_000, numbers.choice([5, 20, 100])
        span_ms = numbers.choice([DAY_MS, 7 * DAY_MS, 365 * DAY_MS])
        end = began + numbers.choice([60_000, DAY_MS, 9 * DAY_MS])
        count = numbers.randrange(8 * page)
        rows: list[Row] = [{"id": n, "timestamp": numbers.randrange(began, end)} for n in range(count)]
        pages = Pages(rows, newest=newest, page=page, span_ms=span_ms)
        found, is_whole = await list_between(pages, began, end, Terms(page=page, span_ms=span_ms))
        assert is_whole or pages.calls == CALLS_MAX or end - began < 120_000, f"seed {seed}"
        if is_whole:
            assert {row["id"] for row in found} == set(range(count)), f"seed {seed}"


async def test_what_cannot_be_listed_is_said_and_ends() -> None:
    rows: list[Row] = [
        {"id": n, "timestamp": 1_700_000_000_500} for n in range(30)
    ]  # more than a page in one moment
    pages = Pages(rows, newest=True, page=10)
    found, is_whole = await list_between(pages, 1_700_000_000_000, 1_700_000_100_000, Terms(page=10))
    assert not is_whole
    assert pages.calls <= CALLS_MAX
    assert {row["id"] for row in found} == set(range(20, 30))

    async def always_full(_since_ms: int, _until_ms: int | None) -> list[Row]:
        return rows[:10]  # a venue that ignores what it is asked

    _, is_whole = await list_between(always_full, 0, 1_700_000_100_000, Terms(page=10))
    assert not is_whole


async def test_what_ccxt_says_of_a_venue_is_heeded() -> None:
    def said(**words: object) -> SimpleNamespace:
        return SimpleNamespace(features={"swap": {"linear": {"fetchMyTrades": words}}})

    assert terms_of(said(symbolRequired=True, limit=50, untilDays=7)) == Terms(True, 50, 7 * DAY_MS)
    assert terms_of(said(limit=1000, untilDays=100_000)) == Terms(False, PAGE_MAX, 365 * DAY_MS)
    assert terms_of(said(limit=None, untilDays=None)) == Terms()
    assert terms_of(SimpleNamespace(features={"swap": {"linear": None}})) == Terms()
    assert terms_of(SimpleNamespace()) == Terms()
