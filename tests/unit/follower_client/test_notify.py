"""Alarms through apprise itself, to a receiver on this machine."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import pytest
from aiohttp import web

from follower_client.daemon import serve_started
from follower_client.errors import StoreError
from follower_client.follower import Follower
from follower_client.notify import WHAT_TO_DO, Notifier
from relay.telling.people import AddressError, make_sender, read_addresses

pytestmark = pytest.mark.asyncio
LIMIT_S = 20.0


@asynccontextmanager
async def receiver(status: int = 200) -> AsyncIterator[tuple[str, list[dict[str, Any]]]]:
    """The address as apprise wants it, and what came."""
    came: list[dict[str, Any]] = []

    async def take(request: web.Request) -> web.Response:
        came.append(json.loads(await request.read()))
        return web.Response(status=status)

    application = web.Application()
    application.router.add_post("/{path:.*}", take)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"json://127.0.0.1:{runner.addresses[0][1]}/alarms", came
    finally:
        await runner.cleanup()


async def told(came: list[dict[str, Any]], count: int) -> None:
    async with asyncio.timeout(LIMIT_S):
        while len(came) < count:  # noqa: ASYNC110 - the receiver sets no event
            await asyncio.sleep(0.02)


@asynccontextmanager
async def notifier(file: Path, per_hour_max: int = 20) -> AsyncIterator[Notifier]:
    found = Notifier("mia", make_sender(read_addresses(file)), per_hour_max=per_hour_max)
    running = asyncio.create_task(found.run())
    try:
        yield found
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_an_alarm_says_what_happened_and_what_to_do(tmp_path: Path) -> None:
    async with receiver() as (address, came):
        file = tmp_path / "urls"
        file.write_text(f"# who is told\n\n{address}\n")
        async with notifier(file) as alarms:
            alarms.tell("daily_loss", "daily_loss is 61, the limit is 60")
            await told(came, 1)
    assert came[0]["title"] == "Slipstream mia: daily_loss"
    assert came[0]["message"].splitlines() == [
        "daily_loss is 61, the limit is 60",
        WHAT_TO_DO["daily_loss"],
    ]


async def test_more_than_the_limit_are_counted_and_told_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with receiver() as (address, came):
        file = tmp_path / "urls"
        file.write_text(address)
        async with notifier(file, per_hour_max=2) as alarms:
            for number in range(5):
                alarms.tell("clock", f"alarm {number}")
            await told(came, 2)
            monkeypatch.setattr("follower_client.notify.HOUR_S", 0.0)  # the hour is over
            alarms.tell("clock", "alarm 5")
            await told(came, 3)
    assert len(came) == 3 and "(3 more alarms were not sent.)" in came[2]["message"]


async def test_a_service_that_fails_holds_nothing_up(tmp_path: Path) -> None:
    async with receiver(status=500) as (address, came):
        file = tmp_path / "urls"
        file.write_text(f"{address}\njson://127.0.0.1:9/nobody\n")
        async with notifier(file) as alarms:
            for number in range(3):
                alarms.tell("clock", f"alarm {number}")
            await told(came, 3)


async def test_a_line_that_is_no_address_is_named_and_not_shown(tmp_path: Path) -> None:
    file = tmp_path / "urls"
    file.write_text("json://127.0.0.1:9/a\nnosuchservice://tokenofmine/x\n")
    with pytest.raises(AddressError, match="line 2") as caught:
        make_sender(read_addresses(file))
    assert "tokenofmine" not in str(caught.value)


async def test_who_ends_has_a_last_word_past_any_limit(tmp_path: Path) -> None:
    async with receiver() as (address, came):
        file = tmp_path / "urls"
        file.write_text(address)
        ended = Notifier("mia", make_sender(read_addresses(file)), per_hour_max=1)
        ended.tell("clock", "first")
        ended.tell("clock", "second")
        await ended.last_word("stopped", "The follower has stopped: store: disk I/O error")
    assert [one["title"] for one in came] == ["Slipstream mia: clock", "Slipstream mia: stopped"]
    assert "disk I/O error" in came[1]["message"] and WHAT_TO_DO["stopped"] in came[1]["message"]


async def test_a_follower_that_fails_says_so_and_the_others_go_on() -> None:
    class Hosted:
        """As much of a follower as its host needs."""

        def __init__(self, name: str, error: Exception | None) -> None:
            self.follower_id, self.ready, self.told = name, asyncio.Event(), ""
            self._error, self._stopping = error, asyncio.Event()

        async def run(self) -> None:
            self.ready.set()
            if self._error is not None:
                raise self._error
            await self._stopping.wait()

        def stop(self) -> None:
            self._stopping.set()

        async def tell_stopped(self, why: str) -> None:
            self.told = why

    broken, well = Hosted("broken", StoreError("store: disk I/O error")), Hosted("well", None)
    stop, followers = asyncio.Event(), cast("list[Follower]", [broken, well])
    serving = asyncio.create_task(serve_started([], followers, stop, lambda _: None))
    async with asyncio.timeout(LIMIT_S):
        while not broken.told:  # noqa: ASYNC110 - nobody sets an event
            await asyncio.sleep(0.01)
    assert broken.told.startswith("store: disk I/O error; is the disk full?") and not serving.done()
    stop.set()
    assert await serving == 1 and well.told == ""
