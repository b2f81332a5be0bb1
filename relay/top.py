"""`relay top`: how followers stand right now, as a live table in the terminal.

Belongs here: layout, refreshing, its end. Does not belong here: figures and their wording (`dashboard.views`,
`relay.reporting`).

It reads the store as any page does and changes nothing. Without a terminal, and with `--json`, it prints
once.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from relay.dashboard import views
from relay.reporting.timeline import clock, timeline
from relay.store import DriftStore, RowFilter, StorePlace, span_start

__all__ = ["top"]

SIGNALS_SHOWN = 8
COUNTS = ("copied", "capped", "skipped", "missed")
STYLES = {"copied": "green", "capped": "yellow", "missed": "red", "skipped": "dim"}
MODES = {"running": "green", "reduce-only": "yellow", "paused": "yellow", "stopped": "red", "locked": "red"}


@dataclass(frozen=True, slots=True)
class _Look:
    """What one look at the store found."""

    at_ms: int
    followers: Sequence[Mapping[str, Any]]
    leaders: Sequence[Mapping[str, Any]]
    alarms: Sequence[Mapping[str, Any]]
    signals: Sequence[Mapping[str, Any]]


def top(place: StorePlace, *, span_ms: int, interval_s: float, once: bool, as_json: bool) -> None:
    """Show it until interrupted. Raises `Failed` where the store cannot be read."""
    console = Console()
    with DriftStore.open_for_reading(place) as store:
        if as_json:
            print(json.dumps(_plain(_look(store, span_ms))))  # noqa: T201
            return
        if once or not console.is_terminal:
            console.print(_screen(_look(store, span_ms), place))
            return
        try:
            with Live(_screen(_look(store, span_ms), place), console=console, screen=True) as live:
                while True:
                    time.sleep(interval_s)
                    live.update(_screen(_look(store, span_ms), place), refresh=True)
        except KeyboardInterrupt:
            return


def _look(store: DriftStore, span_ms: int) -> _Look:
    now_ms = time.time_ns() // 1_000_000
    where = RowFilter(span_start(now_ms, span_ms))
    figures, statuses = store.figures(where), store.last_statuses()
    standing = [(alarm, until) for alarm, until in store.alarms() if until is None]
    return _Look(
        now_ms,
        views.follower_rows(figures, statuses, now_ms),
        views.leader_rows(figures, {}, {}),
        views.alarm_rows(standing, now_ms),
        timeline(store.read_rows(where, signals_max=SIGNALS_SHOWN, words_max=0))[:SIGNALS_SHOWN],
    )


def _plain(look: _Look) -> dict[str, Any]:
    kept = ("id", "policy", "mode", "paper", "signals", "copied", "capped", "skipped", "missed")
    figures = ("skip_reasons", "slippage_bps", "latency_ms", "leverage_cap", "exposure_gap", "unknown")
    return {
        "at_ms": look.at_ms,
        "followers": [{name: row[name] for name in (*kept, *figures)} for row in look.followers],
        "leaders": [{name: row[name] for name in ("id", "signals", "fills")} for row in look.leaders],
        "alarms": [
            {name: row[name] for name in ("rule", "subject", "severity", "since", "what", "todo")}
            for row in look.alarms
        ],
    }


def _screen(look: _Look, place: StorePlace) -> RenderableType:
    name = place.rpartition("@")[2] if isinstance(place, str) else str(place)
    head = Text.assemble(
        ("Slipstream", "bold"), f"  {clock(look.at_ms)[:8]} UTC  {name}  ", ("Ctrl-C ends", "dim")
    )
    parts: list[RenderableType] = [head]
    if look.alarms:
        parts += [_alarm(row) for row in look.alarms]
    else:
        parts.append(Text("nothing is wrong just now", style="green"))
    parts += [Text(), _followers(look.followers), Text(), _signals(look.signals)]
    return Group(*parts)


def _alarm(row: Mapping[str, Any]) -> Text:
    style = "bold red" if row["severity"] == "critical" else "yellow"
    return Text.assemble((f"! {row['rule']} ", style), row["what"], (f"  {row['ago']}", "dim"))


def _followers(rows: Sequence[Mapping[str, Any]]) -> RenderableType:
    if not rows:
        return Text("No follower has reported in this span.", style="dim")
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("follower", no_wrap=True)
    table.add_column("mode", no_wrap=True)
    for heading in (
        "copied",
        "capped",
        "skipped",
        "missed",
        "bps",
        "p95",
        "ms",
        "leverage",
        "gap",
        "unknown",
    ):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("heard", no_wrap=True)
    for row in rows:
        counts = [Text(str(row[name]), style=STYLES[name] if row[name] else "dim") for name in COUNTS]
        unknown = Text(str(row["unknown"]), style="bold red" if row["unknown"] else "dim")
        mode = Text(row["mode"] + (" (paper)" if row["paper"] else ""), style=MODES.get(row["mode"], ""))
        figures = (row["mean"], row["p95"], row["p50_ms"], row["leverage"], row["gap"])
        table.add_row(Text(row["id"]), mode, *counts, *map(Text, figures), unknown, row["heard"])
    return table


def _signals(rows: Sequence[Mapping[str, Any]]) -> RenderableType:
    if not rows:
        return Text("No signal in this span.", style="dim")
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for heading in ("time", "signal", "symbol", "side"):
        table.add_column(heading, no_wrap=True)
    table.add_column("what became of it", overflow="fold")
    for row in rows:
        told = Text()
        for item in row["verdicts"]:
            words = item["reason"] if item["verdict"] in ("skipped", "missed") else f"{item['slippage']} bps"
            told.append(f"{item['follower']} ").append(
                f"{item['verdict']} ", style=STYLES.get(item["verdict"], "")
            )
            told.append(f"{words}  ", style="dim")
        table.add_row(row["time"][:8], Text(row["id"]), Text(row["symbol"]), row["side"], told)
    return table
