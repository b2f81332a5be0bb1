"""What a scenario can be told: one TOML file each, every number that the ambient traders go by.

Belongs here: names, limits and defaults, and the wording of what is wrong. Does not belong here: what is done
with them. Money is Decimal USDT; shares are fractions of one; `_bps` are basis points; `_ms` are wall time.
"""

from __future__ import annotations

import tomllib
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from simulated_exchange.scenario.errors import ScenarioError

__all__ = [
    "CrowdConfig",
    "FastMoveConfig",
    "ImpactConfig",
    "LendingConfig",
    "MakerConfig",
    "NoiseConfig",
    "ScenarioConfig",
    "ShockConfig",
    "SymbolConfig",
    "load_config",
    "scenario_names",
]

CONFIG_BYTES_MAX = 1_000_000

Usdt = Annotated[Decimal, Field(gt=0, le=10**9)]
Bps = Annotated[float, Field(ge=0, le=1000, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
MarkWord = Literal["dual", "last", "book_mid"]
Milliseconds = Annotated[int, Field(ge=1, le=86_400_000)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class MakerConfig(_Section):
    """A kind of market maker; `count` of them with an account each."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9-]{1,16}$")]
    count: Annotated[int, Field(ge=1, le=20)] = 1
    levels: Annotated[int, Field(ge=1, le=50)] = 4
    half_spread_bps: Annotated[float, Field(gt=0, le=500)] = 0.5
    level_step_bps: Bps = 0.5
    depth_usdt: Usdt = Decimal(50_000)  # at the best level
    depth_growth: Annotated[float, Field(ge=1, le=4)] = 1.2  # from one level to the next
    refill_ms: Milliseconds = 1500
    inventory_max_usdt: Usdt = Decimal(30_000_000)
    skew_share: Annotated[float, Field(ge=0, le=0.9)] = 0.5  # of the half spread, at full inventory


class FastMoveConfig(_Section):
    """In fast moves spreads widen and depth thins in proportion to the speed, up to these limits."""

    window_ms: Milliseconds = 1000
    threshold_bps: Annotated[float, Field(gt=0, le=1000)] = 20.0
    widen_max: Annotated[float, Field(ge=1, le=50)] = 6.0
    thin_min: Annotated[float, Field(gt=0, le=1)] = 0.25


class ImpactConfig(_Section):
    """What taken liquidity does to where the makers quote; it fades by half every `half_life_ms`."""

    bps_per_musdt: Bps = 1.5
    half_life_ms: Milliseconds = 3000
    bps_max: Bps = 15.0


class NoiseConfig(_Section):
    """Takers without a view."""

    accounts: Annotated[int, Field(ge=1, le=50)] = 3
    rate_per_second: Annotated[float, Field(ge=0, le=100)] = 5.0
    median_usdt: Usdt = Decimal(2_000)
    sigma: Annotated[float, Field(ge=0, le=4)] = 1.2
    size_max_usdt: Usdt = Decimal(100_000)
    print_bps: Bps = 1.0  # a smallest trade is made when the price moved so far without one


class SymbolConfig(_Section):
    """One market: with a price of its own from `start_price` on, or beside another whose index it follows.

    Pairs of spot are named as in their files (BTC/USDT).
    """

    symbol: Annotated[str, Field(pattern=r"^[A-Z0-9]{2,32}(/[A-Z0-9]{2,16})?$")]
    start_price: Annotated[Decimal, Field(gt=0, le=10**9, decimal_places=8)] | None = None
    follows: Annotated[str, Field(pattern=r"^[A-Z0-9]{2,32}$")] | None = None
    volatility: Annotated[float, Field(ge=0, le=20)] = 0.6  # annualised
    volatility_beside_replay: Annotated[float, Field(ge=0, le=20)] = 0.4  # when another market is replayed
    source_noise_bps: Bps = 0.3
    basis_mean_bps: Annotated[float, Field(ge=-500, le=500)] = -2.0
    basis_deviation_bps: Bps = 1.5
    basis_reversion_ms: Milliseconds = 20_000
    makers: Annotated[list[MakerConfig], Field(min_length=1, max_length=10)]
    fast_move: FastMoveConfig = FastMoveConfig()
    impact: ImpactConfig = ImpactConfig()
    noise: NoiseConfig = NoiseConfig()

    @model_validator(mode="after")
    def _priced(self) -> SymbolConfig:
        if (self.start_price is None) == (self.follows is None):
            raise ValueError("needs either start_price or follows")
        return self


class ShockConfig(_Section):
    """A sudden move of the synthetic prices; recordings bring their own."""

    at: Share = 0.5  # of the planned length
    size: Annotated[float, Field(gt=-0.9, le=2)] = -0.06
    fall_ms: Milliseconds = 4000
    recovery: Share = 0.4
    recover_ms: Milliseconds = 12_000
    basis_bps: Annotated[float, Field(ge=-2000, le=2000)] = -60.0


class CrowdConfig(_Section):
    """Leveraged traders who hold, add, close, and are liquidated."""

    traders: Annotated[int, Field(ge=0, le=2000)] = 80
    long_share: Share = 0.7
    coin_margin_share: Share = 0  # of them hold their margin in the coin they trade: it falls with the market
    before_share: Share = 0.6  # of them in the market from the start
    settle_ms: Milliseconds = 2000  # these enter within it
    enter_until: Share = 0.45  # the others enter up to this part of the planned length
    leverage_min: Annotated[int, Field(ge=1, le=100)] = 3
    leverage_max: Annotated[int, Field(ge=1, le=100)] = 50
    notional_median_usdt: Usdt = Decimal(30_000)
    notional_sigma: Annotated[float, Field(ge=0, le=3)] = 0.9
    notional_max_usdt: Usdt = Decimal(600_000)
    spare_margin_max: Annotated[float, Field(ge=0, le=10)] = 0.6  # deposit beyond the initial margin, at most
    add_share: Share = 0.15
    close_share: Share = 0.2
    orders_per_tick_max: Annotated[int, Field(ge=1, le=100)] = 6

    @model_validator(mode="after")
    def _ordered(self) -> CrowdConfig:
        if self.leverage_min > self.leverage_max:
            raise ValueError("leverage_min must not be above leverage_max")
        return self


class LendingConfig(_Section):
    """The lending pool of the settlement coin: small enough to be felt."""

    supplied_usdt: Usdt
    suppliers: Annotated[int, Field(ge=1, le=20)] = 3


class ScenarioConfig(_Section):
    """A whole scenario."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9-]{1,32}$")]
    description: Annotated[str, Field(max_length=400)] = ""
    tick_ms: Annotated[int, Field(ge=20, le=10_000)] = 50
    commands_per_tick_max: Annotated[int, Field(ge=50, le=5000)] = 400
    mark_check_tolerance_bps: Bps = 25.0
    insurance_fund_usdt: Annotated[Decimal, Field(ge=0, le=10**10)] | None = None
    mark_source: MarkWord | None = None  # what everything is marked at; the venue's own rule without it
    takeover_beyond_bps: Bps | None = None  # how far beyond the mark the venue closes what it took over
    symbols: Annotated[list[SymbolConfig], Field(min_length=1, max_length=20)]
    shock: ShockConfig | None = None
    crowd: CrowdConfig = CrowdConfig(traders=0)
    lending: LendingConfig | None = None

    @model_validator(mode="after")
    def _bounded(self) -> ScenarioConfig:
        names = [symbol.symbol for symbol in self.symbols]
        if len(set(names)) != len(names):
            raise ValueError("symbols: every symbol must be named once")
        driven = {symbol.symbol for symbol in self.symbols if symbol.follows is None}
        for symbol in self.symbols:
            if symbol.follows not in (None, *driven):
                raise ValueError(f"{symbol.symbol}: follows: {symbol.follows} has no price of its own here")
        quotes = sum(2 * maker.count * maker.levels for symbol in self.symbols for maker in symbol.makers)
        if quotes > self.commands_per_tick_max:
            raise ValueError(
                f"commands_per_tick_max: makers have {quotes} quotes; must be at least as many commands"
            )
        return self


def scenario_names(folder: Path) -> list[str]:
    """The scenarios that a folder holds."""
    return sorted(file.stem for file in folder.glob("*.toml"))


def load_config(name: str, folder: Path, overrides: dict[str, Any] | None = None) -> ScenarioConfig:
    """A scenario by name (`folder/NAME.toml`) or by a path that ends in `.toml`; `overrides` go on top."""
    path = Path(name) if name.endswith(".toml") else folder / f"{name}.toml"
    if not name.endswith(".toml") and name not in scenario_names(folder):
        raise ScenarioError(
            f"scenario: unknown name {name!r}; allowed: {', '.join(scenario_names(folder))}, or a .toml file"
        )
    try:
        text = path.read_bytes()[: CONFIG_BYTES_MAX + 1]
        if len(text) > CONFIG_BYTES_MAX:
            raise ScenarioError(f"{path}: too large; allowed: at most {CONFIG_BYTES_MAX} bytes")
        values = tomllib.loads(text.decode("utf-8"), parse_float=str)
    except OSError as error:
        raise ScenarioError(f"{path}: cannot be read ({error.strerror}); allowed: a TOML file") from error
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ScenarioError(f"{path}: not TOML ({error}); allowed: a TOML file in UTF-8") from error
    try:
        return ScenarioConfig.model_validate(_merged(values, overrides or {}))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"]) or "scenario"
        message = "unknown key" if first["type"] == "extra_forbidden" else str(first["msg"])
        raise ScenarioError(f"{path.name}: {place}: {message.removeprefix('Value error, ')}") from None


def _merged(values: dict[str, Any], overrides: dict[str, Any]) -> dict[str, Any]:
    merged = dict(values)
    for key, value in overrides.items():
        inner = merged.get(key)
        merged[key] = _merged(inner, value) if isinstance(inner, dict) and isinstance(value, dict) else value
    return merged
