"""Copies under kills and a venue that misbehaves, and what must hold afterwards.

Real processes: the venue with its fault injection, the broker, one process that hosts a follower over ccxt
and one over the direct adapter, killed again and again. Orders are counted at the venue.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
import urllib.request
from collections import Counter
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

from follower_client.store import Store
from relay.protocol.messages import CopyReport
from tests.integration.follower_world import World, eventually, world

__all__ = ["Figures", "soak"]

FOLLOWERS = {"over": "ccxt", "direct": "v5"}
POLICY = "scale = 0.5\norders_per_10_s_max = 1000"
STEPS = ("1", "2", "0.5", "0", "-1", "-0.4", "1.5", "0.25", "-2")
FAULTS: tuple[dict[str, Any], ...] = (
    {"kind": "drop", "applied": True},
    {"kind": "drop", "applied": False},
    {"kind": "drop", "applied": True, "silent": True},
    {"kind": "delay", "delay_ms": 300},
    {"kind": "delay", "delay_ms": 4500},
    {"kind": "error", "status": 503, "applied": True},
    {"kind": "error", "status": 502},
    {"kind": "busy", "applied": True},
    {"kind": "busy"},
    {"kind": "rate_limit"},
)
EVERYTHING_TOLD_S = 300.0
BEHIND_MAX = 40  # signals: more would be copied as one, and no order more be sent


@dataclass
class Figures:
    """What a run was."""

    seed: int
    signals: int = 0
    orders: int = 0
    kills: int = 0
    faults: int = 0
    seconds: float = 0.0
    verdicts: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)

    def line(self) -> str:
        told = ", ".join(f"{count} {verdict}" for verdict, count in sorted(self.verdicts.items()))
        return (
            f"seed {self.seed}: {self.signals} signals, {self.orders} orders, {self.kills} kills, "
            f"{self.faults} faults in {self.seconds:.0f} s: {told} "
            f"({', '.join(f'{reason} {count}' for reason, count in self.reasons.most_common(8))}); "
            "no id twice, no target passed"
        )


async def soak(folder: Path, *, orders: int, kills: int, seed: int) -> Figures:
    """Run until so many orders were sent and so many processes killed; assert what must hold."""
    dice, figures = random.Random(seed), Figures(seed)
    start_s = time.monotonic()
    async with world(folder, *FOLLOWERS, sim=True) as stage:
        configs = folder / "followers"
        configs.mkdir()
        for name, kind in FOLLOWERS.items():
            stage.write_config(name, folder=configs, policy=POLICY, kind=kind)
        unit = (Decimal(100_000) / stage.venue.price).quantize(Decimal("0.001"))
        first = await stage.follow(configs)
        await stage.publisher.trade(str(unit), leverage="1")
        await _all_told(stage)  # from here on both have joined
        assert await first.stop() == 0
        enough, running = asyncio.Event(), asyncio.Event()
        async with asyncio.TaskGroup() as group:
            group.create_task(_kill(stage, configs, dice, figures, (orders, kills), enough, running))
            group.create_task(_misbehave(stage, dice, figures, enough))
            group.create_task(_trade(stage, unit, dice, enough, running))
        await _sim(stage, "faults/clear", {})
        last = await stage.follow(configs)
        await stage.publisher.trade("0", leverage="0", patient=True)
        await _all_told(stage)
        assert await last.stop() == 0
        for name in FOLLOWERS:
            await _check(stage, name, figures)
        figures.signals = len(stage.publisher.signals)
    figures.seconds = time.monotonic() - start_s
    return figures


async def _kill(
    stage: World,
    configs: Path,
    dice: random.Random,
    figures: Figures,
    wanted: tuple[int, int],
    enough: asyncio.Event,
    running: asyncio.Event,
) -> None:
    orders, kills = wanted
    while figures.kills < kills or figures.orders < orders:
        follower = await stage.follow(configs)
        running.set()
        await asyncio.sleep(dice.uniform(0.05, 4.0 if figures.kills < kills else 20.0))
        running.clear()
        follower.process.kill()
        await follower.ended()
        figures.kills += 1
        counts = [len(await stage.venue.orders(name)) for name in FOLLOWERS]
        figures.orders = sum(counts)
    enough.set()


async def _misbehave(stage: World, dice: random.Random, figures: Figures, enough: asyncio.Event) -> None:
    while not enough.is_set():
        fault = {
            **dice.choice(FAULTS),
            "path": "/v5/order/create",
            "name": dice.choice(list(FOLLOWERS)),
            "count": dice.randint(1, 2),
            "seconds": 3,
        }
        await _sim(stage, "faults", fault)
        figures.faults += 1
        await asyncio.sleep(dice.uniform(0.2, 1.5))


async def _trade(
    stage: World, unit: Decimal, dice: random.Random, enough: asyncio.Event, running: asyncio.Event
) -> None:
    """Mostly while somebody copies; a signal now and then finds nobody."""
    while not enough.is_set():
        if not running.is_set() and dice.random() < 0.8:
            await asyncio.sleep(0.1)
            continue
        told = min(len(stage.reports_of(name)) for name in FOLLOWERS)
        if len(stage.publisher.signals) - told > BEHIND_MAX:
            await asyncio.sleep(0.1)
            continue
        step = dice.choice([step for step in STEPS if unit * Decimal(step) != stage.publisher.qty])
        await stage.publisher.trade(str(unit * Decimal(step)), leverage=step.lstrip("-"), patient=True)
        await asyncio.sleep(dice.uniform(0.02, 0.35))


async def _sim(stage: World, path: str, body: dict[str, Any]) -> None:
    def ask() -> None:
        with urllib.request.urlopen(f"{stage.venue.rest}/sim/{path}", json.dumps(body).encode(), timeout=10):
            pass

    await asyncio.to_thread(ask)


async def _all_told(stage: World) -> None:
    def told() -> bool:
        return all(set(stage.publisher.signals) <= set(stage.reports_of(name)) for name in FOLLOWERS)

    await eventually(told, limit_s=EVERYTHING_TOLD_S, what="a verdict of everybody on every signal")


async def _check(stage: World, name: str, figures: Figures) -> None:
    """One order per id, one verdict per signal, no target passed; venue and store agree."""
    at_venue, reports = await stage.venue.orders_by_link_id(name), stage.reports_of(name)
    assert set(at_venue.values()) == {1}, f"{name}: a client order id was used twice"
    assert sorted(reports) == stage.publisher.signals
    named: set[str] = set()
    for seq, found in reports.items():
        assert len({(one.verdict, one.reason) for one in found}) == 1, f"{name}: two verdicts on {seq}"
        assert found[0].reason, f"{name}: {seq} has no reason"
        _check_fills(found[0])
        named |= {row.client_order_id for row in found[0].orders}
        figures.verdicts[found[0].verdict] += 1
        figures.reasons[found[0].reason] += 1
    assert set(at_venue) <= named, f"{name}: an order that no report names"
    store = Store.open(stage.folder / name / "follower.sqlite", read_only=True)
    try:
        held = await stage.venue.position(name)
        assert sum(store.positions().values(), Decimal(0)) == held == 0, name
        assert store.open_orders() == []
    finally:
        store.close()


def _check_fills(report: CopyReport) -> None:
    """Over all orders of a leg, never more than the decision wanted."""
    opened = Decimal(0)
    for order in report.orders:
        filled = sum((Decimal(fill.qty) for fill in order.fills), Decimal(0))
        assert filled <= Decimal(order.qty), (report.seq, order.client_order_id)
        opened += Decimal(0) if order.reduce_only else filled
    assert opened <= abs(Decimal(report.target_qty)), (report.seq, opened, report.target_qty)
