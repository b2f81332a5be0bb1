"""The follower's configuration: one TOML file per follower, every key also an environment variable.

Belongs here: names, types, limits, defaults, and saying all that is wrong at once. Does not belong here:
what the values do (`core.policy`, `daemon`).

`SLIPSTREAM_FOLLOWER_VENUE__REST_URL` overrides `[venue] rest_url`, and so on. Values are never printed in
errors.
"""

from __future__ import annotations

import difflib
import tomllib
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from follower_client.core.policy import BelowMinimum, Mode, Policy
from follower_client.errors import ConfigurationError

__all__ = [
    "DEFAULT_SYMBOLS",
    "ENVIRONMENT_PREFIX",
    "FollowerSettings",
    "load_folder_or_file",
    "load_settings",
    "read_secret",
]

ENVIRONMENT_PREFIX = "SLIPSTREAM_FOLLOWER_"
DEFAULT_SYMBOLS = ("BTC/USDT:USDT", "ETH/USDT:USDT")
CONFIG_BYTES_MAX = 64 * 1024
FOLLOWERS_MAX = 256

Identifier = Annotated[str, Field(pattern=r"^[a-z0-9]{1,32}$")]
Positive = Annotated[Decimal, Field(gt=0, allow_inf_nan=False)]
Bps = Annotated[Decimal, Field(ge=0, le=10_000, allow_inf_nan=False)]
HttpUrl = Annotated[str, Field(pattern=r"^https?://[^\s/]+")]
StreamUrl = Annotated[str, Field(pattern=r"^wss?://[^\s/]+")]
BrokerUrl = Annotated[str, Field(pattern=r"^(nats|tls)://[^\s/]+")]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class FollowerSection(_Section):
    """`[follower]`: who this is."""

    id: Identifier = Field(description="name on the broker and in reports")
    policy: str = Field(default="", max_length=64, description="label in reports; default: the mode")
    data_dir: Path = Field(description="where sequence, intents and orders are kept")


class LeaderSection(_Section):
    """`[leader]`: whom he follows."""

    id: Identifier = Field(description="the leader's name")
    public_key: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] = Field(
        description="his signing key: nothing else is believed"
    )
    silent_after_ms: Annotated[int, Field(ge=500, le=600_000)] = Field(
        default=5000, description="no entries when nothing was heard for so long; positions are held"
    )


class BrokerSection(_Section):
    """`[broker]`: where signals come from."""

    url: BrokerUrl = Field(description="nats://host:port")
    nkey_seed_file: Path = Field(description="file with this follower's nkey seed")


class VenueSection(_Section):
    """`[venue]`: where orders go."""

    kind: Literal["ccxt", "paper"] = Field(default="ccxt", description="paper = live prices, no orders")
    exchange: Literal["bybit"] = Field(default="bybit", description="the wire the venue speaks")
    rest_url: HttpUrl = Field(description="https://api.bybit.com, a test environment, or a local one")
    ws_url: StreamUrl = Field(description="wss://stream.bybit.com, or the same of the other environment")
    api_key: SecretStr | None = Field(default=None, description="or api_key_file")
    api_secret: SecretStr | None = Field(default=None, description="or api_secret_file")
    api_key_file: Path | None = Field(default=None, description="file with the key")
    api_secret_file: Path | None = Field(default=None, description="file with the secret")
    paper_balance_usdt: Positive = Field(
        default=Decimal(10_000), description="first balance of a paper wallet"
    )

    @model_validator(mode="after")
    def _keys(self) -> VenueSection:
        if self.kind == "paper":
            return self
        for name in ("api_key", "api_secret"):
            given = getattr(self, name) is not None, getattr(self, f"{name}_file") is not None
            if sum(given) != 1:
                raise ValueError(f"exactly one of {name} and {name}_file is needed")
        return self


class PolicySection(_Section):
    """`[policy]`: how much, and where the limits are. No signal changes them."""

    mode: Mode = Field(default=Mode.EXPOSURE, description="exposure or fixed_notional")
    scale: Positive = Field(default=Decimal("0.5"), description="exposure: own exposure / the leader's")
    fixed_notional_usdt: Positive = Field(default=Decimal(100), description="fixed_notional: USDT per entry")
    leverage_max: Annotated[Decimal, Field(gt=0, le=100, allow_inf_nan=False)] = Field(
        default=Decimal(3), description="never above this, and never above half of the leader's"
    )
    notional_per_order_max_usdt: Positive | None = Field(default=None, description="one order")
    notional_per_symbol_max_usdt: Positive | None = Field(default=None, description="one position")
    notional_total_max_usdt: Positive | None = Field(default=None, description="all positions")
    entry_guard_bps: Bps = Field(
        default=Decimal(50), description="no entry at a price this much worse than his"
    )
    ignore_band_bps: Bps = Field(default=Decimal(5), description="of equity; smaller changes are ignored")
    below_minimum: BelowMinimum = Field(default=BelowMinimum.SKIP, description="skip or round_up")
    symbols: Annotated[list[str], Field(min_length=1, max_length=64)] = Field(
        default=list(DEFAULT_SYMBOLS), description="what may be entered, in ccxt's names"
    )


