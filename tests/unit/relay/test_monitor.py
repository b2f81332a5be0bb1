"""The monitor against a bus in memory: what is written, when it is acknowledged, what is kept out."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from nacl.signing import SigningKey

from relay.core.verdicts import PublishedSignal, ReportRows
from relay.core.watch import AlarmLimits
from relay.monitor import Members, run_monitor
from relay.nats_bus import BusMessage, BusUnavailable, Delivery
from relay.protocol import subjects
from relay.protocol.codec import encode_payload, encode_report, kind_of
from relay.protocol.messages import CopyReport, Heartbeat, Notice, Signal, StatusReport
from relay.protocol.signing import GENESIS_HASH, open_envelope, seal
from relay.store import DriftStore, RowFilter, StoreError, StorePlace
from relay.watching import Watching
from tests.unit.relay.drift_samples import LEADER, START_MS, a_copy, a_signal, a_status

KEY = SigningKey(b"\x07" * 32)
PUBLIC = KEY.verify_key.encode().hex()
SECONDS_MAX = 10.0


class MemoryBus:
    """A leader's stream, its broadcast and the queue of reports, as the broker would serve them."""

    def __init__(self) -> None:
        self.stream: list[bytes] = []
        self.hash = GENESIS_HASH
        self.listeners: dict[str, Callable[[BusMessage], Awaitable[None]]] = {}
        self.reports: asyncio.Queue[Delivery] = asyncio.Queue()
        self.acknowledged: list[int] = []
        self.rows_at_ack: list[int] = []
        self.reachable = True
        self.store_place: StorePlace | None = None
        self._delivered = 0
        self.sign(Notice(notice="started", text="", sealed_ms=START_MS))  # every epoch begins with one

    async def subscribe(self, subject: str, callback: Callable[[BusMessage], Awaitable[None]]) -> object:
        self.listeners[subject] = callback
        return None

    async def fetch_range(self, stream: str, from_seq: int, count: int) -> list[tuple[int, bytes]]:
        assert stream == subjects.stream(LEADER)
        if not self.reachable:
            raise BusUnavailable("no connection")
        return list(enumerate(self.stream, 1))[from_seq - 1 : from_seq - 1 + count]

    async def consume_reports(self, durable: str) -> AsyncIterator[Delivery]:
        while True:
            yield await self.reports.get()

    def sign(self, message: Signal | Notice) -> bytes:
        seq = len(self.stream) + 1
        wire = seal(
            KEY,
            kind=kind_of(message),
            leader_id=LEADER,
            epoch=1,
            seq=seq,
            prev_hash=self.hash,
            payload=encode_payload(message),
        )
        self.stream.append(wire)
        self.hash = open_envelope(wire, PUBLIC, LEADER).chain_hash
        return wire

    async def broadcast(self, wire: bytes, seq: int) -> None:
        subject = subjects.feed(LEADER)
        await self.listeners[subject](BusMessage(subject, wire, seq))

    async def publish(self, *signals: PublishedSignal) -> None:
        for published in signals:
            await self.broadcast(self.sign(published.signal), published.seq)

    async def beat(self) -> None:
        head = len(self.stream)
        payload = Heartbeat(
            head_seq=head, head_hash=self.hash, mode="live", program_version="1", sent_ms=1000 + head
        )
        wire = seal(
            KEY,
            kind="heartbeat",
            leader_id=LEADER,
            epoch=1,
            seq=head,
            prev_hash=self.hash,
            payload=encode_payload(payload),
        )
        subject = subjects.beat(LEADER)
        await self.listeners[subject](BusMessage(subject, wire))

    def hand_in(
        self,
        report: CopyReport | StatusReport | bytes,
        *,
        follower: str = "steady",
        came_ms: int | None = None,
        is_again: bool = False,
    ) -> None:
        self._delivered += 1
        number = self._delivered
        data = report if isinstance(report, bytes) else encode_report(report)

        async def ack() -> None:
            assert self.store_place is not None
            with DriftStore.open_for_reading(self.store_place) as store:
                counts = store.counts()
            self.rows_at_ack.append(counts["copies"] + counts["statuses"] + counts["refused"])
            self.acknowledged.append(number)

        self.reports.put_nowait(
            Delivery(LEADER, follower, data, number, ack, came_ms=came_ms, is_again=is_again)
        )


