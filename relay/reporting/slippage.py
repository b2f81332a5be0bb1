"""`relay report slippage`: the report from the store, in the form that was asked for.

Belongs here: the command's arguments, where its output goes, its exit status.
Does not belong here: figures (`relay.core.report`), how a form looks (`table`, `files`, `html`).
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from relay.core.report import Figures, left_out
from relay.core.report import build_report as fold
from relay.core.verdicts import ReportRows
from relay.errors import Failed
from relay.reporting.detail import PriceRow, build_detail, plain_symbol
from relay.reporting.files import csv_text, json_text, parquet_file, write_atomically
from relay.reporting.findings import arrival_words, left_out_lines, printable
from relay.reporting.html import page
from relay.reporting.table import render_table
from relay.store import DriftStore, RowFilter, StorePlace

__all__ = ["FORMATS", "build_report", "moment_ms", "slippage"]

FORMATS = ("table", "json", "csv", "html", "parquet")
BY_SIGNAL = ("csv", "html", "parquet")  # made from rows, which may be gone where sums are not
EXIT_DONE, EXIT_FAILED, EXIT_USAGE = 0, 1, 2
PIPE_WIDTH_MIN = 100
NAMES_SHOWN_MAX = 20
VERDICTS_DRAWN_MAX = 20_000  # the latest; the figures count all of them
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_AGO = re.compile(r"(\d{1,6})([smhdw])")


def build_report(place: StorePlace, venue: Mapping[str, Any], run: Mapping[str, Any]) -> dict[str, Any]:
    """The report document over everything in the store (`relay.core.report.build_report`)."""
    with DriftStore.open_for_reading(place) as store:
        return fold(store.figures(in_steps=True), venue, run)


def slippage(
    *,
    store: StorePlace,
    since: str | None = None,
    leader: str | None = None,
    follower: str | None = None,
    symbol: str | None = None,
    format: str = "table",
    output: Path | None = None,
) -> int:
    """Print or write the report; returns the exit status.

    Args:
        store: a SQLite file, or the URL of a PostgreSQL database.
        since: `7d`, `12h`, `30m`, or a time such as 2026-05-01 or 2026-05-01T12:00 (UTC).
        symbol: as ccxt spells it, `BTC/USDT:USDT`, or as the venue does, `BTCUSDT`.
        output: a file; without it the report goes to standard output.
    """
    if format not in FORMATS:
        return _complain(f"--format: was {format!r}, allowed: {', '.join(FORMATS)}", EXIT_USAGE)
    if format == "parquet" and output is None:
        return _complain("--format parquet: needs --output FILE", EXIT_USAGE)
    try:
        since_ms = moment_ms(since, datetime.now(UTC))
    except ValueError:
        return _complain(f"--since: was {since!r}, allowed: 7d, 12h, 30m or 2026-05-01T12:00", EXIT_USAGE)
    try:
        with DriftStore.open_for_reading(store) as opened:
            where = RowFilter(since_ms, leader, follower, _spelt(symbol, opened))
            figures = opened.figures(where, in_steps=True)
            unmatched = _unmatched(figures, where, opened)
            if unmatched:
                return _complain(unmatched, EXIT_FAILED)
            if format in BY_SIGNAL and where.since_ms < opened.kept_since_ms:
                told = datetime.fromtimestamp(opened.kept_since_ms / 1000, UTC)
                _complain(f"signal by signal it begins {told:%Y-%m-%d}: earlier rows are gone", EXIT_DONE)
            _write(format, figures, where, opened, output)
    except (Failed, OSError) as error:
        return _complain(str(error), EXIT_FAILED)
    for line in _warnings(figures):
        _complain(line, EXIT_DONE)
    return EXIT_DONE


def _write(name: str, figures: Figures, where: RowFilter, store: DriftStore, output: Path | None) -> None:
    if name == "parquet":
        assert output is not None, "asked for above"
        parquet_file(store.read_hours(where), output)
        return
    text = _formatted(name, figures, where, store)
    if output is not None:
        write_atomically(output, text)
    else:
        sys.stdout.write(text)


def _spelt(symbol: str | None, store: DriftStore) -> str | None:
    """The symbol as the store spells it, or as it was given when the store has none like it."""
    if symbol is None or "/" in symbol:
        return symbol
    known = store.names()["symbol"]
    return next((name for name in known if plain_symbol(name) == symbol.upper()), symbol)


def _unmatched(figures: Figures, where: RowFilter, store: DriftStore) -> str:
    """Why this filter shows nothing, with the names it could have; empty where it shows something."""
    asked = {"leader": where.leader_id, "follower": where.follower_id, "symbol": where.symbol}
    asked = {option: name for option, name in asked.items() if name is not None}
    if not asked or (figures.leaders and (figures.followers or "follower" not in asked)):
        return ""
    known = store.names()
    for option, name in asked.items():
        if name not in known[option]:
            return f"--{option}: was {name!r}, known: {_listed(known[option])}"
    if where.since_ms:
        return ""  # every name is right; a quiet stretch is an answer
    wanted = " ".join(f"--{option} {name}" for option, name in asked.items())
    return f"nothing matches {wanted}; known " + "; ".join(
        f"{option}s: {_listed(names)}" for option, names in known.items()
    )


def _listed(names: Sequence[str]) -> str:
    more = len(names) - NAMES_SHOWN_MAX
    return (", ".join(names[:NAMES_SHOWN_MAX]) + (f" and {more} more" if more > 0 else "")) or "none"


def _formatted(name: str, figures: Figures, where: RowFilter, store: DriftStore) -> str:
    if name == "csv":
        return csv_text(store.read_hours(where))
    report = fold(figures, {}, {"version": _version()})
    if name == "json":
        return json_text(report)
    if name == "html":
        drawn = max(1, VERDICTS_DRAWN_MAX // max(1, len(figures.followers)))
        rows = store.read_rows(where, signals_max=drawn)
        return page(report, build_detail(rows, figures, prices=_prices(rows, store)))
    return _table_text(report)


def _table_text(report: Mapping[str, Any]) -> str:
    from rich.console import Console

    width = Console(file=sys.stdout).width
    console = Console(file=sys.stdout, width=width if sys.stdout.isatty() else max(width, PIPE_WIDTH_MIN))
    with console.capture() as capture:
        console.print(render_table(report))
    return capture.get()


def _prices(rows: ReportRows, store: DriftStore) -> dict[str, list[PriceRow]]:
    times = [published.signal.sealed_ms for published in rows.signals]
    symbols = sorted({published.signal.symbol for published in rows.signals})
    return {
        symbol: [
            (sample.wall_ms, sample.market_ms, sample.index, sample.mark, sample.last)
            for sample in store.read_samples(symbol, min(times), max(times))
        ]
        for symbol in symbols
    }


def moment_ms(since: str | None, now: datetime) -> int:
    """Unix milliseconds of an age or a time. Raises `ValueError`."""
    if since is None:
        return 0
    ago = _AGO.fullmatch(since)
    if ago is not None:
        at = now - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
    else:
        at = datetime.fromisoformat(since)
        at = at if at.tzinfo is not None else at.replace(tzinfo=UTC)
    return int(at.timestamp() * 1000)


def _warnings(figures: Figures) -> list[str]:
    lines = [] if figures.leaders else ["no signal is in the store for this time"]
    found = left_out(figures.anomalies)
    lines += [*figures.cap_violations, *(f"left out: {line}" for line in left_out_lines(found))]
    came = arrival_words(found)
    return [*lines, f"reports came {came}: every figure is as if they had not"] if came else lines


def _complain(line: str, status: int) -> int:
    sys.stderr.write(f"report: {printable(line)}\n")
    return status


def _version() -> str:
    try:
        return version("slipstream")
    except PackageNotFoundError:
        return "unknown"
