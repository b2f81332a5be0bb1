"""Every kind of instrument that ships, traded through the driver in round numbers."""

from __future__ import annotations

import pytest

from simulated_exchange.clock import MarketClock
from simulated_exchange.driver import (
    Driver,
    DriverSettings,
    Event,
    InstrumentStatus,
    MarginMode,
    OrderType,
    Outcome,
    PositionIndex,
    PositionMode,
    Reject,
    Side,
    TimeInForce,
)
from simulated_exchange.instruments import SCALE, Catalogue, fixed_point
from simulated_exchange.pools import pools_of
from simulated_exchange.settings import load_settings
from tests.unit.simulated_exchange.listing_rooms import shipped_genesis

ALICE, BOB = 100_000, 100_001
START_MS = 1_800_000_000_000
HOUR_MS = 3_600_000
DEPOSITS = {"USDT": "1000000", "USDC": "1000000", "BTC": "10", "ETH": "100"}


class Floor:
    """The shipped venue on a clock that stands until it is told; two funded accounts, every index set."""

    def __init__(self) -> None:
        self.elapsed_ns = 0
        genesis = shipped_genesis("1000000")
        clock = MarketClock(
            START_MS,
            monotonic_ns=lambda: self.elapsed_ns,
            time_ns=lambda: START_MS * 1_000_000 + self.elapsed_ns,
        )
        self.catalogue = Catalogue.from_genesis(genesis)
        self.pools = [pool.name for pool in pools_of(genesis)]
        self.driver = Driver.open(DriverSettings(genesis, clock))
        self.coins = self.driver.engine.coins()
        for account in (ALICE, BOB):
            self.done(self.driver.create_account(account))
            for coin, amount in DEPOSITS.items():
                self.done(self.driver.deposit(account, fixed_point(amount), self.coins.index(coin)))
        for name, price in load_settings(None, {}).start_prices.items():
            self.index(name, f"{price:f}")

    def number(self, name: str) -> int:
        instrument = self.catalogue.by_name(name)
        assert instrument is not None, name
        return instrument.index

    def index(self, name: str, price: str, sources: range | None = None) -> None:
        instrument = self.catalogue[self.number(name)]
        for source in sources or range(len(instrument.index_sources)):
            self.done(
                self.driver.set_index_source(
                    instrument=instrument.index, source=source, price=fixed_point(price)
                )
            )

    def wait(self, hours: float = 0) -> list[Event]:
        self.elapsed_ns += round(hours * HOUR_MS) * 1_000_000
        return self.done(self.driver.advance_time())

    def order(
        self,
        account: int,
        name: str,
        side: Side,
        qty: str,
        price: str,
        position_index: PositionIndex = PositionIndex.OneWay,
        reduce_only: bool = False,
    ) -> Outcome:
        return self.driver.place_order(
            account=account,
            instrument=self.number(name),
            side=side,
            order_type=OrderType.Limit,
            time_in_force=TimeInForce.GoodTillCancel,
            qty=fixed_point(qty),
            price=fixed_point(price),
            reduce_only=reduce_only,
            position_index=position_index,
        )

    def trade(self, name: str, qty: str, price: str) -> list[Event]:
        """Bob buys of Alice, who was there first."""
        self.done(self.order(ALICE, name, Side.Sell, qty, price))
        return self.done(self.order(BOB, name, Side.Buy, qty, price))

    def wallet(self, account: int, coin: str) -> int:
        number = self.coins.index(coin)
        return next(row.wallet_balance for row in self.driver.purses(account) if row.coin == number)

    def gained(self, account: int, coin: str) -> int:
        return self.wallet(account, coin) - fixed_point(DEPOSITS[coin])

    @staticmethod
    def done(outcome: Outcome) -> list[Event]:
        assert outcome.reject is None, outcome.reject
        return outcome.events


@pytest.fixture
def floor() -> Floor:
    return Floor()


