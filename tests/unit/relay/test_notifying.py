"""Alarms on their way to people: what happened, since when, what to do; not too often; the real library."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from relay.core.alarms import Alarm
from relay.core.watch import AlarmLimits
from relay.notifying import AGAIN_S, HOUR_S, Notifier
from relay.telling.people import AddressError, make_sender, read_addresses
from relay.watching import Watching
from tests.unit.relay.drift_samples import LEADER, START_MS

ALARM = Alarm("no_heartbeat", LEADER, "critical", START_MS, "alice is silent.", "Look at the publisher.")


def alarm(number: int, severity: str = "warning") -> Alarm:
    level: Any = severity
    return ALARM._replace(subject=f"f{number}", severity=level)


class Room:
    """A notifier whose clock and messages are at hand; `answers` says what becomes of each try."""

    def __init__(self, **settings: Any) -> None:
        self.told: list[tuple[str, str]] = []
        self.answers: list[bool] = []
        self.now_s = 1000.0
        values: dict[str, Any] = {"per_hour_max": 5, "clock_s": lambda: self.now_s, **settings}
        self.notifier = Notifier(self.send, **values)

    async def send(self, title: str, body: str) -> bool:
        self.told.append((title, body))
        return self.answers.pop(0) if self.answers else True

    async def titles(self) -> list[str]:
        """Of all that was handed over by now."""
        running = asyncio.create_task(self.notifier.run())
        await asyncio.sleep(0.05)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        return [title.removeprefix("Slipstream ") for title, _ in self.told]


@pytest.mark.asyncio
async def test_an_alarm_says_what_since_when_and_what_to_do_and_when_it_is_over() -> None:
    room = Room()
    room.notifier.tell(ALARM, False)
    room.notifier.tell(ALARM, True)
    assert await room.titles() == ["alice: no heartbeat", "alice: no heartbeat is over"]
    began, over = (body for _, body in room.told)
    assert began == ("alice is silent.\nSince 2025-10-10 21:00:00 UTC (critical).\nLook at the publisher.")
    assert "alice is silent." in over and "2025-10-10 21:00:00 UTC" in over


@pytest.mark.asyncio
async def test_more_than_the_limit_are_counted_and_told_as_a_number() -> None:
    room = Room(per_hour_max=3)
    for number in range(8):
        room.notifier.tell(alarm(number), False)
    for number in range(3, 8):
        room.notifier.tell(alarm(number), True)  # nobody was told that these began
    assert await room.titles() == [f"f{number}: no heartbeat" for number in range(3)]
    room.now_s += HOUR_S + 1
    room.notifier.tell(alarm(9), False)
    assert (await room.titles())[3:] == ["f9: no heartbeat"]
    assert "(5 more messages were not sent.)" in room.told[-1][1]


@pytest.mark.asyncio
async def test_one_that_comes_and_goes_is_told_once_and_again_if_it_stays() -> None:
    room = Room(per_hour_max=100)
    for _ in range(20):
        room.notifier.tell(ALARM, False)
        room.notifier.tell(ALARM, True)
    room.notifier.tell(ALARM, False)
    assert await room.titles() == ["alice: no heartbeat", "alice: no heartbeat is over"]
    room.now_s += AGAIN_S
    assert (await room.titles())[2:] == ["alice: no heartbeat"]


@pytest.mark.asyncio
async def test_who_asks_for_the_critical_gets_no_warnings() -> None:
    room = Room(least="critical")
    room.notifier.tell(alarm(1), False)
    room.notifier.tell(alarm(2, "critical"), False)
    assert await room.titles() == ["f2: no heartbeat"]


@pytest.mark.asyncio
async def test_a_service_that_fails_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("relay.notifying.PAUSES_S", (0.0, 0.0, 0.0))
    room = Room()
    room.answers = [False, True, False, False, False, True]
    for number in range(3):
        room.notifier.tell(alarm(number), False)
    assert [title[:2] for title in await room.titles()] == ["f0", "f0", "f1", "f1", "f1", "f2"]


def test_without_addresses_nobody_is_told_and_nothing_piles_up() -> None:
    notifier = Notifier(make_sender(read_addresses(None)), per_hour_max=1)
    for _ in range(1_000):
        notifier.tell(ALARM, False)
    notifier.look()


@asynccontextmanager
async def receiver() -> AsyncIterator[tuple[str, asyncio.Queue[dict[str, Any]]]]:
    """A local service that takes apprise's JSON."""
    got: asyncio.Queue[dict[str, Any]] = asyncio.Queue()

    async def take(request: web.Request) -> web.Response:
        got.put_nowait(await request.json())
        return web.Response(text="ok")

    app = web.Application()
    app.router.add_post("/secret-token", take)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"json://127.0.0.1:{runner.addresses[0][1]}/secret-token", got
    finally:
        await runner.cleanup()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of the library's own imports
@pytest.mark.asyncio
async def test_a_real_alarm_goes_through_the_real_library(tmp_path: Path) -> None:
    """From a leader who falls silent to the message at the receiver, and that he is back."""
    async with receiver() as (address, got):
        (tmp_path / "urls").write_text(f"# ops\n\n{address}\n")
        notifier = Notifier(make_sender(read_addresses(tmp_path / "urls")), per_hour_max=10)
        running = asyncio.create_task(notifier.run())
        now = [START_MS]
        watching = Watching(AlarmLimits(), notifier.tell, lambda: now[0])
        watching.watch.expect(LEADER, now[0])
        now[0] += 10_000
        watching.look()
        began = await asyncio.wait_for(got.get(), 20)
        watching.watch.hear_beat(LEADER, now[0])
        watching.look()
        over = await asyncio.wait_for(got.get(), 20)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    assert began["title"] == "Slipstream alice: no heartbeat"
    for words in ("has not been heard for 10 s", "2025-10-10 21:00:00 UTC", "Look at the publisher"):
        assert words in began["message"]
    assert over["title"] == "Slipstream alice: no heartbeat is over"


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_mistakes_in_the_addresses_are_told_without_the_address(tmp_path: Path) -> None:
    (tmp_path / "urls").write_text("json://127.0.0.1:1/x\nnonsense-with-a-token\n")
    with pytest.raises(AddressError) as caught:
        make_sender(read_addresses(tmp_path / "urls"))
    assert "line 2 is no apprise address" in str(caught.value) and "token" not in str(caught.value)
    with pytest.raises(AddressError, match="cannot be read"):
        read_addresses(tmp_path / "missing")
