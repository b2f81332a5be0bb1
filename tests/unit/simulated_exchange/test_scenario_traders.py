"""Ambient traders as functions: quotes, weather, noise, the crowd's plans."""

from __future__ import annotations

import random
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulated_exchange.scenario.commands import Amend, Cancel, Place
from simulated_exchange.scenario.config import CrowdConfig, FastMoveConfig, MakerConfig, NoiseConfig
from simulated_exchange.scenario.crowd import draw_crowd
from simulated_exchange.scenario.fixed import SCALE, ceil_to, floor_to, share_of, to_fixed
from simulated_exchange.scenario.makers import Calm, Maker, quote, requote, taken, weather
from simulated_exchange.scenario.takers import follow_print, noise_orders
from tests.unit.simulated_exchange.scenario_rooms import market_of

FAIR = 100_000 * SCALE
MARKET = market_of()
FAST = FastMoveConfig(threshold_bps=20.0, widen_max=6.0, thin_min=0.25)


def maker_of(**changes: object) -> Maker:
    values = {"name": "only", "levels": 4, "half_spread_bps": 1.0, "level_step_bps": 1.0, "refill_ms": 1000}
    return Maker(1000, MakerConfig.model_validate({**values, **changes}))


def rest(maker: Maker, commands: list[Place | Amend | Cancel]) -> None:
    """As the venue would: every new quote gets a number."""
    for level in maker.levels:
        if level.link_id and not level.order_id:
            level.order_id = int(level.link_id.rsplit("-", 1)[1])


def quoted(
    maker: Maker, fair: int, now_ms: int = 0, calm: Calm | None = None
) -> list[Place | Amend | Cancel]:
    bids, asks = requote(maker, fair, calm or Calm(), now_ms, MARKET, "t")
    commands = [command for command in bids + asks if isinstance(command, Place | Amend | Cancel)]
    assert len(commands) == len(bids) + len(asks)
    rest(maker, commands)
    return commands


@given(
    fair=st.integers(SCALE, 10**6 * SCALE),
    inventory=st.integers(-(10**12), 10**12),
    widen=st.integers(100, 5000),
    quarters=st.integers(1, 4),
)
def test_quotes_never_cross_lie_on_the_grid_and_go_outward(
    fair: int, inventory: int, widen: int, quarters: int
) -> None:
    maker = maker_of()
    maker.inventory = inventory
    rows = [(level, *quote(maker, level, fair, Calm(widen, quarters), MARKET)) for level in maker.levels]
    bids = [price for level, price, _ in rows if level.buy]
    asks = [price for level, price, _ in rows if not level.buy]
    assert max(bids) < min(asks) or max(bids) == MARKET.tick_size
    assert bids == sorted(bids, reverse=True)
    assert asks == sorted(asks)
    for _, price, qty in rows:
        assert price % MARKET.tick_size == 0
        assert price > 0
        assert qty % MARKET.qty_step == 0
        assert qty == 0 or qty * price // SCALE >= MARKET.notional_min or qty == MARKET.qty_max


def test_inventory_leans_the_quotes_and_closes_the_full_side() -> None:
    maker = maker_of(inventory_max_usdt="1000000", skew_share=0.5)
    flat = [quote(maker, level, FAIR, Calm(), MARKET)[0] for level in maker.levels]
    maker.inventory = 5 * SCALE
    long = [quote(maker, level, FAIR, Calm(), MARKET) for level in maker.levels]
    assert all(price < before for (price, _), before in zip(long, flat, strict=True))
    maker.inventory = 10 * SCALE
    full = [quote(maker, level, FAIR, Calm(), MARKET)[1] for level in maker.levels]
    assert [qty == 0 for qty in full] == [level.buy for level in maker.levels]


def test_small_moves_leave_the_quotes_alone_and_larger_ones_move_them() -> None:
    maker = maker_of()
    assert len(quoted(maker, FAIR)) == 8
    assert quoted(maker, FAIR + share_of(FAIR, 300)) == []
    moved = quoted(maker, FAIR + share_of(FAIR, 2000))
    assert len(moved) == 8
    assert all(isinstance(command, Amend) for command in moved)


