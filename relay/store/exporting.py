"""A store's tables as files for other tools: CSV, JSON lines, Parquet.

Belongs here: reading tables in pieces, writing files. Does not belong here: reports (`relay.reporting`).

Decimals stay decimal: text in CSV and JSON, DECIMAL(38, 12) in Parquet, which holds every number of the wire.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, cast

from relay.errors import Failed
from relay.store.database import Database, Row

__all__ = ["DECIMAL", "EXPORT_FORMATS", "EXPORT_TABLES", "export_tables", "write_parquet"]

EXPORT_FORMATS = ("csv", "json", "parquet")
PIECE_ROWS = 20_000
DECIMAL = "DECIMAL(38, 12)"
# table: columns that order it; everything of it is exported
EXPORT_TABLES = {
    "signals": ("leader_id", "epoch", "seq"),
    "copies": ("follower_id", "leader_id", "epoch", "seq"),
    "orders": ("follower_id", "leader_id", "epoch", "seq", "client_order_id"),
    "fills": ("follower_id", "leader_id", "epoch", "seq", "client_order_id", "fill_id"),
    "statuses": ("follower_id", "leader_id", "sent_ms"),
    "alarms": ("rule", "subject", "since_ms"),
    "refused": ("digest",),
}
_DECIMALS = frozenset(
    (
        *("qty", "price", "fee", "position_qty", "entry_price", "exposure", "leverage", "take_profit"),
        *("stop_loss", "equity", "account_leverage", "mark_price", "index_price", "last_price", "bid_price"),
        *("ask_price", "target_qty", "order_qty", "wanted_qty", "leverage_after", "leverage_cap"),
        *("received_mid", "released_mid", "submitted_mid", "accepted_mid", "received_mark", "received_last"),
        *("target_exposure", "actual_exposure", "exposure_gap", "leverage_peak", "funding_paid"),
        *("interest_paid", "depth_usdt", "open_interest", "venue_mid", "executed_mark", "executed_last"),
    )
)


def export_tables(database: Database, folder: Path, form: str) -> list[tuple[str, int]]:
    """Write every table into a folder; returns (file name, rows). Raises `Failed`, `StoreError`."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with database.view():
            return [_export(database, table, key, folder, form) for table, key in EXPORT_TABLES.items()]
    except OSError as error:
        raise Failed(f"{folder}: {error.strerror}") from None


def _export(database: Database, table: str, key: tuple[str, ...], folder: Path, form: str) -> tuple[str, int]:
    file = folder / (f".{table}.csv" if form == "parquet" else f"{table}.{form}")
    count = 0
    with file.open("w", encoding="utf-8", newline="") as out:
        writer = csv.writer(out, lineterminator="\n")
        for piece in _pieces(database, table, key):
            if form == "json":
                out.writelines(json.dumps(dict(row)) + "\n" for row in piece)
            else:
                if count == 0 and piece:
                    writer.writerow(piece[0].keys())
                # a row of either database gives its values when it is gone through, not its names
                writer.writerows(map(_values, cast("Sequence[Iterable[Any]]", piece)))
            count += len(piece)
    if form == "parquet":
        return _parquet(file, folder / f"{table}.parquet", count)
    return file.name, count


def _values(row: Iterable[Any]) -> list[Any]:
    """A row's values; PostgreSQL has truth values where SQLite has 0 and 1."""
    return [int(value) if isinstance(value, bool) else value for value in row]


def _pieces(database: Database, table: str, key: tuple[str, ...]) -> Iterator[Sequence[Row]]:
    """All rows by their key, a piece at a time."""
    names, marks = ", ".join(key), ", ".join("?" * len(key))
    last: tuple[object, ...] | None = None
    while True:
        where = f"WHERE ({names}) > ({marks})" if last is not None else ""
        piece = database.rows(
            f"SELECT * FROM {table} {where} ORDER BY {names} LIMIT {PIECE_ROWS}", last or ()
        )
        yield piece
        if len(piece) < PIECE_ROWS:
            return
        last = tuple(piece[-1][name] for name in key)


def _parquet(file: Path, target: Path, count: int) -> tuple[str, int]:
    """The CSV as Parquet; the CSV goes."""
    try:
        if count:
            write_parquet(file, target, _kind)
            return target.name, count
        return f"{target.name} (empty, not written)", 0
    finally:
        file.unlink()


def write_parquet(csv_file: Path, target: Path, kind_of: Callable[[str], str]) -> None:
    """A CSV file with a header as Parquet; `kind_of` says which SQL type a column has. Raises `Failed`."""
    try:
        import duckdb
    except ImportError:
        raise Failed("Parquet needs duckdb: pip install 'slipstream[parquet]'") from None
    with duckdb.connect() as database:
        read = database.read_csv(str(csv_file), header=True, all_varchar=True)
        names = [column[0] for column in read.description]
        chosen = ", ".join(f'CAST("{name}" AS {kind_of(name)}) AS "{name}"' for name in names)
        read.query("t", f"SELECT {chosen} FROM t").write_parquet(str(target), compression="zstd")


def _kind(name: str) -> str:
    if name in _DECIMALS:
        kind = DECIMAL
    elif name.endswith("_ms") or name in ("epoch", "seq", "place", "head_seq", "unknown_orders", "waves"):
        kind = "BIGINT"
    elif name in ("paper", "is_exit", "reduce_only", "is_maker"):
        kind = "BOOLEAN"
    else:
        kind = "VARCHAR"
    return kind
