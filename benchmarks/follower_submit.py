"""follower_submit_v5 and _ccxt: from a signal's bytes to the venue's answer, durable intent included, beside
a bare signed POST and a bare ccxt call.

Belongs here: the follower's feed reader, executor, store, order driver and adapter as they run in the
program, bare clients on the same venue, and the disk alone. Does not belong here: the feed's own way
(`signal_one_way`).
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import os
import statistics
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp
import msgspec
from nacl.signing import SigningKey

from benchmarks.interleave import interleave, percentile, spread
from benchmarks.signals import LEADER, SYMBOL, build_signal
from benchmarks.table import Row, compared
from benchmarks.talk import run_loop, work_folder
from benchmarks.venue import PRICE, venue
from follower_client.control import ControlFile
from follower_client.core.policy import Mode, Policy
from follower_client.desk import Desk
from follower_client.executor import Executor
from follower_client.failpoint import Failpoints
from follower_client.order_driver import now_ms
from follower_client.reports import Identity, Reporter
from follower_client.store import Store
from follower_client.venue.port import OrderRequest, SubmitResult
from relay.protocol.codec import decimal_text, encode_payload
from relay.protocol.feed import Accepted, FeedReader
from relay.protocol.messages import Signal
from relay.protocol.signing import GENESIS_HASH, seal_chained

if TYPE_CHECKING:
    from follower_client.venue.port import VenuePort

__all__ = ["NAMES", "run"]

NAMES = ("follower_submit_v5", "follower_submit_ccxt")
ORDERS = 50  # of each side in each round
PAUSE_S = 0.02  # between orders, so that what follows from one does not run into the next
FOLLOWER, PLAIN, MAKER = "follower", "plain", "maker"
QTY, LEADER_QTY = Decimal("0.001"), Decimal("0.01")
MAKER_QTY = Decimal(50)
SPREAD = Decimal(1)
STREAMS_S = 0.5
DRAIN_S = 5.0
ORDERS_PER_S = 1000  # so that no limit is what is measured
LEGS = ("signal to decision", "durable intent", "to the adapter", "order to answer")
INTENT_BYTES = 32 * 1024  # what a commit of copy, intent and head appends to the store's log: eight pages
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
    """A follower from the bytes of a signal on: feed reader, executor, store, order driver, adapter. The
    leader enters and leaves in turn; each signal is one order.
    """

    def __init__(self, folder: Path, port: VenuePort) -> None:
        self._key = SigningKey(bytes(32))
        self._reader = FeedReader(LEADER, self._key.verify_key.encode().hex(), None)
        self._store = Store.open(folder / "follower.sqlite")
        self._seq, self._hash, self._held = 0, GENESIS_HASH, Decimal(0)
        policy = Policy(
            label="bench",
            mode=Mode.MULTIPLIER,
            multiplier=QTY / LEADER_QTY,
            leverage_max=Decimal(3),
            orders_per_10_s_max=ORDERS_PER_S * 10,
        )
        self.desk = Desk(policy, self._store, port, ControlFile(folder), Failpoints())
        identity = Identity(FOLLOWER, LEADER, policy.label, False)
        self._executor = Executor(identity, policy, self.desk, Reporter(FOLLOWER, self._store, _Deaf()))
        self._submit, self._record = port.submit, self._store.record
        self._stamps: list[int] = []
        port.submit = self._stamped_submit  # type: ignore[method-assign]
        self._store.record = self._stamped_record  # type: ignore[method-assign]
        self.legs_ms: dict[str, list[float]] = {name: [] for name in LEGS}

    async def start(self) -> list[asyncio.Task[None]]:
        """Ready for signals; what it runs on is the caller's to end."""
        self.desk.prepare()
        self._executor.prepare()
        running = [asyncio.create_task(self._executor.run())]
        await self._executor.started.wait()
        await self.desk.reconcile()
        return running

    def close(self) -> None:
        self._store.close()

    async def submit(self) -> float:
        """Milliseconds from the signal's bytes to the venue's yes."""
        wire = self._signal()
        self._stamps = [time.perf_counter_ns()]
        for event in self._reader.receive(wire, self._seq):
            assert isinstance(event, Accepted) and isinstance(event.message, Signal)
            self._executor.offer(event.envelope, event.message)
        await self._executor.drain(DRAIN_S)
        if len(self._stamps) != len(LEGS) + 1:
            raise RuntimeError(f"the signal was not copied: {self._store.copies(limit=1)[0].detail}")
        for leg, begin, end in zip(LEGS, self._stamps[:-1], self._stamps[1:], strict=True):
            self.legs_ms[leg].append((end - begin) / 1e6)
        return (self._stamps[-1] - self._stamps[0]) / 1e6

    def _stamped_record(self, *values: Any, **named: Any) -> None:
        """The intent's commit; what is recorded after the order is not on its way."""
        is_first = named.get("order") is not None and len(self._stamps) == 1
        self._stamps += [time.perf_counter_ns()] if is_first else []
        self._record(*values, **named)
        self._stamps += [time.perf_counter_ns()] if is_first else []

    async def _stamped_submit(self, request: OrderRequest) -> SubmitResult:
        self._stamps.append(time.perf_counter_ns())
        result = await self._submit(request)
        self._stamps.append(time.perf_counter_ns())
        return result

    def _signal(self) -> bytes:
        self._seq += 1
        self._held = LEADER_QTY - self._held
        raw = build_signal(f"{LEADER}.1.{self._seq}", now_ms())
        after, entered = decimal_text(self._held), self._held > 0
        state = msgspec.structs.replace(raw.position, qty=after, exposure=after)
        signal = msgspec.structs.replace(
            raw, side="buy" if entered else "sell", qty=str(LEADER_QTY), position=state, account_leverage="10"
        )
        sealed = seal_chained(
            self._key,
            kind="signal",
            leader_id=LEADER,
            epoch=1,
            seq=self._seq,
            prev_hash=self._hash,
            payload=encode_payload(signal),
        )
        self._hash = sealed.chain_hash
        return sealed.wire


