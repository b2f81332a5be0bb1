"""A venue in virtual time: the real engine and driver, a clock that tests turn. No tests here."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from simulated_exchange.clock import MarketClock
from simulated_exchange.driver import Driver, DriverSettings, Event
from simulated_exchange.listing import listed_genesis
from simulated_exchange.scenario import (
    ReplaySpec,
    Scenario,
    build_scenario,
    genesis_for_scenario,
    load_config,
    load_replay,
    plan_clock,
    scenarios_folder,
)
from simulated_exchange.settings import load_settings

__all__ = ["EPOCH_MS", "Room", "VirtualTime", "play"]

EPOCH_MS = 1_760_000_000_000


class VirtualTime:
    """Nanoseconds that only pass when told to."""

    def __init__(self) -> None:
        self.now_ns = EPOCH_MS * 1_000_000

    def __call__(self) -> int:
        return self.now_ns


@dataclass
class Room:
    """A venue with its scenario and what was heard from it."""

    driver: Driver
    scenario: Scenario
    time: VirtualTime
    heard: Counter[str] = field(default_factory=Counter)
    liquidated_at_ms: list[int] = field(default_factory=list)  # wall time since the start
    prints: list[tuple[int, int, int]] = field(default_factory=list)  # wall ms, instrument, price
    commands_each_tick: list[int] = field(default_factory=list)

    @property
    def wall_ms(self) -> int:
        return self.time.now_ns // 1_000_000 - EPOCH_MS

    def hear(self, events: Sequence[Event]) -> None:
        for event in events:
            self.heard[type(event).__name__.removeprefix("Event_")] += 1
            if isinstance(event, Event.LiquidationStarted):
                self.liquidated_at_ms.append(self.wall_ms)
            elif isinstance(event, Event.Trade):
                self.prints.append((self.wall_ms, event.instrument, event.price))


def open_room(
    name: str,
    *,
    seconds: float,
    seed: int,
    specs: Sequence[ReplaySpec] = (),
    from_ms: int | None = None,
    to_ms: int | None = None,
    overrides: dict[str, Any] | None = None,
    held: bool = False,
    journal: Path | None = None,
) -> Room:
    """A venue on a virtual clock with this scenario; fresh, or as the journal left it."""
    config = load_config(name, scenarios_folder(), overrides)
    genesis = listed_genesis(load_settings(None, {}))
    symbols = [instrument["symbol"] for instrument in genesis["instruments"]]
    replay = load_replay(specs, symbols=symbols, from_ms=from_ms, to_ms=to_ms) if specs else None
    window = replay.window if replay is not None else None
    start_ms, factor = plan_clock(seconds, window, now_ms=EPOCH_MS)
    text = orjson.dumps(genesis_for_scenario(genesis, config, replay=replay, factor=factor)).decode()
    virtual = VirtualTime()
    clock = MarketClock(start_ms, factor, held=held, monotonic_ns=virtual, time_ns=virtual)
    driver = Driver.open(DriverSettings(text, clock, journal, "os" if journal is not None else "none"))
    clock.not_before(driver.market_ms())
    scenario = build_scenario(
        driver, name=name, seed=seed, seconds=seconds, replay=replay or (), overrides=overrides
    )
    room = Room(driver, scenario, virtual)
    driver.subscribe(room.hear)
    return room


def play(name: str, *, seconds: float = 60, seed: int = 1, more_seconds: float = 0, **options: Any) -> Room:
    """Open a room and run it to its planned end and `more_seconds` beyond.

    `each_tick(room)`, when given, is called after every tick: a stranger who trades there too.
    """
    each_tick: Callable[[Room], None] | None = options.pop("each_tick", None)
    room = open_room(name, seconds=seconds, seed=seed, **options)
    asyncio.run(_run(room, seconds + more_seconds, each_tick))
    return room


async def _run(room: Room, seconds: float, each_tick: Callable[[Room], None] | None) -> None:
    commit = asyncio.create_task(room.driver.run())
    room.scenario.prepare()
    tick_ms = room.scenario.config.tick_ms
    for _ in range(round(seconds * 1000 / tick_ms)):
        room.time.now_ns += tick_ms * 1_000_000
        before = room.driver.engine.command_count()
        room.scenario.tick()
        room.commands_each_tick.append(room.driver.engine.command_count() - before)
        if each_tick is not None:
            each_tick(room)
        await asyncio.sleep(0)
    commit.cancel()
    with suppress(asyncio.CancelledError):
        await commit
    room.driver.close()
