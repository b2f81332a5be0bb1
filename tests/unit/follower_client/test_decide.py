"""The decision, gate by gate and mode by mode: what is sent, and what is said when nothing is."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from follower_client.core.decide import Action, decide
from follower_client.core.policy import BelowMinimum, Mode, Policy
from follower_client.core.snapshot import LeaderState, Pending, Quote
from tests.unit.follower_client.build import BTC, NOW_MS, instrument, quote, signal, snapshot

POLICY = Policy(label="test", leverage_max=Decimal(10))
FIXED = Policy(
    label="fixed", mode=Mode.FIXED_NOTIONAL, fixed_notional_usdt=Decimal(1000), leverage_max=Decimal(10)
)


def test_exposure_copies_the_leaders_exposure_times_scale() -> None:
    # leader: 2 BTC of 100,000 on 100,000 = exposure 2; scale 0.5 on 10,000 = 10,000 USDT = 0.1 BTC
    decision = decide(signal(before="0", after="2"), snapshot(), POLICY, NOW_MS)
    assert (decision.action, decision.leg, decision.is_buy) == (Action.ORDER, "open", True)
    assert decision.qty == decision.target_qty == Decimal("0.1")
    assert decision.leverage_after == decision.leverage_cap == 1
    assert not decision.capped and not decision.reduce_only and not decision.is_exit


def test_the_target_is_rounded_toward_zero_on_both_sides() -> None:
    for after in ("1.9999", "-1.9999"):
        decision = decide(signal(before="0", after=after), snapshot(), POLICY, NOW_MS)
        assert abs(decision.target_qty) == Decimal("0.099")


def test_an_entry_is_a_limit_at_the_guard_and_never_beyond_it() -> None:
    decision = decide(signal(before="0", after="2", price="100000"), snapshot(), POLICY, NOW_MS)
    assert decision.limit_price == Decimal("100500.0")
    short = decide(signal(before="0", after="-2", price="100000.3"), snapshot(), POLICY, NOW_MS)
    assert short.limit_price == Decimal("99500.3")  # 99,500.2985 up to the tick


def test_fixed_notional_opens_adds_pro_rata_and_closes_the_same_fraction() -> None:
    opened = decide(signal(before="0", after="2"), snapshot(), FIXED, NOW_MS)
    assert opened.qty == Decimal("0.01")
    added = decide(signal(before="2", after="3"), snapshot(held="0.010"), FIXED, NOW_MS)
    assert added.target_qty == Decimal("0.015") and added.qty == Decimal("0.005")
    halved = decide(signal(before="3", after="1.5"), snapshot(held="0.015"), FIXED, NOW_MS)
    assert halved.reduce_only and halved.target_qty == Decimal("0.007") and halved.qty == Decimal("0.008")


def test_half_of_the_leaders_leverage_caps_an_aggressive_scale() -> None:
    policy = Policy(label="aggressive", scale=Decimal(3), leverage_max=Decimal(50))
    decision = decide(signal(before="0", after="2"), snapshot(), policy, NOW_MS)  # leader's leverage 2
    assert decision.capped and decision.reason == "cap_leader_leverage"
    assert decision.qty == Decimal("0.1") and decision.wanted_qty == Decimal("0.6")
    assert (decision.limit_value, decision.observed_value) == (Decimal(1), Decimal(6))
    assert decision.leverage_after == decision.leverage_cap == 1


@pytest.mark.parametrize(
    ("changes", "reason", "qty"),
    [
        ({"leverage_max": Decimal("0.5")}, "cap_leverage", "0.05"),
        ({"notional_per_symbol_max_usdt": Decimal(3000)}, "cap_symbol_notional", "0.03"),
        ({"notional_total_max_usdt": Decimal(2000)}, "cap_total_notional", "0.02"),
        ({"notional_per_order_max_usdt": Decimal(1005)}, "cap_order_notional", "0.01"),
    ],
)
def test_each_cap_cuts_and_says_so(changes: dict[str, Decimal], reason: str, qty: str) -> None:
    values = {"leverage_max": Decimal(10), **changes}
    policy = Policy(label="capped", **values)  # type: ignore[arg-type]
    decision = decide(signal(before="0", after="2"), snapshot(), policy, NOW_MS)
    assert (decision.reason, decision.capped, decision.qty) == (reason, True, Decimal(qty))
    assert decision.limit_value is not None and decision.observed_value is not None
    assert decision.observed_value > decision.limit_value


def test_an_order_of_unknown_outcome_counts_as_filled() -> None:
    pending = {BTC: Pending(buy=Decimal("0.08"))}
    decision = decide(signal(before="0", after="2"), snapshot(pending=pending), POLICY, NOW_MS)
    assert decision.qty == Decimal("0.02") and decision.reason == "cap_leader_leverage"


def test_a_full_cap_skips_with_the_caps_numbers() -> None:
    policy = Policy(label="full", leverage_max=Decimal(1))
    decision = decide(signal(before="2", after="4"), snapshot(held="0.1"), policy, NOW_MS)
    assert (decision.action, decision.reason) == (Action.SKIP, "cap_leverage")
    assert (decision.limit_value, decision.observed_value) == (Decimal(1), Decimal(2))


def test_the_price_guard_refuses_a_worse_price_and_takes_a_better_one() -> None:
    worse = decide(signal(before="0", after="2", price="99000"), snapshot(), POLICY, NOW_MS)
    assert (worse.reason, worse.limit_value) == ("entry_guard", Decimal(50))
    assert worse.observed_value is not None and worse.observed_value > 100
    better = decide(signal(before="0", after="2", price="101000"), snapshot(), POLICY, NOW_MS)
    assert better.action is Action.ORDER


def test_an_entry_expires_from_its_wave_and_an_exit_never_does() -> None:
    late_ms = NOW_MS + 5001
    quotes = {BTC: quote(at_ms=late_ms)}
    entry = decide(signal(before="0", after="2"), snapshot(quotes=quotes), POLICY, late_ms)
    assert (entry.reason, entry.limit_value, entry.observed_value) == (
        "expired",
        Decimal(5000),
        Decimal(5001),
    )
    waiting = snapshot(quotes=quotes, wave_start_ms=NOW_MS + 1000)
    assert decide(signal(before="0", after="2"), waiting, POLICY, late_ms).action is Action.ORDER
    exit_ = decide(
        signal(before="2", after="0"), snapshot(held="0.1", quotes=quotes), POLICY, late_ms + 10**9
    )
    assert exit_.action is Action.ORDER and exit_.reduce_only


def test_no_gate_and_no_cap_stops_an_exit() -> None:
    strict = Policy(
        label="strict",
        leverage_max=Decimal("0.01"),
        notional_total_max_usdt=Decimal(1),
        symbols=frozenset({"ETH/USDT:USDT"}),
    )
    blind = snapshot(
        held="-0.1",
        equity=None,
        quotes={},
        reconciled=False,
        leader=LeaderState(alive=False),
        blocked_symbols=frozenset({BTC}),
    )
    decision = decide(signal(before="-2", after="0"), blind, strict, NOW_MS + 10**9)
    assert (decision.action, decision.qty, decision.is_buy) == (Action.ORDER, Decimal("0.1"), True)
    assert decision.reduce_only and decision.limit_price is None


def test_a_reduction_without_equity_takes_the_leaders_fraction() -> None:
    decision = decide(signal(before="4", after="1"), snapshot(held="0.1", equity=None), POLICY, NOW_MS)
    assert decision.target_qty == Decimal("0.025") and decision.qty == Decimal("0.075")


def test_exits_are_guarded_by_the_book_first_and_are_plain_market_orders_later() -> None:
    closing = signal(before="2", after="0")
    guarded = decide(closing, snapshot(held="0.1"), POLICY, NOW_MS)
    assert guarded.limit_price == Decimal("99000.0")  # 98,999.901 up to the tick
    assert decide(closing, snapshot(held="0.1"), POLICY, NOW_MS, exit_tries=2).limit_price is None


def test_a_close_below_the_minimum_is_sent() -> None:
    state = snapshot(held="0.001", instruments={BTC: instrument(qty_min=Decimal("0.01"))})
    decision = decide(signal(before="2", after="0"), state, POLICY, NOW_MS)
    assert decision.reduce_only and decision.qty == Decimal("0.001")


def test_a_reversal_closes_first_and_then_opens() -> None:
    turned = signal(before="2", after="-2")
    first = decide(turned, snapshot(held="0.1"), POLICY, NOW_MS)
    assert (first.leg, first.qty, first.is_buy, first.reduce_only) == ("close", Decimal("0.1"), False, True)
    assert first.opens_after and first.target_qty == Decimal("-0.1")
    second = decide(
        turned, snapshot(), POLICY, NOW_MS, target=first.target_qty, target_basis=first.target_basis
    )
    assert (second.leg, second.qty, second.is_buy) == ("open", Decimal("0.1"), False)


def test_what_is_left_is_planned_from_the_target() -> None:
    decision = decide(
        signal(before="0", after="2"), snapshot(held="0.07"), POLICY, NOW_MS, target=Decimal("0.1")
    )
    assert decision.qty == Decimal("0.03")


def test_all_entries_of_a_copy_together_never_pass_its_target() -> None:
    entry, target = signal(before="0", after="2"), Decimal("0.1")
    closed_meanwhile = decide(
        entry, snapshot(held="0"), POLICY, NOW_MS, target=target, entered=Decimal("0.08")
    )
    assert closed_meanwhile.qty == Decimal("0.02")
    enough = decide(entry, snapshot(held="0"), POLICY, NOW_MS, target=target, entered=target)
    assert (enough.action, enough.reason) == (Action.SKIP, "at_target")


def test_a_target_that_was_cut_does_not_grow_again_when_the_leader_comes_back() -> None:
    entry = signal(before="0", after="2")
    cut = decide(entry, snapshot(leader=LeaderState(qty_now=Decimal("0.5"))), POLICY, NOW_MS)
    assert (cut.target_qty, cut.target_basis) == (Decimal("0.025"), Decimal("0.5"))
    back = snapshot(held="0.01", leader=LeaderState(qty_now=Decimal(2)))
    later = decide(entry, back, POLICY, NOW_MS, target=cut.target_qty, target_basis=cut.target_basis)
    assert (later.target_qty, later.qty) == (Decimal("0.025"), Decimal("0.015"))


def test_below_the_minimum_is_skipped_or_rounded_up_within_the_caps() -> None:
    small = signal(before="0", after="0.004", leverage="2")
    skipped = decide(small, snapshot(equity="1000"), POLICY, NOW_MS)
    assert (skipped.action, skipped.reason) == (Action.SKIP, "below_minimum")
    assert (skipped.limit_value, skipped.observed_value) == (Decimal("0.001"), Decimal("0.00002"))
    assert skipped.wanted_qty == Decimal("0.00002"), "before rounding: what the skip is measured by"
    up = Policy(label="up", leverage_max=Decimal(10), below_minimum=BelowMinimum.ROUND_UP)
    raised = decide(small, snapshot(equity="1000"), up, NOW_MS)
    assert raised.action is Action.ORDER and raised.qty == Decimal("0.001")
    refused = decide(small, snapshot(equity="50"), up, NOW_MS)  # 0.001 BTC is leverage 2, half of his is 1
    assert (refused.action, refused.reason) == (Action.SKIP, "cap_leader_leverage")


def test_an_entry_that_waited_is_held_to_what_the_leader_has_by_now() -> None:
    entry = signal(before="0", after="2")
    halved = decide(entry, snapshot(leader=LeaderState(qty_now=Decimal(1))), POLICY, NOW_MS)
    assert halved.target_qty == Decimal("0.05")
    left = decide(entry, snapshot(leader=LeaderState(qty_now=Decimal(0))), POLICY, NOW_MS)
    assert (left.action, left.reason) == (Action.SKIP, "superseded")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"leader": LeaderState(alive=False)}, "leader_silent"),
        ({"reconciled": False}, "not_reconciled"),
        ({"blocked_symbols": frozenset({BTC})}, "unknown_order"),
        ({"quotes": {}}, "no_account"),
        ({"quotes": {BTC: quote(at_ms=NOW_MS - 4000)}}, "no_account"),
        ({"equity": None}, "no_account"),
        ({"equity": Decimal(-5)}, "no_equity"),
        ({"instruments": {}}, "symbol_unknown"),
        ({"quotes": {BTC: Quote(*(Decimal(0),) * 4, NOW_MS)}}, "no_account"),
    ],
)
def test_gates_refuse_entries_with_a_reason(changes: dict[str, Any], reason: str) -> None:
    decision = decide(signal(before="0", after="2"), snapshot(**changes), POLICY, NOW_MS)
    assert (decision.action, decision.reason) == (Action.SKIP, reason)
    assert decision.detail


def test_a_leaders_impossible_state_opens_nothing() -> None:
    broken = signal(before="0", after="2", equity="-100000", leverage="0")
    assert decide(broken, snapshot(), POLICY, NOW_MS).reason == "leader_state_invalid"


def test_a_symbol_off_the_list_is_not_entered() -> None:
    policy = Policy(label="list", symbols=frozenset({"ETH/USDT:USDT"}))
    assert decide(signal(before="0", after="2"), snapshot(), policy, NOW_MS).reason == "symbol_denied"


def test_a_liquidated_leader_takes_the_same_share_with_him() -> None:
    decision = decide(
        signal(before="2", after="0.5", cause="liquidation"), snapshot(held="0.1"), FIXED, NOW_MS
    )
    assert decision.reduce_only and decision.qty == Decimal("0.075")


def test_an_external_position_is_counted_and_never_traded() -> None:
    state = snapshot(held="0.09", external={BTC: Decimal("0.09")})
    opened = decide(signal(before="0", after="2"), state, POLICY, NOW_MS)
    assert opened.qty == Decimal("0.01") and opened.capped
    closed = decide(signal(before="2", after="0"), state, POLICY, NOW_MS)
    assert (closed.action, closed.reason) == (Action.SKIP, "no_position")


def test_the_ignore_band_swallows_wobble_but_not_a_close() -> None:
    wobble = decide(signal(before="2", after="2.001"), snapshot(held="0.1"), POLICY, NOW_MS)
    assert wobble.reason in {"at_target", "within_band"}
    assert (
        decide(signal(before="2", after="0"), snapshot(held="0.001"), POLICY, NOW_MS).action is Action.ORDER
    )


def test_an_entry_never_reduces() -> None:
    decision = decide(signal(before="2", after="2.1"), snapshot(held="0.2"), POLICY, NOW_MS)
    assert (decision.action, decision.reason) == (Action.SKIP, "at_target")


def test_a_price_from_the_future_is_no_fresh_one() -> None:
    """The clock was set back: nobody knows how old it is."""
    for ahead_ms, reason in ((200, "copied"), (5_000, "no_account"), (3_600_000, "no_account")):
        state = snapshot(quotes={BTC: quote(at_ms=NOW_MS + ahead_ms)})
        assert decide(signal(before="0", after="2"), state, POLICY, NOW_MS).reason == reason
    state = snapshot(held="0.1", quotes={BTC: quote(at_ms=NOW_MS + 9_000)})
    closing = decide(signal(before="2", after="0"), state, POLICY, NOW_MS)
    assert closing.action is Action.ORDER and closing.limit_price is None


def test_a_price_that_makes_no_sense_stops_an_entry_and_no_way_out() -> None:
    turned = signal(before="2", after="-2", price="0", equity="100000")
    decision = decide(turned, snapshot(held="0.1"), POLICY, NOW_MS)
    assert (decision.action, decision.leg, decision.qty) == (Action.ORDER, "close", Decimal("0.1"))
    for held in ("0", "0.1"):
        refused = decide(signal(before="0", after="2", price="0"), snapshot(held=held), FIXED, NOW_MS)
        assert (refused.action, refused.reason) == (Action.SKIP, "leader_state_invalid")
