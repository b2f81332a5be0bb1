"""`make soak-follower`: 2,000 orders under 200 kills and a misbehaving venue. Here a short form of it."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from tests.integration.follower_soak import soak

ORDERS = int(os.environ.get("SOAK_ORDERS", "30"))
KILLS = int(os.environ.get("SOAK_KILLS", "5"))
SEED = int(os.environ.get("SOAK_SEED", "0")) or random.SystemRandom().randrange(1, 2**32)


@pytest.mark.asyncio
@pytest.mark.timeout(300 + 40 * KILLS)
async def test_kills_and_faults_leave_one_order_per_id_and_no_more_than_the_target(tmp_path: Path) -> None:
    print(f"SOAK_SEED={SEED}")  # noqa: T201 - to play it again
    figures = await soak(tmp_path, orders=ORDERS, kills=KILLS, seed=SEED)
    print(figures.line())  # noqa: T201 - the figures that were asked for
    assert figures.kills >= KILLS and figures.orders >= ORDERS
