"""The coin file: the catalogue that ships, and what is said of one that cannot be used."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import orjson
import pytest

from simulated_exchange.clock import MarketClock
from simulated_exchange.coins import RATE_SCALE, Coins, hourly_rate, read_coins
from simulated_exchange.driver import Driver, DriverSettings
from simulated_exchange.errors import ConfigurationError
from simulated_exchange.instruments import SCALE
from simulated_exchange.settings import default_configuration_folder
from tests.unit.simulated_exchange.listing_rooms import shipped_genesis

FILE = default_configuration_folder() / "coins.toml"
SMALL = """
coins = [{ name = "AAA", class = "plain", price = "2", step = "10", user_limit = "100", supplied = "1000" }]
[classes.plain]
collateral = [["1", "0.9"], ["2", "0.5"]]
borrow = [["1", "0.2", "0.04"]]
base = "0.000001"
slope1 = "0.000002"
kink = "0.8"
slope2 = "0.0001"
reserve = "0.1"
[ladder]
cap = "0.95"
warning = "0.9"
repay = "1.1"
stop = "0.95"
"""


def shipped() -> Coins:
    rows = read_coins(FILE, ["BTCUSDT", "ETHUSDT"])
    return Coins.from_genesis(orjson.dumps({"coins": rows}).decode())


def test_more_than_seventy_five_coins_count_as_collateral() -> None:
    coins = shipped()
    assert len(coins) >= 75
    assert len({coin.name for coin in coins}) == len(coins)
    for coin in coins:
        limits = [tier.limit for tier in coin.collateral]
        ratios = [tier.ratio for tier in coin.collateral]
        assert limits == sorted(set(limits)) and limits[0] > 0, coin.name
        assert ratios == sorted(ratios, reverse=True) and ratios[-1] > 0 and ratios[0] <= SCALE, coin.name
        assert max(limits) < 2**63, coin.name


def test_usdt_and_usdc_are_first_and_count_in_full() -> None:
    coins = shipped()
    for coin, name in zip(coins, ("USDT", "USDC"), strict=False):
        assert (coin.name, coin.opening_price, coin.is_fixed) == (name, SCALE, True)
        assert not coin.can_switch
        assert [(tier.limit, tier.ratio) for tier in coin.collateral] == [(2**63 - 1, SCALE)]
        assert coin.free_limit > 0
    assert [coin.name for coin in coins if coin.free_limit] == ["USDT", "USDC"]


def test_bitcoin_has_the_published_sample() -> None:
    bitcoin = shipped().by_name("BTC")
    assert bitcoin is not None
    assert [(tier.limit // SCALE, Decimal(tier.ratio) / SCALE) for tier in bitcoin.collateral] == [
        (limit, Decimal(ratio))
        for limit, ratio in ((10, "0.98"), (20, "0.95"), (30, "0.9"), (40, "0.85"), (50, "0.8"))
    ]
    assert [tier.limit // SCALE for tier in bitcoin.borrow] == [390, 391, 392, 393]


def test_margin_of_loans_and_rates_rise() -> None:
    for coin in shipped():
        borrow, lending = coin.borrow, coin.lending
        assert lending is not None, coin.name
        limits = [tier.limit for tier in borrow]
        assert limits == sorted(set(limits)) and coin.user_limit <= limits[-1], coin.name
        for rates in ([t.initial_rate for t in borrow], [t.maintenance_rate for t in borrow]):
            assert rates == sorted(rates) and rates[0] > 0 and rates[-1] <= SCALE, coin.name
        assert all(tier.maintenance_rate < tier.initial_rate for tier in borrow), coin.name
        assert lending.base > 0 and 0 < lending.slope1 < lending.slope2 < RATE_SCALE // 1000, coin.name
        assert 0 < lending.kink < SCALE and 0 < lending.reserve < SCALE, coin.name
        assert lending.warning <= lending.cap <= lending.stop < lending.repay, coin.name
        assert lending.supplied > 0, coin.name


def test_the_engine_takes_the_shipped_coins() -> None:
    driver = Driver.open(DriverSettings(shipped_genesis(), MarketClock(0)))
    assert driver.engine.coins() == [coin.name for coin in shipped()]
    for coin in shipped():
        assert coin.lending is not None
        pool = driver.lending_pool(coin.index)
        assert (pool.assets, pool.loans) == (coin.lending.supplied, 0), coin.name
    assert driver.conservation().adds_up


def test_a_coin_of_an_unlisted_contract_is_reported() -> None:
    rows = {row["name"]: row for row in read_coins(FILE, ["ETHUSDT"])}
    assert rows["ETH"]["price"] == "ETHUSDT"
    assert (rows["BTC"]["price"], rows["BTC"]["first_price"]) == ("reported", "100000")


def test_a_class_counts_in_the_coin_s_own_steps(tmp_path: Path) -> None:
    file = tmp_path / "coins.toml"
    file.write_text(SMALL)
    (row,) = read_coins(file, [])
    assert row["collateral"] == [{"limit": "10", "ratio": "0.9"}, {"limit": "20", "ratio": "0.5"}]
    assert row["borrow"] == [{"limit": "100", "initial_rate": "0.2", "maintenance_rate": "0.04"}]
    assert row["lending"]["base"] == "0.000001"
    assert hourly_rate(row["lending"]["base"]) == 1_000_000


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('price = "2"', 'price = "two"', "AAA: 'two' is not a decimal number"),
        ('price = "2"', 'prise = "2"', "AAA: prise: is not a known key"),
        ('step = "10", ', "", "AAA: key missing or of the wrong kind: 'step'"),
        ('class = "plain"', 'class = "fancy"', "AAA: key missing or of the wrong kind: 'fancy'"),
        ('base = "0.000001"', 'base = "0.0000000000001"', "at most twelve decimals"),
        ('kink = "0.8"', 'kinc = "0.8"', "classes.plain.kinc: is not a known key"),
        ('stop = "0.95"', 'stop = "0.95"\nhalt = "1"', "ladder.halt: is not a known key"),
        ('cap = "0.95"', "", "AAA: key missing or of the wrong kind: 'cap'"),
        ("coins = [", "coin = [", "needs the list `coins`"),
        ('"0.9"]', '"0.9", "1"]', "AAA: "),
        ("[ladder]", "[ladder", "coins.toml: "),
    ],
)
def test_a_file_that_cannot_be_used_is_told_by_coin_and_key(
    tmp_path: Path, old: str, new: str, told: str
) -> None:
    file = tmp_path / "coins.toml"
    assert old in SMALL
    file.write_text(SMALL.replace(old, new, 1))
    with pytest.raises(ConfigurationError) as caught:
        read_coins(file, [])
    assert told in str(caught.value)
    assert str(file) in str(caught.value)


def test_a_coin_named_twice_is_told(tmp_path: Path) -> None:
    file = tmp_path / "coins.toml"
    line = SMALL.split("[{", 1)[1].split("}]", 1)[0]
    file.write_text(SMALL.replace("}]", "}, {" + line + "}]", 1))
    with pytest.raises(ConfigurationError, match="coin AAA twice"):
        read_coins(file, [])
