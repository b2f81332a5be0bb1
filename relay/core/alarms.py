"""Whether something is wrong just now: since when, what it means, what to do.

Belongs here: the rules, each a pure function of what was heard and of the time. Does not belong here: what is
remembered (`watch`), who is told (`relay.watching`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from typing import Literal, NamedTuple

from relay.core.drift import quantile
from relay.core.watch import Watch

__all__ = ["RULES", "Alarm", "Alarms", "Severity"]

FEW = 10  # of samples, below which nothing is said
HELD_MS = 120_000  # for followers' words to come, after a restart
BPS_PLACES = Decimal("0.1")

Severity = Literal["warning", "critical"]


class Alarm(NamedTuple):
    """Something that is wrong. `rule` and `subject` name it as long as it lasts."""

    rule: str
    subject: str
    severity: Severity
    since_ms: int
    what: str
    todo: str

    @property
    def key(self) -> tuple[str, str]:
        return (self.rule, self.subject)


class Alarms:
    """What is wrong, look by look: an alarm keeps the time it began at for as long as it lasts."""

    def __init__(self, watch: Watch) -> None:
        self._watch = watch
        self._standing: dict[tuple[str, str], Alarm] = {}
        self._held: dict[tuple[str, str], Alarm] = {}
        self._held_until_ms = 0

    def remember(self, alarms: Sequence[Alarm], now_ms: int) -> None:
        """What was wrong when a program before this one ended, and what the watch remembers of it."""
        self._standing = {alarm.key: alarm for alarm in alarms}
        # how far a clock is off is not in any store: it stands until enough was heard
        held = (alarm for alarm in alarms if alarm.rule == "clock_skew")
        self._held = {alarm.key: alarm for alarm in held}
        self._held_until_ms = now_ms + HELD_MS

    def look(self, now_ms: int) -> list[Alarm]:
        """Everything that is wrong, the worst and oldest first."""
        found = {alarm.key: alarm for rule in RULES for alarm in rule(self._watch, now_ms)}
        if now_ms < self._held_until_ms:
            known = {follower for follower, _, heard in self._watch.followers() if len(heard.skews) >= FEW}
            found = {k: alarm for k, alarm in self._held.items() if alarm.subject not in known} | found
        for key, alarm in found.items():
            before = self._standing.get(key, alarm)
            found[key] = alarm._replace(since_ms=min(alarm.since_ms, before.since_ms))
        self._standing = found
        return sorted(found.values(), key=_worst_first)


def _worst_first(alarm: Alarm) -> tuple[bool, int, tuple[str, str]]:
    return (alarm.severity != "critical", alarm.since_ms, alarm.key)


def _no_heartbeat(watch: Watch, now_ms: int) -> Iterator[Alarm]:
    for leader_id, leader in watch.leaders():
        if leader.beat_ms is not None and now_ms - leader.beat_ms > watch.limits.heartbeat_age_ms:
            what = f"{leader_id} has not been heard for {(now_ms - leader.beat_ms) / 1000:.0f} s."
            todo = "Look at the publisher and its link to the broker. Followers enter nothing meanwhile."
            yield Alarm("no_heartbeat", leader_id, "critical", leader.beat_ms, what, todo)


def _gap(watch: Watch, now_ms: int) -> Iterator[Alarm]:
    for leader_id, leader in watch.leaders():
        if leader.gap_ms is not None and now_ms - leader.gap_ms > watch.limits.gap_ms:
            what = f"Messages of {leader_id} are missing and could not be fetched."
            todo = "Look at the broker's stream: its retention, its disk, its rights."
            yield Alarm("gap", leader_id, "critical", leader.gap_ms, what, todo)


def _equivocation(watch: Watch, _now_ms: int) -> Iterator[Alarm]:
    for leader_id, leader in watch.leaders():
        if leader.locked is not None:
            reason, detail, since_ms = leader.locked
            what = f"{leader_id} is locked ({reason}): {detail}."
            todo = (
                "Do not follow this leader until it is clear who has the key; the signed evidence is kept, "
            )
            todo += "and as long as it lies there he is not listened to."
            yield Alarm("equivocation", leader_id, "critical", since_ms, what, todo)


def _front_runs(watch: Watch, now_ms: int) -> Iterator[Alarm]:
    for leader_id, leader in watch.leaders():
        recent = list(leader.lags_bps.values())[-2 * FEW :]
        if len(recent) < FEW:
            continue
        mean = sum(recent, Decimal(0)) / len(recent)
        if mean > watch.limits.leader_lag_bps:
            moved = f"{mean.quantize(BPS_PLACES)} bps in {leader_id}'s favour"
            what = f"The market moves {moved} before his signals are sealed ({len(recent)} entries)."
            todo = "Compare his fills' times with the feed's: the publisher is slow, or he trades first."
            yield Alarm("leader_front_runs", leader_id, "warning", now_ms, what, todo)


def _against(watch: Watch, now_ms: int) -> Iterator[Alarm]:
    for leader_id, leader in watch.leaders():
        recent = [at_ms for at_ms in leader.against if now_ms - at_ms <= watch.limits.against_span_ms]
        if len(recent) >= watch.limits.against_count:
            what = (
                f"{leader_id} closed half or more of an entry within {watch.limits.against_ms // 1000} s "
                f"{len(recent)} times: his followers buy what he sells."
            )
            todo = "Look at the timeline of these signals before anybody goes on following."
            yield Alarm("leader_against_followers", leader_id, "warning", recent[0], what, todo)


def _unfair(watch: Watch, now_ms: int) -> Iterator[Alarm]:
    medians: dict[str, list[tuple[int, str]]] = {}
    for follower_id, leader_id, follower in watch.followers():
        if len(follower.transits) >= FEW:
            medians.setdefault(leader_id, []).append((quantile(sorted(follower.transits), 50), follower_id))
    for leader_id, found in medians.items():
        (low, _), (high, slowest) = min(found), max(found)
        if high - low > watch.limits.unfair_ms:
            what = f"{slowest} gets {leader_id}'s signals {high - low} ms later than the first (medians)."
            todo = "Look at that follower's link and load; deliberate waves are not counted in this."
            yield Alarm("delivery_unfair", leader_id, "warning", now_ms, what, todo)


def _silent(watch: Watch, now_ms: int) -> Iterator[Alarm]:
    for follower_id, _, follower in watch.followers():
        heard_ms = follower.heard_ms if follower.was_silent else max(follower.heard_ms, watch.listening_ms)
        if now_ms - heard_ms > watch.limits.follower_silent_ms:
            what = f"{follower_id} has not reported for {(now_ms - follower.heard_ms) / 1000:.0f} s."
            todo = "It did not say that it stops: look whether its program runs and reaches the broker."
            yield Alarm("follower_silent", follower_id, "warning", follower.heard_ms, what, todo)


def _stale(watch: Watch, now_ms: int) -> Iterator[Alarm]:
    for follower_id, leader_id, follower in watch.followers():
        behind_ms = follower.behind_ms
        if behind_ms is not None and now_ms - behind_ms > watch.limits.stale_ms:
            what = f"{follower_id} owes a verdict on a signal of {leader_id} for {now_ms - behind_ms} ms."
            todo = "Look at `follower-client status` there: is it paused, or waiting for its venue?"
            yield Alarm("stale", follower_id, "warning", behind_ms, what, todo)


def _unknown(watch: Watch, now_ms: int) -> Iterator[Alarm]:
    for follower_id, _, follower in watch.followers():
        since_ms = follower.unknown_ms
        if since_ms is not None and now_ms - since_ms > watch.limits.unknown_orders_ms:
            what = f"{follower_id} does not know what became of {follower.status.unknown_orders} orders."
            todo = "It enters nothing in these symbols meanwhile; look the orders up at the venue."
            yield Alarm("unknown_orders", follower_id, "critical", since_ms, what, todo)


def _exposure(watch: Watch, now_ms: int) -> Iterator[Alarm]:
    for follower_id, _, follower in watch.followers():
        since_ms = follower.gap_ms
        if since_ms is not None and now_ms - since_ms > watch.limits.exposure_gap_ms:
            gap = Decimal(follower.status.exposure_gap) * 100
            what = f"{follower_id} is {gap:.1f} % of its equity away from where its policy wants it."
            todo = "Look at its verdicts: caps, minimums or rejects keep it from catching up."
            yield Alarm("exposure_gap", follower_id, "warning", since_ms, what, todo)


def _skew(watch: Watch, now_ms: int) -> Iterator[Alarm]:
    for follower_id, _, follower in watch.followers():
        if len(follower.skews) < FEW:
            continue
        skew = quantile(sorted(follower.skews), 50)
        if abs(skew) > watch.limits.clock_skew_ms:
            what = f"{follower_id}'s clock, or its way to here, is off by {skew} ms (median)."
            todo = "Synchronise its clock (chrony, systemd-timesyncd): its latencies are not to be believed."
            yield Alarm("clock_skew", follower_id, "warning", now_ms, what, todo)


def _rejects(watch: Watch, now_ms: int) -> Iterator[Alarm]:
    for follower_id, _, follower in watch.followers():
        orders = list(follower.orders)[-5 * FEW :]
        if len(orders) >= FEW and Decimal(sum(orders)) / len(orders) > watch.limits.reject_rate:
            what = f"The venue rejected {sum(orders)} of {follower_id}'s last {len(orders)} orders."
            todo = "`follower-client verdicts` there has the venue's codes: margin, rights, position mode?"
            yield Alarm("rejects", follower_id, "warning", now_ms, what, todo)


def _transit(watch: Watch, now_ms: int) -> Iterator[Alarm]:
    for follower_id, _, follower in watch.followers():
        if len(follower.transits) >= FEW:
            slow = quantile(sorted(follower.transits), 99)
            if slow > watch.limits.transit_p99_ms:
                what = f"Signals reach {follower_id} in up to {slow} ms (p99 of {len(follower.transits)})."
                todo = "Look at the link between broker and follower, and at the load on both."
                yield Alarm("slow_transit", follower_id, "warning", now_ms, what, todo)


def _barred(watch: Watch, now_ms: int) -> Iterator[Alarm]:
    for follower_id, barred in sorted(watch.barred.items()):
        if now_ms < barred.until_ms:
            minutes = (barred.until_ms - barred.since_ms) / 60_000
            what = f"{follower_id} is kept out for {minutes:.0f} min, he takes too much: {barred.why}."
            todo = "Nothing is copied meanwhile, exits neither: tell him, he may flatten at his venue, and "
            todo += "resumes when he is let in. Was it no mistake: `relay followers remove`."
            yield Alarm("follower_barred", follower_id, "critical", barred.since_ms, what, todo)


RULES: tuple[Callable[[Watch, int], Iterator[Alarm]], ...] = (
    *(_no_heartbeat, _gap, _equivocation, _front_runs, _against, _unfair),
    *(_silent, _stale, _unknown, _exposure, _skew, _rejects, _transit, _barred),
)
