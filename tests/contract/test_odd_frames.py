"""Frames that are JSON but nonsense, on every kind of socket: each is answered in words, nobody is hung up
on, and nothing comes of it.
"""

from __future__ import annotations

import asyncio
import random
import time
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from simulated_exchange.gateway.auth import sign
from tests.contract.serving import served
from tests.contract.test_exchange_strangers import ODD, ORDER, REFERENCE

SEED = 20_261_128
FRAMES = 1500
OPERATIONS = ["subscribe", "unsubscribe", "ping", "auth", "order.create", "order.amend", "order.cancel"]
OPERATIONS += ["order.create-batch", "order.amend-batch", "order.cancel-batch", "order.nonsense", ""]
TOPICS = [
    "orderbook.50.BTCUSDT",
    "kline.1.",
    "tickers",
    "order",
    "dcp",
    "insurance.X",
    ".",
    "allLiquidation..",
]


def odd_frame(chance: random.Random) -> dict[str, Any]:
    """A frame with some sense in it."""
    order = {**ORDER, **REFERENCE}
    for name in chance.sample(list(order), chance.choice([0, 1, 2, 4])):
        order[name] = chance.choice(ODD)
    batch = {"category": "linear", "request": chance.choice([[order], [order] * 25, chance.choice(ODD), []])}
    arguments = chance.choice(
        [[order], [batch], chance.sample(TOPICS, 3), [chance.choice(ODD)], chance.choice(ODD)]
    )
    frame = {
        "op": chance.choice([*OPERATIONS, chance.choice(ODD)]),
        "args": arguments,
        "req_id": chance.choice([1, "x", chance.choice(ODD)]),
        "reqId": chance.choice(["", str(chance.random()), chance.choice(ODD)]),
        "header": chance.choice(
            [{"X-BAPI-TIMESTAMP": str(time.time_ns() // 1_000_000)}, {}, chance.choice(ODD)]
        ),
    }
    for name in chance.sample(list(frame), chance.choice([0, 0, 1, 2])):
        del frame[name]
    return frame


@pytest.mark.asyncio
@pytest.mark.parametrize("path", ["public/linear", "public/spot", "public/misc/status", "private", "trade"])
async def test_odd_frames_are_answered_in_words(path: str, tmp_path: Path) -> None:
    chance = random.Random(SEED)
    with served(tmp_path / "data", "--enable-sim", "--durability", "os") as venue:
        account = venue.open_account()
        expires = time.time_ns() // 1_000_000 + 10_000
        auth = [account.api_key, expires, sign(account.api_secret, f"GET/realtime{expires}".encode())]
        counted = venue.sim("stats")["trades"]
        async with aiohttp.ClientSession() as session, session.ws_connect(f"{venue.ws}/v5/{path}") as socket:
            if path in ("private", "trade"):
                await socket.send_json({"op": "auth", "args": auth})
                answer = await socket.receive_json(timeout=5)
                assert answer.get("success", answer.get("retCode") == 0)
            for _ in range(FRAMES):
                await socket.send_json(odd_frame(chance))
            answers = []
            async with asyncio.timeout(60):
                for last in ("the last", "one more"):
                    await socket.send_json({"op": "nonsense", "req_id": last, "reqId": last})
                    told: dict[str, Any] = {}
                    while last not in (told.get("req_id"), told.get("reqId")):
                        told = await socket.receive_json()
                        answers += [told] if "topic" not in told else []
                        assert told.get("retCode") != 10016, told
            assert len(answers) == FRAMES + 2, "answers keep their order, so each frame has had its own"
        assert venue.sim("stats")["trades"] == counted
        assert venue.sim("invariants")["conservation_delta"] == "0"
        assert "Traceback" not in (tmp_path / "data.log").read_text()
        assert venue.stop() == 0
