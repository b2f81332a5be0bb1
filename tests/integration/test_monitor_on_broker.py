"""The drift monitor on a real broker: nothing is lost while it is down, and the report adds up."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from uuid import uuid4

import pytest
from nacl.signing import SigningKey

from relay.broker import Broker
from relay.broker_config import FollowerUser, LeaderUser
from relay.core.alarms import Alarm
from relay.core.report import build_report, figures_of, validate
from relay.core.watch import AlarmLimits
from relay.keys import create_nkey, load_nkey_seed, nkey_public
from relay.monitor import run_monitor
from relay.nats_bus import Bus
from relay.protocol import subjects
from relay.protocol.codec import encode_payload, encode_report, kind_of
from relay.protocol.messages import CopyReport, Heartbeat, MarketState, Notice, Signal, StatusReport
from relay.protocol.signing import GENESIS_HASH, open_envelope, seal
from relay.store import DriftStore, StorePlace
from relay.watching import Watching
from tests.unit.relay.drift_samples import LEADER, START_MS, a_copy, a_signal, a_status

KEY = SigningKey(b"\x07" * 32)
PUBLIC = KEY.verify_key.encode().hex()
FOLLOWER = "steady"
SECONDS_MAX = 30.0


class Leader:
    """Seals and publishes one message after the other."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._seq = 0
        self._hash = GENESIS_HASH

    async def publish(self, message: Signal | Notice) -> None:
        wire = seal(
            KEY,
            kind=kind_of(message),
            leader_id=LEADER,
            epoch=1,
            seq=self._seq + 1,
            prev_hash=self._hash,
            payload=encode_payload(message),
        )
        self._seq = await self._bus.publish_signal(LEADER, wire, self._seq, f"{LEADER}.1.{self._seq + 1}")
        self._hash = open_envelope(wire, PUBLIC, LEADER).chain_hash

    async def contradict(self) -> None:
        """Say that another message stands where the last one does."""
        beat = Heartbeat(
            head_seq=self._seq, head_hash="ab" * 32, mode="live", program_version="1", sent_ms=START_MS
        )
        wire = seal(
            KEY,
            kind=kind_of(beat),
            leader_id=LEADER,
            epoch=1,
            seq=self._seq,
            prev_hash=beat.head_hash,
            payload=encode_payload(beat),
        )
        await self._bus.publish(subjects.beat(LEADER), wire)


@asynccontextmanager
async def monitored(
    broker: Broker, place: StorePlace, watching: Watching | None = None
) -> AsyncIterator[None]:
    bus, ready = await broker.connect(), asyncio.Event()
    task = asyncio.create_task(run_monitor(bus, place, {LEADER: PUBLIC}, ready, watching=watching))
    try:
        await ready.wait()
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        await bus.close()


def now_ms() -> int:
    return time.time_ns() // 1_000_000


async def until_stored(place: StorePlace, **wanted: int) -> None:
    """Wait for rows to arrive; the surrounding time limit fails the test if they do not."""
    while True:
        with DriftStore.open_for_reading(place) as store:
            if store.counts() | wanted == store.counts():
                return
        await asyncio.sleep(0.01)


@pytest.mark.asyncio
async def test_signals_and_reports_survive_the_monitor_being_down(place: StorePlace, tmp_path: Path) -> None:
    for name in ("leader.nk", "follower.nk"):
        create_nkey(tmp_path / name)
    leader_seed, follower_seed = (load_nkey_seed(tmp_path / name) for name in ("leader.nk", "follower.nk"))
    broker = Broker(
        tmp_path / "broker",
        [LeaderUser(LEADER, nkey_public(leader_seed))],
        [FollowerUser(FOLLOWER, nkey_public(follower_seed), (LEADER,))],
    )
    await broker.start()
    try:
        async with asyncio.timeout(SECONDS_MAX):
            leader_bus = await Bus.connect(broker.url, leader_seed, subjects.inbox_prefix(LEADER), "leader")
            follower_bus = await Bus.connect(
                broker.url, follower_seed, subjects.inbox_prefix(FOLLOWER), "follower"
            )
            leader = Leader(leader_bus)
            signals = [a_signal(seq) for seq in range(2, 12)]

            async def step(number: int) -> None:
                await leader.publish(signals[number].signal)
                report = encode_report(a_copy(signals[number], FOLLOWER))
                for _ in range(2):  # the second one is dropped by the broker or changes nothing
                    await follower_bus.publish_report(LEADER, FOLLOWER, report, f"{number}")

            async with monitored(broker, place):
                await leader.publish(Notice(notice="started", text="", sealed_ms=START_MS))
                status = encode_report(a_status(FOLLOWER, at_ms=now_ms()))
                await follower_bus.publish_report(LEADER, FOLLOWER, status, "status")
                for number in range(4):
                    await step(number)
                await until_stored(place, signals=4, copies=4, fills=4, statuses=1)
            for number in range(4, 8):
                await step(number)
            async with monitored(broker, place):
                await step(8)
                await step(9)
                await until_stored(place, signals=10, copies=10, fills=10, statuses=1)
            await leader_bus.close()
            await follower_bus.close()
    finally:
        await broker.stop()
    with DriftStore.open_for_reading(place) as store:
        report = build_report(figures_of(store.read_rows()), {"conservation_delta": "0"}, {})
    assert validate(report) == []
    assert [(row["id"], row["signals"], row["copied"]) for row in report["followers"]] == [(FOLLOWER, 10, 10)]


