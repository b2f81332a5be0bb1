"""The dashboard in a real browser: pages draw, follow news, fit a phone, and the console is silent."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from relay.dashboard import Dashboard
from relay.store import DriftStore, FeedEntry, FeedHead
from tests.browser import browser_page
from tests.unit.relay.drift_samples import LEADER, SYMBOL, a_copy, a_signal
from tests.unit.relay.test_dashboard import PAGES, TOKEN, filled, opened

pytestmark = pytest.mark.system
SECONDS_MAX = 100
PICTURES = os.environ.get("SLIPSTREAM_PICTURES")  # a folder, to keep what it looks like


@pytest.mark.asyncio
async def test_every_page_draws_and_its_console_is_silent(tmp_path: Path) -> None:
    filled(tmp_path / "drift.sqlite")
    async with (
        opened(tmp_path / "drift.sqlite", with_token=False) as (_, board, _),
        browser_page() as page,
        asyncio.timeout(SECONDS_MAX),
    ):
        await page.open(board.url)
        assert await page.value("location.search") == "", "the token is gone from the address"
        for dark, width in ((False, 1280), (True, 390)):
            await page.size(width, 900, dark=dark)
            for number, path in enumerate((*PAGES, f"/signals/{LEADER}.1.3")):
                await page.open(f"{board.address}{path}?since=all")
                await page.until("document.getElementById('live').textContent === 'live'")
                drawn = (
                    "[...document.querySelectorAll('.picture')].every(p => p.querySelector('svg.main-svg'))"
                )
                if path not in ("/signals", "/alarms", "/venue") and "/signals/" not in path:
                    await page.until(drawn)
                wide = await page.value("document.documentElement.scrollWidth - window.innerWidth")
                assert wide <= 0, f"{path} is wider than its window by {wide}"
                if PICTURES:
                    await page.picture(Path(PICTURES) / f"page{number}-{width}.png")
        assert page.errors == []


@pytest.mark.asyncio
async def test_an_open_page_shows_a_new_signal_and_outlives_the_monitor(tmp_path: Path) -> None:
    path = tmp_path / "drift.sqlite"
    filled(path)
    signal = a_signal(60)
    entry = FeedEntry(FeedHead(LEADER, 1, 60, "h"), signal.signal)
    async with (
        opened(path) as (_, board, watching),
        browser_page() as page,
        asyncio.timeout(SECONDS_MAX),
    ):
        await page.open(board.url)
        await page.open(f"{board.address}/signals?since=all")
        await page.until("document.getElementById('live').textContent === 'live'")
        with DriftStore.open(path) as store:
            store.write([entry, a_copy(signal)])
        watching.hear_stored([entry, a_copy(signal)])
        await page.until(f"document.body.textContent.includes('{LEADER}.1.60')")
        assert SYMBOL in await page.value("document.body.textContent")
        await board.stop()
        await page.until("document.getElementById('live').className === 'off'")
        host, port = board.address.removeprefix("http://").split(":")
        again = Dashboard(path, watching, TOKEN, public_metrics=True)
        await again.start(host, int(port))
        await page.until("document.getElementById('live').textContent === 'live'")
        await again.stop()
