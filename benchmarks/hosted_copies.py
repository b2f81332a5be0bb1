"""hosted_copies and memory_per_follower: many followers in one process, each with its account at the venue.

Belongs here: the real program with a folder of configurations, real broker and venue, and one signal after
another. Does not belong here: one follower's way to the venue (`follower_submit`).
"""

from __future__ import annotations

import asyncio
import os
import statistics
import time
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec

from benchmarks.interleave import cpu_seconds_of
from benchmarks.signals import LEADER, SYMBOL, build_signal
from benchmarks.table import Row, reported
from benchmarks.talk import run_loop, started, work_folder
from benchmarks.venue import PRICE, venue
from relay.broker import Broker
from relay.broker_config import FollowerUser, LeaderUser
from relay.keys import create_nkey, create_signing_key, load_nkey_seed, load_signing_key
from relay.nats_bus import Bus
from relay.protocol import subjects
from relay.protocol.codec import decimal_text, decode_report, encode_payload
from relay.protocol.messages import CopyReport
from relay.protocol.signing import GENESIS_HASH, open_envelope, seal

__all__ = ["NAMES", "run"]

NAMES = ("hosted_copies", "memory_per_follower")
FOLLOWERS = int(os.environ.get("HOSTED_FOLLOWERS", "100"))  # 1,000 take some ten minutes
IDLE_S = 5.0
SIGNALS = 5
SIGNALS_ALONE = 60  # the kernel counts processor time in hundredths, and one follower uses thousandths
CPU_SHARE_MAX = 1.3
MAKER, SPREAD = "maker", Decimal(1)
READY_S, READY_EACH_S = 60.0, 1.0
REPORTS_LIMIT_S = 120.0


def run(only: set[str] | None) -> list[Row]:
    """The rows that are asked for."""
    if only is not None and only.isdisjoint(NAMES):
        return []
    figures = {}
    for count in (1, FOLLOWERS):
        with work_folder() as folder:
            figures[count] = run_loop(_measure(folder, count))
    rows = _rows(figures[1], figures[FOLLOWERS])
    return [row for row in rows if only is None or row["name"] in only]


class _Leader:
    """Signs and publishes; hears every follower's verdict."""

    def __init__(self, bus: Bus, key: Any) -> None:
        self._bus, self._key = bus, key
        self._seq, self._hash, self._qty = 0, GENESIS_HASH, Decimal(0)
        self.verdicts: dict[int, int] = {}

    async def trade(self) -> int:
        """Half a coin more; the seq."""
        seq = self._seq + 1
        self._qty += Decimal("0.5")
        after = decimal_text(self._qty)
        raw = build_signal(f"{LEADER}.1.{seq}", time.time_ns() // 1_000_000)
        state = msgspec.structs.replace(raw.position, qty=after, exposure=after)
        signal = msgspec.structs.replace(raw, position=state, account_leverage=after, expires_ms=60_000)
        wire = seal(
            self._key,
            kind="signal",
            leader_id=LEADER,
            epoch=1,
            seq=seq,
            prev_hash=self._hash,
            payload=encode_payload(signal),
        )
        await self._bus.publish_signal(LEADER, wire, self._seq, f"{LEADER}.1.{seq}")
        self._seq, self._hash = seq, open_envelope(wire, self._key.verify_key, LEADER).chain_hash
        return seq

    async def hear(self, monitor: Bus) -> None:
        async for delivery in monitor.consume_reports("monitor"):
            report = decode_report(delivery.data)
            if isinstance(report, CopyReport):
                if report.verdict not in ("copied", "capped"):
                    raise RuntimeError(f"a follower did not copy: {report.reason}: {report.detail}")
                self.verdicts[report.seq] = self.verdicts.get(report.seq, 0) + 1
            await delivery.ack()


async def _measure(folder: Path, count: int) -> dict[str, float]:
    """Of one process that hosts so many: seconds per signal, processor seconds and memory."""
    names = [f"f{number}" for number in range(count)]
    create_signing_key(folder / "signing")
    key = load_signing_key(folder / "signing")
    leader_user = LeaderUser(LEADER, create_nkey(folder / "leader.nk"))
    users = [FollowerUser(name, create_nkey(folder / f"{name}.nk"), (LEADER,)) for name in names]
    broker = Broker(folder / "broker", [leader_user], users)
    await broker.start()
    try:
        async with venue(folder, (MAKER, *names), "os") as exchange:
            await _quote(exchange.ready)
            configs = folder / "followers"
            configs.mkdir()
            for name in names:
                text = _configuration(folder, name, key.verify_key.encode().hex(), broker.url, exchange.ready)
                (configs / f"{name}.toml").write_text(text)
            bus = await Bus.connect(
                broker.url, load_nkey_seed(folder / "leader.nk"), subjects.inbox_prefix(LEADER), LEADER
            )
            leader = _Leader(bus, key)
            monitor = await broker.connect()
            hearing = asyncio.create_task(leader.hear(monitor))
            arguments = ["run", "--json", "--config", str(configs)]
            try:
                limit_s = READY_S + READY_EACH_S * count
                async with started(
                    "followers", "follower_client", arguments, folder, ready_seconds_max=limit_s
                ) as program:
                    pids = program.process.pid, exchange.process.pid
                    return await _signals(leader, hearing, pids, count)
            finally:
                hearing.cancel()
                await asyncio.gather(hearing, return_exceptions=True)
                await bus.close()
                await monitor.close()
    finally:
        await broker.stop()


async def _signals(
    leader: _Leader, hearing: asyncio.Task[None], pids: tuple[int, int], count: int
) -> dict[str, float]:
    """`pids` = of the followers, of the venue."""
    process, venue_process = pids
    idle = cpu_seconds_of(process)
    await asyncio.sleep(IDLE_S)
    idle_share = (cpu_seconds_of(process) - idle) / IDLE_S
    passed, used, at_venue = list[float](), list[float](), list[float]()
    for number in range((SIGNALS if count > 1 else SIGNALS_ALONE) + 1):
        cpu, start = [cpu_seconds_of(pid) for pid in pids], time.perf_counter()
        seq = await leader.trade()
        async with asyncio.timeout(REPORTS_LIMIT_S):
            while leader.verdicts.get(seq, 0) < count:
                if hearing.done():
                    hearing.result()
                await asyncio.sleep(0.002)
        if number > 0:  # the first one warms up
            passed.append(time.perf_counter() - start)
            used.append(cpu_seconds_of(process) - cpu[0])
            at_venue.append(cpu_seconds_of(venue_process) - cpu[1])
        await asyncio.sleep(0.5 if count > 1 else 0.1)
    return {
        "s": statistics.median(passed),
        "cpu_s": sum(used) / len(used),
        "idle_s": idle_share * sum(passed) / len(passed),  # of it, what waiting costs whatever happens
        "venue_s": sum(at_venue) / len(at_venue),
        "mb": _resident_mb(process),
    }


def _resident_mb(process: int) -> float:
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("VmRSS"))) / 1024