def test_taken_depth_comes_back_after_its_time_and_not_before() -> None:
    maker = maker_of()
    quoted(maker, FAIR)
    level = maker.levels[0]
    full = level.qty
    taken(maker, level, full // 4, 5000, random.Random(1))
    assert 5500 <= level.refill_at_ms <= 6500
    assert quoted(maker, FAIR, 5400) == []
    moved = quoted(maker, FAIR + share_of(FAIR, 2000), 5450)
    assert level.leaves == full // 4, "a taken level follows the price with what is left"
    assert len(moved) == 8
    refilled = quoted(maker, FAIR + share_of(FAIR, 2000), 6600)
    assert len(refilled) == 1
    assert isinstance(refilled[0], Amend)
    assert refilled[0].qty - full == level.leaves - full // 4, "the order's quantity counts what was filled"
    assert abs(level.leaves - full) * 100 < full


def test_an_emptied_level_is_placed_anew_under_a_new_name() -> None:
    maker = maker_of()
    quoted(maker, FAIR)
    level = maker.levels[5]
    name = level.link_id
    taken(maker, level, 0, 5000, random.Random(1))
    assert quoted(maker, FAIR, 5400) == []
    placed = quoted(maker, FAIR, 6600)
    assert len(placed) == 1
    assert isinstance(placed[0], Place)
    assert placed[0].link_id != name
    assert not placed[0].buy


def test_fast_markets_are_wide_and_thin_within_limits() -> None:
    assert weather(19_000, FAST, 20.0) == Calm()
    assert weather(40_000, FAST, 20.0) == Calm(200, 2)
    assert weather(10_000_000, FAST, 20.0) == Calm(600, 1)
    maker = maker_of()
    calm_depth = quote(maker, maker.levels[0], FAIR, Calm(), MARKET)
    wild_depth = quote(maker, maker.levels[0], FAIR, Calm(600, 1), MARKET)
    assert wild_depth[0] < calm_depth[0]
    assert wild_depth[1] * 3 < calm_depth[1]


def test_depth_that_was_thinned_and_not_taken_returns_with_the_calm() -> None:
    maker = maker_of()
    quoted(maker, FAIR)
    full = [level.leaves for level in maker.levels]
    quoted(maker, FAIR, 100, Calm(400, 1))
    assert all(level.leaves < whole for level, whole in zip(maker.levels, full, strict=True))
    quoted(maker, FAIR, 200, Calm())
    assert [level.leaves for level in maker.levels] == full


def test_noise_has_its_rate_its_sizes_and_leans_against_its_position() -> None:
    config = NoiseConfig(rate_per_second=5.0, median_usdt=Decimal(2000), size_max_usdt=Decimal(50_000))
    rng = random.Random(3)
    orders = [order for _ in range(2000) for order in noise_orders(config, MARKET, FAIR, 100, [7, 8], 0, rng)]
    assert 900 < len(orders) < 1100
    assert {order.account for order in orders} == {7, 8}
    assert 0.44 < sum(order.buy for order in orders) / len(orders) < 0.56
    assert max(order.qty for order in orders) <= 50_000 * SCALE // 100_000
    assert min(order.qty for order in orders) >= MARKET.least_qty(FAIR)
    long = [
        order for _ in range(2000) for order in noise_orders(config, MARKET, FAIR, 100, [7], 10 * SCALE, rng)
    ]
    assert sum(order.buy for order in long) / len(long) < 0.25
    assert noise_orders(NoiseConfig(rate_per_second=0.0), MARKET, FAIR, 1000, [7], 0, rng) == []


def test_a_move_without_a_trade_is_printed_in_its_direction() -> None:
    config = NoiseConfig(print_bps=1.0)
    rng = random.Random(1)
    assert follow_print(config, MARKET, FAIR, FAIR + share_of(FAIR, 500), [7], rng) is None
    up = follow_print(config, MARKET, FAIR, FAIR - share_of(FAIR, 3000), [7], rng)
    down = follow_print(config, MARKET, FAIR, FAIR + share_of(FAIR, 3000), [7], rng)
    assert up is not None
    assert down is not None
    assert (up.buy, down.buy) == (True, False)
    assert up.qty == MARKET.least_qty(FAIR)


@pytest.mark.parametrize("seed", range(5))
def test_the_crowd_is_what_its_configuration_says(seed: int) -> None:
    config = CrowdConfig(traders=400, long_share=0.7, before_share=0.6, leverage_min=3, leverage_max=50)
    crowd = draw_crowd(config, [MARKET], 5000, 60_000, random.Random(seed))
    again = draw_crowd(config, [MARKET], 5000, 60_000, random.Random(seed))
    assert (crowd.traders, crowd.intents) == (again.traders, again.intents)
    assert [trader.account for trader in crowd.traders] == list(range(5000, 5400))
    assert 0.6 < sum(trader.buy for trader in crowd.traders) / 400 < 0.8
    for trader in crowd.traders:
        assert 300 <= trader.leverage <= 5000
        assert trader.deposit * trader.leverage // 100 >= trader.notional, "the entry is affordable"
        assert trader.notional <= to_fixed(config.notional_max_usdt)
    entries = [intent for intent in crowd.intents if intent.action == "enter"]
    assert len(entries) == 400
    assert 0.5 < sum(intent.wall_ms <= 2000 for intent in entries) / 400 < 0.7
    assert max(intent.wall_ms for intent in entries) <= 27_000
    assert crowd.intents == sorted(crowd.intents, key=lambda intent: intent.wall_ms)


def test_intents_are_handed_out_once_in_portions_and_never_to_the_liquidated() -> None:
    config = CrowdConfig(traders=30, before_share=1.0, add_share=0.0, close_share=0.0)
    crowd = draw_crowd(config, [MARKET], 5000, 60_000, random.Random(1))
    crowd.liquidated.add(crowd.intents[-1].trader.account)
    handed = []
    for _ in range(10):
        portion = crowd.due(60_000, 6)
        assert len(portion) <= 6
        handed += portion
    assert handed == crowd.intents[:-1]
    assert crowd.due(10**9, 6) == []


@given(st.integers(0, 10**18), st.integers(1, 10**10))
def test_rounding_goes_where_its_name_says(value: int, step: int) -> None:
    assert floor_to(value, step) <= value <= ceil_to(value, step)
    assert floor_to(value, step) % step == ceil_to(value, step) % step == 0
    assert ceil_to(value, step) - floor_to(value, step) in {0, step}


@pytest.mark.parametrize("text", ["", "abc", "nan", "inf", "1,5"])
def test_what_is_no_number_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="number"):
        to_fixed(text)
