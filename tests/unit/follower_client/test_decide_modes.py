"""Every sizing mode in round numbers, and what each rule of a copy's life says."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
import pytest

from follower_client.core.decide import Action, Decision, decide
from follower_client.core.policy import BelowMinimum, LateJoin, LeaderLiquidated, Mode, Policy
from follower_client.core.snapshot import Control, Guard, LeaderState, Snapshot
from relay.protocol.messages import Signal
from tests.unit.follower_client.build import BTC, NOW_MS, instrument, signal, snapshot

ETH = "ETH/USDT:USDT"
OPEN = signal(before="0", after="2")  # 2 BTC at 100,000 with an equity of 100,000: exposure 2


def policy(**changes: Any) -> Policy:
    return Policy(label="test", **({"leverage_max": Decimal(10)} | changes))


def with_position(raw: Signal, **changes: Any) -> Signal:
    return msgspec.structs.replace(raw, position=msgspec.structs.replace(raw.position, **changes))


def copy(raw: Signal, rules: Policy, state: Snapshot | None = None) -> Decision:
    return decide(raw, state or snapshot(), rules, NOW_MS)


@pytest.mark.parametrize(
    ("rules", "target"),
    [
        ({"mode": Mode.EXPOSURE, "scale": Decimal("0.25")}, "0.05"),
        ({"mode": Mode.RATIO_AT_START}, "0.4"),  # 2 x 10,000 / 50,000
        ({"mode": Mode.RATIO_AT_START, "allocation_usdt": Decimal(2500)}, "0.1"),
        ({"mode": Mode.SMART_RATIO}, "0.2"),  # a margin of 20 % of equity at leverage 10
        ({"mode": Mode.SMART_RATIO, "leverage_max": Decimal(5)}, "0.1"),
        ({"mode": Mode.FIXED_NOTIONAL, "fixed_notional_usdt": Decimal(3000)}, "0.03"),
        ({"mode": Mode.FIXED_MARGIN, "fixed_margin_usdt": Decimal(500)}, "0.05"),  # at the leader's 10x
        ({"mode": Mode.FIXED_MARGIN, "fixed_margin_usdt": Decimal(500), "leverage_max": Decimal(4)}, "0.02"),
        ({"mode": Mode.MULTIPLIER, "multiplier": Decimal("0.05")}, "0.1"),
        ({"mode": Mode.RISK_PER_TRADE, "risk_share": Decimal("0.02")}, "0.1"),  # 200 USDT over 2,000
        ({"mode": Mode.EXPOSURE, "reverse": True}, "-0.1"),
    ],
)
def test_each_mode_sizes_an_entry(rules: dict[str, Any], target: str) -> None:
    raw = with_position(OPEN, stop_loss="98000")
    state = snapshot(leader=LeaderState(equity_at_start=Decimal(50_000)))
    decision = copy(raw, policy(**rules), state)
    assert decision.target_qty == Decimal(target)
    assert decision.action is Action.ORDER and decision.is_buy == (decision.target_qty > 0)


@pytest.mark.parametrize("mode", [mode for mode in Mode if mode is not Mode.EXPOSURE])
def test_adds_and_closes_are_the_leaders_fractions(mode: Mode) -> None:
    add = with_position(signal(before="2", after="3"), stop_loss="98000")
    assert copy(add, policy(mode=mode), snapshot(held="0.01")).target_qty == Decimal("0.015")
    half = signal(before="2", after="1", leverage="1")
    closing = copy(half, policy(mode=mode), snapshot(held="0.01"))
    assert closing.reduce_only and closing.qty == Decimal("0.005")


def test_a_trade_without_a_stop_has_no_known_risk() -> None:
    assert copy(OPEN, policy(mode=Mode.RISK_PER_TRADE)).reason == "no_stop"
    passed = with_position(OPEN, stop_loss="101000")
    assert copy(passed, policy(mode=Mode.RISK_PER_TRADE)).reason == "no_stop"


def test_the_other_side_is_closed_when_the_leader_closes() -> None:
    rules = policy(reverse=True)
    closing = copy(signal(before="2", after="0"), rules, snapshot(held="-0.1"))
    assert closing.reduce_only and closing.is_buy and closing.qty == Decimal("0.1")
    halved = copy(signal(before="2", after="1", leverage="1"), rules, snapshot(held="-0.1"))
    assert halved.reduce_only and halved.qty == Decimal("0.05")


def test_reduced_stakes_copy_a_share() -> None:
    state = snapshot(guard=Guard(stakes=Decimal("0.1")))
    assert copy(OPEN, policy(), state).target_qty == Decimal("0.01")
    assert copy(OPEN, policy(mode=Mode.MULTIPLIER), state).target_qty == Decimal("0.02")


def test_money_moved_under_a_position_turns_its_steps_into_fractions() -> None:
    add = signal(before="2", after="3", equity="1000000")  # a deposit of 900,000: exposure is 0.3 now
    plain = copy(add, policy(), snapshot(held="0.1"))
    assert (plain.action, plain.reason) == (Action.SKIP, "at_target")
    state = snapshot(held="0.1", leader=LeaderState(rebased_symbols=frozenset({BTC})))
    rebased = copy(add, policy(), state)
    assert rebased.target_qty == Decimal("0.15") and rebased.reason == "cap_leader_leverage"
    halved = copy(signal(before="2", after="1", equity="1000000"), policy(), state)
    assert halved.reduce_only and halved.qty == Decimal("0.05")


@pytest.mark.parametrize(
    ("late_join", "entry_price", "reason"),
    [
        (LateJoin.WAIT, "100000", "late_join"),
        (LateJoin.COPY_NOW, "90000", "copied"),
        (LateJoin.IF_NOT_WORSE, "99000", "late_join_price"),
        (LateJoin.IF_NOT_WORSE, "101000", "copied"),
    ],
)
def test_a_position_from_before_joining(late_join: LateJoin, entry_price: str, reason: str) -> None:
    add = with_position(signal(before="1", after="2"), entry_price=entry_price)
    state = snapshot(leader=LeaderState(legacy_symbols=frozenset({BTC})))
    assert copy(add, policy(late_join=late_join), state).reason == reason
    turned = signal(before="1", after="-1")
    assert copy(turned, policy(late_join=late_join), state).action is Action.ORDER


@pytest.mark.parametrize(
    ("guard", "rules", "reason"),
    [
        ({"control": Control.PAUSE}, {}, "paused"),
        ({"control": Control.REDUCE_ONLY}, {}, "reduce_only"),
        ({"control": Control.CANCEL_ALL}, {}, "cancel_all"),
        ({"control": Control.FLATTEN}, {}, "flattened"),
        ({"control": Control.LOCK}, {}, "locked"),
        ({"clock_fault": True}, {}, "clock"),
        ({"orders_recent": 5}, {"orders_per_10_s_max": 5}, "order_rate"),
        ({"daily_loss_usdt": Decimal(50)}, {"daily_loss_max_usdt": Decimal(50)}, "loss_daily"),
        ({"weekly_loss_usdt": Decimal(51)}, {"weekly_loss_max_usdt": Decimal(50)}, "loss_weekly"),
        ({"drawdown": Decimal("0.2")}, {"drawdown_max_share": Decimal("0.1")}, "drawdown"),
    ],
)
def test_what_stops_entries_never_stops_exits(
    guard: dict[str, Any], rules: dict[str, Any], reason: str
) -> None:
    state = Guard(**guard)
    refused = copy(OPEN, policy(**rules), snapshot(guard=state))
    assert (refused.action, refused.reason) == (Action.SKIP, reason) and refused.detail
    closing = copy(signal(before="2", after="0"), policy(**rules), snapshot(held="0.1", guard=state))
    assert closing.action is Action.ORDER and closing.qty == Decimal("0.1")
    turning = copy(signal(before="2", after="-2"), policy(**rules), snapshot(held="0.1", guard=state))
    assert turning.reduce_only and turning.qty == Decimal("0.1")


@pytest.mark.parametrize(
    ("rules", "state", "reason", "qty"),
    [
        (
            {"depth_share_max": Decimal("0.1")},
            {"depth": {BTC: (Decimal(9), Decimal("0.5"))}},
            "cap_depth",
            "0.05",
        ),
        ({"depth_share_max": Decimal("0.1")}, {}, "cap_depth", "0"),
        ({"notional_per_leader_max_usdt": Decimal(4000)}, {}, "cap_leader_notional", "0.04"),
        (
            {},
            {"leader": LeaderState(leverage_recommended=Decimal("0.3"))},
            "cap_recommended_leverage",
            "0.03",
        ),
        (
            {},
            {"instruments": {BTC: instrument(zone_leverage_max=Decimal("0.2"))}},
            "cap_zone_leverage",
            "0.02",
        ),
        ({}, {"wallet": Decimal("5.5")}, "cap_borrow", "0.049"),
        ({}, {"wallet": Decimal(-1)}, "cap_borrow", "0"),
    ],
)
def test_each_cap_cuts_and_names_itself(
    rules: dict[str, Any], state: dict[str, Any], reason: str, qty: str
) -> None:
    decision = copy(OPEN, policy(**rules), snapshot(**state))
    assert decision.reason == reason and decision.qty == Decimal(qty)
    assert decision.limit_value is not None and decision.observed_value is not None


def test_the_cap_of_a_leader_counts_only_what_he_built() -> None:
    rules = policy(notional_per_leader_max_usdt=Decimal(10_000))
    state = snapshot(equity="100000", held="0.4", external={BTC: Decimal("0.35")}, shared=True)
    decision = copy(signal(before="0", after="2", leverage="8"), rules, state)
    assert (decision.reason, decision.qty) == ("cap_leader_notional", Decimal("0.05"))


def test_a_leaders_own_recommendation_can_be_left_out() -> None:
    state = snapshot(leader=LeaderState(leverage_recommended=Decimal("0.3")))
    assert copy(OPEN, policy(leverage_recommended=False), state).reason == "copied"


def test_an_equity_that_jumps_sizes_nothing() -> None:
    state = snapshot(leader=LeaderState(equity_before=Decimal(100)))
    decision = copy(OPEN, policy(), state)
    assert (decision.reason, decision.observed_value) == ("leader_equity_jump", Decimal(1000))


def test_mark_and_last_too_far_apart_open_nothing() -> None:
    state = snapshot()
    quote = state.quotes[BTC]
    gapped = snapshot(quotes={BTC: type(quote)(quote.bid, quote.ask, quote.mark, Decimal(99_000), NOW_MS)})
    decision = copy(OPEN, policy(mark_last_gap_max_bps=Decimal(50)), gapped)
    assert (decision.reason, decision.observed_value) == ("mark_last_gap", Decimal(100))


def test_a_residual_is_carried_until_it_is_tradable() -> None:
    rules = policy(
        mode=Mode.FIXED_NOTIONAL, fixed_notional_usdt=Decimal(150), below_minimum=BelowMinimum.CARRY
    )
    coarse = {BTC: instrument(qty_min=Decimal("0.002"))}
    first = copy(signal(before="0", after="1"), rules, snapshot(instruments=coarse))
    assert (first.reason, first.target_qty) == ("carried", Decimal("0.001"))
    second = copy(
        signal(before="1", after="2"),
        rules,
        snapshot(instruments=coarse, carried={BTC: first.target_qty}),
    )
    assert second.action is Action.ORDER and second.qty == Decimal("0.002")


def test_a_leader_in_hedge_mode_is_copied_by_the_net_of_his_legs() -> None:
    short = with_position(signal(before="2", after="1", leverage="3"), position_mode="hedge")
    decision = copy(short, policy(), snapshot(held="0.1"))  # he opened a short of 1 beside a long of 2
    assert decision.reduce_only and not decision.is_buy and decision.target_qty == Decimal("0.05")


def test_no_stop_is_set_where_it_would_close_what_is_not_a_copy() -> None:
    state = snapshot(positions={BTC: Decimal("0.01")}, external={BTC: Decimal("0.01")})
    assert copy(with_position(OPEN, stop_loss="98500"), policy(), state).stop_loss is None


def test_a_liquidated_leader_takes_all_with_him_where_that_is_wanted() -> None:
    rules = policy(leader_liquidated=LeaderLiquidated.CLOSE)
    partly = signal(before="2", after="1.5", cause="liquidation")
    assert copy(partly, rules, snapshot(held="0.1")).qty == Decimal("0.1")
    assert copy(partly, policy(), snapshot(held="0.1")).qty == Decimal("0.025")


def test_of_two_stops_the_nearer_one_goes_to_the_venue() -> None:
    rules = policy(stop_loss_bps=Decimal(300), take_profit_bps=Decimal(1000))
    own = copy(OPEN, rules)
    assert own.stop_loss == Decimal("97000.1") and own.take_profit == Decimal("110000.1")
    nearer = with_position(OPEN, stop_loss="98500", take_profit="104000")
    leaders = copy(nearer, rules)
    assert (leaders.stop_loss, leaders.take_profit) == (Decimal(98_500), Decimal(104_000))
    farther = with_position(OPEN, stop_loss="90000")
    assert copy(farther, rules).stop_loss == Decimal("97000.1")
    assert copy(nearer, policy(copy_stops=False, stop_loss_bps=Decimal(0))).stop_loss is None
    mirrored = copy(nearer, policy(reverse=True))
    assert (mirrored.stop_loss, mirrored.take_profit) == (Decimal(104_000), Decimal(98_500))


def test_another_leader_on_the_account_is_closed_without_reduce_only_against_the_net() -> None:
    state = snapshot(positions={BTC: Decimal("0.5")}, external={BTC: Decimal("0.6")}, shared=True)
    closing = copy(signal(before="-1", after="0"), policy(), state)  # own -0.1, the other leader's 0.6
    assert closing.is_buy and closing.qty == Decimal("0.1") and not closing.reduce_only
    with_it = snapshot(positions={BTC: Decimal("0.7")}, external={BTC: Decimal("0.6")}, shared=True)
    assert copy(signal(before="1", after="0"), policy(), with_it).reduce_only


def test_denied_symbols_are_denied_whatever_the_list_says() -> None:
    rules = policy(symbols=frozenset({BTC, ETH}), symbols_denied=frozenset({BTC}))
    assert copy(OPEN, rules).reason == "symbol_denied"