@asynccontextmanager
async def monitored(
    bus: MemoryBus,
    place: StorePlace,
    evidence_in: Path | None = None,
    watching: Watching | None = None,
    members: Members | None = None,
) -> AsyncIterator[asyncio.Task[None]]:
    bus.store_place = place
    ready = asyncio.Event()
    work = run_monitor(
        *(bus, place, {LEADER: PUBLIC}, ready), watching=watching, evidence_in=evidence_in, members=members
    )
    task = asyncio.create_task(work)
    try:
        async with asyncio.timeout(SECONDS_MAX):
            await ready.wait()
            yield task
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def until(holds: Callable[[], bool]) -> None:
    """Wait for what must come; the surrounding time limit fails the test if it does not."""
    while not holds():  # noqa: ASYNC110 - the store has no event to wait for
        await asyncio.sleep(0.005)


def stored(place: StorePlace) -> ReportRows:
    with DriftStore.open_for_reading(place) as store:
        return store.read_rows()


def seqs(place: StorePlace) -> list[int]:
    return [published.seq for published in stored(place).signals]


@pytest.mark.asyncio
async def test_a_report_is_acknowledged_after_it_is_stored(place: StorePlace) -> None:
    bus = MemoryBus()
    signal = a_signal(2)
    async with monitored(bus, place):
        await bus.publish(signal)
        bus.hand_in(a_copy(signal))
        bus.hand_in(a_status())
        await until(lambda: len(bus.acknowledged) == 2)
        assert bus.rows_at_ack[0] >= 1
        assert bus.rows_at_ack[1] == 2
        await until(lambda: seqs(place) == [2])
        assert list(stored(place).copies) == [a_copy(signal)]


@pytest.mark.asyncio
async def test_after_being_down_the_monitor_reads_what_it_missed(place: StorePlace) -> None:
    bus = MemoryBus()
    signals = [a_signal(seq) for seq in range(2, 7)]
    async with monitored(bus, place):
        await bus.publish(*signals[:2])
        await until(lambda: seqs(place) == [2, 3])
    for published in signals[2:]:
        bus.sign(published.signal)
    bus.hand_in(a_copy(signals[3]))
    async with monitored(bus, place):
        await until(lambda: seqs(place) == [2, 3, 4, 5, 6] and bus.acknowledged == [1])
    assert list(stored(place).signals) == signals


@pytest.mark.asyncio
async def test_a_gap_is_filled_and_the_last_message_is_found_by_the_heartbeat(place: StorePlace) -> None:
    bus = MemoryBus()
    async with monitored(bus, place):
        bus.sign(a_signal(2).signal)
        await bus.publish(a_signal(3))
        await until(lambda: seqs(place) == [2, 3])
        bus.sign(a_signal(4).signal)
        await bus.beat()
        await until(lambda: seqs(place) == [2, 3, 4])


@pytest.mark.asyncio
async def test_a_gap_that_cannot_be_fetched_is_fetched_later(place: StorePlace) -> None:
    bus = MemoryBus()
    async with monitored(bus, place):
        bus.reachable = False
        bus.sign(a_signal(2).signal)
        await bus.publish(a_signal(3))
        bus.hand_in(a_status())
        await until(lambda: bus.acknowledged == [1])
        bus.reachable = True
        await until(lambda: seqs(place) == [2, 3])


@pytest.mark.asyncio
async def test_what_the_leader_did_not_sign_is_not_written(place: StorePlace) -> None:
    bus = MemoryBus()
    forged = MemoryBus().sign(a_signal(2, price="1").signal)
    forged = forged[:-2] + b"9}"
    async with monitored(bus, place):
        await bus.broadcast(forged, 2)
        await bus.publish(a_signal(2))
        await until(lambda: seqs(place) == [2])
    assert stored(place).signals[0].signal.price == "60000"


