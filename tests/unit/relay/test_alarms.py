"""What is wrong: each rule rises beyond its limit, says since when and what to do, and ends."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from decimal import Decimal

import pytest
from msgspec import structs

from follower_client.settings import LeaderSection
from follower_client.subscriber import LIVENESS_TICK_S
from relay.core.alarms import Alarm, Alarms
from relay.core.intake import Odd, Refusal
from relay.core.verdicts import judge_copy
from relay.core.watch import AlarmLimits, Watch
from relay.protocol.feed import Accepted, Locked, NeedGap, Resumed
from relay.protocol.messages import Notice, OrderRow, Signal
from relay.protocol.signing import open_envelope
from relay.store import FeedEntry, FeedHead, RefusedReport
from relay.watching import LOOK_SECONDS, STALL_SECONDS, Watching
from tests.unit.relay import feed_samples as samples
from tests.unit.relay.drift_samples import LEADER, START_MS, a_copy, a_signal, a_status

NOW = START_MS
LIMITS = AlarmLimits()


class Room:
    """A watch with one leader and one follower, both well."""

    def __init__(self) -> None:
        self.watch = Watch(LIMITS)
        self.alarms = Alarms(self.watch)
        self.watch.expect(LEADER, NOW)
        self.word(NOW)

    def word(self, now_ms: int, follower: str = "steady", **changes: object) -> None:
        self.watch.hear_status(a_status(follower, at_ms=now_ms - 10, **changes), now_ms)

    def alive(self, now_ms: int) -> None:
        self.watch.hear_beat(LEADER, now_ms)

    def found(self, now_ms: int, rule: str) -> Alarm | None:
        return next((alarm for alarm in self.alarms.look(now_ms) if alarm.rule == rule), None)


def test_nothing_is_wrong_at_first() -> None:
    assert Room().alarms.look(NOW + 1000) == []


def test_a_silent_leader_is_told_since_when_and_forgotten_when_it_speaks() -> None:
    room = Room()
    assert room.found(NOW + LIMITS.heartbeat_age_ms, "no_heartbeat") is None
    alarm = room.found(NOW + 10_000, "no_heartbeat")
    assert alarm is not None
    assert (alarm.subject, alarm.severity, alarm.since_ms) == (LEADER, "critical", NOW)
    assert "10 s" in alarm.what and alarm.todo
    room.alive(NOW + 10_500)
    assert room.found(NOW + 11_000, "no_heartbeat") is None


def test_silence_is_an_alarm_and_a_closed_gate_within_three_seconds() -> None:
    assert LIMITS.heartbeat_age_ms + 1000 * LOOK_SECONDS <= 3000
    silent_after_ms = LeaderSection.model_fields["silent_after_ms"].default
    assert silent_after_ms + 1000 * LIVENESS_TICK_S <= 3000


@pytest.mark.asyncio
async def test_who_spoke_while_this_program_stood_still_is_not_missed() -> None:
    now, told = [NOW], list[str]()
    watching = Watching(LIMITS, lambda alarm, _: told.append(alarm.rule), lambda: now[0])
    watching.watch.expect(LEADER, NOW)
    running = asyncio.create_task(watching.run())
    await asyncio.sleep(0.05)
    time.sleep(LOOK_SECONDS + 2 * STALL_SECONDS)  # noqa: ASYNC251 - that is what it is about
    now[0] += 60_000
    await asyncio.sleep(0.05)  # the look that was due is passed over
    watching.watch.hear_beat(LEADER, now[0])  # what waited to be read
    await asyncio.sleep(LOOK_SECONDS + STALL_SECONDS)
    assert told == []
    now[0] += 60_000
    async with asyncio.timeout(20):
        while not told:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    assert told == ["no_heartbeat"]
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


def test_a_leader_is_missed_from_his_first_word_to_his_last() -> None:
    watching = Watching(LIMITS, clock_ms=lambda: now[0])
    now, chain = [NOW], samples.chain_of(1)

    def rules() -> list[str]:
        watching.look()
        return [alarm.rule for alarm in watching.standing]

    def say(notice: str) -> None:
        said = Notice(notice=notice, text="", sealed_ms=1)  # type: ignore[arg-type]
        envelope = open_envelope(chain.wires[0], samples.KEY.verify_key, "alice")
        watching.hear_feed(LEADER, [Accepted(envelope, said)], is_whole=True)

    now[0] += 3_600_000
    assert rules() == []  # he was registered, and has not begun
    say("started")
    assert rules() == []
    now[0] += LIMITS.heartbeat_age_ms + 1
    assert rules() == ["no_heartbeat"]
    say("closing")
    watching.watch.hear_beat(LEADER, now[0])  # sent before he went
    now[0] += 3_600_000
    assert rules() == []
    say("started")
    now[0] += LIMITS.heartbeat_age_ms + 1
    assert rules() == ["no_heartbeat"]


def test_a_gap_that_is_not_filled_and_a_leader_that_contradicts_himself() -> None:
    room = Room()
    room.watch.hear_gap(LEADER, NOW)
    assert room.found(NOW + 4_000, "gap") is None
    assert room.found(NOW + 6_000, "gap") is not None
    room.watch.hear_whole(LEADER)
    assert room.found(NOW + 7_000, "gap") is None
    room.watch.hear_lock(LEADER, "equivocation", "two payloads at 7", NOW + 8_000)
    alarm = room.found(NOW + 9_000, "equivocation")
    assert alarm is not None and "two payloads at 7" in alarm.what


def test_a_follower_that_is_silent_but_not_one_that_stopped() -> None:
    room = Room()
    assert room.found(NOW + 31_000, "follower_silent") is not None
    room.word(NOW + 32_000, mode="stopped")
    assert room.found(NOW + 99_000, "follower_silent") is None


def test_a_follower_that_is_behind() -> None:
    room = Room()
    room.watch.hear_signal(a_signal(9), NOW + 1000)
    for at_ms in (2_000, 8_000, 14_000):
        room.word(NOW + at_ms, head_seq=8)
    assert room.found(NOW + 14_000, "stale") is not None
    room.word(NOW + 15_000, head_seq=9)
    assert room.found(NOW + 15_000, "stale") is None


def test_messages_that_are_no_signals_owe_nobody_a_verdict() -> None:
    watching = Watching(LIMITS, clock_ms=lambda: NOW)
    steps = [FeedEntry(FeedHead(LEADER, 1, 9, "h"), a_signal(9).signal)]
    steps += [FeedEntry(FeedHead(LEADER, 1, seq, "h"), None) for seq in (10, 11)]
    watching.hear_stored([*steps, a_status(at_ms=NOW, head_seq=9)])
    watching.watch.hear_status(a_status(at_ms=NOW + 20_000, head_seq=9), NOW + 20_000)
    assert not [one for one in Alarms(watching.watch).look(NOW + 21_000) if one.rule == "stale"]


def test_orders_whose_ending_is_not_known_and_exposure_apart() -> None:
    room = Room()
    for at_ms in range(0, 62_001, 2_000):
        room.word(NOW + at_ms, unknown_orders=2, exposure_gap="0.2")
    unknown, gap = room.found(NOW + 62_000, "unknown_orders"), room.found(NOW + 62_000, "exposure_gap")
    assert unknown is not None and "2 orders" in unknown.what and unknown.since_ms == NOW
    assert gap is not None and "20.0 %" in gap.what


def test_a_clock_that_is_off() -> None:
    room = Room()
    for step in range(1, 11):
        room.watch.hear_status(a_status(at_ms=NOW + step * 1000), NOW + step * 1000 - 2_000)
    alarm = room.found(NOW + 10_000, "clock_skew")
    assert alarm is not None and "-2000 ms" in alarm.what


def test_rejects_slow_and_unfair_delivery() -> None:
    room = Room()
    room.word(NOW, "slow")
    rejected = OrderRow(
        client_order_id="r",
        order_id=None,
        side="buy",
        qty="1",
        reduce_only=False,
        outcome="rejected",
        reject_code="1",
    )
    for seq in range(1, 13):
        signal = a_signal(seq)
        copy = a_copy(
            signal, "slow", received_ms=signal.signal.sealed_ms + 900, price=None, orders=[rejected]
        )
        room.watch.hear_verdict(judge_copy(signal, copy))
        room.watch.hear_verdict(judge_copy(signal, a_copy(signal)))
    told = {(alarm.rule, alarm.subject) for alarm in room.alarms.look(NOW)}
    assert told == {("rejects", "slow"), ("slow_transit", "slow"), ("delivery_unfair", LEADER)}


def test_who_is_kept_out_for_taking_too_much_is_told_why_for_how_long_and_until_it_ends() -> None:
    room, minutes = Room(), 60_000
    room.watch.hear_barred("greedy", "9000 messages sent a second", NOW, NOW + 10 * minutes)
    alarm = room.found(NOW + 1, "follower_barred")
    assert alarm is not None
    assert (alarm.subject, alarm.severity, alarm.since_ms) == ("greedy", "critical", NOW)
    assert "10 min" in alarm.what and "9000 messages" in alarm.what and "exits" in alarm.todo
    room.watch.hear_barred("greedy", "again", NOW + minutes, NOW + 11 * minutes)
    again = room.found(NOW + 10 * minutes, "follower_barred")
    assert again is not None and again.since_ms == NOW
    assert room.found(NOW + 11 * minutes, "follower_barred") is None
    room.watch.hear_barred("greedy", "anew", NOW + 20 * minutes, NOW + 30 * minutes)
    anew = room.found(NOW + 21 * minutes, "follower_barred")
    assert anew is not None and anew.since_ms == NOW + 20 * minutes


def test_a_leader_who_trades_first_and_one_who_sells_what_he_made_others_buy() -> None:
    room = Room()
    for seq in range(1, 21):
        is_entry = seq % 2
        signal = a_signal(seq, at_ms=NOW + seq * 1000, side="buy" if is_entry else "sell")
        late = replace(signal, signal=_with_mid(signal.signal, "60060"))  # 10 bps above his price
        room.watch.hear_signal(late, NOW)
        room.watch.hear_verdict(judge_copy(late, a_copy(late, side=signal.signal.side)))
    told = {alarm.rule: alarm for alarm in room.alarms.look(NOW)}
    assert "10 times" in told["leader_against_followers"].what
    days_later = NOW + 2 * LIMITS.against_span_ms
    assert room.found(days_later, "leader_against_followers") is None
    copied_by_many = Room()
    once = a_signal(1)
    late = replace(once, signal=_with_mid(once.signal, "60060"))
    for number in range(30):
        copied_by_many.watch.hear_verdict(judge_copy(late, a_copy(late, f"f{number}")))
    assert copied_by_many.found(NOW, "leader_front_runs") is None, "one entry is one, whoever copied it"
    slow = Room()
    for seq in range(1, 13):
        signal = a_signal(seq)
        late = replace(signal, signal=_with_mid(signal.signal, "60060"))
        slow.watch.hear_verdict(judge_copy(late, a_copy(late)))
    alarm = slow.found(NOW, "leader_front_runs")
    assert alarm is not None and "10.0 bps" in alarm.what


def _with_mid(signal: Signal, mid: str) -> Signal:
    market = structs.replace(signal.market, bid=str(Decimal(mid) - 1), ask=str(Decimal(mid) + 1))
    return structs.replace(signal, market=market)


def test_what_is_heard_moves_metrics_pages_and_records() -> None:
    now = [NOW]
    told: list[tuple[str, bool]] = []
    watching = Watching(LIMITS, lambda alarm, is_over: told.append((alarm.rule, is_over)), lambda: now[0])
    watching.watch.expect(LEADER, NOW)
    signal = a_signal(1)
    with watching.page() as news:
        entry = FeedEntry(FeedHead(LEADER, 1, 1, "h"), signal.signal)
        copy = a_copy(signal)
        refused = RefusedReport("d", "reports.alice.steady", Refusal("malformed", "no JSON"))
        watching.hear_stored([entry, copy, copy, a_status(), refused])
        watching.hear_odd([Odd("doubled", LEADER, "steady")])
        watching.hear_feed(LEADER, [NeedGap(3, 2), Resumed(3, 2)], is_whole=False)
        watching.hear_feed(LEADER, [Locked("equivocation", 7, "two at 7", ())], is_whole=True)
        now[0] += 1000
        watching.look()
        kinds = [news.get_nowait().kind for _ in range(news.qsize())]
    assert kinds == ["signal", "verdict", "status", "alarms"]
    assert told == [("equivocation", False)]
    [record] = watching.records()
    assert (record.alarm.rule, record.until_ms) == ("equivocation", None)
    page = watching.metrics.page().decode()
    for line in (
        'relay_signals_total{follower="steady",leader="alice",reason="copied",verdict="copied"} 1.0',
        'relay_duplicate_suppressed_total{leader="alice"} 1.0',
        'relay_seq_gap_total{leader="alice"} 1.0',
        'relay_reports_refused_total{reason="malformed"} 1.0',
        'relay_equivocation{leader="alice"} 1.0',
        'relay_alarms{rule="equivocation",severity="critical"} 1.0',
        'relay_mode{follower="steady",leader="alice"} 2.0',
        "relay_build_info{",
    ):
        assert line in page, line
