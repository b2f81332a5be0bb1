"""The ambient world on the real engine, in virtual time: what every run must keep, and what a crash does."""

from __future__ import annotations

import gc
from pathlib import Path

import pytest

from simulated_exchange.driver import OrderType, Side, TimeInForce
from simulated_exchange.scenario.fixed import SCALE
from tests.simulation.virtual_venue import EPOCH_MS, Room, play

STRANGER = 200_000
BTC = 0


def assert_sound(room: Room) -> None:
    """Promises of every run, whatever happens in it."""
    conservation = room.driver.conservation()
    assert conservation.adds_up
    assert all(total == 0 for total in conservation.position_qty_sums)
    report = room.scenario.report()
    assert report["makers_liquidated"] == []
    assert max(room.commands_each_tick) <= room.scenario.config.commands_per_tick_max
    for state in room.scenario.report()["prices"].values():
        assert len(state) > 1
    for instrument in (0, 1):
        bid, bid_qty, ask, ask_qty = room.driver.best(instrument)
        assert 0 < bid < ask
        assert bid_qty > 0
        assert ask_qty > 0


def depth_usdt(room: Room, within_bps: int = 4) -> int:
    """Both sides' resting value near the touch, in whole USDT."""
    bids, asks = room.driver.book(BTC, 50)
    middle = (bids[0][0] + asks[0][0]) // 2
    reach = middle * within_bps // 10_000
    return sum(price * qty // SCALE for price, qty in bids + asks if abs(price - middle) <= reach) // SCALE


def test_a_demo_run_is_sound_and_its_shock_liquidates_some_of_the_crowd() -> None:
    room = play("demo", seed=7, more_seconds=5)
    assert_sound(room)
    report = room.scenario.report()
    assert report["crowd"]["liquidated"] >= 5
    assert report["crowd"]["liquidated"] < report["crowd"]["traders"] / 2
    assert all(wall_ms >= 29_000 for wall_ms in room.liquidated_at_ms[-3:])
    assert report["tracking_bps"]["BTCUSDT"]["p50"] < 5
    assert report["tracking_bps"]["BTCUSDT"]["p99"] < 50
    shock = next(row for row in report["shocks"] if row["kind"] == "shock")
    assert shock["wall_ms"] == EPOCH_MS + 30_000
    lowest = min(price for wall_ms, instrument, price in room.prints if instrument == BTC)
    before = [price for wall_ms, instrument, price in room.prints if instrument == BTC and wall_ms < 29_000]
    assert 0.92 < lowest / before[-1] < 0.95


def test_a_crash_drains_the_insurance_fund_and_deleverages() -> None:
    room = play("crash", seed=3, more_seconds=5)
    assert_sound(room)
    report = room.scenario.report()
    assert report["crowd"]["liquidated"] >= report["crowd"]["traders"] // 4
    assert room.heard["LiquidationStarted"] >= report["crowd"]["liquidated"]
    assert room.heard["InsuranceFundChanged"] > 0
    assert room.heard["Deleveraged"] > 0


def test_calm_is_calm() -> None:
    room = play("calm", seed=5, seconds=30)
    assert_sound(room)
    assert room.scenario.report()["crowd"]["liquidated"] == 0
    assert room.scenario.report()["shocks"] == []
    assert room.liquidated_at_ms == []


@pytest.mark.parametrize("name", ["demo", "crash"])
def test_the_same_seed_and_ticks_give_the_same_state(name: str) -> None:
    first = play(name, seed=11, seconds=12)
    second = play(name, seed=11, seconds=12)
    other = play(name, seed=12, seconds=12)
    assert first.driver.engine.command_count() == second.driver.engine.command_count()
    assert first.driver.engine.state_hash() == second.driver.engine.state_hash()
    assert first.driver.engine.state_hash() != other.driver.engine.state_hash()


@pytest.mark.parametrize(("name", "empty_share_max"), [("demo", 0.0), ("crash", 0.02)])
def test_a_side_of_the_book_is_hardly_ever_empty(name: str, empty_share_max: float) -> None:
    empty = 0

    def look(room: Room) -> None:
        nonlocal empty
        empty += any(0 in room.driver.best(instrument) for instrument in (0, 1))

    room = play(name, seed=3, each_tick=look)
    assert empty <= empty_share_max * len(room.commands_each_tick), empty


def test_a_venue_that_comes_back_has_its_crowd_and_fills_its_books_anew(tmp_path: Path) -> None:
    started: list[int] = []

    def look(room: Room) -> None:
        started.append(room.driver.prices(BTC).index)

    journal = tmp_path / "venue.journal"
    first = play("demo", seed=6, seconds=10, journal=journal)
    assert first.heard["AccountCreated"] > 80
    stood = first.driver.prices(BTC).index
    del first
    gc.collect()  # the former venue lets go of its journal
    second = play("demo", seed=8, seconds=10, journal=journal, each_tick=look)
    assert abs(started[0] - stood) * 10_000 < 5 * stood, "the price goes on from where it stood"
    assert second.driver.recovery is not None
    assert second.heard["AccountCreated"] == second.heard["Deposited"] == 0
    assert second.heard["OrderCancelled"] > 50, "the quotes of the former life are gone"
    assert_sound(second)
    assert depth_usdt(second) > 50_000
    assert {reason for reason in second.scenario.report()["refusals"] if "DuplicateLinkId" in reason} == set()


def test_a_large_stranger_moves_the_book_and_depth_comes_back() -> None:
    seen: dict[str, int] = {}

    def trade(room: Room) -> None:
        if room.wall_ms == 3000:
            room.driver.create_account(STRANGER)
            room.driver.deposit(STRANGER, 10_000_000 * SCALE)
            seen["depth before"] = depth_usdt(room)
            bid, _, ask, _ = room.driver.best(BTC)
            seen["middle before"] = (bid + ask) // 2
            outcome = room.driver.place_order(
                account=STRANGER,
                instrument=BTC,
                side=Side.Buy,
                order_type=OrderType.Market,
                time_in_force=TimeInForce.ImmediateOrCancel,
                qty=200_000 * SCALE // 117_000 // 10**5 * 10**5,
            )
            assert outcome.reject is None
            seen["paid"] = room.driver.position(STRANGER, BTC).entry_price
            seen["depth after"] = depth_usdt(room)
        if room.wall_ms == 3200:
            bid, _, ask, _ = room.driver.best(BTC)
            seen["middle after"] = (bid + ask) // 2
        if room.wall_ms == 9000:
            seen["depth later"] = depth_usdt(room)

    overrides = {"crowd": {"traders": 0}}
    room = play("calm", seed=2, seconds=10, overrides=overrides, each_tick=trade)
    assert_sound(room)
    assert seen["paid"] > seen["middle before"], seen
    assert seen["depth after"] < 0.8 * seen["depth before"], seen
    assert seen["middle after"] > seen["middle before"], seen
    assert seen["depth later"] > 0.85 * seen["depth before"], seen


def test_a_resting_stranger_is_traded_with_when_the_market_comes_to_him() -> None:
    def rest(room: Room) -> None:
        if room.wall_ms == 2000:
            room.driver.create_account(STRANGER)
            room.driver.deposit(STRANGER, 1_000_000 * SCALE)
            bid = room.driver.best(BTC)[0]
            outcome = room.driver.place_order(
                account=STRANGER,
                instrument=BTC,
                side=Side.Buy,
                order_type=OrderType.Limit,
                time_in_force=TimeInForce.GoodTillCancel,
                qty=SCALE // 100,
                price=bid * 99 // 100 // 10**7 * 10**7,
            )
            assert outcome.reject is None

    room = play("demo", seed=4, seconds=20, each_tick=rest)
    assert_sound(room)
    assert room.driver.position(STRANGER, BTC).qty == SCALE // 100


def test_the_books_stay_full_long_after_the_planned_end() -> None:
    room = play("calm", seed=9, seconds=5, more_seconds=60)
    assert_sound(room)
    assert depth_usdt(room) > 100_000


def test_whatever_is_listed_of_a_coin_follows_its_index() -> None:
    room = play("demo", seed=5, seconds=10)
    numbers = {listing.symbol: listing.instrument for listing in room.driver.engine.instruments()}
    index = {name: room.driver.prices(number).index for name, number in numbers.items()}
    for follower, leader in (
        ("BTC/USDT", "BTCUSDT"),
        ("BTCUSD", "BTCUSDT"),
        ("BTCPERP", "BTCUSDT"),
        ("BTCUSDT-25JUN27", "BTCUSDT"),
        ("ETH/USDT", "ETHUSDT"),
    ):
        assert abs(index[follower] - index[leader]) <= index[leader] // 10_000, follower
    ratio = index["ETHUSDT"] * SCALE // index["BTCUSDT"]
    assert abs(index["ETH/BTC"] - ratio) <= ratio // 1000
    assert index["MEMEUSDT"] == 0
    assert numbers["MEMEUSDT"] not in room.scenario.moves()
