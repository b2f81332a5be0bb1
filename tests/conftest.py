"""What tests of several folders share: the places where a drift store can be."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from relay.store import StorePlace
from tests.postgres_server import PostgresServer, postgres_server


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A PostgreSQL server."""
    with postgres_server() as server:
        yield server


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.system)])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> StorePlace:
    """Where a new drift store goes, once per database that it can be on."""
    if request.param == "sqlite":
        return tmp_path / "drift.sqlite"
    server: PostgresServer = request.getfixturevalue("postgres")
    return server.fresh()