FLAGS = {
    ("delivery_unfair", LEADER),
    ("leader_against_followers", LEADER),
    ("leader_front_runs", LEADER),
    ("stale", "slow"),
    ("unknown_orders", "slow"),
    ("exposure_gap", "slow"),
    ("equivocation", LEADER),
}


@pytest.mark.asyncio
async def test_every_flag_is_raised_by_what_causes_it(place: StorePlace, tmp_path: Path) -> None:
    """A leader who buys before he tells and sells at once, a follower who is late, behind and apart; then he
    contradicts himself. All of it over the wire, each flag with since when and what to do."""
    names = (LEADER, FOLLOWER, "slow")
    for name in names:
        create_nkey(tmp_path / f"{name}.nk")
    seeds = {name: load_nkey_seed(tmp_path / f"{name}.nk") for name in names}
    users = [FollowerUser(name, nkey_public(seeds[name]), (LEADER,)) for name in names[1:]]
    broker = Broker(tmp_path / "broker", [LeaderUser(LEADER, nkey_public(seeds[LEADER]))], users)
    limits = AlarmLimits(
        against_span_ms=10**15, stale_ms=0, unknown_orders_ms=0, exposure_gap_ms=0, heartbeat_age_ms=60_000
    )
    raised: dict[tuple[str, str], Alarm] = {}
    watching = Watching(limits, lambda alarm, is_over: raised.setdefault(alarm.key, alarm) and None)
    await broker.start()
    try:
        async with asyncio.timeout(SECONDS_MAX), monitored(broker, place, watching):
            buses = {
                name: await Bus.connect(broker.url, seed, subjects.inbox_prefix(name), name)
                for name, seed in seeds.items()
            }
            leader = Leader(buses[LEADER])
            await leader.publish(Notice(notice="started", text="", sealed_ms=START_MS))
            began_ms = now_ms()
            await _report(buses, a_status("slow", at_ms=began_ms), a_status(FOLLOWER, at_ms=began_ms))
            prices = {"mark": "60000", "index": "60000", "last": "60000"}
            moved = {
                "buy": MarketState(bid="60059", ask="60061", **prices),
                "sell": MarketState(bid="59939", ask="59941", **prices),
            }
            for seq in range(2, 26):
                side = "sell" if seq % 2 else "buy"
                of = a_signal(seq, side=side, at_ms=START_MS + seq * 1000, market=moved[side])
                await leader.publish(of.signal)
                late_ms = of.signal.sealed_ms + 900
                await _report(buses, a_copy(of, FOLLOWER), a_copy(of, "slow", received_ms=late_ms))
            await until_stored(place, signals=24, copies=48)
            await _report(buses, a_status("slow", at_ms=now_ms(), unknown_orders=2, exposure_gap="0.5"))
            await until_stored(place, statuses=3)
            await leader.contradict()
            while not raised.keys() >= FLAGS:  # noqa: ASYNC110 - looked for once a second
                await asyncio.sleep(0.05)
            for bus in buses.values():
                await bus.close()
    finally:
        await broker.stop()
    for key in FLAGS:
        assert raised[key].what and raised[key].todo and raised[key].since_ms, key
    with DriftStore.open_for_reading(place) as store:
        written = {alarm.key for alarm, _ in store.alarms()}
    assert written >= FLAGS


async def _report(buses: dict[str, Bus], *reports: CopyReport | StatusReport) -> None:
    for report in reports:
        name = report.follower_id
        await buses[name].publish_report(LEADER, name, encode_report(report), uuid4().hex)