class _Deaf:
    """Nobody hears reports: what they cost is another row's."""

    async def publish_report(self, *_: Any, **__: Any) -> int:
        await asyncio.Event().wait()
        return 0


class _Fsync:
    """What making the same number of bytes durable takes, and nothing else: the disk's part of an intent."""

    def __init__(self, folder: Path) -> None:
        self._file = os.open(folder / "fsync.bin", os.O_WRONLY | os.O_CREAT, 0o600)
        self._at, self._bytes = 0, bytes(INTENT_BYTES)

    async def submit(self) -> float:
        """Milliseconds that the write and its fdatasync take."""
        start_ns = time.perf_counter_ns()
        os.pwrite(self._file, self._bytes, self._at)
        os.fdatasync(self._file)
        self._at += INTENT_BYTES
        return (time.perf_counter_ns() - start_ns) / 1e6

    def close(self) -> None:
        os.close(self._file)


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


def _round(side: _Follower | _Fsync | _Plain | _Raw) -> Callable[[], Awaitable[list[float]]]:
    async def measure() -> list[float]:
        latencies_ms = []
        for _ in range(ORDERS):
            await asyncio.sleep(PAUSE_S)
            latencies_ms.append(await side.submit())
        return latencies_ms

    return measure


async def _measure(name: str, folder: Path) -> tuple[dict[str, list[list[float]]], dict[str, list[float]]]:
    async with AsyncExitStack() as stack:
        program = await stack.enter_async_context(venue(folder, (FOLLOWER, PLAIN, MAKER)))
        follower, plain = await stack.enter_async_context(_clients(name, program.ready, folder))
        disk = _Fsync(folder)
        stack.callback(disk.close)
        sides = {"ours": _round(follower), "plain": _round(plain), "fsync": _round(disk)}
        results = await interleave(sides)
        return results, {leg: times[ORDERS:] for leg, times in follower.legs_ms.items()}


