"""Writing a report's files so that a reader sees the old one or the new one, never half of one.

Belongs here: atomic writes, the JSON and CSV forms. Does not belong here: the figures (`relay.core.report`).
"""

from __future__ import annotations

import csv
import io
import os
import tempfile
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson

from relay.core.drift import PARTS, decimal_text
from relay.core.report import BPS_PLACES
from relay.core.verdicts import Judged, ReportRows, judge
from relay.reporting.findings import printable
from relay.store import DECIMAL, write_parquet

__all__ = ["CSV_COLUMNS", "csv_text", "json_text", "parquet_file", "write_atomically", "write_json"]

PRICE_PLACES = 8
CSV_COLUMNS = (
    *("time", "leader", "follower", "signal_id", "symbol", "side", "verdict", "reason", "detail"),
    *("leader_price", "arrival_mid", "fill_price", "qty", "fees", "slippage_bps"),
    *(f"{part}_bps" for part in PARTS),
    *("latency_ms", "leverage_after", "leverage_cap", "client_order_ids"),
)
_NUMBERS = ("leader_price", "arrival_mid", "fill_price", "qty", "fees", "leverage_after", "leverage_cap")
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


def write_atomically(path: Path, text: str) -> None:
    """Replace `path` by `text` in one step; on failure the old file stays and nothing is left behind."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    temporary = Path(name)
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(0o644)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def json_text(report: Mapping[str, Any]) -> str:
    """The report document, indented, keys in the order of the document."""
    return orjson.dumps(report, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE).decode()


def write_json(report: Mapping[str, Any], path: Path) -> None:
    """Write `report.json`."""
    write_atomically(path, json_text(report))


def csv_text(pieces: Iterable[ReportRows]) -> str:
    """One line per follower and signal, for a spreadsheet: verdict, prices, parts, ids."""
    out = io.StringIO()
    writer = csv.DictWriter(out, CSV_COLUMNS, lineterminator="\n")
    writer.writeheader()
    for rows in pieces:
        for items in judge(rows).values():
            writer.writerows(_csv_row(item) for item in items)
    return out.getvalue()


def parquet_file(pieces: Iterable[ReportRows], target: Path) -> None:
    """The same lines as Parquet, with decimals, times and counts as such. Raises `Failed`, `OSError`."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}.") as folder:
        table, made = Path(folder) / "report.csv", Path(folder) / "report.parquet"
        table.write_text(csv_text(pieces), encoding="utf-8")
        write_parquet(table, made, _kind)
        made.replace(target)


def _kind(column: str) -> str:
    if column == "time":
        return "TIMESTAMPTZ"
    if column == "latency_ms":
        return "BIGINT"
    return DECIMAL if column in _NUMBERS or column.endswith("_bps") else "VARCHAR"


def _csv_row(item: Judged) -> dict[str, Any]:
    signal, copy, drift = item.published.signal, item.copy, item.drift
    row: dict[str, Any] = {
        "time": _utc(signal.leader_exec_ms),
        "leader": item.published.leader_id,
        "follower": item.follower_id,
        "signal_id": signal.signal_id,
        "symbol": signal.symbol,
        "side": signal.side,
        "verdict": item.verdict,
        "reason": _plain(item.reason),
        "leader_price": signal.price,
    }
    if copy is not None:
        row |= {
            "detail": _plain(copy.detail),
            "side": copy.side,
            "arrival_mid": copy.received_mid,
            "leverage_after": copy.leverage_after,
            "leverage_cap": copy.leverage_cap,
            "client_order_ids": " ".join(_plain(order.client_order_id) for order in copy.orders),
        }
    if drift is not None:
        parts = drift.known_parts_bps.items()
        row |= {
            "fill_price": decimal_text(drift.fill_price, PRICE_PLACES),
            "qty": decimal_text(drift.filled_qty, PRICE_PLACES),
            "fees": decimal_text(drift.fees, PRICE_PLACES),
            "slippage_bps": decimal_text(drift.slippage.total_bps, BPS_PLACES),
            **{f"{name}_bps": decimal_text(part, BPS_PLACES) for name, part in parts if part is not None},
            "latency_ms": drift.latency_ms,
        }
    return row


def _plain(text: str) -> str:
    """Text that somebody else wrote, as a cell: no formula for a spreadsheet, no order for a terminal."""
    return printable(f"'{text}" if text.startswith(_FORMULA_STARTS) else text)


def _utc(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
