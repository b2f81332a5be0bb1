"""What the venue can be told: one TOML file, environment variables, command-line options.

Belongs here: names, limits and defaults of the settings and the wording of what is wrong with them.
Precedence: options over `SIMULATED_EXCHANGE_...` (nested keys joined by `__`) over the file over defaults.
Does not belong here: what the settings do.
"""

from __future__ import annotations

import difflib
import os
import re
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
    "SECTIONS",
    "AccountSettings",
    "GatewaySettings",
    "JournalSettings",
    "ScenarioSettings",
    "VenueSettings",
    "default_configuration_folder",
    "load_settings",
]

ENVIRONMENT_PREFIX = "SIMULATED_EXCHANGE_"
NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,31}$"
Money = Annotated[Decimal, Field(ge=0, le=10**9, decimal_places=8)]
Price = Annotated[Decimal, Field(gt=0, le=10**9, decimal_places=8)]
MONEY = "USDT from 0 to 1000000000, at most 8 decimals"
VALUE_LENGTH_MAX = 60


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class AccountSettings(_Section):
    """An account that exists from the start."""

    name: Annotated[
        str,
        StringConstraints(pattern=NAME_PATTERN),
        Field(description="1 to 32 letters, digits, dots, dashes, underscores; a letter or digit first"),
    ]
    deposit_usdt: Annotated[Money, Field(description=MONEY)] = Decimal(0)


class ScenarioSettings(_Section):
    """What drives prices and the other traders. No name: a quiet book, the index stays at its start price."""

    name: Annotated[str, Field(description="a scenario's name, or nothing")] = ""
    seed: Annotated[int, Field(ge=0, lt=2**63, description="a whole number from 0, below 2**63")] = 1
    seconds: Annotated[int, Field(ge=1, le=86_400, description="1 to 86400")] = 60
    replay: Annotated[list[str], Field(description="a list of KIND:SYMBOL=FILE")] = []
    start: str = Field(default="", alias="from", description="a time in UTC like 2025-10-10T20:30")
    end: str = Field(default="", alias="to", description="a time in UTC like 2025-10-10T20:30")
    # Market time stands still until POST /sim/scenario {"action": "play"}.
    held: Annotated[bool, Field(description="true or false")] = False
    overrides: Annotated[dict[str, Any], Field(description="a table of the scenario's own keys")] = {}


class GatewaySettings(_Section):
    """Limits of the wire."""

    ack_delay_ms: Annotated[int, Field(ge=0, le=1000, description="0 to 1000")] = 5
    body_bytes_max: Annotated[int, Field(ge=1024, le=16_777_216, description="1024 to 16777216")] = 262_144
    connections_max: Annotated[int, Field(ge=1, le=100_000, description="1 to 100000")] = 20_000
    connection_queue_max: Annotated[int, Field(ge=16, le=1_000_000, description="16 to 1000000")] = 4096
    frame_bytes_max: Annotated[int, Field(ge=1024, le=16_777_216, description="1024 to 16777216")] = 262_144
    idle_seconds_max: Annotated[int, Field(ge=1, le=86_400, description="1 to 86400")] = 600
    request_seconds_max: Annotated[int, Field(ge=1, le=3600, description="1 to 3600")] = 30
    silent_seconds_max: Annotated[int, Field(ge=1, le=86_400, description="1 to 86400")] = 75
    # The venue's published limits by account and call, and by address, instead of one generous budget.
    published_limits: Annotated[bool, Field(description="true or false")] = False
    requests_per_second_max: Annotated[int, Field(ge=1, le=10_000_000, description="1 to 10000000")] = 10_000
    recv_window_ms: Annotated[int, Field(ge=1, le=60_000, description="1 to 60000")] = 5000


class JournalSettings(_Section):
    """How a restart is kept short."""

    snapshot_every: Annotated[int, Field(ge=1, le=10**9, description="1 to 1000000000 commands")] = 50_000


class LiquidationSettings(_Section):
    """How the venue works off what falls to it."""

    fill_or_kill: Annotated[bool, Field(description="true or false")] = False
    takeover_beyond: Annotated[Decimal, Field(ge=0, lt=1, max_digits=9, decimal_places=8)] | None = Field(
        default=None, description="0 to below 1, at most 8 decimals"
    )


class VenueSettings(BaseSettings):
    """Everything `simulated-exchange serve` can be told."""

    model_config = SettingsConfigDict(
        env_prefix=ENVIRONMENT_PREFIX, env_nested_delimiter="__", extra="forbid", frozen=True
    )

    host: Annotated[str, Field(min_length=1, max_length=253, description="an address of this machine")] = (
        "127.0.0.1"
    )
    port: Annotated[int, Field(ge=0, le=65_535, description="0 to 65535 (0 = any free port)")] = 0
    data_dir: Annotated[Path, Field(description="a path")] = Path("runs/exchange")
    instruments: Annotated[Path | None, Field(description="a path")] = None
    coins: Annotated[Path | None, Field(description="a path")] = None
    pools: Annotated[Path | None, Field(description="a path")] = None
    insurance_fund_usdt: Annotated[Money, Field(description=MONEY)] = Decimal(1_000_000)
    durability: Annotated[Literal["fsync", "os"], Field(description="fsync or os")] = "fsync"
    enable_sim: Annotated[bool, Field(description="true or false")] = False
    tick_ms: Annotated[int, Field(ge=10, le=10_000, description="10 to 10000")] = 100
    start_prices: Annotated[
        dict[str, Price], Field(description="a price above 0, to 1000000000, at most 8 decimals, per symbol")
    ] = {}
    accounts: Annotated[list[AccountSettings], Field(description="tables [[accounts]]")] = []
    scenario: Annotated[ScenarioSettings, Field(description="a table [scenario]")] = ScenarioSettings()
    liquidation: Annotated[LiquidationSettings, Field(description="a table [liquidation]")] = (
        LiquidationSettings()
    )
    journal: Annotated[JournalSettings, Field(description="a table [journal]")] = JournalSettings()
    gateway: Annotated[GatewaySettings, Field(description="a table [gateway]")] = GatewaySettings()


