"""The dashboard over its own port: who gets in, what pages show, what injection becomes, what goes wrong."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from html.parser import HTMLParser
from urllib.parse import quote

import aiohttp
import pytest

from relay.core.alarms import Alarm
from relay.core.intake import Refusal
from relay.core.report import build_report
from relay.core.watch import AlarmLimits
from relay.dashboard import Dashboard
from relay.dashboard.desk import KEPT_SECONDS, Desk
from relay.protocol.messages import StaggerPlan
from relay.protocol.plans import PlansTold, PlanTold
from relay.reporting.findings import number
from relay.store import (
    AlarmRecord,
    DriftStore,
    FeedEntry,
    FeedHead,
    RefusedReport,
    StoreItem,
    StorePlace,
    VenueFact,
)
from relay.watching import Watching
from tests.unit.relay.drift_samples import LEADER, SYMBOL, a_copy, a_signal, a_status, sample_run

TOKEN = "a-token-of-the-tests"
HTML = {"Accept": "text/html"}
PAGES = (
    "/",
    "/signals",
    "/alarms",
    "/venue",
    f"/leaders/{LEADER}",
    "/followers/steady",
    f"/symbols/{SYMBOL}",
)
EVIL = "<script>alert(1)</script><img src=x onerror=alert(2)>\"'"


class Tags(HTMLParser):
    """Every tag of a page with its attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def filled(place: StorePlace, *more: StoreItem) -> None:
    run = sample_run()
    feed = [FeedEntry(FeedHead(p.leader_id, p.epoch, p.seq, "h"), p.signal) for p in run.signals]
    with DriftStore.open(place) as store:
        store.write([*feed, *run.copies, *run.statuses, *more])


@asynccontextmanager
async def opened(
    place: StorePlace, *, with_token: bool = True, public_metrics: bool = True
) -> AsyncIterator[tuple[aiohttp.ClientSession, Dashboard, Watching]]:
    watching = Watching(AlarmLimits())
    dashboard = Dashboard(place, watching, TOKEN, public_metrics=public_metrics)
    await dashboard.start("127.0.0.1", 0)
    headers = {**HTML, **({"Authorization": f"Bearer {TOKEN}"} if with_token else {})}
    try:
        async with aiohttp.ClientSession(dashboard.address, headers=headers) as session:
            yield session, dashboard, watching
    finally:
        await dashboard.stop()


@pytest.mark.asyncio
async def test_a_leaders_page_shows_his_plan_and_what_it_costs(place: StorePlace) -> None:
    filled(place)
    plan = PlanTold(
        stagger=StaggerPlan(waves=5, spacing_ms=125),
        impact_bps="1.25",
        timing_bps="0.375",
        impact_at_once_bps="4.5",
    )
    told = PlansTold(leader_id=LEADER, planned_ms=1, followers=321, plans={SYMBOL: plan})
    board = Dashboard(place, Watching(AlarmLimits()), TOKEN, public_metrics=True, plans={LEADER: told}.get)
    await board.start("127.0.0.1", 0)
    try:
        headers = {**HTML, "Authorization": f"Bearer {TOKEN}"}
        async with (
            aiohttp.ClientSession(board.address, headers=headers) as http,
            http.get(f"/leaders/{LEADER}") as answer,
        ):
            text = await answer.text()
    finally:
        await board.stop()
    assert "entries of 321 active followers" in text
    assert "<td>5</td><td>500 ms</td><td>1.25</td><td>0.38</td><td>4.50</td>" in text


@pytest.mark.asyncio
async def test_nobody_gets_in_without_the_token(place: StorePlace) -> None:
    filled(place)
    async with opened(place, with_token=False, public_metrics=False) as (http, board, _):
        everywhere = (*PAGES, f"/signals/{LEADER}.1.1", "/signals?show=missed", "/events", "/metrics")
        for path in (*everywhere, "/static/plotly.js", "/static/dashboard.js", "/nothing"):
            async with http.get(path, allow_redirects=False) as answer:
                assert (answer.status, answer.headers["Location"]) == (303, "/login"), path
            async with http.get(path, headers={"Accept": "*/*", "Authorization": "Bearer wrong"}) as answer:
                assert answer.status == 401, path
        async with http.post("/login", data={"token": "wrong"}, allow_redirects=False) as answer:
            assert answer.headers["Location"] == "/login?wrong=1"
            assert "Set-Cookie" not in answer.headers
        async with http.get(f"/?token={TOKEN}&since=7d", allow_redirects=False) as answer:
            cookie = answer.headers["Set-Cookie"]
            assert "HttpOnly" in cookie and "SameSite=Strict" in cookie
            assert answer.headers["Location"] == "/?since=7d", "the token does not stay in the address"
        async with http.get("/") as answer:
            assert answer.status == 200, "the cookie lets in"
        assert board.url == f"{board.address}/?token={TOKEN}"


