"""`relay import fills`: recorded fills of leaders and of those who copied them, into a drift store.

Belongs here: reading the file, writing the store, what is told. Does not belong here: what copies what
(`relay.core.imported`).
"""

from __future__ import annotations

import csv
import gzip
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from relay.core.drift import quantile
from relay.core.imported import COLUMNS, Imported, RecordedFill, import_fills, read_fill
from relay.errors import Failed
from relay.store import BATCH_ITEMS_MAX, DriftStore, FeedEntry, FeedHead, StoreItem, StorePlace

__all__ = ["import_file", "told"]

ROWS_MAX = 5_000_000


def import_file(file: Path, place: StorePlace, window_ms: int) -> Imported:
    """Read a CSV file (`.gz` too) and write what it says into a store. Raises `Failed` with the line."""
    imported = import_fills(_rows(file), window_ms)
    items: list[StoreItem] = [
        FeedEntry(FeedHead(p.leader_id, p.epoch, p.seq, "0" * 64), p.signal) for p in imported.signals
    ]
    items += imported.copies
    with DriftStore.open(place) as store:
        for at in range(0, len(items), BATCH_ITEMS_MAX):
            store.write(items[at : at + BATCH_ITEMS_MAX])
    return imported


def told(imported: Imported) -> str:
    """What was found, in a few lines."""
    delays = imported.delays_ms
    copies = f"{len(imported.copies)} copies of {imported.follower_fills} fills"
    lines = [f"{len(imported.signals)} signals, {copies}"]
    lines.append(f"{len(delays)} of {imported.follower_fills} fills follow one of their leader's")
    if delays:
        low, middle, high = (quantile(delays, percent) / 1000 for percent in (25, 50, 75))
        lines.append(f"delay: median {middle:.2f} s, quartiles {low:.2f} s and {high:.2f} s")
    if imported.beyond_window:
        lines.append(f"{imported.beyond_window} came later than the match window and are left out")
    return "\n".join(lines)


def _rows(file: Path) -> Iterator[RecordedFill]:
    try:
        with _opened(file) as text:
            reader = csv.DictReader(text)
            missing = [name for name in COLUMNS if name not in (reader.fieldnames or ())]
            if missing:
                raise Failed(f"{file}: columns missing: {', '.join(missing)}")
            for row in reader:
                if reader.line_num > ROWS_MAX:
                    raise Failed(f"{file}: more than {ROWS_MAX} rows")
                try:
                    yield read_fill(row)
                except (ValueError, KeyError, ArithmeticError, TypeError) as error:
                    raise Failed(f"{file}: line {reader.line_num}: {error or 'not a number'}") from None
    except (OSError, UnicodeDecodeError, EOFError, csv.Error) as error:
        raise Failed(f"{file}: {error}") from None


def _opened(file: Path) -> IO[str]:
    if file.suffix == ".gz":
        return gzip.open(file, "rt", encoding="utf-8", newline="")
    return file.open(encoding="utf-8", newline="")