def default_configuration_folder() -> Path:
    """The `configs` folder beside the package, where a checkout has it."""
    return Path(__file__).resolve().parent.parent / "configs"


def load_settings(path: Path | None, options: dict[str, Any]) -> VenueSettings:
    """Settings from options, environment and file, in this order of precedence.

    `options` holds what was asked for on the command line, nested as the file is. A relative `instruments`,
    `coins` or `pools` is looked up beside the file; without one the project's own are listed. Raises
    ConfigurationError with every problem at once, one line each.
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
        problems += [_describe(entry, source, options) for entry in error.errors(include_url=False)]
        raise ConfigurationError(problems) from None
    except SettingsError as error:
        name = "".join(re.findall(r'field "(\w+)"', str(error))).upper()
        told = f"{ENVIRONMENT_PREFIX}{name}: allowed: a list or a table, as JSON"
        raise ConfigurationError([*problems, told]) from None
    if problems:
        raise ConfigurationError(problems)
    own = default_configuration_folder()

    def beside(path: Path | None, shipped: str) -> Path:
        return own / shipped if path is None else source.parent / path

    listed = {
        "instruments": beside(settings.instruments, "instruments"),
        "coins": beside(settings.coins, "coins.toml"),
        "pools": beside(settings.pools, "pools.toml"),
    }
    return settings.model_copy(update=listed)


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigurationError([f"{path}: no such file, allowed: a TOML file"]) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(
            [f"{path}: cannot be read ({type(error).__name__}), allowed: a TOML file"]
        ) from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError([f"{path}: {_syntax(error)}"]) from None


def _unknown_environment() -> list[str]:
    names = {name.upper() for name in VenueSettings.model_fields} | {"CONFIG"}
    problems = []
    for variable in sorted(os.environ):
        if not variable.upper().startswith(ENVIRONMENT_PREFIX):
            continue
        key = variable[len(ENVIRONMENT_PREFIX) :].upper().split("__")[0]
        if key not in names:
            problems.append(f"{variable}: unknown variable{_nearest(key, sorted(names), ENVIRONMENT_PREFIX)}")
    return problems


def _nearest(key: str, known: list[str], prefix: str = "") -> str:
    close = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
    return f"; nearest: {prefix}{close[0]}" if close else f"; allowed: {', '.join(sorted(known))}"


def _syntax(error: Exception) -> str:
    """Where the file is no TOML, and why, without the text that is there."""
    reason, _, position = str(error).rpartition(" (at ")
    return f"{position.rstrip(')')}: not TOML ({reason[:1].lower()}{reason[1:]})"


def _describe(entry: Any, source: Path, options: dict[str, Any]) -> str:
    """The line about one mistake; the value is left out where it may be a secret."""
    location = [str(part) for part in entry["loc"]]
    place = _place(location, source, options)
    if entry["type"] == "extra_forbidden":
        prefix = "".join(f"{part}." for part in location[:-1])
        return f"{place}: unknown key{_nearest(location[-1], _known_keys(location[:-1]), prefix)}"
    allowed = _allowed(location)
    if entry["type"] == "missing":
        return f"{place}: missing, allowed: {allowed}"
    return f"{place}: {_was(entry['input'])}allowed: {allowed}"


def _place(location: list[str], source: Path, options: dict[str, Any]) -> str:
    """Where a setting was given: the option, the environment variable, or else the file; and the key."""
    given: Any = options
    for part in location:
        given = given.get(part) if isinstance(given, dict) else None
        if given is None:
            break
        if not isinstance(given, dict):
            return OPTIONS.get(".".join(location[:2]), OPTIONS.get(part, f"--{part.replace('_', '-')}"))
    variables = {name.upper() for name in os.environ}
    for depth in range(len(location), 0, -1):
        variable = f"{ENVIRONMENT_PREFIX}{'__'.join(location[:depth])}".upper()
        if variable in variables:
            return ": ".join([variable, *([".".join(location[depth:])] if depth < len(location) else [])])
    return f"{source}: {'.'.join(location)}"


def _was(value: Any) -> str:
    if isinstance(value, dict | list):
        return "was a table, " if isinstance(value, dict) else "was a list, "
    text = str(value).lower() if isinstance(value, bool) else str(value)
    shown = text[:VALUE_LENGTH_MAX] + "..." * (len(text) > VALUE_LENGTH_MAX)
    return f"was {shown!r}, " if isinstance(value, str) else f"was {shown}, "


def _allowed(location: list[str]) -> str:
    """What is allowed at a place: the innermost description on the way to it."""
    model: type[BaseModel] = VenueSettings
    found = ""
    for part in location:
        fields = {field.alias or name: field for name, field in model.model_fields.items()}
        if part in fields:
            found = fields[part].description or found
        model = SECTIONS.get(part, model)
    return found


def _known_keys(location: list[str]) -> list[str]:
    model: type[BaseModel] = VenueSettings
    for part in location:
        model = SECTIONS.get(part, model)
    return [field.alias or name for name, field in model.model_fields.items()]


SECTIONS: dict[str, type[BaseModel]] = {
    "accounts": AccountSettings,
    "scenario": ScenarioSettings,
    "journal": JournalSettings,
    "gateway": GatewaySettings,
}
OPTIONS = {"accounts": "--account", "scenario.name": "--scenario", "scenario.held": "--hold"}
