"""The engine's snapshots: a restart from one ends where a clean replay ends."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from simulated_exchange._engine import Engine, JournalError, Recovery, SnapshotDraft
from tests.unit.simulated_exchange.engine_rooms import Desk, genesis
from tests.unit.simulated_exchange.flow import trade


def traded(path: Path, *snapshots_at: int, commands: int = 300, durability: str = "os") -> Desk:
    """A journal of random trading, with snapshots on the way."""
    desk = Desk.opened(Engine.create(genesis(), str(path), durability))
    dice = random.Random(7)
    for number in range(commands):
        trade(desk, dice)
        if number in snapshots_at:
            assert begun(desk.engine).write(f"after {number}".encode()) > 0
    desk.engine.sync()
    return desk


def begun(engine: Engine) -> SnapshotDraft:
    draft = engine.begin_snapshot()
    assert draft is not None
    return draft


def recovered(path: Path) -> Recovery:
    """What a recovery finds; the engine is gone again, and with it the lock."""
    return Engine.recover(str(path), "os")[1]


def snapshots(path: Path) -> list[Path]:
    return sorted(path.parent.glob(f"{path.name}.snapshot-*"), key=lambda file: int(file.suffix[10:]))


@pytest.mark.parametrize("durability", ["fsync", "os", "none"])
def test_a_restart_from_a_snapshot_ends_where_a_clean_replay_ends(tmp_path: Path, durability: str) -> None:
    path = tmp_path / "venue.journal"
    state_hash = traded(path, 100, 200, durability=durability).engine.state_hash()
    engine, recovery = Engine.recover(str(path), durability)
    assert (recovery.attachment, recovery.remarks) == (b"after 200", [])
    assert 200 < recovery.snapshot_commands < recovery.commands
    assert engine.state_hash() == recovery.state_hash == Engine.verify(str(path)).state_hash == state_hash
    engine.check_invariants()
    desk, dice = Desk(engine), random.Random(8)
    for _ in range(100):
        trade(desk, dice)
    state_hash = engine.state_hash()
    engine.sync()
    del engine, desk
    assert Engine.verify(str(path)).state_hash == state_hash
    assert Engine.recover(str(path), durability)[1].state_hash == state_hash


def test_events_are_told_again_behind_a_snapshot(tmp_path: Path) -> None:
    path = tmp_path / "venue.journal"
    traded(path, 150)
    _, recovery = Engine.recover(str(path), "os")
    everything = [event for batch in Engine.replay(str(path)) for event in batch.events()]
    told = [
        event
        for batch in Engine.replay(str(path), snapshot_commands=recovery.snapshot_commands)
        for event in batch.events()
    ]
    assert 0 < len(told) < len(everything)
    assert told == everything[-len(told) :]
    with pytest.raises(JournalError, match="snapshot-7: cannot read"):
        Engine.replay(str(path), snapshot_commands=7)


def test_a_draft_stands_for_the_commands_before_it(tmp_path: Path) -> None:
    path = tmp_path / "venue.journal"
    desk = traded(path)
    draft, state_hash = begun(desk.engine), desk.engine.state_hash()
    commands = desk.engine.command_count()
    dice = random.Random(9)
    for _ in range(50):
        trade(desk, dice)
    draft.write(b"")
    with pytest.raises(ValueError, match="is written already"):
        draft.write(b"")
    assert draft.commands == commands
    del desk
    (tmp_path / "copy").mkdir()
    for file in tmp_path.glob("venue*"):
        shutil.copy(file, tmp_path / "copy")
    engine, recovery = Engine.recover(str(tmp_path / "copy" / "venue.journal"), "os")
    assert (recovery.snapshot_commands, recovery.commands) == (commands, commands + 50)
    assert engine.state_hash() != state_hash


def test_the_last_two_are_kept_and_the_older_one_serves(tmp_path: Path) -> None:
    path = tmp_path / "venue.journal"
    state_hash = traded(path, 50, 100, 150, 200).engine.state_hash()
    older, newest = snapshots(path)
    damaged = bytearray(newest.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    newest.write_bytes(damaged)
    recovery = recovered(path)
    assert recovery.state_hash == state_hash
    assert recovery.attachment == b"after 150"
    assert recovery.remarks == [f"snapshot {newest}: its checksum does not fit"]
    older.unlink()
    recovery = recovered(path)
    assert (recovery.state_hash, recovery.snapshot_commands) == (state_hash, 0)


def test_a_snapshot_of_another_venue_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    one, two = tmp_path / "one" / "venue.journal", tmp_path / "two" / "venue.journal"
    traded(one, 200)
    state_hash = traded(two).engine.state_hash()
    [snapshot] = snapshots(one)
    shutil.copy(snapshot, two.parent)
    _, recovery = Engine.recover(str(two), "os")
    assert (recovery.state_hash, recovery.snapshot_commands) == (state_hash, 0)
    assert recovery.remarks == [f"snapshot {two.parent / snapshot.name}: it belongs to another journal"]


def test_a_journal_that_lost_what_a_snapshot_stands_for_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "venue.journal"
    traded(path, 299, durability="fsync")
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(JournalError, match="has lost records: it ends with record "):
        Engine.recover(str(path), "fsync")
    assert path.stat().st_size == len(whole) // 2
    assert Engine.verify(str(path)).commands >= 0


def test_without_a_journal_there_is_no_snapshot() -> None:
    assert Desk.opened().engine.begin_snapshot() is None


def test_a_folder_that_takes_no_file_leaves_the_engine_running(tmp_path: Path) -> None:
    path = tmp_path / "venue.journal"
    script = (
        "import resource, signal, sys\n"
        "from simulated_exchange._engine import Engine, JournalError\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "engine = Engine.create(sys.stdin.read(), sys.argv[1], 'fsync')\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))\n"
        "engine.advance_time(1, 1)\n"
        "try: engine.begin_snapshot().write(bytes(8192))\n"
        "except JournalError as error: print(error)\n"
        "engine.advance_time(2, 2)\n"
        "print(engine.sync())\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", script, str(path)],
        input=genesis(),
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    failure, commands = ran.stdout.splitlines()
    assert "venue.journal.snapshot-1: cannot write: " in failure
    assert commands == "2"
    assert [file.name for file in tmp_path.iterdir()] == ["venue.journal"]
    assert json.loads(Engine.recover(str(path), "fsync")[1].genesis_json)
