"""The dashboard in a real browser: pages draw, follow news, fit a phone, and the console is silent."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest

from relay.dashboard import Dashboard
from relay.store import DriftStore, FeedEntry, FeedHead
from tests.browser import browser_page
from tests.unit.relay.drift_samples import LEADER, SYMBOL, a_copy, a_signal, a_status
from tests.unit.relay.test_dashboard import PAGES, TOKEN, filled, opened

pytestmark = pytest.mark.system
SECONDS_MAX = 100
LIVE = "document.getElementById('live').textContent === 'live'"
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


FOCUS = """(() => {
  const at = document.activeElement, box = at.getBoundingClientRect(), style = getComputedStyle(at);
  return {
    tag: at.tagName, text: at.textContent.trim(), label: at.getAttribute("aria-label"),
    is_seen: box.width > 0 && box.left >= 0 && box.right <= innerWidth + 1,
    is_marked: at.matches(":focus-visible") && style.outlineStyle === "solid"
      && parseFloat(style.outlineWidth) >= 2,
  };
})()"""
FIRST_COLUMN = """
  [...document.querySelectorAll("[aria-label=Followers] tbody tr")].map(
    (row) => row.cells[0].firstChild.textContent)
"""


@pytest.mark.asyncio
async def test_the_keyboard_reaches_everything_and_sorts_tables(tmp_path: Path) -> None:
    """Skip link first; every stop is seen and marked; a heading sorts, and stays so when news come."""
    place = tmp_path / "drift.sqlite"
    filled(place)
    async with (
        opened(place, with_token=False) as (_, board, watching),
        browser_page() as page,
        asyncio.timeout(SECONDS_MAX),
    ):
        await page.open(board.url)
        await page.open(f"{board.address}/?since=all")
        await page.until(LIVE)
        await page.press("Tab")
        assert (await page.value(FOCUS))["text"] == "Skip to content"
        await page.press("Enter")
        await page.press("Tab")
        assert (await page.value(FOCUS))["text"] == "1h", "the header was skipped"

        await page.open(f"{board.address}/?since=all")
        await page.until(LIVE)
        stops: list[dict[str, Any]] = []
        while not stops or stops[-1]["tag"] != "BODY":
            await page.press("Tab")
            stops.append(await page.value(FOCUS))
            assert len(stops) < 200
        unseen = [stop for stop in stops[:-1] if not (stop["is_seen"] and stop["is_marked"])]
        assert unseen == []
        texts = [stop["text"] for stop in stops]
        wanted = ["Skip to content", "Slipstream", "Overview", "Signals", "1h", "all", "bold", "p95", LEADER]
        assert [text for text in texts if text in wanted][:3] == wanted[:3]
        assert set(wanted) <= set(texts)
        clickable = "document.querySelectorAll('a[href], button, .table').length"
        assert len(stops) - 1 == await page.value(clickable), "all of it, each once"

        order = await page.value(FIRST_COLUMN)
        while (await page.value(FOCUS))["text"] != "Skipped":
            await page.press("Tab")
        await page.press("Enter")
        sorted_by_it = await page.value(FIRST_COLUMN)
        assert sorted_by_it != order and sorted_by_it[0] == "tiny"
        heading = "document.querySelector('[aria-sort]')"
        assert await page.value(f"{heading}.getAttribute('aria-sort')") == "descending"
        before = await page.value("document.body.dataset.loaded || 0")
        watching.hear_stored([a_status()])
        await page.until(f"Number(document.body.dataset.loaded) > {before}")
        assert await page.value(FIRST_COLUMN) == sorted_by_it
        assert (await page.value(FOCUS))["text"] == "Skipped", "the focus stays where it was"
        await page.press("Enter")
        assert await page.value(f"{heading}.getAttribute('aria-sort')") == "ascending"
        assert (await page.value(FIRST_COLUMN))[-1] == "tiny"
        assert page.errors == []


@pytest.mark.asyncio
async def test_nothing_loading_and_failing_have_words_of_their_own(tmp_path: Path) -> None:
    place = tmp_path / "drift.sqlite"
    async with (
        opened(place, with_token=False) as (_, board, _),
        browser_page() as page,
        asyncio.timeout(SECONDS_MAX),
    ):
        words = "document.querySelector('#picture-parts').textContent.trim()"
        await page.open(board.url)
        assert "cannot be read just now" in await page.value("document.body.textContent")
        await page.until("document.getElementById('live').textContent.includes('cannot be read')")
        DriftStore.open(place).close()
        await page.until(f"{LIVE} && document.querySelector('#picture-parts') !== null")
        assert await page.value(words) == "Nothing to draw in this span yet."
        served = "fetch('/').then(answer => answer.text()).then(text => text.includes('Drawing …'))"
        assert await page.value(served), "before it is drawn it says so"
        filled(place)
        await page.open(f"{board.address}/?since=all")
        await page.until("document.querySelector('#picture-parts svg.main-svg') !== null")
        await page.value("(Plotly.newPlot = () => { throw new Error('no canvas'); }, draw())")
        assert await page.value(words) == "This picture could not be drawn. Load the page again."


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
