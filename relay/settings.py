"""What `relay serve` and `relay publish` can be told: one TOML file each, environment variables on top.

Belongs here: names, limits and defaults of the settings, and the wording of what is wrong with them. Does
not belong here: what the settings do.

`RELAY_...` overrides the file of `serve`, `PUBLISHER_...` that of `publish` (nested keys joined by `__`).
Paths are relative to the file's folder. All mistakes are told at once, each with its place, what was there
and what is allowed; the value is left out where it may be a secret.
"""

from __future__ import annotations

import difflib
import os
import re
import tomllib
from collections.abc import Iterator, Sequence
from contextvars import ContextVar
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    StringConstraints,
    ValidationError,
)
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
    TomlConfigSettingsSource,
)

from relay.errors import ConfigurationError, wrong
from relay.keys import is_public_nkey

__all__ = ["PublishSettings", "ServeSettings", "VenueSettings", "load_publish", "load_serve"]

_file: ContextVar[Path] = ContextVar("settings_file", default=Path("settings.toml"))
_Loaded = TypeVar("_Loaded", bound=BaseSettings)


def _beside_file(path: Path) -> Path:
    return _file.get().parent / path.expanduser()


def _loopback(address: str) -> str:
    host, separator, port = address.rpartition(":")
    if not separator or not port.isdigit() or int(port) > 65535 or not ip_address(host).is_loopback:
        raise ValueError
    return address


def _public_nkey(text: str) -> str:
    if not is_public_nkey(text):
        raise ValueError
    return text


_Identifier = Annotated[
    str, StringConstraints(pattern=r"\A[a-z0-9]{1,32}\z"), Field(description="1 to 32 characters of a-z, 0-9")
]
_PublicNkey = Annotated[
    str,
    AfterValidator(_public_nkey),
    Field(description="a user's public nkey (U..., from `relay keys nkey`)"),
]
_Path = Annotated[Path, AfterValidator(_beside_file)]
_HttpUrl = StringConstraints(pattern=r"\Ahttps?://[^\s/@]+\z")
_SocketUrl = StringConstraints(pattern=r"\Awss?://[^\s/@]+\z")
_BrokerUrl = StringConstraints(pattern=r"\A(nats|tls)://([^\s/@:]+|\[[0-9a-fA-F:]+\]):[0-9]{1,5}\z")


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ListenSettings(_Section):
    """The embedded broker."""

    listen: Annotated[
        str,
        AfterValidator(_loopback),
        Field(description="HOST:PORT with a loopback address (port 0 = any free one)"),
    ] = "127.0.0.1:0"
    data_dir: Annotated[_Path, Field(description="a folder that the broker may have for itself")]
    retention_days: Annotated[int, Field(ge=1, le=3650, description="1 to 3650")] = 30
    retention_mib: Annotated[int, Field(ge=1, le=1_048_576, description="1 to 1048576, per stream")] = 1024

    @property
    def host_port(self) -> tuple[str, int]:
        """The address, taken apart."""
        host, _, port = self.listen.rpartition(":")
        return host, int(port)


class LeaderEntry(_Section):
    """A leader whom this relay serves."""

    id: _Identifier
    nkey: _PublicNkey
    signing_key: Annotated[
        str,
        StringConstraints(pattern=r"\A[0-9a-f]{64}\z"),
        Field(description="the leader's public signing key, 64 hex digits"),
    ]


class FollowerEntry(_Section):
    """A follower and the leaders he was granted."""

    id: _Identifier
    nkey: _PublicNkey
    leaders: Annotated[list[_Identifier], Field(min_length=1, description="a list of leaders' ids")]


class StoreSettings(_Section):
    """Where the drift monitor writes."""

    path: Annotated[_Path, Field(description="the drift store's SQLite file")]


