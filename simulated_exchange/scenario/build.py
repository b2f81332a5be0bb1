"""From names and files to a world: accounts, markets, paths and the crowd of a scenario.

Belongs here: which path drives which market, who gets which account number. Does not belong here: running
(`runner`), reading files (`replay_files`), decisions (`makers`, `takers`, `crowd`).
"""

from __future__ import annotations

import random
import statistics
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

from simulated_exchange.scenario.config import ScenarioConfig, ShockConfig, SymbolConfig
from simulated_exchange.scenario.crowd import draw_crowd
from simulated_exchange.scenario.errors import ScenarioError
from simulated_exchange.scenario.fixed import gap_bps, to_decimal, to_fixed
from simulated_exchange.scenario.makers import Maker
from simulated_exchange.scenario.market import Follower, Market
from simulated_exchange.scenario.paths import (
    BarPath,
    MeanPath,
    Offset,
    OffsetPath,
    PricePath,
    RatioPath,
    Shock,
    SyntheticPath,
)
from simulated_exchange.scenario.replay_files import Replay
from simulated_exchange.scenario.world import MarketState, World

__all__ = ["ACCOUNT_FIRST", "Listing", "Plan", "build_world", "plan_shock"]

ACCOUNT_FIRST = 1000
DOLLARS = ("USD", "USDC", "USDT")  # quotes at which a coin stands alike
GRID_WALL_MS = 200  # a node of a synthetic walk for every so much wall time
SPEED_SAMPLES_MAX = 500
FAST_MULTIPLE = 2  # in a recording, fast means faster than so many times its own median


class Listing(Protocol):
    """What must be known of a listed contract (the engine's InstrumentView has it)."""

    @property
    def instrument(self) -> int: ...
    @property
    def symbol(self) -> str: ...
    @property
    def base(self) -> str: ...
    @property
    def quote(self) -> str: ...
    @property
    def tick_size(self) -> int: ...
    @property
    def qty_step(self) -> int: ...
    @property
    def min_qty(self) -> int: ...
    @property
    def max_qty(self) -> int: ...
    @property
    def max_market_qty(self) -> int: ...
    @property
    def min_notional(self) -> int: ...
    @property
    def index_sources(self) -> list[tuple[str, int]]: ...
    @property
    def is_spot(self) -> bool: ...
    @property
    def is_inverse(self) -> bool: ...


@dataclass(frozen=True, slots=True)
class Plan:
    """The span a scenario is planned for. `start_ms`: market time at its start; `factor`: market per wall;
    `opened_ms`: market time when the venue opened, later than that where it came back."""

    opened_ms: int
    start_ms: int
    factor: float
    seconds: float
    seed: int

    def market_ms(self, wall_ms: float) -> int:
        """Market time after so much wall time."""
        return self.start_ms + round(wall_ms * self.factor)

    @property
    def wall_ms(self) -> int:
        """Wall time of the planned span."""
        return round(self.seconds * 1000)

    def elapsed_ms(self, market_ms: int) -> float:
        """Wall time since the venue opened, as the market clock shows it; ticks count by it."""
        return max(0.0, (market_ms - self.opened_ms) / self.factor)


def plan_shock(config: ShockConfig | None, plan: Plan) -> Shock | None:
    """The configured shock in market time."""
    if config is None:
        return None
    return Shock(
        plan.market_ms(plan.wall_ms * config.at),
        config.size,
        max(1, round(config.fall_ms * plan.factor)),
        config.recovery,
        max(1, round(config.recover_ms * plan.factor)),
    )