@pytest.mark.asyncio
async def test_a_foreign_host_name_is_not_served(place: StorePlace) -> None:
    filled(place)
    async with (
        opened(place) as (http, _, _),
        http.get("/", headers={"Host": "evil.example"}) as answer,
    ):
        assert answer.status == 421


@pytest.mark.asyncio
async def test_every_page_has_its_headers_and_asks_nobody_else(place: StorePlace) -> None:
    filled(place)
    async with opened(place) as (http, _, _):
        for path in PAGES:
            async with http.get(path, params={"since": "all"}) as answer:
                text = await answer.text()
                assert answer.status == 200, path
                policy = answer.headers["Content-Security-Policy"]
            assert "default-src 'none'" in policy and "unsafe" not in policy
            tags = Tags()
            tags.feed(text)
            for tag, attributes in tags.found:
                for name, value in attributes.items():
                    assert not name.startswith("on") and name != "style", (path, tag, name)
                    if name in ("src", "href", "action"):
                        assert value is not None and value.startswith(("/", "#", "data:,")), (path, value)
                if tag == "script":
                    assert "src" in attributes or attributes.get("type") == "application/json", path


@pytest.mark.asyncio
async def test_pages_show_what_is_in_the_store(place: StorePlace) -> None:
    filled(place)
    async with opened(place) as (http, _, _):
        texts = {}
        for path in PAGES:
            async with http.get(path, params={"since": "all"}) as answer:
                texts[path] = await answer.text()
        for follower in ("steady", "fixed", "bold", "tiny", "paper"):
            assert f'href="/followers/{follower}"' in texts["/"]
        assert "below minimum" in texts["/signals"]
        assert f'href="/signals/{LEADER}.1.1"' in texts["/signals"]
        async with http.get(f"/signals/{LEADER}.1.1") as answer:
            one = await answer.text()
        assert "the publisher sees the fill" in one and "spread and market impact" in one
        for path in ("/signals/alice.1.999", "/signals/nonsense", "/leaders/nobody", "/followers/x", "/y"):
            async with http.get(path) as answer:
                assert answer.status == 404, path
                assert "Back to the overview" in await answer.text()


@pytest.mark.asyncio
async def test_an_empty_store_says_what_to_do(place: StorePlace) -> None:
    DriftStore.open(place).close()
    async with opened(place) as (http, _, _), http.get("/") as answer:
        text = await answer.text()
    assert "relay invite create" in text and "relay publish" in text


@pytest.mark.asyncio
async def test_what_others_wrote_is_text(place: StorePlace) -> None:
    signal = a_signal(50)
    now_ms = time.time_ns() // 1_000_000 - 10_000
    detail = json.dumps(dict.fromkeys(("coin", "symbols", "usd", "most"), EVIL) | {"usd": "1", "most": "1"})
    told = Alarm("gap", EVIL, "warning", 1, EVIL, EVIL)
    filled(
        place,
        FeedEntry(FeedHead(LEADER, 1, 50, "h"), signal.signal),
        a_copy(
            signal, "steady", policy=EVIL, reason=EVIL, detail=EVIL, limit_value=EVIL, observed_value=EVIL
        ),
        a_status("steady", at_ms=2**40, policy=EVIL),
        RefusedReport("d", EVIL, Refusal(EVIL, EVIL)),
        AlarmRecord(told, 5),
        *(VenueFact(kind, EVIL, now_ms, "1", detail) for kind in ("fund", "adl", "borrow_rate")),
        *(VenueFact(kind, EVIL, now_ms + 1, "2", detail) for kind in ("fund", "borrow_rate")),
    )
    async with opened(place) as (http, _, watching):
        watching.standing = [told]
        for path in (*PAGES, f"/signals/{LEADER}.1.50", "/signals?show=missed", f"/followers/{quote(EVIL)}"):
            async with http.get(path, params={"since": "all"}) as answer:
                text = await answer.text()
            tags = Tags()
            tags.feed(text)
            assert not [tag for tag, _ in tags.found if tag == "img"], path
            assert "<script>alert" not in text
            assert not [at for _, attributes in tags.found for at in attributes if at.startswith("on")], path


