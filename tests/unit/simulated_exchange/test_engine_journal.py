"""The engine behind its journal: recovery, damage, two processes, commits beside commands."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from simulated_exchange._engine import Engine, GenesisError, JournalError, Side
from tests.unit.simulated_exchange.engine_rooms import ALICE, BOB, BTC, Desk, genesis

HEADER_BYTES, FRAME_BYTES = 48, 44


def traded(path: Path, durability: str = "fsync") -> str:
    """A journal with a little of everything in it; its state hash."""
    desk = Desk.opened(Engine.create(genesis(), str(path), durability))
    desk.accepted(desk.place(ALICE, Side.Sell, "1", "50000", link_id="ask"))
    desk.engine.sync()
    desk.accepted(desk.place(BOB, Side.Buy, "0.4", "50000"))
    assert desk.place(BOB, Side.Buy, "0.0001", "50000").reject is not None
    desk.accepted(desk.engine.advance_time(*desk.now()))
    assert desk.engine.sync() == desk.engine.command_count()
    return desk.engine.state_hash()


@pytest.mark.parametrize("durability", ["fsync", "os", "none"])
def test_recovery_gives_the_same_state_and_goes_on(tmp_path: Path, durability: str) -> None:
    path = tmp_path / "venue.journal"
    state_hash = traded(path, durability)
    engine, recovery = Engine.recover(str(path), durability)
    assert recovery.state_hash == engine.state_hash() == state_hash
    assert (recovery.commands, recovery.truncated_bytes) == (engine.command_count(), 0)
    assert recovery.genesis_json == genesis()
    assert engine.order_id_by_link(ALICE, "ask") == 1
    desk = Desk(engine)
    desk.accepted(desk.place(BOB, Side.Buy, "0.6", "50000"))
    assert engine.position(BOB, BTC).qty == 10**8
    continued = engine.state_hash()
    engine.sync()
    del desk, engine
    _, recovery = Engine.recover(str(path), durability)
    assert recovery.state_hash == continued


def test_a_torn_last_record_is_cut_and_counted(tmp_path: Path) -> None:
    path = tmp_path / "venue.journal"
    traded(path)
    whole = path.read_bytes()
    path.write_bytes(whole[:-5])
    found = Engine.verify(str(path))
    assert found.truncated_bytes > 0
    assert path.read_bytes() == whole[:-5]
    engine, recovery = Engine.recover(str(path), "fsync")
    assert recovery.truncated_bytes == found.truncated_bytes
    assert recovery.state_hash == found.state_hash
    assert path.stat().st_size == len(whole) - 5 - recovery.truncated_bytes
    assert engine.command_count() == recovery.commands


def test_damage_in_the_middle_is_refused_with_its_place(tmp_path: Path) -> None:
    path = tmp_path / "venue.journal"
    traded(path)
    damaged = bytearray(path.read_bytes())
    place = HEADER_BYTES + FRAME_BYTES + 2 + len(genesis())  # 2: its length takes as many bytes
    damaged[place + FRAME_BYTES + 3] ^= 0x40
    path.write_bytes(damaged)
    with pytest.raises(JournalError, match=rf"corrupt at byte {place}: .*checksum"):
        Engine.recover(str(path), "fsync")
    with pytest.raises(JournalError, match=rf"corrupt at byte {place}: "):
        Engine.verify(str(path))
    assert path.read_bytes() == damaged


def test_a_journal_is_not_created_twice_nor_recovered_from_nothing(tmp_path: Path) -> None:
    path = tmp_path / "venue.journal"
    with pytest.raises(JournalError, match=r"venue\.journal: cannot open: "):
        Engine.recover(str(path), "fsync")
    traded(path)
    with pytest.raises(JournalError, match=r"venue\.journal: already exists"):
        Engine.create(genesis(), str(path), "fsync")
    with pytest.raises(GenesisError):
        Engine.create("{}", str(tmp_path / "other.journal"), "fsync")
    assert [file.name for file in tmp_path.iterdir()] == ["venue.journal"]
    with pytest.raises(ValueError, match=r"^durability: was "):
        Engine.recover(str(path), "sometimes")


def test_what_is_not_a_journal_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("not a journal, although it is long enough to be one")
    with pytest.raises(JournalError, match=r"notes\.txt: is not a journal"):
        Engine.verify(str(path))


def test_a_second_process_is_refused_and_may_verify(tmp_path: Path) -> None:
    path = tmp_path / "venue.journal"
    engine = Engine.create(genesis(), str(path), "fsync")
    desk = Desk.opened(engine)
    engine.sync()
    script = (
        "import sys; from simulated_exchange._engine import Engine, JournalError\n"
        "print(Engine.verify(sys.argv[1]).state_hash)\n"
        "try: Engine.recover(sys.argv[1], 'fsync')\n"
        "except JournalError as error: print(error)\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", script, str(path)], capture_output=True, text=True, check=True, timeout=60
    )
    state_hash, refusal = ran.stdout.splitlines()
    assert state_hash == desk.engine.state_hash()
    assert refusal.endswith("in use by another process; one process writes a journal at a time")


def test_verification_checks_and_counts(tmp_path: Path) -> None:
    path = tmp_path / "venue.journal"
    state_hash = traded(path)
    found = Engine.verify(str(path))
    assert (found.state_hash, found.conservation_delta, found.truncated_bytes) == (state_hash, 0, 0)
    assert found.commands == Engine.recover(str(path), "none")[1].commands


def test_a_replay_tells_what_happened(tmp_path: Path) -> None:
    path = tmp_path / "venue.journal"
    desk = Desk.opened(Engine.create(genesis(), str(path), "os"))
    told = list(desk.accepted(desk.place(ALICE, Side.Buy, "1", "49000")))
    told += desk.accepted(desk.place(BOB, Side.Sell, "0.3"))
    desk.engine.sync()
    [batch] = Engine.replay(str(path))
    assert (batch.first_command, batch.commands) == (1, desk.engine.command_count())
    assert batch.events()[-len(told) :] == told


def test_commits_run_beside_commands(tmp_path: Path) -> None:
    desk = Desk.opened(Engine.create(genesis(), str(tmp_path / "venue.journal"), "fsync"))
    begin = desk.engine.command_count()
    covered: list[int] = []
    done = threading.Event()

    def commit() -> None:
        while not done.is_set():
            covered.append(desk.engine.sync())

    committer = threading.Thread(target=commit)
    committer.start()
    for _ in range(300):
        desk.accepted(desk.engine.advance_time(*desk.now()))
    done.set()
    committer.join()
    assert covered == sorted(covered)
    assert desk.engine.sync() == desk.engine.command_count() == begin + 300


def test_a_journal_that_cannot_be_written_stops_the_engine(tmp_path: Path) -> None:
    script = (
        "import resource, signal, sys\n"
        "from simulated_exchange._engine import Engine, JournalError\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "engine = Engine.create(sys.stdin.read(), sys.argv[1], 'fsync')\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))\n"
        "for at in range(1000): engine.advance_time(at, at)\n"
        "for attempt in (engine.sync, engine.sync, lambda: engine.advance_time(1000, 1000)):\n"
        "    try: attempt()\n"
        "    except JournalError as error: print(error)\n"
        "print(engine.command_count())\n"
    )
    path = tmp_path / "venue.journal"
    ran = subprocess.run(
        [sys.executable, "-c", script, str(path)],
        input=genesis(),
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
        env=dict(os.environ),
    )
    first, second, third, count = ran.stdout.splitlines()
    assert "venue.journal: cannot write: " in first
    assert "stopped after an earlier failure: cannot write" in second
    assert "stopped after an earlier failure: cannot write" in third
    assert count == "1000"
    _, recovery = Engine.recover(str(path), "fsync")
    assert recovery.commands <= 1000