@pytest.mark.asyncio
async def test_reports_that_cannot_be_believed_are_counted_and_kept_out(place: StorePlace) -> None:
    bus = MemoryBus()
    signal = a_signal(2)
    async with monitored(bus, place):
        bus.hand_in(a_copy(signal, price="0"))
        bus.hand_in(a_copy(signal, price="0"))
        bus.hand_in(a_copy(signal, "somebody"))
        bus.hand_in(b"copy_report\n{}")
        bus.hand_in(b"\xff\xfe")
        bus.hand_in(a_copy(signal))
        await until(lambda: len(bus.acknowledged) == 6)
    rows = stored(place)
    assert rows.refused == {"impossible_price": 1, "wrong_identity": 1, "malformed": 1, "unknown_kind": 1}
    assert list(rows.copies) == [a_copy(signal)]


@pytest.mark.asyncio
async def test_an_orderly_end_stores_what_was_received(place: StorePlace) -> None:
    bus = MemoryBus()
    async with monitored(bus, place):
        for at_ms in range(100):
            bus.hand_in(a_status(at_ms=at_ms))
        await until(bus.reports.empty)
    assert len(bus.acknowledged) == 100
    assert len(stored(place).statuses) == 100


@pytest.mark.asyncio
async def test_who_was_put_out_owes_nothing_from_then_on(place: StorePlace) -> None:
    """It cannot say that it stops: nobody hears it any more."""
    bus, out = MemoryBus(), {("steady", LEADER)}
    async with monitored(bus, place, members=lambda: {("bold", LEADER)} | out):
        for name in ("steady", "bold"):
            bus.hand_in(a_status(name), follower=name)
        await bus.publish(a_signal(2))
        await until(lambda: len(bus.acknowledged) == 2 and seqs(place) == [2])
    out.clear()
    watching = Watching(AlarmLimits())
    async with monitored(bus, place, watching=watching, members=lambda: {("bold", LEADER)}):

        def modes() -> dict[str, str]:
            with DriftStore.open_for_reading(place) as store:
                return {word.follower_id: word.mode for word in store.last_statuses()}

        await until(lambda: modes() == {"steady": "stopped", "bold": "running"})
        assert "steady" not in {name for name, _, _ in watching.watch.followers()}
        last = max(word.sent_ms for word in stored(place).statuses)
        later = a_signal(3)
        late = msgspec.structs.replace(later.signal, sealed_ms=last + 1)
        await bus.publish(replace(later, signal=late))
        await until(lambda: seqs(place) == [2, 3])
    with DriftStore.open_for_reading(place) as store:
        owed = {key[0]: found.signals for key, found in store.figures(RowFilter()).tallies.items()}
    assert owed == {"steady": 1, "bold": 2}


@pytest.mark.asyncio
async def test_a_store_that_cannot_be_opened_ends_the_monitor(tmp_path: Path) -> None:
    (tmp_path / "drift.sqlite").mkdir()
    with pytest.raises(StoreError, match=r"drift\.sqlite"):
        await run_monitor(MemoryBus(), tmp_path / "drift.sqlite", {LEADER: PUBLIC})


@pytest.mark.asyncio
async def test_who_has_contradicted_himself_is_not_believed_after_a_restart(
    place: StorePlace, tmp_path: Path
) -> None:
    bus = MemoryBus()

    def alarms(watching: Watching) -> list[str]:
        watching.look()
        return [alarm.rule for alarm in watching.standing if alarm.rule == "equivocation"]

    async with monitored(bus, place, tmp_path, watching=(first := Watching(AlarmLimits()))):
        await bus.publish(a_signal(2), a_signal(3))
        await until(lambda: seqs(place) == [2, 3])
        other = MemoryBus()
        other.sign(a_signal(2).signal)
        await bus.broadcast(other.sign(a_signal(3, price="1234").signal), 3)
        await until(lambda: bool(alarms(first)))
    bus.listeners.clear()
    bus.sign(a_signal(4).signal)
    async with monitored(bus, place, tmp_path, watching=(second := Watching(AlarmLimits()))):
        assert alarms(second) and not bus.listeners
    assert seqs(place) == [2, 3]
    for file in (tmp_path / "evidence").iterdir():
        file.unlink()  # a person has looked, and takes it out
    async with monitored(bus, place, tmp_path, watching=(third := Watching(AlarmLimits()))):
        await until(lambda: seqs(place) == [2, 3, 4])
        assert not alarms(third)


