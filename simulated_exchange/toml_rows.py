"""Tables of a configuration file to rows of the genesis text, every problem with its key.

Belongs here: what a key may hold (text, decimals, whole numbers, switches, times) and how a mistake is told.
Does not belong here: which keys there are (`instrument_files`, `pools`), whether the figures make sense (the
engine's).
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Callable, Collection, Mapping
from datetime import datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from simulated_exchange.errors import ConfigurationError

__all__ = [
    "Check",
    "at_most_decimals",
    "nearest",
    "one_of",
    "read_table",
    "read_toml",
    "switch",
    "tables",
    "text",
    "utc_ms",
    "whole",
]

Check = Callable[[Any], Any]
"""From a value of the file to the value of the row. Raises ValueError that says what is allowed."""


class _RowsError(ValueError):
    """Mistakes within a list of tables, each with its place."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__(*problems)
        self.problems = problems


def read_toml(file: Path) -> dict[str, Any]:
    """A file's tables, numbers as decimals. Raises ConfigurationError with one line."""
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"), parse_float=Decimal)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigurationError([f"{file}: {error}"]) from error


def read_table(
    table: Any, required: Mapping[str, Check], optional: Mapping[str, Check], path: str = ""
) -> tuple[dict[str, Any], list[str]]:
    """What a table holds as a row, and what is wrong with it, a line per key, `path` before the key."""
    if not isinstance(table, dict):
        return {}, [f"{path.rstrip('.')}: must be a table"]
    row: dict[str, Any] = {}
    known = {**required, **optional}
    problems = [f"{path}{key}: is missing" for key in required if key not in table]
    for key, value in table.items():
        if key not in known:
            problems.append(f"{path}{key}: is not a known key{nearest(key, known)}")
            continue
        try:
            row[key] = known[key](value)
        except _RowsError as error:
            problems += [f"{path}{key}{problem}" for problem in error.problems]
        except ValueError as error:
            problems.append(f"{path}{key}: was {_shown(value)}, must be {error}")
    return row, problems


def nearest(key: str, known: Collection[str]) -> str:
    """A hint at what was meant."""
    close = difflib.get_close_matches(key, known, n=1, cutoff=0.6)
    return f"; nearest: {close[0]}" if close else ""


def text(value: Any) -> str:
    """Some text."""
    if not isinstance(value, str) or not value:
        raise ValueError("text")
    return value


def switch(value: Any) -> bool:
    """True or false."""
    if not isinstance(value, bool):
        raise ValueError("true or false")
    return value


def whole(value: Any) -> int:
    """A whole number."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise ValueError("a whole number")
    return value


def utc_ms(value: Any) -> int:
    """A time with its zone, as milliseconds since 1970."""
    if not isinstance(value, datetime) or value.tzinfo is None:
        raise ValueError("a time with its zone, such as 2027-06-25T08:00:00Z")
    return round(value.timestamp() * 1000)


def one_of(words: Collection[str]) -> Check:
    """One of these words."""

    def check(value: Any) -> str:
        if value not in words:
            raise ValueError(f"one of {', '.join(words)}")
        return str(value)

    return check


def at_most_decimals(places: int) -> Check:
    """A decimal number with no more places than that, as text."""

    def check(value: Any) -> str:
        try:
            number = Decimal(str(value)) if not isinstance(value, bool) else Decimal("NaN")
            is_right = number.is_finite() and number == round(number, places)
        except InvalidOperation:  # no number, or one of more digits than can be rounded
            is_right = False
        if not is_right:
            raise ValueError(f"a decimal number with at most {places} decimals")
        return f"{number:f}"

    return check


def tables(required: Mapping[str, Check], optional: Mapping[str, Check]) -> Check:
    """A list of tables, one or more."""

    def check(value: Any) -> list[dict[str, Any]]:
        if not isinstance(value, list) or not value:
            raise ValueError("a list of one table or more")
        read = [read_table(entry, required, optional, f"[{at}].") for at, entry in enumerate(value)]
        problems = [problem for _, found in read for problem in found]
        if problems:
            raise _RowsError(problems)
        return [row for row, _ in read]

    return check


def _shown(value: Any) -> str:
    if isinstance(value, dict | list):
        return "a table" if isinstance(value, dict) else "a list"
    shown = str(value)
    return repr(shown) if isinstance(value, str) else shown.lower() if isinstance(value, bool) else shown