async def _quote(ready: dict[str, Any]) -> None:
    from follower_client.venue.ccxt_adapter import make_exchange

    row = next(row for row in ready["accounts"] if row["name"] == MAKER)
    maker = make_exchange(ready["rest"], ready["ws"], row["api_key"], row["api_secret"])
    try:
        await maker.load_markets()
        for side, price in (("buy", PRICE - SPREAD), ("sell", PRICE + SPREAD)):
            await maker.create_order(SYMBOL, "limit", side, "100", str(price))
    finally:
        await maker.close()


def _configuration(folder: Path, name: str, public_key: str, broker: str, ready: dict[str, Any]) -> str:
    key, secret = next(
        (row["api_key"], row["api_secret"]) for row in ready["accounts"] if row["name"] == name
    )
    return f"""
[follower]
id = "{name}"
data_dir = "{folder / "data" / name}"
[leader]
id = "{LEADER}"
public_key = "{public_key}"
silent_after_ms = 600000
[broker]
url = "{broker}"
nkey_seed_file = "{folder / f"{name}.nk"}"
[venue]
kind = "v5"
api_key = "{key}"
api_secret = "{secret}"
rest_url = "{ready["rest"]}"
ws_url = "{ready["ws"]}"
[policy]
mode = "multiplier"
multiplier = "0.002"
leverage_max = 10
symbols = ["{SYMBOL}"]
"""


def _rows(one: dict[str, float], many: dict[str, float]) -> list[Row]:
    share = many["cpu_s"] / FOLLOWERS / one["cpu_s"] if one["cpu_s"] > 0 else 0.0
    each = (many["mb"] - one["mb"]) / (FOLLOWERS - 1)
    notes = [
        f"one signal to the verdicts of {FOLLOWERS} followers in one process (one alone: "
        f"{one['s'] * 1000:.0f} ms), every one with its durable intent, its order over a trade socket of its "
        f"own, fills and report; processor time {many['cpu_s'] / FOLLOWERS * 1000:.1f} ms per follower and "
        f"signal, {share:.2f} of one alone ({one['cpu_s'] * 1000:.1f} ms, at most {CPU_SHARE_MAX}); of it "
        f"{many['idle_s'] / FOLLOWERS * 1000:.1f} ms that a follower takes in so long without a signal; the "
        f"venue's {many['venue_s'] / FOLLOWERS * 1000:.1f} ms are not in it"
    ]
    memory = [
        f"{many['mb']:.0f} MB with {FOLLOWERS}, {one['mb']:.0f} MB with one; the difference, shared out"
    ]
    return [
        reported("hosted_copies", "ms", many["s"] * 1000, notes),
        reported("memory_per_follower", "MB", each, memory),
    ]
