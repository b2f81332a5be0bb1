"""Subscribers and a pair of traders, a process of its own: `python -m benchmarks.fan_out_load`.

Belongs here: public sockets that count what reaches them and how old it is, orders at a steady pace. Does not
belong here: who is asked, and what follows from the figures.
"""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

from benchmarks.interleave import percentile
from benchmarks.talk import answering, run_loop
from benchmarks.venue import PRICE
from benchmarks.ws_talk import Client, connected, signed_in

__all__: list[str] = []

TOPICS = ("orderbook.50.BTCUSDT", "publicTrade.BTCUSDT")
STEP_SECONDS = 0.01
SETTLE_SECONDS = 1.0


class _Tally:
    """What reached all subscribers; ages are in milliseconds since the venue made the frame, or the trade."""

    def __init__(self) -> None:
        self.ages: dict[str, list[int]] = {"book": [], "trade": []}
        self.gone = 0
        self.is_counting = False

    def take(self, payload: bytes) -> None:
        """One frame."""
        if not self.is_counting:
            return
        now_ms = time.time_ns() // 1_000_000
        kind, mark = ("trade", b'"T":') if payload.startswith(b'{"topic":"publicT') else ("book", b'"ts":')
        at = payload.find(mark)
        if at > 0:
            self.ages[kind].append(now_ms - int(payload[at + len(mark) : at + len(mark) + 13]))

    def lose(self) -> None:
        """The venue hung up on a subscriber."""
        self.gone += 1


async def _subscribers(port: int, count: int, tally: _Tally) -> list[Client]:
    asked = json.dumps({"op": "subscribe", "args": list(TOPICS)}).encode()
    clients = []
    for _ in range(count):
        client = await connected(port, "/v5/public/linear")
        client.take, client.ended = tally.take, tally.lose
        client.send(asked)
        clients.append(client)
    return clients


async def _trade(pair: list[Client], per_second: int, seconds: float) -> int:
    """Pairs of orders that trade, each pair a little off the one before so that the book moves; how many."""
    loop = asyncio.get_running_loop()
    begun, sent, number = loop.time(), 0, time.time_ns() // 1000
    while (passed := loop.time() - begun) < seconds:
        while sent < per_second * passed:
            price = PRICE + sent // 2 % 40
            for client, side, time_in_force in ((pair[0], "Buy", "GTC"), (pair[1], "Sell", "IOC")):
                number += 1
                order = {"category": "linear", "symbol": "BTCUSDT", "side": side, "orderType": "Limit"}
                order |= {"qty": "0.001", "price": str(price), "timeInForce": time_in_force}
                header = {"X-BAPI-TIMESTAMP": str(time.time_ns() // 1_000_000)}
                request = {"reqId": str(number), "header": header, "op": "order.create", "args": [order]}
                client.send(json.dumps(request).encode())
            sent += 2
        await asyncio.sleep(STEP_SECONDS)
    return sent


async def _load(task: dict[str, Any]) -> dict[str, Any]:
    """One round: `subscribers` hear `orders_per_second` for `seconds`."""
    tally = _Tally()
    clients = await _subscribers(task["port"], task["subscribers"], tally)
    pair = [await signed_in(task["port"], "/v5/trade", account) for account in task["accounts"]]
    for trader in pair:
        trader.take = lambda _payload: None
    await asyncio.sleep(SETTLE_SECONDS)
    tally.is_counting = True
    cpu = time.process_time()
    sent = await _trade(pair, task["orders_per_second"], task["seconds"])
    await asyncio.sleep(SETTLE_SECONDS)
    used = time.process_time() - cpu
    tally.is_counting = False
    for client in [*clients, *pair]:
        client.close()
    told: dict[str, Any] = {"orders": sent, "gone": tally.gone, "client_cpu": used / task["seconds"]}
    for kind, ages in tally.ages.items():
        told |= {f"{kind}_frames": len(ages)}
        told |= {f"{kind}_p50_ms": percentile(ages, 0.5), f"{kind}_p99_ms": percentile(ages, 0.99)}
    return told


if __name__ == "__main__":
    run_loop(answering({"ready": True}, _load))
