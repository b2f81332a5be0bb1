"""What `relay serve` can be told: the broker, who may use it, where things are kept.

Belongs here: names, limits and defaults. Does not belong here: what the settings do, how files are read
(`reading`).
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, SecretStr, StringConstraints
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from relay.core.watch import AlarmLimits
from relay.errors import wrong
from relay.settings.reading import (
    BrokerUrl,
    FilePath,
    HttpUrl,
    Identifier,
    PublicNkey,
    Section,
    file_being_read,
    in_file,
    load,
)

__all__ = ["FollowerEntry", "LeaderEntry", "ListenSettings", "ServeSettings", "TlsSettings", "load_serve"]


def _address(address: str) -> str:
    host, separator, port = address.rpartition(":")
    if not separator or not port.isdigit() or int(port) > 65535:
        raise ValueError
    ip_address(host)
    return address


class TlsSettings(Section):
    """The embedded broker's certificate."""

    certificate: Annotated[FilePath, Field(description="the certificate chain, PEM")]
    key: Annotated[FilePath, Field(description="its private key, PEM")]
    ca: Annotated[
        FilePath | None,
        Field(description="the authority that invites carry, PEM; none: the system's authorities"),
    ] = None


class ListenSettings(Section):
    """The embedded broker."""

    listen: Annotated[
        str,
        AfterValidator(_address),
        Field(description="HOST:PORT with an IP address (port 0 = any free one)"),
    ] = "127.0.0.1:0"
    public_url: Annotated[
        BrokerUrl | None, Field(description="nats:// or tls:// HOST:PORT, as others reach the broker")
    ] = None
    tls: Annotated[TlsSettings | None, Field(description="a table with certificate, key and ca")] = None
    url: Annotated[
        tuple[BrokerUrl, ...],
        Field(max_length=16, description="a list of a cluster's nats:// or tls:// HOST:PORT; none: embedded"),
    ] = ()
    replicas: Annotated[int, Field(ge=1, le=5, description="1 to 5, on how many servers of a cluster")] = 1
    ca_file: Annotated[
        FilePath | None, Field(description="the authority of a cluster's certificates, PEM")
    ] = None
    data_dir: Annotated[FilePath, Field(description="a folder that the broker may have for itself")]
    retention_days: Annotated[int, Field(ge=1, le=3650, description="1 to 3650")] = 30
    retention_mib: Annotated[int, Field(ge=1, le=1_048_576, description="1 to 1048576, per stream")] = 1024

    @property
    def host_port(self) -> tuple[str, int]:
        """The address, taken apart."""
        host, _, port = self.listen.rpartition(":")
        return host, int(port)

    @property
    def is_loopback(self) -> bool:
        """Whether nobody outside this machine can connect."""
        return ip_address(self.host_port[0]).is_loopback


class LeaderEntry(Section):
    """A leader whom this relay serves."""

    id: Identifier
    nkey: PublicNkey
    signing_key: Annotated[
        str,
        StringConstraints(pattern=r"\A[0-9a-f]{64}\z"),
        Field(description="the leader's public signing key, 64 hex digits"),
    ]


class FollowerEntry(Section):
    """A follower and the leaders he was granted."""

    id: Identifier
    nkey: PublicNkey
    leaders: Annotated[list[Identifier], Field(min_length=1, description="a list of leaders' ids")]


class StoreSettings(Section):
    """Where the drift monitor writes: a file, or a database."""

    path: Annotated[FilePath | None, Field(description="the drift store's SQLite file")] = None
    url: Annotated[
        SecretStr | None, Field(description="postgresql://USER:PASSWORD@HOST:PORT/NAME; wins over path")
    ] = None
    keep_days: Annotated[
        int | None,
        Field(ge=2, le=36_500, description="2 to 36500; rows go after it, sums stay; none: all stay"),
    ] = None

    @property
    def keep_ms(self) -> int | None:
        """How long rows are kept."""
        return None if self.keep_days is None else self.keep_days * 86_400_000

    @property
    def place(self) -> Path | str:
        """The one that counts."""
        if self.url is not None:
            return self.url.get_secret_value()
        assert self.path is not None, "one of the two was asked for"
        return self.path


class DashboardSettings(Section):
    """The pages for ops, and the metrics."""

    listen: Annotated[
        str,
        AfterValidator(_address),
        Field(description="HOST:PORT with an IP address (port 0 = any free one)"),
    ] = "127.0.0.1:0"
    token_file: Annotated[
        FilePath | None,
        Field(description="the file of the token, made if it is not there; none: a new one every start"),
    ] = None
    public_metrics: Annotated[bool, Field(description="true or false")] = True

    @property
    def host_port(self) -> tuple[str, int]:
        """The address, taken apart."""
        host, _, port = self.listen.rpartition(":")
        return host.strip("[]"), int(port)


class VenueReadSettings(Section):
    """The leaders' venue, read without a key: what it says of its own risk."""

    rest_url: Annotated[str, HttpUrl, Field(description="http(s)://HOST[:PORT] of a venue that speaks v5")]
    interval_ms: Annotated[int, Field(ge=500, le=600_000, description="500 to 600000")] = 2_000


