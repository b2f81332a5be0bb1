"""Pushes beside the documented and the recorded ones: every field is there, of the same kind."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from simulated_exchange.gateway.auth import sign
from tests.acceptance.recorded_data import text_of
from tests.acceptance.wire_shapes import FOLDER, lacks
from tests.contract.serving import VenueProcess, served, sync_client

pytestmark = pytest.mark.data

LINEAR = ["orderbook.1.BTCUSDT", "orderbook.50.BTCUSDT", "orderbook.200.BTCUSDT", "orderbook.1000.BTCUSDT"]
LINEAR += [
    "tickers.BTCUSDT",
    "publicTrade.BTCUSDT",
    "kline.1.BTCUSDT",
    "priceLimit.BTCUSDT",
    "insurance.USDT",
]
SPOT = [topic for topic in LINEAR if not topic.startswith("insurance")]
PRIVATE = ["order", "execution", "execution.fast", "position", "wallet"]
OF_CONTRACTS = {"tpslMode"}  # whose absence tells spot
ELSEWHERE = ("cumFeeDetail.MNT: missing", "extraFees: no row to compare")  # a coin, a tax that we have not
SECONDS_MAX = 15
Frames = dict[tuple[str, str], Any]


@pytest.fixture(scope="module")
def venue(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VenueProcess]:
    folder: Path = tmp_path_factory.mktemp("pushes") / "data"
    with served(folder, "--enable-sim", "--durability", "os") as process:
        yield process


async def collected(venue: VenueProcess) -> Frames:
    """One push of every topic and market, while two accounts trade."""
    maker, taker = venue.open_account(), venue.open_account()
    for account in (maker, taker):
        venue.sim("deposit", {"name": account.name, "amount": "10", "coin": "BTC"})
    found: Frames = {}
    async with aiohttp.ClientSession() as session:
        listening = [
            asyncio.create_task(_listen(session, venue, "linear", LINEAR, found)),
            asyncio.create_task(_listen(session, venue, "spot", SPOT, found)),
            asyncio.create_task(_listen(session, venue, "private", PRIVATE, found, taker)),
        ]
        sides = [await asyncio.to_thread(sync_client, venue, account) for account in (maker, taker)]
        for client in sides:
            await asyncio.to_thread(client.load_markets)
        wanted = len(LINEAR) + len(SPOT) + len(PRIVATE)
        async with asyncio.timeout(SECONDS_MAX):
            while len(found) < wanted:
                for symbol in ("BTC/USDT:USDT", "BTC/USDT"):
                    for client, side in zip(sides, ("sell", "buy"), strict=True):
                        await asyncio.to_thread(client.create_order, symbol, "limit", side, 0.001, 100000)
        for task in listening:
            task.cancel()
    return found


async def _listen(
    session: Any, venue: VenueProcess, channel: str, topics: list[str], found: Frames, account: Any = None
) -> None:
    path = "private" if account else f"public/{channel}"
    async with session.ws_connect(f"{venue.ws}/v5/{path}") as socket:
        if account:
            expires = time.time_ns() // 1_000_000 + 10_000
            signature = sign(account.api_secret, f"GET/realtime{expires}".encode())
            await socket.send_json({"op": "auth", "args": [account.api_key, expires, signature]})
        await socket.send_json({"op": "subscribe", "args": topics})
        async for message in socket:
            frame = json.loads(message.data)
            if "topic" in frame and _is_whole(frame):
                found.setdefault((channel, frame["topic"]), frame)


def _is_whole(frame: Any) -> bool:
    """Whether it has a row of everything that an example has."""
    data = frame["data"]
    if frame["topic"].startswith("orderbook"):
        return bool(data["b"] or data["a"])
    if frame["topic"] in ("order", "execution"):
        return bool(data[0]["category"] == "linear")
    return bool(data)


def examples() -> Iterator[tuple[str, str, Any]]:
    """(channel, topic here, example) of the documentation, then of the recordings."""
    for line in text_of(f"{FOLDER}/bybit_docs_websocket_examples.jsonl.gz").splitlines():
        for message in json.loads(line)["messages"]:
            topic = message.get("topic", "")
            if topic in PRIVATE:
                yield "private", topic, message
            elif topic in LINEAR:
                is_spot = topic.startswith("tickers") and "usdIndexPrice" in message["data"]
                yield "spot" if is_spot else "linear", topic, message
    for line in text_of(f"{FOLDER}/bybit_public_pushes_2025-10-10.jsonl.gz").splitlines():
        recorded = json.loads(line)
        channel = recorded["case"].partition("/")[0].removeprefix("bybit-")
        topic = recorded["message"]["topic"]
        if topic in LINEAR:
            yield channel, topic, recorded["message"]


def _without_empty_sides(example: Any) -> Any:
    """A book's sides are compared by what is in them; ours may have one side only at that moment."""
    if example["topic"].startswith("orderbook"):
        return {**example, "data": {**example["data"], "b": [], "a": []}}
    return example


@pytest.mark.asyncio
async def test_every_documented_and_recorded_field_of_a_push_is_there(venue: VenueProcess) -> None:
    found = await collected(venue)
    compared, problems = set(), []
    for channel, topic, example in examples():
        push = found[channel, topic]
        compared.add((channel, topic.split(".")[0]))
        problems += [
            f"{channel} {problem}"
            for problem in lacks(_without_empty_sides(example), push, topic)
            if problem.rpartition(".")[2].partition(":")[0] not in OF_CONTRACTS or channel != "spot"
        ]
    assert [problem for problem in sorted(set(problems)) if not problem.endswith(ELSEWHERE)] == []
    assert len(compared) >= 12, compared
    for (channel, topic), push in found.items():
        if topic.startswith("orderbook"):
            for level in [*push["data"]["b"], *push["data"]["a"]]:
                assert [type(text) for text in level] == [str, str], (channel, topic)
