"""The drift store: what leaders published and what became of it at every follower.

Belongs here: schema, writing, reading.
Does not belong here: figures (`relay.core`), the bus (`relay.monitor`).
"""

from relay.store.database import StoreError
from relay.store.drift_store import DriftStore, StorePlace, store_place
from relay.store.exporting import DECIMAL, EXPORT_FORMATS, write_parquet
from relay.store.reading import RowFilter
from relay.store.rows import (
    AlarmRecord,
    CopyRows,
    FeedEntry,
    FeedHead,
    MarketSample,
    RefusedReport,
    StoreItem,
    VenueFact,
    Word,
    rows_made,
)
from relay.store.stretches import span_start
from relay.store.writing import BATCH_ITEMS_MAX

__all__ = [
    "BATCH_ITEMS_MAX",
    "DECIMAL",
    "EXPORT_FORMATS",
    "AlarmRecord",
    "CopyRows",
    "DriftStore",
    "FeedEntry",
    "FeedHead",
    "MarketSample",
    "RefusedReport",
    "RowFilter",
    "StoreError",
    "StoreItem",
    "StorePlace",
    "VenueFact",
    "Word",
    "rows_made",
    "span_start",
    "store_place",
    "write_parquet",
]
