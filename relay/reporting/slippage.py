"""`relay report slippage`: the report from the store, in the form that was asked for.

Belongs here: the command's arguments, where its output goes, its exit status.
Does not belong here: figures (`relay.core.report`), how a form looks (`table`, `files`, `html`).
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from relay.core.report import ReportRows, anomalies, cap_violations
from relay.core.report import build_report as fold
from relay.reporting.detail import PriceRow, build_detail
from relay.reporting.files import csv_text, json_text, write_atomically
from relay.reporting.html import page
from relay.reporting.table import render_table
from relay.store import DriftStore, RowFilter, StoreError

__all__ = ["FORMATS", "build_report", "read_rows", "slippage"]

FORMATS = ("table", "json", "csv", "html")
EXIT_DONE, EXIT_FAILED, EXIT_USAGE = 0, 1, 2
TABLE_WIDTH_MIN = 100
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_AGO = re.compile(r"(\d{1,6})([smhdw])")


def build_report(store_path: Path, venue: Mapping[str, Any], run: Mapping[str, Any]) -> dict[str, Any]:
    """The report document over everything in the store (`relay.core.report.build_report`)."""
    return fold(read_rows(store_path), venue, run)


def read_rows(store_path: Path, where: RowFilter | None = None) -> ReportRows:
    """What a report is folded from. Raises `StoreError`."""
    with DriftStore.open_for_reading(store_path) as store:
        return store.read_rows(where)


def slippage(
    *,
    store: Path,
    since: str | None = None,
    leader: str | None = None,
    follower: str | None = None,
    symbol: str | None = None,
    format: str = "table",
    output: Path | None = None,
) -> int:
    """Print or write the report; returns the exit status.

    Args:
        since: `7d`, `12h`, `30m`, or a time such as 2026-05-01 or 2026-05-01T12:00 (UTC).
        symbol: as ccxt spells it, `BTC/USDT:USDT`.
        output: a file; without it the report goes to standard output.
    """
    if format not in FORMATS:
        return _complain(f"--format: was {format!r}, allowed: {', '.join(FORMATS)}", EXIT_USAGE)
    try:
        since_ms = _since_ms(since, datetime.now(UTC))
    except ValueError:
        return _complain(f"--since: was {since!r}, allowed: 7d, 12h, 30m or 2026-05-01T12:00", EXIT_USAGE)
    try:
        rows = read_rows(store, RowFilter(since_ms, leader, follower, symbol))
        text = _formatted(format, rows, store)
        if output is not None:
            write_atomically(output, text)
        else:
            sys.stdout.write(text)
    except (StoreError, OSError) as error:
        return _complain(str(error), EXIT_FAILED)
    for line in _warnings(rows):
        _complain(line, EXIT_DONE)
    return EXIT_DONE


def _formatted(name: str, rows: ReportRows, store: Path) -> str:
    if name == "csv":
        return csv_text(rows)
    report = fold(rows, {}, {"version": _version()})
    if name == "json":
        return json_text(report)
    if name == "html":
        return page(report, build_detail(rows, prices=_prices(rows, store)))
    return _table_text(report)


def _table_text(report: Mapping[str, Any]) -> str:
    from rich.console import Console

    console = Console(file=sys.stdout)
    with console.capture() as capture:
        console.print(render_table(report), width=max(console.width, TABLE_WIDTH_MIN))
    return capture.get()


def _prices(rows: ReportRows, store: Path) -> dict[str, list[PriceRow]]:
    times = [published.signal.sealed_ms for published in rows.signals]
    symbols = sorted({published.signal.symbol for published in rows.signals})
    with DriftStore.open_for_reading(store) as opened:
        return {
            symbol: [
                (sample.wall_ms, sample.market_ms, sample.index, sample.mark, sample.last)
                for sample in opened.read_samples(symbol, min(times), max(times))
            ]
            for symbol in symbols
        }


def _since_ms(since: str | None, now: datetime) -> int:
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


def _warnings(rows: ReportRows) -> list[str]:
    found = anomalies(rows)
    lines = list(cap_violations(rows))
    if found.unknown_signals:
        lines.append(f"{found.unknown_signals} verdicts on unknown signals were left out")
    if found.impossible_prices:
        lines.append(f"{found.impossible_prices} fills at impossible prices were left out")
    return lines + [
        f"{count} reports were refused: {reason}" for reason, count in sorted(found.refused.items())
    ]


def _complain(line: str, status: int) -> int:
    sys.stderr.write(f"report: {line}\n")
    return status


def _version() -> str:
    try:
        return version("slipstream")
    except PackageNotFoundError:
        return "unknown"
