"""The drift monitor on a real broker: nothing is lost while it is down, and the report adds up."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
from nacl.signing import SigningKey

from relay.broker import Broker
from relay.broker_config import FollowerUser, LeaderUser
from relay.core.report import build_report, figures_of, validate
from relay.keys import create_nkey, load_nkey_seed, nkey_public
from relay.monitor import run_monitor
from relay.nats_bus import Bus
from relay.protocol import subjects
from relay.protocol.codec import encode_payload, encode_report, kind_of
from relay.protocol.messages import Notice, Signal
from relay.protocol.signing import GENESIS_HASH, open_envelope, seal
from relay.store import DriftStore
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


@asynccontextmanager
async def monitored(broker: Broker, path: Path) -> AsyncIterator[None]:
    bus, ready = await broker.connect(), asyncio.Event()
    task = asyncio.create_task(run_monitor(bus, path, {LEADER: PUBLIC}, ready))
    try:
        await ready.wait()
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        await bus.close()


async def until_stored(path: Path, **wanted: int) -> None:
    """Wait for rows to arrive; the surrounding time limit fails the test if they do not."""
    while True:
        with DriftStore.open_for_reading(path) as store:
            if store.counts() | wanted == store.counts():
                return
        await asyncio.sleep(0.01)


@pytest.mark.asyncio
async def test_signals_and_reports_survive_the_monitor_being_down(tmp_path: Path) -> None:
    for name in ("leader.nk", "follower.nk"):
        create_nkey(tmp_path / name)
    leader_seed, follower_seed = (load_nkey_seed(tmp_path / name) for name in ("leader.nk", "follower.nk"))
    broker = Broker(
        tmp_path / "broker",
        [LeaderUser(LEADER, nkey_public(leader_seed))],
        [FollowerUser(FOLLOWER, nkey_public(follower_seed), (LEADER,))],
    )
    path = tmp_path / "drift.sqlite"
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

            async with monitored(broker, path):
                await leader.publish(Notice(notice="started", text="", sealed_ms=START_MS))
                status = encode_report(a_status(FOLLOWER))
                await follower_bus.publish_report(LEADER, FOLLOWER, status, "status")
                for number in range(4):
                    await step(number)
                await until_stored(path, signals=4, copies=4, fills=4, statuses=1)
            for number in range(4, 8):
                await step(number)
            async with monitored(broker, path):
                await step(8)
                await step(9)
                await until_stored(path, signals=10, copies=10, fills=10, statuses=1)
            await leader_bus.close()
            await follower_bus.close()
    finally:
        await broker.stop()
    with DriftStore.open_for_reading(path) as store:
        report = build_report(figures_of(store.read_rows()), {"conservation_delta": "0"}, {})
    assert validate(report) == []
    assert [(row["id"], row["signals"], row["copied"]) for row in report["followers"]] == [(FOLLOWER, 10, 10)]
