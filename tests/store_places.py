"""Where the drift stores of tests are, and their databases opened as a person would.

Belongs here: the names that tests and fixtures share. Does not belong here: a server (`postgres_server`).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from relay.store import StorePlace
from relay.store.database import Database, SqliteDatabase
from relay.store.postgres import PostgresDatabase

__all__ = ["Places", "by_hand"]

Places = Callable[[str], StorePlace]


def by_hand(place: StorePlace) -> Database:
    """A store's database, for statements that the store itself would not make; the caller closes it."""
    return (
        SqliteDatabase.open(place) if isinstance(place, Path) else PostgresDatabase.open(place, writes=True)
    )