class ServeSettings(BaseSettings):
    """`relay serve`."""

    model_config = SettingsConfigDict(
        extra="forbid", frozen=True, env_prefix="RELAY_", env_nested_delimiter="__"
    )

    broker: Annotated[ListenSettings, Field(description="a table [broker]")]
    leaders: Annotated[list[LeaderEntry], Field(min_length=1, description="at least one table [[leaders]]")]
    followers: Annotated[list[FollowerEntry], Field(description="tables [[followers]]")] = []
    store: Annotated[StoreSettings, Field(description="a table [store]")]

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The environment, then the file."""
        return env_settings, TomlConfigSettingsSource(settings_cls, toml_file=_file.get())


class LeaderSettings(_Section):
    """Who publishes."""

    id: _Identifier
    nkey_seed_file: Annotated[_Path, Field(description="the file with the broker identity (SU...)")]
    signing_key_file: Annotated[_Path, Field(description="the file with the signing key (64 hex digits)")]
    outbox: Annotated[_Path, Field(description="the SQLite file of what was published")]


class VenueSettings(_Section):
    """The leader's account. Keys are given here or, better, in files of their own."""

    exchange: Annotated[Literal["bybit"], Field(description="bybit")] = "bybit"
    rest_url: Annotated[str, _HttpUrl, Field(description="http(s)://HOST[:PORT]")]
    ws_url: Annotated[str, _SocketUrl, Field(description="ws(s)://HOST[:PORT]")]
    api_key: Annotated[SecretStr | None, Field(description="the account's API key (or api_key_file)")] = None
    api_secret: Annotated[SecretStr | None, Field(description="its secret (or api_secret_file)")] = None
    api_key_file: Annotated[_Path | None, Field(description="a file with the API key")] = None
    api_secret_file: Annotated[_Path | None, Field(description="a file with its secret")] = None

    def credentials(self) -> tuple[str, str]:
        """API key and secret, from wherever they are. Raises `ConfigurationError` if there are none."""
        key = _secret("venue.api_key", self.api_key, self.api_key_file)
        return key, _secret("venue.api_secret", self.api_secret, self.api_secret_file)


class BrokerAddress(_Section):
    """The broker to publish on."""

    url: Annotated[str, _BrokerUrl, Field(description="nats:// or tls:// HOST:PORT")]


class StaggerSettings(_Section):
    """How followers' entries are spread."""

    waves: Annotated[int, Field(ge=1, le=1000, description="1 to 1000")] = 1
    spacing_ms: Annotated[int, Field(ge=0, le=60_000, description="0 to 60000")] = 0


class SignalSettings(_Section):
    """What goes into each signal."""

    symbols: Annotated[
        list[Annotated[str, StringConstraints(pattern=r"\A[A-Z0-9]{1,20}/USDT:USDT\z")]],
        Field(min_length=1, max_length=50, description="a list of 1 to 50 linear perpetuals (BTC/USDT:USDT)"),
    ]
    expires_ms: Annotated[int, Field(ge=100, le=600_000, description="100 to 600000")] = 5_000
    snapshot_seconds: Annotated[int, Field(ge=1, le=3600, description="1 to 3600")] = 10
    stagger: Annotated[StaggerSettings, Field(description="a table with waves and spacing_ms")] = (
        StaggerSettings()
    )


