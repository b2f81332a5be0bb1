"""The tables of a follower's memory, how they came to be, and the checksum of a row.

Belongs here: names, columns, migrations. Does not belong here: reading and writing them (`store`).
"""

from __future__ import annotations

import zlib

__all__ = ["MIGRATIONS", "SUMMED", "crc"]

SUMMED = {
    "identity": ("name", "value"),
    "feed": ("leader_id", "epoch", "seq", "hash"),
    "copies": ("leader_id", "epoch", "seq", "verdict", "reason", "body"),
    "orders": ("client_order_id", "leader_id", "epoch", "seq", "leg", "n", "state", "body"),
    "fills": (
        *("fill_id", "client_order_id", "symbol", "is_buy", "qty", "price", "fee", "fee_currency"),
        *("executed_ms", "is_maker", "order_id"),
    ),
    "adjustments": ("id", "symbol", "qty", "at_ms", "reason", "leader_id"),
    "leaders": ("leader_id", "body"),
    "marks": ("name", "value"),
}
"""The tables that decisions depend on: each row carries a checksum of these columns, and a store in which one
does not fit is refused. SQLite itself notices damage to its pages' structure, not to what stands in them."""

MIGRATIONS: tuple[str, ...] = (
    """
    CREATE TABLE identity(name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
    CREATE TABLE feed(leader_id TEXT PRIMARY KEY, epoch INTEGER NOT NULL, seq INTEGER NOT NULL,
                      hash TEXT NOT NULL) STRICT;
    CREATE TABLE copies(leader_id TEXT NOT NULL, epoch INTEGER NOT NULL, seq INTEGER NOT NULL,
                        verdict TEXT, reason TEXT NOT NULL, body BLOB NOT NULL,
                        PRIMARY KEY(leader_id, epoch, seq)) STRICT;
    CREATE INDEX open_copies ON copies(leader_id) WHERE verdict IS NULL;
    CREATE TABLE orders(client_order_id TEXT PRIMARY KEY, leader_id TEXT NOT NULL, epoch INTEGER NOT NULL,
                        seq INTEGER NOT NULL, leg TEXT NOT NULL, n INTEGER NOT NULL, state TEXT NOT NULL,
                        body BLOB NOT NULL, UNIQUE(leader_id, epoch, seq, leg, n)) STRICT;
    CREATE INDEX open_orders ON orders(state) WHERE state <> 'done';
    CREATE TABLE fills(fill_id TEXT PRIMARY KEY, client_order_id TEXT NOT NULL, symbol TEXT NOT NULL,
                       is_buy INTEGER NOT NULL, qty TEXT NOT NULL, price TEXT NOT NULL, fee TEXT NOT NULL,
                       fee_currency TEXT NOT NULL, executed_ms INTEGER NOT NULL, is_maker INTEGER NOT NULL,
                       order_id TEXT NOT NULL) STRICT;
    CREATE INDEX fills_of_order ON fills(client_order_id);
    CREATE TABLE adjustments(id INTEGER PRIMARY KEY, symbol TEXT NOT NULL, qty TEXT NOT NULL,
                             at_ms INTEGER NOT NULL, reason TEXT NOT NULL) STRICT;
    CREATE TABLE outbox(id INTEGER PRIMARY KEY AUTOINCREMENT, msg_id TEXT NOT NULL UNIQUE,
                        body BLOB NOT NULL) STRICT;
    """,
    """
    ALTER TABLE adjustments ADD COLUMN leader_id TEXT NOT NULL DEFAULT '';
    CREATE TABLE leaders(leader_id TEXT PRIMARY KEY, body BLOB NOT NULL) STRICT;
    CREATE TABLE marks(name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
    """,
    "".join(
        f"ALTER TABLE {table} ADD COLUMN crc INTEGER NOT NULL DEFAULT 0; "
        f"UPDATE {table} SET crc = crc({', '.join(columns)});"
        for table, columns in SUMMED.items()
    ),
)
"""Migration n brings a store of version n to n + 1. Never edited once released, only added to."""


def crc(*values: object) -> int:
    """A checksum of a row, of the values as SQLite keeps them."""
    found = 0
    for value in values:
        text = value if isinstance(value, bytes) else repr(value).encode()
        found = zlib.crc32(text, zlib.crc32(len(text).to_bytes(8, "big"), found))
    return found
