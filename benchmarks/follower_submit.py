"""follower_submit_v5 and _ccxt: from a decision to the venue's answer, beside a bare signed POST and a bare
ccxt call.

Belongs here: the follower's store, order driver and adapter as they run in the program, and bare clients, all
on one venue. Does not belong here: deciding, and what comes before it.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import statistics
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp

from benchmarks.interleave import interleave, percentile, spread
from benchmarks.signals import LEADER, SYMBOL, build_signal
from benchmarks.table import Row, compared
from benchmarks.talk import run_loop, work_folder
from benchmarks.venue import PRICE, venue
from follower_client.core.order import client_order_id
from follower_client.failpoint import Failpoints
from follower_client.order_driver import SEND_SLACK_MS, OrderDriver, now_ms
from follower_client.records import Copy, Head, Order
from follower_client.store import Store
from relay.protocol.codec import encode_payload

if TYPE_CHECKING:
    from follower_client.venue.port import VenueFill, VenueOrder, VenuePort

__all__ = ["NAMES", "run"]

NAMES = ("follower_submit_v5", "follower_submit_ccxt")
ORDERS = 50  # of each side in each round
PAUSE_S = 0.02  # between orders, so that what follows from one does not run into the next
FOLLOWER, PLAIN, MAKER = "follower", "plain", "maker"
QTY = Decimal("0.001")
MAKER_QTY = Decimal(50)
SPREAD = Decimal(1)
STREAMS_S = 0.5
BASELINE_NAMES = {
    "follower_submit_v5": "raw aiohttp signed POST, same venue",
    "follower_submit_ccxt": "bare ccxt create_order, same venue",
}
TARGETS = {"follower_submit_v5": 1.2, "follower_submit_ccxt": 1.05}


def run(only: set[str] | None) -> list[Row]:
    """The rows that are asked for."""
    rows = []
    for name in NAMES:
        if only is None or name in only:
            with work_folder() as folder:
                rows.append(_row(name, run_loop(_measure(name, folder))))
    return rows


class _Follower:
    """Store, order driver and adapter, wired as the executor wires them."""

    def __init__(self, store: Store, port: VenuePort) -> None:
        self._store = store
        self._driver = OrderDriver(store, port, Failpoints())
        self._seq = 0
        self._accepted_ns = 0
        self.records_ms: list[float] = []

    def on_fill(self, fill: VenueFill) -> None:
        if self._store.is_own_order(fill.client_order_id) and self._store.record_fill(fill):
            self._driver.on_fill(fill)

    def on_order(self, order: VenueOrder) -> None:
        self._driver.on_order(order)

    async def submit(self) -> float:
        """Milliseconds from the decision (copy and order are known) to the venue's yes."""
        self._seq += 1
        copy, order = self._copy(), self._order()
        start_ns = time.perf_counter_ns()
        self._store.record(copy, order=order, head=Head(1, self._seq, "0" * 64))
        recorded_ns = time.perf_counter_ns()
        live = self._driver.adopt(order)
        live.on_accepted = self._stamp
        done = await self._driver.drive(live)
        if done.filled_qty != QTY:
            raise RuntimeError(f"the order was not filled: {done.state}, code {done.reject_code or 'none'}")
        self.records_ms.append((recorded_ns - start_ns) / 1e6)
        return (self._accepted_ns - start_ns) / 1e6

    def _stamp(self) -> None:
        self._accepted_ns = time.perf_counter_ns()

    def _copy(self) -> Copy:
        signal = build_signal(f"{LEADER}.1.{self._seq}", now_ms())
        return Copy(
            leader_id=LEADER,
            epoch=1,
            seq=self._seq,
            signal_id=signal.signal_id,
            symbol=SYMBOL,
            side=signal.side,
            signal=encode_payload(signal),
            received_ms=now_ms(),
            wave_start_ms=now_ms(),
        )

    def _order(self) -> Order:
        is_buy = self._seq % 2 == 1
        return Order(
            client_order_id=client_order_id(FOLLOWER, LEADER, 1, self._seq, "open", 0),
            leader_id=LEADER,
            epoch=1,
            seq=self._seq,
            leg="open",
            n=0,
            symbol=SYMBOL,
            is_buy=is_buy,
            qty=QTY,
            limit_price=_limit(is_buy=is_buy),
            reduce_only=False,
            send_by_ms=now_ms() + SEND_SLACK_MS,
        )


