"""What the venue can be told: one TOML file, environment variables, command-line options.

Belongs here: names, limits and defaults of the settings and the wording of what is wrong with them.
Precedence: options over `SIMULATED_EXCHANGE_...` (nested keys joined by `__`) over the file over defaults.
Does not belong here: what the settings do.
"""

from __future__ import annotations

import difflib
import os
import tomllib
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError
from pydantic_settings import (
    BaseSettings,
    InitSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from simulated_exchange.errors import ConfigurationError

__all__ = [
    "ENVIRONMENT_PREFIX",
    "AccountSettings",
    "GatewaySettings",
    "ScenarioSettings",
    "VenueSettings",
    "default_configuration_folder",
    "load_settings",
]

ENVIRONMENT_PREFIX = "SIMULATED_EXCHANGE_"
NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,31}$"
Money = Annotated[Decimal, Field(ge=0, le=10**9, decimal_places=8)]
Price = Annotated[Decimal, Field(gt=0, le=10**9, decimal_places=8)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class AccountSettings(_Section):
    """An account that exists from the start."""

    name: Annotated[str, StringConstraints(pattern=NAME_PATTERN)]
    deposit_usdt: Money = Decimal(0)


class ScenarioSettings(_Section):
    """What drives prices and the other traders. No name: a quiet book, the index stays at its start price."""

    name: str = ""
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 1
    seconds: Annotated[int, Field(ge=1, le=86_400)] = 60
    replay: list[str] = []
    start: str = Field(default="", alias="from")
    end: str = Field(default="", alias="to")
    held: bool = False  # market time stands still until POST /sim/scenario {"action": "play"}
    overrides: dict[str, Any] = {}


class GatewaySettings(_Section):
    """Limits of the wire."""

    ack_delay_ms: Annotated[int, Field(ge=0, le=1000)] = 5
    body_bytes_max: Annotated[int, Field(ge=1024, le=16_777_216)] = 262_144
    connections_max: Annotated[int, Field(ge=1, le=100_000)] = 2000
    connection_queue_max: Annotated[int, Field(ge=16, le=1_000_000)] = 4096
    frame_bytes_max: Annotated[int, Field(ge=1024, le=16_777_216)] = 262_144
    idle_seconds_max: Annotated[int, Field(ge=1, le=86_400)] = 600
    requests_per_second_max: Annotated[int, Field(ge=1, le=10_000_000)] = 10_000
    recv_window_ms: Annotated[int, Field(ge=1, le=60_000)] = 5000


class VenueSettings(BaseSettings):
    """Everything `simulated-exchange serve` can be told."""

    model_config = SettingsConfigDict(
        env_prefix=ENVIRONMENT_PREFIX, env_nested_delimiter="__", extra="forbid", frozen=True
    )

    host: Annotated[str, Field(min_length=1, max_length=253)] = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65_535)] = 0
    data_dir: Path = Path("runs/exchange")
    instruments: Path | None = None
    insurance_fund_usdt: Money = Decimal(1_000_000)
    durability: Literal["fsync", "os"] = "fsync"
    enable_sim: bool = False
    tick_ms: Annotated[int, Field(ge=10, le=10_000)] = 100
    start_prices: dict[str, Price] = {}
    accounts: list[AccountSettings] = []
    scenario: ScenarioSettings = ScenarioSettings()
    gateway: GatewaySettings = GatewaySettings()


def default_configuration_folder() -> Path:
    """The `configs` folder beside the package, where a checkout has it."""
    return Path(__file__).resolve().parent.parent / "configs"


def load_settings(path: Path | None, options: dict[str, Any]) -> VenueSettings:
    """Settings from options, environment and file, in this order of precedence.

    `options` holds what was asked for on the command line, nested as the file is. A relative `instruments` is
    looked up beside the file; without one the project's own contracts are listed. Raises ConfigurationError
    with every problem at once, one line each.
    """
    source = path or default_configuration_folder() / "exchange.toml"
    values = _read(source) if path is not None or source.exists() else {}

    class Layered(VenueSettings):
        @classmethod
        def settings_customise_sources(
            cls,
            settings_cls: type[BaseSettings],
            init_settings: PydanticBaseSettingsSource,
            env_settings: PydanticBaseSettingsSource,
            dotenv_settings: PydanticBaseSettingsSource,
            file_secret_settings: PydanticBaseSettingsSource,
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            return init_settings, env_settings, InitSettingsSource(settings_cls, values)

    problems = _unknown_environment()
    try:
        settings = Layered(**options)
    except ValidationError as error:
        problems += [_describe(entry) for entry in error.errors(include_url=False, include_input=False)]
        raise ConfigurationError(problems) from None
    except SettingsError as error:
        raise ConfigurationError([*problems, f"environment: {error}"]) from None
    if problems:
        raise ConfigurationError(problems)
    folder = settings.instruments
    chosen = source.parent / folder if folder is not None else default_configuration_folder() / "instruments"
    return settings.model_copy(update={"instruments": chosen})


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigurationError([f"{path}: no such file"]) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError([f"{path}: cannot be read ({type(error).__name__})"]) from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError([f"{path}: not TOML: {error}"]) from None


def _unknown_environment() -> list[str]:
    names = {name.upper(): name for name in VenueSettings.model_fields}
    problems = []
    for variable in sorted(os.environ):
        if not variable.upper().startswith(ENVIRONMENT_PREFIX):
            continue
        key = variable[len(ENVIRONMENT_PREFIX) :].upper().split("__")[0]
        if key not in names:
            problems.append(f"{variable}: unknown variable{_nearest(key, list(names), ENVIRONMENT_PREFIX)}")
    return problems


def _nearest(key: str, known: list[str], prefix: str = "") -> str:
    close = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
    return f"; nearest: {prefix}{close[0]}" if close else f"; known: {', '.join(sorted(known))}"


def _describe(entry: Any) -> str:
    location = [str(part) for part in entry["loc"]]
    dotted = ".".join(location)
    if entry["type"] == "extra_forbidden":
        known = _known_keys(location[:-1])
        prefix = "".join(f"{part}." for part in location[:-1])
        return f"{dotted}: unknown key{_nearest(location[-1], known, prefix)}"
    message = str(entry["msg"]).removeprefix("Input should be ").removeprefix("Value error, ")
    return f"{dotted}: must be {message}" if message != entry["msg"] else f"{dotted}: {message}"


def _known_keys(location: list[str]) -> list[str]:
    model: type[BaseModel] = VenueSettings
    for part in location:
        section = _SECTIONS.get(part)
        if section is not None:
            model = section
    return [field.alias or name for name, field in model.model_fields.items()]


_SECTIONS: dict[str, type[BaseModel]] = {
    "accounts": AccountSettings,
    "scenario": ScenarioSettings,
    "gateway": GatewaySettings,
}
