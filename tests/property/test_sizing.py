"""Targets: direction, size and rounding, for any numbers."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from follower_client.core.policy import Mode, Policy
from follower_client.core.sizing import (
    Account,
    SizingError,
    fraction_left,
    price_to_tick,
    round_to_lot,
    target_qty,
)
from follower_client.core.snapshot import LeaderStep, StepKind, sign
from tests.unit.follower_client.build import instrument, signal


def decimals(low: str, high: str, places: int) -> st.SearchStrategy[Decimal]:
    return st.decimals(Decimal(low), Decimal(high), places=places, allow_nan=False, allow_infinity=False)


@settings(max_examples=300, deadline=None, print_blob=True)
@given(qty=decimals("-1000", "1000", 8), step=st.sampled_from(["0.001", "0.01", "0.1", "1", "10"]))
def test_rounding_is_toward_zero_and_less_than_one_lot(qty: Decimal, step: str) -> None:
    rounded = round_to_lot(qty, Decimal(step))
    assert rounded % Decimal(step) == 0
    assert abs(rounded) <= abs(qty) and abs(qty - rounded) < Decimal(step)
    assert rounded == 0 or sign(rounded) == sign(qty)


@settings(max_examples=200, deadline=None, print_blob=True)
@given(price=decimals("1", "200000", 6), tick=st.sampled_from(["0.1", "0.01", "0.5"]), is_buy=st.booleans())
def test_a_guard_price_is_on_the_grid_and_inside_the_guard(price: Decimal, tick: str, is_buy: bool) -> None:
    found = price_to_tick(price, Decimal(tick), is_buy=is_buy)
    assert found % Decimal(tick) == 0
    assert found <= price if is_buy else found >= price


@settings(max_examples=400, deadline=None, print_blob=True)
@given(
    before=decimals("-20", "20", 2),
    after=decimals("-20", "20", 2),
    equity=decimals("10", "1000000", 2),
    held=decimals("-3", "3", 3),
    mode=st.sampled_from(Mode),
    price=decimals("100", "100000", 1),
)
def test_a_target_is_on_the_leaders_side_and_flat_when_he_is(
    before: Decimal, after: Decimal, equity: Decimal, held: Decimal, mode: Mode, price: Decimal
) -> None:
    step = LeaderStep.of(signal(before=str(before), after=str(after), price=str(price)))
    policy = Policy(label="any", mode=mode)
    account = Account(equity=equity, own_qty=held, mark=price, equity_at_start=Decimal(5000))
    try:
        found = target_qty(step, policy, instrument(), account)
    except SizingError as error:
        assert mode is Mode.RISK_PER_TRADE and error.args[0] == "no_stop"  # the signal sets none
        return
    assert found == 0 or sign(found) == sign(after)
    assert after != 0 or found == 0
    if mode is Mode.EXPOSURE and after != 0:
        notional = equity * step.exposure * policy.scale
        assert abs(found * price) <= abs(notional)
        assert abs(notional - found * price) < instrument().qty_step * price
    if step.kind is StepKind.REDUCTION and mode is not Mode.EXPOSURE and sign(held) == sign(after):
        assert abs(found) <= abs(held)


@settings(max_examples=200, deadline=None, print_blob=True)
@given(before=decimals("-20", "20", 2), after=decimals("-20", "20", 2))
def test_the_fraction_left_is_a_fraction(before: Decimal, after: Decimal) -> None:
    step = LeaderStep.of(signal(before=str(before), after=str(after)))
    left = fraction_left(step)
    assert 0 <= left <= 1
    if step.kind is StepKind.REVERSAL or after == 0:
        assert left == 0
