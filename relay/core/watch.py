"""What was last heard of leaders and followers: enough to say whether something is wrong just now.

Belongs here: remembering, within bounds. Does not belong here: when it is wrong (`alarms`), figures over time
(`tally`).

Nothing is remembered for ever: of leaders and followers the last words, of signals and copies the latest few.
Times are Unix milliseconds of the monitor's clock unless a name says whose.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import NamedTuple

from relay.core.drift import clocks_apart
from relay.core.verdicts import EXECUTED_VERDICTS, Judged, PublishedSignal, is_entry
from relay.protocol.messages import StatusReport

__all__ = ["AlarmLimits", "FollowerState", "LeaderState", "Watch"]

RECENT_MAX = 200
SKEWS_MAX = 10


@dataclass(frozen=True, slots=True)
class AlarmLimits:
    """Beyond what something is wrong."""

    heartbeat_age_ms: int = 2_500
    gap_ms: int = 5_000
    follower_silent_ms: int = 30_000
    stale_ms: int = 10_000
    unknown_orders_ms: int = 30_000
    exposure_gap: Decimal = Decimal("0.05")
    exposure_gap_ms: int = 60_000
    clock_skew_ms: int = 500
    reject_rate: Decimal = Decimal("0.2")
    transit_p99_ms: int = 250
    unfair_ms: int = 250
    leader_lag_bps: Decimal = Decimal(5)
    against_ms: int = 30_000
    against_count: int = 3
    against_span_ms: int = 86_400_000


@dataclass(slots=True)
class LeaderState:
    """What was heard of a leader."""

    beat_ms: int | None = None
    has_closed: bool = False
    signal_seq: int = 0
    gap_ms: int | None = None
    lost: int = 0
    locked: tuple[str, str, int] | None = None  # reason, detail, when
    lags_bps: dict[tuple[int, int], Decimal] = field(default_factory=dict)  # by epoch and seq, the latest
    entries: deque[PublishedSignal] = field(default_factory=lambda: deque(maxlen=RECENT_MAX))
    against: deque[int] = field(default_factory=lambda: deque(maxlen=RECENT_MAX))


@dataclass(slots=True)
class FollowerState:
    """What was heard of a follower by one leader's reports."""

    status: StatusReport
    heard_ms: int
    is_off: bool = False  # the word's own time is not to be believed
    was_silent: bool = False  # when this program began, and not heard since
    behind_ms: int | None = None
    unknown_ms: int | None = None
    gap_ms: int | None = None
    skews: deque[int] = field(default_factory=lambda: deque(maxlen=SKEWS_MAX))
    orders: deque[bool] = field(default_factory=lambda: deque(maxlen=RECENT_MAX))  # whether it was rejected
    transits: deque[int] = field(default_factory=lambda: deque(maxlen=RECENT_MAX))


class Barred(NamedTuple):
    """Why a follower is kept out, since when, until when."""

    why: str
    since_ms: int
    until_ms: int


