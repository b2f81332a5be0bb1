"""A store that has lost what it had is refused; one that has more than its witness knows is not."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import pytest

from follower_client.cli import main
from follower_client.core.order import OrderEvent
from follower_client.errors import StoreError
from follower_client.store import Store
from tests.unit.follower_client.test_store_and_settings import GOOD, copy, order


def after_a_crash(store: Path, to: Path) -> Path:
    """What a killed process leaves: the database, its -wal and the witness, as they are."""
    to.mkdir()
    for file in store.parent.glob("follower.*"):
        shutil.copy(file, to / file.name)
    return to / "follower.sqlite"


@pytest.fixture
def written(tmp_path: Path) -> Path:
    """A store that is open and has had three orders, the first two in the database file itself."""
    (tmp_path / "live").mkdir()
    path = tmp_path / "live" / "follower.sqlite"
    store = Store.open(path)
    store.record(copy(1), order=order(1))
    store.record(copy(2), order=order(2))
    store.close()  # what was in -wal goes into the file
    shutil.copy(path, tmp_path / "backup")
    store = Store.open(path)
    store.record(copy(3), order=order(3))
    asyncio.run(store.kept())
    return after_a_crash(path, tmp_path / "data")


def test_a_store_goes_on_after_a_crash_and_after_a_power_loss(written: Path) -> None:
    Store.open(written).close()
    written.with_suffix(".kept").write_text("1")  # not written out in time
    Store.open(written).close()
    Store.open(written, read_only=True).close()
    assert written.with_suffix(".kept").read_text().strip() == "3"
    written.with_suffix(".kept").write_text("")  # of a program that kept no number there
    Store.open(written).close()


@pytest.mark.parametrize("loss", ["wal", "backup"])
def test_a_store_that_has_lost_orders_is_refused_with_what_to_do(
    tmp_path: Path,
    written: Path,
    loss: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for part in ("-wal", "-shm"):
        written.with_name(written.name + part).unlink()
    if loss == "backup":
        shutil.copy(tmp_path / "backup", written)
    for read_only in (False, True):
        with pytest.raises(StoreError, match=r"3 orders were in it and 2 are .* recover"):
            Store.open(written, read_only=read_only)
    (tmp_path / "alice.toml").write_text(GOOD)
    for words in (["status"], ["flatten", "--no-wait"], ["flatten"]):
        monkeypatch.setattr("sys.argv", ["follower-client", *words, "-c", str(tmp_path / "alice.toml")])
        with pytest.raises(SystemExit) as ended:
            main()
        said = capsys.readouterr()
        if words != ["flatten", "--no-wait"]:  # which only writes the order down
            assert ended.value.code != 0 and "older than it was" in said.err and "recover" in said.err
    Store.open(written, anew=True).close()  # what `recover` begins with
    Store.open(written).close()


def test_an_order_counts_when_it_is_on_the_disk(tmp_path: Path) -> None:
    store, witness = Store.open(tmp_path / "follower.sqlite"), tmp_path / "follower.kept"
    store.record(copy(1), order=order(1))
    assert witness.read_text().strip() == "0"
    asyncio.run(store.kept())
    assert witness.read_text().strip() == "1"
    store.close()


def test_an_order_counts_once_however_often_it_is_written(tmp_path: Path) -> None:
    path = tmp_path / "follower.sqlite"
    store = Store.open(path)
    one = order(1)
    for _ in range(3):
        store.record_order(one)
    one.advance(OrderEvent.SEND)
    store.record_order(one, durable=False)
    assert path.with_suffix(".kept").read_text().strip() == "1"
    store.close()
