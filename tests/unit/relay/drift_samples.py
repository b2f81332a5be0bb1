"""Messages as a leader and five followers could have sent them, for tests of the drift monitor.

Belongs here: builders with sensible defaults, and one whole seeded run with a fall in the middle.
Does not belong here: assertions.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from relay.core.verdicts import PublishedSignal, ReportRows
from relay.protocol.messages import (
    CopyReport,
    FillRow,
    MarketState,
    OrderRow,
    PositionState,
    Signal,
    StaggerPlan,
    StatusReport,
)

SYMBOL = "BTC/USDT:USDT"
START_MS = 1_760_130_000_000
LEADER = "alice"


def a_signal(
    seq: int = 1, *, price: str = "60000", side: str = "buy", at_ms: int = START_MS, **changes: Any
) -> PublishedSignal:
    """One signal of the leader; the book stands one tick around its price unless `market` says otherwise."""
    market = MarketState(
        mark=price, index=price, last=price, bid=str(Decimal(price) - 1), ask=str(Decimal(price) + 1)
    )
    values: dict[str, Any] = {
        "signal_id": f"{LEADER}.1.{seq}",
        "cause": "trade",
        "symbol": SYMBOL,
        "side": side,
        "qty": "0.5",
        "price": price,
        "fill_ids": [f"leader-{seq}"],
        "position": PositionState(symbol=SYMBOL, qty="0.5", entry_price=price, exposure="0.3", leverage="10"),
        "equity": "100000",
        "account_leverage": "0.3",
        "market": market,
        "leader_exec_ms": at_ms,
        "seen_ms": at_ms + 4,
        "sealed_ms": at_ms + 6,
        "expires_ms": 3000,
        "stagger": StaggerPlan(waves=2, spacing_ms=40),
        **changes,
    }
    return PublishedSignal(LEADER, 1, seq, Signal(**values))


def a_fill(price: str, qty: str = "0.1", *, fill_id: str = "f1", at_ms: int = START_MS + 30) -> FillRow:
    fee = str(Decimal(price) * Decimal(qty) * Decimal("0.00055"))
    return FillRow(
        fill_id=fill_id, qty=qty, price=price, fee=fee, fee_currency="USDT", executed_ms=at_ms, is_maker=False
    )


def a_copy(
    of: PublishedSignal, follower: str = "steady", *, price: str | None = "60003", **changes: Any
) -> CopyReport:
    """One follower's verdict: copied at `price`, or skipped when that is None."""
    base_ms = of.signal.sealed_ms
    fills = [] if price is None else [a_fill(price, at_ms=base_ms + 30, fill_id=f"{follower}-{of.seq}")]
    order = OrderRow(
        client_order_id=f"id-{follower}-{of.seq}",
        order_id=f"venue-{of.seq}",
        side=of.signal.side,
        qty="0.1",
        reduce_only=False,
        outcome="accepted",
        fills=fills,
    )
    executed: dict[str, Any] = {
        "released_ms": base_ms + 12,
        "submitted_ms": base_ms + 14,
        "accepted_ms": base_ms + 32,
        "executed_ms": base_ms + 30,
        "received_mid": "60001",
        "released_mid": "60001.5",
        "submitted_mid": "60001.5",
        "accepted_mid": "60002",
        "leverage_after": "0.14",
        "leverage_cap": "0.15",
        "orders": [order],
    }
    values: dict[str, Any] = {
        "follower_id": follower,
        "leader_id": of.leader_id,
        "epoch": of.epoch,
        "seq": of.seq,
        "signal_id": of.signal.signal_id,
        "symbol": of.signal.symbol,
        "side": of.signal.side,
        "policy": "exposure 0.5",
        "paper": False,
        "verdict": "copied" if price is not None else "skipped",
        "reason": "copied" if price is not None else "below_minimum",
        "detail": "",
        "is_exit": False,
        "target_qty": "0.1",
        "order_qty": "0.1" if price is not None else "0",
        "wanted_qty": "0.1",
        "received_ms": base_ms + 2,
        "received_mark": "60000",
        "received_last": "60006",
        **(executed if price is not None else {}),
        **changes,
    }
    return CopyReport(**values)