@asynccontextmanager
async def _clients(
    name: str, ready: dict[str, Any], folder: Path
) -> AsyncIterator[tuple[_Follower, _Plain | _Raw]]:
    """The follower with its streams running, the bare client, and a maker's quotes for both to trade with."""
    from follower_client.daemon import live_port
    from follower_client.venue.ccxt_adapter import CCXT_FAILURES, load_instruments, make_exchange
    from follower_client.venue.market_data import MarketData

    keys = {row["name"]: (row["api_key"], row["api_secret"]) for row in ready["accounts"]}
    maker, bare, public = (
        make_exchange(ready["rest"], ready["ws"], *key) for key in (keys[MAKER], keys[PLAIN], ())
    )
    session = aiohttp.ClientSession()
    running: list[asyncio.Task[None]] = []
    port: VenuePort | None = None
    follower: _Follower | None = None
    try:
        instruments = await load_instruments(public, [SYMBOL])
        await _quote(maker)
        await bare.load_markets()
        await bare.load_time_difference()
        market_data = MarketData(public, CCXT_FAILURES, [SYMBOL], depth=False)
        await market_data.start()
        kind, terms = name.rpartition("_")[2], {"leverage_max": Decimal(3), "orders_per_s": ORDERS_PER_S}
        port = live_port(
            kind, market_data, instruments, (ready["rest"], ready["ws"], *keys[FOLLOWER]), **terms
        )
        follower = _Follower(folder, port)
        await port.start(follower.desk)
        running += [asyncio.create_task(market_data.run()), asyncio.create_task(port.run())]
        await asyncio.sleep(STREAMS_S)
        running += await follower.start()
        raw = _Raw(session, f"{ready['rest']}/v5/order/create", *keys[PLAIN])
        yield follower, raw if kind == "v5" else _Plain(bare)
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        if port is not None:
            await port.close()
        await asyncio.gather(*(exchange.close() for exchange in (maker, bare, public)), session.close())
        if follower is not None:
            follower.close()


async def _quote(maker: Any) -> None:
    await maker.load_markets()
    for side, price in (("buy", PRICE - SPREAD), ("sell", PRICE + SPREAD)):
        await maker.create_order(SYMBOL, "limit", side, str(MAKER_QTY), str(price))


def _row(name: str, measured: tuple[dict[str, list[list[float]]], dict[str, list[float]]]) -> Row:
    """The target is a multiple of the bare call plus the measured fsync, so the fsync is taken off ours and
    told; all else that the durable intent costs is in the ratio.
    """
    results, legs = measured
    medians = {side: [statistics.median(one) for one in rounds] for side, rounds in results.items()}
    p99 = {side: percentile([ms for one in rounds for ms in one], 0.99) for side, rounds in results.items()}
    ours, plain, fsync = (statistics.median(medians[side]) for side in ("ours", "plain", "fsync"))
    told = ", ".join(f"{leg} {statistics.median(times):.2f}" for leg, times in legs.items())
    most = TARGETS[name] * plain + fsync
    notes = [
        f"p50 from the bytes of a signal to the venue's yes, {PAUSE_S * 1000:.0f} ms apart, each IOC and "
        "trading; the venue is a process of its own, durability fsync. Ours checks the signature, decides, "
        f"records copy, intent and head durably and sends; in all {ours:.2f} ms (legs: {told}), at most "
        f"{TARGETS[name]} x {plain:.2f} + the fsync of {fsync:.2f} = {most:.2f} ms are wanted. The fsync is "
        f"measured as its own leg, {INTENT_BYTES // 1024} KiB written and synced on the same disk in the "
        "same rounds; ours and the ratio are without it.",
        f"rounds: ours {spread(medians['ours'])} ms, p99 {p99['ours']:.1f} ms; baseline "
        f"{spread(medians['plain'])} ms, p99 {p99['plain']:.1f} ms; fsync {spread(medians['fsync'])} ms",
    ]
    row = compared(name, "ms", ours - fsync, plain, BASELINE_NAMES[name], notes)
    return row | {"target": TARGETS[name]}
