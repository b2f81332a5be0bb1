"""Settings: precedence and the wording of what is wrong."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest
from pydantic import BaseModel

from simulated_exchange.errors import ConfigurationError
from simulated_exchange.settings import SECTIONS, VenueSettings, load_settings


def test_options_win_over_environment_over_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "exchange.toml"
    file.write_text(
        'port = 1\nhost = "::1"\ntick_ms = 50\ninstruments = "mine"\n[gateway]\nack_delay_ms = 7\n'
    )
    monkeypatch.setenv("SIMULATED_EXCHANGE_PORT", "2")
    monkeypatch.setenv("SIMULATED_EXCHANGE_TICK_MS", "60")
    monkeypatch.setenv("SIMULATED_EXCHANGE_GATEWAY__CONNECTIONS_MAX", "9")
    settings = load_settings(file, {"port": 3, "scenario": {"name": "calm"}})
    assert (settings.port, settings.tick_ms, settings.host) == (3, 60, "::1")
    assert (settings.gateway.ack_delay_ms, settings.gateway.connections_max) == (7, 9)
    assert settings.scenario.name == "calm"
    assert settings.instruments == tmp_path / "mine"


def test_the_shipped_file_says_the_defaults(tmp_path: Path) -> None:
    empty = tmp_path / "empty.toml"
    empty.write_text("")
    shipped, defaults = load_settings(None, {}), load_settings(empty, {})
    assert {**shipped.model_dump(), "start_prices": {}} == defaults.model_dump()
    assert shipped.start_prices["BTCUSDT"] == Decimal(100_000)


def test_every_problem_is_named_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "exchange.toml"
    file.write_text('hots = "x"\n[gateway]\nbody_bytes_max = 1\n[scenario]\nfrm = ""\n')
    monkeypatch.setenv("SIMULATED_EXCHANGE_DURABILTY", "os")
    with pytest.raises(ConfigurationError) as raised:
        load_settings(file, {})
    assert sorted(raised.value.problems) == [
        f"{file}: gateway.body_bytes_max: was 1, allowed: 1024 to 16777216",
        f"{file}: hots: unknown key; nearest: host",
        f"{file}: scenario.frm: unknown key; nearest: scenario.from",
        "SIMULATED_EXCHANGE_DURABILTY: unknown variable; nearest: SIMULATED_EXCHANGE_DURABILITY",
    ]


def test_a_mistake_is_told_where_it_was_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "exchange.toml"
    file.write_text("tick_ms = 1\n[[accounts]]\n")
    monkeypatch.setenv("SIMULATED_EXCHANGE_CONFIG", str(file))
    monkeypatch.setenv("SIMULATED_EXCHANGE_GATEWAY__ACK_DELAY_MS", "long")
    with pytest.raises(ConfigurationError) as raised:
        load_settings(file, {"durability": "maybe", "scenario": {"seconds": 0, "held": "perhaps"}})
    assert sorted(raised.value.problems) == [
        "--durability: was 'maybe', allowed: fsync or os",
        "--hold: was 'perhaps', allowed: true or false",
        "--seconds: was 0, allowed: 1 to 86400",
        f"{file}: accounts.0.name: missing, "
        "allowed: 1 to 32 letters, digits, dots, dashes, underscores; a letter or digit first",
        f"{file}: tick_ms: was 1, allowed: 10 to 10000",
        "SIMULATED_EXCHANGE_GATEWAY__ACK_DELAY_MS: was 'long', allowed: 0 to 1000",
    ]
    monkeypatch.setenv("SIMULATED_EXCHANGE_ACCOUNTS", "alice")
    with pytest.raises(ConfigurationError) as raised:
        load_settings(file, {})
    assert raised.value.problems == ["SIMULATED_EXCHANGE_ACCOUNTS: allowed: a list or a table, as JSON"]


def test_every_setting_says_what_is_allowed_in_words() -> None:
    kinds: list[type[BaseModel]] = [VenueSettings, *SECTIONS.values()]
    for kind in kinds:
        assert all(field.description for field in kind.model_fields.values())


@pytest.mark.parametrize("text", ["port = ", "[gateway", "\ufeffport = 1\n\x00"])
def test_a_file_that_is_no_toml_is_named(tmp_path: Path, text: str) -> None:
    file = tmp_path / "exchange.toml"
    file.write_text(text)
    with pytest.raises(ConfigurationError, match=r"exchange\.toml: (line|end of document).*: not TOML"):
        load_settings(file, {})