@pytest.mark.parametrize(
    ("name", "qty", "price", "coin", "worth"),
    [
        ("BTCUSDT", "1", "100000", "USDT", "100000"),
        ("BTCPERP", "1", "100000", "USDC", "100000"),
        ("BTCUSD", "100000", "100000", "BTC", "1"),
        ("BTCUSDT-25JUN27", "1", "100000", "USDT", "100000"),
        ("MEMEUSDT", "1000000", "0.01", "USDT", "10000"),
    ],
)
def test_a_contract_settles_in_its_coin_and_pays_its_pool(
    floor: Floor, name: str, qty: str, price: str, coin: str, worth: str
) -> None:
    floor.trade(name, qty, price)
    number = floor.number(name)
    view = floor.driver.position(BOB, number)
    assert (view.qty, view.entry_price, view.value) == (*map(fixed_point, (qty, price)), fixed_point(worth))
    taker, maker = floor.catalogue[number].taker_fee, floor.catalogue[number].maker_fee
    assert floor.gained(BOB, coin) == -fixed_point(worth) * taker // SCALE
    assert floor.gained(ALICE, coin) == -fixed_point(worth) * maker // SCALE
    listed = floor.driver.engine.instruments()[number]
    pool = floor.pools[floor.driver.adl_alert(number).pool]
    assert (floor.coins[listed.settle], pool) == (coin, "MEMEUSDT" if name == "MEMEUSDT" else coin)
    assert floor.driver.conservation().adds_up
    floor.driver.engine.check_invariants()


def test_an_inverse_long_wins_coins(floor: Floor) -> None:
    floor.trade("BTCUSD", "100000", "100000")
    after_fee = floor.wallet(BOB, "BTC")
    floor.index("BTCUSD", "125000")
    floor.done(floor.order(ALICE, "BTCUSD", Side.Buy, "100000", "125000"))
    floor.done(floor.order(BOB, "BTCUSD", Side.Sell, "100000", "125000"))
    fee = fixed_point("0.8") * 55_000 // SCALE
    assert floor.wallet(BOB, "BTC") - after_fee == fixed_point("0.2") - fee
    assert floor.driver.positions(BOB) == []


def test_a_pair_moves_coins_and_charges_what_is_received(floor: Floor) -> None:
    floor.trade("BTC/USDT", "1", "100000")
    assert (floor.gained(BOB, "BTC"), floor.gained(BOB, "USDT")) == (fixed_point("0.999"), -100_000 * SCALE)
    assert (floor.gained(ALICE, "BTC"), floor.gained(ALICE, "USDT")) == (-SCALE, 99_900 * SCALE)
    floor.trade("ETH/BTC", "10", "0.04")
    assert (floor.gained(BOB, "ETH"), floor.gained(ALICE, "ETH")) == (fixed_point("9.99"), -10 * SCALE)
    assert floor.driver.positions(BOB) == []
    assert floor.driver.conservation().adds_up


def test_a_dated_contract_is_delivered_and_closed(floor: Floor) -> None:
    number = floor.number("BTCUSDT-25JUN27")
    delivery_ms = floor.catalogue[number].delivery_ms
    floor.trade("BTCUSDT-25JUN27", "1", "100000")
    minutes = 40  # delivery is at the index's mean of the last half hour
    floor.elapsed_ns = (delivery_ms - START_MS - minutes * 60_000) * 1_000_000
    for _ in range(minutes + 1):
        floor.index("BTCUSDT-25JUN27", "110000")
        floor.wait(hours=1 / 60)
    assert floor.driver.status(number) == InstrumentStatus.Closed
    assert floor.driver.positions(BOB) == []
    fees = 55 * SCALE + 55 * SCALE  # of the trade, and 0.05 % of 110,000 at delivery
    assert floor.gained(BOB, "USDT") == 10_000 * SCALE - fees
    assert floor.order(BOB, "BTCUSDT-25JUN27", Side.Buy, "1", "110000").reject == Reject.InstrumentClosed
    with pytest.raises(LookupError):
        floor.driver.funding(number)


def test_a_zone_contract_has_little_leverage_and_its_own_funding(floor: Floor) -> None:
    number = floor.number("MEMEUSDT")
    too_much = floor.driver.set_leverage(account=BOB, instrument=number, leverage=2501)
    assert too_much.reject == Reject.LeverageAboveTier
    floor.done(floor.driver.set_leverage(account=BOB, instrument=number, leverage=2500))
    funding = floor.driver.funding(number)
    assert (funding.interval_ms, funding.upper) == (4 * HOUR_MS, 20_000_000_000)
    assert floor.driver.engine.instruments()[number].zone == "innovation"
    one_far_off = range(3, 4)
    floor.index("MEMEUSDT", "0.02", one_far_off)
    assert floor.driver.prices(number).index == fixed_point("0.01")


def test_an_index_is_the_weighted_mean_of_its_sources(floor: Floor) -> None:
    floor.index("BTCUSD", "101000", range(1))
    assert floor.driver.prices(floor.number("BTCUSD")).index == 100_500 * SCALE
    floor.index("BTCUSD", "150000", range(1))  # held within 3 % of the median
    assert floor.driver.prices(floor.number("BTCUSD")).index == 101_500 * SCALE