class Watch:
    """Hears what the monitor hears."""

    def __init__(self, limits: AlarmLimits) -> None:
        self.limits = limits
        self.listening_ms = 0  # since when; nobody is silent because nobody listened
        self._leaders: dict[str, LeaderState] = {}
        self._followers: dict[tuple[str, str], FollowerState] = {}
        self.barred: dict[str, Barred] = {}  # followers whom the relay keeps out for a while

    # -- hearing --------------------------------------------------------------------------------------------

    def expect(self, leader_id: str, now_ms: int) -> None:
        """This leader's feed is listened to from now on, if it was not before."""
        leader = self._leader(leader_id)
        leader.beat_ms = leader.beat_ms if leader.beat_ms is not None else now_ms

    def hear_beat(self, leader_id: str, now_ms: int) -> None:
        """A heartbeat."""
        leader = self._leader(leader_id)
        if not leader.has_closed:
            leader.beat_ms = now_ms

    def hear_word(self, leader_id: str, now_ms: int, *, is_last: bool) -> None:
        """A message of the feed: he is missed from his first one on, until he says that he goes."""
        leader = self._leader(leader_id)
        leader.has_closed = is_last
        if is_last:
            leader.beat_ms = None
        elif leader.beat_ms is None:
            leader.beat_ms = now_ms

    def hear_gap(self, leader_id: str, now_ms: int) -> None:
        """Messages are missing."""
        leader = self._leader(leader_id)
        leader.gap_ms = leader.gap_ms if leader.gap_ms is not None else now_ms

    def hear_whole(self, leader_id: str) -> None:
        """Nothing is missing (any more)."""
        self._leader(leader_id).gap_ms = None

    def hear_lost(self, leader_id: str, count: int) -> None:
        """Messages are gone for good."""
        self._leader(leader_id).lost += count

    def hear_barred(self, follower_id: str, why: str, now_ms: int, until_ms: int) -> None:
        """The relay keeps a follower out: he takes too much of the broker."""
        before = self.barred.get(follower_id)
        since_ms = before.since_ms if before is not None and now_ms < before.until_ms else now_ms
        self.barred[follower_id] = Barred(why, since_ms, until_ms)

    def hear_lock(self, leader_id: str, reason: str, detail: str, now_ms: int) -> None:
        """The leader contradicts himself."""
        self._leader(leader_id).locked = (reason, detail, now_ms)

    def hear_signal(self, published: PublishedSignal, now_ms: int) -> None:
        """A signal, once, in order."""
        leader, signal = self._leader(published.leader_id), published.signal
        leader.signal_seq = max(leader.signal_seq, published.seq)
        earlier = [
            entry.signal
            for entry in leader.entries
            if entry.signal.symbol == signal.symbol
            and entry.signal.side != signal.side
            and signal.leader_exec_ms - entry.signal.leader_exec_ms <= self.limits.against_ms
        ]
        if any(Decimal(signal.qty) * 2 >= Decimal(entry.qty) for entry in earlier):
            leader.against.append(signal.leader_exec_ms)
        if _grows(published):
            leader.entries.append(published)

    def hear_verdict(self, item: Judged, *, is_ahead: bool = False) -> None:
        """What became of a signal at a follower; `is_ahead`: by a time that was still to come."""
        if item.copy is None:
            return
        leader = self._leader(item.published.leader_id)
        follower = self._followers.get((item.follower_id, item.published.leader_id))
        if item.drift is not None and item.drift.measured[0] and is_entry(item.copy):
            lag = item.drift.slippage.parts_bps[0]
            place = (item.published.epoch, item.published.seq)
            leader.lags_bps[place] = Decimal(lag.numerator) / Decimal(lag.denominator)
            if len(leader.lags_bps) > RECENT_MAX:
                del leader.lags_bps[next(iter(leader.lags_bps))]
        if follower is None:
            return
        if not (is_ahead or clocks_apart(item.published.signal, item.copy)):
            follower.transits.append(item.copy.received_ms - item.published.signal.sealed_ms)
        if item.verdict in EXECUTED_VERDICTS or item.copy.orders:
            follower.orders.extend(order.outcome == "rejected" for order in item.copy.orders)

    def hear_status(self, status: StatusReport, now_ms: int, *, is_off: bool = False) -> None:
        """A follower's word, and when it came; an older one than the last says nothing.

        `is_off`: its time cannot be believed. It says how far the clock is off, and that the follower is
        there; any word with a better time stands against it.
        """
        key = (status.follower_id, status.leader_id)
        follower = self._followers.get(key)
        if follower is None:
            follower = self._followers[key] = FollowerState(status, now_ms)
        is_older = status.sent_ms < follower.status.sent_ms and (is_off or not follower.is_off)
        if is_older and not is_off:
            return
        follower.heard_ms, follower.was_silent = max(follower.heard_ms, now_ms), False
        follower.skews.append(now_ms - status.sent_ms)
        if not is_older:
            follower.status, follower.is_off = status, is_off
            self._judge_status(follower, status, now_ms)

    def remember_status(self, status: StatusReport) -> None:
        """The last word of a follower to a program that ran before this one."""
        key = (status.follower_id, status.leader_id)
        follower = self._followers[key] = FollowerState(status, status.sent_ms)
        self._judge_status(follower, status, status.sent_ms)

    def remember_alarm(self, rule: str, subject: str, since_ms: int) -> None:
        """Something was wrong when a program before this one ended: it goes on from when it began."""
        leader = self._leaders.get(subject)
        if leader is not None and rule == "gap":
            leader.gap_ms = since_ms
        if leader is not None and rule == "no_heartbeat":
            leader.beat_ms = since_ms
        for (follower_id, _), follower in self._followers.items():
            if follower_id != subject:
                continue
            if rule == "follower_silent":
                follower.was_silent, follower.heard_ms = True, since_ms
            began = _SINCE.get(rule)
            if began is not None and getattr(follower, began) is not None:
                setattr(follower, began, min(since_ms, getattr(follower, began)))

    def _judge_status(self, follower: FollowerState, status: StatusReport, now_ms: int) -> None:
        leader = self._leader(status.leader_id)
        follower.behind_ms = _since(follower.behind_ms, status.head_seq < leader.signal_seq, now_ms)
        follower.unknown_ms = _since(follower.unknown_ms, status.unknown_orders > 0, now_ms)
        is_apart = Decimal(status.exposure_gap) > self.limits.exposure_gap
        follower.gap_ms = _since(follower.gap_ms, is_apart, now_ms)

    # -- knowing --------------------------------------------------------------------------------------------

    def leaders(self) -> Iterator[tuple[str, LeaderState]]:
        """Everybody whose feed is listened to."""
        yield from sorted(self._leaders.items())

    def followers(self) -> Iterator[tuple[str, str, FollowerState]]:
        """Those that should be there: who stopped in order is not missed."""
        for (follower_id, leader_id), found in sorted(self._followers.items()):
            if found.status.mode != "stopped":
                yield follower_id, leader_id, found

    def beat_age_ms(self, leader_id: str, now_ms: int) -> int | None:
        """How long a leader has not been heard."""
        beat_ms = self._leader(leader_id).beat_ms
        return None if beat_ms is None else now_ms - beat_ms

    def _leader(self, leader_id: str) -> LeaderState:
        return self._leaders.setdefault(leader_id, LeaderState())


_SINCE = {"stale": "behind_ms", "unknown_orders": "unknown_ms", "exposure_gap": "gap_ms"}


def _grows(published: PublishedSignal) -> bool:
    """Whether the step made the leader's position larger: it points the way the position now does."""
    qty = Decimal(published.signal.position.qty)
    return qty > 0 if published.signal.side == "buy" else qty < 0


def _since(before_ms: int | None, holds: bool, now_ms: int) -> int | None:
    return None if not holds else before_ms if before_ms is not None else now_ms