class AlarmSettings(Section):
    """Beyond what something is wrong."""

    heartbeat_age_ms: Annotated[int, Field(ge=1000, le=3_600_000, description="1000 to 3600000")] = 2_500
    gap_ms: Annotated[int, Field(ge=1000, le=3_600_000, description="1000 to 3600000")] = 5_000
    follower_silent_ms: Annotated[int, Field(ge=1000, le=3_600_000, description="1000 to 3600000")] = 30_000
    stale_ms: Annotated[int, Field(ge=1000, le=3_600_000, description="1000 to 3600000")] = 10_000
    unknown_orders_ms: Annotated[int, Field(ge=0, le=3_600_000, description="0 to 3600000")] = 30_000
    exposure_gap: Annotated[Decimal, Field(gt=0, le=10, description="above 0, to 10")] = Decimal("0.05")
    exposure_gap_ms: Annotated[int, Field(ge=0, le=3_600_000, description="0 to 3600000")] = 60_000
    clock_skew_ms: Annotated[int, Field(ge=10, le=3_600_000, description="10 to 3600000")] = 500
    reject_rate: Annotated[Decimal, Field(gt=0, le=1, description="above 0, to 1")] = Decimal("0.2")
    transit_p99_ms: Annotated[int, Field(ge=1, le=3_600_000, description="1 to 3600000")] = 250
    unfair_ms: Annotated[int, Field(ge=1, le=3_600_000, description="1 to 3600000")] = 250
    leader_lag_bps: Annotated[Decimal, Field(gt=0, le=1000, description="above 0, to 1000")] = Decimal(5)
    against_ms: Annotated[int, Field(ge=1000, le=86_400_000, description="1000 to 86400000")] = 30_000
    against_count: Annotated[int, Field(ge=1, le=200, description="1 to 200")] = 3
    against_span_ms: Annotated[int, Field(ge=1000, le=2_592_000_000, description="1000 to 2592000000")] = (
        86_400_000
    )

    @property
    def limits(self) -> AlarmLimits:
        """As the rules take them."""
        return AlarmLimits(**self.model_dump())


class NotifySettings(Section):
    """Who is told of alarms (pip install slipstream[notify])."""

    urls_file: Annotated[
        FilePath | None, Field(description="a file with one apprise address per line; none: nobody is told")
    ] = None
    per_hour_max: Annotated[int, Field(ge=1, le=1000, description="1 to 1000; more are counted")] = 20
    least: Annotated[
        Literal["warning", "critical"], Field(description="warning or critical: what is told at all")
    ] = "warning"


class ServeSettings(BaseSettings):
    """`relay serve`."""

    model_config = SettingsConfigDict(
        extra="forbid", frozen=True, env_prefix="RELAY_", env_nested_delimiter="__"
    )

    broker: Annotated[ListenSettings, Field(description="a table [broker]")]
    registry: Annotated[FilePath | None, Field(description="the SQLite file of leaders and followers")] = None
    leaders: Annotated[list[LeaderEntry], Field(description="tables [[leaders]]")] = []
    followers: Annotated[list[FollowerEntry], Field(description="tables [[followers]]")] = []
    store: Annotated[StoreSettings, Field(description="a table [store]")]
    dashboard: Annotated[DashboardSettings, Field(description="a table [dashboard]")] = DashboardSettings()
    venue: Annotated[VenueReadSettings | None, Field(description="a table [venue]")] = None
    alarms: Annotated[AlarmSettings, Field(description="a table [alarms]")] = AlarmSettings()
    notify: Annotated[NotifySettings, Field(description="a table [notify]")] = NotifySettings()

    @property
    def registry_path(self) -> Path:
        """Where commands and the running relay keep who there is."""
        return self.registry or self.broker.data_dir / "registry.sqlite"

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


def _open_dashboard(dashboard: DashboardSettings) -> list[str]:
    host, _ = dashboard.host_port
    if ip_address(host).is_loopback or dashboard.token_file is not None:
        return []
    return [wrong("dashboard.listen", dashboard.listen, "a loopback address, or any with token_file")]


def _one_place(store: StoreSettings) -> list[str]:
    url = store.url.get_secret_value() if store.url is not None else None
    if store.path is None and url is None:
        return ["store: missing, allowed: path or url"]
    if url is not None and not url.startswith(("postgresql://", "postgres://")):
        return ["store.url: allowed: postgresql://USER:PASSWORD@HOST:PORT/NAME"]
    return []


def load_serve(path: Path) -> ServeSettings:
    """Read the settings of `relay serve`. Raises `ConfigurationError` with every mistake."""
    settings = load(ServeSettings, path)
    known = {leader.id for leader in settings.leaders}
    mistakes = [
        *_open_to_the_world(settings.broker),
        *_one_place(settings.store),
        *_open_dashboard(settings.dashboard),
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
        raise in_file(path, mistakes)
    return settings


def _open_to_the_world(broker: ListenSettings) -> list[str]:
    if broker.is_loopback or broker.tls is not None:
        return []
    return [wrong("broker.listen", broker.listen, "a loopback address, or any with [broker.tls]")]


def _twice(table: str, key: str, values: Sequence[str]) -> list[str]:
    repeated = len(values) - len(set(values))
    return [f"{table}.{key}: was repeated ({repeated}), allowed: each once"] if repeated else []
