"""From a name, a seed and recorded files to a scenario ready to run in an open venue.

Belongs here: the steps in their order, and what a venue must know of a scenario before it is created. Does
not belong here: any of the steps.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from simulated_exchange.driver import Driver
from simulated_exchange.pools import with_fund
from simulated_exchange.scenario.build import Plan, build_world
from simulated_exchange.scenario.config import ScenarioConfig, load_config
from simulated_exchange.scenario.replay import ReplaySpec
from simulated_exchange.scenario.replay_files import Replay, genesis_for_replay, load_replay
from simulated_exchange.scenario.runner import Scenario

__all__ = ["build_scenario", "genesis_for_scenario", "scenarios_folder"]


def scenarios_folder() -> Path:
    """The `configs/scenarios` folder beside the package, where a checkout has it."""
    return Path(__file__).resolve().parents[2] / "configs" / "scenarios"


def genesis_for_scenario(
    genesis: dict[str, Any], config: ScenarioConfig, *, replay: Replay | None, factor: float
) -> dict[str, Any]:
    """The genesis as this scenario needs it: fund, take-overs, one index source per recorded index file."""
    changed = dict(genesis)
    if config.insurance_fund_usdt is not None:
        changed = with_fund(changed, f"{config.insurance_fund_usdt:f}")
    if config.takeover_beyond_bps is not None:
        changed["liquidation_takeover_beyond"] = f"{config.takeover_beyond_bps / 10_000:.8f}"
    if config.lending is not None:
        changed["coins"] = [_without_venue_supply(coin, at) for at, coin in enumerate(genesis["coins"])]
    if replay is None:
        return changed
    return genesis_for_replay(changed, replay, factor=factor, tick_ms=config.tick_ms)


def _without_venue_supply(coin: dict[str, Any], at: int) -> dict[str, Any]:
    """The settlement coin's pool holds only what the scenario's suppliers lend."""
    return coin if at else {**coin, "lending": {**coin["lending"], "supplied": "0"}}


def build_scenario(
    driver: Driver,
    *,
    name: str,
    seed: int,
    seconds: float,
    replay: Replay | Sequence[ReplaySpec] = (),
    from_ms: int | None = None,
    to_ms: int | None = None,
    overrides: dict[str, Any] | None = None,
    folder: Path | None = None,
) -> Scenario:
    """The scenario of this name for an open venue whose clock follows `plan_clock`.

    `replay`: what `load_replay` returned, or the files to load now. Raises ScenarioError with one line.
    """
    config = load_config(name, folder or scenarios_folder(), overrides)
    listings = driver.engine.instruments()
    if not isinstance(replay, Replay):
        symbols = [listing.symbol for listing in listings]
        loaded = load_replay(replay, symbols=symbols, from_ms=from_ms, to_ms=to_ms) if replay else None
    else:
        loaded = replay
    start_ms = loaded.from_ms if loaded is not None else driver.market_ms()
    plan = Plan(driver.market_ms(), start_ms, driver.clock.factor, seconds, seed)
    standing = {}
    if driver.recovery is not None:
        standing = {listing.symbol: driver.prices(listing.instrument).index for listing in listings}
    world = build_world(config, listings, plan, loaded, standing, life=driver.command_count())
    return Scenario(driver, config, plan, world, loaded)