def test_a_hedged_isolated_account_has_two_positions_with_margin_of_their_own(floor: Floor) -> None:
    number, driver = floor.number("BTCPERP"), floor.driver
    for account in (ALICE, BOB):
        floor.done(driver.set_margin_mode(account=account, mode=MarginMode.Isolated))
    floor.done(driver.set_position_mode(account=BOB, mode=PositionMode.Hedge, coin=floor.coins.index("USDC")))
    assert driver.position_mode(BOB, number) == PositionMode.Hedge
    assert driver.position_mode(BOB, floor.number("BTCUSDT")) == PositionMode.OneWay
    assert driver.margin_mode(BOB) == MarginMode.Isolated
    floor.done(driver.set_side_leverage(account=BOB, instrument=number, buy=2000, sell=500))
    long, short = PositionIndex.HedgeBuy, PositionIndex.HedgeSell
    floor.done(floor.order(ALICE, "BTCPERP", Side.Sell, "1", "100000"))
    floor.done(floor.order(BOB, "BTCPERP", Side.Buy, "1", "100000", long))
    floor.done(floor.order(ALICE, "BTCPERP", Side.Buy, "1", "100000"))
    floor.done(floor.order(BOB, "BTCPERP", Side.Sell, "1", "100000", short))
    views = {view.position_index: view for view in driver.positions(BOB)}
    assert (views[long].qty, views[long].leverage) == (SCALE, 2000)
    assert (views[short].qty, views[short].leverage) == (-SCALE, 500)
    before = views[short].assigned_margin
    floor.done(driver.add_margin(account=BOB, instrument=number, amount=1000 * SCALE, position_index=short))
    assert driver.position(BOB, number, short).assigned_margin - before == 1000 * SCALE
    floor.done(driver.set_auto_add_margin(account=BOB, instrument=number, is_on=True, position_index=long))
    assert driver.position(BOB, number, long).auto_add_margin
    wrong = floor.order(BOB, "BTCPERP", Side.Buy, "1", "100000")
    assert wrong.reject == Reject.PositionIndexMismatch


def test_a_pool_pays_for_its_own_contracts_alone(floor: Floor) -> None:
    number, driver = floor.number("MEMEUSDT"), floor.driver
    carol = 100_002
    floor.done(driver.create_account(carol))
    floor.done(driver.deposit(carol, 500 * SCALE))
    floor.done(driver.set_leverage(account=carol, instrument=number, leverage=2500))
    floor.done(floor.order(ALICE, "MEMEUSDT", Side.Sell, "1000000", "0.01"))
    floor.done(floor.order(carol, "MEMEUSDT", Side.Buy, "1000000", "0.01"))
    floor.done(floor.order(BOB, "MEMEUSDT", Side.Buy, "1000000", "0.009"))
    assert [place.account for place in driver.adl_places(number, Side.Sell)] == [ALICE]
    before = {pool.pool: pool.balance for pool in driver.insurance_pools()}
    floor.index("MEMEUSDT", "0.009")
    for _ in range(400):
        floor.wait(hours=1 / 3600)
    after = {pool.pool: pool.balance for pool in driver.insurance_pools()}
    changed = [floor.pools[pool] for pool in before if before[pool] != after[pool]]
    assert changed == ["MEMEUSDT"]
    assert driver.insurance_pool(floor.pools.index("MEMEUSDT")) == after[3] < before[3]
    assert driver.position(carol, number).qty == 0
    assert driver.conservation().adds_up


def test_risk_limits_of_an_inverse_contract_change_with_notice(floor: Floor) -> None:
    number, driver = floor.number("BTCUSD"), floor.driver
    tiers = [(100 * SCALE, 5000, SCALE // 100), (200 * SCALE, 2000, SCALE // 40)]
    floor.done(driver.announce_risk_limits(instrument=number, tiers=tiers, effective_ms=START_MS + HOUR_MS))
    coming = driver.coming_risk_limits(number)
    assert coming is not None and coming.tiers == tiers
    floor.wait(hours=1)
    assert driver.coming_risk_limits(number) is None
    assert driver.engine.instruments()[number].tiers == tiers
    above = driver.set_leverage(account=BOB, instrument=number, leverage=5001)
    assert above.reject == Reject.LeverageAboveTier
