"""Known delays on a market that moves at a known pace, and a known impact: the report finds them again.

The middle price rises by one USDT a millisecond, so a step that takes d ms costs a buyer d / 100,000 of the
leader's price and gains a seller as much; every fill is a known number of basis points beyond the middle.
"""

from __future__ import annotations

import json
from decimal import Decimal

import pytest
from typer.testing import CliRunner

from relay.cli import app
from relay.protocol.messages import CopyReport, MarketState
from relay.store import DriftStore, FeedEntry, FeedHead, StorePlace
from tests.unit.relay.drift_samples import LEADER, START_MS, a_copy, a_fill, a_signal

PRICE = Decimal(100_000)  # of the leader's every fill
SEEN, SEALED = 2, 6  # ms after it
PER_MS_BPS = Decimal("0.1")
# follower: ms in transit, waiting for its wave, deciding, at the venue; bps beyond the middle at its fill
FOLLOWERS = {
    "near": (5, 0, 1, 4, Decimal("0.5")),
    "staggered": (5, 40, 1, 4, Decimal("0.5")),
    "far": (80, 0, 3, 60, Decimal("1.5")),
    "large": (5, 0, 1, 4, Decimal("12.25")),
}
SIGNALS = 20


def middle(ms: int) -> Decimal:
    return PRICE + ms


def a_golden_copy(seq: int, side: str, follower: str) -> tuple[FeedEntry, CopyReport]:
    transit, stagger, decision, venue, impact = FOLLOWERS[follower]
    at_ms, sign = START_MS + seq * 1_000, 1 if side == "buy" else -1
    book = MarketState(
        mark=str(PRICE),
        index=str(PRICE),
        last=str(PRICE),
        bid=str(middle(SEALED) - 1),
        ask=str(middle(SEALED) + 1),
    )
    signal = a_signal(
        seq,
        price=str(PRICE),
        side=side,
        at_ms=at_ms,
        seen_ms=at_ms + SEEN,
        sealed_ms=at_ms + SEALED,
        market=book,
    )
    steps = [SEALED + transit]
    for took in (stagger, decision, venue):
        steps.append(steps[-1] + took)
    received, released, submitted, accepted = steps
    price = middle(accepted) + sign * PRICE * impact / 10_000
    fill = a_fill(f"{price:f}", at_ms=at_ms + accepted, fill_id=f"{follower}-{seq}")
    plain = a_copy(signal, follower)
    order = plain.orders[0]
    order.fills[:] = [fill]
    copy = a_copy(
        signal,
        follower,
        orders=[order],
        received_ms=at_ms + received,
        released_ms=at_ms + released,
        submitted_ms=at_ms + submitted,
        accepted_ms=at_ms + accepted,
        executed_ms=at_ms + accepted,
        received_mid=str(middle(received)),
        released_mid=str(middle(released)),
        submitted_mid=str(middle(submitted)),
        accepted_mid=str(middle(accepted)),
    )
    return FeedEntry(FeedHead(LEADER, 1, seq, "h"), signal.signal), copy


@pytest.mark.parametrize("side", ["buy", "sell"])
def test_known_delays_and_impact_are_the_parts(place: StorePlace, side: str) -> None:
    with DriftStore.open(place) as store:
        for seq in range(1, SIGNALS + 1):
            for follower in FOLLOWERS:
                store.write(a_golden_copy(seq, side, follower))
    done = CliRunner().invoke(app, ["report", "slippage", "--store", str(place), "--json"])
    assert done.exit_code == 0, done.output
    rows = {row["id"]: row for row in json.loads(done.stdout)["followers"]}
    moved = PER_MS_BPS if side == "buy" else -PER_MS_BPS
    for follower, (transit, stagger, decision, venue, impact) in FOLLOWERS.items():
        row = rows[follower]
        expected = {
            "leader_lag": SEALED * moved,
            "venue_basis": Decimal(0),
            "transit": transit * moved,
            "stagger": stagger * moved,
            "decision": decision * moved,
            "venue": venue * moved,
            "spread_impact": impact,
        }
        found = {part: Decimal(value) for part, value in row["slippage_parts_bps"].items()}
        assert found == expected, follower
        mean = Decimal(row["slippage_bps"]["mean"])
        assert mean == sum(expected.values()) == sum(found.values())
        assert abs(Decimal(row["slippage_bps"]["p50"]) - mean) <= abs(mean) / 200 + Decimal("0.01")
        assert row["latency_legs_ms"] == {
            "seen": SEEN,
            "sealed": SEALED - SEEN,
            "received": transit,
            "released": stagger,
            "submitted": decision,
            "accepted": venue,
            "executed": 0,
        }
        assert row["latency_ms"]["p50"] == SEALED + transit + stagger + decision + venue
