"""What `relay publish` can be told: who publishes, from which account, on which broker, and what.

Belongs here: names, limits and defaults. Does not belong here: what the settings do, how files are read
(`reading`).
"""

from __future__ import annotations

from ipaddress import ip_address
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field, SecretStr, StringConstraints
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from relay.errors import ConfigurationError
from relay.settings.reading import (
    BrokerUrl,
    FilePath,
    HttpUrl,
    Identifier,
    Section,
    SocketUrl,
    file_being_read,
    in_file,
    load,
    read_secret,
)

__all__ = ["PublishSettings", "SignalSettings", "VenueSettings", "load_publish", "load_publishers"]


def _loopback(address: str) -> str:
    host, separator, port = address.rpartition(":")
    if not separator or not port.isdigit() or int(port) > 65535 or not ip_address(host).is_loopback:
        raise ValueError
    return address


LEADERS_MAX = 100  # in one process
_URL_ALLOWED = {"rest_url": "http(s)://HOST[:PORT]", "ws_url": "ws(s)://HOST[:PORT]"}


class LeaderSettings(Section):
    """Who publishes."""

    id: Identifier
    nkey_seed_file: Annotated[FilePath, Field(description="the file with the broker identity (SU...)")]
    signing_key_file: Annotated[FilePath, Field(description="the file with the signing key (64 hex digits)")]
    outbox: Annotated[FilePath, Field(description="the SQLite file of what was published")]


class VenueSettings(Section):
    """The leader's account. Keys are given here or, better, in files of their own."""

    exchange: Annotated[
        str,
        StringConstraints(pattern=r"\A[a-z0-9]{2,32}\z"),
        Field(description="bybit, another exchange in ccxt's names, or external (signals by HTTP only)"),
    ] = "bybit"
    rest_url: Annotated[str | None, HttpUrl, Field(description="http(s)://HOST[:PORT]")] = None
    ws_url: Annotated[str | None, SocketUrl, Field(description="ws(s)://HOST[:PORT]")] = None
    sandbox: Annotated[bool, Field(description="true: the exchange's own test environment")] = False
    api_key: Annotated[SecretStr | None, Field(description="the account's API key (or api_key_file)")] = None
    api_secret: Annotated[SecretStr | None, Field(description="its secret (or api_secret_file)")] = None
    api_password: Annotated[
        SecretStr | None, Field(description="its passphrase, where the exchange has one")
    ] = None
    api_key_file: Annotated[FilePath | None, Field(description="a file with the API key")] = None
    api_secret_file: Annotated[FilePath | None, Field(description="a file with its secret")] = None
    api_password_file: Annotated[FilePath | None, Field(description="a file with its passphrase")] = None

    @property
    def is_external(self) -> bool:
        """Whether there is no account to watch: signals come in by HTTP."""
        return self.exchange == "external"

    def credentials(self) -> tuple[str, str]:
        """API key and secret, from wherever they are. Raises `ConfigurationError` if there are none."""
        key = read_secret("venue.api_key", self.api_key, self.api_key_file)
        return key, read_secret("venue.api_secret", self.api_secret, self.api_secret_file)

    def passphrase(self) -> str | None:
        """The key's passphrase; None where none was given."""
        if self.api_password is None and self.api_password_file is None:
            return None
        return read_secret("venue.api_password", self.api_password, self.api_password_file)


class BrokerAddress(Section):
    """The broker to publish on."""

    url: Annotated[BrokerUrl, Field(description="nats:// or tls:// HOST:PORT")]
    ca_file: Annotated[
        FilePath | None, Field(description="the authority of its certificate, PEM; none: the system's")
    ] = None


class StaggerSettings(Section):
    """How followers' entries are spread."""

    auto: Annotated[bool, Field(description="true: by who follows and what the book bears")] = False
    window_ms_max: Annotated[int, Field(ge=100, le=60_000, description="100 to 60000, for auto")] = 2_000
    waves: Annotated[int, Field(ge=1, le=1000, description="1 to 1000")] = 1
    spacing_ms: Annotated[int, Field(ge=0, le=60_000, description="0 to 60000")] = 0