class FollowerSettings(BaseSettings):
    """One follower."""

    model_config = SettingsConfigDict(
        extra="forbid",
        frozen=True,
        env_prefix=ENVIRONMENT_PREFIX,
        env_nested_delimiter="__",
        hide_input_in_errors=True,
    )

    follower: FollowerSection
    leader: LeaderSection
    broker: BrokerSection
    venue: VenueSection
    policy: PolicySection = PolicySection()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return env_settings, init_settings

    def to_policy(self) -> Policy:
        section = self.policy
        values = {name: getattr(section, name) for name in PolicySection.model_fields if name != "symbols"}
        label = self.follower.policy or section.mode.value
        return Policy(label=label, symbols=frozenset(section.symbols), **values)


def load_settings(path: Path, *, paper: bool = False) -> FollowerSettings:
    """Read and check one file; relative paths in it are relative to it. Raises `ConfigurationError`."""
    try:
        if path.stat().st_size > CONFIG_BYTES_MAX:
            raise ConfigurationError([f"{path}: at most {CONFIG_BYTES_MAX} bytes are allowed"])
        tree: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigurationError([f"{path}: cannot be read ({error.strerror})"]) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError([f"{path}: not TOML: {str(error).splitlines()[0]}"]) from None
    if paper and isinstance(tree.get("venue"), dict):
        tree["venue"] = {**tree["venue"], "kind": "paper"}
    _anchor_paths(tree, path.resolve().parent)
    try:
        return FollowerSettings(**tree)
    except ValidationError as error:
        raise ConfigurationError([f"{path}: {line}" for line in _lines(error)]) from None


def load_folder_or_file(path: Path, *, paper: bool = False) -> list[FollowerSettings]:
    """One follower per file. Raises `ConfigurationError` with what is wrong in all of them."""
    files = sorted(path.glob("*.toml")) if path.is_dir() else [path]
    if not files:
        raise ConfigurationError([f"{path}: a folder with at least one .toml file is needed"])
    if len(files) > FOLLOWERS_MAX:
        raise ConfigurationError([f"{path}: at most {FOLLOWERS_MAX} followers per process are allowed"])
    found: list[FollowerSettings] = []
    lines: list[str] = []
    for file in files:
        try:
            found.append(load_settings(file, paper=paper))
        except ConfigurationError as error:
            lines.extend(error.lines)
    seen: dict[str, Path] = {}
    for settings, file in zip(found, files, strict=False):
        name = settings.follower.id
        if name in seen and not lines:
            lines.append(f"{file}: follower.id: {name} is also the id in {seen[name]}")
        seen[name] = file
    if lines:
        raise ConfigurationError(lines)
    return found


def read_secret(value: SecretStr | None, file: Path | None, name: str) -> str:
    """A secret from its setting or its file. Raises `ConfigurationError` that names the key, never the
    value.
    """
    if value is not None:
        return value.get_secret_value()
    assert file is not None, "checked when the settings were read"
    try:
        text = file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not text"
        raise ConfigurationError([f"{name}: {file} cannot be read ({reason})"]) from None
    if not text:
        raise ConfigurationError([f"{name}: {file} is empty"])
    return text


def _anchor_paths(tree: dict[str, Any], folder: Path) -> None:
    for section, key in (
        ("follower", "data_dir"),
        ("broker", "nkey_seed_file"),
        ("venue", "api_key_file"),
        ("venue", "api_secret_file"),
    ):
        part = tree.get(section)
        if isinstance(part, dict) and isinstance(part.get(key), str):
            part[key] = str(folder / Path(part[key]).expanduser())


def _lines(error: ValidationError) -> list[str]:
    lines = []
    for item in error.errors(include_url=False, include_input=False, include_context=False):
        where = ".".join(str(part) for part in item["loc"])
        what = item["msg"].removeprefix("Value error, ")
        if item["type"] == "extra_forbidden":
            what = f"no such key{_nearest(item['loc'])}"
        elif item["type"] == "missing":
            what = "is needed"
        lines.append(f"{where}: {what}" if where else what)
    return lines


def _nearest(location: tuple[int | str, ...]) -> str:
    """A hint for a mistyped key; its value is not looked at."""
    fields: Any = FollowerSettings.model_fields
    for part in location[:-1]:
        annotation = fields[str(part)].annotation if str(part) in fields else None
        fields = getattr(annotation, "model_fields", {})
    close = difflib.get_close_matches(str(location[-1]), list(fields), n=1, cutoff=0.5)
    return f"; did you mean {close[0]}?" if close else f"; allowed: {', '.join(fields)}"
