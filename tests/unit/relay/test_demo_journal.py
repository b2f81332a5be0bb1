"""The demo checks the journal of a venue that goes on writing it. What is checked: `test_engine_journal`."""

from __future__ import annotations

import asyncio
import itertools
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from relay.demo.collect import verify_journal
from simulated_exchange._engine import Engine
from tests.unit.simulated_exchange.listing_rooms import shipped_genesis

ACCOUNT = 100_001
GROUPS_BEFORE = 500
LOOKS = 3


@contextmanager
def written_on(journal: Path) -> Iterator[None]:
    """A venue that commits one command after the other until it is left."""
    engine = Engine.create(shipped_genesis(), str(journal), "fsync")
    is_over, has_begun = threading.Event(), threading.Event()

    def write() -> None:
        engine.create_account(1, 1, ACCOUNT)
        for number in itertools.count(2):
            if is_over.is_set():
                break
            engine.deposit(number, number, ACCOUNT, 0, 1)
            engine.sync()
            if number == GROUPS_BEFORE:
                has_begun.set()

    venue = threading.Thread(target=write)
    venue.start()
    try:
        assert has_begun.wait(60)
        yield
    finally:
        is_over.set()
        venue.join()


@pytest.mark.asyncio
async def test_a_journal_that_is_written_on_is_checked(tmp_path: Path) -> None:
    journal = tmp_path / "exchange.journal"
    with written_on(journal):
        looks = [await asyncio.wait_for(verify_journal(journal), 120) for _ in range(LOOKS)]
    for found in looks:
        assert (found["invariants"], found["conservation_delta"]) == ("ok", "0")
        assert found["commands"] >= GROUPS_BEFORE
    assert [found["commands"] for found in looks] == sorted(found["commands"] for found in looks)
