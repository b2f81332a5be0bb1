"""The dashboard of a demonstration that runs, in a real browser: what somebody new to it would see.

With SLIPSTREAM_PICTURES=DIR the pages are kept as the docs' pictures.
"""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import tomli_w

from tests.browser import Page, browser_page
from tests.unit.relay.test_dashboard import filled

pytestmark = [pytest.mark.system, pytest.mark.timeout(300)]
SECONDS_MAX = 240
PICTURES = os.environ.get("SLIPSTREAM_PICTURES")
KEPT = {"/": "dashboard.png", "/venue": "venue-risk.png", "/followers/bold": "follower.png"}
LIVE = "document.getElementById('live').textContent === 'live'"
DRAWN = "[...document.querySelectorAll('.picture')].every(p => p.querySelector('svg.main-svg, .empty'))"


@asynccontextmanager
async def started(*arguments: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """A program of the relay, ended with whatever it started when the block ends."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "relay", *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGINT)
        await process.communicate()


async def said(process: asyncio.subprocess.Process, pattern: str) -> str:
    """The first group of the first line that matches."""
    assert process.stdout is not None
    lines = []
    while line := (await process.stdout.readline()).decode():
        lines.append(line)
        if found := re.search(pattern, line):
            return found[1]
    raise AssertionError("".join(lines))


async def count(page: Page, selector: str) -> int:
    found = await page.value(f"document.querySelectorAll('{selector}').length")
    return int(found)


@pytest.mark.asyncio
async def test_somebody_new_watches_a_demonstration(tmp_path: Path) -> None:
    out = tmp_path / "run"
    async with (
        asyncio.timeout(SECONDS_MAX),
        browser_page() as page,
        started("demo", "--seconds", "25", "--serve", "--out", str(out)) as demo,
    ):
        url = await said(demo, r"dashboard at (\S+)")
        address = url.partition("/?")[0]
        await page.size(1280, 900)
        await page.open(url)
        await page.until(LIVE)
        await page.open(f"{address}/signals")
        await page.until(f"{LIVE} && document.querySelectorAll('main tbody tr').length > 0")
        first = await count(page, "main tbody tr")
        await page.until(f"document.querySelectorAll('main tbody tr').length > {first + 2}")
        await page.until("document.querySelector('header .count') !== null")
        await said(demo, r"(Ctrl-C ends)")

        await page.open(f"{address}/")
        await page.until("document.querySelectorAll('.answers .tile').length === 3")
        answers = await page.value("document.querySelector('.answers').textContent")
        for question in ("Worst slippage", "Caused by", "Not copied"):
            assert question in answers
        await page.open(f"{address}/signals?show=missed")
        missed = await page.value("document.querySelector('main').textContent")
        assert "tiny" in missed and "below minimum" in missed

        pages = ("/", "/venue", "/alarms", "/leaders/alice", "/followers/bold", "/symbols/BTC/USDT:USDT")
        for path in pages:
            await page.open(f"{address}{path}")
            await page.until(f"{LIVE} && {DRAWN}")
            if PICTURES and path in KEPT:
                await asyncio.sleep(1)
                await page.picture(Path(PICTURES) / KEPT[path])
        await page.open(f"{address}/venue")
        lights = await page.value("document.querySelector('.lights').textContent")
        assert "BTCUSDT" in lights and "traded here" in lights
        assert page.errors == []


@pytest.mark.asyncio
async def test_an_open_page_outlives_a_killed_monitor(tmp_path: Path) -> None:
    """`relay serve`, killed and started again below an open page."""
    filled(tmp_path / "drift.sqlite")
    token, config = tmp_path / "token", tmp_path / "relay.toml"
    token.write_text("a-token-of-the-tests\n")
    board = {"listen": "127.0.0.1:0", "token_file": str(token)}
    settings = {
        "broker": {"listen": "127.0.0.1:0", "data_dir": str(tmp_path / "broker")},
        "store": {"path": str(tmp_path / "drift.sqlite")},
        "dashboard": board,
    }
    async with asyncio.timeout(SECONDS_MAX), browser_page() as page:
        for turn in range(3):
            config.write_text(tomli_w.dumps(settings))
            async with started("serve", "--config", str(config)) as relay:
                url = await said(relay, r"dashboard (http\S+?),")
                if turn == 0:
                    address = url.partition("/?")[0]
                    board["listen"] = address.removeprefix("http://")
                    await page.open(url)
                    await page.open(f"{address}/?since=all")
                await page.until(f"{LIVE} && document.body.textContent.includes('steady')")
                relay.kill()
                await relay.wait()
                await page.until("document.getElementById('live').className === 'off'")
