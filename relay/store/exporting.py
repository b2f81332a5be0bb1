"""A store's tables as files for other tools: CSV, JSON lines, Parquet.

Belongs here: reading tables in pieces, writing files. Does not belong here: reports (`relay.reporting`).

Decimals stay decimal: text in CSV and JSON, DECIMAL(38, 12) in Parquet, which holds every number of the wire.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from relay.errors import Failed
from relay.store.database import Database, Row

__all__ = ["DECIMAL", "EXPORT_FORMATS", "EXPORT_TABLES", "WORK_TABLES", "export_tables", "write_parquet"]

EXPORT_FORMATS = ("csv", "json", "parquet")
PIECE_ROWS = 20_000
DECIMAL = "DECIMAL(38, 12)"
# table: columns that order it; everything of it is exported
EXPORT_TABLES = {
    "feed_heads": ("leader_id",),
    "signals": ("leader_id", "epoch", "seq"),
    "copies": ("follower_id", "leader_id", "epoch", "seq"),
    "orders": ("follower_id", "leader_id", "epoch", "seq", "client_order_id"),
    "fills": ("follower_id", "leader_id", "epoch", "seq", "client_order_id", "fill_id"),
    "statuses": ("follower_id", "leader_id", "sent_ms"),
    "presence": ("follower_id", "leader_id"),
    "market_samples": ("symbol", "wall_ms"),
    "venue_facts": ("kind", "name", "wall_ms"),
    "alarms": ("rule", "subject", "since_ms"),
    "refused": ("digest",),
    "refused_sums": ("reason",),
    "arrivals": ("kind", "leader_id", "follower_id"),
    "counted": ("leader_id", "from_ms", "span_ms", "symbol"),
    "tallies": ("leader_id", "from_ms", "span_ms", "follower_id", "symbol"),
    "tracked": ("follower_id", "leader_id", "hour_ms"),
    "kept": ("since_ms",),
}
# what the monitor has still to do; it says nothing of what happened
WORK_TABLES = ("schema_versions", "waiting", "uncounted", "untracked", "tracked_tens")
_KINDS = {"bigint": "BIGINT", "boolean": "BOOLEAN", "text": "VARCHAR"}
_EXACT = r"|-?[0-9]{1,26}(\.[0-9]{1,12}0*)?"
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
    columns = database.columns(table)
    flags = [name for name, kind in columns.items() if kind == "boolean"]
    file = folder / (f".{table}.json" if form == "parquet" else f"{table}.{form}")
    count = 0
    try:
        with file.open("w", encoding="utf-8", newline="") as out:
            writer = csv.DictWriter(out, list(columns), lineterminator="\n")
            if form == "csv":
                writer.writeheader()
            for piece in _pieces(database, table, key):
                rows = [_row(row, columns, flags) for row in piece]
                if form == "csv":
                    writer.writerows(rows)
                else:
                    out.writelines(json.dumps(row) + "\n" for row in rows)
                count += len(rows)
        if form == "parquet":
            _parquet(table, file, folder / f"{table}.parquet", columns)
    finally:
        if form == "parquet":
            file.unlink(missing_ok=True)
    return f"{table}.{form}", count


def _row(row: Row, columns: Iterable[str], flags: Iterable[str]) -> dict[str, Any]:
    """A row's values by name; what is true or not is 1 or 0, as SQLite has it, on PostgreSQL too."""
    return {name: row[name] for name in columns} | {name: int(row[name]) for name in flags}


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


def _parquet(table: str, file: Path, target: Path, columns: dict[str, str]) -> None:
    """JSON lines as Parquet: they tell an empty text from none, and no guess is made about what is in them.

    Raises `Failed` for a number that the file could not hold to its last digit.
    """
    database = _duckdb()
    with database.connect() as opened:
        opened.read_json(
            str(file), columns=dict.fromkeys(columns, "VARCHAR"), format="newline_delimited"
        ).create("t")
        for name in columns:
            if name in _DECIMALS:
                wrong = f"SELECT {name} FROM t WHERE NOT regexp_full_match({name}, '{_EXACT}')"
                if found := opened.execute(wrong).fetchone():
                    raise Failed(f"{table}.{name} {found[0]}: is no {DECIMAL}; CSV and JSON hold it as it is")
        chosen = (_as_kind(name, kind) for name, kind in columns.items())
        opened.sql(f"SELECT {', '.join(chosen)} FROM t").write_parquet(str(target), compression="zstd")


def _as_kind(name: str, kind: str) -> str:
    """A column of the text that JSON lines have, as what it is; an empty number is none."""
    if name in _DECIMALS:
        return f"CAST(NULLIF({name}, '') AS {DECIMAL}) AS {name}"
    return f"CAST({name} AS {_KINDS[kind]}) AS {name}"


def write_parquet(csv_file: Path, target: Path, kind_of: Callable[[str], str]) -> None:
    """A CSV file with a header as Parquet; `kind_of` says which SQL type a column has. Raises `Failed`."""
    with _duckdb().connect() as database:
        read = database.read_csv(str(csv_file), header=True, all_varchar=True)
        names = [column[0] for column in read.description]
        chosen = ", ".join(f'CAST("{name}" AS {kind_of(name)}) AS "{name}"' for name in names)
        read.query("t", f"SELECT {chosen} FROM t").write_parquet(str(target), compression="zstd")


def _duckdb() -> Any:
    try:
        import duckdb
    except ImportError:
        raise Failed("Parquet needs duckdb: pip install 'slipstream[parquet]'") from None
    return duckdb
