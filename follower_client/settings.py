"""The follower's configuration: one TOML file per follower, every key also an environment variable.

Belongs here: names, types, limits, defaults, and saying all that is wrong at once. Does not belong here:
what the values do (`core.policy`, `daemon`).

`SLIPSTREAM_FOLLOWER_VENUE__REST_URL` overrides `[venue] rest_url`, and so on. Each mistake is told with its
place, what was there and what is allowed; the value is left out where it may be a secret.
"""

from __future__ import annotations

import difflib
import os
import re
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, SettingsError

from follower_client.core.policy import BelowMinimum, Mode, Policy
from follower_client.errors import ConfigurationError

__all__ = [
    "DEFAULT_SYMBOLS",
    "ENVIRONMENT_PREFIX",
    "FollowerSettings",
    "check_secrets",
    "load_folder_or_file",
    "load_settings",
    "meaning",
    "read_secret",
]

ENVIRONMENT_PREFIX = "SLIPSTREAM_FOLLOWER_"
DEFAULT_SYMBOLS = ("BTC/USDT:USDT", "ETH/USDT:USDT")
CONFIG_BYTES_MAX = 64 * 1024
FOLLOWERS_MAX = 256

VALUE_LENGTH_MAX = 60


@dataclass(frozen=True, slots=True)
class Allowed:
    """What a setting may be, in words."""

    text: str


Identifier = Annotated[str, Field(pattern=r"^[a-z0-9]{1,32}\z"), Allowed("1 to 32 characters of a-z, 0-9")]
Positive = Annotated[Decimal, Field(gt=0, allow_inf_nan=False), Allowed("a number above 0")]
Bps = Annotated[Decimal, Field(ge=0, le=10_000, allow_inf_nan=False), Allowed("0 to 10000")]
Leverage = Annotated[Decimal, Field(gt=0, le=100, allow_inf_nan=False), Allowed("above 0, to 100")]
HttpUrl = Annotated[str, Field(pattern=r"^https?://[^\s/@]+/?\z"), Allowed("http(s)://HOST[:PORT]")]
StreamUrl = Annotated[str, Field(pattern=r"^wss?://[^\s/@]+/?\z"), Allowed("ws(s)://HOST[:PORT]")]
BrokerUrl = Annotated[
    str,
    Field(pattern=r"^(nats|tls)://([^\s/@:]+|\[[0-9a-fA-F:]+\]):[0-9]{1,5}\z"),
    Allowed("nats:// or tls:// HOST:PORT"),
]
PublicKey = Annotated[
    str, Field(pattern=r"^[0-9a-f]{64}\z"), Allowed("the leader's public key, 64 hex digits")
]
File = Annotated[Path, Allowed("a path")]
Key = Annotated[SecretStr, Allowed("a text")]
Symbols = Annotated[
    list[Annotated[str, Field(max_length=64)]],
    Field(min_length=1, max_length=64),
    Allowed("a list of 1 to 64 symbols (BTC/USDT:USDT)"),
]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class FollowerSection(_Section):
    """`[follower]`: who this is."""

    id: Identifier = Field(description="name on the broker and in reports")
    policy: Annotated[str, Allowed("at most 64 characters")] = Field(
        default="", max_length=64, description="label in reports; default: the mode"
    )
    data_dir: File = Field(description="where sequence, intents and orders are kept")


class LeaderSection(_Section):
    """`[leader]`: whom he follows."""

    id: Identifier = Field(description="the leader's name")
    public_key: PublicKey = Field(description="his signing key: nothing else is believed")
    silent_after_ms: Annotated[int, Field(ge=500, le=600_000), Allowed("500 to 600000")] = Field(
        default=5000, description="no entries when nothing was heard for so long; positions are held"
    )


class BrokerSection(_Section):
    """`[broker]`: where signals come from."""

    url: BrokerUrl = Field(description="nats://host:port")
    nkey_seed_file: File = Field(description="file with this follower's nkey seed")