def build_world(
    config: ScenarioConfig,
    listings: Sequence[Listing],
    plan: Plan,
    replay: Replay | None,
    standing: Mapping[str, int],
    life: int,
) -> World:
    """Everyone and everything of a scenario. Shocks are for runs without a recording.

    `standing`: prices at which a venue that came back stands; synthetic paths go on from them. `life`: a
    number that another life of the same venue does not have; it tells their quotes apart.
    """
    by_symbol = {listing.symbol: listing for listing in listings}
    configured = {symbol.symbol: symbol for symbol in config.symbols}
    for name in configured:
        if name not in by_symbol:
            raise ScenarioError(
                f"{config.name}: symbols: the venue does not list {name}; allowed: {', '.join(by_symbol)}"
            )
    driven = [symbol.symbol for symbol in config.symbols if symbol.follows is None]
    for file in replay.files if replay is not None else ():
        if file.spec.symbol not in driven:
            raise ScenarioError(
                f"replay {file.spec.kind}:{file.spec.symbol}: scenario {config.name} has no makers for it; "
                f"allowed: {', '.join(driven)}"
            )
    shock_config = config.shock if replay is None else None
    shock = plan_shock(shock_config, plan)
    account = ACCOUNT_FIRST
    states: list[MarketState] = []
    built: dict[str | None, Market] = {}
    for configured_symbol in sorted(config.symbols, key=lambda symbol: symbol.follows is not None):
        listing, beside = by_symbol[configured_symbol.symbol], built.get(configured_symbol.follows)
        if beside is not None:
            symbol = configured_symbol
            market = _beside(symbol, listing, plan, beside)
        else:
            price = to_decimal(standing.get(listing.symbol, 0)) or configured_symbol.start_price
            symbol = configured_symbol.model_copy(update={"start_price": price})
            shock_bps = shock_config.basis_bps if shock_config is not None else 0.0
            market = _driven(symbol, listing, plan, replay, shock, shock_bps)
        built[symbol.symbol] = market
        makers: list[Maker] = []
        for maker in symbol.makers:
            makers += [Maker(account + number, maker) for number in range(maker.count)]
            account += maker.count
        noise = list(range(account, account + symbol.noise.accounts))
        account += len(noise)
        states.append(MarketState(market, symbol, makers, noise, _fast_threshold_bps(symbol, market, plan)))
    rng = random.Random(f"crowd-{plan.seed}")
    crowd = draw_crowd(config.crowd, [built[name] for name in driven], account, plan.wall_ms, rng)
    followers = _followers(listings, [built[name] for name in driven], set(configured))
    return World(config, states, crowd, followers, seed=plan.seed, link_tag=f"mm{life:x}")


def _followers(
    listings: Sequence[Listing], markets: Sequence[Market], traded: AbstractSet[str]
) -> list[Follower]:
    """Whatever else the venue lists of the coins whose price the scenario moves: its index goes with them."""
    by_base = {listings[market.instrument].base: market.index_paths for market in reversed(markets)}
    followers = []
    for listing in listings:
        over = by_base.get(listing.base)
        under = by_base.get(listing.quote)
        if listing.symbol in traded or over is None or not (under or listing.quote in DOLLARS):
            continue
        paths = tuple(
            RatioPath(over[source % len(over)], under[source % len(under)])
            if under
            else over[source % len(over)]
            for source in range(len(listing.index_sources))
        )
        followers.append(Follower(listing.instrument, paths))
    return followers


def _driven(
    symbol: SymbolConfig,
    listing: Listing,
    plan: Plan,
    replay: Replay | None,
    shock: Shock | None,
    shock_bps: float,
) -> Market:
    weights = [weight for _, weight in listing.index_sources]
    index_paths, quote_path, replayed = _paths(symbol, weights, plan, replay, shock, shock_bps)
    sources = [_for_source(index_paths, symbol, plan, source, replayed) for source in range(len(weights))]
    return _market(listing, sources, quote_path, replayed=replayed)


def _beside(symbol: SymbolConfig, listing: Listing, plan: Plan, other: Market) -> Market:
    """A market of the same coin: the other's index, quoted around with a basis of its own."""
    paths = other.index_paths
    sources = [paths[source % len(paths)] for source in range(len(listing.index_sources))]
    seed, grid_ms = f"basis-{symbol.symbol}-{plan.seed}", max(1, round(GRID_WALL_MS * plan.factor))
    basis = OffsetPath(paths[0], _basis(symbol, plan), seed=seed, start_ms=plan.start_ms, grid_ms=grid_ms)
    return _market(listing, sources, basis, replayed=other.replayed)


