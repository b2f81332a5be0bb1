"""The report as a table for a terminal.

Belongs here: columns, widths, styles. Does not belong here: figures, files, pictures.

Every header word and every figure is whole at any width: what does not fit beside the figures (a long name,
a policy, why signals were not copied) gets a line of its own, and a terminal too narrow for columns gets
sentences.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

from relay.reporting.findings import arrival_words, left_out_lines, number, printable, reason_words
from relay.reporting.over_time import trend_words

__all__ = ["SlippageTable", "render_table"]

COUNTS = (("signals", ""), ("copied", "green"), ("capped", "yellow"), ("skipped", ""), ("missed", "red"))
HEADERS = ("follower", *(name for name, _ in COUNTS), "slippage", "latency", "leverage")
NAME_WIDTH_MIN = len(HEADERS[0])
NAME_WIDTH_MAX = 24  # a longer name stands on a line of its own
FIGURE_WIDTH_MIN = 9
GAP = 1
INDENT = 2
CHEAP_BPS = 1
DEAR_BPS = 10
NONE = "–"


@dataclass(frozen=True, slots=True)
class _Row:
    """One follower: a first line of figures in every column, a second one below the last three."""

    name: str
    policy: str
    counts: tuple[Text, ...]
    figures: tuple[Text, ...]  # slippage, latency, leverage
    below: tuple[Text, ...]
    why: str


class SlippageTable:
    """What rich prints: two lines per follower, and a third where signals were not copied."""

    def __init__(self, report: Mapping[str, Any]) -> None:
        self._title = _title(report)
        self._rows = [_row(row) for row in report["followers"]]
        self._below = _below(report)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        width = options.max_width
        widths = _widths(self._rows, width)
        yield self._title
        if widths is not None:
            yield _line([Text(word, style="bold") for word in HEADERS], widths)
            yield Text("─" * _total(widths), style="dim")
        for row in self._rows:
            if widths is not None:
                yield from _lines(row, widths)
            else:
                yield Text(row.name, style="bold").append(f"  {row.policy}", style="not bold dim")
                yield from _indented(_sentence(row), console, width)
            if row.why:
                yield from _indented(Text(f"not copied: {row.why}", style="dim"), console, width)
        for line in self._below:
            for piece in Text(line, style="dim").wrap(console, width):
                piece.rstrip()
                yield piece


def render_table(report: Mapping[str, Any]) -> SlippageTable:
    """The report's followers for a terminal of any width. Figures that do not exist are `–`."""
    return SlippageTable(report)


def _title(report: Mapping[str, Any]) -> Text:
    title = Text("Slippage", style="bold")
    facts = [f"{leader['id']}: {leader['signals']} signals" for leader in report["leaders"]]
    if report["run"].get("scenario"):
        facts.append(f"scenario {report['run']['scenario']}")
    if report["run"].get("seed") is not None:
        facts.append(f"seed {report['run']['seed']}")
    return title.append(f"   {' · '.join(facts)}", style="dim not bold") if facts else title


def _below(report: Mapping[str, Any]) -> list[str]:
    """Whether it gets worse, and what no figure above is made of."""
    trend = trend_words(report["trend"])
    lines, came = left_out_lines(report["left_out"]), arrival_words(report["left_out"])
    told = [*([f"over time: {trend}"] if trend else []), *(f"left out: {printable(line)}" for line in lines)]
    return [*told, f"came {came}: every figure is as if they had not"] if came else told


def _row(row: Mapping[str, Any]) -> _Row:
    pairs = (_slippage(row["slippage_bps"]), _latency(row["latency_ms"]), _leverage(row))
    reasons: Mapping[str, int] = row["skip_reasons"]
    return _Row(
        name=row["id"],
        policy=printable(row["policy"]),
        counts=tuple(Text(f"{row[name]:,}", style=style if row[name] else "dim") for name, style in COUNTS),
        figures=tuple(figure for figure, _ in pairs),
        below=tuple(below for _, below in pairs),
        why=printable(", ".join(f"{reason_words(reason)} {count:,}" for reason, count in reasons.items())),
    )