class VenueSection(_Section):
    """`[venue]`: where orders go."""

    kind: Annotated[Literal["ccxt", "paper"], Allowed("ccxt or paper")] = Field(
        default="ccxt", description="paper = live prices, no orders"
    )
    exchange: Annotated[Literal["bybit"], Allowed("bybit")] = Field(
        default="bybit", description="the wire the venue speaks"
    )
    rest_url: HttpUrl = Field(description="https://api.bybit.com, a test environment, or a local one")
    ws_url: StreamUrl = Field(description="wss://stream.bybit.com, or the same of the other environment")
    api_key: Key | None = Field(default=None, description="or api_key_file")
    api_secret: Key | None = Field(default=None, description="or api_secret_file")
    api_key_file: File | None = Field(default=None, description="file with the key")
    api_secret_file: File | None = Field(default=None, description="file with the secret")
    paper_balance_usdt: Positive = Field(
        default=Decimal(10_000), description="first balance of a paper wallet"
    )

    @model_validator(mode="after")
    def _keys(self) -> VenueSection:
        if self.kind == "paper":
            return self
        wrong = []
        for name in ("api_key", "api_secret"):
            given = sum(getattr(self, key) is not None for key in (name, f"{name}_file"))
            if given != 1:
                was = "given twice" if given else "missing"
                wrong.append(f"{name}: {was}, allowed: either {name} or {name}_file")
        if wrong:
            raise ValueError("\n".join(wrong))
        return self