class SignalSettings(Section):
    """What goes into each signal."""

    symbols: Annotated[
        list[Annotated[str, StringConstraints(pattern=r"\A[A-Z0-9]{1,20}/[A-Z0-9]{1,20}:[A-Z0-9]{1,20}\z")]],
        Field(min_length=1, max_length=50, description="a list of 1 to 50 perpetuals (BTC/USDT:USDT)"),
    ]
    expires_ms: Annotated[int, Field(ge=100, le=600_000, description="100 to 600000")] = 5_000
    snapshot_seconds: Annotated[int, Field(ge=1, le=3600, description="1 to 3600")] = 10
    stagger: Annotated[StaggerSettings, Field(description="a table with waves and spacing_ms")] = (
        StaggerSettings()
    )


class DoorSettings(Section):
    """The publisher's door on this machine: commands, and signals of a leader who trades elsewhere."""

    listen: Annotated[
        str,
        AfterValidator(_loopback),
        Field(description="HOST:PORT with a loopback address (port 0 = any free one)"),
    ] = "127.0.0.1:0"
    secret_file: Annotated[
        FilePath | None,
        Field(description="a file with the secret that signs calls; none: a new one each start"),
    ] = None

    @property
    def host_port(self) -> tuple[str, int]:
        """The address, taken apart."""
        host, _, port = self.listen.rpartition(":")
        return host, int(port)


class ProfileSettings(Section):
    """What the leader says of himself to who may follow."""

    text: Annotated[str, Field(max_length=500, description="a few words, at most 500 characters")] = ""
    recommended_leverage: Annotated[
        str | None,
        StringConstraints(pattern=r"\A(0|[1-9][0-9]{0,3})(\.[0-9]{1,2})?\z"),
        Field(description="a leverage (5, 2.5)"),
    ] = None
    statement_file: Annotated[
        FilePath | None, Field(description="what `relay statement sign` wrote: the score")
    ] = None


class PublishSettings(BaseSettings):
    """`relay publish`."""

    model_config = SettingsConfigDict(
        extra="forbid", frozen=True, env_prefix="PUBLISHER_", env_nested_delimiter="__"
    )

    leader: Annotated[LeaderSettings, Field(description="a table [leader]")]
    venue: Annotated[VenueSettings, Field(description="a table [venue]")]
    broker: Annotated[BrokerAddress, Field(description="a table [broker]")]
    signals: Annotated[SignalSettings, Field(description="a table [signals]")]
    door: Annotated[DoorSettings, Field(description="a table [door]")] = DoorSettings()
    profile: Annotated[ProfileSettings, Field(description="a table [profile]")] = ProfileSettings()

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
        return env_settings, TomlConfigSettingsSource(settings_cls, toml_file=file_being_read.get())


def load_publish(path: Path) -> PublishSettings:
    """Read the settings of `relay publish`. Raises `ConfigurationError` with every mistake."""
    settings = load(PublishSettings, path)
    venue = settings.venue
    if venue.exchange == "bybit" and (venue.rest_url is None or venue.ws_url is None):
        missing = [name for name in ("rest_url", "ws_url") if getattr(venue, name) is None]
        raise in_file(path, [f"venue.{name}: missing, allowed: {_URL_ALLOWED[name]}" for name in missing])
    try:
        if not venue.is_external:
            venue.credentials()
            venue.passphrase()
    except ConfigurationError as error:
        raise in_file(path, error.lines) from None
    return settings


def load_publishers(path: Path) -> list[PublishSettings]:
    """The leaders of a process: one file, or a folder with one file per leader. Raises `ConfigurationError`
    with what is wrong in all of them.
    """
    files = sorted(path.glob("*.toml")) if path.is_dir() else [path]
    if not files or len(files) > LEADERS_MAX:
        allowed = f"a folder of 1 to {LEADERS_MAX} .toml files"
        raise in_file(path, [f"was a folder of {len(files)}, allowed: {allowed}"])
    found: list[PublishSettings] = []
    lines: list[str] = []
    for file in files:
        try:
            found.append(load_publish(file))
        except ConfigurationError as error:
            lines.extend(error.lines)
    for name in ("id", "outbox"):
        values = [str(getattr(one.leader, name)) for one in found]
        twice = sorted({value for value in values if values.count(value) > 1})
        lines.extend(f"{path}: leader.{name}: was {value} twice, allowed: each once" for value in twice)
    if lines:
        raise ConfigurationError(lines, is_located=True)
    return found
