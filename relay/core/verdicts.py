"""Which signals count for which follower, and what became of each.

Belongs here: presence (from when to when a follower listened), each verdict, the measure of every
executed copy. Does not belong here: counting (`tally`), one copy's arithmetic (`drift`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from relay.core.drift import CopyDrift, measure
from relay.protocol.messages import CopyReport, Signal, StatusReport

__all__ = [
    "EXECUTED_VERDICTS",
    "NO_VERDICT",
    "Judged",
    "Pair",
    "PublishedSignal",
    "ReportRows",
    "is_entry",
    "judge",
    "judge_copy",
    "presence",
]

NO_VERDICT = "no_verdict"
EXECUTED_VERDICTS = ("copied", "capped")

Pair = tuple[str, str]  # follower id, leader id


@dataclass(frozen=True, slots=True)
class PublishedSignal:
    """A signal and its place in its leader's feed."""

    leader_id: str
    epoch: int
    seq: int
    signal: Signal


@dataclass(frozen=True, slots=True)
class ReportRows:
    """What a report is made of. At most one copy per (follower, leader, epoch, seq).

    `joined_ms` is when each (follower, leader) was first heard of, over everything ever stored; where it does
    not name a pair, the rows at hand decide.
    """

    signals: Sequence[PublishedSignal]
    copies: Sequence[CopyReport]
    statuses: Sequence[StatusReport]
    joined_ms: Mapping[Pair, int] = field(default_factory=dict)
    refused: Mapping[str, int] = field(default_factory=dict)  # reports kept out at the door, by reason
    since_ms: int = 0  # a last word may be older; it says where a follower stands, and nothing of this time


@dataclass(frozen=True, slots=True)
class Judged:
    """What became of one signal at one follower."""

    follower_id: str
    published: PublishedSignal
    copy: CopyReport | None
    verdict: str
    reason: str
    drift: CopyDrift | None


def judge(rows: ReportRows) -> dict[str, list[Judged]]:
    """Every follower's signals in feed order, each with its verdict (an empty list where there was none)."""
    copies = {(c.follower_id, c.leader_id, c.epoch, c.seq): c for c in rows.copies}
    joined, left = presence(rows)
    by_leader: dict[str, list[PublishedSignal]] = defaultdict(list)
    for published in sorted(rows.signals, key=lambda p: (p.leader_id, p.epoch, p.seq)):
        by_leader[published.leader_id].append(published)
    judged: dict[str, list[Judged]] = {follower: [] for follower, _ in sorted(joined)}
    for (follower, leader), joined_ms in sorted(joined.items()):
        for published in by_leader[leader]:
            copy = copies.get((follower, leader, published.epoch, published.seq))
            if copy is not None:
                judged[follower].append(judge_copy(published, copy))
            elif (
                joined_ms
                <= published.signal.sealed_ms
                <= left.get((follower, leader), published.signal.sealed_ms)
            ):
                judged[follower].append(Judged(follower, published, None, "missed", NO_VERDICT, None))
    return judged


def is_entry(copy: CopyReport) -> bool:
    """Whether an order that adds risk reached the venue, or may have (unknown counts as filled)."""
    sent = any(order.outcome != "rejected" for order in copy.orders)
    return sent and not copy.is_exit and copy.leverage_after is not None


def presence(rows: ReportRows) -> tuple[dict[Pair, int], dict[Pair, int]]:
    """When each follower was first heard of, and when it stopped (only where that is its last word)."""
    joined = dict(rows.joined_ms)
    heard = [((s.follower_id, s.leader_id), s.sent_ms) for s in rows.statuses]
    heard += [((c.follower_id, c.leader_id), c.received_ms) for c in rows.copies]
    for pair, at_ms in heard:
        if pair not in rows.joined_ms:
            joined[pair] = min(at_ms, joined.get(pair, at_ms))
    last = {(s.follower_id, s.leader_id): s for s in sorted(rows.statuses, key=lambda s: s.sent_ms)}
    return joined, {pair: status.sent_ms for pair, status in last.items() if status.mode == "stopped"}


def judge_copy(published: PublishedSignal, copy: CopyReport) -> Judged:
    """What a follower's verdict on a signal is worth."""
    drift = measure(published.signal, copy) if copy.verdict in EXECUTED_VERDICTS else None
    return Judged(copy.follower_id, published, copy, copy.verdict, copy.reason, drift)