def _basis(symbol: SymbolConfig, plan: Plan, shock_bps: float = 0.0) -> Offset:
    reversion_ms = max(1, round(symbol.basis_reversion_ms * plan.factor))
    return Offset(symbol.basis_mean_bps, symbol.basis_deviation_bps, reversion_ms, shock_bps)


def _market(
    listing: Listing, sources: Sequence[PricePath], quote_path: PricePath, *, replayed: bool
) -> Market:
    return Market(
        instrument=listing.instrument,
        symbol=listing.symbol,
        tick_size=listing.tick_size,
        qty_step=listing.qty_step,
        qty_min=listing.min_qty,
        qty_max=listing.max_qty,
        qty_market_max=listing.max_market_qty,
        notional_min=listing.min_notional,
        index_paths=tuple(sources),
        quote_path=quote_path,
        replayed=replayed,
        is_spot=listing.is_spot,
        is_inverse=listing.is_inverse,
    )


def _paths(
    symbol: SymbolConfig,
    weights: Sequence[int],
    plan: Plan,
    replay: Replay | None,
    shock: Shock | None,
    shock_bps: float,
) -> tuple[list[PricePath], PricePath, bool]:
    """(index paths, the path that makers quote around, whether it is recorded)."""
    grid_ms = max(1, round(GRID_WALL_MS * plan.factor))
    files = {
        kind: [BarPath(file.bars, *replay.window) for file in replay.of(kind, symbol.symbol)]
        for kind in ("index", "last")
        if replay is not None
    }
    index_paths: list[PricePath] = [*files.get("index", [])] or [*files.get("last", [])]
    replayed = bool(index_paths)
    if not index_paths:
        index_paths = [
            SyntheticPath(
                seed=f"index-{symbol.symbol}-{plan.seed}",
                start_ms=plan.start_ms,
                grid_ms=grid_ms,
                start_price=to_fixed(symbol.start_price or 0),
                volatility=symbol.volatility if replay is None else symbol.volatility_beside_replay,
                shock=shock,
            )
        ]
    if files.get("last"):
        return index_paths, files["last"][0], replayed
    offset = _basis(symbol, plan, shock_bps)
    seed = f"basis-{symbol.symbol}-{plan.seed}"
    several = len(index_paths) == len(weights) > 1
    index = MeanPath(index_paths, weights) if several else index_paths[0]
    basis = OffsetPath(index, offset, seed=seed, start_ms=plan.start_ms, grid_ms=grid_ms, shock=shock)
    return index_paths, basis, replayed


def _for_source(
    index_paths: Sequence[PricePath], symbol: SymbolConfig, plan: Plan, source: int, replayed: bool
) -> PricePath:
    """The path of one index source: recordings in turn, or the synthetic index with its own noise."""
    if replayed:
        return index_paths[source % len(index_paths)]
    noise = Offset(0.0, symbol.source_noise_bps, max(1, round(2000 * plan.factor)))
    seed = f"source-{symbol.symbol}-{source}-{plan.seed}"
    grid_ms = max(1, round(GRID_WALL_MS * plan.factor))
    return OffsetPath(index_paths[0], noise, seed=seed, start_ms=plan.start_ms, grid_ms=grid_ms)


def _fast_threshold_bps(symbol: SymbolConfig, market: Market, plan: Plan) -> float:
    """What counts as fast: as configured, and in a recording at least twice its own median speed."""
    configured = symbol.fast_move.threshold_bps
    if not market.replayed:
        return configured
    steps = max(2, min(SPEED_SAMPLES_MAX, plan.wall_ms // symbol.fast_move.window_ms))
    prices = [
        market.quote_path.price_at(plan.market_ms(plan.wall_ms * step / steps)) for step in range(steps + 1)
    ]
    moves = [abs(gap_bps(later, earlier)) for earlier, later in pairwise(prices)]
    return max(configured, FAST_MULTIPLE * statistics.median(moves))
