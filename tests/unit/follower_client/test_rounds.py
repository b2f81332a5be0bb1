"""One clock for many: each is called, nobody's failure is another one's, and nobody left is called."""

from __future__ import annotations

import asyncio
from collections import Counter
from functools import partial

import pytest

from follower_client.rounds import Rounds

pytestmark = pytest.mark.asyncio


async def test_everybody_is_called_and_one_failure_is_ones_own() -> None:
    rounds, calls = Rounds(), Counter[str]()

    def fail() -> None:
        calls["fails"] += 1
        if calls["fails"] == 2:
            raise OSError("gone")

    often = asyncio.create_task(rounds.repeat(0.05, partial(calls.update, ["often"])))
    seldom = asyncio.create_task(rounds.repeat(0.2, partial(calls.update, ["seldom"])))
    failing = asyncio.create_task(rounds.repeat(0.05, fail))
    with pytest.raises(OSError, match="gone"):
        await failing
    while calls["seldom"] < 3:  # noqa: ASYNC110 - what is tested sets no event
        await asyncio.sleep(0.01)
    assert calls["often"] > calls["seldom"] and calls["fails"] == 2
    for task in (often, seldom):
        task.cancel()
    await asyncio.gather(often, seldom, return_exceptions=True)
    before = Counter(calls)
    await asyncio.sleep(0.15)
    assert calls == before


async def test_who_comes_after_everybody_left_is_called_too() -> None:
    rounds, calls = Rounds(), Counter[int]()
    for turn in range(2):
        task = asyncio.create_task(rounds.repeat(0.05, partial(calls.update, [turn])))
        while calls[turn] < 3:  # noqa: ASYNC110 - what is tested sets no event
            await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
