"""Scenario files: those that ship are usable, and what is wrong with another is one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from simulated_exchange.scenario import ScenarioError, load_config, scenario_names, scenarios_folder

TEXT = """
name = "mine"
[[symbols]]
symbol = "BTCUSDT"
start_price = "100.5"
[[symbols.makers]]
name = "only"
[crowd]
traders = 3
"""


def load(folder: Path, text: str, overrides: dict[str, object] | None = None) -> object:
    (folder / "mine.toml").write_text(text)
    return load_config("mine", folder, overrides)


def test_the_scenarios_that_ship_are_usable() -> None:
    assert {"demo", "calm", "crash"} <= set(scenario_names(scenarios_folder()))
    for name in scenario_names(scenarios_folder()):
        config = load_config(name, scenarios_folder())
        assert config.name == name
        assert config.description
        driven = {symbol.symbol for symbol in config.symbols if symbol.follows is None}
        assert driven == {"BTCUSDT", "ETHUSDT"}


def test_overrides_go_on_top_key_by_key(tmp_path: Path) -> None:
    load(tmp_path, TEXT)
    config = load_config("mine", tmp_path, {"crowd": {"traders": 7}, "tick_ms": 50})
    assert (config.crowd.traders, config.tick_ms, config.symbols[0].symbol) == (7, 50, "BTCUSDT")
    assert str(config.symbols[0].start_price) == "100.5"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (TEXT + "trader = 3\n", "mine.toml: crowd.trader: unknown key"),
        (
            TEXT.replace("traders = 3", "traders = -1"),
            "mine.toml: crowd.traders: .*greater than or equal to 0",
        ),
        (TEXT.replace('start_price = "100.5"', ""), "symbols.0: needs either start_price or follows"),
        (TEXT.replace('"100.5"', '"1"\nfollows = "ETHUSDT"'), "needs either start_price or follows"),
        (
            TEXT.replace('start_price = "100.5"', 'follows = "ETHUSDT"'),
            "ETHUSDT has no price of its own",
        ),
        (TEXT.replace('"100.5"', '"-5"'), "mine.toml: symbols.0.start_price: .*greater than 0"),
        (TEXT.replace('symbol = "BTCUSDT"', ""), "mine.toml: symbols.0.symbol: "),
        (TEXT + "leverage_min = 60\n", "crowd: leverage_min must not be above leverage_max"),
        (TEXT + "long_share = nan\n", "mine.toml: crowd.long_share: "),
        ("tick_ms = 5\n" + TEXT, "mine.toml: tick_ms: .*greater than or equal to 20"),
        (
            "commands_per_tick_max = 50\n" + TEXT.replace('"only"', '"only"\nlevels = 30'),
            "makers have 60 quotes",
        ),
        ("name = ", "mine.toml: not TOML"),
    ],
)
def test_an_unusable_file_is_one_line(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ScenarioError, match=said) as failure:
        load(tmp_path, text)
    assert "\n" not in str(failure.value)


def test_an_unknown_name_lists_the_known_ones(tmp_path: Path) -> None:
    load(tmp_path, TEXT)
    with pytest.raises(ScenarioError, match=r"unknown name .storm.; allowed: mine, or a \.toml file"):
        load_config("storm", tmp_path)
    with pytest.raises(ScenarioError, match=r"absent\.toml: cannot be read"):
        load_config(str(tmp_path / "absent.toml"), tmp_path)
    assert load_config(str(tmp_path / "mine.toml"), Path("elsewhere")).name == "mine"
