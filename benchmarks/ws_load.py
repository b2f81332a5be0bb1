"""A load client for the trade socket, a process of its own: `python -m benchmarks.ws_load`.

Belongs here: sockets with one request in flight each, counting. Does not belong here: who is asked (the
venue, or an echo that wants no signature), and what follows from the figures.

An answer behind the end of a round adds nothing to the rate but its latency and its cost: a server that
answers nothing for a whole round has a rate of 0.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import Any

from benchmarks.interleave import percentile
from benchmarks.talk import answering, run_loop
from benchmarks.venue import PRICE
from benchmarks.ws_talk import Client, connected, signed_in

__all__: list[str] = []

PATH = "/v5/trade"
# the maker's, the taker's; a taker asks for two makers' worth: the book stays short however turns fall
ORDERS = (("Buy", "GTC", "0.001"), ("Sell", "IOC", "0.002"))
TEXT_SHOWN_MAX = 300


@dataclass(slots=True)
class _Round:
    """What all sockets of one round share."""

    deadline_ns: int = 0
    number: int = field(default_factory=lambda: time.time_ns() // 1000)
    latencies_ns: list[int] = field(default_factory=list)
    in_time: int = 0
    failure: str = ""


class _Trader:
    """One socket of one account: an order, its answer, the next order."""

    def __init__(self, client: Client, shared: _Round, side: str, time_in_force: str, qty: str) -> None:
        self._client = client
        self._shared = shared
        self._head = (
            f'","op":"order.create","args":[{{"category":"linear","symbol":"BTCUSDT","side":"{side}",'
            f'"orderType":"Limit","qty":"{qty}","price":"{PRICE}","timeInForce":"{time_in_force}",'
            '"orderLinkId":"b'
        )
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        client.take = self.take
        client.ended = lambda: self._fail("the server closed the connection")

    def send(self) -> None:
        """The next order."""
        shared = self._shared
        shared.number += 1
        number, now_ms = shared.number, time.time_ns() // 1_000_000
        text = (
            f'{{"header":{{"X-BAPI-TIMESTAMP":"{now_ms}","X-BAPI-RECV-WINDOW":"60000"}},"reqId":"{number}'
            f'{self._head}{number}"}}]}}'
        )
        self._sent_ns = time.perf_counter_ns()
        self._client.send(text.encode())

    def take(self, payload: bytes) -> None:
        """An answer."""
        if b'"retCode":0,' not in payload:
            self._fail(payload.decode()[:TEXT_SHOWN_MAX])
            return
        now_ns = time.perf_counter_ns()
        self._shared.latencies_ns.append(now_ns - self._sent_ns)
        if now_ns <= self._shared.deadline_ns:
            self._shared.in_time += 1
            self.send()
        elif not self.done.done():
            self.done.set_result(None)

    def close(self) -> None:
        """No more orders."""
        self._client.close()

    def _fail(self, text: str) -> None:
        self._shared.failure = self._shared.failure or text
        if not self.done.done():
            self.done.set_result(None)


async def _load(task: dict[str, Any]) -> dict[str, Any]:
    """One round: `connections` to `port` for `seconds`; with `accounts` they sign in."""
    shared = _Round()
    traders = []
    for number in range(task["connections"]):
        if task["accounts"]:
            client = await signed_in(task["port"], PATH, task["accounts"][number % 2])
        else:
            client = await connected(task["port"], PATH)
        traders.append(_Trader(client, shared, *ORDERS[number % 2]))
    cpu = time.process_time()
    shared.deadline_ns = time.perf_counter_ns() + int(task["seconds"] * 1e9)
    for trader in traders:
        trader.send()
    async with asyncio.timeout(task["seconds"] + 10):
        await asyncio.gather(*(trader.done for trader in traders))
    used = time.process_time() - cpu
    for trader in traders:
        trader.close()
    if shared.failure:
        return {"failure": shared.failure}
    return {
        "requests": len(shared.latencies_ns),
        "per_second": shared.in_time / task["seconds"],
        "p50_ms": percentile(shared.latencies_ns, 0.50) / 1e6,
        "p99_ms": percentile(shared.latencies_ns, 0.99) / 1e6,
        "client_cpu": used / task["seconds"],
    }


if __name__ == "__main__":
    run_loop(answering({"ready": True}, _load))
