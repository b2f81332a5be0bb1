"""The operator's commands over several followers: what stands in one's way keeps no order from the others."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from follower_client.cli import main
from follower_client.control import ControlFile
from follower_client.core.snapshot import Control
from follower_client.errors import StoreError
from follower_client.locks import hold
from follower_client.records import Head
from follower_client.store import Store
from relay.keys import create_nkey
from tests.unit.follower_client.test_store_and_settings import GOOD


@pytest.fixture
def followers(tmp_path: Path) -> Path:
    """Three of them; where the first one's data belongs there is a file."""
    for name in ("alice", "bob", "carl"):
        text = GOOD.replace('"alice"', f'"{name}"').replace('"data"', f'"{name}"')
        (tmp_path / f"{name}.toml").write_text(text.replace('api_key = "key"', f'api_key = "{name}"'))
    (tmp_path / "alice").write_text("in the way")
    return tmp_path


def command(*words: str, monkeypatch: pytest.MonkeyPatch, status: int) -> None:
    monkeypatch.setattr("sys.argv", ["follower-client", *words])
    with pytest.raises(SystemExit) as ended:
        main()
    assert (ended.value.code or 0) == status


@pytest.mark.parametrize(
    ("word", "level"),
    [("pause", Control.PAUSE), ("lock", Control.LOCK), ("flatten", Control.FLATTEN), ("resume", Control.RUN)],
)
def test_one_who_cannot_be_ordered_keeps_no_order_from_the_others(
    followers: Path,
    word: str,
    level: Control,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    command(word, "-c", str(followers), "--json", "--reason", "news", monkeypatch=monkeypatch, status=1)
    said = capsys.readouterr()
    rows: list[dict[str, Any]] = json.loads(said.out)
    assert [row["follower"] for row in rows if "error" not in row] == ["bob", "carl"]
    assert rows[0]["follower"] == "alice" and "cannot be made" in rows[0]["error"]
    assert "follower-client: alice: " in said.err and "Traceback" not in said.err
    assert [ControlFile(followers / name).read().level for name in ("bob", "carl")] == [level, level]


def test_a_memory_that_is_gone_is_not_called_flat(
    followers: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (followers / "bob").mkdir()
    Store.open(followers / "bob" / "follower.sqlite").close()
    (followers / "bob" / "follower.sqlite").unlink()
    (followers / "carl").mkdir()
    (followers / "carl" / "lock").write_text("1")  # a first start that ended before there was a store
    words = ("flatten", "-c", str(followers), "--follower", "bob", "--follower", "carl")
    command(*words, monkeypatch=monkeypatch, status=75)
    said = capsys.readouterr()
    assert "bob: flatten, NOT FLAT YET" in said.out and "carl: flatten, flat" in said.out
    assert "bob: the memory of what was copied is gone" in said.err and "recover" in said.err


def test_a_full_disk_is_told_with_what_to_do(followers: Path) -> None:
    (followers / "bob").mkdir()
    Store.open(followers / "bob" / "follower.sqlite").close()
    program = (
        "import resource, sys; from follower_client.cli import main; "
        "resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0)); sys.argv[0] = 'follower-client'; main()"
    )
    for name in ("flatten", "pause", "lock", "status"):
        words = (sys.executable, "-c", program, name, "-c", str(followers / "bob.toml"))
        ended = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
        if name != "status":  # which may need no room
            assert ended.returncode == 1
        if ended.returncode:
            assert "Make room" in ended.stderr and "by hand at the venue" in ended.stderr, ended.stderr
            assert "Traceback" not in ended.stderr


def test_status_says_of_whom_more_was_ordered_than_of_the_account(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "alice.toml"
    config.write_text(GOOD)
    (tmp_path / "data").mkdir()
    control = ControlFile(tmp_path / "data")
    control.order(Control.FLATTEN, by="trigger:leader_silent", reason="for 60 s", leader_id="bert")
    command("status", "-c", str(config), monkeypatch=monkeypatch, status=0)
    said = " ".join(capsys.readouterr().out.split())
    assert "bert: flatten by trigger:leader_silent (for 60 s): no entries of his until" in said
    command("status", "-c", str(config), "--json", monkeypatch=monkeypatch, status=0)
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["control"], row["control_of_leaders"]["bert"]["level"]) == ("run", "flatten")


@pytest.mark.parametrize("left", [None, b""])
def test_a_memory_that_is_gone_is_not_begun_anew(
    followers: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    left: bytes | None,
) -> None:
    create_nkey(followers / "alice.nk")
    (followers / "bob").mkdir()
    store = followers / "bob" / "follower.sqlite"
    Store.open(store).close()
    Store.open(store).close()
    store.unlink()
    if left is not None:
        store.write_bytes(left)
    words = ("-c", str(followers / "bob.toml"))
    for name in ("run", "status", "verdicts"):
        command(name, *words, monkeypatch=monkeypatch, status=1)
        said = capsys.readouterr()
        assert "the store is gone" in said.err and "recover" in said.err and "Traceback" not in said.err
    with pytest.raises(StoreError, match="gone"):
        Store.open(store)
    Store.open(store, anew=True).close()
    Store.open(store).close()


def test_status_says_whether_anybody_runs(
    followers: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = followers / "bob"
    folder.mkdir()
    store = Store.open(folder / "follower.sqlite")
    store.save_head("lead", Head(1, 7, "aa"))
    store.close()
    words = ("status", "-c", str(followers / "bob.toml"))
    for is_running in (False, True, False):
        lock = hold(folder / "lock", "data_dir") if is_running else None
        command(*words, monkeypatch=monkeypatch, status=0)
        assert ("bob: not running" in capsys.readouterr().out) is not is_running
        command(*words, "--json", monkeypatch=monkeypatch, status=0)
        assert json.loads(capsys.readouterr().out)[0]["running"] is is_running
        if lock is not None:
            lock.close()