def _slippage(figures: Mapping[str, str] | None) -> tuple[Text, Text]:
    if figures is None:
        return Text(NONE, style="dim"), Text()
    mean = Decimal(figures["mean"])
    style = "green" if mean <= CHEAP_BPS else "yellow" if mean <= DEAR_BPS else "red"
    below = f"p50 {number(figures['p50'], 1):>5}  p95 {number(figures['p95'], 1):>5}"
    return Text(f"{number(mean)} bps", style=style), Text(below, style="dim")


def _latency(figures: Mapping[str, int] | None) -> tuple[Text, Text]:
    if figures is None:
        return Text(NONE, style="dim"), Text()
    below = Text(f"p95 {number(figures['p95'], 0)}", style="dim")
    return Text(f"{number(figures['p50'], 0)} ms"), below


def _leverage(row: Mapping[str, Any]) -> tuple[Text, Text]:
    highest, cap = Decimal(row["leverage_max"]), Decimal(row["leverage_cap"])
    if cap == 0:
        return Text(NONE, style="dim"), Text()
    style = "red bold" if highest > cap else ""
    return Text(f"{number(highest)}x", style=style), Text(f"cap {number(cap)}", style="dim")


def _widths(rows: Sequence[_Row], width: int) -> list[int] | None:
    """Columns' widths, None when not even the figures fit. Slippage's second line may reach to the left."""
    counts = [
        max([len(name), *(row.counts[at].cell_len for row in rows)]) for at, (name, _) in enumerate(COUNTS)
    ]
    figures = [
        max(
            [
                FIGURE_WIDTH_MIN,
                *(row.figures[at].cell_len for row in rows),
                *(row.below[at].cell_len for row in rows if at > 0),
            ]
        )
        for at in range(len(HEADERS) - 1 - len(COUNTS))
    ]
    free = width - sum(counts) - sum(figures) - GAP * (len(HEADERS) - 1)
    longest = max([NAME_WIDTH_MIN, *(max(len(row.name), len(row.policy)) for row in rows)])
    name = min(longest, NAME_WIDTH_MAX, free)
    return [name, *counts, *figures] if name >= NAME_WIDTH_MIN else None


def _total(widths: Sequence[int]) -> int:
    return sum(widths) + GAP * (len(widths) - 1)


def _lines(row: _Row, widths: Sequence[int]) -> Iterator[Text]:
    name, policy = Text(row.name, style="bold"), Text(row.policy, style="dim")
    if name.cell_len > widths[0]:
        yield name
        name = Text()
    yield _line([name, *row.counts, *row.figures], widths)
    at = 1 + len(COUNTS)
    below, room = row.below[0], _total(widths[: at + 1]) - row.below[0].cell_len
    if policy.cell_len >= room:
        yield policy
        policy = Text()
    second = _line([policy, below, *row.below[1:]], [room - GAP, below.cell_len, *widths[at + 1 :]])
    if second.plain:
        yield second


def _line(cells: Sequence[Text], widths: Sequence[int]) -> Text:
    """The first cell to the left, all others to the right."""
    line = Text()
    for at, (cell, width) in enumerate(zip(cells, widths, strict=True)):
        space = " " * (width - cell.cell_len)
        line = line + cell + space if at == 0 else line + (" " * GAP) + space + cell
    line.rstrip()
    return line


def _sentence(row: _Row) -> Text:
    """All figures one after another, for a terminal without room for columns."""
    named = zip(HEADERS[1:], (*row.counts, *row.figures), strict=True)
    below = (*(Text() for _ in COUNTS), *row.below)
    return Text(", ").join(
        Text.assemble(f"{name} ", figure, f" ({more.plain})" if more.plain else "")
        for (name, figure), more in zip(named, below, strict=True)
    )


def _indented(text: Text, console: Console, width: int) -> Iterator[Text]:
    for line in text.wrap(console, max(width - INDENT, 1)):
        line.rstrip()
        yield Text(" " * INDENT) + line
