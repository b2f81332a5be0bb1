"""kill -9 under order flow: what was acknowledged is there, and the state is that of a clean replay."""

from __future__ import annotations

import random
import statistics
import time
from pathlib import Path

import pytest

from tests.contract.kills import Campaign


def survive(folder: Path, kills: int) -> Campaign:
    seed = random.SystemRandom().randrange(2**32)
    print(f"seed {seed}")  # noqa: T201
    begun = time.perf_counter()
    campaign = Campaign(folder, random.Random(seed))
    campaign.run(kills)
    seconds, ready = time.perf_counter() - begun, statistics.median(campaign.seconds_to_ready)
    told = (
        f"{kills} kills in {seconds:.0f} s, {campaign.acknowledged} orders acknowledged,"
        f" {campaign.from_snapshots} restarts from a snapshot, {campaign.torn} torn writes,"
        f" ready after {ready:.2f} s"
    )
    print(told)  # noqa: T201
    return campaign


def test_five_kills_lose_nothing_acknowledged(tmp_path: Path) -> None:
    campaign = survive(tmp_path, 5)
    assert campaign.acknowledged >= 50
    assert campaign.from_snapshots >= 1


@pytest.mark.system
@pytest.mark.timeout(900)
def test_a_hundred_kills_lose_nothing_acknowledged(tmp_path: Path) -> None:
    campaign = survive(tmp_path, 100)
    assert campaign.acknowledged >= 2_000
    assert campaign.from_snapshots >= 50
