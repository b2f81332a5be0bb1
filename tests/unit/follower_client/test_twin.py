"""A second program of one follower is noticed at its start: by the first, and by what the venue executed."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec
import pytest

from follower_client.closeout import Closeout
from follower_client.control import ControlFile
from follower_client.core.snapshot import Control
from follower_client.errors import StoreError
from follower_client.records import Head
from follower_client.store import Store
from follower_client.twin import MARK_BYTES, Running, TwinWatch, refuse_unknown_orders
from relay.nats_bus import BusMessage
from tests.unit.follower_client.executor_bench import bench
from tests.unit.follower_client.fake_venue import FakeVenue

Callback = Callable[[BusMessage], Awaitable[None]]


class Line:
    """A subject that everybody on it hears, himself too."""

    def __init__(self) -> None:
        self.heard: list[Callback] = []
        self.waiting: list[tuple[str, bytes]] = []

    async def publish(self, subject: str, data: bytes) -> None:
        self.waiting.append((subject, data))

    async def subscribe(self, subject: str, callback: Callback) -> None:
        self.heard.append(callback)

    async def quiet(self) -> None:
        """Until nobody has anything to say any more."""
        for _ in range(20):
            waiting, self.waiting = self.waiting, []
            for subject, data in waiting:
                for callback in list(self.heard):
                    await callback(BusMessage(subject, data))
        assert not self.waiting


@pytest.mark.asyncio
async def test_of_two_programs_the_later_one_hears_that_it_is_the_second() -> None:
    line, told = Line(), []
    first = TwinWatch(line, "alice", "S1", lambda host: told.append("first"))  # type: ignore[arg-type]
    await first.start()
    await line.quiet()
    assert told == []
    await asyncio.sleep(0.005)
    second = TwinWatch(line, "alice", "S1", lambda host: told.append("second"))  # type: ignore[arg-type]
    await second.start()
    await line.quiet()
    await first.tell()
    await second.tell()
    stranger = TwinWatch(line, "alice", "S2", lambda host: None)  # type: ignore[arg-type]
    await stranger.tell()
    earlier = msgspec.json.encode(Running(0, "elsewhere"))
    for said in (earlier, bytes(MARK_BYTES) + earlier, b"{no such thing", b""):
        await line.publish("any", said)
    await line.quiet()
    assert told == ["second"]


@pytest.mark.parametrize("missing", ["signals", "flatten", "nothing"])
@pytest.mark.asyncio
async def test_an_older_copy_of_the_folder_is_refused_by_what_the_venue_executed(
    tmp_path: Path, missing: str
) -> None:
    venue, (now, older) = FakeVenue(), (tmp_path / name for name in ("now", "older"))
    now.mkdir()
    older.mkdir()
    async with bench(now, venue) as one:
        await one.verdict(one.offer("2"))
        one.store.save_head("leader", Head(1, 1, "aa"))
        if missing == "flatten":
            await one.verdict(one.offer("3"))
    shutil.copy(now / "follower.sqlite", older)  # the witness stays: the whole folder is an older one
    if missing == "signals":
        async with bench(now, venue) as one:
            one.seq, one.qty = 1, 2  # type: ignore[assignment]
            await one.verdict(one.offer("3"))
    elif missing == "flatten":
        async with bench(now, venue) as one:
            number = ControlFile(now).order(Control.FLATTEN, by="operator", reason="").number
            assert await Closeout("alice", one.desk).close_all(number)
    store = Store.open(older / "follower.sqlite")
    looking = refuse_unknown_orders("alice", ["leader"], store, venue, 0)
    if missing == "nothing":
        await looking
    else:
        with pytest.raises(StoreError, match=r"never had .* another machine copies .* recover"):
            await looking
    store.close()