class _Raw:
    """A signed POST and nothing else."""

    def __init__(self, session: aiohttp.ClientSession, url: str, key: str, secret: str) -> None:
        self._session, self._url, self._key, self._secret = session, url, key, secret.encode()
        self._number = 0

    async def submit(self) -> float:
        """Milliseconds that the call takes, signature included."""
        self._number += 1
        is_buy = self._number % 2 == 1
        start_ns = time.perf_counter_ns()
        body = json.dumps(
            {
                "category": "linear",
                "symbol": "BTCUSDT",
                "side": "Buy" if is_buy else "Sell",
                "orderType": "Limit",
                "qty": str(QTY),
                "price": str(_limit(is_buy=is_buy)),
                "timeInForce": "IOC",
                "orderLinkId": f"raw-{time.time_ns()}",
            }
        )
        stamp = str(time.time_ns() // 1_000_000)
        text = f"{stamp}{self._key}5000{body}".encode()
        headers = {
            "X-BAPI-API-KEY": self._key,
            "X-BAPI-TIMESTAMP": stamp,
            "X-BAPI-RECV-WINDOW": "5000",
            "X-BAPI-SIGN": hmac.new(self._secret, text, hashlib.sha256).hexdigest(),
            "Content-Type": "application/json",
        }
        async with self._session.post(self._url, data=body, headers=headers) as response:
            answer = json.loads(await response.read())
        passed_ms = (time.perf_counter_ns() - start_ns) / 1e6
        if answer["retCode"] != 0:
            raise RuntimeError(f"the raw call brought code {answer['retCode']}")
        return passed_ms


class _Plain:
    """What somebody writes who wants one order placed."""

    def __init__(self, exchange: Any) -> None:
        self._exchange = exchange
        self._number = 0

    async def submit(self) -> float:
        """Milliseconds that the call takes."""
        self._number += 1
        is_buy = self._number % 2 == 1
        side, price = "buy" if is_buy else "sell", str(_limit(is_buy=is_buy))
        params = {"clientOrderId": f"plain-{time.time_ns()}", "timeInForce": "IOC"}
        start_ns = time.perf_counter_ns()
        answer = await self._exchange.create_order(SYMBOL, "limit", side, str(QTY), price, params)
        passed_ms = (time.perf_counter_ns() - start_ns) / 1e6
        if not answer["id"]:
            raise RuntimeError("the bare call brought no order id")
        return passed_ms


def _limit(*, is_buy: bool) -> Decimal:
    return PRICE + 2 * SPREAD if is_buy else PRICE - 2 * SPREAD


def _round(side: _Follower | _Plain | _Raw) -> Callable[[], Awaitable[list[float]]]:
    async def measure() -> list[float]:
        latencies_ms = []
        for _ in range(ORDERS):
            await asyncio.sleep(PAUSE_S)
            latencies_ms.append(await side.submit())
        return latencies_ms

    return measure


async def _measure(name: str, folder: Path) -> tuple[dict[str, list[list[float]]], list[float]]:
    async with AsyncExitStack() as stack:
        program = await stack.enter_async_context(venue(folder, (FOLLOWER, PLAIN, MAKER)))
        follower, plain = await stack.enter_async_context(
            _clients(name, program.ready, folder / "follower.sqlite")
        )
        return await interleave({"ours": _round(follower), "plain": _round(plain)}), follower.records_ms


@asynccontextmanager
async def _clients(
    name: str, ready: dict[str, Any], store_path: Path
) -> AsyncIterator[tuple[_Follower, _Plain | _Raw]]:
    """The follower with its streams running, the bare client, and a maker's quotes for both to trade with."""
    from follower_client.daemon import live_port
    from follower_client.venue.ccxt_adapter import CCXT_FAILURES, load_instruments, make_exchange
    from follower_client.venue.market_data import MarketData

    keys = {row["name"]: (row["api_key"], row["api_secret"]) for row in ready["accounts"]}
    maker, bare, public = (
        make_exchange(ready["rest"], ready["ws"], *key) for key in (keys[MAKER], keys[PLAIN], ())
    )
    store, session = Store.open(store_path), aiohttp.ClientSession()
    running: list[asyncio.Task[None]] = []
    port: VenuePort | None = None
    try:
        instruments = await load_instruments(public, [SYMBOL])
        await _quote(maker)
        await bare.load_markets()
        await bare.load_time_difference()
        market_data = MarketData(public, CCXT_FAILURES, [SYMBOL], depth=False)
        await market_data.start()
        kind, terms = name.rpartition("_")[2], {"leverage_max": Decimal(3), "orders_per_s": 1000}
        port = live_port(
            kind, market_data, instruments, (ready["rest"], ready["ws"], *keys[FOLLOWER]), **terms
        )
        follower = _Follower(store, port)
        await port.start(follower)
        running += [asyncio.create_task(market_data.run()), asyncio.create_task(port.run())]
        await asyncio.sleep(STREAMS_S)
        raw = _Raw(session, f"{ready['rest']}/v5/order/create", *keys[PLAIN])
        yield follower, raw if kind == "v5" else _Plain(bare)
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        if port is not None:
            await port.close()
        await asyncio.gather(*(exchange.close() for exchange in (maker, bare, public)), session.close())
        store.close()


async def _quote(maker: Any) -> None:
    await maker.load_markets()
    for side, price in (("buy", PRICE - SPREAD), ("sell", PRICE + SPREAD)):
        await maker.create_order(SYMBOL, "limit", side, str(MAKER_QTY), str(price))


def _row(name: str, measured: tuple[dict[str, list[list[float]]], list[float]]) -> Row:
    """The ratio leaves out the durable intent, which is told beside it: no bare client has one."""
    results, records_ms = measured
    medians = {side: [statistics.median(one) for one in rounds] for side, rounds in results.items()}
    p99 = {side: percentile([ms for one in rounds for ms in one], 0.99) for side, rounds in results.items()}
    intent = statistics.median(records_ms)
    ours, plain = statistics.median(medians["ours"]), statistics.median(medians["plain"])
    notes = [
        f"p50, one order at a time, {PAUSE_S * 1000:.0f} ms apart, each IOC and trading; the venue "
        "is a process of its own, durability fsync. Ours goes through order driver and adapter with the "
        "account's streams running; copy, intent and head are recorded with fsync before it, "
        f"{intent:.2f} ms that are not in the ratio: with them {ours:.2f} ms.",
        f"ours with the intent: rounds {spread(medians['ours'])} ms, p99 {p99['ours']:.1f} ms; baseline: "
        f"rounds {spread(medians['plain'])} ms, p99 {p99['plain']:.1f} ms",
    ]
    row = compared(name, "ms", ours - intent, plain, BASELINE_NAMES[name], notes)
    return row | {"target": TARGETS[name]}
