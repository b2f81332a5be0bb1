"""The follower's configuration: one TOML file per follower, every key also an environment variable.

Belongs here: names, types, limits, defaults. Does not belong here: files and mistakes in them (`reading`),
what the values do (`core.policy`, `daemon`).

`SLIPSTREAM_FOLLOWER_VENUE__REST_URL` overrides `[venue] rest_url`, and so on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from follower_client.core.policy import (
    BelowMinimum,
    LateJoin,
    LeaderLiquidated,
    LossAction,
    Mode,
    Policy,
    Silence,
)
from relay.protocol.venues import venue_name

__all__ = [
    "DEFAULT_SYMBOLS",
    "ENVIRONMENT_PREFIX",
    "FollowerSettings",
    "LeaderSection",
    "WatchAction",
    "WatchSection",
    "meaning",
]

ENVIRONMENT_PREFIX = "SLIPSTREAM_FOLLOWER_"
MODES = ", ".join(Mode)
DEFAULT_SYMBOLS = ("BTC/USDT:USDT", "ETH/USDT:USDT")


@dataclass(frozen=True, slots=True)
class Allowed:
    """What a setting may be, in words."""

    text: str


Identifier = Annotated[str, Field(pattern=r"^[a-z0-9]{1,32}\z"), Allowed("1 to 32 characters of a-z, 0-9")]
Positive = Annotated[Decimal, Field(gt=0, allow_inf_nan=False), Allowed("a number above 0")]
Amount = Annotated[Decimal, Field(ge=0, allow_inf_nan=False), Allowed("0 or more")]
Share = Annotated[Decimal, Field(gt=0, le=1, allow_inf_nan=False), Allowed("above 0, to 1")]
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
    mode: Annotated[Literal["test", "live"], Allowed("test or live")] = Field(
        default="test", description="live = orders with real money; needs a passed trial"
    )


class LeaderSection(_Section):
    """`[leader]`: whom he follows."""

    id: Identifier = Field(description="the leader's name")
    public_key: PublicKey = Field(description="his signing key: nothing else is believed")
    box_key_file: File | None = Field(default=None, description="private groups: file with the own key")
    silent_after_ms: Annotated[int, Field(ge=500, le=600_000), Allowed("500 to 600000")] = Field(
        default=2700, description="no entries when nothing was heard for so long; positions are held"
    )


class BrokerSection(_Section):
    """`[broker]`: where signals come from."""

    url: BrokerUrl = Field(description="nats://host:port")
    nkey_seed_file: File = Field(description="file with this follower's nkey seed")
    ca_file: File | None = Field(default=None, description="tls://: the broker's own authority, PEM")

    def ca_pem(self) -> str | None:
        """The authority's certificate; `None` where the system's authorities are meant. Raises OSError."""
        return None if self.ca_file is None else self.ca_file.read_text(encoding="ascii")


class VenueSection(_Section):
    """`[venue]`: where orders go."""

    kind: Annotated[Literal["ccxt", "v5", "paper"], Allowed("ccxt, v5 or paper")] = Field(
        default="ccxt", description="v5 = direct, faster; paper = live prices, no orders"
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
    orders_per_s: Annotated[int, Field(ge=1, le=1000), Allowed("1 to 1000")] = Field(
        default=10, description="the venue's limit for the account; a fifth is kept for exits"
    )
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

    mode: Annotated[Mode, Allowed(MODES)] = Field(default=Mode.EXPOSURE, description=MODES)
    scale: Positive = Field(default=Decimal("0.5"), description="exposure: own exposure / the leader's")
    allocation_usdt: Positive | None = Field(
        default=None, description="ratio_at_start, smart_ratio: money for this leader; default: all"
    )
    fixed_notional_usdt: Positive = Field(default=Decimal(100), description="fixed_notional: USDT per entry")
    fixed_margin_usdt: Positive = Field(default=Decimal(50), description="fixed_margin: margin per entry")
    multiplier: Positive = Field(
        default=Decimal("0.1"), description="multiplier: own quantity / the leader's"
    )
    risk_share: Share = Field(
        default=Decimal("0.01"), description="risk_per_trade: of equity, lost at the leader's stop"
    )
    reverse: Annotated[bool, Allowed("true or false")] = Field(
        default=False, description="take the other side of every trade"
    )
    leverage_max: Leverage = Field(
        default=Decimal(3), description="never above this, and never above half of the leader's"
    )
    leverage_recommended: Annotated[bool, Allowed("true or false")] = Field(
        default=True, description="nor above what the leader recommends"
    )
    notional_per_order_max_usdt: Positive | None = Field(default=None, description="one order")
    notional_per_symbol_max_usdt: Positive | None = Field(
        default=None, description="one position, over all leaders"
    )
    notional_per_leader_max_usdt: Positive | None = Field(
        default=None, description="all positions of one leader"
    )
    notional_total_max_usdt: Positive | None = Field(default=None, description="all positions")
    depth_share_max: Share | None = Field(
        default=None, description="of the visible quantity on the side that is taken"
    )
    orders_per_10_s_max: Annotated[int, Field(ge=1, le=1000), Allowed("1 to 1000")] = Field(
        default=100, description="entries stop above; at twice as many all is paused"
    )
    borrow_max_usdt: Amount = Field(
        default=Decimal(0), description="how far fees may push the balance below zero"
    )
    entry_guard_bps: Bps = Field(
        default=Decimal(50), description="no entry at a price this much worse than his"
    )
    mark_last_gap_max_bps: Bps | None = Field(
        default=None, description="no entry while mark and last price are further apart"
    )
    daily_loss_max_usdt: Positive | None = Field(default=None, description="since midnight UTC")
    weekly_loss_max_usdt: Positive | None = Field(default=None, description="since Monday")
    drawdown_max_share: Share | None = Field(default=None, description="of the highest equity seen")
    loss_action: Annotated[LossAction, Allowed("stop_opening or close")] = Field(
        default=LossAction.STOP_OPENING, description="stop_opening, or close everything"
    )
    stop_loss_bps: Bps = Field(
        default=Decimal(2500), description="own stop at the venue, from the entry price; 0 = none"
    )
    take_profit_bps: Bps = Field(default=Decimal(0), description="own take-profit at the venue; 0 = none")
    copy_stops: Annotated[bool, Allowed("true or false")] = Field(
        default=True, description="keep the leader's stop and take-profit at the venue too"
    )
    late_join: Annotated[LateJoin, Allowed("wait, copy_now or if_not_worse")] = Field(
        default=LateJoin.WAIT, description="positions he had before: wait, copy_now, if_not_worse"
    )
    silence: Annotated[Silence, Allowed("hold, close_only or flatten")] = Field(
        default=Silence.HOLD, description="when he is silent for long: hold, close_only, flatten"
    )
    silence_s: Annotated[int, Field(ge=1, le=604_800), Allowed("1 to 604800")] = Field(
        default=300, description="how long that is"
    )
    leader_liquidated: Annotated[LeaderLiquidated, Allowed("same_share or close")] = Field(
        default=LeaderLiquidated.SAME_SHARE, description="when he is: same_share, or close"
    )
    ignore_band_bps: Bps = Field(default=Decimal(5), description="of equity; smaller changes are ignored")
    below_minimum: Annotated[BelowMinimum, Allowed("skip, carry or round_up")] = Field(
        default=BelowMinimum.SKIP, description="entry below the venue's minimum: skip, carry, round_up"
    )
    symbols: Symbols = Field(
        default=list(DEFAULT_SYMBOLS), description="what may be entered, in ccxt's names"
    )
    symbols_denied: Annotated[
        list[Annotated[str, Field(max_length=64)]], Allowed("a list of symbols (BTC/USDT:USDT)")
    ] = Field(default=[], max_length=64, description="what may not, whatever else is said")


class TrialSection(_Section):
    """`[trial]`: what has to be shown on paper before real money, and how stakes grow after it."""

    paper_data_dir: File | None = Field(default=None, description="the data_dir of the paper follower")
    copies_min: Annotated[int, Field(ge=0, le=100_000), Allowed("0 to 100000")] = Field(
        default=30, description="paper copies at least"
    )
    days_min: Annotated[int, Field(ge=0, le=365), Allowed("0 to 365")] = Field(
        default=3, description="days between the first and the last of them"
    )
    drift_max_bps: Bps = Field(default=Decimal(30), description="their average price against the leader's")
    stage_copies: Annotated[int, Field(ge=1, le=100_000), Allowed("1 to 100000")] = Field(
        default=20, description="live copies within the drift before 10 % become 25, 50, 100 %"
    )
    override: Annotated[str, Allowed("at most 200 characters")] = Field(
        default="", max_length=200, description="a reason to skip all this; goes into the audit trail"
    )


class WatchAction(StrEnum):
    """What follows when one of the venue's numbers passes its limit."""

    WARN = "warn"
    CLOSE_ONLY = "close_only"
    FLATTEN = "flatten"


