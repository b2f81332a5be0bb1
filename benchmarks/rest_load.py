"""A load client for order entry, a process of its own: `python -m benchmarks.rest_load`.

Belongs here: keep-alive connections over bare sockets, signed orders, counting. Does not belong here: who is
asked, and what follows from the figures.

Every connection sends in pairs, one request in flight: a maker's resting buy, then a taker's sell that trades
with it. So half of the orders trade, the book stays short, and no account ever trades with itself.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from benchmarks.interleave import percentile
from benchmarks.talk import answering, run_loop
from benchmarks.venue import PRICE

__all__ = ["PATH"]

PATH = "/v5/order/create"
BATCH_PATH = "/v5/order/create-batch"
RECV_WINDOW_MS = 5000
TEXT_SHOWN_MAX = 300
ORDERS = (("Buy", "GTC"), ("Sell", "IOC"))  # the maker's, the taker's


@dataclass(slots=True)
class _Account:
    """A key, and its order as bytes but for the number."""

    api_key: str
    secret: bytes
    body: bytes
    batch: int = 0

    def request(self, number: int, host: str) -> bytes:
        """A signed request, as long as ccxt's; of a batch `number` is that of its last order."""
        body = self.body % number
        if self.batch:
            orders = b",".join(self.body % (number - at) for at in range(self.batch))
            body = b'{"category":"linear","request":[' + orders + b"]}"
        timestamp = time.time_ns() // 1_000_000
        origin = f"{timestamp}{self.api_key}{RECV_WINDOW_MS}".encode() + body
        signature = hmac.digest(self.secret, origin, "sha256").hex()
        head = (
            f"POST {BATCH_PATH if self.batch else PATH} HTTP/1.1\r\nHost: {host}\r\n"
            f"Content-Type: application/json\r\n"
            f"X-BAPI-API-KEY: {self.api_key}\r\nX-BAPI-TIMESTAMP: {timestamp}\r\n"
            f"X-BAPI-RECV-WINDOW: {RECV_WINDOW_MS}\r\nX-BAPI-SIGN: {signature}\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        return head.encode() + body


@dataclass(slots=True)
class _Round:
    """What all connections of one round share."""

    host: str
    accounts: Sequence[_Account]
    deadline_ns: int = 0
    numbers: int = field(default_factory=lambda: time.time_ns() // 1000)
    latencies_ns: list[int] = field(default_factory=list)
    in_time: int = 0
    failure: str = ""

    def next_request(self, turn: int) -> bytes:
        self.numbers += max(self.accounts[turn].batch, 1)
        return self.accounts[turn].request(self.numbers, self.host)


class _Connection(asyncio.Protocol):
    """One request in flight; stops after the first pair that ends past the deadline."""

    def __init__(self, shared: _Round) -> None:
        self._shared = shared
        self._received = b""
        self._sent_ns = 0
        self._turn = 0
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is none by inheritance

    def send(self) -> None:
        """The next order."""
        request = self._shared.next_request(self._turn)
        self._sent_ns = time.perf_counter_ns()
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        received = self._received + data
        end = received.find(b"\r\n\r\n")
        if end < 0:
            self._received = received
            return
        head = received[:end].lower()
        at = head.find(b"content-length:")
        length = int(head[at + 15 :].split(b"\r\n", 1)[0])
        if len(received) < end + 4 + length:
            self._received = received
            return
        self._received = b""
        if b'"retCode":0,' not in received[end:] or b'"code":1' in received[end:]:
            self._fail(received.decode("utf-8", "replace")[:TEXT_SHOWN_MAX])
            return
        now_ns = time.perf_counter_ns()
        self._shared.latencies_ns.append(now_ns - self._sent_ns)
        self._shared.in_time += now_ns <= self._shared.deadline_ns
        self._turn = 1 - self._turn
        if self._turn == 0 and now_ns >= self._shared.deadline_ns:
            self.close()
        else:
            self.send()

    def connection_lost(self, error: Exception | None) -> None:
        if not self.done.done():
            self._fail(f"the server closed the connection ({error})")

    def close(self) -> None:
        """No more orders."""
        if not self.done.done():
            self.done.set_result(None)
        self._transport.close()

    def _fail(self, text: str) -> None:
        self._shared.failure = self._shared.failure or text
        self.close()


async def _load(task: dict[str, Any]) -> dict[str, Any]:
    """One round: `connections` to `port` for `seconds`."""
    batch = task.get("batch", 0)
    accounts = [
        _Account(row["api_key"], row["api_secret"].encode(), _body(side, time_in_force), batch)
        for row, (side, time_in_force) in zip(task["accounts"], ORDERS, strict=True)
    ]
    shared = _Round(f"127.0.0.1:{task['port']}", accounts)
    loop = asyncio.get_running_loop()
    connections = [
        (await loop.create_connection(lambda: _Connection(shared), "127.0.0.1", task["port"]))[1]
        for _ in range(task["connections"])
    ]
    cpu = time.process_time()
    shared.deadline_ns = time.perf_counter_ns() + int(task["seconds"] * 1e9)
    for connection in connections:
        connection.send()
    async with asyncio.timeout(task["seconds"] + 10):
        await asyncio.gather(*(connection.done for connection in connections))
    if shared.failure:
        return {"failure": shared.failure}
    in_one = max(batch, 1)
    return {
        "requests": len(shared.latencies_ns) * in_one,
        "per_second": shared.in_time * in_one / task["seconds"],
        "p50_ms": percentile(shared.latencies_ns, 0.50) / 1e6,
        "p99_ms": percentile(shared.latencies_ns, 0.99) / 1e6,
        "client_cpu": (time.process_time() - cpu) / task["seconds"],
    }


def _body(side: str, time_in_force: str) -> bytes:
    """An order but for its number, which stands as %d."""
    fields = {
        "category": "linear",
        "symbol": "BTCUSDT",
        "side": side,
        "orderType": "Limit",
        "qty": "0.001",
        "price": str(PRICE),
        "timeInForce": time_in_force,
        "orderLinkId": "bench-%d",
    }
    return json.dumps(fields, separators=(",", ":")).encode()


if __name__ == "__main__":
    run_loop(answering({"ready": True}, _load))
