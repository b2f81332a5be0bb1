"""The report as a table for a terminal.

Belongs here: columns, widths, styles. Does not belong here: figures, files, pictures.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text

from relay.reporting.findings import number, reason_words

__all__ = ["render_table"]

COUNTS = (("signals", ""), ("copied", "green"), ("capped", "yellow"), ("skipped", ""), ("missed", "red"))
NAME_WIDTH = 24
COUNTS_WIDTH = sum(len(name) for name, _ in COUNTS) + len(COUNTS) - 1
CHEAP_BPS = 1
DEAR_BPS = 10


def render_table(report: Mapping[str, Any]) -> Table:
    """Two lines per follower, made for 100 columns. Figures that do not exist are `–`."""
    table = Table(
        box=box.SIMPLE_HEAD,
        header_style="bold",
        show_edge=False,
        pad_edge=False,
        padding=(0, 1, 0, 0),
        title=_title(report),
        title_justify="left",
        title_style="",
    )
    table.add_column("follower", no_wrap=True, overflow="ellipsis", max_width=NAME_WIDTH)
    table.add_column(
        " ".join(name for name, _ in COUNTS), no_wrap=True, overflow="ellipsis", width=COUNTS_WIDTH
    )
    table.add_column("slippage", justify="right", no_wrap=True, min_width=10)
    table.add_column("latency", justify="right", no_wrap=True, min_width=9)
    table.add_column("leverage", justify="right", no_wrap=True, min_width=9)
    for row in report["followers"]:
        table.add_row(*_cells(row))
    return table


def _cells(row: Mapping[str, Any]) -> list[Text]:
    return [
        Text(row["id"], style="bold").append(f"\n{row['policy']}", style="not bold dim"),
        _counts(row),
        _slippage(row["slippage_bps"]),
        _latency(row["latency_ms"]),
        _leverage(row),
    ]


def _title(report: Mapping[str, Any]) -> Text:
    title = Text("Slippage", style="bold")
    facts = [f"{leader['id']}: {leader['signals']} signals" for leader in report["leaders"]]
    if report["run"].get("scenario"):
        facts.append(f"scenario {report['run']['scenario']}")
    if report["run"].get("seed") is not None:
        facts.append(f"seed {report['run']['seed']}")
    return title.append(f"   {' · '.join(facts)}", style="dim not bold")


def _counts(row: Mapping[str, Any]) -> Text:
    """The counts in columns of their own; below them why signals were not copied, commonest first."""
    text = Text()
    for name, style in COUNTS:
        count = row[name]
        text.append(f"{count:>{len(name)}}", style=style if count else "dim").append(" ")
    text.right_crop()
    reasons: Mapping[str, int] = row["skip_reasons"]
    named = ", ".join(f"{reason_words(reason)} {count}" for reason, count in reasons.items())
    return text.append(f"\n{named:>{COUNTS_WIDTH}}", style="dim")


def _slippage(figures: Mapping[str, str] | None) -> Text:
    if figures is None:
        return Text("–", style="dim")
    mean = Decimal(figures["mean"])
    style = "green" if mean <= CHEAP_BPS else "yellow" if mean <= DEAR_BPS else "red"
    return Text(f"{number(mean)} bps", style=style).append(f"\np95 {number(figures['p95'], 1)}", style="dim")


def _latency(figures: Mapping[str, int] | None) -> Text:
    if figures is None:
        return Text("–", style="dim")
    return Text(f"{number(figures['p50'], 0)} ms").append(f"\np95 {number(figures['p95'], 0)}", style="dim")


def _leverage(row: Mapping[str, Any]) -> Text:
    highest, cap = Decimal(row["leverage_max"]), Decimal(row["leverage_cap"])
    if cap == 0:
        return Text("–", style="dim")
    style = "red bold" if highest > cap else ""
    return Text(f"{highest:.2f}x", style=style).append(f"\ncap {cap:.2f}", style="dim not bold")