@pytest.mark.asyncio
async def test_news_reaches_an_open_page_and_metrics_are_served(place: StorePlace) -> None:
    filled(place)
    async with opened(place) as (http, _, watching), asyncio.timeout(10):
        async with http.get("/events") as stream:
            assert stream.headers["Content-Type"] == "text/event-stream"
            assert await stream.content.readuntil(b"\n\n") == b"retry: 1000\n\n"
            watching.hear_stored([a_status()])
            assert await stream.content.readuntil(b"\n\n") == b"event: news\ndata: status\n\n"
        async with http.get("/metrics", headers={"Authorization": ""}) as answer:
            assert "relay_mode{" in await answer.text()


@pytest.mark.asyncio
async def test_a_store_that_is_gone_is_said_and_tried_again(place: StorePlace) -> None:
    async with opened(place) as (http, _, _):
        async with http.get("/") as answer:
            assert answer.status == 503
            assert "tried again" in await answer.text()
        filled(place)
        await asyncio.sleep(0.2)
        async with http.get("/") as answer:
            assert answer.status == 200


async def news_of(stream: aiohttp.ClientResponse) -> bytes:
    """The next event; a page that has waited long was told in between that somebody is there."""
    while (said := await stream.content.readuntil(b"\n\n")).startswith(b":"):
        pass
    return said


@pytest.mark.asyncio
async def test_two_hundred_open_pages_hear_the_same_news(place: StorePlace) -> None:
    filled(place)
    connector = aiohttp.TCPConnector(limit=0)
    async with opened(place) as (_, board, watching), asyncio.timeout(30):
        headers = {"Authorization": f"Bearer {TOKEN}"}
        async with aiohttp.ClientSession(board.address, headers=headers, connector=connector) as http:
            streams = [await http.get("/events") for _ in range(200)]
            for stream in streams:
                await stream.content.readuntil(b"\n\n")
            watching.hear_stored([a_status()])
            heard = await asyncio.gather(*(news_of(stream) for stream in streams))
            assert set(heard) == {b"event: news\ndata: status\n\n"}
            for stream in streams:
                stream.close()


@pytest.mark.asyncio
async def test_pages_say_in_money_what_a_follower_made_less_and_why(place: StorePlace) -> None:
    filled(place)
    with DriftStore.open_for_reading(place) as store:
        rows = {row["id"]: row for row in build_report(store.figures(), {}, {})["followers"]}
    async with opened(place) as (http, _, _):
        async with http.get("/followers/steady", params={"since": "all"}) as answer:
            own = await answer.text()
        async with http.get(f"/leaders/{LEADER}", params={"since": "all"}) as answer:
            everybody = await answer.text()
    steady = rows["steady"]
    for value in (steady["pnl"]["drift"], steady["costs"]["total"], *steady["pnl"]["explained"].values()):
        assert Decimal(value) == 0 or f">{number(value)}<" in own, value
    assert f"{number(Decimal(steady['copied_notional']['fill_ratio']) * 100)} %" in own
    for row in rows.values():
        assert f">{number(row['pnl']['drift'])}<" in everybody, row["id"]


@pytest.mark.asyncio
async def test_who_asks_while_an_older_reading_goes_on_hears_what_was_stored_since(place: StorePlace) -> None:
    """And all who do share one reading."""
    filled(place)
    stored = ["old"]
    reading, going_on = threading.Event(), threading.Event()

    def slow(_store: DriftStore) -> str:
        found = stored[-1]
        reading.set()
        assert going_on.wait(10)
        return found

    def quick(_store: DriftStore) -> str:
        stored.append("read")
        return stored[1]

    desk = Desk(place)
    try:
        first = asyncio.create_task(desk.ask("key", slow))
        assert await asyncio.to_thread(reading.wait, 10)
        stored.append("new")
        await asyncio.sleep(2 * KEPT_SECONDS)
        later = [asyncio.create_task(desk.ask("key", quick)) for _ in range(2)]
        await asyncio.sleep(0)
        going_on.set()
        assert await asyncio.gather(first, *later) == ["old", "new", "new"]
        assert stored.count("read") == 1
    finally:
        going_on.set()
        await desk.close()