def wrong(watching: Watching) -> dict[str, int]:
    """Rules that stand after a look, and since when."""
    watching.look()
    return {alarm.rule: alarm.since_ms for alarm in watching.standing}


@pytest.mark.asyncio
async def test_what_is_wrong_with_followers_goes_on_after_a_restart(place: StorePlace) -> None:
    """Silent, orders not known, a clock that is off: since when they are, and ended when they are over."""
    bus, now = MemoryBus(), [START_MS]
    lives = [Watching(AlarmLimits(heartbeat_age_ms=10**9), clock_ms=lambda: now[0]) for _ in range(4)]
    async with monitored(bus, place, watching=lives[0]):
        for step in range(12):
            at_ms = START_MS + step * 5_000
            word = a_status(at_ms=at_ms, unknown_orders=2)
            bus.hand_in(word, came_ms=at_ms + 10)
            bus.hand_in(a_status("bold", at_ms=at_ms + 1_000), follower="bold", came_ms=at_ms)
        await until(lambda: len(bus.acknowledged) == 24)
        now[0] = START_MS + 60_000
        before = wrong(lives[0])
        assert before.keys() == {"unknown_orders", "clock_skew"} and before["unknown_orders"] == START_MS + 10
        now[0] = START_MS + 100_000
        before = wrong(lives[0])
        assert before.keys() == {"unknown_orders", "clock_skew", "follower_silent"}
    now[0] += 60_000
    async with monitored(bus, place, watching=lives[1]):
        assert b'relay_orders_unknown{follower="steady",leader="alice"} 2.0' in lives[1].metrics.page()
        assert wrong(lives[1]) == before
    with DriftStore.open_for_reading(place) as store:
        kept = {alarm.rule: until_ms for alarm, until_ms in store.alarms()}
    assert kept == dict.fromkeys(before)
    async with monitored(bus, place, watching=lives[2]):
        for step in range(12):
            at_ms = now[0] + step
            bus.hand_in(a_status(at_ms=at_ms), came_ms=at_ms)
            bus.hand_in(a_status("bold", at_ms=at_ms), follower="bold", came_ms=at_ms)
        await until(lambda: len(bus.acknowledged) == 48)
        assert wrong(lives[2]) == {}
    async with monitored(bus, place, watching=lives[3]):
        assert wrong(lives[3]) == {}
    with DriftStore.open_for_reading(place) as store:
        assert all(until_ms for _, until_ms in store.alarms())


@pytest.mark.asyncio
async def test_nobody_is_silent_because_nobody_listened(place: StorePlace) -> None:
    bus, now = MemoryBus(), [START_MS]
    async with monitored(bus, place, watching=Watching(AlarmLimits(), clock_ms=lambda: now[0])):
        bus.hand_in(a_status(at_ms=START_MS), came_ms=START_MS)
        await until(lambda: len(bus.acknowledged) == 1)
    now[0] += 3_600_000
    limits = AlarmLimits(heartbeat_age_ms=10**9)
    async with monitored(bus, place, watching=(second := Watching(limits, clock_ms=lambda: now[0]))):
        assert wrong(second) == {}
        now[0] += 31_000
        assert wrong(second) == {"follower_silent": START_MS}


@pytest.mark.asyncio
async def test_catching_up_makes_no_clock_wrong(tmp_path: Path) -> None:
    """An hour of words at once: how far a clock is off is told by when the broker had them."""
    bus = MemoryBus()
    watching = Watching(AlarmLimits(heartbeat_age_ms=10**9), clock_ms=lambda: START_MS + 3_600_000)
    async with monitored(bus, tmp_path / "drift.sqlite", watching=watching):
        for step in range(720):
            at_ms = START_MS + (step + 1) * 5_000
            bus.hand_in(a_status(at_ms=at_ms), came_ms=at_ms + 30)
        await until(lambda: len(bus.acknowledged) == 720)
        assert wrong(watching) == {}
    assert b'relay_clock_skew_seconds{follower="steady",leader="alice"} 0.03' in watching.metrics.page()