Reaction = Annotated[WatchAction, Allowed("warn, close_only or flatten")]


class WatchSection(_Section):
    """`[watch]`: the venue's alarms: from which number on, and what follows (warn, close_only, flatten)."""

    adl_rank: Annotated[int, Field(ge=0, le=5), Allowed("0 to 5")] = Field(
        default=5, description="own lights in the deleveraging queue; 0 = off"
    )
    adl_action: Reaction = Field(default=WatchAction.WARN, description="then")
    adl_near_share: Share | None = Field(
        default=Decimal("0.5"), description="of the contract's loss at which deleveraging begins"
    )
    adl_near_action: Reaction = Field(default=WatchAction.WARN, description="then")
    borrowed_usdt: Positive | None = Field(default=Decimal(1), description="what the account owes")
    borrowed_action: Reaction = Field(default=WatchAction.CLOSE_ONLY, description="then")
    mark_last_gap_bps: Positive | None = Field(default=Decimal(200), description="of a held contract")
    mark_last_gap_action: Reaction = Field(default=WatchAction.WARN, description="then")
    insurance_drop_share: Share | None = Field(
        default=Decimal("0.3"), description="of the insurance fund, since the start"
    )
    insurance_action: Reaction = Field(default=WatchAction.WARN, description="then")
    rules_action: Reaction = Field(default=WatchAction.WARN, description="when risk limits or zone change")
    look_every_s: Annotated[int, Field(ge=1, le=3600), Allowed("1 to 3600")] = Field(
        default=30, description="how often the venue is asked for pools, rules and announcements"
    )


