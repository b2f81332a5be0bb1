"""The venue's own risk: when a light is on, what is kept of its answers, what the page shows."""

# ruff: noqa: ASYNC110 - another task fills a list and has no event to wait for

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import pytest
from aiohttp import web

from relay.core.venue_risk import AdlState, VenueFact, adl_light
from relay.core.watch import AlarmLimits
from relay.store import DriftStore, MarketSample, StorePlace
from relay.venue_watch import VenueWatch
from relay.watching import Watching
from tests.unit.relay.drift_samples import SYMBOL
from tests.unit.relay.test_dashboard import filled, opened


@pytest.mark.parametrize(
    ("balance", "ratio", "light"),
    [
        ("1000", "0", "green"),
        ("1000", "-0.14", "green"),
        ("1000", "-0.16", "amber"),
        ("1000", "-0.26", "amber"),
        ("1000", "-0.3", "red"),
        ("0", "0", "red"),
        ("-1", "0", "red"),
        ("100", "-0.5", "amber"),
    ],
)
def test_a_light_for_every_distance(balance: str, ratio: str, light: str) -> None:
    state = AdlState(Decimal(balance), Decimal(ratio), Decimal("-0.3"), Decimal("-0.25"), Decimal(100))
    found, why = adl_light(state)
    assert found == light and why.endswith(".")


def facts(balance: str, ratio: str, rate: str, at_ms: int) -> list[VenueFact]:
    fund = {"coin": "USDT", "symbols": "BTCUSDT,ETHUSDT", "usd": balance}
    adl = {"coin": "USDT", "balance": balance, "peak": "1000", "trigger": "-0.3", "stop": "-0.25"}
    return [
        VenueFact("fund", "USDT BTCUSDT,ETHUSDT", at_ms, balance, json.dumps(fund)),
        VenueFact("adl", "BTCUSDT", at_ms, ratio, json.dumps(adl | {"threshold": "100"})),
        VenueFact("borrow_rate", "USDT", at_ms, rate, json.dumps({"most": "5", "collateral": "1"})),
    ]


def test_facts_of_a_span_begin_with_the_last_word_before_it(place: StorePlace) -> None:
    with DriftStore.open(place) as store:
        for at_ms in (10, 20, 30, 40):
            store.write(facts(str(at_ms), "0", "0", at_ms))
        found = store.read_venue_facts("fund", 30)
    assert [(fact.wall_ms, fact.value) for fact in found] == [(20, "20"), (30, "30"), (40, "40")]


def test_samples_are_thinned_evenly_and_keep_the_last(place: StorePlace) -> None:
    rows = [MarketSample(SYMBOL, at_ms, None, "1", "2", "3") for at_ms in range(1000, 2000)]
    with DriftStore.open(place) as store:
        store.write(rows)
        assert len(store.read_samples(SYMBOL, 0, 5000)) == 1000
        thinned = store.read_samples(SYMBOL, 0, 5000, 100)
    assert 100 <= len(thinned) <= 112
    assert thinned[-1].wall_ms == 1999


@pytest.mark.asyncio
async def test_the_page_shows_lights_funds_and_rates(place: StorePlace) -> None:
    at_ms = time.time_ns() // 1_000_000 - 60_000
    filled(place, *facts("1000", "0", "0.000001", at_ms), *facts("650", "-0.35", "0.00001", at_ms + 1_000))
    async with opened(place) as (http, _, _), http.get("/venue", params={"since": "all"}) as answer:
        text = await answer.text()
    assert answer.status == 200
    assert '<li class="red">' in text and "Lost 35.0 % of the fund since its peak" in text
    assert "traded here" in text
    assert "-350.00" in text and "8.76 %" in text
    pictures = json.loads(text.split('id="pictures">')[1].split("</script>")[0])
    drawn = {picture["id"]: picture["series"] for picture in pictures}
    assert drawn["funds"][0]["y"][:2] == [100.0, 65.0]
    assert drawn["rates"][0]["name"] == "USDT"


@pytest.mark.asyncio
async def test_a_page_of_a_relay_that_reads_no_venue_says_how(place: StorePlace) -> None:
    filled(place)
    async with opened(place) as (http, _, _), http.get("/venue") as answer:
        assert "rest_url" in await answer.text()


class Venue:
    """The public addresses of a v5 venue, over HTTP; `fails` makes it answer with a proxy's page."""

    def __init__(self) -> None:
        self.fails = False
        self.balance = "1000"
        self.url = ""

    async def start(self) -> web.AppRunner:
        app = web.Application()
        app.router.add_get("/v5/{path:.*}", self._answer)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        return runner

    async def _answer(self, request: web.Request) -> web.Response:
        if self.fails:
            return web.Response(status=502, text="<html>Bad gateway</html>")
        path = request.match_info["path"]
        result: dict[str, Any] = {"list": []}
        if path == "market/time":
            result = {"timeSecond": "1800000000", "timeNano": "1800000000000000000"}
        elif path == "market/insurance":
            row = {"coin": "USDT", "symbols": "BTCUSDT", "balance": self.balance, "value": self.balance}
            result = {"updatedTime": "1", "list": [row]}
        elif path == "spot-margin-trade/data":
            coins = [
                {"currency": "USDT", "borrowable": True, "hourlyBorrowRate": "0.00000114"},
                {"currency": "XYZ", "borrowable": False, "hourlyBorrowRate": ""},
            ]
            result = {"vipCoinList": [{"vipLevel": "No VIP", "list": coins}]}
        return web.json_response({"retCode": 0, "retMsg": "OK", "result": result, "time": 1})


@pytest.mark.asyncio
async def test_what_stays_the_same_is_kept_once_and_an_outage_ends(place: StorePlace) -> None:
    venue, kept = Venue(), list[Any]()
    runner = await venue.start()
    watch = VenueWatch(venue.url, 20, Watching(AlarmLimits()), facts_every_ms=20)

    async def keep(items: Sequence[Any]) -> None:
        kept.extend(items)

    running = asyncio.create_task(watch.run(keep))
    try:
        async with asyncio.timeout(60):
            while len(kept) < 2:
                await asyncio.sleep(0.02)
            venue.fails = True
            await asyncio.sleep(0.2)
            venue.fails, venue.balance = False, "900"
            while len(kept) < 3:
                await asyncio.sleep(0.02)
            await asyncio.sleep(0.2)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await runner.cleanup()
    told = [(fact.kind, fact.value) for fact in kept]
    assert told == [("fund", "1000"), ("borrow_rate", "0.00000114"), ("fund", "900")]