def a_status(follower: str = "steady", *, at_ms: int = START_MS - 500, **changes: Any) -> StatusReport:
    values: dict[str, Any] = {
        "follower_id": follower,
        "leader_id": LEADER,
        "policy": "exposure 0.5",
        "paper": False,
        "sent_ms": at_ms,
        "head_seq": 0,
        "equity": "20000",
        "positions": [],
        "target_exposure": "0",
        "actual_exposure": "0",
        "exposure_gap": "0",
        "leverage": "0",
        "leverage_peak": "0",
        "unknown_orders": 0,
        "mode": "running",
        **changes,
    }
    return StatusReport(**values)


@dataclass
class SampleRun:
    """A whole run: messages, prices, liquidations, and when the fall was."""

    signals: list[PublishedSignal] = field(default_factory=list)
    copies: list[CopyReport] = field(default_factory=list)
    statuses: list[StatusReport] = field(default_factory=list)
    prices: list[tuple[int, int | None, str | None, str | None, str | None]] = field(default_factory=list)
    liquidations: list[tuple[int, str, str, str]] = field(default_factory=list)  # wall_ms, price, qty, side
    shock: tuple[int, int] = (0, 0)

    @property
    def rows(self) -> ReportRows:
        return ReportRows(self.signals, self.copies, self.statuses)


# id, policy, chance of an entry being capped / skipped, skip reason, latency of the venue, spread paid (bps)
FOLLOWERS = (
    ("steady", "exposure 0.5", 0.0, 0.0, "", 9, 1.1),
    ("fixed", "fixed_notional 1500 USDT", 0.0, 0.08, "entry_guard", 10, 0.9),
    ("bold", "exposure 3", 0.7, 0.0, "", 9, 2.2),
    ("tiny", "exposure 0.5", 0.0, 1.0, "below_minimum", 9, 0.0),
    ("paper", "exposure 0.4 paper", 0.0, 0.04, "stale", 2, 1.0),
)