class NotifySection(_Section):
    """`[notify]`: who is told when something needs a person (pip install slipstream[notify])."""

    urls_file: File | None = Field(default=None, description="file with one apprise address per line")
    per_hour_max: Annotated[int, Field(ge=1, le=1000), Allowed("1 to 1000")] = Field(
        default=20, description="more are counted, not sent"
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
    more_leaders: Annotated[
        list[LeaderSection], Field(max_length=16), Allowed("tables [[more_leaders]]")
    ] = []
    broker: Annotated[BrokerSection, Allowed("a table [broker]")]
    venue: Annotated[VenueSection, Allowed("a table [venue]")]
    policy: Annotated[PolicySection, Allowed("a table [policy]")] = PolicySection()
    trial: Annotated[TrialSection, Allowed("a table [trial]")] = TrialSection()
    watch: Annotated[WatchSection, Allowed("a table [watch]")] = WatchSection()
    notify: Annotated[NotifySection, Allowed("a table [notify]")] = NotifySection()

    @model_validator(mode="after")
    def _each_leader_once(self) -> FollowerSettings:
        names = [leader.id for leader in self.leaders]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"more_leaders: was {', '.join(twice)} twice, allowed: each leader once")
        return self

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

    @property
    def leaders(self) -> list[LeaderSection]:
        """Everybody who is copied on this account."""
        return [self.leader, *self.more_leaders]

    @property
    def is_real_money(self) -> bool:
        """Whether orders go where money is: not paper, not this machine, not a venue's test environment.
        Whoever says `mode = "live"` is held to the same anywhere.
        """
        if self.follower.mode == "live" and self.venue.kind != "paper":
            return True
        venue = self.venue
        return venue.kind != "paper" and venue_name(venue.exchange, venue.rest_url) == venue.exchange

    @property
    def mark(self) -> str:
        """What stands beside the name wherever a person reads it."""
        return " (PAPER)" if self.venue.kind == "paper" else " (LIVE)" if self.is_real_money else ""

    def to_policy(self) -> Policy:
        section = self.policy
        lists = ("symbols", "symbols_denied")
        values = {name: getattr(section, name) for name in PolicySection.model_fields if name not in lists}
        return Policy(
            label=self.follower.policy or section.mode.value,
            symbols=frozenset(section.symbols),
            symbols_denied=frozenset(section.symbols_denied),
            **values,
        )


def meaning(location: Sequence[int | str]) -> tuple[list[str], str]:
    """The keys that are known beside a place, and what is allowed there."""
    model: Any = FollowerSettings
    known: list[str] = []
    allowed = ""
    for part in location:
        if isinstance(part, int):  # one table of a list
            model = next((kind for kind in get_args(model) if hasattr(kind, "model_fields")), model)
            continue
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
