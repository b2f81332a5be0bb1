"""The engine's typed calls: an order's whole life, refusals, and arguments that make no sense."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from simulated_exchange._engine import (
    SCALE,
    CancelReason,
    Engine,
    Event,
    FillKind,
    GenesisError,
    OrderType,
    Reject,
    Side,
    Stage,
    TimeInForce,
)
from tests.unit.simulated_exchange.engine_rooms import ALICE, BOB, BTC, Desk, contract, genesis


def kinds(events: list[Event]) -> list[str]:
    return [type(event).__name__ for event in events]


def test_an_order_rests_fills_and_leaves_the_book() -> None:
    desk = Desk.opened()
    rested = desk.place(ALICE, Side.Buy, "2", "49900", link_id="bid-1")
    match desk.accepted(rested)[0]:
        case Event.OrderAccepted(order_id=order_id, account=account, price=price, qty=qty, link_id=link_id):
            assert (order_id, account, price, qty) == (rested.order_id, ALICE, 49_900 * SCALE, 2 * SCALE)
            assert link_id == "bid-1"
        case other:
            pytest.fail(f"{other}")
    assert desk.engine.best(BTC) == (49_900 * SCALE, 2 * SCALE, 0, 0)
    assert desk.engine.order_id_by_link(ALICE, "bid-1") == rested.order_id

    events = desk.accepted(desk.place(BOB, Side.Sell, "0.5"))
    [trade] = [event for event in events if isinstance(event, Event.Trade)]
    fills = [event for event in events if isinstance(event, Event.Fill)]
    assert (trade.price, trade.qty, trade.taker_side) == (49_900 * SCALE, SCALE // 2, Side.Sell)
    assert [(fill.account, fill.is_maker, fill.leaves) for fill in fills] == [
        (BOB, False, 0),
        (ALICE, True, 3 * SCALE // 2),
    ]
    assert all(fill.trade_id == trade.trade_id and fill.kind == FillKind.Trade for fill in fills)
    value = 49_900 * SCALE // 2
    assert [fill.fee for fill in fills] == [value * 55 // 100_000, value * 20 // 100_000]

    order = desk.engine.order(rested.order_id)
    assert order is not None
    assert (order.qty, order.leaves, order.link_id) == (2 * SCALE, 3 * SCALE // 2, "bid-1")
    [live] = desk.engine.open_orders(ALICE, None)
    assert live.order_id == rested.order_id

    amended = desk.engine.amend_order(
        *desk.now(), account=ALICE, order_id=rested.order_id, price=49_800 * SCALE, qty=None
    )
    assert any(
        isinstance(event, Event.OrderAmended) and event.price == 49_800 * SCALE
        for event in desk.accepted(amended)
    )
    assert desk.engine.book(BTC, 5) == ([(49_800 * SCALE, 3 * SCALE // 2)], [])

    cancelled = desk.engine.cancel_order(*desk.now(), account=ALICE, order_id=rested.order_id)
    [end] = [event for event in desk.accepted(cancelled) if isinstance(event, Event.OrderCancelled)]
    assert (end.leaves, end.reason) == (3 * SCALE // 2, CancelReason.User)
    assert desk.engine.order(rested.order_id) is None
    assert desk.engine.open_orders(ALICE, BTC) == []


def test_positions_wallets_and_the_venue_s_books_after_a_round_trip() -> None:
    desk = Desk.opened()
    desk.accepted(desk.place(ALICE, Side.Sell, "1", "50000"))
    desk.accepted(desk.place(BOB, Side.Buy, "1", "50000"))
    assert desk.engine.position(BOB, BTC).qty == SCALE
    assert desk.engine.position(ALICE, BTC).qty == -SCALE
    [open_position] = desk.engine.positions(BOB)
    assert (open_position.instrument, open_position.entry_price) == (BTC, 50_000 * SCALE)
    desk.accepted(desk.place(ALICE, Side.Buy, "1", "50100"))
    events = desk.accepted(desk.place(BOB, Side.Sell, "1", "50100", reduce_only=True))
    [close] = [event for event in events if isinstance(event, Event.Fill) and event.account == BOB]
    assert (close.closed_qty, close.realised_pnl, close.position_qty) == (SCALE, 100 * SCALE, 0)
    assert desk.engine.positions(BOB) == []
    fees = (50_000 + 50_100) * 55 * SCALE // 100_000
    assert desk.engine.account(BOB).wallet_balance == 100_000 * SCALE + 100 * SCALE - fees
    books = desk.engine.conservation()
    assert (books.adds_up, books.position_qty_sums) == (True, [0, 0])
    assert books.coins[0].insurance == desk.engine.insurance_pool(0) == 1000 * SCALE
    desk.engine.check_invariants()


def test_events_are_numbered_and_carry_both_clocks() -> None:
    desk = Desk.opened()
    market_ms, wall_us = desk.now()
    first = desk.engine.create_account(market_ms, wall_us, 2000)
    second = desk.place(ALICE, Side.Buy, "1", "49000")
    events = first.events + second.events
    assert [event.sequence for event in events] == list(range(events[0].sequence, events[-1].sequence + 1))
    assert (events[0].market_ms, events[0].wall_us) == (market_ms, wall_us)
    assert (first.command, second.command) == (desk.engine.command_count() - 1, desk.engine.command_count())
    assert repr(events[0]).startswith("Event.AccountCreated(account=2000, sequence=")


@pytest.mark.parametrize(
    ("changes", "reject", "stage"),
    [
        ({"account": 1999}, Reject.UnknownAccount, Stage.Admit),
        ({"instrument": 7}, Reject.UnknownInstrument, Stage.Admit),
        ({"qty": "0.0005"}, Reject.QtyInvalid, Stage.Filter),
        ({"qty": "101"}, Reject.QtyAboveMaximum, Stage.Filter),
        ({"price": "49000.05"}, Reject.PriceOutOfRange, Stage.Filter),
        ({"reduce_only": True}, Reject.ReduceOnlyNoPosition, Stage.Order),
        ({"qty": "90"}, Reject.InsufficientBalance, Stage.Risk),
    ],
)
def test_a_refusal_is_a_value_and_changes_nothing(
    changes: dict[str, Any], reject: Reject, stage: Stage
) -> None:
    desk = Desk.opened()
    order: dict[str, Any] = {"account": ALICE, "side": Side.Buy, "qty": "1", "price": "49000", **changes}
    before = desk.engine.conservation().coins[0].wallets
    outcome = desk.place(**order)
    assert outcome.reject == reject
    assert outcome.order_id == 0
    assert outcome.reject is not None
    assert outcome.reject.stage == stage
    assert outcome.reject.code == int(reject)
    assert outcome.reject.code // 100 == int(stage)
    assert outcome.reject.text
    assert desk.engine.conservation().coins[0].wallets == before
    assert desk.engine.best(BTC) == (0, 0, 0, 0)


def test_time_does_not_go_backwards() -> None:
    desk = Desk.opened()
    outcome = desk.engine.advance_time(desk.market_ms - 1, 0)
    assert outcome.reject == Reject.TimeBackwards


@pytest.mark.parametrize("value", [2**63, -(2**63) - 1, 2**64, 10**40])
@pytest.mark.parametrize("name", ["qty", "price", "account", "instrument"])
def test_an_integer_that_does_not_fit_is_named(name: str, value: int) -> None:
    desk = Desk.opened()
    order: dict[str, Any] = {"account": ALICE, "instrument": BTC, "qty": SCALE, "price": SCALE, name: value}
    with pytest.raises(OverflowError, match=rf"^{name}: was "):
        desk.engine.place_order(
            *desk.now(),
            side=Side.Buy,
            order_type=OrderType.Limit,
            time_in_force=TimeInForce.GoodTillCancel,
            reduce_only=False,
            link_id="",
            **order,
        )


@pytest.mark.parametrize("value", [1.5, "1", None, 1 + 2j])
def test_an_argument_of_another_kind_is_named(value: Any) -> None:
    desk = Desk.opened()
    with pytest.raises(TypeError, match=r"^amount: must be an int, was "):
        desk.engine.deposit(*desk.now(), ALICE, 0, value)
    with pytest.raises(TypeError, match=r"^market_ms: must be an int, was "):
        desk.engine.advance_time(value, 0)


@pytest.mark.parametrize("link_id", ["x" * 37, "a b", "ü", "a\0b", "a/b"])
def test_a_link_id_outside_the_alphabet_is_refused(link_id: str) -> None:
    desk = Desk.opened()
    with pytest.raises(ValueError, match=r"^link_id: was "):
        desk.place(ALICE, Side.Buy, "1", "49000", link_id=link_id)
    assert desk.engine.command_count() == Desk.opened().engine.command_count()


def test_queries_about_something_unknown_say_what() -> None:
    engine = Desk.opened().engine
    asked: list[tuple[Callable[[], object], str]] = [
        (lambda: engine.account(5000), "account: 5000"),
        (lambda: engine.position(5000, BTC), "account 5000"),
        (lambda: engine.prices(9), "instrument: 9"),
        (lambda: engine.best(9), "instrument: 9"),
        (lambda: engine.book(9, 1), "instrument: 9"),
    ]
    for question, text in asked:
        with pytest.raises(LookupError, match=text):
            question()
    assert engine.order(10**9) is None
    assert engine.positions(5000) == []
    assert engine.open_orders(5000, None) == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "genesis: is not JSON"),
        ("[]", "genesis: must be an object"),
        ("{}", "instruments: is missing"),
        ('{"instruments": []}', "instruments: "),
        (genesis(contract(colour="red")), r"instruments\[0\]\.colour: is not a known key"),
        (genesis(contract(tick_size="0.000000001")), r"instruments\[0\]\.tick_size: was"),
        (genesis(contract(tick_size="1e-3")), r"instruments\[0\]\.tick_size: was"),
        (genesis(contract(tick_size="0")), r"instruments\[0\]\.tick_size: was"),
        (genesis(contract(tiers=[])), r"instruments\[0\]\.tiers: was"),
        (genesis(contract(), contract(min_qty="-1")), r"instruments\[1\]\.min_qty: was"),
        (genesis(insurance_fund="-1"), r"pools\[0\]\.balance: was"),
    ],
)
def test_an_unusable_genesis_names_its_field(text: str, expected: str) -> None:
    with pytest.raises(GenesisError, match=expected):
        Engine.create(text, None, "none")


def test_the_listed_contracts_are_as_given() -> None:
    engine = Engine.create(genesis(), None, "none")
    btc, eth = engine.instruments()
    assert (btc.instrument, btc.symbol, eth.instrument, eth.symbol) == (0, "BTCUSDT", 1, "ETHUSDT")
    assert (btc.tick_size, btc.qty_step, btc.taker_fee) == (SCALE // 10, SCALE // 1000, 55_000)
    assert btc.tiers == [(2_000_000 * SCALE, 10_000, 500_000), (10_000_000 * SCALE, 5_000, 1_000_000)]
    assert btc.index_sources == [("spot", SCALE)]


def test_enumerations_compare_with_their_numbers_and_can_be_keys() -> None:
    assert (int(Side.Buy), int(Side.Sell)) == (0, 1)
    assert {Side.Buy: "bid"}[Side.Buy] == "bid"
    assert (Side.Sell.name, Reject.OrderNotFound.name) == ("Sell", "OrderNotFound")
    assert Side.Buy != Side.Sell