class PolicySection(_Section):
    """`[policy]`: how much, and where the limits are. No signal changes them."""

    mode: Annotated[Mode, Allowed("exposure or fixed_notional")] = Field(
        default=Mode.EXPOSURE, description="exposure or fixed_notional"
    )
    scale: Positive = Field(default=Decimal("0.5"), description="exposure: own exposure / the leader's")
    fixed_notional_usdt: Positive = Field(default=Decimal(100), description="fixed_notional: USDT per entry")
    leverage_max: Leverage = Field(
        default=Decimal(3), description="never above this, and never above half of the leader's"
    )
    notional_per_order_max_usdt: Positive | None = Field(default=None, description="one order")
    notional_per_symbol_max_usdt: Positive | None = Field(default=None, description="one position")
    notional_total_max_usdt: Positive | None = Field(default=None, description="all positions")
    entry_guard_bps: Bps = Field(
        default=Decimal(50), description="no entry at a price this much worse than his"
    )
    ignore_band_bps: Bps = Field(default=Decimal(5), description="of equity; smaller changes are ignored")
    below_minimum: Annotated[BelowMinimum, Allowed("skip or round_up")] = Field(
        default=BelowMinimum.SKIP, description="skip or round_up"
    )
    symbols: Symbols = Field(
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

    follower: Annotated[FollowerSection, Allowed("a table [follower]")]
    leader: Annotated[LeaderSection, Allowed("a table [leader]")]
    broker: Annotated[BrokerSection, Allowed("a table [broker]")]
    venue: Annotated[VenueSection, Allowed("a table [venue]")]
    policy: Annotated[PolicySection, Allowed("a table [policy]")] = PolicySection()

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
            raise ConfigurationError([f"{path}: too long, allowed: {CONFIG_BYTES_MAX} bytes"])
        tree: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigurationError(
            [f"{path}: cannot be read ({error.strerror}), allowed: a TOML file"]
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError([f"{path}: {_syntax(error)}"]) from None
    if paper and isinstance(tree.get("venue"), dict):
        tree["venue"] = {**tree["venue"], "kind": "paper"}
    _anchor_paths(tree, path.resolve().parent)
    try:
        return FollowerSettings(**tree)
    except ValidationError as error:
        raise ConfigurationError(list(_lines(path, error))) from None
    except SettingsError as error:
        name = "".join(re.findall(r'field "(\w+)"', str(error))).upper()
        raise ConfigurationError([f"{ENVIRONMENT_PREFIX}{name}: allowed: a table, as JSON"]) from None


def load_folder_or_file(path: Path, *, paper: bool = False) -> list[FollowerSettings]:
    """One follower per file. Raises `ConfigurationError` with what is wrong in all of them."""
    files = sorted(path.glob("*.toml")) if path.is_dir() else [path]
    if not files:
        raise ConfigurationError([f"{path}: empty, allowed: a folder with at least one .toml file"])
    if len(files) > FOLLOWERS_MAX:
        raise ConfigurationError([f"{path}: was {len(files)} files, allowed: at most {FOLLOWERS_MAX}"])
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
            lines.append(
                f"{file}: follower.id: was {name!r}, allowed: an id of its own ({seen[name]} has it)"
            )
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
        raise ConfigurationError(
            [f"{name}: cannot be read, allowed: a file of one line ({file}: {reason})"]
        ) from None
    if not text:
        raise ConfigurationError([f"{name}: empty, allowed: a file of one line ({file})"])
    return text


def check_secrets(found: Sequence[FollowerSettings]) -> None:
    """Look into the files with keys, so that a wrong one is noticed before any network. Raises
    `ConfigurationError` with what is wrong in all of them.
    """
    lines: list[str] = []
    for one in found:
        secrets: list[tuple[SecretStr | None, Path | None, str]] = [
            (None, one.broker.nkey_seed_file, "broker.nkey_seed_file")
        ]
        venue = one.venue
        if venue.kind == "ccxt":
            secrets += [
                (venue.api_key, venue.api_key_file, "venue.api_key_file"),
                (venue.api_secret, venue.api_secret_file, "venue.api_secret_file"),
            ]
        for value, file, name in secrets:
            try:
                text = read_secret(value, file, name)
                if name == "broker.nkey_seed_file" and not _is_nkey_seed(text):
                    lines.append(
                        f"{one.follower.id}: {name}: allowed: a file with an nkey seed, SU... ({file})"
                    )
            except ConfigurationError as error:
                lines.extend(error.of(one.follower.id).lines)
    if lines:
        raise ConfigurationError(lines)


def _is_nkey_seed(text: str) -> bool:
    import nkeys

    try:
        public: bytes = nkeys.from_seed(bytearray(text.encode())).public_key
    except (nkeys.NkeysError, ValueError, IndexError):
        return False
    return public.startswith(b"U")


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


def _syntax(error: Exception) -> str:
    """Where the file is no TOML, and why, without the text that is there."""
    reason, _, position = str(error).rpartition(" (at ")
    if not reason:
        return "not TOML (not UTF-8 text)"
    return f"{position.rstrip(')')}: not TOML ({reason[0].lower()}{reason[1:]})"


def _lines(path: Path, error: ValidationError) -> Iterator[str]:
    for item in error.errors(include_url=False, include_context=False):
        location = item["loc"]
        place = _place(path, location)
        known, allowed = meaning(location)
        if item["type"] == "extra_forbidden":
            close = difflib.get_close_matches(str(location[-1]), known, n=1, cutoff=0.5)
            nearest = ".".join(str(part) for part in (*location[:-1], *close))
            yield f"{place}: unknown key; " + (
                f"nearest: {nearest}" if close else f"allowed: {', '.join(known)}"
            )
        elif item["type"] == "missing":
            yield f"{place}: missing, allowed: {allowed}"
        elif item["type"] == "value_error":
            yield from (f"{place}.{line}" for line in item["msg"].removeprefix("Value error, ").splitlines())
        else:
            yield f"{place}: {_was(place, item['input'])}allowed: {allowed}"


def _place(path: Path, location: Sequence[int | str]) -> str:
    """Where a setting was given: the environment variable if there is one, else the file; and the key."""
    names = [str(part) for part in location]
    variables = {name.upper() for name in os.environ}
    for depth in range(len(names), 0, -1):
        variable = f"{ENVIRONMENT_PREFIX}{'__'.join(names[:depth])}".upper()
        if variable in variables:
            return ": ".join([variable, *([".".join(names[depth:])] if depth < len(names) else [])])
    return f"{path}: {'.'.join(names)}"


def _was(place: str, value: Any) -> str:
    """What was there; nothing where it may be a secret."""
    if isinstance(value, dict | list):
        return "was a table, " if isinstance(value, dict) else "was a list, "
    text = str(value).lower() if isinstance(value, bool) else str(value)
    if "@" in text or any(word in place.rpartition(": ")[2].lower() for word in ("key", "secret")):
        return ""
    shown = text[:VALUE_LENGTH_MAX] + "..." * (len(text) > VALUE_LENGTH_MAX)
    return f"was {shown!r}, " if isinstance(value, str) else f"was {shown}, "


def meaning(location: Sequence[int | str]) -> tuple[list[str], str]:
    """The keys that are known beside a place, and what is allowed there."""
    model: Any = FollowerSettings
    known: list[str] = []
    allowed = ""
    for part in location:
        fields = getattr(model, "model_fields", {})
        known = list(fields) or known
        if str(part) in fields:
            model = fields[str(part)].annotation
            allowed = _allowed(fields[str(part)]) or allowed
    return known, allowed


def _allowed(field: Any) -> str:
    """The words that stand at a field's type, inside `| None` too."""
    inner = [data for kind in get_args(field.annotation) for data in getattr(kind, "__metadata__", ())]
    return next((data.text for data in [*field.metadata, *inner] if isinstance(data, Allowed)), "")
