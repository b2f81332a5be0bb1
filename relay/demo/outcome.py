"""From what was gathered after a run to its report, its pictures and the promises it broke.

Belongs here: the facts of the run, counting duplicates and lost fills, writing and printing. Does not belong
here: gathering (`collect`), processes.
"""

from __future__ import annotations

import sys
from collections import Counter
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rich.console import Console

from relay.core.report import Figures, build_report, figures_of, validate
from relay.core.verdicts import ReportRows
from relay.demo.leader_fills import LeaderPlan
from relay.demo.plan import DemoOptions, FollowerPlan
from relay.demo.system import Folders
from relay.reporting.detail import LiquidationPoint, Stretch, build_detail
from relay.reporting.files import write_json
from relay.reporting.html import write_html
from relay.reporting.table import render_table

__all__ = ["Gathered", "broken_promises", "print_result", "write_reports"]

_PLAIN_COLUMNS = 100
_COUNTED_IN_JOURNAL = ("orders", "trades", "liquidations", "adl", "insurance_fund", "conservation_delta")


@dataclass(frozen=True)
class Gathered:
    """Everything that is known after a run."""

    options: DemoOptions
    followers: list[FollowerPlan]
    recorded: LeaderPlan | None
    started_ms: int
    rows: ReportRows
    summary: dict[str, Any]  # of the leader's program
    stats: dict[str, Any]  # of the venue, while it ran
    history: dict[str, list[list[Any]]]
    link_ids: dict[str, list[str]]  # by follower, as the venue has them
    leader_fill_ids: list[str]
    verdict: dict[str, Any]  # of the venue's journal, counts included

    @cached_property
    def figures(self) -> Figures:
        """What was counted."""
        return figures_of(self.rows)

    @property
    def scenario(self) -> dict[str, Any]:
        """What the scenario says of itself."""
        scenario: dict[str, Any] = self.stats["scenario"]
        return scenario


def write_reports(run: Gathered, folders: Folders) -> dict[str, Any]:
    """Write report.json and report.html; returns the report."""
    report = build_report(run.figures, _venue_facts(run), _run_facts(run))
    write_json(report, folders.out / "report.json")
    detail = build_detail(
        run.rows,
        run.figures,
        prices={symbol: [tuple(row) for row in samples] for symbol, samples in run.history.items()},
        liquidations=[
            LiquidationPoint(row["symbol"], row["wall_ms"], row["side"], row["price"], row["qty"])
            for row in run.stats["recent_liquidations"]
        ],
        shock=_shock(run),
        started_ms=run.started_ms,
    )
    write_html(report, detail, folders.out / "report.html")
    return report


def broken_promises(run: Gathered, report: dict[str, Any]) -> list[str]:
    """What should not have happened, one sentence each; empty after a good run."""
    return [*validate(report), *run.figures.cap_violations, *_unsignalled(run)]


def print_result(report: dict[str, Any], folders: Folders) -> None:
    """The slippage table, the venue's line, where the reports are."""
    console = Console(width=None if sys.stdout.isatty() else _PLAIN_COLUMNS)
    console.print(render_table(report))
    venue = report["venue"]
    console.print(
        f"venue: {venue['orders']} orders, {venue['trades']} trades, "
        f"{venue['liquidations']} liquidations, {venue['adl']} deleveraged, "
        f"conservation {venue['conservation_delta']}"
    )
    for name in ("report.json", "report.html"):
        path = folders.out / name
        shown = path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
        console.print(f"  {shown}", style="bold", highlight=False, soft_wrap=True)


def _venue_facts(run: Gathered) -> dict[str, Any]:
    known: dict[str, set[str]] = {plan.follower_id: set() for plan in run.followers}
    for copy in run.rows.copies:
        known[copy.follower_id] |= {order.client_order_id for order in copy.orders}
    return {
        **{key: run.verdict[key] for key in _COUNTED_IN_JOURNAL},
        "mark_last_gap_bps": _texts(run.stats["mark_last_gap_bps"]),
        "followers": {
            plan.follower_id: {
                "orders": len(run.link_ids[plan.follower_id]),
                "duplicate_orders": _duplicates(run.link_ids[plan.follower_id], known[plan.follower_id]),
            }
            for plan in run.followers
            if plan.kind != "paper"
        },
    }


def _run_facts(run: Gathered) -> dict[str, Any]:
    scenario, recorded = run.scenario, run.recorded
    replay: dict[str, Any] | None = None
    if run.options.replay or recorded is not None:
        replay = {
            "files": scenario["replay"]["files"] if scenario["replay"] else [],
            **{key: scenario[key] for key in ("from", "to", "bar_walk")},
            **{key: _texts(scenario[key]) for key in ("mark_check", "tracking_bps", "time_factor")},
            "transplanted": recorded.transplanted if recorded else False,
            "leader": _recorded_facts(run.options, recorded) if recorded else None,
        }
    return {
        "seed": run.options.seed,
        "scenario": scenario["name"],
        "replay": replay,
        "seconds": run.options.seconds,
        "version": version("slipstream"),
        "leader": run.summary,
        "crowd": scenario["crowd"],
    }


def _texts(value: Any) -> Any:
    """The same with every fraction as a decimal string: the report's rule for what is not a count."""
    if isinstance(value, dict):
        return {key: _texts(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [_texts(entry) for entry in value]
    return f"{Decimal(str(value)).normalize():f}" if isinstance(value, float) else value


def _recorded_facts(options: DemoOptions, recorded: LeaderPlan) -> dict[str, Any]:
    return {
        "file": options.leader_fills.name if options.leader_fills else None,
        "account": recorded.account,
        "coins": list(recorded.coins),
        "fills": recorded.fills,
        "gaps": recorded.gaps,
        "times_moved": recorded.times_moved,
        "symbol_moved": recorded.symbol_moved,
    }


def _duplicates(at_venue: list[str], named: set[str]) -> int:
    """Orders that should not be there: a client order id that stands twice, or that no copy knows of."""
    counted = Counter(at_venue)
    return sum(count - 1 for count in counted.values()) + sum(
        1 for link_id in counted if link_id not in named
    )


def _unsignalled(run: Gathered) -> list[str]:
    """Every fill of the leader went out exactly once, and nothing else did."""
    at_venue = run.leader_fill_ids
    signalled = Counter(fill for row in run.rows.signals for fill in row.signal.fill_ids)
    lost = [fill for fill in at_venue if not signalled[fill]]
    twice = [fill for fill, count in signalled.items() if count > 1]
    invented = signalled.keys() - set(at_venue)
    broken = []
    for fills, what in (
        (lost, "never signalled"),
        (twice, "signalled twice"),
        (invented, "not the leader's"),
    ):
        if fills:
            broken.append(f"leader: {len(fills)} fills were {what}, the first is {min(fills)}")
    return broken


def _shock(run: Gathered) -> Stretch | None:
    """From the symbol's first turning point to its last: a shock, or a recording's extremes in order."""
    turns = [row for row in run.scenario["shocks"] if row["symbol"] == run.options.leader_symbol]
    if len(turns) < 2:
        return None
    turns.sort(key=lambda row: row["wall_ms"])
    kinds = [row["kind"] for row in turns]
    label = "shock" if kinds[0] == "shock" else f"from {kinds[0]} to {kinds[-1]}"
    return Stretch(turns[0]["wall_ms"], turns[-1]["wall_ms"], label)
