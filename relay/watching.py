"""Who hears what the monitor hears: metrics, alarms, pages that are open.

Belongs here: handing each thing on once, the look that raises and ends alarms, the ring of recent verdicts.
Does not belong here: the rules (`core.alarms`), the pages (`dashboard`), writing (`monitor`).

Nothing here delays the monitor: what it is told it keeps in memory, bounded; a page that reads too slowly
misses news.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import structlog

from relay.core.alarms import Alarm, Alarms
from relay.core.intake import Came, Odd, is_ahead
from relay.core.verdicts import Judged, PublishedSignal, ReportRows, judge_copy
from relay.core.watch import AlarmLimits, Watch
from relay.metrics import Metrics
from relay.protocol.feed import Accepted, Beat, FeedEvent, Locked, NeedGap, Resumed
from relay.protocol.looks import is_goodbye
from relay.protocol.messages import CopyReport, StatusReport
from relay.store import AlarmRecord, CopyRows, FeedEntry, RefusedReport, StoreItem, Word

__all__ = ["News", "Watching"]

SIGNALS_KEPT_MAX = 20_000
VERDICTS_KEPT_MAX = 100_000
RECENT_MAX = 500
SYMBOLS_MAX = 500
NEWS_WAITING_MAX = 1_000
LOOK_SECONDS = 0.5
STALL_SECONDS = 0.25
STALLS_MAX = 3  # in a row
SETTLE_SECONDS = 5.0  # after a restart: what was reported meanwhile is heard first
REMEMBERED_MS = 86_400_000  # who was last heard longer ago is not missed
LEADERS_RULES = ("no_heartbeat", "gap")

SignalKey = tuple[str, int, int]
Clock = Callable[[], int]

_log = structlog.get_logger("relay.alarms")


@dataclass(frozen=True, slots=True)
class News:
    """Something that an open page shows at once."""

    kind: Literal["signal", "verdict", "status", "alarms"]
    item: Any


class Watching:
    """Everything that looks on while the monitor writes."""

    def __init__(
        self,
        limits: AlarmLimits,
        notify: Callable[[Alarm, bool], None] = lambda _alarm, _is_over: None,
        clock_ms: Clock = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        """`notify` tells people that an alarm began or is over."""
        self.metrics = Metrics()
        self.watch = Watch(limits)
        self.standing: list[Alarm] = []
        self.symbols: set[str] = set()  # that leaders signal
        self.recent: deque[Judged] = deque(maxlen=RECENT_MAX)
        self._alarms = Alarms(self.watch)
        self._to_keep: deque[AlarmRecord] = deque(maxlen=RECENT_MAX)
        self._notify = notify
        self._clock_ms = clock_ms
        self._signals: OrderedDict[SignalKey, PublishedSignal] = OrderedDict()
        self._verdicts: OrderedDict[tuple[str, SignalKey], int] = OrderedDict()  # fills known
        self._pages: set[asyncio.Queue[News]] = set()
        self._has_past = False

    @contextmanager
    def page(self) -> Iterator[asyncio.Queue[News]]:
        """News for one open page; a queue that is full has missed some."""
        queue: asyncio.Queue[News] = asyncio.Queue(NEWS_WAITING_MAX)
        self._pages.add(queue)
        try:
            yield queue
        finally:
            self._pages.discard(queue)

    def remember(self, rows: ReportRows, alarms: Sequence[Alarm], leaders: Collection[str]) -> None:
        """What a program before this one heard last, and what it had raised. Counts nothing again."""
        now_ms = self.watch.listening_ms = self._clock_ms()
        for published in sorted(rows.signals, key=lambda each: each.signal.sealed_ms):
            self._keep_signal(published)
            self.watch.hear_signal(published, now_ms)
        for word in rows.statuses:
            if now_ms - word.sent_ms <= REMEMBERED_MS:
                self.watch.remember_status(word)
                self.metrics.note_standing(word)
        for copy in sorted(rows.copies, key=lambda each: each.received_ms):
            of = self._signals.get((copy.leader_id, copy.epoch, copy.seq))
            if of is not None:
                self._keep_verdict(copy)
                self.recent.append(item := judge_copy(of, copy))
                self.watch.hear_verdict(item)
        self.standing = list(alarms)
        for alarm in alarms:
            if alarm.rule not in LEADERS_RULES or alarm.subject in leaders:
                self.watch.remember_alarm(alarm.rule, alarm.subject, alarm.since_ms)
        self._alarms.remember(alarms, now_ms)
        self._has_past = bool(rows.statuses or alarms)

    def hear_stored(self, items: Sequence[StoreItem]) -> None:
        """What is in the store now."""
        now_ms = self._clock_ms()
        for item in items:
            if isinstance(item, FeedEntry):
                self._signal(item, now_ms)
            elif isinstance(item, CopyRows):
                self._copy(item.copy, item.came)
            elif isinstance(item, CopyReport):
                self._copy(item, None)
            elif isinstance(item, Word):
                self._word(item.status, item.came.ms)
            elif isinstance(item, StatusReport):
                self._word(item, now_ms)
            elif isinstance(item, RefusedReport):
                self._refused(item)

    def hear_odd(self, odd: Sequence[Odd]) -> None:
        """How reports came."""
        for each in odd:
            self.metrics.note_odd(each)

    def hear_feed(self, leader_id: str, events: Sequence[FeedEvent], *, is_whole: bool) -> None:
        """What a leader's feed reader said."""
        now_ms = self._clock_ms()
        for event in events:
            if isinstance(event, Beat):
                self.watch.hear_beat(leader_id, now_ms)
            elif isinstance(event, Accepted):
                self.watch.hear_word(leader_id, now_ms, is_last=is_goodbye(event.message))
            elif isinstance(event, NeedGap):
                self.metrics.note_gap(leader_id)
                self.watch.hear_gap(leader_id, now_ms)
            elif isinstance(event, Resumed):
                self.watch.hear_lost(leader_id, event.lost_count)
            elif isinstance(event, Locked):
                self.watch.hear_lock(leader_id, event.reason, event.detail, now_ms)
        if is_whole:
            self.watch.hear_whole(leader_id)

    def records(self) -> list[AlarmRecord]:
        """Alarms that began or ended since this was asked last, to be stored."""
        found = list(self._to_keep)
        self._to_keep.clear()
        return found

    def hear_barred(self, follower_id: str, why: str, seconds: float) -> None:
        """A follower is kept out for so long."""
        now_ms = self._clock_ms()
        self.watch.hear_barred(follower_id, why, now_ms, now_ms + int(seconds * 1000))

    async def run(self) -> None:
        """Look every LOOK_SECONDS, until cancelled."""
        await asyncio.sleep(SETTLE_SECONDS if self._has_past else 0)
        loop, passed_over = asyncio.get_running_loop(), 0
        while True:
            due_s = loop.time() + LOOK_SECONDS
            await asyncio.sleep(LOOK_SECONDS)
            # Where this program stood still, what was said meanwhile is heard before anybody is missed.
            has_stalled = loop.time() - due_s > STALL_SECONDS and passed_over < STALLS_MAX
            passed_over = passed_over + 1 if has_stalled else 0
            if not has_stalled:
                self.look()

    def look(self) -> None:
        """Raise what is wrong now, end what is not any more."""
        now_ms = self._clock_ms()
        for leader_id, leader in self.watch.leaders():
            age_ms = self.watch.beat_age_ms(leader_id, now_ms)
            self.metrics.note_beat_age(leader_id, age_ms or 0, is_locked=leader.locked is not None)
        before = {alarm.key: alarm for alarm in self.standing}
        self.standing = self._alarms.look(now_ms)
        now = {alarm.key: alarm for alarm in self.standing}
        self.metrics.note_alarms(self.standing)
        for key in now.keys() - before.keys():
            self._raise(now[key])
        for key in before.keys() - now.keys():
            self._end(before[key], now_ms)
        if now.keys() != before.keys():
            self._tell(News("alarms", self.standing))

    def _raise(self, alarm: Alarm) -> None:
        log = _log.error if alarm.severity == "critical" else _log.warning
        log("alarm", rule=alarm.rule, subject=alarm.subject, what=alarm.what, todo=alarm.todo)
        self._to_keep.append(AlarmRecord(alarm, None))
        self._notify(alarm, False)

    def _end(self, alarm: Alarm, now_ms: int) -> None:
        _log.info("alarm_over", rule=alarm.rule, subject=alarm.subject)
        self._to_keep.append(AlarmRecord(alarm, now_ms))
        self._notify(alarm, True)

    def _signal(self, entry: FeedEntry, now_ms: int) -> None:
        if entry.signal is None:
            return
        head = entry.head
        published = PublishedSignal(head.leader_id, head.epoch, head.seq, entry.signal)
        self._keep_signal(published)
        self.watch.hear_signal(published, now_ms)
        self.metrics.note_signal(head.leader_id, entry.signal.sealed_ms - entry.signal.leader_exec_ms)
        self._tell(News("signal", published))

    def _keep_signal(self, published: PublishedSignal) -> None:
        if len(self.symbols) < SYMBOLS_MAX:
            self.symbols.add(published.signal.symbol)
        self._signals[published.leader_id, published.epoch, published.seq] = published
        if len(self._signals) > SIGNALS_KEPT_MAX:
            self._signals.popitem(last=False)

    def _keep_verdict(self, copy: CopyReport) -> int | None:
        """Returns how many fills the last report of it knew; None = this is the first one."""
        key = (copy.follower_id, (copy.leader_id, copy.epoch, copy.seq))
        known = self._verdicts.get(key)
        fills = sum(len(order.fills) for order in copy.orders)
        self._verdicts[key] = max(fills, known or 0)
        if len(self._verdicts) > VERDICTS_KEPT_MAX:
            self._verdicts.popitem(last=False)
        return known

    def _copy(self, copy: CopyReport, came: Came | None) -> None:
        published = self._signals.get((copy.leader_id, copy.epoch, copy.seq))
        if published is None:
            return  # older than what is kept here, or unknown: the store counts it
        known = self._keep_verdict(copy)
        if known is not None and sum(len(order.fills) for order in copy.orders) <= known:
            return  # nothing new; the store counts it
        item = judge_copy(published, copy)
        ahead = came is not None and is_ahead(copy, came)
        if known is None:
            self.recent.append(item)
            self.watch.hear_verdict(item, is_ahead=ahead)
            self.metrics.note_verdict(item, is_ahead=ahead)
        else:  # the first report knew fewer fills
            self._replace_recent(item)
            if known == 0:
                self.metrics.note_price(item)
        self._tell(News("verdict", item))

    def _replace_recent(self, item: Judged) -> None:
        for at, shown in enumerate(self.recent):
            if shown.follower_id == item.follower_id and shown.published == item.published:
                self.recent[at] = item

    def _word(self, status: StatusReport, came_ms: int) -> None:
        self.watch.hear_status(status, came_ms)
        self.metrics.note_standing(status)
        self.metrics.note_skew(status, came_ms)
        self._tell(News("status", status))

    def _refused(self, item: RefusedReport) -> None:
        self.metrics.note_refused(item.refusal.reason)
        if item.word is not None and item.came is not None:
            self.watch.hear_status(item.word, item.came.ms, is_off=True)
            self.metrics.note_skew(item.word, item.came.ms)

    def _tell(self, news: News) -> None:
        for queue in self._pages:
            if not queue.full():
                queue.put_nowait(news)
