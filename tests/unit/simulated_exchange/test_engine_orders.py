"""Terms of orders, and accounts' settings for orders, across the border. The rules are tested in the core."""

from __future__ import annotations

import pytest

from simulated_exchange._engine import (
    SCALE,
    CancelReason,
    CreateType,
    Event,
    ProductClass,
    Reject,
    SelfMatch,
    Side,
    StopKind,
    Terms,
    TpSlMode,
    TriggerBy,
    TriggerDirection,
)
from tests.unit.simulated_exchange.engine_rooms import ALICE, BOB, BTC, Desk


def test_self_match_prevention_names_the_counterparty() -> None:
    desk = Desk.opened()
    desk.accepted(desk.engine.set_smp_group(*desk.now(), account=ALICE, group=3))
    desk.accepted(desk.engine.set_smp_group(*desk.now(), account=BOB, group=3))
    rested = desk.place(ALICE, Side.Sell, "1", "50000", terms=Terms(self_match=SelfMatch.CancelTaker))
    view = desk.engine.order(rested.order_id)
    assert view is not None
    assert view.terms == Terms(self_match=SelfMatch.CancelTaker)
    incoming = desk.place(BOB, Side.Buy, "1", "50000", terms=Terms(self_match=SelfMatch.CancelMaker))
    [end] = [event for event in desk.accepted(incoming) if isinstance(event, Event.OrderCancelled)]
    assert (end.order_id, end.reason) == (rested.order_id, CancelReason.SelfMatch)
    assert end.counterparty == incoming.order_id


def test_slippage_tolerance_is_ticks_or_a_part() -> None:
    desk = Desk.opened()
    desk.accepted(desk.place(ALICE, Side.Sell, "1", "50000"))
    desk.accepted(desk.place(ALICE, Side.Sell, "1", "50001"))
    bounded = desk.place(BOB, Side.Buy, "2", terms=Terms(slippage_ticks=5))
    [end] = [event for event in desk.accepted(bounded) if isinstance(event, Event.OrderCancelled)]
    assert end.reason == CancelReason.ImmediateOrCancel
    assert desk.place(BOB, Side.Buy, "1", terms=Terms(slippage_ratio=1)).reject == Reject.SlippageInvalid
    assert (Terms(slippage_ratio=7).slippage_ratio, Terms(slippage_ratio=7).slippage_ticks) == (7, None)
    assert Terms(slippage_ticks=5) == Terms(slippage_ticks=5) != Terms()
    with pytest.raises(ValueError, match="slippage_ticks"):
        Terms(slippage_ticks=5, slippage_ratio=7)
    with pytest.raises(OverflowError, match="slippage_ticks"):
        Terms(slippage_ticks=-1)


def test_a_conditional_order_waits_is_changed_and_comes_in() -> None:
    desk = Desk.opened()
    price = 50_100 * SCALE
    terms = Terms(
        trigger_price=price, trigger_by=TriggerBy.MarkPrice, trigger_direction=TriggerDirection.Rise
    )
    placed = desk.place(ALICE, Side.Buy, "1", "50300", terms=terms)
    accepted, told = desk.accepted(placed)
    assert isinstance(accepted, Event.OrderAccepted)
    assert accepted.create_type == CreateType.User
    assert isinstance(told, Event.OrderConditions)
    assert (told.kind, told.trigger_price, told.trigger_by) == (StopKind.Stop, price, TriggerBy.MarkPrice)
    [waiting] = desk.engine.open_orders(ALICE, BTC)
    assert (waiting.is_waiting, waiting.kind, waiting.terms) == (True, StopKind.Stop, terms)
    amend = desk.engine.amend_terms
    refused = amend(*desk.now(), account=ALICE, order_id=placed.order_id, trigger_price=49_000 * SCALE)
    assert refused.reject == Reject.TriggerNotAbove
    desk.accepted(amend(*desk.now(), account=ALICE, order_id=placed.order_id, trigger_price=50_200 * SCALE))
    risen = desk.engine.set_index_source(*desk.now(), instrument=BTC, source=0, price=50_250 * SCALE)
    [triggered] = [event for event in desk.accepted(risen) if isinstance(event, Event.OrderTriggered)]
    assert (triggered.order_id, triggered.price) == (placed.order_id, 50_250 * SCALE)
    [resting] = desk.engine.open_orders(ALICE, BTC)
    assert (resting.is_waiting, resting.terms.trigger_price) == (False, 50_200 * SCALE)


