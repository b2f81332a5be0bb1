"""The outbox as a file: what it remembers, what it refuses."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from relay import outbox as outbox_module
from relay.core.account import Fill
from relay.errors import Failed, InvariantBroken
from relay.outbox import Head, Outbox, Record
from relay.protocol.signing import GENESIS_HASH


def opened(folder: Path, *, leader_id: str = "alice", key_id: str = "k1") -> Outbox:
    return Outbox.open(folder / "out" / "outbox.sqlite", leader_id=leader_id, key_id=key_id)


def record(seq: int) -> Record:
    return Record(seq, 7, "signal", f"{seq:064x}", f"alice.7.{seq}", b"wire%d" % seq, 1)


def fill(number: int) -> Fill:
    one = Decimal(1)
    return Fill(f"f{number}", "o", "BTC/USDT:USDT", "buy", one, one, one, "trade", 100 + number, 1)


def test_an_empty_outbox_stands_at_the_beginning(tmp_path: Path) -> None:
    outbox = opened(tmp_path)
    assert outbox.head == Head(0, GENESIS_HASH, 0)
    assert (outbox.acknowledged_seq, outbox.state, outbox.told_through_ms) == (0, None, 0)
    assert not outbox.knows_fill("f1")
    outbox.close()


def test_everything_is_there_after_a_restart(tmp_path: Path) -> None:
    outbox = opened(tmp_path)
    outbox.append(record(1), [fill(1), fill(2)], "state one")
    outbox.acknowledge(1)
    outbox.append(record(2))
    outbox.close()
    again = opened(tmp_path)
    assert again.head == Head(2, f"{2:064x}", 7)
    assert again.records(1, 10) == [record(1), record(2)]
    assert again.records(2, 10) == [record(2)]
    assert (again.acknowledged_seq, again.state, again.told_through_ms) == (1, "state one", 102)
    assert again.knows_fill("f2")
    assert not again.knows_fill("f3")
    again.close()


def test_it_knows_since_when_it_tells(tmp_path: Path) -> None:
    outbox = opened(tmp_path)
    outbox.append(record(1), [fill(1)], "what was before", began_ms=5_000)
    assert (outbox.told_through_ms, outbox.knows_fill("f1")) == (5_000, True)
    outbox.append(record(2), [fill(9_000)], "a step")
    outbox.close()
    again = opened(tmp_path)
    assert again.told_through_ms == 9_100
    again.close()


def test_a_message_and_its_fills_are_one_transaction(tmp_path: Path) -> None:
    outbox = opened(tmp_path)
    outbox.append(record(1), [fill(1)])
    with pytest.raises(Exception, match="UNIQUE"):
        outbox.append(record(2), [fill(2), fill(1)], "never")
    assert (outbox.head.seq, outbox.state) == (1, None)
    assert not outbox.knows_fill("f2")
    outbox.close()


def test_it_belongs_to_one_leader_and_key(tmp_path: Path) -> None:
    opened(tmp_path).close()
    for leader_id, key_id in (("carol", "k1"), ("alice", "k2")):
        with pytest.raises(Failed, match="belongs to"):
            opened(tmp_path, leader_id=leader_id, key_id=key_id)
    opened(tmp_path).close()


def test_a_damaged_file_is_not_used(tmp_path: Path) -> None:
    opened(tmp_path).close()
    path = tmp_path / "out" / "outbox.sqlite"
    path.write_bytes(b"not a database" * 500)
    with pytest.raises(InvariantBroken, match=r"leader\.outbox"):
        opened(tmp_path)


def test_it_is_its_owners_alone(tmp_path: Path) -> None:
    opened(tmp_path).close()
    assert (tmp_path / "out" / "outbox.sqlite").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "out").stat().st_mode & 0o777 == 0o700


def test_an_adopted_head_is_gone_on_from(tmp_path: Path) -> None:
    outbox = opened(tmp_path)
    outbox.adopt(Head(40, "a" * 64, 6))
    outbox.close()
    again = opened(tmp_path)
    assert again.head == Head(40, "a" * 64, 6)
    assert again.acknowledged_seq == 40
    again.append(record(41))
    assert again.head.seq == 41
    again.close()


def test_old_acknowledged_messages_are_dropped_and_no_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox_module, "KEPT_MESSAGES_MAX", 5)
    monkeypatch.setattr(outbox_module, "PRUNE_EVERY", 10)
    outbox = opened(tmp_path)
    for seq in range(1, 11):
        outbox.append(record(seq))
    assert [r.seq for r in outbox.records(1, 100)] == list(range(1, 11))
    outbox.acknowledge(9)
    for seq in range(11, 21):
        outbox.append(record(seq))
    assert [r.seq for r in outbox.records(1, 100)] == list(range(9, 21))
    outbox.close()
