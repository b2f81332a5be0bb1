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

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.live import Live
from rich.table import Table
from rich.text import Text

from relay.dashboard import views
from relay.reporting.findings import printable
from relay.reporting.timeline import clock, timeline
from relay.store import DriftStore, RowFilter, StorePlace, span_start

__all__ = ["top"]

SIGNALS_SHOWN = 8
COUNTS = ("copied", "capped", "skipped", "missed")
LOST = ("skipped", "missed")
LOST_SHOWN_MAX = 3
WIDE = 110  # columns of a terminal that has room for every verdict
GAP = 2
# headings; where a row calls it by another name, that name
WORDS = ("follower", "mode", "heard")
COLUMNS = ("follower", "mode", *COUNTS, "bps", "p95", "ms", "leverage", "gap", "unknown", "heard")
FIELDS = {"follower": "id", "bps": "mean", "ms": "p50_ms"}
FIRST_TO_GO = ("p95", "heard", "leverage", "gap", "ms", "unknown", "capped", "copied", "missed", "mode")
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
    parts += [Text(), _Followers(look.followers), Text(), _Signals(look.signals)]
    return Group(*parts)


def _alarm(row: Mapping[str, Any]) -> Text:
    style = "bold red" if row["severity"] == "critical" else "yellow"
    told = Text.assemble((f"! {row['rule']} ", style), printable(row["what"]))
    return told.append(f"  {row['ago']}", style="dim")


@dataclass(frozen=True, slots=True)
class _Followers:
    """The followers' table with as many columns as the terminal has room for."""

    rows: Sequence[Mapping[str, Any]]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        if not self.rows:
            yield Text("No follower has reported in this span.", style="dim")
            return
        columns = {name: [Text(name), *(_cell(name, row) for row in self.rows)] for name in COLUMNS}
        widths = {name: max(cell.cell_len for cell in cells) + GAP for name, cells in columns.items()}
        shown = list(COLUMNS)
        for name in FIRST_TO_GO:
            if sum(widths[each] for each in shown) - GAP > options.max_width:
                shown.remove(name)
        table = Table(box=None, pad_edge=False, padding=(0, GAP, 0, 0), header_style="bold")
        for name in shown:
            table.add_column(name, justify="left" if name in WORDS else "right", no_wrap=True)
        for cells in zip(*(columns[name][1:] for name in shown), strict=True):
            table.add_row(*cells)
        yield table
        if hidden := [name for name in COLUMNS if name not in shown]:
            yield Text(f"a wider terminal shows {', '.join(hidden)}", style="dim")


def _cell(name: str, row: Mapping[str, Any]) -> Text:
    value = printable(str(row[FIELDS.get(name, name)]))
    if name == "mode":
        return Text(value + (" (paper)" if row["paper"] else ""), style=MODES.get(value, ""))
    if name == "unknown":
        return Text(value, style="bold red" if row["unknown"] else "dim")
    if name in COUNTS:
        return Text(value, style=STYLES[name] if row[name] else "dim")
    return Text(value)


@dataclass(frozen=True, slots=True)
class _Signals:
    """The latest signals: every verdict where there is room, else how many and who did not copy."""

    rows: Sequence[Mapping[str, Any]]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        if not self.rows:
            yield Text("No signal in this span.", style="dim")
            return
        is_wide = options.max_width >= WIDE
        table = Table(box=None, pad_edge=False, padding=(0, GAP, 0, 0), header_style="bold")
        for heading in ("time", "signal", "symbol", "side"):
            table.add_column(heading, no_wrap=True)
        table.add_column("what became of it", overflow="fold", min_width=20)
        for row in self.rows:
            told = _each_verdict(row["verdicts"]) if is_wide else _verdicts_in_short(row["verdicts"])
            first = (row["time"][:8], _short_id(row["id"], is_wide), row["symbol"], row["side"])
            table.add_row(*(Text(printable(word)) for word in first), told)
        yield table


def _short_id(signal_id: str, is_wide: bool) -> str:
    """Without the epoch, which is the longest part of it and the same for most of a day."""
    leader, _, rest = signal_id.partition(".")
    return signal_id if is_wide else f"{leader} {rest.rpartition('.')[2]}"


def _each_verdict(verdicts: Sequence[Mapping[str, Any]]) -> Text:
    told = Text()
    for item in verdicts:
        words = item["reason"] if item["verdict"] in LOST else f"{item['slippage']} bps"
        told.append(f"{item['follower']} ")
        told.append(f"{item['verdict']} ", style=STYLES.get(item["verdict"], ""))
        told.append(f"{printable(words)}  ", style="dim")
    return told


def _verdicts_in_short(verdicts: Sequence[Mapping[str, Any]]) -> Text:
    copied = [item for item in verdicts if item["verdict"] not in LOST]
    told = Text(f"{len(copied)} copied", style="green" if copied else "dim")
    lost = [item for item in verdicts if item["verdict"] in LOST]
    for item in lost[:LOST_SHOWN_MAX]:
        told.append(f", {item['follower']} ", style=STYLES[item["verdict"]])
        told.append(printable(item["reason"]), style="dim")
    if len(lost) > LOST_SHOWN_MAX:
        told.append(f", {len(lost) - LOST_SHOWN_MAX} more not", style="dim")
    return told