def sample_run(seed: int = 7, *, seconds: int = 60, time_factor: int = 120) -> SampleRun:
    """A seeded minute: a random walk that falls by 12 % in the middle, 26 signals, five followers."""
    rng = random.Random(seed)
    run = SampleRun(shock=(START_MS + seconds * 475, START_MS + seconds * 590))
    price, last_gap = 121_000.0, 0.0
    path: dict[int, float] = {}
    for step in range(seconds * 4):
        at_ms = START_MS + step * 250
        falling = run.shock[0] <= at_ms < run.shock[1]
        price *= 1 + rng.gauss(-0.0042 if falling else 0.00012, 0.0022 if falling else 0.00045)
        last_gap = last_gap * 0.6 + rng.gauss(-0.0012 if falling else 0, 0.0012 if falling else 0.0002)
        path[at_ms] = price
        market_ms = START_MS + (at_ms - START_MS) * time_factor
        last = price * (1 + last_gap)
        run.prices.append((at_ms, market_ms, _text(price), _text(price * (1 + last_gap * 0.35)), _text(last)))
        for _ in range(rng.randrange(1, 7) if falling else int(rng.random() < 0.02)):
            qty = f"{rng.uniform(0.01, 1.5):.3f}"
            run.liquidations.append(
                (at_ms + rng.randrange(250), _text(last * rng.uniform(0.995, 1.004)), qty, "sell")
            )
    for follower, policy, *_ in FOLLOWERS:
        run.statuses.append(a_status(follower, policy=policy, paper=policy.endswith("paper")))
    for seq in range(1, 27):
        at_ms = START_MS + 2_000 + int((seq - 1 + rng.random() * 0.6) * (seconds - 5) * 1000 / 26)
        _one_signal(run, rng, seq, at_ms, path[START_MS + (at_ms - START_MS) // 250 * 250])
    for follower, policy, *_ in FOLLOWERS:
        gap = f"{abs(rng.gauss(0, 0.004)):.6f}" if follower != "tiny" else "0.31"
        last_word = a_status(
            follower,
            at_ms=START_MS + seconds * 1000,
            policy=policy,
            exposure_gap=gap,
            leverage_peak="0" if follower == "tiny" else f"{0.5 + rng.random():.4f}",
            mode="stopped",
        )
        run.statuses.append(last_word)
    return run


def _one_signal(run: SampleRun, rng: random.Random, seq: int, at_ms: int, price: float) -> None:
    is_exit = seq % 3 == 0
    side = "sell" if is_exit else "buy"
    falling = run.shock[0] <= at_ms < run.shock[1] + 800
    seen, sealed = at_ms + rng.randrange(2, 6), at_ms + rng.randrange(6, 10)
    half_spread = price * (0.0006 if falling else 0.00006)
    market = MarketState(
        mark=_text(price),
        index=_text(price * 1.0002),
        last=_text(price),
        bid=_text(price - half_spread),
        ask=_text(price + half_spread),
    )
    leverage = f"{rng.uniform(1.2, 2.4):.4f}"
    published = a_signal(
        seq,
        price=_text(price),
        side=side,
        at_ms=at_ms,
        seen_ms=seen,
        sealed_ms=sealed,
        market=market,
        account_leverage=leverage,
    )
    run.signals.append(published)
    for follower in FOLLOWERS:
        run.copies.append(_one_copy(rng, published, follower, price, is_exit, falling, Decimal(leverage) / 2))


def _one_copy(
    rng: random.Random,
    of: PublishedSignal,
    follower: tuple[str, str, float, float, str, int, float],
    price: float,
    is_exit: bool,
    falling: bool,
    cap: Decimal,
) -> CopyReport:
    name, policy, capped, skipped, reason, venue_ms, spread_bps = follower
    common: dict[str, Any] = {"policy": policy, "paper": policy.endswith("paper"), "is_exit": is_exit}
    received = of.signal.sealed_ms + rng.randrange(1, 5)
    common["received_ms"] = received
    if rng.random() < skipped:
        detail = "the order would be below the smallest notional of 5 USDT"
        return a_copy(of, name, price=None, **common, reason=reason, detail=detail)
    sign = 1 if of.signal.side == "buy" else -1
    noise = 14.0 if falling else 1.0
    mid = price
    mids = {}
    for step, bps in (("received", 0.25), ("released", 0.6), ("submitted", 0.15), ("accepted", 0.5)):
        mid *= 1 + sign * rng.gauss(bps * 0.2, bps * noise) / 10_000
        mids[f"{step}_mid"] = _text(mid)
    fill = mid * (1 + sign * abs(rng.gauss(spread_bps * (4 if falling else 1), 0.3)) / 10_000)
    released = received + (rng.choice((0, 40)) if not is_exit else 0)
    submitted = released + rng.randrange(1, 4)
    executed = submitted + venue_ms + rng.randrange(0, 6) + (rng.randrange(30) if falling else 0)
    verdict = "capped" if not is_exit and rng.random() < capped else "copied"
    after = (
        None
        if is_exit
        else str((cap * Decimal(f"{rng.uniform(0.5, 0.999):.4f}")).quantize(Decimal("0.0001")))
    )
    order = OrderRow(
        client_order_id=f"id-{name}-{of.seq}",
        order_id=f"v-{name}-{of.seq}",
        side=of.signal.side,
        qty="0.1",
        reduce_only=is_exit,
        outcome="accepted",
        fills=[a_fill(_text(fill), fill_id=f"{name}-{of.seq}", at_ms=executed)],
    )
    return a_copy(
        of,
        name,
        price=_text(fill),
        **common,
        verdict=verdict,
        reason="copied" if verdict == "copied" else "leverage_cap",
        released_ms=released,
        submitted_ms=submitted,
        accepted_ms=executed + 3,
        executed_ms=executed,
        leverage_after=after,
        leverage_cap=None if is_exit else str(cap),
        orders=[order],
        **mids,
    )


def _text(price: float) -> str:
    return str(Decimal(f"{price:.1f}"))
