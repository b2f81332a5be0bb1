"""A publisher who has lost his files looks at his stream: what he may go on from."""

from __future__ import annotations

from decimal import Decimal
from typing import Literal

import pytest
from nacl.signing import SigningKey

from relay.errors import Failed
from relay.outbox import Head
from relay.protocol.codec import Message, encode_payload
from relay.protocol.groups import Place, seal_payload
from relay.protocol.messages import AccountChange, KeyLink, LegState, Notice, PositionState, Snapshot
from relay.protocol.signing import GENESIS_HASH, Sealed, link_keys, seal_chained
from relay.taking_over import Told, head_to_adopt, recall, sealed_for
from tests.unit.relay import feed_samples as samples

FIRST, SECOND = samples.KEY, samples.OTHER_KEY
BTC = "BTC/USDT:USDT"


def link() -> KeyLink:
    return link_keys(FIRST, "alice", bytes(SECOND.verify_key).hex(), 3)


def rotation() -> Sealed:
    """The old key's last message, seq 2."""
    notice = Notice(notice="key_rotation", text="", sealed_ms=1, link=link())
    return samples.sealed(notice, 2, GENESIS_HASH)


def group_notice(epoch: int, seq: int) -> bytes:
    notice = Notice(
        notice="group_epoch", text="", sealed_ms=1, group_epoch=epoch, keys_root="00" * 32, keys_count=0
    )
    return samples.sealed(notice, seq, GENESIS_HASH).wire


def secret(epoch: int, seq: int, key: SigningKey = FIRST) -> bytes:
    place = Place("alice", samples.EPOCH, seq, "snapshot")
    payload = seal_payload(b"\x01" * 32, epoch, place, encode_payload(samples.snapshot()))
    return seal_chained(
        key,
        kind="snapshot",
        leader_id="alice",
        epoch=samples.EPOCH,
        seq=seq,
        prev_hash=GENESIS_HASH,
        payload=payload,
    ).wire


def state(qty: str, *legs: LegState) -> PositionState:
    mode: Literal["hedge", "one_way"] = "hedge" if legs else "one_way"
    return PositionState(
        symbol=BTC,
        qty=qty,
        entry_price="100",
        exposure="0",
        leverage="5",
        position_mode=mode,
        legs=[*legs],
    )


def complete(equity: str, *positions: PositionState) -> Snapshot:
    return Snapshot(positions=[*positions], equity=equity, account_leverage="0", sealed_ms=5)


def rows_of(*messages: Message) -> list[tuple[int, bytes]]:
    return [(seq, samples.sealed(one, seq, GENESIS_HASH).wire) for seq, one in enumerate(messages, 1)]


def test_what_was_told_is_recalled_from_the_newest_complete_list_on() -> None:
    deposit = AccountChange(
        signal_id="alice.7.4", cause="cash_flow", event_ids=["w1"], amount="5", positions=[state("2")],
        equity="105", account_leverage="0", leader_exec_ms=9, seen_ms=9, sealed_ms=9,
    )  # fmt: skip
    signal = samples.signal("alice.7.2")
    exec_ms = signal.leader_exec_ms
    rows = rows_of(samples.notice(), signal)
    assert recall(rows[:1], "alice", FIRST, [], {}).account is None
    found = recall(rows, "alice", FIRST, [], {})  # from the very beginning: there was nothing before
    assert found.account is not None and found.account.position(BTC).qty == Decimal("-0.5")
    found = recall(rows[1:], "alice", FIRST, [], {})
    assert (found.account, found.events) == (None, [Told("f1", exec_ms)])
    rows = rows_of(samples.notice(), signal, complete("100", state("3")), deposit)
    found = recall(rows, "alice", FIRST, [], {})
    assert found.account is not None
    assert (found.account.position(BTC).qty, found.account.equity_usdt) == (Decimal(2), Decimal(105))
    assert found.events == [Told("f1", exec_ms), Told("w1", 9)]
    found = recall([*rows, (5, rows[1][1])], "alice", FIRST, [], {})  # a signal after the list
    assert found.account is not None
    assert found.account.position(BTC).qty == Decimal("-0.5")
    broken = recall([*rows, (5, b"nonsense")], "alice", FIRST, [], {})
    assert broken.account is None


def test_hedges_pauses_and_sealed_messages_are_recalled() -> None:
    legs = [LegState(side=side, qty="2", entry_price="90", leverage="5") for side in ("long", "short")]
    rows = rows_of(samples.notice("paused"), samples.notice("started"), complete("7", state("0", *legs)))
    found = recall(rows, "alice", FIRST, [], {})
    assert found.is_paused and found.account is not None
    position = found.account.position(BTC)
    assert position.long is not None and position.short is not None
    assert (position.long.qty, position.short.qty, position.qty) == (Decimal(2), Decimal(2), Decimal(0))
    rows = rows_of(samples.notice("paused"), samples.notice("resumed"))
    assert not recall(rows, "alice", FIRST, [], {}).is_paused
    hidden = [(1, secret(4, 1))]
    assert recall(hidden, "alice", FIRST, [], {4: b"\x01" * 32}).account is not None
    assert recall(hidden, "alice", FIRST, [], {3: b"\x01" * 32}).account is None
    assert recall(hidden, "alice", FIRST, [], {}).account is None


def test_the_head_is_adopted_where_his_key_has_signed_it() -> None:
    frame = samples.sealed(samples.snapshot(), 9, GENESIS_HASH)
    assert head_to_adopt(frame.wire, "alice", FIRST, []) == Head(9, frame.chain_hash, samples.EPOCH)
    for leader, key in (("alice", SECOND), ("carol", FIRST)):
        with pytest.raises(Failed, match="not signed by it"):
            head_to_adopt(frame.wire, leader, key, [])


def test_a_head_that_is_the_rotation_itself_is_the_old_keys() -> None:
    frame = rotation()
    assert head_to_adopt(frame.wire, "alice", SECOND, [link()]).seq == 2
    with pytest.raises(Failed, match="not signed by it"):
        head_to_adopt(frame.wire, "alice", SECOND, [])
    late = samples.sealed(samples.snapshot(), 3, frame.chain_hash)  # the old key speaks on
    with pytest.raises(Failed, match="not signed by it"):
        head_to_adopt(late.wire, "alice", SECOND, [link()])


def test_a_key_that_was_passed_on_or_revoked_adopts_nothing() -> None:
    with pytest.raises(Failed, match="passed on to another key"):
        head_to_adopt(rotation().wire, "alice", FIRST, [link()])
    last_word = samples.sealed(samples.notice("key_revoked"), 9, GENESIS_HASH)
    with pytest.raises(Failed, match="this key is revoked"):
        head_to_adopt(last_word.wire, "alice", FIRST, [])


def test_the_newest_word_says_for_whom_a_feed_is_sealed() -> None:
    clear, closing = samples.sealed(samples.snapshot(), 1, GENESIS_HASH), samples.notice("closing")
    said = [clear.wire, group_notice(1, 2), secret(1, 3), group_notice(2, 4)]
    said += [samples.sealed(closing, 5, GENESIS_HASH).wire, secret(9, 6, SECOND), b"nonsense"]
    rows = list(enumerate(said, 1))
    told = [sealed_for(rows[:count], "alice", FIRST, []) for count in range(len(rows) + 1)]
    assert told == [None, 0, 1, 1, 2, 2, 2, 2]  # neither a notice of something else nor a stranger counts
