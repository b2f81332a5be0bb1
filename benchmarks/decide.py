"""decide: pure decisions per second, no store, no venue. Only reported.

Belongs here: one typical signal, account and policy, and the loop. Does not belong here: anything else that
a follower does.
"""

from __future__ import annotations

import statistics
import time
from decimal import Decimal

from benchmarks.interleave import ROUNDS, spread
from benchmarks.signals import SYMBOL, build_signal
from benchmarks.table import Row, reported
from follower_client.core.decide import Action, decide
from follower_client.core.policy import Policy
from follower_client.core.snapshot import Instrument, LeverageTier, Quote, Snapshot

__all__ = ["NAMES", "run"]

NAMES = ("decide",)
CALLS = 10_000
NOW_MS = 1_800_000_000_000


def run(only: set[str] | None) -> list[Row]:
    """The row, if it is asked for."""
    if only is not None and "decide" not in only:
        return []
    signal = build_signal("alice.1.1", NOW_MS)
    snapshot, policy = _snapshot(), Policy(label="exposure 0.5")
    decision = decide(signal, snapshot, policy, NOW_MS)
    if decision.action is not Action.ORDER:
        raise RuntimeError(f"the decision was to be an order, not {decision.reason}")
    rates = []
    for _ in range(ROUNDS + 1):
        start = time.perf_counter()
        for _ in range(CALLS):
            decide(signal, snapshot, policy, NOW_MS)
        rates.append(CALLS / (time.perf_counter() - start))
    rates = rates[1:]
    passed_us = []
    for _ in range(CALLS):
        start_ns = time.perf_counter_ns()
        decide(signal, snapshot, policy, NOW_MS)
        passed_us.append((time.perf_counter_ns() - start_ns) / 1000)
    note = (
        f"an entry through every gate and cap, one position held elsewhere; rounds {spread(rates)}; "
        f"one call p50 {statistics.median(passed_us):.1f} us (at most 50 is wanted)"
    )
    return [reported("decide", "calls/s", statistics.median(rates), [note])]


def _snapshot() -> Snapshot:
    price, other = Decimal(100_000), "ETH/USDT:USDT"
    return Snapshot(
        equity=Decimal(20_000),
        available=Decimal(18_000),
        positions={other: Decimal("-0.5")},
        quotes={
            SYMBOL: Quote(price - 1, price + 1, price, price, NOW_MS),
            other: Quote(Decimal(3_999), Decimal(4_001), Decimal(4_000), Decimal(4_000), NOW_MS),
        },
        instruments={SYMBOL: _instrument(SYMBOL), other: _instrument(other)},
        wave_start_ms=NOW_MS,
        leverage_settings={SYMBOL: Decimal(10), other: Decimal(10)},
    )


def _instrument(symbol: str) -> Instrument:
    return Instrument(
        symbol=symbol,
        qty_step=Decimal("0.001"),
        qty_min=Decimal("0.001"),
        qty_max=Decimal(1_000),
        notional_min_usdt=Decimal(5),
        tick_size=Decimal("0.1"),
        tiers=(
            LeverageTier(Decimal(2_000_000), Decimal(100)),
            LeverageTier(Decimal(20_000_000), Decimal(50)),
        ),
    )
