"""The page in a real browser: the pictures hold data, in a window and on a phone."""

from __future__ import annotations

import asyncio
import re
import shutil
import subprocess
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from msgspec import structs

from relay.core.report import build_report, figures_of
from relay.core.verdicts import ReportRows
from relay.protocol.messages import MarketState
from relay.reporting import LiquidationPoint, Stretch, build_detail, write_html
from tests.browser import browser_page
from tests.unit.relay.drift_samples import START_MS, SYMBOL, sample_run

pytestmark = pytest.mark.system

BROWSER_SECONDS_MAX = 60
PNG_BYTES_MIN = 40_000
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--virtual-time-budget=6000",),
)
PICTURES = tuple(
    f"picture-{name}" for name in ("slippage", "parts", "over-time", "latency", "tracking", "price", "gap")
)


class Shapes(HTMLParser):
    """Counts the drawn elements of each picture by class, and gathers its words."""

    def __init__(self) -> None:
        super().__init__()
        self.counts: dict[str, dict[str, int]] = {name: {} for name in PICTURES}
        self.texts: list[str] = []
        self._picture: str | None = None
        self._depth = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if self._picture is None and values.get("id") in self.counts:
            self._picture, self._depth = values["id"], 0
        if self._picture is None:
            return
        self._depth += tag not in ("br", "img", "path", "rect", "image", "use")
        for name in (values.get("class") or "").split():
            counts = self.counts[self._picture]
            counts[name] = counts.get(name, 0) + 1

    def handle_endtag(self, tag: str) -> None:
        if self._picture is None or tag in ("path", "rect", "image", "use"):
            return
        self._depth -= 1
        if self._depth <= 0:
            self._picture = None

    def handle_data(self, data: str) -> None:
        if self._picture is not None and data.strip():
            self.texts.append(data.strip())


def chromium() -> str:
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    if found is None:
        pytest.fail("chromium is missing: apt-get install chromium")
    return found


def browse(page: Path, folder: Path, *flags: str) -> str:
    command = [chromium(), *FLAGS, f"--user-data-dir={folder / 'profile'}", *flags, page.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=BROWSER_SECONDS_MAX, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = sample_run()
    venue = {
        "orders": 1,
        "trades": 9,
        "liquidations": len(run.liquidations),
        "adl": 0,
        "conservation_delta": "0",
    }
    fallen = [LiquidationPoint(SYMBOL, wall, side, price, qty) for wall, price, qty, side in run.liquidations]
    detail = build_detail(
        run.rows,
        figures_of(run.rows),
        prices={"BTCUSDT": run.prices},
        liquidations=fallen,
        shock=Stretch(*run.shock, "shock"),
        started_ms=START_MS,
    )
    path = tmp_path_factory.mktemp("page") / "report.html"
    write_html(
        build_report(figures_of(run.rows), venue, {"seed": 7, "scenario": "crash", "seconds": 60}),
        detail,
        path,
    )
    return path


def test_the_pictures_hold_data(page: Path, tmp_path: Path) -> None:
    run = sample_run()
    shapes = Shapes()
    shapes.feed(browse(page, tmp_path, "--window-size=1200,2600", "--dump-dom"))
    executed = sum(copy.verdict in ("copied", "capped") for copy in run.copies)
    followers = len({copy.follower_id for copy in run.copies if copy.orders})

    slippage = shapes.counts["picture-slippage"]
    assert slippage["box"] == followers
    assert slippage["point"] == executed + followers  # every copy, and a mean per follower
    parts = shapes.counts["picture-parts"]
    assert parts["bars"] >= 4
    assert shapes.counts["picture-latency"]["bars"] >= 4
    over_time = shapes.counts["picture-over-time"]
    assert over_time["point"] >= executed + len(run.signals)
    assert shapes.counts["picture-tracking"]["js-line"] >= followers
    assert shapes.counts["picture-gap"]["js-line"] == 1
    price = shapes.counts["picture-price"]
    assert price["js-line"] == 2 * 3  # index, mark, last, and each once more in the legend
    leader, fills, verdicts = len(run.signals), executed, len(run.copies)
    seconds = len({(wall - START_MS) // 1000 for wall, *_ in run.liquidations})
    assert price["point"] == leader + fills + verdicts + len(run.liquidations) + seconds
    for word in ("bold", "steady", "shock", "liquidation", "alice (leader)", "bps per copy", "mark"):
        assert word in shapes.texts


def test_a_screenshot_is_a_picture(page: Path, tmp_path: Path) -> None:
    shot = tmp_path / "report.png"
    browse(page, tmp_path, "--window-size=1200,3400", f"--screenshot={shot}")
    assert shot.read_bytes().startswith(b"\x89PNG")
    assert shot.stat().st_size > PNG_BYTES_MIN


def test_a_phone_shows_the_whole_width(page: Path, tmp_path: Path) -> None:
    """In a frame of 390 pixels no picture is wider than the frame."""
    probe, frame = page.with_name("probe.html"), page.with_name("phone.html")
    report = (
        "<script>addEventListener('load', () => parent.postMessage("
        "[...document.querySelectorAll('.main-svg')].map((each) => each.getBoundingClientRect().right | 0)"
        ".concat(document.documentElement.scrollWidth).join(' '), '*'))</script></body>"
    )
    probe.write_text(page.read_text(encoding="utf-8").replace("</body>", report), encoding="utf-8")
    frame.write_text(
        f'<body><iframe src="{probe.name}" style="width:390px;height:6000px;border:0"></iframe><script>'
        "addEventListener('message', (event) => document.body.setAttribute('data-widths', event.data))"
        "</script></body>",
        encoding="utf-8",
    )
    dom = browse(frame, tmp_path, "--window-size=800,1200", "--dump-dom")
    found = re.search(r'data-widths="([\d ]+)"', dom)
    assert found is not None, dom[:500]
    widths = [int(width) for width in found[1].split()]
    assert len(widths) > len(PICTURES)
    assert max(widths) <= 390


@pytest.mark.asyncio
async def test_a_recording_without_quotes_draws_what_it_has(tmp_path: Path) -> None:
    """No mids, no marks, no words of followers, several days: as records of another relay are."""
    run = sample_run()
    names = (
        "received_mid",
        "released_mid",
        "submitted_mid",
        "accepted_mid",
        "received_mark",
        "received_last",
    )
    copies = [structs.replace(copy, **dict.fromkeys(names)) for copy in run.copies]
    nothing = MarketState(mark="0", index="0", last="0", bid="0", ask="0")
    signals = [
        replace(each, signal=structs.replace(each.signal, market=nothing, symbol="xyz:CXMT"))
        for each in run.signals
    ]
    copies = [structs.replace(copy, symbol="xyz:CXMT") for copy in copies]
    rows = ReportRows(signals, copies, [])
    detail = build_detail(rows, figures_of(rows), prices={}, started_ms=START_MS - 3 * 86_400_000)
    file = tmp_path / "report.html"
    write_html(build_report(figures_of(rows), {}, {"version": "1"}), detail, file)
    async with browser_page() as page, asyncio.timeout(BROWSER_SECONDS_MAX):
        await page.open(file.as_uri())
        await page.until("document.querySelector('#picture-price svg.main-svg') !== null")
        text = await page.value("document.body.innerText")
        assert page.errors == []
    assert "No quotes are known between the fills" in text and "No mark prices are known" in text
    assert "days of the run" in text and "xyz:CXMT" in text