class PublishSettings(BaseSettings):
    """`relay publish`."""

    model_config = SettingsConfigDict(
        extra="forbid", frozen=True, env_prefix="PUBLISHER_", env_nested_delimiter="__"
    )

    leader: Annotated[LeaderSettings, Field(description="a table [leader]")]
    venue: Annotated[VenueSettings, Field(description="a table [venue]")]
    broker: Annotated[BrokerAddress, Field(description="a table [broker]")]
    signals: Annotated[SignalSettings, Field(description="a table [signals]")]

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The environment, then the file."""
        return env_settings, TomlConfigSettingsSource(settings_cls, toml_file=_file.get())


def load_serve(path: Path) -> ServeSettings:
    """Read the settings of `relay serve`. Raises `ConfigurationError` with every mistake."""
    settings = _load(ServeSettings, path)
    known = {leader.id for leader in settings.leaders}
    mistakes = [
        *_twice("leaders", "id", [leader.id for leader in settings.leaders]),
        *_twice("leaders", "nkey", [leader.nkey for leader in settings.leaders]),
        *_twice("followers", "id", [follower.id for follower in settings.followers]),
        *_twice("followers", "nkey", [follower.nkey for follower in settings.followers]),
    ]
    for place, follower in enumerate(settings.followers):
        if set(follower.leaders) - known:
            strangers = ", ".join(sorted(set(follower.leaders) - known))
            allowed = f"ids of [[leaders]] ({', '.join(sorted(known))})"
            mistakes.append(wrong(f"followers.{place}.leaders", strangers, allowed))
    if {leader.nkey for leader in settings.leaders} & {follower.nkey for follower in settings.followers}:
        mistakes.append("followers.nkey: was a leader's, allowed: one of the follower's own")
    if mistakes:
        raise _in_file(path, mistakes)
    return settings


def load_publish(path: Path) -> PublishSettings:
    """Read the settings of `relay publish`. Raises `ConfigurationError` with every mistake."""
    settings = _load(PublishSettings, path)
    try:
        settings.venue.credentials()
    except ConfigurationError as error:
        raise _in_file(path, error.lines) from None
    return settings


def _load(kind: type[_Loaded], path: Path) -> _Loaded:
    try:
        with path.open("rb") as file:
            tomllib.load(file)
    except OSError as error:
        raise _in_file(path, [f"cannot be read ({error.strerror}), allowed: a TOML file"]) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise _in_file(path, [_syntax(error)]) from None
    token = _file.set(path.resolve())
    try:
        return kind()
    except ValidationError as error:
        raise ConfigurationError(list(dict.fromkeys(_lines(kind, path, error))), is_located=True) from None
    except SettingsError as error:
        name = "".join(re.findall(r'field "(\w+)"', str(error))).upper()
        variable = f"{kind.model_config.get('env_prefix', '')}{name}"
        raise ConfigurationError(
            [f"{variable}: allowed: a list or a table, as JSON"], is_located=True
        ) from None
    finally:
        _file.reset(token)


def _in_file(path: Path, lines: Sequence[str]) -> ConfigurationError:
    return ConfigurationError([f"{path}: {line}" for line in lines], is_located=True)


def _lines(kind: type[BaseModel], path: Path, error: ValidationError) -> Iterator[str]:
    for problem in error.errors(include_context=False, include_url=False):
        location = problem["loc"]
        place = _place(kind, path, location)
        if problem["type"] == "extra_forbidden":
            known = list(_fields(kind, location[:-1]))
            close = difflib.get_close_matches(str(location[-1]), known, 1, 0.5)
            nearest = ".".join(str(part) for part in (*location[:-1], *close))
            hint = f"nearest: {nearest}" if close else f"allowed: {', '.join(known)}"
            yield f"{place}: unknown key; {hint}"
        elif problem["type"] == "missing":
            yield f"{place}: missing, allowed: {_description(kind, location)}"
        else:
            yield wrong(place, problem["input"], _description(kind, location))


def _place(kind: type[BaseModel], path: Path, location: Sequence[int | str]) -> str:
    """Where a setting was given: the environment variable if there is one, else the file; and the key."""
    prefix = str(kind.model_config.get("env_prefix", ""))
    names = [str(part) for part in location]
    variables = {name.upper() for name in os.environ}
    for depth in range(len(names), 0, -1):
        variable = f"{prefix}{'__'.join(names[:depth])}".upper()
        if variable in variables:
            return ": ".join([variable, *([".".join(names[depth:])] if depth < len(names) else [])])
    return f"{path}: {'.'.join(names)}"


def _description(kind: type[BaseModel], location: Sequence[int | str]) -> str:
    """What is allowed at a place: the innermost description on the way to it."""
    found = ""
    for depth, part in enumerate(location):
        field = _fields(kind, location[:depth]).get(str(part))
        if field is not None and field.description:
            found = field.description
    return found


def _fields(kind: type[BaseModel], location: Sequence[int | str]) -> dict[str, Any]:
    """The fields of the table at a place; none if there is no table."""
    model: type[BaseModel] = kind
    for part in location:
        if isinstance(part, int):
            continue
        field = model.model_fields.get(part)
        inner = _model_in(field.annotation) if field else None
        if inner is None:
            return {}
        model = inner
    return dict(model.model_fields)


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for inner in get_args(annotation) if (found := _model_in(inner))), None)


def _twice(table: str, key: str, values: Sequence[str]) -> list[str]:
    repeated = len(values) - len(set(values))
    return [f"{table}.{key}: was repeated ({repeated}), allowed: each once"] if repeated else []


def _secret(field: str, value: SecretStr | None, path: Path | None) -> str:
    if value is not None:
        return value.get_secret_value()
    if path is None:
        raise ConfigurationError([f"{field}: missing, allowed: {field} or {field}_file"])
    try:
        text = path.read_text().strip()
    except (OSError, UnicodeDecodeError):
        raise ConfigurationError(
            [f"{field}_file: cannot be read, allowed: a file of one line ({path})"]
        ) from None
    if path.stat().st_mode & 0o077:
        raise ConfigurationError(
            [f"{field}_file: allowed: a file that only its owner reads (chmod 600 {path})"]
        )
    return text


def _syntax(error: Exception) -> str:
    """Where the file is no TOML, and why, without the text that is there."""
    reason, _, position = str(error).rpartition(" (at ")
    if not reason:
        return "not TOML (not UTF-8 text)"
    return f"{position.rstrip(')')}: not TOML ({reason[0].lower()}{reason[1:]})"
