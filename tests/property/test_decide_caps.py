"""No sequence of signals makes a decision exceed a cap, and none raises one.

The account here is a model of its own: a decision's order is filled whole, partly, not at all, or stays
unknown. Caps are then recomputed from the policy's numbers and the raw signal, not from what the decision
says.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Literal

import msgspec
from hypothesis import event, given, settings
from hypothesis import strategies as st

from follower_client.core.decide import Action, Decision, decide
from follower_client.core.policy import BelowMinimum, Mode, Policy
from follower_client.core.snapshot import (
    Instrument,
    LeaderState,
    LeverageTier,
    Pending,
    Quote,
    Snapshot,
)
from follower_client.reports import wire_number
from relay.protocol.messages import Signal
from tests.unit.follower_client.build import BTC, NOW_MS, instrument, signal

ETH = "ETH/USDT:USDT"
INSTRUMENTS: dict[str, Instrument] = {
    BTC: instrument(
        BTC, tiers=(LeverageTier(Decimal(20_000), Decimal(5)), LeverageTier(Decimal(10**9), Decimal(2)))
    ),
    ETH: instrument(
        ETH,
        qty_step=Decimal("0.01"),
        qty_min=Decimal("0.01"),
        tick_size=Decimal("0.01"),
        zone_leverage_max=Decimal("1.5"),
    ),
}
START = {BTC: Decimal(60_000), ETH: Decimal(2_000)}


def decimals(low: str, high: str, places: int = 3) -> st.SearchStrategy[Decimal]:
    return st.decimals(Decimal(low), Decimal(high), places=places, allow_nan=False, allow_infinity=False)


policies = st.builds(
    Policy,
    label=st.just("any"),
    mode=st.sampled_from(Mode),
    scale=decimals("0.05", "20"),
    fixed_notional_usdt=decimals("1", "100000"),
    leverage_max=decimals("0.1", "20"),
    notional_per_order_max_usdt=st.none() | decimals("10", "50000"),
    notional_per_symbol_max_usdt=st.none() | decimals("10", "50000"),
    notional_total_max_usdt=st.none() | decimals("10", "50000"),
    notional_per_leader_max_usdt=st.none() | decimals("10", "50000"),
    allocation_usdt=st.none() | decimals("10", "100000"),
    fixed_margin_usdt=decimals("1", "10000"),
    multiplier=decimals("0.001", "100"),
    risk_share=decimals("0.001", "1"),
    reverse=st.booleans(),
    leverage_recommended=st.booleans(),
    depth_share_max=st.none() | decimals("0.01", "1"),
    borrow_max_usdt=decimals("0", "100"),
    stop_loss_bps=st.sampled_from([Decimal(0), Decimal(200)]),
    entry_guard_bps=decimals("0", "500", 1),
    below_minimum=st.sampled_from(BelowMinimum),
)


@dataclass
class Step:
    symbol: str
    leader_qty: Decimal
    move: Decimal
    leader_leverage: Decimal
    fill: Decimal
    equity_move: Decimal
    recommended: Decimal | None
    depth: Decimal
    stop: Decimal | None


steps = st.builds(
    Step,
    symbol=st.sampled_from((BTC, ETH)),
    leader_qty=decimals("-50", "50", 2),
    move=decimals("0.97", "1.03"),
    leader_leverage=decimals("0", "100", 2),
    fill=st.sampled_from([Decimal(0), Decimal("0.5"), Decimal(1), Decimal(-1)]),  # -1 = nobody knows
    equity_move=decimals("0.9", "1.1"),
    recommended=st.none() | decimals("0", "10", 1),
    depth=decimals("0", "20"),
    stop=st.none() | decimals("0.9", "1.1"),
)


@dataclass
class Account:
    equity: Decimal
    positions: dict[str, Decimal] = field(default_factory=dict)
    pending: dict[str, Pending] = field(default_factory=dict)
    prices: dict[str, Decimal] = field(default_factory=lambda: dict(START))
    recommended: Decimal | None = None
    depth: Decimal = Decimal(1000)

    def snapshot(self, leader_qty: Decimal) -> Snapshot:
        return Snapshot(
            equity=self.equity,
            available=self.equity * 100,
            positions=dict(self.positions),
            quotes={
                symbol: Quote(price - 1, price + 1, price, price, NOW_MS)
                for symbol, price in self.prices.items()
            },
            instruments=INSTRUMENTS,
            wave_start_ms=NOW_MS,
            pending=dict(self.pending),
            wallet=self.equity,
            depth=dict.fromkeys(START, (self.depth, self.depth)),
            leader=LeaderState(
                qty_now=leader_qty,
                leverage_recommended=self.recommended,
                equity_at_start=Decimal(100_000),
            ),
        )

    def worst_notional(self, symbol: str) -> Decimal:
        """Every pending order filled, whichever way is worse."""
        qty, pending = self.positions.get(symbol, Decimal(0)), self.pending.get(symbol, Pending())
        return max(abs(qty + pending.buy), abs(qty - pending.sell)) * self.prices[symbol]

    def take(self, decision: Decision, symbol: str, fill: Decimal) -> None:
        if fill < 0:
            old = self.pending.get(symbol, Pending())
            self.pending[symbol] = (
                Pending(old.buy + decision.qty, old.sell)
                if decision.is_buy
                else Pending(old.buy, old.sell + decision.qty)
            )
            return
        held = self.positions.get(symbol, Decimal(0))
        filled = decision.qty * fill * (1 if decision.is_buy else -1)
        if decision.reduce_only:
            filled = max(-abs(held), min(abs(held), filled))
        self.positions[symbol] = held + filled


def step_signal(step: Step, before: Decimal, price: Decimal, seq: int) -> Signal:
    raw = signal(
        before=str(before),
        after=str(step.leader_qty),
        price=str(price.quantize(Decimal("0.01"))),
        leverage=str(step.leader_leverage),
        symbol=step.symbol,
        seq=seq,
    )
    if step.stop is None:
        return raw
    stop = str((price * step.stop).quantize(Decimal("0.01")))
    return msgspec.structs.replace(raw, position=msgspec.structs.replace(raw.position, stop_loss=stop))


def check_caps(policy: Policy, raw: Signal, before: Account, decision: Decision) -> None:
    assert decision.action is Action.ORDER and not decision.reduce_only
    after = replace(before, positions=dict(before.positions), pending=dict(before.pending))
    after.take(decision, raw.symbol, Decimal(-1))
    total = sum((after.worst_notional(symbol) for symbol in START), Decimal(0))
    here = after.worst_notional(raw.symbol)
    leverage = total / before.equity
    tiers = INSTRUMENTS[raw.symbol].tiers
    tier = next(tier.leverage_max for tier in tiers if here <= tier.notional_max_usdt)
    caps = [policy.leverage_max, Decimal(raw.account_leverage) / 2, tier]
    zone = INSTRUMENTS[raw.symbol].zone_leverage_max
    caps += [] if zone is None else [zone]
    if policy.leverage_recommended and before.recommended is not None:
        caps.append(before.recommended)
    assert leverage <= min(caps), f"leverage {leverage} above {min(caps)}"
    assert decision.leverage_cap is not None and decision.leverage_cap <= min(caps[0], caps[1])
    assert decision.leverage_after is not None and decision.leverage_after <= decision.leverage_cap
    if policy.notional_per_symbol_max_usdt is not None:
        assert here <= policy.notional_per_symbol_max_usdt
    if policy.notional_total_max_usdt is not None:
        assert total <= policy.notional_total_max_usdt
    if policy.notional_per_order_max_usdt is not None:
        assert decision.limit_price is not None
        price = max(decision.limit_price, before.prices[raw.symbol])
        assert decision.qty * price <= policy.notional_per_order_max_usdt
    if policy.notional_per_leader_max_usdt is not None:
        assert total <= policy.notional_per_leader_max_usdt
    if policy.depth_share_max is not None:
        assert decision.qty <= before.depth * policy.depth_share_max
    fees = decision.qty * before.prices[raw.symbol] * 2 * INSTRUMENTS[raw.symbol].taker_fee
    assert fees <= before.equity + policy.borrow_max_usdt
    if policy.stop_loss_bps > 0 and not decision.reduce_only:
        mark, stop = before.prices[raw.symbol], decision.stop_loss
        assert stop is not None and (stop < mark if decision.is_buy else stop > mark)


@settings(max_examples=400, deadline=None, print_blob=True)
@given(policy=policies, equity=decimals("20", "200000", 2), run=st.lists(steps, min_size=1, max_size=12))
def test_no_sequence_of_signals_exceeds_a_cap(policy: Policy, equity: Decimal, run: list[Step]) -> None:
    account = Account(equity)
    leader: dict[str, Decimal] = {}
    for seq, step in enumerate(run, start=1):
        account.prices[step.symbol] = (account.prices[step.symbol] * step.move).quantize(Decimal("0.1"))
        account.equity *= step.equity_move
        account.recommended, account.depth = step.recommended, step.depth
        raw = step_signal(step, leader.get(step.symbol, Decimal(0)), account.prices[step.symbol], seq)
        leader[step.symbol] = step.leader_qty
        target = basis = None
        for _ in range(3):  # a reversal's two legs, and a re-plan
            held = account.positions.get(step.symbol, Decimal(0))
            decision = decide(
                raw, account.snapshot(step.leader_qty), policy, NOW_MS, target=target, target_basis=basis
            )
            event(f"{decision.action}:{decision.reason}")
            if decision.action is Action.SKIP:
                assert decision.reason and decision.detail
                break
            if decision.reduce_only:
                assert 0 < decision.qty <= abs(held)
                assert decision.is_buy == (held < 0)
            else:
                check_caps(policy, raw, account, decision)
            target, basis = decision.target_qty, decision.target_basis
            account.take(decision, step.symbol, step.fill)


@settings(max_examples=300, deadline=None, print_blob=True)
@given(
    policy=policies,
    held=decimals("-0.5", "0.5"),
    leader_before=decimals("0.01", "50", 2),
    left=decimals("0", "1"),
    late_ms=st.integers(0, 10**9),
    alive=st.booleans(),
)
def test_a_leaders_exit_never_adds_risk_and_is_never_gated(
    policy: Policy, held: Decimal, leader_before: Decimal, left: Decimal, late_ms: int, alive: bool
) -> None:
    held = held.quantize(Decimal("0.001"))
    after = (leader_before * left).quantize(Decimal("0.01"))
    raw = signal(before=str(leader_before), after=str(after), price="60000")
    account = Account(Decimal(10_000), {BTC: held})
    state = account.snapshot(after)
    state = msgspec.structs.replace(state, leader=msgspec.structs.replace(state.leader, alive=alive))
    decision = decide(raw, state, policy, NOW_MS + late_ms)
    if decision.action is Action.ORDER:
        assert decision.reduce_only and 0 < decision.qty <= abs(held)
    else:
        assert decision.reason in {"no_position", "within_target", "within_band", "no_step"}
    if after == 0 and held != 0 and raw.qty != "0":
        assert decision.action is Action.ORDER and decision.qty == abs(held)


wire_decimals = st.decimals(
    Decimal(0), Decimal("9999999999999999"), places=12, allow_nan=False, allow_infinity=False
)
signed_decimals = st.builds(
    lambda value, negative: -value if negative else value, wire_decimals, st.booleans()
)


@settings(max_examples=400, deadline=None, print_blob=True)
@given(
    policy=policies,
    held=decimals("-5", "5"),
    side=st.sampled_from(["buy", "sell"]),
    qty=wire_decimals,
    price=wire_decimals,
    after=signed_decimals,
    exposure=signed_decimals,
    equity=signed_decimals,
    leverage=wire_decimals,
    expires_ms=st.integers(-(2**62), 2**62),
    known_now=st.none() | signed_decimals,
)
def test_whatever_a_leader_signs_is_answered_and_stays_within_the_caps(
    policy: Policy,
    held: Decimal,
    side: Literal["buy", "sell"],
    qty: Decimal,
    price: Decimal,
    after: Decimal,
    exposure: Decimal,
    equity: Decimal,
    leverage: Decimal,
    expires_ms: int,
    known_now: Decimal | None,
) -> None:
    raw = msgspec.structs.replace(
        signal(before="0", after="1"),
        side=side,
        qty=str(qty),
        price=str(price),
        equity=str(equity),
        account_leverage=str(leverage),
        expires_ms=expires_ms,
        position=msgspec.structs.replace(
            signal(before="0", after="1").position, qty=str(after), exposure=str(exposure)
        ),
    )
    account = Account(Decimal(10_000), {BTC: held})
    state = msgspec.structs.replace(account.snapshot(Decimal(0)), leader=LeaderState(qty_now=known_now))
    decision = decide(raw, state, policy, NOW_MS)
    if decision.action is Action.ORDER and not decision.reduce_only:
        check_caps(policy, raw, account, decision)
    elif decision.action is Action.ORDER:
        assert 0 < decision.qty <= abs(held) and decision.is_buy == (held < 0)
    for number in (decision.limit_value, decision.observed_value, decision.target_qty, decision.wanted_qty):
        assert number is None or wire_number(number)


@settings(max_examples=300, deadline=None, print_blob=True)
@given(
    policy=policies,
    long=decimals("0", "2"),
    short=decimals("0", "2"),
    own_share=decimals("-1", "1"),
    pending=st.tuples(decimals("0", "0.5"), decimals("0", "0.5")),
    leader_qty=decimals("-50", "50", 2),
    shared=st.booleans(),
)
def test_in_hedge_mode_both_legs_count_whoever_holds_them(
    policy: Policy,
    long: Decimal,
    short: Decimal,
    own_share: Decimal,
    pending: tuple[Decimal, Decimal],
    leader_qty: Decimal,
    shared: bool,
) -> None:
    """A leg that somebody else holds, or another leader's copy, nets nothing away."""
    account = Account(Decimal(50_000))
    lot = Decimal("0.001")
    own = (own_share * (long if own_share > 0 else short)).quantize(lot)
    state = msgspec.structs.replace(
        account.snapshot(leader_qty),
        positions={BTC: long - short},
        external={BTC: long - short - own},
        hedged=frozenset({BTC}),
        hedges={BTC: min(long, short)},
        pending={BTC: Pending(*pending)},
        shared=shared,
    )
    raw = signal(before="0", after=str(leader_qty), price="60000", leverage="20")
    decision = decide(raw, state, policy, NOW_MS)
    if decision.action is Action.SKIP or decision.leg == "close":
        return
    gross = (long + short + sum(pending) + decision.qty) * account.prices[BTC]
    caps = [policy.leverage_max, Decimal(10)]
    assert gross / account.equity <= min(caps)
    for most in (policy.notional_per_symbol_max_usdt, policy.notional_total_max_usdt):
        assert most is None or gross <= most
    assert decision.leverage_after is not None and decision.leverage_after * account.equity >= gross
    if policy.notional_per_leader_max_usdt is not None:
        mine = (abs(own) + decision.qty) * account.prices[BTC]
        assert mine <= policy.notional_per_leader_max_usdt
