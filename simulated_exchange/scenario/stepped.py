"""A scenario without waiting: market time is stepped tick by tick, so that equal seeds give equal venues.

Belongs here: a clock that stands until it is told, and the run of a scenario from its beginning to its end on
it. Does not belong here: what is told of the run (`simulated_exchange.offline`), serving.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from simulated_exchange.clock import MarketClock
from simulated_exchange.driver import Driver, DriverSettings
from simulated_exchange.scenario.assemble import build_scenario, genesis_for_scenario, scenarios_folder
from simulated_exchange.scenario.config import load_config
from simulated_exchange.scenario.runner import Scenario

__all__ = ["START_MS", "SteppedRun", "open_stepped"]

START_MS = 1_760_104_800_000
"""Market time at which a stepped run begins unless told otherwise: 2025-10-10 14:00 UTC."""
TICKS_BETWEEN_COMMITS = 20


class SteppedTime:
    """Nanoseconds that pass only when they are told to."""

    def __init__(self, start_ms: int) -> None:
        self.elapsed_ns = 0
        self._start_ns = start_ms * 1_000_000

    def monotonic_ns(self) -> int:
        """Since the run began."""
        return self.elapsed_ns

    def time_ns(self) -> int:
        """As if the run had begun at its own market time."""
        return self._start_ns + self.elapsed_ns


@dataclass(slots=True)
class SteppedRun:
    """A venue and its scenario, ready to be run to the end."""

    driver: Driver
    scenario: Scenario
    seconds: float
    tick_ms: int
    _time: SteppedTime

    @property
    def ticks(self) -> int:
        """How many ticks the planned length has."""
        return round(self.seconds * 1000 / self.tick_ms)

    def run(self, after_tick: Callable[[], None] = lambda: None) -> None:
        """Every tick of the planned length; `after_tick` may look at the venue in between."""
        self.scenario.prepare()
        for number in range(1, self.ticks + 1):
            self._time.elapsed_ns += self.tick_ms * 1_000_000
            self.scenario.tick()
            if number % TICKS_BETWEEN_COMMITS == 0 or number == self.ticks:
                self.driver.commit()
            after_tick()


def open_stepped(
    genesis: dict[str, Any],
    name: str,
    *,
    seed: int,
    seconds: float,
    factor: float,
    journal: Path | None = None,
    overrides: dict[str, Any] | None = None,
    start_ms: int = START_MS,
) -> SteppedRun:
    """A new venue with this scenario. `factor`: market seconds in one second of the scenario; `overrides`
    go on top of the scenario's file.

    With `journal` the run is journaled there; the file must not exist. Raises ScenarioError,
    ConfigurationError, JournalUnreadableError.
    """
    folder = scenarios_folder()
    config = load_config(name, folder, overrides)
    genesis = genesis_for_scenario(genesis, config, replay=None, factor=factor)
    time = SteppedTime(start_ms)
    clock = MarketClock(start_ms, factor, monotonic_ns=time.monotonic_ns, time_ns=time.time_ns)
    settings = DriverSettings(orjson.dumps(genesis).decode(), clock, journal, "os")
    driver = Driver.open(settings)
    scenario = build_scenario(
        driver, name=name, seed=seed, seconds=seconds, overrides=overrides, folder=folder
    )
    return SteppedRun(driver, scenario, seconds, config.tick_ms, time)
