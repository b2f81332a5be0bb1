"""What followers could have reported: the rows that the drift store's benchmarks write and count.

Belongs here: seeded signals and reports. Does not belong here: timing, databases.
"""

from __future__ import annotations

import random
from collections.abc import Iterator

from msgspec import structs

from benchmarks.signals import LEADER, SYMBOL, build_signal
from relay.protocol.messages import CopyReport, FillRow, OrderRow, StatusReport
from relay.store import FeedEntry, FeedHead

__all__ = ["entries", "reports", "statuses"]

VENUE_MS = 9
SPREAD_BPS = 1.2


def entries(first_seq: int, count: int, from_ms: int, step_ms: int) -> list[FeedEntry]:
    """So many signals of the leader, one every `step_ms`."""
    return [
        FeedEntry(
            FeedHead(LEADER, 1, seq, "h"),
            build_signal(f"{LEADER}.1.{seq}", from_ms + (seq - first_seq) * step_ms),
        )
        for seq in range(first_seq, first_seq + count)
    ]


def reports(
    of: list[FeedEntry], followers: list[str], fills_each: int = 1, seed: int = 7
) -> Iterator[CopyReport]:
    """Every follower's executed copy of every one of these signals."""
    rng = random.Random(seed)
    for entry in of:
        assert entry.signal is not None
        for follower in followers:
            yield _report(entry, follower, fills_each, rng)


def _report(entry: FeedEntry, follower: str, fills_each: int, rng: random.Random) -> CopyReport:
    signal, seq = entry.signal, entry.head.seq
    assert signal is not None
    price = float(signal.price)
    times = [signal.sealed_ms + rng.randrange(1, 5)]
    for longest in (3, 3, VENUE_MS, VENUE_MS):
        times.append(times[-1] + rng.randrange(1, longest))
    mids = [f"{price * (1 + rng.gauss(0, 0.00005)):.2f}" for _ in range(4)]
    fills = [
        FillRow(
            fill_id=f"{follower}-{seq}-{number}",
            qty="0.025",
            price=f"{price * (1 + rng.gauss(SPREAD_BPS, 1.5) / 10_000):.2f}",
            fee="1.375",
            fee_currency="USDT",
            executed_ms=times[-1],
            is_maker=False,
        )
        for number in range(fills_each)
    ]
    order = OrderRow(
        client_order_id=f"{follower}-{seq}",
        order_id=f"venue-{follower}-{seq}",
        side=signal.side,
        qty=f"{0.025 * fills_each:.3f}",
        reduce_only=False,
        outcome="accepted",
        fills=fills,
    )
    return CopyReport(
        follower_id=follower,
        leader_id=LEADER,
        epoch=1,
        seq=seq,
        signal_id=signal.signal_id,
        symbol=SYMBOL,
        side=signal.side,
        policy="exposure 0.5",
        paper=False,
        verdict="copied",
        reason="copied",
        detail="",
        is_exit=False,
        target_qty=order.qty,
        order_qty=order.qty,
        wanted_qty=order.qty,
        leverage_after="0.14",
        leverage_cap="0.15",
        received_ms=times[0],
        released_ms=times[1],
        submitted_ms=times[2],
        accepted_ms=times[3],
        executed_ms=times[4],
        received_mid=mids[0],
        released_mid=mids[1],
        submitted_mid=mids[2],
        accepted_mid=mids[3],
        received_mark=signal.market.mark,
        received_last=signal.market.last,
        orders=[order],
    )


def statuses(followers: list[str], at_ms: int) -> list[StatusReport]:
    """Every follower's word."""
    first = StatusReport(
        follower_id=followers[0],
        leader_id=LEADER,
        policy="exposure 0.5",
        paper=False,
        sent_ms=at_ms,
        head_seq=0,
        equity="20000",
        positions=[],
        target_exposure="0",
        actual_exposure="0",
        exposure_gap="0",
        leverage="0",
        leverage_peak="0",
        unknown_orders=0,
        mode="running",
    )
    return [structs.replace(first, follower_id=follower) for follower in followers]
