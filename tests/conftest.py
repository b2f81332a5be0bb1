"""What tests of several folders share: the places where a drift store can be."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

from relay.store import StorePlace
from tests.postgres_server import PostgresServer, postgres_server
from tests.store_places import Places


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A PostgreSQL server."""
    with postgres_server() as server:
        yield server


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.system)])
def places(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Places]:
    """Where new drift stores go, by any name, once per database that they can be on."""
    if request.param == "sqlite":
        yield lambda name: tmp_path / f"{name}.sqlite"
        return
    server: PostgresServer = request.getfixturevalue("postgres")
    made: defaultdict[str, str] = defaultdict(server.fresh)
    yield made.__getitem__
    for url in made.values():
        server.drop(url)


@pytest.fixture
def place(places: Places) -> StorePlace:
    """Where a new drift store goes."""
    return places("drift")
