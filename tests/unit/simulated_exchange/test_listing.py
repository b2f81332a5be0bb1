"""What is listed: instrument files of every kind, pools, and the wording of what is wrong with them."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest

from simulated_exchange.errors import ConfigurationError
from simulated_exchange.instrument_files import read_instruments
from simulated_exchange.instruments import SCALE, Catalogue
from simulated_exchange.listing import listed_genesis
from simulated_exchange.pools import pools_of, read_pools, with_fund
from simulated_exchange.settings import default_configuration_folder, load_settings
from tests.unit.simulated_exchange.listing_rooms import shipped, shipped_genesis

FOLDER = default_configuration_folder() / "instruments"
PERPETUAL, DATED, SPOT = "BTCUSDT.toml", "dated-BTCUSDT-25JUN27.toml", "spot-BTCUSDT.toml"


def test_instrument_files_are_checked_by_name_and_key(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"has no \.toml file"):
        read_instruments(tmp_path)
    text = (FOLDER / PERPETUAL).read_text()
    (tmp_path / "a.toml").write_text(text)
    (tmp_path / "b.toml").write_text(text.replace('tick_size = "0.1"', 'tick_size = "fine"'))
    (tmp_path / "c.toml").write_text(text.replace('min_qty = "0.001"\n', ""))
    (tmp_path / "d.toml").write_text("symbol = ")
    with pytest.raises(ConfigurationError) as raised:
        read_instruments(tmp_path)
    told = [problem.removeprefix(f"{tmp_path}/") for problem in raised.value.problems]
    assert told[:2] == [
        "b.toml: tick_size: was 'fine', must be a decimal number with at most 8 decimals",
        "c.toml: min_qty: is missing",
    ]
    assert told[2].startswith("d.toml: ")
    for name in ("c.toml", "d.toml"):
        (tmp_path / name).unlink()
    (tmp_path / "b.toml").write_text(text)
    with pytest.raises(ConfigurationError, match="BTCUSDT twice"):
        read_instruments(tmp_path)


@pytest.mark.parametrize(
    ("file", "old", "new", "problem"),
    [
        (
            PERPETUAL,
            'min_notional = "5"',
            'min_notional = "1e400"',
            "min_notional: was '1e400', must be a decimal number with at most 8 decimals",
        ),
        (
            PERPETUAL,
            'base = "BTC"',
            'kind = "perp"',
            "kind: was 'perp', must be one of perpetual, expiry, spot",
        ),
        (
            PERPETUAL,
            'base = "BTC"',
            'base = "BTC"\ndelivery = 2027-06-25T08:00:00Z',
            "delivery: belongs to expiry, the kind is perpetual",
        ),
        (
            PERPETUAL,
            'max_leverage = "100"',
            'max_leverage = "33.333"',
            "tiers[0].max_leverage: was '33.333', must be a decimal number with at most 2 decimals",
        ),
        (
            PERPETUAL,
            'weight = "0.3" }',
            'wait = "0.3" }',
            "index_sources[1].wait: is not a known key; nearest: weight",
        ),
        (
            PERPETUAL,
            'lower_funding_rate = "-0.00375"\n',
            "",
            "lower_funding_rate, upper_funding_rate: one needs the other",
        ),
        (PERPETUAL, "tick_size", "tik_size", "tick_size: is missing"),
        (
            PERPETUAL,
            "index_stale_ms = 60000",
            "index_stale_ms = true",
            "index_stale_ms: was true, must be a whole number",
        ),
        (
            DATED,
            "delivery = 2027-06-25T08:00:00Z",
            "delivery = 2027-06-25",
            "delivery: was 2027-06-25, must be a time with its zone, such as 2027-06-25T08:00:00Z",
        ),
        (DATED, "delivery = 2027-06-25T08:00:00Z", "", "delivery: is missing"),
        (DATED, 'base = "BTC"', 'base = "BTC"\ninverse = "yes"', "inverse: was 'yes', must be true or false"),
        (
            SPOT,
            'symbol = "BTC/USDT"',
            'symbol = "BTCUSDT"',
            "symbol: was 'BTCUSDT', must be 'BTC/USDT': a pair is named by its coins",
        ),
        (
            SPOT,
            'base = "BTC"',
            'base = "BTC"\nfunding_interval_ms = 28800000',
            "funding_interval_ms: belongs to perpetual, the kind is spot",
        ),
        (
            SPOT,
            "index_sources = [",
            "index_sources = []\nnot_sources = [",
            "index_sources: was a list, must be a list of one table or more",
        ),
    ],
)
def test_a_mistake_is_told_with_its_key(tmp_path: Path, file: str, old: str, new: str, problem: str) -> None:
    text = (FOLDER / file).read_text()
    assert old in text
    (tmp_path / file).write_text(text.replace(old, new, 1))
    with pytest.raises(ConfigurationError) as raised:
        read_instruments(tmp_path)
    assert f"{tmp_path / file}: {problem}" in raised.value.problems


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ('coin = "BTC"', 'coin = "BTX"', "pools[2].coin: was 'BTX', must be one of USDT, USDC"),
        ('name = "USDC"', 'name = "USDT"', "pool USDT twice"),
        ('balance = "20"', 'balanse = "20"', "pools[2].balanse: is not a known key; nearest: balance"),
        ("pools = [", "pool = [", "pools: must be a list of one table or more"),
    ],
)
def test_a_mistake_in_the_pool_file_is_told(tmp_path: Path, old: str, new: str, problem: str) -> None:
    file = tmp_path / "pools.toml"
    file.write_text((default_configuration_folder() / "pools.toml").read_text().replace(old, new, 1))
    with pytest.raises(ConfigurationError) as raised:
        read_pools(file, "1000", [coin["name"] for coin in shipped()["coins"]])
    assert raised.value.problems[0].startswith(f"{file}: {problem}")


@pytest.mark.parametrize(
    ("file", "old", "new", "problem"),
    [
        (
            "zone-MEMEUSDT.toml",
            'pool = "MEMEUSDT"',
            'pool = "BTC"',
            "MEMEUSDT: pool BTC is not listed, or not of",
        ),
        ("spot-ETHBTC.toml", 'base = "ETH"', 'base = "XYZ"', "XYZ/BTC: XYZ is no listed coin"),
        (
            "spot-ETHBTC.toml",
            'weight = "0.2" }',
            'weight = "0.2", converted_by = "MEMEUSDT" }',
            "ETH/BTC: index_sources: converted_by MEMEUSDT is not listed before it",
        ),
        (
            "inverse-BTCUSD.toml",
            'base = "BTC"',
            'base = "SOL"',
            "BTCUSD: no pool is of the coin it settles in, SOL",
        ),
    ],
)
def test_what_an_instrument_names_must_be_listed(
    tmp_path: Path, file: str, old: str, new: str, problem: str
) -> None:
    for source in FOLDER.glob("*.toml"):
        (tmp_path / source.name).write_text(source.read_text())
    changed = (FOLDER / file).read_text().replace(old, new, 1)
    if "XYZ" in new:
        changed = changed.replace('symbol = "ETH/BTC"', 'symbol = "XYZ/BTC"')
    (tmp_path / file).write_text(changed)
    settings = load_settings(None, {}).model_copy(update={"instruments": tmp_path})
    with pytest.raises(ConfigurationError) as raised:
        listed_genesis(settings)
    assert raised.value.problems[0].startswith(problem)


@pytest.mark.parametrize(
    ("file", "old", "new", "key"),
    [
        (PERPETUAL, '"0.00375"', '"0.006"', "upper_funding_rate: "),
        (PERPETUAL, 'max_leverage = "90"', 'max_leverage = "110"', "tiers[1]: "),
        (PERPETUAL, 'taker_fee = "0.00055"', 'taker_fee = "1"', "taker_fee: "),
        (SPOT, 'min_qty = "0.000001"', 'min_qty = "0.0000015"', "min_qty: "),
        (DATED, "delivery = 2027", "delivery = 1969", "delivery: "),
    ],
)
def test_what_only_the_engine_sees_is_told_with_its_file(
    tmp_path: Path, file: str, old: str, new: str, key: str
) -> None:
    for source in FOLDER.glob("*.toml"):
        (tmp_path / source.name).write_text(source.read_text())
    text = (FOLDER / file).read_text()
    assert old in text
    (tmp_path / file).write_text(text.replace(old, new, 1))
    settings = load_settings(None, {}).model_copy(update={"instruments": tmp_path})
    with pytest.raises(ConfigurationError) as raised:
        listed_genesis(settings)
    [problem] = raised.value.problems
    assert problem.startswith(f"{tmp_path / file}: ")
    assert key in problem
    assert "instruments[" not in problem


def test_the_catalogue_counts_decimals_and_leverage() -> None:
    catalogue = Catalogue.from_genesis(shipped_genesis())
    bitcoin = catalogue.by_symbol("BTCUSDT")
    assert bitcoin is not None
    assert (bitcoin.price_decimals, bitcoin.qty_decimals, bitcoin.default_leverage) == (2, 3, 1000)


def test_a_symbol_is_one_instrument_in_each_category() -> None:
    catalogue = Catalogue.from_genesis(shipped_genesis())
    found = {
        category: [entry.symbol for entry in catalogue.of(category)]
        for category in ("linear", "inverse", "spot")
    }
    assert found == {
        "linear": ["BTCUSDT", "ETHUSDT", "BTCUSDT-25JUN27", "BTCPERP", "MEMEUSDT"],
        "inverse": ["BTCUSD"],
        "spot": ["BTCUSDT", "ETHBTC", "ETHUSDT"],
    }
    pair, perpetual = catalogue.by_symbol("BTCUSDT", "spot"), catalogue.by_symbol("BTCUSDT")
    assert pair is not None and perpetual is not None
    assert (pair.name, pair.is_spot, perpetual.name) == ("BTC/USDT", True, "BTCUSDT")
    assert catalogue.by_name("BTC/USDT") is pair
    settled = {entry.name: entry.settle for entry in catalogue}
    assert (settled["BTCUSD"], settled["BTCPERP"], settled["ETH/BTC"]) == ("BTC", "USDC", "BTC")
    assert [entry.name for entry in catalogue if entry.is_perpetual] == [
        "BTCUSDT",
        "ETHUSDT",
        "BTCUSD",
        "BTCPERP",
        "MEMEUSDT",
    ]


def test_pools_are_listed_and_the_first_opens_with_the_fund() -> None:
    pools = pools_of(shipped_genesis("77"))
    assert [(pool.name, pool.coin) for pool in pools] == [
        ("USDT", "USDT"),
        ("USDC", "USDC"),
        ("BTC", "BTC"),
        ("MEMEUSDT", "USDT"),
    ]
    assert pools[0].opening_balance == 77 * SCALE
    plain = {key: value for key, value in shipped().items() if key in ("instruments", "insurance_fund")}
    plain["instruments"] = plain["instruments"][:1]
    (only,) = pools_of(orjson.dumps(with_fund(plain, "5")).decode())
    assert (only.name, only.opening_balance) == ("USDT", 5 * SCALE)
