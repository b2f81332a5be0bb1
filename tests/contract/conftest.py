"""One venue for all tests of a module."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.contract.serving import VenueProcess, served


@pytest.fixture(scope="module")
def venue(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VenueProcess]:
    folder = tmp_path_factory.mktemp("venue") / "data"
    with served(folder, "--enable-sim", "--durability", "os") as process:
        yield process