def test_settings_for_orders_are_kept() -> None:
    desk = Desk.opened()
    contracts = ProductClass.Contracts
    set_window = desk.engine.set_disconnect_window
    refused = set_window(*desk.now(), account=ALICE, products=contracts, seconds=301)
    assert refused.reject == Reject.OrderSettingInvalid
    desk.accepted(set_window(*desk.now(), account=ALICE, products=contracts, seconds=10))
    moves = desk.engine.set_moves_to_band(*desk.now(), account=ALICE, products=contracts, moves=False)
    [told] = desk.accepted(moves)
    assert isinstance(told, Event.OrderSettingsChanged)
    assert (told.contracts_disconnect_s, told.contracts_move_to_band) == (10, False)
    settings = desk.engine.order_settings(ALICE)
    assert (settings.contracts_disconnect_s, settings.spot_disconnect_s) == (10, 0)
    assert (settings.contracts_move_to_band, settings.spot_moves_to_band) == (False, False)
    assert desk.place(ALICE, Side.Buy, "1", "60001").reject == Reject.PriceBeyondBand
    with pytest.raises(LookupError, match="account"):
        desk.engine.order_settings(999_999)


def test_what_ends_a_position_is_set_seen_and_told() -> None:
    desk = Desk.opened()
    desk.accepted(desk.place(ALICE, Side.Sell, "1", "50000"))
    terms = Terms(tpsl_mode=TpSlMode.Partial, take_profit=50_500 * SCALE, stop_loss=49_500 * SCALE)
    told = desk.accepted(desk.place(BOB, Side.Buy, "1", "50000", terms=terms))
    made = [event.create_type for event in told if isinstance(event, Event.OrderAccepted)]
    assert made == [CreateType.User, CreateType.PartialTakeProfit, CreateType.PartialStopLoss]
    profit, loss = desk.engine.open_orders(BOB, BTC)
    assert (profit.kind, profit.partner, loss.partner) == (
        StopKind.PartialTakeProfit,
        loss.order_id,
        profit.order_id,
    )
    stop = desk.engine.set_trading_stop
    set_up = stop(
        *desk.now(), account=ALICE, instrument=BTC, stop_loss=50_200 * SCALE, trailing_stop=100 * SCALE
    )
    [*_, changed] = [event for event in desk.accepted(set_up) if isinstance(event, Event.TradingStopChanged)]
    assert (changed.stop_loss, changed.trailing_stop) == (50_200 * SCALE, 100 * SCALE)
    position = desk.engine.position(ALICE, BTC)
    assert (position.stop_loss, position.take_profit, position.tpsl_mode) == (
        50_200 * SCALE,
        0,
        TpSlMode.Full,
    )
    again = stop(*desk.now(), account=ALICE, instrument=BTC, stop_loss=50_200 * SCALE)
    assert again.reject == Reject.TradingStopUnchanged
    moved = desk.engine.amend_terms(
        *desk.now(), account=BOB, order_id=profit.order_id, trigger_price=50_600 * SCALE
    )
    assert desk.accepted(moved)
    assert desk.engine.open_orders(BOB, BTC)[0].terms.trigger_price == 50_600 * SCALE


def test_a_client_that_is_gone_keeps_what_ends_its_positions() -> None:
    desk = Desk.opened()
    desk.accepted(desk.place(ALICE, Side.Sell, "1", "50000"))
    desk.accepted(desk.place(BOB, Side.Buy, "1", "50000", terms=Terms(stop_loss=49_500 * SCALE)))
    resting = desk.place(BOB, Side.Buy, "1", "49000")
    gone = desk.engine.cancel_disconnected
    contracts = ProductClass.Contracts
    assert gone(*desk.now(), account=BOB, products=contracts).reject == Reject.OrderSettingInvalid
    window = desk.engine.set_disconnect_window
    desk.accepted(window(*desk.now(), account=BOB, products=contracts, seconds=10))
    told = desk.accepted(gone(*desk.now(), account=BOB, products=contracts))
    ended = [(e.order_id, e.reason) for e in told if isinstance(e, Event.OrderCancelled)]
    assert ended == [(resting.order_id, CancelReason.Disconnected)]
    assert [order.kind for order in desk.engine.open_orders(BOB, BTC)] == [StopKind.StopLoss]


def test_terms_say_whether_they_hold() -> None:
    terms = Terms(trigger_price=49_000 * SCALE, holds=True)
    assert (terms.holds, Terms().holds) == (True, False)
    desk = Desk.opened()
    assert desk.place(ALICE, Side.Sell, "1", terms=terms).reject == Reject.SpotTermsInvalid
