"""Sockets without a network: order of answers, slow readers, chains of order-book deltas."""

from __future__ import annotations

import asyncio
import random
from functools import partial
from typing import cast

import orjson
import pytest

from simulated_exchange.gateway.streams.books import BookChain
from simulated_exchange.gateway.streams.connection import Connection
from simulated_exchange.gateway.transport.frames import text_frame
from simulated_exchange.gateway.transport.websocket import WebSocket
from simulated_exchange.instruments import SCALE
from simulated_exchange.ledger.market import MarketView
from tests.unit.simulated_exchange.listing_rooms import listed

BTC = listed("BTCUSDT")


class Reader:
    """Stands where a socket stands; reads when it is told to."""

    def __init__(self) -> None:
        self.frames: list[bytes] = []
        self.is_writable = True
        self.more = asyncio.Event()
        self.closed_with = ""

    def write(self, frame: bytes) -> None:
        self.frames.append(frame)
        self.more.set()

    async def wait_for(self, frames: int) -> None:
        while len(self.frames) < frames:
            self.more.clear()
            await self.more.wait()

    def close(self, code: int, reason: str) -> None:
        assert code == 1008
        self.closed_with = reason


def connect(reader: Reader, *, queue_max: int, ack_delay_ms: int) -> Connection:
    socket = cast("WebSocket", reader)
    return Connection(socket, "test", queue_max=queue_max, ack_delay_ms=ack_delay_ms)


@pytest.mark.asyncio
async def test_answers_wait_a_little_keep_their_order_and_come_before_what_follows() -> None:
    reader = Reader()
    connection = connect(reader, queue_max=100, ack_delay_ms=5)
    for number in range(20):
        connection.answer({"n": number}, then=partial(connection.send, b"%d" % (100 + number)))
    connection.answer({"n": "last"})
    await asyncio.sleep(0)
    assert reader.frames == []
    async with asyncio.timeout(5):
        await reader.wait_for(41)
    expected: list[bytes] = []
    for number in range(20):
        expected += [text_frame(orjson.dumps({"n": number})), b"%d" % (100 + number)]
    assert reader.frames == [*expected, text_frame(b'{"n":"last"}')]


@pytest.mark.parametrize(("frame", "queue_max"), [(b"7", 16), (b'"' + b"x" * 1_000_000 + b'"', 4096)])
@pytest.mark.asyncio
async def test_a_reader_that_owes_too_much_is_cut_off_with_a_reason(frame: bytes, queue_max: int) -> None:
    reader = Reader()
    reader.is_writable = False
    connection = connect(reader, queue_max=queue_max, ack_delay_ms=0)
    for _ in range(100):
        connection.send(frame)
    assert "too slow" in connection.closed_because
    assert "too slow" in reader.closed_with
    assert reader.frames == []
    reader.is_writable = True
    connection.catch_up()
    assert reader.frames == []


@pytest.mark.asyncio
async def test_a_reader_that_was_slow_for_a_while_gets_everything_in_order() -> None:
    reader = Reader()
    connection = connect(reader, queue_max=100, ack_delay_ms=0)
    connection.send(b"0")
    reader.is_writable = False
    connection.send(b"1")
    connection.send(b"2")
    reader.is_writable = True
    connection.send(b"3")
    assert reader.frames == [b"0"]
    connection.catch_up()
    assert reader.frames == [b"0", b"1", b"2", b"3"]


@pytest.mark.parametrize("depth", [1, 50, 200])
def test_snapshot_and_deltas_rebuild_the_book(depth: int) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")  # noqa: T201
    generator = random.Random(seed)
    market, chain = MarketView(), BookChain(BTC, depth)

    def change(sequence: int) -> None:
        is_bid = generator.random() < 0.5
        price = (1000 - generator.randrange(1, 300) if is_bid else 1000 + generator.randrange(1, 300)) * SCALE
        market.set_level(is_bid, price, generator.choice([0, 1, 2, 3]) * SCALE, sequence, sequence)

    for sequence in range(1, 400):
        change(sequence)
    chain.refresh(market)
    first = chain.snapshot(market, 1)
    sides = {name: dict(first["data"][name]) for name in ("b", "a")}
    update_id = first["data"]["u"]
    for sequence in range(400, 3000):
        change(sequence)
        if generator.random() < 0.7:
            continue
        frame = chain.push(market, sequence)
        if frame is None:
            continue
        assert frame["data"]["u"] == update_id + 1
        update_id += 1
        for name in ("b", "a"):
            if frame["type"] == "snapshot":
                sides[name] = {}
            for price, qty in frame["data"][name]:
                if qty == "0":
                    del sides[name][price]
                else:
                    sides[name][price] = qty
        now = chain.snapshot(market, sequence)["data"]
        assert sides == {name: dict(now[name]) for name in ("b", "a")}
        bids, asks = market.depth(depth)
        assert (len(sides["b"]), len(sides["a"])) == (len(bids), len(asks))
    last = chain.snapshot(market, 1)["data"]
    prices = [float(price) for price, _ in last["b"]]
    assert prices == sorted(prices, reverse=True)


def test_the_best_level_is_repeated_when_nothing_happens() -> None:
    market, chain = MarketView(), BookChain(BTC, 1)
    market.set_level(True, 100 * SCALE, SCALE, 1, 1)
    chain.refresh(market)
    assert chain.push(market, 5000) is not None
    assert chain.push(market, 5500) is None
    assert chain.push(market, 8000) is not None
