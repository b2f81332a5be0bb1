"""A demonstration from its first process to its report.

Belongs here: the order of things. Does not belong here: how each is done (`system`, `collect`, `progress`, the
reporting package).
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import shutil
import signal
import sys
import time
import webbrowser
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from rich.console import Console

from relay.core.report import build_report, validate
from relay.demo.collect import order_link_ids, verify_journal
from relay.demo.leader_fills import LeaderFillsError, PlannedOrder, load_leader_plan
from relay.demo.plan import DemoOptions
from relay.demo.processes import ProgramError
from relay.demo.progress import RunProgress
from relay.demo.script import scripted_plan
from relay.demo.system import Folders, System
from relay.reporting.detail import LiquidationPoint, build_detail
from relay.reporting.files import write_json
from relay.reporting.html import write_html
from relay.reporting.table import render_table
from relay.store import DriftStore

__all__ = ["run_demo"]

_SETTLE_SECONDS_MAX = 15.0
_FINAL_REPORTS_SECONDS_MAX = 4.0
_POLL_SECONDS = 0.25
_INTERRUPTED = 130


def run_demo(options: DemoOptions, *, as_json: bool = False) -> int:
    """Run it and print the slippage table. Returns the exit status: 0 when every promise of the report holds."""
    problems = options.problems()
    if problems:
        for line in problems:
            _say(line)
        return 2
    try:
        with _own_folder(options) as folders:
            return asyncio.run(_supervised(_Demo(options, folders, as_json)))
    except (LeaderFillsError, ProgramError, BlockingIOError, OSError) as error:
        return _failed(error)


def _failed(error: Exception) -> int:
    if isinstance(error, BlockingIOError):
        _say("--out: another run is using this folder; name another one")
        return 75
    _say(error.last_words if isinstance(error, ProgramError) and error.status in (2, 75, 78) else str(error))
    if isinstance(error, LeaderFillsError):
        return 78
    return error.status if isinstance(error, ProgramError) and error.status in (2, 70, 75, 78) else 1


async def _supervised(demo: _Demo) -> int:
    """Run until done or told to stop; whatever happens, no program is left behind."""
    task = asyncio.ensure_future(demo.run())
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, task.cancel)
    try:
        return await task
    except asyncio.CancelledError:
        _say("interrupted; stopping everything")
        return _INTERRUPTED
    finally:
        await demo.system.stop()


@contextlib.contextmanager
def _own_folder(options: DemoOptions) -> Iterator[Folders]:
    """The run's folder, locked against a second run and cleared of an earlier one's data."""
    folders = Folders(options.out.resolve())
    folders.out.mkdir(parents=True, exist_ok=True)
    with (folders.out / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        for folder in (folders.data, folders.logs):
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(mode=0o700)
        for name in ("report.json", "report.html"):
            (folders.out / name).unlink(missing_ok=True)
        yield folders


@dataclass(slots=True)
class _Outcome:
    """What was asked after the run."""

    stats: dict[str, Any]
    history: dict[str, list[list[Any]]]
    link_ids: dict[str, list[str]]


class _Demo:
    def __init__(self, options: DemoOptions, folders: Folders, as_json: bool) -> None:
        self.options = options
        self.folders = folders
        self.as_json = as_json
        self.system = System(options, folders)
        self.started_ms = 0

    async def run(self) -> int:
        """The whole run; returns the exit status."""
        with RunProgress(self.options.seconds) as progress:
            await self._start(progress)
            summary = await self._trade(progress)
            progress.step("settling")
            await self._settle(summary["orders"])
            await self.system.stop("followers", "publisher")
            outcome = await self._ask()
            if not self.options.serve:
                await self.system.stop()
            progress.step("verifying")
            verdict = await verify_journal(self.system.journal)
        status = self._report(outcome, verdict, summary)
        if self.options.open_report:
            webbrowser.open((self.folders.out / "report.html").as_uri())
        if self.options.serve:
            _say(f"venue at {self.system.rest_url}, broker at {self.system.program('relay').ready['broker']}; Ctrl-C ends")
            await asyncio.Event().wait()
        return status

    async def _start(self, progress: RunProgress) -> None:
        progress.step("starting the venue")
        await self.system.start_venue()
        orders = await self._orders()
        progress.step("starting broker, publisher, followers")
        await self.system.start_relay()
        progress.step("starting the leader")
        await self.system.start_leader(orders)

    async def _orders(self) -> tuple[PlannedOrder, ...]:
        options = self.options
        if options.leader_fills is None:
            return scripted_plan(seconds=options.seconds, seed=options.seed)
        scenario = (await self.system.venue.stats())["scenario"]
        window = (scenario["from_ms"], scenario["to_ms"]) if options.replay else None
        assert options.leader_account is not None
        plan = load_leader_plan(
            options.leader_fills, account=options.leader_account, symbol=options.leader_symbol, window_ms=window
        )
        self.system.recorded = plan
        return plan.orders

    async def _trade(self, progress: RunProgress) -> dict[str, Any]:
        """Start the market and the leader; return the leader's summary when the time is over."""
        self.started_ms = await self.system.venue.play()
        await self.system.program("leader").tell({"start_ms": self.started_ms})
        progress.step("trading")
        while (elapsed := time.time() - self.started_ms / 1000) < self.options.seconds:
            for program in self.system.programs:
                program.check()
            progress.second(elapsed, self.folders.store)
            await asyncio.sleep(min(1.0, max(0.0, self.options.seconds - elapsed)))
        return await self.system.program("leader").summary()

    async def _settle(self, leader_orders: int) -> None:
        """Wait until every follower gave a verdict on every signal, or long enough."""
        deadline = time.monotonic() + _SETTLE_SECONDS_MAX
        while time.monotonic() < deadline:
            with DriftStore.open_for_reading(self.folders.store) as store:
                counts = store.counts()
            if counts["signals"] >= leader_orders and counts["copies"] >= counts["signals"] * len(self.system.followers):
                return
            await asyncio.sleep(_POLL_SECONDS)

    async def _ask(self) -> _Outcome:
        """Everything the report needs from the venue, and the followers' last words in the store."""
        system = self.system
        deadline = time.monotonic() + _FINAL_REPORTS_SECONDS_MAX
        while time.monotonic() < deadline and not self._all_stopped():
            await asyncio.sleep(_POLL_SECONDS)
        link_ids = {
            plan.follower_id: await order_link_ids(system.accounts[plan.follower_id], self.options.leader_symbol)
            for plan in system.followers
        }
        symbol = self.options.leader_symbol
        return _Outcome(await system.venue.stats(), {symbol: await system.venue.history(symbol)}, link_ids)

    def _all_stopped(self) -> bool:
        with DriftStore.open_for_reading(self.folders.store) as store:
            rows = store.read_rows()
        stopped = {status.follower_id for status in rows.statuses if status.mode == "stopped"}
        return stopped >= {plan.follower_id for plan in self.system.followers}

    def _report(self, outcome: _Outcome, verdict: dict[str, Any], summary: dict[str, Any]) -> int:
        with DriftStore.open_for_reading(self.folders.store) as store:
            rows = store.read_rows()
        scenario = outcome.stats["scenario"]
        named: dict[str, set[str]] = {plan.follower_id: set() for plan in self.system.followers}
        for copy in rows.copies:
            named[copy.follower_id] |= {order.client_order_id for order in copy.orders}
        paper = {plan.follower_id for plan in self.system.followers if plan.kind == "paper"}
        venue = {
            **{key: outcome.stats[key] for key in ("orders", "trades", "liquidations", "adl", "insurance_fund")},
            "conservation_delta": verdict["conservation_delta"],
            "mark_last_gap_bps": outcome.stats["mark_last_gap_bps"],
            "followers": {
                follower: {"orders": len(ids), "duplicate_orders": _duplicates(ids, named[follower])}
                for follower, ids in outcome.link_ids.items()
                if follower not in paper
            },
        }
        report = build_report(rows, venue, self._run_facts(scenario, summary))
        write_json(report, self.folders.out / "report.json")
        detail = build_detail(
            rows,
            prices={symbol: [tuple(row) for row in samples] for symbol, samples in outcome.history.items()},
            liquidations=[_liquidation(row) for row in outcome.stats["recent_liquidations"]],
            shock_ms=_shock(scenario, self.options.leader_symbol),
            started_ms=self.started_ms,
        )
        write_html(report, detail, self.folders.out / "report.html")
        broken = validate(report)
        self._print(report, broken)
        return 70 if broken else 0

    def _run_facts(self, scenario: dict[str, Any], summary: dict[str, Any]) -> dict[str, Any]:
        options, recorded = self.options, self.system.recorded
        replay: dict[str, Any] | None = None
        if options.replay or recorded is not None:
            replay = {
                "files": scenario["replay"],
                "from": scenario["from"],
                "to": scenario["to"],
                "time_factor": str(scenario["time_factor"]),
                "bar_walk": scenario["bar_walk"],
                "mark_check": scenario["mark_check"],
                "tracking_bps": scenario["tracking_bps"],
                "transplanted": recorded.transplanted if recorded else False,
                "leader": None
                if recorded is None
                else {
                    "file": options.leader_fills.name if options.leader_fills else None,
                    "account": recorded.account,
                    "coins": list(recorded.coins),
                    "fills": recorded.fills,
                    "times_moved": recorded.times_moved,
                    "symbol_moved": recorded.symbol_moved,
                },
            }
        return {
            "seed": options.seed,
            "scenario": scenario["name"],
            "replay": replay,
            "seconds": options.seconds,
            "version": version("slipstream"),
            "leader": summary,
            "crowd": scenario["crowd"],
        }

    def _print(self, report: dict[str, Any], broken: list[str]) -> None:
        if self.as_json:
            print((self.folders.out / "report.json").read_text())  # noqa: T201 - asked for
        else:
            console = Console()
            console.print(render_table(report))
            venue = report["venue"]
            console.print(
                f"venue: {venue['orders']} orders, {venue['trades']} trades, {venue['liquidations']} liquidations, "
                f"{venue['adl']} deleveraged, conservation {venue['conservation_delta']}"
            )
            for name in ("report.json", "report.html"):
                console.print(f"  {os.path.relpath(self.folders.out / name)}", style="bold", highlight=False)
        for line in broken:
            _say(f"broken promise: {line}")


def _duplicates(at_venue: list[str], named: set[str]) -> int:
    """Orders that should not be there: a client order id that stands twice, or that no copy knows of."""
    counted = Counter(at_venue)
    return sum(count - 1 for count in counted.values()) + sum(1 for link_id in counted if link_id not in named)


def _liquidation(row: dict[str, Any]) -> LiquidationPoint:
    return LiquidationPoint(row["symbol"], row["wall_ms"], row["side"], row["price"], row["qty"])


def _shock(scenario: dict[str, Any], symbol: str) -> tuple[int, int] | None:
    """First and last turning point of the symbol's shock (or of the recording's extremes)."""
    times = sorted(row["wall_ms"] for row in scenario["shocks"] if row["symbol"] == symbol)
    return (times[0], times[-1]) if len(times) > 1 else None


def _say(line: str) -> None:
    print(line, file=sys.stderr)  # noqa: T201 - the program's own words to its user
