"""Rows of figures: their one shape, the table on the terminal, the file for machines.

Belongs here: ratio, wording, layout. Does not belong here: measuring (one module for each thing measured).

A ratio is always ours / baseline. Where more is better (a unit that ends in `/s`) a target is its lower
bound, elsewhere its upper one.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from rich.console import Console, Group
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

__all__ = ["KEYS", "WIDTH", "Row", "compared", "is_more_better", "print_rows", "reported", "write_rows"]

WIDTH = 100
KEYS = ("name", "unit", "ours", "baseline", "baseline_name", "ratio", "target")
NOTHING = "–"

Row: TypeAlias = dict[str, Any]
"""The keys of KEYS, and with `notes` the sentences that stand under the table only."""


def is_more_better(unit: str) -> bool:
    """Whether this unit counts something done per second (else it is a time that something takes)."""
    return unit.endswith("/s")


def compared(
    name: str, unit: str, ours: float, baseline: float, baseline_name: str, notes: Sequence[str] = ()
) -> Row:
    """A row with its ratio. Raises `ValueError` for figures that cannot be compared."""
    if not ours > 0 or not baseline > 0:
        raise ValueError(f"{name}: figures must be above zero, were {ours} and {baseline}")
    return {
        "name": name,
        "unit": unit,
        "ours": round(ours, 3),
        "baseline": round(baseline, 3),
        "baseline_name": baseline_name,
        "ratio": round(ours / baseline, 3),
        "target": None,
        "notes": list(notes),
    }


def reported(name: str, unit: str, ours: float, notes: Sequence[str] = ()) -> Row:
    """A row that has nothing to stand beside."""
    return dict.fromkeys(KEYS) | {"name": name, "unit": unit, "ours": round(ours, 3), "notes": list(notes)}


def write_rows(rows: Iterable[Row], path: Path) -> None:
    """Write the rows as JSON, one line each."""
    lines = [json.dumps({key: row[key] for key in KEYS}) for row in rows]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("[\n" + ",\n".join(f"  {line}" for line in lines) + "\n]\n", encoding="utf-8")


def print_rows(rows: Sequence[Row], remarks: Sequence[str], console: Console | None = None) -> None:
    """The table, then what must be known to read it: the remarks, and each row's notes."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("name", no_wrap=True)
    table.add_column("unit", no_wrap=True)
    for heading in ("ours", "baseline", "ratio", "target"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("baseline is", overflow="fold")
    for row in rows:
        figures = [_figure(row[key]) for key in ("ours", "baseline")]
        table.add_row(
            row["name"], row["unit"], *figures, _ratio(row), _target(row), row["baseline_name"] or NOTHING
        )
    notes = [Text(remark) for remark in remarks]
    notes += [Text(f"{row['name']}: {note}") for row in rows for note in row.get("notes", ())]
    hanging = [Padding(note, (0, 0, 0, 2)) for note in notes]
    (console or Console(width=WIDTH)).print(Group(table, Text(), *hanging))


def _figure(value: float | None) -> str:
    if value is None:
        return NOTHING
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"


def _ratio(row: Row) -> str:
    if row["ratio"] is None:
        return NOTHING
    return f"{row['ratio']:.2f} {'↑' if is_more_better(row['unit']) else '↓'}"


def _target(row: Row) -> str:
    if row["target"] is None:
        return NOTHING
    return f"{'≥' if is_more_better(row['unit']) else '≤'} {row['target']:g}"
